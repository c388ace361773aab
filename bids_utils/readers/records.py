"""What is asked of a source of brain measures, and what it gives."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from bids_utils.errors import DatasetError

MEASURE_COLUMNS = [
    "participant_id",
    "session_id",
    "modality",
    "measure",
    "atlas",
    "region",
    "value",
    "unit",
    "standard_error",
    "qc",
]
SCAN_COLUMNS = ["participant_id", "session_id", "modality"]
SOFTWARE_COLUMNS = [*SCAN_COLUMNS, "software", "version", "stream"]
EDGE_SCAN_COLUMNS = [*SCAN_COLUMNS, "clean_minutes"]

Scan = tuple[str, str, str]
"""Participant, session, modality."""


@dataclass(frozen=True)
class SourceProblem:
    """Something left out or to be known, where, and what can be done."""

    what: str
    where: str
    what_to_do: str


@dataclass(frozen=True)
class SourceRequest:
    """What to read, and how to name what does not name itself; labels without prefix.

    Parameters
    ----------
    participants, sessions, measures, atlases : tuple of str
        Only these; empty: all.
    scans : mapping of str -> (participant, session)
        For folders and files without BIDS names, by the name of the folder or file.
    session : str
        Label for scans whose names have no session.
    stream : str
        FreeSurfer: "cross" or "longitudinal"; empty: longitudinal where there is any.
    measure, unit, modality, atlas : str
        What the numbers of a wide table are.
    """

    participants: tuple[str, ...] = ()
    sessions: tuple[str, ...] = ()
    measures: tuple[str, ...] = ()
    atlases: tuple[str, ...] = ()
    scans: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    session: str = ""
    stream: str = ""
    measure: str = ""
    unit: str = ""
    modality: str = ""
    atlas: str = ""

    def wants_scan(self, participant: str, session: str) -> bool:
        """Whether this session of this participant is to be read."""
        known = not self.participants or participant in self.participants
        return known and (not self.sessions or session in self.sessions)

    def wants(self, measure: str, atlas: str) -> bool:
        """Whether this measure is to be read; whole-brain measures have no atlas."""
        known = not self.measures or measure in self.measures
        return known and (not atlas or not self.atlases or atlas in self.atlases)


@dataclass(frozen=True)
class Block:
    """One measure of one scan: a value per region, NaN where there is none."""

    scan: Scan
    measure: str
    unit: str
    atlas: str
    regions: tuple[str, ...]
    values: np.ndarray


@dataclass(frozen=True)
class Matrices:
    """Connectivity of one atlas; rows of `edges` belong to rows of `scans`.

    `edges` is n_scans x n_edges, Fisher z, the upper triangle row by row; NaN where a region
    was not seen. `scans` has EDGE_SCAN_COLUMNS; `clean_minutes` is NaN where it is unknown.
    """

    atlas: str
    regions: tuple[str, ...]
    scans: pd.DataFrame
    edges: np.ndarray = field(repr=False)


@dataclass(frozen=True)
class MeasureSource:
    """All that was read from one source.

    `measures` is long with MEASURE_COLUMNS, labels without prefix, a row for every region of
    every scan, NaN (qc "missing") where there is no value, and NaN as standard_error where the
    source does not know it. `software` has SOFTWARE_COLUMNS.
    """

    name: str
    path: Path
    measures: pd.DataFrame
    matrices: tuple[Matrices, ...] = ()
    problems: tuple[SourceProblem, ...] = ()
    software: pd.DataFrame = field(
        default_factory=lambda: pd.DataFrame(columns=SOFTWARE_COLUMNS, dtype=object)
    )


def problem_of(error: DatasetError) -> SourceProblem:
    """Problem of a file that cannot be read, from a message "place: what; what to do"."""
    where, _, rest = str(error).partition(": ")
    what, _, advice = rest.rpartition("; ")
    return SourceProblem(what, where, advice) if what else SourceProblem(rest, where, "correct it")


def nothing_read(path: Path, wanted: str, problems: list[SourceProblem]) -> DatasetError:
    """Error of a source of which nothing can be read; it names the first reason."""
    first = f" ({problems[0].where}: {problems[0].what})" if problems else ""
    return DatasetError(f"{path}: nothing could be read{first}; {wanted}")


def counted(names: list[str] | tuple[str, ...], shown: int = 5) -> str:
    """Names for a message: the first ones and how many more."""
    distinct = list(dict.fromkeys(names))
    more = len(distinct) - shown
    return ", ".join(distinct[:shown]) + (f" and {more} more" if more > 0 else "")


def scan_text(scan: tuple[str, ...]) -> str:
    """Participant and session as a message names them."""
    return f"sub-{scan[0]} ses-{scan[1]}" + (f" {scan[2]}" if len(scan) > 2 else "")
