import numpy as np
import pytest

from workflows.compute.intensity import (
    antialiased,
    blurred,
    robust_scale,
    shared_blur,
    volume_problem,
    voxels_per_sample,
)

GENERATOR = np.random.default_rng(0)
REFERENCE = 100 + GENERATOR.normal(size=(24, 24, 24)).astype(np.float32)


def test_scale_brings_the_third_quartile_to_the_target():
    volume = np.arange(27.0).reshape(3, 3, 3)
    mask = volume < 5
    assert robust_scale(volume, mask, 60.0) == 20.0


def test_scale_needs_a_mask_and_positive_intensities():
    with pytest.raises(ValueError, match="mask"):
        robust_scale(REFERENCE, np.zeros(REFERENCE.shape, bool), 100)
    with pytest.raises(ValueError, match="volume"):
        robust_scale(-REFERENCE, REFERENCE > 0, 100)


def test_the_finer_session_is_blurred_by_what_it_lacks_along_each_axis():
    found = shared_blur([[1.0, 1.0, 3.0], [1.0, 1.0, 1.0]])
    # full width at half maximum: sqrt(9 - 1) mm; and .6 x sqrt(9 - 1) mm for thick slices
    assert found[1].tolist() == pytest.approx(
        [0, 0, np.hypot(2.8284271, 1.697056 * 2.35482) / 2.35482]
    )
    assert found[0].tolist() == pytest.approx([0, 0, 1.697056 / 3])


def test_equal_cubes_are_not_blurred_and_each_axis_has_its_own_session():
    np.testing.assert_array_equal(shared_blur([[1.2, 1.2, 1.2]] * 3), np.zeros((3, 3)))
    finer, larger = shared_blur([[1.0, 1.25, 1.0], [1.5, 1.0, 1.0]])
    assert finer[0] > larger[0] > 0
    assert larger[1] > finer[1] > 0
    assert finer[2] == larger[2] == 0


def test_a_blur_spreads_along_its_own_axis_and_no_blur_changes_nothing():
    volume = np.zeros((15, 15, 15))
    volume[7, 7, 7] = 1
    found = blurred(volume, [0, 1.5, 0])
    assert found.dtype == np.float32
    assert np.argwhere(found > 1e-6)[:, [0, 2]].tolist() == [[7, 7]] * 13
    weights = np.exp(-0.5 * (np.arange(-6, 7) / 1.5) ** 2)
    np.testing.assert_allclose(found[7, 1:14, 7], weights / weights.sum(), rtol=1e-5)
    np.testing.assert_array_equal(blurred(REFERENCE, [0, 0, 0]), REFERENCE)


@pytest.mark.parametrize(
    ("volume", "affine", "words"),
    [
        (np.zeros((3, 3)), np.eye(4), "three dimensions"),
        (np.ones((3, 3, 3)), np.eye(4), "all voxels are 1"),
        (np.where(np.eye(3), np.nan, np.ones((3, 3, 3))), np.eye(4), "9 voxels are not numbers"),
        (np.arange(27.0).reshape(3, 3, 3), np.diag([1.0, 0, 1, 1]), "cannot be inverted"),
    ],
)
def test_unusable_volumes_are_explained(volume, affine, words):
    assert words in volume_problem(volume, affine)


def test_a_usable_volume_has_no_problem():
    assert volume_problem(np.arange(27.0).reshape(3, 3, 3), np.diag([1.0, -2, 1, 1])) == ""


def test_thick_slices_share_their_information_among_the_voxels_of_the_template():
    none = np.zeros((1, 3))
    assert voxels_per_sample([[1.0, 1.0, 1.0]], none, 1.0) == 1
    assert voxels_per_sample([[1.0, 1.0, 3.0], [1.0, 2.0, 1.0]], np.zeros((2, 3)), 1.0) == 6
    assert voxels_per_sample([[2.0, 2.0, 2.0]], none, 2.5) == 1
    blur = [[0, 0, 1 / np.sqrt(8 * np.log(2))]]
    assert voxels_per_sample([[1.0, 1.0, 3.0]], blur, 1.0) == pytest.approx(3 * np.sqrt(2))


def test_what_larger_voxels_cannot_hold_is_blurred_along_each_axis():
    volume = np.zeros((21, 21, 21))
    volume[10, 10, 10] = 1
    found = antialiased(volume, [1.0, 2.0, 4.0], 2.0)
    assert found.dtype == np.float32
    assert np.argwhere(found > 1e-6)[:, 1:].tolist() == [[10, 10]] * len(found[found > 1e-6])
    # full width at half maximum: sqrt(2^2 - 1^2) voxels along x
    assert found[11, 10, 10] / found[10, 10, 10] == pytest.approx(2 ** (-4 / 3), rel=1e-5)
