"""What a scheduler says of its jobs, in one set of words."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterable, Mapping
from typing import Literal

from workflows.cluster_jobs import Task

State = Literal[
    "waiting",
    "blocked",
    "running",
    "completed",
    "failed",
    "out of memory",
    "time limit",
    "cancelled",
    "node failed",
    "preempted",
    "unknown",
]
Key = tuple[str, int | None]
"""Number of a job and, where it is an array, of the task."""

PATIENCE_S = 60
SLURM_STATES: Mapping[str, State] = {
    "PENDING": "waiting",
    "REQUEUED": "waiting",
    "REQUEUE_FED": "waiting",
    "REQUEUE_HOLD": "waiting",
    "SPECIAL_EXIT": "waiting",
    "SUSPENDED": "running",
    "CONFIGURING": "running",
    "RUNNING": "running",
    "RESIZING": "running",
    "SIGNALING": "running",
    "STAGE_OUT": "running",
    "STOPPED": "running",
    "COMPLETING": "running",
    "COMPLETED": "completed",
    "FAILED": "failed",
    "OUT_OF_MEMORY": "out of memory",
    "TIMEOUT": "time limit",
    "DEADLINE": "time limit",
    "CANCELLED": "cancelled",
    "REVOKED": "cancelled",
    "NODE_FAIL": "node failed",
    "BOOT_FAIL": "node failed",
    "LAUNCH_FAILED": "node failed",
    "PREEMPTED": "preempted",
}
BLOCKED = frozenset(
    {
        "BadConstraints",
        "DependencyNeverSatisfied",
        "JobHeldAdmin",
        "JobHeldUser",
        "PartitionInactive",
        "PartitionNodeLimit",
        "PartitionTimeLimit",
    }
)
"""Why SLURM leaves a job in the queue for ever, unless somebody changes something."""
SLURM_JOB = re.compile(
    r"^JobId=(?P<job>\d+)(?: ArrayJobId=(?P<array>\d+) ArrayTaskId=(?P<tasks>\S+))?"
    r".*? JobState=(?P<state>\w+) Reason=(?P<reason>\w+)",
    re.MULTILINE,
)
ACCOUNTED = re.compile(r"^(?P<job>\d+)(?:_(?P<task>\d+))?\|(?P<state>[A-Z_]+)", re.MULTILINE)


def task_states(tasks: Iterable[Task]) -> dict[Key, State] | None:
    """State of each task that its scheduler knows of; None if it cannot be asked from here.

    PBS is not asked.
    """
    known: dict[Key, State] = {}
    ask = {"slurm": slurm_states, "sge": sge_states}
    jobs = {(task.scheduler, task.job_id) for task in tasks if task.job_id is not None}
    for scheduler in {name for name, _ in jobs}:
        numbers: list[str] = sorted(job for name, job in jobs if name == scheduler)
        states = ask[scheduler](numbers) if scheduler in ask else None
        if states is None:
            return None
        known |= states
    return known


def slurm_states(jobs: list[str]) -> dict[Key, State] | None:
    """States from SLURM: of the accounting where there is one, and of what scontrol remembers."""
    answers = [_answer(["scontrol", "-o", "show", "job", job]) for job in jobs]
    found = [text for text, error in answers if error is None]
    if any(error and "Invalid job id" not in error for _, error in answers):
        return None
    words = ["sacct", "-X", "-n", "-P", "-j", ",".join(jobs), "-o", "JobID,State"]
    return read_accounting(_answer(words)[0]) | read_scontrol("\n".join(found))


def sge_states(jobs: list[str]) -> dict[Key, State] | None:
    """States from Grid Engine; jobs that have ended are not in its answer."""
    text, error = _answer(["qstat", "-u", "*"])
    if error is not None:
        return None
    return {key: state for key, state in read_qstat(text).items() if key[0] in jobs}


def read_scontrol(text: str) -> dict[Key, State]:
    """States in the answer of ``scontrol -o show job``, a line each."""
    states: dict[Key, State] = {}
    for found in SLURM_JOB.finditer(text):
        state = SLURM_STATES.get(found["state"], "unknown")
        if state == "waiting" and found["reason"] in BLOCKED:
            state = "blocked"
        if found["array"] is None:
            states[found["job"], None] = state
        for index in task_numbers(found["tasks"] or ""):
            states[found["array"], index] = state
    return states


def read_accounting(text: str) -> dict[Key, State]:
    """States of tasks that have ended, in the answer of ``sacct -X -n -P -o JobID,State``.

    Others are left out: the accounting still shows tasks as waiting that were cancelled before
    they began, or that have begun. What waits or runs, scontrol knows.
    """
    states: dict[Key, State] = {}
    for found in ACCOUNTED.finditer(text):
        state = SLURM_STATES.get(found["state"], "unknown")
        if state not in ("waiting", "running"):
            states[found["job"], int(found["task"]) if found["task"] else None] = state
    return states


def read_qstat(text: str) -> dict[Key, State]:
    """States in the table of ``qstat`` of Grid Engine."""
    states: dict[Key, State] = {}
    for line in text.splitlines():
        cells = line.split()
        if not cells or not cells[0].isdigit():
            continue
        state = _sge_state(cells[4])
        states[cells[0], None] = state
        for index in task_numbers(cells[-1]):
            states[cells[0], index] = state
    return states


def task_numbers(text: str) -> list[int]:
    """Tasks in the short form of schedulers, such as ``2,5-8%3`` or ``1-7:2``."""
    numbers: list[int] = []
    for part in text.partition("%")[0].split(","):
        found = re.fullmatch(r"(\d+)(?:-(\d+)(?::(\d+))?)?", part)
        if found:
            first, last, step = int(found[1]), int(found[2] or found[1]), int(found[3] or 1)
            numbers.extend(range(first, last + 1, step))
    return numbers


def _sge_state(letters: str) -> State:
    if "E" in letters:
        return "blocked"
    return "waiting" if "w" in letters and "d" not in letters else "running"


def _answer(words: list[str]) -> tuple[str, str | None]:
    """What a command printed, and its complaint; None if it ended well."""
    try:
        done = subprocess.run(  # noqa: S603
            words, capture_output=True, text=True, check=False, timeout=PATIENCE_S
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return "", str(error)
    return done.stdout, (done.stderr or "unknown error") if done.returncode else None
