"""Prediction intervals and sets."""

import numpy as np
import pytest

from workflows.compute.conformal import cross_conformal_classes, cross_conformal_interval


def test_interval_by_hand():
    residuals = np.array([1.0, -2, 3, -4])
    predictions = np.array([[10.0], [10], [11], [9]])
    # prediction - size: 9 8 8 5, + size: 11 12 14 13; rank ceil(.8 * 5) = 4: smallest, largest
    low, high = cross_conformal_interval(residuals, predictions, 0.8)
    assert (low[0], high[0]) == (5, 14)
    # rank ceil(.6 * 5) = 3: second smallest, third of 11 12 13 14
    low, high = cross_conformal_interval(residuals, predictions, 0.6)
    assert (low[0], high[0]) == (8, 13)


def test_too_few_people_for_the_confidence_give_an_unbounded_interval():
    low, high = cross_conformal_interval(np.ones(5), np.zeros((5, 2)), 0.95)
    assert low.tolist() == [-np.inf] * 2
    assert high.tolist() == [np.inf] * 2


def test_turning_the_sign_turns_the_interval():
    rng = np.random.default_rng(0)
    residuals, predictions = rng.normal(size=30), rng.normal(size=(30, 4))
    low, high = cross_conformal_interval(residuals, predictions, 0.9)
    turned = cross_conformal_interval(-residuals, -predictions, 0.9)
    np.testing.assert_allclose(turned, (-high, -low))


@pytest.mark.parametrize("skewed", [False, True])
def test_intervals_cover_new_people_at_least_as_often_as_promised(skewed):
    rng = np.random.default_rng(1)
    hits = []
    for _ in range(400):
        x = rng.normal(size=31)
        y = 2 * x + (rng.exponential(size=31) ** 2 if skewed else rng.normal(size=31))
        fold = rng.permutation(np.arange(30) % 5)
        lines = [np.polyfit(x[:30][fold != part], y[:30][fold != part], 1) for part in range(5)]
        own = np.array([np.polyval(lines[fold[row]], x[row]) for row in range(30)])
        new = np.array([[np.polyval(lines[fold[row]], x[30])] for row in range(30)])
        low, high = cross_conformal_interval(y[:30] - own, new, 0.9)
        hits.append(low[0] <= y[30] <= high[0])
    # three Monte-Carlo errors of 400 trials are .045
    assert 0.9 - 0.045 <= np.mean(hits) <= 0.99


def test_classes_by_hand():
    residuals = np.array([0.1, -0.2, 0.3, -0.1, 0.2, 0.1, -0.3, 0.1, 0.2])
    probabilities = np.tile([[0.9, 0.5, 0.25]], (9, 1))
    # sizes .1 .1 .1 .1 .2 .2 .2 .3 .3; 90 %: a class is kept if 1 or more are as far
    low, high = cross_conformal_classes(residuals, probabilities, 0.9)
    # .9: class 1 (distance .1) kept, class 0 (.9) not; .5: none: the more probable, 1;
    # .25: class 0 (distance .25, two people) kept
    assert list(zip(low, high, strict=True)) == [(1, 1), (1, 1), (0, 0)]


def test_class_sets_of_a_useless_model_hold_both():
    residuals = np.tile([0.5, -0.5], 10)
    low, high = cross_conformal_classes(residuals, np.full((20, 3), 0.5), 0.9)
    assert low.tolist() == [0] * 3
    assert high.tolist() == [1] * 3


def test_nan_and_wrong_shapes_are_refused():
    with pytest.raises(ValueError, match="without NaN"):
        cross_conformal_interval(np.array([np.nan]), np.zeros((1, 1)), 0.9)
    with pytest.raises(ValueError, match="n_training x n_new"):
        cross_conformal_interval(np.zeros(2), np.zeros((3, 1)), 0.9)
    with pytest.raises(ValueError, match="confidence"):
        cross_conformal_interval(np.zeros(2), np.zeros((2, 1)), 1.0)
