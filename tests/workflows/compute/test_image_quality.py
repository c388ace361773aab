import dataclasses

import numpy as np
import pytest
from scipy import ndimage

from workflows.compute.image_quality import (
    QUALITY_MEASURES,
    BrainImages,
    TissueBrightness,
    UpperHead,
    air_measures,
    air_signal_to_noise,
    artefact_share,
    bias_spread,
    brain_measures,
    brightest,
    contrast_to_noise,
    correlation,
    dice,
    edge_sharpness,
    energy_ratio,
    entropy_focus,
    gradient_entropy,
    joint_variation,
    normalised_entropy,
    side_difference_pct,
    signal_to_noise,
    smoothness_mm,
    tissue_brightness,
    upper_head,
    zeroed,
)

VOXEL_MM = (2.0, 2.0, 2.0)
LEVELS = np.array([70.0, 100.0, 30.0])
GREY, WHITE = TissueBrightness(70.0, 3.0, 5.0), TissueBrightness(100.0, 4.0, 7.0)


@pytest.fixture(scope="module")
def head():
    """Head of 2 mm: CSF, white, grey in shells, skull, scalp; fractions, brain, clean image."""
    distance = np.linalg.norm((np.indices((72, 72, 72)).T - [36, 36, 30]).T * 2.0, axis=0)
    csf = (distance < 14) | ((distance >= 48) & (distance < 54))
    white = (distance >= 14) & (distance < 36)
    grey = (distance >= 36) & (distance < 48)
    brain = distance < 54
    smooth = [ndimage.gaussian_filter(part.astype(np.float32), 0.5) for part in (grey, white, csf)]
    fractions = np.array(smooth) * brain
    scalp = (distance >= 60) & (distance < 66)
    return np.tensordot(LEVELS, fractions, 1) + 90 * scalp, fractions, brain


def noisy(volume, sd, seed=0):
    """Magnitude image with noise of both channels."""
    first, second = np.random.default_rng(seed).normal(scale=sd, size=(2, *volume.shape))
    return np.hypot(volume + first, second)


def measured(head, corrected, uncorrected=None):
    """All measures that come from the images of one session."""
    clean, fractions, brain = head
    uncorrected = corrected if uncorrected is None else uncorrected
    found, air_sd = air_measures(uncorrected, brain, VOXEL_MM)
    images = BrainImages(
        uncorrected, corrected, brain, clean, brain, fractions, brightest(corrected)
    )
    return found | brain_measures(images, air_sd, VOXEL_MM)


def test_only_voxels_of_one_tissue_count_for_its_brightness():
    volume = np.repeat([10.0, 20.0, 1000.0], 25)
    found = tissue_brightness(volume, np.repeat([0.9, 1.0, 0.89], 25))
    assert found.median == 15
    assert found.sd == pytest.approx(np.sqrt(50 * 25 / 49))
    assert found.robust_sd == pytest.approx(1.4826 * 5)
    rare = tissue_brightness(volume[:49], np.ones(49))
    np.testing.assert_array_equal(dataclasses.astuple(rare), np.nan)


def test_joint_variation_is_both_spreads_over_the_distance_of_the_medians():
    assert joint_variation(GREY, WHITE) == pytest.approx((5 + 7) / 30)
    assert np.isnan(joint_variation(GREY, GREY))


def test_contrast_to_noise_adds_the_variances_of_both_tissues_and_of_air():
    assert contrast_to_noise(GREY, WHITE, 12.0) == pytest.approx(30 / 13)
    assert contrast_to_noise(WHITE, GREY, np.nan) == pytest.approx(30 / 5)


def test_signal_to_noise_is_the_median_over_the_standard_deviation():
    assert signal_to_noise(GREY) == pytest.approx(70 / 3)
    assert np.isnan(signal_to_noise(TissueBrightness(70.0, 0.0, 0.0)))


def test_signal_to_noise_of_air_knows_that_magnitude_noise_is_narrower():
    air = noisy(np.zeros(200_000), 4.0)
    assert air_signal_to_noise(100.0, air.std()) == pytest.approx(100 / 4, rel=0.01)


def test_entropy_focus_is_0_for_one_voxel_and_1_for_equal_ones():
    seen = np.array([True] * 4 + [False])
    assert entropy_focus(np.array([0, 7.0, 0, 0, 9]), seen) == pytest.approx(0)
    assert entropy_focus(np.array([5.0, 5, 5, 5, 9]), seen) == pytest.approx(1)
    # -(.6 ln .6 + .8 ln .8) / (2 ln 2)
    assert entropy_focus(np.array([3.0, 4, 0, 0, 9]), seen) == pytest.approx(0.349861, abs=1e-5)
    assert np.isnan(entropy_focus(np.zeros(5), seen))


def test_entropy_of_a_half_and_two_quarters_is_one_and_a_half_bits():
    assert normalised_entropy(np.array([1.0, 2, 1])) == pytest.approx(1.5 / np.log2(3))
    assert np.isnan(normalised_entropy(np.zeros(3)))


def test_gradient_entropy_takes_slopes_per_mm_in_the_mask():
    i, j, _ = np.indices((10, 10, 2))
    volume = np.maximum(i - 4, 0) + np.maximum(j - 4, 0)
    mask = np.zeros(volume.shape, bool)
    mask[7:9, 1, 0] = mask[1, 7, 0] = True
    found = gradient_entropy(volume.astype(float), mask, (1.0, 0.5, 3.0))
    assert found == pytest.approx(1.5 / np.log2(3))


def test_smoothness_comes_from_the_steps_between_neighbours():
    volume = np.tile(np.array([0.0, 0, 0, 2, 2, 2, 50])[:, None, None], (1, 2, 1))
    mask = volume < 50
    # variance 1, variance of the steps .64: autocorrelation .68 over 2 mm
    found = smoothness_mm(volume, mask, (2.0, 1.0, 1.0))
    assert found[0] == pytest.approx(2 * np.sqrt(2 * np.log(2) / -np.log(0.68)))
    np.testing.assert_array_equal(found[1:], np.nan)


def test_smoothness_of_blurred_noise_is_the_width_of_the_blur_on_each_axis():
    noise = np.random.default_rng(0).normal(size=(70, 70, 70))
    blurred = ndimage.gaussian_filter(noise, (1.5, 1.0, 1.25), mode="wrap")
    found = smoothness_mm(blurred, np.ones(noise.shape, bool), (1.0, 2.0, 3.0))
    wanted = np.sqrt(8 * np.log(2)) * np.array([1.5, 2.0, 3.75])
    np.testing.assert_allclose(found, wanted, rtol=0.04)


def test_bias_range_does_not_depend_on_the_scale_of_the_corrected_image():
    field = np.linspace(0.8, 1.2, 101)
    assert bias_spread(field) == pytest.approx((1.0, 0.36))
    assert bias_spread(3 * field) == pytest.approx((3.0, 0.36))
    np.testing.assert_array_equal(bias_spread(field[:0]), np.nan)


def test_a_ramp_of_4_mm_has_a_sharpness_of_a_quarter_and_one_of_8_mm_half_of_that():
    csf = np.array([1, 1, 0.5, 0, 0, 0, 0, 0, 0, 0, 0, 0])
    white = np.array([0, 0, 0, 0, 0, 0, 0.25, 0.5, 0.75, 1, 1, 1])
    fractions = np.array([1 - csf - white, white, csf])[:, None, :, None] * np.ones((1, 2, 1, 2))
    volume = np.tensordot(LEVELS, fractions, 1)
    voxel_mm = (9.0, 2.0, 5.0)
    found = edge_sharpness(volume, fractions, LEVELS, voxel_mm)
    assert found == pytest.approx((1 / 4 + 1 / 8) / 2)
    assert edge_sharpness(5 * volume + 3, fractions, 5 * LEVELS + 3, voxel_mm) == pytest.approx(
        found
    )
    assert edge_sharpness(-volume, fractions, LEVELS, voxel_mm) == pytest.approx(-found)
    assert np.isnan(edge_sharpness(volume, np.ones((3, 2, 12, 2)), LEVELS, voxel_mm))


def test_dice_is_twice_the_shared_volume_over_both_volumes():
    assert dice(10.0, 6.0, 4.0) == pytest.approx(0.5)
    assert np.isnan(dice(0.0, 0.0, 0.0))


def test_correlation_is_that_of_numpy_and_unknown_for_constants():
    first, second = np.random.default_rng(0).normal(size=(2, 30))
    assert correlation(first, second) == pytest.approx(np.corrcoef(first, second)[0, 1])
    assert np.isnan(correlation(first, np.ones(30)))
    assert np.isnan(correlation(first[:0], second[:0]))


def test_the_side_difference_is_left_minus_right_in_white_matter():
    x_mm = np.array([-30.0, -10, 10, 30])[:, None, None]
    white = np.array([1.0, 1, 1, 1])[:, None, None]
    volume = np.array([120.0, 100, 100, 80])[:, None, None]
    assert side_difference_pct(volume, white, x_mm) == pytest.approx(20)
    assert side_difference_pct(volume, white, -x_mm) == pytest.approx(-20)
    cut = volume * (x_mm > -20)
    assert side_difference_pct(cut, white, x_mm) == pytest.approx(100 * (50 - 90) / 70)
    assert np.isnan(side_difference_pct(volume, 0 * white, x_mm))


def test_blocks_of_zeros_were_removed_but_one_zero_in_noise_was_not():
    volume = np.ones((5, 5, 5))
    volume[1, 1, 1] = 0
    volume[3:, 3:, 3:] = 0
    found = np.argwhere(zeroed(volume))
    np.testing.assert_array_equal(found, [[4, 4, 4]])


def test_energies_are_compared_by_their_medians():
    volume = np.array([30.0, 40, 90, 2, 4, 9])
    head = np.array([True, True, True, False, False, False])
    assert energy_ratio(UpperHead(volume, head, ~head)) == pytest.approx(1600 / 16)


def test_air_with_a_bright_block_has_its_share_of_artefacts():
    air = noisy(np.zeros((20, 20, 20)), 5.0)
    everywhere = np.ones(air.shape, bool)
    assert artefact_share(UpperHead(air, ~everywhere, everywhere)) < 0.001
    air[5:10, 5:10, 5:13] += 60
    wanted = 200 / 8000
    # the corners and edges of a block are no neighbours of a whole cross
    edges = (2 * 4 * 3 * 2 + 4 * 8) / 8000
    found = artefact_share(UpperHead(air, ~everywhere, everywhere))
    assert wanted - edges <= found <= wanted + 0.001


def test_air_is_above_the_middle_of_the_brain_and_away_from_the_head(head):
    clean, _, brain = head
    upper = upper_head(noisy(clean, 2.0), brain, VOXEL_MM)
    assert upper.volume.shape == (72, 72, 42)
    distance = np.linalg.norm((np.indices((72, 72, 42)).T - [36, 36, 0]).T * 2.0, axis=0)
    assert upper.head[distance < 62].all()
    assert not upper.head[distance > 72].any()
    assert not upper.air[distance < 70].any()
    assert upper.air[distance > 84].all()


def test_an_empty_brain_mask_is_refused(head):
    with pytest.raises(ValueError, match="brain: no voxel"):
        upper_head(head[0], np.zeros_like(head[2]), VOXEL_MM)


def test_noise_raises_the_joint_variation_and_lowers_signal_and_contrast(head):
    quiet, loud = (measured(head, noisy(head[0], sd)) for sd in (2.0, 6.0))
    assert loud["cjv"] > 1.5 * quiet["cjv"]
    for name in ("snr_gm", "snr_wm", "snr_csf", "snr_total", "snrd_total", "cnr", "fber"):
        assert loud[name] < 0.8 * quiet[name], name
    assert loud["gradient_entropy"] > quiet["gradient_entropy"]
    assert loud["registration_r"] < quiet["registration_r"] < 1
    assert loud["edge_sharpness"] == pytest.approx(quiet["edge_sharpness"], rel=0.02)


def test_noise_of_air_is_that_of_the_magnitude_image(head):
    assert measured(head, noisy(head[0], 3.0))["snrd_total"] == pytest.approx(200 / 3 / 3, rel=0.05)


def test_blur_is_seen_as_smoothness_and_as_a_loss_of_sharpness(head):
    sharp, blurred = (
        measured(head, ndimage.gaussian_filter(noisy(head[0], 2.0), sd)) for sd in (0, 1)
    )
    assert blurred["fwhm_avg"] > 1.3 * sharp["fwhm_avg"]
    assert blurred["edge_sharpness"] < 0.7 * sharp["edge_sharpness"]


def test_a_bias_field_is_seen_in_its_range_and_not_in_the_corrected_contrast(head):
    field = np.linspace(0.8, 1.2, 72)[:, None, None]
    image = noisy(head[0], 2.0)
    flat, shaded = measured(head, image), measured(head, image, image * field)
    assert flat["inu_range"] == 0
    # 5th and 95th percentile of the place in a ball lie .73 radii from its middle
    assert shaded["inu_range"] == pytest.approx(2 * 0.73 * 27 * 0.4 / 71, rel=0.03)
    assert shaded["cjv"] == flat["cjv"]


def test_ghosts_in_the_air_raise_the_share_of_artefacts(head):
    image = noisy(head[0], 2.0)
    ghost = noisy(head[0] + 0.2 * np.roll(head[0], 36, axis=1), 2.0)
    clean, ghosted = measured(head, image), measured(head, ghost)
    assert clean["qi_1"] < 0.001
    assert ghosted["qi_1"] > 0.1


def test_the_corners_of_a_turned_image_do_not_count_as_dark_air(head):
    image = 12 + noisy(head[0] + 0.2 * np.roll(head[0], 36, axis=1), 2.0)
    turned = image.copy()
    turned[:4] = turned[-4:] = 0
    turned[4:6] *= 0.05
    turned[-6:-4] *= 0.05
    whole, cut = (air_measures(volume, head[2], VOXEL_MM)[0] for volume in (image, turned))
    assert cut["qi_1"] == pytest.approx(whole["qi_1"], rel=0.25)


def test_zeroed_air_gives_no_measures_of_air_but_all_of_the_brain(head):
    image = noisy(head[0], 2.0)
    distance = ndimage.distance_transform_edt(~head[2], sampling=VOXEL_MM)
    whole, defaced = measured(head, image), measured(head, np.where(distance < 14, image, 0))
    lost = {name for name, value in defaced.items() if np.isnan(value)}
    assert lost == {"fber", "qi_1", "snrd_total"}
    assert defaced["snr_wm"] == whole["snr_wm"]
    assert defaced["cnr"] > whole["cnr"]


def test_measures_have_one_name_each_and_a_known_direction():
    assert len({row.name for row in QUALITY_MEASURES}) == len(QUALITY_MEASURES) == 20
    assert {row.better for row in QUALITY_MEASURES} == {"higher", "lower", "neither"}
