"""Pictures of later sessions against the first in time."""

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from bids_utils.errors import DatasetError
from workflows.figures import init_change_figures_wf
from workflows.interfaces import change_figures
from workflows.interfaces.change_figures import ThicknessChangeFigures, VolumeChangeFigures

SHAPE = (20, 24, 16)
TEN_PERCENT = {"pre": 1.0, "post": 1.1, "fu": 0.9}


@pytest.fixture
def save(tmp_path):
    def write(name, data, affine=None):
        affine = np.diag([2.0, 2, 2, 1]) if affine is None else affine
        nib.Nifti1Image(data.astype(np.float32), affine).to_filename(tmp_path / name)
        return str(tmp_path / name)

    return write


@pytest.fixture
def template(save):
    brain = np.zeros(SHAPE)
    brain[6:14, 6:16, 5:12] = 1
    head = np.where(brain, 2.0, 9.0)
    return {"in_file": save("brain.nii.gz", head), "mask_file": save("mask.nii.gz", brain)}


@pytest.fixture
def drawn(monkeypatch):
    """What the drawing functions are given, in place of a picture."""
    given = []
    for name in ("volume_change_slices", "thickness_change_slices"):
        monkeypatch.setattr(change_figures, name, lambda *values: given.append(values))
    monkeypatch.setattr(change_figures, "save_png", lambda figure, path: path)
    return given


@pytest.fixture
def jacobians(save):
    return [save(f"{name}.nii.gz", np.full(SHAPE, size)) for name, size in TEN_PERCENT.items()]


def tables(tmp_path, **thickness):
    paths = []
    for session, value in thickness.items():
        paths.append(tmp_path / f"{session}.tsv")
        rows = f"1\tcortex\t{value}\n2\tcortex\tn/a\n3\tsubcortex\tn/a\n"
        paths[-1].write_text(f"index\tstructure\tthickness\n{rows}")
    return [str(path) for path in paths]


def test_each_later_session_is_shown_against_the_first_in_time(
    template, jacobians, drawn, tmp_path
):
    node = VolumeChangeFigures(
        jacobian_files=jacobians, session_labels=list(TEN_PERCENT), **template
    )
    files = node.run(cwd=str(tmp_path)).outputs.out_files
    assert [Path(file).name for file in files] == ["volume_post.png", "volume_fu.png"]
    assert [np.nanmean(change).round(4) for _, change, _, _ in drawn] == [10, -10]
    assert [title for *_, title in drawn] == [
        "ses-pre to ses-post, volume change in %",
        "ses-pre to ses-fu, volume change in %",
    ]


def test_nothing_outside_the_brain_mask_is_drawn(template, jacobians, drawn, tmp_path):
    VolumeChangeFigures(
        jacobian_files=jacobians[:2], session_labels=["pre", "post"], **template
    ).run(cwd=str(tmp_path))
    volume, change, brain, _ = drawn[0]
    assert volume.data[~brain].max() == 0
    assert volume.data[brain].min() == 2
    assert np.isnan(change[~brain]).all()


def test_thickness_changes_from_the_first_to_each_later_session(template, save, drawn, tmp_path):
    files = tables(tmp_path, pre=2.5, post=2.25, fu=2.75)
    atlas = save("atlas.nii.gz", np.ones(SHAPE))
    node = ThicknessChangeFigures(
        thickness_files=files, session_labels=list(TEN_PERCENT), atlas_file=atlas, **template
    )
    out_files = node.run(cwd=str(tmp_path)).outputs.out_files
    assert [Path(file).name for file in out_files] == ["thickness_post.png", "thickness_fu.png"]
    changes = [change for _, _, change, _ in drawn]
    # region 2 is n/a and stays; region 3 is no cortex
    assert [change.index.tolist() for change in changes] == [[1, 2], [1, 2]]
    assert [change[1] for change in changes] == [-0.25, 0.25]
    assert all(np.isnan(change[2]) for change in changes)


def test_a_session_on_another_grid_is_refused(template, jacobians, save, tmp_path):
    other = save("other.nii.gz", np.ones(SHAPE), np.diag([1.0, 1, 1, 1]))
    node = VolumeChangeFigures(
        jacobian_files=[jacobians[0], other], session_labels=["pre", "post"], **template
    )
    with pytest.raises(DatasetError, match="same grid"):
        node.run(cwd=str(tmp_path))


def test_a_single_session_has_a_picture_of_thickness_and_none_of_change(
    template, jacobians, save, tmp_path
):
    workflow = init_change_figures_wf(("pre",))
    workflow.base_dir = str(tmp_path / "work")
    given = workflow.get_node("inputnode").inputs
    given.template_file, given.template_mask_file = template["in_file"], template["mask_file"]
    given.template_atlas_file = save("atlas.nii.gz", np.ones(SHAPE))
    given.template_thickness_file = save("mm.nii.gz", np.full(SHAPE, 2.5))
    given.jacobian_files, given.thickness_files = jacobians[:1], tables(tmp_path, pre=2.5)
    workflow.run()
    pictures = [path.name for path in (tmp_path / "work").rglob("*.png")]
    assert pictures == ["thickness.png"]
