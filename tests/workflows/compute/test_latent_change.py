"""Latent change scores of two and three waves."""

import numpy as np
import pytest
import statsmodels.api as sm
from scipy import stats

from workflows.compute.latent_change import three_wave_change, two_wave_change
from workflows.compute.problems import ModelError


def waves(rng, n, n_waves):
    """Symptoms fall by .3 per unit of the brain measure before; the brain measure by itself."""
    brain, symptoms = rng.multivariate_normal([3, 20], [[1, -0.6], [-0.6, 4]], n).T
    scores = [(brain, symptoms)]
    for _ in range(n_waves - 1):
        shock = rng.multivariate_normal([0, 0], [[0.5, -0.3], [-0.3, 2]], n).T
        brain, symptoms = (
            brain + 1 - 0.3 * brain + shock[0],
            symptoms + 3 - 0.25 * symptoms - 0.8 * brain + shock[1],
        )
        scores.append((brain, symptoms))
    stacked = np.array(scores)
    return stacked[:, 0].T, stacked[:, 1].T


@pytest.fixture
def two():
    return waves(np.random.default_rng(7), 60, 2)


def rows(result):
    return result.rows.set_index("term")


def test_two_complete_waves_give_the_paired_t_test_and_the_sample_variance(two):
    brain, _ = two
    table = rows(two_wave_change({"brain": brain}, 0.95))
    change = brain[:, 1] - brain[:, 0]
    test = stats.ttest_1samp(change, 0)
    mean = table.loc["mean brain change"]
    assert mean["estimate"] == pytest.approx(change.mean(), rel=1e-8)
    assert mean["statistic"] == pytest.approx(test.statistic, rel=1e-6)
    assert mean["p"] == pytest.approx(test.pvalue, rel=1e-5)
    assert mean["df"] == 59
    spread = table.loc["variance of brain change"]
    assert spread["estimate"] == pytest.approx(change.var(ddof=1), rel=1e-7)
    exact = 59 * change.var(ddof=1) / stats.chi2.ppf([0.975, 0.025], 59)
    assert spread[["ci_low", "ci_high"]].tolist() == pytest.approx(exact.tolist(), rel=1e-6)


def test_two_complete_waves_give_the_regression_of_change_on_both_baselines(two):
    brain, symptoms = two
    result = two_wave_change({"brain": brain, "symptoms": symptoms}, 0.95)
    table = rows(result)
    change = symptoms[:, 1] - symptoms[:, 0]
    design = sm.add_constant(np.column_stack([brain[:, 0], symptoms[:, 0]]))
    other = sm.OLS(change, design).fit()
    coupling = table.loc["brain level -> symptoms change"]
    assert coupling["estimate"] == pytest.approx(other.params[1], rel=1e-6)
    assert coupling["standard_error"] == pytest.approx(other.bse[1], rel=1e-6)
    assert coupling["p"] == pytest.approx(other.pvalues[1], rel=1e-4)
    assert table.loc["symptoms level -> symptoms change", "estimate"] == pytest.approx(
        other.params[2], rel=1e-6
    )
    brain_change = brain[:, 1] - brain[:, 0]
    r = stats.pearsonr(change, brain_change)
    limits = r.confidence_interval()
    correlation = table.loc["correlation of changes"]
    assert correlation["estimate"] == pytest.approx(r.statistic, rel=1e-6)
    assert correlation[["ci_low", "ci_high"]].tolist() == pytest.approx(list(limits), rel=1e-4)
    covariance = table.loc["covariance of changes"]
    assert covariance["estimate"] == pytest.approx(np.cov(change, brain_change)[0, 1], rel=1e-6)
    assert covariance["standardised"] == pytest.approx(r.statistic, rel=1e-6)
    assert result.indices.chi2 == pytest.approx(0, abs=1e-6)


def test_the_path_from_a_level_to_its_own_change_is_never_tested(two):
    brain, symptoms = two
    table = rows(two_wave_change({"brain": brain, "symptoms": symptoms}, 0.95))
    three = waves(np.random.default_rng(2), 80, 3)[1]
    for own in (
        table.loc["brain level -> brain change"],
        table.loc["symptoms level -> symptoms change"],
        rows(three_wave_change({"symptoms": three}, 0.95)).loc["symptoms level -> symptoms change"],
    ):
        assert own["note"] == "level-to-change path, not a finding of regression to the mean"
        assert own[["p", "statistic", "standardised"]].isna().all()
        assert own["ci_low"] < own["estimate"] < own["ci_high"]
    assert not table.index.str.contains("baseline correlation").any()


def test_an_arm_as_covariate_is_the_difference_of_changes_and_of_analysis_of_covariance(two):
    brain, _ = two
    arm = np.resize([0.0, 1], 60)
    table = rows(two_wave_change({"brain": brain}, 0.95, {"arm": arm}))
    change = brain[:, 1] - brain[:, 0]
    plain = sm.OLS(change, sm.add_constant(arm)).fit()
    given = sm.OLS(change, sm.add_constant(np.column_stack([arm, brain[:, 0]]))).fit()
    for term, other in (("", plain), (" given baseline", given)):
        row = table.loc[f"arm -> brain change{term}"]
        assert row["estimate"] == pytest.approx(other.params[1], rel=1e-6)
        assert row["standard_error"] == pytest.approx(other.bse[1], rel=1e-6)
        assert row["df"] == other.df_resid


def test_swapping_the_waves_flips_the_sign_of_change(two):
    brain, _ = two
    one = rows(two_wave_change({"brain": brain}, 0.95)).loc["mean brain change"]
    other = rows(two_wave_change({"brain": brain[:, ::-1]}, 0.95)).loc["mean brain change"]
    assert other["estimate"] == pytest.approx(-one["estimate"], rel=1e-8)
    assert other["ci_low"] == pytest.approx(-one["ci_high"], rel=1e-6)


def test_dropout_after_bad_baselines_biases_complete_cases_and_not_the_model():
    rng = np.random.default_rng(31)
    _, symptoms = waves(rng, 20000, 2)
    truth = (symptoms[:, 1] - symptoms[:, 0]).mean()
    symptoms[symptoms[:, 0] > 19, 1] = np.nan
    result = two_wave_change({"symptoms": symptoms}, 0.95)
    row = rows(result).loc["mean symptoms change"]
    complete = np.nanmean(symptoms[:, 1] - symptoms[:, 0])
    assert complete - truth > 0.25
    assert row["estimate"] == pytest.approx(truth, abs=0.08)
    assert row["df"] == np.isfinite(symptoms[:, 1]).sum() - 1
    assert any("missing at random" in note for note in result.notes)


def test_three_waves_recover_coupling_in_its_direction():
    brain, symptoms = waves(np.random.default_rng(9), 3000, 3)
    table = rows(three_wave_change({"brain": brain, "symptoms": symptoms}, 0.95))
    assert table.loc["brain level -> symptoms change", "estimate"] == pytest.approx(-0.8, abs=0.06)
    assert table.loc["symptoms level -> brain change", "estimate"] == pytest.approx(0, abs=0.02)
    assert table.loc["symptoms level -> symptoms change", "estimate"] == pytest.approx(
        -0.25, abs=0.04
    )
    changes = np.diff(brain)
    assert table.loc["mean brain change 2", "estimate"] == pytest.approx(
        changes[:, 1].mean(), rel=1e-6
    )
    assert table.loc["correlation of changes 2 given the levels before", "estimate"] == (
        pytest.approx(-0.3, abs=0.05)
    )


def test_dual_change_recovers_proportion_constant_part_and_error():
    rng = np.random.default_rng(14)
    level, constant = rng.multivariate_normal([10, -2], [[4, 0.5], [0.5, 1]], 4000).T
    true = [level]
    for _ in range(2):
        true.append(true[-1] + constant - 0.2 * true[-1])
    scores = np.array(true).T + rng.normal(size=(4000, 3))
    result = three_wave_change({"symptoms": scores}, 0.95, "dual")
    table = rows(result)
    assert table.loc["symptoms level -> symptoms change", "estimate"] == pytest.approx(
        -0.2, abs=0.05
    )
    assert table.loc["variance symptoms constant change", "estimate"] == pytest.approx(1, abs=0.25)
    assert table.loc["error symptoms", "estimate"] == pytest.approx(1, abs=0.1)
    assert (result.indices.df, result.indices.n_parameters) == (2, 7)


def test_bad_input_is_refused(two):
    brain, symptoms = two
    with pytest.raises(ValueError, match="n_participants x 3"):
        three_wave_change({"brain": brain}, 0.95)
    with pytest.raises(ValueError, match="one or two arrays"):
        two_wave_change({}, 0.95)
    with pytest.raises(ValueError, match="'linear'"):
        three_wave_change({"brain": brain}, 0.95, "linear")
    with pytest.raises(ModelError, match="'brain 1' has 0 values"):
        two_wave_change({"brain": brain * [1, np.nan]}, 0.95)
    with pytest.raises(ModelError):
        two_wave_change({"brain": np.column_stack([brain[:, 0], brain[:, 0] + 1])}, 0.95)
    arm = np.resize([0.0, 1], 60)
    arm[:2] = np.nan
    result = two_wave_change({"brain": brain}, 0.95, {"arm": arm})
    assert result.notes[0] == "2 participants without scores or covariates left out"
    assert result.rows["n"].eq(58).all()
