"""What a cluster wants to know of each job: cores, memory, time, queue, how to start the program.

None of it changes a result, so it is not part of the settings of a study.
"""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated, Literal, get_args

from pydantic import AfterValidator, Field, StringConstraints

from configs.settings import Section, read_sections

Scheduler = Literal["slurm", "sge", "pbs"]
SCHEDULERS: tuple[Scheduler, ...] = get_args(Scheduler)


def _one_line(text: str) -> str:
    if "\n" in text or text.lstrip().startswith("#"):
        raise ValueError("give one option a row as after #SBATCH, #$ or #PBS, without these words")
    return text.strip()


def _shell_words(text: str) -> str:
    if not shlex.split(text) or "\n" in text:
        raise ValueError("give the words of one command, on one line")
    return text


Word = Annotated[str, StringConstraints(pattern=r"^[\w.@:+/-]+$")]
Directive = Annotated[str, AfterValidator(_one_line)]
Command = Annotated[str, AfterValidator(_shell_words)]


class JobSettings(Section):
    """What one job asks for; the group level has its own."""

    cpus: Annotated[int, Field(ge=1)] = 2
    memory_gb: Annotated[float, Field(ge=0.1)] = 4.0
    time_hours: Annotated[float, Field(ge=0.03)] = 4.0

    @property
    def memory_mb(self) -> int:
        """Memory in MiB, the unit of schedulers."""
        return round(self.memory_gb * 1024)

    @property
    def time_s(self) -> int:
        """Time limit in seconds."""
        return round(self.time_hours * 3600)


class ClusterSettings(Section):
    """One file for a cluster; any study can use it.

    `command` is what starts braindelta inside a job, in the words of bash (None: the program that
    writes the jobs); `setup` are lines of bash before it; `directives` are further options of the
    scheduler for each job, `parallel_environment` is what SGE calls several cores of one machine.
    """

    participant: JobSettings = JobSettings()
    group: JobSettings = JobSettings()
    queue: Word | None = None
    account: Word | None = None
    max_running: Annotated[int, Field(ge=1)] | None = None
    parallel_environment: Word = "smp"
    directives: tuple[Directive, ...] = ()
    setup: tuple[str, ...] = ()
    command: Command | None = None


def load_cluster(path: Path | None) -> ClusterSettings:
    """Description of a cluster from a YAML file; without a file, the defaults.

    Raises
    ------
    SettingsError
        The file cannot be read, has an unknown key (the nearest one is named) or an impossible
        value.
    """
    return ClusterSettings() if path is None else read_sections(path, ClusterSettings)
