"""Change of each region of one participant, from the tables of the sessions on disk."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from bids_utils.derivatives import read_table
from bids_utils.errors import SettingsError
from bids_utils.names import parse_name
from configs.label_tables import read_label_table
from workflows.compute.change import difference, percent_change
from workflows.drawing.change_maps import THICKNESS_CHANGE_MM, VOLUME_LIMIT_PCT
from workflows.interfaces.brain_view import BrainMap, brain_map_of
from workflows.interfaces.group_pictures import pictured_atlas

TABLES = "ses-*/anat/*_atlas-*_desc-{kind}_morph.tsv"
NORMAL_95 = 1.96


@dataclass(frozen=True)
class RegionMeasure:
    """A column of the tables of sessions: kind of table, what it is called, its units."""

    kind: str
    column: str
    words: str
    unit: str
    percent: bool


MEASURES = (
    RegionMeasure("volume", "deformation", "volume by deformation", "ml", True),
    RegionMeasure("volume", "volume", "grey-matter volume", "ml", True),
    RegionMeasure("thickness", "thickness", "cortical thickness", "mm", False),
)
COLUMNS = [
    *("measure", "atlas", "region", "baseline", "followup", "unit", "baseline_value"),
    *("followup_value", "change", "standard_error", "percent_change"),
]


def region_changes(folder: Path, order: list[str]) -> pd.DataFrame:
    """Change of each region from the first session to each later one, COLUMNS.

    Parameters
    ----------
    folder : Path
        Of the participant in the derivatives.
    order : list of str
        Sessions as the ledger names them, in time order; sessions that it does not have are
        left out.
    """
    made = []
    for measure in MEASURES:
        sessions = _sessions(folder, measure.kind, order)
        first, *later = sessions or [None]
        made += [_changes(first, session, measure) for session in later]
    known = [table for table in made if len(table)]
    return pd.concat(known, ignore_index=True) if known else pd.DataFrame(columns=COLUMNS)


def change_maps(changes: pd.DataFrame, output_dir: Path) -> tuple[BrainMap, ...]:
    """A brain for each measure and later session; none for an atlas that cannot be drawn."""
    made = []
    for (words, atlas_name, _, after), rows in changes.groupby(
        ["measure", "atlas", "baseline", "followup"], sort=False
    ):
        index = _region_index(str(atlas_name), output_dir)
        percent = rows["percent_change"].notna().any()
        told = rows.assign(
            value=rows["percent_change" if percent else "change"],
            words=[_told(row) for row in rows.itertuples()],
        )
        unit = "%" if percent else str(rows["unit"].iloc[0])
        title = f"{after}: change in {words}"
        limit = VOLUME_LIMIT_PCT if percent else THICKNESS_CHANGE_MM
        made.append(brain_map_of(told, index, str(atlas_name), title, unit, limit))
    return tuple(shown for shown in made if shown is not None)


def _region_index(name, output_dir):
    try:
        atlas = pictured_atlas(name, output_dir)
    except SettingsError:
        return {}
    if atlas is None:
        return {}
    table = read_label_table(atlas)
    return dict(zip(table["name"], table["index"], strict=True))


def _told(row):
    error = "" if np.isnan(row.standard_error) else f" ± {NORMAL_95 * row.standard_error:.2g}"
    percent = "" if np.isnan(row.percent_change) else f" ({row.percent_change:+.1f} %)"
    values = f"{row.baseline_value:.4g} to {row.followup_value:.4g} {row.unit}"
    return f"{values}, {row.change:+.3g}{error}{percent}"


def _sessions(folder, kind, order):
    """Label, atlas and table of each session, in time order."""
    found = []
    for path in folder.glob(TABLES.format(kind=kind)):
        name = parse_name(path.name)
        if name is not None and f"ses-{name.get('ses')}" in order:
            found.append((f"ses-{name.get('ses')}", str(name.get("atlas")), read_table(path)))
    return sorted(found, key=lambda item: order.index(item[0]))


def _changes(first, later, measure):
    (before, atlas, old), (after, other, new) = first, later
    column, error = measure.column, f"{measure.column}_standard_error"
    if atlas != other or not {"region", column} <= set(old) & set(new):
        return pd.DataFrame()
    old, new = (table.set_index("region").reindex(columns=[column, error]) for table in (old, new))
    new = new.reindex(old.index)
    baseline, followup = (table[column].to_numpy(dtype=float) for table in (old, new))
    errors = [table[error].to_numpy(dtype=float) for table in (old, new)]
    percent = percent_change(baseline, followup) if measure.percent else np.nan
    table = pd.DataFrame(
        {
            "measure": measure.words,
            "atlas": atlas,
            "region": list(old.index),
            "baseline": before,
            "followup": after,
            "unit": measure.unit,
            "baseline_value": baseline,
            "followup_value": followup,
            "change": difference(baseline, followup),
            "standard_error": np.hypot(*errors),
            "percent_change": percent,
        }
    )
    return table[np.isfinite(baseline) | np.isfinite(followup)]
