"""Tables of other programs: separated by tabs, semicolons or commas."""

from __future__ import annotations

import csv
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd

from bids_utils.errors import DatasetError
from bids_utils.plain_files import read_utf8
from bids_utils.tables import cell_value

SEPARATORS = ("\t", ";", ",")
SHOWN = 5


def read_separated(path: Path) -> pd.DataFrame:
    """All cells of a table as text, missing ones as NaN; the index counts its lines.

    The separator is the first of tab, semicolon and comma that the header holds.

    Raises
    ------
    DatasetError
        The file cannot be read, is empty, or a line has more or fewer cells than the header;
        the message names file and line.
    """
    text = read_utf8(path)
    separator = _separator(path, text)
    try:
        lines = list(csv.reader(text.splitlines(), delimiter=separator))
    except csv.Error as error:
        raise DatasetError(
            f"{path}: not a table ({error}); is a quotation mark open, or is it not a text file?"
        ) from error
    header = [cell.strip() for cell in lines[0]]
    twice = [name for name, count in Counter(header).items() if count > 1]
    if twice:
        raise DatasetError(f"{path}: two columns are called {twice[0]!r}; rename one of them")
    rows = {number: line for number, line in enumerate(lines[1:], start=2) if any(line)}
    for number, line in rows.items():
        if len(line) != len(header):
            raise DatasetError(_uneven(path, number, len(line), len(header), separator))
    cells = [[cell_value(cell.strip()) for cell in line] for line in rows.values()]
    return pd.DataFrame(cells, index=list(rows), columns=header, dtype=object)


def number_columns(path: Path, table: pd.DataFrame, columns: list[str]) -> np.ndarray:
    """Numbers of some columns, n_rows x n_columns; NaN where a cell is missing.

    Raises
    ------
    DatasetError
        A cell is not a number (a decimal comma is named as such), or is infinite.
    """
    values = table[columns].apply(pd.to_numeric, errors="coerce").to_numpy(dtype=float)
    wrong = (np.isnan(values) & table[columns].notna().to_numpy(dtype=bool)) | np.isinf(values)
    if wrong.any():
        row, column = np.argwhere(wrong)[0]
        cell = str(table[columns].iloc[row, column])
        line = table.index[row]
        raise DatasetError(f"{path}, line {line}, column '{columns[column]}': {not_a_number(cell)}")
    return values


def not_a_number(cell: str) -> str:
    """What to say about a cell that should be a number."""
    if cell.count(",") == 1 and cell.replace(",", "").replace("-", "", 1).isdecimal():
        return f"'{cell}' has a decimal comma; write numbers with a point, such as 4.5"
    if cell.strip("+-").lower() in ("inf", "infinity"):
        return f"'{cell}' is infinite, as after a division by 0; write a number or n/a"
    return f"'{cell}' is not a number; write a number or n/a"


def _separator(path: Path, text: str) -> str:
    header = next((line for line in text.splitlines() if line.strip()), "")
    if not header or not text.startswith(header):
        raise DatasetError(f"{path}: the first line is empty; expected a line of column names")
    found = [mark for mark in SEPARATORS if mark in header]
    if not found:
        raise DatasetError(
            f"{path}: the header has one column only ({header[:60]!r}); separate cells by tabs, "
            "semicolons or commas"
        )
    return found[0]


def _uneven(path: Path, number: int, n_cells: int, n_columns: int, separator: str) -> str:
    name = {"\t": "tabs", ";": "semicolons", ",": "commas"}[separator]
    advice = f"cells must be separated by {name}"
    if separator == "," and n_cells > n_columns:
        advice += ", and numbers written with a point (4.5), not with a decimal comma"
    return f"{path}, line {number}: {n_cells} cells, but the header has {n_columns}; {advice}"
