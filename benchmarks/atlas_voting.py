"""Labels of 2 mm brought back to 1 mm, where the truth is known: nearest voxel against voting.

    python benchmarks/atlas_voting.py [LABELS_1MM.nii.gz ...]

Without files: the Desikan-Killiany atlas. The 2 mm grid is turned by some degrees and shifted by
parts of a voxel, as it is after a registration.
"""

from __future__ import annotations

import sys

import nibabel as nib
import numpy as np
from nibabel.affines import apply_affine
from scipy.spatial.transform import Rotation

from configs.atlases import find_atlas
from workflows.compute.atlas_labels import carried_labels
from workflows.interfaces.volumes import load_labels

TURN_DEGREES, SHIFT_MM = (4, -3, 5), (0.3, 0.7, -0.4)


def voxels_of(shape, affine, other):
    """Voxels (3, n) of another image at all voxels of a grid."""
    points = np.indices(shape).reshape(3, -1).T
    return apply_affine(np.linalg.inv(other) @ affine, points).T


def coarse(labels, affine):
    """Labels on a turned and shifted grid with voxels twice as large, and its affine."""
    turn = np.eye(4)
    turn[:3, :3] = Rotation.from_euler("xyz", TURN_DEGREES, degrees=True).as_matrix()
    turn[:3, 3] = SHIFT_MM
    shape = tuple((n + 1) // 2 for n in labels.shape)
    grid = turn @ affine @ np.diag([2, 2, 2, 1])
    near = np.rint(voxels_of(shape, grid, affine))
    return carried_labels(labels, near).reshape(shape), grid


def agreement(found, truth):
    """Median over regions of Dice and absolute volume error (%), mean change of volume (%)."""
    size = int(truth.max()) + 1
    volume, true = (np.bincount(x, minlength=size)[1:size] for x in (found, truth))
    both = np.bincount(truth[found == truth], minlength=size)[1:size]
    known = true > 0
    error = 100 * (volume[known] - true[known]) / true[known]
    dice = 2 * both[known] / (volume[known] + true[known])
    return np.median(dice), np.median(np.abs(error)), error.mean()


def main(files):
    """Print one line a file and way."""
    for file in files:
        labels, affine = load_labels(file)
        low, grid = coarse(labels, affine)
        points = voxels_of(labels.shape, affine, grid)
        for way, places in (("nearest", np.rint(points)), ("voting", points)):
            dice, error, mean = agreement(carried_labels(low, places), labels.ravel())
            print(
                f"{nib.load(file).get_filename()} {way}: Dice {dice:.3f}, volume error "
                f"{error:.2f} %, mean {mean:+.2f} %"
            )


if __name__ == "__main__":
    main(sys.argv[1:] or [find_atlas("DesikanKilliany").file])
