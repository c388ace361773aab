"""How good out-of-fold predictions are, with intervals."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import stats
from scipy.special import logit

from workflows.compute import outcome_rates

CONTINUOUS = ("r", "R2", "MAE")
BINARY = ("AUC", "Brier", "Brier skill")
CALIBRATION = ("calibration intercept", "calibration slope")
BOUNDS = {
    "r": (-1, 1),
    "R2": (-np.inf, 1),
    "MAE": (0, np.inf),
    "AUC": (0, 1),
    "Brier": (0, 1),
    "Brier skill": (-np.inf, 1),
}
LOWER_IS_BETTER = frozenset({"MAE", "Brier"})
TESTED = frozenset({"r", "R2", "MAE", "AUC", "Brier", "Brier skill"})
SCORE_COLUMNS = ["model", "metric", "estimate", "ci_low", "ci_high", "note"]
CURVE_COLUMNS = ["model", "bin", "n", "predicted", "observed", "ci_low", "ci_high"]
NEWTON_STEPS = 30
LIMIT = 1e-6
LARGEST_SLOPE = 50
LEAST_SPREAD = 0.05


@dataclass(frozen=True)
class OutOfFold:
    """Predictions for rows the models have not seen.

    `target` (n_rows,), 0 or 1 if `binary`; `fold` (n_repeats, n_rows), the test fold of each
    row; `reference` (n_repeats, n_rows), the mean of the target in the training rows;
    `predicted`, for each model n_repeats x n_rows (probabilities if `binary`).
    """

    target: np.ndarray
    fold: np.ndarray
    reference: np.ndarray
    predicted: Mapping[str, np.ndarray]
    binary: bool


def scores(found: OutOfFold, model: str, weights: np.ndarray) -> pd.DataFrame:
    """Scores of one model, averaged over the repeats: one row per set of weights.

    - r and AUC compare rows of the same test fold only, and r is the mean of the folds' own
      r. Rows of different folds have different training means, each shifted away from the
      rows left out, and folds whose training rows seem to hold a signal spread their
      predictions most: both make the pooled r of a useless model negative. Within a fold its
      expectation is exactly 0 (AUC: .5). A model that predicts one value for all has 0 (.5).
    - R2 and Brier skill are 1 - squared error / squared error of the training mean.
    - MAE is in the unit of the target; Brier is the mean squared error of the probability.

    Parameters
    ----------
    found : OutOfFold
    model : str
        Key of `found.predicted`.
    weights : np.ndarray, shape (n_sets, n_rows)
        How often each row counts: ones for the score, bootstrap counts for its interval.

    Returns
    -------
    pd.DataFrame, n_sets x metrics
        NaN where not defined (no variation of the target, one class).
    """
    make = _binary_scores if found.binary else _continuous_scores
    names = BINARY if found.binary else CONTINUOUS
    repeats = [
        make(found.target, found.predicted[model][repeat], found.reference[repeat], fold, weights)
        for repeat, fold in enumerate(found.fold)
    ]
    return pd.DataFrame(np.mean(repeats, axis=0), columns=list(names))


def calibration_line(found: OutOfFold, model: str, weights: np.ndarray) -> pd.DataFrame:
    """Calibration intercept and slope of one model over all repeats; 0 and 1 are ideal.

    Deviation of the observed from the training mean = intercept + slope * deviation of the
    prediction from it; in log odds for a binary target (Cox 1958). A slope below 1 means
    that predictions are too extreme. NaN where predictions hardly vary (deviations below .05
    standard deviations of the target, or .05 log odds) or separate the classes. Arguments
    as `scores`.
    """
    values = _calibration(found, model, weights)
    return pd.DataFrame(values, columns=list(CALIBRATION))


def score_table(
    found: OutOfFold,
    differences: tuple[tuple[str, str], ...],
    weights: np.ndarray,
    confidence: float,
) -> pd.DataFrame:
    """Scores of all models and differences between models, with intervals.

    The bootstrap of participants holds the predictions fixed, although participants share
    training rows; so the distance of its percentiles from the estimate is widened by
    sqrt(1 + n_folds / (n_folds - 1)), the ratio of the corrected variance of Nadeau & Bengio
    (2003) to that of independent folds (1.5 for five folds).

    Parameters
    ----------
    found : OutOfFold
    differences : tuple of (str, str)
        Pairs of models; the first minus the second, on the same bootstrap samples.
    weights : np.ndarray, shape (n_bootstraps, n_rows)
        From `bootstrap_counts`.
    confidence : float
        Coverage of the intervals, .5..1.

    Returns
    -------
    pd.DataFrame
        SCORE_COLUMNS; no interval where there is no estimate or where more than a twentieth
        of the bootstrap samples have none. Calibration is given for models that predict
        more than one value.
    """
    tables = _score_samples(found, differences, weights)
    n_folds = int(found.fold.max()) + 1
    widening = np.sqrt(1 + n_folds / (n_folds - 1))
    rows = []
    for model, table in tables.items():
        bounds = BOUNDS if model in found.predicted else {}
        for name in table:
            row = _with_interval(table[name].to_numpy(), confidence, widening)
            rows.append((model, name, *_inside(row, bounds.get(name, (-np.inf, np.inf)))))
    return pd.DataFrame(rows, columns=SCORE_COLUMNS)


def bootstrap_counts(
    participants: np.ndarray, n_bootstraps: int, rng: np.random.Generator
) -> np.ndarray:
    """How often each row is drawn when participants are drawn with replacement.

    n_bootstraps x n_rows; rows of a participant are drawn together.
    """
    codes, names = pd.factorize(participants)
    share = np.full(len(names), 1 / len(names))
    return rng.multinomial(len(names), share, size=n_bootstraps)[:, codes].astype(float)


def corrected_interval(
    values: np.ndarray, test_share: float, confidence: float
) -> tuple[float, float, float]:
    """Mean of fold-wise values with the corrected resampled t interval (Nadeau & Bengio 2003).

    The variance of the mean of J dependent values is (1 / J + test_share) times theirs.

    Parameters
    ----------
    values : np.ndarray
        One value per fold of each repeat.
    test_share : float
        Test rows divided by training rows of a fold, 1 / (n_folds - 1) in cross-validation.
    confidence : float
        Coverage, .5..1.

    Returns
    -------
    mean, low, high : float
    """
    values = np.asarray(values, dtype=float).ravel()
    if len(values) < 2 or test_share <= 0:
        raise ValueError("values, test_share: two values or more, a share above 0")
    error = np.sqrt((1 / len(values) + test_share) * values.var(ddof=1))
    half = stats.t.ppf((1 + confidence) / 2, len(values) - 1) * error
    return float(values.mean()), float(values.mean() - half), float(values.mean() + half)


def calibration_curve(
    target: np.ndarray,
    predicted: Mapping[str, np.ndarray],
    n_bins: int,
    binary: bool,
    confidence: float,
) -> pd.DataFrame:
    """Mean observed beside mean predicted in bins of equal size, CURVE_COLUMNS.

    Parameters
    ----------
    target : np.ndarray, shape (n_rows,)
    predicted : mapping of model to np.ndarray, shape (n_rows,)
        A model that predicts one value has one bin.
    n_bins : int
        At most; a bin has five rows or more.
    binary : bool
        Wilson (1927) intervals of the share; else t intervals of the mean.
    confidence : float
        Coverage, .5..1.
    """
    rows = []
    for model, values in predicted.items():
        n_used = 1 if np.ptp(values) == 0 else max(1, min(n_bins, len(values) // 5))
        order = np.argsort(values, kind="stable")
        for number, members in enumerate(np.array_split(order, n_used), start=1):
            observed = target[members]
            limits = (wilson_interval if binary else _mean_interval)(observed, confidence)
            means = (values[members].mean(), observed.mean())
            rows.append((model, number, len(members), *means, *limits))
    return pd.DataFrame(rows, columns=CURVE_COLUMNS)


def wilson_interval(hits: np.ndarray, confidence: float) -> tuple[float, float]:
    """Interval of a share (Wilson 1927); `hits` holds 0 and 1."""
    low, high = outcome_rates.wilson_interval(np.sum(hits), len(hits), confidence)
    return float(low), float(high)


def _score_samples(found, differences, weights):
    """Scores of each model and difference: the estimate, then one row per bootstrap."""
    every = np.vstack([np.ones(weights.shape[1]), weights])
    tables = {model: scores(found, model, every) for model in found.predicted}
    for first, second in differences:
        tables[f"{first} - {second}"] = tables[first] - tables[second]
    for model in found.predicted:
        if not np.array_equal(found.predicted[model], found.reference):
            tables[model] = tables[model].join(calibration_line(found, model, every))
    return tables


def _with_interval(values, confidence, widening):
    estimate, samples = values[0], values[1:]
    if np.isnan(estimate):
        return estimate, np.nan, np.nan, "not defined: predictions hardly vary"
    lost = int(np.isnan(samples).sum())
    if lost > len(samples) / 20:
        return estimate, np.nan, np.nan, f"not defined in {lost} of {len(samples)} bootstraps"
    tail = (1 - confidence) / 2
    low, high = np.nanquantile(samples, [tail, 1 - tail])
    low, high = (estimate - widening * (estimate - limit) for limit in (low, high))
    return estimate, low, high, f"not defined in {lost} bootstraps, left out" if lost else ""


def _inside(row, bounds):
    estimate, low, high, note = row
    return estimate, *np.clip((low, high), *bounds), note


def _mean_interval(values, confidence):
    if len(values) < 2:
        return np.nan, np.nan
    half = stats.t.ppf((1 + confidence) / 2, len(values) - 1) * stats.sem(values)
    return float(values.mean() - half), float(values.mean() + half)


def _continuous_scores(target, predicted, reference, fold, weights):
    mae = weights @ np.abs(target - predicted) / weights.sum(axis=1)
    r = _within_fold_r(target, predicted, fold, weights)
    return np.column_stack([r, _skill(target, predicted, reference, weights), mae])


def _binary_scores(target, predicted, reference, fold, weights):
    brier = weights @ (target - predicted) ** 2 / weights.sum(axis=1)
    area = _within_fold_area(target, predicted, fold, weights)
    return np.column_stack([area, brier, _skill(target, predicted, reference, weights)])


def _calibration(found, model, weights):
    """Intercept and slope over all repeats at once, as deviations from the training mean."""
    n_repeats = len(found.fold)
    target, every = np.tile(found.target, n_repeats), np.tile(weights, (1, n_repeats))
    predicted, reference = found.predicted[model].ravel(), found.reference.ravel()
    if found.binary:
        odds = [logit(np.clip(part, LIMIT, 1 - LIMIT)) for part in (predicted, reference)]
        return np.column_stack(_weighted_logistic(odds[0] - odds[1], target, odds[1], every))
    return np.column_stack(_weighted_line(predicted - reference, target - reference, every))


def _skill(target, predicted, reference, weights):
    worst = weights @ (target - reference) ** 2
    return 1 - weights @ (target - predicted) ** 2 / np.where(worst > 0, worst, np.nan)


def _within_fold_r(target, predicted, fold, weights):
    total, sizes = np.zeros(len(weights)), np.zeros(len(weights))
    for number in np.unique(fold):
        members = fold == number
        size = weights[:, members].sum(axis=1)
        total += size * _weighted_r(target[members], predicted[members], weights[:, members])
        sizes += size
    return total / sizes


def _weighted_r(first, second, weights):
    if len(first) < 3 or np.ptp(second) <= 1e-10 * max(np.abs(second).max(), 1e-300):
        return np.zeros(len(weights))
    total = np.maximum(weights.sum(axis=1), 1e-300)
    first, second = first - first.mean(), second - second.mean()
    means = weights @ first / total, weights @ second / total
    shared = weights @ (first * second) / total - means[0] * means[1]
    squares = [
        np.maximum(weights @ values**2 / total - mean**2, 0)
        for values, mean in zip((first, second), means, strict=True)
    ]
    length = np.sqrt(squares[0] * squares[1])
    small = length <= 1e-10 * np.sqrt((first**2).mean() * (second**2).mean())
    return np.where(small, 0.0, np.clip(shared / np.where(small, 1.0, length), -1, 1))


def _within_fold_area(target, predicted, fold, weights):
    better, pairs = np.zeros(len(weights)), np.zeros(len(weights))
    for number in np.unique(fold):
        yes, no = (np.flatnonzero((fold == number) & (target == value)) for value in (1, 0))
        gap = predicted[yes][:, None] - predicted[no]
        won = (gap > 0) + 0.5 * (gap == 0)
        better += ((weights[:, yes] @ won) * weights[:, no]).sum(axis=1)
        pairs += weights[:, yes].sum(axis=1) * weights[:, no].sum(axis=1)
    return better / np.where(pairs > 0, pairs, np.nan)


def _weighted_line(x, y, weights):
    total = weights.sum(axis=1)
    x_mean, y_mean = weights @ x / total, weights @ y / total
    spread = weights @ x**2 / total - x_mean**2
    steady = spread <= LEAST_SPREAD**2 * max(np.mean(y**2), 1e-300)
    slope = (weights @ (x * y) / total - x_mean * y_mean) / np.where(steady, np.nan, spread)
    return y_mean - slope * x_mean, slope


def _weighted_logistic(x, y, offset, weights):
    intercept, slope = np.zeros(len(weights)), np.ones(len(weights))
    with np.errstate(all="ignore"):
        for _ in range(NEWTON_STEPS):
            predictor = offset + intercept[:, None] + slope[:, None] * x
            probability = 1 / (1 + np.exp(-predictor))
            rest, curve = weights * (y - probability), weights * probability * (1 - probability)
            own = (rest.sum(axis=1), rest @ x)
            a, b, c = curve.sum(axis=1), curve @ x, curve @ x**2
            area = a * c - b**2
            move = (c * own[0] - b * own[1]) / area, (a * own[1] - b * own[0]) / area
            intercept, slope = intercept + move[0], slope + move[1]
            if np.nanmax(np.abs(move), initial=0.0) < 1e-8:
                break
    lost = ~np.isfinite(slope) | (np.abs(slope) > LARGEST_SLOPE) | (area <= 1e-10 * a * c)
    lost |= (np.sqrt(np.mean(x**2)) < LEAST_SPREAD) | ((rest**2).max(axis=1) < LIMIT)
    return np.where(lost, np.nan, intercept), np.where(lost, np.nan, slope)
