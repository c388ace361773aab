"""Regional time series and the correlations between them."""

from __future__ import annotations

import numpy as np

from workflows.compute.fold_steps import shrunk_covariance


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


def masked_voxels(series, mask):
    """Series (n_voxels, n_volumes), float32, of a mask, in the order of `array[mask]`.

    One volume is read at a time, so that a series on disk never stands in memory as a whole.

    Parameters
    ----------
    series : (i, j, k, n_volumes) array
    mask : (i, j, k) bool array
    """
    places = np.ravel_multi_index(np.nonzero(mask), mask.shape, order="F")
    values = np.empty((series.shape[3], len(places)), dtype=np.float32)
    for volume, row in enumerate(values):
        row[:] = np.ravel(series[..., volume], order="F")[places]
    return values.T


def region_means(voxels, labels, indices):
    """Mean series (n_volumes, n_regions) of the voxels of each region; NaN without voxels.

    Parameters
    ----------
    voxels : (n_voxels, n_volumes) array
        A value that is not finite is left out of the mean of its volume.
    labels : (n_voxels,) array of int
        Region of each voxel, 0 for none.
    indices : (n_regions,) array
        Labels, in the order of the columns.
    """
    indices = np.asarray(indices)
    size = int(max(indices.max(initial=0), np.max(labels, initial=0))) + 1
    means = np.empty((voxels.shape[1], len(indices)))
    for volume, row in enumerate(means):
        values = voxels[:, volume]
        there = np.isfinite(values)
        own, values = (labels, values) if there.all() else (labels[there], values[there])
        total = np.bincount(own, weights=values, minlength=size)[indices]
        n_voxels = np.bincount(own, minlength=size)[indices]
        row[:] = total / np.where(n_voxels > 0, n_voxels, np.nan)
    return means


def joined_runs(runs):
    """Runs of a session one after the other, each column of each with mean 0 and deviation 1.

    Parameters
    ----------
    runs : sequence of (n_volumes, n_regions) arrays
        Cleaned series. Rows that are NaN throughout (censored volumes) stay so. A region that is
        missing or does not vary in one run is NaN in all, so that all rows have the same regions.
    """
    scaled = [_standardised(run) for run in runs]
    missing = np.any([np.isnan(run).all(axis=0) for run in scaled], axis=0)
    joined = np.vstack(scaled)
    joined[:, missing] = np.nan
    return joined


def fisher_z_matrix(series):
    """Fisher z (n_regions, n_regions) of the Pearson correlations between columns.

    NaN on the diagonal, and in rows and columns of a region that is missing or does not vary.
    A correlation of exactly one is brought to the nearest smaller number.

    Parameters
    ----------
    series : (n_volumes, n_regions) array
        Rows that are NaN throughout (censored volumes) are left out.
    """
    return _matrix_of(series, lambda values: values.T @ values / len(values))


def partial_z_matrix(series):
    """Fisher z (n_regions, n_regions) of the partial correlations, all other regions held.

    From the inverse of the covariance shrunk as Ledoit & Wolf (2004), which exists also where
    there are fewer volumes than regions. NaN as in `fisher_z_matrix`.

    Parameters
    ----------
    series : (n_volumes, n_regions) array
        Rows that are NaN throughout (censored volumes) are left out.
    """
    return _matrix_of(series, _partial_correlations)


def _partial_correlations(values):
    precision = np.linalg.inv(shrunk_covariance(values))
    scale = np.sqrt(np.diag(precision))
    return -precision / np.outer(scale, scale)


def _matrix_of(series, correlations):
    matrix = np.full((series.shape[1],) * 2, np.nan)
    scaled = _standardised(series)
    values = scaled[np.isfinite(scaled).any(axis=1)]
    if len(values) < 3:
        return matrix
    usable = np.isfinite(values).all(axis=0)
    limit = np.nextafter(1.0, 0.0)
    found = np.clip(correlations(values[:, usable]), -limit, limit)
    matrix[np.ix_(usable, usable)] = np.arctanh((found + found.T) / 2)
    np.fill_diagonal(matrix, np.nan)
    return matrix


def _standardised(series):
    """Columns with mean 0 and deviation 1 over the rows that are not NaN throughout.

    A column that has other NaN, or that does not vary beyond rounding, comes out NaN.
    """
    series = np.array(series, dtype=float)
    rows = np.isfinite(series).any(axis=1)
    values = series[rows]
    if not len(values):
        return series
    deviation = values.std(axis=0)
    deviation[~(deviation > 1e-12 * np.abs(values).max(axis=0))] = np.nan
    series[rows] = (values - values.mean(axis=0)) / deviation
    return series


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
