"""Events of a task run: what was shown when, from the events.tsv that belongs to a BOLD file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from bids_utils.errors import DatasetError
from bids_utils.tables import read_text_table

EVENT_COLUMNS = ["onset", "duration", "trial_type"]
RESPONSE_S = 24.0
"""A response to an event this long before the first volume can still be seen in the run."""


@dataclass(frozen=True)
class Events:
    """Events of one run in the order of time, EVENT_COLUMNS (s, s, text), and what was noted."""

    table: pd.DataFrame
    notes: tuple[str, ...] = ()


def read_events(path: Path, run_s: float) -> Events:
    """Events of a run that can have a response in it, sorted by their onset.

    Left out with a note: events without a trial type (whatever their times), repeated ones,
    those after the last volume and those that ended more than 24 s before the first one.

    Parameters
    ----------
    path : Path
        events.tsv; columns other than onset, duration and trial_type are not read.
    run_s : float
        Duration of the run in seconds.

    Raises
    ------
    DatasetError
        A column is missing, a time is not a number, a duration is negative, or no event with a
        trial type is in the run.
    """
    text = read_text_table(path)
    _check_columns(path, list(text.columns))
    known, notes = _with_trial_types(text[EVENT_COLUMNS])
    timed = known.assign(**{name: _seconds(path, known[name]) for name in ("onset", "duration")})
    negative = timed.index[timed["duration"] < 0]
    if len(negative):
        row = _row(negative[0])
        raise DatasetError(f"{path}, {row}: a negative duration; correct it (0 is an impulse)")
    repeated = timed.duplicated()
    if repeated.any():
        notes.append(f"{repeated.sum()} events stand there twice and count once")
    inside, more = _inside(path, timed[~repeated], run_s)
    if not inside["onset"].is_monotonic_increasing:
        more.append("the events were not in the order of time and have been sorted")
    ordered = inside.sort_values("onset", kind="stable", ignore_index=True)
    return Events(ordered, tuple(notes + more))


def _check_columns(path: Path, columns: list[str]) -> None:
    missing = [name for name in EVENT_COLUMNS if name not in columns]
    if missing:
        raise DatasetError(
            f"{path}: the column {' and '.join(missing)} is missing; there are "
            f"{', '.join(columns)}; a model of the task needs {', '.join(EVENT_COLUMNS)}"
        )


def _seconds(path: Path, cells: pd.Series) -> pd.Series:
    numbers = pd.to_numeric(cells, errors="coerce").astype(float)
    wrong = numbers.index[~(numbers.abs() < float("inf"))]
    if len(wrong):
        cell = cells[wrong[0]]
        found = "n/a" if pd.isna(cell) else repr(cell)
        raise DatasetError(
            f"{path}, {_row(wrong[0])}: {cells.name} is {found}; expected seconds, such as 12.5"
        )
    return numbers


def _row(place: int) -> str:
    """Row of the file, of which the first one has the names of the columns."""
    return f"row {place + 2}"


def _with_trial_types(table: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
    unnamed = table["trial_type"].isna()
    left_out = f"{unnamed.sum()} events without a trial type are left out"
    return table[~unnamed], [left_out] if unnamed.any() else []


def _inside(path: Path, table: pd.DataFrame, run_s: float) -> tuple[pd.DataFrame, list[str]]:
    onset, end = table["onset"], table["onset"] + table["duration"]
    kept = (onset < run_s) & (end > -RESPONSE_S)
    if not kept.any():
        spread = f"from {onset.min():g} s to {end.max():g} s" if len(table) else "none"
        raise DatasetError(
            f"{path}: no event is in the run of {run_s:g} s (events: {spread}); onsets must be "
            "seconds from the first volume of the file"
        )
    notes = []
    if not kept.all():
        notes.append(f"{(~kept).sum()} events outside the run of {run_s:g} s are left out")
    partly = kept & ((onset < 0) | (end > run_s))
    if partly.any():
        notes.append(f"{partly.sum()} events begin before or end after the run and are kept")
    return table[kept], notes
