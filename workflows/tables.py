"""Tables on the terminal: the plan, who is done, what failed."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pandas as pd
from rich.table import Table

from bids_utils.names import with_prefix
from bids_utils.plan import Plan
from workflows.cluster_jobs import GROUP
from workflows.standing import STATUSES, Standing


def plan_table(plan: Plan) -> Table:
    """Participants with their sessions in time order, images used, and what is left out."""
    table = Table(title="Plan: sessions in time order")
    for column in ("participant", "session", "days", "T1w", "BOLD", "not used"):
        table.add_column(column, overflow="fold")
    for participant_id, rows in plan.ledger.groupby("participant_id", sort=False):
        for session_id, own in rows.groupby("session_id", sort=False, dropna=False):
            table.add_row(str(participant_id), _text(session_id), *_session_cells(own))
    return table


def status_table(found: Mapping[str, Standing], output_dir: Path) -> Table:
    """One row per participant: how each stands and why; with jobs also which, and their logs."""
    has_jobs = any(one.task is not None for one in found.values())
    table = Table(title="Status")
    for column in ("participant", "status", "cause", *(("job", "log") if has_jobs else ())):
        table.add_column(column, overflow="fold")
    for label, one in found.items():
        name = "group level" if label == GROUP else with_prefix(label, "sub")
        cells = [name, one.status, "\n".join(one.causes)]
        table.add_row(*cells, *(_job_cells(one, output_dir) if has_jobs else ()))
    return table


def counts(found: Mapping[str, Standing]) -> str:
    """How many participants stand how, such as ``8 planned: 6 done, 2 failed``."""
    statuses = [one.status for label, one in found.items() if label != GROUP]
    parts = [f"{statuses.count(name)} {name}" for name in STATUSES if name in statuses]
    return f"{len(statuses)} planned: {', '.join(parts)}" if parts else "nobody is planned"


def _job_cells(one: Standing, output_dir: Path) -> list[str]:
    """Job as the scheduler shows it, and its log as seen from the output folder."""
    if one.task is None:
        return ["", ""]
    return [one.task.title, str(one.task.log_file.relative_to(output_dir))]


def _session_cells(rows: pd.DataFrame) -> list[str]:
    used = rows[rows["status"] == "used"]
    days = rows["days_from_baseline"].dropna()
    counts = [str(int((used["modality"] == kind).sum())) for kind in ("T1w", "bold")]
    others = rows[rows["status"] != "used"]
    notes = [
        f"{row.modality} {row.status}: {row.reason}"
        if isinstance(row.modality, str)
        else f"{row.status}: {row.reason}"
        for row in others.itertuples()
    ]
    return [f"{days.iloc[0]:.0f}" if len(days) else "n/a", *counts, "\n".join(notes)]


def _text(value: object) -> str:
    return value if isinstance(value, str) else "n/a"
