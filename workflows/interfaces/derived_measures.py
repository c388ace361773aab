"""Reading the measures of each used scan from the derivatives on disk."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from bids_utils.derivatives import read_table
from bids_utils.errors import DatasetError
from bids_utils.names import parse_name
from workflows.compute.measures import (
    MEASURE_COLUMNS,
    average_runs,
    edge_vector,
    mean_connectivity,
    measure_rows,
    poor_fit,
)
from workflows.compute.problems import Problem
from workflows.interfaces.thickness import CORTEX

DERIVED = frozenset({"atlas", "stat", "desc", "space"})
QUALITY_COLUMNS = [*("participant_id", "session_id", "modality"), "metric", "value"]
QUALITY_UNITS = {"fd_mean": "mm", "tsnr": "ratio", "clean_minutes": "min"}
KEYS = ["participant_id", "session_id", "modality"]
VOLUMES = ("deformation", "volume")
VISIT_COLUMNS = [*KEYS, "days_from_baseline", "status", "reason"]
REPEAT = "run the participant level for this participant again"
Source = frozenset[tuple[str, str]]


@dataclass(frozen=True)
class DerivedFiles:
    """Tables of the derivatives by (entities of the source image, kind of table)."""

    files: dict[tuple[Source, str], Path]

    def read(self, source: Source, kind: str, columns: tuple[str, ...] = ()) -> pd.DataFrame:
        """Table of a source image; `kind` is for example "desc-qc_bold"."""
        path = self.files.get((source, kind))
        if path is None:
            raise DatasetError(f"there is no derivative *_{kind}.tsv")
        table = read_table(path, text_columns=("region", "name", "measure"))
        missing = [column for column in columns if column not in table]
        if missing or table.empty:
            raise DatasetError(f"{path.name} has no {', '.join(missing) or 'rows'}")
        return table


@dataclass(frozen=True)
class Run:
    """Connectivity of one run, n_regions x n_regions, and its quality."""

    regions: tuple[str, ...]
    matrix: np.ndarray
    quality: pd.Series


@dataclass(frozen=True)
class Scan:
    """What one participant has in one session and modality.

    `mean` is the mean of the BOLD runs, `broken` says why nothing could be read.
    """

    key: tuple[str, str, str]
    tables: tuple[pd.DataFrame, ...] = ()
    mean: Run | None = None
    broken: str = ""
    problems: tuple[Problem, ...] = ()


@dataclass(frozen=True)
class Collected:
    """Measures of all scans; rows of `edges` belong to rows of `scans`.

    `broken` gives the scans without readable derivatives and why.
    """

    measures: pd.DataFrame
    scans: pd.DataFrame
    edges: np.ndarray
    regions: tuple[str, ...]
    broken: dict[tuple[str, str, str], str]
    problems: tuple[Problem, ...]


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


def with_sources(ledger: pd.DataFrame) -> pd.DataFrame:
    """Ledger with the column `source`; where there are several tasks, modality names them."""
    names = [parse_name(f"{run}.nii.gz") if isinstance(run, str) else None for run in ledger["run"]]
    bold = (ledger["modality"] == "bold").to_numpy()
    tasks = [name.get("task") or "" if name else "" for name in names]
    several = len({task for task, is_bold in zip(tasks, bold, strict=True) if is_bold and task}) > 1
    scans = zip(ledger["participant_id"], ledger["session_id"], strict=True)
    sources = [
        frozenset(name.entities) if name and is_bold else frozenset({("sub", sub), ("ses", ses)})
        for name, is_bold, (sub, ses) in zip(names, bold, scans, strict=True)
    ]
    modality = [
        f"bold_{task}" if several and is_bold and task else old
        for task, is_bold, old in zip(tasks, bold, ledger["modality"], strict=True)
    ]
    return ledger.assign(modality=modality, source=sources)


def collect(
    ledger: pd.DataFrame, files: DerivedFiles, atlas: str, min_clean_minutes: float
) -> Collected:
    """Measures of all used scans; a scan without readable derivatives is named, others go on.

    Parameters
    ----------
    ledger : pd.DataFrame
        As `with_sources` gives it, labels without prefix.
    files : DerivedFiles
        Tables of the derivatives.
    atlas : str
        Name of the atlas in the file names.
    min_clean_minutes : float
        Runs with less are left out, in minutes.
    """
    used = ledger[ledger["status"] == "used"]
    scans = []
    for key, rows in used.groupby(KEYS, sort=False):
        try:
            if key[2] == "T1w":
                scans.append(_structure(key, rows["source"].iloc[0], files, atlas))
            else:
                scans.append(_function(key, rows["source"], files, (atlas, min_clean_minutes)))
        except DatasetError as error:
            scans.append(Scan(key, broken=str(error)))
    return _joined(_same_regions(scans), atlas)


def scan_quality(ledger: pd.DataFrame, files: DerivedFiles) -> pd.DataFrame:
    """Quality of the images of all used scans, QUALITY_COLUMNS; NaN where it was not measured.

    All runs of a scan count alike, also those too short for connectivity; clean minutes are
    summed. A scan without a readable table has no rows.

    Parameters
    ----------
    ledger : pd.DataFrame
        As `with_sources` gives it, labels without prefix.
    files : DerivedFiles
        Tables of the derivatives.
    """
    rows = []
    for key, scans in ledger[ledger["status"] == "used"].groupby(KEYS, sort=False):
        try:
            measured = _image_quality(key[2], list(scans["source"]), files)
        except DatasetError:
            continue
        rows += [(*key, metric, value) for metric, value in measured.items()]
    return pd.DataFrame(rows, columns=QUALITY_COLUMNS).astype({"value": float})


def _image_quality(modality: str, sources: list[Source], files: DerivedFiles) -> pd.Series:
    if modality == "T1w":
        return _numbers(files.read(sources[0], "desc-quality_T1w").iloc[0])
    names = list(QUALITY_UNITS)
    runs = [files.read(source, "desc-qc_bold", tuple(names)).iloc[0][names] for source in sources]
    table = pd.DataFrame([_numbers(run) for run in runs])
    mean = table.mean()
    mean["clean_minutes"] = table["clean_minutes"].sum(min_count=1)
    return mean


def visit_table(ledger: pd.DataFrame, broken: dict[tuple[str, str, str], str]) -> pd.DataFrame:
    """One row per participant, session and modality, VISIT_COLUMNS."""
    rows = []
    ledger = ledger[ledger["session_id"] != ""]
    for scan, runs in ledger.groupby(KEYS, sort=False):
        used = (runs["status"] == "used").any()
        status = "used" if used else str(runs["status"].iloc[0])
        reason = (
            ""
            if used
            else "; ".join(text for text in runs["reason"].dropna().astype(str).unique() if text)
        )
        if scan in broken:
            status, reason = "broken", broken[scan]
        rows.append((*scan, runs["days_from_baseline"].iloc[0], status, reason))
    return pd.DataFrame(rows, columns=VISIT_COLUMNS)


def _structure(key: tuple[str, str, str], source: Source, files: DerivedFiles, atlas: str) -> Scan:
    """Volumes of all regions, thickness of those of the cortex, totals."""
    errors = [f"{name}_standard_error" for name in VOLUMES]
    columns = ("region", "residual", *VOLUMES, *errors)
    table = files.read(source, f"atlas-{atlas}_desc-volume_morph", columns).set_index("region")
    poor = pd.Series(poor_fit(_numbers(table["residual"]).to_numpy()), table.index)
    tables = [
        measure_rows(key, name, "ml", _numbers(table[name]), atlas, _known(table, name, poor))
        for name in VOLUMES
    ]
    wanted = ("region", "structure", "thickness")
    lines = files.read(source, f"atlas-{atlas}_desc-thickness_morph", wanted).set_index("region")
    cortex = lines[(lines["structure"] == CORTEX).to_numpy()]
    if len(cortex):
        thickness, known = _numbers(cortex["thickness"]), _known(cortex, "thickness", poor)
        tables.append(measure_rows(key, "thickness", "mm", thickness, atlas, known))
    tissue = files.read(source, "desc-tissue_morph", ("measure", "value"))
    names = [str(name).removesuffix("_ml") for name in tissue["measure"]]
    totals = _numbers(tissue["value"]).set_axis(names)
    return Scan(key, (*tables, measure_rows(key, "tissue_volume", "ml", totals)))


def _known(table: pd.DataFrame, name: str, poor: pd.Series) -> pd.DataFrame:
    """Standard error and fit of each region of a table, as `measure_rows` takes them."""
    errors = table.get(f"{name}_standard_error", pd.Series(np.nan, table.index))
    fit = [bool(poor.get(region, False)) for region in table.index]
    return pd.DataFrame({"standard_error": _numbers(errors), "poor_fit": fit}, index=table.index)


def _function(
    key: tuple[str, str, str],
    sources: Iterable[Source],
    files: DerivedFiles,
    rule: tuple[str, float],
) -> Scan:
    atlas, min_clean_minutes = rule
    runs, problems = [], []
    for source in sources:
        quality = files.read(source, "desc-qc_bold", tuple(QUALITY_UNITS)).iloc[0]
        reason = _unusable(quality, min_clean_minutes)
        if not reason:
            runs.append(_run(source, files, atlas))
            continue
        where = f"sub-{key[0]} ses-{key[1]} {_shown(source)}"
        problems.append(Problem(reason, where, "the run is left out; see its quality table"))
    if not runs:
        return Scan(key, broken=f"no usable run: {problems[0].what}", problems=tuple(problems))
    if any(run.regions != runs[0].regions for run in runs):
        return Scan(key, broken="its runs have different regions", problems=tuple(problems))
    mean = _mean_run(runs)
    values = [(name, unit, mean.quality[name]) for name, unit in QUALITY_UNITS.items()]
    tables = [
        measure_rows(key, name, unit, pd.Series({"brain": value})) for name, unit, value in values
    ]
    return Scan(key, tuple(tables), mean, problems=tuple(problems))


def _unusable(quality: pd.Series, min_clean_minutes: float) -> str:
    minutes = float(_numbers(quality[["clean_minutes"]]).iloc[0])
    if not minutes >= min_clean_minutes:
        return f"{minutes:.1f} clean minutes, {min_clean_minutes:g} needed"
    if str(quality.get("usable", True)) == "False":
        return str(quality["reason"])
    return ""


def _run(source: Source, files: DerivedFiles, atlas: str) -> Run:
    table = files.read(source, f"atlas-{atlas}_stat-pearsoncorrelation_relmat")
    regions = tuple(str(name) for name in table.columns)
    quality = files.read(source, "desc-qc_bold", tuple(QUALITY_UNITS)).iloc[0]
    matrix = table.apply(pd.to_numeric, errors="coerce").to_numpy(dtype=np.float32)
    try:
        edge_vector(matrix)
    except ValueError as error:
        raise DatasetError(f"connectivity of {_shown(source)}: {error}") from error
    return Run(regions, matrix, _numbers(quality[list(QUALITY_UNITS)]))


def _mean_run(runs: list[Run]) -> Run:
    minutes = np.array([run.quality["clean_minutes"] for run in runs])
    table = np.array([run.quality.to_numpy(dtype=float) for run in runs])
    quality = pd.Series(average_runs(table, minutes), index=runs[0].quality.index)
    quality["clean_minutes"] = minutes.sum()
    matrix = runs[0].matrix
    if len(runs) > 1:
        matrix = average_runs(np.array([run.matrix for run in runs], dtype=float), minutes)
    return Run(runs[0].regions, matrix.astype(np.float32), quality)


def _same_regions(scans: list[Scan]) -> list[Scan]:
    known = [scan.mean.regions for scan in scans if scan.mean is not None]
    if not known:
        return scans
    usual = max(dict.fromkeys(known), key=known.count)
    reason = "its connectivity has other regions than most scans"
    return [
        replace(scan, tables=(), mean=None, broken=reason)
        if scan.mean is not None and scan.mean.regions != usual
        else scan
        for scan in scans
    ]


def _joined(scans: list[Scan], atlas: str) -> Collected:
    with_mean = [(scan.key, scan.mean) for scan in scans if scan.mean is not None]
    tables = [table for scan in scans for table in scan.tables]
    tables += _connectivity_means(with_mean, atlas)
    broken = {scan.key: scan.broken for scan in scans if scan.broken}
    problems = [problem for scan in scans for problem in scan.problems]
    problems += [
        Problem(reason, f"sub-{sub} ses-{ses} {modality}", REPEAT)
        for (sub, ses, modality), reason in broken.items()
    ]
    rows = [(*key, mean.quality["clean_minutes"]) for key, mean in with_mean]
    return Collected(
        measures=pd.concat(tables, ignore_index=True)
        if tables
        else pd.DataFrame(columns=MEASURE_COLUMNS),
        scans=pd.DataFrame(rows, columns=[*KEYS, "clean_minutes"]),
        edges=_edges(with_mean),
        regions=with_mean[0][1].regions if with_mean else (),
        broken=broken,
        problems=tuple(problems),
    )


def _edges(scans: list[tuple[tuple[str, str, str], Run]]) -> np.ndarray:
    """Edges of all scans in single precision, which Fisher's z does not exceed by far."""
    if not scans:
        return np.empty((0, 0), dtype=np.float32)
    first = edge_vector(scans[0][1].matrix)
    edges = np.empty((len(scans), len(first)), dtype=np.float32)
    for place, (_, mean) in enumerate(scans):
        edges[place] = edge_vector(mean.matrix)
    return edges


def _connectivity_means(
    scans: list[tuple[tuple[str, str, str], Run]], atlas: str
) -> Iterator[pd.DataFrame]:
    for person in dict.fromkeys((key[0], key[2]) for key, _ in scans):
        own = [(key, mean) for key, mean in scans if (key[0], key[2]) == person]
        means = mean_connectivity(np.array([mean.matrix for _, mean in own]))
        for (key, mean), values in zip(own, means, strict=True):
            regions = pd.Series(values, index=list(mean.regions))
            yield measure_rows(key, "mean_connectivity", "z", regions, atlas)


def _numbers(values: pd.Series) -> pd.Series:
    return pd.to_numeric(values, errors="coerce").astype(float)


def _shown(source: Source) -> str:
    return " ".join(f"{key}-{label}" for key, label in source if key not in ("sub", "ses"))
