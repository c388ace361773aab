"""Volumes, thickness and areas in the stats/ folders of FreeSurfer (5.3 to 8) and FastSurfer."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from bids_utils.errors import DatasetError
from bids_utils.readers.long_table import long_table, one_value
from bids_utils.readers.reconstructions import Reconstruction, find_reconstructions
from bids_utils.readers.records import (
    SOFTWARE_COLUMNS,
    Block,
    MeasureSource,
    Scan,
    SourceProblem,
    SourceRequest,
    counted,
    nothing_read,
    problem_of,
)
from bids_utils.readers.stats_file import StatsFile, read_stats

SEGMENTATIONS = {"aseg": "aseg.stats", "aseg+DKT": "aseg+DKT.stats"}
PARCELLATIONS = {
    "DesikanKilliany": ("aparc.stats",),
    "DKT": ("aparc.DKTatlas.mapped.stats", "aparc.DKTatlas.stats", "aparc.DKTatlas40.stats"),
    "Destrieux": ("aparc.a2009s.stats",),
}
"""Names of the same parcellation in different versions, the one to prefer first."""

SURFACE_MEASURES = {
    "thickness": ("ThickAvg", "mm"),
    "volume": ("GrayVol", "mm3"),
    "area": ("SurfArea", "mm2"),
}
HEMISPHERE_MEASURES = {"mean_thickness": ("MeanThickness", "mm"),
                       "white_surface_area": ("WhiteSurfArea", "mm2")}  # fmt: skip
INTRACRANIAL = ("eTIV", "ICV", "EstimatedTotalIntraCranialVol", "IntraCranialVol")
RENAMED = (("Thalamus-Proper", "Thalamus"), ("&", "_and_"))
"""FreeSurfer 7 writes the names of some regions differently."""

OLD_VERSION = ".c,v "
MM3_PER_ML = 1000.0
WANTED = (
    "give the folder that holds the subject folders of FreeSurfer or FastSurfer (SUBJECTS_DIR), "
    "each with a stats folder"
)
MAX_ICV_SPREAD = 0.05


@dataclass(frozen=True)
class _Read:
    """What the stats of one session hold."""

    item: Reconstruction
    blocks: tuple[Block, ...]
    icv_mm3: float
    software: str
    version: str
    problems: tuple[SourceProblem, ...]


def read_freesurfer(path: Path, request: SourceRequest, name: str = "freesurfer") -> MeasureSource:
    """Regional volumes (mm3), thickness (mm) and areas (mm2), and the intracranial volume (ml).

    The intracranial volume (`tissue_volume`, region `icv`) is one number per participant: that
    of the template if there is one, else the mean of the sessions. A head does not shrink
    within months, so sessions that differ by more than 5 % are a problem.

    Parameters
    ----------
    path : Path
        Folder of the subject folders (SUBJECTS_DIR) or one subject folder.
    request : SourceRequest
        What is wanted, and names of folders that do not say whose they are.
    name : str
        Name of the source.

    Raises
    ------
    DatasetError
        Nothing can be read.
    """
    items, bases, problems = find_reconstructions(path, request)
    files = {item.folder: _file_names(item.folder) for item in items}
    wanted = _atlases(set().union(*files.values()) if files else set())
    reads = [_read(item, files[item.folder], wanted, request) for item in items]
    problems += [problem for read in reads for problem in read.problems]
    volumes, more = _intracranial(reads, bases)
    blocks = [block for read in reads for block in read.blocks] + volumes
    if not blocks:
        raise nothing_read(path, WANTED, problems)
    scans = [_scan(item) for item in items]
    table, odd = long_table(blocks, scans, request, path)
    problems += [*more, *_version_problems(reads, path), *odd]
    rows = [(*_scan(r.item), r.software, r.version, r.item.stream) for r in reads]
    software = pd.DataFrame(rows, columns=SOFTWARE_COLUMNS, dtype=object)
    return MeasureSource(name, path, table, (), tuple(problems), software)


def _scan(item: Reconstruction) -> Scan:
    return (item.participant, item.session, "T1w")


def _file_names(folder: Path) -> set[str]:
    try:
        return {file.name for file in (folder / "stats").iterdir()}
    except OSError:
        return set()


def _atlases(names: set[str]) -> dict[str, tuple[str, ...]]:
    """Atlases that at least one session has; aseg+DKT only where nobody has aseg."""
    found = {
        atlas: endings
        for atlas, endings in PARCELLATIONS.items()
        if any(f"{hemi}.{ending}" in names for hemi in ("lh", "rh") for ending in endings)
    }
    volume = next((atlas for atlas, file in SEGMENTATIONS.items() if file in names), "")
    return {volume: (SEGMENTATIONS[volume],), **found} if volume else found


def _read(
    item: Reconstruction,
    names: set[str],
    wanted: dict[str, tuple[str, ...]],
    request: SourceRequest,
) -> _Read:
    blocks: list[Block] = []
    problems: list[SourceProblem] = []
    versions, icv = [], float("nan")
    for atlas, endings in wanted.items():
        if request.atlases and atlas not in request.atlases and atlas not in SEGMENTATIONS:
            continue
        try:
            if atlas in SEGMENTATIONS:
                stats = read_stats(item.folder / "stats" / endings[0], ("Volume_mm3",))
                blocks += _volumes(_scan(item), stats, atlas)
                icv = _icv(stats)
                versions.append(stats.version)
                continue
        except DatasetError as error:
            problems.append(problem_of(error))
            continue
        read, lost = _hemispheres(item, names, atlas, endings)
        blocks += _joined(_scan(item), read, atlas)
        versions += [stats.version for stats in read.values()]
        problems += lost
    version = _build_stamp(item.folder) or _version(versions, n_failed=len(problems))
    return _Read(item, tuple(blocks), icv, _software(names), version, tuple(problems))


def _version(versions: list[str], n_failed: int) -> str:
    """Version of the first file; the old ones name the program, so it must be the same file."""
    text = next((text for text in versions if text), "")
    return "" if n_failed and OLD_VERSION in text else text


def _hemispheres(
    item: Reconstruction, names: set[str], atlas: str, endings: tuple[str, ...]
) -> tuple[dict[str, StatsFile], list[SourceProblem]]:
    columns = tuple(column for column, _ in SURFACE_MEASURES.values())
    read, problems = {}, []
    for hemi in ("lh", "rh"):
        ending = next((text for text in endings if f"{hemi}.{text}" in names), endings[0])
        try:
            read[hemi] = read_stats(item.folder / "stats" / f"{hemi}.{ending}", columns)
        except DatasetError as error:
            problems.append(problem_of(error))
    return read, problems


def _volumes(scan: Scan, stats: StatsFile, atlas: str) -> Iterator[Block]:
    regions = region_names(stats.names)
    yield Block(scan, "volume", "mm3", atlas, regions, stats.columns["Volume_mm3"])
    whole = {
        name: value
        for name, (value, unit) in stats.measures.items()
        if unit == "mm3" and name not in INTRACRANIAL
    }
    if whole:
        values = np.array(list(whole.values()))
        yield Block(scan, "global_volume", "mm3", "", tuple(whole), values)


def _joined(scan: Scan, read: dict[str, StatsFile], atlas: str) -> Iterator[Block]:
    if not read:
        return
    regions = tuple(
        f"{hemi}_{name}" for hemi, stats in read.items() for name in region_names(stats.names)
    )
    for measure, (column, unit) in SURFACE_MEASURES.items():
        values = np.concatenate([stats.columns[column] for stats in read.values()])
        yield Block(scan, measure, unit, atlas, regions, values)
    for measure, (name, unit) in HEMISPHERE_MEASURES.items():
        own = {hemi: s.measures[name][0] for hemi, s in read.items() if name in s.measures}
        if own:
            yield Block(scan, measure, unit, "", tuple(own), np.array(list(own.values())))


def region_names(names: tuple[str, ...]) -> tuple[str, ...]:
    """Names of regions as FreeSurfer 7 and later write them."""
    for old, new in RENAMED:
        names = tuple(name.replace(old, new) for name in names)
    return names


def _icv(stats: StatsFile) -> float:
    found = (stats.measures[name][0] for name in INTRACRANIAL if name in stats.measures)
    return next(found, float("nan"))


def _intracranial(
    reads: list[_Read], bases: dict[str, Path]
) -> tuple[list[Block], list[SourceProblem]]:
    people: dict[str, list[_Read]] = {}
    for read in reads:
        people.setdefault(read.item.participant, []).append(read)
    blocks, problems = [], []
    for participant, own in people.items():
        known = np.array([read.icv_mm3 for read in own if read.icv_mm3 > 0])
        volume, source = _template_icv(own[0].item.template, bases), "the template"
        if not volume > 0:
            volume, source = (known.mean() if known.size else float("nan")), "their mean"
        if not volume > 0:
            continue
        if known.size and known.max() - known.min() > MAX_ICV_SPREAD * known.mean():
            problems.append(_spread_problem(participant, own, known, source))
        for read in own:
            scan, value = _scan(read.item), float(volume / MM3_PER_ML)
            blocks.append(one_value(scan, "tissue_volume", "ml", "icv", value))
    if reads and len(blocks) < len(reads):
        have = {block.scan[0] for block in blocks}
        lost = [f"sub-{participant}" for participant in people if participant not in have]
        what = "no estimate of the intracranial volume (eTIV)"
        where = f"{reads[0].item.folder.parent}: {counted(lost)}"
        problems.append(SourceProblem(what, where, "models with it leave these people out"))
    return blocks, problems


def _template_icv(template: str, bases: dict[str, Path]) -> float:
    if template not in bases:
        return float("nan")
    for file in SEGMENTATIONS.values():
        path = bases[template] / "stats" / file
        if path.is_file():
            try:
                return _icv(read_stats(path, ()))
            except DatasetError:
                return float("nan")
    return float("nan")


def _spread_problem(
    participant: str, own: list[_Read], known: np.ndarray, source: str
) -> SourceProblem:
    range_ml = f"{known.min() / MM3_PER_ML:.0f} to {known.max() / MM3_PER_ML:.0f} ml"
    what = f"the intracranial volume differs between sessions by more than 5 % ({range_ml})"
    where = f"{own[0].item.folder.parent}: sub-{participant}"
    return SourceProblem(f"{what}; {source} is used", where, "look at these segmentations")


def _version_problems(reads: list[_Read], path: Path) -> Iterator[SourceProblem]:
    people: dict[str, dict[str, str]] = {}
    for read in reads:
        if read.version:
            text = f"{read.software} {read.version}"
            people.setdefault(read.item.participant, {}).setdefault(text, read.item.session)
    advice = "process all sessions with one version: a new version changes the numbers"
    for participant, own in people.items():
        if len(own) > 1:
            shown = ", ".join(f"ses-{session}: {text}" for text, session in own.items())
            what = f"mixed processing versions ({shown}): their change is not to be trusted"
            yield SourceProblem(what, f"{path}: sub-{participant}", advice)
    versions = {text for own in people.values() if len(own) == 1 for text in own}
    if len(versions) > 1:
        what = f"participants were processed with {len(versions)} versions"
        yield SourceProblem(what, f"{path}: {counted(sorted(versions))}", advice)


def _build_stamp(folder: Path) -> str:
    try:
        text = (folder / "scripts" / "build-stamp.txt").read_text(errors="replace")
    except OSError:
        return ""
    return (text.strip().splitlines() or [""])[0]


def _software(names: set[str]) -> str:
    fast = any(name.endswith(".mapped.stats") or name == "aseg+DKT.stats" for name in names)
    return "FastSurfer" if fast else "FreeSurfer"
