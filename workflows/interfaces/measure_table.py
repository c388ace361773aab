"""Sessions of measures that were made elsewhere, in the order of time."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from bids_utils.readers.measure_table import read_measures
from bids_utils.sessions import OrderRule, SessionOrder, order_sessions, read_dates
from workflows.compute.problems import Problem
from workflows.interfaces.derived_measures import VISIT_COLUMNS

__all__ = ["read_measures", "table_visits"]


def table_visits(
    measures: pd.DataFrame, bids_dir: Path, rule: OrderRule
) -> tuple[pd.DataFrame, list[Problem]]:
    """Sessions of the table, VISIT_COLUMNS, with days from the settings or the dates.

    Raises
    ------
    DatasetError
        There is no order in the settings, and nobody's sessions have dates.
    """
    keys = ["participant_id", "session_id", "modality"]
    visits = measures[measures["value"].notna()][keys].drop_duplicates()
    sessions = {
        str(label): list(dict.fromkeys(rows["session_id"]))
        for label, rows in visits.groupby("participant_id", sort=False)
    }
    dates = {label: read_dates(bids_dir, label, found) for label, found in sessions.items()}
    orders = order_sessions(sessions, dates, rule)
    rows = [_visit(orders[row.participant_id], row) for row in visits.itertuples(index=False)]
    empty = pd.MultiIndex.from_frame(measures[keys].drop_duplicates())
    empty = empty.difference(pd.MultiIndex.from_frame(visits), sort=False)
    rows += [(*scan, None, "missing", "all of its values are missing") for scan in empty]
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
