import numpy as np
import pytest
from scipy import signal, stats

from workflows.compute.confounds import cosine_basis
from workflows.compute.local_activity import (
    cleaning_of,
    regional_homogeneity,
    slow_amplitude,
    spectrum_of,
)

TR_S = 2.5
N_VOLUMES = 200
ALL = np.ones(N_VOLUMES, bool)


def constant(n_volumes=N_VOLUMES):
    return np.ones((n_volumes, 1))


def amplitudes(voxels, kept, design, band=(0.01, 0.08)):
    cleaning = cleaning_of(design, kept)
    return slow_amplitude(voxels, cleaning, spectrum_of(cleaning, TR_S), band)


def noise(seed, n_voxels=400, n_volumes=N_VOLUMES, deviation=20.0):
    return 1000 + np.random.default_rng(seed).normal(0, deviation, (n_voxels, n_volumes))


def test_without_censoring_the_spectrum_is_that_of_scipy():
    voxels = noise(1, 3) * [[1], [2], [3]]
    cleaning = cleaning_of(constant(), ALL)
    found = spectrum_of(cleaning, TR_S)
    percent = 100 * (voxels / voxels.mean(axis=1, keepdims=True) - 1)
    frequencies, density = signal.periodogram(percent, fs=1 / TR_S, detrend="constant")
    np.testing.assert_allclose(found.frequencies_hz, frequencies[1:-1])
    inside = (frequencies >= 0.01) & (frequencies <= 0.08)
    alff, falff = slow_amplitude(voxels, cleaning, found)
    roots = np.sqrt(density)
    np.testing.assert_allclose(alff, roots[:, inside].mean(axis=1), rtol=1e-4)
    share = roots[:, inside].sum(axis=1) / roots[:, 1:-1].sum(axis=1)
    np.testing.assert_allclose(falff, share, rtol=1e-4)


def test_with_censoring_the_power_is_that_of_lomb_and_scargle():
    kept = np.random.default_rng(2).random(N_VOLUMES) > 0.3
    series = np.random.default_rng(3).normal(size=N_VOLUMES)
    found = spectrum_of(cleaning_of(constant(), kept), TR_S)
    cosine, sine = np.split(found.waves @ series[kept], 2)
    times, centred = np.flatnonzero(kept) * TR_S, series[kept] - series[kept].mean()
    power = signal.lombscargle(times, centred, 2 * np.pi * found.frequencies_hz)
    np.testing.assert_allclose(cosine**2 + sine**2, 2 * TR_S * power / found.left, rtol=1e-6)
    assert 0.9 < found.left.min() < 0.999


def test_noise_has_the_same_amplitude_however_much_is_censored_or_regressed_out():
    rng = np.random.default_rng(4)
    voxels = noise(5)
    kept = np.arange(N_VOLUMES) % 5 != 0
    kept[30:70] = False
    design = np.hstack([constant(), rng.normal(size=(N_VOLUMES, 40))])
    whole = np.array(amplitudes(voxels, ALL, constant())).mean(axis=1)
    fewer = np.array(amplitudes(voxels, kept, design)).mean(axis=1)
    np.testing.assert_allclose(fewer, whole, rtol=0.02)
    # white noise of 2 %: density 2 sigma^2 TR, and the mean of a Rayleigh root is sqrt(pi) / 2
    assert whole[0] == pytest.approx(np.sqrt(2 * 4 * TR_S) * np.sqrt(np.pi) / 2, rel=0.02)


def test_a_slow_wave_counts_and_a_fast_one_only_in_the_denominator():
    times = np.arange(N_VOLUMES) * TR_S
    slow, fast = (np.sin(2 * np.pi * hz * times) for hz in (0.03, 0.15))
    alff, falff = amplitudes(1000 + 10 * np.array([slow, fast, slow + fast]), ALL, constant())
    np.testing.assert_allclose(falff, [1, 0, 0.5], atol=0.005)
    assert alff[0] == pytest.approx(alff[2], rel=1e-3)
    assert alff[0] == pytest.approx(np.sqrt(TR_S * N_VOLUMES / 2) / 36, rel=0.01)


def test_frequencies_that_cleaning_removes_are_left_out():
    design = np.hstack([constant(), cosine_basis(N_VOLUMES, 1, 8)])
    found = spectrum_of(cleaning_of(design, ALL), TR_S)
    assert found.frequencies_hz[0] == pytest.approx(4 / (N_VOLUMES * TR_S), abs=2e-3)
    assert found.left.min() > 0.1
    none = cleaning_of(np.eye(N_VOLUMES), ALL)
    alff, falff = slow_amplitude(noise(6, 2), none, spectrum_of(none, TR_S))
    assert np.isnan([alff, falff]).all()


def test_a_voxel_without_a_positive_mean_has_no_amplitude():
    alff, _ = amplitudes(noise(7, 2) - [[0], [1100]], ALL, constant())
    assert np.isfinite(alff).tolist() == [True, False]


def test_homogeneity_is_the_w_of_kendall_from_friedman():
    rng = np.random.default_rng(8)
    mask = rng.random((5, 6, 4)) > 0.15
    mask[:, 0], mask[2, 3, 1] = False, True
    n_volumes = 30
    image = rng.normal(size=(*mask.shape, n_volumes)) + rng.normal(size=n_volumes)
    kept = np.arange(n_volumes) != 4
    found = np.full(mask.shape, np.nan)
    cleaning = cleaning_of(constant(n_volumes), kept)
    found[mask] = regional_homogeneity(image[mask], cleaning, mask)
    around = np.array([[i, j, k] for i in (1, 2, 3) for j in (2, 3, 4) for k in (0, 1, 2)])
    members = image[tuple(around.T)][mask[tuple(around.T)]][:, kept]
    statistic = stats.friedmanchisquare(*members.T).statistic
    assert 14 <= len(members) < 27
    assert found[2, 3, 1] == pytest.approx(statistic / (len(members) * 28), rel=1e-5)
    corner = mask[:2, 1:3, :2].sum()
    assert corner < 14
    assert np.isnan(found[0, 1, 0])


def test_homogeneity_of_equal_voxels_is_one_and_of_noise_one_over_their_number():
    mask = np.ones((11, 11, 11), bool)
    cleaning = cleaning_of(constant(), ALL)
    wave = np.random.default_rng(9).normal(size=N_VOLUMES)
    same = regional_homogeneity(np.tile(wave, (mask.size, 1)), cleaning, mask)
    assert np.nanmin(same) == pytest.approx(1)
    other = regional_homogeneity(noise(10, mask.size), cleaning, mask).reshape(mask.shape)
    assert other[1:-1, 1:-1, 1:-1].mean() == pytest.approx(1 / 27, rel=0.05)
    assert np.isnan(other[0, 0, 0])
    nothing_left = cleaning_of(np.eye(N_VOLUMES), ALL)
    assert np.isnan(regional_homogeneity(noise(10, mask.size), nothing_left, mask)).all()
