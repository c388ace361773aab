"""Rows of a carpet plot: brain voxels against time, sorted by tissue (Power 2017)."""

from __future__ import annotations

import numpy as np


def carpet_rows(series, segmentation, max_rows=1200):
    """Evenly thinned voxel series in z-scores, and the tissue of each row.

    Parameters
    ----------
    series : (nx, ny, nz, n_volumes) array
    segmentation : (nx, ny, nz) array of int
        Grey matter 1, white matter 2, CSF 3; 0 is left out.
    max_rows : int
        About how many voxels are kept.

    Returns
    -------
    carpet : (n_rows, n_volumes) float32 array
        Linear trend removed; 0 throughout for a voxel that does not vary.
    tissue : (n_rows,) int array
        1, 2, 3, ascending.
    """
    at = np.flatnonzero(segmentation)
    at = at[:: max(1, -(-len(at) // max_rows))]
    tissue = segmentation.ravel()[at].astype(int)
    order = np.argsort(tissue, kind="stable")
    rows = series[np.unravel_index(at[order], segmentation.shape)].astype(float)
    time = np.linspace(-1, 1, rows.shape[1])
    rows -= rows.mean(axis=1, keepdims=True)
    rows -= np.outer(rows @ time, time) / (time @ time)
    spread = rows.std(axis=1, keepdims=True)
    carpet = np.divide(rows, spread, out=np.zeros_like(rows), where=spread > 1e-9)
    return carpet.astype(np.float32), tissue[order]
