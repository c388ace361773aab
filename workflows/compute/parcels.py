"""Regions: labels that reach all grey matter, volumes, coverage."""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy import ndimage


def extended_labels(labels, target, voxel_mm, reach_mm):
    """Labels (i, j, k) that also hold the target voxels near a label.

    Parameters
    ----------
    labels : int array, (i, j, k)
        0 is no label.
    target : bool array, (i, j, k)
        Voxels that should have a label (grey matter).
    voxel_mm : float
        Size of the isotropic voxels.
    reach_mm : float
        A target voxel takes its nearest label up to this distance.

    Raises
    ------
    ValueError
        Shapes differ.
    """
    if labels.shape != target.shape:
        raise ValueError("target: another shape than labels")
    if not labels.any():
        return labels.copy()
    distance, nearest = ndimage.distance_transform_edt(
        labels == 0, sampling=voxel_mm, return_indices=True
    )
    take = target & (distance <= reach_mm + 1e-6)
    return np.where(take, labels[tuple(nearest)], labels)


def region_volumes(fraction, labels, regions, voxel_ml):
    """Volume (n_regions,), ml, of a tissue in each region; 0 where a region has no voxel.

    Parameters
    ----------
    fraction : array, (i, j, k), 0..1
        Share of the tissue in each voxel.
    labels : int array, (i, j, k)
        Regions.
    regions : int array, (n_regions,)
        Labels in the order of the answer.
    voxel_ml : float
        Volume of a voxel.

    Raises
    ------
    ValueError
        Shapes differ, or a region is not positive.
    """
    if fraction.shape != labels.shape:
        raise ValueError("fraction: another shape than labels")
    regions = np.asarray(regions)
    if regions.min() < 1:
        raise ValueError("regions: labels start at 1")
    size = max(int(labels.max()), int(regions.max())) + 1
    return np.bincount(labels.ravel(), fraction.ravel(), minlength=size)[regions] * voxel_ml


def region_coverage(labels, seen, regions):
    """Share (n_regions,), 0..1, of each region's voxels that were seen; NaN without voxels.

    Parameters
    ----------
    labels : int array, (i, j, k)
        Regions.
    seen : bool array, (i, j, k)
        Voxels that arrived inside the image.
    regions : int array, (n_regions,)
        Labels in the order of the answer.

    Raises
    ------
    ValueError
        Shapes differ.
    """
    if labels.shape != seen.shape:
        raise ValueError("seen: another shape than labels")
    regions = np.asarray(regions)
    size = max(int(labels.max()), int(regions.max())) + 1
    total = np.bincount(labels.ravel(), minlength=size)[regions]
    here = np.bincount(labels.ravel(), seen.ravel().astype(float), minlength=size)[regions]
    return np.divide(here, total, out=np.full(len(regions), np.nan), where=total > 0)


def region_table(table, volumes_ml, quality, min_coverage):
    """Table of regions with their volumes and what says how good they are.

    Parameters
    ----------
    table : DataFrame
        Columns index, name, hemisphere, structure; one row per region.
    volumes_ml : dict of str to array, (n_regions,)
        Columns; NaN where less than `min_coverage` of the region was seen.
    quality : dict of str to array, (n_regions,)
        Further columns; `coverage` is the share of the region that was seen.
    min_coverage : float, 0..1
        Part of a region is not its volume.

    Returns
    -------
    DataFrame
        Columns index, region, hemisphere, structure, those of `volumes_ml` and `quality`.
    """
    answer = table[["index", "name", "hemisphere", "structure"]].rename(columns={"name": "region"})
    coverage = quality["coverage"]
    seen = (np.nan_to_num(coverage) > 0) & (np.nan_to_num(coverage) >= min_coverage)
    known = {name: np.round(np.where(seen, ml, np.nan), 7) for name, ml in volumes_ml.items()}
    return answer.assign(**known, **{name: np.round(part, 5) for name, part in quality.items()})


def region_spread(values, labels, regions):
    """Root mean square (n_regions,) of values (i, j, k) in each region; NaN without voxels."""
    regions = np.asarray(regions)
    size = max(int(labels.max()), int(regions.max())) + 1
    total = np.bincount(labels.ravel(), minlength=size)[regions]
    square = np.bincount(labels.ravel(), np.square(values).ravel(), minlength=size)[regions]
    return np.sqrt(np.divide(square, total, out=np.full(len(regions), np.nan), where=total > 0))


def dice(first, second):
    """Overlap of two masks, 0..1 (Dice); NaN where both are empty."""
    total = np.count_nonzero(first) + np.count_nonzero(second)
    return 2 * np.count_nonzero(first & second) / total if total else float("nan")


def tissue_table(fractions, mask, ventricles, voxel_ml):
    """Table of one session: measure, value in ml; tissues, brain, ventricles, brain mask.

    Parameters
    ----------
    fractions : array, (3, i, j, k)
        Grey, white, CSF; of the template times what a voxel of it holds in the session.
    mask : bool array, (i, j, k)
        Brain mask of the template, the same for all sessions.
    ventricles : bool array, (i, j, k)
        Where the lateral ventricles are expected; the CSF there counts.
    voxel_ml : float
        Volume of a voxel.
    """
    grey, white, fluid = (float(fraction[mask].sum(dtype=float)) for fraction in fractions)
    inside = float(fractions[2][mask & ventricles].sum(dtype=float))
    values = {
        "gm_ml": grey,
        "wm_ml": white,
        "csf_ml": fluid,
        "brain_ml": grey + white,
        "ventricles_ml": inside,
        "icv_ml": np.count_nonzero(mask),
    }
    sums = np.array(list(values.values())) * voxel_ml
    return pd.DataFrame({"measure": list(values), "value": sums})
