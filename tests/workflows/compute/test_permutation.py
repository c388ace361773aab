"""Freedman-Lane permutation tests, compared with ordinary least squares one by one."""

import numpy as np
import pytest
from scipy import stats
from statsmodels.api import OLS

from workflows.compute import permutation
from workflows.compute.exchangeability import Exchangeability, free, relabellings
from workflows.compute.permutation import (
    equal_p,
    freedman_lane,
    prepared,
    share_reaching,
    split_contrast,
)

ARM = np.array([0.0, 1, 1, 1])


@pytest.fixture
def rng():
    return np.random.default_rng(8)


def eight_people():
    """Two arms, a covariate that goes with the arm, three outcomes; 1,120 distinct labellings."""
    arm = np.array([1.0, 1, 0, 1, 0, 0, 1, 0])
    age = np.array([2.0, 2, 0, 2, 0, 2, 0, 0])
    matrix = np.column_stack([np.ones(8), arm, age])
    noise = np.random.default_rng(3).normal(size=(8, 3))
    return noise + np.outer(matrix[:, 2], [1, 0, -2]) + np.outer(arm, [2, 0.5, 0]), matrix


def t_by_statsmodels(outcome, matrix, order, signs=None):
    """T of the second term after the residuals of the nuisance moved, and these were added."""
    tested = min(1, matrix.shape[1] - 1)
    nuisance = np.delete(matrix, tested, axis=1)
    reduced = OLS(outcome, nuisance).fit() if nuisance.shape[1] else None
    fitted = 0 if reduced is None else reduced.fittedvalues
    residual = outcome if reduced is None else reduced.resid
    moved = np.empty_like(residual)
    moved[order] = residual * (1 if signs is None else signs)
    return OLS(fitted + moved, matrix).fit().tvalues[tested]


def test_all_relabellings_of_eight_people_equal_statsmodels_one_by_one(rng):
    outcome, matrix = eight_people()
    drawn = relabellings(matrix, free(8), 2000, rng)
    # 8! / (3! 3! 1! 1!): four kinds of people
    assert drawn.n_relabellings + 1 == 1120
    result = freedman_lane(outcome, matrix, np.array([0, 1, 0]), drawn, 4, uncorrected=True)
    some = np.linspace(0, drawn.n_relabellings - 1, 150, dtype=int)
    expected = np.array(
        [[t_by_statsmodels(y, matrix, drawn.order[place]) for y in outcome.T] for place in some]
    )
    np.testing.assert_allclose(result.max_statistic[some], np.abs(expected).max(axis=1), rtol=1e-9)
    observed = [OLS(y, matrix).fit().tvalues[1] for y in outcome.T]
    np.testing.assert_allclose(result.statistic, observed, rtol=1e-10)


def test_exact_p_in_two_sites_equals_statsmodels(rng):
    outcome, matrix = eight_people()
    sites = np.array([0, 0, 0, 0, 1, 1, 1, 1])
    drawn = relabellings(matrix, Exchangeability(sites), 2000, rng)
    assert drawn.exact
    result = freedman_lane(outcome, matrix, np.array([0, 1, 0]), drawn, 4, uncorrected=True)
    every = [np.arange(8), *drawn.order]
    t = np.abs([[t_by_statsmodels(y, matrix, order) for y in outcome.T] for order in every])
    alone = (t >= t[0] - 1e-9).mean(axis=0)
    joint = (t.max(axis=1)[:, None] >= t[0] - 1e-9).mean(axis=0)
    np.testing.assert_allclose(result.p_uncorrected, alone, rtol=1e-12)
    np.testing.assert_allclose(result.p_fwe, joint, rtol=1e-12)
    assert result.method == f"Freedman-Lane, largest |t|, {len(every) - 1} all relabellings"


@pytest.mark.parametrize("with_covariate", [False, True])
def test_signs_of_one_arm_equal_statsmodels(rng, with_covariate):
    age = np.array([-3.0, 1, 2, -1, 4, -2, -1])
    matrix = np.column_stack([age, np.ones(7)]) if with_covariate else np.ones((7, 1))
    outcome = rng.normal(size=(7, 2)) + [1, 0] + np.outer(age, [0.3, 1])
    drawn = relabellings(matrix, Exchangeability(np.arange(7), flips=True), 127, rng)
    contrast = np.array([0, 1]) if with_covariate else np.array([1])
    result = freedman_lane(outcome, matrix, contrast, drawn, 4)
    order = np.arange(7)
    t = np.abs([[t_by_statsmodels(y, matrix, order, s) for y in outcome.T] for s in drawn.signs])
    np.testing.assert_allclose(result.max_statistic, t.max(axis=1), rtol=1e-9)
    assert drawn.smallest_p == 1 / 128


def test_two_arms_without_covariates_equal_the_permutation_of_scipy(rng):
    matrix = np.column_stack([np.ones(9), np.repeat([0.0, 1], [4, 5])])
    outcome = rng.normal(size=(9, 1)) + matrix[:, [1]]
    drawn = relabellings(matrix, free(9), 125, rng)
    assert drawn.n_relabellings + 1 == 126
    result = freedman_lane(outcome, matrix, np.array([0, 1]), drawn, 4, uncorrected=True)

    def absolute_t(a, b):
        return abs(stats.ttest_ind(a, b).statistic)

    peer = stats.permutation_test(
        (outcome[4:, 0], outcome[:4, 0]), absolute_t, n_resamples=200, alternative="greater"
    )
    assert result.p_fwe[0] == pytest.approx(peer.pvalue, rel=1e-12)
    assert result.p_uncorrected[0] == result.p_fwe[0]
    assert result.statistic[0] == pytest.approx(
        stats.ttest_ind(outcome[4:, 0], outcome[:4, 0]).statistic
    )


def trial(rng, n, n_tests):
    arm = np.resize([0.0, 1], n)
    covariates = rng.normal(size=(n, 2)) + arm[:, None]
    matrix = np.column_stack([np.ones(n), arm, covariates])
    return rng.normal(size=(n, n_tests)) + covariates @ rng.normal(size=(2, n_tests)), matrix


def test_single_precision_gives_the_t_of_statsmodels_to_six_digits(rng):
    outcome, matrix = trial(rng, 40, 7)
    outcome[3, 2], matrix[5, 2] = 300, 30
    drawn = relabellings(matrix, free(40), 60, rng)
    result = freedman_lane(outcome, matrix, np.array([0, 1, 0, 0]), drawn, 4)
    t = [[t_by_statsmodels(y, matrix, order) for y in outcome.T] for order in drawn.order]
    np.testing.assert_allclose(result.max_statistic, np.abs(t).max(axis=1), rtol=2e-5)


def test_a_nuisance_term_that_explains_almost_all_is_recalculated_in_double_precision(rng):
    outcome, matrix = trial(rng, 40, 3)
    matrix[0, 2] = outcome[0, 1] = 1e4
    drawn = relabellings(matrix, free(40), 400, rng)
    hits = np.flatnonzero(drawn.order[:, 0] == 0)
    assert len(hits) > 2
    result = freedman_lane(outcome, matrix, np.array([0, 1, 0, 0]), drawn, 4)
    outcome[0, 1] += 1e5
    result = freedman_lane(outcome[:, [1]], matrix, np.array([0, 1, 0, 0]), drawn, 4)
    for place in hits:
        t = t_by_statsmodels(outcome[:, 1], matrix, drawn.order[place])
        assert result.max_statistic[place] == pytest.approx(abs(t), rel=1e-5)


def test_nuisance_that_no_relabelling_changes_is_found(rng):
    outcome, matrix = trial(rng, 12, 2)
    site = np.repeat([0, 1, 2], 4)
    matrix = np.column_stack([matrix[:, :3], site == 1, site == 2])
    for exchange, expected in (
        (free(12), 1),
        (Exchangeability(site), 3),
        (Exchangeability(np.arange(12), flips=True), 0),
    ):
        drawn = relabellings(matrix, exchange, 20, rng)
        contrast = prepared(outcome, matrix, np.eye(5)[1], drawn, 4)
        assert contrast.n_unchanged == expected
        moved = drawn.of(contrast.terms[:expected], slice(None), np.arange(12))
        still = np.broadcast_to(contrast.terms[:expected, None], moved.shape)
        np.testing.assert_allclose(moved, still, atol=1e-12)


def test_sizes_of_the_blocks_do_not_matter(rng, monkeypatch):
    outcome, matrix = trial(rng, 50, 33)
    drawn = relabellings(matrix, free(50), 70, rng)
    contrast = np.array([0, 1, 0, 0])
    whole = freedman_lane(outcome, matrix, contrast, drawn, 4, uncorrected=True)
    monkeypatch.setattr(permutation, "BLOCK_TESTS", 5)
    monkeypatch.setattr(permutation, "BLOCK_RELABELLINGS", 16)
    small = freedman_lane(outcome, matrix, contrast, drawn, 4, uncorrected=True)
    np.testing.assert_array_equal(small.p_fwe, whole.p_fwe)
    np.testing.assert_array_equal(small.p_uncorrected, whole.p_uncorrected)
    np.testing.assert_allclose(small.max_statistic, whole.max_statistic, rtol=1e-5)


def test_the_sign_is_that_of_the_contrast_and_p_does_not_depend_on_it(rng):
    outcome, matrix = trial(rng, 30, 5)
    drawn = relabellings(matrix, free(30), 99, rng)
    plus, minus = (
        freedman_lane(outcome, matrix, sign * np.array([0, 1, 0, 0]), drawn, 4) for sign in (1, -1)
    )
    np.testing.assert_allclose(plus.statistic, -minus.statistic)
    np.testing.assert_array_equal(plus.p_fwe, minus.p_fwe)


def test_difference_of_two_arms_that_are_both_compared_with_a_third(rng):
    arms = np.resize([0, 1, 2], 30)
    matrix = np.column_stack([np.ones(30), arms == 1, arms == 2]).astype(float)
    outcome = rng.normal(size=(30, 1))
    drawn = relabellings(matrix, free(30), 20, rng)
    result = freedman_lane(outcome, matrix, np.array([0, 1, -1]), drawn, 4)
    expected = OLS(outcome[:, 0], matrix).fit().t_test([0, 1, -1])
    assert result.statistic[0] == pytest.approx(float(expected.tvalue.squeeze()), rel=1e-10)
    assert result.df[0] == 27


def test_the_regressor_of_a_contrast_has_its_value_as_coefficient(rng):
    outcome, matrix = rng.normal(size=12), rng.normal(size=(12, 3))
    weights = np.array([1.0, -2, 0.5])
    interest, nuisance = split_contrast(matrix, weights)
    value = weights @ np.linalg.lstsq(matrix, outcome, rcond=None)[0]
    both = np.column_stack([interest, nuisance])
    assert np.linalg.lstsq(both, outcome, rcond=None)[0][0] == pytest.approx(value)


def test_holes_leave_people_out_of_that_test_and_keep_one_relabelling_for_all(rng):
    outcome, matrix = trial(rng, 12, 3)
    outcome[[1, 6], 1] = np.nan
    drawn = relabellings(matrix, free(12), 40, rng)
    contrast = np.array([0, 1, 0, 0])
    result = freedman_lane(outcome, matrix, contrast, drawn, 4)
    assert (result.n.tolist(), result.df.tolist()) == ([12, 10, 12], [8, 6, 8])
    rows = np.isfinite(outcome[:, 1])
    y = outcome[rows, 1]
    assert result.statistic[1] == pytest.approx(OLS(y, matrix[rows]).fit().tvalues[1])
    residual = OLS(y, np.delete(matrix[rows], 1, axis=1)).fit().resid
    for place, order in enumerate(drawn.order):
        holed = abs(OLS(residual, matrix[order][rows]).fit().tvalues[1])
        others = [abs(t_by_statsmodels(outcome[:, j], matrix, order)) for j in (0, 2)]
        same_p = stats.t.isf(stats.t.sf(holed, 6), 8)
        assert result.max_statistic[place] == pytest.approx(max(*others, same_p), rel=1e-9)


def test_tests_that_cannot_be_made_are_noted_and_not_counted(rng):
    outcome, matrix = trial(rng, 20, 5)
    drawn = relabellings(matrix, free(20), 30, rng)
    contrast = np.array([0, 1, 0, 0])
    alone = freedman_lane(outcome[:, [0, 4]], matrix, contrast, drawn, 6)
    outcome[:, 1] = 7
    outcome[4:, 2] = np.nan
    outcome[matrix[:, 1] == 0, 3] = np.nan
    result = freedman_lane(outcome, matrix, contrast, drawn, 6)
    assert result.note.tolist() == [
        "",
        "no variation between participants",
        "not tested: 4 participants, 6 needed",
        "not tested: terms are collinear in these participants",
        "",
    ]
    assert np.isnan([result.p_fwe[1:4], result.statistic[1:4], result.p_uncorrected[1:4]]).all()
    np.testing.assert_array_equal(result.p_fwe[[0, 4]], alone.p_fwe)


def test_a_relabelling_that_leaves_one_arm_only_counts_as_no_difference(rng):
    matrix = np.column_stack([np.ones(6), [1.0, 1, 0, 0, 0, 0]])
    outcome = rng.normal(size=(6, 1))
    outcome[[4, 5]] = np.nan
    drawn = relabellings(matrix, free(6), 20, rng)
    result = freedman_lane(outcome, matrix, np.array([0, 1]), drawn, 3)
    empty = (matrix[drawn.order][:, :4, 1] == 0).all(axis=1)
    assert empty.sum() == 1
    assert result.max_statistic[empty].tolist() == [0]
    assert (result.max_statistic[~empty] > 0.01).all()


def test_no_test_at_all_gives_no_p(rng):
    _, matrix = trial(rng, 10, 1)
    drawn = relabellings(matrix, free(10), 5, rng)
    result = freedman_lane(np.full((10, 2), np.nan), matrix, np.array([0, 1, 0, 0]), drawn, 6)
    assert np.isnan(result.p_fwe).all()
    assert result.n.tolist() == [0, 0]


def test_the_same_seed_gives_the_same_p_values():
    outcome, matrix = trial(np.random.default_rng(1), 40, 6)
    first, second = (
        freedman_lane(
            outcome,
            matrix,
            np.array([0, 1, 0, 0]),
            relabellings(matrix, free(40), 99, np.random.default_rng(4)),
            6,
        )
        for _ in range(2)
    )
    np.testing.assert_array_equal(first.p_fwe, second.p_fwe)
    np.testing.assert_array_equal(first.max_statistic, second.max_statistic)


def test_a_planted_effect_is_found_and_nothing_else(rng):
    outcome, matrix = trial(rng, 40, 200)
    outcome[:, 17] += 2.5 * matrix[:, 1]
    drawn = relabellings(matrix, free(40), 499, rng)
    result = freedman_lane(outcome, matrix, np.array([0, 1, 0, 0]), drawn, 6)
    assert np.flatnonzero(result.p_fwe <= 0.05).tolist() == [17]
    assert result.statistic[17] > 4
    assert result.p_fwe[17] == 1 / 500


def null_data(rng, kind):
    """Data without an effect of the arm (or without a mean change), who may be exchanged."""
    outcome, matrix = trial(rng, 16, 12)
    outcome += rng.normal(size=(16, 1))
    if kind == "sites":
        site = np.repeat([0.0, 1], 8)
        outcome += np.outer(site, np.arange(12))
        return outcome, np.column_stack([matrix, site]), Exchangeability(site)
    if kind == "signs":
        age = matrix[:, 2] - matrix[:, 2].mean()
        outcome = rng.standard_t(4, size=(16, 12)) + np.outer(age, np.arange(12))
        return (
            outcome,
            np.column_stack([age, np.ones(16)]),
            Exchangeability(np.arange(16), flips=True),
        )
    if kind == "holes":
        outcome[rng.random(outcome.shape) < 0.1] = np.nan
    return outcome, matrix, free(16)


@pytest.mark.parametrize("kind", ["free", "sites", "signs", "holes"])
def test_family_wise_error_without_effect(kind):
    rng, found = np.random.default_rng(21), 0
    n_trials = 80 if kind == "holes" else 200
    for _ in range(n_trials):
        outcome, matrix, exchange = null_data(rng, kind)
        drawn = relabellings(matrix, exchange, 19, rng)
        contrast = np.eye(matrix.shape[1])[1]
        found += freedman_lane(outcome, matrix, contrast, drawn, 6).p_fwe.min() <= 0.05
    spread = np.sqrt(n_trials * 0.05 * 0.95)
    assert abs(found - 0.05 * n_trials) <= 3 * spread


def test_p_by_hand():
    largest = np.array([1.0, 3, 2, 4])
    p = share_reaching(np.array([3.0, 2.5, 9, 0.1, np.nan, 4 + 1e-6]), largest)
    np.testing.assert_allclose(p, [3 / 5, 3 / 5, 1 / 5, 1, np.nan, 2 / 5])


def test_equal_p_by_the_table_of_t():
    # two-sided .05: 2.228 with 10 and 2.042 with 30 degrees of freedom
    assert equal_p(np.array([2.2281]), 10, 30)[0] == pytest.approx(2.0423, abs=1e-4)
    assert equal_p(np.array([np.inf]), 10, 30)[0] == np.inf


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"outcome": np.ones((9, 2))}, "outcome, matrix: two dimensions, one row"),
        ({"contrast": np.zeros(4)}, "contrast: one weight per term, not all 0"),
        ({"contrast": ARM[:3]}, "contrast: one weight per term"),
        ({"matrix": np.full((10, 4), np.nan)}, "matrix: leave out participants with missing"),
    ],
)
def test_wrong_arguments_are_named(rng, change, message):
    outcome, matrix = trial(rng, 10, 2)
    drawn = relabellings(matrix, free(10), 5, rng)
    given = {"outcome": outcome, "matrix": matrix, "contrast": ARM, **change}
    with pytest.raises(ValueError, match=message):
        freedman_lane(**given, relabellings=drawn, min_participants=4)
    with pytest.raises(ValueError, match="relabellings: made for another number"):
        freedman_lane(outcome[:8], matrix[:8], ARM, drawn, 4)
