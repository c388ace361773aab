"""Maximum likelihood for models of means and covariances, with missing values.

A model is a list of paths in reticular action form (McArdle and McDonald 1984): regressions,
variances, covariances and means of observed and latent variables. Missing values are handled by
full-information maximum likelihood, unbiased if they are missing at random given the observed ones.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
import pandas as pd
from scipy import optimize, stats

from workflows.compute.problems import ModelError, Problem

PROCESS_COLUMNS = [
    "term",
    "estimate",
    "standard_error",
    "ci_low",
    "ci_high",
    "df",
    "statistic",
    "p",
    "standardised",
    "n",
    "note",
]
OPEN = "a limit of the interval was not found"
MAX_STEPS = 500
DECREMENT = 1e-14
PROFILE_DECREMENT = 1e-7
GOOD_DECREMENT = 1e-6
ROUNDING = 1e-13
LARGEST_DAMPING = 1e8
SMALLEST_EIGENVALUE = 1e-12
IDENTIFIED = 1e-9
MIN_PARTICIPANTS = 10
PER_VARIABLE = 3
EM_STEPS = 5000
EM_GAIN = 1e-9


@dataclass(frozen=True)
class Path:
    """One entry of a model.

    'regression': `target` on `source`; 'covariance' of both (a variance if they are the same);
    'mean': of `target`, or its intercept if it is regressed on something (`source` empty). Paths
    with the same `label` share one free parameter whose search starts at `value`; an empty label
    fixes the path at `value`.
    """

    kind: Literal["regression", "covariance", "mean"]
    target: str
    source: str
    label: str
    value: float


@dataclass(frozen=True)
class Structure:
    """Names of the observed (columns of the data, in order) and latent variables, and the paths."""

    observed: tuple[str, ...]
    latent: tuple[str, ...]
    paths: tuple[Path, ...]


@dataclass(frozen=True)
class FitIndices:
    """How well a model describes the means and covariances; NaN where it cannot be said.

    `chi2` is the likelihood ratio to the saturated model; `p` its tail under a small-sample
    correction (Swain 1975), NaN with fewer than 3 participants per variable. CFI: Bentler (1990),
    against the model without covariances. RMSEA with its 90 % interval: Steiger (1990). SRMR
    includes the means.
    """

    n: int
    n_parameters: int
    log_likelihood: float
    chi2: float
    df: int
    p: float
    cfi: float
    rmsea: float
    rmsea_low: float
    rmsea_high: float
    srmr: float
    aic: float
    bic: float


@dataclass(frozen=True)
class StructureFit:
    """Maximum of the likelihood.

    `estimate` follows `labels`; `covariance` is the inverse of the observed information;
    `all_covariance` and `all_mean` are implied for observed and latent variables (`variables`);
    `complete` is the number of participants without a missing value; `notes` warn of what a
    reader must know (participants left out, missing values, negative variances).
    """

    labels: tuple[str, ...]
    estimate: np.ndarray
    covariance: np.ndarray = field(repr=False)
    variables: tuple[str, ...]
    all_mean: np.ndarray = field(repr=False)
    all_covariance: np.ndarray = field(repr=False)
    n: int
    complete: int
    indices: FitIndices
    notes: tuple[str, ...]

    def value(self, label: str) -> float:
        """Estimate of one parameter."""
        return float(self.estimate[self.labels.index(label)])

    def error(self, label: str) -> float:
        """Standard error of one parameter."""
        place = self.labels.index(label)
        return float(np.sqrt(self.covariance[place, place]))

    def implied(self, first: str, second: str) -> float:
        """Covariance of two variables, observed or latent, in the fitted model."""
        places = self.variables.index(first), self.variables.index(second)
        return float(self.all_covariance[places])


@dataclass(frozen=True)
class Term:
    """One row of results; `standard_error` already carries any small-sample factor.

    `scale` says how the interval is made: "linear" (t with `df`), "variance" (scaled chi-square
    with the df that estimate and error imply; no test, a variance is not below 0) or "fisher"
    (correlations: normal on Fisher's z, whose standard error is `standard_error` /
    (1 - estimate**2)). `limits` are low, high and statistic where they come from elsewhere
    (`likelihood_limits`); no test is shown unless `tested`.
    """

    term: str
    estimate: float
    standard_error: float
    df: float = np.inf
    scale: Literal["linear", "variance", "fisher"] = "linear"
    standardised: float = np.nan
    note: str = ""
    tested: bool = True
    limits: tuple[float, float, float] | None = None


@dataclass(frozen=True)
class ProcessResult:
    """Rows of PROCESS_COLUMNS, how well the model fits, and what a reader must know."""

    rows: pd.DataFrame
    indices: FitIndices
    notes: tuple[str, ...]


@dataclass(frozen=True)
class _Entries:
    target: np.ndarray
    source: np.ndarray
    parameter: np.ndarray
    value: np.ndarray

    def filled(self, theta):
        """Values of the entries: free ones from theta, the others as fixed."""
        return np.where(self.parameter >= 0, theta[self.parameter], self.value)

    def free(self):
        """Target, source and parameter of the entries that are estimated."""
        free = self.parameter >= 0
        return self.target[free], self.source[free], self.parameter[free]


@dataclass(frozen=True)
class _Layout:
    labels: tuple[str, ...]
    start: np.ndarray
    n_observed: int
    size: int
    regressions: _Entries
    covariances: _Entries
    means: _Entries


@dataclass(frozen=True)
class _Patterns:
    """Moments of the participants who lack the same values: one entry per pattern."""

    mask: np.ndarray
    n: np.ndarray
    mean: np.ndarray
    covariance: np.ndarray


def fit_structure(structure: Structure, values: np.ndarray) -> StructureFit:
    """Maximum-likelihood fit of a model of means and covariances.

    Fisher scoring with damping, so neither the units nor the order of the variables matter.
    Variances are not forced to be positive: an interval that stops at 0 would not cover; a
    negative one is named in `notes`.

    Parameters
    ----------
    structure : Structure
        The model; every observed variable needs a mean and a variance from its paths.
    values : np.ndarray, shape (n_participants, n_observed)
        NaN is missing; a participant without any value is left out and counted in `notes`.

    Raises
    ------
    ModelError
        Too few participants, a variable without variation, no maximum found, or a parameter
        that the data do not determine.
    """
    values = np.asarray(values, dtype=float)
    check_scores(structure.observed, values)
    layout = _layout(structure)
    used = np.isfinite(values).any(axis=1)
    patterns = _patterns(values)
    theta = _maximum(layout, patterns, layout.start)
    covariance = _error_covariance(layout, patterns, theta)
    mean, everything, _ = _everything(layout, theta)
    n = int(used.sum())
    return StructureFit(
        labels=layout.labels,
        estimate=theta,
        covariance=covariance,
        variables=structure.observed + structure.latent,
        all_mean=mean,
        all_covariance=everything,
        n=n,
        complete=int(np.isfinite(values).all(axis=1).sum()),
        indices=_indices(layout, patterns, theta),
        notes=_notes(structure, values, layout, theta),
    )


def check_scores(names: tuple[str, ...], values: np.ndarray) -> None:
    """Refuse scores that no model can be fitted to.

    Parameters
    ----------
    names : tuple of str
        Names of the columns, for the message.
    values : np.ndarray, shape (n_participants, n_names)
        NaN is missing.

    Raises
    ------
    ModelError
        Fewer than 10 participants with values, or a column with fewer than 3 values or without
        variation.
    ValueError
        Another number of columns.
    """
    if values.ndim != 2 or values.shape[1] != len(names):
        raise ValueError(f"values: need {len(names)} columns, got {values.shape}")
    n = int(np.isfinite(values).any(axis=1).sum())
    if n < MIN_PARTICIPANTS:
        what = f"{n} participants with values, {MIN_PARTICIPANTS} needed"
        raise ModelError(Problem(what, "participants", "see who is missing, or collect more"))
    for name, column in zip(names, values.T, strict=True):
        there = column[np.isfinite(column)]
        if len(there) < 3 or np.ptp(there) <= 1e-10 * np.abs(there).max():
            few = f"has {len(there)} values" if len(there) < 3 else "is the same for everybody"
            todo = "leave this occasion or variable out"
            raise ModelError(Problem(f"'{name}' {few}", name, todo))


def derived(
    fit: StructureFit, function: Callable[[dict[str, float]], float]
) -> tuple[float, float]:
    """Value and standard error (delta method) of a function of the parameters.

    `function` takes a dictionary from label to value; NaN outside its domain stays NaN.
    """

    def value(theta):
        return function(dict(zip(fit.labels, theta, strict=True)))

    steps = 1e-4 * np.sqrt(np.diag(fit.covariance))
    slope = np.zeros(len(steps))
    for place, step in enumerate(steps):
        move = np.zeros(len(steps))
        move[place] = step
        slope[place] = (value(fit.estimate + move) - value(fit.estimate - move)) / (2 * step)
    return float(value(fit.estimate)), float(np.sqrt(slope @ fit.covariance @ slope))


def likelihood_ratio(smaller: StructureFit, larger: StructureFit) -> tuple[float, int, float]:
    """Chi-square, df and p of the constraints that turn the larger model into the smaller.

    Both fitted to the same values. The statistic is not corrected for small samples.

    Raises
    ------
    ValueError
        The smaller model does not have fewer parameters, or other participants.
    """
    df = len(larger.labels) - len(smaller.labels)
    if df < 1 or smaller.n != larger.n:
        raise ValueError("smaller: must be the larger model with constraints, same participants")
    gain = 2 * (larger.indices.log_likelihood - smaller.indices.log_likelihood)
    chi2 = max(gain, 0.0)
    return chi2, df, float(stats.chi2.sf(chi2, df))


def likelihood_loss(
    structure: Structure, values: np.ndarray, fit: StructureFit, label: str, value: float
) -> float:
    """Twice the log likelihood lost by fixing a parameter of the fitted model at `value`.

    Compare with chi-square of 1 df, in small samples as `likelihood_limits` does.

    Raises
    ------
    ModelError
        The model with the fixed parameter has no maximum that the search finds.
    """
    return _loss(structure, _patterns(np.asarray(values, dtype=float)), fit, label, value)


def _loss(structure, patterns, fit, label, value):
    paths = tuple(
        replace(path, label="", value=value) if path.label == label else path
        for path in structure.paths
    )
    layout = _layout(replace(structure, paths=paths))
    at = fit.labels.index(label)
    slope = fit.covariance[at] / fit.covariance[at, at]
    near = np.delete(fit.estimate + slope * (value - fit.estimate[at]), at)
    starts = (near, np.delete(fit.estimate, at), layout.start)
    start = next((one for one in starts if np.isfinite(_deviance_at(layout, patterns, one))), None)
    if start is None:
        raise ModelError(_no_maximum())
    theta = _maximum(layout, patterns, start, PROFILE_DECREMENT)
    return _deviance_at(layout, patterns, theta) + 2 * fit.indices.log_likelihood


def likelihood_limits(
    structure: Structure,
    values: np.ndarray,
    fit: StructureFit,
    term: Term,
    confidence: float,
    n: int,
) -> Term:
    """The term with an interval and a test from the profile of the likelihood.

    Right where estimates are far from normal, as with few participants and latent variables.
    The loss of likelihood is multiplied by `term.df` / `n` and compared with F(1, `term.df`).
    A limit that is not reached within 50 standard errors, or is not found, is NaN.

    Parameters
    ----------
    structure, values, fit
        The model, its data and its fit.
    term : Term
        Its name must be the label of a parameter.
    confidence : float
        Coverage, .5..1.
    n : int
        Participants from whom the degrees of freedom were counted.
    """
    wanted = stats.t.ppf((1 + confidence) / 2, term.df)
    scale, patterns = term.df / n, _patterns(np.asarray(values, dtype=float))

    def root(value):
        loss = _loss(structure, patterns, fit, term.term, value)
        return float(np.sqrt(max(loss, 0.0) * scale))

    def limit(side):
        inner, step = term.estimate, side * wanted * term.standard_error
        for outer in term.estimate + step * np.array([1.0, 1.5, 2.5, 5, 12, 25]):
            if root(outer) >= wanted:
                return optimize.brentq(
                    lambda value: root(value) - wanted, inner, outer, xtol=1e-3 * abs(step)
                )
            inner = outer
        return np.nan

    found = []
    for search in (lambda: limit(-1), lambda: limit(1), lambda: root(0.0)):
        try:
            found.append(search())
        except ModelError:
            found.append(np.nan)
    low, high, statistic = found
    lost = OPEN if np.isnan([low, high]).any() else ""
    note = "; ".join(part for part in (term.note, lost) if part)
    limits = (low, high, np.copysign(statistic, term.estimate))
    return replace(term, limits=limits, note=note)


def saturated_moments(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Maximum-likelihood means and covariances of incomplete normal data.

    Closed form without holes, else expectation-maximisation (Dempster, Laird and Rubin 1977).

    Parameters
    ----------
    values : np.ndarray, shape (n_participants, n_variables)
        NaN is missing.

    Returns
    -------
    mean : np.ndarray, shape (n_variables,)
    covariance : np.ndarray, shape (n_variables, n_variables)
        Divided by n, not by n - 1.

    Raises
    ------
    numpy.linalg.LinAlgError
        The covariance is singular.
    """
    values = np.asarray(values, dtype=float)
    return _saturated(_patterns(values))


def term_table(terms: list[Term], n: int, confidence: float) -> pd.DataFrame:
    """Rows of PROCESS_COLUMNS with intervals of the given coverage (.5..1) and two-sided p."""
    rows = []
    for term in terms:
        low, high, statistic = _interval(term, confidence)
        statistic = statistic if term.tested else np.nan
        tested = np.isfinite(statistic)
        rows.append(
            {
                "term": term.term,
                "estimate": term.estimate,
                "standard_error": term.standard_error,
                "ci_low": low,
                "ci_high": high,
                "df": term.df if tested and np.isfinite(term.df) else np.nan,
                "statistic": statistic,
                "p": 2 * stats.t.sf(abs(statistic), term.df) if tested else np.nan,
                "standardised": term.standardised,
                "n": n,
                "note": term.note,
            }
        )
    return pd.DataFrame(rows, columns=PROCESS_COLUMNS)


def _interval(term, confidence):
    """Limits and test statistic of a term; NaN where the scale does not allow them."""
    if term.limits is not None:
        return term.limits
    half = stats.t.ppf((1 + confidence) / 2, term.df)
    value, error = term.estimate, term.standard_error
    if term.scale == "variance":
        df = 2 * (value / error) ** 2 if value > 0 else np.nan
        tails = stats.chi2.ppf([(1 + confidence) / 2, (1 - confidence) / 2], df)
        return *(df * value / tails), np.nan
    if term.scale == "fisher":
        if not abs(value) < 1:
            return np.nan, np.nan, np.nan
        z, error = np.arctanh(value), error / (1 - value**2)
        return np.tanh(z - half * error), np.tanh(z + half * error), z / error
    return value - half * error, value + half * error, value / error


def _layout(structure):
    place = {name: at for at, name in enumerate(structure.observed + structure.latent)}
    free = [path for path in structure.paths if path.label]
    start = {path.label: path.value for path in reversed(free)}
    labels = tuple(dict.fromkeys(path.label for path in free))
    number = {"": -1, **{label: at for at, label in enumerate(labels)}}

    def entries(kind):
        rows = [path for path in structure.paths if path.kind == kind]
        return _Entries(
            np.array([place[path.target] for path in rows], dtype=int),
            np.array([place[path.source or path.target] for path in rows], dtype=int),
            np.array([number[path.label] for path in rows], dtype=int),
            np.array([path.value for path in rows], dtype=float),
        )

    parts = (entries(kind) for kind in ("regression", "covariance", "mean"))
    starts = np.array([start[label] for label in labels])
    return _Layout(labels, starts, len(structure.observed), len(place), *parts)


def _patterns(values):
    """Moments of each pattern; participants without any value are not used."""
    values = values[np.isfinite(values).any(axis=1)]
    there = np.isfinite(values)
    _, first, member = np.unique(
        np.packbits(there, axis=1), axis=0, return_index=True, return_inverse=True
    )
    masks, member = there[first], member.ravel()
    n = np.bincount(member).astype(float)
    filled = np.where(there, values, 0.0)
    mean = np.array([filled[member == at].mean(axis=0) for at in range(len(n))])
    rest = np.where(there, values - mean[member], 0.0)
    covariance = np.array(
        [rest[member == at].T @ rest[member == at] / n[at] for at in range(len(n))]
    )
    return _Patterns(masks.astype(float), n, mean, covariance)


def _everything(layout, theta):
    """Means and covariances of all variables, and the total effects (I - A)^-1."""
    arrows = np.zeros((layout.size, layout.size))
    arrows[layout.regressions.target, layout.regressions.source] = layout.regressions.filled(theta)
    symmetric = np.zeros_like(arrows)
    spread = layout.covariances
    symmetric[spread.target, spread.source] = spread.filled(theta)
    symmetric[spread.source, spread.target] = spread.filled(theta)
    mean = np.zeros(layout.size)
    mean[layout.means.target] = layout.means.filled(theta)
    total = np.linalg.inv(np.eye(layout.size) - arrows)
    return total @ mean, total @ symmetric @ total.T, total


def _derivatives(layout, state):
    """Derivatives of the observed means (q x p) and covariances (q x p x p)."""
    mean, everything, total = state
    p, q = layout.n_observed, len(layout.labels)
    mean_slope, slope = np.zeros((q, p)), np.zeros((q, p, p))
    effects, shared = total[:p].T, everything[:p].T
    to, by, place = layout.regressions.free()
    change = effects[to][:, :, None] * shared[by][:, None, :]
    np.add.at(slope, place, change + change.swapaxes(1, 2))
    np.add.at(mean_slope, place, effects[to] * mean[by][:, None])
    one, other, place = layout.covariances.free()
    change = effects[one][:, :, None] * effects[other][:, None, :]
    change = change + change.swapaxes(1, 2)
    change[one == other] /= 2
    np.add.at(slope, place, change)
    to, _, place = layout.means.free()
    np.add.at(mean_slope, place, effects[to])
    return mean_slope, slope


def _bend(layout, state, pull, push):
    """Part of the curvature that comes from second derivatives of the implied moments.

    `pull` (p x p) and `push` (p) are the derivatives of the deviance by covariances and means.
    """
    mean, everything, total = state
    p, q = layout.n_observed, len(layout.labels)
    left = total[:p].T @ pull
    inner, outer = left @ total[:p], everything[:, :p] @ pull @ total[:p]
    force = total[:p].T @ push
    bend = np.zeros((q, q))
    to, by, place = layout.regressions.free()
    i, j, at = to[:, None], by[:, None], place[:, None]
    k, m = to[None], by[None]
    both = 2 * (
        total[m, i] * outer[j, k] + total[j, k] * outer[m, i] + everything[j, m] * inner[k, i]
    )
    both += force[k] * total[m, i] * mean[j] + force[i] * total[j, k] * mean[m]
    np.add.at(bend, (at, place[None]), both)
    k, m, other = layout.covariances.free()
    mixed = 2 * (total[j, k] * inner[m, i] + total[j, m] * inner[k, i]) / np.where(k == m, 2, 1)
    for extra, partner in (
        (mixed, other),
        (force[i] * total[j, layout.means.free()[0]], layout.means.free()[2]),
    ):
        np.add.at(bend, (at, partner[None]), extra)
        np.add.at(bend, (partner[None], at), extra)
    return bend


def _inverses(patterns, covariance):
    """Inverse (0 for missing variables) and log determinant of each pattern's covariance."""
    mask = patterns.mask[:, :, None] * patterns.mask[:, None, :]
    padded = covariance * mask
    at = np.arange(covariance.shape[0])
    padded[:, at, at] += 1 - patterns.mask
    root = np.linalg.cholesky(padded)
    log_determinant = 2 * np.log(root[:, at, at]).sum(axis=1)
    return np.linalg.inv(padded) * mask, log_determinant


def _deviance(patterns, mean, covariance):
    """Minus two log likelihood and what its derivatives need."""
    inverse, log_determinant = _inverses(patterns, covariance)
    rest = (patterns.mean - mean) * patterns.mask
    spread = patterns.covariance + rest[:, :, None] * rest[:, None, :]
    misfit = log_determinant + np.einsum("kij,kij->k", inverse, spread)
    constant = np.log(2 * np.pi) * patterns.mask.sum(axis=1)
    return float(patterns.n @ (misfit + constant)), inverse, rest, spread


def _deviance_at(layout, patterns, theta):
    """Deviance; infinite where a covariance is not positive definite."""
    p = layout.n_observed
    try:
        mean, everything, _ = _everything(layout, theta)
        return _deviance(patterns, mean[:p], everything[:p, :p])[0]
    except np.linalg.LinAlgError:
        return np.inf


def _curvature(layout, patterns, theta):
    """Gradient of the deviance at theta, its curvature there and its expected curvature."""
    p = layout.n_observed
    state = _everything(layout, theta)
    _, inverse, rest, spread = _deviance(patterns, state[0][:p], state[1][:p, :p])
    mean_slope, slope = _derivatives(layout, state)
    weighted = patterns.n[:, None, None] * inverse
    pull = (weighted - weighted @ spread @ inverse).sum(axis=0)
    push = -2 * np.einsum("kij,kj->i", weighted, rest)
    gradient = np.einsum("ij,qij->q", pull, slope) + mean_slope @ push
    expected = 2 * mean_slope @ weighted.sum(axis=0) @ mean_slope.T
    observed = expected + _bend(layout, state, pull, push)
    n_parameters = len(gradient)
    for at, n in enumerate(patterns.n):
        product = inverse[at] @ slope
        turned = product.swapaxes(1, 2).reshape(n_parameters, -1)
        expected += n * product.reshape(n_parameters, -1) @ turned.T
        skewed = (product @ (2 * inverse[at] @ spread[at] - np.eye(p))).reshape(n_parameters, -1)
        observed += n * skewed @ turned.T
        cross = 2 * n * (product @ (inverse[at] @ rest[at])) @ mean_slope.T
        observed += cross + cross.T
    return gradient, (observed + observed.T) / 2, expected


def _maximum(layout, patterns, start, decrement=DECREMENT):
    """Parameters at the maximum, from `start`; `decrement` is the gain still to be expected."""
    theta, damping = start, 1e-4
    deviance = _deviance_at(layout, patterns, theta)
    if not np.isfinite(deviance):
        what = "scores of which one is a sum of others or changes by the same amount in everybody"
        raise ModelError(Problem(what, "model", "leave one of them out"))
    left = np.inf
    for _ in range(MAX_STEPS):
        gradient, axes = _descent(layout, patterns, theta)
        left = -gradient @ _step(gradient, axes, 0.0)
        if left < decrement:
            break
        allowed = deviance + ROUNDING * abs(deviance)
        step = _step(gradient, axes, damping)
        new = _deviance_at(layout, patterns, theta + step)
        while new > allowed and damping < LARGEST_DAMPING:
            damping *= 8
            step = _step(gradient, axes, damping)
            new = _deviance_at(layout, patterns, theta + step)
        if new > allowed:
            break
        theta, deviance, damping = theta + step, new, max(damping / 16, 1e-10)
    if left > GOOD_DECREMENT:
        raise ModelError(_no_maximum())
    return theta


def _descent(layout, patterns, theta):
    """Gradient and the axes of the curvature: the observed one, the expected if it is not up."""
    gradient, observed, expected = _curvature(layout, patterns, theta)
    scale = _unit(expected)
    values, vectors = np.linalg.eigh(observed * scale[:, None] * scale)
    if values[0] <= IDENTIFIED:
        values, vectors = np.linalg.eigh(expected * scale[:, None] * scale)
    return gradient, (scale, values, vectors)


def _unit(curvature):
    """Size of each parameter's step of unit curvature."""
    return 1 / np.sqrt(np.maximum(np.diag(curvature), np.finfo(float).tiny))


def _step(gradient, axes, damping):
    """Damped step along the axes; those without curvature are left."""
    scale, values, vectors = axes
    floor = SMALLEST_EIGENVALUE * max(values[-1], 1.0)
    weight = np.where(values > floor, 1 / (np.maximum(values, floor) + damping), 0.0)
    return -scale * (vectors @ (weight * (vectors.T @ (scale * gradient))))


def _no_maximum():
    todo = "use fewer occasions, equal paths over time, or a simpler model; look for outliers"
    return Problem("the search for the best parameters did not converge", "model", todo)


def _error_covariance(layout, patterns, theta):
    """Inverse of the observed information."""
    _, observed, expected = _curvature(layout, patterns, theta)
    scale = _unit(expected)
    values, vectors = np.linalg.eigh(observed * scale[:, None] * scale)
    if values[0] <= IDENTIFIED:
        worst = layout.labels[int(np.argmax(np.abs(vectors[:, 0])))]
        what = f"the data do not determine the parameter '{worst}'"
        todo = "use a simpler model, more occasions or more participants"
        raise ModelError(Problem(what, "model", todo))
    return 2 * (scale[:, None] * ((vectors / values) @ vectors.T) * scale)


def _saturated(patterns):
    weight = patterns.n / patterns.n.sum()
    seen = weight @ patterns.mask
    mean = (weight @ (patterns.mean * patterns.mask)) / seen
    rest = (patterns.mean - mean) * patterns.mask
    spread = patterns.covariance + rest[:, :, None] * rest[:, None, :]
    covariance = np.einsum("k,kij->ij", weight, spread)
    if len(patterns.n) == 1:
        return mean, covariance
    covariance = np.diag(np.diag(covariance) / seen)
    last = np.inf
    for _ in range(EM_STEPS):
        deviance, inverse, rest, _ = _deviance(patterns, mean, covariance)
        if last - deviance < EM_GAIN:
            break
        last = deviance
        filling = covariance @ inverse
        filled = mean + np.einsum("kij,kj->ki", filling, rest)
        unknown = covariance - filling @ covariance
        second = filling @ patterns.covariance @ filling.swapaxes(1, 2) + unknown
        mean = weight @ filled
        rest = filled - mean
        spread = second + rest[:, :, None] * rest[:, None, :]
        covariance = np.einsum("k,kij->ij", weight, spread)
    return mean, covariance


def _indices(layout, patterns, theta):
    p, q, n = layout.n_observed, len(theta), int(patterns.n.sum())
    deviance = _deviance_at(layout, patterns, theta)
    df = p * (p + 3) // 2 - q
    try:
        mean, covariance = _saturated(patterns)
        best = _deviance(patterns, mean, covariance)[0]
        chi2 = max(deviance - best, 0.0) if df else 0.0
        srmr = _srmr(layout, theta, mean, covariance)
    except np.linalg.LinAlgError:
        best = chi2 = srmr = np.nan
    worst = _independent_deviance(patterns) - best
    low, high = _rmsea_interval(chi2, df, n)
    return FitIndices(
        n=n,
        n_parameters=q,
        log_likelihood=-deviance / 2,
        chi2=chi2,
        df=df,
        p=_fit_p(chi2, df, p, n),
        cfi=_cfi(chi2, df, worst, p * (p - 1) // 2),
        rmsea=float(np.sqrt(max(chi2 - df, 0) / (df * n))) if df and chi2 >= 0 else np.nan,
        rmsea_low=low,
        rmsea_high=high,
        srmr=srmr,
        aic=deviance + 2 * q,
        bic=deviance + np.log(n) * q,
    )


def _independent_deviance(patterns):
    """Deviance of the model with free means and variances and no covariances."""
    weight = patterns.n[:, None] * patterns.mask
    n = weight.sum(axis=0)
    mean = (weight * patterns.mean).sum(axis=0) / n
    squares = np.einsum("kii->ki", patterns.covariance) + (patterns.mean - mean) ** 2
    variance = (weight * squares).sum(axis=0) / n
    return float((n * (np.log(2 * np.pi * variance) + 1)).sum())


def _fit_p(chi2, df, p, n):
    """Tail of chi2 with Swain's correction; NaN where too few participants make it wrong."""
    if not df or n < PER_VARIABLE * p:
        return np.nan
    return float(stats.chi2.sf(chi2 * _swain(p, df, n), df))


def _swain(p, df, n):
    """Factor that brings the chi-square of small samples to its distribution (Swain 1975)."""
    free = p * (p + 1) / 2 - df
    root = (np.sqrt(1 + 8 * max(free, 0)) - 1) / 2
    much = p * (2 * p**2 + 3 * p - 1) - root * (2 * root**2 + 3 * root - 1)
    return max(1 - much / (12 * df * (n - 1)), 0.0) * (n - 1) / n


def _cfi(chi2, df, worst, worst_df):
    if not (np.isfinite(chi2) and df):
        return np.nan
    excess = max(chi2 - df, 0.0)
    return float(1 - excess / max(worst - worst_df, excess)) if worst > worst_df else np.nan


def _rmsea_interval(chi2, df, n):
    if not (np.isfinite(chi2) and df):
        return np.nan, np.nan

    def limit(tail):
        if stats.chi2.cdf(chi2, df) < tail:
            return 0.0
        top = 10 * chi2 + 100
        noncentrality = optimize.brentq(lambda at: stats.ncx2.cdf(chi2, df, at) - tail, 0, top)
        return float(np.sqrt(noncentrality / (df * n)))

    return limit(0.95), limit(0.05)


def _srmr(layout, theta, mean, covariance):
    p = layout.n_observed
    implied_mean, implied, _ = _everything(layout, theta)
    size = np.sqrt(np.diag(covariance))
    off = ((covariance - implied[:p, :p]) / np.outer(size, size))[np.tril_indices(p)]
    means = (mean - implied_mean[:p]) / size
    return float(np.sqrt((np.sum(off**2) + np.sum(means**2)) / (len(off) + p)))


def _notes(structure, values, layout, theta):
    there = np.isfinite(values)
    empty = int((~there.any(axis=1)).sum())
    holes = int((~there[there.any(axis=1)]).sum())
    notes = [f"{empty} participants without any value left out"] if empty else []
    if holes:
        share = 100 * holes / there[there.any(axis=1)].size
        notes.append(
            f"{holes} values missing ({share:.0f} %): full-information maximum likelihood,"
            " right if missing at random given the values that are there"
        )
    spread = layout.covariances
    negative = (spread.target == spread.source) & (spread.filled(theta) < 0)
    names = structure.observed + structure.latent
    n, p = int(there.any(axis=1).sum()), there.shape[1]
    if n < PER_VARIABLE * p:
        notes.append(f"no test of fit: {n} participants for {p} scores, {PER_VARIABLE * p} needed")
    notes += [f"negative variance of '{names[at]}'" for at in spread.target[negative]]
    return tuple(notes)
