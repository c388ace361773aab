"""Prediction for the individual: nested, repeated, grouped cross-validation.

A clinical-only model always stands beside the brain model, and everything that is learned
is learned from the training rows of a fold.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cache, partial

import numpy as np
import pandas as pd
from scipy.special import expit
from sklearn.base import clone
from sklearn.pipeline import Pipeline, make_pipeline

from workflows.compute.conformal import cross_conformal_classes, cross_conformal_interval
from workflows.compute.fold_steps import (
    ConfoundRegression,
    EdgeSelection,
    MissingFiller,
    TangentSpace,
)
from workflows.compute.folds import participant_folds, shuffled_rows, site_folds
from workflows.compute.penalised import (
    PenaltyPath,
    elastic_net_path,
    ridge_path,
    starting_intercept,
)
from workflows.compute.prediction_cases import Cases, PredictionSpec, clinical_matrix, usable_rows
from workflows.compute.prediction_scores import (
    LOWER_IS_BETTER,
    TESTED,
    OutOfFold,
    bootstrap_counts,
    calibration_curve,
    score_table,
    scores,
    wilson_interval,
)
from workflows.compute.predictive_edges import edge_model

DIFFERENCE = "difference"
BOTH = "clinical+brain"
RESULT_COLUMNS = ["model", "metric", "estimate", "ci_low", "ci_high", "p", "n", "note"]


@dataclass(frozen=True)
class PredictionResult:
    """What was predicted and how well.

    `scores`: RESULT_COLUMNS. `people`: one row per row of the cases (row, participant,
    observed, one column per model, interval_low, interval_high, note; NaN where left out).
    `calibration`: CURVE_COLUMNS of the scores. `facts`: reporting items as text.
    """

    scores: pd.DataFrame
    people: pd.DataFrame
    calibration: pd.DataFrame
    facts: Mapping[str, str]


@dataclass(frozen=True)
class _Problem:
    participants: np.ndarray
    target: np.ndarray
    sites: np.ndarray | None
    site_names: tuple[str, ...]
    clinical: np.ndarray
    brain: np.ndarray
    covariances: bool
    n_confounds: int
    spec: PredictionSpec
    models: tuple[str, ...]

    @property
    def binary(self) -> bool:
        return self.spec.kind == "binary"

    @property
    def n_participants(self) -> int:
        return len(pd.unique(self.participants))


@dataclass(frozen=True, eq=False)
class _Split:
    """Rows of one fit; `brain` holds the prepared features of train, valid and test."""

    train: np.ndarray
    valid: np.ndarray
    test: np.ndarray
    brain: tuple[np.ndarray, np.ndarray, np.ndarray]


@dataclass(frozen=True)
class _Screened:
    selection: EdgeSelection
    path: PenaltyPath

    def predictor(self, x: np.ndarray) -> np.ndarray:
        return self.path.predictor(self.selection.transform(x))


def predict_outcome(
    cases: Cases, spec: PredictionSpec, rng: np.random.Generator
) -> PredictionResult:
    """Out-of-fold predictions of an outcome, their scores and their calibration.

    Models: the mean of the training rows, clinical only, brain only, clinical + brain (the
    brain model explains what the clinical model leaves), and the difference of the last
    and clinical only. Tuning is done by an inner cross-validation in the training rows.

    p values repeat the whole loop, folds and tuning included, with the target exchanged
    among participants (within sites); for the difference the brain features are exchanged,
    so that the clinical model keeps its skill. They compare like with like: the first
    `spec.n_permutation_repeats` repeats.

    Raises
    ------
    ModelError
        Too few participants or members of a class, a target that does not vary, predictors
        not measured before the outcome, a site the training rows do not have.
    """
    reasons = usable_rows(cases, spec)
    problem = _problem(cases, spec, np.flatnonzero(reasons == ""))
    found, limits = _out_of_fold(problem, spec.n_repeats, rng, intervals=True)
    means = {model: values.mean(axis=0) for model, values in found.predicted.items()}
    return PredictionResult(
        scores=_scored(problem, found, limits, rng),
        people=_people(cases, reasons, means, limits.mean(axis=1)),
        calibration=calibration_curve(
            found.target, means, spec.n_bins, problem.binary, spec.confidence
        ),
        facts=_facts(problem, reasons),
    )


def fold_predictions(
    cases: Cases,
    spec: PredictionSpec,
    rows: tuple[np.ndarray, np.ndarray],
    rng: np.random.Generator,
) -> pd.DataFrame:
    """Predictions for test rows by models learned from training rows only.

    Parameters
    ----------
    cases : Cases
        The target of the test rows is not used and may be NaN.
    spec : PredictionSpec
    rows : tuple of np.ndarray of int
        Training rows and test rows of `cases`; no participant in both.
    rng : np.random.Generator
        Inner folds.

    Returns
    -------
    pd.DataFrame
        One row per test row: the models, interval_low and interval_high (of the last model;
        for a binary target the smallest and largest class that cannot be excluded).

    Raises
    ------
    ModelError
        As `predict_outcome`; above all a site that the training rows do not have.
    """
    train, test = rows
    if set(cases.participants[train]) & set(cases.participants[test]):
        raise ValueError("rows: a participant is in the training and in the test rows")
    reasons = usable_rows(cases.rows(train), spec)
    problem = _problem(cases, spec, np.arange(len(cases.target)))
    values, limits = _fold(problem, train[reasons == ""], test, rng, intervals=True)
    return pd.DataFrame(values).assign(interval_low=limits[0], interval_high=limits[1])


def _problem(cases: Cases, spec: PredictionSpec, kept: np.ndarray) -> _Problem:
    part = cases.rows(kept)
    covariances = any(block.ndim == 3 for block in part.brain.values())
    leading = [part.confounds]
    sites, names = None, ()
    if part.sites is not None:
        codes, levels = pd.factorize(part.sites)
        sites, names = part.sites, tuple(str(level) for level in levels)
        leading = [codes[:, None], part.confounds] if spec.harmoniser is not None else leading
    features = [block.reshape(len(kept), -1) for block in part.brain.values()]
    brain = np.hstack([*leading, *features]) if features else np.empty((len(kept), 0))
    clinical = clinical_matrix(part.clinical)
    blocks = {"clinical": clinical.shape[1], "brain": brain.shape[1]}
    models = tuple(name for name, width in blocks.items() if width)
    return _Problem(
        participants=part.participants,
        target=part.target.astype(float),
        sites=sites,
        site_names=names,
        clinical=clinical,
        brain=brain.astype(float),
        covariances=covariances,
        n_confounds=part.confounds.shape[1],
        spec=spec,
        models=(*models, BOTH) if len(models) == 2 else models,
    )


def _out_of_fold(
    problem: _Problem, n_repeats: int, rng: np.random.Generator, intervals: bool
) -> tuple[OutOfFold, np.ndarray]:
    """Predictions of all repeats; limits are 2 x n_repeats x n_rows."""
    shape = (n_repeats, len(problem.target))
    predicted = {model: np.empty(shape) for model in ("mean", *problem.models)}
    fold = np.empty(shape, dtype=int)
    limits = np.full((2, *shape), np.nan)
    for repeat in range(n_repeats):
        fold[repeat] = _folds(problem, np.arange(shape[1]), problem.spec.n_folds, rng)
        for number in range(fold[repeat].max() + 1):
            test = np.flatnonzero(fold[repeat] == number)
            train = np.flatnonzero(fold[repeat] != number)
            values, limits[:, repeat, test] = _fold(problem, train, test, rng, intervals)
            for model, found in values.items():
                predicted[model][repeat, test] = found
    out = OutOfFold(problem.target, fold, predicted["mean"], predicted, problem.binary)
    return out, limits


def _folds(problem: _Problem, rows: np.ndarray, n_folds: int, rng: np.random.Generator):
    if problem.spec.group_by == "site":
        sites = problem.sites[rows]
        if len(np.unique(sites.astype(str))) > 1:
            return site_folds(sites, n_folds, rng)
    people = problem.participants[rows]
    n_people = len(pd.unique(people))
    return participant_folds(people, problem.target[rows], min(n_folds, n_people), rng)


def _fold(
    problem: _Problem,
    train: np.ndarray,
    test: np.ndarray,
    rng: np.random.Generator,
    intervals: bool,
) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Predictions of each model for the test rows; 2 x n_test limits of the last model."""
    untuned = problem.spec.method == "cpm" and not intervals
    splits = _splits(problem, train, test, rng, brain_inside=not untuned)
    values = {"mean": np.full(len(test), problem.target[train].mean())}
    limits = np.full((2, len(test)), np.nan)
    chosen = {}
    clinical = cache(partial(_clinical, problem))
    for model in problem.models:
        learner = _learner(problem, model, clinical, chosen.get("clinical"))
        used = splits[:1] if untuned and model != "clinical" else splits
        chosen[model], final, inner = _tuned(problem, used, learner)
        values[model] = _on_target_scale(problem, final[:, chosen[model]])
        if intervals and model == problem.models[-1]:
            limits = _limits(problem, splits[1:], [pair[:, chosen[model]] for pair in inner])
    return values, limits


def _splits(problem, train, test, rng, brain_inside):
    """The split of the fold, then those of its inner folds (brain features where needed)."""
    inner = _folds(problem, train, problem.spec.n_inner, rng)
    parts = [(train, test)]
    parts += [(train[inner != k], train[inner == k]) for k in range(inner.max() + 1)]
    splits = []
    for rows, valid in parts:
        brain = (np.empty((0, 0)),) * 3
        if problem.brain.shape[1] and (brain_inside or not splits):
            steps = _steps(problem)
            first = steps.fit(problem.brain[rows]).transform(problem.brain[rows])
            both = steps.transform(problem.brain[np.concatenate([valid, test])])
            brain = (first, both[: len(valid)], both[len(valid) :])
        splits.append(_Split(rows, valid, test, brain))
    return splits


def _steps(problem: _Problem) -> Pipeline:
    spec, steps = problem.spec, []
    harmonised = spec.harmoniser is not None and problem.sites is not None
    if problem.covariances:
        steps.append(TangentSpace(problem.n_confounds + harmonised))
    if harmonised:
        steps.append(clone(spec.harmoniser).set_params(names=problem.site_names))
    if np.isnan(problem.brain).any():
        steps.append(MissingFiller())
    steps.append(ConfoundRegression(problem.n_confounds))
    return make_pipeline(*steps)


def _clinical(problem, split):
    """Linear predictors of the clinical model for train, and for valid and test."""
    filler = MissingFiller().fit(problem.clinical[split.train])
    x = filler.transform(problem.clinical[split.train])
    none = np.zeros(len(x))
    path = elastic_net_path(x, problem.target[split.train], none, problem.binary)
    later = filler.transform(problem.clinical[np.concatenate([split.valid, split.test])])
    return path.predictor(x), path.predictor(later)


def _learner(
    problem: _Problem,
    model: str,
    clinical: Callable[[_Split], tuple[np.ndarray, np.ndarray]],
    clinical_choice: int | None,
) -> Callable[[_Split], np.ndarray]:
    """Fit of one split; gives linear predictors (n_valid + n_test) x n_candidates."""

    def brain(split, known, later):
        fit = BRAIN_MODELS[problem.spec.method]
        path = fit(split.brain[0], problem.target[split.train], known, problem.binary)
        return later[:, None] + path.predictor(np.vstack(split.brain[1:]))

    def both(split):
        known, later = (part[:, clinical_choice] for part in clinical(split))
        return brain(split, known, later)

    def alone(split):
        return brain(
            split, np.zeros(len(split.train)), np.zeros(len(split.valid) + len(split.test))
        )

    return {"clinical": lambda split: clinical(split)[1], "brain": alone, BOTH: both}[model]


def _tuned(problem, splits, learner):
    """Best candidate of the inner folds, all predictors for the test rows, and the inner ones.

    Without inner folds (a model with nothing to tune) the first candidate.
    """
    inner = [learner(split) for split in splits[1:]]
    loss = sum(
        _loss(problem, split.valid, found[: len(split.valid)])
        for split, found in zip(splits[1:], inner, strict=True)
    )
    final = learner(splits[0])[len(splits[0].valid) :]
    return int(np.argmin(loss)), final, inner


def _loss(problem, rows, predictor):
    target = problem.target[rows][:, None]
    if problem.binary:
        return (np.logaddexp(0, predictor) - target * predictor).sum(axis=0)
    return ((target - predictor) ** 2).sum(axis=0)


def _limits(problem, splits, inner):
    residuals, predictions = [], []
    for split, found in zip(splits, inner, strict=True):
        values = _on_target_scale(problem, found)
        residuals.append(problem.target[split.valid] - values[: len(split.valid)])
        later = values[len(split.valid) :]
        predictions.append(np.broadcast_to(later, (len(split.valid), len(later))))
    make = cross_conformal_classes if problem.binary else cross_conformal_interval
    level = problem.spec.interval_confidence
    return np.array(make(np.concatenate(residuals), np.vstack(predictions), level))


def _on_target_scale(problem, predictor):
    return expit(predictor) if problem.binary else predictor


def _screened_elastic_net(x, y, offset, binary):
    start = starting_intercept(y, offset, binary)
    rest = y - (expit(offset + start) if binary else offset)
    selection = EdgeSelection().fit(x, rest)
    return _Screened(selection, elastic_net_path(selection.transform(x), y, offset, binary))


BRAIN_MODELS = {"elastic_net": _screened_elastic_net, "ridge": ridge_path, "cpm": edge_model}


def _scored(problem, found, limits, rng):
    spec = problem.spec
    weights = bootstrap_counts(problem.participants, spec.n_bootstraps, rng)
    pairs = ((BOTH, "clinical"),) if BOTH in problem.models else ()
    table = score_table(found, pairs, weights, spec.confidence)
    table["model"] = table["model"].replace({f"{BOTH} - clinical": DIFFERENCE})
    p_values = _permutation_p(problem, found, rng) if spec.n_permutations else {}
    keys = zip(table["model"], table["metric"], strict=True)
    table["p"] = [p_values.get(key, np.nan) for key in keys]
    table = pd.concat([table, _coverage_row(problem, found, limits)], ignore_index=True)
    n = problem.n_participants
    return table.assign(n=n, note=_with_notes(table, n))[RESULT_COLUMNS]


def _permutation_p(
    problem: _Problem, found: OutOfFold, rng: np.random.Generator
) -> dict[tuple[str, str], float]:
    n_repeats = min(problem.spec.n_permutation_repeats, len(found.fold))
    first = replace(
        found,
        fold=found.fold[:n_repeats],
        reference=found.reference[:n_repeats],
        predicted={model: values[:n_repeats] for model, values in found.predicted.items()},
    )
    observed = _statistics(problem, first)
    beaten = dict.fromkeys(observed, 0)
    for _ in range(problem.spec.n_permutations):
        order = shuffled_rows(problem.participants, problem.sites, rng)
        null = _null_statistics(problem, order, n_repeats, rng)
        for key in beaten:
            beaten[key] += null[key] >= observed[key] - 1e-12
    return {key: (count + 1) / (problem.spec.n_permutations + 1) for key, count in beaten.items()}


def _null_statistics(problem, order, n_repeats, rng):
    shuffled = replace(problem, target=problem.target[order])
    null = _statistics(problem, _out_of_fold(shuffled, n_repeats, rng, intervals=False)[0])
    if BOTH in problem.models:
        moved = replace(problem, brain=problem.brain[order], models=("clinical", BOTH))
        again = _statistics(moved, _out_of_fold(moved, n_repeats, rng, intervals=False)[0])
        null |= {key: value for key, value in again.items() if key[0] == DIFFERENCE}
    return null


def _statistics(problem, found):
    """Scores of each model, turned so that more is better."""
    once = np.ones((1, len(found.target)))
    tables = {model: scores(found, model, once).iloc[0] for model in problem.models}
    if BOTH in tables:
        tables[DIFFERENCE] = tables[BOTH] - tables["clinical"]
    return {
        (model, name): float(-value if name in LOWER_IS_BETTER else value)
        for model, row in tables.items()
        for name, value in row.items()
        if name in TESTED
    }


def _coverage_row(problem, found, limits):
    inside = (found.target >= limits[0]) & (found.target <= limits[1])
    low, high = np.nan, np.nan
    if problem.n_participants == len(found.target):
        low, high = wilson_interval(inside.mean(axis=0), problem.spec.confidence)
    note = f"share of people inside their {problem.spec.interval_confidence:.0%} interval"
    values = (problem.models[-1], "interval coverage", inside.mean(), low, high, np.nan, note)
    names = ["model", "metric", "estimate", "ci_low", "ci_high", "p", "note"]
    return pd.DataFrame([values], columns=names)


def _with_notes(table, n):
    fewer = f"{n} participants: scores are imprecise (Varoquaux 2018)" if n < 100 else ""
    fixed = {
        "mean": "predicts the mean of the training participants for everybody",
        DIFFERENCE: "clinical+brain minus clinical; p: brain features exchanged",
    }
    return [
        "; ".join(part for part in (note, fixed.get(model, ""), fewer) if part)
        for model, note in zip(table["model"], table["note"], strict=True)
    ]


def _people(cases, reasons, means, limits):
    kept = np.flatnonzero(reasons == "")
    columns = {**means, "interval_low": limits[0], "interval_high": limits[1]}
    table = {"row": np.arange(len(reasons)), "participant": cases.participants}
    table["observed"] = cases.target.astype(float)
    for name, values in columns.items():
        table[name] = np.full(len(reasons), np.nan)
        table[name][kept] = values
    return pd.DataFrame(table).assign(note=reasons)


def _facts(problem, reasons):
    spec, target = problem.spec, problem.target
    events = f"{int(target.sum())} of {len(target)} rows" if problem.binary else "continuous"
    left = pd.Series(reasons[reasons != ""], dtype=object).value_counts()
    grouped = "left out by site" if spec.group_by == "site" else "of participants"
    holes = int(np.isnan(problem.clinical).sum()), int(np.isnan(problem.brain).sum())
    return {
        "participants": f"{problem.n_participants} with {len(target)} rows",
        "left out": "; ".join(f"{count} {why}" for why, count in left.items()) or "nobody",
        "events": events,
        "predictors": f"{problem.clinical.shape[1]} clinical columns, {_n_features(problem)} brain",
        "validation": f"{spec.n_repeats} repeats of {spec.n_folds} folds {grouped}; internal only",
        "tuning": f"{spec.n_inner} inner folds in the training participants of each fold",
        "model": f"{_brain_model(problem)} (brain), elastic net (clinical)",
        "missing values": f"{holes[0]} clinical and {holes[1]} brain values replaced by the mean "
        "of the training participants",
        "confounds": f"{problem.n_confounds} removed from brain features inside the fold",
        "harmonisation": "inside the fold" if spec.harmoniser is not None else "none",
        "intervals of scores": f"widened bootstrap of {spec.n_bootstraps} samples of participants",
        "intervals of persons": f"cross-conformal, {spec.interval_confidence:.0%}",
        "permutations": f"{spec.n_permutations} of the whole loop",
    }


def _brain_model(problem):
    return f"{problem.spec.method} in tangent space" if problem.covariances else problem.spec.method


def _n_features(problem):
    harmonised = problem.spec.harmoniser is not None and problem.sites is not None
    n_values = max(problem.brain.shape[1] - problem.n_confounds - harmonised, 0)
    if not problem.covariances:
        return n_values
    n_regions = int(np.sqrt(n_values))
    return n_regions * (n_regions + 1) // 2
