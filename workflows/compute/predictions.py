"""Prediction of a study: variables to cases, scores, people, calibration and facts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import pandas as pd

from workflows.compute.design import level_text
from workflows.compute.fold_steps import SiteOffsets
from workflows.compute.outcomes import responded
from workflows.compute.prediction import PredictionResult, predict_outcome
from workflows.compute.prediction_cases import Cases, PredictionSpec, with_correlations
from workflows.compute.problems import ModelError, Problem
from workflows.compute.scale import Scale
from workflows.compute.temporal_order import Moment
from workflows.compute.treatment_selection import (
    SelectionSpec,
    TreatmentCases,
    treatment_selection,
)
from workflows.compute.variables import (
    Source,
    Variable,
    VariableSpec,
    covariate_columns,
    score_at,
    variable,
)

ARM = "arm"


@dataclass(frozen=True)
class PredictionRequest:
    """What is predicted from what; see the settings of the same names.

    `harmonise` removes the mean of each site, learned in the training participants. `tangent`
    takes one variable: the connections of a session, as Fisher z of correlations.
    """

    name: str
    target: VariableSpec
    response: bool
    clinical: tuple[VariableSpec, ...]
    brain: tuple[VariableSpec, ...]
    method: Literal["elastic_net", "cpm", "tangent"]
    confounds: tuple[str, ...] = ()
    by_site: bool = False
    harmonise: bool = False
    site_column: str = ""
    arm_column: str = ""
    randomised: bool = False
    scale: Scale | None = None
    n_folds: int = 5
    n_repeats: int = 10
    n_permutations: int = 200
    confidence: float = 0.95
    planned: bool = False


def run_prediction(
    request: PredictionRequest, source: Source, rng: np.random.Generator
) -> dict[str, pd.DataFrame]:
    """Tables of a prediction by the end of their file's name ("" for the scores).

    Raises
    ------
    ModelError
        A variable is not there or was not measured before the outcome; too few participants;
        connections that are no matrix of correlations, for `tangent`.
    """
    source = replace(source, level_columns=frozenset({request.site_column}))
    target = _target(request, source)
    clinical = _clinical(request, source)
    brain = {asked.name: variable(asked, source) for asked in request.brain}
    for own in brain.values():
        _check_first(request, own, source)
    _check_columns(request, source, target)
    cases = Cases(
        np.asarray(source.cohort.participants.index),
        target,
        clinical,
        {name: found.values for name, found in brain.items()},
        covariate_columns(request.confounds, source)[0],
        _sites(request, source),
    )
    result = _predicted(request, cases, brain, rng)
    selection, said = _selection(request, source, cases, rng)
    return _tables(request, result, said) | selection


def _predicted(
    request: PredictionRequest,
    cases: Cases,
    brain: Mapping[str, Variable],
    rng: np.random.Generator,
) -> PredictionResult:
    spec = PredictionSpec(
        kind="binary" if request.response else "continuous",
        predictors_first=True,
        method="ridge" if request.method == "tangent" else request.method,
        group_by="site" if request.by_site else "participant",
        harmoniser=SiteOffsets() if request.harmonise and not request.by_site else None,
        n_folds=request.n_folds,
        n_repeats=request.n_repeats,
        n_permutations=request.n_permutations,
        confidence=request.confidence,
    )
    if request.method != "tangent":
        return predict_outcome(cases, spec, rng)
    [connections] = brain.values()
    matrices, said = with_correlations(cases, connections.labels)
    result = predict_outcome(matrices, spec, rng)
    return replace(result, facts=dict(result.facts) | {"tangent space": said})


def _sites(request, source):
    people = source.cohort.participants
    if not (request.by_site or request.harmonise) or request.site_column not in people:
        return None
    return people[request.site_column].map(level_text).to_numpy(dtype=object)


def _target(request, source):
    if not request.response:
        return variable(request.target, source).single
    asked = request.target
    if asked.score is None or asked.change is None or request.scale is None:
        what = "response needs a score and its change"
        todo = "write target: {score: ..., change: [first, last]}"
        raise ModelError(Problem(what, f"prediction {request.name}", todo))
    sides = [
        variable(VariableSpec(score=asked.score, session=label), source).single
        for label in asked.change
    ]
    answers = responded(*sides, request.scale)
    known = {"yes": 1.0, "no": 0.0}
    return np.array([known.get(answer, np.nan) for answer in answers])


def _clinical(request, source):
    columns = {}
    for asked in request.clinical:
        if asked.column is not None:
            name = request.arm_column if asked.column == ARM else asked.column
            if name not in source.cohort.participants:
                variable(VariableSpec(column=name), source)
            columns[asked.column] = source.cohort.participants[name].to_numpy()
        else:
            found = variable(asked, source)
            _check_first(request, found, source)
            columns[found.name] = found.single
    return pd.DataFrame(columns, index=source.cohort.participants.index)


def _check_columns(request, source, target):
    """Refuse columns and confounds that hold the outcome, or what was measured with it."""
    people = source.cohort.participants
    scores = {name: score_at(name) for name in request.confounds}
    for score in scores.values():
        if score is not None:
            _check_first(request, variable(score, source), source)
    asked = [part for part in request.clinical if part.column is not None]
    for part in asked:
        if part.moment is not None:
            _check_first(request, variable(part, source), source)
    known = [part.column for part in asked if part.moment is None]
    for name in (*known, *(name for name, score in scores.items() if score is None)):
        numeric = name in people and pd.api.types.is_numeric_dtype(people[name])
        values = people[name].to_numpy(dtype=float) if numeric else np.empty(0)
        if numeric and any(_same(values, late) for late in _late_values(request, source, target)):
            what = f"'{name}' holds what was measured with the outcome"
            raise ModelError(Problem(what, f"prediction {request.name}", "leave it out"))


def _late_values(request, source, target):
    """The outcome, and each score that is not certainly measured before it."""
    yield target
    outcome = variable(request.target, source).measured.moments
    for score, session in source.cohort.scores.columns if len(source.cohort.scores.columns) else ():
        found = variable(VariableSpec(score=score, session=session), source)
        if not all(_before(moment, outcome) for moment in found.measured.moments):
            yield found.single


def _same(values, others):
    both = np.isfinite(values) & np.isfinite(others)
    differ = both.sum() > 2 and np.ptp(others[both]) > 0
    return bool(differ and np.allclose(values[both], others[both]))


def _check_first(request, found, source):
    """Refuse a predictor that is not certainly measured before the outcome was complete."""
    outcome = variable(request.target, source).measured.moments
    if all(_before(moment, outcome) for moment in found.measured.moments):
        return
    what = f"'{found.name}' was not measured before the outcome"
    todo = "take baseline or early change"
    for name, moments in ((found.name, found.measured.moments), (request.target.name, outcome)):
        if None in moments:
            what = f"it is not known when '{name}' was measured"
            todo = "give sessions.moments, or the moment of the variable"
    raise ModelError(Problem(what, f"prediction {request.name}", todo))


def _before(moment: Moment | None, outcome: tuple[Moment | None, ...]) -> bool:
    last = [later for later in outcome if later is not None]
    return moment is not None and any(moment < later for later in last)


def _selection(request, source, cases, rng):
    """Which of two arms suits whom; a sentence where it cannot be asked."""
    if not request.arm_column or request.scale is None:
        return {}, "not asked: one arm, or the direction of the outcome is not declared"
    arms = source.cohort.participants[request.arm_column].map(level_text)
    clinical = [
        column
        for name, column in cases.clinical.items()
        if name != ARM and pd.api.types.is_numeric_dtype(column)
    ]
    predictors = np.column_stack([*clinical, *cases.brain.values()]).astype(float)
    kept = np.isfinite(cases.target) & (arms != "").to_numpy()
    kept &= np.isfinite(predictors).any(axis=1)
    who = TreatmentCases(
        cases.participants[kept], cases.target[kept], arms.to_numpy()[kept], predictors[kept]
    )
    kind = "binary" if request.response else "continuous"
    better = "higher" if request.response else request.scale.better
    spec = SelectionSpec(
        kind=kind,
        better=better,
        randomised=request.randomised,
        n_folds=request.n_folds,
        n_repeats=request.n_repeats,
        n_permutations=request.n_permutations,
        confidence=request.confidence,
    )
    try:
        made = treatment_selection(who, spec, rng)
    except ModelError as error:
        return {}, f"not done: {error.problem.what}"
    front = {"model": request.name, "planned": request.planned}
    scores = made.scores.assign(**front)
    people = made.people.rename(columns={"participant": "participant_id"})
    tables = {"_selection": scores, "_selection_people": people.assign(model=request.name)}
    return tables, "done: see the selection table"


def _tables(request, result: PredictionResult, selection: str):
    front = {"planned": request.planned, "target": request.target.name}
    scores = result.scores.rename(columns={"model": "predictor"}).assign(
        model=request.name, **front
    )
    first = ["model", "planned", "target", "predictor"]
    scores = scores[[*first, *(name for name in scores if name not in first)]]
    people = result.people.rename(columns={"participant": "participant_id"}).drop(columns="row")
    calibration = result.calibration.rename(columns={"model": "predictor"})
    facts = dict(result.facts) | {"treatment selection": selection}
    return {
        "": scores,
        "_people": people.assign(model=request.name),
        "_calibration": calibration.assign(model=request.name),
        "_facts": pd.DataFrame({"item": list(facts), "text": list(facts.values())}).assign(
            model=request.name
        ),
    }
