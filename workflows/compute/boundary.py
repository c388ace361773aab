"""Boundary-based refinement of a rigid registration (Greve & Fischl 2009), without surfaces.

The edge of white matter comes from a segmentation; a BOLD image fits where its brightness jumps
across that edge everywhere.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage, optimize

from workflows.compute.bold_mask import dice
from workflows.compute.motion import pose_from_parameters

EDGE_SMOOTHING_MM = 1.0
EDGE_SMOOTHING_VOXELS = 0.6
MIN_STEEPNESS = 0.05
STEP_MM = 2.0
PRECISION = {"xtol": 0.005, "ftol": 1e-6}
MAX_MOTION_MM = 10.0
SCALES = np.array([2.0, 2.0, 2.0, 0.03, 0.03, 0.03])
OVERLAP_SLACK = 0.05
REFINED = "bbr"


@dataclass(frozen=True)
class Alignment:
    """A rigid registration: where it comes from, `matrix` (4, 4), cost (0 to 2), Dice overlap.

    `matrix` takes points of the template to points of the BOLD image, world mm.
    """

    kind: str
    matrix: np.ndarray
    cost: float
    overlap: float


def white_matter_edge(segmentation, affine, white=2, grey=1, max_points=12_000):
    """Points on the edge between white and grey matter, and normals that lead into grey matter.

    Parameters
    ----------
    segmentation : (nx, ny, nz) array of int
    affine : (4, 4) array
        Voxel to world, mm.
    white, grey : int
        Labels.
    max_points : int
        About how many are returned, spread evenly.

    Returns
    -------
    points, normals : (n_points, 3) arrays
        World mm, RAS+; normals have length one.
    """
    sizes = np.sqrt((affine[:3, :3] ** 2).sum(axis=0))
    inside = (segmentation == white).astype(float)
    width_mm = np.maximum(EDGE_SMOOTHING_MM, EDGE_SMOOTHING_VOXELS * sizes)
    smooth = ndimage.gaussian_filter(inside, width_mm / sizes)
    near_grey = ndimage.binary_dilation(segmentation == grey, iterations=2)
    slopes = np.stack(np.gradient(smooth), axis=-1) @ np.linalg.inv(affine[:3, :3])
    steepness = np.linalg.norm(slopes, axis=-1)
    within_half_voxel = np.abs(smooth - 0.5) < steepness * sizes.min() / 2
    at_edge = within_half_voxel & (steepness * width_mm.max() > MIN_STEEPNESS) & near_grey
    at = np.argwhere(at_edge)
    if len(at) < 100:
        raise ValueError("segmentation: fewer than 100 edge points between white and grey matter")
    at = at[:: max(1, len(at) // max_points)]
    index = tuple(at.T)
    into_white = slopes[index] / steepness[index][:, None]
    points = at @ affine[:3, :3].T + affine[:3, 3]
    to_edge = (0.5 - smooth[index]) / steepness[index]
    return points + to_edge[:, None] * into_white, -into_white


def contrast_across(image, affine, points, normals):
    """Brightness outside minus inside the edge, in percent of their mean; NaN outside the image.

    Parameters
    ----------
    image : (nx, ny, nz) array
    affine : (4, 4) array
    points, normals : (n_points, 3) arrays
        In the world of the image.
    """
    to_voxel = np.linalg.inv(affine)
    sides = []
    for distance in (-STEP_MM, STEP_MM):
        place = (points + distance * normals) @ to_voxel[:3, :3].T + to_voxel[:3, 3]
        sides.append(ndimage.map_coordinates(image, place.T, order=1, mode="constant", cval=np.nan))
    inside, outside = sides
    total = inside + outside
    valid = np.isfinite(total) & (inside > 0) & (outside > 0)
    return np.divide(200 * (outside - inside), total, out=np.full(len(points), np.nan), where=valid)


def boundary_cost(contrast, usual):
    """Cost (0 to 2) of contrasts across an edge: 0 where all jump far in the usual direction.

    Parameters
    ----------
    contrast : (n_points,) array
        NaN outside the image; with fewer than one known point in ten the cost is 2.
    usual : float
        Contrast that a point on the edge has, with its sign; larger ones add little.
    """
    known = contrast[np.isfinite(contrast)]
    if len(known) < 0.1 * len(contrast):
        return 2.0
    return float(np.mean(1 - np.tanh(known / usual)))


def usual_contrast(contrast):
    """Median size of the contrasts with the sign of most of them; 1 if there are none."""
    known = contrast[np.isfinite(contrast)]
    if not np.any(known):
        return 1.0
    sign = 1.0 if np.sign(known).sum() >= 0 else -1.0
    return sign * float(np.median(np.abs(known[known != 0])))


def refine_to_boundary(image, affine, edge, start):
    """Rigid transform near `start` with the lowest boundary cost, and that cost (0 to 2).

    Grey matter is brighter than white in BOLD images; where the contrast at the start is reversed,
    the reversed contrast is sought. A transform that moves the brain by more than 10 mm has lost
    the edge: then `start` comes back with its own cost.

    Parameters
    ----------
    image : (nx, ny, nz) array
        BOLD reference.
    affine : (4, 4) array
        Its voxel to world, mm.
    edge : (points, normals)
        From `white_matter_edge`.
    start : (4, 4) array
        Takes points of the edge to points of the image, mm.
    """
    points, normals = edge
    centre = points.mean(axis=0)

    def contrast(parameters):
        return _contrast_at(image, affine, edge, start @ pose_from_parameters(parameters, centre))

    usual = usual_contrast(contrast(np.zeros(6)))

    def cost(scaled):
        return boundary_cost(contrast(scaled * SCALES), usual)

    found = optimize.minimize(cost, np.zeros(6), method="Powell", options=PRECISION)
    motion = pose_from_parameters(found.x * SCALES, centre)
    moved = np.linalg.norm(points @ motion[:3, :3].T + motion[:3, 3] - points, axis=1).mean()
    matrix = start if moved > MAX_MOTION_MM else start @ motion
    return matrix, cost_of(image, affine, edge, matrix)


def _contrast_at(image, affine, edge, matrix):
    """Contrast (n_points,) across the edge where `matrix` places it in the image."""
    points, normals = edge
    moved = points @ matrix[:3, :3].T + matrix[:3, 3]
    return contrast_across(image, affine, moved, normals @ matrix[:3, :3].T)


def cost_of(image, affine, edge, matrix):
    """Boundary cost (0 to 2) of a registration; arguments as in `refine_to_boundary`."""
    contrast = _contrast_at(image, affine, edge, matrix)
    return boundary_cost(contrast, usual_contrast(contrast))


def overlap_of(mask, affine, other_mask, other_affine, matrix):
    """Dice overlap of a mask with another one that is seen on its grid.

    Parameters
    ----------
    mask, other_mask : 3-D bool arrays
    affine, other_affine : (4, 4) arrays
        Voxel to world of each, mm.
    matrix : (4, 4) array
        Takes world points of the other mask to world points of the mask.
    """
    to_other = np.linalg.inv(other_affine) @ np.linalg.inv(matrix) @ affine
    seen = ndimage.affine_transform(
        other_mask.astype(np.uint8),
        to_other[:3, :3],
        to_other[:3, 3],
        output_shape=mask.shape,
        order=0,
    )
    return dice(mask, seen > 0)


def alignments(image, affine, edge, starts, overlap):
    """Each start and what the boundary makes of it, as a list of `Alignment`.

    Parameters
    ----------
    image, affine, edge
        As in `refine_to_boundary`.
    starts : sequence of (kind, (4, 4) array)
        The kind is "header" or "mi".
    overlap : function
        Dice overlap of the brains for a matrix.
    """
    found = []
    for kind, start in starts:
        refined, cost = refine_to_boundary(image, affine, edge, start)
        found.append(Alignment(kind, start, cost_of(image, affine, edge, start), overlap(start)))
        found.append(Alignment(REFINED, refined, cost, overlap(refined)))
    return found


def best_alignment(candidates):
    """The candidate of the lowest boundary cost among those whose brains overlap well.

    Well means: no more than .05 (Dice) less than the candidate that overlaps most. The boundary
    is the more exact criterion, but it can be caught at the wrong edge. Of equal ones the first.
    """
    most = max(candidate.overlap for candidate in candidates)
    good = [candidate for candidate in candidates if candidate.overlap >= most - OVERLAP_SLACK]
    return min(good, key=lambda candidate: candidate.cost)


def mirrored(image, affine):
    """Image with left and right exchanged: its axis nearest to x turned round."""
    return np.flip(image, axis=int(np.abs(affine[0, :3]).argmax()))
