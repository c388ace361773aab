"""Ends of processes: signals become one exception, and children do not outlive their parents."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from workflows.processes import STOP_SIGNALS, Stopped, leave_signals_to_parent, stopping_on_signals


def is_alive(process):
    """Whether a process runs; one that is dead and only not yet collected does not."""
    try:
        return "\nState:\tZ" not in Path(f"/proc/{process}/status").read_text()
    except FileNotFoundError:
        return False


def wait_for(condition, seconds=10.0):
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.02)
    return condition()


@pytest.fixture
def heard():
    """No signal is ignored, also where the tests themselves were started in the background."""
    before = {number: signal.signal(number, signal.SIG_DFL) for number in STOP_SIGNALS}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("number", STOP_SIGNALS)
def test_a_signal_stops_the_block_and_says_which_it_was(number, heard):
    before = signal.getsignal(number)
    with pytest.raises(Stopped) as caught, stopping_on_signals():
        signal.raise_signal(number)
    name = signal.Signals(number).name[3:]
    assert str(caught.value) == f"stopped by signal {name}; run the same command again"
    assert signal.getsignal(number) is before


def test_a_second_signal_does_not_disturb_the_clearing_up(heard):
    cleared = []

    def work():
        try:
            signal.raise_signal(signal.SIGTERM)
        finally:
            signal.raise_signal(signal.SIGINT)
            cleared.append("all")

    with pytest.raises(Stopped, match="TERM"), stopping_on_signals():
        work()
    assert cleared == ["all"]


def test_what_is_to_be_ignored_stays_ignored():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with stopping_on_signals():
            signal.raise_signal(signal.SIGHUP)
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


def test_workers_and_their_children_leave_signals_to_the_parent():
    before = {number: signal.getsignal(number) for number in STOP_SIGNALS}
    try:
        leave_signals_to_parent()
        code = "import signal; print(*(signal.getsignal(n).name for n in (1, 2, 15)))"
        child = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
        assert child.stdout.split() == ["SIG_IGN"] * 3
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@pytest.mark.skipif(sys.platform != "linux", reason="needs signals of Linux")
@pytest.mark.parametrize("is_late", [False, True])
def test_a_process_dies_when_the_holder_of_its_pipe_is_killed(is_late):
    wait = "time.sleep(1); " if is_late else ""
    child = (
        f"import time; from workflows.processes import die_with_pipe; {wait}die_with_pipe(0); "
        "time.sleep(60)"
    )
    parent = (
        "import subprocess, sys, time; "
        f"child = subprocess.Popen([sys.executable, '-c', {child!r}], stdin=subprocess.PIPE); "
        "print(child.pid, flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", parent], stdout=subprocess.PIPE) as running:
        process = int(running.stdout.readline())
        if not is_late:
            time.sleep(1)
        assert is_alive(process)
        running.kill()
        assert wait_for(lambda: not is_alive(process))


def test_only_a_pipe_is_watched(tmp_path):
    code = "from workflows.processes import die_with_pipe; die_with_pipe(0); print('alive')"
    (tmp_path / "file").write_text("some")
    for place in (tmp_path / "file", Path("/dev/null")):
        with place.open() as stdin:
            child = subprocess.run(
                [sys.executable, "-c", code], stdin=stdin, capture_output=True, text=True
            )
        assert child.stdout == "alive\n"
