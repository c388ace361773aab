"""Tables of the derivatives by the image they were made of."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from bids_utils.derivatives import read_table
from bids_utils.errors import DatasetError
from bids_utils.names import parse_name

DERIVED = frozenset({"atlas", "stat", "desc", "space"})
TEXT_COLUMNS = ("region", "name", "measure", "contrast", "unit")
Source = frozenset[tuple[str, str]]
ScanKey = tuple[str, str, str]
"""Participant, session, modality."""


@dataclass(frozen=True)
class DerivedFiles:
    """Tables of the derivatives by (entities of the source image, kind of table)."""

    files: dict[tuple[Source, str], Path]

    def has(self, source: Source, kind: str) -> bool:
        """Whether there is such a table of a source image."""
        return (source, kind) in self.files

    def read(self, source: Source, kind: str, columns: tuple[str, ...] = ()) -> pd.DataFrame:
        """Table of a source image; `kind` is for example "desc-qc_bold"."""
        path = self.files.get((source, kind))
        if path is None:
            raise DatasetError(f"there is no derivative *_{kind}.tsv")
        table = read_table(path, text_columns=TEXT_COLUMNS)
        missing = [column for column in columns if column not in table]
        if missing or table.empty:
            raise DatasetError(f"{path.name} has no {', '.join(missing) or 'rows'}")
        return table


def derived_files(paths: Iterable[str | Path]) -> DerivedFiles:
    """Tables of the derivatives, found by the name of the image they were made of."""
    files = {}
    for path in map(Path, paths):
        name = parse_name(path.name)
        if name is None:
            continue
        source = frozenset(pair for pair in name.entities if pair[0] not in DERIVED)
        own = [f"{key}-{label}" for key, label in name.entities if key in DERIVED]
        files[source, "_".join([*own, name.suffix])] = path
    return DerivedFiles(files)


def session_source(run: Source) -> Source:
    """What the files of all runs of a task in a session are named after: sub, ses and task."""
    return frozenset(pair for pair in run if pair[0] in ("sub", "ses", "task"))


def numbers(values: pd.Series) -> pd.Series:
    """Values as floats; text is NaN."""
    return pd.to_numeric(values, errors="coerce").astype(float)
