"""Paths and effects of mediation models."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm

from workflows.compute.bootstrap import Resampling
from workflows.compute.mediation import (
    MEDIATION_COLUMNS,
    labelled,
    parallel_mediation,
    serial_mediation,
)
from workflows.compute.mediation_data import MediationData
from workflows.compute.moderated_mediation import interaction_mediation
from workflows.compute.temporal_order import Measured, Moment, check_order

FEW = Resampling(399, 0.95)


@pytest.fixture
def rng():
    return np.random.default_rng(31)


@pytest.fixture
def jobs(shared_dir):
    table = pd.read_csv(shared_dir / "reference" / "jobs.csv")
    names = ("econ_hard", "sex", "age")
    return MediationData(
        table[["treat"]].to_numpy(float),
        ("treat",),
        table[["job_seek"]].to_numpy(float),
        ("job_seek",),
        table["depress2"].to_numpy(float),
        table[list(names)].to_numpy(float),
        names,
    )


def trial(rng, n=60, n_mediators=2, arms=None):
    treatment = np.tile([0.0, 1], n // 2)[:, None] if arms is None else arms
    age = rng.normal(50, 9, size=n)
    mediators = 3 + treatment[:, :1] * np.array([1.0, -0.5, 0.3])[:n_mediators]
    mediators = mediators + rng.normal(size=(n, n_mediators))
    if n_mediators > 1:
        mediators[:, 1] += 0.7 * mediators[:, 0]
    outcome = 20 + 2 * treatment[:, 0] - mediators @ np.array([1.5, 0.8, 0.4])[:n_mediators]
    return MediationData(
        treatment,
        tuple(f"arm {place + 1} - waiting" for place in range(treatment.shape[1])),
        mediators,
        ("alliance", "insight", "hope")[:n_mediators],
        outcome + 0.05 * age + rng.normal(size=n),
        age[:, None],
        ("age",),
    )


def by_path(result):
    return result.rows.set_index(["path", "mediator"])


@pytest.mark.needs_shared
def test_the_jobs_trial_is_reproduced(jobs, rng):
    rows = parallel_mediation(jobs, Resampling(20000, 0.95), rng).rows.set_index("path")
    expected = {
        "a": (0.0656150033625, 0.0514717404507),
        "b": (-0.239954952710, 0.0282433325972),
        "direct": (-0.0402647000018421, 0.0435058750),
        "total": (-0.0560093450307454, 0.0451636829),
    }
    for path, (estimate, error) in expected.items():
        assert rows.loc[path, "estimate"] == pytest.approx(estimate, rel=1e-6)
        assert rows.loc[path, "standard_error"] == pytest.approx(error, rel=1e-6)
    indirect = rows.loc["indirect"]
    assert indirect["estimate"] == pytest.approx(-0.0157446450289033, rel=1e-6)
    assert indirect["sobel_standard_error"] == pytest.approx(0.0124891555733, rel=1e-6)
    limits = indirect[["ci_low", "ci_high", "bca_low", "bca_high"]].astype(float)
    np.testing.assert_allclose(limits, [-0.0421, 0.0076, -0.0431, 0.0063], atol=0.002)


@pytest.mark.needs_shared
def test_the_jobs_trial_with_interaction_is_reproduced(jobs, rng):
    rows = interaction_mediation(jobs, (0, 1), FEW, rng).rows.set_index("path")["estimate"]
    assert rows["d0"] == pytest.approx(-0.01977768262458, rel=1e-6)
    assert rows["d1"] == pytest.approx(-0.01403395685667, rel=1e-6)
    # R mediation 4.5.1 adds normal noise to each predicted mediator: its z0 and z1 share one
    # random error of sd .0022 (.725 / sqrt(899) x .0875), which leaves their difference alone
    assert rows["z1"] - rows["z0"] == pytest.approx(-0.03563595385899 + 0.0413796796269, rel=1e-6)
    assert rows["z0"] == pytest.approx(-0.0413796796269, abs=0.0022)
    assert rows["z1"] == pytest.approx(-0.03563595385899, abs=0.0022)


def test_one_mediator_by_hand(rng):
    # arms 0 0 1 1 ..., mediator residuals orthogonal to the arm, outcome 1 + 3 T + 2 M exactly
    # but for a residual orthogonal to both
    t = np.array([0.0, 0, 0, 0, 1, 1, 1, 1])
    m = 5 * t + np.array([-1.0, 1, -1, 1, -1, 1, -1, 1])
    y = 1 + 3 * t + 2 * m + np.array([1.0, 1, -1, -1, 1, 1, -1, -1])
    data = MediationData(t[:, None], ("t",), m[:, None], ("m",), y, np.empty((8, 0)))
    rows = parallel_mediation(data, FEW, rng).rows.set_index("path")
    np.testing.assert_allclose(rows.loc[["a", "b", "direct", "total"], "estimate"], [5, 2, 3, 13])
    assert rows.loc["indirect", "estimate"] == pytest.approx(10)
    # squares 8: s2_a = 8/6, SE_a = sqrt(8/6 (1/4 + 1/4)); s2_b = 8/5, SE_b = sqrt(8/5 / 8)
    a_error, b_error = np.sqrt(2 / 3), np.sqrt(1 / 5)
    np.testing.assert_allclose(rows.loc[["a", "b"], "standard_error"], [a_error, b_error])
    np.testing.assert_allclose(rows.loc[["a", "b"], "df"], [6, 5])
    sobel = np.sqrt((5 * b_error) ** 2 + (2 * a_error) ** 2)
    assert rows.loc["indirect", "sobel_standard_error"] == pytest.approx(sobel)
    assert rows.loc["indirect", "standardised"] == pytest.approx(10 / y.std(ddof=1))
    assert rows.loc["proportion mediated", "estimate"] == pytest.approx(10 / 13)


def test_parallel_paths_equal_ordinary_least_squares(rng):
    data = trial(rng)
    rows = by_path(parallel_mediation(data, FEW, rng))
    full = np.column_stack([np.ones(60), data.treatment, data.covariates, data.mediators])
    fit = sm.OLS(data.outcome, full).fit()
    np.testing.assert_allclose(
        rows.loc[[("b", "alliance"), ("b", "insight"), ("direct", "")], "p"],
        fit.pvalues[[3, 4, 1]],
        rtol=1e-6,
    )
    low_high = rows.loc[("b", "insight"), ["ci_low", "ci_high"]].astype(float)
    np.testing.assert_allclose(low_high, fit.conf_int()[4], rtol=1e-8)
    for place, name in enumerate(data.mediator_names):
        a = sm.OLS(data.mediators[:, place], full[:, :3]).fit().params[1]
        found = rows.loc[(f"indirect via {name}", name), "estimate"]
        assert found == pytest.approx(a * fit.params[3 + place], rel=1e-9)


@pytest.mark.parametrize("model", [parallel_mediation, serial_mediation])
def test_direct_and_all_indirect_effects_sum_to_the_total(rng, model):
    rows = model(trial(rng, n_mediators=3), FEW, rng).rows
    estimate = rows.set_index("path")["estimate"]
    assert estimate["direct"] + estimate["indirect"] == pytest.approx(estimate["total"], rel=1e-9)
    chains = rows[rows["path"].str.startswith("indirect via") & (rows["mediator"] != "")]
    assert len(chains) == {parallel_mediation: 3, serial_mediation: 7}[model]
    assert chains["estimate"].sum() == pytest.approx(estimate["indirect"], rel=1e-9)


def test_a_chain_multiplies_its_three_steps(rng):
    rows = by_path(serial_mediation(trial(rng), FEW, rng))["estimate"]
    product = rows["a", "alliance"] * rows["d", "alliance -> insight"] * rows["b", "insight"]
    both = "alliance -> insight"
    assert rows[f"indirect via {both}", both] == pytest.approx(product, rel=1e-12)
    assert rows["indirect via alliance minus via insight", ""] == pytest.approx(
        rows["indirect via alliance", "alliance"] - rows["indirect via insight", "insight"]
    )


def test_each_arm_is_compared_with_the_reference(rng):
    arms = np.tile([[0.0, 0], [1, 0], [0, 1]], (20, 1))
    data = trial(rng, n_mediators=1, arms=arms)
    result = parallel_mediation(data, replace(FEW, strata=arms @ [1, 2]), rng)
    rows = result.rows.set_index(["path", "term"])["estimate"]
    base = sm.add_constant(np.column_stack([arms, data.covariates]))
    expected = sm.OLS(data.mediators[:, 0], base).fit().params[1:3]
    names = [("a", name) for name in data.contrasts]
    np.testing.assert_allclose(rows.loc[names], expected, rtol=1e-9)
    assert (result.rows["path"] == "indirect").sum() == 2
    assert result.n_degenerate == 0


def test_a_dose_is_per_unit_and_standardised_per_standard_deviation(rng):
    data = replace(trial(rng, n_mediators=1), is_dose=True)
    first = by_path(parallel_mediation(data, FEW, np.random.default_rng(1)))
    tenfold = replace(data, treatment=10 * data.treatment)
    second = by_path(parallel_mediation(tenfold, FEW, np.random.default_rng(1)))
    one, other = first.loc["indirect"].iloc[0], second.loc["indirect"].iloc[0]
    assert other["estimate"] == pytest.approx(one["estimate"] / 10)
    assert other["ci_low"] == pytest.approx(one["ci_low"] / 10)
    assert other["standardised"] == pytest.approx(one["standardised"])


def test_swapping_the_arms_flips_the_sign_of_every_effect(rng):
    data = trial(rng, n_mediators=1)
    swapped = replace(data, treatment=1 - data.treatment)
    first = parallel_mediation(data, FEW, np.random.default_rng(1)).rows.set_index("path")
    second = parallel_mediation(swapped, FEW, np.random.default_rng(1)).rows.set_index("path")
    for path in ("a", "direct", "total", "indirect"):
        assert second.loc[path, "estimate"] == pytest.approx(-first.loc[path, "estimate"])
        assert second.loc[path, "ci_low"] == pytest.approx(-first.loc[path, "ci_high"])
    assert second.loc["b", "estimate"] == pytest.approx(first.loc["b", "estimate"])


def test_effects_by_level_sum_to_the_same_total(rng):
    rows = interaction_mediation(trial(rng, n_mediators=1), (0, 1), FEW, rng).rows
    estimate = rows.set_index("path")["estimate"]
    assert estimate["d0"] + estimate["z1"] == pytest.approx(estimate["d1"] + estimate["z0"])
    assert estimate["total"] == pytest.approx(estimate["d0"] + estimate["z1"])
    assert "mean of mediator" not in estimate


def test_effects_by_level_equal_predictions_of_the_two_regressions(rng):
    arms = np.tile([[0.0, 0], [1, 0], [0, 1]], (20, 1))
    data = trial(rng, n_mediators=1, arms=arms)
    rows = interaction_mediation(data, (0, 1), FEW, rng).rows.set_index(["path", "term"])
    base = sm.add_constant(np.column_stack([arms, data.covariates]))
    m = data.mediators
    first = sm.OLS(m[:, 0], base).fit()
    second = sm.OLS(data.outcome, np.column_stack([base, m, arms * m])).fit()

    def outcome(arm, arm_of_mediator):
        predictors = base.copy()
        predictors[:, 1:3] = arm_of_mediator
        carried = first.predict(predictors)[:, None]
        predictors[:, 1:3] = arm
        crossed = np.array(arm) * carried
        return second.predict(np.column_stack([predictors, carried, crossed])).mean()

    waiting, treated, name = [0.0, 0], [0.0, 1], data.contrasts[1]
    expected = {
        "d0": outcome(waiting, treated) - outcome(waiting, waiting),
        "d1": outcome(treated, treated) - outcome(treated, waiting),
        "z0": outcome(treated, waiting) - outcome(waiting, waiting),
        "z1": outcome(treated, treated) - outcome(waiting, treated),
    }
    for path, value in expected.items():
        assert rows.loc[(path, name), "estimate"] == pytest.approx(value, rel=1e-8)


def test_participants_with_holes_are_left_out_and_counted(rng):
    data = trial(rng)
    holed = data.mediators.copy()
    holed[[3, 40], 1] = np.nan
    arms = np.tile(["waiting", "cbt"], 30)
    result = parallel_mediation(replace(data, mediators=holed), replace(FEW, strata=arms), rng)
    rest = np.delete(np.arange(60), [3, 40])
    short = replace(
        data,
        treatment=data.treatment[rest],
        mediators=data.mediators[rest],
        outcome=data.outcome[rest],
        covariates=data.covariates[rest],
    )
    expected = parallel_mediation(short, FEW, rng)
    np.testing.assert_allclose(result.rows["estimate"], expected.rows["estimate"], rtol=1e-9)
    assert (result.n, result.n_left_out) == (58, 2)
    assert np.flatnonzero(~result.used).tolist() == [3, 40]
    assert result.rows["note"].str.contains("2 participants left out: a value is missing").all()


def test_a_proportion_of_no_total_effect_is_not_shown(rng):
    data = trial(rng, n_mediators=1)
    noise = replace(data, outcome=data.outcome - data.treatment[:, 0] * 0.5)
    rows = parallel_mediation(noise, FEW, rng).rows.set_index("path")
    assert rows.loc["total", "ci_low"] < 0 < rows.loc["total", "ci_high"]
    assert np.isnan(
        rows.loc["proportion mediated", ["estimate", "ci_low", "p"]].astype(float)
    ).all()
    assert rows.loc["proportion mediated", "note"].startswith("not shown: the total effect")


def test_clusters_give_bootstrap_intervals_to_all_paths(rng):
    sites = np.repeat([f"site {place}" for place in range(6)], 10)
    result = parallel_mediation(trial(rng), replace(FEW, clusters=sites), rng)
    assert (result.rows["interval"] == "percentile bootstrap").all()
    assert result.rows["note"].str.contains("only 6 clusters").all()


def test_a_result_is_an_association_until_its_order_is_checked(rng):
    result = serial_mediation(trial(rng), FEW, rng)
    assert list(result.rows.columns) == MEDIATION_COLUMNS
    assert result.label == "association"
    arm, outcome = Measured("arm", (Moment("before"),)), Measured("BDI", (Moment("after"),))
    during = [Measured(name, (Moment("during", 4),)) for name in ("alliance", "insight")]
    wrong = labelled(result, check_order(arm, during, outcome, serial=True))
    assert wrong.label == "association"
    chain = wrong.rows.set_index("path")["label"]
    assert chain["indirect via alliance"] == "mechanism"
    assert chain["indirect via alliance -> insight"] == "association"
    assert chain["indirect"] == "association"
    later = [during[0], Measured("insight", (Moment("during", 8),))]
    right = labelled(result, check_order(arm, later, outcome, serial=True))
    assert set(right.rows["label"]) == {"mechanism"}


def test_the_same_generator_gives_the_same_rows(rng):
    data = trial(rng)
    tables = [parallel_mediation(data, FEW, np.random.default_rng(5)).to_frame() for _ in range(2)]
    pd.testing.assert_frame_equal(*tables)


def test_a_chain_of_one_is_refused(rng):
    with pytest.raises(ValueError, match="mediators: 2 to 4 in a chain"):
        serial_mediation(trial(rng, n_mediators=1), FEW, rng)


def test_the_planted_effect_is_covered_and_no_effect_is_found_rarely():
    rng = np.random.default_rng(8)
    arm = np.tile([0.0, 1], 40)
    how, covered, found = Resampling(299, 0.95), 0, 0
    for _ in range(40):
        m = 0.6 * arm + rng.normal(size=80)
        noise = rng.normal(size=80)
        for b in (0.5, 0.0):
            data = MediationData(
                arm[:, None], ("arm",), m[:, None], ("m",), b * m + noise, np.empty((80, 0))
            )
            row = parallel_mediation(data, how, rng).rows.set_index("path").loc["indirect"]
            covered += bool(b) and row["ci_low"] <= 0.3 <= row["ci_high"]
            found += not b and row["p"] <= 0.05
    # 3 Monte-Carlo errors of 40 trials: .103
    assert covered / 40 > 0.847
    assert found / 40 < 0.153
