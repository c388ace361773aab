"""Regional time series and the correlations between them."""

from __future__ import annotations

import numpy as np


def region_coverage(whole, seen, indices):
    """Fraction (n_regions,) of each region's voxels that are seen; NaN for one without voxels.

    Parameters
    ----------
    whole : array of int
        Label of every voxel of the brain.
    seen : array of int
        Labels of the voxels among them that lie in the mask.
    indices : (n_regions,) array
        Labels, in the order of the answer.
    """
    indices = np.asarray(indices)
    size = int(max(indices.max(), whole.max(initial=0), seen.max(initial=0))) + 1
    everywhere = np.bincount(np.ravel(whole), minlength=size)[indices]
    inside = np.bincount(np.ravel(seen), minlength=size)[indices]
    return np.divide(inside, everywhere, out=np.full(len(indices), np.nan), where=everywhere > 0)


def region_means(voxels, labels, indices):
    """Mean series (n_volumes, n_regions) of the voxels of each region; NaN without voxels.

    Parameters
    ----------
    voxels : (n_voxels, n_volumes) array
    labels : (n_voxels,) array of int
        Region of each voxel.
    indices : (n_regions,) array
        Labels, in the order of the columns.
    """
    means = np.full((voxels.shape[1], len(indices)), np.nan)
    for column, index in enumerate(indices):
        members = voxels[labels == index]
        if len(members):
            means[:, column] = members.mean(axis=0, dtype=float)
    return means


def fisher_z_matrix(series):
    """Fisher z (n_regions, n_regions) of the Pearson correlations between columns.

    NaN on the diagonal, and in rows and columns of a region that is missing or does not vary.
    A correlation of exactly one is brought to the nearest smaller number.

    Parameters
    ----------
    series : (n_volumes, n_regions) array
        Rows that are NaN throughout (censored volumes) are left out.
    """
    rows = np.isfinite(series).any(axis=1)
    values = series[rows]
    matrix = np.full((series.shape[1],) * 2, np.nan)
    if len(values) < 3:
        return matrix
    centred = values - values.mean(axis=0)
    length = np.linalg.norm(centred, axis=0)
    scale = np.abs(values).max(axis=0, initial=0.0)
    usable = np.isfinite(length) & (length > 1e-12 * scale * np.sqrt(len(values)))
    unit = centred[:, usable] / length[usable]
    limit = np.nextafter(1.0, 0.0)
    matrix[np.ix_(usable, usable)] = np.arctanh(np.clip(unit.T @ unit, -limit, limit))
    np.fill_diagonal(matrix, np.nan)
    return matrix


def temporal_signal_to_noise(voxels):
    """Median over voxels of mean divided by standard deviation over time.

    Parameters
    ----------
    voxels : (n_voxels, n_volumes) array
        Voxels that do not vary are left out; NaN if none varies.
    """
    spread = voxels.std(axis=1, dtype=float)
    varying = spread > 0
    if not varying.any():
        return float("nan")
    return float(np.median(voxels[varying].mean(axis=1, dtype=float) / spread[varying]))
