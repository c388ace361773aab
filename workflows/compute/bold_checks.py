"""What makes a BOLD series or a cleaned run unusable, in a plain sentence."""

from __future__ import annotations

import numpy as np

MIN_VOLUMES = 10
MIN_DEGREES_OF_FREEDOM = 5


def series_problem(series):
    """Empty text, or why an array cannot be a BOLD series.

    Parameters
    ----------
    series : array
        Expected (nx, ny, nz, n_volumes).
    """
    if series.ndim != 4:
        return f"it has {series.ndim} dimensions and not 4"
    if series.shape[3] < MIN_VOLUMES:
        return f"it has {series.shape[3]} volumes; at least {MIN_VOLUMES} are needed"
    bad = series.size - np.count_nonzero(np.isfinite(series))
    if bad:
        return f"{bad} of its values are not numbers (NaN or infinite)"
    if all(np.array_equal(series[..., 0], series[..., t]) for t in range(1, series.shape[3])):
        return "its volumes are all the same"
    return ""


def run_problem(clean_minutes, min_clean_minutes, degrees_of_freedom, n_regions):
    """Empty text, or why a cleaned run gives no connectivity.

    Parameters
    ----------
    clean_minutes, min_clean_minutes : float
        Time that is left without outlier volumes, and what the study asks for.
    degrees_of_freedom : int
        Left after denoising.
    n_regions : int
        Regions with enough coverage.
    """
    if clean_minutes < min_clean_minutes:
        return f"{clean_minutes:.2f} clean minutes, {min_clean_minutes:g} needed"
    if degrees_of_freedom < MIN_DEGREES_OF_FREEDOM:
        return (
            f"{degrees_of_freedom} degrees of freedom are left after denoising, "
            f"{MIN_DEGREES_OF_FREEDOM} needed"
        )
    if n_regions < 2:
        return f"{n_regions} regions are covered, 2 needed"
    return ""
