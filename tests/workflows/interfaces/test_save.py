"""Saving: names, sidecars, whole-or-nothing, one file per place."""

import json

import pytest
from nipype.pipeline.engine import Node

from bids_utils.errors import DatasetError
from workflows.interfaces.save import Output, Place, SaveDerivatives, needs_sidecar, output_file

MASK = Output(
    "mask_file",
    "mask",
    ".nii.gz",
    "anat",
    (("desc", "brain"),),
    description="Brain mask",
    metadata=(("Type", "Brain"),),
)
TABLE = Output("confounds_file", "timeseries", ".tsv", "func", (("desc", "confounds"),))
MEANINGS = Output("confounds_json", "timeseries", ".json", "func", (("desc", "confounds"),))
PRE = Place((("sub", "01"), ("ses", "pre")), ("bids:raw:sub-01/ses-pre/anat/a_T1w.nii.gz",))
POST = Place((("sub", "01"), ("ses", "post")))


def save(folder, outputs, places, **files):
    node = Node(SaveDerivatives(outputs=outputs), name="save", base_dir=str(folder / "work"))
    node.inputs.output_dir = str(folder / "out")
    (folder / "out").mkdir(exist_ok=True)
    (folder / "out" / "dataset_description.json").touch()
    node.inputs.places = places
    for field, content in files.items():
        made = []
        for number, text in enumerate(content):
            path = folder / f"{field}_{number}.x"
            path.write_text(text, encoding="utf-8")
            made.append(str(path))
        setattr(node.inputs, field, made)
    return node


def test_each_session_gets_its_own_file_and_sidecar(tmp_path):
    save(tmp_path, (MASK,), [PRE, POST], mask_file=["one", "two"]).run()
    folder = tmp_path / "out" / "sub-01"
    post = folder / "ses-post" / "anat" / "sub-01_ses-post_desc-brain_mask.nii.gz"
    assert post.read_text(encoding="utf-8") == "two"
    pre = folder / "ses-pre" / "anat" / "sub-01_ses-pre_desc-brain_mask.json"
    assert json.loads(pre.read_text(encoding="utf-8")) == {
        "Description": "Brain mask",
        "Sources": ["bids:raw:sub-01/ses-pre/anat/a_T1w.nii.gz"],
        "Type": "Brain",
    }


def test_a_table_that_brings_its_json_gets_no_second_one(tmp_path):
    outputs = (TABLE, MEANINGS)
    save(tmp_path, outputs, [PRE], confounds_file=["t"], confounds_json=["{}"]).run()
    made = tmp_path / "out" / "sub-01" / "ses-pre" / "func"
    assert (made / "sub-01_ses-pre_desc-confounds_timeseries.json").read_text() == "{}"
    assert not needs_sidecar(TABLE, outputs)
    assert needs_sidecar(TABLE, (TABLE,))


def test_one_file_may_come_without_a_list(tmp_path):
    node = save(tmp_path, (MASK,), [POST])
    (tmp_path / "one.x").write_text("one", encoding="utf-8")
    node.inputs.mask_file = str(tmp_path / "one.x")
    node.run()
    assert (tmp_path / "out" / output_file(MASK, POST)).read_text(encoding="utf-8") == "one"


def test_a_field_without_value_is_not_saved(tmp_path):
    result = save(tmp_path, (MASK, TABLE), [PRE], confounds_file=["t"]).run()
    assert [name.endswith("timeseries.tsv") for name in result.outputs.saved_files] == [True]


def test_a_deleted_file_is_written_again_by_the_same_node(tmp_path):
    node = save(tmp_path, (MASK,), [POST], mask_file=["one"])
    node.run()
    target = tmp_path / "out" / output_file(MASK, POST)
    target.unlink()
    node.run()
    assert target.read_text(encoding="utf-8") == "one"


def test_a_target_that_cannot_be_written_is_named(tmp_path):
    node = save(tmp_path, (MASK,), [PRE], mask_file=["one"])
    (tmp_path / "out" / "sub-01").write_text("a file where the folder should be")
    with pytest.raises(DatasetError, match=r"mask\.nii\.gz cannot be written"):
        node.interface.run()


def test_a_run_keeps_all_its_entities_in_the_order_of_bids():
    run = Place((("sub", "01"), ("ses", "pre"), ("task", "rest"), ("run", "2")))
    assert str(output_file(TABLE, run)) == (
        "sub-01/ses-pre/func/sub-01_ses-pre_task-rest_run-2_desc-confounds_timeseries.tsv"
    )


def test_pictures_of_all_sessions_lie_in_one_folder():
    picture = Output("mask_figure", "T1w", ".png", "figures", (("desc", "mask"),))
    assert str(output_file(picture, PRE)) == "sub-01/figures/sub-01_ses-pre_desc-mask_T1w.png"


def test_an_output_folder_that_is_gone_is_not_made_again(tmp_path):
    node = save(tmp_path, (MASK,), [POST], mask_file=["one"])
    (tmp_path / "out" / "dataset_description.json").unlink()
    with pytest.raises(DatasetError, match="its dataset_description.json is gone since"):
        node.interface.run()
    assert list((tmp_path / "out").iterdir()) == []
