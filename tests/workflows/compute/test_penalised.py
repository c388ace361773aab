"""Penalised regression against scikit-learn and closed forms."""

import numpy as np
import pytest
from scipy.special import expit
from sklearn.linear_model import ElasticNet, LogisticRegression, Ridge

from workflows.compute.penalised import (
    FRACTIONS,
    L1_RATIOS,
    RIDGE_FRACTIONS,
    elastic_net_path,
    ridge_path,
)


@pytest.fixture
def data():
    rng = np.random.default_rng(8)
    x = rng.normal(3, 2, size=(40, 6))
    x[:, 5] = 1.5
    y = x[:, 0] - 0.5 * x[:, 1] + rng.normal(size=40)
    return x, y


def test_elastic_net_equals_scikit_learn(data):
    x, y = data
    path = elastic_net_path(x, y, np.zeros(40), binary=False)
    scaled = (x - path.centre) / path.scale
    largest = np.abs(scaled.T @ (y - y.mean())).max() / 40
    grid = [(share, ratio) for share in FRACTIONS for ratio in L1_RATIOS]
    for place, (share, ratio) in enumerate(grid):
        peer = ElasticNet(alpha=largest * share / ratio, l1_ratio=ratio, tol=1e-10).fit(scaled, y)
        np.testing.assert_allclose(path.coefficient[:, place], peer.coef_, atol=1e-3)
        assert path.intercept[place] == pytest.approx(y.mean())


def test_the_strongest_penalty_gives_the_mean_and_a_constant_column_nothing(data):
    x, y = data
    for target, binary in ((y, False), ((y > 1).astype(float), True)):
        path = elastic_net_path(x, target, np.zeros(40), binary)
        found = path.predictor(x)[:, : len(L1_RATIOS)]
        mean = expit(found) if binary else found
        np.testing.assert_allclose(mean, target.mean(), atol=1e-5)
        assert np.all(path.coefficient[5] == 0)


def test_logistic_elastic_net_is_at_the_minimum_of_its_criterion(data):
    x, y = data[0], (data[1] > 1.5).astype(float)
    path = elastic_net_path(x, y, np.zeros(40), binary=True)
    scaled = (x - path.centre) / path.scale
    largest = np.abs(scaled.T @ (y - y.mean())).max() / 40
    for place, share, ratio in ((4, FRACTIONS[1], 0.5), (10, FRACTIONS[3], 0.5)):
        b = path.coefficient[:, place]
        slope = scaled.T @ (y - expit(path.predictor(x)[:, place])) / 40
        slope = slope - largest * share / ratio * (1 - ratio) * b
        # subgradient: equal to the l1 penalty with the sign of b, or smaller where b is 0
        np.testing.assert_allclose(slope[b != 0], largest * share * np.sign(b[b != 0]), atol=1e-3)
        assert np.all(np.abs(slope[b == 0]) <= largest * share + 1e-3)
        assert (y - expit(path.predictor(x)[:, place])).sum() == pytest.approx(0, abs=1e-3)


def test_ridge_in_the_space_of_the_rows_equals_scikit_learn_with_more_columns_than_rows():
    rng = np.random.default_rng(2)
    x, y = rng.normal(size=(15, 60)), rng.normal(size=15)
    path = ridge_path(x[:12], y[:12], np.zeros(12), binary=False)
    scaled = (x - path.centre) / path.scale
    for place in (1, 5, 8):
        penalty = RIDGE_FRACTIONS[place] * 60
        peer = Ridge(alpha=penalty).fit(scaled[:12], y[:12])
        np.testing.assert_allclose(path.predictor(x)[:, place], peer.predict(scaled), rtol=1e-8)


def test_logistic_ridge_equals_scikit_learn():
    rng = np.random.default_rng(4)
    x, y = rng.normal(size=(20, 30)), np.array([0.0, 1, 1, 1] * 5)
    path = ridge_path(x, y, np.zeros(20), binary=True)
    scaled = (x - path.centre) / path.scale
    peer = LogisticRegression(C=1 / (RIDGE_FRACTIONS[4] * 30), tol=1e-10, max_iter=1000)
    peer.fit(scaled, y)
    np.testing.assert_allclose(
        path.predictor(x)[:, 4], peer.decision_function(scaled), rtol=1e-4, atol=1e-6
    )


def test_an_offset_is_a_part_of_the_target_that_is_known(data):
    x, y = data
    offset = 3 * x[:, 2] - 1
    for path in (elastic_net_path, ridge_path):
        alone = path(x, y, np.zeros(40), False).predictor(x)
        beside = path(x, y + offset, offset, False).predictor(x)
        np.testing.assert_allclose(beside, alone, atol=1e-3)
