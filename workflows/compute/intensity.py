"""Intensities of sessions made comparable."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

THICK_BLUR = 0.6
FWHM_PER_SIGMA = float(np.sqrt(8 * np.log(2)))


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
    """Standard deviations (n_sessions, 3), voxels, of blurs that make all sessions comparable.

    Parameters
    ----------
    voxel_mm : array, (n_sessions, 3)
        Voxel size of each session along x, y, z.

    Returns
    -------
    array
        Along each axis all sessions become as sharp as the one with the largest voxels there (the
        full width at half maximum of a Gaussian stands for the width of a voxel). Along an axis
        with larger voxels than the smallest of all, slices lie elsewhere in each session, and
        between them nothing is known: there the images are blurred by `THICK_BLUR` voxels more.
        0 where all voxels are equal and isotropic.
    """
    voxel_mm = np.asarray(voxel_mm, float)
    largest = voxel_mm.max(axis=0)
    sharpness = (largest**2 - voxel_mm**2) / FWHM_PER_SIGMA**2
    slices = THICK_BLUR**2 * (largest**2 - voxel_mm.min() ** 2)
    return np.sqrt(np.maximum(sharpness + slices, 0)) / voxel_mm


def voxels_per_sample(voxel_mm, blurs, template_mm):
    """Voxels of the template that hold one independent value of the sessions, 1 or more.

    Parameters
    ----------
    voxel_mm, blurs : array, (n_sessions, 3)
        Voxel sizes, and the blurs of `shared_blur`.
    template_mm : float
        Voxel size of the template.
    """
    voxel_mm = np.asarray(voxel_mm, float)
    widths_mm = voxel_mm * np.hypot(1, FWHM_PER_SIGMA * np.asarray(blurs))
    return float(np.prod(np.maximum(widths_mm.max(axis=0) / template_mm, 1)))


def antialiased(volume, voxel_mm, resolution_mm):
    """Volume (i, j, k), float32, without what voxels of a larger size cannot hold.

    Parameters
    ----------
    volume : array, (i, j, k)
        Image.
    voxel_mm : array, (3,)
        Its voxel size.
    resolution_mm : float
        Voxel size that it will be sampled at; an axis with larger voxels stays as it is.
    """
    ratio = resolution_mm / np.asarray(voxel_mm)
    return blurred(volume, np.sqrt(np.maximum(ratio**2 - 1, 0)) / FWHM_PER_SIGMA)


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
