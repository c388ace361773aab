"""Outcome models: change by arm, follow-up given baseline, and change with symptoms."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from workflows.compute.design import Design, arms_of, design_of
from workflows.compute.families import MOTION, QUALITY, Cohort, Family
from workflows.compute.multiplicity import correct_families
from workflows.compute.problems import ModelError, Problem, nearest_names
from workflows.compute.regression import Fit, least_squares, partial_correlation
from workflows.compute.results import MODEL_COLUMNS, ModelSpec, family_rows


@dataclass(frozen=True)
class ModelResult:
    """Rows of MODEL_COLUMNS and what could not be done."""

    rows: pd.DataFrame
    problems: tuple[Problem, ...]


def run_model(spec: ModelSpec, cohort: Cohort, families: tuple[Family, ...]) -> ModelResult:
    """Result of one model over all families, corrected within each.

    A model that cannot be fitted gives no rows and a problem that says why.
    """
    try:
        design, problems = _prepare(spec, cohort)
    except ModelError as error:
        where = f"model {spec.name}: {error.problem.where}"
        problem = Problem(error.problem.what, where, error.problem.what_to_do)
        return ModelResult(pd.DataFrame(columns=MODEL_COLUMNS), (problem,))
    tables = []
    for family in families:
        used = _with_motion(spec, design, family, families)
        tables.append(family_rows(spec, family, _fit(spec, cohort, family, used), used))
    if not tables:
        return ModelResult(pd.DataFrame(columns=MODEL_COLUMNS), problems)
    rows = correct_families(pd.concat(tables, ignore_index=True))
    return ModelResult(rows[MODEL_COLUMNS], problems)


def _prepare(spec: ModelSpec, cohort: Cohort) -> tuple[Design, tuple[Problem, ...]]:
    people, usable = cohort.participants, _with_score(spec, cohort)
    reference = spec.reference_arm if spec.kind != "symptoms" else ""
    arms = np.full(len(people), "", dtype=object)
    arms[usable], levels, problems = arms_of(people[usable], spec.arm_column, reference)
    if not levels or not usable.any():
        both = "images and both scores" if spec.kind == "symptoms" else "images"
        what = f"no arm has two participants with both {both}"
        raise ModelError(Problem(what, "participants", "see flow.tsv for who is missing"))
    if spec.kind == "baseline_adjusted" and len(levels) < 2:
        what = f"one arm only ('{levels[0]}'): there is nothing to compare"
        raise ModelError(Problem(what, "participants.tsv", "see the model of change instead"))
    return design_of(people, arms, levels, spec.covariates), problems


def _with_score(spec: ModelSpec, cohort: Cohort) -> np.ndarray:
    if spec.kind != "symptoms":
        return np.ones(len(cohort.participants), dtype=bool)
    if spec.score not in cohort.score_change:
        hint = nearest_names(spec.score, cohort.score_change.columns)
        raise ModelError(Problem(f"no score '{spec.score}'", "group.scores", hint))
    return np.isfinite(cohort.score_change[spec.score].to_numpy(dtype=float))


def _with_motion(
    spec: ModelSpec, design: Design, family: Family, families: tuple[Family, ...]
) -> Design:
    if spec.kind != "symptoms" or family.measure in QUALITY:
        return design
    for other in families:
        if other.measure == MOTION and other.modality == family.modality:
            return design.with_covariate("fd_mean change", other.change[:, 0])
    return design


def _fit(spec: ModelSpec, cohort: Cohort, family: Family, design: Design) -> Fit:
    if spec.kind == "change":
        return least_squares(family.change, design, spec.min_participants)
    if spec.kind == "baseline_adjusted":
        return least_squares(family.followup, design, spec.min_participants, family.baseline)
    score = cohort.score_change[spec.score].to_numpy(dtype=float)
    return partial_correlation(family.change, np.array(score), design, spec.min_participants)
