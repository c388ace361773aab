"""Whether a T1-weighted image still has a face."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

STEP_MM = 4.0
FACE_MM = ((-30.0, 30.0), (60.0, 100.0), (-80.0, -30.0))
"""Box of eyes, nose and mouth in MNI152: from left to right, back to front, upwards."""

MNI_CENTRE_MM, MNI_ANGLE_RAD, MNI_SPREAD_MM = np.array([0.0, -22.1, 9.5]), 0.178, 51.4
"""`brain_pose` of the brain mask of MNI152NLin2009aSym."""

SIGNAL = 0.15
LEAST_SEEN = 0.25
FACE_SHARE = 0.2
"""From here on a face seems to be there. Of eight real heads four whole ones had .35 to .69, four
that were defaced .01 to .08.
"""


def face_share(volume, affine, mask):
    """Share of the place of the face that shows tissue, 0 to 1.

    The place is found from the brain: its middle, its size, and how far the head nods. Tissue is
    brighter than 15 % of the median of the brain.

    Parameters
    ----------
    volume : array, (i, j, k)
        Head, not negative.
    affine : array, (4, 4)
        Voxels to mm, RAS+.
    mask : array of bool, (i, j, k)
        Its brain.

    Returns
    -------
    float
        NaN where there is no brain, or the image ends before the face.
    """
    if not mask.any():
        return np.nan
    centre, angle, spread = brain_pose(mask, affine)
    turn, scale = angle - MNI_ANGLE_RAD, spread / MNI_SPREAD_MM
    nod = np.array([[1, 0, 0], [0, np.cos(turn), -np.sin(turn)], [0, np.sin(turn), np.cos(turn)]])
    axes = [np.arange(first, last + 0.1, STEP_MM) for first, last in FACE_MM]
    box = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)
    places = (box - MNI_CENTRE_MM) * scale @ nod.T + centre
    to_voxels = np.linalg.inv(affine)
    voxels = places @ to_voxels[:3, :3].T + to_voxels[:3, 3]
    values = ndimage.map_coordinates(volume, voxels.T, order=1, cval=np.nan)
    seen = values[np.isfinite(values)]
    if len(seen) < LEAST_SEEN * len(values):
        return np.nan
    return float((seen > SIGNAL * np.median(volume[mask])).mean())


def brain_pose(mask, affine):
    """Middle (x, y, z; mm) of a brain, its angle in the sagittal plane (rad) and its spread (mm).

    The angle is that of its longest axis with the y axis, positive where its front is higher.

    Parameters
    ----------
    mask : array of bool, (i, j, k)
    affine : array, (4, 4)
        Voxels to mm, RAS+.
    """
    size_mm = np.linalg.norm(affine[:3, :3], axis=0)
    step = np.maximum(1, np.rint(STEP_MM / size_mm).astype(int))
    voxels = np.argwhere(mask[:: step[0], :: step[1], :: step[2]]) * step
    points = voxels @ affine[:3, :3].T + affine[:3, 3]
    centre = points.mean(axis=0)
    values, axes = np.linalg.eigh(np.cov((points - centre)[:, 1:].T))
    front = axes[:, 1] * (np.sign(axes[0, 1]) or 1.0)
    return centre, float(np.arctan2(front[1], front[0])), float(np.sqrt(values.sum()))
