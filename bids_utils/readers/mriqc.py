"""Image quality measures of MRIQC: the group tables, or the JSON file of each scan."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from bids_utils.errors import DatasetError
from bids_utils.plain_files import read_json
from bids_utils.readers.long_table import long_table
from bids_utils.readers.records import (
    SOFTWARE_COLUMNS,
    Block,
    MeasureSource,
    Scan,
    SourceProblem,
    SourceRequest,
    nothing_read,
    problem_of,
    scan_text,
)
from bids_utils.readers.run_means import BOLD, modality_names, weighted_mean
from bids_utils.readers.scan_names import ScanName, name_problem, scan_name
from bids_utils.readers.separated import number_columns, read_separated

SUFFIXES = ("T1w", BOLD)
OWN_NAMES = {"fd_mean": ("fd_mean", "mm"), "tsnr": ("tsnr", "ratio")}
"""Measures that this project has too, with its unit; their region is `brain`."""

PREFIX = "mriqc_"
NOT_QUALITY = ("size_", "spacing_", "summary_", "bids_", "provenance")
"""Columns about the grid, the intensities and the file, not about quality."""

VOLUMES = "size_t"
WANTED = "expected group_T1w.tsv, group_bold.tsv, or sub-*_T1w.json and sub-*_bold.json of MRIQC"


@dataclass(frozen=True)
class _ScanQuality:
    """Numbers of one run and where they come from."""

    name: ScanName
    file: Path
    numbers: Mapping[str, float]
    version: str = ""


def read_mriqc(path: Path, request: SourceRequest, name: str = "mriqc") -> MeasureSource:
    """Quality measures `mriqc_*` of T1w and BOLD images, and `fd_mean` (mm) and `tsnr`.

    A group table (`group_T1w.tsv`, `group_bold.tsv`) decides which scans there are; without it
    the JSON files do. Several runs are averaged, BOLD runs weighted by their volumes.

    Parameters
    ----------
    path : Path
        Folder that MRIQC wrote, or one of its group tables.
    request : SourceRequest
        What is wanted, and names of scans that do not say whose they are.
    name : str
        Name of the source.

    Raises
    ------
    DatasetError
        Nothing can be read.
    """
    problems: list[SourceProblem] = []
    scans: list[_ScanQuality] = []
    for suffix in SUFFIXES:
        files = _files(path, suffix)
        group = next((file for file in files if file.suffix == ".tsv"), None)
        read = _group_table(group, request, problems) if group else []
        if not read:
            jsons = [file for file in files if file.suffix == ".json"]
            read = list(_json_files(jsons, request, problems))
        scans += [scan for scan in read if scan.name.suffix == suffix]
    if not scans:
        raise nothing_read(path, WANTED, problems)
    grouped = _by_scan(scans)
    blocks = [block for scan, runs in grouped.items() for block in _blocks(scan, runs)]
    problems += _averaged(grouped, path)
    table, odd = long_table(blocks, grouped, request, path)
    rows = [(*scan, "MRIQC", runs[0].version, "") for scan, runs in grouped.items()]
    software = pd.DataFrame(rows, columns=SOFTWARE_COLUMNS, dtype=object)
    return MeasureSource(name, path, table, (), (*problems, *odd), software)


def _files(path: Path, suffix: str) -> list[Path]:
    if path.is_file():
        return [path] if suffix in path.stem else []
    return sorted([*path.glob(f"group_{suffix}.tsv"), *path.rglob(f"sub-*_{suffix}.json")])


def _group_table(
    path: Path, request: SourceRequest, problems: list[SourceProblem]
) -> list[_ScanQuality]:
    try:
        table = read_separated(path)
        if "bids_name" not in table:
            raise DatasetError(f"{path}: the column 'bids_name' is missing; run mriqc group again")
        columns = [column for column in table.columns if _is_quality(column)]
        values = number_columns(path, table, columns)
    except DatasetError as error:
        problems.append(problem_of(error))
        return []
    scans: dict[str, _ScanQuality] = {}
    for text, row in zip(table["bids_name"], values, strict=True):
        name = _placed(path / str(text), str(text), request, problems)
        if name and text in scans:
            what = "the scan has two rows; the first one is used"
            problems.append(SourceProblem(what, f"{path}: {text}", "remove one of them"))
        elif name:
            numbers = dict(zip(columns, row.tolist(), strict=True))
            scans[str(text)] = _ScanQuality(name, path, numbers)
    return list(scans.values())


def _json_files(
    paths: Iterable[Path], request: SourceRequest, problems: list[SourceProblem]
) -> Iterator[_ScanQuality]:
    for path in paths:
        name = _placed(path, path.stem, request, problems)
        if name is None:
            continue
        try:
            content = read_json(path)
        except DatasetError as error:
            problems.append(problem_of(error))
            continue
        numbers = {
            key: float(value)
            for key, value in content.items()
            if _is_quality(key) and isinstance(value, int | float)
        }
        provenance = content.get("provenance")
        version = provenance.get("version", "") if isinstance(provenance, dict) else ""
        if numbers:
            yield _ScanQuality(name, path, numbers, str(version))


def _is_quality(column: str) -> bool:
    return column == VOLUMES or not column.startswith(NOT_QUALITY)


def _placed(
    file: Path, stem: str, request: SourceRequest, problems: list[SourceProblem]
) -> ScanName | None:
    name = scan_name(stem, request)
    problem = name_problem(file, name)
    if problem:
        problems.append(problem)
    if name is None or not name.session:
        return None
    return name if request.wants_scan(name.participant, name.session) else None


def _by_scan(scans: list[_ScanQuality]) -> dict[Scan, list[_ScanQuality]]:
    modalities = modality_names(scan.name for scan in scans if scan.name.suffix == BOLD)
    grouped: dict[Scan, list[_ScanQuality]] = {}
    for scan in scans:
        own = scan.name
        modality = modalities[own.get("task")] if own.suffix == BOLD else own.suffix
        grouped.setdefault((own.participant, own.session, modality), []).append(scan)
    return grouped


def _blocks(scan: Scan, runs: list[_ScanQuality]) -> Iterator[Block]:
    weights = np.array([run.numbers.get(VOLUMES, np.nan) for run in runs])
    measures = dict.fromkeys(key for run in runs for key in run.numbers if key != VOLUMES)
    for measure in measures:
        values = np.array([run.numbers.get(measure, np.nan) for run in runs])
        name, unit = OWN_NAMES.get(measure, (PREFIX + measure, ""))
        region = "brain" if measure in OWN_NAMES else ""
        mean = np.array([weighted_mean(values, weights)])
        yield Block(scan, name, unit, "", (region,), mean)


def _averaged(grouped: dict[Scan, list[_ScanQuality]], path: Path) -> Iterator[SourceProblem]:
    several = [scan for scan, runs in grouped.items() if len(runs) > 1 and scan[2] == "T1w"]
    if several:
        what = f"{len(several)} sessions have several T1w images; their measures are averaged"
        where = f"{path}: {scan_text(several[0])} and others"
        yield SourceProblem(what, where, "remove those that are not analysed")
