"""Effect sizes with intervals."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import stats


@dataclass(frozen=True)
class Effect:
    """Effect size and the limits of its interval, arrays of one shape."""

    value: np.ndarray
    low: np.ndarray
    high: np.ndarray


def small_sample_factor(df: np.ndarray) -> np.ndarray:
    """Hedges' (1981) factor 1 - 3 / (4 df - 1) that unbiases a standardised difference."""
    return 1 - 3 / (4 * np.asarray(df, dtype=float) - 1)


def standardised_difference(
    estimate: np.ndarray,
    standard_error: np.ndarray,
    scale: np.ndarray,
    scale_df: np.ndarray,
    confidence: float,
) -> Effect:
    """Hedges' g of a difference between arms, or d_z of a mean change.

    The estimate is divided by `scale` and corrected for small samples. The interval is
    normal, with variance factor**2 * ((SE / scale)**2 + d**2 / (2 scale_df)), which
    without covariates is the usual 1/n1 + 1/n2 + d**2 / (2 df) (Borenstein 2009).

    Parameters
    ----------
    estimate, standard_error, scale : np.ndarray
        In the unit of the measure; NaN stays NaN, a scale of 0 gives NaN.
    scale_df : np.ndarray
        Degrees of freedom of the scale.
    confidence : float
        Coverage of the interval, .5..1.
    """
    scale = np.where(np.asarray(scale) > 0, scale, np.nan)
    factor = small_sample_factor(scale_df)
    raw = estimate / scale
    half = stats.norm.ppf((1 + confidence) / 2) * factor
    half = half * np.sqrt((standard_error / scale) ** 2 + raw**2 / (2 * scale_df))
    return Effect(raw * factor, raw * factor - half, raw * factor + half)


def correlation_interval(r: np.ndarray, df: np.ndarray, confidence: float) -> Effect:
    """Partial correlation with Fisher's (1924) interval.

    Parameters
    ----------
    r : np.ndarray
        Partial correlations, -1..1; NaN stays NaN.
    df : np.ndarray
        Degrees of freedom, n - 2 - number of covariates; the interval needs df > 1.
    confidence : float
        Coverage of the interval, .5..1.
    """
    df = np.asarray(df, dtype=float)
    z = np.arctanh(np.clip(r, -1 + 1e-15, 1 - 1e-15))
    half = stats.norm.ppf((1 + confidence) / 2) / np.sqrt(np.where(df > 1, df - 1, np.nan))
    return Effect(np.asarray(r, dtype=float), np.tanh(z - half), np.tanh(z + half))


def pooled_deviation(values: np.ndarray, arms: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Standard deviation within arms, pooled over arms, and its degrees of freedom.

    Parameters
    ----------
    values : np.ndarray, shape (n_participants, n_tests)
        Change; NaN is left out.
    arms : np.ndarray of str, shape (n_participants,)
        Arm of each participant.

    Returns
    -------
    deviation, df : np.ndarray, shape (n_tests,)
        NaN and 0 where no arm has two values.
    """
    squares, df = np.zeros(values.shape[1]), np.zeros(values.shape[1])
    for arm in np.unique(arms):
        part = values[arms == arm]
        there = np.isfinite(part)
        n = there.sum(axis=0)
        centre = np.where(there, part, 0).sum(axis=0) / np.maximum(n, 1)
        squares += (np.where(there, part - centre, 0) ** 2).sum(axis=0)
        df += np.maximum(n - 1, 0)
    return np.sqrt(squares / np.where(df > 0, df, np.nan)), df
