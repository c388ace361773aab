"""How much a result depends on single participants: each is left out in turn, for many tests."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from scipy import stats

from workflows.compute.association import NO_VARIATION, adjusted
from workflows.compute.design import Design, centred
from workflows.compute.regression import Fit, empty_fit, missingness_patterns, untestable

N_COLUMNS = 4096
FULL_LEVERAGE = 1 - 1e-8
NOBODY = -1


@dataclass(frozen=True)
class Influence:
    """What single participants do to one term of each test; arrays of shape (n_tests,).

    `fit` holds the estimates with everybody. `cook` is the largest Cook's distance and
    `participant` the row it belongs to (-1: not tested); `dfbetas` is the change of the
    estimate by this participant in standard errors. `low` and `high` are the range of the
    estimate with each participant left out in turn, `r_low`, `r_high` that of the partial
    correlation and `p_low`, `p_high` that of p. `sign_flips`: somebody's absence changes
    the sign; `significance_flips`: it moves p across alpha. NaN and False where not tested.
    """

    fit: Fit = field(repr=False)
    cook: np.ndarray
    participant: np.ndarray
    dfbetas: np.ndarray
    low: np.ndarray
    high: np.ndarray
    r_low: np.ndarray
    r_high: np.ndarray
    p_low: np.ndarray
    p_high: np.ndarray
    sign_flips: np.ndarray
    significance_flips: np.ndarray


@dataclass(frozen=True)
class LeftOut:
    """Results without each participant in turn, n_participants x n_tests.

    NaN for participants that are not in a test and for those whose absence would leave a
    term without anybody.
    """

    cook: np.ndarray
    dfbetas: np.ndarray
    estimate: np.ndarray
    r: np.ndarray
    p: np.ndarray


@dataclass(frozen=True)
class InfluenceRequest:
    """The term that is looked at (a term or column of the design) and the level of its test."""

    term: str
    alpha: float
    min_participants: int


def influence(
    outcome: np.ndarray,
    design: Design,
    tested: InfluenceRequest,
    baseline: np.ndarray | None = None,
) -> Influence:
    """Largest influence of one participant, and the range without each, for many tests.

    From the hat matrix: no model is fitted again (Cook 1977; Belsley, Kuh and Welsch 1980).

    Parameters
    ----------
    outcome : np.ndarray, shape (n_participants, n_tests)
        NaN leaves the participant out of that test only.
    design : Design
        Terms shared by all tests. For change with change add the score as a covariate.
    tested : InfluenceRequest
        One term of the design.
    baseline : np.ndarray, shape (n_participants, n_tests), optional
        One more term with values of its own for each test (analysis of covariance).

    Raises
    ------
    ValueError
        The design has no such term.
    """
    n_tests = outcome.shape[1]
    parts = []
    for start in range(0, max(n_tests, 1), N_COLUMNS):
        columns = slice(start, start + N_COLUMNS)
        own = None if baseline is None else baseline[:, columns]
        fit, without = left_out(outcome[:, columns], design, tested, own)
        parts.append(_summary(fit, without, tested.alpha))
    return _joined(parts)


def left_out(
    outcome: np.ndarray,
    design: Design,
    tested: InfluenceRequest,
    baseline: np.ndarray | None = None,
) -> tuple[Fit, LeftOut]:
    """Fit of one term with everybody, and its results without each participant in turn.

    Parameters are those of `influence`; the arrays are n_participants x n_tests, so give a
    few thousand tests at a time.
    """
    term = _term_weights(design, tested.term)
    present = np.isfinite(outcome) & np.isfinite(design.matrix).all(axis=1)[:, None]
    if baseline is not None:
        present &= np.isfinite(baseline)
    fit = empty_fit(present, design, 1)
    without = LeftOut(*(np.full(present.shape, np.nan) for _ in range(5)))
    for rows, columns in missingness_patterns(present) if present.shape[1] else ():
        matrix, kept = centred(design, rows)
        n_terms = matrix.shape[1] + (baseline is not None)
        reason = untestable(design, rows, matrix, max(tested.min_participants, n_terms + 2))
        if reason or term[~kept].any():
            fit.note[columns] = reason or f"not tested: {tested.term} does not vary"
            continue
        at = np.ix_(rows, columns)
        own = None if baseline is None else baseline[at]
        terms = _Terms.of(matrix, term[kept], own)
        fit.df[columns] = len(rows) - n_terms
        _fill(fit, without, at, columns, terms, outcome[at])
    return fit, without


@dataclass(frozen=True)
class _Terms:
    """Weights of the tested estimate, leverage, and basis of all terms of a pattern."""

    weights: np.ndarray
    leverage: np.ndarray
    basis: np.ndarray
    own: np.ndarray | None
    n_terms: int

    @classmethod
    def of(cls, matrix: np.ndarray, term: np.ndarray, own: np.ndarray | None) -> _Terms:
        basis, triangle = np.linalg.qr(matrix)
        weights = (basis @ np.linalg.solve(triangle.T, term))[:, None]
        leverage = (basis**2).sum(axis=1)[:, None]
        if own is None:
            return cls(weights, leverage, basis, None, matrix.shape[1])
        rest = adjusted(own, basis)
        length = np.sqrt((rest**2).sum(axis=0))
        rest = rest / np.where(length > 0, length, np.nan)
        share = (weights * own).sum(axis=0) / np.where(length > 0, length, np.nan)
        weights, leverage = weights - share * rest, leverage + rest**2
        return cls(weights, leverage, basis, rest, matrix.shape[1] + 1)

    def residuals(self, outcome: np.ndarray) -> np.ndarray:
        rest = adjusted(outcome, self.basis)
        return rest if self.own is None else rest - self.own * (self.own * rest).sum(axis=0)


def _fill(fit, without, at, columns, terms, outcome):
    estimate = (terms.weights * outcome).sum(axis=0)
    residual = terms.residuals(outcome)
    df = len(outcome) - terms.n_terms
    squares = (residual**2).sum(axis=0)
    squares = np.where(squares > 0, squares, np.nan)
    unscaled = (terms.weights**2).sum(axis=0)
    estimate = np.where(np.isnan(squares), np.nan, estimate)
    fit.estimate[0, columns] = estimate
    fit.standard_error[0, columns] = np.sqrt(unscaled * squares / df)
    fit.note[columns[np.isnan(squares)]] = NO_VARIATION
    rest = 1 - np.where(terms.leverage < FULL_LEVERAGE, terms.leverage, np.nan)
    shift = terms.weights * residual / rest
    variance = np.maximum(squares - residual**2 / rest, 0) / (df - 1)
    variance = np.where(variance > 1e-20 * squares, variance, np.nan)
    without.estimate[at] = estimate - shift
    without.cook[at] = residual**2 * (1 - rest) / (terms.n_terms * squares / df * rest**2)
    without.dfbetas[at] = shift / np.sqrt(variance * unscaled)
    t = (estimate - shift) / np.sqrt(variance * (unscaled + terms.weights**2 / rest))
    without.r[at] = t / np.sqrt(t**2 + df - 1)
    without.p[at] = 2 * stats.t.sf(np.abs(t), df - 1)


def _summary(fit, without, alpha):
    known = np.isfinite(without.cook).any(axis=0)
    who = np.where(np.isfinite(without.cook), without.cook, -np.inf)
    who = who.argmax(axis=0) if len(who) else np.zeros(len(known), dtype=int)
    ranges = [_range(values) for values in (without.estimate, without.r, without.p)]
    p = 2 * stats.t.sf(np.abs(fit.estimate[0] / fit.standard_error[0]), fit.df)
    (low, high), (r_low, r_high), (p_low, p_high) = ranges
    return Influence(
        fit=fit,
        cook=_picked(without.cook, who, known),
        participant=np.where(known, who, NOBODY),
        dfbetas=_picked(without.dfbetas, who, known),
        low=low,
        high=high,
        r_low=r_low,
        r_high=r_high,
        p_low=p_low,
        p_high=p_high,
        sign_flips=known & np.where(fit.estimate[0] > 0, low < 0, high > 0),
        significance_flips=known & np.where(p <= alpha, p_high > alpha, p_low <= alpha),
    )


def _picked(values, who, known):
    picked = np.full(len(known), np.nan)
    columns = np.flatnonzero(known)
    picked[columns] = values[who[columns], columns]
    return picked


def _range(values):
    there = np.isfinite(values)
    low = np.where(there, values, np.inf).min(axis=0, initial=np.inf)
    high = np.where(there, values, -np.inf).max(axis=0, initial=-np.inf)
    none = ~there.any(axis=0)
    return np.where(none, np.nan, low), np.where(none, np.nan, high)


def _joined(parts):
    fits = [part.fit for part in parts]
    fit = Fit(*(np.concatenate([getattr(f, name) for f in fits], axis=-1) for name in _names(Fit)))
    rest = {
        name: np.concatenate([getattr(part, name) for part in parts])
        for name in _names(Influence)
        if name != "fit"
    }
    return Influence(fit=fit, **rest)


def _names(record):
    return tuple(record.__dataclass_fields__)


def _term_weights(design, name):
    for term in design.terms:
        if term.name == name:
            return np.asarray(term.weights, dtype=float)
    if name not in design.names:
        raise ValueError(f"term: no '{name}' in {', '.join(design.names)}")
    return np.eye(len(design.names))[design.names.index(name)]
