"""Effect sizes and their intervals."""

import numpy as np
import pytest
from scipy import stats

from workflows.compute.effects import (
    correlation_interval,
    pooled_deviation,
    small_sample_factor,
    standardised_difference,
)


def test_hedges_g_of_the_textbook():
    # Borenstein et al. 2009, chapter 4: means 103 and 100, SD 5.5 and 4.5, 50 people each:
    # d = .5970, J = .9923, g = .5924
    pooled = np.sqrt((49 * 5.5**2 + 49 * 4.5**2) / 98)
    error = pooled * np.sqrt(1 / 50 + 1 / 50)
    effect = standardised_difference(*map(np.array, (3.0, error, pooled, 98.0)), 0.95)
    assert effect.value == pytest.approx(0.5924, abs=1e-4)
    assert (effect.low, effect.high) == pytest.approx((0.1948, 0.9963), abs=1e-4)


@pytest.mark.parametrize(("n", "d"), [(4, 0.5), (4, -2.0), (8, 0.0), (8, 1.5), (30, 4.0)])
def test_limits_are_the_effects_at_which_noncentral_t_has_the_observed_value_as_tail(n, d):
    unit, df = np.sqrt(2 / n), 2 * n - 2
    effect = standardised_difference(*map(np.array, (d, unit, 1.0, df)), 0.9)
    above = stats.nct.cdf(d / unit, df, effect.low / unit)
    below = stats.nct.cdf(d / unit, df, effect.high / unit)
    assert (above, below) == pytest.approx((0.95, 0.05), abs=0.001)


def test_the_interval_leaves_out_zero_where_the_t_test_does():
    df = np.array(12.0)
    for t, inside in ((2.17, True), (2.19, False)):  # the limit of t at 5 % is 2.1788
        effect = standardised_difference(*map(np.array, (t * 0.5, 0.5, 1.0, df)), 0.95)
        assert (effect.low < 0) == inside


def test_the_interval_takes_the_smaller_degrees_of_freedom_of_scale_and_test():
    given = list(map(np.array, (1.2, 0.4, 1.0)))
    one = standardised_difference(*given, np.array(30.0), 0.95, np.array(9.0))
    other = standardised_difference(*given, np.array(9.0), 0.95, np.array(60.0))
    assert (one.low, one.high) == pytest.approx((other.low, other.high))
    assert one.value == pytest.approx(1.2 * small_sample_factor(30))


def test_small_sample_factor_by_hand():
    assert small_sample_factor(10) == pytest.approx(1 - 3 / 39)


def test_effect_size_does_not_depend_on_the_unit():
    ml = standardised_difference(*map(np.array, (0.3, 0.1, 0.5, 20.0)), 0.95)
    mm3 = standardised_difference(*map(np.array, (300.0, 100.0, 500.0, 20.0)), 0.95)
    assert (mm3.value, mm3.low) == pytest.approx((ml.value, ml.low))


def test_no_variation_gives_no_effect_size():
    effect = standardised_difference(*map(np.array, (0.3, 0.1, 0.0, 20.0)), 0.95)
    assert np.isnan([effect.value, effect.low, effect.high]).all()


def test_fisher_interval_equals_scipy():
    rng = np.random.default_rng(1)
    x, y = rng.normal(size=(2, 30))
    expected = stats.pearsonr(x, y).confidence_interval(0.9)
    effect = correlation_interval(np.array(stats.pearsonr(x, y)[0]), np.array(28), 0.9)
    assert (effect.low, effect.high) == pytest.approx(tuple(expected), rel=1e-9)


def test_pooled_deviation_by_hand_with_a_hole():
    values = np.array([[1.0, 2], [3, np.nan], [10, 5], [14, 9], [18, 1]])
    arms = np.array(["a", "a", "b", "b", "b"])
    deviation, df = pooled_deviation(values, arms)
    # first column: squares 2 and 32, df 1 + 2; second: 0 and 32, df 0 + 2
    np.testing.assert_allclose(deviation, [np.sqrt(34 / 3), 4])
    assert df.tolist() == [3, 2]


def test_pooled_deviation_ignores_the_difference_between_arms():
    values, arms = np.arange(8.0)[:, None] % 4, np.array(["a", "b"] * 4)
    shifted = values + 100 * (arms == "b")[:, None]
    np.testing.assert_allclose(
        pooled_deviation(shifted, arms)[0], pooled_deviation(values, arms)[0]
    )
