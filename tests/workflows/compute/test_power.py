"""The smallest effect a sample could have found."""

import numpy as np
import pandas as pd
import pytest
from statsmodels.stats.power import TTestIndPower, TTestPower

from workflows.compute.power import (
    sensitivity_table,
    smallest_correlation,
    smallest_difference,
    smallest_mean,
)


@pytest.mark.parametrize(("n", "alpha"), [(8, 0.05), (64, 0.05), (20, 0.05 / 84)])
def test_smallest_standardised_effects_equal_statsmodels(n, alpha):
    arms = TTestIndPower().solve_power(nobs1=n, alpha=alpha, power=0.8)
    assert smallest_difference(n, n, 2 * n - 2, alpha, 0.8) == pytest.approx(arms, rel=2e-5)
    one = TTestPower().solve_power(nobs=n, alpha=alpha, power=0.8)
    assert smallest_mean(n, n - 1, alpha, 0.8) == pytest.approx(one, rel=2e-5)


@pytest.mark.parametrize(("n", "n_tests"), [(85, 1), (194, 84), (358, 79800)])
def test_published_sample_size_is_the_first_that_finds_a_correlation_of_point_three(n, n_tests):
    alpha = 0.05 / n_tests
    assert smallest_correlation(n - 2, alpha, 0.8) <= 0.3 < smallest_correlation(n - 3, alpha, 0.8)


def test_more_tests_need_larger_effects():
    sizes = [smallest_difference(20, 20, 38, 0.05 / n_tests, 0.8) for n_tests in (1, 84, 79800)]
    assert sizes == sorted(sizes)


def test_without_degrees_of_freedom_there_is_no_answer():
    assert np.isnan(smallest_correlation(1, 0.05, 0.8))
    assert np.isnan(smallest_mean(1, 0, 0.05, 0.8))


def test_power_below_the_level_is_refused():
    with pytest.raises(ValueError, match="power above alpha"):
        smallest_mean(20, 19, 0.05, 0.01)


def test_table_counts_the_tests_that_were_made_and_takes_the_median_sample():
    rows = pd.DataFrame(
        {
            "model": "change",
            "family": "change: volume",
            "term": "CBT - WL",
            "p": [0.1, 0.2, 0.3, np.nan],
            "n": [12, 30, 20, 5],
            "df": [10.0, 28, 18, np.nan],
            "n_per_arm": ["WL=6;CBT=6", "WL=15;CBT=15", "WL=8;CBT=12", "WL=5;CBT=0"],
            "effect_size_name": "Hedges g",
        }
    )
    row = sensitivity_table(rows, 0.05).iloc[0]
    assert (row["n"], row["n_tests"], row["n_per_arm"]) == (20, 3, "WL=8;CBT=12")
    assert row["smallest_uncorrected"] == smallest_difference(12, 8, 18, 0.05, 0.8)
    assert row["smallest_bonferroni"] == smallest_difference(12, 8, 18, 0.05 / 3, 0.8)


def test_the_standard_errors_that_were_found_tell_the_size():
    """Arms of 12 and 8 with a standard error of .4 deviations, not sqrt(1 / 12 + 1 / 8) = .456."""
    factor = 1 - 3 / 71
    rows = pd.DataFrame(
        {
            "model": "mixed",
            "family": "mixed: volume",
            "term": "CBT - WL",
            "p": [0.1, 0.2, 0.3],
            "n": 20,
            "df": 18.0,
            "n_per_arm": "WL=8;CBT=12",
            "effect_size_name": "Hedges g",
            "statistic": [-1.5, 2.0, 0.5],
            "effect_size": np.array([-0.6, 0.8, 0.3]) * factor,
        }
    )
    row = sensitivity_table(rows, 0.05).iloc[0]
    expected = smallest_difference(12, 8, 18, 0.05, 0.8) * 0.4 / np.sqrt(1 / 12 + 1 / 8)
    assert row["smallest_uncorrected"] == pytest.approx(expected)
