"""Bootstrap of participants, all resamples at once."""

import numpy as np
import pytest
from scipy import stats

from workflows.compute.bootstrap import (
    Draws,
    Resampling,
    bca_interval,
    draw,
    inversion_p,
    percentile_interval,
    regress,
    resample_counts,
    unit_products,
    unpacked,
    widened_confidence,
    widened_p,
)


@pytest.fixture
def rng():
    return np.random.default_rng(21)


def mean_of_second(products):
    return products[0, 1][None] / products[0, 0]


def test_regression_from_products_equals_least_squares(rng):
    columns = np.column_stack([np.ones(30), rng.normal(size=(30, 3)) + 5])
    fit = regress((columns.T @ columns)[:, :, None], 3, (0, 1, 2))
    expected, squares, *_ = np.linalg.lstsq(columns[:, :3], columns[:, 3])
    np.testing.assert_allclose(fit.coefficients[:, 0], expected, rtol=1e-9)
    np.testing.assert_allclose(fit.residual_squares, squares, rtol=1e-9)
    inverse = np.linalg.inv(columns[:, :3].T @ columns[:, :3])
    np.testing.assert_allclose(fit.inverse[:, :, 0], inverse, rtol=1e-8)


def test_a_predictor_that_is_a_sum_of_others_gives_nan_in_that_sample_only(rng):
    good = np.column_stack([np.ones(12), rng.normal(size=(12, 3))])
    bad = good.copy()
    bad[:, 2] = 2 * bad[:, 1] + 1
    products = np.stack([part.T @ part for part in (good, bad)], axis=2)
    fit = regress(products, 3, (0, 1, 2))
    assert np.isfinite(fit.coefficients[:, 0]).all()
    assert np.isnan(fit.coefficients[1, 1])


def test_resampled_products_equal_those_of_repeated_rows(rng):
    columns = np.column_stack([np.ones(9), rng.normal(size=(9, 2))])
    products, strata = unit_products(columns, Resampling(1, 0.95))
    counts = resample_counts(strata, 4, rng)
    matrices = unpacked(counts @ products, 3)
    for number, count in enumerate(counts.astype(int)):
        rows = np.repeat(columns, count, axis=0)
        assert len(rows) == 9
        np.testing.assert_allclose(matrices[:, :, number], rows.T @ rows, rtol=1e-12)


def test_strata_keep_their_size_in_each_resample(rng):
    strata = np.array([0, 1, 1, 0, 1, 1, 1])
    counts = resample_counts(strata, 200, rng)
    assert (counts[:, strata == 0].sum(axis=1) == 2).all()
    assert (counts[:, strata == 1].sum(axis=1) == 5).all()
    np.testing.assert_allclose(counts.mean(axis=0), 1, atol=0.25)


def test_clusters_are_drawn_whole(rng):
    columns = np.column_stack([np.ones(6), [1.0, 2, 10, 20, 100, 200]])
    sites = np.array(["b", "b", "a", "a", "c", "c"])
    draws = draw(columns, lambda sums: sums[0, 1][None], Resampling(300, 0.95, clusters=sites), rng)
    possible = {3 * b + 30 * a + 300 * (3 - a - b) for a in range(4) for b in range(4 - a)}
    assert set(draws.values[0].round(9)) == possible
    np.testing.assert_allclose(draws.jackknife[0], [303, 330, 33])


def test_a_cluster_in_two_strata_is_refused(rng):
    how = Resampling(10, 0.95, np.array(["x", "y", "x", "y"]), np.array(["1", "1", "2", "2"]))
    with pytest.raises(ValueError, match="clusters: each lies in one stratum"):
        draw(np.ones((4, 2)), mean_of_second, how, rng)


def test_limits_are_values_of_the_ranks_by_hand():
    values = np.arange(1.0, 40)[None]
    # (39 + 1) * .05 / 2 = 1: the lowest and the highest; .10: the second from each end
    assert percentile_interval(values, 0.95) == (1, 39)
    assert percentile_interval(values, 0.90) == (2, 38)
    assert np.isnan(percentile_interval(values[:, :30], 0.95)).all()


def test_p_is_small_exactly_where_the_interval_leaves_out_0(rng):
    values = np.stack([rng.permutation(199) - shift for shift in np.arange(-1, 12) + 0.5])
    p = inversion_p(values)
    low, high = percentile_interval(values, 0.95)
    np.testing.assert_array_equal((low > 0) | (high < 0), p <= 0.05 + 1e-12)
    assert p[0] == pytest.approx(2 / 200)
    assert p[5] == pytest.approx(2 * 6 / 200)
    np.testing.assert_array_equal(inversion_p(-values), p)


def test_widening_makes_the_interval_of_a_normal_mean_that_of_student():
    # bootstrap deviation of a mean: sqrt(mean squares / n); t interval: t sqrt(squares / df / n)
    n, df = 10, 9
    widened = widened_confidence(0.95, n, df)
    half = stats.norm.ppf((1 + widened) / 2) * np.sqrt(1 / n)
    assert half == pytest.approx(stats.t.ppf(0.975, df) * np.sqrt(1 / df), rel=1e-12)
    assert widened_p(1 - widened, n, df) == pytest.approx(0.05, rel=1e-9)
    assert widened_confidence(0.95, 10**6, 10**6 - 3) == pytest.approx(0.95, abs=1e-6)


def test_bca_equals_scipy_for_a_skewed_mean(rng):
    sample = rng.exponential(size=40)
    columns = np.column_stack([np.ones(40), sample])
    draws = draw(columns, mean_of_second, Resampling(20000, 0.9), rng)
    ours = bca_interval(draws, 0.9)
    other = stats.bootstrap(
        (sample,), np.mean, n_resamples=20000, method="BCa", confidence_level=0.9, rng=rng
    ).confidence_interval
    np.testing.assert_allclose([ours[0][0], ours[1][0]], other, atol=0.02)
    plain = percentile_interval(draws.values, 0.9)
    assert ours[1][0] > plain[1][0] + 0.01


def test_bca_of_estimates_outside_all_resamples_is_nan():
    draws = Draws(np.array([9.0]), np.arange(5.0)[None], np.arange(4.0)[None], np.zeros(4, int))
    assert np.isnan(bca_interval(draws, 0.95)).all()


def test_resamples_that_cannot_be_fitted_are_counted_and_left_out(rng):
    columns = np.column_stack([np.ones(4), [0.0, 0, 0, 1], [1.0, 3, 2, 4]])
    columns[:, 1:] -= columns[:, 1:].mean(axis=0)
    draws = draw(columns, lambda s: regress(s, 2, (0, 1)).coefficients, Resampling(4000, 0.9), rng)
    # without the fourth participant (.75**4) or with nobody else (.25**4)
    assert draws.n_degenerate / 4000 == pytest.approx(0.3203, abs=0.03)
    assert np.isfinite(draws.values).all()
    assert draws.values.shape == (2, 4000 - draws.n_degenerate)


def test_a_resampling_without_resamples_is_refused():
    with pytest.raises(ValueError, match="n_bootstraps: at least 1"):
        Resampling(0, 0.95)
