"""A brain that the reader can turn: points of a standard brain, and values of its regions."""

from __future__ import annotations

import base64
from dataclasses import dataclass

import numpy as np
import pandas as pd
from nilearn import datasets
from scipy import ndimage

from workflows.compute.brain_points import BrainPoints, brain_points
from workflows.interfaces.figures import volume_of

GRID_MM = 2
LEAST_TISSUE = 0.55
BYTE = 255


@dataclass(frozen=True)
class BrainMap:
    """Values of the regions of an atlas; `regions` are label, name, value, words, marked."""

    atlas: str
    title: str
    unit: str
    limit: float
    regions: tuple[tuple[int, str, float, str, bool], ...]


@dataclass(frozen=True)
class BrainShape:
    """Points of a standard brain as bytes, eight a point, and what is needed to read them."""

    atlas: str
    about: dict[str, object]
    content: str


def brain_map_of(
    table: pd.DataFrame,
    index: dict[str, int],
    atlas: str,
    title: str,
    unit: str,
    limit: float | None = None,
) -> BrainMap | None:
    """Values of regions for the brain that can be turned; None where none has a value.

    Parameters
    ----------
    table : DataFrame
        region, value (NaN: not measured), words (what is said of the region) and, optional,
        marked (bool).
    index : dict of str to int
        Label of each region in the atlas; others are left out.
    atlas, title, unit : str
        Name of the atlas, what is shown, its unit.
    limit : float, optional
        Where the colours end on both sides; else the largest value.
    """
    known = table[table["region"].isin(index) & table["value"].notna()]
    if not len(known):
        return None
    marked = known["marked"] if "marked" in known else pd.Series(False, index=known.index)
    rows = zip(known["region"], known["value"], known["words"], marked, strict=True)
    regions = tuple(
        (index[name], name, float(f"{value:.6g}"), words, bool(is_marked))
        for name, value, words, is_marked in rows
    )
    end = limit or float(known["value"].abs().max()) or 1.0
    return BrainMap(atlas, title, unit, end, regions)


def packed(points: BrainPoints, atlas: str) -> BrainShape:
    """Points as bytes: places, directions and labels, each in a block of its own."""
    low = points.places_mm.min(axis=0)
    step_mm = float((points.places_mm - low).max() / BYTE)
    places = np.rint((points.places_mm - low) / step_mm).astype(np.uint8)
    normals = np.rint(127 * points.normals).astype(np.int8).view(np.uint8)
    labels = points.labels.astype(np.uint16)
    columns = [*places.T, *normals.T, (labels & BYTE).astype(np.uint8), labels >> 8]
    content = b"".join(column.astype(np.uint8).tobytes() for column in columns)
    about = {
        "n": len(points),
        "low": [round(float(v), 3) for v in low],
        "step": round(step_mm, 5),
        "rightFrom": points.right_from,
        "deepFrom": points.deep_from,
        "spacing": GRID_MM,
    }
    return BrainShape(atlas, about, base64.b64encode(content).decode("ascii"))


def shape_of(atlas: str, labels: np.ndarray, affine: np.ndarray) -> BrainShape:
    """Points of the standard brain with the regions of an atlas on its grid of 2 mm."""
    grey, white = (
        volume_of(load(resolution=GRID_MM)).data
        for load in (datasets.load_mni152_gm_template, datasets.load_mni152_wm_template)
    )
    tissue = grey / grey.max() + white / white.max() > LEAST_TISSUE
    parts, _ = ndimage.label(ndimage.binary_fill_holes(tissue))
    solid = parts == np.bincount(parts[parts > 0]).argmax()
    return packed(brain_points(solid, labels, affine), atlas)
