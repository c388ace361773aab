"""Within- and between-person effects of a process on an outcome, session by session."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from workflows.compute.covariance_structure import Term, term_table
from workflows.compute.mixed import MixedFit, random_intercept
from workflows.compute.problems import ModelError, Problem

MIN_PEOPLE = 6
FEW_OCCASIONS = 10
WITHIN = "within-person effect of {}"
BETWEEN = "between-person effect of {}"
CONTEXT = "between minus within effect of {}"
CARRIED = "outcome at the session before"
UNRELIABLE = (
    "a mean of {:.1f} sessions is not exact: this effect is drawn towards the within-person one "
    "(Lüdtke et al. 2008)"
)
ENDOGENOUS = (
    "if the outcome drives later values of the process, effects of deviations from a mean of few "
    "sessions are biased: compare the cross-lagged model"
)
NICKELL = (
    "with {} sessions the effect of the session before is too low by about (1 + effect) / {} "
    "(Nickell 1981), and the others are affected: compare the cross-lagged model"
)


@dataclass(frozen=True)
class WithinBetween:
    """Rows of PROCESS_COLUMNS, variances of the mixed model and what a reader must know."""

    rows: pd.DataFrame
    variance_person: float
    variance_residual: float
    notes: tuple[str, ...]


@dataclass(frozen=True)
class _Long:
    """One row per person and session that is used; `matrix` holds `names`, then the sessions."""

    outcome: np.ndarray
    matrix: np.ndarray
    person: np.ndarray
    names: tuple[str, ...]


def person_centred(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean of each person and deviation from it.

    Parameters
    ----------
    values : np.ndarray, shape (n_participants, n_occasions)
        NaN is missing.

    Returns
    -------
    mean : np.ndarray, shape (n_participants,)
        Over the occasions that are there; NaN for a person without any.
    deviation : np.ndarray, shape (n_participants, n_occasions)
        NaN where the value is missing; the others of a person sum to 0.
    """
    there = np.isfinite(values)
    count = there.sum(axis=1)
    total = np.where(there, values, 0.0).sum(axis=1)
    mean = np.where(count > 0, total / np.maximum(count, 1), np.nan)
    return mean, values - mean[:, None]


def within_between(
    process: np.ndarray,
    outcome: np.ndarray,
    name: str,
    confidence: float,
    lag: int = 0,
    robust: bool = True,
) -> WithinBetween:
    """Effects of a process on the outcome of the same session, or of the next one.

    Mixed model with a random intercept (REML): outcome on the person's mean of the process, the
    deviation of the session from it, and one term per session, so that a course shared by all is
    not taken for an effect of the process.

    Parameters
    ----------
    process, outcome : np.ndarray, shape (n_participants, n_occasions)
        Sessions in time order; a row lacking one of the two is not used (NaN).
    name : str
        Of the process, for the terms.
    confidence : float
        Coverage of the intervals, .5..1.
    lag : 0 or 1
        1: process at a session predicts the outcome of the next.
    robust : bool
        Standard errors from leaving out one person at a time, df = people - 1: right also where
        neighbouring sessions go together more than others (they usually do). False: those of the
        model, with Satterthwaite's df, right if residuals are independent.

    Raises
    ------
    ModelError
        Too few people or sessions, or a process without variation.
    ValueError
        Different shapes, or another lag.

    References
    ----------
    Enders & Tofighi 2007; Curran & Bauer 2011.
    """
    _check(process, outcome, name, lag)
    process, outcome = np.asarray(process, dtype=float), np.asarray(outcome, dtype=float)
    long = _long_table(process[:, : process.shape[1] - lag], outcome[:, lag:], name)
    notes = (ENDOGENOUS,) if lag and process.shape[1] - lag < FEW_OCCASIONS else ()
    return _fitted(long, (name, confidence, robust), notes)


def lagged_with_autoregression(
    process: np.ndarray, outcome: np.ndarray, name: str, confidence: float, robust: bool = True
) -> WithinBetween:
    """Effects of a process on the outcome of the next session, given the outcome before.

    As `within_between` with lag 1 and one more term: the outcome at the session of the process,
    as a deviation from the person's mean. With few sessions this term is biased downwards
    (Nickell 1981; Lüdtke and Robitzsch 2022): `notes` says by how much about.
    """
    _check(process, outcome, name, 1)
    process, outcome = np.asarray(process, dtype=float), np.asarray(outcome, dtype=float)
    before = np.where(np.isfinite(process[:, :-1]), outcome[:, :-1], np.nan)
    long = _long_table(process[:, :-1], outcome[:, 1:], name, before)
    count = len(long.person) / len(np.unique(long.person))
    few = count < FEW_OCCASIONS
    notes = (ENDOGENOUS, NICKELL.format(f"{count:.1f}", f"{max(count - 1, 1):.1f}")) if few else ()
    return _fitted(long, (name, confidence, robust), notes)


def _long_table(process, outcome, name, before=None):
    """Rows with all values; centring uses these rows only."""
    there = np.isfinite(process) & np.isfinite(outcome)
    if before is not None:
        there &= np.isfinite(before)
    mean, deviation = person_centred(np.where(there, process, np.nan))
    person, session = np.nonzero(there)
    _check_rows(person, deviation[there], mean, name)
    columns = [deviation[there], mean[person] - np.nanmean(mean)]
    names = [WITHIN.format(name), BETWEEN.format(name)]
    if before is not None:
        columns.append(person_centred(np.where(there, before, np.nan))[1][there])
        names.append(CARRIED)
    sessions = [session == at for at in np.unique(session)]
    matrix = np.column_stack([*columns, *sessions]).astype(float)
    return _Long(outcome[there], matrix, person, tuple(names))


def _fitted(long, options, notes):
    name, confidence, robust = options
    fit, error, df = _estimates(long, robust)
    n = len(np.unique(long.person))
    count = len(long.person) / n
    titles = (*long.names, CONTEXT.format(name))
    sizes = (*_sizes(long, fit), np.nan)
    terms = [
        Term(title, float(value), float(se), float(at), "linear", size)
        for title, value, se, at, size in zip(
            titles, fit.estimate[:, 0], error, df, sizes, strict=True
        )
    ]
    table = term_table(terms, n, confidence)
    table.loc[table["term"] == BETWEEN.format(name), "note"] = UNRELIABLE.format(count)
    counted = f"{len(long.person)} sessions of {n} people with all values; the others are not used"
    extra = tuple(note for note in (str(fit.note[0]),) if note)
    return WithinBetween(
        rows=table,
        variance_person=float(fit.variance_person[0]),
        variance_residual=float(fit.variance_residual[0]),
        notes=(counted, *extra, *notes),
    )


def _estimates(long, robust) -> tuple[MixedFit, np.ndarray, np.ndarray]:
    """Fit, standard errors and df of the terms and of between minus within."""
    n_named = len(long.names)
    contrasts = np.zeros((n_named + 1, long.matrix.shape[1]))
    contrasts[:n_named, :n_named] = np.eye(n_named)
    contrasts[n_named, :2] = -1, 1
    fit = random_intercept(long.outcome[:, None], long.matrix, long.person, contrasts)
    if not np.isfinite(fit.estimate).all():
        todo = "use fewer sessions, or see whether the process differs between sessions"
        raise ModelError(Problem(str(fit.note[0]) or "no estimate", "process and outcome", todo))
    if not robust:
        return fit, fit.standard_error[:, 0], fit.df[:, 0]
    people = np.unique(long.person)
    left_out = np.where(long.person[:, None] == people, np.nan, long.outcome[:, None])
    without = random_intercept(left_out, long.matrix, long.person, contrasts).estimate
    without = without[:, np.isfinite(without).all(axis=0)]
    n = without.shape[1]
    spread = ((without - without.mean(axis=1, keepdims=True)) ** 2).sum(axis=1)
    return fit, np.sqrt(spread * (n - 1) / n), np.full(n_named + 1, n - 1.0)


def _sizes(long, fit):
    """Estimates in standard deviations within or between people."""
    frame = pd.DataFrame(long.matrix[:, : len(long.names)]).assign(outcome=long.outcome)
    means = frame.groupby(long.person).mean()
    within = (frame - frame.groupby(long.person).transform("mean")).std()
    sizes = []
    for at in range(len(long.names)):
        scale = means.std() if at == 1 else within
        sizes.append(float(fit.estimate[at, 0] * scale[at] / scale["outcome"]))
    return sizes


def _check(process, outcome, name, lag):
    if np.shape(process) != np.shape(outcome) or np.ndim(process) != 2:
        raise ValueError("process, outcome: need the same shape (n_participants, n_occasions)")
    if lag not in (0, 1):
        raise ValueError(f"lag: 0 or 1, not {lag}")
    if np.shape(process)[1] - lag < 2:
        what = f"{np.shape(process)[1]} occasions: nothing varies within people"
        raise ModelError(Problem(what, name, "within-person effects need more occasions"))


def _check_rows(person, deviation, mean, name):
    n = len(np.unique(person))
    if n < MIN_PEOPLE:
        what = f"{n} people with process and outcome at the needed sessions, {MIN_PEOPLE} needed"
        raise ModelError(Problem(what, name, "see who is missing"))
    size = max(np.nanmax(np.abs(mean)), 1e-300)
    if np.ptp(deviation) <= 1e-10 * size or np.nanstd(mean) <= 1e-10 * size:
        where = "within people" if np.ptp(deviation) <= 1e-10 * size else "between people"
        raise ModelError(Problem(f"'{name}' does not vary {where}", name, "leave it out"))
