import gzip

import nibabel as nib
import numpy as np
import pytest

from bids_utils.errors import DatasetError
from workflows.interfaces.volumes import (
    check_same_grid,
    load_labels,
    load_mask,
    load_volume,
    save_volume,
    voxel_size_mm,
)

AFFINE = np.array([[0, -2.0, 0, 5], [1, 0, 0, -3], [0, 0, 3, 1], [0, 0, 0, 1]])


def test_numbers_are_float32_and_labels_uint8_on_disk(tmp_path):
    numbers = save_volume(np.array([[[0.25, -1.5]]]), AFFINE, tmp_path / "n.nii.gz")
    labels = save_volume(np.array([[[0, 83]]]), AFFINE, tmp_path / "l.nii.gz")
    assert nib.load(numbers).get_data_dtype() == np.float32
    assert nib.load(labels).get_data_dtype() == np.uint8
    volume, affine = load_volume(numbers)
    np.testing.assert_array_equal(volume, [[[0.25, -1.5]]])
    np.testing.assert_allclose(affine, AFFINE)
    np.testing.assert_array_equal(load_labels(labels)[0], [[[0, 83]]])


@pytest.mark.parametrize(("highest", "kind"), [(255, np.uint8), (256, np.int32), (70000, np.int32)])
def test_labels_above_255_come_back_as_they_were(tmp_path, highest, kind):
    path = save_volume(np.array([[[0, 3, highest]]]), AFFINE, tmp_path / "labels.nii.gz")
    assert nib.load(path).get_data_dtype() == kind
    np.testing.assert_array_equal(load_labels(path)[0], [[[0, 3, highest]]])


def test_a_mask_and_labels_below_0_keep_their_values_too(tmp_path):
    mask = save_volume(np.array([[[True, False]]]), AFFINE, tmp_path / "mask.nii.gz")
    below = save_volume(np.array([[[-2, 1]]]), AFFINE, tmp_path / "below.nii.gz")
    assert nib.load(mask).get_data_dtype() == np.uint8
    np.testing.assert_array_equal(load_mask(mask), [[[True, False]]])
    np.testing.assert_array_equal(load_labels(below)[0], [[[-2, 1]]])


def test_a_mask_holds_half_and_more(tmp_path):
    path = save_volume(np.array([[[0.4, 0.5, 1.0]]]), AFFINE, tmp_path / "m.nii.gz")
    np.testing.assert_array_equal(load_mask(path), [[[False, True, True]]])


def test_a_file_that_is_cut_short_is_named(tmp_path):
    volume = np.random.default_rng(0).normal(size=(20, 20, 20))
    path = save_volume(volume, AFFINE, tmp_path / "sub-01_T1w.nii.gz")
    whole = (tmp_path / "sub-01_T1w.nii.gz").read_bytes()
    (tmp_path / "sub-01_T1w.nii.gz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DatasetError, match="sub-01_T1w.nii.gz: cannot be read"):
        load_volume(path)


def test_a_file_that_is_no_image_is_named(tmp_path):
    path = tmp_path / "note.nii.gz"
    path.write_bytes(gzip.compress(b"not an image"))
    with pytest.raises(DatasetError, match="note.nii.gz"):
        load_volume(path)


def test_voxel_sizes_do_not_depend_on_the_axes():
    np.testing.assert_allclose(voxel_size_mm(AFFINE), [1, 2, 3])


def test_images_of_different_grids_do_not_meet(tmp_path):
    first = save_volume(np.ones((2, 2, 2)), AFFINE, tmp_path / "a.nii.gz")
    moved = AFFINE.copy()
    moved[0, 3] += 0.5
    third = save_volume(np.ones((2, 2, 2)), moved, tmp_path / "c.nii.gz")
    check_same_grid(first, first)
    with pytest.raises(DatasetError, match="c.nii.gz"):
        check_same_grid(first, third)
