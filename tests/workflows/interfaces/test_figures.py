"""Nodes that draw: the right picture, and never a face."""

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from workflows.interfaces.figures import (
    MaskFigure,
    SessionFigures,
    brain_outlines,
    faceless,
    mean_volume,
    mni_masks,
    read_volume,
    tissue_outlines,
    volume_of,
)

SHAPE = (20, 24, 16)


@pytest.fixture
def save(tmp_path):
    """Write an image with 2 mm voxels."""

    def write(name, data, affine=None):
        affine = np.diag([2.0, 2, 2, 1]) if affine is None else affine
        nib.Nifti1Image(data.astype(np.float32), affine).to_filename(tmp_path / name)
        return str(tmp_path / name)

    return write


@pytest.fixture
def brain():
    mask = np.zeros(SHAPE, dtype=bool)
    mask[6:14, 6:16, 5:12] = True
    return mask


def test_an_image_stored_from_right_to_left_is_turned(save):
    data = np.zeros(SHAPE)
    data[0] = 7
    volume = read_volume(save("las.nii.gz", data, np.diag([-2.0, 2, 2, 1])))
    assert volume.data[-1].min() == 7
    assert volume.data[:-1].max() == 0


def test_nothing_further_from_the_brain_than_the_margin_is_left(save, brain):
    volume = faceless(save("head.nii.gz", np.ones(SHAPE)), brain, 4.0)
    assert np.flatnonzero(volume.data[:, 10, 8]).tolist() == list(range(4, 16))
    assert volume.data[10, 20:, 8].max() == 0


def test_the_mean_of_the_sessions_does_not_depend_on_their_order(save, brain):
    files = [save("a.nii.gz", brain * 2.0), save("b.nii.gz", brain * 6.0)]
    assert mean_volume(files).data.max() == 4
    np.testing.assert_array_equal(mean_volume(files).data, mean_volume(files[::-1]).data)


def test_missing_values_are_drawn_as_zero(save):
    assert read_volume(save("n.nii.gz", np.full((3, 3, 3), np.nan))).data.max() == 0


def test_outlines_separate_the_tissues():
    labels = np.array([[[0, 1, 2, 3]]])
    outer, white = tissue_outlines(labels)
    assert outer.mask.ravel().tolist() == [False, True, True, False]
    assert white.mask.ravel().tolist() == [False, False, True, False]
    assert brain_outlines(labels)[0].mask.ravel().tolist() == [False, True, True, True]


def test_masks_of_the_standard_brain_lie_on_the_grid_of_the_picture():
    affine = np.diag([6.0, 6, 6, 1])
    affine[:3, 3] = (-96, -132, -78)
    grid = volume_of(nib.Nifti1Image(np.zeros((33, 39, 33), dtype=np.float32), affine))
    brain, white = mni_masks(grid)
    assert brain.shape == (33, 39, 33)
    centre = tuple(np.rint(np.linalg.inv(affine) @ (24, -20, 30, 1)).astype(int)[:3])
    assert white[centre]
    assert not brain[0, 0, 0]
    # about 1.9 litres inside the mask of the template
    assert brain.sum() * 0.216 == pytest.approx(1900, rel=0.1)


def test_each_session_gets_a_picture_on_the_same_slices(save, brain, tmp_path):
    files = [save("a.nii.gz", brain * 2.0), save("b.nii.gz", brain * 2.0)]
    node = SessionFigures(
        in_files=files, mask_file=save("m.nii.gz", brain), titles=["ses-pre", "ses-pre"]
    )
    pictures = node.run(cwd=str(tmp_path)).outputs.out_files
    first, second = (Path(path).read_bytes() for path in pictures)
    assert first == second
    assert first.startswith(b"\x89PNG")


def test_the_mask_picture_is_written_where_the_node_runs(save, brain, tmp_path):
    files = [save("a.nii.gz", np.ones(SHAPE))]
    node = MaskFigure(in_files=files, mask_file=save("m.nii.gz", brain))
    assert node.run(cwd=str(tmp_path)).outputs.out_file == str(tmp_path / "mask.png")
