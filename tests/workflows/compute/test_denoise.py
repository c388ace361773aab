import numpy as np
import pandas as pd
import pytest

from workflows.compute.confounds import confound_table, dvars, outlier_volumes
from workflows.compute.connectivity import fisher_z_matrix
from workflows.compute.denoise import nuisance_design, project_out, strategy_columns

TR_S = 2.0


def walk(n_volumes, rng):
    """Motion parameters of a slow wander with one jump."""
    steps = rng.normal(0, [0.02, 0.02, 0.03, 2e-4, 2e-4, 2e-4], (n_volumes, 6))
    parameters = np.cumsum(steps, axis=0)
    parameters[n_volumes // 3] += [0.8, 0, 0.5, 0, 0.01, 0]
    return parameters


def confounds_of(parameters, rng):
    n_volumes = len(parameters)
    names = ["csf", "white_matter", "global_signal"]
    tissues = pd.DataFrame(rng.normal(1000, 3, (n_volumes, 3)), columns=names)
    both = dvars(rng.normal(1000, 10, (20, n_volumes)))
    return confound_table(parameters, tissues, both, (TR_S, 0.008), 0.5)


def in_band(n_volumes, n_series, rng):
    """White noise between .01 and .09 Hz."""
    spectrum = np.fft.rfft(rng.normal(size=(n_volumes, n_series)), axis=0)
    frequency = np.fft.rfftfreq(n_volumes, TR_S)
    spectrum[(frequency < 0.01) | (frequency > 0.09)] = 0
    return np.fft.irfft(spectrum, n_volumes, axis=0)


def test_a_planted_correlation_survives_motion_and_drift():
    rng = np.random.default_rng(11)
    planted, found, raw = np.arctanh(0.6), [], []
    for _ in range(60):
        parameters = walk(240, rng)
        shared = in_band(240, 3, rng)
        shared /= shared.std(axis=0)
        series = shared[:, 1:] * np.sqrt(0.4) + shared[:, :1] * np.sqrt(0.6)
        confounds = confounds_of(parameters, rng)
        moved = (parameters - parameters.mean(axis=0)) / parameters.std(axis=0)
        series = series + 3 * moved @ rng.normal(0, 1, (6, 1)) * [1, -1]
        series = series + np.linspace(-5, 5, 240)[:, None] * [1, 1]
        design = nuisance_design(confounds, "24P", TR_S, (0.008, 0.1))
        cleaned = project_out(series, design, ~outlier_volumes(confounds))
        found.append(fisher_z_matrix(cleaned.series)[0, 1])
        raw.append(fisher_z_matrix(series)[0, 1])
    assert abs(np.mean(found) - planted) < 0.05
    assert abs(np.mean(raw) - planted) > 0.3


def test_the_degrees_of_freedom_are_those_of_the_residuals():
    rng = np.random.default_rng(12)
    confounds = confounds_of(walk(120, rng), rng)
    kept = ~outlier_volumes(confounds)
    design = nuisance_design(confounds, "24P+CSF+WM", TR_S, (0.008, 0.1))
    noise = rng.normal(size=(120, 4000))
    cleaned = project_out(noise, design, kept)
    assert np.flatnonzero(~kept).tolist() == [40, 41]
    assert np.isnan(cleaned.series[~kept]).all()
    energy = (cleaned.series[kept] ** 2).sum(axis=0).mean()
    assert energy == pytest.approx(cleaned.degrees_of_freedom, rel=0.02)
    assert cleaned.degrees_of_freedom == 118 - np.linalg.matrix_rank(
        design[kept] / design.max(axis=0)
    )


def test_the_residuals_are_those_of_ordinary_least_squares():
    import statsmodels.api as sm

    rng = np.random.default_rng(13)
    design = np.column_stack([np.ones(40), rng.normal(size=(40, 5)) * [1, 10, 1e-3, 5, 1e4]])
    series, kept = rng.normal(7, 2, (40, 3)), rng.random(40) > 0.2
    cleaned = project_out(series, design, kept)
    for column in range(3):
        fit = sm.OLS(series[kept, column], design[kept]).fit()
        np.testing.assert_allclose(cleaned.series[kept, column], fit.resid, atol=1e-8)
    assert cleaned.degrees_of_freedom == fit.df_resid


def test_only_the_band_is_kept():
    time = np.arange(200) * TR_S
    waves = np.column_stack([np.cos(np.pi * k * (time / TR_S + 0.5) / 200) for k in (5, 40, 120)])
    confounds = confounds_of(np.zeros((200, 6)), np.random.default_rng(14))
    confounds[["csf", "white_matter"]] = 1.0
    design = nuisance_design(confounds, "24P+CSF+WM", TR_S, (0.008, 0.1))
    cleaned = project_out(waves, design, np.ones(200, bool)).series
    np.testing.assert_allclose(cleaned[:, 1], waves[:, 1], atol=1e-9)
    np.testing.assert_allclose(cleaned[:, [0, 2]], 0, atol=1e-9)


def test_without_low_pass_fast_changes_stay():
    confounds = confounds_of(np.zeros((100, 6)), np.random.default_rng(15))
    wide = nuisance_design(confounds, "24P", TR_S, (0.008, None))
    narrow = nuisance_design(confounds, "24P", TR_S, (0.008, 0.1))
    assert wide.shape == (100, 1 + 24 + 3)
    assert narrow.shape == (100, 1 + 24 + 3 + 99 - 40)


def test_nothing_is_left_when_the_design_fills_the_run():
    cleaned = project_out(np.ones((4, 2)) * [[1], [2], [0], [5]], np.eye(4), np.ones(4, bool))
    assert cleaned.degrees_of_freedom == 0
    assert np.isnan(cleaned.series).all()


def test_strategies_have_the_number_of_columns_in_their_name():
    assert len(set(strategy_columns("24P"))) == 24
    assert len(set(strategy_columns("36P"))) == 36
    assert strategy_columns("24P+CSF+WM")[24:] == ["csf", "white_matter"]
    with pytest.raises(ValueError, match="strategy: expected one of 24P"):
        strategy_columns("12P")


def test_a_missing_region_leaves_the_others_alone():
    rng = np.random.default_rng(16)
    series, design = rng.normal(size=(30, 3)), np.ones((30, 1))
    holed = series.copy()
    holed[:, 1] = np.nan
    kept = np.ones(30, bool)
    both = project_out(series, design, kept), project_out(holed, design, kept)
    np.testing.assert_allclose(both[1].series[:, [0, 2]], both[0].series[:, [0, 2]])
    assert np.isnan(both[1].series[:, 1]).all()
