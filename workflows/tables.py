"""Tables on the terminal: the plan, who is done, what failed."""

from __future__ import annotations

import pandas as pd
from rich.table import Table

from bids_utils.names import with_prefix
from bids_utils.plan import Plan
from workflows.records import Record


def plan_table(plan: Plan) -> Table:
    """Participants with their sessions in time order, images used, and what is left out."""
    table = Table(title="Plan: sessions in time order")
    for column in ("participant", "session", "days", "T1w", "BOLD", "not used"):
        table.add_column(column, overflow="fold")
    for participant_id, rows in plan.ledger.groupby("participant_id", sort=False):
        for session_id, own in rows.groupby("session_id", sort=False, dropna=False):
            table.add_row(str(participant_id), _text(session_id), *_session_cells(own))
    return table


def status_table(records: dict[str, Record]) -> Table:
    """One row per participant: done, failed with the cause, or not started."""
    table = Table(title="Status")
    for column in ("participant", "status", "cause"):
        table.add_column(column, overflow="fold")
    for label, record in records.items():
        table.add_row(with_prefix(label, "sub"), record.status, "\n".join(record.causes))
    return table


def _session_cells(rows: pd.DataFrame) -> list[str]:
    used = rows[rows["status"] == "used"]
    days = rows["days_from_baseline"].dropna()
    counts = [str(int((used["modality"] == kind).sum())) for kind in ("T1w", "bold")]
    others = rows[rows["status"] != "used"]
    notes = [f"{row.modality} {row.status}: {row.reason}" for row in others.itertuples()]
    return [f"{days.iloc[0]:.0f}" if len(days) else "n/a", *counts, "\n".join(notes)]


def _text(value: object) -> str:
    return value if isinstance(value, str) else "n/a"
