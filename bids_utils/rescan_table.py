"""A table of repeated scans: how much two scans of one person differ without change."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from bids_utils.errors import DatasetError
from bids_utils.tables import check_columns, read_text_table

NEEDED = ("measure", "region", "standard_deviation")
COLUMNS = (*NEEDED, "atlas", "n")
EXPECTED = "measure, region, standard_deviation (percent) and, if wanted, atlas, n"


def read_rescan(path: Path) -> pd.DataFrame:
    """Rows of a table of repeated scans: measure, atlas, region, standard_deviation, n.

    `standard_deviation` is that of the difference between two scans of the same person, in
    percent of their mean; `n` the number of people (NaN where not given). A row without
    standard deviation is left out. Without the column `atlas` the answer has none: the
    regions are those of any atlas; with it an empty cell is a measure of the whole brain.

    Raises
    ------
    DatasetError
        The file cannot be read, a column is unknown or missing, a cell makes no sense, or two
        rows are about the same; the message names file, row and column.
    """
    table = read_text_table(path)
    check_columns(path, table.columns, COLUMNS, dict.fromkeys(NEEDED, EXPECTED))
    keys = [name for name in ("measure", "atlas", "region") if name in table]
    texts = {name: table[name].astype(object).where(table[name].notna(), "") for name in keys}
    numbers = {
        "standard_deviation": _numbers(path, table, "standard_deviation"),
        "n": _numbers(path, table.reindex(columns=list(COLUMNS)), "n"),
    }
    answer = pd.DataFrame({**texts, **numbers})
    known = answer[answer["standard_deviation"].notna()].reset_index(drop=True)
    twice = known[known.duplicated(keys)]
    if len(twice):
        found = ", ".join(str(cell) for cell in twice.iloc[0][keys] if cell)
        raise DatasetError(f"{path}: two rows are about {found}; remove one of them")
    return known


def _numbers(path: Path, table: pd.DataFrame, column: str) -> pd.Series:
    """Numbers above 0, NaN where the cell is missing."""
    value = pd.to_numeric(table[column], errors="coerce").astype(float)
    wrong = table[column].notna() & ~((value > 0) & np.isfinite(value))
    if wrong.any():
        row = int(np.flatnonzero(wrong)[0])
        raise DatasetError(
            f"{path}, row {row + 1}, column {column}: '{table[column].iloc[row]}'; expected a "
            "number above 0, or n/a"
        )
    return value
