"""Cortical thickness along lines from white matter to CSF, and its change between sessions.

The lines are found once, on the template of a participant. Each session moves their ends with its
deformation; what the deformation is too smooth to show is read off the brightness along the same
lines. Points are in mm, RAS+; inside this file, where it says voxels, they are voxel coordinates.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage
from scipy.spatial import cKDTree

MAX_THICKNESS_MM = 6.0
MIN_WHITE_ML = 0.1
NOISE_SIGMA_VOXELS = 0.4
NORMAL_SIGMA_VOXELS = 0.7
N_PLANES = 8
PLANE_REACH_VOXELS = 1.2
PLANE_ERROR_VOXELS = 0.5
MAX_ASIDE_VOXELS = 0.75
MIN_FACING_VOXELS = 0.75
WINDOW_MM = 1.0
SHORT_MM = 0.25
N_SAMPLES = 12


@dataclass(frozen=True)
class Lines:
    """Lines across the cortex; each stands for one voxel face of the surface half-way.

    Attributes
    ----------
    inner, outer : array, (n_lines, 3)
        Ends at the edge of white matter and at the edge of CSF, mm, RAS+.
    room_mm : array, (n_lines, 2)
        From the inner end to the middle of the white matter, from the outer end to the middle of
        the sulcus; at most `WINDOW_MM`.
    voxels : int array, (n_lines, 3)
        Voxel half-way. Its centre is where the line may bend, so that each half stands upright
        on its edge.
    """

    inner: np.ndarray
    outer: np.ndarray
    room_mm: np.ndarray
    voxels: np.ndarray

    def middle(self, affine):
        """Centres (n_lines, 3), mm, of the voxels half-way."""
        return self.voxels @ affine[:3, :3].T + affine[:3, 3]


@dataclass(frozen=True)
class _Edge:
    """Points (n, 3), voxels, where a map crosses .5, its slope's direction there, and a tree."""

    points: np.ndarray
    normals: np.ndarray
    tree: cKDTree


def thickness_lines(grey, white, affine, within=None):
    """Lines (`Lines`) across the cortex of a template.

    Each voxel half-way between the edge of white matter (white = .5) and the edge of the brain's
    tissue (grey + white = .5) gives one line through it, to the nearest point of either edge.
    Where two banks of a sulcus touch, the outer end is the middle between their white matter,
    less the CSF that the maps show there.

    Parameters
    ----------
    grey, white : array, (i, j, k), 0..1
        Share of grey and white matter in each voxel; what is neither is CSF or outside.
    affine : array, (4, 4)
        Voxels to mm; isotropic.
    within : bool array, (i, j, k), optional
        Only lines with their middle here.

    Raises
    ------
    ValueError
        Shapes differ, voxels are not isotropic, or there is no white matter.

    References
    ----------
    Dahnke et al. 2013 (thickness from the distances to white matter and CSF, blurred sulci).
    """
    if grey.shape != white.shape or (within is not None and within.shape != grey.shape):
        raise ValueError("grey, white, within: shapes differ")
    voxel_mm = _isotropic_mm(affine)
    white_only = _large_parts(white.astype(np.float32), MIN_WHITE_ML * 1000 / voxel_mm**3)
    white_map = ndimage.gaussian_filter(white_only, NOISE_SIGMA_VOXELS)
    tissue_map = ndimage.gaussian_filter((grey + white).astype(np.float32), NOISE_SIGMA_VOXELS)
    white_edge, tissue_edge = _edge(white_map), _edge(tissue_map)
    if not len(white_edge.points):
        raise ValueError("white: has no edge; there is no white matter")
    outside = white_map < 0.5
    near = ndimage.distance_transform_edt(outside) <= MAX_THICKNESS_MM / voxel_mm
    voxels = np.argwhere(outside & near)
    to_white, nearest = white_edge.tree.query(voxels)
    feet = white_edge.points[nearest]
    sulci = _middle_between(voxels, feet, MIN_FACING_VOXELS, grey.shape)
    wanted = tissue_map >= 0.5 if within is None else (tissue_map >= 0.5) & within
    keep = wanted[tuple(voxels.T)]
    voxels, to_white = voxels[keep], to_white[keep]
    to_tissue = _distances(tissue_edge.points, voxels, MAX_THICKNESS_MM / voxel_mm)
    to_sulcus = _distances(sulci, voxels, MAX_THICKNESS_MM / voxel_mm)
    keep = np.abs(to_white - np.minimum(to_tissue, to_sulcus)) <= 1 + 4 * PLANE_ERROR_VOXELS
    ends = _line_ends(voxels[keep], (white_edge, tissue_edge), sulci, (grey + white))
    rooms = np.stack([_white_room(ends[1], white_map, white_edge, voxel_mm), ends[3]], axis=1)
    return _lines_in_mm(ends, np.clip(rooms * voxel_mm, 0, WINDOW_MM), affine)


def _white_room(inner, white_map, white_edge, voxel_mm):
    """Distance (n_lines,), voxels, of inner ends to the middle of their white matter."""
    limit = 2 * WINDOW_MM / voxel_mm
    inside = white_map >= 0.5
    voxels = np.argwhere(inside & (ndimage.distance_transform_edt(inside) <= limit))
    feet = white_edge.points[white_edge.tree.query(voxels)[1]]
    return _distances(_middle_between(voxels, feet, 0, inside.shape), inner, limit)


def _isotropic_mm(affine):
    sizes = np.linalg.norm(affine[:3, :3], axis=0)
    if np.ptp(sizes) > 0.01 * sizes.mean():
        raise ValueError(f"affine: voxels must be isotropic, found {np.round(sizes, 3)} mm")
    return float(sizes.mean())


def _large_parts(white, min_voxels):
    """White matter (i, j, k) without the parts above .5 that are smaller than `min_voxels`."""
    parts, _ = ndimage.label(white >= 0.5)
    small = np.bincount(parts.ravel()) < min_voxels
    small[0] = False
    return np.where(small[parts], np.float32(0.49), white)


def _edge(volume):
    """Where a map crosses .5, to a fraction of a voxel (linear between neighbours)."""
    found = []
    for axis in range(3):
        along = np.moveaxis(volume, axis, 0)
        crosses = (along[:-1] >= 0.5) != (along[1:] >= 0.5)
        low, high = along[:-1][crosses], along[1:][crosses]
        places = np.argwhere(crosses).astype(np.float32)
        places[:, 0] += (0.5 - low) / (high - low)
        order = [axis, *(other for other in range(3) if other != axis)]
        found.append(places[:, np.argsort(order)])
    points = np.concatenate(found)
    smooth = ndimage.gaussian_filter(volume, NORMAL_SIGMA_VOXELS)
    slopes = np.stack([_sampled(slope, points) for slope in np.gradient(smooth)], axis=-1)
    return _Edge(points, _unit(slopes), cKDTree(points))


def _sampled(volume, points, order=1):
    return ndimage.map_coordinates(
        volume, np.moveaxis(points, -1, 0), order=order, mode="nearest", prefilter=False
    )


def _distances(points, places, limit):
    """Distance (n,) of each place to the nearest point; infinite beyond `limit`."""
    if not len(points):
        return np.full(len(places), np.inf)
    return cKDTree(points).query(places, distance_upper_bound=limit + 1)[0]


def _middle_between(voxels, feet, min_distance, shape):
    """Points (n, 3), voxels, between neighbours whose nearest edges are on two sides.

    On the way from a voxel to its neighbour both edges are equally far at one point; it is given
    to a fraction of a voxel. `feet` are the nearest points of the edge, further than
    `min_distance`.
    """
    distance = np.linalg.norm(voxels - feet, axis=1)
    index = np.full(shape, -1, np.int32)
    index[tuple(voxels.T)] = np.arange(len(voxels))
    found = [np.zeros((0, 3))]
    for axis in range(3):
        here = np.moveaxis(index, axis, 0)
        both = (here[:-1] >= 0) & (here[1:] >= 0)
        first, second = here[:-1][both], here[1:][both]
        away, back = voxels[first] - feet[first], voxels[second] - feet[second]
        facing = (away * back).sum(axis=1) < 0
        facing &= np.minimum(distance[first], distance[second]) > min_distance
        first, second = first[facing], second[facing]
        step = np.zeros(3)
        step[axis] = 1
        gap = (feet[second] - feet[first])[:, axis]
        rest = np.sum((voxels[first] - feet[second]) ** 2, axis=1) - distance[first] ** 2
        share = np.clip(rest / np.where(np.abs(gap) < 1e-6, 1e-6, 2 * gap), 0, 1)
        found.append(voxels[first] + share[:, None] * step)
    return np.concatenate(found)


def _feet(places, edge):
    """Nearest points (n, 3) of an edge and their distances (n,), voxels.

    The mean plane of up to `N_PLANES` near points of the edge stands for it, so that noise of
    the edge does not shorten the distance.
    """
    if len(edge.points) < N_PLANES:
        return np.array(places, float), np.full(len(places), np.inf)
    distance, nearest = edge.tree.query(places, k=N_PLANES)
    points, normals = edge.points[nearest], edge.normals[nearest]
    same = np.linalg.norm(points - points[:, :1], axis=2) < PLANE_REACH_VOXELS
    same &= (normals * normals[:, :1]).sum(axis=2) > 0.5
    weight = same[..., None] / same.sum(axis=1)[:, None, None]
    normal = (normals * weight).sum(axis=1)
    normal = _unit(normal)
    to_plane = (points * weight).sum(axis=1) - places
    height = (to_plane * normal).sum(axis=1, keepdims=True)
    aside = np.linalg.norm(to_plane - height * normal, axis=1)
    sound = (aside < MAX_ASIDE_VOXELS) & (
        np.abs(height[:, 0]) <= distance[:, 0] + PLANE_ERROR_VOXELS
    )
    feet = np.where(sound[:, None], places + height * normal, points[:, 0])
    return feet, np.where(sound, np.abs(height[:, 0]), distance[:, 0])


def _line_ends(voxels, edges, sulci, tissue):
    """Middle voxel, inner end, outer end, and room beyond it, of each line; all in voxels."""
    inner, to_white = _feet(voxels, edges[0])
    outer, to_outer = _feet(voxels, edges[1])
    to_middle = np.full(len(voxels), np.inf)
    if len(sulci):
        middle, to_middle = _sulcal_feet(voxels, inner, sulci)
        away = (middle - voxels) / np.maximum(to_middle, 1e-6)[:, None]
        fluid = _fluid_before(middle, away, tissue)
        buried = to_middle - fluid < to_outer
        outer = np.where(buried[:, None], middle - fluid[:, None] * away, outer)
        to_outer = np.where(buried, to_middle - fluid, to_outer)
    keep = (np.abs(to_white - to_outer) <= 1) & (to_outer > 0)
    room = np.maximum(to_middle - to_outer, 0)
    return voxels[keep], inner[keep], outer[keep], room[keep]


def _sulcal_feet(voxels, inner, sulci):
    """Point (n, 3) of the sulcal middle on the way out of white matter, and its distance (n,)."""
    _, nearest = cKDTree(sulci).query(voxels)
    point = sulci[nearest]
    outwards = _unit(voxels - inner)
    height = np.sum((point - voxels) * outwards, axis=1, keepdims=True)
    aside = np.linalg.norm(point - voxels - height * outwards, axis=1)
    straight = (aside < MAX_ASIDE_VOXELS) & (height[:, 0] > 0)
    point = np.where(straight[:, None], voxels + height * outwards, point)
    return point, np.linalg.norm(point - voxels, axis=1)


def _fluid_before(middle, away, tissue):
    """CSF (n,), voxels, in the last voxel before the middle of the sulcus."""
    back = np.linspace(0, 1, N_SAMPLES)[None, :, None]
    fluid = 1 - _sampled(tissue, middle[:, None] - back * away[:, None])
    return np.clip(fluid, 0, 1).mean(axis=1)


def _lines_in_mm(ends, room_mm, affine):
    voxels, inner, outer, _ = ends
    inner, outer = (points @ affine[:3, :3].T + affine[:3, 3] for points in (inner, outer))
    lines = Lines(inner, outer, room_mm, voxels)
    keep = line_lengths(lines, affine) <= MAX_THICKNESS_MM
    return Lines(inner[keep], outer[keep], room_mm[keep], voxels[keep])


def line_lengths(lines, affine, displacement=None):
    """Length (n_lines,), mm, of each line in a session, over its middle.

    Parameters
    ----------
    lines : Lines
        On the template.
    affine : array, (4, 4)
        Voxels of the template to mm.
    displacement : array, (i, j, k, 3), optional
        mm, RAS+, on the grid of the template: its point x lies at x + displacement in the
        session. Without it: the length in the template.

    Raises
    ------
    ValueError
        The last axis of the displacement does not hold three components.
    """
    places = (lines.inner, lines.middle(affine), lines.outer)
    if displacement is not None:
        places = [x + displacement_at(x, affine, displacement) for x in places]
    inner, middle, outer = places
    return np.linalg.norm(middle - inner, axis=1) + np.linalg.norm(outer - middle, axis=1)


def displacement_at(points, affine, displacement):
    """Displacement (..., 3), mm, at points (..., 3), mm; linear between voxels."""
    if displacement.shape[-1] != 3:
        raise ValueError("displacement: the last axis must hold x, y and z")
    places = _to_voxels(points, affine)
    return np.stack([_sampled(displacement[..., axis], places) for axis in range(3)], axis=-1)


def _to_voxels(points, affine):
    inverse = np.linalg.inv(affine)
    return points @ inverse[:3, :3].T + inverse[:3, 3]


def line_brightness(lines, affine, volume):
    """Integrals (n_lines, 2) of an image along the inner and the outer half of each line.

    Parameters
    ----------
    lines : Lines
        On the template. Both halves begin in the middle and end `room_mm` beyond their end.
    affine : array, (4, 4)
        Voxels of the template to mm.
    volume : array, (i, j, k)
        Template, or a session resampled to its shape (read at x + displacement).

    Returns
    -------
    array
        Intensity x mm of the template.
    """
    middle = lines.middle(affine)
    across = lines.outer - lines.inner
    spline = ndimage.spline_filter(np.asarray(volume, np.float32), order=3, output=np.float32)
    share = ((np.arange(N_SAMPLES) + 0.5) / N_SAMPLES)[None, :, None]
    integrals = []
    for side, end in enumerate((lines.inner, lines.outer)):
        way = end - middle
        short = np.linalg.norm(way, axis=1, keepdims=True) < SHORT_MM
        upright = _unit(np.where(short, (2 * side - 1) * across, way))
        way = way + lines.room_mm[:, side, None] * upright
        points = middle[:, None] + share * way[:, None]
        values = _sampled(spline, _to_voxels(points, affine), order=3)
        integrals.append(values.mean(axis=1) * np.linalg.norm(way, axis=1))
    return np.stack(integrals, axis=1)


def _unit(vectors):
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9)


def line_contrast(lines, means):
    """Contrast (n_lines, 2) at the ends: white minus grey matter, grey matter minus CSF.

    Parameters
    ----------
    lines : Lines
        On the template.
    means : array, (i, j, k, 5)
        Local mean of each class, from `workflows.compute.tissue.class_means`.
    """
    fluid, _, grey, _, white = means[tuple(lines.voxels.T)].T
    return np.stack([white - grey, grey - fluid], axis=1)


def edge_shift(session, template, contrast):
    """Outward shift (n_lines, 2), mm, of the edges of white matter and of CSF.

    Parameters
    ----------
    session, template : array, (n_lines, 2)
        From `line_brightness`, of the session in the shape of the template, and of the template.
    contrast : array, (n_lines, 2)
        From `line_contrast`.

    Returns
    -------
    array
        What the displacement has not shifted yet; the thickness grows by the second minus the
        first. NaN where a contrast is not positive.

    References
    ----------
    Freeborough and Fox 1997 (boundary shift integral), here along each line.
    """
    known = np.where(contrast > 0, contrast, np.nan)
    return (session - template) / known


def region_thickness(lengths, voxels, labels, regions, min_lines, min_share=0.0):
    """Mean thickness (n_regions,), mm, and number of lines (n_regions,) of each region.

    Parameters
    ----------
    lengths : array, (n_lines,)
        mm; NaN is a line that was not seen.
    voxels : int array, (n_lines, 3)
        Middle of each line; each stands for an equal area of cortex, so the mean is over area.
    labels : int array, (i, j, k)
        Regions.
    regions : int array, (n_regions,)
        Labels of cortical regions in the order of the answer.
    min_lines : int
        A region with fewer lines seen is NaN.
    min_share : float, 0..1
        A region with a smaller share of its lines seen is NaN.

    Raises
    ------
    ValueError
        A region is not positive.
    """
    regions = np.asarray(regions, int)
    if regions.min(initial=1) < 1:
        raise ValueError("regions: labels start at 1")
    seen, where = np.isfinite(lengths), labels[tuple(voxels.T)]
    size = max(int(labels.max()), int(regions.max(initial=0))) + 1
    n_all = np.bincount(where, minlength=size)[regions]
    n_lines = np.bincount(where[seen], minlength=size)[regions]
    total = np.bincount(where[seen], lengths[seen], minlength=size)[regions]
    enough = (n_lines >= max(min_lines, 1)) & (n_lines >= min_share * n_all)
    return np.divide(total, n_lines, out=np.full(len(regions), np.nan), where=enough), n_lines


def thickness_table(table, thickness_mm, n_lines, cortex):
    """Table of regions with their thickness and number of lines.

    Parameters
    ----------
    table : DataFrame
        Columns index, name, hemisphere, structure; one row per region.
    thickness_mm, n_lines : array, (n_regions,)
        From `region_thickness`.
    cortex : str
        The structure that has a thickness; others are NaN with 0 lines.

    Returns
    -------
    DataFrame
        Columns index, region, hemisphere, structure, thickness (mm), n_lines; the same rows.
    """
    answer = table[["index", "name", "hemisphere", "structure"]].rename(columns={"name": "region"})
    cortical = table["structure"] == cortex
    return answer.assign(
        thickness=np.where(cortical, thickness_mm, np.nan).round(7),
        n_lines=np.where(cortical, n_lines, 0),
    )


def thickness_map(lengths, voxels, grey, voxel_mm):
    """Thickness (i, j, k), mm, of the nearest line, in grey matter; 0 elsewhere; for pictures.

    Parameters
    ----------
    lengths : array, (n_lines,)
        mm.
    voxels : int array, (n_lines, 3)
        Middle of each line.
    grey : bool array, (i, j, k)
        Grey matter; at more than `MAX_THICKNESS_MM` / 2 from a line it stays 0.
    voxel_mm : float
        Size of the isotropic voxels.
    """
    answer = np.zeros(grey.shape, np.float32)
    places = np.argwhere(grey)
    if len(voxels) and len(places):
        reach = MAX_THICKNESS_MM / 2 / voxel_mm
        distance, nearest = cKDTree(voxels).query(places, distance_upper_bound=reach)
        near = np.isfinite(distance)
        answer[tuple(places[near].T)] = lengths[nearest[near]]
    return answer
