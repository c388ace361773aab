"""Measures of one scan as rows of a long table, and connectivity as edges."""

from __future__ import annotations

import numpy as np
import pandas as pd

MEASURE_COLUMNS = [
    "participant_id",
    "session_id",
    "modality",
    "measure",
    "atlas",
    "region",
    "value",
    "unit",
    "standard_error",
    "qc",
]
RESIDUAL_LIMIT = 2.0
"""Residual of a region that stands out, in medians of all regions of the scan."""


def measure_rows(
    scan: tuple[str, str, str],
    measure: str,
    unit: str,
    values: pd.Series,
    atlas: str = "",
    known: pd.DataFrame | None = None,
) -> pd.DataFrame:
    """Rows of MEASURE_COLUMNS for one measure of one scan.

    Parameters
    ----------
    scan : tuple of str
        Participant, session, modality.
    measure, unit : str
        Name of the measure and its unit.
    values : pd.Series
        One value per region (the index); NaN keeps its row with qc "missing".
    atlas : str
        Name of the atlas, empty for whole-brain measures.
    known : pd.DataFrame, optional
        What else is known of each region, with the index of `values`: standard_error (of this
        scan's value, in `unit`; NaN where unknown) and poor_fit (bool), which makes qc
        "residual" where there is a value.
    """
    participant, session, modality = scan
    numbers = values.to_numpy(dtype=float)
    known = pd.DataFrame(index=values.index) if known is None else known
    error = known.get("standard_error", pd.Series(np.nan, values.index)).to_numpy(dtype=float)
    poor = known.get("poor_fit", pd.Series(False, values.index)).to_numpy(dtype=bool)
    return pd.DataFrame(
        {
            "participant_id": participant,
            "session_id": session,
            "modality": modality,
            "measure": measure,
            "atlas": atlas,
            "region": [str(region) for region in values.index],
            "value": numbers,
            "unit": unit,
            "standard_error": np.where(np.isfinite(numbers), error, np.nan),
            "qc": np.where(~np.isfinite(numbers), "missing", np.where(poor, "residual", "ok")),
        },
        columns=MEASURE_COLUMNS,
    )


def poor_fit(residual: np.ndarray) -> np.ndarray:
    """Regions whose residual is more than RESIDUAL_LIMIT medians of the scan, (n_regions,) bool.

    Parameters
    ----------
    residual : np.ndarray, shape (n_regions,)
        What registration left unexplained, in units of noise; NaN is never poor.
    """
    residual = np.asarray(residual, dtype=float)
    there = residual[np.isfinite(residual)]
    return residual > RESIDUAL_LIMIT * np.median(there) if len(there) else np.isinf(residual)


def edge_labels(regions: list[str]) -> pd.DataFrame:
    """Regions of each edge, columns region_a and region_b, in the order of `edge_vector`."""
    first, second = np.triu_indices(len(regions), k=1)
    names = np.array(regions, dtype=object)
    return pd.DataFrame({"region_a": names[first], "region_b": names[second]})


def edge_vector(matrix: np.ndarray) -> np.ndarray:
    """Upper triangle of a connectivity matrix, row by row, shape (n_edges,).

    Parameters
    ----------
    matrix : np.ndarray, shape (n_regions, n_regions)
        Fisher z; symmetric; the diagonal is ignored; NaN stays NaN.
    """
    _check_matrix(matrix)
    return matrix[np.triu_indices(len(matrix), k=1)].astype(float)


def average_runs(runs: np.ndarray, clean_minutes: np.ndarray) -> np.ndarray:
    """Mean over runs weighted by clean minutes, in Fisher z; shape of one run.

    Parameters
    ----------
    runs : np.ndarray, shape (n_runs, ...)
        Fisher z; where a run is NaN the other runs decide; NaN where all are.
    clean_minutes : np.ndarray, shape (n_runs,)
        Minutes left after censoring, above 0.
    """
    runs, minutes = np.asarray(runs, dtype=float), np.asarray(clean_minutes, dtype=float)
    if minutes.shape != runs.shape[:1] or not np.all(minutes > 0):
        raise ValueError("clean_minutes: one number above 0 per run")
    weights = np.isfinite(runs) * minutes.reshape(-1, *[1] * (runs.ndim - 1))
    total = weights.sum(axis=0)
    return (np.where(np.isfinite(runs), runs, 0) * weights).sum(axis=0) / np.where(
        total > 0, total, np.nan
    )


def mean_connectivity(sessions: np.ndarray) -> np.ndarray:
    """Mean Fisher z of the edges of each region, shape (n_sessions, n_regions).

    Only edges to regions seen in every session of the participant count, so that a region
    lost in one session does not make a change in all others. NaN for a region without edge.

    Parameters
    ----------
    sessions : np.ndarray, shape (n_sessions, n_regions, n_regions)
        Fisher z of all sessions of one participant; NaN where coverage is low; the
        diagonal is ignored.
    """
    sessions = np.array(sessions, dtype=float)
    for matrix in sessions:
        _check_matrix(matrix)
        np.fill_diagonal(matrix, np.nan)
    seen = np.isfinite(sessions).any(axis=1).all(axis=0)
    counted = np.isfinite(sessions) & seen
    n_edges = counted.sum(axis=2)
    total = np.where(counted, sessions, 0).sum(axis=2)
    return total / np.where(n_edges > 0, n_edges, np.nan)


def _check_matrix(matrix):
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1]:
        raise ValueError(f"matrix: expected a square, found shape {matrix.shape}")
    upper = np.triu_indices(len(matrix), k=1)
    if not np.allclose(matrix[upper], matrix.T[upper], atol=1e-4, equal_nan=True):
        raise ValueError("matrix: not symmetric")
