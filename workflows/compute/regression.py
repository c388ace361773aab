"""Least squares for many outcomes at once, aware of which values are missing."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from scipy import linalg

from workflows.compute.design import MIN_ARM, Design, centred, full_rank

VARIATION = 1e-10


@dataclass(frozen=True)
class Fit:
    """Estimates of the tested terms; NaN where `note` says why.

    `estimate` and `standard_error` are n_terms x n_tests; `df`, `n` and `note` have one
    entry per test; `counts` is n_arms x n_tests, participants of each arm of the design.
    """

    estimate: np.ndarray
    standard_error: np.ndarray
    df: np.ndarray
    n: np.ndarray
    counts: np.ndarray
    note: np.ndarray = field(repr=False)


def missingness_patterns(present: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Rows and columns of each group of columns that lack the same rows.

    Parameters
    ----------
    present : np.ndarray of bool, shape (n_participants, n_tests)

    Yields
    ------
    rows, columns : np.ndarray of int
        Together the columns cover all tests once.
    """
    packed = np.packbits(present, axis=0)
    if (packed == packed[:, :1]).all():
        yield np.flatnonzero(present[:, 0]), np.arange(present.shape[1])
        return
    keys = np.ascontiguousarray(packed.T).view(f"V{packed.shape[0]}").ravel()
    group = np.unique(keys, return_inverse=True)[1]
    order = np.argsort(group, kind="stable")
    for columns in np.split(order, np.cumsum(np.bincount(group))[:-1]):
        yield np.flatnonzero(present[:, columns[0]]), columns


def least_squares(
    outcome: np.ndarray,
    design: Design,
    min_participants: int,
    baseline: np.ndarray | None = None,
) -> Fit:
    """Ordinary least squares of each column of `outcome` on the design.

    Parameters
    ----------
    outcome : np.ndarray, shape (n_participants, n_tests)
        NaN leaves the participant out of that test only.
    design : Design
        Terms shared by all tests.
    min_participants : int
        Tests with fewer participants are not made.
    baseline : np.ndarray, shape (n_participants, n_tests), optional
        One more term with values of its own for each test (analysis of covariance).

    Returns
    -------
    Fit
        Of the terms of the design.
    """
    present = np.isfinite(outcome) & np.isfinite(design.matrix).all(axis=1)[:, None]
    if baseline is not None:
        present &= np.isfinite(baseline)
    weights = design.weights
    fit = empty_fit(present, design, len(weights))
    for rows, columns in missingness_patterns(present) if present.shape[1] else ():
        matrix, kept = centred(design, rows)
        n_terms = matrix.shape[1] + (baseline is not None)
        reason = untestable(design, rows, matrix, max(min_participants, n_terms + 1))
        if reason:
            fit.note[columns] = reason
            continue
        place = np.ix_(rows, columns)
        own = None if baseline is None else baseline[place]
        estimate, error = _solve(outcome[place], matrix, own, weights[:, kept])
        there = (weights[:, ~kept] == 0).all(axis=1)[:, None]
        fit.estimate[:, columns] = np.where(there, estimate, np.nan)
        fit.standard_error[:, columns] = np.where(there, error, np.nan)
        fit.df[columns] = len(rows) - n_terms
        fit.note[columns[np.isnan(error).all(axis=0)]] = "no variation between participants"
    return fit


def partial_correlation(
    outcome: np.ndarray, partner: np.ndarray, design: Design, min_participants: int
) -> Fit:
    """Correlation of each column of `outcome` with `partner`, the design held constant.

    Parameters
    ----------
    outcome : np.ndarray, shape (n_participants, n_tests)
        NaN leaves the participant out of that test only.
    partner : np.ndarray, shape (n_participants,)
        NaN leaves the participant out of all tests.
    design : Design
        Arms and covariates whose linear effect is removed from both.
    min_participants : int
        Tests with fewer participants are not made.

    Returns
    -------
    Fit
        One term: r, its standard error sqrt((1 - r**2) / df) and df = n - 2 - covariates.
    """
    usable = np.isfinite(design.matrix).all(axis=1) & np.isfinite(partner)
    present = np.isfinite(outcome) & usable[:, None]
    fit = empty_fit(present, design, 1)
    for rows, columns in missingness_patterns(present) if present.shape[1] else ():
        matrix, _ = centred(design, rows)
        reason = untestable(design, rows, matrix, max(min_participants, matrix.shape[1] + 2))
        if reason:
            fit.note[columns] = reason
            continue
        df = len(rows) - matrix.shape[1] - 1
        basis, _ = np.linalg.qr(matrix)
        r = _correlate(outcome[np.ix_(rows, columns)], partner[rows], basis)
        fit.estimate[0, columns] = r
        fit.standard_error[0, columns] = np.sqrt((1 - r**2) / df)
        fit.df[columns] = df
        fit.note[columns[np.isnan(r)]] = "no variation between participants"
    return fit


def empty_fit(present: np.ndarray, design: Design, n_terms: int) -> Fit:
    """Fit without estimates, with the participants of each test counted."""
    n_tests = present.shape[1]
    return Fit(
        estimate=np.full((n_terms, n_tests), np.nan),
        standard_error=np.full((n_terms, n_tests), np.nan),
        df=np.full(n_tests, np.nan),
        n=present.sum(axis=0),
        counts=design.counts(present),
        note=np.full(n_tests, "", dtype=object),
    )


def untestable(design: Design, rows: np.ndarray, matrix: np.ndarray, needed: int) -> str:
    """Why the participants `rows` do not allow a test; empty if they do."""
    if len(rows) < needed:
        return f"not tested: {len(rows)} participants, {needed} needed"
    for arm in design.levels:
        if (design.arms[rows] == arm).sum() < MIN_ARM:
            return f"not tested: fewer than {MIN_ARM} participants in arm '{arm}'"
    return "" if full_rank(matrix) else "not tested: covariates are collinear in these participants"


def _solve(outcome, matrix, own, weights):
    basis, triangle = np.linalg.qr(matrix)
    inverse = linalg.solve_triangular(triangle, np.eye(len(triangle)))
    solution = inverse @ basis.T
    estimate = solution @ outcome
    residual = outcome - matrix @ estimate
    spread = ((weights @ inverse) ** 2).sum(axis=1)
    variance = np.repeat(spread[:, None], outcome.shape[1], axis=1)
    df = len(outcome) - matrix.shape[1]
    estimate = weights @ estimate
    if own is not None:
        share = solution @ own
        rest = _without_noise(own - matrix @ share, own)
        length = (rest**2).sum(axis=0)
        length = np.where(length > 0, length, np.nan)
        slope = (rest * residual).sum(axis=0) / length
        estimate = estimate - weights @ share * slope
        residual = residual - rest * slope
        variance, df = variance + (weights @ share) ** 2 / length, df - 1
    squares = (_without_noise(residual, outcome) ** 2).sum(axis=0)
    squares = np.where(squares > 0, squares, np.nan)
    return estimate, np.sqrt(variance * squares / df)


def _correlate(outcome, partner, basis):
    first = _without_noise(outcome - basis @ (basis.T @ outcome), outcome)
    second = _without_noise(partner - basis @ (basis.T @ partner), partner)
    length = np.sqrt((first**2).sum(axis=0) * (second**2).sum())
    return np.clip(second @ first / np.where(length > 0, length, np.nan), -1, 1)


def _without_noise(residual, values):
    """Residuals with those of columns that only vary by rounding set to exactly 0."""
    size = np.sqrt((values**2).sum(axis=0))
    return np.where(np.sqrt((residual**2).sum(axis=0)) > VARIATION * size, residual, 0.0)
