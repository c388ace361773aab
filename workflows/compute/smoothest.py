"""Smoothest displacement that explains local evidence: a linear system solved by multigrid.

At each node of a grid an image gives evidence about a displacement along its gradient only. The
membrane energy (squared first derivatives of the displacement) and the bending energy (squared
second derivatives) carry it to where the image is flat (Ashburner and Ridgway, 2013). The system
(A + L) x = b, with L = membrane x (-Laplacian) + bending x Laplacian^2, is solved by conjugate
gradients with one multigrid cycle as preconditioner (Briggs et al., 2000; Ashburner, 2007).

Fields are (3, nx, ny, nz); the six arrays of A are xx, xy, xz, yy, yz, zz.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

SMALLEST_SIDE = 6
DAMPING = np.float32(0.55)
"""Below 2 x 42 / 144: a sweep must not enlarge what changes sign from node to node."""
SWEEPS = 2
COARSEST_SWEEPS = 30
MOST_STEPS = 15
SIDE_MULTIPLE = 16
"""Sides of a grid that is halved four times."""


def block_mean(values, factor):
    """Means (..., nx, ny, nz) of blocks of `factor`^3 voxels; the sides are multiples of it."""
    if factor == 1:
        return values
    size = [n // factor for n in values.shape[-3:]]
    blocks = [part for n in size for part in (n, factor)]
    blocks = values.reshape(*values.shape[:-3], *blocks)
    return blocks.mean(axis=(-5, -3, -1), dtype=np.float32)


def whole_blocks(volume, factor):
    """Volume (i, j, k), float32, filled up with 0 to sides that are multiples of `factor`."""
    whole = np.zeros([-(-n // factor) * factor for n in volume.shape], np.float32)
    whole[tuple(slice(n) for n in volume.shape)] = volume
    return whole


def spread(values, factor, shape):
    """Values (..., nx, ny, nz) of block centres at each voxel of `shape`, linear, float32.

    Parameters
    ----------
    values : array, (..., mx, my, mz)
        One value per block of `factor`^3 voxels.
    factor : int
        Voxels along the side of a block.
    shape : tuple of int
        Grid of the answer; it begins with the first block.
    """
    for axis, size in enumerate(shape, start=values.ndim - 3):
        place = (np.arange(size) - (factor - 1) / 2) / factor
        place = np.clip(place, 0, values.shape[axis] - 1)
        below = np.floor(place).astype(int)
        above = np.minimum(below + 1, values.shape[axis] - 1)
        share = (place - below).astype(np.float32).reshape(-1, *[1] * (values.ndim - 1 - axis))
        low, high = np.take(values, below, axis), np.take(values, above, axis)
        values = low + share * (high - low)
    return values


def minus_laplacian(field, spacing_mm):
    """Minus the Laplacian (3, nx, ny, nz) of each component; nothing flows over the border.

    Parameters
    ----------
    field : array, (3, nx, ny, nz)
        Displacement, mm.
    spacing_mm : float
        Distance of the nodes.
    """
    answer = np.zeros_like(field)
    scale = np.float32(1 / spacing_mm**2)
    for axis in (1, 2, 3):
        step = np.diff(field, axis=axis) * scale
        first, last = [slice(None)] * 4, [slice(None)] * 4
        first[axis], last[axis] = slice(0, -1), slice(1, None)
        answer[tuple(first)] -= step
        answer[tuple(last)] += step
    return answer


def times(evidence, field):
    """Product (3, nx, ny, nz) of the symmetric 3 x 3 matrix of each node with a field."""
    xx, xy, xz, yy, yz, zz = evidence
    x, y, z = field
    return np.stack([xx * x + xy * y + xz * z, xy * x + yy * y + yz * z, xz * x + yz * y + zz * z])


def inverted(evidence, added):
    """Six arrays of the inverse of each node's 3 x 3 matrix plus `added` on its diagonal."""
    xx, xy, xz, yy, yz, zz = evidence
    xx, yy, zz = xx + added, yy + added, zz + added
    one, two, three = yy * zz - yz * yz, xz * yz - xy * zz, xy * yz - xz * yy
    determinant = xx * one + xy * two + xz * three
    rest = [xx * zz - xz * xz, xy * xz - xx * yz, xx * yy - xy * xy]
    return np.stack([one, two, three, *rest]) / determinant


@dataclass(frozen=True)
class Level:
    """One grid of the cycle: evidence, distance of its nodes, inverse of the diagonal blocks."""

    evidence: np.ndarray
    spacing_mm: float
    inverse: np.ndarray


@dataclass(frozen=True)
class Stiffness:
    """Weights of the membrane energy (first derivatives) and the bending energy (second)."""

    membrane: float
    bending: float

    def force(self, field, spacing_mm):
        """L times a field (3, nx, ny, nz) on nodes `spacing_mm` apart."""
        bent = minus_laplacian(field, spacing_mm)
        twice = minus_laplacian(bent, spacing_mm)
        return np.float32(self.membrane) * bent + np.float32(self.bending) * twice

    def diagonal(self, spacing_mm):
        """Diagonal of L away from the border."""
        return np.float32(6 * self.membrane / spacing_mm**2 + 42 * self.bending / spacing_mm**4)


@dataclass(frozen=True)
class System:
    """The linear system on all its grids, the finest first."""

    levels: tuple[Level, ...]
    stiffness: Stiffness

    def product(self, field, depth=0):
        """(A + L) times a field, on one of the grids."""
        level = self.levels[depth]
        force = self.stiffness.force(field, level.spacing_mm)
        return times(level.evidence, field) + force


def padded_shape(shape):
    """Smallest shape with sides that can be halved four times, two nodes larger than `shape`."""
    return tuple(-(-(n + 2) // SIDE_MULTIPLE) * SIDE_MULTIPLE for n in shape)


def smoothness_system(evidence, spacing_mm, stiffness):
    """System of the evidence of an image and what keeps a displacement smooth.

    Parameters
    ----------
    evidence : array, (6, nx, ny, nz)
        Symmetric positive semi-definite 3 x 3 matrix of each node, per mm^2.
    spacing_mm : float
        Distance of the nodes.
    stiffness : Stiffness
        Weights, neither negative; the membrane's above 0.

    Raises
    ------
    ValueError
        A weight is not allowed.
    """
    if not (stiffness.membrane > 0 and stiffness.bending >= 0):
        raise ValueError(f"stiffness: membrane above 0, bending not negative; found {stiffness}")
    levels = []
    while True:
        inverse = inverted(evidence, stiffness.diagonal(spacing_mm))
        levels.append(Level(evidence, spacing_mm, inverse))
        sides = evidence.shape[1:]
        if min(sides) <= SMALLEST_SIDE or any(side % 2 for side in sides):
            return System(tuple(levels), stiffness)
        evidence, spacing_mm = block_mean(evidence, 2), 2 * spacing_mm


def solution(system, right, tolerance):
    """Field (3, nx, ny, nz) that solves a system.

    Parameters
    ----------
    system : System
        Left side.
    right : array, (3, nx, ny, nz)
        Right side; zero gives zero, its negative exactly the negative.
    tolerance : float
        Norm of what is left over, relative to that of the right side.

    References
    ----------
    Golub and Ye 1999 (conjugate gradients with a preconditioner that is not symmetric).
    """
    field, left = np.zeros_like(right), right
    goal = tolerance**2 * _dot(right, right)
    direction, last = None, None
    for _ in range(MOST_STEPS):
        if _dot(left, left) <= goal:
            break
        better = _cycle(system, left)
        if direction is None:
            direction = better
        else:
            share = _dot(better, left - last[0]) / last[1]
            direction = better + np.float32(share) * direction
        product = system.product(direction)
        length = np.float32(_dot(left, direction) / _dot(direction, product))
        last = (left, _dot(better, left))
        field, left = field + length * direction, left - length * product
    return field


def _cycle(system, right, depth=0):
    if depth == len(system.levels) - 1:
        return _smoothed(system, None, right, (depth, COARSEST_SWEEPS))
    field = _smoothed(system, None, right, (depth, SWEEPS))
    left = right - system.product(field, depth)
    coarse = _cycle(system, block_mean(left, 2), depth + 1)
    field = field + spread(coarse, 2, field.shape[1:])
    return _smoothed(system, field, right, (depth, SWEEPS))


def _smoothed(system, field, right, where):
    depth, n_sweeps = where
    inverse = system.levels[depth].inverse
    for _ in range(n_sweeps):
        left = right if field is None else right - system.product(field, depth)
        step = DAMPING * times(inverse, left)
        field = step if field is None else field + step
    return field


def _dot(first, second):
    return float(np.einsum("cxyz,cxyz->", first, second, dtype=np.float64))
