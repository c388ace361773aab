"""Runs of one session: how their modality is called, and their weighted mean."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from bids_utils.readers.scan_names import ScanName

BOLD = "bold"


def modality_names(names: Iterable[ScanName]) -> dict[str, str]:
    """Modality by task: `bold`, or `bold_<task>` where there are several tasks."""
    tasks = list(dict.fromkeys(name.get("task") for name in names))
    several = len([task for task in tasks if task]) > 1
    return {task: f"{BOLD}_{task}" if several and task else BOLD for task in tasks}


def weighted_mean(runs: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Mean over runs, shape of one run; where a run is NaN the others decide.

    Parameters
    ----------
    runs : np.ndarray, shape (n_runs, ...)
        Values of each run; NaN where all are.
    weights : np.ndarray, shape (n_runs,)
        Such as numbers of volumes; where one is not known all runs count the same.
    """
    known = np.isfinite(weights) & (weights > 0)
    weights = weights if known.all() else np.ones(len(runs))
    shares = np.isfinite(runs) * weights.reshape(-1, *[1] * (runs.ndim - 1))
    total = shares.sum(axis=0)
    return (np.where(np.isfinite(runs), runs, 0.0) * shares).sum(axis=0) / np.where(
        total > 0, total, np.nan
    )
