"""Job scripts for a scheduler: an array with one task per participant, and the group level."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined, Template

from workflows.cluster import ClusterSettings, JobSettings, Scheduler

WARNING_S = 60
"""How long before the time limit a job is told to stop."""
LARGEST_ARRAY = 1000
"""Tasks of one array: most clusters take 1,000 and not more."""
PREFIX = {"slurm": "#SBATCH", "sge": "#$", "pbs": "#PBS"}
ALLOCATED = {
    "slurm": {
        "index": "SLURM_ARRAY_TASK_ID",
        "task": "${SLURM_ARRAY_JOB_ID:-}_$index",
        "job": "${SLURM_JOB_ID:-}",
        "cpus": "SLURM_CPUS_PER_TASK",
        "memory_mb": "SLURM_MEM_PER_NODE",
    },
    "sge": {
        "index": "SGE_TASK_ID",
        "task": "${JOB_ID:-}.$index",
        "job": "${JOB_ID:-}",
        "cpus": "NSLOTS",
    },
    "pbs": {
        "index": "PBS_ARRAY_INDEX",
        "task": "${PBS_JOBID:-}",
        "job": "${PBS_JOBID:-}",
        "cpus": "NCPUS",
    },
}
"""Variables in which a scheduler tells a job what it was given; only the scripts read them."""


@dataclass(frozen=True)
class Job:
    """One script: an array of participants, or the group level (`labels` is None)."""

    name: str
    labels: tuple[str, ...] | None
    asked: JobSettings
    words: tuple[str, ...]

    @property
    def script(self) -> str:
        """Name of the file."""
        return f"{self.name}.sh"

    @property
    def tasks(self) -> list[tuple[int | None, str | None]]:
        """Number and participant of each task; the group level is one without both."""
        return [(None, None)] if self.labels is None else list(enumerate(self.labels, start=1))

    def log(self, index: int | None = None) -> str:
        """Name of the log file of a task."""
        return f"{self.name}.log" if index is None else f"{self.name}_{index}.log"


def split_labels(labels: Sequence[str], largest: int = LARGEST_ARRAY) -> list[tuple[str, ...]]:
    """Participants in arrays that are not too large."""
    return [tuple(labels[i : i + largest]) for i in range(0, len(labels), largest)]


def job_script(job: Job, folder: Path, scheduler: Scheduler, cluster: ClusterSettings) -> str:
    """Text of the script of a job that is submitted from its folder."""
    directives = {"slurm": _slurm, "sge": _sge, "pbs": _pbs}[scheduler](job, cluster)
    return _template("job.sh.j2").render(
        job=job,
        prefix=PREFIX[scheduler],
        directives=[*directives, *cluster.directives],
        variables=ALLOCATED[scheduler],
        scheduler=scheduler,
        folder=str(folder),
        setup=cluster.setup,
        command=start_command(cluster),
        version=version("braindelta"),
    )


def submit_script(jobs: Sequence[Job], scheduler: Scheduler, earlier: Sequence[str]) -> str:
    """Text of the script that submits all jobs of its folder.

    The last one, of the group level, begins when all others and the `earlier` jobs have ended.
    """
    *arrays, group = jobs
    return _template("job_submit.sh.j2").render(
        arrays=[job.script for job in arrays],
        group=group.script,
        scheduler=scheduler,
        earlier=earlier,
        version=version("braindelta"),
    )


def start_command(cluster: ClusterSettings) -> str:
    """Words of bash that start braindelta in a job; without settings, the program that runs now."""
    if cluster.command:
        return cluster.command
    beside = Path(sys.executable).with_name("braindelta")
    words = [str(beside)] if beside.is_file() else [sys.executable, "-m", "workflows.cli"]
    return shlex.join(words)


def command_line(job: Job, label: str | None, cluster: ClusterSettings) -> str:
    """What a task runs; the script adds cores and memory of the allocation."""
    own = ("--participant-label", label) if label else ()
    return f"{start_command(cluster)} {shlex.join([*job.words, *own])}"


def clock(seconds: int) -> str:
    """Duration as hours:minutes:seconds."""
    return f"{seconds // 3600}:{seconds // 60 % 60:02d}:{seconds % 60:02d}"


def _slurm(job: Job, cluster: ClusterSettings) -> list[str]:
    limit = f"%{cluster.max_running}" if cluster.max_running else ""
    array = f"--array=1-{len(job.labels)}{limit}" if job.labels else None
    options = [
        "--job-name=braindelta",
        array,
        "--ntasks=1",
        f"--cpus-per-task={job.asked.cpus}",
        f"--mem={job.asked.memory_mb}M",
        f"--time={clock(job.asked.time_s)}",
        f"--partition={cluster.queue}" if cluster.queue else None,
        f"--account={cluster.account}" if cluster.account else None,
        f"--output={job.name}_%a.log" if job.labels else f"--output={job.log()}",
        "--open-mode=append",
        f"--signal=B:TERM@{WARNING_S}",
        "--requeue",
    ]
    return [option for option in options if option]


def _sge(job: Job, cluster: ClusterSettings) -> list[str]:
    soft = max(job.asked.time_s - WARNING_S, 1)
    options = [
        "-N braindelta",
        "-S /bin/bash",
        "-cwd",
        f"-t 1-{len(job.labels)}" if job.labels else None,
        f"-tc {cluster.max_running}" if job.labels and cluster.max_running else None,
        f"-pe {cluster.parallel_environment} {job.asked.cpus}" if job.asked.cpus > 1 else None,
        f"-l mem_free={job.asked.memory_mb}M",
        f"-l h_rt={clock(job.asked.time_s)},s_rt={clock(soft)}",
        f"-q {cluster.queue}" if cluster.queue else None,
        f"-P {cluster.account}" if cluster.account else None,
        f"-o {job.name}_$TASK_ID.log" if job.labels else f"-o {job.log()}",
        "-j y",
        "-notify",
        "-r y",
    ]
    return [option for option in options if option]


def _pbs(job: Job, cluster: ClusterSettings) -> list[str]:
    limit = f"%{cluster.max_running}" if cluster.max_running else ""
    is_array = job.labels is not None and len(job.labels) > 1  # PBS has no arrays of one
    log = f"{job.name}_^array_index^.log" if is_array else job.log(1 if job.labels else None)
    options = [
        "-N braindelta",
        "-S /bin/bash",
        f"-J 1-{len(job.labels or ())}{limit}" if is_array else None,
        f"-l select=1:ncpus={job.asked.cpus}:mem={job.asked.memory_mb}mb",
        f"-l walltime={clock(job.asked.time_s)}",
        f"-q {cluster.queue}" if cluster.queue else None,
        f"-A {cluster.account}" if cluster.account else None,
        f"-o {log}",
        "-j oe",
        "-r y",
    ]
    return [option for option in options if option]


def _template(name: str) -> Template:
    environment = Environment(  # nosec B701 # noqa: S701 - scripts for bash; each value is quoted for it
        loader=PackageLoader("workflows"),
        undefined=StrictUndefined,
        keep_trailing_newline=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["quoted"] = shlex.quote
    return environment.get_template(name)
