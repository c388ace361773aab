"""Intensities of sessions made comparable."""

from __future__ import annotations

import numpy as np
from scipy import ndimage


def robust_scale(volume, mask, target):
    """Factor that brings the 75th percentile inside a mask to a target.

    Parameters
    ----------
    volume : array, (i, j, k)
        T1-weighted image.
    mask : bool array, (i, j, k)
        Brain.
    target : float
        Intensity wanted there (about the edge of white matter).

    Raises
    ------
    ValueError
        The mask is empty or the image is not positive there.
    """
    if not mask.any():
        raise ValueError("mask: no voxel is set")
    level = np.percentile(volume[mask], 75)
    if not level > 0:
        raise ValueError("volume: not positive inside the mask")
    return target / level


def matched_bias(volume, reference, white, sigma_voxels):
    """Volume with the slow part of its ratio to a reference taken out.

    Parameters
    ----------
    volume, reference : array, (i, j, k)
        Images of the same brain on the same grid.
    white : array, (i, j, k), 0..1
        White matter of the reference: the ratio is learned there only, so that a change of
        the cortex is no change of the intensities.
    sigma_voxels : float
        Smoothness of the ratio.

    Returns
    -------
    array
        The same as `volume` where it equals the reference everywhere.

    Raises
    ------
    ValueError
        There is no white matter with positive intensities.

    References
    ----------
    Ashburner and Ridgway 2013 (differential bias).
    """
    weight = np.where((volume > 0) & (reference > 0), white, 0).astype(np.float32)
    if not weight.any():
        raise ValueError("white: no white matter with positive intensities")
    ratio = np.log(np.where(weight > 0, volume, 1)) - np.log(np.where(weight > 0, reference, 1))
    middle = np.median(ratio[weight > 0.5]) if (weight > 0.5).any() else 0.0
    deviation = np.clip(ratio - middle, -0.3, 0.3) * weight
    known = ndimage.gaussian_filter(weight, sigma_voxels)
    field = ndimage.gaussian_filter(deviation, sigma_voxels) / (known + 1e-3)
    return (volume * np.exp(-(field + middle))).astype(np.float32)


def volume_problem(volume, affine):
    """Text that says why an anatomical image cannot be used; empty if it can.

    Parameters
    ----------
    volume : array
        Image.
    affine : array, (4, 4)
        Voxels to mm.
    """
    if volume.ndim != 3 or min(volume.shape) < 2:
        return f"expected three dimensions, found shape {volume.shape}"
    if not np.all(np.isfinite(affine)) or abs(np.linalg.det(affine[:3, :3])) < 1e-6:
        return "its affine cannot be inverted, so its place in space is unknown"
    n_bad = np.count_nonzero(~np.isfinite(volume))
    if n_bad:
        return f"{n_bad} voxels are not numbers"
    if volume.min() == volume.max():
        return f"all voxels are {volume.min():g}"
    return ""
