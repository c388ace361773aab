"""Made-up heads: a skull and scalp around a template brain, participants, T1w sessions.

Points, grids and the words inward and outward are those of `workflows.compute.planted`. A session's
image is the template seen through one composed map, interpolated once:

    scanner -> (pose) -> participant -> (anatomy) -> template before change -> (change) -> template
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from workflows.compute import planted
from workflows.compute.planted import Grid

AIR, BRAIN, FLUID, SKULL, SCALP = range(5)
T1W_LAYERS = {FLUID: 0.2, SKULL: 0.06, SCALP: 0.8}
BOLD_LAYERS = {FLUID: 1.0, SKULL: 0.05, SCALP: 0.35}
BOLD_TISSUES = {"grey": 0.75, "white": 0.6, "fluid": 1.0}
CLOSING_MM = 10.0
LOG_SIZE = -0.04
"""Mean log head size along an axis: the MNI brain is larger than most."""


@dataclass(frozen=True)
class Head:
    """Template head, all arrays on `grid`: T1w and T2*-like intensity, region numbers."""

    grid: Grid
    t1w: np.ndarray
    bold: np.ndarray
    labels: np.ndarray

    @property
    def field_grid(self):
        """Grid (half the resolution) of displacements and Jacobians."""
        return planted.coarser(self.grid, 2)


@dataclass(frozen=True)
class Anatomy:
    """One participant's brain shape: flows to and from the template, and head size.

    `outward` and `inward` are displacements on `grid`, each other's inverse; `scale` (4, 4) takes
    the result of `outward` to the participant.
    """

    grid: Grid
    inward: np.ndarray
    outward: np.ndarray
    scale: np.ndarray


@dataclass(frozen=True)
class Change:
    """A session's half of the planted change: displacements on `grid`, each other's inverse."""

    grid: Grid
    inward: np.ndarray
    outward: np.ndarray


@dataclass(frozen=True)
class Appearance:
    """What a scanner does to intensities: gain, SD of the log bias field, noise SD.

    `noise` is relative to white matter of gain 1.
    """

    gain: float
    bias: float
    noise: float


def head_layers(brain, voxel_size_mm, thickness_mm=(2.0, 5.0, 6.0)):
    """AIR, BRAIN, FLUID, SKULL or SCALP of each voxel (nx, ny, nz), by distance from the brain.

    Parameters
    ----------
    brain : (nx, ny, nz) bool array
        Brain mask; its grooves narrower than 2 cm are filled with fluid.
    voxel_size_mm : float
        Edge length of a voxel.
    thickness_mm : (3,) sequence of float
        Thickness of fluid, skull and scalp.
    """
    coarse = brain[::2, ::2, ::2]
    step = 2 * voxel_size_mm
    near = ndimage.distance_transform_edt(~coarse, step) <= CLOSING_MM
    closed = ndimage.distance_transform_edt(near, step) > CLOSING_MM
    depth = ndimage.distance_transform_edt(closed, step)
    outside = ndimage.distance_transform_edt(~closed, step)
    distance = np.where(closed, step / 2 - depth, outside - step / 2)
    distance = np.repeat(np.repeat(np.repeat(distance, 2, 0), 2, 1), 2, 2)
    distance = ndimage.uniform_filter(distance.astype(np.float32), 3)
    distance = distance[tuple(slice(n) for n in brain.shape)]
    layers = np.digitize(distance, np.cumsum(thickness_mm))
    layers = np.array([FLUID, SKULL, SCALP, AIR], dtype=np.uint8)[layers]
    layers[brain] = BRAIN
    return layers


def dressed(brain_image, layers, intensities, texture):
    """Head (nx, ny, nz), float32: the brain's own intensities and softly edged layers around it.

    Parameters
    ----------
    brain_image : (nx, ny, nz) array
        Intensities inside of the brain.
    layers : (nx, ny, nz) array
        Result of `head_layers`.
    intensities : dict of int to float
        Intensity of each layer; air is 0.
    texture : (nx, ny, nz) array
        Relative intensity of the layers, about 1.
    """
    table = np.zeros(SCALP + 1, dtype=np.float32)
    table[list(intensities)] = list(intensities.values())
    table[BRAIN] = table[FLUID]
    around = ndimage.gaussian_filter(table[layers] * texture, 0.6).astype(np.float32)
    return np.where(layers == BRAIN, brain_image, around).astype(np.float32)


def template_head(t1w, tissues, labels, grid, rng):
    """Head around a template brain.

    Parameters
    ----------
    t1w : (nx, ny, nz) array
        Skull-stripped T1w template, 0 outside of the brain, white matter about 1.
    tissues : (2, nx, ny, nz) array
        Fractions of grey and white matter; the rest of the brain is fluid.
    labels : (nx, ny, nz) int array
        Region numbers, 0 outside.
    grid : Grid
        Grid of all arrays.
    rng : np.random.Generator
        Source of the texture of skull and scalp.
    """
    brain = t1w > 0
    layers = head_layers(brain, grid.voxel_size_mm[0])
    coarse = planted.smooth_noise(planted.coarser(grid, 4), 8.0, rng)
    texture = 1 + 0.1 * np.repeat(np.repeat(np.repeat(coarse, 4, 0), 4, 1), 4, 2)
    texture = texture[tuple(slice(n) for n in brain.shape)]
    grey, white = tissues
    fluid = np.clip(1 - grey - white, 0, 1)
    contrast = BOLD_TISSUES
    bold = contrast["grey"] * grey + contrast["white"] * white + contrast["fluid"] * fluid
    return Head(
        grid=grid,
        t1w=dressed(t1w, layers, T1W_LAYERS, texture),
        bold=dressed(bold, layers, BOLD_LAYERS, texture),
        labels=labels,
    )


def random_anatomy(head, rng, sd_mm=(2.5, 0.8), smooth_mm=(20.0, 8.0), scale_sd=0.025):
    """A participant's own anatomy: head size, and a coarse plus a fine smooth random warp.

    Parameters
    ----------
    head : Head
        Template.
    rng : np.random.Generator
        Source of the anatomy.
    sd_mm : (2,) sequence of float
        Standard deviation of each component of the coarse and the fine velocity.
    smooth_mm : (2,) sequence of float
        Standard deviation of the Gaussian filters of the two velocities.
    scale_sd : float
        Standard deviation of the head size along each axis, relative.
    """
    grid = planted.coarser(head.grid, 4)
    velocity = sum(
        planted.random_velocity(grid, sd, smooth, rng)
        for sd, smooth in zip(sd_mm, smooth_mm, strict=True)
    )
    size = np.exp(rng.normal(0, scale_sd / 2, 3) + rng.normal(LOG_SIZE, scale_sd))
    return Anatomy(
        grid=grid,
        inward=planted.exponential(-velocity, grid),
        outward=planted.exponential(velocity, grid),
        scale=np.diag([*size, 1.0]),
    )


def half_changes(velocity, grid):
    """Baseline's and follow-up's half of a change: the flow of -velocity/2 and of velocity/2.

    Parameters
    ----------
    velocity : (3, nx, ny, nz) array
        Whole change from baseline to follow-up, outward; see `planted.expansion_velocity`.
    grid : Grid
        Grid of the velocity.
    """
    shrink = planted.exponential(-velocity / 2, grid)
    grow = planted.exponential(velocity / 2, grid)
    return Change(grid, inward=grow, outward=shrink), Change(grid, inward=shrink, outward=grow)


def half_poses(position, motion):
    """Poses (4, 4) of a head at baseline and follow-up: half of the motion each.

    Parameters
    ----------
    position : (4, 4) array
        Middle of the two poses, participant to scanner.
    motion : (4, 4) array
        Rigid motion of the scanner's points from baseline to follow-up.
    """
    return (
        planted.matrix_power(motion, -0.5) @ position,
        planted.matrix_power(motion, 0.5) @ position,
    )


def outward_map(head, anatomy, change):
    """Where each voxel of `head.field_grid` is in the participant at a session, mm (3, ...)."""
    points = planted.grid_points(head.field_grid)
    points = planted.displaced(points, change.outward, change.grid)
    points = planted.displaced(points, anatomy.outward, anatomy.grid)
    return planted.transformed(points, anatomy.scale)


def inward_map(grid, pose, anatomy, change):
    """Template point of each voxel of a session's grid, mm (3, mx, my, mz).

    Parameters
    ----------
    grid : Grid
        Grid of the session's image, in the scanner.
    pose : (4, 4) array
        Participant to scanner.
    anatomy : Anatomy
        The participant.
    change : Change
        The session's half of the change.
    """
    points = planted.transformed(planted.grid_points(grid), np.linalg.inv(pose @ anatomy.scale))
    points = planted.displaced(points, anatomy.inward, anatomy.grid)
    return planted.displaced(points, change.inward, change.grid)


def bias_field(shape, sd, rng, order=3):
    """Smooth multiplicative field (nx, ny, nz): exp of a random sum of slow cosines.

    Parameters
    ----------
    shape : (3,) tuple of int
        Grid size.
    sd : float
        Standard deviation of the logarithm of the field.
    rng : np.random.Generator
        Source of the weights.
    order : int
        Half waves along each axis, at most `order` - 1.
    """
    waves = [np.cos(np.pi * np.outer(np.arange(order), (np.arange(n) + 0.5) / n)) for n in shape]
    weights = rng.normal(size=(order,) * 3) / (1 + np.indices((order,) * 3).sum(axis=0))
    weights[0, 0, 0] = 0
    log_field = np.einsum("abc,ax,by,cz->xyz", weights, *waves, optimize=True)
    return np.exp(sd * log_field / log_field.std()).astype(np.float32)


def rician(image, noise, rng):
    """Magnitude of an image with complex Gaussian noise of SD `noise`, float32 (Rice, 1944)."""
    real, imaginary = rng.standard_normal((2, *image.shape), dtype=np.float32) * np.float32(noise)
    return np.hypot(image + real, imaginary)


def t1w_image(head, inward, appearance, rng, oversampling=2):
    """T1w image of a session (mx, my, mz), white matter about 1 x gain.

    Parameters
    ----------
    head : Head
        Template.
    inward : (3, mx, my, mz) array
        Result of `inward_map`.
    appearance : Appearance
        The scanner.
    rng : np.random.Generator
        Source of bias field and noise.
    oversampling : int
        See `planted.resampled`; about the voxel size in mm.
    """
    image = planted.resampled(head.t1w, head.grid, inward, oversampling)
    image *= bias_field(image.shape, appearance.bias, rng)
    return appearance.gain * rician(image, appearance.noise, rng)
