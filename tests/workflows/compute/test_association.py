"""Change with change: rank correlation, post-on-pre, people by status, residuals."""

import numpy as np
import pytest
from scipy import stats

from workflows.compute.association import (
    PrePost,
    followup_correlation,
    partial_residuals,
    rank_interval,
    rank_partial_correlation,
    status_design,
)
from workflows.compute.design import Design
from workflows.compute.effects import correlation_interval
from workflows.compute.problems import ModelError
from workflows.compute.regression import least_squares, partial_correlation


@pytest.fixture
def rng():
    return np.random.default_rng(5)


def one_arm(n, *covariates):
    matrix = np.column_stack([np.ones(n), *covariates]).astype(float)
    names = ("mean change", "age", "sex")[: matrix.shape[1]]
    return Design(matrix, names, 1, np.full(n, "all", dtype=object), ("all",), "1", ())


def two_arms(n, *covariates):
    arms = np.array(["b", "a"] * (n // 2), dtype=object)
    matrix = np.column_stack([np.ones(n), arms == "b", *covariates]).astype(float)
    names = ("mean change", "b - a", "age")[: matrix.shape[1]]
    return Design(matrix, names, 2, arms, ("a", "b"), "arm", ())


def from_inverse(*variables):
    """Partial correlation of the first two variables given the rest, from the inverse."""
    inverse = np.linalg.inv(np.corrcoef(variables))
    return -inverse[0, 1] / np.sqrt(inverse[0, 0] * inverse[1, 1])


def test_rank_correlation_by_hand_with_a_tie():
    outcome = np.array([[10.0], [200], [30], [30], [5]])
    partner = np.array([2.0, 1, 4, 3, 5])
    fit = rank_partial_correlation(outcome, partner, one_arm(5), 4)
    # ranks 2 5 3.5 3.5 1 and 2 1 4 3 5; products of deviations -6.5, squares 9.5 and 10
    assert fit.estimate[0, 0] == pytest.approx(-6.5 / np.sqrt(9.5 * 10))
    assert fit.df[0] == 3


def test_rank_correlation_given_a_covariate_equals_the_formula_of_spearman_correlations(rng):
    outcome, partner, age = rng.normal(size=(3, 25)) + rng.normal(size=25)
    xy, xz, yz = (
        stats.spearmanr(*pair)[0] for pair in ((outcome, partner), (outcome, age), (partner, age))
    )
    expected = (xy - xz * yz) / np.sqrt((1 - xz**2) * (1 - yz**2))
    fit = rank_partial_correlation(outcome[:, None], partner, one_arm(25, age), 4)
    assert fit.estimate[0, 0] == pytest.approx(expected, rel=1e-12)
    assert fit.standard_error[0, 0] == pytest.approx(np.sqrt((1 - expected**2) / 22))


def test_ranks_do_not_change_with_the_scale_and_flip_with_the_sign(rng):
    outcome, partner = rng.normal(size=(20, 3)), rng.normal(size=20)
    design = two_arms(20, rng.normal(size=20))
    first = rank_partial_correlation(outcome, partner, design, 4)
    stretched = rank_partial_correlation(np.exp(outcome), -(partner**3), design, 4)
    np.testing.assert_allclose(stretched.estimate, -first.estimate, rtol=1e-10)


def test_ranks_are_those_of_the_participants_of_each_test(rng):
    outcome, partner = rng.normal(size=(16, 2)), rng.normal(size=16)
    outcome[3, 1], partner[6] = np.nan, np.nan
    fit = rank_partial_correlation(outcome, partner, one_arm(16), 4)
    assert fit.n.tolist() == [15, 14]
    there = np.delete(np.arange(16), [3, 6])
    expected = stats.spearmanr(outcome[there, 1], partner[there])[0]
    assert fit.estimate[0, 1] == pytest.approx(expected)


def test_tests_that_cannot_be_made_say_why(rng):
    outcome = rng.normal(size=(12, 3))
    outcome[:, 1], outcome[1::2, 2] = 4.2, np.nan
    fit = rank_partial_correlation(outcome, rng.normal(size=12), two_arms(12), 4)
    assert np.isfinite(fit.estimate[0]).tolist() == [True, False, False]
    assert fit.note.tolist() == [
        "",
        "no variation between participants",
        "not tested: fewer than 2 participants in arm 'a'",
    ]


def test_followup_correlation_holds_both_baselines_constant(rng):
    before = rng.normal(size=(30, 3))
    after = before + rng.normal(size=(30, 3))
    score = PrePost(*(rng.normal(size=(2, 30)) + before[:, 0]))
    fit = followup_correlation(PrePost(before, after), score, one_arm(30), 4)
    for test in range(3):
        parts = after[:, test], score.followup, before[:, test], score.baseline
        assert fit.estimate[0, test] == pytest.approx(from_inverse(*parts), rel=1e-9)
    assert fit.df.tolist() == [26, 26, 26]


def test_followup_correlation_of_ranks_equals_that_of_ranked_values(rng):
    before, after = rng.normal(size=(2, 24, 1))
    score = PrePost(*rng.normal(size=(2, 24)))
    fit = followup_correlation(PrePost(before, after), score, one_arm(24), 4, ranks=True)
    parts = after[:, 0], score.followup, before[:, 0], score.baseline
    expected = from_inverse(*map(stats.rankdata, parts))
    assert fit.estimate[0, 0] == pytest.approx(expected, rel=1e-9)


def test_measurement_error_alone_makes_no_followup_correlation(rng):
    true = rng.normal(size=(200, 300))
    noisy = PrePost(*(true + rng.normal(size=(2, 200, 300))))
    score = PrePost(*(true[:, 0] + rng.normal(size=(2, 200))))
    fit = followup_correlation(noisy, score, one_arm(200), 4)
    assert abs(np.mean(fit.estimate[0, 1:])) < 0.02


def test_a_missing_baseline_leaves_the_participant_out(rng):
    before, after = rng.normal(size=(2, 15, 2))
    before[4, 0] = np.nan
    score = PrePost(*rng.normal(size=(2, 15)))
    fit = followup_correlation(PrePost(before, after), score, one_arm(15), 4)
    assert fit.n.tolist() == [14, 15]
    with pytest.raises(ValueError, match="followup"):
        PrePost(before, after[:, :1])


def test_rank_interval_by_hand():
    # z = .5493, error sqrt((1 + .125) / 27) = .2041, half .4001: tanh(.1492), tanh(.9494)
    interval = rank_interval(np.array([0.5]), np.array([28]), 0.95)
    assert interval.low[0] == pytest.approx(0.1481, abs=1e-4)
    assert interval.high[0] == pytest.approx(0.7396, abs=1e-4)


def test_rank_intervals_are_wider_than_fisher_and_need_participants():
    r, df = np.array([0.6, 0.0, np.nan, 0.6]), np.array([20, 20, 20, 1])
    rank, fisher = rank_interval(r, df, 0.95), correlation_interval(r, df, 0.95)
    assert rank.low[0] < fisher.low[0]
    assert rank.low[1] == pytest.approx(fisher.low[1])
    assert np.isnan(rank.low[2:]).all()


@pytest.mark.parametrize("rho", [0.0, 0.5])
def test_intervals_cover_their_share(rng, rho):
    partner = rng.normal(size=30)
    design = two_arms(30, rng.normal(size=30))
    covered = {"value": [], "rank": []}
    for _ in range(250):
        partner = rng.normal(size=30)
        own = rng.normal(size=(30, 16))
        outcome = rho * partner[:, None] + np.sqrt(1 - rho**2) * own
        fit = partial_correlation(outcome, partner, design, 4)
        limits = correlation_interval(fit.estimate[0], fit.df, 0.95)
        covered["value"].append((limits.low <= rho) & (rho <= limits.high))
        fit = rank_partial_correlation(outcome, partner, design, 4)
        limits = rank_interval(fit.estimate[0], fit.df, 0.95)
        rank_rho = 6 / np.pi * np.arcsin(rho / 2)
        covered["rank"].append((limits.low <= rank_rho) & (rank_rho <= limits.high))
    for shares in covered.values():
        assert 0.935 <= np.mean(shares) <= 0.965


def test_people_who_remitted_are_compared_with_the_others_within_arms():
    status = np.array([1.0, 0, 0, 1, 1, np.nan, 0, 0])
    change = np.array([[4.0], [1], [2], [7], [6], [100], [2], [3]])
    design = status_design(status, two_arms(8))
    fit = least_squares(change, design, 4)
    # arm b: remitted 4, 6, others 2, 2; arm a: remitted 7, others 1, 3: differences 3 and 5,
    # weights 4 / 4 and 2 / 3
    assert fit.estimate[0, 0] == pytest.approx((3 * 1 + 5 * 2 / 3) / (1 + 2 / 3))
    assert design.names[:2] == ("mean of not remitted", "remitted - not remitted")
    assert fit.counts[:, 0].tolist() == [4, 3]
    assert design.formula == "remitted + arm"


def test_a_status_is_yes_no_or_unknown():
    with pytest.raises(ValueError, match="status"):
        status_design(np.array([0, 1, 2.0]), one_arm(3))


def test_residuals_have_the_slope_of_the_full_model_and_the_means_of_the_data(rng):
    age = rng.normal(size=20)
    design = two_arms(20, age)
    partner = age + rng.normal(size=20)
    outcome = 2 * partner - 3 * age + rng.normal(size=20)
    outcome[2] = np.nan
    points = partial_residuals(outcome, partner, design)
    assert points.rows.tolist() == [row for row in range(20) if row != 2]
    x = np.column_stack([design.matrix, partner])[points.rows]
    full = np.linalg.lstsq(x, outcome[points.rows], rcond=None)
    assert points.slope == pytest.approx(full[0][3])
    assert points.residual_deviation == pytest.approx(np.sqrt(full[1][0] / 15))
    assert points.df == 15
    assert points.x.mean() == pytest.approx(partner[points.rows].mean())
    assert points.y.mean() == pytest.approx(np.nanmean(outcome))


def test_the_band_of_a_line_by_hand():
    outcome, partner = np.array([0.0, 2, 1, 3]), np.array([1.0, 2, 3, 4])
    points = partial_residuals(outcome, partner, one_arm(4))
    # line y = -.5 + .8 x; squares 1.8, 2 degrees of freedom
    low, high = points.band(np.array([2.5, 4.0]), 0.95)
    half = stats.t.ppf(0.975, 2) * np.sqrt(0.9) * np.sqrt([1 / 4, 1 / 4 + 1.5**2 / 5])
    np.testing.assert_allclose(low, np.array([1.5, 2.7]) - half)
    np.testing.assert_allclose(high, np.array([1.5, 2.7]) + half)


def test_residuals_of_too_few_people_or_one_value_are_refused():
    with pytest.raises(ModelError, match="cannot be told apart"):
        partial_residuals(np.array([1.0, 2]), np.array([1.0, 3]), one_arm(2))
    with pytest.raises(ModelError, match="no variation"):
        partial_residuals(np.array([1.0, 2, 3, 4]), np.ones(4), one_arm(4))
