"""Contrasts with autocorrelated noise: the same numbers as nilearn, and honest intervals."""

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
from nilearn.glm import compute_contrast
from nilearn.glm.contrasts import _compute_fixed_effects_params
from nilearn.glm.first_level import FirstLevelModel, make_first_level_design_matrix, run_glm
from scipy import stats

from workflows.compute.task_design import percent_signal
from workflows.compute.task_model import (
    Estimates,
    contrast_estimates,
    fitted_contrasts,
    fixed_effects,
    lag_one_correlation,
    z_scores,
)

N_VOLUMES, TR_S = 156, 2.0


def task_design(rng):
    """Two conditions of jittered events, drift, constant and 24 columns of a moving head."""
    onsets = np.arange(10, N_VOLUMES * TR_S - 20, 10.0)
    onsets = onsets + rng.uniform(-2, 2, len(onsets))
    kinds = rng.permutation(np.resize(["negative", "neutral"], len(onsets)))
    events = pd.DataFrame({"onset": onsets, "duration": 3.0, "trial_type": kinds})
    times = (np.arange(N_VOLUMES) + 0.5) * TR_S
    task = make_first_level_design_matrix(times, events, "spm", "cosine", 0.008)
    motion = np.cumsum(rng.normal(0, 0.02, (N_VOLUMES, 6)), axis=0)
    change = np.diff(motion, axis=0, prepend=motion[:1])
    confounds = np.hstack([motion, change, motion**2, change**2])
    confounds = pd.DataFrame(confounds, columns=[f"c{k}" for k in range(24)])
    return pd.concat([task.reset_index(drop=True), confounds - confounds.mean()], axis=1)


def noise(rng, n_series, correlation):
    values = rng.normal(size=(N_VOLUMES + 30, n_series))
    for volume in range(1, len(values)):
        values[volume] += correlation * values[volume - 1]
    return values[30:]


@pytest.fixture
def rng():
    return np.random.default_rng(20)


def test_with_the_correlation_of_nilearn_the_numbers_are_those_of_nilearn(rng):
    design = task_design(rng)
    series = noise(rng, 40, 0.4) + 100
    vectors = np.zeros((2, design.shape[1]))
    vectors[0, :2], vectors[1, 1] = [1, -1], 1
    labels, results = run_glm(series, design.to_numpy(), "ar1")
    found = fitted_contrasts(series, design.to_numpy(), vectors, labels.astype(float))
    for row, vector in enumerate(vectors):
        contrast = compute_contrast(labels, results, vector)
        np.testing.assert_allclose(found.effects[row], contrast.effect.ravel(), rtol=1e-6)
        np.testing.assert_allclose(found.variances[row], contrast.variance.ravel(), rtol=1e-6)
        z = z_scores(Estimates(found.effects, found.variances, contrast.dof))[row]
        np.testing.assert_allclose(z, contrast.z_score().ravel(), rtol=1e-6)
    # two conditions, four cosines up to .008 Hz, a constant, 24 confounds
    assert found.degrees_of_freedom == N_VOLUMES - 31


@pytest.mark.filterwarnings("ignore:.*Generation of a mask")
def test_percent_and_contrasts_are_those_of_a_first_level_model_of_nilearn(rng):
    design = task_design(rng)
    series = noise(rng, 12, 0.4) * 4 + rng.uniform(300, 900, 12)
    image = nib.Nifti1Image(series.T.reshape(3, 2, 2, N_VOLUMES), np.eye(4))
    mask = nib.Nifti1Image(np.ones((3, 2, 2), np.uint8), np.eye(4))
    model = FirstLevelModel(mask_img=mask, noise_model="ar1", signal_scaling=0)
    model.fit(image, design_matrices=[design])
    vector = np.zeros(design.shape[1])
    vector[:2] = [1, -1]
    percent = percent_signal(series, np.ones(N_VOLUMES, bool))
    theirs = model.labels_[0].astype(float)
    found = fitted_contrasts(percent, design.to_numpy(), vector[None], theirs)
    for kind, own in (("effect_size", found.effects), ("effect_variance", found.variances)):
        map_ = model.compute_contrast(vector, output_type=kind).get_fdata().ravel()
        np.testing.assert_allclose(own[0], map_, rtol=1e-6)


def test_the_correlation_of_the_noise_is_found_behind_many_columns(rng):
    design = task_design(rng).to_numpy()
    for truth in (0.0, 0.3, 0.6):
        series = noise(rng, 400, truth)
        # the error of one series is about .08
        assert lag_one_correlation(series, design).mean() == pytest.approx(truth, abs=0.015)
    plain, _ = run_glm(noise(rng, 400, 0.3), design, "ar1")
    assert plain.astype(float).mean() < 0.2


def test_a_series_without_noise_or_with_holes_has_no_correlation(rng):
    design = task_design(rng).to_numpy()
    series = noise(rng, 3, 0.2)
    series[:, 0] = design @ np.arange(design.shape[1])
    series[5, 1] = np.nan
    assert np.isnan(lag_one_correlation(series, design)).tolist() == [True, True, False]


def test_a_planted_response_is_recovered_and_its_interval_holds(rng):
    weights = {"reactivity": {"negative": 1.0, "neutral": -1.0}}
    inside, biases, false = [], [], []
    for _ in range(6):
        design = task_design(rng)
        series = noise(rng, 300, 0.3)
        series[:, :200] += np.outer(design["negative"], np.full(200, 0.8))
        found = contrast_estimates(series, design, weights, {"reactivity": ""})
        limit = stats.t.ppf(0.975, found.degrees_of_freedom)
        error = np.sqrt(found.variances[0])
        away = np.abs(found.effects[0, :200] - 0.8)
        inside.append((away < limit * error[:200]).mean())
        biases.append(found.effects[0, :200].mean() - 0.8)
        false.append((np.abs(found.effects[0, 200:]) > limit * error[200:]).mean())
    assert np.mean(inside) == pytest.approx(0.95, abs=0.025)
    assert np.mean(false) == pytest.approx(0.05, abs=0.025)
    assert np.mean(biases) == pytest.approx(0, abs=0.03)


def test_swapping_conditions_flips_the_sign_and_keeps_the_variance(rng):
    design, series = task_design(rng), noise(rng, 5, 0.3)
    weights = {
        "one": {"negative": 1.0, "neutral": -1.0},
        "other": {"neutral": 1.0, "negative": -1.0},
    }
    found = contrast_estimates(series, design, weights, {"one": "", "other": ""})
    np.testing.assert_allclose(found.effects[0], -found.effects[1])
    np.testing.assert_allclose(found.variances[0], found.variances[1])


def test_a_contrast_with_a_problem_is_missing_and_the_others_go_on(rng):
    design, series = task_design(rng), noise(rng, 3, 0.3)
    series[3, 1] = np.nan
    weights = {"empty": {"fear": 1.0}, "negative": {"negative": 1.0}}
    found = contrast_estimates(series, design, weights, {"empty": "no event", "negative": ""})
    assert np.isnan(found.effects).tolist() == [[True] * 3, [False, True, False]]
    assert np.isnan(found.variances).tolist() == [[True] * 3, [False, True, False]]
    none = contrast_estimates(series, design, {"empty": {"fear": 1.0}}, {"empty": "no event"})
    assert np.isnan(none.effects).all()


def test_censored_volumes_do_not_count(rng):
    design, series = task_design(rng), noise(rng, 4, 0.0)
    spikes = pd.DataFrame(np.eye(N_VOLUMES)[:, [40, 77]], columns=["s0", "s1"])
    whole = pd.concat([design, spikes], axis=1)
    vector = np.eye(1, whole.shape[1])
    spoilt = series.copy()
    spoilt[[40, 77]] += 500
    # without correlation a column of its own takes a volume out altogether
    found, other = (
        fitted_contrasts(values, whole.to_numpy(), vector, np.zeros(4))
        for values in (series, spoilt)
    )
    np.testing.assert_allclose(found.effects, other.effects, atol=1e-9)
    kept = np.delete(np.arange(N_VOLUMES), [40, 77])
    alone = fitted_contrasts(
        series[kept], design.to_numpy()[kept], vector[:, : design.shape[1]], np.zeros(4)
    )
    np.testing.assert_allclose(found.effects, alone.effects, atol=1e-9)
    np.testing.assert_allclose(found.variances, alone.variances, rtol=1e-8)


def test_z_has_the_p_value_of_t_also_far_out():
    found = z_scores(Estimates(np.array([[2.0, -2.0, 60.0]]), np.ones((1, 3)), 20))[0]
    assert stats.norm.sf(found[0]) == pytest.approx(stats.t.sf(2.0, 20))
    assert found[1] == -found[0]
    assert stats.norm.logsf(found[2]) == pytest.approx(stats.t.logsf(60.0, 20))


def test_runs_are_weighted_by_precision_as_in_nilearn():
    effects, variances = np.array([[1.0, 2.0], [3.0, 8.0]]), np.array([[1.0, 1.0], [3.0, 1.0]])
    effect, variance, n_runs = fixed_effects(effects, variances)
    # weights 1 and 1/3: (1 + 3/3) / (4/3) = 1.5, variance 3/4
    np.testing.assert_allclose(effect, [1.5, 5.0])
    np.testing.assert_allclose(variance, [0.75, 0.5])
    theirs = _compute_fixed_effects_params(effects, variances, True, [100, 100])
    np.testing.assert_allclose([effect, variance], theirs[:2])
    assert n_runs.tolist() == [2, 2]


def test_a_run_without_a_value_does_not_count_where_it_has_none():
    effects = np.array([[1.0, np.nan, np.nan], [3.0, 4.0, np.nan]])
    variances = np.array([[1.0, np.nan, np.nan], [1.0, 2.0, np.nan]])
    effect, variance, n_runs = fixed_effects(effects, variances)
    np.testing.assert_allclose(effect, [2.0, 4.0, np.nan])
    np.testing.assert_allclose(variance, [0.5, 2.0, np.nan])
    assert n_runs.tolist() == [2, 1, 0]
    with pytest.raises(ValueError, match="variances: another shape"):
        fixed_effects(effects, variances[:1])


def test_series_and_design_need_the_same_volumes(rng):
    design = task_design(rng).to_numpy()
    with pytest.raises(ValueError, match="different numbers of volumes"):
        fitted_contrasts(np.zeros((10, 2)), design, np.eye(1, 30), np.zeros(2))
