"""Removing nuisance signals and frequencies from time series in one projection."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from workflows.compute.confounds import TERMS, TISSUE_COLUMNS, cosine_basis, cosine_order
from workflows.compute.motion import MOTION_COLUMNS

STRATEGIES = {
    "24P": MOTION_COLUMNS,
    "24P+CSF+WM": MOTION_COLUMNS,
    "36P": (*MOTION_COLUMNS, *TISSUE_COLUMNS),
}
PLAIN_COLUMNS = {"24P": (), "24P+CSF+WM": ("csf", "white_matter"), "36P": ()}


@dataclass(frozen=True)
class Denoised:
    """Cleaned series (n_volumes, n_series), NaN in censored volumes, and what is left to vary."""

    series: np.ndarray
    degrees_of_freedom: int


def strategy_columns(strategy):
    """Names of the confounds that a strategy regresses out.

    24P is motion, its differences and the squares of both; +CSF+WM adds the two mean signals;
    36P adds CSF, white matter and global signal with their differences and squares (Ciric et al.
    2017).
    """
    if strategy not in STRATEGIES:
        raise ValueError(f"strategy: expected one of {', '.join(STRATEGIES)}, found {strategy}")
    expanded = [name + term for name in STRATEGIES[strategy] for term in TERMS]
    return [*expanded, *PLAIN_COLUMNS[strategy]]


def nuisance_design(confounds, strategy, repetition_time_s, band_hz):
    """Everything to remove, side by side: a constant, confounds, slow and fast cosines.

    Filter and regression share one design, so that neither brings back what the other took out
    (Lindquist et al. 2019).

    Parameters
    ----------
    confounds : DataFrame
        A row per volume; a missing first difference counts as no change.
    strategy : str
        See `strategy_columns`.
    repetition_time_s : float
    band_hz : (high_pass_hz, low_pass_hz)
        The frequencies to keep; low_pass_hz None keeps all fast ones.

    Returns
    -------
    (n_volumes, n_columns) array
    """
    n_volumes = len(confounds)
    slow = cosine_order(n_volumes, repetition_time_s, band_hz[0])
    fast = n_volumes
    if band_hz[1] is not None:
        fast = cosine_order(n_volumes, repetition_time_s, band_hz[1]) + 1
    nuisance = confounds[strategy_columns(strategy)].fillna(0.0).to_numpy(dtype=float)
    return np.hstack(
        [
            np.ones((n_volumes, 1)),
            nuisance,
            cosine_basis(n_volumes, 1, slow),
            cosine_basis(n_volumes, max(fast, slow + 1), n_volumes - 1),
        ]
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
    """
    if not len(series) == len(design) == len(kept):
        raise ValueError("series, design, kept: different numbers of volumes")
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
