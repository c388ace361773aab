"""Random-intercept cross-lagged panel model of two repeated measures."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from workflows.compute.covariance_structure import (
    Path,
    ProcessResult,
    Structure,
    StructureFit,
    Term,
    check_scores,
    derived,
    fit_structure,
    likelihood_limits,
    term_table,
)
from workflows.compute.problems import ModelError, Problem

MIN_OCCASIONS = 3
FREE_RESIDUALS = 4
PREDICTORS = 3
TRAIT = "between {}"
STATE = "within {} {}"
BETWEEN = "between-person correlation"
UNDEFINED = "not defined: a variance is estimated as negative"
ASSOCIATION = "a lagged association between people's deviations, not proof of a cause"


def cross_lagged(
    first: np.ndarray,
    second: np.ndarray,
    names: tuple[str, str],
    confidence: float,
    equal_paths: bool = True,
) -> ProcessResult:
    """Autoregressive and cross-lagged paths within persons, apart from stable differences.

    Random-intercept cross-lagged panel model (Hamaker, Kuiper and Grasman 2015): each score is
    the mean of its occasion, a stable part of the person (random intercept) and a deviation; the
    deviations predict those of the next occasion. Means are free on every occasion, so the course
    of the group plays no part. With more than 4 occasions the residual (co)variances are equal
    from the second occasion on.

    Parameters
    ----------
    first, second : np.ndarray, shape (n_participants, n_occasions)
        Scores of the two measures, occasions in time order, equally spaced; NaN is missing.
    names : tuple of str
        Names of the two measures, for example ("alliance", "symptoms").
    confidence : float
        Coverage of the intervals, .5..1.
    equal_paths : bool
        The same paths from every occasion to the next; False estimates one per interval.

    Returns
    -------
    ProcessResult
        `standardised` paths are within-person, averaged over the intervals if equal.

    Raises
    ------
    ModelError
        Fewer than three occasions, too few participants, or no maximum found.
    ValueError
        Arrays of different shapes, or the same name twice.
    """
    first, second = np.asarray(first, dtype=float), np.asarray(second, dtype=float)
    _check_panel(first, second, names)
    values = np.column_stack([first, second])
    observed = tuple(f"{name} {at}" for name in names for at in range(first.shape[1]))
    check_scores(observed, values)
    structure = panel_structure(first, second, names, equal_paths)
    fit = fit_structure(structure, values)
    several = (np.isfinite(first) | np.isfinite(second)).sum(axis=1) > 1
    n = int(several.sum())
    df = max(n - PREDICTORS, 1)
    terms = [
        likelihood_limits(structure, values, fit, term, confidence, n)
        for term in _path_terms(fit, names, (df, n), first.shape[1], equal_paths)
    ]
    terms.append(_between_correlation(structure, values, fit, names, confidence))
    terms.append(_first_correlation(fit, names))
    return ProcessResult(term_table(terms, fit.n, confidence), fit.indices, fit.notes)


def panel_structure(
    first: np.ndarray, second: np.ndarray, names: tuple[str, str], equal_paths: bool
) -> Structure:
    """Model of `cross_lagged`, with starting values from the scores (same arguments)."""
    n_occasions = first.shape[1]
    paths, latent = [], []
    for name, scores in zip(names, (first, second), strict=True):
        latent += [TRAIT.format(name)] + [STATE.format(name, at) for at in range(n_occasions)]
        paths += _measurement(name, scores)
    paths += _together(names, n_occasions)
    for at in range(1, n_occasions):
        for target in names:
            for source in names:
                label = f"{source} -> {target}" + ("" if equal_paths else f" {at}")
                start = 0.1 if source == target else 0.0
                ends = STATE.format(target, at), STATE.format(source, at - 1)
                paths.append(Path("regression", *ends, label, start))
    observed = tuple(f"{name} {at}" for name in names for at in range(n_occasions))
    return Structure(observed, tuple(latent), tuple(paths))


def _measurement(name, scores):
    """Means, loadings and variances of one measure."""
    variance, paths = float(np.nanmean(np.nanvar(scores, axis=0))), []
    trait, n_occasions = TRAIT.format(name), scores.shape[1]
    paths.append(Path("covariance", trait, trait, f"variance {trait}", 0.4 * variance))
    for at, column in enumerate(scores.T):
        observed, state = f"{name} {at}", STATE.format(name, at)
        label = f"variance {name} {_residual(at, n_occasions)}"
        paths += [
            Path("mean", observed, "", f"mean {observed}", float(np.nanmean(column))),
            Path("regression", observed, trait, "", 1.0),
            Path("regression", observed, state, "", 1.0),
            Path("covariance", state, state, label, 0.6 * variance),
        ]
    return paths


def _together(names, n_occasions):
    """Covariances of the two measures: of the stable parts and on each occasion."""
    traits = [TRAIT.format(name) for name in names]
    paths = [Path("covariance", *traits, "covariance between", 0.0)]
    for at in range(n_occasions):
        states = [STATE.format(name, at) for name in names]
        label = f"covariance within {_residual(at, n_occasions)}"
        paths.append(Path("covariance", *states, label, 0.0))
    return paths


def _residual(at, n_occasions):
    """Label of the occasions whose residuals share their variance."""
    return at if at == 0 or n_occasions <= FREE_RESIDUALS else "later"


def _path_terms(fit: StructureFit, names, counts, n_occasions, equal_paths):
    df, n = counts
    terms = []
    for source, target in ((one, other) for one in names for other in names):
        for at in [0] if equal_paths else range(1, n_occasions):
            label = f"{source} -> {target}" + (f" {at}" if at else "")
            lags = [at] if at else range(1, n_occasions)
            size = fit.value(label) * np.mean([_ratio(fit, source, target, lag) for lag in lags])
            error = fit.error(label) * np.sqrt(n / df)
            note = "" if source == target else ASSOCIATION
            terms.append(Term(label, fit.value(label), error, df, "linear", size, note))
    return terms


def _ratio(fit, source, target, lag):
    """Within-person standard deviation of the source over that of the target one lag later."""
    before, after = STATE.format(source, lag - 1), STATE.format(target, lag)
    with np.errstate(invalid="ignore"):
        return np.sqrt(fit.implied(before, before) / fit.implied(after, after))


def _between_correlation(structure, values, fit, names, confidence):
    """Correlation of the stable parts, with limits from the likelihood within -1..1."""
    traits = [TRAIT.format(name) for name in names]
    spread = [fit.value(f"variance {trait}") for trait in traits]
    if min(spread) <= 0:
        return Term(BETWEEN, np.nan, np.nan, note=UNDEFINED)
    value, error = _correlation(
        fit, "covariance between", *(f"variance {trait}" for trait in traits)
    )
    starts = {f"variance {trait}": 1.0 for trait in traits} | {"covariance between": value}
    sizes = dict(zip(traits, np.sqrt(spread), strict=True))
    paths = []
    for path in structure.paths:
        if path.label in starts:
            label = BETWEEN if path.label == "covariance between" else ""
            paths.append(replace(path, label=label, value=starts[path.label]))
        elif path.source in sizes and path.kind == "regression":
            paths.append(replace(path, label=f"size {path.source}", value=sizes[path.source]))
        else:
            start = fit.value(path.label) if path.label else path.value
            paths.append(replace(path, value=start))
    scaled = replace(structure, paths=tuple(paths))
    term = Term(BETWEEN, value, error, fit.n, "linear", value)
    same = fit_structure(scaled, values)
    low, high, statistic = likelihood_limits(scaled, values, same, term, confidence, fit.n).limits
    limits = (max(np.nan_to_num(low, nan=-1), -1), min(np.nan_to_num(high, nan=1), 1), statistic)
    return replace(term, limits=limits)


def _first_correlation(fit, names):
    """Correlation of the deviations on the first occasion."""
    title = "within-person correlation at the first occasion"
    variances = [f"variance {name} 0" for name in names]
    if min(fit.value(label) for label in variances) <= 0:
        return Term(title, np.nan, np.nan, note=UNDEFINED)
    value, error = _correlation(fit, "covariance within 0", *variances)
    return Term(title, value, error * np.sqrt(fit.n / (fit.n - 3)), np.inf, "fisher", value)


def _correlation(fit, shared, one, other):
    return derived(fit, lambda at: at[shared] / np.sqrt(at[one] * at[other]))


def _check_panel(first, second, names):
    if first.shape != second.shape or first.ndim != 2:
        raise ValueError("first, second: need the same shape (n_participants, n_occasions)")
    if names[0] == names[1]:
        raise ValueError("names: the two measures need different names")
    if first.shape[1] < MIN_OCCASIONS:
        what = f"{first.shape[1]} occasions, lagged effects apart from stable differences need 3"
        raise ModelError(Problem(what, " and ".join(names), "use latent change or add occasions"))
