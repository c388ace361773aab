"""Brain masks in BOLD space and how well two of them agree."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

GREY, WHITE, CSF = 1, 2, 3
MIN_TISSUE_VOXELS = 30
HEAD_BRIGHTNESS = 0.25
GAP_VOXELS = 3
ONE_VOXEL_FWHM = 1 / np.sqrt(8 * np.log(2))


def epi_brain_mask(mean_image, lower=0.2, upper=0.85, opening=2):
    """Brain mask of a mean EPI from the gap in its histogram (T. Nichols's heuristic).

    Same answer as nilearn's `compute_epi_mask`.

    Parameters
    ----------
    mean_image : (nx, ny, nz) array
    lower, upper : float
        Fractions of the voxels between which the least dense brightness is sought.
    opening : int
        Voxels taken off before the largest piece is chosen, and given back.
    """
    smooth = ndimage.gaussian_filter(mean_image.astype(float), ONE_VOXEL_FWHM)
    ordered = np.sort(smooth, axis=None)
    first, last = int(lower * ordered.size), min(int(upper * ordered.size), ordered.size - 1)
    gap = first + np.diff(ordered[first : last + 1]).argmax()
    mask = smooth >= ordered[gap : gap + 2].mean()
    mask = ndimage.binary_erosion(mask, iterations=opening)
    if not mask.any():
        raise ValueError("mean_image: nothing in it looks like a brain")
    pieces, _ = ndimage.label(mask)
    mask = pieces == np.bincount(pieces[mask]).argmax()
    mask = ndimage.binary_dilation(mask, iterations=2 * opening)
    return ndimage.binary_erosion(mask, iterations=opening)


def dead_voxels(series):
    """Voxels (...) bool without information: constant, or not a number in any volume.

    Parameters
    ----------
    series : (..., n_volumes) array
        An image, or voxels of one.
    """
    with np.errstate(invalid="ignore"):  # infinite minus infinite is not a number, as it should be
        span = series.max(axis=-1) - series.min(axis=-1)
    return ~(np.isfinite(span) & (span > 0))


def dead_share(series, dead):
    """Share (0 to 1) of the head's voxels that are dead; holes and gaps up to 6 voxels count.

    Parameters
    ----------
    series : (nx, ny, nz, n_volumes) array
    dead : (nx, ny, nz) bool array
        From `dead_voxels`; those that are 0 in all volumes lie outside the head unless bright
        voxels surround them.
    """
    image = np.where(dead, 0, series[..., -1])
    bright = image > HEAD_BRIGHTNESS * np.percentile(image[~dead], 98)
    room = np.pad(bright, GAP_VOXELS)
    head = ndimage.binary_closing(room, iterations=GAP_VOXELS)
    head = ndimage.binary_fill_holes(head)[(slice(GAP_VOXELS, -GAP_VOXELS),) * 3]
    return np.count_nonzero(head & dead) / max(1, np.count_nonzero(head))


def dice(one, other):
    """Dice overlap (0 to 1) of two masks; 0 if both are empty."""
    total = np.count_nonzero(one) + np.count_nonzero(other)
    return 2 * np.count_nonzero(one & other) / total if total else 0.0


def tissue_core(segmentation, mask, tissue):
    """Voxels of a tissue without its outermost layer, where grey matter mixes in.

    Where the core is smaller than 30 voxels (coarse images) the tissue keeps its rim.

    Parameters
    ----------
    segmentation : (nx, ny, nz) array of int
        Grey matter 1, white matter 2, CSF 3.
    mask : (nx, ny, nz) bool array
    tissue : int
    """
    whole = (segmentation == tissue) & mask
    core = ndimage.binary_erosion(whole)
    return core if np.count_nonzero(core) >= MIN_TISSUE_VOXELS else whole


def padding_around(corners_voxel, shape):
    """Voxels (3, 2) to add before and after each axis so that the grid holds all corners.

    Parameters
    ----------
    corners_voxel : (n_corners, 3) array
        Positions in voxels of the grid.
    shape : (3,) tuple of int
    """
    before = np.maximum(0, -np.floor(corners_voxel.min(axis=0)))
    after = np.maximum(0, np.ceil(corners_voxel.max(axis=0)) - (np.array(shape) - 1))
    return np.stack([before, after], axis=1).astype(int)
