"""Points on the surface of a brain and of the regions inside it, for a view that can be turned."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

SMOOTHING_VOXELS = 1.0
FURTHEST_MM = 6.0
DEEP_MM = 15.0
CLOSING_MM = 10.0
MARGIN_VOXELS = 3


@dataclass(frozen=True)
class BrainPoints:
    """Points in RAS mm, the direction each faces, and its region (0: none is near).

    First those of the left half of the brain, from `right_from` on those of the right half, from
    `deep_from` on those of regions inside it.
    """

    places_mm: np.ndarray
    normals: np.ndarray
    labels: np.ndarray
    right_from: int
    deep_from: int

    def __len__(self) -> int:
        return len(self.labels)


def brain_points(solid: np.ndarray, labels: np.ndarray, affine: np.ndarray) -> BrainPoints:
    """Surface of both halves of a brain, cut at x = 0, and of each region deep inside it.

    Parameters
    ----------
    solid : (nx, ny, nz) array of bool
        Tissue of the brain, in RAS+ order.
    labels : (nx, ny, nz) array of int
        Regions on the same grid, 0 is none.
    affine : (4, 4) array
        Voxel to mm; voxels are cubes along the axes.
    """
    if solid.shape != labels.shape:
        raise ValueError(f"labels: shape {labels.shape} does not fit that of solid {solid.shape}")
    left = (affine[0, 0] * np.arange(len(solid)) + affine[0, 3] < 0)[:, None, None]
    parts = [_half(solid & half, np.where(half, labels, 0), affine) for half in (left, ~left)]
    parts += [_region(labels, label, affine) for label in deep_labels(solid, labels, affine)]
    sizes = [len(part[0]) for part in parts]
    made = [np.concatenate(column) for column in zip(*parts, strict=True)]
    return BrainPoints(*made, right_from=sizes[0], deep_from=sizes[0] + sizes[1])


def deep_labels(solid: np.ndarray, labels: np.ndarray, affine: np.ndarray) -> list[int]:
    """Labels of which half lies more than 15 mm under the surface of the brain, sulci closed."""
    there = np.unique(labels[labels > 0])
    if not len(there):
        return []
    size_mm = np.abs(np.diag(affine)[:3])
    rounds = int(np.ceil(CLOSING_MM / size_mm.min()))
    padded = np.pad(solid, rounds + 1)
    closed = ndimage.binary_fill_holes(ndimage.binary_closing(padded, iterations=rounds))
    depth_mm = ndimage.distance_transform_edt(closed, sampling=size_mm)
    inside = depth_mm[(slice(rounds + 1, -rounds - 1),) * 3]
    middle_mm = ndimage.median(inside, labels, there)
    return [int(label) for label, mm in zip(there, middle_mm, strict=True) if mm > DEEP_MM]


def nearest_label(labels: np.ndarray, affine: np.ndarray) -> np.ndarray:
    """Label of the nearest region of each voxel; 0 where none is nearer than 6 mm."""
    if not (labels > 0).any():
        return np.zeros_like(labels)
    size_mm = np.abs(np.diag(affine)[:3])
    away_mm, place = ndimage.distance_transform_edt(
        labels == 0, sampling=size_mm, return_indices=True
    )
    return np.where(away_mm <= FURTHEST_MM, labels[tuple(place)], 0)


def _half(mask, labels, affine):
    voxels, normals, rim = _faces(mask)
    return _moved(voxels, affine), normals, nearest_label(labels, affine)[rim]


def _region(labels, label, affine):
    (box,) = ndimage.find_objects((labels == label).astype(np.int8))
    voxels, normals, _ = _faces(labels[box] == label)
    first = np.array([side.start for side in box])
    return _moved(voxels + first, affine), normals, np.full(len(voxels), label)


def _faces(mask):
    """Voxel coordinates of the rim of a mask, moved onto its surface, and where each faces."""
    inner = (slice(MARGIN_VOXELS, -MARGIN_VOXELS),) * 3
    padded = np.pad(mask, MARGIN_VOXELS)
    soft = ndimage.gaussian_filter(padded.astype(np.float32), SMOOTHING_VOXELS)
    rim = mask & ~ndimage.binary_erosion(mask)
    slope = np.stack([axis[inner][rim] for axis in np.gradient(soft)], axis=1)
    steep = np.maximum(np.linalg.norm(slope, axis=1, keepdims=True), 1e-3)
    outward = -slope / steep
    out = np.clip((soft[inner][rim][:, None] - 0.5) / steep, -1, 1)
    return np.argwhere(rim) + outward * out, outward, rim


def _moved(voxels, affine):
    return voxels @ affine[:3, :3].T + affine[:3, 3]
