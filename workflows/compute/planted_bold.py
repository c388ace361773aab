"""Made-up BOLD runs: regional signals with planted correlations, seen by a moving scanner.

The signal of a run is drawn from a population with a known correlation between regions; the planted
change of connectivity is the difference of Fisher z between the populations of two sessions. A
sample correlation differs from it by chance, so the truth keeps both.

Motion parameters follow `workflows.compute.motion`: shift along x, y, z (mm), rotation about
x, y, z (rad) about the centre of the grid; they say where the head is relative to the first volume.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage, sparse

from workflows.compute import planted
from workflows.compute.motion import grid_centre, pose_from_parameters
from workflows.compute.planted import Grid
from workflows.compute.planted_anatomy import bias_field, rician

BAND_HZ = (0.01, 0.1)
FWHM_TO_SD = 2.3548


@dataclass(frozen=True)
class BoldTemplate:
    """What the scanner sees in template space.

    `image` (on `image_grid`) is the blurred T2*-like contrast; `maps` (n_voxels of `map_grid`,
    n_regions + 1) the share of each voxel in each region and, last, in fluid.
    """

    image_grid: Grid
    image: np.ndarray
    map_grid: Grid
    maps: sparse.csr_matrix


@dataclass(frozen=True)
class BoldScan:
    """A BOLD protocol; amplitudes are standard deviations relative to the local signal."""

    grid: Grid
    repetition_time_s: float
    n_volumes: int
    signal: float = 0.015
    pulsation: float = 0.03
    drift: float = 0.01
    bias: float = 0.05
    noise: float = 0.012


def network_correlation(networks, within=0.6, between=0.1):
    """Correlation matrix (n_regions, n_regions) of regions in networks.

    Parameters
    ----------
    networks : (n_regions,) sequence of int
        Network of each region.
    within, between : float
        Correlation of regions of the same and of different networks.
    """
    networks = np.asarray(networks)
    correlation = np.where(networks[:, None] == networks, within, between)
    np.fill_diagonal(correlation, 1.0)
    return correlation


def with_edges(correlation, rows, columns, fisher_z):
    """Correlation matrix in which all edges between two sets of regions have one Fisher z.

    Parameters
    ----------
    correlation : (n_regions, n_regions) array
        Matrix to change (a new one is returned).
    rows, columns : sequence of int
        The two sets, without a common region.
    fisher_z : float
        Wanted value, arctanh of the correlation.

    Raises
    ------
    ValueError
        The sets overlap, or the result is not a correlation matrix (not positive definite).
    """
    if set(rows) & set(columns):
        raise ValueError("rows, columns: the two sets of regions must not overlap")
    changed = correlation.copy()
    changed[np.ix_(rows, columns)] = np.tanh(fisher_z)
    changed[np.ix_(columns, rows)] = np.tanh(fisher_z)
    if np.linalg.eigvalsh(changed)[0] <= 1e-8:
        raise ValueError(f"fisher_z: {fisher_z:.2f} does not fit the other correlations")
    return changed


def edge_set_z(correlation, rows, columns):
    """Mean Fisher z of all edges between two sets of regions (rows x columns)."""
    return np.arctanh(correlation[np.ix_(rows, columns)]).mean()


def slow_noise(n_volumes, n_series, repetition_time_s, rng):
    """Independent noise (n_volumes, n_series) within BAND_HZ, mean 0 and variance 1 each."""
    frequency = np.fft.rfftfreq(n_volumes, repetition_time_s)
    inside = (frequency >= BAND_HZ[0]) & (frequency <= BAND_HZ[1])
    spectrum = np.fft.rfft(rng.standard_normal((n_volumes, n_series)), axis=0)
    series = np.fft.irfft(spectrum * inside[:, None], n_volumes, axis=0)
    return series / series.std(axis=0)


def regional_series(correlation, n_volumes, repetition_time_s, rng):
    """Signals (n_volumes, n_regions) drawn from a population with this correlation."""
    independent = slow_noise(n_volumes, len(correlation), repetition_time_s, rng)
    return independent @ np.linalg.cholesky(correlation).T


def head_motion(n_volumes, rng, step=(0.02, 0.0003), jump=(0.6, 0.008)):
    """Motion parameters (n_volumes, 6), mm and rad: a random walk with one jump.

    Parameters
    ----------
    n_volumes : int
        At least 4.
    rng : np.random.Generator
        Source of the motion.
    step, jump : (2,) sequence of float
        Size of a step and of the jump: mm, rad. The jump comes in the middle half of the run.
    """
    scale = np.repeat(step, 3)
    moves = rng.normal(size=(n_volumes, 6)) * scale
    direction = rng.normal(size=6)
    direction[:3] /= np.linalg.norm(direction[:3])
    direction[3:] /= np.linalg.norm(direction[3:])
    moves[rng.integers(n_volumes // 4, n_volumes - n_volumes // 4)] += direction * np.repeat(
        jump, 3
    )
    walk = np.cumsum(moves, axis=0)
    return walk - walk[0]


def bold_template(head, indices, fwhm_mm):
    """Contrast and regional maps of a head, as a scanner of this resolution sees them.

    Parameters
    ----------
    head : Head
        Template.
    indices : sequence of int
        Region numbers, the order of the signals.
    fwhm_mm : float
        Width of the scanner's point spread: about the voxel size.
    """
    map_grid = planted.coarser(head.grid, 4)
    blurred = ndimage.gaussian_filter(head.bold, fwhm_mm / FWHM_TO_SD / head.grid.voxel_size_mm)
    bright = (head.bold > 0.9).astype(np.uint8)
    regions = planted.region_fractions(head.labels, indices, 4)
    fluid = planted.region_fractions(bright, [1], 4)
    return BoldTemplate(
        image_grid=planted.coarser(head.grid, 2),
        image=_block_means(blurred),
        map_grid=map_grid,
        maps=sparse.vstack([regions, fluid]).T.tocsr(),
    )


def bold_series(template, inward, series, motion, scan, rng):
    """BOLD run (mx, my, mz, n_volumes), float32, grey matter about .75.

    Every volume is interpolated once: the map to the template, continued linearly from each
    voxel, is taken at where the moved head is.

    Parameters
    ----------
    template : BoldTemplate
        What is seen.
    inward : (3, mx, my, mz) array
        Template point of each voxel of `scan.grid` before motion, mm; see `inward_map`.
    series : (n_volumes, n_regions) array
        Regional signals of variance 1.
    motion : (n_volumes, 6) array
        Motion parameters; see `head_motion`.
    scan : BoldScan
        Protocol.
    rng : np.random.Generator
        Source of pulsation, drift, bias and noise.
    """
    n_volumes = scan.n_volumes
    pulsation = np.cumsum(rng.normal(size=n_volumes)) / np.sqrt(n_volumes) + rng.normal(
        size=n_volumes
    )
    amplitudes = np.column_stack([scan.signal * series, scan.pulsation * pulsation])
    still = planted.sampled(template.image, template.image_grid, inward)
    seen = ndimage.binary_dilation(still > 0, iterations=2)
    alive = _alive(template, inward)[seen]
    voxels = np.array(np.nonzero(seen), dtype=np.float32)
    steps = [step[:, seen] for step in planted.voxel_steps(inward)]
    drift, bias = _drift(scan, rng)[seen], bias_field(scan.grid.shape, scan.bias, rng)[seen]
    run = np.zeros((n_volumes, *scan.grid.shape), dtype=np.float32)
    for volume, parameters in enumerate(motion):
        moved = _moved(inward[:, seen], steps, voxels, parameters, scan.grid)
        activity = (template.maps @ amplitudes[volume]).reshape(template.map_grid.shape)
        value = planted.sampled(template.image, template.image_grid, moved)
        value[alive] *= 1 + planted.sampled(activity, template.map_grid, moved[:, alive])
        value *= bias * (1 + drift * (volume / n_volumes - 0.5))
        run[volume][seen] = value
        run[volume] = rician(run[volume], scan.noise, rng)
    return np.moveaxis(run, 0, -1)


def _moved(inward, steps, voxels, parameters, grid):
    pose = pose_from_parameters(parameters, grid_centre(grid.shape, grid.affine))
    before = np.linalg.inv(grid.affine) @ np.linalg.inv(pose) @ grid.affine
    shift = planted.transformed(voxels, before) - voxels
    return inward + sum(part * step for part, step in zip(shift, steps, strict=True))


def _alive(template, inward):
    mask = (template.maps.getnnz(axis=1) > 0).reshape(template.map_grid.shape)
    near = planted.sampled(mask.astype(np.float32), template.map_grid, inward) > 0
    return ndimage.binary_dilation(near)


def _drift(scan, rng):
    slope = np.log(bias_field(scan.grid.shape, 1.0, rng, order=2))
    return (2 * scan.drift * (slope + rng.normal())).astype(np.float32)


def _block_means(volume):
    padded = np.pad(volume, [(0, n % 2) for n in volume.shape])
    blocks = padded.reshape([part for n in padded.shape for part in (n // 2, 2)])
    return blocks.mean(axis=(1, 3, 5)).astype(np.float32)
