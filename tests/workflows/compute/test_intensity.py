import numpy as np
import pytest

from workflows.compute.intensity import blurred, robust_scale, shared_blur, volume_problem

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
    sizes = [[1.0, 1.0, 3.0], [1.25, 0.5, 3.0]]
    found = shared_blur(sizes)
    width = np.array([[0.75, 0, 0], [0, np.sqrt(0.75) / 0.5, 0]])
    np.testing.assert_allclose(found, width / 2.3548200450309493)
    np.testing.assert_array_equal(shared_blur(sizes[:1]), np.zeros((1, 3)))


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
