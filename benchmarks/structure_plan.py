"""What `structure.py` makes and runs, and where it puts it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from bids_utils.derivatives import read_table
from configs.atlases import find_atlas

KINDS = ("null", "plant", "thin", "voxels", "side")
PER_HEAD = {"null": 2, "plant": 2, "thin": 1, "side": 1}
TABLES = ("volume", "tissue", "thickness")


@dataclass(frozen=True)
class Pair:
    """A pair of sessions to be made: of which head, what is changed, and a number."""

    head: str
    kind: str
    number: int = 1

    @property
    def name(self) -> str:
        """Name of its folder."""
        return f"{self.head}_{self.kind}_{self.number}"


@dataclass(frozen=True)
class Run:
    """A run of the anatomy: sessions are pairs and numbers (0 or 1), in the order given."""

    name: str
    sessions: tuple[tuple[Pair, int], ...]
    threads: int = 1


def runs_of(stage: str, heads: list[str]) -> list[Run]:
    """Runs of a stage."""
    if stage in PER_HEAD:
        numbers = range(1, PER_HEAD[stage] + 1)
        pairs = [Pair(head, stage, number) for head in heads for number in numbers]
        return [Run(pair.name, ((pair, 0), (pair, 1))) for pair in pairs]
    first = Pair(heads[0], "null")
    a, b, c = (first, 0), (first, 1), (Pair(heads[0], "null", 2), 0)
    coarse = Pair(heads[0], "voxels")
    found = {
        "same": [Run("same", (a, a))],
        "swap": [Run("swap", (b, a))],
        "three": [Run("three_1", (a, b, c)), Run("three_2", (c, a, b))],
        "voxels": [Run(coarse.name, ((coarse, 0), (coarse, 1)))],
        "threads": [Run("threads", (a, b), threads=2)],
    }
    return found.get(stage, [])


@dataclass(frozen=True)
class Bench:
    """Where things are: real data, results; heads in the order of their numbers."""

    data: Path
    output: Path
    heads: list[str]

    def run_folder(self, run: Run) -> Path:
        """Where the tables of a run are."""
        return self.output / "runs" / run.name

    def session_file(self, pair: Pair, session: int) -> Path:
        """Image of a session of a pair."""
        return self.output / "pairs" / pair.name / f"ses{session}_T1w.nii.gz"

    def pose_file(self, pair: Pair, session: int) -> Path:
        """Matrix of the head's pose in a session: head to scanner, mm."""
        return self.output / "pairs" / pair.name / f"pose{session}.txt"

    def folder_of_head(self, name: str) -> Path:
        """Folder of a head and its truth."""
        return self.output / "heads" / name

    def truth_file(self, pair: Pair) -> Path:
        """Table of what is true of a pair."""
        return self.output / "pairs" / pair.name / "truth.tsv"


def peer_pairs(bench: Bench) -> list[Pair]:
    """The null and the plant pair that the peer is given too."""
    return [Pair(bench.heads[0], "null"), Pair(bench.heads[0], "plant")]


def atlas_table() -> pd.DataFrame:
    """Regions of the default atlas."""
    return read_table(find_atlas("DesikanKilliany").labels_file)


def read_usage(folder: Path) -> dict[str, float]:
    """Cpu seconds and peak memory of a run; NaN if it was not."""
    path = folder / "usage.json"
    if not path.exists():
        return {"cpu_s": float("nan"), "peak_gib": float("nan")}
    return json.loads(path.read_text(encoding="utf-8"))
