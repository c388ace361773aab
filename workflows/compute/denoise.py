"""Removing nuisance signals and frequencies from time series in one projection."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.interpolate import CubicSpline

from workflows.compute.confounds import (
    TERMS,
    cosine_basis,
    cosine_order,
    motion_outliers,
    settled_differences,
    unsettled_volumes,
)
from workflows.compute.motion import MOTION_COLUMNS

FIRST, CHANGE = TERMS[:1], TERMS[:2]
MEANS, GLOBAL = ("csf", "white_matter"), ("global_signal",)
SEPARATE, COMBINED = (("c_comp_cor_", 5), ("w_comp_cor_", 5)), (("a_comp_cor_", None),)


@dataclass(frozen=True)
class _Recipe:
    """Terms of the motion parameters and of mean signals, and components: (prefix, most)."""

    motion: tuple
    means: tuple = ()
    mean_terms: tuple = FIRST
    components: tuple = ()


STRATEGIES = {
    "6P": _Recipe(FIRST),
    "24P": _Recipe(TERMS),
    "24P+CSF+WM": _Recipe(TERMS, MEANS),
    "9P": _Recipe(FIRST, MEANS + GLOBAL),
    "27P": _Recipe(TERMS, MEANS + GLOBAL),
    "36P": _Recipe(TERMS, MEANS + GLOBAL, TERMS),
    "aCompCor": _Recipe(CHANGE, components=SEPARATE),
    "aCompCor+GSR": _Recipe(CHANGE, GLOBAL, components=SEPARATE),
    "aCompCor50": _Recipe(TERMS, components=COMBINED),
}


@dataclass(frozen=True)
class Denoised:
    """Cleaned series (n_volumes, n_series), NaN in censored volumes, and what is left to vary."""

    series: np.ndarray
    degrees_of_freedom: int


def strategy_columns(strategy, available):
    """Names of the confounds that a strategy regresses out.

    - 6P: the motion parameters.
    - 24P: with their backward differences and the squares of both (Friston et al. 1996 in the
      form of Satterthwaite et al. 2013).
    - 24P+CSF+WM: and the mean signals of fluid and white matter (Pruim et al. 2015, Parkes et
      al. 2018).
    - 9P: 6P, both means and the global signal (Fox et al. 2005, Ciric et al. 2017).
    - 27P: 24P and the three means (XCP-D, Mehta et al. 2024).
    - 36P: 27P, the means with their differences and squares (Satterthwaite et al. 2013).
    - aCompCor: motion with its differences, the first five components of fluid and of white
      matter (Behzadi et al. 2007; this choice: Ciric et al. 2017); aCompCor+GSR: and the global
      signal.
    - aCompCor50: 24P and as many components of both tissues together as carry half of their
      variance (Muschelli et al. 2014).

    Parameters
    ----------
    strategy : str
    available : sequence of str
        Columns of the confound table. A mask whose five first components carry more than half of
        its variance has fewer of them; at least one must be there.

    Raises
    ------
    ValueError
        The strategy is unknown, or a column is missing; the first one is named.
    """
    if strategy not in STRATEGIES:
        raise ValueError(f"strategy: expected one of {', '.join(STRATEGIES)}, found {strategy}")
    recipe = STRATEGIES[strategy]
    columns = [name + term for name in MOTION_COLUMNS for term in recipe.motion]
    columns += [name + term for name in recipe.means for term in recipe.mean_terms]
    for prefix, most in recipe.components:
        found = [name for name in available if name.startswith(prefix)]
        columns += found[:most] or [f"{prefix}00"]
    _require(available, columns, f"strategy {strategy}")
    return columns


def _require(available, columns, purpose):
    missing = [name for name in columns if name not in set(available)]
    if missing:
        raise ValueError(
            f"confounds: column {missing[0]} is missing, {purpose} needs it; choose another "
            "strategy or threshold, or make the table again with all confounds"
        )


def nuisance_design(confounds, strategy, repetition_time_s, band_hz):
    """Everything to remove, side by side: a constant, confounds, slow and fast cosines.

    Filter and regression share one design, so that neither brings back what the other took out
    (Lindquist et al. 2019).

    Parameters
    ----------
    confounds : DataFrame
        A row per volume; a missing first difference counts as no change, as does the step from
        the last dummy volume.
    strategy : str
        See `strategy_columns`.
    repetition_time_s : float
    band_hz : (high_pass_hz, low_pass_hz)
        The frequencies to keep; low_pass_hz None keeps all fast ones.

    Returns
    -------
    (n_volumes, n_columns) array

    Raises
    ------
    ValueError
        A column is missing, or has no value after the first volume.
    """
    n_volumes = len(confounds)
    slow = cosine_order(n_volumes, repetition_time_s, band_hz[0])
    fast = n_volumes
    if band_hz[1] is not None:
        fast = cosine_order(n_volumes, repetition_time_s, band_hz[1]) + 1
    names = strategy_columns(strategy, confounds.columns)
    nuisance = settled_differences(confounds)[names].astype(float)
    holed = nuisance.columns[nuisance.iloc[1:].isna().any()]
    if len(holed):
        raise ValueError(
            f"confounds: {holed[0]} has volumes without a value; choose a strategy without it"
        )
    return np.hstack(
        [
            np.ones((n_volumes, 1)),
            nuisance.fillna(0.0).to_numpy(),
            cosine_basis(n_volumes, 1, slow),
            cosine_basis(n_volumes, max(fast, slow + 1), n_volumes - 1),
        ]
    )


def censored_volumes(confounds, fd_threshold_mm, std_dvars_threshold=None):
    """Volumes (n_volumes,) bool to leave out: not settled, moved too far, or changed too much.

    Decided from the measures themselves, so that a table made elsewhere, with outlier columns of
    other thresholds, is treated like one of ours (Power et al. 2012).

    Parameters
    ----------
    confounds : DataFrame
        A row per volume. A first volume without displacement stays.
    fd_threshold_mm : float or None
        Largest framewise displacement, mm; None: no limit.
    std_dvars_threshold : float, optional
        Largest standardised DVARS; None: no limit.

    Raises
    ------
    ValueError
        The column of a threshold is missing.
    """
    limits = {"framewise_displacement": fd_threshold_mm, "std_dvars": std_dvars_threshold}
    needed = [column for column, limit in limits.items() if limit is not None]
    _require(confounds.columns, needed, "a threshold of the settings")
    return unsettled_volumes(confounds) | motion_outliers(
        confounds, fd_threshold_mm, std_dvars_threshold
    )


def project_out(series, design, kept):
    """Residuals of a least-squares fit of `design` to the kept volumes.

    Parameters
    ----------
    series : (n_volumes, n_series) array
        A column that has NaN stays NaN.
    design : (n_volumes, n_columns) array
        Columns may be collinear.
    kept : (n_volumes,) bool array
        Volumes in the fit; the others come out as NaN.

    Returns
    -------
    Denoised
        The degrees of freedom are the kept volumes minus the rank of the design; at 0 nothing is
        left and all values are NaN.

    Raises
    ------
    ValueError
        The three have different numbers of volumes.
    """
    if not len(series) == len(design) == len(kept):
        raise ValueError(
            f"confounds: {len(design)} rows (censoring: {len(kept)}) for {len(series)} volumes; "
            "the table is of another run, or volumes were cut off"
        )
    cleaned = np.full(series.shape, np.nan)
    columns = design[kept]
    if not len(columns):
        return Denoised(cleaned, 0)
    length = np.linalg.norm(columns, axis=0)
    columns = columns[:, length > 0] / length[length > 0]
    directions, sizes, _ = np.linalg.svd(columns, full_matrices=False)
    directions = directions[:, sizes > sizes[0] * 1e-8]
    degrees_of_freedom = len(columns) - directions.shape[1]
    if degrees_of_freedom > 0:
        values = series[kept] - series[kept].mean(axis=0)
        cleaned[kept] = values - directions @ (directions.T @ values)
    return Denoised(cleaned, degrees_of_freedom)


def spline_filled(series, kept):
    """Series whose censored volumes are filled by a cubic spline through the kept ones.

    Nothing of a censored volume enters. Before the first and after the last kept volume the
    nearest value is repeated, for a spline runs away there (as XCP-D, Mehta et al. 2024).

    Parameters
    ----------
    series : (n_volumes, n_series) array
        Cleaned series; a column that has NaN in a kept volume becomes NaN.
    kept : (n_volumes,) bool array
        With fewer than two kept volumes all values are NaN.
    """
    times = np.flatnonzero(kept)
    filled = np.full(series.shape, np.nan)
    whole = np.isfinite(series[kept]).all(axis=0)
    if len(times) < 2 or not whole.any():
        return filled
    places = np.clip(np.arange(len(series)), times[0], times[-1])
    filled[:, whole] = CubicSpline(times, series[kept][:, whole])(places)
    return filled
