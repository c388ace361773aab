"""Tables of measures that were made elsewhere: long, or wide with a column per region."""

from __future__ import annotations

from dataclasses import replace
from operator import attrgetter
from pathlib import Path

import numpy as np
import pandas as pd

from bids_utils.errors import DatasetError
from bids_utils.names import nearest, split_wide_column, strip_label
from bids_utils.readers.freesurfer_tables import freesurfer_blocks, is_freesurfer_table
from bids_utils.readers.long_table import long_table
from bids_utils.readers.records import (
    MEASURE_COLUMNS,
    Block,
    MeasureSource,
    Scan,
    SourceProblem,
    SourceRequest,
    counted,
)
from bids_utils.readers.separated import not_a_number, number_columns, read_separated
from bids_utils.tables import in_label_order

NEEDED = ("participant_id", "session_id", "measure", "region", "value")
OPTIONAL = {"modality": "other", "atlas": "", "unit": ""}
IDENTITY = ["participant_id", "session_id", "modality", "measure", "atlas", "region"]
LABELS = ("participant_id", "session_id")
SHOWN = 5

ABOUT_PEOPLE = frozenset(
    {"age", "sex", "gender", "group", "arm", "site", "scanner", "handedness", "education",
     "diagnosis", "date", "acq_time", "interval_days", "days", "run", "index", "modality"}
)  # fmt: skip
"""Columns of a wide table that are never regions."""

NAMED_IN_FILES = {"thickness": "mm", "volume": "", "area": "", "connectivity": "z"}
"""Measures that a file name can declare; those with one usual unit."""

UNIT_WORDS = ("mm3", "mm2", "mm", "ml", "cm3", "cm2", "z")
DECLARE = (
    "say what its numbers are in the settings (sources: measure and unit), or in the file name, "
    "such as study_thickness_mm.tsv"
)
KINDS = (
    "a long table has the columns participant_id, session_id, measure, region, value; a wide one "
    "participant_id, session_id and a column per region, or columns such as Left-Amygdala_ses-pre"
)


def read_measures(path: Path) -> pd.DataFrame:
    """Long table of measures, MEASURE_COLUMNS, labels without prefix.

    Labels are taken with or without `sub-` and `ses-`. A missing value stays, as NaN, and so
    does the standard error of a value, a column that a table need not have.

    Raises
    ------
    DatasetError
        A column is missing, a cell is not a number, a label is missing, or two rows are
        about the same; the message names file, line and column.
    """
    return _long(path, read_separated(path))


def read_measure_table(path: Path, request: SourceRequest, name: str = "table") -> MeasureSource:
    """Measures of one table, long or wide, separated by tabs, semicolons or commas.

    A wide table needs to say what its numbers are: by `request.measure` and `request.unit`, by
    words in its file name (`study_thickness_mm.tsv`), or as FreeSurfer's own tables
    (asegstats2table, aparcstats2table) do.

    Parameters
    ----------
    path : Path
        The table.
    request : SourceRequest
        What is wanted, and what the numbers of a wide table are.
    name : str
        Name of the source.

    Raises
    ------
    DatasetError
        The table cannot be read, or it is not clear what its numbers are; the message names
        file, line and column.
    """
    table = read_separated(path)
    problems = _doubled(path, table)
    if {"measure", "region", "value"} & set(table.columns):
        measures = _long(path, table)
        keep = [
            request.wants_scan(row[0], row[1]) and request.wants(row[2], row[3])
            for row in measures[[*LABELS, "measure", "atlas"]].itertuples(index=False)
        ]
        measures = measures[keep].reset_index(drop=True)
        return MeasureSource(name, path, measures, (), tuple(problems))
    if is_freesurfer_table(table):
        blocks, more = freesurfer_blocks(path, table, request)
    else:
        blocks, more = _wide(path, table, request)
    blocks = sorted(blocks, key=attrgetter("scan"))
    measures, odd = long_table(blocks, [block.scan for block in blocks], request, path)
    if measures.empty:
        raise DatasetError(f"{path}: there are no rows that are wanted; {KINDS}")
    return MeasureSource(name, path, measures, (), (*problems, *more, *odd))


def _long(path: Path, table: pd.DataFrame) -> pd.DataFrame:
    for column in NEEDED:
        if column not in table:
            hint = nearest(column, table.columns)
            raise DatasetError(f"{path}: the column '{column}' is missing; {hint}")
    table = table[[column for column in MEASURE_COLUMNS if column in table]].copy()
    for column in NEEDED[:-1]:
        _refuse(path, table, table[column].isna(), f"'{column}' is empty; fill it in")
    for column, filler in OPTIONAL.items():
        table[column] = table[column].fillna(filler) if column in table else filler
    value = _numbers(path, table, "value")
    error = _numbers(path, table.reindex(columns=MEASURE_COLUMNS), "standard_error")
    _refuse(path, table, error < 0, "'standard_error' is below 0; write a positive number or n/a")
    table = table.assign(
        participant_id=[_label(text, "sub") for text in table["participant_id"]],
        session_id=[_label(text, "ses") for text in table["session_id"]],
        value=value,
        standard_error=error,
        qc=np.where(value.notna(), "ok", "missing"),
    )
    repeated = table.duplicated(IDENTITY, keep=False)
    _refuse(path, table, repeated, "several rows have the same " + ", ".join(IDENTITY))
    table = in_label_order(table[MEASURE_COLUMNS], IDENTITY)
    return table.astype(dict.fromkeys([*IDENTITY, "unit", "qc"], object))


def _numbers(path: Path, table: pd.DataFrame, column: str) -> pd.Series:
    value = pd.to_numeric(table[column], errors="coerce").astype(float)
    wrong = (table[column].notna() & value.isna()) | np.isinf(value)
    if wrong.any():
        cell = str(table.loc[wrong, column].iloc[0])
        _refuse(path, table, wrong, f"'{column}' is not a number: {not_a_number(cell)}")
    return value


def _wide(
    path: Path, table: pd.DataFrame, request: SourceRequest
) -> tuple[list[Block], list[SourceProblem]]:
    request = _declared(path, request)
    if "participant_id" not in table:
        hint = nearest("participant_id", table.columns)
        raise DatasetError(f"{path}: the column 'participant_id' is missing; {hint}; {KINDS}")
    problems: list[SourceProblem] = []
    split = {str(column): split_wide_column(str(column)) for column in table.columns}
    if "session_id" not in table and any(split.values()):
        table, problems = _turned(path, table, split)
    elif "session_id" not in table and request.session:
        table = table.assign(session_id=request.session)
    if "session_id" not in table:
        hint = nearest("session_id", table.columns)
        raise DatasetError(f"{path}: the column 'session_id' is missing; {hint}; {KINDS}")
    blocks, more = _rows(path, table, request)
    return blocks, [*problems, *more]


def _rows(
    path: Path, table: pd.DataFrame, request: SourceRequest
) -> tuple[list[Block], list[SourceProblem]]:
    for column in LABELS:
        _refuse(path, table, table[column].isna(), f"'{column}' is empty; fill it in")
    regions, left_out = _regions(path, table)
    what = f"columns that are not regions are left out: {counted(left_out)}"
    advice = "nothing, if they are not measures"
    problems = [SourceProblem(what, str(path), advice)] if left_out else []
    labels = table.assign(
        participant_id=[_label(text, "sub") for text in table["participant_id"]],
        session_id=[_label(text, "ses") for text in table["session_id"]],
    )
    repeated = labels.duplicated(list(LABELS), keep=False)
    _refuse(path, labels, repeated, "several rows have the same participant_id, session_id")
    values, blocks = number_columns(path, table, regions), []
    modality = request.modality or OPTIONAL["modality"]
    scans = zip(labels["participant_id"], labels["session_id"], strict=True)
    for (participant, session), row in zip(scans, values, strict=True):
        scan: Scan = (participant, session, modality)
        if request.wants_scan(participant, session):
            names = (request.measure, request.unit, request.atlas)
            blocks.append(Block(scan, *names, tuple(regions), row))
    return blocks, problems


def _regions(path: Path, table: pd.DataFrame) -> tuple[list[str], list[str]]:
    regions: list[str] = []
    left_out: list[str] = []
    for column in table.columns:
        if column in LABELS:
            continue
        known = table[column].dropna()
        numbers = pd.to_numeric(known, errors="coerce")
        comma = any("decimal comma" in not_a_number(str(cell)) for cell in known[numbers.isna()])
        text_only = len(known) > 0 and numbers.isna().all() and not comma
        (left_out if column.lower() in ABOUT_PEOPLE or text_only else regions).append(column)
    if not regions:
        raise DatasetError(f"{path}: there is no column with numbers of a region; {KINDS}")
    return regions, left_out


def _turned(
    path: Path, table: pd.DataFrame, split: dict[str, tuple[str, str] | None]
) -> tuple[pd.DataFrame, list[SourceProblem]]:
    """One row per session from columns such as Left-Hippocampus_ses-pre."""
    sessions = list(dict.fromkeys(parts[1] for parts in split.values() if parts))
    parts = []
    for session in sessions:
        own = {column: both[0] for column, both in split.items() if both and both[1] == session}
        part = table[["participant_id", *own]].rename(columns=own)
        parts.append(part.assign(session_id=session))
    others = [str(c) for c, both in split.items() if both is None and c != "participant_id"]
    what = f"columns without a session are left out: {counted(others)}"
    advice = "call them like Left-Hippocampus_ses-pre if they are measures"
    problems = [SourceProblem(what, str(path), advice)] if others else []
    joined = pd.concat(parts)
    empty = joined.drop(columns=list(LABELS)).isna().all(axis=1)
    return joined[~empty], problems


def _declared(path: Path, request: SourceRequest) -> SourceRequest:
    """Request with the measure and unit that it or the file name declares."""
    stem = path.stem.lower()
    for mark in "-. ":
        stem = stem.replace(mark, "_")
    words = f"_{stem}_"
    named = [measure for measure in NAMED_IN_FILES if f"_{measure}_" in words]
    measure = request.measure or (named[0] if len(named) == 1 else "")
    if not measure:
        raise DatasetError(f"{path}: it does not say what it measures; {DECLARE}")
    units = [unit for unit in UNIT_WORDS if f"_{unit}_" in words]
    usual = NAMED_IN_FILES.get(measure, "")
    unit = request.unit or (units[0] if len(units) == 1 else "") or usual
    if not unit:
        raise DatasetError(f"{path}: it does not say the unit of '{measure}'; {DECLARE}")
    return replace(request, measure=measure, unit=unit)


def _label(text: str, key: str) -> str:
    label = strip_label(text, key)
    return label if label == text else _label(label, key)


def _doubled(path: Path, table: pd.DataFrame) -> list[SourceProblem]:
    problems = []
    for column, prefix in zip(LABELS, ("sub-sub-", "ses-ses-"), strict=True):
        texts = [str(text) for text in table[column].dropna()] if column in table else []
        twice = [text for text in texts if text.startswith(prefix)]
        if twice:
            what = f"{column}: the prefix stands there twice ({counted(twice)}); read once"
            problems.append(SourceProblem(what, str(path), "correct them, so that tables agree"))
    return problems


def _refuse(path: Path, table: pd.DataFrame, wrong: pd.Series, what: str) -> None:
    if not wrong.any():
        return
    lines = [str(line) for line in table.index[wrong][:SHOWN]]
    more = f" and {int(wrong.sum()) - SHOWN} more" if wrong.sum() > SHOWN else ""
    cells = " ".join(str(cell) for cell in table.loc[wrong].iloc[0, :8])
    raise DatasetError(f"{path}, line {', '.join(lines)}{more}: {what} (found: {cells})")
