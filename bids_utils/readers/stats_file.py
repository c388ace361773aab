"""Text tables in the stats/ folder of FreeSurfer and FastSurfer."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bids_utils.errors import DatasetError
from bids_utils.plain_files import read_plain

REPEAT = "copy it again, or run this step of the tool again"
VERSION_KEYS = ("cvs_version", "FastSurfer_version")
UNITS = {"mm^3": "mm3", "mm^2": "mm2"}


@dataclass(frozen=True)
class StatsFile:
    """Content of a stats file.

    `measures` gives numbers of the whole brain or hemisphere as (value, unit) by their short
    name, such as "eTIV"; `columns` the columns of the table, one value per name.
    """

    version: str
    measures: dict[str, tuple[float, str]]
    names: tuple[str, ...]
    columns: dict[str, np.ndarray]


def read_stats(path: Path, wanted: tuple[str, ...]) -> StatsFile:
    """Read a stats file of FreeSurfer 5.3 or later, or of FastSurfer.

    Parameters
    ----------
    path : Path
        Such as ``stats/lh.aparc.stats``.
    wanted : tuple of str
        Columns to read, such as "ThickAvg".

    Raises
    ------
    DatasetError
        The file cannot be read, has no header of columns, lacks a column, is cut off, holds
        text instead of numbers, or names a region twice.
    """
    lines = read_plain(path).decode("utf-8", errors="replace").split("\n")
    header = [line for line in lines if line.startswith("#")]
    titles = _titles(path, header, wanted)
    rows = [line.split() for line in lines if line.strip() and not line.startswith("#")]
    _check_rows(path, header, rows, len(titles))
    place = titles.index("StructName")
    names = tuple(row[place] for row in rows)
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise DatasetError(f"{path}: the region {twice} stands there twice; {REPEAT}")
    columns = {title: _numbers(path, rows, titles.index(title), title) for title in wanted}
    return StatsFile(_version(header), _measures(header), names, columns)


def _titles(path: Path, header: list[str], wanted: tuple[str, ...]) -> list[str]:
    titles = next((line.split()[2:] for line in header if line.startswith("# ColHeaders")), [])
    if not titles:
        raise DatasetError(f"{path}: there is no line '# ColHeaders': it is cut off; {REPEAT}")
    lost = [title for title in ("StructName", *wanted) if title not in titles]
    if lost:
        raise DatasetError(f"{path}: the column {lost[0]} is missing; {REPEAT}")
    return titles


def _check_rows(path: Path, header: list[str], rows: list[list[str]], n_columns: int) -> None:
    planned = _word(header, "NRows")
    if planned.isdecimal() and len(rows) != int(planned):
        raise DatasetError(
            f"{path}: {len(rows)} regions, but the header says {planned}: it is cut off; {REPEAT}"
        )
    if not rows:
        raise DatasetError(f"{path}: there are no regions: it is cut off; {REPEAT}")
    for row in rows:
        if len(row) != n_columns:
            raise DatasetError(
                f"{path}: the line of {row[0]} has {len(row)} cells, the header {n_columns}: "
                f"it is cut off; {REPEAT}"
            )


def _numbers(path: Path, rows: list[list[str]], place: int, title: str) -> np.ndarray:
    try:
        values = np.array([float(row[place]) for row in rows])
    except ValueError as error:
        raise DatasetError(f"{path}: {title} is not a number ({error}); {REPEAT}") from error
    if np.isinf(values).any():
        raise DatasetError(f"{path}: {title} is infinite; {REPEAT}")
    return values


def _measures(header: list[str]) -> dict[str, tuple[float, str]]:
    """Numbers of the lines "# Measure Cortex, CortexVol, Total ..., 553998.3, mm^3".

    Some versions forget the comma after the short name, so the value is counted from the end.
    """
    found: dict[str, tuple[float, str]] = {}
    for line in header:
        parts = line.removeprefix("# Measure ").rsplit(", ", 2)
        name = parts[0].partition(", ")[2].split()
        if line.startswith("# Measure ") and len(parts) == 3 and name:
            try:
                value = float(parts[1])
            except ValueError:
                continue
            if np.isinf(value):
                continue
            found[name[0].rstrip(",")] = (value, UNITS.get(parts[2].strip(), parts[2].strip()))
    return found


def _version(header: list[str]) -> str:
    for key in VERSION_KEYS:
        text = _rest(header, key).replace("$", "").removeprefix("Id: ").strip()
        if text:
            return text
    return ""


def _word(header: list[str], key: str) -> str:
    return (_rest(header, key).split() or [""])[0]


def _rest(header: list[str], key: str) -> str:
    start = f"# {key} "
    return next((line.removeprefix(start).strip() for line in header if line.startswith(start)), "")
