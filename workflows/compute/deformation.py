"""How each session of a participant is deformed against their common middle.

All sessions are matched to their mean at the same time (Ashburner and Ridgway, 2013): squared
differences of intensity, each weighed by the noise, against the roughness of the
flows, which add up to zero over the sessions. So no session is the reference, and the
displacement of one of two sessions is the inverse of that of the other. Each image is read at the
composed position, in its own voxels, so it is interpolated once. What only one session has
seen says nothing about displacements.

Points are RAS+ mm. A displacement (3, i, j, k) on the grid of the template says that what is at
x in the template is at x + displacement in the session after its rigid alignment.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy import ndimage

from workflows.compute.smoothest import (
    Stiffness,
    block_mean,
    padded_shape,
    smoothness_system,
    solution,
    spread,
    whole_blocks,
)

NODE_MM = 2.0
MARGIN_MM, RIM_MM = 4.0, 2.0
EDGE_MM = 2.0
"""The rim of a field of view counts as not seen: a displaced point must not leave it."""
STIFFNESS = Stiffness(membrane=0.1, bending=4.0)
"""Chosen with benchmarks/structure.py: less is noisier, more hides a part of the change."""
SMOOTH_MM = (2.0, 1.0, 0.6, 0.6, 0.6, 0.6, 0.6, 0.6)
"""Blur of the images, one per round: large shifts first."""
BIAS_MM = 8.0
OUTLIER_SD = 3.0
STOP_MM = 0.05
LARGEST_STEP_NODES = 0.25
SMALLEST_NOISE = 1e-3
"""Share of the mean intensity; equal images have no noise at all."""
SOLVER_TOLERANCE = 0.01
PAIRS = ((0, 0), (0, 1), (0, 2), (1, 1), (1, 2), (2, 2))


@dataclass(frozen=True)
class Scan:
    """One session: cubic spline coefficients, and the matrix (4, 4) of template mm to voxels."""

    coefficients: np.ndarray
    to_voxel: np.ndarray


@dataclass(frozen=True)
class Frame:
    """Grid of the template and what is looked at on it.

    `weight` (i, j, k) is 1 in the brain and falls to 0 outside of it; `used` are the flat numbers
    of the voxels that are read, `points` (3, n_used) their places in mm; a node stands for
    `factor`^3 voxels. Where the voxels of the sessions are larger than those of the template,
    `voxels_per_sample` of these hold one independent value.
    """

    mask: np.ndarray
    weight: np.ndarray
    used: np.ndarray
    points: np.ndarray
    voxel_mm: float
    factor: int
    voxels_per_sample: float = 1.0

    def variance(self, noise):
        """Variance of the intensity of an independent value, per mm^-3: large voxels say less."""
        return noise**2 * self.voxels_per_sample * self.voxel_mm**3

    def blur_mm(self, smooth_mm):
        """Blur of the images, mm: voxels above 1 mm need more, or their grid is matched."""
        return smooth_mm * max(1.0, self.voxel_mm)

    @property
    def node_mm(self):
        """Distance of the nodes, mm."""
        return self.voxel_mm * self.factor

    @property
    def block_shape(self):
        """Shape of the grid of the template filled up to whole blocks."""
        return tuple(-(-n // self.factor) * self.factor for n in self.mask.shape)

    @property
    def node_shape(self):
        """Shape of the grid of the nodes, with a border."""
        return padded_shape([n // self.factor for n in self.block_shape])


@dataclass(frozen=True)
class Deformations:
    """Result for all sessions.

    `displacements` (3, i, j, k), mm, and `warped` images (i, j, k), one per session in the order
    of the scans, the latter with the same slow intensities, 0 away from the brain; `noise` is
    that of one session, see `session_noise` (NaN for one session).
    """

    displacements: list[np.ndarray]
    warped: list[np.ndarray]
    noise: float


def scan_of(volume, affine, to_session):
    """Scan of an image and its place.

    Parameters
    ----------
    volume : array, (i, j, k)
        Image of a session.
    affine : array, (4, 4)
        Its voxels to mm.
    to_session : array, (4, 4)
        Template mm to session mm, rigid.
    """
    coefficients = ndimage.spline_filter(volume, order=3, output=np.float32, mode="nearest")
    return Scan(coefficients, np.linalg.inv(affine) @ to_session)


def frame_of(mask, affine, voxels_per_sample=1.0):
    """Frame of a brain mask (i, j, k) on an isotropic RAS+ grid with its affine (4, 4).

    `voxels_per_sample` is how many of its voxels hold one independent value, 1 or more.

    Raises
    ------
    ValueError
        The voxels are not isotropic, or their axes are not x, y and z.
    """
    voxel_mm = float(affine[0, 0])
    if not (voxel_mm > 0 and np.allclose(affine[:3, :3], voxel_mm * np.eye(3), atol=1e-4)):
        raise ValueError("affine: the grid must be isotropic with axes along x, y and z")
    distance = ndimage.distance_transform_edt(~mask, sampling=voxel_mm).astype(np.float32)
    weight = np.clip((MARGIN_MM - distance) / RIM_MM, 0, 1).astype(np.float32)
    used = np.flatnonzero(distance <= 2 * MARGIN_MM)
    index = np.array(np.unravel_index(used, mask.shape), dtype=np.float32)
    points = affine[:3, :3] @ index + affine[:3, 3:]
    factor = max(1, round(NODE_MM / voxel_mm))
    places = points.astype(np.float32)
    return Frame(mask, weight, used, places, voxel_mm, factor, voxels_per_sample)


def deformations(scans, frame):
    """Deformations of all sessions against their middle; one session has none.

    Parameters
    ----------
    scans : list of Scan
        One per session, with about the same level of intensity. Their order decides only the
        order of the answer.
    frame : Frame
        Where they are compared.

    Raises
    ------
    ValueError
        No part of the brain was seen by all.
    """
    seen = views(scans, frame)
    frame = shared_frame(frame, seen)
    still = np.zeros((3, *frame.node_shape), np.float32)
    flows = [still for _ in scans]
    displacements = [displacement(still, frame) for _ in scans]
    fields = [np.zeros(frame.mask.shape, np.float32) for _ in scans]
    warped, fields = evened(read(scans, displacements, frame), fields, frame, np.inf)
    warped = filled(warped, seen)
    if len(scans) == 1:
        return Deformations(displacements, warped, float("nan"))
    for smooth_mm in SMOOTH_MM:
        noise = session_noise(warped, frame)
        flows, moved_mm = _improved(flows, warped, (frame, smooth_mm, noise))
        displacements = [displacement(exponential(flow, frame.node_mm), frame) for flow in flows]
        warped, fields = evened(read(scans, displacements, frame), fields, frame, noise)
        warped = filled(warped, seen)
        if smooth_mm == SMOOTH_MM[-1] and moved_mm < STOP_MM:
            break
    return Deformations(displacements, warped, session_noise(warped, frame))


def views(scans, frame):
    """What each scan shows (i, j, k), bool: inside its field of view, or away from the brain."""
    answer = []
    for scan in scans:
        index = scan.to_voxel[:3, :3] @ frame.points + scan.to_voxel[:3, 3:]
        edge = EDGE_MM * np.linalg.norm(scan.to_voxel[:3, :3], axis=1, keepdims=True)
        last = np.array(scan.coefficients.shape)[:, None] - 1
        view = np.ones(frame.mask.size, bool)
        view[frame.used] = ((index >= edge) & (index <= last - edge)).all(axis=0)
        answer.append(view.reshape(frame.mask.shape))
    return answer


def shared_frame(frame, seen):
    """Frame whose mask all sessions saw, with weight where a session can be compared to another."""
    n_seen = np.sum(seen, axis=0)
    mask = frame.mask & (n_seen == len(seen))
    if not mask.any():
        raise ValueError("scans: no part of the brain was seen by all")
    return replace(frame, mask=mask, weight=frame.weight * (n_seen > 1))


def filled(images, seen):
    """Images (i, j, k) with the mean of those that saw a place in those that did not."""
    n_seen = np.sum(seen, axis=0)
    parts = [np.where(view, image, 0) for image, view in zip(images, seen, strict=True)]
    mean = np.sum(parts, axis=0) / np.maximum(n_seen, 1).astype(np.float32)
    alone = n_seen == 0
    return [np.where(view | alone, image, mean) for image, view in zip(images, seen, strict=True)]


def read(scans, displacements, frame):
    """Images (i, j, k) of the scans at the displaced points; 0 away from the brain."""
    images = []
    for scan, moved in zip(scans, displacements, strict=True):
        points = frame.points + moved.reshape(3, -1)[:, frame.used]
        matrix = scan.to_voxel.astype(np.float32)
        index = matrix[:3, :3] @ points + matrix[:3, 3:]
        image = np.zeros(frame.mask.size, np.float32)
        image[frame.used] = ndimage.map_coordinates(
            scan.coefficients, index, output=np.float32, order=3, mode="nearest", prefilter=False
        )
        images.append(image.reshape(frame.mask.shape))
    return images


def evened(images, fields, frame, noise):
    """Images without slow differences of their intensities, and the log fields taken out.

    Parameters
    ----------
    images : list of array, (i, j, k)
        As `read` gives them.
    fields : list of array, (i, j, k)
        Log fields found so far, removed first.
    frame : Frame
        The fields are learned in its mask.
    noise : float
        Voxels that differ by much more than this count less.
    """
    images = [image * np.exp(-field) for image, field in zip(images, fields, strict=True)]
    sigma = BIAS_MM / frame.voxel_mm
    mean = np.mean(images, axis=0)
    answer = []
    for image, field in zip(images, fields, strict=True):
        difference = image - mean
        weight = mean * frame.mask / (1 + (difference / (OUTLIER_SD * noise)) ** 2)
        known = ndimage.gaussian_filter(weight * mean, sigma)
        found = ndimage.gaussian_filter(weight * difference, sigma)
        step = found / (known + 1e-3 * known.max())
        answer.append((image * np.exp(-step), field + step))
    return [image for image, _ in answer], [field for _, field in answer]


def session_noise(images, frame):
    """Standard deviation of one session's intensity in the brain, robust."""
    mean = np.mean(images, axis=0)
    level = SMALLEST_NOISE * float(np.abs(mean[frame.mask]).mean())
    away = np.concatenate([(image - mean)[frame.mask] for image in images])
    spread_of_mean = np.sqrt(len(images) / (len(images) - 1))
    return max(float(1.4826 * np.median(np.abs(away)) * spread_of_mean), level)


def _improved(flows, warped, how):
    """Flows after one step of Gauss and Newton, and the longest change of a flow, mm."""
    frame, smooth_mm, noise = how
    evidence, rights = normal_equations(warped, frame, smooth_mm, noise)
    system = smoothness_system(evidence, frame.node_mm, STIFFNESS)
    steps = []
    for flow, right in zip(flows, rights, strict=False):
        right = right - STIFFNESS.force(flow, frame.node_mm)
        steps.append(solution(system, right, SOLVER_TOLERANCE))
    common = np.mean(steps, axis=0)
    steps = [steps[0], -steps[0]] if len(flows) == 2 else [step - common for step in steps]
    moved_mm = max(float(np.abs(step).max()) for step in steps)
    return [flow + step for flow, step in zip(flows, steps, strict=True)], moved_mm


def normal_equations(warped, frame, smooth_mm, noise):
    """Evidence (6, nodes) about displacements, and what each session asks for.

    Parameters
    ----------
    warped : list of array, (i, j, k)
        Images read at the present displacements.
    frame : Frame
        Grids and weights.
    smooth_mm : float
        Standard deviation of the Gaussian blur of images and differences.
    noise : float
        Standard deviation of the intensity of a session.

    Returns
    -------
    tuple of (array (6, nx, ny, nz), list of array (3, nx, ny, nz))
        Per mm^2 and per mm; means over the voxels of a node. Of two sessions only the first: the
        other asks for the opposite.
    """
    sigma = frame.blur_mm(smooth_mm) / frame.voxel_mm
    gradient, away = blurred_gradient(warped, frame, smooth_mm), differences(warped)
    weight = data_weight(away, frame, noise)
    evidence = evidence_of(gradient, weight, frame)
    rights = []
    for part in away[:1] if len(away) == 2 else away:
        pull = -weight * ndimage.gaussian_filter(part, sigma)
        rights.append(np.stack([_on_nodes(pull * slope, frame) for slope in gradient]))
    return evidence, rights


def blurred_gradient(images, frame, smooth_mm):
    """Gradient, three arrays (i, j, k) per mm, of the blurred mean of images."""
    sigma = frame.blur_mm(smooth_mm) / frame.voxel_mm
    return np.gradient(ndimage.gaussian_filter(np.mean(images, axis=0), sigma), frame.voxel_mm)


def differences(images):
    """Differences of images from their mean; of two images exactly opposite to each other."""
    if len(images) == 2:
        half = (images[0] - images[1]) / 2
        return [half, -half]
    mean = np.mean(images, axis=0)
    return [image - mean for image in images]


def data_weight(away, frame, noise):
    """Weight (i, j, k) of each voxel; less where the `differences` are no noise."""
    trust = np.mean([1 / (1 + (part / (OUTLIER_SD * noise)) ** 2) for part in away], axis=0)
    return (frame.weight * trust / frame.variance(noise)).astype(np.float32)


def evidence_of(gradient, weight, frame):
    """Evidence (6, nodes) about displacements, per mm^2; see `normal_equations`."""
    return np.stack([_on_nodes(weight * gradient[a] * gradient[b], frame) for a, b in PAIRS])


def _on_nodes(volume, frame):
    nodes = np.zeros(frame.node_shape, np.float32)
    means = block_mean(whole_blocks(volume, frame.factor), frame.factor)
    nodes[tuple(slice(n) for n in means.shape)] = means
    return nodes


def exponential(flow, node_mm):
    """Displacement (3, nx, ny, nz), mm, of following a flow for one unit of time.

    Scaling and squaring (Arsigny et al., 2006), the first step by the midpoint rule: the result
    has no folds, and that of the negative flow is its inverse.
    """
    largest = float(np.abs(flow).max()) / node_mm
    n_squarings = int(np.ceil(np.log2(max(largest / LARGEST_STEP_NODES, 1))))
    half = flow / np.float32(2 ** (n_squarings + 1))
    moved = 2 * _further(half, half, node_mm)
    for _ in range(n_squarings):
        moved = moved + _further(moved, moved, node_mm)
    return moved


def _further(field, moved, node_mm):
    places = np.indices(field.shape[1:], dtype=np.float32) + moved / np.float32(node_mm)
    parts = [ndimage.map_coordinates(part, places, order=1, mode="nearest") for part in field]
    return np.stack(parts)


def displacement(moved, frame):
    """Displacement (3, i, j, k) on the grid of the template from that of the nodes."""
    n_nodes = [n // frame.factor for n in frame.block_shape]
    inside = moved[(slice(None), *(slice(n) for n in n_nodes))]
    return spread(inside, frame.factor, frame.mask.shape)
