import json
from typing import get_args

import numpy as np
import pandas as pd
import pytest

from configs.settings import Strategy
from workflows.compute import planted_bold
from workflows.compute.compcor import current_component_names
from workflows.compute.confounds import TERMS, confound_table, dvars
from workflows.compute.connectivity import fisher_z_matrix
from workflows.compute.denoise import (
    STRATEGIES,
    censored_volumes,
    nuisance_design,
    project_out,
    spline_filled,
    strategy_columns,
)
from workflows.compute.motion import MOTION_COLUMNS

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


SETS = (range(3), range(3, 6))


def planted_run(fisher_z, motion_share, rng):
    """Series (n_volumes, 6) of two sets of regions, with motion and drift, and confounds."""
    correlation = planted_bold.network_correlation([0, 0, 0, 1, 1, 1])
    correlation = planted_bold.with_edges(correlation, *SETS, fisher_z)
    series = planted_bold.regional_series(correlation, 200, TR_S, rng)
    parameters = walk(200, rng) * motion_share
    moved = parameters * [1, 1, 1, 50, 50, 50]
    series = series + moved @ rng.normal(1, 0.5, (6, 6))
    series = series + np.linspace(-5, 5, 200)[:, None] * rng.normal(0, 1, 6)
    return series, confounds_of(parameters, rng)


def recovered(series, confounds, strategy="24P+CSF+WM"):
    """Mean Fisher z of the edges between the two sets."""
    design = nuisance_design(confounds, strategy, TR_S, (0.008, 0.1))
    cleaned = project_out(series, design, ~censored_volumes(confounds, 0.5))
    return fisher_z_matrix(cleaned.series)[np.ix_(*SETS)].mean()


def test_the_brightness_of_dummy_volumes_reaches_no_column_of_the_design():
    rng = np.random.default_rng(12)
    table = confounds_of(walk(100, rng), rng)
    tissues = table[["csf", "white_matter"]].to_numpy(copy=True)
    tissues[:2] += [[700], [300]]
    bright = confound_table(
        table[list(MOTION_COLUMNS)].to_numpy(),
        table.assign(csf=tissues[:, 0], white_matter=tissues[:, 1])[
            ["csf", "white_matter", "global_signal"]
        ],
        (table["std_dvars"], table["dvars"]),
        (TR_S, 0.008, 2),
        0.5,
    )
    design = nuisance_design(bright, "36P", TR_S, (0.008, 0.1))[2:]
    as_before = nuisance_design(table, "36P", TR_S, (0.008, 0.1))[2:]
    np.testing.assert_allclose(design[1:], as_before[1:], rtol=1e-9)
    place = 1 + strategy_columns("36P", bright.columns).index("csf_derivative1")
    assert design[0, place] == 0


def test_a_planted_correlation_survives_motion_and_drift():
    rng, found, raw, change = np.random.default_rng(11), [], [], []
    for _ in range(25):
        series, confounds = planted_run(0.4, 1.0, rng)
        found.append(recovered(series, confounds))
        raw.append(fisher_z_matrix(series)[np.ix_(*SETS)].mean())
        change.append(recovered(*planted_run(0.4, 0.4, rng)) - found[-1])
    assert abs(np.mean(found) - 0.4) < 0.05
    assert np.mean(np.abs(np.array(raw) - 0.4)) > 0.3
    assert abs(np.mean(change)) < 2 * np.std(change, ddof=1) / 5


def test_a_planted_change_comes_back_with_its_sign():
    rng = np.random.default_rng(19)
    pairs = [(planted_run(0.1, 1.0, rng), planted_run(0.5, 0.4, rng)) for _ in range(20)]
    change = [recovered(*after) - recovered(*before) for before, after in pairs]
    assert np.mean(change) == pytest.approx(0.4, abs=0.07)


def test_the_degrees_of_freedom_are_those_of_the_residuals():
    rng = np.random.default_rng(12)
    confounds = confounds_of(walk(120, rng), rng)
    kept = ~censored_volumes(confounds, 0.5)
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


def test_strategies_have_the_columns_of_the_literature():
    table = pd.DataFrame(columns=table_columns())
    numbers = {name: len(set(strategy_columns(name, table.columns))) for name in STRATEGIES}
    assert numbers == {
        "6P": 6,
        "24P": 24,
        "24P+CSF+WM": 26,
        "9P": 9,
        "27P": 27,
        "36P": 36,
        "aCompCor": 12 + 5 + 3,
        "aCompCor+GSR": 12 + 1 + 5 + 3,
        "aCompCor50": 24 + 7,
    }
    assert set(get_args(Strategy)) == set(STRATEGIES)
    assert strategy_columns("24P+CSF+WM", table.columns)[24:] == ["csf", "white_matter"]
    assert strategy_columns("9P", table.columns)[:6] == list(MOTION_COLUMNS)
    components = strategy_columns("aCompCor", table.columns)[12:]
    assert components[4:6] == ["c_comp_cor_04", "w_comp_cor_00"]
    assert "trans_x_derivative1" in strategy_columns("aCompCor", table.columns)
    assert "trans_x_power2" not in strategy_columns("aCompCor", table.columns)


def table_columns():
    """Columns of a table with 7 combined, 6 fluid and 3 white matter components."""
    plain = [*MOTION_COLUMNS, "csf", "white_matter", "global_signal"]
    counts = {"a": 7, "c": 6, "w": 3}
    components = [f"{mask}_comp_cor_{k:02d}" for mask, n in counts.items() for k in range(n)]
    return [name + term for name in plain for term in TERMS] + components


def test_a_missing_column_is_named():
    columns = [name for name in table_columns() if name not in ("csf", "c_comp_cor_00")]
    with pytest.raises(ValueError, match="column csf is missing, strategy 9P needs it"):
        strategy_columns("9P", columns)
    without = [name for name in columns if not name.startswith("w_")]
    with pytest.raises(ValueError, match="column w_comp_cor_00 is missing"):
        strategy_columns("aCompCor", without)
    with pytest.raises(ValueError, match="strategy: expected one of 6P, 24P"):
        strategy_columns("12P", columns)


def test_a_confound_without_values_is_refused():
    table = confounds_of(np.zeros((20, 6)), np.random.default_rng(17))
    table.loc[5, "white_matter"] = np.nan
    with pytest.raises(ValueError, match="white_matter has volumes without a value"):
        nuisance_design(table, "9P", TR_S, (0.008, None))
    assert np.isfinite(nuisance_design(table, "24P", TR_S, (0.008, None))).all()


def test_volumes_are_censored_by_our_thresholds_and_not_by_outlier_columns():
    table = pd.DataFrame(
        {
            "framewise_displacement": [np.nan, 0.2, 0.6, 0.5, 0.1],
            "std_dvars": [np.nan, 1.0, 1.0, 1.2, 1.9],
            "motion_outlier00": [0, 1, 0, 0, 0],
            "non_steady_state_outlier00": [1, 0, 0, 0, 0],
        }
    )
    assert np.flatnonzero(censored_volumes(table, 0.5)).tolist() == [0, 2]
    assert np.flatnonzero(censored_volumes(table, 0.5, 1.5)).tolist() == [0, 2, 4]
    assert np.flatnonzero(censored_volumes(table, None)).tolist() == [0]
    with pytest.raises(ValueError, match="column std_dvars is missing"):
        censored_volumes(table.drop(columns="std_dvars"), 0.5, 1.5)


def test_a_run_without_kept_volumes_has_no_degrees_of_freedom():
    rng = np.random.default_rng(18)
    confounds = confounds_of(walk(30, rng), rng)
    design = nuisance_design(confounds, "24P", TR_S, (0.008, 0.1))
    kept = ~censored_volumes(confounds.assign(framewise_displacement=9.0), 0.5)
    cleaned = project_out(rng.normal(size=(30, 2)), design, kept)
    assert cleaned.degrees_of_freedom == 0
    assert np.isnan(cleaned.series).all()
    assert np.isnan(spline_filled(cleaned.series, kept)).all()


def test_another_number_of_volumes_is_refused():
    with pytest.raises(ValueError, match="30 rows .censoring: 30. for 31 volumes"):
        project_out(np.ones((31, 2)), np.ones((30, 1)), np.ones(30, bool))


def test_censored_volumes_are_filled_from_the_kept_ones_alone():
    times = np.arange(12.0)
    cubic = np.column_stack([times**3 - 9 * times**2, np.full(12, np.nan)])
    kept = np.ones(12, bool)
    kept[[0, 4, 5, 11]] = False
    spoilt = np.where(kept[:, None], cubic, 1e9)
    filled = spline_filled(spoilt, kept)
    np.testing.assert_allclose(filled[1:11, 0], cubic[1:11, 0], atol=1e-9)
    np.testing.assert_allclose(filled[[0, 11], 0], cubic[[1, 10], 0])
    assert np.isnan(filled[:, 1]).all()


def test_a_missing_region_leaves_the_others_alone():
    rng = np.random.default_rng(16)
    series, design = rng.normal(size=(30, 3)), np.ones((30, 1))
    holed = series.copy()
    holed[:, 1] = np.nan
    kept = np.ones(30, bool)
    both = project_out(series, design, kept), project_out(holed, design, kept)
    np.testing.assert_allclose(both[1].series[:, [0, 2]], both[0].series[:, [0, 2]])
    assert np.isnan(both[1].series[:, 1]).all()


@pytest.mark.needs_shared
def test_strategies_find_their_columns_in_every_table_of_a_real_fmriprep_dataset(shared_dir):
    root = shared_dir / "data" / "derivatives" / "ds003007-fmriprep"
    files = list(root.rglob("*_desc-confounds_timeseries.json"))
    assert len(files) == 58
    for file in files:
        facts = json.loads(file.read_text())
        plain = [*MOTION_COLUMNS, "csf", "white_matter", "global_signal"]
        names = list(dict.fromkeys([*(name + term for name in plain for term in TERMS), *facts]))
        assert current_component_names(names, facts) == dict(zip(names, names, strict=True))
        combined = [name for name in facts if name.startswith("a_comp_cor_")]
        assert strategy_columns("aCompCor50", names)[24:] == combined
        counts = [sum(name.startswith(f"{letter}_comp_cor_") for name in facts) for letter in "cw"]
        assert len(strategy_columns("aCompCor+GSR", names)) == 13 + min(counts[0], 5) + 5
        assert counts[1] >= 5
