"""Labels of an atlas carried to points between its voxels."""

from __future__ import annotations

import numpy as np

BLOCK = 500_000
CORNERS = np.indices((2, 2, 2)).reshape(3, 8, 1).astype(bool)


def carried_labels(labels, points):
    """Label (n_points,) at points between the voxels of a label image; 0 is no label.

    The eight voxels around a point vote, each with its weight in linear interpolation, so that
    the edges of regions do not follow the voxels of a coarse atlas. Ties go to the nearest
    voxel, and half-way between two to the one with the even number, so that no side wins.

    Parameters
    ----------
    labels : int array, (i, j, k)
        0 or positive. Outside of the image there is no label.
    points : array, (3, n_points)
        Where, in voxels of `labels`.

    Raises
    ------
    ValueError
        `points` does not have three rows.
    """
    if len(points) != 3:
        raise ValueError("points: give one row for each axis")
    padded = np.pad(np.asarray(labels, np.int32), 2)
    highest = np.array(labels.shape)[:, None] + 0.5
    blocks = np.array_split(points, points.shape[1] // BLOCK + 1, axis=1)
    return np.concatenate([_elected(padded, np.clip(b, -1, highest) + 2) for b in blocks])


def _elected(labels, points):
    """Label (n,) at each of the points (3, n), all inside of `labels`."""
    low, nearest = np.floor(points).astype(int), np.rint(points).astype(int)
    voxels = np.where(CORNERS, (2 * low + 1 - nearest)[:, None], nearest[:, None])
    voters = labels[tuple(voxels)]
    answer = voters[0].copy()
    mixed = (voters != answer).any(axis=0)
    distance = np.abs(voxels[:, :, mixed] - points[:, None, mixed])
    weights, voters = np.prod(1 - distance, axis=0), voters[:, mixed]
    scores = np.stack([np.sum(weights, axis=0, where=voters == label) for label in voters])
    answer[mixed] = np.take_along_axis(voters, scores.argmax(axis=0)[None], axis=0)[0]
    return answer
