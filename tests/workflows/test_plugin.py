"""Running nodes: failures stay with their participant, also when a worker is killed."""

import logging
import multiprocessing
import os
import signal
from concurrent.futures import ProcessPoolExecutor

import numpy as np
import pytest
import scipy.linalg
from nipype.pipeline.engine import MapNode, Node, Workflow
from nipype.pipeline.plugins import base
from nodes import Step
from rich.console import Console
from threadpoolctl import threadpool_info

from bids_utils.errors import DatasetError
from workflows.failures import read_failures
from workflows.plugin import LocalPlugin, start_worker
from workflows.processes import Stopped, stopping_on_signals
from workflows.progress import NodeProgress


def two_participants(folder, fates):
    """Two people with two steps; `fates` are those of sub-01's step and of its mapped step."""
    top = Workflow("participants_wf", base_dir=str(folder))
    for label, (fate, mapped_fate) in (("01", fates), ("02", ("live", "live"))):
        one = Workflow(f"sub_{label}_wf")
        first = Node(Step(value=1, fate=fate), name="first")
        mapped = MapNode(Step(), ["value", "fate"], name="mapped")
        mapped.inputs.value = [1, 2]
        mapped.inputs.fate = ["live", mapped_fate]
        one.connect(first, "out", mapped, "after")
        top.add_nodes([one])
    top.config["execution"] = {
        "crashdump_dir": str(folder / "crash"),
        "crashfile_format": "txt",
        "poll_sleep_duration": "0.02",
        "stop_on_first_crash": "false",
        "create_report": "false",
    }
    return top


def run(folder, fates):
    workflow = two_participants(folder, fates)
    console = Console(record=True, width=200, force_terminal=False)
    titles = {"sub_01_wf": "sub-01", "sub_02_wf": "sub-02"}
    finished = []
    with NodeProgress(workflow, titles, console, finished.append) as progress:
        plugin = LocalPlugin({"n_procs": 1}, progress)
        if fates == ("live", "live"):
            workflow.run(plugin=plugin)
        else:
            with pytest.raises(RuntimeError):
                workflow.run(plugin=plugin)
    return console.export_text().splitlines(), finished, progress.failed


def test_progress_tells_who_is_done(tmp_path):
    lines, finished, failed = run(tmp_path, ("live", "live"))
    assert lines == ["sub-01: done", "sub-02: done"]
    assert finished == ["sub-01", "sub-02"]
    assert failed == set()


def test_a_failed_step_leaves_the_other_participant_alone(tmp_path):
    lines, finished, failed = run(tmp_path, ("fail", "live"))
    assert lines == ["sub-01: FAILED at first", "sub-02: done"]
    assert (finished, failed) == (["sub-02"], {"sub-01"})
    [failure] = read_failures(tmp_path / "crash")
    assert failure.sentence == "first: a.nii.gz: broken; copy it again"
    assert failure.exit_code == 3


def test_a_failed_part_of_a_mapped_step_is_told_with_its_participant(tmp_path):
    lines, finished, failed = run(tmp_path, ("live", "fail"))
    assert lines == ["sub-01: FAILED at mapped1", "sub-02: done"]
    assert (finished, failed) == (["sub-02"], {"sub-01"})
    [failure] = read_failures(tmp_path / "crash")
    assert failure.sentence == "mapped1: a.nii.gz: broken; copy it again"


def test_a_killed_worker_fails_its_node_and_does_not_hang(tmp_path):
    lines, _, failed = run(tmp_path, ("die", "live"))
    assert "sub-01" in failed
    sentences = [failure.sentence for failure in read_failures(tmp_path / "crash")]
    assert "first: the process of this step was killed" in sentences[0]
    assert "sub-01: FAILED at first" in lines


def test_a_step_that_only_died_with_another_one_is_tried_again(tmp_path):
    workflow = two_participants(tmp_path, ("die", "live"))
    finished = []
    titles = {"sub_01_wf": "sub-01", "sub_02_wf": "sub-02"}
    with NodeProgress(workflow, titles, Console(quiet=True), finished.append) as progress:
        with pytest.raises(RuntimeError):
            workflow.run(plugin=LocalPlugin({"n_procs": 2}, progress))
        assert progress.failed == {"sub-01"}
    assert finished == ["sub-02"]


def test_no_worker_is_left_when_a_signal_stops_the_run(tmp_path):
    workflow = two_participants(tmp_path, ("wait", "live"))

    def stop_when_it_waits(node, status):
        if node.name == "first" and status == "start":
            signal.setitimer(signal.ITIMER_REAL, 3)

    before = signal.signal(signal.SIGALRM, lambda *_: os.kill(os.getpid(), signal.SIGTERM))
    others = set(multiprocessing.active_children())
    try:
        with pytest.raises(Stopped, match="TERM"), stopping_on_signals():
            workflow.run(plugin=LocalPlugin({"n_procs": 1}, stop_when_it_waits))
    finally:
        signal.signal(signal.SIGALRM, before)
    assert set(multiprocessing.active_children()) <= others
    assert not list((tmp_path / "crash").glob("*"))


def test_the_run_does_not_wait_by_a_clock_that_somebody_may_set_back(tmp_path, monkeypatch):
    def ask():
        raise AssertionError("the time of day was asked for")

    monkeypatch.setattr(base, "time", ask)
    _, finished, _ = run(tmp_path, ("live", "live"))
    assert finished == ["sub-01", "sub-02"]
    assert base.time is ask


def test_a_worker_computes_with_one_thread_whatever_the_environment_says(monkeypatch, tmp_path):
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        monkeypatch.setenv(name, "2")
    how = {"initializer": start_worker, "initargs": (str(tmp_path), logging.CRITICAL)}
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context, **how) as pool:
        pool.submit(scipy.linalg.det, np.eye(2)).result()
        libraries = pool.submit(threadpool_info).result()
    assert {library["num_threads"] for library in libraries} == {1}


def test_a_failure_that_cannot_be_written_ends_the_run_in_plain_words(tmp_path):
    workflow = two_participants(tmp_path, ("fail", "live"))
    (tmp_path / "crash").write_text("a file where the folder should be")
    with pytest.raises(DatasetError, match=r"crash: what went wrong .* cannot be written .File ex"):
        workflow.run(plugin=LocalPlugin({"n_procs": 1}, lambda *_: None))
