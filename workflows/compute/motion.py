"""Head motion: rigid registration of every volume, resampling, and displacement.

World coordinates are RAS+ millimetres. A *head pose* is a rigid 4 x 4 matrix that takes a point
of the head in the reference volume to where the same point is in another volume. What is saved
and used as confounds are the parameters of `mcflirt_parameters`.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage

MOTION_COLUMNS = ("trans_x", "trans_y", "trans_z", "rot_x", "rot_y", "rot_z")
FIVE_POINT_SLOPE = np.array([1, -8, 0, 8, -1]) / 12
BORDER_VOXELS = 2
MAX_STEPS = 20
TOLERANCE_MM = 0.005
MIN_BRIGHTNESS = 0.1


def grid_centre(shape, affine):
    """World position (mm) of the centre of an image grid.

    Parameters
    ----------
    shape : tuple of int
        Grid size; the first three numbers are used.
    affine : (4, 4) array
        Voxel to world, mm.
    """
    return affine[:3, :3] @ ((np.array(shape[:3]) - 1) / 2) + affine[:3, 3]


def pose_from_parameters(parameters, centre):
    """Head pose (4, 4) of six motion parameters.

    Parameters
    ----------
    parameters : (6,) array
        Translation of `centre` along x, y, z (mm), then rotation about x, y, z (rad); the
        rotation about x is made first, about z last.
    centre : (3,) array
        Fixed point of the rotations, mm.
    """
    cosine, sine = np.cos(parameters[3:]), np.sin(parameters[3:])
    about_x = np.array([[1, 0, 0], [0, cosine[0], -sine[0]], [0, sine[0], cosine[0]]])
    about_y = np.array([[cosine[1], 0, sine[1]], [0, 1, 0], [-sine[1], 0, cosine[1]]])
    about_z = np.array([[cosine[2], -sine[2], 0], [sine[2], cosine[2], 0], [0, 0, 1]])
    pose = np.eye(4)
    pose[:3, :3] = about_z @ about_y @ about_x
    pose[:3, 3] = centre + parameters[:3] - pose[:3, :3] @ centre
    return pose


def mcflirt_parameters(poses, affine, reference_image):
    """Motion parameters (n_volumes, 6) in the conventions of FSL's MCFLIRT and of fMRIPrep.

    They bring a volume back onto the reference (the inverse of the head pose), in FSL's scaled
    millimetres: voxel index times voxel size, the first axis reversed where the affine has a
    positive determinant, so that x grows to the left in axial images. Rotations are made about the
    centre of gravity of the reference image, R = Rx Ry Rz, with angles that count clockwise seen
    against the axis (Jenkinson et al. 2002; fMRIPrep saves the columns of the .par file as
    `trans_x` to `rot_z`). In axial images a head that moves to the right, forward and up has
    trans_x > 0, trans_y < 0, trans_z < 0.

    Parameters
    ----------
    poses : (n_volumes, 4, 4) array
        Head poses, world mm.
    affine : (4, 4) array
        Voxel to world, mm, without shear.
    reference_image : (nx, ny, nz) array
        Finite values; its centre of gravity is that of the values above the smallest one.

    Returns
    -------
    (n_volumes, 6) array
        trans_x, trans_y, trans_z (mm), rot_x, rot_y, rot_z (rad).
    """
    scaled = _scaled_mm(reference_image.shape, affine)
    centre = scaled[:3, :3] @ _centre_of_gravity(reference_image) + scaled[:3, 3]
    world2fsl = scaled @ np.linalg.inv(affine)
    matrices = world2fsl @ np.linalg.inv(poses) @ np.linalg.inv(world2fsl)
    rotations = matrices[:, :3, :3]
    shifts = rotations @ centre + matrices[:, :3, 3] - centre
    about_x = np.arctan2(rotations[:, 1, 2], rotations[:, 2, 2])
    about_y = np.arcsin(np.clip(-rotations[:, 0, 2], -1, 1))
    about_z = np.arctan2(rotations[:, 0, 1], rotations[:, 0, 0])
    return np.column_stack([shifts, about_x, about_y, about_z])


def _scaled_mm(shape, affine):
    """Voxel to FSL's scaled mm (4, 4)."""
    sizes = np.sqrt((affine[:3, :3] ** 2).sum(axis=0))
    scaled = np.diag([*sizes, 1.0])
    if np.linalg.det(affine[:3, :3]) > 0:
        scaled[0] = [-sizes[0], 0, 0, sizes[0] * (shape[0] - 1)]
    return scaled


def _centre_of_gravity(image):
    """Mean position (voxels) weighted by the values above the smallest one."""
    weights = image - image.min()
    return np.array(ndimage.center_of_mass(weights if weights.any() else weights + 1))


def reference_volume(series):
    """Index of the volume most like the median of the series.

    A spike in an arbitrary reference volume would enter the motion of all volumes.

    Parameters
    ----------
    series : (nx, ny, nz, n_volumes) array
        Finite values.
    """
    coarse = np.asarray(series[::2, ::2, ::2], dtype=float).reshape(-1, series.shape[-1])
    distance = np.abs(coarse - np.median(coarse, axis=1, keepdims=True)).mean(axis=0)
    return int(distance.argmin())


def head_poses(series, affine, reference, fwhm_mm=5.0, max_points=10_000):
    """Head poses (n_volumes, 4, 4) of a series, by least squares against one volume.

    Inverse compositional Gauss-Newton (Baker & Matthews 2004): the slopes come from the smoothed
    reference once, each volume starts at its neighbour's pose, and a global change of brightness
    is fitted along. Smoothing and least squares as in Friston et al. 1995.

    Parameters
    ----------
    series : (nx, ny, nz, n_volumes) array
        Finite values.
    affine : (4, 4) array
        Voxel to world, mm.
    reference : int
        Volume whose pose is the identity.
    fwhm_mm : float
        Smoothing before the comparison.
    max_points : int
        About how many head voxels are compared.
    """
    sigma = fwhm_mm / np.sqrt(8 * np.log(2)) / np.sqrt((affine[:3, :3] ** 2).sum(axis=0))
    target = ndimage.gaussian_filter(series[..., reference].astype(np.float32), sigma)
    points = _head_points(target, max_points)
    solve = _least_squares(target, affine, points)
    poses = np.tile(np.eye(4), (series.shape[-1], 1, 1))
    forwards, backwards = range(reference + 1, len(poses)), range(reference - 1, -1, -1)
    for volumes, towards_reference in ((forwards, -1), (backwards, 1)):
        for volume in volumes:
            smooth = ndimage.gaussian_filter(series[..., volume].astype(np.float32), sigma)
            poses[volume] = _fit_pose(
                smooth, affine, points, solve, poses[volume + towards_reference]
            )
    return poses


def _head_points(target, max_points):
    """Voxel indices (n_points, 3) spread over the bright part of an image."""
    bright = target > 0.25 * np.percentile(target, 98)
    inner = np.zeros_like(bright)
    inner[(slice(BORDER_VOXELS, -BORDER_VOXELS),) * 3] = True
    indices = np.argwhere(bright & inner)
    if len(indices) < 100:
        raise ValueError("series: fewer than 100 bright voxels in the reference volume")
    return indices[:: max(1, len(indices) // max_points)]


def _least_squares(target, affine, points):
    """Brightness of the points, and the matrix that turns a difference into a small motion."""
    at = tuple(points.T)
    slopes = [ndimage.correlate1d(target, FIVE_POINT_SLOPE, axis=axis)[at] for axis in range(3)]
    slopes = np.stack(slopes, axis=-1) @ np.linalg.inv(affine[:3, :3])
    position = points @ affine[:3, :3].T + affine[:3, 3] - grid_centre(target.shape, affine)
    brightness = target[at].astype(float)
    design = np.column_stack([slopes, np.cross(position, slopes), brightness])
    return brightness, np.linalg.pinv(design)


def _fit_pose(smooth, affine, points, solve, start):
    """Pose at which `smooth` agrees best with the reference, from `start`."""
    brightness, inverse = solve
    centre = grid_centre(smooth.shape, affine)
    coefficients = ndimage.spline_filter(smooth, order=3, output=np.float32)
    world = points @ affine[:3, :3].T + affine[:3, 3]
    to_voxel = np.linalg.inv(affine)
    pose = start
    for _ in range(MAX_STEPS):
        mapping = to_voxel @ pose
        seen = ndimage.map_coordinates(
            coefficients,
            mapping[:3, :3] @ world.T + mapping[:3, 3:],
            order=3,
            prefilter=False,
            mode="nearest",
        )
        *step, brighter = inverse @ (seen - brightness)
        step = np.array(step) / max(1 + brighter, MIN_BRIGHTNESS)
        pose = pose @ np.linalg.inv(pose_from_parameters(step, centre))
        if max(np.abs(step[:3]).max(), 50 * np.abs(step[3:]).max()) < TOLERANCE_MM:
            break
    return pose


def realigned_volume(volume, affine, pose):
    """Volume resampled in the reference's position, cubic spline, float32.

    Parameters
    ----------
    volume : (nx, ny, nz) array
        Raw volume.
    affine : (4, 4) array
        Voxel to world, mm.
    pose : (4, 4) array
        Head pose of this volume. Outside the field of view the nearest voxel is repeated.
    """
    mapping = np.linalg.inv(affine) @ pose @ affine
    return ndimage.affine_transform(
        volume.astype(np.float32), mapping[:3, :3], mapping[:3, 3], order=3, mode="nearest"
    )


def framewise_displacement(parameters, head_radius_mm=50.0):
    """Framewise displacement (mm) of Power et al. 2012; the first value is NaN.

    Parameters
    ----------
    parameters : (n_volumes, 6) array
        Three translations (mm), three rotations (rad).
    head_radius_mm : float
        Rotations count as arcs on a sphere of this radius.
    """
    if parameters.ndim != 2 or parameters.shape[1] != 6:
        raise ValueError(f"parameters: expected (n_volumes, 6), found {parameters.shape}")
    millimetres = parameters * np.array([1, 1, 1, head_radius_mm, head_radius_mm, head_radius_mm])
    moved = np.abs(np.diff(millimetres, axis=0)).sum(axis=1)
    return np.concatenate([[np.nan], moved])
