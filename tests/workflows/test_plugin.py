"""Running nodes: failures stay with their participant, also when a worker is killed."""

import pytest
from nipype.pipeline.engine import MapNode, Node, Workflow
from nodes import Step
from rich.console import Console

from workflows.failures import read_failures
from workflows.plugin import LocalPlugin
from workflows.progress import NodeProgress


def two_participants(folder, fate):
    """A chain of two steps for each of two people; the first step of sub-01 has a fate."""
    top = Workflow("participants_wf", base_dir=str(folder))
    for label, own_fate in (("01", fate), ("02", "live")):
        one = Workflow(f"sub_{label}_wf")
        first = Node(Step(value=1, fate=own_fate), name="first")
        second = MapNode(Step(fate="live"), ["value"], name="second")
        one.connect(first, "out", second, "value")
        top.add_nodes([one])
    top.config["execution"] = {
        "crashdump_dir": str(folder / "crash"),
        "crashfile_format": "txt",
        "poll_sleep_duration": "0.02",
        "stop_on_first_crash": "false",
        "create_report": "false",
    }
    return top


def run(folder, fate, nprocs):
    workflow = two_participants(folder, fate)
    console = Console(record=True, width=200, force_terminal=False, quiet=False)
    titles = {"sub_01_wf": "sub-01", "sub_02_wf": "sub-02"}
    with NodeProgress(workflow, titles, console) as progress:
        plugin = LocalPlugin({"n_procs": nprocs}, progress)
        if fate == "live":
            workflow.run(plugin=plugin)
        else:
            with pytest.raises(RuntimeError):
                workflow.run(plugin=plugin)
    return console.export_text().splitlines(), progress.failed


def test_progress_tells_who_is_done(tmp_path):
    lines, failed = run(tmp_path, "live", 1)
    assert set(lines) == {"sub-01: done", "sub-02: done"}
    assert failed == set()


def test_a_failed_step_leaves_the_other_participant_alone(tmp_path):
    lines, failed = run(tmp_path, "fail", 1)
    assert set(lines) == {"sub-01: FAILED at first", "sub-02: done"}
    assert failed == {"sub-01"}
    [failure] = read_failures(tmp_path / "crash")
    assert failure.sentence == "first: a.nii.gz: broken; copy it again"
    assert failure.exit_code == 3


def test_a_killed_worker_fails_its_node_and_does_not_hang(tmp_path):
    lines, failed = run(tmp_path, "die", 1)
    assert "sub-01" in failed
    sentences = [failure.sentence for failure in read_failures(tmp_path / "crash")]
    assert "first: the process of this step was killed" in sentences[0]
    assert "sub-01: FAILED at first" in lines
