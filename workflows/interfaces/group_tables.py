"""Tables of the group level: labels with prefix on disk, without in code, columns explained."""

from __future__ import annotations

from collections.abc import Callable, Collection
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from bids_utils.derivatives import read_table, write_table
from bids_utils.names import strip_label, with_prefix
from workflows.interfaces.group_columns import DESCRIPTIONS, UNITS

LABELS = {"participant_id": "sub", "session_id": "ses", "baseline": "ses", "followup": "ses"}
UNDER_ARM = "predicted "
TEXTS = (
    "modality",
    "measure",
    "atlas",
    "region",
    "region_a",
    "region_b",
    "unit",
    "qc",
    "reason",
    "status",
    "note",
    "flag",
    "score",
    "level",
    "moment",
    "term",
    "arm",
    "reference",
    "mediator",
    "path",
)


def load_table(path: str | Path, columns: Collection[str] | None = None) -> pd.DataFrame:
    """Table of the group level with labels without prefix and empty texts for n/a.

    With `columns` only these are read, as far as they are there.
    """
    table = read_table(Path(path), TEXTS, columns)
    for column, key in LABELS.items():
        if column in table:
            table[column] = _texts(table[column], partial(strip_label, key=key))
    for column in TEXTS:
        if column in table:
            table[column] = _texts(table[column], str)
    return table


def _texts(column: pd.Series, changed: Callable[[str], str]) -> pd.Series:
    """Texts of a column, empty for n/a; each different one is changed once."""
    codes, levels = pd.factorize(column)
    texts = np.array([*(changed(str(level)) for level in levels), ""], dtype=object)
    return pd.Series(texts[codes], index=column.index, dtype=object)


def save_table(table: pd.DataFrame, path: Path) -> str:
    """Write a table, empty texts as n/a; returns the path."""
    table = table.copy()
    for column, key in LABELS.items():
        if column in table:
            table[column] = [
                with_prefix(str(label), key) if label else None for label in table[column]
            ]
    write_table(table, path)
    return str(path)


def described(column: str) -> str:
    """What a column is; one whose name holds an arm is known by its beginning."""
    if column.startswith(UNDER_ARM):
        return f"Outcome predicted under {column.removeprefix(UNDER_ARM)}."
    return DESCRIPTIONS[column]


def dictionary_of(path: Path) -> dict[str, dict[str, str]]:
    """JSON dictionary of a table on disk: what its columns are, and their units."""
    dictionary = {}
    for column in read_table(path).columns:
        dictionary[column] = {"Description": described(column)}
        if column in UNITS:
            dictionary[column]["Units"] = UNITS[column]
    return dictionary
