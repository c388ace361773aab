"""Connectivity of XCP-D, giga_connectome and other BIDS derivatives, as Fisher z."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from bids_utils.errors import DatasetError
from bids_utils.readers.cifti import ENDING as CIFTI
from bids_utils.readers.connectivity_files import (
    STATISTICS,
    FileContent,
    correlation_file,
    file_regions,
    fisher_z,
    timeseries_file,
)
from bids_utils.readers.connectome_h5 import H5Entry, h5_entries
from bids_utils.readers.long_table import long_table
from bids_utils.readers.records import (
    EDGE_SCAN_COLUMNS,
    SOFTWARE_COLUMNS,
    Block,
    Matrices,
    MeasureSource,
    Scan,
    SourceProblem,
    SourceRequest,
    nothing_read,
    problem_of,
    scan_text,
)
from bids_utils.readers.run_means import modality_names, weighted_mean
from bids_utils.readers.scan_names import ScanName, name_problem, scan_name
from bids_utils.readers.separated import number_columns, read_separated

SUFFIXES = ("relmat", "conmat", "timeseries")
PEARSON = ("", "mean", "pearsoncorrelation", "fisherz")
RUN_KEYS = frozenset({"sub", "ses", "task", "run", "acq", "dir", "rec", "ce", "echo", "part"})
WANTED = (
    "expected files such as sub-X_ses-Y_task-Z_seg-A_stat-pearsoncorrelation_relmat.tsv or "
    "*_timeseries.tsv"
)
MAX_BYTES = 2 * 2**30
ATLAS_KEYS = ("seg", "atlas")
Origin = Path | H5Entry


@dataclass(frozen=True)
class _Run:
    """A file of one run; `variant` tells apart what was made differently from the same atlas."""

    name: ScanName
    origin: Origin
    atlas: str
    variant: str

    @property
    def run(self) -> tuple[tuple[str, str], ...]:
        """What makes it a run of its own."""
        return tuple(pair for pair in self.name.entities if pair[0] in RUN_KEYS)


def read_matrices(path: Path, request: SourceRequest, name: str = "xcpd") -> MeasureSource:
    """Fisher z of all scans, one `Matrices` for each atlas and way of making it.

    Correlations (`*_relmat.tsv`, `*_conmat.tsv`) are used where a run has them, otherwise the
    time series (`*_timeseries.tsv`, `*_timeseries.ptseries.nii`) are correlated. Runs of a
    session are averaged in Fisher z, weighted by their volumes where the time series tell them.
    `fd_mean` (mm) comes from `*_motion.tsv` if there is one.

    Parameters
    ----------
    path : Path
        Folder of the derivatives.
    request : SourceRequest
        Participants, sessions and atlases that are wanted.
    name : str
        Name of the source.

    Raises
    ------
    DatasetError
        Nothing can be read.
    """
    problems: list[SourceProblem] = []
    runs = list(_runs(path, request, problems))
    modalities = modality_names(run.name for run in runs)
    families = _families(path, runs)
    matrices = [_matrices(label, own, modalities, problems) for label, own in families.items()]
    found = tuple(item for item in matrices if len(item.scans))
    if not found:
        raise nothing_read(path, WANTED, problems)
    scans = dict.fromkeys(
        scan for item in found for scan in item.scans.iloc[:, :3].itertuples(index=False, name=None)
    )
    motion = list(_motion(path, modalities, request, problems))
    table, odd = long_table(motion, scans, request, path)
    rows = [(*scan, name, "", "") for scan in scans]
    software = pd.DataFrame(rows, columns=SOFTWARE_COLUMNS, dtype=object)
    return MeasureSource(name, path, table, found, (*problems, *odd), software)


def _families(path: Path, runs: list[_Run]) -> dict[str, list[_Run]]:
    """Runs by atlas, and by how they were made where one atlas was used in several ways."""
    found: dict[tuple[str, str], list[_Run]] = {}
    for run in runs:
        found.setdefault((run.atlas, run.variant), []).append(run)
    atlases = [atlas for atlas, _ in found]
    families = {
        f"{atlas}_{variant}" if variant and atlases.count(atlas) > 1 else atlas: _first_kind(own)
        for (atlas, variant), own in found.items()
    }
    _check_size(path, families)
    return families


def _check_size(path: Path, families: dict[str, list[_Run]]) -> None:
    """Refuse to read several atlases that do not fit into memory together."""
    sizes = {}
    for name, runs in families.items():
        with suppress(DatasetError):
            n_regions = len(_layout(runs[0].origin))
            sizes[name] = len(runs) * n_regions * (n_regions - 1) * 4
    if len(sizes) > 1 and sum(sizes.values()) > MAX_BYTES:
        shown = ", ".join(f"{name} ({size / 2**30:.1f} GiB)" for name, size in sizes.items())
        raise DatasetError(
            f"{path}: the connectivity of all atlases needs too much memory: {shown}; choose one "
            "in the settings (sources: atlases)"
        )


def _runs(path: Path, request: SourceRequest, problems: list[SourceProblem]) -> Iterator[_Run]:
    for stem, origin in _stems(path, problems):
        place = origin if isinstance(origin, Path) else origin.file / stem
        name = scan_name(stem, request)
        atlas = next((name.get(key) for key in ATLAS_KEYS if name.get(key)), "") if name else ""
        if name and (name.suffix not in SUFFIXES or not atlas or not _is_pearson(name)):
            continue
        problem = name_problem(place, name)
        if problem:
            problems.append(problem)
        if name is None or not name.session:
            continue
        own = {*RUN_KEYS, *ATLAS_KEYS, *STATISTICS}
        variant = "_".join(f"{k}-{v}" for k, v in name.entities if k not in own)
        wanted = not request.atlases or atlas in request.atlases
        if wanted and request.wants_scan(name.participant, name.session):
            yield _Run(name, origin, atlas, variant)


def _stems(path: Path, problems: list[SourceProblem]) -> Iterator[tuple[str, Origin]]:
    files = [path] if path.is_file() else sorted(path.rglob("*"))
    for file in files:
        if file.suffix == ".tsv" and file.stem.endswith(SUFFIXES):
            yield file.stem, file
        elif file.name.endswith(f"_timeseries{CIFTI}"):
            yield file.name.removesuffix(CIFTI), file
        elif file.suffix == ".h5":
            try:
                entries = h5_entries(file)
            except DatasetError as error:
                problems.append(problem_of(error))
                continue
            yield from ((entry.stem, entry) for entry in entries)


def _is_pearson(name: ScanName) -> bool:
    return all(name.get(key).lower() in PEARSON for key in STATISTICS)


def _first_kind(runs: list[_Run]) -> list[_Run]:
    """One file of each run: correlations before time series, tables before CIFTI files."""
    chosen: dict[tuple[tuple[str, str], ...], _Run] = {}
    for run in sorted(runs, key=_rank):
        chosen.setdefault(run.run, run)
    return [chosen[run.run] for run in {run.run: run for run in runs}.values()]


def _rank(run: _Run) -> tuple[bool, bool]:
    is_cifti = isinstance(run.origin, Path) and run.origin.name.endswith(CIFTI)
    return run.name.suffix == "timeseries", is_cifti


def _matrices(
    label: str, runs: list[_Run], modalities: dict[str, str], problems: list[SourceProblem]
) -> Matrices:
    grouped: dict[Scan, list[_Run]] = {}
    layouts: dict[Origin, tuple[str, ...]] = {}
    for run in runs:
        try:
            layouts[run.origin] = _layout(run.origin)
        except DatasetError as error:
            problems.append(problem_of(error))
            continue
        scan = (run.name.participant, run.name.session, modalities[run.name.get("task")])
        grouped.setdefault(scan, []).append(run)
    union = dict.fromkeys(layouts.values())
    regions = tuple(dict.fromkeys(region for layout in union for region in layout))
    upper = np.triu_indices(len(regions), k=1)
    edges = np.full((len(grouped), len(upper[0])), np.nan)
    places = {layout: pd.Index(regions).get_indexer(pd.Index(layout)) for layout in union}
    kept: list[tuple[str, str, str, float]] = []
    for scan, own in grouped.items():
        means = list(_contents(own, problems))
        if not means:
            continue
        full = np.full((len(means), len(regions), len(regions)), np.nan)
        for matrix, content in zip(full, means, strict=True):
            place = places[content.regions]
            matrix[np.ix_(place, place)] = content.matrix
        volumes = np.array([content.n_volumes for content in means])
        mean = full[0] if len(full) == 1 else weighted_mean(full, volumes)
        edges[len(kept)] = mean[upper]
        minutes = np.array([content.minutes for content in means])
        kept.append((*scan, float(minutes.sum())))
    scans = pd.DataFrame(kept, columns=EDGE_SCAN_COLUMNS)
    problems += _lost_regions(label, regions, scans, edges[: len(kept)])
    return Matrices(label, regions, scans, edges[: len(kept)])


def _layout(origin: Origin) -> tuple[str, ...]:
    return origin.regions if isinstance(origin, H5Entry) else file_regions(origin)


def _contents(runs: list[_Run], problems: list[SourceProblem]) -> Iterator[FileContent]:
    for run in runs:
        try:
            yield _content(run, count_volumes=len(runs) > 1)
        except DatasetError as error:
            problems.append(problem_of(error))


def _content(run: _Run, count_volumes: bool) -> FileContent:
    if isinstance(run.origin, H5Entry):
        values = run.origin.values()
        return FileContent(run.origin.regions, fisher_z(str(run.origin.file), values))
    if run.name.suffix == "timeseries":
        return timeseries_file(run.origin)
    is_z = any(run.name.get(key).lower() == "fisherz" for key in STATISTICS)
    return correlation_file(run.origin, is_z, count_volumes)


def _lost_regions(
    label: str, regions: tuple[str, ...], scans: pd.DataFrame, edges: np.ndarray
) -> Iterator[SourceProblem]:
    """Regions without any edge in a scan."""
    first, second = np.triu_indices(len(regions), k=1)
    lost: dict[str, list[str]] = {}
    for scan, row in zip(scans.itertuples(index=False, name=None), edges, strict=True):
        seen = np.isfinite(row)
        if not seen.all():
            with_edge = np.unique(np.concatenate([first[seen], second[seen]]))
            for place in np.setdiff1d(np.arange(len(regions)), with_edge):
                lost.setdefault(regions[place], []).append(scan_text(scan))
    if lost:
        shown = [f"{region} ({len(own)} scans)" for region, own in lost.items()]
        what = f"{label}: {len(lost)} of {len(regions)} regions without connectivity"
        where = ", ".join(shown[:5]) + (f" and {len(shown) - 5} more" if len(shown) > 5 else "")
        yield SourceProblem(what, where, "their edges are kept as n/a")


def _motion(
    path: Path,
    modalities: dict[str, str],
    request: SourceRequest,
    problems: list[SourceProblem],
) -> Iterator[Block]:
    runs: dict[Scan, list[tuple[float, int]]] = {}
    files: Iterable[Path] = () if path.is_file() else sorted(path.rglob("sub-*_motion.tsv"))
    for file in files:
        name = scan_name(file.stem, request)
        if name is None or not name.session or name.get("task") not in modalities:
            continue
        try:
            table = read_separated(file)
            column = ["framewise_displacement"]
            values = number_columns(file, table, column) if column[0] in table else np.array([])
        except DatasetError as error:
            problems.append(problem_of(error))
            continue
        scan = (name.participant, name.session, modalities[name.get("task")])
        if np.isfinite(values).any():
            runs.setdefault(scan, []).append((float(np.nanmean(values)), len(values)))
    for scan, own in runs.items():
        means, volumes = np.array(own, dtype=float).T
        value = np.array([weighted_mean(means, volumes)])
        yield Block(scan, "fd_mean", "mm", "", ("brain",), value)
