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


def shared_blur(voxel_mm):
    """Standard deviations (n_sessions, 3), voxels, that make all sessions as sharp as the coarsest.

    Parameters
    ----------
    voxel_mm : array, (n_sessions, 3)
        Voxel size of each session along x, y, z.

    Returns
    -------
    array
        0 where a session has the largest voxels. The full width at half maximum of a Gaussian
        stands for the width of a voxel.
    """
    voxel_mm = np.asarray(voxel_mm, float)
    missing_mm = np.sqrt(np.maximum(voxel_mm.max(axis=0) ** 2 - voxel_mm**2, 0))
    return missing_mm / np.sqrt(8 * np.log(2)) / voxel_mm


def blurred(volume, sigma_voxels):
    """Volume (i, j, k), float32, after a Gaussian filter along each axis; 0 leaves it as it is."""
    return ndimage.gaussian_filter(volume.astype(np.float32), sigma_voxels)


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
