"""Runs that are killed or stopped: nothing is lost, nothing lives on, the next run goes on."""

import os
import signal
import time
from pathlib import Path

import faults
import numpy as np
import pytest
import undisturbed

pytestmark = pytest.mark.faults


def wait_for(condition, seconds=120.0):
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.05)
    assert condition()


def test_killed_runs_give_what_an_undisturbed_run_gives(cohort):
    cohort.restore()
    rng = np.random.default_rng(1)
    for number, wait_s in enumerate(rng.uniform(4, 16, 4)):
        process = cohort.start()
        time.sleep(wait_s)
        faults.kill(process, is_group=number % 2 == 0)
        assert faults.orphans(str(cohort.root)) == []
        assert undisturbed.wrong_files(cohort.out, cohort.reference, is_finished=False) == []
    assert cohort.run()[0] == 0
    cohort.check()
    assert cohort.run()[0] == 11


def test_a_signal_ends_the_run_in_seconds_and_is_told(cohort):
    cohort.restore()
    process = cohort.start()
    wait_for(lambda: cohort.log.is_file() and "anat, template" in cohort.text())
    time.sleep(2)
    begin = time.monotonic()
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=30) == 1
    assert time.monotonic() - begin < 10
    assert faults.orphans(str(cohort.root)) == []
    assert "stopped by signal TERM; run the same command again to go on" in cohort.text()
    assert undisturbed.statuses(cohort.out) == {"sub-01": "failed", "sub-02": "failed"}
    for label in ("01", "02"):
        record = cohort.out / "logs" / f"sub-{label}" / "status.json"
        assert '"stopped by signal TERM; run the same command again"' in record.read_text()


def parent(process):
    """Process that started another one; 0 if that has ended."""
    try:
        return int(Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[1])
    except FileNotFoundError:
        return 0


def workers(cohort, command):
    """Processes that a server of the command forked, and not the command itself."""
    servers = {process for process in cohort.processes() if parent(process) == command.pid}
    return [process for process in cohort.processes() if parent(process) in servers]


@pytest.mark.rare
def test_a_killed_worker_is_replaced(cohort):
    cohort.forget_steps("01", "anat_wf/regions_wf", "anat_figures_wf")
    process = cohort.start()
    wait_for(lambda: "sub-01: anat" in cohort.text() and workers(cohort, process))
    os.kill(workers(cohort, process)[0], signal.SIGKILL)
    assert process.wait(timeout=300) == 0
    cohort.check()


def test_of_two_runs_on_one_output_each_leaves_the_other_alone(cohort):
    cohort.forget_steps("01", "anat_wf/regions_wf")
    first = cohort.start()
    wait_for(lambda: "sub-01: anat" in cohort.text())
    other_log = cohort.root / "other_log"
    second = faults.start(cohort.command(), other_log, str(cohort.root))
    code = second.wait(timeout=300)
    text = " ".join(other_log.read_text().split())
    assert code in (1, 10)
    assert "sub-01: left alone: another run works on it (process" in text
    assert first.wait(timeout=300) == 0
    cohort.check()
    assert cohort.run()[0] == 11
