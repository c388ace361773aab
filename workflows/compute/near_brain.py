"""Pictures without a face: only what is in the brain or close to it."""

from __future__ import annotations

import numpy as np
from scipy import ndimage


def near_brain(volume, mask, voxel_size_mm, margin_mm):
    """Copy of a volume that is 0 further than a margin from the brain.

    Parameters
    ----------
    volume : (nx, ny, nz) array
    mask : (nx, ny, nz) array of bool
        Brain.
    voxel_size_mm : (3,) array
        Length of a voxel along each axis.
    margin_mm : float
        Distance from the brain that is kept, 0 or more; measured along straight lines between
        voxel centres.

    Returns
    -------
    (nx, ny, nz) array
        NaN of the volume becomes 0.
    """
    if margin_mm < 0:
        raise ValueError(f"margin_mm: must be 0 or more, found {margin_mm}")
    if mask.shape != volume.shape:
        raise ValueError(f"mask: shape {mask.shape} is not that of the volume {volume.shape}")
    if margin_mm == 0:
        return np.where(mask, np.nan_to_num(volume), 0)
    reach = np.ceil(margin_mm / np.asarray(voxel_size_mm)).astype(int) + 1
    found = ndimage.find_objects(mask.astype(np.int8))
    kept = np.zeros(mask.shape, dtype=bool)
    if found:
        box = tuple(
            slice(max(0, part.start - step), part.stop + step)
            for part, step in zip(found[0], reach, strict=True)
        )
        distance = ndimage.distance_transform_edt(~mask[box], sampling=voxel_size_mm)
        kept[box] = distance <= margin_mm
    return np.where(kept, np.nan_to_num(volume), 0)
