"""Models of all sessions: mixed models in which people may lack some of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np

from workflows.compute.design import Design, Term, centred, full_rank
from workflows.compute.families import Family
from workflows.compute.kenward_roger import kenward_roger
from workflows.compute.mixed import MixedFit, random_intercept
from workflows.compute.mixed_slope import random_slope
from workflows.compute.problems import ModelError, Problem
from workflows.compute.regression import Fit

DAYS_PER_WEEK = 7.0
MOST_ROWS = 1500
KENWARD_ROGER = "standard error and df by Kenward and Roger (1997)"
NOT_ESTIMABLE = "not tested: an arm or a level has nobody in this session"


@dataclass(frozen=True)
class LongRequest:
    """How time enters a model of all sessions.

    With "sessions" each later session has its own effect, with "days" there is one slope
    per week. `constrained` gives the arms one mean at the first session (for randomised
    trials). `days` is n_sessions x n_participants, needed for "days" only. `single`: the whole
    family is one test, which gets Kenward-Roger's standard errors.
    """

    time: Literal["sessions", "days"] = "sessions"
    random: Literal["intercept", "slope"] = "intercept"
    constrained: bool = False
    days: np.ndarray | None = field(default=None, repr=False)
    single: bool = False


@dataclass(frozen=True)
class LongDesign:
    """Columns for each scan, and the tested terms of each later session (or the slope).

    Rows are sessions x participants, one session after the other.
    """

    matrix: np.ndarray
    person: np.ndarray
    weeks: np.ndarray
    waves: tuple[int, ...]
    terms: tuple[tuple[Term, ...], ...]


def long_design(design: Design, family: Family, request: LongRequest) -> LongDesign:
    """Design of all scans of a family, from the design of its participants.

    Each column of `design` has an effect at the first session and one on the change to each
    later session, so that with two complete sessions the terms equal those of ordinary
    least squares on the change.

    Raises
    ------
    ModelError
        There are no days for a slope over time, or there is one session only.
    """
    seen = np.isfinite(family.values).any(axis=2)
    waves = tuple(int(place) for place in np.flatnonzero(seen.any(axis=1)))
    if len(waves) < 2:
        what = f"{family.name}: values of one session only"
        raise ModelError(Problem(what, "participants", "see flow.tsv for who is missing"))
    people = _centred_people(design, seen.any(axis=0))
    first = people[:, _baseline_columns(design, request.constrained)]
    n_sessions, n_people = seen.shape
    blocks = _time_blocks(request, family, waves)
    matrix = np.concatenate(
        [
            np.column_stack([first, *(block[place][:, None] * people for block in blocks)])
            for place in range(n_sessions)
        ]
    )
    unused = np.setdiff1d(np.arange(n_sessions), waves)
    matrix.reshape(n_sessions, n_people, -1)[unused] = np.nan
    weeks = (
        blocks[0].ravel() if request.time == "days" else np.repeat(np.arange(n_sessions), n_people)
    )
    terms = tuple(
        _terms(design, first.shape[1], len(blocks), place) for place in range(len(blocks))
    )
    later = waves[1:] if request.time == "sessions" else (family.compared[1],)
    return LongDesign(matrix, np.tile(np.arange(n_people), n_sessions), weeks, later, terms)


def fit_long(
    design: Design, family: Family, request: LongRequest, min_participants: int
) -> Iterator[tuple[Design, Family, Fit]]:
    """Fit of a family for each later session: design with its terms, family, estimates.

    Parameters
    ----------
    design : Design
        Arms and covariates of the participants.
    family : Family
        Values of all sessions.
    request : LongRequest
    min_participants : int
        Tests with fewer participants are not made.
    """
    scans = long_design(design, family, request)
    weights = np.array([term.weights for terms in scans.terms for term in terms])
    values = family.values.reshape(len(scans.matrix), -1).astype(float)
    matrix, weights, unknown = estimable(values, scans.matrix, weights)
    if request.random == "slope":
        mixed = random_slope(values, matrix, scans.person, scans.weeks, weights)
    else:
        mixed = random_intercept(values, matrix, scans.person, weights)
        if request.single:
            mixed = _small_sample(mixed, values, (matrix, scans.person), weights)
    counts = _counts(design, family)
    start = 0
    for place, terms in enumerate(scans.terms):
        part = slice(start, start + len(terms))
        start += len(terms)
        wave = scans.waves[place]
        named = tuple(replace(term, name=_name(term, request)) for term in terms)
        if request.time == "sessions" and len(scans.waves) > 1:
            named = tuple(
                replace(term, name=f"{term.name} at ses-{family.sessions[wave]}") for term in named
            )
        there = replace(family, compared=(_first_wave(family), wave))
        fit = _as_fit(mixed, part, counts, min_participants)
        yield replace(design, terms=named), there, _hidden(fit, unknown[part])


def estimable(
    values: np.ndarray, matrix: np.ndarray, weights: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The same model without columns that are sums of others, and what it cannot tell.

    An arm that nobody has at one session (a waitlist that is treated before follow-up) leaves
    the other sessions as they are.

    Parameters
    ----------
    values : np.ndarray, shape (n_rows, n_tests)
        NaN is missing.
    matrix : np.ndarray, shape (n_rows, n_terms)
        A row with NaN is not used.
    weights : np.ndarray, shape (n_contrasts, n_terms)

    Returns
    -------
    matrix : np.ndarray, shape (n_rows, n_kept)
    weights : np.ndarray, shape (n_contrasts, n_kept)
        0 for a contrast that cannot be estimated.
    unknown : np.ndarray of bool, shape (n_contrasts,)
    """
    rows = np.isfinite(matrix).all(axis=1) & np.isfinite(values).any(axis=1)
    used = matrix[rows]
    kept: list[int] = []
    for place in range(matrix.shape[1]):
        if full_rank(used[:, [*kept, place]]):
            kept.append(place)
    if len(kept) == matrix.shape[1] or not kept:
        return matrix, weights, np.zeros(len(weights), dtype=bool)
    made_of = np.linalg.lstsq(used[:, kept], used, rcond=None)[0]
    reduced = np.linalg.lstsq(made_of.T, weights.T, rcond=None)[0].T
    unknown = ~np.isclose(reduced @ made_of, weights, atol=1e-8).all(axis=1)
    return matrix[:, kept], np.where(unknown[:, None], 0.0, reduced), unknown


def _hidden(fit, unknown):
    """Fit without what cannot be estimated."""
    if not unknown.any():
        return fit
    keep = np.where(unknown, np.nan, 1.0)[:, None]
    note = fit.note.copy()
    if unknown.all():
        note[note == ""] = NOT_ESTIMABLE
    return replace(
        fit,
        estimate=fit.estimate * keep,
        standard_error=fit.standard_error * keep,
        df=fit.df * keep,
        note=note,
    )


def _small_sample(mixed, values, scans, weights):
    """Fit of a single outcome with Kenward-Roger's standard errors and degrees of freedom."""
    rows = np.isfinite(values[:, 0]) & np.isfinite(scans[0]).all(axis=1)
    if rows.sum() > MOST_ROWS or mixed.negative[0] or not np.isfinite(mixed.variance_person[0]):
        return mixed
    variances = float(mixed.variance_person[0]), float(mixed.variance_residual[0])
    error, df = mixed.standard_error.copy(), mixed.df.copy()
    for place in np.flatnonzero(weights.any(axis=1)):
        made = kenward_roger(scans[0][rows], scans[1][rows], weights[place], variances)
        error[place], df[place] = made.standard_error, made.df
    return replace(
        mixed,
        standard_error=error,
        df=df,
        note=np.array(["; ".join(t for t in (mixed.note[0], KENWARD_ROGER) if t)], dtype=object),
    )


def _first_wave(family):
    return int(np.flatnonzero(np.isfinite(family.values).any(axis=(1, 2)))[0])


def _name(term, request):
    return f"{term.name} per week" if request.time == "days" else term.name


def _centred_people(design, seen):
    usable = np.isfinite(design.matrix).all(axis=1) & seen
    people = np.full(design.matrix.shape, np.nan)
    matrix, kept = centred(design, np.flatnonzero(usable))
    place = np.ix_(np.flatnonzero(usable), np.flatnonzero(kept))
    people[place] = matrix
    return np.where(kept, people, 0.0)


def _baseline_columns(design, constrained):
    if not constrained:
        return np.arange(len(design.names))
    leading = set(range(1, design.n_leading))
    return np.array(
        [
            place
            for place, name in enumerate(design.names)
            if place not in leading and "arm[" not in name
        ]
    )


def _time_blocks(request, family, waves):
    n_sessions, n_people, _ = family.values.shape
    if request.time == "days":
        if request.days is None or not np.isfinite(request.days).any():
            todo = "give sessions.interval_days or dates, or use time: sessions"
            raise ModelError(Problem("days between sessions are not known", "sessions", todo))
        return [request.days / DAYS_PER_WEEK]
    return [
        np.repeat((np.arange(n_sessions) == wave)[:, None].astype(float), n_people, axis=1)
        for wave in waves[1:]
    ]


def _terms(design, n_first, n_blocks, block):
    n_own = len(design.names)
    made = []
    for term in design.terms:
        weights = np.zeros(n_first + n_blocks * n_own)
        start = n_first + block * n_own
        weights[start : start + n_own] = term.weights
        made.append(replace(term, weights=weights))
    return tuple(made)


def _counts(design, family):
    """Participants with a value in any session, of each arm, n_arms x n_tests."""
    usable = np.isfinite(design.matrix).all(axis=1)
    present = np.isfinite(family.values).any(axis=0) & usable[:, None]
    return design.counts(present)


def _as_fit(mixed: MixedFit, part, counts, min_participants):
    few = counts.sum(axis=0) < min_participants
    note = mixed.note.copy()
    for n in np.unique(counts.sum(axis=0)[few]):
        own = few & (counts.sum(axis=0) == n)
        note[own] = f"not tested: {n} participants, {min_participants} needed"
    hidden = np.where(few, np.nan, 1.0)
    return Fit(
        estimate=mixed.estimate[part] * hidden,
        standard_error=mixed.standard_error[part] * hidden,
        df=mixed.df[part] * hidden,
        n=counts.sum(axis=0),
        counts=counts,
        note=note,
    )
