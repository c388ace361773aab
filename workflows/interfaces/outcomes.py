"""Scores of the participants: taken in once, judged by the criteria of their scales."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
from nipype.interfaces.base import (
    BaseInterfaceInputSpec,
    File,
    InputMultiPath,
    OutputMultiPath,
    SimpleInterface,
    TraitedSpec,
    traits,
)
from pydantic import TypeAdapter

from bids_utils.phenotype import ScoreRule, list_problems, read_participants, take_in_scores
from workflows.compute.completers import compare_completers
from workflows.compute.composite import CompositeSpec, composite_score
from workflows.compute.courses import log_rank, response_times
from workflows.compute.design import level_text
from workflows.compute.families import score_table
from workflows.compute.outcome_baselines import baseline_slopes
from workflows.compute.outcome_rates import outcome_rates, rate_differences
from workflows.compute.outcomes import participant_outcomes
from workflows.compute.problems import NOTE, ModelError, Problem, problem_table
from workflows.compute.scale import Scale
from workflows.compute.trajectories import time_to_event
from workflows.interfaces.group_tables import save_table
from workflows.interfaces.score_problems import score_problem, session_problems

MIN_COURSE = 3
SCORE_COLUMNS = ["participant_id", "session_id", "score", "value", "moment", "role"]


@dataclass(frozen=True)
class ScoreRequest:
    """What a study wants to know of its scores.

    `scales` are all declared scores, `outcomes` names those that are judged, `rules` says
    their ranges and moments, `moments` when each session was, `days` the planned days of
    `sessions` from the first one on (empty: not known).
    """

    scales: tuple[Scale, ...] = ()
    outcomes: tuple[str, ...] = ()
    rules: tuple[ScoreRule, ...] = ()
    composites: tuple[CompositeSpec, ...] = ()
    moments: dict[str, Literal["before", "after"] | int] = field(default_factory=dict)
    sessions: tuple[str, ...] = ()
    days: tuple[float, ...] = ()
    pair: tuple[str, str] | None = None
    arm_column: str = ""
    reference_arm: str = ""
    characteristics: tuple[str, ...] = ()
    confidence: float = 0.95


REQUEST = TypeAdapter(ScoreRequest)


class _PatientOutcomesInputSpec(BaseInterfaceInputSpec):
    asked = traits.Str(mandatory=True, desc="the request, as JSON of ScoreRequest")
    bids_dir = traits.Str(mandatory=True, desc="dataset with participants.tsv and scores")
    table_files = InputMultiPath(File(exists=True), desc="tables of the dataset that are read")
    scanned_sessions = traits.List(traits.Str, desc="sessions with usable measures, in time order")


class _PatientOutcomesOutputSpec(TraitedSpec):
    scores_file = File(exists=True, desc="all declared scores, with their moment")
    score_sessions = traits.List(traits.Str, desc="sessions with scores, in the order of time")
    outcome_files = OutputMultiPath(File(exists=True), desc="outcomes, criteria, rates, dropouts")
    problems_file = File(exists=True, desc="what was set aside and why")


class PatientOutcomes(SimpleInterface):
    """Scores, and what became of each participant: response, remission, reliable change."""

    input_spec = _PatientOutcomesInputSpec
    output_spec = _PatientOutcomesOutputSpec

    def _run_interface(self, runtime):
        folder, bids_dir = Path(runtime.cwd), Path(self.inputs.bids_dir)
        request = REQUEST.validate_json(self.inputs.asked)
        order = request.sessions or tuple(self.inputs.scanned_sessions)
        scores, problems = taken_in(bids_dir, request, tuple(self.inputs.scanned_sessions))
        tables, more = judged(request, scores, read_participants(bids_dir), order)
        tables = {"scores": scores, **tables, "problems": problem_table([*problems, *more])}
        files = [save_table(table, folder / f"{name}.tsv") for name, table in tables.items()]
        self._results["score_sessions"] = list(score_sessions(scores, order))
        self._results["scores_file"], *_, self._results["problems_file"] = files
        self._results["outcome_files"] = files[:-1]
        return runtime


def taken_in(
    bids_dir: Path, request: ScoreRequest, scanned: tuple[str, ...]
) -> tuple[pd.DataFrame, list[Problem]]:
    """Declared scores and composites, SCORE_COLUMNS, and what was set aside."""
    sessions = tuple(dict.fromkeys([*request.sessions, *scanned]))
    moments = dict.fromkeys(sessions) | request.moments
    intake = take_in_scores(bids_dir, request.rules, scanned, moments)
    names = [rule.name for rule in request.rules]
    texts = dict.fromkeys([*intake.problems, *list_problems(bids_dir, names, sessions)])
    problems = [score_problem(text, bids_dir) for text in texts]
    problems += session_problems(intake.scores, request.sessions, request.moments, scanned)
    problems += [
        Problem(text, "scores", "nothing, if this is meant", NOTE) for text in intake.notes
    ]
    tables = [intake.scores]
    first = (from_baseline(intake.scores, sessions, request.pair) or [""])[0]
    for composite in request.composites:
        try:
            made = composite_score(intake.scores, composite, first)
        except ModelError as error:
            problems.append(error.problem)
            continue
        moment = made.rows["session_id"].map(request.moments)
        tables.append(made.rows.assign(moment=moment.astype(object)))
        problems += made.problems
    filled = [table for table in tables if len(table)] or tables[:1]
    scores = pd.concat(filled, ignore_index=True)
    judged_scores = {*request.outcomes, *(composite.name for composite in request.composites)}
    roles = ["outcome" if name in judged_scores else "process" for name in scores["score"]]
    return scores.assign(role=roles)[SCORE_COLUMNS], problems


def judged(
    request: ScoreRequest,
    scores: pd.DataFrame,
    people: pd.DataFrame,
    sessions: tuple[str, ...],
) -> tuple[dict[str, pd.DataFrame], list[Problem]]:
    """Tables of outcomes by the name of their file, and what could not be judged."""
    found = set(scores.loc[scores["value"].notna(), "score"]) & set(request.outcomes)
    known = {
        scale: from_baseline(scores[scores["score"] == scale.name], sessions, request.pair)
        for scale in request.scales
        if scale.name in found
    }
    known = {scale: labels for scale, labels in known.items() if len(labels) > 1}
    if not known:
        return {"outcomes": pd.DataFrame(columns=["participant_id", "score"])}, []
    if people.empty:
        people = people.reindex(scores["participant_id"].unique())
    arms = pd.Series("all", index=people.index, dtype=object)
    if request.arm_column in people:
        arms = people[request.arm_column].map(level_text)
    made = [
        participant_outcomes(
            scores[scores["session_id"].isin(labels)], [scale], tuple(labels), people.index
        )
        for scale, labels in known.items()
    ]
    rows = pd.concat([one.rows for one in made], ignore_index=True)
    criteria = pd.concat([one.criteria for one in made], ignore_index=True)
    rates = outcome_rates(rows, arms, request.confidence)
    reference = request.reference_arm or (arms[arms != ""].min() if (arms != "").any() else "")
    tables = {
        "outcomes": rows,
        "outcome_criteria": criteria,
        "outcome_rates": rates,
        "outcome_differences": rate_differences(rates, str(reference), request.confidence),
        "outcome_baselines": baseline_slopes(rows, known, arms, request.confidence),
        "completers": _completers(request, rows, people, arms),
        **response_courses(request, scores, people, arms),
    }
    return tables, [problem for one in made for problem in one.problems]


def from_baseline(
    scores: pd.DataFrame, sessions: tuple[str, ...], pair: tuple[str, str] | None
) -> list[str]:
    """Sessions with values, in the order of time, from the baseline of the models on."""
    there = list(score_sessions(scores, sessions))
    return there[there.index(pair[0]) :] if pair and pair[0] in there else there


def response_courses(
    request: ScoreRequest, scores: pd.DataFrame, people: pd.DataFrame, arms: pd.Series
) -> dict[str, pd.DataFrame]:
    """Time to response of scores with three or more sessions: curves, and arms compared."""
    curves, tests = [], []
    for scale in request.scales:
        own = scores[scores["score"] == scale.name]
        there = tuple(from_baseline(own, request.sessions, request.pair))
        if scale.name not in request.outcomes or len(there) < MIN_COURSE:
            continue
        table = score_table(own, list(people.index))[scale.name]
        values = table.reindex(columns=list(there)).to_numpy(dtype=float)
        places = [request.sessions.index(label) for label in there]
        times = np.array([request.days[p] if request.days else p for p in places], dtype=float)
        found = response_times(values, times, scale)
        known = arms.to_numpy(dtype=object)
        curve = time_to_event(found.time, found.event, known, request.confidence)
        curves.append(curve.assign(score=scale.name))
        named = known != ""
        try:
            parts = (found.time[named], found.event[named], known[named])
            tests.append(log_rank(*parts, request.confidence).rows.assign(score=scale.name))
        except ModelError:
            continue  # one arm, or nobody responded: the curve says so
    tables = {"time_to_response": curves, "time_to_response_arms": tests}
    return {name: pd.concat(parts, ignore_index=True) for name, parts in tables.items() if parts}


def _completers(request, rows, people, arms):
    """Who has the main outcome at the last compared session, against who has not."""
    main = next(name for name in request.outcomes if name in set(rows["score"]))
    own = rows[rows["score"] == main]
    last = request.pair[1] if request.pair else own["followup"].iloc[-1]
    final = own[own["followup"] == last] if (own["followup"] == last).any() else own
    completed = final.set_index("participant_id")["change"].notna()
    completed = completed[~completed.index.duplicated()]
    names = [name for name in request.characteristics if name in people]
    baseline = own.drop_duplicates("participant_id").set_index("participant_id")["baseline_value"]
    table = people[names].assign(**{f"{main} at baseline": baseline.reindex(people.index)})
    return compare_completers(table, completed, arms, request.confidence)


def score_sessions(scores: pd.DataFrame, order: tuple[str, ...]) -> tuple[str, ...]:
    """Sessions that have scores, in the order of time."""
    known = set(scores.loc[scores["value"].notna(), "session_id"])
    return tuple(label for label in order if label in known)
