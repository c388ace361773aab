"""Columns of the tables of a run against the pages of the documentation."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from output_tables import table_of


def unexplained(root: Path) -> Iterator[str]:
    """Tables of a run that are not known, and columns that are not explained."""
    for file in sorted(root.rglob("*.tsv")):
        name = file.relative_to(root).as_posix()
        kind = table_of(name)
        columns = file.read_text(encoding="utf-8").split("\n", 1)[0].split("\t")
        if kind is None:
            yield name
        else:
            yield from (f"{name}: {column}" for column in columns if not kind.explains(column))
