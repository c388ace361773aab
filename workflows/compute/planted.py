"""Deformations with known volume change: the ground truth of the made-up trials.

All points are RAS+ millimetres in arrays whose first axis is the coordinate, (3, ...). A
*displacement* (3, nx, ny, nz) on a grid stands for the map point -> point + displacement. Names
say where a map leads: *inward* maps go from a session to the template (they resample the template
onto the session), *outward* maps go from the template to a session (their Jacobian determinant
is the volume of the session per volume of the template).

A wanted change of volume is written as a log-Jacobian, log(volume after / volume before). The
velocity field whose divergence is this log-Jacobian is found by a Poisson equation, so volume
changes where it is wanted and nowhere else; its flow is a diffeomorphism (Arsigny et al., 2006).
Half of the flow is given to each session, in opposite directions.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import numpy as np
from scipy import fft, linalg, ndimage, sparse

from workflows.compute.motion import pose_from_parameters

LARGEST_STEP_VOXELS = 0.25


@dataclass(frozen=True)
class Grid:
    """An image grid: shape (nx, ny, nz) and voxel-to-world matrix (4, 4), mm."""

    shape: tuple[int, int, int]
    affine: np.ndarray

    @property
    def voxel_size_mm(self):
        """Edge lengths (3,) of a voxel, mm."""
        return np.linalg.norm(self.affine[:3, :3], axis=0)

    @property
    def voxel_ml(self):
        """Volume of a voxel, ml."""
        return abs(np.linalg.det(self.affine[:3, :3])) / 1000


def box_grid(shape, voxel_size_mm, centre_mm=(0.0, 0.0, 0.0)):
    """Grid with axes along x, y, z (RAS+) and its centre at `centre_mm`."""
    affine = np.diag([voxel_size_mm] * 3 + [1.0])
    affine[:3, 3] = np.asarray(centre_mm) - affine[0, 0] * (np.array(shape) - 1) / 2
    return Grid(tuple(int(n) for n in shape), affine)


def coarser(grid, factor):
    """Grid of blocks of `factor`^3 voxels; each new voxel has the centre of its block."""
    affine = grid.affine.copy()
    affine[:3, :3] *= factor
    affine[:3, 3] += grid.affine[:3, :3] @ np.full(3, (factor - 1) / 2)
    return Grid(tuple(-(-n // factor) for n in grid.shape), affine)


def grid_points(grid):
    """World points (3, nx, ny, nz) of the voxel centres, mm, float32."""
    index = np.indices(grid.shape, dtype=np.float32)
    return transformed(index, grid.affine)


def transformed(points, matrix):
    """Points (3, ...) moved by a 4 x 4 matrix, in the type of the points."""
    matrix = matrix.astype(points.dtype)
    moved = np.tensordot(matrix[:3, :3], points, axes=1)
    return moved + matrix[:3, 3].reshape(3, *[1] * (points.ndim - 1))


def sampled(volume, grid, points, mode="constant"):
    """Values of `volume` at world points, trilinear, float32.

    Parameters
    ----------
    volume : (nx, ny, nz) array
        Values on `grid`.
    grid : Grid
        Where the values are.
    points : (3, ...) array
        World points, mm.
    mode : str
        What lies outside of the grid, as in scipy.ndimage: "constant" is 0.
    """
    index = transformed(points, np.linalg.inv(grid.affine))
    return ndimage.map_coordinates(volume, index, output=np.float32, order=1, mode=mode)


def displaced(points, displacement, grid):
    """Points (3, ...) moved by a displacement (3, nx, ny, nz) on `grid`, mm."""
    if not displacement.any():
        return points
    steps = [sampled(part, grid, points, mode="nearest") for part in displacement]
    return points + np.stack(steps)


def exponential(velocity, grid):
    """Displacement (mm) of the flow of a stationary velocity, by scaling and squaring.

    `exponential(-velocity, grid)` is the inverse map.

    Parameters
    ----------
    velocity : (3, nx, ny, nz) array
        Velocity in mm per unit of time; the flow lasts one unit.
    grid : Grid
        Grid of the velocity.
    """
    largest = np.abs(velocity).max() / grid.voxel_size_mm.min()
    if largest == 0:
        return np.zeros_like(velocity, dtype=np.float32)
    n_squarings = max(2, int(np.ceil(np.log2(largest / LARGEST_STEP_VOXELS))))
    points = grid_points(grid)
    displacement = (velocity / 2**n_squarings).astype(np.float32)
    for _ in range(n_squarings):
        displacement = displaced(points + displacement, displacement, grid) - points
    return displacement


def random_velocity(grid, sd_mm, smooth_mm, rng):
    """Smooth random velocity (3, nx, ny, nz), mm: Gaussian noise, filtered.

    Parameters
    ----------
    grid : Grid
        Grid of the velocity.
    sd_mm : float
        Standard deviation of each component.
    smooth_mm : float
        Standard deviation of the Gaussian filter.
    rng : np.random.Generator
        Source of the noise.
    """
    return np.stack([sd_mm * smooth_noise(grid, smooth_mm, rng) for _ in range(3)])


def smooth_noise(grid, smooth_mm, rng):
    """Gaussian noise (nx, ny, nz) filtered with a Gaussian of `smooth_mm`, mean 0 and SD 1."""
    noise = rng.standard_normal(grid.shape, dtype=np.float32)
    noise = ndimage.gaussian_filter(noise, smooth_mm / grid.voxel_size_mm, mode="wrap")
    return (noise - noise.mean()) / noise.std()


def expansion_velocity(log_jacobian, grid):
    """Curl-free velocity (3, nx, ny, nz), mm, whose divergence is the wanted log-Jacobian.

    Solved in the Fourier domain of the periodic grid. The mean of `log_jacobian` over the grid
    is removed (a periodic box cannot grow): a change of a few ml is taken from the whole box.

    Parameters
    ----------
    log_jacobian : (nx, ny, nz) array
        Wanted divergence, smooth on the scale of a voxel.
    grid : Grid
        Grid with axes along x, y, z.
    """
    if not np.allclose(grid.affine[:3, :3], np.diag(grid.voxel_size_mm)):
        raise ValueError("grid: the axes must be along x, y, z (RAS+)")
    axes = [
        2 * np.pi * fft.fftfreq(n, spacing)
        for n, spacing in zip(grid.shape, grid.voxel_size_mm, strict=True)
    ]
    waves = np.meshgrid(*axes, indexing="ij", sparse=True)
    squared = sum(wave**2 for wave in waves)
    squared[0, 0, 0] = np.inf
    potential = fft.fftn(log_jacobian) / squared
    return np.stack([fft.ifftn(-1j * w * potential).real.astype(np.float32) for w in waves])


def jacobian_determinant(points, grid):
    """Determinant (nx, ny, nz) of the derivative of a map, by central differences.

    Parameters
    ----------
    points : (3, nx, ny, nz) array
        Where the map takes each voxel centre of `grid`, mm.
    grid : Grid
        Grid of the map.
    """
    columns = [np.stack(np.gradient(part.astype(float)), axis=-1) for part in points]
    derivative = np.stack(columns, axis=-2)
    return np.linalg.det(derivative) / np.linalg.det(grid.affine[:3, :3])


def region_fractions(labels, indices, factor):
    """Share of each coarse voxel that belongs to each region, sparse (n_regions, n_voxels).

    Parameters
    ----------
    labels : (nx, ny, nz) int array
        Region number of each voxel.
    indices : sequence of int
        Region numbers, the order of the rows.
    factor : int
        Voxels along each side of a coarse voxel; see `coarser` for their grid.
    """
    shape = tuple(-(-n // factor) for n in labels.shape)
    where = np.nonzero(labels)
    coarse = np.ravel_multi_index(tuple(axis // factor for axis in where), shape)
    row_of = np.full(max(int(labels.max()), max(indices)) + 1, -1)
    row_of[list(indices)] = np.arange(len(indices))
    rows = row_of[labels[where]]
    known = rows >= 0
    ones = np.full(known.sum(), 1 / factor**3)
    size = (len(indices), int(np.prod(shape)))
    return sparse.csr_matrix((ones, (rows[known], coarse[known])), shape=size)


def planted_log_jacobian(fractions, wanted, grid, smooth_mm=1.5):
    """Smooth log-Jacobian (nx, ny, nz) with the wanted mean in every region that is named.

    Each region's mask is smoothed; the heights of the masks are solved so that neighbours do
    not disturb each other's mean.

    Parameters
    ----------
    fractions : sparse (n_regions, n_voxels)
        Result of `region_fractions`.
    wanted : dict of int to float
        Row of `fractions` -> mean log-Jacobian.
    grid : Grid
        Grid of the voxels of `fractions`.
    smooth_mm : float
        Standard deviation of the Gaussian filter of the masks.
    """
    if not wanted:
        return np.zeros(grid.shape, dtype=np.float32)
    rows = fractions[list(wanted)]
    sigma = smooth_mm / grid.voxel_size_mm
    masks = [row.toarray().reshape(grid.shape) for row in rows]
    smooth = np.stack([ndimage.gaussian_filter(mask, sigma).ravel() for mask in masks])
    means = (rows @ smooth.T) / rows.sum(axis=1).reshape(-1, 1)
    heights = linalg.solve(np.asarray(means), np.array(list(wanted.values()), dtype=float))
    return (heights @ smooth).reshape(grid.shape).astype(np.float32)


def region_volumes(fractions, points, grid):
    """Volume (n_regions,) of each region after a map, ml: the integral of its Jacobian.

    Parameters
    ----------
    fractions : sparse (n_regions, n_voxels)
        Share of each voxel of `grid` in each region.
    points : (3, nx, ny, nz) array
        Outward map: where each voxel centre of `grid` goes, mm.
    grid : Grid
        Grid of the template.
    """
    return fractions @ np.abs(jacobian_determinant(points, grid)).ravel() * grid.voxel_ml


def rigid_matrix(parameters):
    """Rigid 4 x 4 matrix: rotations about x, y, z (degrees) first, then the shift (mm).

    Parameters
    ----------
    parameters : (6,) array
        Shift along x, y, z (mm), then rotations about x, y, z (degrees) about the origin.
    """
    parameters = np.asarray(parameters, dtype=float)
    return pose_from_parameters([*parameters[:3], *np.deg2rad(parameters[3:])], np.zeros(3))


def matrix_power(matrix, exponent):
    """Power of a rigid or scaling 4 x 4 matrix: .5 is half of the motion, -.5 its inverse."""
    return np.real(linalg.expm(exponent * linalg.logm(matrix)))


def resampled(volume, grid, inward, oversampling=1):
    """Template volume on a session's grid, interpolated once, float32.

    Parameters
    ----------
    volume : (nx, ny, nz) array
        Template values.
    grid : Grid
        Grid of the template.
    inward : (3, mx, my, mz) array
        Template point of each voxel centre of the session, mm.
    oversampling : int
        Points along each side of a session voxel whose mean is its value (partial volume). The
        map is taken as linear inside of a voxel.
    """
    if oversampling == 1:
        return sampled(volume, grid, inward)
    steps = voxel_steps(inward)
    places = (np.arange(oversampling) + 0.5) / oversampling - 0.5
    total = np.zeros(inward.shape[1:], dtype=np.float32)
    for place in product(places, repeat=3):
        shift = sum(np.float32(p) * step for p, step in zip(place, steps, strict=True))
        total += sampled(volume, grid, inward + shift)
    return total / oversampling**3


def voxel_steps(inward):
    """Change of a map (3, mx, my, mz) from a voxel to the next, along each axis: three arrays."""
    gradients = [np.gradient(part) for part in inward]
    return [np.stack(parts) for parts in zip(*gradients, strict=True)]
