"""Which way round a brain lies, before a registration that only finds the nearest optimum."""

from __future__ import annotations

from itertools import product

import numpy as np
from scipy import optimize

from workflows.compute.geometry import centre_of, centre_shift, resampled
from workflows.compute.intensity import antialiased
from workflows.compute.motion import pose_from_parameters

COARSE_MM = 8.0
TURNS_DEG = (-30.0, -15.0, 0.0, 15.0, 30.0)
TILTS_DEG = (-20.0, 0.0, 20.0)
CLEARLY_BETTER = 0.02
"""By how much the correlation must be higher to leave the pose of the header."""
FAR_RAD = np.radians(30)
"""Turn beyond which a search from the pose of the header might not arrive."""
STEP_MM, STEP_RAD = 8.0, 0.1


def start_pose(fixed, moving):
    """Rigid matrix (4, 4) of points of a fixed brain to points of a moving one, mm, to start from.

    The centres are laid upon each other, and the head is left as its header has it, unless a search
    at 8 mm from there ends more than `FAR_RAD` away, or clearly worse (correlation) than one from a
    turned head: half round about an axis, as a wrong header has it, by up to 30 degrees of pitch
    and 20 of yaw and roll.

    Parameters
    ----------
    fixed, moving : tuple of (array (i, j, k), affine (4, 4))
        Brains without skull, zero outside, of like contrast; voxel to world, mm.

    Raises
    ------
    ValueError
        One of them is zero everywhere.
    """
    shift = centre_shift(fixed, moving)
    images = coarse(fixed), coarse(moving)
    centre = centre_of(images[0])
    turns = candidate_turns(centre)
    scores = [agreement(*images, shift @ turn) for turn in turns]
    (near, as_it_is), (turned, best) = (
        refined(images, shift @ turns[number], centre) for number in (0, int(np.argmax(scores)))
    )
    if best > as_it_is + CLEARLY_BETTER:
        return turned
    return near if angle_of(near) > FAR_RAD else shift


def angle_of(pose):
    """Angle by which a rigid matrix turns, rad."""
    return float(np.arccos(np.clip((np.trace(pose[:3, :3]) - 1) / 2, -1, 1)))


def refined(images, start, centre):
    """Pose (4, 4) near a first one at which two coarse images agree best, and their agreement."""
    step = np.repeat([STEP_MM, STEP_RAD], 3)

    def moved(steps):
        return start @ pose_from_parameters(steps * step, centre)

    found = optimize.minimize(
        lambda steps: -agreement(*images, moved(steps)),
        np.zeros(6),
        method="Powell",
        options={"xtol": 0.02, "ftol": 1e-4},
    )
    return moved(found.x), -float(found.fun)


def candidate_turns(centre):
    """Matrices (n, 4, 4) of the rotations about a centre (3,) that are tried; the first is none."""
    halves = np.pi * np.vstack([np.zeros(3), np.eye(3)])
    angles = sorted(product(TURNS_DEG, TILTS_DEG, TILTS_DEG), key=np.linalg.norm)
    return np.array(
        [
            turn_about(half, centre) @ turn_about(np.radians(turn), centre)
            for turn in angles
            for half in halves
        ]
    )


def turn_about(angles, centre):
    """Rotation (4, 4) by angles (3,), rad, about a centre (3,)."""
    return pose_from_parameters(np.concatenate([np.zeros(3), angles]), centre)


def coarse(image):
    """The image, blurred to `COARSE_MM` and every so many voxels of it; and its affine."""
    volume, affine = image
    size = np.linalg.norm(affine[:3, :3], axis=0)
    step = np.maximum(1, np.round(COARSE_MM / size)).astype(int)
    smooth = antialiased(volume, size, COARSE_MM)
    less = affine @ np.diag([*step, 1.0])
    return smooth[tuple(slice(None, None, n) for n in step)], less


def agreement(fixed, moving, pose):
    """Correlation of a fixed image with a moving one that is brought to it by a pose."""
    seen = resampled(moving, (fixed[0].shape, fixed[1]), pose, 1)
    return float(np.corrcoef(fixed[0].ravel(), seen.ravel())[0, 1])
