"""Which of two treatments suits whom: the personalised advantage index (DeRubeis 2014)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import pandas as pd
from scipy.special import expit

from workflows.compute.fold_steps import MissingFiller
from workflows.compute.folds import participant_folds
from workflows.compute.penalised import column_scale, elastic_net_path
from workflows.compute.prediction_scores import bootstrap_counts
from workflows.compute.problems import ModelError, Problem

MIN_PER_ARM = 20
SELECTION_COLUMNS = ["contrast", "estimate", "ci_low", "ci_high", "p", "n", "n_other", "note"]


@dataclass(frozen=True)
class TreatmentCases:
    """One row per participant.

    `participants`, `target`, `arms` (n_participants,); `predictors` n_participants x
    n_predictors, measured before treatment, NaN where missing (filled inside the fold).
    """

    participants: np.ndarray
    target: np.ndarray
    arms: np.ndarray
    predictors: np.ndarray


@dataclass(frozen=True)
class SelectionSpec:
    """How to fit and judge the index; `better` says which end of the target is wanted."""

    kind: Literal["continuous", "binary"]
    better: Literal["lower", "higher"]
    randomised: bool
    n_folds: int = 5
    n_repeats: int = 10
    n_permutations: int = 200
    n_permutation_repeats: int = 1
    n_bootstraps: int = 2000
    confidence: float = 0.95


@dataclass(frozen=True)
class SelectionResult:
    """`people`: prediction under each arm, advantage, indicated arm; `scores`: the comparison."""

    people: pd.DataFrame
    scores: pd.DataFrame


def treatment_selection(
    cases: TreatmentCases, spec: SelectionSpec, rng: np.random.Generator
) -> SelectionResult:
    """Index of each participant, and how those fared who got the arm it indicates.

    A penalised model of the outcome on predictors, arm and their products is learned from the
    other folds and predicts each participant under both arms. The advantage is the benefit
    expected of the first arm (in text order) over the second. Those who received the
    indicated arm are compared with those who did not; above 0 means that they fared better.

    The p value repeats the whole loop with the predictors exchanged among participants: an
    arm that is better for everybody stays so, and only what the predictors say about who
    benefits is lost. The interval is the widened bootstrap of `prediction_scores`.

    Raises
    ------
    ModelError
        Not two arms, fewer than 20 participants in one, or a target that does not vary.
    """
    levels = _checked(cases, spec)
    sign = -1.0 if spec.better == "lower" else 1.0
    first = (cases.arms == levels[0]).astype(float)
    under = np.array([_both_arms(cases, first, spec, rng) for _ in range(spec.n_repeats)])
    advantage = sign * (under[:, 0] - under[:, 1])
    benefit = sign * cases.target.astype(float)
    weights = bootstrap_counts(cases.participants, spec.n_bootstraps, rng)
    every = np.vstack([np.ones(len(first)), weights])
    contrast = indicated_contrast(benefit, first, advantage, every)
    p = np.nan
    if spec.n_permutations:
        n_repeats = min(spec.n_permutation_repeats, spec.n_repeats)
        observed = indicated_contrast(benefit, first, advantage[:n_repeats], every[:1])[0]
        p = _permutation_p(cases, first, spec, observed, rng)
    people = _people(cases, levels, under.mean(axis=0), advantage.mean(axis=0))
    return SelectionResult(people, _score_row(contrast, people, p, spec))


def indicated_contrast(
    benefit: np.ndarray, first: np.ndarray, advantage: np.ndarray, weights: np.ndarray
) -> np.ndarray:
    """Mean benefit of those who got the indicated arm minus that of the others, n_sets.

    Averaged over the repeats that have both groups; NaN if none has.

    Parameters
    ----------
    benefit : np.ndarray, shape (n_participants,)
        Outcome, turned so that more is better.
    first : np.ndarray, shape (n_participants,)
        1 for the first arm, 0 for the second.
    advantage : np.ndarray, shape (n_repeats, n_participants)
        Above 0: the first arm is indicated.
    weights : np.ndarray, shape (n_sets, n_participants)
        How often each participant counts.
    """
    total, count = np.zeros(len(weights)), np.zeros(len(weights))
    for repeat in advantage:
        got = ((repeat > 0) == (first == 1)).astype(float)
        sizes = weights @ got, weights @ (1 - got)
        both = (sizes[0] > 0) & (sizes[1] > 0)
        means = [
            weights @ (benefit * part) / np.where(both, size, 1.0)
            for part, size in zip((got, 1 - got), sizes, strict=True)
        ]
        total += np.where(both, means[0] - means[1], 0.0)
        count += both
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def _people(cases, levels, under, advantage):
    table = pd.DataFrame(
        {"participant": cases.participants, "arm": cases.arms, "observed": cases.target}
    )
    for level, predicted in zip(levels, under, strict=True):
        table[f"predicted {level}"] = predicted
    indicated = np.where(advantage > 0, levels[0], levels[1])
    return table.assign(
        advantage=advantage, indicated=indicated, received=indicated == cases.arms.astype(str)
    )


def _both_arms(cases, first, spec, rng):
    """Out-of-fold predictions under the first and the second arm, 2 x n_participants."""
    key = _dealing_key(cases.target, first)
    fold = participant_folds(cases.participants, key, spec.n_folds, rng)
    under = np.empty((2, len(first)))
    for number in range(spec.n_folds):
        test, train = np.flatnonzero(fold == number), np.flatnonzero(fold != number)
        inner = participant_folds(cases.participants[train], key[train], spec.n_folds, rng)
        loss = 0.0
        for part in range(spec.n_folds):
            rows, valid = train[inner != part], train[inner == part]
            found = _fit(cases, first, rows, spec)(valid, first[valid])
            loss = loss + _loss(cases.target[valid], found, spec)
        choice, model = int(np.argmin(loss)), _fit(cases, first, train, spec)
        for place, arm in enumerate((1.0, 0.0)):
            under[place, test] = model(test, np.full(len(test), arm))[:, choice]
    return expit(under) if spec.kind == "binary" else under


def _fit(cases, first, rows, spec):
    filler = MissingFiller().fit(cases.predictors[rows])
    centre, scale = column_scale(filler.transform(cases.predictors[rows]))

    def columns(some, arm):
        own = (filler.transform(cases.predictors[some]) - centre) / scale
        side = (arm - 0.5)[:, None]
        return np.hstack([own, side, own * side])

    x, y = columns(rows, first[rows]), cases.target[rows].astype(float)
    path = elastic_net_path(x, y, np.zeros(len(rows)), spec.kind == "binary")
    return lambda some, arm: path.predictor(columns(some, arm))


def _loss(target, predictor, spec):
    if spec.kind == "binary":
        return (np.logaddexp(0, predictor) - target[:, None] * predictor).sum(axis=0)
    return ((target[:, None] - predictor) ** 2).sum(axis=0)


def _dealing_key(target, first):
    """Order by arm, then by outcome, so that folds are alike in both."""
    return np.argsort(np.argsort(target, kind="stable"), kind="stable") + first * 2 * len(first)


def _permutation_p(cases, first, spec, observed, rng):
    if np.isnan(observed):
        return np.nan
    sign, beaten = (-1.0 if spec.better == "lower" else 1.0), 0
    benefit = sign * cases.target.astype(float)
    n_repeats = min(spec.n_permutation_repeats, spec.n_repeats)
    once = np.ones((1, len(first)))
    for _ in range(spec.n_permutations):
        moved = replace(cases, predictors=cases.predictors[rng.permutation(len(first))])
        under = np.array([_both_arms(moved, first, spec, rng) for _ in range(n_repeats)])
        advantage = sign * (under[:, 0] - under[:, 1])
        null = indicated_contrast(benefit, first, advantage, once)[0]
        beaten += bool(np.isnan(null) or null >= observed - 1e-12)
    return (beaten + 1) / (spec.n_permutations + 1)


def _score_row(contrast, people, p, spec):
    widening = np.sqrt(1 + spec.n_folds / (spec.n_folds - 1))
    estimate, samples = contrast[0], contrast[1:]
    low, high = np.nan, np.nan
    lost = int(np.isnan(samples).sum())
    notes = ["holds any advantage one arm has for all; p is that of the choice between arms"]
    if not spec.randomised:
        notes.append("arms were not randomised: other differences may matter")
    if np.isnan(estimate):
        notes.append("not compared: all received the indicated arm, or none did")
    elif lost <= len(samples) / 20:
        tail = (1 - spec.confidence) / 2
        low, high = np.nanquantile(samples, [tail, 1 - tail])
        low, high = (estimate - widening * (estimate - limit) for limit in (low, high))
    if lost:
        notes.append(f"not defined in {lost} of {len(samples)} bootstraps")
    counts = int(people["received"].sum()), int((~people["received"]).sum())
    name = "received the indicated arm - did not"
    row = (name, estimate, low, high, p, *counts, "; ".join(notes))
    return pd.DataFrame([row], columns=SELECTION_COLUMNS)


def _checked(cases, spec):
    if len(pd.unique(cases.participants)) != len(cases.target):
        raise ValueError("participants: one row each")
    levels, counts = np.unique(cases.arms.astype(str), return_counts=True)
    if len(levels) != 2:
        what = f"{len(levels)} arms: the advantage index compares two"
        raise ModelError(Problem(what, "treatment selection", "choose two arms, or leave it out"))
    for level, count in zip(levels, counts, strict=True):
        if count < MIN_PER_ARM:
            what = f"too few to choose treatments: {count} in arm '{level}', {MIN_PER_ARM} needed"
            raise ModelError(Problem(what, "treatment selection", "leave it out"))
    target = cases.target.astype(float)
    if not np.isfinite(target).all():
        raise ValueError("target: without NaN; leave out and count those who have none")
    if np.ptp(target) == 0:
        what = "the outcome is the same for all"
        raise ModelError(Problem(what, "treatment selection", "leave it out"))
    if spec.kind == "binary" and not np.isin(target, (0, 1)).all():
        what = "a binary outcome has values other than 0 and 1"
        raise ModelError(Problem(what, "treatment selection", "declare it as continuous"))
    return [str(level) for level in levels]
