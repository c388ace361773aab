"""Mixed model with a random intercept and slope, fitted to many outcomes at once.

The rows of a person are rotated so that the first (at most two) span the intercept and
time, the others are free of random effects. People with the same times share one 2 x 2
covariance, so that each test is reduced to sums of products, three for each distinct set of times.
Symmetric 2 x 2 matrices are triples (first, off-diagonal, second) along the last axis.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from workflows.compute.design import full_rank
from workflows.compute.mixed import check_arguments, column_parts, present_rows

CHUNK = 2**11
MAX_STEPS = 60
CONVERGED = 1e-14
ACCEPTED = 1e-5
HALVINGS = 12
SIMPLER_AFTER = 12
SIMPLER_COST = 1e-5
STEP = 1e-4
NOISE = 1e-20
SINGULAR = 1e-4
STARTS = np.array([[a, 0.0, b] for a in (0.2, 0.7, 2.0, 6.0) for b in (0.1, 0.4, 1.2)])
SINGULAR_NOTE = (
    "singular: intercepts and slopes of people cannot be told apart from a simpler model"
)
NOT_CONVERGED = "not converged"


@dataclass(frozen=True)
class SlopeFit:
    """Fixed effects and variances; NaN where `note` says why.

    `estimate`, `standard_error` and `df` are n_contrasts x n_tests. `covariance` is
    3 x n_tests: variance of the intercepts (at time 0), covariance, variance of the slopes.
    The others have one entry per test; `criterion` is -2 log (restricted) likelihood.
    """

    estimate: np.ndarray
    standard_error: np.ndarray
    df: np.ndarray
    covariance: np.ndarray
    variance_residual: np.ndarray
    criterion: np.ndarray
    singular: np.ndarray
    n_people: np.ndarray
    n_rows: np.ndarray
    note: np.ndarray = field(repr=False)


@dataclass(frozen=True)
class _Times:
    """What all tests that lack the same rows share.

    `rows` and `turns` give, for each of the n_times distinct sets of times, the rows of
    its people (n_sessions x n_people) and the rotation; `roots` (n_times x 2 x 2) turns
    (intercept, slope) into the first two rotated rows. `basis`, `triangle`: design = basis
    @ triangle. `products` (3 n_times x n_terms**2) and `rest` (n_terms**2) are the sums
    of products of the design in the rows with and without random effects.
    """

    rows: tuple[np.ndarray, ...]
    turns: tuple[np.ndarray, ...]
    roots: np.ndarray
    counts: np.ndarray
    basis: np.ndarray
    triangle: np.ndarray
    products: np.ndarray
    rest: np.ndarray


@dataclass(frozen=True)
class _Sums:
    """Sums of products of the residuals of least squares, tests first.

    With the design: `with_design` n_tests x n_terms x 3 n_times, `rest_with_design`
    n_tests x n_terms; with themselves: `own` n_tests x 3 n_times, `rest` n_tests.
    """

    with_design: np.ndarray
    rest_with_design: np.ndarray
    own: np.ndarray
    rest: np.ndarray

    def part(self, tests: np.ndarray) -> _Sums:
        """Sums of some tests."""
        return _Sums(
            self.with_design[tests], self.rest_with_design[tests], self.own[tests], self.rest[tests]
        )


@dataclass(frozen=True)
class _Model:
    times: _Times
    n: int
    reml: bool

    @property
    def log_design(self) -> float:
        """Log determinant of X'X in the restricted likelihood."""
        return 2 * np.log(np.abs(np.diag(self.times.triangle))).sum() if self.reml else 0.0


@dataclass(frozen=True)
class _Point:
    """Deviance at `root` (n_tests x 3): n log `rest` + `bend`, for unit residual variance."""

    root: np.ndarray
    sums: _Sums
    model: _Model
    weight: np.ndarray
    inverse: np.ndarray
    effect: np.ndarray
    rest: np.ndarray
    bend: np.ndarray

    @property
    def deviance(self) -> np.ndarray:
        """Deviance with the residual variance at its best, without constants."""
        return self.model.n * np.log(self.rest) + self.bend

    def slope(self, share: np.ndarray | float) -> np.ndarray:
        """Derivative of `bend` + `share` * `rest` with respect to the root, n_tests x 3."""
        times, n_tests = self.model.times, len(self.root)
        squares = (self.effect[:, :, None] * self.effect[:, None, :]).reshape(n_tests, -1)
        crossed = (self.effect[:, None, :] @ self.sums.with_design)[:, 0]
        inner = self.sums.own - 2 * crossed + squares @ times.products.T
        inner = inner * np.reshape(share, (-1, 1))
        if self.model.reml:
            inner = inner + self.inverse.reshape(n_tests, -1) @ times.products.T
        part = times.counts[:, None] * self.weight - _between(self.weight, _matrix_triples(inner))
        return _root_slope(self.root, times.roots, part)

    def contrast(self, weight: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Variance of a contrast for unit residual variance, and its derivative."""
        times = self.model.times
        turned = self.inverse @ weight
        squares = (turned[:, :, None] * turned[:, None, :]).reshape(len(turned), -1)
        part = _between(self.weight, _matrix_triples(squares @ times.products.T))
        return turned @ weight, _root_slope(self.root, times.roots, part)


def random_slope(
    values: np.ndarray,
    matrix: np.ndarray,
    person: np.ndarray,
    time: np.ndarray,
    contrasts: np.ndarray,
    method: Literal["REML", "ML"] = "REML",
) -> SlopeFit:
    """Mixed model `value ~ matrix + (1 + time | person)` of each column, Satterthwaite's df.

    Parameters
    ----------
    values : np.ndarray, shape (n_rows, n_tests)
        One row per scan; NaN leaves the row out of that test only.
    matrix : np.ndarray, shape (n_rows, n_terms)
        Design, time included; a row with NaN is not used.
    person : np.ndarray of int, shape (n_rows,)
        Who the row belongs to.
    time : np.ndarray, shape (n_rows,)
        Time of the scan in any unit; a row with NaN is not used.
    contrasts : np.ndarray, shape (n_contrasts, n_terms)
        Linear combinations of the terms to estimate; the identity gives all terms.
    method : "REML" or "ML"

    Returns
    -------
    SlopeFit
        `singular` where the covariance of intercepts and slopes is not of full rank;
        tests that do not converge have NaN and a note.

    Raises
    ------
    ValueError
        Shapes do not fit together.

    References
    ----------
    Laird & Ware 1982; Satterthwaite 1946.
    """
    check_arguments(values, matrix, person, contrasts, method)
    if time.shape != person.shape:
        raise ValueError("time must have one entry per row of values")
    usable = np.isfinite(matrix).all(axis=1) & np.isfinite(time)
    fit = _empty(contrasts.shape[0], values.shape[1])
    for rows, columns in present_rows(values, usable):
        fit.n_rows[columns] = len(rows)
        fit.n_people[columns] = len(np.unique(person[rows]))
        reason = _untestable(matrix[rows], person[rows], time[rows])
        if reason:
            fit.note[columns] = reason
            continue
        centre, unit = time[rows].mean(), time[rows].std()
        times = _times_of(matrix[rows], person[rows], (time[rows] - centre) / unit)
        for part in column_parts(columns, values.shape[1], CHUNK):
            results = _fit_part(values[:, part][rows], times, contrasts, method == "REML")
            results["covariance"] = _at_time_zero(results["covariance"], centre, unit)
            for name, result in results.items():
                getattr(fit, name)[..., part] = result
    return fit


def _empty(n_contrasts, n_tests):
    nan = np.nan
    return SlopeFit(
        estimate=np.full((n_contrasts, n_tests), nan),
        standard_error=np.full((n_contrasts, n_tests), nan),
        df=np.full((n_contrasts, n_tests), nan),
        covariance=np.full((3, n_tests), nan),
        variance_residual=np.full(n_tests, nan),
        criterion=np.full(n_tests, nan),
        singular=np.zeros(n_tests, dtype=bool),
        n_people=np.zeros(n_tests, dtype=int),
        n_rows=np.zeros(n_tests, dtype=int),
        note=np.full(n_tests, "", dtype=object),
    )


def _untestable(matrix, person, time):
    if not len(matrix):
        return "not tested: no values"
    pairs = np.unique(np.column_stack([np.unique(person, return_inverse=True)[1], time]), axis=0)
    if np.bincount(pairs[:, 0].astype(int)).max() < 3:
        return "not tested: nobody has three times, a random slope needs them"
    if not full_rank(matrix):
        return "not tested: terms are collinear in these rows"
    if len(matrix) < matrix.shape[1] + 4:
        return "not tested: too few rows for these terms"
    return ""


def _times_of(matrix, person, time):
    groups: dict[tuple[float, ...], list[np.ndarray]] = {}
    for label in np.unique(person):
        own = np.flatnonzero(person == label)
        own = own[np.argsort(time[own], kind="stable")]
        groups.setdefault(tuple(time[own]), []).append(own)
    places = tuple(np.array(people).T for people in groups.values())
    turns, roots = zip(*[_rotation(np.array(moments)) for moments in groups], strict=True)
    basis, triangle = np.linalg.qr(matrix)
    with_effects, rest = _rotated(basis, places, turns)
    return _Times(
        rows=places,
        turns=turns,
        roots=np.array(roots),
        counts=np.array([place.shape[1] for place in places], dtype=float),
        basis=basis,
        triangle=triangle,
        products=_products(with_effects, with_effects).reshape(-1, matrix.shape[1] ** 2),
        rest=(rest.T @ rest).ravel(),
    )


def _rotation(moments):
    """Orthogonal rotation of the rows of a person and the 2 x 2 root of their random effects."""
    effects = np.column_stack([np.ones(len(moments)), moments])
    turn, triangle = np.linalg.qr(effects, mode="complete")
    root = np.zeros((2, 2))
    root[: min(len(moments), 2)] = triangle[:2]
    return turn.T, root


def _rotated(values, places, turns):
    """Rows with random effects (n_people x 2 x n_columns for each set of times), and the rest."""
    with_effects, rest = [], []
    for place, turn in zip(places, turns, strict=True):
        n_sessions, n_people = place.shape
        block = values[place.ravel()].reshape(n_sessions, -1)
        turned = (turn @ block).reshape(n_sessions, n_people, -1)
        pair = np.zeros((2, n_people, turned.shape[2]))
        pair[: min(n_sessions, 2)] = turned[:2]
        with_effects.append(pair)
        rest.append(turned[2:].reshape(-1, turned.shape[2]))
    return with_effects, np.concatenate(rest)


def _products(first, second):
    """Symmetric sums of products over people: 3 n_times x n_first x n_second."""
    sums = []
    for left, right in zip(first, second, strict=True):
        cross = left[0].T @ right[1] + left[1].T @ right[0]
        sums += [left[0].T @ right[0], cross, left[1].T @ right[1]]
    return np.array(sums)


def _sums(residual, times):
    """Sums of products of the residuals, tests first."""
    basis_effects, basis_rest = _rotated(times.basis, times.rows, times.turns)
    effects, rest = _rotated(residual, times.rows, times.turns)
    own = [(a**2, 2 * a * b, b**2) for a, b in effects]
    return _Sums(
        with_design=np.ascontiguousarray(_products(basis_effects, effects).transpose(2, 1, 0)),
        rest_with_design=rest.T @ basis_rest,
        own=np.array([part.sum(axis=0) for triple in own for part in triple]).T,
        rest=(rest**2).sum(axis=0),
    )


def _fit_part(values, times, contrasts, reml):
    n_rows, n_terms = times.basis.shape
    ordinary = times.basis.T @ values
    residual = values - times.basis @ ordinary
    constant = (residual**2).sum(axis=0) <= NOISE * (values**2).sum(axis=0)
    sums = _sums(residual / np.where(constant, 1, residual.std(axis=0)), times)
    scale = np.where(constant, np.nan, residual.std(axis=0))
    model = _Model(times, n_rows - n_terms if reml else n_rows, reml)
    root, decrement = np.full((values.shape[1], 3), np.nan), np.full(values.shape[1], np.inf)
    tests = np.flatnonzero(~constant)
    root[tests], decrement[tests] = _minimise(sums.part(tests), model)
    weights = np.linalg.solve(times.triangle.T, contrasts.T).T
    good = decrement < ACCEPTED
    results = _effects(_with_ones(root, good), sums, model, weights)
    results["estimate"] = weights @ ordinary + results["estimate"] * scale
    results["standard_error"] *= scale
    results["covariance"] *= scale**2
    results["variance_residual"] *= scale**2
    results["criterion"] += 2 * model.n * np.log(scale) + model.log_design
    results = {name: np.where(good, result, np.nan) for name, result in results.items()}
    singular = good & (np.abs(root[:, [0, 2]]).min(axis=1) < SINGULAR)
    results["singular"] = singular
    notes = np.where(singular, SINGULAR_NOTE, np.where(good, "", NOT_CONVERGED)).astype(object)
    results["note"] = np.where(constant, "no variation", notes)
    return results


def _with_ones(root, good):
    return np.where(good[:, None], root, 1.0)


def _at_time_zero(covariance, centre, unit):
    """Covariance of intercept at time 0 and slope, from those at the mean, in units of the SD."""
    first, cross, second = covariance[0], covariance[1] / unit, covariance[2] / unit**2
    return np.array(
        [first - 2 * centre * cross + centre**2 * second, cross - centre * second, second]
    )


def _minimise(sums, model):
    """Cholesky roots with the smallest deviance, and what Newton would still gain there."""
    n_tests = len(sums.rest)
    deviance = np.array(
        [_point(np.tile(start, (n_tests, 1)), sums, model).deviance for start in STARTS]
    )
    root = STARTS[deviance.argmin(axis=0)]
    decrement = np.full(n_tests, np.inf)
    active = np.arange(n_tests)
    for number in range(MAX_STEPS):
        part = sums.part(active)
        if number == SIMPLER_AFTER:
            root[active] = _simpler(root[active], part, model)
        step, decrement[active] = _newton_step(root[active], part, model)
        root[active] = _shortened(root[active], step, part, model)
        active = active[~(decrement[active] < CONVERGED)]
        if not len(active):
            break
    return root, decrement


def _simpler(root, sums, model):
    """Root of a covariance of rank one where that is as good: the way there bends and is slow."""
    first, cross, second = root.T
    whole, none = np.hypot(cross, second), np.zeros(len(root))
    limit = _point(root, sums, model).deviance + SIMPLER_COST
    for candidate in (
        np.stack([none, none, whole], axis=-1),
        np.stack([first, np.copysign(whole, cross), none], axis=-1),
    ):
        good = _point(candidate, sums, model).deviance <= limit
        root = np.where(good[:, None], candidate, root)
    return root


def _newton_step(root, sums, model):
    """Step towards the minimum and the decrease of the deviance it promises, twice."""
    point = _point(root, sums, model)
    slope = point.slope(model.n / point.rest)
    curve = np.stack([_central(root, j, sums, model, None) for j in range(3)], axis=1)
    size, turn = np.linalg.eigh((curve + curve.transpose(0, 2, 1)) / 2)
    size = np.abs(size)
    size = np.maximum(size, 1e-7 * size.max(axis=1, keepdims=True) + np.finfo(float).tiny)
    along = np.einsum("tij,ti->tj", turn, slope)
    step = -np.einsum("tij,tj->ti", turn, along / size)
    longest = 1 + np.abs(root).max(axis=1)
    length = np.linalg.norm(step, axis=1)
    step *= np.minimum(1, longest / np.maximum(length, np.finfo(float).tiny))[:, None]
    return step, (along**2 / size).sum(axis=1)


def _central(root, entry, sums, model, variance):
    """Derivative of the slope along one entry; at a fixed residual variance unless None."""
    slopes = []
    for sign in (1, -1):
        moved = root.copy()
        moved[:, entry] += sign * STEP
        point = _point(moved, sums, model)
        slopes.append(point.slope(model.n / point.rest if variance is None else 1 / variance))
    return (slopes[0] - slopes[1]) / (2 * STEP)


def _shortened(root, step, sums, model):
    """Root after the step, halved until the deviance does not rise."""
    before = _point(root, sums, model).deviance
    limit = before + 1e-11 * np.abs(before) + 1e-11
    step = step.copy()
    for _ in range(HALVINGS):
        risen = ~(_point(root + step, sums, model).deviance <= limit)
        if not risen.any():
            break
        step[risen] /= 2
    return root + step


def _point(root, sums, model):
    """Everything of the deviance at the given roots."""
    times, n_tests, n_terms = model.times, len(root), model.times.basis.shape[1]
    a, b, c = root.T
    covariance = np.stack([a * a, a * b, b * b + c * c], axis=-1)[:, None, :]
    spread = _turned(times.roots, covariance) + np.array([1.0, 0.0, 1.0])
    determinant = spread[..., 0] * spread[..., 2] - spread[..., 1] ** 2
    weight = spread[..., ::-1] * np.array([1, -1, 1]) / determinant[..., None]
    flat = weight.reshape(n_tests, -1)
    design = (flat @ times.products + times.rest).reshape(n_tests, n_terms, n_terms)
    inverse = np.linalg.inv(design)
    target = (sums.with_design @ flat[:, :, None])[:, :, 0] + sums.rest_with_design
    effect = (inverse @ target[:, :, None])[:, :, 0]
    rest = sums.rest + (sums.own * flat).sum(axis=1) - (effect * target).sum(axis=1)
    bend = np.log(determinant) @ times.counts
    if model.reml:
        bend = bend + np.linalg.slogdet(design)[1]
    return _Point(root, sums, model, weight, inverse, effect, rest, bend)


def _turned(turn, triple):
    """Turn S turn' for symmetric S as triples; turn (..., 2, 2)."""
    first, cross, second = triple[..., 0], triple[..., 1], triple[..., 2]
    a, b, c, d = turn[..., 0, 0], turn[..., 0, 1], turn[..., 1, 0], turn[..., 1, 1]
    return np.stack(
        [
            a * a * first + 2 * a * b * cross + b * b * second,
            a * c * first + (a * d + b * c) * cross + b * d * second,
            c * c * first + 2 * c * d * cross + d * d * second,
        ],
        axis=-1,
    )


def _between(weight, triple):
    """Weight S weight for symmetric matrices as triples."""
    square = np.stack([weight[..., :2], weight[..., 1:]], axis=-2)
    return _turned(square, triple)


def _matrix_triples(sums):
    """Sums of products (first, twice the off-diagonal, second) as triples of matrices."""
    return sums.reshape(len(sums), -1, 3) * np.array([1, 0.5, 1])


def _root_slope(root, roots, triples):
    """Derivative with respect to the root, from that with respect to each 2 x 2 covariance."""
    back = _turned(roots.transpose(0, 2, 1), triples).sum(axis=1)
    a, b, c = root.T
    first, cross, second = back.T
    return 2 * np.stack([first * a + cross * b, cross * a + second * b, second * c], axis=-1)


def _effects(root, sums, model, weights):
    """Estimates, standard errors and degrees of freedom at the minimum."""
    point = _point(root, sums, model)
    variance = point.rest / model.n
    curve = np.zeros((len(root), 4, 4))
    for entry in range(3):
        curve[:, entry, :3] = _central(root, entry, sums, model, variance)
    along = point.slope(1.0) - point.slope(0.0)
    curve[:, 3, :3] = curve[:, :3, 3] = -along / variance[:, None] ** 2
    curve[:, 3, 3] = model.n / variance**2
    inverse = 2 * np.linalg.pinv(
        (curve + curve.transpose(0, 2, 1)) / 2, rcond=1e-10, hermitian=True
    )
    errors, dfs = [], []
    for weight in weights:
        unit, slope = point.contrast(weight)
        change = np.concatenate([slope * variance[:, None], unit[:, None]], axis=1)
        spread = np.einsum("ti,tij,tj->t", change, inverse, change)
        errors.append(np.sqrt(variance * unit))
        dfs.append(2 * (variance * unit) ** 2 / spread)
    a, b, c = root.T
    return {
        "estimate": weights @ point.effect.T,
        "standard_error": np.array(errors),
        "df": np.array(dfs),
        "covariance": np.stack([a * a, a * b, b * b + c * c]) * variance,
        "variance_residual": variance,
        "criterion": model.n * (1 + np.log(2 * np.pi * variance)) + point.bend,
    }
