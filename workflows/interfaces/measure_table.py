"""Reading a long table of measures that was made elsewhere (--measures)."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from bids_utils.errors import DatasetError
from bids_utils.names import nearest, strip_label
from bids_utils.sessions import OrderRule, SessionOrder, order_sessions, read_dates
from bids_utils.tables import read_text_table
from workflows.compute.measures import MEASURE_COLUMNS
from workflows.compute.problems import Problem
from workflows.interfaces.derived_measures import VISIT_COLUMNS

NEEDED = ("participant_id", "session_id", "measure", "region", "value")
OPTIONAL = {"modality": "other", "atlas": "", "unit": ""}
IDENTITY = ["participant_id", "session_id", "modality", "measure", "atlas", "region"]
SHOWN = 5


def read_measures(path: Path) -> pd.DataFrame:
    """Table of measures, MEASURE_COLUMNS, labels without prefix.

    Labels are taken with or without `sub-` and `ses-`. A missing value stays, as NaN.

    Raises
    ------
    DatasetError
        A column is missing, a cell is not a number, a label is missing, or two rows are
        about the same; the message names file, line and column.
    """
    table = read_text_table(path)
    for column in NEEDED:
        if column not in table:
            hint = nearest(column, table.columns)
            raise DatasetError(f"{path}: the column '{column}' is missing; {hint}")
    table = table[[column for column in MEASURE_COLUMNS if column in table]]
    for column in NEEDED[:-1]:
        _refuse(path, table, table[column].isna(), f"'{column}' is empty; fill it in")
    for column, filler in OPTIONAL.items():
        table[column] = table[column].fillna(filler) if column in table else filler
    value = pd.to_numeric(table["value"], errors="coerce")
    wrong = table["value"].notna() & value.isna()
    _refuse(path, table, wrong, "'value' is not a number; write a number or n/a")
    table = table.assign(
        participant_id=[_label(text, "sub") for text in table["participant_id"]],
        session_id=[_label(text, "ses") for text in table["session_id"]],
        value=value.astype(float),
        qc=value.notna().map({True: "ok", False: "missing"}),
    )
    repeated = table.duplicated(IDENTITY, keep=False)
    _refuse(path, table, repeated, "several rows have the same " + ", ".join(IDENTITY))
    return table[MEASURE_COLUMNS].astype(dict.fromkeys(IDENTITY, object))


def table_visits(
    measures: pd.DataFrame, bids_dir: Path, rule: OrderRule
) -> tuple[pd.DataFrame, list[Problem]]:
    """Sessions of the table, VISIT_COLUMNS, with days from the settings or the dates.

    Raises
    ------
    DatasetError
        There is no order in the settings, and nobody's sessions have dates.
    """
    visits = measures[measures["value"].notna()]
    visits = visits[["participant_id", "session_id", "modality"]].drop_duplicates()
    sessions = {
        str(label): list(dict.fromkeys(rows["session_id"]))
        for label, rows in visits.groupby("participant_id", sort=False)
    }
    dates = {label: read_dates(bids_dir, label, found) for label, found in sessions.items()}
    orders = order_sessions(sessions, dates, rule)
    rows = [_visit(orders[row.participant_id], row) for row in visits.itertuples(index=False)]
    table = pd.DataFrame(rows, columns=VISIT_COLUMNS)
    lost = table[table["status"] == "excluded"].drop_duplicates(["participant_id", "session_id"])
    problems = [
        Problem(row.reason, f"sub-{row.participant_id} ses-{row.session_id}", "it is left out")
        for row in lost.itertuples()
    ]
    return table, problems


def _visit(order: SessionOrder, row: tuple) -> tuple:
    days = {time.label: time.days_from_baseline for time in order.sessions}
    participant, session, modality = row
    reason = order.problem or order.left_out.get(session, "")
    status = "excluded" if session not in days or reason else "used"
    return (participant, session, modality, days.get(session), status, reason)


def _label(text: str, key: str) -> str:
    label = strip_label(text, key)
    return label if label == text else _label(label, key)


def _refuse(path: Path, table: pd.DataFrame, wrong: pd.Series, what: str) -> None:
    if not wrong.any():
        return
    lines = [str(line + 2) for line in table.index[wrong][:SHOWN]]
    more = f" and {int(wrong.sum()) - SHOWN} more" if wrong.sum() > SHOWN else ""
    cells = " ".join(str(cell) for cell in table.loc[wrong].iloc[0])
    raise DatasetError(f"{path}, line {', '.join(lines)}{more}: {what} (found: {cells})")
