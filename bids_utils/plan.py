"""What will be done with which file, decided before anything is computed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class ImageFacts:
    """Header of an image: `problem` is empty, or says why the file cannot be used."""

    shape: tuple[int, ...] = ()
    voxel_size_mm: tuple[float, ...] = ()
    repetition_time_s: float | None = None
    problem: str = ""


ImageReader = Callable[[Path], ImageFacts]


@dataclass(frozen=True)
class BoldRun:
    """One BOLD file; `entities` are its BIDS entities (sub, ses, task, run, ...) in order."""

    file: Path
    entities: tuple[tuple[str, str], ...]
    repetition_time_s: float
    n_volumes: int


@dataclass(frozen=True)
class SessionPlan:
    """Files of one session; `t1w_file` is None where only BOLD is used."""

    label: str
    days_from_baseline: float | None
    t1w_file: Path | None
    bold_runs: tuple[BoldRun, ...]


@dataclass(frozen=True)
class ParticipantPlan:
    """One participant; sessions are in time order."""

    label: str
    sessions: tuple[SessionPlan, ...]
    done: bool
