"""Reading the measures of each used scan from the derivatives on disk."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from bids_utils.errors import DatasetError
from bids_utils.names import parse_name
from workflows.compute.measures import MEASURE_COLUMNS, edge_vector, measure_rows, poor_fit
from workflows.compute.pair_quality import BOLD_QUALITY
from workflows.compute.problems import Problem
from workflows.interfaces.derived_connectivity import (
    QUALITY_UNITS,
    Connectivity,
    FunctionRule,
    TooLittleError,
    comparable,
    connectivity_rows,
    read_function,
)
from workflows.interfaces.derived_files import DerivedFiles, ScanKey, Source, numbers
from workflows.interfaces.thickness import CORTEX

QUALITY_COLUMNS = [*("participant_id", "session_id", "modality"), "metric", "value"]
SUMMED = ("n_volumes", "clean_minutes", "degrees_of_freedom")
"""Quality measures that are summed over the runs of a session; the others are averaged."""
KEYS = ["participant_id", "session_id", "modality"]
VOLUMES = ("deformation", "volume")
VISIT_COLUMNS = [*KEYS, "days_from_baseline", "status", "reason"]
REPEAT = "run the participant level for this participant again"
MORE_DATA = (
    "it is left out of connectivity; a longer scan with less motion would help, or other settings "
    "of func"
)


@dataclass(frozen=True)
class Scan:
    """What one participant has in one session and modality.

    `broken` says why there is nothing to use, `advice` what to do about that.
    """

    key: ScanKey
    tables: tuple[pd.DataFrame, ...] = ()
    connectivity: Connectivity | None = None
    broken: str = ""
    advice: str = ""
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


def collect(ledger: pd.DataFrame, files: DerivedFiles, rule: FunctionRule) -> Collected:
    """Measures of all used scans; a scan without readable derivatives is named, others go on.

    Parameters
    ----------
    ledger : pd.DataFrame
        As `with_sources` gives it, labels without prefix.
    files : DerivedFiles
        Tables of the derivatives.
    rule : FunctionRule
        Name of the atlas in the file names, and what is asked of BOLD runs.
    """
    used = ledger[ledger["status"] == "used"]
    scans = []
    for key, rows in used.groupby(KEYS, sort=False):
        try:
            if key[2] == "T1w":
                scans.append(_structure(key, rows["source"].iloc[0], files, rule.atlas))
            else:
                found = read_function(key, rows["source"], files, rule)
                scans.append(Scan(key, found.tables, found.connectivity, problems=found.problems))
        except DatasetError as error:
            advice = MORE_DATA if isinstance(error, TooLittleError) else REPEAT
            scans.append(Scan(key, broken=str(error), advice=advice))
    return _joined(_same_regions(scans), rule)


def scan_quality(ledger: pd.DataFrame, files: DerivedFiles) -> pd.DataFrame:
    """Quality of the images of all used scans, QUALITY_COLUMNS; NaN where it was not measured.

    All runs of a scan count alike, also those that cannot be used; those of SUMMED are summed.
    A scan without a readable table has no rows.

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
        measured = numbers(files.read(sources[0], "desc-quality_T1w").iloc[0])
        return measured.drop("face_share", errors="ignore")
    names = [measure.name for measure in BOLD_QUALITY]
    runs = [files.read(source, "desc-qc_bold", tuple(QUALITY_UNITS)).iloc[0] for source in sources]
    table = pd.DataFrame([numbers(run.reindex(names)) for run in runs]).dropna(axis=1, how="all")
    summed = table.columns.intersection(SUMMED)
    mean = table.mean()
    mean[summed] = table[summed].sum(min_count=1)
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


def _structure(key: ScanKey, source: Source, files: DerivedFiles, atlas: str) -> Scan:
    """Volumes of all regions, thickness of those of the cortex, totals."""
    errors = [f"{name}_standard_error" for name in VOLUMES]
    columns = ("region", "residual", *VOLUMES, *errors)
    table = files.read(source, f"atlas-{atlas}_desc-volume_morph", columns).set_index("region")
    poor = pd.Series(poor_fit(numbers(table["residual"]).to_numpy()), table.index)
    tables = [
        measure_rows(key, name, "ml", numbers(table[name]), atlas, _known(table, name, poor))
        for name in VOLUMES
    ]
    wanted = ("region", "structure", "thickness")
    lines = files.read(source, f"atlas-{atlas}_desc-thickness_morph", wanted).set_index("region")
    cortex = lines[(lines["structure"] == CORTEX).to_numpy()]
    if len(cortex):
        thickness, known = numbers(cortex["thickness"]), _known(cortex, "thickness", poor)
        tables.append(measure_rows(key, "thickness", "mm", thickness, atlas, known))
    tissue = files.read(source, "desc-tissue_morph", ("measure", "value"))
    names = [str(name).removesuffix("_ml") for name in tissue["measure"]]
    totals = numbers(tissue["value"]).set_axis(names)
    return Scan(key, (*tables, measure_rows(key, "tissue_volume", "ml", totals)))


def _known(table: pd.DataFrame, name: str, poor: pd.Series) -> pd.DataFrame:
    """Standard error and fit of each region of a table, as `measure_rows` takes them."""
    errors = table.get(f"{name}_standard_error", pd.Series(np.nan, table.index))
    fit = [bool(poor.get(region, False)) for region in table.index]
    return pd.DataFrame({"standard_error": numbers(errors), "poor_fit": fit}, index=table.index)


def _same_regions(scans: list[Scan]) -> list[Scan]:
    known = [scan.connectivity.regions for scan in scans if scan.connectivity is not None]
    if not known:
        return scans
    usual = max(dict.fromkeys(known), key=known.count)
    reason = "its connectivity has other regions than most scans"
    return [
        replace(scan, tables=(), connectivity=None, broken=reason, advice=REPEAT)
        if scan.connectivity is not None and scan.connectivity.regions != usual
        else scan
        for scan in scans
    ]


def _joined(scans: list[Scan], rule: FunctionRule) -> Collected:
    known = [(scan.key, scan.connectivity) for scan in scans if scan.connectivity is not None]
    connected, incomparable = comparable(known, rule)
    tables = [table for scan in scans for table in scan.tables]
    tables += connectivity_rows(connected, rule)
    without = [scan for scan in scans if scan.broken]
    problems = [problem for scan in scans for problem in scan.problems] + incomparable
    problems += [
        Problem(scan.broken, f"sub-{scan.key[0]} ses-{scan.key[1]} {scan.key[2]}", scan.advice)
        for scan in without
    ]
    rows = [(*key, edges.clean_minutes) for key, edges in connected]
    return Collected(
        measures=pd.concat(tables, ignore_index=True)
        if tables
        else pd.DataFrame(columns=MEASURE_COLUMNS),
        scans=pd.DataFrame(rows, columns=[*KEYS, "clean_minutes"]),
        edges=_edges(connected),
        regions=connected[0][1].regions if connected else (),
        broken={scan.key: scan.broken for scan in without},
        problems=tuple(problems),
    )


def _edges(scans: list[tuple[ScanKey, Connectivity]]) -> np.ndarray:
    """Edges of all scans in single precision, which Fisher's z does not exceed by far."""
    if not scans:
        return np.empty((0, 0), dtype=np.float32)
    first = edge_vector(scans[0][1].matrix)
    edges = np.empty((len(scans), len(first)), dtype=np.float32)
    for place, (_, connectivity) in enumerate(scans):
        edges[place] = edge_vector(connectivity.matrix)
    return edges
