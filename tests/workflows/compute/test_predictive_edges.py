"""Connectome-based predictive modelling."""

import numpy as np
import pytest
from scipy import stats

from workflows.compute.predictive_edges import edge_model, network_strengths, selected_edges


@pytest.fixture
def rng():
    return np.random.default_rng(6)


def test_edges_pass_exactly_where_the_p_of_their_correlation_is_below_the_threshold(rng):
    x, y = rng.normal(size=(25, 300)), rng.normal(size=25)
    positive, negative = selected_edges(x, y, 0.05)
    tests = [stats.pearsonr(column, y) for column in x.T]
    passed = [place for place, test in enumerate(tests) if test.pvalue < 0.05]
    assert np.sort(np.concatenate([positive, negative])).tolist() == passed
    assert all(tests[place].statistic > 0 for place in positive)
    assert all(tests[place].statistic < 0 for place in negative)


def test_strengths_are_the_sums_by_hand():
    x = np.array([[1.0, 2, 4], [3, 5, 7]])
    found = network_strengths(x, np.array([0, 2]), np.array([], dtype=int))
    assert found.tolist() == [[5, 0], [10, 0]]


def test_the_model_is_least_squares_on_the_two_strengths(rng):
    x, y = rng.normal(size=(30, 50)), rng.normal(size=30)
    x[:, :5] += y[:, None]
    x[:, 5:10] -= y[:, None]
    model = edge_model(x, y, np.zeros(30), binary=False)
    assert {*range(5)} <= set(model.positive)
    assert {*range(5, 10)} <= set(model.negative)
    sums = network_strengths(x, model.positive, model.negative)
    whole = np.column_stack([np.ones(30), sums])
    expected = whole @ np.linalg.lstsq(whole, y, rcond=None)[0]
    np.testing.assert_allclose(model.predictor(x)[:, 0], expected, rtol=1e-8)


def test_no_edge_passes_gives_the_mean(rng):
    x, y = rng.normal(size=(20, 3)), rng.normal(size=20)
    model = edge_model(x, y, np.zeros(20), binary=False, edge_p=1e-9)
    np.testing.assert_allclose(model.predictor(x)[:, 0], y.mean())


def test_separated_classes_stay_finite_and_on_the_right_side(rng):
    y = np.repeat([0.0, 1.0], 15)
    x = rng.normal(size=(30, 20))
    x[:, 3] = 10 * y + rng.normal(size=30)
    model = edge_model(x, y, np.zeros(30), binary=True)
    odds = model.predictor(x)[:, 0]
    assert np.all(np.isfinite(odds))
    assert odds[y == 1].min() > odds[y == 0].max()


def test_too_few_rows_or_a_threshold_outside_0_to_1_are_refused(rng):
    with pytest.raises(ValueError, match="edge_p"):
        selected_edges(rng.normal(size=(10, 2)), np.arange(10.0), 1.0)
    with pytest.raises(ValueError, match="three rows"):
        selected_edges(rng.normal(size=(2, 2)), np.arange(2.0), 0.01)
