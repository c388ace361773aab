"""Counts of few people are hidden, and so are those from which they could be worked out."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd

FEWEST = 5


def hidden_cells(counts: np.ndarray, fewest: int = FEWEST) -> np.ndarray:
    """Which counts must not be shown.

    Every count from 1 to `fewest` - 1 is hidden. A row or column whose total is known shows a
    single hidden cell by subtraction, so its smallest other cell is hidden too, until no row
    and no column has exactly one hidden cell.

    Parameters
    ----------
    counts : np.ndarray, shape (n_groups, n_levels)
        Numbers of people; NaN is no cell.
    fewest : int
        Smallest number of people that may be shown (0 may be shown).

    Returns
    -------
    np.ndarray of bool, shape (n_groups, n_levels)
    """
    values = np.asarray(counts, dtype=float)
    hidden = (values > 0) & (values < fewest)
    while True:
        before = hidden.sum()
        for lines, marks in ((values, hidden), (values.T, hidden.T)):
            for line, mark in zip(lines, marks, strict=True):
                _hide_another(line, mark)
        if hidden.sum() == before:
            return hidden


def _hide_another(line, mark):
    """Hide the smallest other cell of a line with exactly one hidden cell, in place."""
    others = np.flatnonzero(~mark & np.isfinite(line))
    if mark.sum() == 1 and len(others):
        mark[others[np.argmin(line[others])]] = True


NOT_PEOPLE = frozenset(
    f"n_{what}"
    for what in (
        *("edges", "nodes", "tests", "regions", "relabellings", "permutations", "bootstraps"),
        *("folds", "repeats", "volumes", "flags", "voxels", "sessions", "scans", "events"),
    )
)
PER_ARM = "n_per_arm"
PEOPLE = re.compile(r"(?<!fewer than )\b(\d{1,6}) (participants?|people|persons?)\b")
WITH_ROWS = re.compile(r"^(\d{1,9}) with \d{1,9} rows$")
OF_ROWS = re.compile(r"^(\d{1,9}) of (\d{1,9}) rows$")
LISTED = re.compile(r"(?:^|(?<=; ))\d{1,9}\b|\b\d{1,9}(?= in arm )")
PEOPLE_FACTS = frozenset({"participants", "left out", "events", "treatment selection"})
"""Facts of a prediction that count people."""
WORDS = frozenset({"arm", PER_ARM, "note", "reference"})
"""Columns of text that do not tell which of the groups of a table a row belongs to."""


def without_small_cells(table: pd.DataFrame, fewest: int) -> pd.DataFrame:
    """Table of groups of people without the numbers of rows about too few of them.

    A row is about too few where one of its counts (``n``, ``n_...``, ``..._count``) is between
    1 and `fewest` - 1, or where so few of ``n`` are left over by another count. With a column
    `arm` another row of the same kind is hidden where only one is: with the total, which is one
    of the rows, it could be worked out. A cell of `n_per_arm` is hidden as a whole. In facts of a
    prediction (`item`, `text`) small numbers of people become "fewer than".

    Parameters
    ----------
    table : DataFrame
        Rows of groups, with a unique index; numbers of hidden rows become NaN.
    fewest : int
        Smallest number of people that may be shown.
    """
    counts = [name for name in table if _counts_people(name, table[name])]
    small = pd.Series(False, index=table.index)
    for name in counts:
        small |= table[name].between(1, fewest - 1)
        if "n" in counts and name != "n":
            small |= (table["n"] - table[name]).between(1, fewest - 1)
    if "arm" in table and counts:
        small = _with_another(table, small, table[counts[0]])
    shown = _masked(table, small)
    if PER_ARM in table:
        few = pd.Series([_has_few(str(text), fewest) for text in table[PER_ARM]], table.index)
        shown[PER_ARM] = table[PER_ARM].astype(object).mask(few)
    if {"item", "text"} <= set(table):
        facts = zip(table["item"], table["text"], strict=True)
        shown["text"] = [
            _fact_without_few(str(text), fewest) if item in PEOPLE_FACTS else text
            for item, text in facts
        ]
    if "note" in table:
        shown["note"] = [_without_few(text, fewest) for text in table["note"]]
    return shown


def without_hidden_rates(differences: pd.DataFrame, rates: pd.DataFrame) -> pd.DataFrame:
    """Differences between arms without those of which a rate is hidden (NaN).

    Parameters
    ----------
    differences : DataFrame
        `arm`, `reference` and other columns of text that `rates` has too.
    rates : DataFrame
        `arm` and `rate`.
    """
    keys = [name for name in rates if name in differences and name not in (*WORDS, "note")]
    keys = [name for name in keys if not pd.api.types.is_numeric_dtype(rates[name])]
    hidden = {tuple(row) for row in rates.loc[rates["rate"].isna(), [*keys, "arm"]].values}
    lost = [
        (*own, arm) in hidden or (*own, reference) in hidden
        for *own, arm, reference in differences[[*keys, "arm", "reference"]].values
    ]
    return _masked(differences, pd.Series(lost, differences.index, dtype=bool))


def _counts_people(name, values):
    is_count = name == "n" or name.endswith("_count") or name.startswith("n_")
    return is_count and name not in NOT_PEOPLE and pd.api.types.is_numeric_dtype(values)


def _with_another(table, small, counts):
    """Rows to hide, with one more of each kind in which only one is hidden."""
    keys = [
        name
        for name in table
        if name not in WORDS and not pd.api.types.is_numeric_dtype(table[name])
    ]
    small = small.copy()
    kinds = pd.Series([str(row) for row in table[keys].to_numpy().tolist()], table.index)
    for _, rows in counts.groupby(kinds, sort=False):
        others = rows[~small[rows.index] & rows.notna()]
        if small[rows.index].sum() == 1 and len(others):
            small[others.idxmin()] = True
    return small


def _masked(table, hidden):
    """Table without the numbers of some rows; whole numbers stay whole."""
    shown = table.copy()
    for name in table:
        if pd.api.types.is_bool_dtype(table[name]):
            continue
        if pd.api.types.is_integer_dtype(table[name]):
            shown[name] = table[name].astype("Int64").mask(hidden)
        elif pd.api.types.is_numeric_dtype(table[name]):
            shown[name] = table[name].mask(hidden)
    return shown


def _without_few(text, fewest):
    """Note in which small numbers of people are not told."""

    def told(found):
        few = f"fewer than {fewest} {found.group(2)}"
        return few if _is_few(found.group(1), fewest) else found.group()

    return PEOPLE.sub(told, text) if isinstance(text, str) else text


def _fact_without_few(text, fewest):
    """Fact of a prediction in which small numbers of people are not told."""
    few = f"fewer than {fewest}"
    if both := OF_ROWS.match(text):
        with_event, rows = map(int, both.groups())
        is_few = any(_is_few(count, fewest) for count in (with_event, rows - with_event))
        return f"{few} rows with or without it" if is_few else text
    if people := WITH_ROWS.match(text):
        return few if _is_few(people.group(1), fewest) else text
    return LISTED.sub(lambda found: few if _is_few(found.group(), fewest) else found.group(), text)


def _is_few(count, fewest):
    return 0 < int(count) < fewest


def _has_few(text, fewest):
    counts = [part.rpartition("=")[2] for part in text.split(";")]
    return any(count.isdecimal() and _is_few(count, fewest) for count in counts)
