"""What an image shows: a whole head, a brain without skull, or neither."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

MIN_SMOOTHNESS, MIN_OBJECT_ML, MIN_SIDE_MM, MIN_VARIATION = 0.6, 600.0, 90.0, 0.05
MAX_EXTRACTED_ML, MAX_DARK_RIM, MAX_SKIN, MIN_EMPTY = 2200.0, 0.2, 0.8, 0.98
RIM_MM, DEEP_MM, CORE_MM = (4.0, 12.0), 25.0, 16.0
MIN_CORE_TO_RIM = 1.08
MAX_VOLUME_RATIO = 1.15
MIN_SESSION_OVERLAP = 0.9
"""Brain masks of real pairs of sessions overlap by .97; when shifted by 10 mm by .89 to .91."""


@dataclass(frozen=True)
class HeadSigns:
    """Largest bright object of an image, and what tells heads from other things.

    Attributes
    ----------
    smoothness : float
        Correlation of neighbouring voxels, -1 to 1; noise has little.
    object_ml : float
        Volume of the object with its holes, ml.
    side_mm : float
        Its shortest side, mm.
    empty : float
        Share of the voxels around it that are nearly 0, 0 to 1.
    dark_rim : float
        Share of dark voxels in its rim, 0 to 1; skull is dark.
    skin : float
        90th percentile of its outermost voxels, relative to its inside; fat of the scalp is bright.
    variation : float
        Robust coefficient of variation of its inside; a phantom has little.
    """

    smoothness: float
    object_ml: float
    side_mm: float
    empty: float
    dark_rim: float
    skin: float
    variation: float


def bright_object(volume):
    """Largest object (i, j, k), bool, above a tenth of the range, with its holes filled.

    Parameters
    ----------
    volume : array, (i, j, k)
        Image; the threshold lies between its 2nd and 98th percentile.
    """
    low, high = np.percentile(volume, [2, 98])
    if high <= low:
        low, high = 0.0, float(np.max(volume))
    above = volume > low + 0.1 * (high - low)
    opened = ndimage.binary_opening(above)
    labels, count = ndimage.label(opened)
    if not count:
        return np.zeros(volume.shape, bool)
    largest = labels == np.argmax(np.bincount(labels.ravel())[1:]) + 1
    whole = ndimage.binary_dilation(largest) & above
    return ndimage.binary_fill_holes(whole)


def head_signs(volume, voxel_mm):
    """Signs of an image by which heads, brains and other things are told apart.

    Parameters
    ----------
    volume : array, (i, j, k)
        Image, not negative.
    voxel_mm : float
        Size of its isotropic voxels, mm; about 4.

    Returns
    -------
    HeadSigns
        Shares and `variation` are NaN where there is no voxel to learn them from.
    """
    found = bright_object(volume)
    box = ndimage.find_objects(found.astype(np.uint8))
    side = min(part.stop - part.start for part in box[0]) * voxel_mm if box else 0.0
    depth = ndimage.distance_transform_edt(np.pad(found, 1))[1:-1, 1:-1, 1:-1] * voxel_mm
    deep = volume[depth > DEEP_MM]
    level = np.median(deep) if deep.size else np.nan
    skin = volume[(depth > 0) & (depth <= RIM_MM[0])]
    rim = volume[(depth > RIM_MM[0]) & (depth <= RIM_MM[1])]
    around = volume[~ndimage.binary_dilation(found, iterations=2)]
    return HeadSigns(
        smoothness=_neighbour_correlation(volume),
        object_ml=float(np.count_nonzero(found) * voxel_mm**3 / 1000),
        side_mm=float(side),
        empty=_share(np.abs(around) < 0.005 * np.percentile(volume, 98)),
        dark_rim=_share(rim < 0.35 * level),
        skin=float(np.percentile(skin, 90) / level) if skin.size else np.nan,
        variation=float(np.subtract(*np.percentile(deep, [75, 25])) / 1.349 / level)
        if deep.size
        else np.nan,
    )


def _share(flags):
    return float(flags.mean()) if flags.size else np.nan


def _neighbour_correlation(volume):
    first, second = volume[:-1].ravel(), volume[1:].ravel()
    if not (first.std() > 0 and second.std() > 0):
        return np.nan
    return float(np.corrcoef(first, second)[0, 1])


def image_problem(signs):
    """Text that says why an image is no head and no brain; empty if it may be one.

    Parameters
    ----------
    signs : HeadSigns
        Of the image at about 4 mm.
    """
    if not signs.smoothness >= MIN_SMOOTHNESS:
        return f"it is noise (neighbouring voxels correlate by {signs.smoothness:.2f})"
    if signs.object_ml < MIN_OBJECT_ML or signs.side_mm < MIN_SIDE_MM:
        return (
            f"what it shows has {signs.object_ml:.0f} ml and a shortest side of "
            f"{signs.side_mm:.0f} mm; a brain needs {MIN_OBJECT_ML:.0f} ml and "
            f"{MIN_SIDE_MM:.0f} mm (a small field of view, or no head)"
        )
    if not signs.variation >= MIN_VARIATION:
        return (
            f"its inside varies by {100 * signs.variation:.1f} %, like a phantom; a brain by "
            f"more than {100 * MIN_VARIATION:.0f} %"
        )
    return ""


def is_extracted(signs):
    """True for a brain without skull: of its size, nothing around it, no dark rim, no bright skin.

    Parameters
    ----------
    signs : HeadSigns
        Of the image at about 4 mm.
    """
    size = MIN_OBJECT_ML <= signs.object_ml <= MAX_EXTRACTED_ML
    bare = signs.dark_rim <= MAX_DARK_RIM and signs.skin <= MAX_SKIN
    return bool(size and bare and signs.empty >= MIN_EMPTY)


def core_to_rim(volume, mask, voxel_mm):
    """Ratio of the upper-quartile intensity of a brain's core to the median of its rim.

    Parameters
    ----------
    volume : array, (i, j, k)
        Head without bias field.
    mask : bool array, (i, j, k)
        Brain.
    voxel_mm : float
        Size of their isotropic voxels, mm.

    Returns
    -------
    float
        Above 1 in a T1-weighted image, where white matter is the brightest tissue; NaN where
        the mask has no core.
    """
    depth = ndimage.distance_transform_edt(mask) * voxel_mm
    core, rim = volume[depth > CORE_MM], volume[(depth > RIM_MM[0]) & (depth <= RIM_MM[1])]
    if not core.size or not rim.size:
        return np.nan
    return float(np.percentile(core, 75) / np.median(rim))


def odd_volume(volumes_ml):
    """Index of the session whose brain differs most from the others; None if all agree.

    Parameters
    ----------
    volumes_ml : sequence of float
        Volume of the brain mask of each session of one participant, ml.

    Returns
    -------
    int or None
        Session farthest from the median (of two, the smaller one) if the largest is more
        than `MAX_VOLUME_RATIO` times the smallest; brains change by a few per cent.
    """
    volumes = np.asarray(volumes_ml, float)
    if volumes.max() <= MAX_VOLUME_RATIO * volumes.min():
        return None
    away = np.abs(np.log(volumes / np.median(volumes)))
    return int(np.argmin(volumes) if len(volumes) == 2 else np.argmax(away))


def overlap_with_others(masks):
    """Dice (n_sessions,) of each mask with the voxels that at least half of the others hold.

    Parameters
    ----------
    masks : array, (n_sessions, i, j, k), 0..1
        Brain masks of two or more sessions after alignment, on one grid.

    Raises
    ------
    ValueError
        There are fewer than two masks.
    """
    inside = np.asarray(masks) >= 0.5
    if len(inside) < 2:
        raise ValueError("masks: at least two sessions are needed")
    total = inside.sum(axis=0)
    others = [2 * (total - mask) >= len(inside) - 1 for mask in inside]
    pairs = zip(inside, others, strict=True)
    return np.array([2 * (m & o).sum() / max(m.sum() + o.sum(), 1) for m, o in pairs])
