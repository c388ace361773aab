"""TSV files as the dataset has them: every cell is text until somebody knows better."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

import pandas as pd

from bids_utils.errors import DatasetError
from bids_utils.names import nearest
from bids_utils.plain_files import read_utf8

MISSING = frozenset({"", "n/a", "na", "nan"})
"""Cells without a value, compared in lower case; BIDS itself writes n/a."""

MOST_COLUMNS = 10_000


def read_text_table(path: Path) -> pd.DataFrame:
    """All cells of a TSV file as text, missing ones as NaN.

    Quotes around a cell and spaces at its ends are removed, empty lines are left out, and
    a byte order mark is ignored. The column names are unique.

    Raises
    ------
    DatasetError
        The file cannot be read, is not UTF-8, or a line has more or fewer cells than the
        header; the message names file and line.
    """
    lines = _read_lines(path)
    if not lines:
        raise DatasetError(f"{path}: the file is empty; expected a line of column names")
    columns = lines[0][1]
    _check_columns(path, columns)
    for number, cells in lines[1:]:
        if len(cells) != len(columns):
            raise DatasetError(
                f"{path}, line {number}: {len(cells)} cells, but the header has {len(columns)}; "
                "cells must be separated by tabs"
            )
    rows = [[cell_value(cell) for cell in cells] for _, cells in lines[1:]]
    return pd.DataFrame(rows, columns=columns, dtype=object)


def check_columns(
    path: Path, found: Iterable[str], known: Sequence[str], needed: dict[str, str]
) -> None:
    """Refuse a table with a column that nobody knows, or without one that is needed.

    Parameters
    ----------
    path : Path
        Named in the message.
    found : iterable of str
        Columns of the table.
    known : sequence of str
        All columns that it may have; the nearest is named.
    needed : dict of str to str
        Columns that must be there, and what the message says is expected.

    Raises
    ------
    DatasetError
        The message names the file and the column.
    """
    columns = [str(column) for column in found]
    for column in columns:
        if column not in known:
            advice = nearest(column, known)
            raise DatasetError(f"{path}: unknown column '{column}'; {advice}; rename or remove it")
    for column, expected in needed.items():
        if column not in columns:
            raise DatasetError(f"{path}: the column '{column}' is missing; expected {expected}")


def cell_value(cell: str) -> str | None:
    """Text of a cell; None for one without a value."""
    return None if cell.lower() in MISSING else cell


def _read_lines(path: Path) -> list[tuple[int, list[str]]]:
    numbered = enumerate(read_utf8(path).split("\n"), start=1)
    return [(n, [_unquote(c) for c in line.split("\t")]) for n, line in numbered if line.strip()]


def _unquote(cell: str) -> str:
    text = cell.strip()
    if len(text) > 1 and text[0] == text[-1] == '"':
        return text[1:-1].strip()
    return text


def _check_columns(path: Path, columns: list[str]) -> None:
    if len(columns) > MOST_COLUMNS:
        raise DatasetError(
            f"{path}: {len(columns)} columns, more than {MOST_COLUMNS}; is it a table of people "
            "or sessions? Remove those that are not needed"
        )
    twice = [name for name, count in Counter(columns).items() if count > 1]
    if twice:
        raise DatasetError(f"{path}: two columns are called {min(twice)!r}; rename one of them")


def in_label_order(table: pd.DataFrame, labels: Sequence[str]) -> pd.DataFrame:
    """Rows in the text order of those label columns that are there, numbered anew.

    Sums depend on the order of their numbers in the last digit, and random draws on the place of a
    row: with this one order the rows of a file can be in any. It says nothing about time.
    """
    known = [label for label in labels if label in table]
    return table.sort_values(known, kind="stable", ignore_index=True) if known else table
