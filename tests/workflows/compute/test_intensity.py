import numpy as np
import pytest

from workflows.compute.intensity import matched_bias, robust_scale, volume_problem

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


def test_equal_images_stay_equal():
    white = (REFERENCE > 100).astype(float)
    np.testing.assert_array_equal(matched_bias(REFERENCE, REFERENCE, white, 3), REFERENCE)


def test_a_slow_ratio_and_a_factor_are_taken_out():
    slope = np.exp(np.linspace(-0.05, 0.05, 24))[:, None, None]
    matched = matched_bias(3 * REFERENCE * slope, REFERENCE, np.ones(REFERENCE.shape), 3)
    inner = (slice(4, -4),) * 3
    np.testing.assert_allclose(matched[inner] / REFERENCE[inner], 1, atol=0.002)


def test_a_change_outside_white_matter_stays():
    white = np.zeros(REFERENCE.shape)
    white[:, :, :12] = 1
    changed = REFERENCE.copy()
    changed[12, 12, 20] *= 0.5
    matched = matched_bias(changed, REFERENCE, white, 3)
    np.testing.assert_allclose(matched, changed, rtol=1e-6)


def test_no_white_matter_is_an_error():
    with pytest.raises(ValueError, match="white"):
        matched_bias(REFERENCE, REFERENCE, np.zeros(REFERENCE.shape), 3)


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
