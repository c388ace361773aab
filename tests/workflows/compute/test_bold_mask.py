import nibabel as nb
import numpy as np
import pytest
from scipy import ndimage

from workflows.compute.bold_mask import (
    dead_share,
    dead_voxels,
    dice,
    epi_brain_mask,
    padding_around,
    tissue_core,
)


def test_the_mask_is_that_of_nilearn():
    from nilearn.masking import compute_epi_mask

    rng = np.random.default_rng(31)
    away = (np.indices((30, 36, 24)).reshape(3, -1).T - [14, 17, 11]) / [9, 12, 8]
    ball = ((away**2).sum(axis=1) < 1).reshape(30, 36, 24)
    image = ndimage.gaussian_filter(ball * 900.0, 0.7) + rng.gamma(2, 20, ball.shape)
    image[1:4, 1:4, 1:4] = 900
    affine = np.diag([3, 3, 4, 1])
    expected = compute_epi_mask(nb.Nifti1Image(image, affine)).get_fdata() > 0
    mask = epi_brain_mask(image)
    np.testing.assert_array_equal(mask, expected)
    assert dice(mask, ball) > 0.85


def test_an_image_without_a_brain_is_refused():
    with pytest.raises(ValueError, match="nothing in it looks like a brain"):
        epi_brain_mask(np.random.default_rng(32).random((6, 6, 6)))


def test_dice_of_half_an_overlap():
    one, other = np.zeros(8, bool), np.zeros(8, bool)
    one[:4], other[3:5] = True, True
    assert dice(one, other) == pytest.approx(2 * 1 / 6)
    assert dice(one, ~one) == 0
    assert dice(one & ~one, one & ~one) == 0


def test_a_tissue_loses_its_rim_unless_it_is_too_small():
    segmentation = np.ones((12, 12, 12), int)
    segmentation[2:8, 2:8, 2:8] = 2
    segmentation[9:11, 9:11, 9:11] = 3
    everywhere = np.ones(segmentation.shape, bool)
    assert tissue_core(segmentation, everywhere, 2).sum() == 4**3
    assert tissue_core(segmentation, everywhere, 3).sum() == 2**3
    assert not tissue_core(segmentation, ~everywhere, 2).any()


def test_padding_covers_corners_on_both_sides():
    corners = np.array([[-1.2, 3.0, 0.0], [9.4, 11.0, 4.0]])
    np.testing.assert_array_equal(padding_around(corners, (10, 11, 5)), [[2, 1], [0, 1], [0, 0]])


def test_voxels_that_are_constant_or_not_numbers_are_dead():
    series = np.random.default_rng(33).normal(size=(2, 2, 2, 5))
    series[0, 0, 0] = 3
    series[1, 0, 0, 2] = np.nan
    series[0, 1, 1, 4] = -np.inf
    series[1, 1, 1] = np.inf
    assert np.argwhere(dead_voxels(series)).tolist() == [[0, 0, 0], [0, 1, 1], [1, 0, 0], [1, 1, 1]]


def test_dead_voxels_count_inside_the_head_only():
    series = np.zeros((20, 20, 20, 3))
    series[4:16, 4:16, 4:16] = 100 + np.random.default_rng(34).normal(size=(12, 12, 12, 3))
    series[8:12, 8:12, 8:12, 1] = np.nan
    dead = dead_voxels(series)
    assert dead_share(series, dead) == pytest.approx(4**3 / 12**3)
    series[:3] = np.nan
    assert dead_share(series, dead_voxels(series)) == pytest.approx(4**3 / 12**3)
