"""Brain mask of a head image: a sphere grown to the brain's edge (Smith 2002)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage, sparse

SUBDIVISIONS = 4
DARK_SEARCH_MM, BRIGHT_SEARCH_MM = 20.0, 10.0
MIN_CURVATURE_MM, MAX_CURVATURE_MM = 3.33, 10.0
HEAD_HEIGHT_MM = 170.0
SPACING_EVERY = 50
FAT_LEVEL = 1.3


@dataclass(frozen=True)
class HeadFacts:
    """Robust intensities of a head, its centre (mm) and the radius of its sphere (mm)."""

    low: float
    threshold: float
    median: float
    centre_mm: np.ndarray
    radius_mm: float


def icosphere(subdivisions):
    """Vertices (n, 3) of length 1 and triangles (m, 3) of a subdivided icosahedron."""
    golden = (1 + 5**0.5) / 2
    rectangle = np.array([[-1, golden, 0], [1, golden, 0], [-1, -golden, 0], [1, -golden, 0]])
    vertices = np.concatenate([np.roll(rectangle, shift, axis=1) for shift in range(3)])
    distance = np.linalg.norm(vertices[:, None] - vertices[None], axis=2)
    near = np.isclose(distance, 2.0)
    corners = np.array(np.nonzero(near[:, :, None] & near[:, None] & near[None])).T
    faces = corners[(corners[:, 0] < corners[:, 1]) & (corners[:, 1] < corners[:, 2])]
    outward = np.einsum("ij,ij->i", np.cross(*_edges(vertices, faces)), vertices[faces[:, 0]])
    faces[outward < 0] = faces[outward < 0][:, ::-1]
    for _ in range(subdivisions):
        vertices, faces = _subdivided(vertices, faces)
    return vertices / np.linalg.norm(vertices, axis=1, keepdims=True), faces


def _edges(vertices, faces):
    first, second, third = vertices[faces].transpose(1, 0, 2)
    return second - first, third - first


def _subdivided(vertices, faces):
    edges = np.sort(faces[:, [[0, 1], [1, 2], [2, 0]]].reshape(-1, 2), axis=1)
    unique, index = np.unique(edges, axis=0, return_inverse=True)
    middle = index.reshape(-1, 3) + len(vertices)
    a, b, c = faces.T
    ab, bc, ca = middle.T
    triangles = [[a, ab, ca], [b, bc, ab], [c, ca, bc], [ab, bc, ca]]
    faces = np.concatenate([np.stack(triangle, axis=1) for triangle in triangles])
    middles = vertices[unique].mean(axis=1)
    middles *= np.linalg.norm(vertices[unique[:, 0]], axis=1, keepdims=True) / np.linalg.norm(
        middles, axis=1, keepdims=True
    )
    return np.concatenate([vertices, middles]), faces


def _neighbours(faces, n_vertices):
    """Indices (n, 6) of the neighbours; where there are five, -1 is the sixth."""
    pairs = np.unique(
        np.concatenate(
            [faces[:, pair] for pair in ([0, 1], [1, 2], [2, 0], [1, 0], [2, 1], [0, 2])]
        ),
        axis=0,
    )
    start = np.searchsorted(pairs[:, 0], pairs[:, 0])
    table = np.full((n_vertices, 6), -1)
    table[pairs[:, 0], np.arange(len(pairs)) - start] = pairs[:, 1]
    return table


def head_facts(volume, voxel_mm):
    """Robust intensities, centre and radius of a head without its neck.

    Parameters
    ----------
    volume : array, (i, j, k)
        Head image, RAS+ (the last axis points up).
    voxel_mm : float
        Size of its isotropic voxels.

    Returns
    -------
    HeadFacts
        Made of the part of the head less than `HEAD_HEIGHT_MM` below its top; the centre is
        in mm from the first voxel.

    Raises
    ------
    ValueError
        No head stands out from the background.
    """
    low, high = np.percentile(volume, [2, 98])
    threshold = low + 0.1 * (high - low)
    head = ndimage.binary_opening(volume > threshold)
    slices = np.flatnonzero(head.sum(axis=(0, 1)) * voxel_mm**2 > 1000)
    if not len(slices):
        raise ValueError("volume: no head stands out from the background")
    head[:, :, : max(0, slices[-1] - round(HEAD_HEIGHT_MM / voxel_mm))] = False
    centre = np.array(ndimage.center_of_mass(np.clip(volume, low, high) * head))
    radius = np.cbrt(3 * head.sum() / (4 * np.pi))
    offset = np.moveaxis(np.indices(volume.shape), 0, -1) - centre
    middle = head & (np.linalg.norm(offset, axis=-1) < radius)
    median = np.median(volume[middle])
    return HeadFacts(
        float(low), float(threshold), float(median), centre * voxel_mm, float(radius * voxel_mm)
    )


def brain_facts(volume, mask, voxel_mm):
    """Robust intensities, centre and radius of a head whose brain is roughly known.

    Parameters
    ----------
    volume : array, (i, j, k)
        Head image.
    mask : bool array, (i, j, k)
        Rough brain mask.
    voxel_mm : float
        Size of their isotropic voxels.

    Returns
    -------
    HeadFacts
        The centre is that of the mask; its sphere has the volume of the mask.

    Raises
    ------
    ValueError
        The mask is empty.
    """
    if not mask.any():
        raise ValueError("mask: no voxel is set")
    low, high = np.percentile(volume, [2, 98])
    threshold = low + 0.1 * (high - low)
    centre = np.array(ndimage.center_of_mass(mask)) * voxel_mm
    radius = np.cbrt(3 * mask.sum() / (4 * np.pi)) * voxel_mm
    return HeadFacts(
        float(low), float(threshold), float(np.median(volume[mask])), centre, float(radius)
    )


def without_fat(volume, mask, low):
    """Volume (i, j, k) in which all that is much brighter than white matter is dark.

    The growing surface takes fat for brain where the skull is thin or the slices are thick.

    Parameters
    ----------
    volume : array, (i, j, k)
        Head without bias field.
    mask : bool array, (i, j, k)
        Rough brain mask, not empty; its 80th percentile is white matter.
    low : float
        Intensity of the background.
    """
    return np.where(volume > FAT_LEVEL * np.percentile(volume[mask], 80), low, volume)


def brain_surface(volume, voxel_mm, facts, fractional_threshold, n_iterations):
    """Vertices (n, 3) in mm from the first voxel, and triangles (m, 3), of the brain's surface.

    Parameters
    ----------
    volume : array, (i, j, k)
        Head image.
    voxel_mm : float
        Size of its isotropic voxels.
    facts : HeadFacts
        Intensities, and the sphere of which half the radius is the start.
    fractional_threshold : float, 0..1
        Where the edge lies between dark and bright; a lower one gives a larger brain.
    n_iterations : int
        Steps of growth; with many more than needed the surface leaks.

    References
    ----------
    Smith 2002.
    """
    directions, faces = icosphere(SUBDIVISIONS)
    neighbours = _neighbours(faces, len(directions))
    corners = (faces.T.ravel(), np.tile(np.arange(len(faces)), 3))
    corner_of = sparse.csr_array((np.ones(faces.size), corners), (len(directions), len(faces)))
    vertices = directions * facts.radius_mm / 2 + facts.centre_mm
    for iteration in range(n_iterations):
        if iteration % SPACING_EVERY == 0:
            spacing = np.linalg.norm(np.diff(vertices[faces], axis=1), axis=2).mean()
        normals = corner_of @ np.cross(*_edges(vertices, faces))
        normals /= np.linalg.norm(normals, axis=1, keepdims=True)
        pull = _outward_pull(volume, voxel_mm, (vertices, normals), facts, fractional_threshold)
        smooth = _smoothing(vertices, normals, neighbours, spacing)
        vertices = vertices + smooth + spacing * pull[:, None] * normals
    return vertices, faces


def _smoothing(vertices, normals, neighbours, spacing):
    """Half the way to the neighbours' plane position, and inward where the surface is rough."""
    present = (neighbours >= 0)[..., None]
    centroid = np.where(present, vertices[neighbours], 0).sum(axis=1) / present.sum(axis=1)
    offset = centroid - vertices
    along = np.einsum("ij,ij->i", offset, normals)
    curvature = 2 * np.abs(along) / spacing**2
    middle = (1 / MIN_CURVATURE_MM + 1 / MAX_CURVATURE_MM) / 2
    steepness = 6 / (1 / MIN_CURVATURE_MM - 1 / MAX_CURVATURE_MM)
    share = (1 + np.tanh(steepness * (curvature - middle))) / 2
    return 0.5 * (offset - along[:, None] * normals) + (share * along)[:, None] * normals


def _outward_pull(volume, voxel_mm, surface, facts, fractional_threshold):
    """Growth of each vertex along its normal, in units of the spacing of the vertices."""
    vertices, normals = surface
    depths = np.arange(0, DARK_SEARCH_MM + voxel_mm / 2, voxel_mm)
    points = vertices[:, None] - depths[:, None] * normals[:, None]
    index = np.rint(points / voxel_mm).astype(np.intp)
    last = np.array(volume.shape) - 1
    line = volume[tuple(np.moveaxis(np.clip(index, 0, last), -1, 0))]
    near = line[:, depths <= BRIGHT_SEARCH_MM]
    dark = np.clip(line.min(axis=1), facts.low, facts.median)
    bright = np.clip(near.max(axis=1), facts.threshold, facts.median)
    edge = facts.low + (bright - facts.low) * fractional_threshold
    return 0.1 * (dark - edge) / (bright - facts.low)


def filled_surface(vertices, faces, shape, voxel_mm):
    """Boolean array (i, j, k), true inside a closed surface and on it.

    Parameters
    ----------
    vertices : array, (n, 3)
        In mm from the first voxel.
    faces : int array, (m, 3)
        Triangles.
    shape : tuple of int
        Shape of the answer.
    voxel_mm : float
        Size of the isotropic voxels; edges must not be longer than 30 voxels.

    Raises
    ------
    ValueError
        An edge is too long for the grid.
    """
    corners = vertices[faces] / voxel_mm
    longest = np.linalg.norm(np.diff(corners, axis=1), axis=2).max()
    steps = int(np.ceil(2 * longest))
    if steps > 60:
        raise ValueError("vertices: an edge is longer than 30 voxels")
    second, third = np.array([(i, j) for i in range(steps + 1) for j in range(steps + 1 - i)]).T
    weights = np.stack([steps - second - third, second, third]) / steps
    points = np.einsum("fcx,cp->fpx", corners, weights).reshape(-1, 3)
    index = np.clip(np.rint(points).astype(np.intp), 0, np.array(shape) - 1)
    wall = np.zeros(shape, bool)
    wall[tuple(index.T)] = True
    return ndimage.binary_fill_holes(wall)
