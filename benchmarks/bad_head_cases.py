"""Bad inputs made of good heads, for `bad_heads.py`: turned, cut, noisy, shaded, of no head at all.

A case knows where each of its points is in the head it was made of, so that what is known of that
head (brain mask, place in MNI) is also known of the case.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import nibabel as nib
import numpy as np
from scipy import ndimage

from workflows.compute.geometry import resampled
from workflows.compute.intensity import antialiased
from workflows.compute.planted import rigid_matrix
from workflows.compute.planted_anatomy import bias_field, rician

MARGIN_MM, NECK_MM, CHIN_MM = 20.0, 60.0, 5.0
NOISE_OF_WHITE = 3 / 22
"""Three times the noise of a usual T1w (SNR of white matter 22)."""
STRONG_BIAS_SD = 0.3
PHANTOM_SHAPE, PHANTOM_MM = (110, 120, 110), 2.0
MOVED = (3.0, -4.0, 2.0, 5.0, -3.0, 4.0)


@dataclass(frozen=True)
class Head:
    """A good head (i, j, k) and its brain mask, on one grid, RAS+.

    `to_head` (4, 4) maps its points (mm) to points of the head it was made of.
    """

    volume: np.ndarray
    mask: np.ndarray
    affine: np.ndarray
    to_head: np.ndarray

    @property
    def voxel_mm(self) -> np.ndarray:
        """Size of the voxels (3,), mm."""
        return np.linalg.norm(self.affine[:3, :3], axis=0)

    @property
    def white(self) -> float:
        """Intensity of white matter."""
        return float(np.percentile(self.volume[self.mask], 80))

    @property
    def centre_mm(self) -> np.ndarray:
        """Centre of the brain (3,), mm."""
        return nib.affines.apply_affine(self.affine, ndimage.center_of_mass(self.mask))

    @property
    def image(self) -> nib.Nifti1Image:
        """As it is written."""
        return nib.Nifti1Image(self.volume.astype(np.float32), self.affine)


def padded(head: Head, margin_mm: float = MARGIN_MM) -> Head:
    """The head with air around it, so that nothing leaves the image when it is moved."""
    width = np.ceil(margin_mm / head.voxel_mm).astype(int)
    affine = head.affine.copy()
    affine[:3, 3] -= affine[:3, :3] @ width
    pairs = [(n, n) for n in width]
    return replace(
        head, volume=np.pad(head.volume, pairs), mask=np.pad(head.mask, pairs), affine=affine
    )


def moved(head: Head, motion: np.ndarray) -> Head:
    """The head where a map (4, 4; mm, about the centre of the brain) puts it."""
    wide, about = padded(head), np.eye(4)
    about[:3, 3] = head.centre_mm
    back = about @ np.linalg.inv(motion) @ np.linalg.inv(about)
    grid = (wide.volume.shape, wide.affine)
    volume = np.maximum(resampled((wide.volume, wide.affine), grid, back, 3), 0)
    mask = resampled((wide.mask, wide.affine), grid, back, 1) >= 0.5
    return replace(wide, volume=volume, mask=mask, to_head=head.to_head @ back)


def turned(axis: int, degrees: float) -> Callable[[Head], Head]:
    """Maker of a head turned about x, y or z (axis 0, 1, 2)."""
    angles = [degrees if axis == i else 0.0 for i in range(3)]
    return lambda head: moved(head, rigid_matrix([0.0, 0.0, 0.0, *angles]))


def sized(factor: float) -> Callable[[Head], Head]:
    """Maker of a head that is `factor` times as long."""
    return lambda head: moved(head, np.diag([factor, factor, factor, 1.0]))


def cut(axis: int, upper_mm: float = 0.0, lower_mm: float = 0.0) -> Callable[[Head], Head]:
    """Maker of a head of which that much of the brain is cut off (negative: room is left)."""

    def make(head: Head) -> Head:
        (bounds,) = ndimage.find_objects(head.mask.astype(np.uint8))
        size, n_voxels = head.voxel_mm[axis], head.volume.shape[axis]
        first = max(0, bounds[axis].start + round(lower_mm / size)) if lower_mm else 0
        last = min(n_voxels, bounds[axis].stop - round(upper_mm / size)) if upper_mm else n_voxels
        window = tuple(slice(first, last) if i == axis else slice(None) for i in range(3))
        affine = head.affine.copy()
        affine[:3, 3] += affine[:3, axis] * first
        return replace(head, volume=head.volume[window], mask=head.mask[window], affine=affine)

    return make


def with_neck(head: Head) -> Head:
    """Head whose lowest slices are repeated downward as a neck."""
    size = head.voxel_mm[2]
    area = (head.volume > 0.15 * head.white).sum(axis=(0, 1)) * size**2
    lowest = int(np.flatnonzero(area > 2000)[0]) + round(4 / size)
    n_slices, strip = round(NECK_MM / size), round(8 / size)
    rows = np.abs((np.arange(n_slices) % (2 * strip)) - strip)[::-1]
    neck = ndimage.gaussian_filter(head.volume, (1, 1, 0))[:, :, lowest + rows]
    volume = np.concatenate([neck, head.volume[:, :, lowest:]], axis=2)
    mask = np.concatenate([np.zeros(neck.shape, bool), head.mask[:, :, lowest:]], axis=2)
    affine = head.affine.copy()
    affine[:3, 3] += affine[:3, 2] * (lowest - n_slices)
    return replace(head, volume=volume, mask=mask, affine=affine)


def noisy(head: Head) -> Head:
    """Head with three times the usual noise."""
    rng = np.random.default_rng(1)
    return replace(head, volume=rician(head.volume, NOISE_OF_WHITE * head.white, rng))


def shaded(seed: int) -> Callable[[Head], Head]:
    """Maker of a head with a strong bias field."""

    def make(head: Head) -> Head:
        field = bias_field(head.volume.shape, STRONG_BIAS_SD, np.random.default_rng(seed))
        return replace(head, volume=head.volume * field)

    return make


def extracted(head: Head) -> Head:
    """Brain without skull."""
    return replace(head, volume=head.volume * head.mask)


def inverted(head: Head) -> Head:
    """Head in which what was dark is bright, as with another contrast."""
    inside = ndimage.binary_fill_holes(
        ndimage.binary_opening(head.volume > 0.1 * head.white, iterations=2)
    )
    return replace(
        head, volume=np.where(inside, np.clip(1.4 * head.white - head.volume, 0, None), 0)
    )


def thick(head: Head) -> Head:
    """Head moved a little, with slices twice as thick."""
    other = moved(head, rigid_matrix(MOVED))
    size = float(other.voxel_mm[2])
    affine = other.affine @ np.diag([1.0, 1.0, 2.0, 1.0])
    grid = ((*other.volume.shape[:2], other.volume.shape[2] // 2), affine)
    smooth = antialiased(other.volume, other.voxel_mm, np.array([size, size, 2 * size]))
    volume = resampled((smooth, other.affine), grid, np.eye(4), 1)
    mask = resampled((other.mask, other.affine), grid, np.eye(4), 1) >= 0.5
    return replace(other, volume=volume, mask=mask, affine=affine)


def moved_a_little(head: Head) -> Head:
    """Head in another pose, as at another session."""
    return moved(head, rigid_matrix(MOVED))


def phantoms() -> dict[str, Head]:
    """Images that show no head, by their name."""
    rng = np.random.default_rng(2)
    middle = (np.array(PHANTOM_SHAPE) - 1) / 2
    x, y, z = (np.indices(PHANTOM_SHAPE).T - middle).T * PHANTOM_MM
    radius = np.sqrt(x**2 + y**2 + z**2)
    across = np.hypot(x, y)
    tube = (across < 85) & (np.abs(z) < 80)
    volumes = {
        "sphere": 1000.0 * (radius < 85),
        "cylinder": 1000.0 * tube,
        "bright_centre": (radius < 85) * (1000 - 500 * (radius / 85) ** 2),
        "small_bright_centre": (radius < 75) * (1000 - 500 * (radius / 75) ** 2),
        "shaded_cylinder": tube * (1000 + 4 * x + 2 * y) * (1.2 - 0.5 * (across / 85) ** 2),
        "bottle": 1000.0 * (radius < 70) + 700.0 * ((radius > 76) & (radius < 84)),
        "tubes": 1000.0 * tube * (1 - 0.6 * ((x // 20 + y // 20) % 2)),
        "onion": np.select(
            [radius < 50, radius < 68, radius < 74, radius < 84], [1000, 700, 250, 900]
        ),
        "noise": 0.0 * radius,
    }
    images = {name: rician(volume, 20.0, rng) for name, volume in volumes.items()}
    images |= {"empty": 0.0 * radius, "constant": 0.0 * radius + 7}
    affine = nib.affines.from_matvec(np.eye(3) * PHANTOM_MM, -middle * PHANTOM_MM)
    nowhere = np.zeros(PHANTOM_SHAPE, bool)
    return {name: Head(volume, nowhere, affine, np.eye(4)) for name, volume in images.items()}
