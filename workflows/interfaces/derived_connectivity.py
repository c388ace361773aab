"""Reading what a participant's BOLD runs of one session and task gave."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from nipype.interfaces.base import BaseInterfaceInputSpec, TraitedSpec, traits

from bids_utils.errors import DatasetError
from workflows.compute.connectivity_measures import Grouping, connectivity_measures
from workflows.compute.measures import average_runs, edge_vector, measure_rows
from workflows.compute.problems import Problem
from workflows.interfaces.derived_files import (
    DerivedFiles,
    ScanKey,
    Source,
    numbers,
    session_source,
)

QUALITY_UNITS = {"fd_mean": "mm", "tsnr": "ratio", "clean_minutes": "min"}
LOCAL_UNITS = {"alff": "%/Hz^0.5", "falff": "1", "reho": "1"}
STATISTICS = {"correlation": "pearsoncorrelation", "partial": "partialcorrelation"}
CONTRAST_COLUMNS = ("contrast", "region", "effect", "variance", "unit")
PPI = "gppi_"
SHOWN = 3
OTHER_REGIONS = (
    "lower func.min_coverage and run the participant level again, leave out the session that "
    "does not see them, or set func.connectivity to correlation"
)


class TooLittleError(DatasetError):
    """A scan was read, but holds too little for connectivity."""


@dataclass(frozen=True)
class FunctionRule:
    """What is asked of the BOLD runs of a session.

    `min_clean_minutes` of all usable runs together; `connectivity` (correlation or partial) are
    the edges that are tested; networks and circuits of the regions.
    """

    atlas: str
    min_clean_minutes: float
    connectivity: str = "correlation"
    grouping: Grouping = field(default_factory=Grouping)


class FunctionRuleInputSpec(BaseInterfaceInputSpec):
    """Fields of nodes that read what the BOLD runs gave, see FunctionRule."""

    min_clean_minutes = traits.Float(
        0.0, usedefault=True, desc="least clean time of all runs of a session together, min"
    )
    connectivity = traits.Enum(*STATISTICS, usedefault=True, desc="edges that are tested")
    networks = traits.Dict(
        traits.Str, traits.Str, {}, usedefault=True, desc="network of each region that has one"
    )
    circuits = traits.Dict(
        traits.Str,
        traits.List(traits.List(traits.Str)),
        {},
        usedefault=True,
        desc="sources and targets of each circuit",
    )


def function_rule(inputs: TraitedSpec) -> FunctionRule:
    """What the inputs of a node ask of the BOLD runs of a session."""
    circuits = {name: (tuple(one), tuple(two)) for name, (one, two) in inputs.circuits.items()}
    return FunctionRule(
        inputs.atlas,
        inputs.min_clean_minutes,
        inputs.connectivity,
        Grouping(dict(inputs.networks), circuits),
    )


@dataclass(frozen=True)
class Connectivity:
    """Fisher z of one session, n_regions x n_regions, and the time it is from, in minutes."""

    regions: tuple[str, ...]
    matrix: np.ndarray
    clean_minutes: float


@dataclass(frozen=True)
class BoldMeasures:
    """Rows of measures, connectivity (None: it cannot be used) and what was left out."""

    tables: tuple[pd.DataFrame, ...]
    connectivity: Connectivity | None
    problems: tuple[Problem, ...]


def read_function(
    key: ScanKey, sources: Iterable[Source], files: DerivedFiles, rule: FunctionRule
) -> BoldMeasures:
    """Measures of the runs of one session and task.

    Connectivity and local activity need a usable run and enough time, contrasts of a task model
    do not.

    Raises
    ------
    DatasetError
        A table is missing or broken, or there is neither connectivity nor a model of the task.
    """
    runs = list(sources)
    contrasts = list(_contrasts(key, session_source(runs[0]), files, rule.atlas))
    quality = {run: _quality(run, files) for run in runs}
    problems = _problems(key, quality)
    usable = {run: measured for run, (measured, reason) in quality.items() if not reason}
    try:
        edges = _connectivity(usable, problems, files, rule)
    except DatasetError as error:
        if not contrasts:
            raise
        moved = [measured for measured, _ in quality.values() if measured["clean_minutes"] > 0]
        where = f"sub-{key[0]} ses-{key[1]} {key[2]}"
        lost = Problem(f"no connectivity: {error}", where, "its task model is used")
        return BoldMeasures((*_quality_rows(key, moved), *contrasts), None, (*problems, lost))
    minutes = {run: measured["clean_minutes"] for run, measured in usable.items()}
    tables = [*_quality_rows(key, usable.values()), *_local(key, minutes, files, rule.atlas)]
    return BoldMeasures((*tables, *contrasts), edges, problems)


def comparable(
    scans: list[tuple[ScanKey, Connectivity]], rule: FunctionRule
) -> tuple[list[tuple[ScanKey, Connectivity]], list[Problem]]:
    """Scans whose edges mean the same in all sessions of a participant, and who has none.

    A partial correlation is given all other regions that are seen. Where a region is lost in one
    session, the edges of all others are given something else there, which looks like change.
    """
    if rule.connectivity != "partial":
        return scans, []
    problems: dict[tuple[str, str], Problem] = {}
    for (sub, modality), own in _people(scans).items():
        seen = np.isfinite([edges.matrix for _, edges in own]).any(axis=2)
        lost = np.array(own[0][1].regions)[seen.any(axis=0) & ~seen.all(axis=0)]
        if not len(lost):
            continue
        names = ", ".join(lost[:SHOWN]) + (f" and {len(lost) - SHOWN} more" * (len(lost) > SHOWN))
        verb = "is" if len(lost) == 1 else "are"
        what = f"{names} {verb} not seen in every session, and what is held differs"
        problem = Problem(
            f"no partial correlations: {what}", f"sub-{sub} {modality}", OTHER_REGIONS
        )
        problems[sub, modality] = problem
    kept = [(key, edges) for key, edges in scans if (key[0], key[2]) not in problems]
    return kept, list(problems.values())


def _people(
    scans: list[tuple[ScanKey, Connectivity]],
) -> dict[tuple[str, str], list[tuple[ScanKey, Connectivity]]]:
    """Scans of each participant and modality."""
    people: dict[tuple[str, str], list[tuple[ScanKey, Connectivity]]] = {}
    for key, edges in scans:
        people.setdefault((key[0], key[2]), []).append((key, edges))
    return people


def connectivity_rows(
    scans: list[tuple[ScanKey, Connectivity]], rule: FunctionRule
) -> Iterator[pd.DataFrame]:
    """Rows of what follows from the matrices, one participant and modality at a time."""
    for own in _people(scans).values():
        matrices = np.array([edges.matrix for _, edges in own])
        table = connectivity_measures(matrices, own[0][1].regions, rule.grouping)
        for (measure, unit), rows in table.groupby(["measure", "unit"], sort=False):
            named = rows.set_index("region")
            for place, (key, _) in enumerate(own):
                yield measure_rows(key, measure, unit, named[place], rule.atlas)


def _quality(source: Source, files: DerivedFiles) -> tuple[pd.Series, str]:
    """Quality of a run, and why it cannot be used for connectivity."""
    row = files.read(source, "desc-qc_bold", tuple(QUALITY_UNITS)).iloc[0]
    quality = numbers(row[list(QUALITY_UNITS)])
    reason = "" if str(row.get("usable", True)) != "False" else str(row["reason"])
    return quality, reason or ("" if quality["clean_minutes"] > 0 else "no clean minutes")


def _problems(key: ScanKey, quality: Mapping[Source, tuple[pd.Series, str]]) -> tuple[Problem, ...]:
    """A problem for each run that cannot be used."""
    where, left_out = f"sub-{key[0]} ses-{key[1]}", "the run is left out; see its quality table"
    return tuple(
        Problem(reason, f"{where} {_shown(run)}", left_out)
        for run, (_, reason) in quality.items()
        if reason
    )


def _quality_rows(key: ScanKey, runs: Iterable[pd.Series]) -> Iterator[pd.DataFrame]:
    """Quality of the runs together, weighted by their clean minutes, which are summed."""
    table = np.array([list(row) for row in runs], dtype=float)
    if not len(table):
        return
    minutes = table[:, -1]
    mean = dict(zip(QUALITY_UNITS, average_runs(table, minutes), strict=True))
    mean["clean_minutes"] = minutes.sum()
    for name, unit in QUALITY_UNITS.items():
        yield measure_rows(key, name, unit, pd.Series({"brain": mean[name]}))


def _local(
    key: ScanKey, minutes: Mapping[Source, float], files: DerivedFiles, atlas: str
) -> Iterator[pd.DataFrame]:
    """Local activity, the mean of the runs that have it, weighted by their clean minutes."""
    kind, names = f"atlas-{atlas}_desc-local_bold", list(LOCAL_UNITS)
    runs = [source for source in minutes if files.has(source, kind)]
    if not runs:
        return
    tables = [files.read(run, kind, ("region", *names)).set_index("region")[names] for run in runs]
    values = np.array([table.apply(numbers).to_numpy() for table in tables])
    means = average_runs(values, np.array([minutes[run] for run in runs]))
    for name, column in zip(names, means.T, strict=True):
        yield measure_rows(key, name, LOCAL_UNITS[name], pd.Series(column, tables[0].index), atlas)


def _contrasts(
    key: ScanKey, source: Source, files: DerivedFiles, atlas: str
) -> Iterator[pd.DataFrame]:
    """Contrasts of the task, and their coupling with seeds, if there is a model of it."""
    kind = f"atlas-{atlas}_desc-contrasts_bold"
    if not files.has(source, kind):
        return
    table = files.read(source, kind, CONTRAST_COLUMNS)
    for name, rows in table.groupby("contrast", sort=False):
        named = rows.set_index("region")
        error = np.sqrt(numbers(named["variance"])).rename("standard_error").to_frame()
        measure = name if str(name).startswith(PPI) else f"contrast_{name}"
        unit = str(named["unit"].iloc[0])
        yield measure_rows(key, measure, unit, numbers(named["effect"]), atlas, error)


def _connectivity(
    usable: Mapping[Source, pd.Series],
    problems: tuple[Problem, ...],
    files: DerivedFiles,
    rule: FunctionRule,
) -> Connectivity:
    """Connectivity of the usable runs; an error says why there is none."""
    if not usable:
        raise TooLittleError(f"no usable run: {problems[0].what}")
    minutes = float(sum(quality["clean_minutes"] for quality in usable.values()))
    if minutes < rule.min_clean_minutes:
        raise TooLittleError(f"{minutes:.1f} clean minutes, {rule.min_clean_minutes:g} needed")
    source = session_source(next(iter(usable)))
    kind = f"atlas-{rule.atlas}_stat-{STATISTICS[rule.connectivity]}_relmat"
    table = files.read(source, kind)
    matrix = table.apply(pd.to_numeric, errors="coerce").to_numpy(dtype=np.float32)
    try:
        edges = edge_vector(matrix)
    except ValueError as error:
        raise DatasetError(f"connectivity of {_shown(source)}: {error}") from error
    if not np.isfinite(edges).any():
        raise DatasetError(f"connectivity of {_shown(source)} has no values; its JSON says why")
    return Connectivity(tuple(str(name) for name in table.columns), matrix, minutes)


def _shown(source: Source) -> str:
    return " ".join(f"{key}-{label}" for key, label in sorted(source) if key not in ("sub", "ses"))
