"""Rigid transforms between sessions, their mean space, and grids in it.

Points are in mm, RAS+. A transform of a to b is a 4x4 matrix that maps points of a to points of b.
"""

from __future__ import annotations

import numpy as np
from scipy import linalg, ndimage

MAX_ROUNDS = 500
DECIMALS = 9


def transform_log(transform):
    """Matrix logarithm (4, 4) of a rigid transform; its half is half the way.

    Parameters
    ----------
    transform : array, (4, 4)
        Rigid; rotation under 180 degrees.

    Raises
    ------
    ValueError
        The rotation is 180 degrees or the matrix is not rigid.
    """
    rotation = transform[:3, :3]
    if not np.allclose(rotation @ rotation.T, np.eye(3), atol=1e-3) or linalg.det(rotation) < 0:
        raise ValueError("transform: not a rotation and a shift")
    if np.trace(rotation) < -1 + 1e-6:
        raise ValueError("transform: a rotation of 180 degrees has no half")
    left, _, right = linalg.svd(rotation)
    exact = np.array(transform, float)
    exact[:3, :3] = left @ right
    return linalg.logm(exact).real


def mean_transform(transforms):
    """Mean (4, 4) of rigid transforms, the same whatever the origin of mm is.

    Parameters
    ----------
    transforms : array, (n, 4, 4)
        Rigid, and not further than 180 degrees from each other.

    References
    ----------
    Pennec and Arsigny 2013 (bi-invariant mean).
    """
    mean = np.array(transforms[0], float)
    for _ in range(MAX_ROUNDS):
        inverse = linalg.inv(mean)
        step = np.mean([transform_log(inverse @ other) for other in transforms], axis=0)
        mean = mean @ linalg.expm(step)
        if np.abs(step).max() < 1e-13:
            break
    return mean


def mean_space(pairs):
    """Transforms (n_sessions, 4, 4) of the mean space to each session.

    Parameters
    ----------
    pairs : array, (n_sessions, n_sessions, 4, 4)
        `pairs[i, j]` maps points of session i to points of session j, estimated apart from
        `pairs[j, i]`; the diagonal is not used.

    Returns
    -------
    array
        The two estimates of each pair are averaged; then all transforms agree with all
        pairs in the least-squares sense; then their mean is the identity, so that no session
        is nearer to the mean space than another. One session gives the identity. Rounded, so that
        the order of the sessions cannot change the last digits.
    """
    n_sessions = len(pairs)
    both = np.array(pairs, float)
    for i in range(n_sessions):
        both[i, i] = np.eye(4)
        for j in range(i):
            log = (transform_log(pairs[i][j]) - transform_log(pairs[j][i])) / 2
            both[i, j], both[j, i] = linalg.expm(log), linalg.expm(-log)
    found = both[0].copy()
    for _ in range(MAX_ROUNDS):
        new = np.array([mean_transform(both[:, i] @ found) for i in range(n_sessions)])
        moved = np.abs(new - found).max()
        found = new
        if moved < 1e-10:
            break
    centred = found @ linalg.inv(mean_transform(found))
    return np.round(centred, DECIMALS)


def centre_shift(fixed, moving):
    """Shift (4, 4) of the centre of a fixed weight image to that of a moving one.

    Parameters
    ----------
    fixed, moving : tuple of (array (i, j, k), affine (4, 4))
        Weights, zero or positive.

    Raises
    ------
    ValueError
        One of them is zero everywhere.
    """
    for name, (weights, _) in (("fixed", fixed), ("moving", moving)):
        if not np.any(weights):
            raise ValueError(f"{name}: zero everywhere")
    shift = np.eye(4)
    shift[:3, 3] = centre_of(moving) - centre_of(fixed)
    return shift


def centre_of(image):
    """Centre (3,), mm, of the weights of an image: an array (i, j, k) and its affine (4, 4)."""
    weights, affine = image
    return affine[:3, :3] @ np.array(ndimage.center_of_mass(weights)) + affine[:3, 3]


def mask_bounds(mask, affine, to_space):
    """Lowest and highest point (2, 3), mm, of a mask in another space.

    Parameters
    ----------
    mask : bool array, (i, j, k)
        At least one voxel is set.
    affine : array, (4, 4)
        Voxels to mm of the mask's space.
    to_space : array, (4, 4)
        Rigid transform of the mask's space to the other.

    Raises
    ------
    ValueError
        The mask is empty.
    """
    voxels = np.argwhere(mask)
    if not len(voxels):
        raise ValueError("mask: no voxel is set")
    matrix = to_space @ affine
    points = voxels @ matrix[:3, :3].T + matrix[:3, 3]
    return np.array([points.min(axis=0), points.max(axis=0)])


def bounding_grid(bounds, resolution_mm, margin_mm):
    """Shape and affine of the isotropic RAS+ grid around bounds.

    Parameters
    ----------
    bounds : array, (n, 2, 3)
        Lowest and highest points, mm.
    resolution_mm : float
        Voxel size.
    margin_mm : float
        Free space on each side.

    Returns
    -------
    tuple of (tuple of int, array (4, 4))
        The middle of the grid is the middle of the bounds.

    Raises
    ------
    ValueError
        The voxel size is not positive.
    """
    if not resolution_mm > 0:
        raise ValueError("resolution_mm: must be positive")
    low = np.min(bounds, axis=(0, 1)) - margin_mm
    high = np.max(bounds, axis=(0, 1)) + margin_mm
    shape = np.ceil((high - low) / resolution_mm - 1e-6).astype(int) + 1
    affine = np.diag([resolution_mm] * 3 + [1.0])
    affine[:3, 3] = (low + high) / 2 - (shape - 1) / 2 * resolution_mm
    return tuple(int(length) for length in shape), affine


def resampled(image, grid, transform, order):
    """Volume (i, j, k), float32, of an image on a grid; zero outside its field of view.

    Parameters
    ----------
    image : tuple of (array (i, j, k), affine (4, 4))
        Volume and its voxels to mm.
    grid : tuple of (shape, affine (4, 4))
        Where to.
    transform : array, (4, 4)
        Maps points of the grid's space to points of the image's space.
    order : int
        0 nearest, 1 linear, 3 cubic spline.
    """
    volume, affine = image
    shape, grid_affine = grid
    matrix = linalg.inv(affine) @ transform @ grid_affine
    return ndimage.affine_transform(
        np.asarray(volume, np.float32),
        matrix[:3, :3],
        offset=matrix[:3, 3],
        output_shape=shape,
        order=order,
        mode="constant",
    )


def grid_at(shape, affine, resolution_mm):
    """Shape and affine of the isotropic grid with the same field of view.

    Parameters
    ----------
    shape : tuple of int
        Voxels of the finer grid.
    affine : array, (4, 4)
        Its voxels to mm.
    resolution_mm : float
        Voxel size wanted.

    Returns
    -------
    tuple of (tuple of int, array (4, 4))
        The axes point the same way; the corner of the field of view stays.

    Raises
    ------
    ValueError
        The voxel size is not positive.
    """
    if not resolution_mm > 0:
        raise ValueError("resolution_mm: must be positive")
    old_mm = np.linalg.norm(affine[:3, :3], axis=0)
    ratio = resolution_mm / old_mm
    new_affine = np.array(affine, float)
    new_affine[:3, :3] = affine[:3, :3] * ratio
    new_affine[:3, 3] += affine[:3, :3] @ ((ratio - 1) / 2)
    return tuple(int(n) for n in np.ceil(np.array(shape[:3]) / ratio - 1e-6)), new_affine


def jacobian_determinant(displacement, affine):
    """Volume (i, j, k) of the moved neighbourhood of each point, 1 where nothing moved.

    Parameters
    ----------
    displacement : array, (i, j, k, 3)
        mm, RAS+: the point x of the grid's space lies at x + displacement in the other image.
    affine : array, (4, 4)
        Voxels to mm of the grid.

    Returns
    -------
    array
        Above 1 where the other image is larger than the grid's space.

    Raises
    ------
    ValueError
        The last axis does not hold three components.
    """
    if displacement.shape[-1] != 3:
        raise ValueError("displacement: the last axis must hold x, y and z")
    to_voxel = linalg.inv(affine[:3, :3]).astype(np.float32)
    rows = [deformation_row(displacement[..., i], to_voxel, i) for i in range(3)]
    (a, b, c), (d, e, f), (g, h, i) = rows
    return a * (e * i - f * h) - b * (d * i - f * g) + c * (d * h - e * g)


def deformation_row(component, to_voxel, number):
    """Derivatives of x + displacement along x, y, z: three arrays (i, j, k).

    Parameters
    ----------
    component : array, (i, j, k)
        Displacement along one axis, mm.
    to_voxel : array, (3, 3)
        mm to voxels of the grid.
    number : int
        Which axis: 0 x, 1 y, 2 z.
    """
    slopes = np.gradient(component)
    row = [sum(slope * to_voxel[k, axis] for k, slope in enumerate(slopes)) for axis in range(3)]
    row[number] = row[number] + 1
    return row
