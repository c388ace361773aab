"""Jobs on disk: what was submitted for whom, and what each task wrote about itself."""

from __future__ import annotations

import csv
import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from bids_utils.derivatives import write_table
from bids_utils.names import strip_label, with_prefix
from workflows.cluster import SCHEDULERS, ClusterSettings, Scheduler
from workflows.cluster_scripts import Job, command_line

LOGGER = logging.getLogger(__name__)
GROUP = ""
"""The group level, where otherwise the label of a participant stands."""
MANIFEST = "manifest.tsv"
MANIFEST_DICTIONARY: Mapping[str, Mapping[str, object]] = {
    "job_id": {"Description": "Number that the scheduler gave to the script; n/a: not submitted"},
    "script": {"Description": "Script of the job, in this folder"},
    "index": {"Description": "Task of the array; n/a for the group level, which is one job"},
    "participant_id": {"Description": "Whom the task is for; n/a for the group level"},
    "log": {"Description": "What the task prints, in this folder"},
    "scheduler": {"Description": "slurm, sge or pbs"},
    "cpus": {"Description": "Cores asked for"},
    "memory_gb": {"Description": "Memory asked for", "Units": "GiB"},
    "time_hours": {"Description": "Time limit asked for", "Units": "h"},
    "command": {"Description": "What the task runs; the script adds cores and memory"},
}


@dataclass(frozen=True)
class Task:
    """A row of a manifest; `label` is GROUP for the group level."""

    label: str
    folder: Path
    log_file: Path
    scheduler: Scheduler
    job_id: str | None
    index: int | None
    memory_gb: float
    time_hours: float

    @property
    def title(self) -> str:
        """The task as the scheduler shows it."""
        if self.job_id is None or self.index is None:
            return self.job_id or ""
        mark = {"slurm": f"_{self.index}", "sge": f".{self.index}", "pbs": f"[{self.index}]"}
        return self.job_id.replace("[]", "", 1) + mark[self.scheduler]


@dataclass(frozen=True)
class TaskNote:
    """What a task wrote about itself; `ended_s` is None if it was killed or has not ended.

    Times are seconds since 1970. `signal` is the first one that asked it to stop, `left_s` the
    time that the job still had then, None if the scheduler did not say.
    """

    started_s: int
    ended_s: int | None
    exit_code: int | None
    signal: str
    left_s: int | None
    written_ns: int


def new_folder(output_dir: Path) -> Path:
    """Folder for the jobs of one submission, made anew and numbered."""
    parent = output_dir / "logs" / "jobs"
    parent.mkdir(parents=True, exist_ok=True)
    number = 1 + max((int(folder.name) for folder in _folders(output_dir)), default=0)
    while True:
        folder = parent / f"{number:04d}"
        try:
            folder.mkdir()
        except FileExistsError:  # somebody else submits at the same moment
            number += 1
        else:
            return folder


def write_manifest(
    jobs: Sequence[Job], folder: Path, scheduler: Scheduler, cluster: ClusterSettings
) -> None:
    """Write one row per task; the script that submits adds the numbers of the jobs."""
    rows = [
        {
            "job_id": None,
            "script": job.script,
            "index": None if index is None else str(index),
            "participant_id": None if label is None else with_prefix(label, "sub"),
            "log": job.log(index),
            "scheduler": scheduler,
            "cpus": job.asked.cpus,
            "memory_gb": job.asked.memory_gb,
            "time_hours": job.asked.time_hours,
            "command": command_line(job, label, cluster),
        }
        for job in jobs
        for index, label in job.tasks
    ]
    write_table(pd.DataFrame(rows), folder / MANIFEST, MANIFEST_DICTIONARY)


def latest_tasks(output_dir: Path) -> dict[str, Task]:
    """Last task of each participant (and of GROUP) that was submitted or has begun."""
    tasks = {}
    for folder in _folders(output_dir):
        for task in read_manifest(folder):
            if task.job_id is not None or read_note(task) is not None:
                tasks[task.label] = task
    return tasks


def read_manifest(folder: Path) -> list[Task]:
    """Tasks of one submission; none where its manifest was not written or is damaged."""
    try:
        with (folder / MANIFEST).open(encoding="utf-8", newline="") as stream:
            rows = list(csv.DictReader(stream, delimiter="\t", quoting=csv.QUOTE_NONE))
        return [_task(row, folder) for row in rows]
    except FileNotFoundError:
        return []
    except (OSError, ValueError, KeyError, TypeError) as error:
        LOGGER.warning("%s: is left out, it cannot be read: %s", folder / MANIFEST, error)
        return []


def read_note(task: Task) -> TaskNote | None:
    """What a task wrote about itself; None if it has not begun, or its file is damaged."""
    name = "group" if task.label == GROUP else with_prefix(task.label, "sub")
    file = task.folder / f"{name}.json"
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        return TaskNote(
            content["started"],
            content["ended"],
            content["exit_code"],
            content["signal"],
            duration_s(content["left"]),
            file.stat().st_mtime_ns,
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None


def duration_s(text: str) -> int | None:
    """Seconds of a duration such as ``1-02:00:00`` or ``4:30``; None if it is none."""
    days, _, rest = text.rpartition("-")
    parts = [days or "0", *rest.split(":")]
    if len(parts) < 3 or not all(part.isdecimal() for part in parts):
        return None
    hours, minutes, seconds = ([0, 0, 0] + [int(part) for part in parts[1:]])[-3:]
    return ((int(parts[0]) * 24 + hours) * 60 + minutes) * 60 + seconds


def _task(row: Mapping[str, str], folder: Path) -> Task:
    """Task of one row of a manifest."""
    given = {name: None if cell == "n/a" else cell for name, cell in row.items()}
    participant, index = given["participant_id"], given["index"]
    return Task(
        GROUP if participant is None else strip_label(participant, "sub"),
        folder,
        folder / row["log"],
        _scheduler(row["scheduler"]),
        given["job_id"],
        None if index is None else int(index),
        float(row["memory_gb"]),
        float(row["time_hours"]),
    )


def _scheduler(name: str) -> Scheduler:
    for known in SCHEDULERS:
        if known == name:
            return known
    raise ValueError(f"unknown scheduler {name!r}")


def _folders(output_dir: Path) -> list[Path]:
    """Folders of all submissions, the oldest first."""
    found = (output_dir / "logs" / "jobs").glob("[0-9]*")
    numbered = [folder for folder in found if folder.name.isdigit() and folder.is_dir()]
    return sorted(numbered, key=lambda folder: int(folder.name))
