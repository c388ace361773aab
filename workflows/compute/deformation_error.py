"""Standard error of what is measured from a deformation, by the noise of the images.

The displacements solve a linear system whose right side is a blurred difference of images. Noise
of a known size on the images is followed through the system to any linear measure of the
displacements, such as the change of the volume of a region (error propagation; Ashburner and
Ridgway, 2013 use the same system as a posterior). What the scanner does to the shape of a head
from one visit to the next is not in it: that needs repeated scans.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from workflows.compute.deformation import (
    SMOOTH_MM,
    STIFFNESS,
    Frame,
    blurred_gradient,
    data_weight,
    differences,
    evidence_of,
)
from workflows.compute.smoothest import block_mean, smoothness_system, solution, whole_blocks

REACH_NODES = 8
SIDE_MULTIPLE = 8
ROUGH_TOLERANCE = 0.1
UNEXPLAINED = 1.45
"""Errors of simulated rescans relative to those that the noise alone makes: interpolation and bias
fields leave more (benchmarks/structure.py)."""
INTERPOLATED_SD = 0.816
"""What cubic splines leave of the standard deviation of white noise, over all places in a voxel."""


@dataclass(frozen=True)
class Noise:
    """What the images say about displacements, and how noisy it is.

    `evidence` (6, nodes) is that of the last round; `slopes` (3, voxels of all nodes) are the
    weighted gradients that a difference of intensity is multiplied with; `size` is the standard
    deviation of one session's intensity before it was interpolated; `sigma` is the blur in voxels.
    """

    evidence: np.ndarray
    slopes: np.ndarray
    size: float
    sigma: float
    factor: int
    node_mm: float


def deformation_noise(warped, frame: Frame, noise):
    """Noise of the deformations of at least two sessions.

    Parameters
    ----------
    warped : list of array, (i, j, k)
        Sessions in the shape of the template, without slow differences.
    frame : Frame
        Their grid.
    noise : float
        Standard deviation of one session's intensity, see `Deformations`.
    """
    gradient = blurred_gradient(warped, frame, SMOOTH_MM[-1])
    evidence = evidence_of(gradient, data_weight(differences(warped), frame, noise), frame)
    sigma = frame.blur_mm(SMOOTH_MM[-1]) / frame.voxel_mm
    weight = frame.weight / np.float32(frame.variance(noise))
    slopes = np.zeros((3, *(n * frame.factor for n in frame.node_shape)), np.float32)
    inside = tuple(slice(n) for n in frame.mask.shape)
    for axis, slope in enumerate(gradient):
        slopes[(axis, *inside)] = weight * slope
    size = noise * np.sqrt(frame.voxels_per_sample) / INTERPOLATED_SD
    return Noise(evidence, slopes, float(size), sigma, frame.factor, frame.node_mm)


def expansion_functional(weight, noise: Noise):
    """Measure (3, nodes) that gives the mean divergence of a displacement over weights.

    Parameters
    ----------
    weight : array, (i, j, k)
        0 or positive, e.g. the tissue of a region; its sum must not be 0.
    noise : Noise
        Grid of the nodes.

    Returns
    -------
    array
        Its product with a displacement (mm) of the nodes is the relative change of volume.
    """
    total = float(weight.sum(dtype=float))
    if not total > 0:
        raise ValueError("weight: zero everywhere")
    voxel_mm = noise.node_mm / noise.factor
    answer = np.zeros((3, *noise.evidence.shape[1:]), np.float32)
    (box,) = ndimage.find_objects((weight > 0).astype(np.uint8))
    start = [max(0, (part.start - 2) // noise.factor * noise.factor) for part in box]
    stop = [min(part.stop + 2, n) for part, n in zip(box, weight.shape, strict=True)]
    crop = weight[tuple(slice(a, b) for a, b in zip(start, stop, strict=True))]
    for axis, slope in enumerate(np.gradient(crop.astype(np.float32), voxel_mm)):
        blocks = whole_blocks(-slope / total, noise.factor)
        sums = block_mean(blocks, noise.factor) * noise.factor**3
        place = [
            slice(a // noise.factor, a // noise.factor + n)
            for a, n in zip(start, sums.shape, strict=True)
        ]
        answer[(axis, *place)] += sums
    return answer


def functional_error(functional, noise: Noise):
    """Standard error of a linear measure of the displacement of one session.

    Parameters
    ----------
    functional : array, (3, nodes)
        The measure is the sum of its product with the displacement (mm). It is 0 far from where
        something is measured; only `REACH_NODES` around it are looked at.
    noise : Noise
        As `deformation_noise` gives it.

    Returns
    -------
    float
        In the unit of the measure. The error of a difference of two sessions is the square root
        of the sum of the two squares.
    """
    box = _reach(functional)
    inside = (slice(None), *box)
    system = smoothness_system(noise.evidence[inside], noise.node_mm, STIFFNESS)
    response = solution(system, functional[inside], ROUGH_TOLERANCE)
    factor = noise.factor
    fine = tuple(slice(part.start * factor, part.stop * factor) for part in box)
    pulled = np.zeros([part.stop - part.start for part in fine], np.float32)
    for slope, part in zip(noise.slopes[(slice(None), *fine)], response, strict=True):
        pulled += slope * part.repeat(factor, 0).repeat(factor, 1).repeat(factor, 2)
    blurred = ndimage.gaussian_filter(pulled, noise.sigma)
    size = UNEXPLAINED * noise.size / factor**3
    return float(size * np.sqrt((blurred**2).sum(dtype=float)))


def _reach(functional):
    (box,) = ndimage.find_objects((functional != 0).any(axis=0).astype(np.uint8))
    slices = []
    for part, n_nodes in zip(box, functional.shape[1:], strict=True):
        start = max(0, part.start - REACH_NODES)
        size = min(n_nodes, part.stop + REACH_NODES) - start
        size = min(n_nodes, -(-size // SIDE_MULTIPLE) * SIDE_MULTIPLE)
        start = min(start, n_nodes - size)
        slices.append(slice(start, start + size))
    return tuple(slices)


def scatter_error(shares, labels, regions, block_voxels):
    """Relative standard error (n_regions,) of one session's sum over a region, from its scatter.

    The differences of the sessions are summed in small blocks; how much the blocks of a region
    differ from the change of the whole region says how noisy the segmentation is.

    Parameters
    ----------
    shares : list of array, (i, j, k)
        One per session, at least two: e.g. grey matter of each voxel.
    labels : int array, (i, j, k)
        Regions.
    regions : int array, (n_regions,)
        Labels in the order of the answer.
    block_voxels : int
        Side of a block; noise in neighbouring voxels is not independent.

    Returns
    -------
    array
        NaN where a region has no share of anything, or fewer than two blocks.
    """
    inside = np.flatnonzero(labels)
    blocks = np.array(np.unravel_index(inside, labels.shape)) // block_voxels
    size = blocks.max(axis=1) + 1
    key = labels.ravel()[inside] * int(np.prod(size)) + np.ravel_multi_index(blocks, size)
    names, place = np.unique(key, return_inverse=True)
    owner = names // int(np.prod(size))
    sums = np.array([np.bincount(place, share.ravel()[inside]) for share in shares])
    mean = sums.mean(axis=0)
    n_labels = max(int(np.max(regions)), int(owner.max())) + 1
    whole, n_blocks = np.bincount(owner, mean, n_labels), np.bincount(owner, minlength=n_labels)
    square = np.zeros(n_labels)
    with np.errstate(divide="ignore", invalid="ignore"):
        for away in sums - mean:
            common = np.bincount(owner, away, n_labels) / whole
            square += np.bincount(owner, (away - common[owner] * mean) ** 2, n_labels)
        variance = square / (len(shares) - 1) * n_blocks / (n_blocks - 1)
        return np.where(n_blocks > 1, np.sqrt(variance) / whole, np.nan)[np.asarray(regions)]
