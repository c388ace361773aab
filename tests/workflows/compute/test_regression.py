"""Least squares for many outcomes with missing values."""

import time

import numpy as np
import pytest

from workflows.compute.design import Design, Term
from workflows.compute.regression import least_squares, missingness_patterns, partial_correlation


@pytest.fixture
def rng():
    return np.random.default_rng(11)


def design(n, covariates=None):
    arms = np.array(["b", "a"] * (n // 2), dtype=object)
    columns = [np.ones(n), arms == "b"] + ([] if covariates is None else [covariates])
    matrix = np.column_stack(columns).astype(float)
    names = ("mean change", "b - a", "age")[: len(columns)]
    eye = np.eye(len(columns))
    terms = (Term("mean change", "mean", eye[0]), Term("b - a", "arms", eye[1]))
    return Design(matrix, names, 2, arms, ("a", "b"), "arm", terms)


def test_patterns_cover_each_test_once(rng):
    present = rng.random((11, 50)) > 0.2
    covered = []
    for rows, columns in missingness_patterns(present):
        covered += columns.tolist()
        for column in columns:
            assert np.flatnonzero(present[:, column]).tolist() == rows.tolist()
    assert np.unique(covered).size == len(covered) == 50


def test_difference_of_two_arms_by_hand():
    outcome = np.array([[3.0], [1], [5], [2], [7], [3]])
    fit = least_squares(outcome, design(6), 4)
    # arm b: 3, 5, 7; arm a: 1, 2, 3; squares 8 and 2 with 4 degrees of freedom
    np.testing.assert_allclose(fit.estimate[:, 0], [2, 3])
    np.testing.assert_allclose(fit.standard_error[1, 0], np.sqrt(10 / 4 * 2 / 3))
    assert (fit.df[0], fit.n[0], fit.counts[:, 0].tolist()) == (4, 6, [3, 3])


def test_a_hole_takes_the_participant_out_of_that_test_only(rng):
    outcome = rng.normal(size=(20, 3))
    full = least_squares(outcome, design(20), 4)
    outcome[4, 1] = np.nan
    holed = least_squares(outcome, design(20), 4)
    assert holed.n.tolist() == [20, 19, 20]
    np.testing.assert_allclose(holed.estimate[:, [0, 2]], full.estimate[:, [0, 2]], rtol=1e-12)
    rest = np.delete(outcome[:, 1], 4)
    arm_b = np.delete(design(20).matrix[:, 1], 4) == 1
    expected = rest[arm_b].mean() - rest[~arm_b].mean()
    assert holed.estimate[1, 1] == pytest.approx(expected, rel=1e-12)


def test_a_baseline_of_its_own_equals_a_shared_covariate(rng):
    baseline = rng.normal(size=20)
    outcome = rng.normal(size=(20, 4))
    shared = least_squares(outcome, design(20, baseline), 4)
    own = least_squares(outcome, design(20), 4, np.tile(baseline[:, None], 4))
    np.testing.assert_allclose(own.estimate[1], shared.estimate[1], rtol=1e-10)
    np.testing.assert_allclose(own.standard_error[1], shared.standard_error[1], rtol=1e-10)
    assert own.df.tolist() == shared.df.tolist()


def test_collinear_covariates_in_a_subset_are_not_tested(rng):
    outcome, matrix = rng.normal(size=(12, 1)), design(12, rng.normal(size=12))
    matrix.matrix[:10, 2] = matrix.matrix[:10, 1]
    outcome[10:] = np.nan
    fit = least_squares(outcome, matrix, 4)
    assert fit.note[0] == "not tested: covariates are collinear in these participants"
    assert np.isnan(fit.estimate).all()


def test_an_arm_that_is_missing_in_a_test_is_named(rng):
    outcome = rng.normal(size=(12, 1))
    outcome[1::2] = np.nan
    fit = least_squares(outcome, design(12), 4)
    assert fit.note[0] == "not tested: fewer than 2 participants in arm 'a'"


def test_partial_correlation_by_hand_and_its_sign():
    partner = np.array([1.0, 2, 2, 3, 3, 4])
    outcome = np.column_stack([partner, -partner, [1.0, 1, 2, 3, 3, 2]])
    fit = partial_correlation(outcome, partner, design(6), 4)
    # within arms: partner (-1, 0, 1), (-1, 0, 1); third outcome (-1, 0, 1), (-1, 1, 0)
    np.testing.assert_allclose(fit.estimate[0], [1, -1, 3 / 4])
    assert fit.df.tolist() == [3, 3, 3]


def test_all_edges_of_400_regions_in_100_people_take_seconds(rng):
    outcome = rng.normal(size=(100, 79800)).astype(np.float32).astype(float)
    outcome[3, :9000] = np.nan
    start = time.perf_counter()
    fit = least_squares(outcome, design(100, rng.normal(size=100)), 6)
    assert time.perf_counter() - start < 10
    assert np.bincount(fit.n)[99:].tolist() == [9000, 70800]
