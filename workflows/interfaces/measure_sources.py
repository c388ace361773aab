"""Measures that other tools made, as the first node of the group level."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
from nipype.interfaces.base import (
    File,
    InputMultiPath,
    SimpleInterface,
    TraitedSpec,
    isdefined,
    traits,
)

from bids_utils.errors import DatasetError
from bids_utils.readers.long_table import long_table
from bids_utils.readers.records import (
    EDGE_SCAN_COLUMNS,
    Block,
    Matrices,
    MeasureSource,
    SourceProblem,
    SourceRequest,
    problem_of,
)
from bids_utils.readers.sources import read_source
from bids_utils.sessions import OrderRule
from configs.label_tables import network_in_name
from workflows.compute.connectivity_measures import Grouping, connectivity_measures
from workflows.compute.measures import MEASURE_COLUMNS
from workflows.compute.problems import Problem
from workflows.interfaces.derived_connectivity import FunctionRuleInputSpec, function_rule
from workflows.interfaces.derived_files import derived_files
from workflows.interfaces.derived_measures import (
    KEYS,
    Collected,
    collect,
    visit_table,
    with_sources,
)
from workflows.interfaces.group import _CollectedOutputSpec, _save_connectivity, _save_measures
from workflows.interfaces.group_tables import load_table
from workflows.interfaces.measure_table import table_visits

GIVEN = "sources (--derivatives)"
FAMILY = ["modality", "measure", "atlas"]
IDENTITY = ["participant_id", "session_id", *FAMILY, "region"]


@dataclass(frozen=True)
class Intake:
    """Where the measures of the group level come from.

    `sources` are names and paths on the command line, `derivatives` says whether our own are
    read; with neither it is a cohort of scores. Only these `participants` and `sessions` of
    the sources are taken (empty: all).
    """

    sources: tuple[tuple[str, Path], ...] = ()
    derivatives: bool = True
    participants: tuple[str, ...] = ()
    sessions: tuple[str, ...] = ()


class _CollectSourcesInputSpec(FunctionRuleInputSpec):
    sources = traits.List(
        traits.Tuple(traits.Str, traits.Str), mandatory=True, desc="name and path of each source"
    )
    stamps = traits.List(traits.Str, desc="source_stamp of each source: reads again on a change")
    request = traits.Dict(desc="fields of SourceRequest")
    atlas = traits.Str("", usedefault=True, desc="atlas of the edges; empty: the one there is")
    bids_dir = traits.Str(mandatory=True, desc="dataset with the dates of the sessions")
    table_files = InputMultiPath(File(exists=True), desc="tables of the dataset that are read")
    session_order = traits.List(traits.Str, desc="session labels, the earliest first")
    interval_days = traits.List(traits.Float, desc="planned days between sessions")
    derivative_files = InputMultiPath(File(exists=True), desc="own tables of the participants")
    ledger_file = File(exists=True, desc="ledger of all scans, if own derivatives are read too")


class CollectSources(SimpleInterface):
    """Measures and connectivity of other tools and tables, after our own if there are any.

    Without sources and own derivatives all tables are empty: a cohort of scores.
    """

    input_spec = _CollectSourcesInputSpec
    output_spec = _CollectedOutputSpec

    def _run_interface(self, runtime):
        inputs, folder = self.inputs, Path(runtime.cwd)
        request = SourceRequest(**(inputs.request or {}))
        found, atlas = collect_sources(inputs.sources, request, inputs.atlas)
        found, visits = with_visits(found, inputs)
        if isdefined(inputs.ledger_file):
            found, visits, atlas = after_own(inputs, found, visits, atlas)
        self._results |= _save_measures(folder, found.measures, visits, found.problems)
        if len(found.scans):
            self._results |= _save_connectivity(folder, found, atlas)
        return runtime


def with_visits(found: Collected, inputs: TraitedSpec) -> tuple[Collected, pd.DataFrame]:
    """Measures and their sessions in the order of time; sessions without one are problems."""
    rule = OrderRule(tuple(inputs.session_order), tuple(inputs.interval_days or ()))
    visits, unplaced = table_visits(found.measures, Path(inputs.bids_dir), rule)
    return replace(found, problems=(*found.problems, *unplaced)), visits


def after_own(
    inputs: TraitedSpec, found: Collected, visits: pd.DataFrame, atlas: str
) -> tuple[Collected, pd.DataFrame, str]:
    """Own measures first, then those of the sources; the edges are our own if there are any.

    A scan that one of the two could use is used.
    """
    ledger = with_sources(load_table(inputs.ledger_file))
    files = derived_files(inputs.derivative_files or ())
    own = collect(ledger, files, function_rule(inputs))
    measures, doubled = _joined([own.measures, found.measures])
    joined = pd.concat([visit_table(ledger, own.broken), visits], ignore_index=True)
    used = (joined["status"] == "used").rank(ascending=False, method="dense")
    order = joined.assign(used=used).sort_values("used", kind="stable")
    visits = order.drop_duplicates(KEYS).drop(columns="used").sort_index()
    problems = [Problem(item.what, item.where, item.what_to_do) for item in doubled]
    edges = own if len(own.scans) else found
    if len(own.scans) and len(found.scans):
        what = f"there is connectivity of our own and of a source ({atlas})"
        advice = "the edges of our own are tested; give another OUTPUT_DIR to test the source's"
        problems.append(Problem(what, GIVEN, advice))
    together = replace(edges, measures=measures, broken=own.broken)
    all_problems = (*own.problems, *found.problems, *problems)
    return replace(together, problems=all_problems), visits, inputs.atlas if edges is own else atlas


def collect_sources(
    sources: Iterable[tuple[str, str]], request: SourceRequest, atlas: str = ""
) -> tuple[Collected, str]:
    """Measures of all sources together, the edges of one atlas, and its name.

    A source that cannot be read is a problem; the others go on. What two sources tell about
    the same region of the same scan is taken from the first. Every atlas gives
    the measures that follow from its matrices; networks are those that names of regions tell.

    Parameters
    ----------
    sources : iterable of (name, path)
        As on the command line.
    request : SourceRequest
        What is wanted of all of them.
    atlas : str
        Whose edges are wanted; empty: of the atlas with most scans.

    Raises
    ------
    SettingsError
        The name of a source is unknown.
    DatasetError
        There are sources, and none can be read.
    """
    read: list[MeasureSource] = []
    failed: list[SourceProblem] = []
    for name, path in sources:
        try:
            read.append(read_source(name, Path(path), request))
        except DatasetError as error:
            failed.append(problem_of(error))
    empty = [item for source in read for item in _without_rows(source)]
    failed += empty
    if failed and len(empty) == len(read):
        raise DatasetError(
            "; ".join(f"{item.where}: {item.what}; {item.what_to_do}" for item in failed)
        )
    matrices = [item for source in read for item in source.matrices]
    edges, choice = _chosen(matrices, atlas)
    means = [_connectivity_rows(item) for item in matrices]
    measures, doubled = _joined([*(source.measures for source in read), *means])
    problems = (*failed, *(item for source in read for item in source.problems), *choice, *doubled)
    records = tuple(Problem(item.what, item.where, item.what_to_do) for item in problems)
    found = Collected(measures, edges.scans, edges.edges, edges.regions, {}, records)
    return found, edges.atlas


def _without_rows(source: MeasureSource) -> list[SourceProblem]:
    if len(source.measures) or source.matrices:
        return []
    what = "there is no row of a wanted participant, session and measure"
    advice = "correct the source or what is wanted of it, or use --scores-only"
    return [SourceProblem(what, str(source.path), advice)]


def _chosen(matrices: list[Matrices], atlas: str) -> tuple[Matrices, list[SourceProblem]]:
    names = list(dict.fromkeys(item.atlas for item in matrices))
    wanted = [item for item in matrices if item.atlas == atlas] if atlas in names else matrices
    if not wanted:
        none = pd.DataFrame(columns=EDGE_SCAN_COLUMNS)
        return Matrices("", (), none, np.empty((0, 0))), []
    chosen = max(wanted, key=lambda item: len(item.scans))
    if len(wanted) == 1:
        return chosen, []
    what = f"several atlases or sources of connectivity: {', '.join(names)}"
    advice = (
        f"the edges of {chosen.atlas} are tested; choose another by sources.atlases in the settings"
    )
    return chosen, [SourceProblem(what, GIVEN, advice)]


def _connectivity_rows(matrices: Matrices) -> pd.DataFrame:
    """Rows of `connectivity_measures` for all scans of an atlas, one participant at a time."""
    scans = matrices.scans.reset_index(drop=True)
    keys = list(scans[["participant_id", "session_id", "modality"]].itertuples(index=False))
    networks = {name: network_in_name(name) for name in matrices.regions}
    grouping = Grouping({name: network for name, network in networks.items() if network})
    blocks = []
    for _, rows in scans.groupby(["participant_id", "modality"], sort=False).groups.items():
        squares = np.array(list(_squares(matrices, rows)))
        table = connectivity_measures(squares, matrices.regions, grouping)
        for (measure, unit), part in table.groupby(["measure", "unit"], sort=False):
            names = (str(measure), str(unit), matrices.atlas, tuple(part["region"]))
            blocks += [
                Block(tuple(keys[row]), *names, part[place].to_numpy(dtype=float))
                for place, row in enumerate(rows)
            ]
    table, _ = long_table(blocks, [block.scan for block in blocks], SourceRequest(), Path())
    return table


def _squares(matrices: Matrices, rows: Iterable[int]) -> Iterator[np.ndarray]:
    n_regions = len(matrices.regions)
    upper = np.triu_indices(n_regions, k=1)
    for row in rows:
        square = np.full((n_regions, n_regions), np.nan)
        square[upper] = matrices.edges[row]
        square.T[upper] = matrices.edges[row]
        yield square


def _joined(tables: list[pd.DataFrame]) -> tuple[pd.DataFrame, list[SourceProblem]]:
    """All rows; those that an earlier table has already are left out."""
    filled = [table for table in tables if len(table)]
    if not filled:
        return pd.DataFrame(columns=MEASURE_COLUMNS), []
    joined = pd.concat(filled, ignore_index=True)
    families = [table[FAMILY].drop_duplicates() for table in filled]
    shared = pd.concat(families).duplicated().any()
    repeated = joined.duplicated(IDENTITY) if shared else pd.Series(False, index=joined.index)
    if not repeated.any():
        return joined, []
    measures = ", ".join(joined.loc[repeated, "measure"].drop_duplicates())
    what = f"{int(repeated.sum())} values come from two sources ({measures})"
    advice = "those of the source that is named first are used; name only one of them"
    problem = SourceProblem(what, GIVEN, advice)
    return joined[~repeated].reset_index(drop=True), [problem]
