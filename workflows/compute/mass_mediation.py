"""One mediator per region or edge: indirect effects for many mediators at once.

No indirect effect means a = 0 or b = 0, so an indirect effect is claimed only where both steps
are significant: p = max(p_a, p_b) (joint significance, MacKinnon et al. 2002). Whatever the truth
of the other step this p is valid: exact if one step is strong, conservative if both are 0.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd
from scipy import interpolate, special, stats

from workflows.compute.bootstrap import Resampling
from workflows.compute.design import full_rank
from workflows.compute.mediation import parallel_mediation
from workflows.compute.mediation_data import MediationData
from workflows.compute.multiplicity import benjamini_hochberg, holm
from workflows.compute.regression import missingness_patterns

VARIATION = 1e-10
PRODUCT = "distribution of the product"
N_NODES = 601
FAR_FROM_ZERO = 5.0
BISECTIONS = 34
FEW_TESTS = 1500
GRID_POINTS = 45
PERMUTATION_CELLS = 2**23


@dataclass(frozen=True)
class MassData:
    """Many mediators, tested one at a time; one row per participant.

    `mediators` (n_participants, n_tests): NaN leaves the participant out of that test only.
    `treatment` (n_participants,): arm as 0 and 1, or dose; `outcome` (n_participants,);
    `covariates` (n_participants, n_covariates), other arms among them. NaN in these leaves the
    participant out of all tests.
    """

    mediators: np.ndarray = field(repr=False)
    treatment: np.ndarray = field(repr=False)
    outcome: np.ndarray = field(repr=False)
    covariates: np.ndarray = field(repr=False)

    def __post_init__(self):
        if self.mediators.ndim != 2 or self.covariates.ndim != 2:
            raise ValueError("mediators, covariates: participants by columns")
        sizes = {len(self.mediators), len(self.treatment), len(self.outcome), len(self.covariates)}
        if len(sizes) != 1:
            raise ValueError("mediators, treatment, outcome, covariates: the same participants")

    @property
    def present(self) -> np.ndarray:
        """Which participants each test has, n_participants x n_tests."""
        shared = np.column_stack([self.treatment, self.outcome, self.covariates])
        return np.isfinite(self.mediators) & np.isfinite(shared).all(axis=1)[:, None]


@dataclass(frozen=True)
class MassMediation:
    """Steps and indirect effects, arrays of n_tests; NaN where `note` says why.

    `p` = max(p_a, p_b); `low` and `high` are the limits of the interval of a*b named by
    `interval`; `df` those of step b, step a has one more.
    """

    a: np.ndarray
    a_error: np.ndarray
    p_a: np.ndarray
    b: np.ndarray
    b_error: np.ndarray
    p_b: np.ndarray
    indirect: np.ndarray
    direct: np.ndarray
    low: np.ndarray
    high: np.ndarray
    p: np.ndarray
    df: np.ndarray
    n: np.ndarray
    note: np.ndarray = field(repr=False)
    p_fwe: np.ndarray = field(repr=False)
    bca_low: np.ndarray = field(repr=False)
    bca_high: np.ndarray = field(repr=False)
    interval: str = PRODUCT


def mass_mediation(data: MassData, confidence: float, min_participants: int) -> MassMediation:
    """Indirect effects of all mediators in closed form.

    The interval is that of the distribution of the product of two normal variables (MacKinnon,
    Lockwood & Williams 2004), each standard error widened by the ratio of the t to the normal
    quantile. `p_fwe` is Holm's of all tests.

    Parameters
    ----------
    data : MassData
    confidence : float
        Coverage of the intervals, 0..1.
    min_participants : int
        Tests with fewer participants are not made.

    Returns
    -------
    MassMediation
    """
    present = data.present
    n_tests = present.shape[1]
    values = np.full((8, n_tests), np.nan)
    note = np.full(n_tests, "", dtype=object)
    for rows, columns in missingness_patterns(present) if n_tests else ():
        frame, reason = _frame(data, rows, min_participants)
        if reason:
            note[columns] = reason
            continue
        values[:, columns] = _steps(frame, data.mediators[np.ix_(rows, columns)], confidence)
        note[columns[np.isnan(values[0, columns])]] = "no variation between participants"
    a, a_error, b, b_error, direct, low, high, df = values
    with np.errstate(divide="ignore"):
        p_a = 2 * stats.t.sf(np.abs(a / a_error), df + 1)
        p_b = 2 * stats.t.sf(np.abs(b / b_error), df)
    p, empty = np.maximum(p_a, p_b), np.full(n_tests, np.nan)
    return MassMediation(
        a=a,
        a_error=a_error,
        p_a=p_a,
        b=b,
        b_error=b_error,
        p_b=p_b,
        indirect=a * b,
        direct=direct,
        low=low,
        high=high,
        p=p,
        df=df,
        n=present.sum(axis=0),
        note=note,
        p_fwe=holm(p),
        bca_low=empty,
        bca_high=empty,
    )


def with_permutation(
    result: MassMediation,
    data: MassData,
    n_permutations: int,
    rng: np.random.Generator,
    blocks: np.ndarray | None = None,
) -> MassMediation:
    """The result with `p_fwe` from permutations (max T for two steps).

    A false claim needs |t_a| or |t_b| of a step without effect to be large. So min(|t_a|, |t_b|)
    is compared with the permutation distribution of the largest of all |t_a| and |t_b|: the
    treatment's residuals (given covariates) are permuted for step a, the outcome's (given
    treatment and covariates; Freedman & Lane 1983) for step b. The family-wise error is held
    whichever of the steps of each test are 0; permuting products a*b would not hold it.

    Parameters
    ----------
    result : MassMediation
        Of the same data.
    data : MassData
    n_permutations : int
    rng : np.random.Generator
    blocks : np.ndarray, shape (n_participants,), optional
        Participants are permuted within blocks only, for instance within sites.

    Returns
    -------
    MassMediation
        p_fwe = (b + 1) / (m + 1); NaN for tests that were not made.
    """
    present = data.present
    shared = np.flatnonzero(present.any(axis=1))
    largest = np.zeros(n_permutations)
    patterns = [
        (rows, columns[np.isfinite(result.p[columns])])
        for rows, columns in missingness_patterns(present)
    ]
    patterns = [(rows, columns) for rows, columns in patterns if len(columns)]
    widest = max((len(columns) for _, columns in patterns), default=1)
    size = max(1, min(n_permutations, PERMUTATION_CELLS // widest))
    for start in range(0, n_permutations, size):
        stop = min(start + size, n_permutations)
        order = _permutations(shared, stop - start, rng, blocks)
        for rows, columns in patterns:
            found = _largest(data, rows, columns, order)
            np.maximum(largest[start:stop], found, out=largest[start:stop])
    with np.errstate(invalid="ignore"):
        smaller = np.minimum(np.abs(result.a / result.a_error), np.abs(result.b / result.b_error))
    above = n_permutations - np.searchsorted(np.sort(largest), smaller, side="left")
    p_fwe = np.where(np.isfinite(result.p), (above + 1) / (n_permutations + 1), np.nan)
    return replace(result, p_fwe=p_fwe)


def with_bootstrap(
    result: MassMediation, data: MassData, resampling: Resampling, rng: np.random.Generator
) -> MassMediation:
    """The result with percentile and BCa intervals of each indirect effect; for few tests.

    Parameters
    ----------
    result : MassMediation
        Of the same data; tests that were not made stay so.
    data : MassData
    resampling : Resampling
    rng : np.random.Generator
    """
    limits = np.full((4, len(result.p)), np.nan)
    names = tuple(f"covariate {place}" for place in range(data.covariates.shape[1]))
    for test in np.flatnonzero(np.isfinite(result.p)):
        one = MediationData(
            data.treatment[:, None],
            ("treatment",),
            data.mediators[:, [test]],
            ("mediator",),
            data.outcome,
            data.covariates,
            names,
        )
        rows = parallel_mediation(one, resampling, rng).rows.set_index("path")
        limits[:, test] = rows.loc["indirect", ["ci_low", "ci_high", "bca_low", "bca_high"]]
    low, high, bca_low, bca_high = limits
    return replace(
        result,
        low=low,
        high=high,
        bca_low=bca_low,
        bca_high=bca_high,
        interval="percentile bootstrap",
    )


def mass_table(result: MassMediation, mediators: list[str], term: str) -> pd.DataFrame:
    """Table with one row per mediator: the indirect effect, both steps and corrected p values.

    Parameters
    ----------
    result : MassMediation
    mediators : list of str
        Name of each test.
    term : str
        Name of the treatment contrast.
    """
    return pd.DataFrame(
        {
            "path": "indirect",
            "term": term,
            "mediator": mediators,
            "estimate": result.indirect,
            "ci_low": result.low,
            "ci_high": result.high,
            "interval": result.interval,
            "p": result.p,
            "p_fdr": benjamini_hochberg(result.p),
            "p_fwe": result.p_fwe,
            "bca_low": result.bca_low,
            "bca_high": result.bca_high,
            "a": result.a,
            "a_standard_error": result.a_error,
            "a_p": result.p_a,
            "b": result.b,
            "b_standard_error": result.b_error,
            "b_p": result.p_b,
            "direct": result.direct,
            "df": result.df,
            "n": result.n,
            "note": result.note,
        }
    )


def product_interval(
    estimates: tuple[np.ndarray, np.ndarray],
    errors: tuple[np.ndarray, np.ndarray],
    confidence: float,
) -> tuple[np.ndarray, np.ndarray]:
    """Limits of the interval of a*b from the distribution of the product of two normals.

    Parameters
    ----------
    estimates : tuple of np.ndarray, shape (n_tests,)
        a and b; NaN stays NaN.
    errors : tuple of np.ndarray, shape (n_tests,)
        Their standard errors, above 0.
    confidence : float
        0..1.

    Returns
    -------
    low, high : np.ndarray, shape (n_tests,)
    """
    first, second = (value / error for value, error in zip(estimates, errors, strict=True))
    sign = np.where(first * second < 0, -1.0, 1.0)
    first, second = np.abs(first), np.abs(second)
    tails = ((1 - confidence) / 2, (1 + confidence) / 2)
    quantiles = _direct_quantiles if len(first) <= FEW_TESTS else _table_quantiles
    spread = np.sqrt(first**2 + second**2 + 1)
    lower, upper = (first * second + spread * quantiles(first, second, tail) for tail in tails)
    unit = errors[0] * errors[1]
    return unit * np.where(sign > 0, lower, -upper), unit * np.where(sign > 0, upper, -lower)


@dataclass(frozen=True)
class _Frame:
    """What all tests of one set of participants share; bases are orthonormal."""

    n_terms: int
    basis: np.ndarray
    full_basis: np.ndarray
    treatment: np.ndarray
    outcome: np.ndarray
    total: float


def _frame(data, rows, min_participants):
    covariates = data.covariates[rows]
    covariates = covariates[:, np.ptp(covariates, axis=0) > 0] if len(rows) else covariates
    needed = max(min_participants, covariates.shape[1] + 4)
    if len(rows) < needed:
        return None, f"not tested: {len(rows)} participants, {needed} needed"
    base = np.column_stack([np.ones(len(rows)), covariates - covariates.mean(axis=0)])
    treatment, outcome = data.treatment[rows], data.outcome[rows]
    centred = treatment - treatment.mean()
    if not full_rank(np.column_stack([base, centred])):
        return None, "not tested: treatment and covariates cannot be told apart"
    basis = np.linalg.qr(base)[0]
    residual = _residual(treatment[:, None], basis)[:, 0]
    direction = residual / np.linalg.norm(residual)
    full = np.column_stack([basis, direction])
    left = _residual(outcome[:, None], full)[:, 0]
    if not left.any():
        return None, "not tested: treatment and covariates explain the outcome completely"
    total = direction @ outcome / np.linalg.norm(residual)
    return _Frame(base.shape[1] + 1, basis, full, residual, left, total), ""


def _steps(frame, mediators, confidence):
    length = np.linalg.norm(frame.treatment)
    a = frame.treatment @ mediators / length**2
    rest = _residual(mediators, frame.full_basis)
    squares = (rest**2).sum(axis=0)
    squares = np.where(squares > 0, squares, np.nan)
    df = len(mediators) - frame.n_terms - 1
    a_error = np.sqrt(squares / (df + 1)) / length
    b = frame.outcome @ rest / squares
    left = np.maximum(frame.outcome @ frame.outcome - b**2 * squares, 0)
    b_error = np.sqrt(np.where(left > 0, left, np.nan) / df / squares)
    normal = stats.norm.ppf((1 + confidence) / 2)
    wide = [stats.t.ppf((1 + confidence) / 2, size) / normal for size in (df + 1, df)]
    errors = (a_error * wide[0], b_error * wide[1])
    low, high = product_interval((a, b), errors, confidence)
    known = np.where(np.isnan(b_error), np.nan, 1)
    values = (a, a_error, b, b_error, frame.total - a * b, low, high, np.full(len(a), float(df)))
    return np.stack(values) * known


def _residual(values, basis):
    """What the basis leaves of the columns, exactly 0 where only rounding is left."""
    rest = values - basis @ (basis.T @ values)
    size = np.linalg.norm(values, axis=0)
    return np.where(np.linalg.norm(rest, axis=0) > VARIATION * size, rest, 0.0)


def _largest(data, rows, columns, order):
    """Largest |t| of both steps in each permutation, over these tests."""
    frame, _ = _frame(data, rows, 0)
    mediators = data.mediators[np.ix_(rows, columns)]
    df = len(rows) - frame.n_terms
    r_a = _largest_r(mediators, frame.basis, frame.treatment, (rows, order))
    r_b = _largest_r(mediators, frame.full_basis, frame.outcome, (rows, order))
    t_a, t_b = r_a * np.sqrt(df / (1 - r_a**2)), r_b * np.sqrt((df - 1) / (1 - r_b**2))
    return np.maximum(t_a, t_b)


def _largest_r(mediators, basis, residual, permuted):
    rows, order = permuted
    whole = np.zeros(order.shape[1])
    whole[rows] = residual
    moved = whole[order[:, rows]].T
    moved = moved - basis @ (basis.T @ moved)
    moved /= np.linalg.norm(moved, axis=0)
    rest = _residual(mediators, basis)
    rest /= np.linalg.norm(rest, axis=0)
    found = moved.T @ rest
    return np.minimum(np.maximum(found.max(axis=1), -found.min(axis=1)), 1 - 1e-15)


def _permutations(rows, n_permutations, rng, blocks):
    """For each permutation, which participant's value each participant gets."""
    n_participants = rows.max() + 1 if len(rows) else 0
    n_participants = n_participants if blocks is None else len(blocks)
    order = np.tile(np.arange(n_participants), (n_permutations, 1))
    members = [rows]
    if blocks is not None:
        names = blocks[rows].astype(str)
        members = [rows[names == name] for name in np.unique(names)]
    for member in members:
        order[:, member] = member[rng.random((n_permutations, len(member))).argsort(axis=1)]
    return order


def _direct_quantiles(first, second, tail):
    """Standardised quantile of the product of normals with these means and variance 1.

    (q - mean) / sqrt(first**2 + second**2 + 1), for means that are not negative, by bisection
    of the distribution function, integrated over the first variable.
    """
    mean, spread = first * second, np.sqrt(first**2 + second**2 + 1)
    first, second = np.maximum(first, second), np.minimum(first, second)
    x, weight = _nodes(first)
    negative = np.where(weight < 0, -weight, 0).sum(axis=1)
    low, high = np.full(first.shape, -12.0), np.full(first.shape, 12.0)
    for _ in range(BISECTIONS):
        middle = (low + high) / 2
        value = mean + spread * middle
        below = special.ndtr(value[:, None] / x - second[:, None])
        share = np.einsum("tk,tk->t", weight, below) + negative
        low, high = np.where(share < tail, middle, low), np.where(share < tail, high, middle)
    return np.where(np.isfinite(mean), (low + high) / 2, np.nan)


def _nodes(mean):
    """Points and weights of the integral over a normal variable, weights negative where x < 0.

    The integrand jumps near x = 0, so points are dense there unless 0 is far from the mean.
    """
    step = np.linspace(-1, 1, N_NODES + 1)[:-1] + 1 / N_NODES
    reach = np.arcsinh(14 / 0.003)
    dense, width = 0.003 * np.sinh(reach * step), 0.003 * np.cosh(reach * step)
    far = (mean > FAR_FROM_ZERO)[:, None]
    x = np.where(far, mean[:, None] + 9 * step, dense)
    weight = np.exp(-((x - mean[:, None]) ** 2) / 2) * np.where(far, 1.0, width)
    weight = weight / weight.sum(axis=1, keepdims=True)
    return np.where(x == 0, 1e-300, x), np.where(x < 0, -weight, weight)


def _table_quantiles(first, second, tail):
    """The same, interpolated in a table of u = mean / (mean + 2)."""
    grid = np.linspace(0, 1, GRID_POINTS)
    means = 2 * grid[:-1] / (1 - grid[:-1])
    table = np.full((GRID_POINTS, GRID_POINTS), special.ndtri(tail))
    one, other = np.triu_indices(len(means))
    table[one, other] = table[other, one] = _direct_quantiles(means[other], means[one], tail)
    spline = interpolate.RectBivariateSpline(grid, grid, table)
    known = np.isfinite(first) & np.isfinite(second)
    found = np.full(first.shape, np.nan)
    found[known] = spline.ev(first[known] / (first[known] + 2), second[known] / (second[known] + 2))
    return found
