"""Pictures of the group report, from its tables and an atlas."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from glob import escape
from pathlib import Path

import numpy as np
import pandas as pd
from nilearn import datasets
from nilearn.image import load_img, resample_to_img

from bids_utils.errors import SettingsError
from configs.atlases import HOME_SPACE, Atlas, chosen_atlas, find_atlas
from configs.label_tables import read_label_table
from workflows.compute.region_order import grouped_regions
from workflows.compute.region_places import edge_matrix, edge_regions, region_centres
from workflows.compute.term_words import estimate_text, measure_name, place_name, strongest
from workflows.drawing.forest import ForestText, forest_plot
from workflows.drawing.matrices import connections_on_brain, region_matrix
from workflows.drawing.slices import Paint, Volume, painted_slices
from workflows.interfaces.brain_view import BrainMap, BrainShape, brain_map_of, shape_of
from workflows.interfaces.figures import volume_of
from workflows.interfaces.group_results import read_settings
from workflows.interfaces.report_numbers import Numbers, numbers_file, numbers_of
from workflows.interfaces.report_pages import Picture, drawn

RESOLUTION_MM = 2
N_ROWS, N_EDGES, MOST_LABELLED = 15, 15, 90
MARKED = "significant after correction"


@dataclass(frozen=True)
class StandardBrain:
    """Standard brain, its mask, and the atlas on the same grid; `index` gives the label."""

    brain: Volume
    mask: np.ndarray
    labels: np.ndarray
    index: dict[str, int]


def pictured_atlas(name: str, output_dir: Path | None) -> Atlas | None:
    """Atlas whose labels are in the space of the standard brain; None where none is known.

    Labels that the participant level carried to that space come first. Labels of another space
    are never drawn by their header.

    Parameters
    ----------
    name : str
        Name of the atlas in the results.
    output_dir : Path or None
        Derivative dataset; without it only the atlases of `atlases.yaml` are known.
    """
    folder = output_dir / "atlas" if output_dir else Path()
    stem = f"tpl-{HOME_SPACE}_atlas-{name}"
    carried = folder.glob(f"{escape(stem)}_desc-*_dseg.nii.gz") if output_dir else ()
    newest = max(carried, key=lambda file: file.stat().st_mtime, default=None)
    if newest is not None:
        return Atlas(name, HOME_SPACE, newest, folder / f"{stem}_dseg.tsv", "", "", "")
    chosen = read_settings(output_dir).atlas if output_dir else None
    try:
        atlas = chosen_atlas(chosen) if chosen and chosen.name == name else find_atlas(name)
    except SettingsError:
        return None
    return atlas if atlas.space == HOME_SPACE else None


def standard_brain(atlas_name: str, output_dir: Path | None) -> StandardBrain | None:
    """MNI brain with an atlas; None for an atlas that is not known in that space."""
    atlas = pictured_atlas(atlas_name, output_dir)
    return None if atlas is None else labelled_brain(atlas)


@lru_cache(maxsize=2)
def labelled_brain(atlas: Atlas) -> StandardBrain:
    """MNI brain with the labels of an atlas in that space."""
    template = datasets.load_mni152_template(resolution=RESOLUTION_MM)
    options = {"interpolation": "nearest", "force_resample": True, "copy_header": True}
    labels = resample_to_img(load_img(atlas.file), template, **options)
    mask = datasets.load_mni152_brain_mask(resolution=RESOLUTION_MM)
    table = read_label_table(atlas)
    return StandardBrain(
        brain=volume_of(template),
        mask=volume_of(mask).data > 0,
        labels=np.rint(volume_of(labels).data).astype(int),
        index=dict(zip(table["name"], table["index"], strict=True)),
    )


def brain_map(rows: pd.DataFrame, alpha: float, output_dir: Path | None) -> Picture | None:
    """Estimates painted on the regions; None where the atlas is not known."""
    standard = standard_brain(str(rows["atlas"].iloc[0]), output_dir)
    if standard is None:
        return None
    known = rows[rows["region"].isin(standard.index) & rows["estimate"].notna()]
    values = {
        standard.index[region]: float(estimate)
        for region, estimate in zip(known["region"], known["estimate"], strict=True)
    }
    significant = known.loc[known["p_fdr"] <= alpha, "region"]
    marked = tuple(standard.index[region] for region in significant)
    paint = Paint(standard.labels, values, _unit(rows), marked, MARKED)
    figure = painted_slices(standard.brain, paint, standard.mask, _title(rows))
    told = known.assign(
        value=known["estimate"].astype(float),
        words=[_words(row, alpha) for _, row in known.iterrows()],
        marked=known["p_fdr"] <= alpha,
    )
    name = str(rows["atlas"].iloc[0])
    return drawn(
        figure,
        f"Slices of a standard brain with each region coloured by {_title(rows)}",
        "Orange: more at follow-up or in the first-named group; purple: less; dark grey: not "
        f"measured. Colour shows the estimate, also where it may be chance. {MARKED.capitalize()} "
        f"(green edge): {len(marked)} of {len(known)} regions.",
        (_numbers(rows),),
        brain_map_of(told, standard.index, name, _title(rows), _unit(rows)),
    )


def brain_shapes(maps: Iterable[BrainMap], output_dir: Path) -> tuple[BrainShape, ...]:
    """The brain of each atlas that is shown, once."""
    atlases = [pictured_atlas(name, output_dir) for name in dict.fromkeys(m.atlas for m in maps)]
    return tuple(brain_shape(atlas) for atlas in atlases if atlas is not None)


@lru_cache(maxsize=2)
def brain_shape(atlas: Atlas) -> BrainShape:
    """Points of the standard brain with the labels of an atlas in that space."""
    standard = labelled_brain(atlas)
    return shape_of(atlas.name, standard.labels, standard.brain.affine)


def forest_picture(rows: pd.DataFrame, alpha: float, confidence: float) -> Picture | None:
    """Regions with the smallest p and their intervals, terms side by side; None without tests.

    Parameters
    ----------
    rows : DataFrame
        Rows of one model and family, with one or more terms in the same unit.
    alpha : float
        Level of the corrected tests, 0..1.
    confidence : float
        Coverage of the intervals, for the words.
    """
    keys = ["region", *(name for name in ("region_a", "region_b") if name in rows)]
    made = rows[rows["p"].notna()]
    if not len(made):
        return None
    label = [place_name(row) for _, row in strongest(made, MOST_LABELLED).iterrows()]
    chosen = list(dict.fromkeys(label))[:N_ROWS]
    n_places = len(made.drop_duplicates([key for key in keys if key in made]))
    wanted = _labelled(made, chosen)
    terms = list(dict.fromkeys(wanted["term"].astype(str)))
    table = wanted.assign(
        significant=wanted["p_fdr"] <= alpha,
        arm=wanted["term"].astype(str) if len(terms) > 1 else "",
    )
    text = ForestText(f"{_title(rows)}, {_unit(rows)}", MARKED, f"{100 * confidence:g} % interval")
    figure = forest_plot(table, text)
    picked = (
        f"The {len(chosen)} of {n_places} regions with the smallest p values, picked because they "
        "are the most extreme: their estimates are likely too large. "
    )
    return drawn(
        figure,
        f"Estimates with intervals of {_title(rows)}",
        (picked if n_places > len(chosen) else "")
        + "Intervals are not corrected for the number of tests.",
        (_numbers(made),),
    )


def _labelled(rows, chosen):
    """Rows of the chosen places, in their order."""
    labels = pd.Series([place_name(row) for _, row in rows.iterrows()], index=rows.index)
    table = rows.assign(label=labels)[labels.isin(chosen)]
    order = table["label"].map({name: place for place, name in enumerate(chosen)})
    return table.loc[order.sort_values(kind="stable").index]


def matrix_picture(rows: pd.DataFrame, output_dir: Path | None = None) -> Picture:
    """Estimates of all connections as a matrix, sorted by network where they are known."""
    atlas = pictured_atlas(str(rows["atlas"].iloc[0]), output_dir)
    table = pd.DataFrame() if atlas is None else read_label_table(atlas).set_index("name")
    first_seen = edge_regions(rows)
    places, groups = grouped_regions(table.reindex(first_seen))
    regions = [first_seen[place] for place in places]
    values = edge_matrix(rows, regions, "estimate")
    unit = f"{rows['term'].iloc[0]} ({_unit(rows)})"
    figure = region_matrix(values, regions, unit, groups if len(set(groups)) > 1 else None)
    return drawn(
        figure,
        f"Matrix of {len(regions)} by {len(regions)} regions coloured by {_title(rows)}",
        "All connections, significant or not. Orange: more; purple: less; grey: no value.",
        (_edge_numbers(rows, output_dir),),
    )


def connection_picture(rows: pd.DataFrame, alpha: float, output_dir: Path | None) -> Picture | None:
    """Strongest connections on a brain; None where the places of the regions are not known."""
    standard = standard_brain(str(rows["atlas"].iloc[0]), output_dir)
    top = strongest(rows, N_EDGES)
    if standard is None or not len(top):
        return None
    names = [name for name in edge_regions(top) if name in standard.index]
    indices = [standard.index[name] for name in names]
    places = region_centres(standard.labels, standard.brain.affine, indices)
    matrix = edge_matrix(top, names, "estimate")
    pairs = np.argwhere(np.triu(np.isfinite(matrix), 1))
    edges = [(int(a), int(b), float(matrix[a, b])) for a, b in pairs]
    n_significant = int((rows["p_fdr"] <= alpha).sum())
    mask = (standard.mask, standard.brain.affine)
    figure = connections_on_brain(edges, places, mask, f"estimate ({_unit(rows)})", names)
    how = f"{n_significant} of {int(rows['p'].notna().sum())} are {MARKED}"
    return drawn(
        figure,
        f"The {len(edges)} connections with the smallest p values in three views of a brain",
        f"The {len(edges)} connections with the smallest p values; {how}. L is the left of the "
        "participant.",
        (_numbers(top),),
    )


def _numbers(rows: pd.DataFrame) -> Numbers:
    parts = (rows[name].iloc[0] for name in ("model", "modality", "measure"))
    return numbers_of("_".join(map(str, parts)), rows)


def _edge_numbers(rows: pd.DataFrame, output_dir: Path | None) -> Numbers:
    """The file of the model, which holds all connections; few of them go into the page."""
    file = Path(f"models/{rows['model'].iloc[0]}_edges.tsv")
    path = output_dir / "group" / file if output_dir else file
    return numbers_file(path, path.parents[1]) if path.is_file() else _numbers(rows)


def _words(row: pd.Series, alpha: float) -> str:
    said = f"{estimate_text(row)}, p = {row['p']:.2g}, corrected {row['p_fdr']:.2g}"
    return f"{said}{', significant' if row['p_fdr'] <= alpha else ''}"


def _title(rows: pd.DataFrame) -> str:
    term = str(rows["term"].iloc[0])
    several = len(set(rows["term"])) > 1
    change = f"change in {measure_name(str(rows['measure'].iloc[0]))}"
    return change if several else f"{change}: {term}"


def _unit(rows: pd.DataFrame) -> str:
    return str(rows["unit"].iloc[0] or "no unit")
