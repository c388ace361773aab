"""Pictures of the group report, from its tables and an atlas."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import pandas as pd
from nilearn import datasets
from nilearn.image import load_img, resample_to_img

from bids_utils.errors import SettingsError
from configs.atlases import Atlas, find_atlas
from workflows.compute.families import Cohort
from workflows.compute.findings import measure_name, place_name, strongest
from workflows.compute.region_places import edge_matrix, edge_regions, region_centres
from workflows.drawing.canvas import png_bytes
from workflows.drawing.effects import change_scatter, interval_plot
from workflows.drawing.matrices import connections_on_brain, region_matrix
from workflows.drawing.slices import Paint, Volume, painted_slices
from workflows.interfaces.atlas import read_labels
from workflows.interfaces.figures import volume_of
from workflows.interfaces.report_pages import embedded

RESOLUTION_MM = 2
N_ROWS, N_EDGES, N_SCATTERS = 15, 15, 3
MARKED = "significant after correction"


@dataclass(frozen=True)
class GroupPicture:
    """A picture with its words."""

    source: str
    alt: str
    caption: str


@dataclass(frozen=True)
class StandardBrain:
    """Standard brain, its mask, and the atlas on the same grid; `index` gives the label."""

    brain: Volume
    mask: np.ndarray
    labels: np.ndarray
    index: dict[str, int]


@lru_cache(maxsize=2)
def standard_brain(atlas_name: str) -> StandardBrain | None:
    """MNI brain with an atlas; None for an atlas that is not installed."""
    try:
        atlas: Atlas = find_atlas(atlas_name)
    except SettingsError:
        return None
    template = datasets.load_mni152_template(resolution=RESOLUTION_MM)
    options = {"interpolation": "nearest", "force_resample": True, "copy_header": True}
    labels = resample_to_img(load_img(atlas.file), template, **options)
    mask = datasets.load_mni152_brain_mask(resolution=RESOLUTION_MM)
    table = read_labels(atlas.labels_file)
    return StandardBrain(
        brain=volume_of(template),
        mask=volume_of(mask).data > 0,
        labels=np.rint(volume_of(labels).data).astype(int),
        index=dict(zip(table["name"], table["index"], strict=True)),
    )


def brain_map(rows: pd.DataFrame, alpha: float) -> GroupPicture | None:
    """Estimates painted on the regions; None where the atlas is not known."""
    standard = standard_brain(str(rows["atlas"].iloc[0]))
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
    return GroupPicture(
        embedded(png_bytes(figure)),
        f"Slices of a standard brain with each region coloured by {_title(rows)}",
        "Orange: more at follow-up or in the first-named group; purple: less; dark grey: not "
        f"measured. Colour shows the estimate, also where it may be chance. {MARKED.capitalize()} "
        f"(green edge): {len(marked)} of {len(known)} regions.",
    )


def interval_picture(rows: pd.DataFrame, alpha: float) -> GroupPicture | None:
    """Regions with the smallest p and their intervals; None without tests."""
    top = strongest(rows, N_ROWS)
    if not len(top):
        return None
    table = top.assign(
        label=[place_name(row) for _, row in top.iterrows()], significant=top["p_fdr"] <= alpha
    )
    figure = interval_plot(table, f"{_title(rows)}, {_unit(rows)}", MARKED)
    return GroupPicture(
        embedded(png_bytes(figure)),
        f"Estimates with intervals of the {len(top)} regions with the smallest p values",
        f"The {len(top)} of {int(rows['p'].notna().sum())} regions with the smallest p values, "
        "picked because they are the most extreme: their estimates are likely too large. "
        "Intervals are not corrected for the number of regions.",
    )


def scatter_pictures(
    rows: pd.DataFrame, change: pd.DataFrame, cohort: Cohort, arms: pd.Series
) -> list[GroupPicture]:
    """Change of the strongest regions against change of the score.

    `change` has the rows of the tested pair of sessions.
    """
    score, pictures = str(rows["term"].iloc[0]).removeprefix("change in "), []
    n_tests = int(rows["p"].notna().sum())
    if score not in cohort.score_change:
        return []
    for rank, (_, row) in enumerate(strongest(rows, N_SCATTERS).iterrows(), start=1):
        same = change[["modality", "measure", "atlas", "region"]].eq(
            row[["modality", "measure", "atlas", "region"]]
        )
        brain = change[same.all(axis=1)].set_index("participant_id")
        if not len(brain):
            continue
        points = pd.DataFrame({"x": cohort.score_change[score], "y": brain["change"], "arm": arms})
        place = f"rank {rank} of {n_tests}" if rank > 1 else f"strongest of {n_tests}"
        unit = str(brain["unit"].iloc[0]) if "unit" in brain else ""
        name = f"change in {measure_name(str(row['measure']))}" + (f" ({unit})" if unit else "")
        title = f"{place_name(row)} ({place})\npartial r = {row['estimate']:.2f}, "
        title += f"p = {row['p']:.2g}, corrected {row['p_fdr']:.2g}"
        figure = change_scatter(points, f"change in {score}", name, title)
        pictures.append(
            GroupPicture(
                embedded(png_bytes(figure)),
                f"Scatter of change in {place_name(row)} against change in {score}",
                f"Each dot is one participant, as measured; r takes the covariates into account. "
                f"{place.capitalize()}: chosen for being extreme, so likely too large.",
            )
        )
    return pictures


def matrix_picture(rows: pd.DataFrame) -> GroupPicture:
    """Estimates of all connections as a matrix."""
    regions = edge_regions(rows)
    values = edge_matrix(rows, regions, "estimate")
    figure = region_matrix(values, regions, f"{rows['term'].iloc[0]} ({_unit(rows)})")
    return GroupPicture(
        embedded(png_bytes(figure)),
        f"Matrix of {len(regions)} by {len(regions)} regions coloured by {_title(rows)}",
        "All connections, significant or not. Orange: more; purple: less; grey: no value.",
    )


def connection_picture(rows: pd.DataFrame, alpha: float) -> GroupPicture | None:
    """Strongest connections on a brain; None where the places of the regions are not known."""
    standard, top = standard_brain(str(rows["atlas"].iloc[0])), strongest(rows, N_EDGES)
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
    figure = connections_on_brain(edges, places, mask, f"estimate ({_unit(rows)})")
    how = f"{n_significant} of {int(rows['p'].notna().sum())} are {MARKED}"
    return GroupPicture(
        embedded(png_bytes(figure)),
        f"The {len(edges)} connections with the smallest p values in three views of a brain",
        f"The {len(edges)} connections with the smallest p values; {how}. L is the left of the "
        "participant.",
    )


def _title(rows: pd.DataFrame) -> str:
    term = str(rows["term"].iloc[0])
    return f"change in {measure_name(str(rows['measure'].iloc[0]))}: {term}"


def _unit(rows: pd.DataFrame) -> str:
    return str(rows["unit"].iloc[0] or "no unit")
