"""Results without each participant in turn."""

import numpy as np
import pytest

from workflows.compute.design import Design, Term
from workflows.compute.influence import NOBODY, InfluenceRequest, influence, left_out
from workflows.compute.regression import least_squares


@pytest.fixture
def rng():
    return np.random.default_rng(8)


def design(n, *covariates):
    arms = np.array(["b", "a"] * (n // 2), dtype=object)
    matrix = np.column_stack([np.ones(n), arms == "b", *covariates]).astype(float)
    names = ("mean change", "b - a", "score", "age")[: matrix.shape[1]]
    terms = (Term("b - a", "arms", np.eye(len(names))[1]),)
    return Design(matrix, names, 2, arms, ("a", "b"), "arm", terms)


def without(values, row):
    return np.where(np.arange(len(values))[:, None] == row, np.nan, values)


def test_cooks_distance_by_hand():
    outcome, score = np.array([[0.0], [2], [1], [3], [0], [2]]), np.arange(6.0)
    arms = np.full(6, "all", dtype=object)
    matrix = np.column_stack([np.ones(6), score])
    line = Design(matrix, ("mean", "score"), 1, arms, ("all",), "1", ())
    _, each = left_out(outcome, line, InfluenceRequest("score", 0.05, 4))
    # mean 8 / 6, slope 3 / 17.5; last person: leverage 1 / 6 + 6.25 / 17.5 = .5238
    slope = 3 / 17.5
    residual = outcome[:, 0] - 8 / 6 - slope * (score - 2.5)
    variance = (residual**2).sum() / 4
    leverage = 1 / 6 + 2.5**2 / 17.5
    expected = residual[5] ** 2 * leverage / (2 * variance * (1 - leverage) ** 2)
    assert each.cook[5, 0] == pytest.approx(expected)
    assert each.estimate[5, 0] == pytest.approx(np.polyfit(score[:5], outcome[:5, 0], 1)[0])


@pytest.mark.parametrize("own_baseline", [False, True])
def test_leaving_out_equals_fitting_again(rng, own_baseline):
    outcome, baseline = rng.normal(size=(2, 14, 3))
    outcome[5, 1] = np.nan
    own = baseline if own_baseline else None
    terms = design(14, rng.normal(size=14), rng.normal(size=14))
    found = influence(outcome, terms, InfluenceRequest("b - a", 0.05, 4), own)
    estimates = [
        least_squares(without(outcome, row), terms, 4, own).estimate[0] for row in range(14)
    ]
    np.testing.assert_allclose(found.low, np.min(estimates, axis=0), rtol=1e-9)
    np.testing.assert_allclose(found.high, np.max(estimates, axis=0), rtol=1e-9)
    whole = least_squares(outcome, terms, 4, own)
    np.testing.assert_allclose(found.fit.estimate, whole.estimate, rtol=1e-9)
    np.testing.assert_allclose(found.fit.standard_error, whole.standard_error, rtol=1e-9)
    assert found.fit.df.tolist() == whole.df.tolist()


def test_standardised_shift_and_p_equal_those_of_fitting_again(rng):
    outcome, terms = rng.normal(size=(12, 1)), design(12, rng.normal(size=12))
    fit, each = left_out(outcome, terms, InfluenceRequest("b - a", 0.05, 4))
    again = least_squares(without(outcome, 7), terms, 4)
    deviation_ratio = fit.standard_error[0, 0] / np.sqrt(
        (np.linalg.lstsq(terms.matrix, outcome, rcond=None)[1] / 9)[0]
    )
    rest = np.arange(12) != 7
    squares = np.linalg.lstsq(terms.matrix[rest], outcome[rest], rcond=None)[1][0]
    shift = (fit.estimate[0, 0] - again.estimate[0, 0]) / (np.sqrt(squares / 8) * deviation_ratio)
    assert each.dfbetas[7, 0] == pytest.approx(shift)
    t = again.estimate[0, 0] / again.standard_error[0, 0]
    assert each.r[7, 0] == pytest.approx(t / np.sqrt(t**2 + 8))


def test_one_person_who_makes_a_result_is_found():
    rng = np.random.default_rng(2)
    score = rng.normal(size=20)
    quiet = -0.5 * score[:, None] + 0.1 * rng.normal(size=(20, 2))
    loud = quiet.copy()
    score[11] = 6.0
    loud[11, 0], quiet[11, 0] = 12.0, -3.0
    found = influence(
        np.column_stack([loud[:, 0], quiet[:, 0]]),
        design(20, score),
        InfluenceRequest("score", 0.05, 4),
    )
    assert found.participant[0] == 11
    assert found.sign_flips.tolist() == [True, False]
    assert found.fit.estimate[0, 0] > 0 > found.low[0]
    assert found.r_low[0] < -0.9
    assert found.dfbetas[0] > 1
    assert found.significance_flips.tolist() == [False, False]


def test_a_result_that_hangs_on_one_person_loses_its_significance():
    rng = np.random.default_rng(4)
    outcome = rng.normal(size=(20, 1))
    score = rng.normal(size=20)
    score[3], outcome[3] = 8.0, 9.0
    found = influence(outcome, design(20, score), InfluenceRequest("score", 0.05, 4))
    assert found.significance_flips[0]
    assert found.participant[0] == 3
    assert found.p_low[0] < 0.05 < found.p_high[0]


def test_a_person_on_whom_a_term_depends_cannot_be_left_out(rng):
    only = np.zeros(12)
    only[4] = 1
    outcome = rng.normal(size=(12, 1))
    _, each = left_out(
        outcome, design(12, rng.normal(size=12), only), InfluenceRequest("score", 0.05, 4)
    )
    assert np.isnan(each.estimate[4, 0])
    assert np.isfinite(np.delete(each.estimate[:, 0], 4)).all()


def test_what_cannot_be_tested_is_nan_and_says_why(rng):
    outcome = rng.normal(size=(12, 3))
    outcome[:, 1], outcome[4:, 2] = 1.5, np.nan
    found = influence(outcome, design(12), InfluenceRequest("b - a", 0.05, 6))
    assert found.participant.tolist()[1:] == [NOBODY, NOBODY]
    assert np.isnan([found.cook[1:], found.low[1:], found.p_high[1:]]).all()
    assert not found.sign_flips[1:].any()
    assert found.fit.note[1] == "no variation between participants"
    assert found.fit.note[2] == "not tested: 4 participants, 6 needed"


def test_a_term_that_does_not_vary_in_a_test_is_not_tested(rng):
    score, outcome = np.zeros(12), rng.normal(size=(12, 1))
    score[10:], outcome[10:] = 1, np.nan
    found = influence(outcome, design(12, score), InfluenceRequest("score", 0.05, 4))
    assert found.fit.note[0] == "not tested: score does not vary"


def test_an_unknown_term_is_refused(rng):
    with pytest.raises(ValueError, match="no 'dose' in mean change, b - a"):
        influence(rng.normal(size=(12, 1)), design(12), InfluenceRequest("dose", 0.05, 4))


def test_many_tests_in_parts_equal_those_together(rng):
    outcome = rng.normal(size=(10, 4100))
    found = influence(outcome, design(10), InfluenceRequest("b - a", 0.05, 4))
    alone = influence(outcome[:, -2:], design(10), InfluenceRequest("b - a", 0.05, 4))
    np.testing.assert_allclose(found.cook[-2:], alone.cook)
    assert found.participant[-2:].tolist() == alone.participant.tolist()
    assert found.fit.estimate.shape == (1, 4100)
