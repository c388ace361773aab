"""The smallest effect a sample could have found."""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy import optimize, stats

from workflows.compute.effects import small_sample_factor

N_POINTS = 4000
SENSITIVITY_COLUMNS = [
    "model",
    "family",
    "term",
    "n",
    "n_per_arm",
    "n_tests",
    "effect_size_name",
    "power",
    "alpha",
    "smallest_uncorrected",
    "smallest_bonferroni",
]


def sensitivity_table(rows: pd.DataFrame, alpha: float, power: float = 0.8) -> pd.DataFrame:
    """Smallest effect each family could have found, SENSITIVITY_COLUMNS.

    Two-sided tests at `alpha` and at `alpha` / number of tests of the family, for the test
    with the median number of participants. The standard errors found tell the size, so that
    covariates, the baseline and people with one session only count for what they are worth;
    rows without them are taken as arms without covariates.

    Parameters
    ----------
    rows : pd.DataFrame
        Rows of a model; those without p are not counted.
    alpha, power : float
        Level of the tests and wanted power, 0..1.
    """
    made = rows[rows["p"].notna()]
    table = []
    for (model, family, term), tests in made.groupby(["model", "family", "term"], sort=False):
        n_tests = int((made["family"] == family).sum())
        middle = tests.sort_values("n", kind="stable").iloc[(len(tests) - 1) // 2]
        unit = _effect_of_one_error(tests)
        levels = alpha, alpha / n_tests
        sizes = [_smallest_effect(middle, unit, level, power) for level in levels]
        counts = (middle["n"], middle["n_per_arm"], n_tests, middle["effect_size_name"])
        table.append((model, family, term, *counts, power, alpha, *sizes))
    return pd.DataFrame(table, columns=SENSITIVITY_COLUMNS)


def smallest_difference(n_first: int, n_second: int, df: int, alpha: float, power: float) -> float:
    """Smallest standardised difference between two arms found with the given power.

    Two-sided t test, noncentral t distribution (integrated over the estimate of the standard
    deviation, because `scipy.stats.nct` is NaN for some levels).

    Parameters
    ----------
    n_first, n_second : int
        Participants of the two arms.
    df : int
        Residual degrees of freedom of the model.
    alpha, power : float
        Level of the test and wanted power, 0..1.
    """
    return _smallest_noncentrality(df, alpha, power) * np.sqrt(1 / n_first + 1 / n_second)


def smallest_mean(n: int, df: int, alpha: float, power: float) -> float:
    """Smallest mean change, in standard deviations of change, found with the given power."""
    return _smallest_noncentrality(df, alpha, power) / np.sqrt(n)


def smallest_correlation(df: int, alpha: float, power: float) -> float:
    """Smallest partial correlation found with the given power (Fisher's z approximation).

    Parameters
    ----------
    df : int
        n - 2 - number of covariates; below 2 the answer is NaN.
    alpha, power : float
        Level of the two-sided test and wanted power, 0..1.
    """
    if df < 2:
        return np.nan
    quantiles = stats.norm.isf(alpha / 2) + stats.norm.ppf(power)
    return float(np.tanh(quantiles / np.sqrt(df - 1)))


def _effect_of_one_error(tests):
    """Standard error in units of the effect size, median of the tests; NaN if not known."""
    if not {"statistic", "effect_size", "df"} <= set(tests):
        return np.nan
    t = tests["statistic"].to_numpy(dtype=float)
    size = tests["effect_size"].to_numpy(dtype=float)
    factor = small_sample_factor(tests["df"].to_numpy(dtype=float))
    size = size / np.where(factor > 0, factor, np.nan)
    known = np.isfinite(size) & (np.abs(t) > 0)
    return float(np.median(np.abs(size[known] / t[known]))) if known.any() else np.nan


def _smallest_effect(row, unit, alpha, power):
    df = int(row["df"])
    if row["effect_size_name"].endswith(" r"):
        return smallest_correlation(df, alpha, power)
    if np.isfinite(unit):
        return _smallest_noncentrality(df, alpha, power) * unit
    if row["effect_size_name"] == "d_z":
        return smallest_mean(int(row["n"]), df, alpha, power)
    counts = dict(part.rsplit("=", 1) for part in row["n_per_arm"].split(";"))
    for first in counts:
        for second in counts:
            if f"{first} - {second}" == row["term"]:
                sizes = int(counts[first]), int(counts[second])
                return smallest_difference(*sizes, df, alpha, power)
    return np.nan


def _smallest_noncentrality(df, alpha, power):
    if not (0 < alpha < 1 and alpha < power < 1):
        raise ValueError("alpha, power: between 0 and 1, power above alpha")
    if df < 1:
        return np.nan
    limit = stats.t.isf(alpha / 2, df)

    deviations = np.sqrt(stats.chi2.ppf((np.arange(N_POINTS) + 0.5) / N_POINTS, df) / df)

    def missing_power(shift):
        upper = stats.norm.sf(limit * deviations - shift)
        lower = stats.norm.cdf(-limit * deviations - shift)
        return float(np.mean(upper + lower)) - power

    return optimize.brentq(missing_power, 0, limit * deviations[-1] + 10)
