"""Slice timing: what every slice would show had all been taken at the same moment.

Interpolation along time is linear in the values, so each slice is multiplied by one small matrix.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage

SPLINE_ORDER = 5
AXES = ("i", "j", "k")


def slices_in_order(slice_times_s, slice_axis):
    """Times in the order in which the slices lie in the array, and their axis (0, 1 or 2).

    Parameters
    ----------
    slice_times_s : sequence of float
        `SliceTiming` of BIDS: start of each slice, seconds after the start of the volume.
    slice_axis : str
        `SliceEncodingDirection` of BIDS: i, j or k, followed by - where the first time is that
        of the last slice.
    """
    axis = slice_axis.removesuffix("-")
    if axis not in AXES:
        raise ValueError(f"slice_axis: expected i, j or k, perhaps with -, found {slice_axis!r}")
    times = np.asarray(slice_times_s, dtype=float)
    return (times[::-1] if slice_axis.endswith("-") else times), AXES.index(axis)


def middle_of_slices(slice_times_s):
    """Moment half-way between the first and the last slice, s after the start of the volume."""
    return float(np.min(slice_times_s) + np.max(slice_times_s)) / 2


def later_in_time(n_volumes, later, n_dummy=0):
    """Matrix (n_volumes, n_volumes) that turns a time series into its values `later` volumes on.

    Spline of fifth order, mirrored at both ends. Leading volumes before the steady state are kept
    as they are and are not mixed with the others.

    Parameters
    ----------
    n_volumes : int
    later : float
        In volumes; negative is earlier.
    n_dummy : int
        Leading volumes before the steady state.
    """
    steady = n_volumes - n_dummy
    spline = ndimage.spline_filter1d(np.eye(steady), SPLINE_ORDER, axis=0, mode="mirror")
    places = np.arange(steady) + later
    columns = [
        ndimage.map_coordinates(
            column, places[None], order=SPLINE_ORDER, prefilter=False, mode="mirror"
        )
        for column in spline.T
    ]
    matrix = np.eye(n_volumes)
    matrix[n_dummy:, n_dummy:] = np.stack(columns, axis=1)
    return matrix


def at_one_moment(series, slice_times_s, axis, timing, n_dummy=0):
    """Series (float32) as if all slices had been taken at the same moment of each volume.

    Parameters
    ----------
    series : (nx, ny, nz, n_volumes) array
        Finite values.
    slice_times_s : (n_slices,) array
        In the order of the array, see `slices_in_order`.
    axis : int
        0, 1 or 2: the axis along which the slices lie.
    timing : (moment_s, repetition_time_s)
        Moment after the start of each volume, and time from volume to volume.
    n_dummy : int
        Leading volumes before the steady state, which stay as they are.
    """
    if len(slice_times_s) != series.shape[axis]:
        raise ValueError(
            f"slice_times_s: expected {series.shape[axis]} times along axis {axis}, found "
            f"{len(slice_times_s)}"
        )
    moment_s, repetition_time_s = timing
    corrected = np.empty(series.shape, np.float32)
    raw_slices, new_slices = np.moveaxis(series, axis, 0), np.moveaxis(corrected, axis, 0)
    for time in np.unique(slice_times_s):
        later = (moment_s - time) / repetition_time_s
        matrix = later_in_time(series.shape[3], later, n_dummy).astype(np.float32)
        for number in np.flatnonzero(slice_times_s == time):
            new_slices[number] = raw_slices[number] @ matrix.T
    return corrected
