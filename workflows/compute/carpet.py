"""Rows of a carpet plot: brain voxels against time, sorted by tissue (Power 2017)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from workflows.compute.denoise import project_out

VARIES = 1e-9
GREY = 1


@dataclass(frozen=True)
class CleanedRows:
    """Rows after denoising in z-scores, NaN in censored volumes, and what denoising took.

    `share_removed` is the part of the variance of grey matter in the kept volumes, 0..1, NaN if
    nothing is left to vary.
    """

    rows: np.ndarray
    degrees_of_freedom: int
    share_removed: float


def thinned_rows(series, segmentation, max_rows=1200):
    """Evenly thinned voxel series, and the tissue of each row.

    Parameters
    ----------
    series : (nx, ny, nz, n_volumes) array
    segmentation : (nx, ny, nz) array of int
        Grey matter 1, white matter 2, CSF 3; 0 is left out.
    max_rows : int
        About how many voxels are kept.

    Returns
    -------
    rows : (n_rows, n_volumes) array
        As measured; NaN as 0.
    tissue : (n_rows,) int array
        1, 2, 3, ascending.
    """
    at = np.flatnonzero(segmentation)
    at = at[:: max(1, -(-len(at) // max_rows))]
    tissue = segmentation.ravel()[at].astype(int)
    order = np.argsort(tissue, kind="stable")
    rows = series[np.unravel_index(at[order], segmentation.shape)].astype(float)
    return np.nan_to_num(rows), tissue[order]


def carpet_rows(rows):
    """Rows (n_rows, n_volumes) in z-scores without linear trend; 0 for one that does not vary."""
    return _standardised(_detrended(rows)).astype(np.float32)


def cleaned_rows(rows, tissue, design, kept):
    """Rows after denoising, as the regional series are denoised.

    Parameters
    ----------
    rows : (n_rows, n_volumes) array
        As measured.
    tissue : (n_rows,) int array
        Grey matter 1.
    design : (n_volumes, n_columns) array
        From `nuisance_design`.
    kept : (n_volumes,) bool array
        Volumes that are not censored.

    Returns
    -------
    CleanedRows
    """
    cleaned = project_out(rows.T, design, kept)
    if cleaned.degrees_of_freedom <= 0:
        return CleanedRows(np.full(rows.shape, np.nan, np.float32), 0, np.nan)
    own = cleaned.series[kept].T
    shown = np.full(rows.shape, np.nan)
    shown[:, kept] = _standardised(own - own.mean(axis=1, keepdims=True))
    grey = tissue == GREY
    before = _detrended(rows)[grey][:, kept].var(axis=1).sum()
    share = 1 - own[grey].var(axis=1).sum() / before if before > VARIES else np.nan
    return CleanedRows(shown.astype(np.float32), cleaned.degrees_of_freedom, float(share))


def _detrended(rows):
    time = np.linspace(-1, 1, rows.shape[1])
    rows = rows - rows.mean(axis=1, keepdims=True)
    return rows - np.outer(rows @ time, time) / (time @ time)


def _standardised(rows):
    spread = rows.std(axis=1, keepdims=True)
    return np.divide(rows, spread, out=np.zeros_like(rows), where=spread > VARIES)
