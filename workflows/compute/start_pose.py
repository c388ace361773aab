"""Which way round a brain lies, before a registration that only finds the nearest optimum."""

from __future__ import annotations

from itertools import product

import numpy as np
from scipy import ndimage, optimize

from workflows.compute.geometry import centre_shift
from workflows.compute.intensity import antialiased

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
    turns = [about(turn, centre) for turn in candidate_turns()]
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
        change = about(rotation(steps[3:] * step[3:]), centre)
        change[:3, 3] += steps[:3] * step[:3]
        return start @ change

    found = optimize.minimize(
        lambda steps: -agreement(*images, moved(steps)),
        np.zeros(6),
        method="Powell",
        options={"xtol": 0.02, "ftol": 1e-4},
    )
    return moved(found.x), -float(found.fun)


def candidate_turns():
    """Rotations (n, 3, 3) that are tried; the first turns nothing."""
    halves = [np.diag(signs) for signs in ((1, 1, 1), (1, -1, -1), (-1, 1, -1), (-1, -1, 1))]
    angles = sorted(product(TURNS_DEG, TILTS_DEG, TILTS_DEG), key=np.linalg.norm)
    return np.array([half @ rotation(np.radians(turn)) for turn in angles for half in halves])


def rotation(angles):
    """Rotation (3, 3) about x, then y, then z by angles (3,), rad."""
    matrix = np.eye(3)
    for axis, angle in enumerate(angles):
        first, second = (axis + 1) % 3, (axis + 2) % 3
        turn = np.eye(3)
        turn[[first, second], [first, second]] = np.cos(angle)
        turn[first, second], turn[second, first] = -np.sin(angle), np.sin(angle)
        matrix = turn @ matrix
    return matrix


def about(turn, centre):
    """Matrix (4, 4) of a rotation (3, 3) that leaves `centre` (3,) where it is."""
    matrix = np.eye(4)
    matrix[:3, :3] = turn
    matrix[:3, 3] = centre - turn @ centre
    return matrix


def coarse(image):
    """The image, blurred to `COARSE_MM` and every so many voxels of it; and its affine."""
    volume, affine = image
    size = np.linalg.norm(affine[:3, :3], axis=0)
    step = np.maximum(1, np.round(COARSE_MM / size)).astype(int)
    smooth = antialiased(volume, size, COARSE_MM)
    less = affine @ np.diag([*step, 1.0])
    return smooth[tuple(slice(None, None, n) for n in step)], less


def centre_of(image):
    """Centre of the weights of an image, mm."""
    volume, affine = image
    return affine[:3, :3] @ np.array(ndimage.center_of_mass(volume)) + affine[:3, 3]


def agreement(fixed, moving, pose):
    """Correlation of a fixed image with a moving one that is brought to it by a pose."""
    mapping = np.linalg.inv(moving[1]) @ pose @ fixed[1]
    seen = ndimage.affine_transform(
        moving[0], mapping[:3, :3], mapping[:3, 3], output_shape=fixed[0].shape, order=1
    )
    return float(np.corrcoef(fixed[0].ravel(), seen.ravel())[0, 1])
