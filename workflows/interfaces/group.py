"""Nodes of the group level: collect, change, models, flow, save."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable
from itertools import islice
from pathlib import Path

import numpy as np
import pandas as pd
from nipype.interfaces.base import (
    BaseInterfaceInputSpec,
    File,
    InputMultiPath,
    OutputMultiPath,
    SimpleInterface,
    TraitedSpec,
    isdefined,
    traits,
)

from bids_utils.derivatives import replaced_whole, write_json
from bids_utils.errors import DatasetError
from bids_utils.identifiers import compare_identifiers
from bids_utils.phenotype import read_participants
from bids_utils.rescan_table import read_rescan
from workflows.compute.change import change_table, difference, paired_rows, session_pairs
from workflows.compute.design import level_text
from workflows.compute.families import is_quality
from workflows.compute.flow import (
    ENROLLED,
    FLOW_TESTS,
    FlowCohort,
    analysed_rows,
    excluded_scans,
    family_pairs,
    flow_table,
    lost_pairs,
    not_analysed,
    scan_steps,
    score_steps,
    untested_families,
)
from workflows.compute.measures import edge_labels
from workflows.compute.problems import Problem, problem_table
from workflows.compute.rescan import repeated_errors
from workflows.compute.visits import (
    ordered_pairs,
    paired_visits,
    positioned_visits,
    session_sequence,
)
from workflows.interfaces.analyses import Analysed, Rules, analyse
from workflows.interfaces.derived_connectivity import FunctionRuleInputSpec, function_rule
from workflows.interfaces.derived_files import derived_files
from workflows.interfaces.derived_measures import (
    Collected,
    collect,
    visit_table,
    with_sources,
)
from workflows.interfaces.group_cohort import (
    GroupFiles,
    Study,
    StudyOrder,
    compared_sessions,
    load_cohort,
    load_study,
)
from workflows.interfaces.group_tables import dictionary_of, load_table, save_table

PEOPLE = "participants.tsv"


class _CollectedOutputSpec(TraitedSpec):
    measures_file = File(exists=True, desc="long table of measures")
    visits_file = File(exists=True, desc="scans looked for: used or why not, days from baseline")
    connectivity_file = File(exists=True, desc="Fisher z, n_scans x n_edges (.npy)")
    scans_file = File(exists=True, desc="scan of each row of connectivity_file")
    edges_file = File(exists=True, desc="regions of each column of connectivity_file")
    problems_file = File(exists=True, desc="what was left out and why")


class _CollectDerivativesInputSpec(FunctionRuleInputSpec):
    derivative_files = InputMultiPath(File(exists=True), desc="tables of the participants")
    ledger_file = File(exists=True, mandatory=True, desc="ledger of all scans")
    atlas = traits.Str(mandatory=True, desc="name of the atlas in the file names")


class CollectDerivatives(SimpleInterface):
    """Measures of all used scans, from the derivatives on disk."""

    input_spec = _CollectDerivativesInputSpec
    output_spec = _CollectedOutputSpec

    def _run_interface(self, runtime):
        ledger = with_sources(load_table(self.inputs.ledger_file))
        files = derived_files(self.inputs.derivative_files or ())
        found = collect(ledger, files, function_rule(self.inputs))
        visits = visit_table(ledger, found.broken)
        folder = Path(runtime.cwd)
        self._results |= _save_measures(folder, found.measures, visits, found.problems)
        if len(found.scans):
            self._results |= _save_connectivity(folder, found, self.inputs.atlas)
        return runtime


class _MeasureChangeInputSpec(BaseInterfaceInputSpec):
    measures_file = File(exists=True, mandatory=True, desc="long table of measures")
    visits_file = File(exists=True, mandatory=True, desc="scans with days from baseline")
    connectivity_file = File(exists=True, desc="Fisher z, n_scans x n_edges (.npy)")
    scans_file = File(exists=True, desc="scan of each row of connectivity_file")
    session_order = traits.List(traits.Str, desc="session labels, the earliest first")
    compared = traits.List(traits.Str, desc="baseline and follow-up of the models, if chosen")
    rescan_file = File(exists=True, desc="table of repeated scans: standard deviations in percent")


class _MeasureChangeOutputSpec(TraitedSpec):
    change_file = File(exists=True, desc="long table of changes")
    waves_file = File(exists=True, desc="scans that are used, in the order of time")
    connectivity_change_file = File(
        exists=True, desc="change of Fisher z, n_pairs x n_edges (.npy)"
    )
    pairs_file = File(exists=True, desc="pair of each row of connectivity_change_file")
    sessions = traits.List(traits.Str, desc="sessions in the order of time")
    pair = traits.List(traits.Str, desc="baseline and follow-up of the models of change")
    problems_file = File(exists=True, desc="what was left out and why")


class MeasureChange(SimpleInterface):
    """Change of each measure from the first session to every later one."""

    input_spec = _MeasureChangeInputSpec
    output_spec = _MeasureChangeOutputSpec

    def _run_interface(self, runtime):
        order, folder = tuple(self.inputs.session_order), Path(runtime.cwd)
        visits = load_table(self.inputs.visits_file)
        placed, pairs, problems = placed_visits(visits, order)
        sessions = session_sequence(placed, order) or list(order)
        measured = list(dict.fromkeys(visits["session_id"]))
        pair = compared_sessions(sessions, tuple(self.inputs.compared), measured)
        self._results |= {"sessions": sessions, "pair": pair}
        files, unused = _save_change(folder, self.inputs, placed, pairs)
        self._results |= files
        self._results["problems_file"] = save_problems(folder, (*problems, *unused))
        return runtime


class _AnalysisInputSpec(BaseInterfaceInputSpec):
    kind = traits.Str(mandatory=True, desc="kind of the analysis")
    asked = traits.Str(mandatory=True, desc="what is asked, as JSON")
    alpha = traits.Float(mandatory=True, desc="level of the tests, for the smallest effect")
    n_permutations = traits.Int(mandatory=True, desc="permutations for family-wise p values")
    network_threshold = traits.Float(
        mandatory=True, desc="t above which edges form networks; 0: none"
    )
    random_seed = traits.Int(mandatory=True, desc="start of the random numbers")
    measures_file = File(exists=True, mandatory=True, desc="long table of measures")
    waves_file = File(exists=True, mandatory=True, desc="scans that are used")
    connectivity_file = File(exists=True, desc="Fisher z, n_scans x n_edges (.npy)")
    scans_file = File(exists=True, desc="scan of each row of connectivity_file")
    edges_file = File(exists=True, desc="regions of each column of connectivity_file")
    raw_measures = File(exists=True, mandatory=True, desc="measures before sites are harmonised")
    raw_connectivity = File(exists=True, desc="Fisher z before sites are harmonised (.npy)")
    scores_file = File(exists=True, mandatory=True, desc="declared scores of the participants")
    sessions = traits.List(traits.Str, mandatory=True, desc="sessions in the order of time")
    score_sessions = traits.List(traits.Str, mandatory=True, desc="sessions with scores")
    planned_days = traits.Str("[]", usedefault=True, desc="days of the sessions, as JSON")
    moments = traits.Str("[]", usedefault=True, desc="moments of the sessions, as JSON")
    pair = traits.List(traits.Str, mandatory=True, desc="baseline and follow-up")
    bids_dir = traits.Str(mandatory=True, desc="dataset with participants.tsv and scores")
    table_files = InputMultiPath(File(exists=True), desc="tables of the dataset that are read")


class _AnalysisOutputSpec(TraitedSpec):
    model_files = OutputMultiPath(File(exists=True), desc="results")
    sensitivity_file = File(exists=True, desc="smallest effects this sample could have found")
    problems_file = File(exists=True, desc="what could not be fitted and why")


class Analysis(SimpleInterface):
    """One model, mechanism, process or prediction."""

    input_spec = _AnalysisInputSpec
    output_spec = _AnalysisOutputSpec

    def _run_interface(self, runtime):
        folder, inputs = Path(runtime.cwd), self.inputs
        rules = Rules(
            inputs.alpha, inputs.n_permutations, inputs.network_threshold, inputs.random_seed
        )
        result = analyse(inputs.kind, inputs.asked, study_of(inputs), rules)
        self._results |= save_analysed(folder, result)
        return runtime


class _CohortFlowInputSpec(BaseInterfaceInputSpec):
    visits_file = File(exists=True, mandatory=True, desc="scans looked for")
    change_file = File(exists=True, mandatory=True, desc="long table of changes")
    model_files = InputMultiPath(File(exists=True), desc="results of the models")
    sensitivity_files = InputMultiPath(File(exists=True), desc="smallest effects per model")
    problem_files = InputMultiPath(File(exists=True), desc="problems of all nodes")
    pair = traits.List(traits.Str, mandatory=True, desc="baseline and follow-up")
    arm_column = traits.Str(desc="column of the arm, or empty")
    main_model = traits.Str("change", usedefault=True, desc="model that everybody is accounted for")
    covariates = traits.List(traits.Str, desc="columns the models need")
    notices = traits.List(
        traits.Tuple(traits.Str, traits.Str, traits.Str), desc="problems known before the run"
    )
    scores_file = File(exists=True, mandatory=True, desc="declared scores of the participants")
    bids_dir = traits.Str(mandatory=True, desc="dataset with participants.tsv and scores")
    table_files = InputMultiPath(File(exists=True), desc="tables of the dataset that are read")


class _CohortFlowOutputSpec(TraitedSpec):
    flow_file = File(exists=True, desc="participants per step and arm")
    sensitivity_file = File(exists=True, desc="smallest effects of all models")
    problems_file = File(exists=True, desc="all problems")


class CohortFlow(SimpleInterface):
    """Participants from the list to the analysis; problems and smallest effects of all nodes."""

    input_spec = _CohortFlowInputSpec
    output_spec = _CohortFlowOutputSpec

    def _run_interface(self, runtime):
        folder = Path(runtime.cwd)
        tests = brain_tests(self.inputs.model_files)
        flow = cohort_flow(self.inputs, tests)
        known = problem_table(known_problems(self.inputs, tests))
        problems = joined([known, joined_tables(self.inputs.problem_files)]).drop_duplicates()
        sensitivity = joined_tables(self.inputs.sensitivity_files)
        self._results["flow_file"] = save_table(flow, folder / "flow.tsv")
        self._results["problems_file"] = save_table(problems, folder / "problems.tsv")
        self._results["sensitivity_file"] = save_table(sensitivity, folder / "sensitivity.tsv")
        return runtime


class _SaveGroupInputSpec(BaseInterfaceInputSpec):
    files = InputMultiPath(File(exists=True), mandatory=True, desc="files of the group folder")
    model_files = InputMultiPath(File(exists=True), desc="results of the models")
    sensitivity_file = File(exists=True, desc="smallest effects, beside the results")
    output_dir = traits.Str(mandatory=True, desc="derivative dataset")


class _SaveGroupOutputSpec(TraitedSpec):
    group_dir = traits.Str(desc="folder of the group level")
    group_files = OutputMultiPath(File(exists=True), desc="all files written")


class SaveGroup(SimpleInterface):
    """Copy the results into OUTPUT_DIR/group, each file whole or not at all."""

    input_spec = _SaveGroupInputSpec
    output_spec = _SaveGroupOutputSpec

    def _run_interface(self, runtime):
        group_dir = Path(self.inputs.output_dir) / "group"
        placed = {group_dir / Path(file).name: file for file in self.inputs.files}
        models = [file for file in self.inputs.model_files if has_rows(file)]
        models.append(self.inputs.sensitivity_file)
        placed |= {group_dir / "models" / Path(file).name: file for file in models}
        publish(placed, group_dir)
        self._results["group_dir"] = str(group_dir)
        self._results["group_files"] = [str(target) for target in placed]
        return runtime


def placed_visits(
    visits: pd.DataFrame, order: tuple[str, ...]
) -> tuple[pd.DataFrame, pd.DataFrame, tuple[Problem, ...]]:
    """Used visits in the order of time, their pairs, and what was left out."""
    placed, unplaced = positioned_visits(visits[visits["status"] == "used"], order)
    pairs, reversed_pairs = ordered_pairs(session_pairs(placed))
    columns = ["participant_id", "session_id", "modality", "position", "days_from_baseline"]
    return paired_visits(placed, pairs)[columns], pairs, (*unplaced, *reversed_pairs)


def study_of(inputs: TraitedSpec) -> Study:
    """Cohort and families of an analysis.

    A prediction takes the measures before sites are harmonised: it must learn that in its folds.
    """
    raw = inputs.kind == "prediction"
    paths = {
        "connectivity": inputs.raw_connectivity if raw else inputs.connectivity_file,
        "scans": inputs.scans_file,
        "edges": inputs.edges_file,
    }
    measures = inputs.raw_measures if raw else inputs.measures_file
    known = {name: str(path) for name, path in paths.items() if isdefined(path)}
    files = GroupFiles(measures, inputs.waves_file, inputs.scores_file, **known)
    order = StudyOrder(
        tuple(inputs.sessions),
        tuple(inputs.score_sessions),
        tuple(inputs.pair),
        tuple((label, days) for label, days in json.loads(inputs.planned_days)),
        tuple((label, moment) for label, moment in json.loads(inputs.moments)),
    )
    return load_study(files, Path(inputs.bids_dir), order)


def save_analysed(folder: Path, result: Analysed) -> dict[str, str | list[str]]:
    """Write the tables of an analysis; returns the paths by output."""
    files = [save_table(table, folder / f"{name}.tsv") for name, table in result.tables.items()]
    return {
        "model_files": files,
        "sensitivity_file": save_table(result.sensitivity, folder / "sensitivity.tsv"),
        "problems_file": save_problems(folder, result.problems),
    }


def cohort_flow(inputs: TraitedSpec, tests: pd.DataFrame) -> pd.DataFrame:
    """Participants per step and arm, who was lost and why, who was analysed."""
    visits, changes = load_table(inputs.visits_file), load_table(inputs.change_file)
    pair, people = tuple(inputs.pair), read_participants(Path(inputs.bids_dir))
    everyone = list(dict.fromkeys([*people.index, *visits["participant_id"]]))
    scores = load_table(inputs.scores_file)
    change = load_cohort(Path(inputs.bids_dir), scores, pair, everyone).score_change
    scans = list(scan_steps(visits, changes, pair)) if len(visits) else []
    steps = [(ENROLLED, "", frozenset(people.index)), *scans]
    steps += list(score_steps(scores, change, pair[0]))
    arms = arm_of_each(people, inputs.arm_column, everyone)
    cohort = FlowCohort(everyone, arms, pair, visits, unusable(inputs, people, everyone))
    pairs = family_pairs(changes, change, pair)
    usable = {detail: found for step, detail, found in scans if step == "usable pair"}
    return joined(
        [
            flow_table(steps, arms),
            excluded_scans(cohort),
            lost_pairs(visits, usable, pair, everyone),
            analysed_rows(tests[tests["p"].notna()], set(arms)),
            not_analysed(tests, inputs.main_model, pairs, cohort),
        ]
    )


def brain_tests(model_files: list[str]) -> pd.DataFrame:
    """FLOW_TESTS of all models, without measures of the quality of images."""
    tables = [load_table(file, FLOW_TESTS) for file in model_files]
    whole = [table for table in tables if {"family", "n_per_arm"} <= set(table)]
    tests = joined(whole or tables).reindex(columns=FLOW_TESTS)
    known = {measure: is_quality(str(measure)) for measure in tests["measure"].unique()}
    return tests[~tests["measure"].map(known).astype(bool)]


def arm_of_each(people: pd.DataFrame, column: str, everyone: list[str]) -> pd.Series:
    """Arm per participant; empty text where unknown."""
    arms = pd.Series("", index=everyone, dtype=object)
    if column not in people:
        return arms
    known = people[column].dropna()
    return arms.where(~arms.index.isin(known.index), known.map(level_text).reindex(everyone))


def unusable(inputs: TraitedSpec, people: pd.DataFrame, everyone: list[str]) -> dict[str, str]:
    """Why participants with a pair cannot be in a model: no arm, no covariate."""
    wanted = [inputs.arm_column, *(inputs.covariates or ())]
    reasons: dict[str, str] = {}
    for name in (name for name in wanted if name in people):
        values = people[name].reindex(everyone)
        reasons = {who: f"{name} is unknown" for who in values.index[values.isna()]} | reasons
    return reasons


def known_problems(inputs: TraitedSpec, tests: pd.DataFrame) -> list[Problem]:
    """Problems known before the run, people who are not listed, and what was not tested."""
    notices = [Problem(*notice) for notice in inputs.notices or ()]
    return [*notices, *dataset_problems(inputs), *untested_families(tests)]


def dataset_problems(inputs: TraitedSpec) -> list[Problem]:
    """Participants with measures or scores that participants.tsv does not list."""
    listed = [f"sub-{label}" for label in read_participants(Path(inputs.bids_dir)).index]
    if not listed and not inputs.arm_column:
        return []
    if not listed:
        todo = f"write it, a row per participant, with the column '{inputs.arm_column}'"
        return [Problem("it is not there, or lists nobody: no arm is known", PEOPLE, todo)]
    todo = "correct the name, or add the row: the arm is unknown"
    problems = []
    for name, file in (("measures", inputs.visits_file), ("scores", inputs.scores_file)):
        seen = load_table(file, ("participant_id",))["participant_id"].drop_duplicates()
        compared = compare_identifiers([f"sub-{label}" for label in seen], listed)
        texts = compared.sentences(f"the {name}", PEOPLE)
        problems += [Problem(text, PEOPLE, todo) for text in texts]
    return problems


def joined_tables(files: list[str]) -> pd.DataFrame:
    """Rows of several tables with the same columns."""
    return joined([load_table(file) for file in files])


def joined(tables: list[pd.DataFrame]) -> pd.DataFrame:
    """Rows of several tables; tables without rows only give their columns."""
    filled = [table for table in tables if len(table)]
    return pd.concat(filled, ignore_index=True) if filled else tables[0]


def save_problems(folder: Path, problems: Iterable[Problem]) -> str:
    """Write a table of problems; returns the path."""
    return save_table(problem_table(problems), folder / "problems.tsv")


def has_rows(file: str) -> bool:
    """Whether a table has more than its header; a model without rows is among the problems."""
    with Path(file).open(encoding="utf-8") as lines:
        return sum(1 for _ in islice(lines, 2)) > 1


def publish(placed: dict[Path, str], group_dir: Path) -> None:
    """Copy files to their places, each table with its dictionary; remove older tables.

    An older report is removed first, so that none stands beside tables that it is not about.

    Raises
    ------
    DatasetError
        The folder cannot be written.
    """
    try:
        (group_dir / "models").mkdir(parents=True, exist_ok=True)
        (group_dir / "report.html").unlink(missing_ok=True)
        for target, source in placed.items():
            with replaced_whole(target) as temporary:
                shutil.copyfile(source, temporary)
            if target.suffix == ".tsv":
                write_json(dictionary_of(target), target.with_suffix(".json"))
        known = {path.with_suffix(end) for path in placed for end in (path.suffix, ".json")}
        for kind in ("*.tsv", "*.json", "*.npy", "models/*.tsv", "models/*.json"):
            for old in set(group_dir.glob(kind)) - known:
                old.unlink()
    except OSError as error:
        raise DatasetError(
            f"{group_dir}: cannot be written ({error.strerror}); check the permissions and the "
            "free space of this folder"
        ) from error


def unused_rescan(changes: pd.DataFrame, rescan: pd.DataFrame, file: str) -> list[Problem]:
    """A problem where no row of a table of repeated scans is about a measure and region here."""
    if np.isfinite(repeated_errors(changes, rescan)[0]).any():
        return []
    names = ", ".join(f"'{name}'" for name in changes["measure"].unique())
    what = "no row has a measure, atlas and region of this study"
    return [Problem(what, str(file), f"write them as measures.tsv does; its measures: {names}")]


def _save_measures(
    folder: Path, measures: pd.DataFrame, visits: pd.DataFrame, problems: Iterable[Problem]
) -> dict[str, str]:
    return {
        "measures_file": save_table(measures, folder / "measures.tsv"),
        "visits_file": save_table(visits, folder / "visits.tsv"),
        "problems_file": save_problems(folder, problems),
    }


def _save_connectivity(folder: Path, found: Collected, atlas: str) -> dict[str, str]:
    values_file = folder / f"connectivity_{atlas}.npy"
    np.save(values_file, found.edges)
    edges = edge_labels(list(found.regions)).assign(atlas=atlas)
    return {
        "connectivity_file": str(values_file),
        "scans_file": save_table(found.scans, folder / f"connectivity_{atlas}_scans.tsv"),
        "edges_file": save_table(edges, folder / f"connectivity_{atlas}_edges.tsv"),
    }


def _save_change(
    folder: Path, inputs: TraitedSpec, placed: pd.DataFrame, pairs: pd.DataFrame
) -> tuple[dict[str, str], list[Problem]]:
    rescan = read_rescan(Path(inputs.rescan_file)) if isdefined(inputs.rescan_file) else None
    changes = change_table(load_table(inputs.measures_file), pairs, rescan)
    problems = [] if rescan is None else unused_rescan(changes, rescan, inputs.rescan_file)
    files = {
        "waves_file": save_table(placed, folder / "waves.tsv"),
        "change_file": save_table(changes, folder / "change.tsv"),
    }
    if isdefined(inputs.connectivity_file):
        files |= _save_edge_change(folder, inputs, pairs)
    return files, problems


def _save_edge_change(folder: Path, inputs: TraitedSpec, pairs: pd.DataFrame) -> dict[str, str]:
    stem = Path(inputs.connectivity_file).stem
    values, scans = np.load(inputs.connectivity_file, mmap_mode="r"), load_table(inputs.scans_file)
    pairs = pairs[pairs["modality"].isin(scans["modality"])]
    rows = paired_rows(scans, pairs)
    changes = np.empty((len(pairs), values.shape[1]), dtype=values.dtype)
    days = pairs["interval_days"].to_numpy(dtype=float)
    for place, ((first, last), interval) in enumerate(zip(rows, days, strict=True)):
        changes[place] = difference(values[first], values[last], interval)
    np.save(folder / f"{stem}_change.npy", changes)
    pairs = pairs.assign(baseline_row=rows[:, 0], followup_row=rows[:, 1])
    return {
        "connectivity_change_file": str(folder / f"{stem}_change.npy"),
        "pairs_file": save_table(pairs, folder / f"{stem}_pairs.tsv"),
    }
