"""Counts of few people are hidden, and so are those from which they could be worked out."""

from __future__ import annotations

import numpy as np

FEWEST = 5


def hidden_cells(counts: np.ndarray, fewest: int = FEWEST) -> np.ndarray:
    """Which counts must not be shown.

    Every count from 1 to `fewest` - 1 is hidden. A row or column whose total is known shows a
    single hidden cell by subtraction, so its smallest other cell is hidden too, until no row
    and no column has exactly one hidden cell.

    Parameters
    ----------
    counts : np.ndarray, shape (n_groups, n_levels)
        Numbers of people; NaN is no cell.
    fewest : int
        Smallest number of people that may be shown (0 may be shown).

    Returns
    -------
    np.ndarray of bool, shape (n_groups, n_levels)
    """
    values = np.asarray(counts, dtype=float)
    hidden = (values > 0) & (values < fewest)
    while True:
        before = hidden.sum()
        for lines, marks in ((values, hidden), (values.T, hidden.T)):
            for line, mark in zip(lines, marks, strict=True):
                _hide_another(line, mark)
        if hidden.sum() == before:
            return hidden


def _hide_another(line, mark):
    """Hide the smallest other cell of a line with exactly one hidden cell, in place."""
    others = np.flatnonzero(~mark & np.isfinite(line))
    if mark.sum() == 1 and len(others):
        mark[others[np.argmin(line[others])]] = True
