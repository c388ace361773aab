"""Measures of many scans as one long table in which no region loses its row."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from bids_utils.readers.records import (
    MEASURE_COLUMNS,
    Block,
    Scan,
    SourceProblem,
    SourceRequest,
    counted,
    scan_text,
)

FEWEST_SCANS = 3
"""With fewer scans a constant region says nothing."""

NUMBERS = {"value": float, "standard_error": float}
Family = tuple[str, str, str, str]


def long_table(
    blocks: Iterable[Block], scans: Iterable[Scan], request: SourceRequest, path: Path
) -> tuple[pd.DataFrame, list[SourceProblem]]:
    """Table with MEASURE_COLUMNS and what is to be known about regions without values.

    Every measure has a row for each of its regions in each scan of its modality, so that a
    region that one scan lacks keeps its row, with NaN. Regions keep the order of the files.

    Parameters
    ----------
    blocks : iterable of Block
        What was read; of two blocks about the same scan and measure the first holds.
    scans : iterable of (participant, session, modality)
        All scans of the source, also those of which nothing could be read.
    request : SourceRequest
        Measures and atlases that are wanted.
    path : Path
        Named in the problems.
    """
    families: dict[Family, dict[Scan, Block]] = {}
    for block in blocks:
        if request.wants(block.measure, block.atlas):
            family = (block.scan[2], block.measure, block.atlas, block.unit)
            families.setdefault(family, {}).setdefault(block.scan, block)
    known = list(dict.fromkeys(scans))
    tables: list[dict[str, np.ndarray]] = []
    odd: dict[tuple[str, str, str], list[str]] = {}
    for family, members in families.items():
        rows = [scan for scan in known if scan[2] == family[0]]
        regions, values = _matrix(members, rows)
        tables.append(_columns(family, rows, regions, values))
        name = " ".join(part for part in family[1:3] if part)
        for found in _odd_regions(name, rows, regions, values):
            odd.setdefault(found, []).append(name)
    return _frame(tables), _problems(odd, path)


def one_value(scan: Scan, measure: str, unit: str, region: str, value: float) -> Block:
    """Block of a single number, such as a volume of the whole brain."""
    return Block(scan, measure, unit, "", (region,), np.array([value], dtype=float))


def _matrix(members: dict[Scan, Block], rows: list[Scan]) -> tuple[list[str], np.ndarray]:
    layouts = dict.fromkeys(block.regions for block in members.values())
    regions = list(dict.fromkeys(region for layout in layouts for region in layout))
    index = pd.Index(regions, dtype=object)
    places = {layout: index.get_indexer(pd.Index(layout, dtype=object)) for layout in layouts}
    values = np.full((len(rows), len(regions)), np.nan)
    for row, scan in enumerate(rows):
        if scan in members:
            values[row, places[members[scan].regions]] = members[scan].values
    values[~np.isfinite(values)] = np.nan
    return regions, values


def _columns(
    family: Family, rows: list[Scan], regions: list[str], values: np.ndarray
) -> dict[str, np.ndarray]:
    modality, measure, atlas, unit = family
    labels = np.array([scan[:2] for scan in rows], dtype=object).reshape(len(rows), 2)
    n = values.size
    return {
        "participant_id": np.repeat(labels[:, 0], len(regions)),
        "session_id": np.repeat(labels[:, 1], len(regions)),
        "modality": np.full(n, modality, dtype=object),
        "measure": np.full(n, measure, dtype=object),
        "atlas": np.full(n, atlas, dtype=object),
        "region": np.tile(np.array(regions, dtype=object), len(rows)),
        "value": values.ravel(),
        "unit": np.full(n, unit, dtype=object),
        "standard_error": np.full(n, np.nan),
        "qc": np.where(np.isfinite(values.ravel()), "ok", "missing").astype(object),
    }


def _frame(tables: list[dict[str, np.ndarray]]) -> pd.DataFrame:
    if not tables:
        return pd.DataFrame(columns=MEASURE_COLUMNS, dtype=object).astype(NUMBERS)
    joined = {
        column: np.concatenate([table[column] for table in tables]) for column in MEASURE_COLUMNS
    }
    texts = {column: object for column in MEASURE_COLUMNS if column not in NUMBERS}
    return pd.DataFrame(joined, columns=MEASURE_COLUMNS).astype(texts)


def _odd_regions(
    name: str, rows: list[Scan], regions: list[str], values: np.ndarray
) -> Iterator[tuple[str, str, str]]:
    """What is odd, in which scans, and what follows from it."""
    seen = np.isfinite(values)
    names = np.array([region or name for region in regions], dtype=object)
    empty = ~seen.any(axis=0)
    if empty.any():
        what = f"no scan has a value for {counted(list(names[empty]))}"
        yield what, "", "its rows are kept as n/a and are not tested"
    partly = ~empty & ~seen.all(axis=0)
    if partly.any():
        lost = (~seen[:, partly]).any(axis=1)
        scans = [scan_text(row) for row, missing in zip(rows, lost, strict=True) if missing]
        what = f"no value for {counted(list(names[partly]))}"
        where = f"{len(scans)} of {len(rows)} scans: {counted(scans)}"
        yield what, where, "these rows are kept as n/a"
    highest = np.where(seen, values, -np.inf).max(axis=0, initial=-np.inf)
    lowest = np.where(seen, values, np.inf).min(axis=0, initial=np.inf)
    same = (seen.sum(axis=0) >= FEWEST_SCANS) & (highest == lowest)
    if same.any():
        what = f"the same value in all scans for {counted(list(names[same]))}"
        yield what, "", "its rows are kept; nothing can be tested there"


def _problems(odd: dict[tuple[str, str, str], list[str]], path: Path) -> list[SourceProblem]:
    """One problem for all measures with the same trouble."""
    return [
        SourceProblem(f"{counted(names)}: {what}", f"{path}: {where}" if where else str(path), then)
        for (what, where, then), names in odd.items()
    ]
