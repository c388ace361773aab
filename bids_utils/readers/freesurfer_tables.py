"""Tables of a whole cohort by FreeSurfer's asegstats2table and aparcstats2table."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from bids_utils.errors import DatasetError
from bids_utils.readers.freesurfer import (
    INTRACRANIAL,
    MM3_PER_ML,
    PARCELLATIONS,
    region_names,
)
from bids_utils.readers.long_table import one_value
from bids_utils.readers.records import Block, Scan, SourceProblem, SourceRequest, counted
from bids_utils.readers.scan_names import scan_name
from bids_utils.readers.separated import number_columns

ASEG = "Measure:"
UNITS = {"volume": "mm3", "thickness": "mm", "area": "mm2"}
WHOLE_BRAIN = ("Vol", "-to-eTIV", "SurfaceHoles", "eTIV", "ICV")
"""Ends of columns about the whole brain, which the same tables hold."""


def is_freesurfer_table(table: pd.DataFrame) -> bool:
    """Whether the first column is called as FreeSurfer calls it, and the measure is known."""
    return _header(str(table.columns[0])) is not None


def freesurfer_blocks(
    path: Path, table: pd.DataFrame, request: SourceRequest
) -> tuple[list[Block], list[SourceProblem]]:
    """Blocks of a table with a row per subject folder and a column per region.

    Raises
    ------
    DatasetError
        A cell is not a number, or a scan stands there twice.
    """
    first = str(table.columns[0])
    measure, atlas, ending = _header(first) or ("", "", "")
    columns = [str(column) for column in table.columns[1:]]
    if ending:
        columns = [column for column in columns if column.endswith(ending) and "Mean" not in column]
    else:
        columns = [column for column in columns if not column.endswith(WHOLE_BRAIN)]
    values = number_columns(path, table, columns)
    regions = region_names(tuple(column.removesuffix(ending) for column in columns))
    whole = next((column for column in INTRACRANIAL if column in table), "")
    icv_mm3 = number_columns(path, table, [whole])[:, 0] if whole else np.full(len(table), np.nan)
    blocks: dict[Scan, list[Block]] = {}
    lost = []
    for text, row, volume in zip(table[first], values, icv_mm3, strict=True):
        name = scan_name(str(text).partition(".long.")[0], request)
        if name is None or not name.session:
            lost.append(str(text))
            continue
        scan = (name.participant, name.session, "T1w")
        if scan in blocks:
            raise DatasetError(f"{path}: two rows are about {text}; remove one of them")
        if request.wants_scan(*scan[:2]):
            blocks[scan] = [Block(scan, measure, UNITS[measure], atlas, regions, row)]
        if scan in blocks and not ending and volume > 0:
            value = float(volume / MM3_PER_ML)
            blocks[scan].append(one_value(scan, "tissue_volume", "ml", "icv", value))
    what = f"names that do not say participant and session: {counted(lost)}; left out"
    advice = "rename them to sub-X_ses-Y, or say whose they are in the settings (sources: scans)"
    problems = [SourceProblem(what, str(path), advice)] if lost else []
    return [block for own in blocks.values() for block in own], problems


def _header(text: str) -> tuple[str, str, str] | None:
    """Measure, atlas and ending of the columns for "Measure:volume" or "lh.aparc.thickness"."""
    if text == f"{ASEG}volume":
        return "volume", "aseg", ""
    hemi, _, rest = text.partition(".")
    parcellation, _, measure = rest.rpartition(".")
    known = {
        file.removesuffix(".stats"): atlas
        for atlas, files in PARCELLATIONS.items()
        for file in files
    }
    if hemi not in ("lh", "rh") or measure not in UNITS or parcellation not in known:
        return None
    return measure, known[parcellation], f"_{measure}"
