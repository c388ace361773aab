"""How each participant stands: the record of the program, the lock, and the jobs of a cluster."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from bids_utils.errors import SOME_FAILED
from workflows.cluster_jobs import GROUP, Task, TaskNote, latest_tasks, read_note
from workflows.cluster_scripts import WARNING_S
from workflows.cluster_states import Key, State, task_states
from workflows.records import Record, is_running, record_file

Status = Literal["done", "running", "waiting", "failed", "not started"]
Fate = State | Literal["killed", "gone"]

STATUSES: tuple[Status, ...] = ("done", "running", "waiting", "failed", "not started")
KILLED_CODE = 128 + 9
EARLY_S = WARNING_S + 65
"""SLURM warns up to a minute earlier than it was asked to."""
STARTING_NS = 120 * 10**9
"""So long a task may take until its program holds a lock, where no scheduler can be asked."""
CAUSES: Mapping[Fate, str] = {
    "out of memory": "out of memory: {memory_gb:g} GiB were not enough; raise memory_gb",
    "time limit": "time limit: {time_hours:g} h were not enough; raise time_hours",
    "cancelled": "cancelled: the job was told to stop",
    "node failed": "the computer that it ran on failed",
    "preempted": "the job had to make room for another one",
    "killed": "killed, most often because memory ran out ({memory_gb:g} GiB were asked for); "
    "raise memory_gb",
    "gone": "cancelled or refused: the job left the queue before it began",
}
BLOCKED_CAUSE = (
    "the scheduler will not start it as it is (squeue or qstat says why); if it asks for too much "
    "time, memory or cores, cancel it, lower them and submit again"
)
BAD_ENDS: tuple[State, ...] = (
    "out of memory",
    "time limit",
    "cancelled",
    "node failed",
    "preempted",
)


@dataclass(frozen=True)
class Standing:
    """How a participant or the group level stands, and in which job."""

    status: Status
    causes: tuple[str, ...] = ()
    task: Task | None = None

    @property
    def is_open(self) -> bool:
        """Whether a job is at work or will be."""
        return self.status in ("running", "waiting")


@dataclass(frozen=True)
class Evidence:
    """What is known of the last task of somebody.

    `state` is None where the scheduler does not know the task (any more), `was_asked` says
    whether it could be asked at all; `is_young`: the task began a moment ago.
    """

    task: Task
    note: TaskNote | None
    state: State | None
    was_asked: bool
    is_young: bool = False


def standings(records: Mapping[str, Record], output_dir: Path) -> dict[str, Standing]:
    """How each planned participant stands, and GROUP where it was submitted to a cluster."""
    open_tasks = {
        label: task
        for label, task in latest_tasks(output_dir).items()
        if label == GROUP or (label in records and records[label].status != "done")
    }
    states = task_states(open_tasks.values())
    found = {label: _evidence(task, states) for label, task in open_tasks.items()}
    all_standings = {
        label: Standing("done")
        if record.status == "done"
        else _own_standing(label, record, output_dir, found.get(label))
        for label, record in records.items()
    }
    if GROUP in found:
        all_standings[GROUP] = group_standing(found[GROUP])
    return all_standings


def participant_standing(
    record: Record, known: Evidence, is_locked: bool, is_newer: bool
) -> Standing:
    """How a participant who is not done stands after the last task.

    Parameters
    ----------
    record : Record
        What the program wrote.
    known : Evidence
        The last task of this participant.
    is_locked : bool
        Whether a process works on this participant now.
    is_newer : bool
        Whether the record was written after the task had ended, so by another run.
    """
    fate = task_fate(known)
    if is_locked or fate == "running":
        return Standing("running", (), known.task)
    if fate in ("waiting", "blocked"):
        return _waiting(fate, known)
    if is_newer or fate == "completed" or (fate == "failed" and record.status == "failed"):
        return Standing(record.status, record.causes, known.task)
    steps = [cause for cause in record.causes if record.status == "failed"]
    told = [cause for cause in steps if not cause.startswith("stopped by signal")]
    return Standing("failed", (_cause(fate, known), *told), known.task)


def group_standing(known: Evidence) -> Standing:
    """How the group level stands, from its job alone."""
    fate = task_fate(known)
    if fate == "running":
        return Standing("running", (), known.task)
    if fate in ("waiting", "blocked"):
        return _waiting(fate, known)
    if fate == "completed":
        return Standing("done", (), known.task)
    if known.note is not None and known.note.exit_code == SOME_FAILED:
        return Standing("done", ("some participants or models failed; see the log",), known.task)
    return Standing("failed", (_cause(fate, known),), known.task)


def task_fate(known: Evidence) -> Fate:
    """What became of a task; the scheduler is believed first, then what the task wrote."""
    if known.state in ("waiting", "blocked", "running", *BAD_ENDS):
        return known.state
    if known.note is None:
        return "gone" if known.was_asked else "waiting"
    if known.note.ended_s is not None:
        return _end(known.note, known.task)
    return "running" if known.is_young and not known.was_asked else "killed"


def _end(note: TaskNote, task: Task) -> Fate:
    """How a task ended that wrote so itself; SGE sends USR1 before the time limit."""
    if note.exit_code == 0:
        return "completed"
    if note.signal:
        took_s = (note.ended_s or note.started_s) - note.started_s
        left_s = task.time_hours * 3600 - took_s if note.left_s is None else note.left_s
        is_late = note.signal == "USR1" or left_s <= EARLY_S
        return "time limit" if is_late else "cancelled"
    return "killed" if note.exit_code == KILLED_CODE else "failed"


def _cause(fate: Fate, known: Evidence) -> str:
    task = known.task
    if fate in CAUSES:
        return CAUSES[fate].format(memory_gb=task.memory_gb, time_hours=task.time_hours)
    code = known.note.exit_code if known.note else "unknown"
    return f"ended with exit code {code} before its work; see the log"


def _waiting(fate: Fate, known: Evidence) -> Standing:
    unasked = () if known.was_asked else ("submitted; the scheduler cannot be asked from here",)
    hint = (BLOCKED_CAUSE,) if fate == "blocked" else unasked
    return Standing("waiting", hint, known.task)


def _own_standing(label: str, record: Record, output_dir: Path, known: Evidence | None) -> Standing:
    is_locked = is_running(output_dir, label)
    if known is None:
        return Standing("running") if is_locked else Standing(record.status, record.causes)
    file = record_file(output_dir, label)
    is_newer = (
        known.note is not None
        and known.note.ended_s is not None
        and file.is_file()
        and file.stat().st_mtime_ns > known.note.written_ns
    )
    return participant_standing(record, known, is_locked, is_newer)


def _evidence(task: Task, states: Mapping[Key, State] | None) -> Evidence:
    note = read_note(task)
    state = None
    if states is not None and task.job_id is not None:
        state = states.get((task.job_id, task.index))
    was_asked = states is not None and task.scheduler != "pbs" and task.job_id is not None
    is_young = note is not None and time.time_ns() - note.written_ns < STARTING_NS
    return Evidence(task, note, state, was_asked, is_young)
