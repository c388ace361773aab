"""Seals: what a step left whole is kept, anything else is removed and made again."""

import shutil

import pytest
from nipype.pipeline.engine import MapNode, Node, Workflow
from nodes import Step

from bids_utils.errors import DatasetError
from workflows.plugin import LocalPlugin
from workflows.seals import NEEDLESS, SEAL, is_whole, remove_unsealed, seal


def chain(folder, parts=(1, 2)):
    """Workflow of a step, a mapped step that waits for it, and one below another workflow."""
    top = Workflow("sub_01_wf", base_dir=str(folder))
    first, last = Node(Step(value=1), "first"), Node(Step(), "last")
    mapped = MapNode(Step(), ["value"], "mapped")
    mapped.inputs.value = list(parts)
    inner = Workflow("inner_wf")
    inner.add_nodes([last])
    top.connect([(first, mapped, [("out", "after")]), (first, inner, [("out", "last.value")])])
    top.config["execution"] = {"poll_sleep_duration": "0.02", "create_report": "false"}
    return top


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Work folder of a workflow that ran to its end, and a copy of it."""
    folder = tmp_path_factory.mktemp("work")
    chain(folder).run(plugin=LocalPlugin({"n_procs": 2}, lambda *_: None))
    shutil.copytree(folder / "sub_01_wf", folder / "copy")
    return folder


@pytest.fixture
def work(made):
    """Work folder of a workflow as it was when it had run to its end."""
    shutil.rmtree(made / "sub_01_wf")
    shutil.copytree(made / "copy", made / "sub_01_wf")
    return made / "sub_01_wf"


def ran_again(folder):
    """Steps that a second run does again."""
    started = []

    def note(node, status):
        if status == "start":
            started.append(node.name)

    chain(folder).run(plugin=LocalPlugin({"n_procs": 1}, note))
    return sorted(started)


def files_below(folder):
    return {path.relative_to(folder) for path in folder.rglob("*") if path.is_file()}


def test_what_is_whole_is_kept_and_not_run_again(work):
    before = files_below(work)
    assert remove_unsealed(work) == []
    assert files_below(work) == before
    assert ran_again(work.parent) == []


def spoil_a_byte(folder):
    file = next(folder.glob("result_*.pklz"))
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


def cut_the_result(folder):
    file = next(folder.glob("result_*.pklz"))
    file.write_bytes(file.read_bytes()[:10])


def take_a_file_away(folder):
    next(folder.glob("_0x*.json")).unlink()


def add_a_file(folder):
    (folder / "half.nii.gz").write_text("half")


def cut_the_seal(folder):
    (folder / SEAL).write_text((folder / SEAL).read_text()[:-9])


def lose_the_seal(folder):
    (folder / SEAL).unlink()


@pytest.mark.parametrize(
    "harm",
    [spoil_a_byte, cut_the_result, take_a_file_away, add_a_file, cut_the_seal, lose_the_seal],
)
@pytest.mark.parametrize("place", ["first", "inner_wf/last", "mapped"])
def test_a_step_that_is_not_as_it_was_left_runs_again(work, harm, place):
    harm(work / place)
    others = {"first", "inner_wf/last", "mapped"} - {place}
    assert remove_unsealed(work) == [work / place]
    assert remove_unsealed(work) == []
    assert all(is_whole(work / other) for other in others)
    assert not is_whole(work / place)


def test_only_what_was_removed_runs_again(work):
    spoil_a_byte(work / "inner_wf" / "last")
    remove_unsealed(work)
    assert ran_again(work.parent) == ["last"]
    assert is_whole(work / "inner_wf" / "last")


def test_of_a_mapped_step_only_the_part_that_is_not_whole_runs_again(work):
    spoil_a_byte(work / "mapped" / "mapflow" / "_mapped1")
    assert remove_unsealed(work) == [work / "mapped"]
    assert is_whole(work / "mapped" / "mapflow" / "_mapped0")
    assert ran_again(work.parent) == ["_mapped1", "mapped"]


def test_nothing_of_a_work_folder_that_was_moved_or_copied_is_used(work, tmp_path):
    shutil.copytree(work, tmp_path / "elsewhere" / "sub_01_wf")
    remove_unsealed(tmp_path / "elsewhere" / "sub_01_wf")
    assert files_below(tmp_path / "elsewhere") == set()
    assert ran_again(tmp_path / "elsewhere") == ["_mapped0", "_mapped1", "first", "last", "mapped"]


def test_a_failed_step_leaves_no_seal(tmp_path):
    workflow = chain(tmp_path)
    workflow.get_node("first").inputs.fate = "fail"
    with pytest.raises(RuntimeError):
        workflow.run(plugin=LocalPlugin({"n_procs": 1}, lambda *_: None))
    assert remove_unsealed(tmp_path / "sub_01_wf") == [tmp_path / "sub_01_wf" / "first"]


def test_files_in_folders_of_a_step_are_under_its_seal(tmp_path):
    (tmp_path / "step" / "deep").mkdir(parents=True)
    (tmp_path / "step" / "deep" / "image.nii").write_text("whole")
    seal(tmp_path / "step")
    assert is_whole(tmp_path / "step")
    (tmp_path / "step" / "deep" / "image.nii").write_text("whale")
    assert not is_whole(tmp_path / "step")


def test_a_work_folder_that_is_not_there_has_nothing_to_remove(tmp_path):
    assert remove_unsealed(tmp_path / "sub_01_wf") == []


def test_a_folder_that_cannot_be_removed_is_named(tmp_path, monkeypatch):
    (tmp_path / "step").mkdir()
    (tmp_path / "step" / "half").touch()

    def refuse(*_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("pathlib.Path.unlink", refuse)
    with pytest.raises(DatasetError, match="step: cannot be removed .Permission denied."):
        remove_unsealed(tmp_path)


def test_a_step_leaves_no_files_that_nobody_reads_again(made, work):
    assert not [path for path in files_below(work) if path.name in NEEDLESS]
    assert ran_again(made) == []
    n_files = len(files_below(work))
    assert remove_unsealed(work) == []
    assert ran_again(made) == []
    assert len(files_below(work)) == n_files
