"""Mixed model with a random intercept, fitted to many outcomes at once.

The rows of a person are rotated so that the first is their mean (times the root of their
number k) and the others are differences within the person. Differences have variance
`s`, means `s (1 + k lambda)`, where lambda is the variance between people over the
residual variance `s`. All tests share this rotation, so what is left of each test is a few
sums of squares, one for each distinct variance `s (1 + delta lambda)`, and one unknown
number, lambda, which Newton's method finds for all tests together.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from scipy import linalg

from workflows.compute.design import full_rank
from workflows.compute.regression import missingness_patterns

BLOCK_BYTES = 2**20
CHUNK = 2**13
MAX_STEPS = 60
CONVERGED = 1e-10
RANK_TOLERANCE = 1e-9
NOISE = 1e-20
LOG_RATIOS = np.concatenate([np.arange(-24.0, -4, 2), np.arange(-4.0, 8, 0.5), np.arange(8, 25, 2)])
DIFFERENCES = "negative variance between people: difference scores used"
NEGATIVE = "negative variance between people: used as it is, not set to 0"
PINNED = "variance between people estimated as 0"


@dataclass(frozen=True)
class MixedFit:
    """Fixed effects and variances; NaN where `note` says why.

    `estimate`, `standard_error` and `df` are n_contrasts x n_tests; the others have one
    entry per test. `variance_person` may be negative (see `random_intercept`);
    `negative` counts these. `criterion` is -2 log (restricted) likelihood.
    """

    estimate: np.ndarray
    standard_error: np.ndarray
    df: np.ndarray
    variance_person: np.ndarray
    variance_residual: np.ndarray
    criterion: np.ndarray
    negative: np.ndarray
    n_people: np.ndarray
    n_rows: np.ndarray
    note: np.ndarray = field(repr=False)


@dataclass(frozen=True)
class Strata:
    """What all tests that lack the same rows share.

    `sizes` k and `orders` (n_sessions_k x n_people_k rows of the data) describe groups of
    people with equally many rows. `bases` holds an orthonormal basis of the design among
    the differences (first) and among the means of each group; `slopes` (n_contrasts x
    n_coordinates) gives ordinary least squares in these coordinates, `spread` the
    coordinates that the design leaves free (n_free x n_coordinates). A free direction has variance
    proportional to 1 + delta lambda, with `delta` and multiplicity `count`, first the
    strata, then `spread`. A contrast of unit residual variance has variance
    `plain` + lambda `between` - lambda**2 sum(`mixing`**2 / (1 + delta lambda)).
    """

    sizes: tuple[int, ...]
    orders: tuple[np.ndarray, ...]
    bases: tuple[np.ndarray, ...]
    slopes: np.ndarray
    spread: np.ndarray
    delta: np.ndarray
    count: np.ndarray
    plain: np.ndarray
    between: np.ndarray
    mixing: np.ndarray
    log_design: float

    @property
    def n_rows(self) -> int:
        """Rows with values."""
        return sum(order.size for order in self.orders)

    @property
    def n_people(self) -> int:
        """People with values."""
        return sum(order.shape[1] for order in self.orders)


def random_intercept(
    values: np.ndarray,
    matrix: np.ndarray,
    person: np.ndarray,
    contrasts: np.ndarray,
    method: Literal["REML", "ML"] = "REML",
    pinned: bool = False,
) -> MixedFit:
    """Mixed model `value ~ matrix + (1 | person)` of each column, with Satterthwaite's df.

    The variance between people is the covariance of two sessions of a person and may come
    out negative. Pinned at 0, tests of change are too liberal, so the negative value is
    used (see `note`, `negative`): effects within people are then exactly those of
    difference scores where two sessions are complete.

    Parameters
    ----------
    values : np.ndarray, shape (n_rows, n_tests)
        One row per scan; NaN leaves the row out of that test only.
    matrix : np.ndarray, shape (n_rows, n_terms)
        Design, time included; a row with NaN is not used.
    person : np.ndarray of int, shape (n_rows,)
        Who the row belongs to.
    contrasts : np.ndarray, shape (n_contrasts, n_terms)
        Linear combinations of the terms to estimate; the identity gives all terms.
    method : "REML" or "ML"
    pinned : bool
        Keep the variance between people at 0 or above, as lme4 does.

    Returns
    -------
    MixedFit

    Raises
    ------
    ValueError
        Shapes do not fit together.

    References
    ----------
    Satterthwaite 1946; Laird & Ware 1982; Kuznetsova et al. 2017 (lmerTest).
    """
    check_arguments(values, matrix, person, contrasts, method)
    usable = np.isfinite(matrix).all(axis=1)
    fit = _empty(contrasts.shape[0], values.shape[1])
    for rows, columns in present_rows(values, usable):
        fit.n_rows[columns] = len(rows)
        fit.n_people[columns] = len(np.unique(person[rows]))
        reason = _untestable(matrix[rows], person[rows])
        strata = None if reason else strata_of(matrix[rows], person[rows], contrasts, rows)
        if strata is None or (strata.count > 0).sum() < 2:
            fit.note[columns] = reason or "not tested: too few people for these terms"
            continue
        _fit_pattern(fit, values, columns, strata, (method == "REML", pinned))
    return fit


def present_rows(
    values: np.ndarray, usable: np.ndarray
) -> Iterator[tuple[np.ndarray, np.ndarray | slice]]:
    """Rows and columns of each group of tests that lack the same rows.

    Parameters
    ----------
    values : np.ndarray, shape (n_rows, n_tests)
    usable : np.ndarray of bool, shape (n_rows,)
        Rows that may be used at all.

    Yields
    ------
    rows : np.ndarray of int
    columns : np.ndarray of int, or the slice of all columns where no group differs
    """
    if not values.shape[1]:
        return
    present = np.isfinite(values)
    shared = present[:, 0]
    if present.all() if shared.all() else (present == shared[:, None]).all():
        yield np.flatnonzero(shared & usable), slice(0, values.shape[1])
        return
    present &= usable[:, None]
    yield from missingness_patterns(present)


def check_arguments(values, matrix, person, contrasts, method):
    """Raise ValueError if the arguments of a mixed model do not fit together."""
    if method not in ("REML", "ML"):
        raise ValueError(f"method must be REML or ML, not {method!r}")
    if values.ndim != 2 or matrix.ndim != 2 or contrasts.ndim != 2:
        raise ValueError("values, matrix and contrasts must have two dimensions")
    if not len(values) == len(matrix) == len(person):
        raise ValueError("values, matrix and person must have the same number of rows")
    if contrasts.shape[1] != matrix.shape[1]:
        raise ValueError("contrasts must have one column per column of matrix")


def column_parts(columns, n_tests, size):
    """Slices or arrays that cut `columns` (all of them, or an array) into parts of `size`."""
    if isinstance(columns, slice):
        return [slice(start, min(start + size, n_tests)) for start in range(0, n_tests, size)]
    return [columns[start : start + size] for start in range(0, len(columns), size)]


def strata_of(
    matrix: np.ndarray, person: np.ndarray, contrasts: np.ndarray, rows: np.ndarray
) -> Strata:
    """Rotation, bases and variances of a design of full rank.

    Parameters
    ----------
    matrix : np.ndarray, shape (n_used, n_terms)
    person : np.ndarray of int, shape (n_used,)
    contrasts : np.ndarray, shape (n_contrasts, n_terms)
    rows : np.ndarray of int, shape (n_used,)
        Where the rows of `matrix` are in the data.
    """
    sizes, orders = _groups(person)
    length = np.linalg.norm(matrix, axis=0)
    parts = _rotated(matrix / length, sizes, orders)
    bases = tuple(_basis(part) for part in parts)
    design = np.concatenate([b.T @ part for b, part in zip(bases, parts, strict=True)])
    ranks = [basis.shape[1] for basis in bases]
    delta = np.repeat(np.array([0, *sizes], dtype=float), ranks)
    slopes = contrasts / length @ np.linalg.pinv(design)
    free = linalg.null_space(design.T, rcond=RANK_TOLERANCE)
    own, turn = np.linalg.eigh(free.T @ (delta[:, None] * free))
    spread = (free @ turn).T
    left = [len(part) - rank for part, rank in zip(parts, ranks, strict=True)]
    return Strata(
        sizes=sizes,
        orders=tuple(rows[order] for order in orders),
        bases=bases,
        slopes=slopes,
        spread=spread,
        delta=np.concatenate([[0.0], np.array(sizes, dtype=float), own]),
        count=np.concatenate([left, np.ones(len(own))]),
        plain=(slopes**2).sum(axis=1),
        between=slopes**2 @ delta,
        mixing=(slopes * delta) @ spread.T,
        log_design=float(np.linalg.slogdet(design.T @ design)[1] + 2 * np.log(length).sum()),
    )


def _empty(n_contrasts, n_tests):
    nan = np.nan
    return MixedFit(
        estimate=np.full((n_contrasts, n_tests), nan),
        standard_error=np.full((n_contrasts, n_tests), nan),
        df=np.full((n_contrasts, n_tests), nan),
        variance_person=np.full(n_tests, nan),
        variance_residual=np.full(n_tests, nan),
        criterion=np.full(n_tests, nan),
        negative=np.zeros(n_tests, dtype=bool),
        n_people=np.zeros(n_tests, dtype=int),
        n_rows=np.zeros(n_tests, dtype=int),
        note=np.full(n_tests, "", dtype=object),
    )


def _untestable(matrix, person):
    if not len(matrix):
        return "not tested: no values"
    if np.bincount(np.unique(person, return_inverse=True)[1]).max() < 2:
        return "not tested: nobody has two sessions"
    if not full_rank(matrix):
        return "not tested: terms are collinear in these rows"
    return ""


def _groups(person):
    """Numbers of rows, and the places of the rows, n_sessions x n_people, for each number."""
    _, place, counts = np.unique(person, return_inverse=True, return_counts=True)
    order = np.argsort(place, kind="stable")
    starts = np.cumsum(counts) - counts
    sizes = tuple(int(size) for size in np.unique(counts))
    rows = [order[starts[counts == size] + np.arange(size)[:, None]] for size in sizes]
    return sizes, tuple(rows)


def _rotated(values, sizes, orders):
    """Differences within all people, then the scaled means of each group, as arrays of rows."""
    differences, means = [], []
    for size, order in zip(sizes, orders, strict=True):
        block = values[order.ravel()]
        n_columns = block.shape[1]
        turned = linalg.helmert(size, full=True) @ block.reshape(size, -1)
        means.append(turned[0].reshape(-1, n_columns))
        differences.append(turned[1:].reshape(-1, n_columns))
    return [differences[0] if len(sizes) == 1 else np.concatenate(differences), *means]


def _basis(part):
    left, scale, _ = np.linalg.svd(part, full_matrices=False)
    return left[:, scale > RANK_TOLERANCE]


def _fit_pattern(fit, values, columns, strata, options):
    reml, pinned = options
    penalty = _penalty(strata, reml)
    for part in column_parts(columns, values.shape[1], CHUNK):
        squares, ordinary, free, constant = _reduced(values, part, strata)
        log_ratio = _log_ratio(squares, strata, penalty)
        below = log_ratio < 0
        if pinned:
            log_ratio = np.maximum(log_ratio, 0.0)
        usable = (np.abs(log_ratio) < LOG_RATIOS[-1]) & ~constant
        ratio = np.exp(np.where(usable, log_ratio, 0.0))
        with np.errstate(divide="ignore", invalid="ignore"):
            results = _effects((squares, ordinary, free), strata, penalty, ratio)
        if pinned:
            results["df"][:, below] = penalty[1].sum()
        results["criterion"] += strata.log_design if reml else 0.0
        for name, result in results.items():
            getattr(fit, name)[..., part] = np.where(usable, result, np.nan)
        fit.negative[part] = usable & below
        fit.note[part] = _notes(log_ratio, below, constant, _below_note(strata, pinned))


def _penalty(strata, reml):
    """Deltas and counts of the log determinant in the (restricted) likelihood."""
    if reml:
        return strata.delta, strata.count
    people = [order.shape[1] for order in strata.orders]
    counts = np.array([strata.n_rows - strata.n_people, *people], dtype=float)
    return np.array([0, *strata.sizes], dtype=float), counts


def _reduced(values, columns, strata):
    """Sums of squares of the free directions, least squares, and the shared free directions."""
    view = values[:, columns]
    n_tests, n_strata = view.shape[1], len(strata.bases)
    squares = np.empty((len(strata.delta), n_tests))
    ordinary = np.empty((len(strata.slopes), n_tests))
    free = np.empty((len(strata.spread), n_tests))
    constant = np.empty(n_tests, dtype=bool)
    width = max(BLOCK_BYTES // (8 * strata.n_rows), 64)
    for part in column_parts(slice(None), n_tests, width):
        parts = _rotated(view[:, part], strata.sizes, strata.orders)
        places = [basis.T @ rows for basis, rows in zip(strata.bases, parts, strict=True)]
        for stratum, (basis, rows, place) in enumerate(
            zip(strata.bases, parts, places, strict=True)
        ):
            rows -= basis @ place
            np.einsum("ij,ij->j", rows, rows, out=squares[stratum, part])
        place = np.concatenate(places)
        ordinary[:, part], free[:, part] = strata.slopes @ place, strata.spread @ place
        squares[n_strata:, part] = free[:, part] ** 2
        size = squares[:n_strata, part].sum(axis=0) + (place**2).sum(axis=0)
        squares[:, part] *= squares[:, part] > NOISE * size
        constant[part] = squares[:, part].sum(axis=0) == 0
    return squares, ordinary, free, constant


def _log_ratio(squares, strata, penalty):
    """Log of the variance of means over that of differences, where the likelihood is largest."""
    largest, (delta, count) = strata.sizes[-1], penalty
    if len(squares) == 2:
        with np.errstate(divide="ignore", invalid="ignore"):
            log_ratio = np.log(squares[1] / count[1]) - np.log(squares[0] / count[0])
        return np.clip(np.nan_to_num(log_ratio), LOG_RATIOS[0], LOG_RATIOS[-1])
    ratios = np.exp(LOG_RATIOS)[:, None]
    total = (1 / _growth(strata.delta, largest, ratios)) @ squares
    bend = np.log(_growth(delta, largest, ratios)) @ count
    deviance = count.sum() * np.log(np.maximum(total, np.finfo(float).tiny)) + bend[:, None]
    best = deviance.argmin(axis=0)
    log_ratio = LOG_RATIOS[best]
    inside = np.flatnonzero((best > 0) & (best < len(LOG_RATIOS) - 1))
    bracket = LOG_RATIOS[best[inside] - 1], LOG_RATIOS[best[inside] + 1]
    log_ratio[inside] = _newton(squares[:, inside], strata, penalty, log_ratio[inside], bracket)
    return log_ratio


def _growth(delta, largest, ratio):
    """1 + delta lambda for the ratio 1 + largest lambda, without cancellation."""
    share = delta / largest
    return 1 - share + share * ratio


def _newton(squares, strata, penalty, log_ratio, bracket):
    """Minimum of the deviance in each bracket; a step that leaves it is replaced by halving."""
    largest, (low, high) = strata.sizes[-1], bracket
    for _ in range(MAX_STEPS):
        ratio = np.exp(log_ratio)
        total, total1, total2 = _total(squares, strata, ratio)
        bend1, bend2 = _bend(penalty, largest, ratio)
        n, scale = penalty[1].sum(), ratio / largest
        slope = (n * total1 / total + bend1) * scale
        curve = (n * (total2 / total - (total1 / total) ** 2) + bend2) * scale**2 + slope
        low, high = np.where(slope < 0, log_ratio, low), np.where(slope > 0, log_ratio, high)
        with np.errstate(divide="ignore", invalid="ignore"):
            new = log_ratio - slope / curve
        new = np.where((curve > 0) & (new >= low) & (new <= high), new, (low + high) / 2)
        moved, log_ratio = np.abs(new - log_ratio).max(initial=0), new
        if moved < CONVERGED:
            break
    return log_ratio


def _total(squares, strata, ratio):
    """Weighted sum of squares and its first two derivatives with respect to lambda."""
    delta = strata.delta[:, None]
    growth = _growth(delta, strata.sizes[-1], ratio)
    weighted = squares / growth
    rate = delta / growth
    step = weighted * rate
    return weighted.sum(axis=0), -step.sum(axis=0), 2 * (step * rate).sum(axis=0)


def _bend(penalty, largest, ratio):
    """First two derivatives of the log determinant with respect to lambda."""
    delta, count = penalty
    rate = delta[:, None] / _growth(delta[:, None], largest, ratio)
    return count @ rate, -(count @ rate**2)


def _effects(reduced, strata, penalty, ratio):
    """Estimates, standard errors and degrees of freedom at the given variance ratio."""
    squares, ordinary, free = reduced
    delta, count = penalty
    largest = strata.sizes[-1]
    n, extra = count.sum(), (ratio - 1) / largest
    total, total1, total2 = _total(squares, strata, ratio)
    residual = total / n
    curve = _bend(penalty, largest, ratio)[1] + total2 / residual
    cross, own = -total1 / residual**2, n / residual**2
    determinant = own * curve - cross**2
    own_delta = strata.delta[len(strata.bases) :, None]
    growth = _growth(own_delta, largest, ratio)
    mixing = strata.mixing**2
    drop = mixing @ (1 / growth)
    unit = strata.plain[:, None] + strata.between[:, None] * extra - extra**2 * drop
    unit1 = strata.between[:, None] - 2 * extra * drop
    unit1 = (unit1 + extra**2 * (mixing @ (own_delta / growth**2))) * residual
    spread = (curve * unit**2 - 2 * cross * unit * unit1 + own * unit1**2) / determinant
    bend = count @ np.log(_growth(delta[:, None], largest, ratio))
    return {
        "estimate": ordinary - extra * (strata.mixing @ (free / growth)),
        "standard_error": np.sqrt(residual * unit),
        "df": (residual * unit) ** 2 / spread,
        "variance_person": extra * residual,
        "variance_residual": residual,
        "criterion": n * (1 + np.log(2 * np.pi * residual)) + bend,
    }


def _below_note(strata, pinned):
    if pinned:
        return PINNED
    return DIFFERENCES if strata.sizes == (2,) else NEGATIVE


def _notes(log_ratio, below, constant, below_note):
    notes = np.full(len(log_ratio), "", dtype=object)
    notes[below] = below_note
    notes[log_ratio >= LOG_RATIOS[-1]] = "no variation within people"
    notes[log_ratio <= LOG_RATIOS[0]] = "no variation between people"
    notes[constant] = "no variation"
    return notes
