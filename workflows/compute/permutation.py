"""Permutation tests of one contrast in many tests at once (Freedman & Lane 1983).

The outcome without the nuisance terms is compared with relabelled designs (Winkler et al.
2014). With E the residuals on the nuisance terms Z, scaled to length 1, the t of a relabelled
design follows from r**2 = a**2 / (1 - b**2), where a is the product of E with the relabelled
regressor of interest (made orthogonal to Z) and b**2 the squared length of E on the
relabelled Z. Nuisance terms that no relabelling changes (constant, sites as blocks) have
b = 0 and cost nothing.

A participant is relabelled as a whole, with all outcomes and their holes: a test with missing
participants uses the relabelled design rows of those who are present, so that the same
relabelling holds in every test. This supposes that holes do not depend on the contrast
(simulated: an error of .061 instead of .05 where 45 % of one arm are missing in a third of the
tests). Where degrees of freedom differ, the |t| are compared at equal two-sided p and given as t
with the most degrees of freedom. A relabelling that leaves nothing to compare in a test counts
as t = 0. Values within 1e-5 of the observed ones are ties and count as reached, which can only
raise p; products are made in single precision where that is safe.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy import linalg, stats

from workflows.compute.design import full_rank
from workflows.compute.exchangeability import Relabellings, unchanged_part
from workflows.compute.regression import VARIATION, missingness_patterns

METHOD = "Freedman-Lane, largest |t|"
TIE = 1e-5
BLOCK_RELABELLINGS = 512
BLOCK_TESTS = 256
MIN_DF_FLOAT32 = 30
LOW_REST = 0.05
NO_REST = 1e-12


@dataclass(frozen=True)
class PermutationTest:
    """Results of one contrast, one entry per test; NaN where `note` says why.

    `statistic` is t with `df` degrees of freedom, `p_fwe` controls the family-wise error over
    all tests (two-sided), `p_uncorrected` is the permutation p of the test alone (NaN if not
    asked for). `max_statistic` has the largest |t| of each relabelling. `method` names it all.
    """

    statistic: np.ndarray
    df: np.ndarray
    n: np.ndarray
    p_fwe: np.ndarray
    p_uncorrected: np.ndarray
    note: np.ndarray
    max_statistic: np.ndarray
    method: str


@dataclass(frozen=True)
class Pattern:
    """Tests that share their participants (`rows`); `residual` is n_tests x n_rows, length 1."""

    rows: np.ndarray
    columns: np.ndarray
    residual: np.ndarray
    df: int


@dataclass(frozen=True)
class Contrast:
    """What is tested, ready to be relabelled.

    `terms` is n_terms x n_participants: nuisance that stays the same (the first
    `n_unchanged`), other nuisance, and last the regressor of interest. `statistic`, `df`, `n`
    and `note` have one entry per column of `outcome`; `patterns` holds the tests that are made.
    """

    outcome: np.ndarray
    terms: np.ndarray
    n_unchanged: int
    relabellings: Relabellings
    patterns: tuple[Pattern, ...]
    statistic: np.ndarray
    df: np.ndarray
    n: np.ndarray
    note: np.ndarray


def freedman_lane(
    outcome: np.ndarray,
    matrix: np.ndarray,
    contrast: np.ndarray,
    relabellings: Relabellings,
    min_participants: int,
    uncorrected: bool = False,
) -> PermutationTest:
    """Permutation p values of a contrast, corrected over all tests by the largest |t|.

    How holes and ties are treated is said at the top of this module.

    Parameters
    ----------
    outcome : np.ndarray, shape (n_participants, n_tests)
        One row per participant (the change); NaN leaves the participant out of that test.
    matrix : np.ndarray, shape (n_participants, n_terms)
        Design, finite. For the mean change of one arm: a constant and centred covariates.
    contrast : np.ndarray, shape (n_terms,)
        Weights of the terms; what the design holds beyond it is nuisance.
    relabellings : Relabellings
        Of these participants, see `workflows.compute.exchangeability.relabellings`.
    min_participants : int
        Tests with fewer participants are not made.
    uncorrected : bool
        Also count the relabellings of each test alone.

    Raises
    ------
    ValueError
        Shapes do not fit, a value of `matrix` is missing, or the contrast is 0.
    """
    made = prepared(outcome, matrix, contrast, relabellings, min_participants)
    largest, reached = _relabelled(made, uncorrected)
    observed = np.abs(made.statistic)
    for pattern in made.patterns:
        observed[pattern.columns] = equal_p(observed[pattern.columns], pattern.df, _most(made))
    kind = "all" if relabellings.exact else "random"
    return PermutationTest(
        statistic=made.statistic,
        df=made.df,
        n=made.n,
        p_fwe=share_reaching(observed, largest),
        p_uncorrected=(reached + 1) / (relabellings.n_relabellings + 1),
        note=made.note,
        max_statistic=largest,
        method=f"{METHOD}, {relabellings.n_relabellings} {kind} relabellings",
    )


def prepared(
    outcome: np.ndarray,
    matrix: np.ndarray,
    contrast: np.ndarray,
    relabellings: Relabellings,
    min_participants: int,
) -> Contrast:
    """Residuals, observed t and notes of all tests, see `freedman_lane`."""
    _check(outcome, matrix, contrast, relabellings)
    interest, nuisance = split_contrast(matrix, contrast)
    nuisance, n_unchanged = _unchanged_first(nuisance, relabellings)
    n_tests = outcome.shape[1]
    present = np.isfinite(outcome)
    statistic, df = np.full(n_tests, np.nan), np.full(n_tests, np.nan)
    note, patterns = np.full(n_tests, "", dtype=object), []
    for rows, columns in missingness_patterns(present) if n_tests else ():
        note[columns] = _untestable(matrix[rows], min_participants)
        if note[columns[0]]:
            continue
        left = len(rows) - matrix.shape[1]
        terms = np.column_stack([nuisance[rows], interest[rows]])
        single = left >= MIN_DF_FLOAT32 and not relabellings.exact
        dtype = np.float32 if single else np.float64
        residual, t, varied = _observed(outcome, (rows, columns), terms, dtype)
        note[columns[~varied]] = "no variation between participants"
        columns = columns[varied]
        statistic[columns], df[columns] = t, left
        if len(columns):
            patterns.append(Pattern(rows, columns, residual, left))
    terms = np.column_stack([nuisance, interest]).T
    n = present.sum(axis=0)
    return Contrast(
        outcome, terms, n_unchanged, relabellings, tuple(patterns), statistic, df, n, note
    )


def split_contrast(matrix: np.ndarray, contrast: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Regressor of a contrast and the nuisance terms, together the same model.

    Parameters
    ----------
    matrix : np.ndarray, shape (n_participants, n_terms)
    contrast : np.ndarray, shape (n_terms,)

    Returns
    -------
    interest : np.ndarray, shape (n_participants,)
        Its coefficient beside the nuisance terms is the value of the contrast.
    nuisance : np.ndarray, shape (n_participants, n_terms - 1)
    """
    weights = np.asarray(contrast, dtype=float)
    return matrix @ weights / (weights @ weights), matrix @ linalg.null_space(weights[None])


def parts(relabellings: Relabellings) -> Iterator[slice]:
    """Relabellings a few at a time, so that memory is bounded."""
    for start in range(0, relabellings.n_relabellings, BLOCK_RELABELLINGS):
        yield slice(start, min(start + BLOCK_RELABELLINGS, relabellings.n_relabellings))


def relabelled_design(made: Contrast, pattern: Pattern, part: slice) -> np.ndarray:
    """Orthonormal rows of the relabelled designs; the regressor of interest first.

    Returns
    -------
    np.ndarray, shape (1 + n_changed_nuisance, n_relabellings, n_rows)
        A term that is a sum of those before it is 0.
    """
    terms = made.relabellings.of(made.terms, part, pattern.rows)
    length = np.sqrt((terms**2).sum(axis=2, keepdims=True))
    for place in range(len(terms)):
        for _ in range(2):
            for before in terms[:place]:
                share = np.matmul(terms[place][:, None], before[:, :, None])[:, 0]
                terms[place] -= share * before
        rest = np.sqrt((terms[place] ** 2).sum(axis=1, keepdims=True))
        stays = rest > 1e-8 * length[place]
        terms[place] *= np.where(stays, 1 / np.where(stays, rest, 1.0), 0.0)
    return np.concatenate([terms[-1:], terms[made.n_unchanged : -1]])


def correlation_blocks(
    made: Contrast, pattern: Pattern, design: np.ndarray, signed: bool = False
) -> Iterator[tuple[slice, np.ndarray]]:
    """Squared partial correlations with the relabelled designs, some tests at a time.

    If `signed` they carry the sign of the correlation. The array is used again for the next
    block.

    Parameters
    ----------
    design : np.ndarray
        Of `relabelled_design`.

    Yields
    ------
    place : slice
        Tests of the pattern.
    squared : np.ndarray, shape (n_relabellings, n_tests of the block)
    """
    small = np.ascontiguousarray(design.astype(pattern.residual.dtype))
    flat = small.reshape(-1, small.shape[2])
    space = np.empty(flat.shape[0] * BLOCK_TESTS, dtype=flat.dtype)
    for start in range(0, len(pattern.columns), BLOCK_TESTS):
        place = slice(start, min(start + BLOCK_TESTS, len(pattern.columns)))
        tests = pattern.residual[place]
        products = space[: flat.shape[0] * len(tests)].reshape(flat.shape[0], -1)
        np.matmul(flat, tests.T, out=products)
        squared, rest = _squared(products.reshape(*small.shape[:2], -1), signed)
        if rest is not None and rest.dtype == np.float32 and rest.min() < LOW_REST:
            low = np.nonzero(rest < LOW_REST)
            exact = exact_squares(made, pattern, design, (low[0], low[1] + start))
            squared[low] = exact if signed else np.abs(exact)
        yield place, squared


def exact_squares(
    made: Contrast, pattern: Pattern, design: np.ndarray, pairs: tuple[np.ndarray, np.ndarray]
) -> np.ndarray:
    """Signed squared partial correlations of some (relabelling, test) in double precision."""
    which, tests = pairs
    used, place = np.unique(tests, return_inverse=True)
    terms = made.terms[:, pattern.rows].T
    place_in = pattern.rows, pattern.columns[used]
    residual, _, _ = _observed(made.outcome, place_in, terms, np.float64)
    squared = np.empty(len(which))
    for start in range(0, len(which), 4096):
        some = slice(start, start + 4096)
        products = np.einsum("qrn,rn->qr", design[:, which[some]], residual[place[some]])
        squared[some] = _squared(products[:, None], True)[0][0]
    return squared


def share_reaching(observed: np.ndarray, largest: np.ndarray) -> np.ndarray:
    """Permutation p = (b + 1) / (m + 1); b of the m `largest` reach the observed value.

    NaN stays NaN; values closer than 1e-5 of the observed one reach it.
    """
    rising = np.sort(largest)
    b = len(rising) - np.searchsorted(rising, observed * (1 - TIE), side="left")
    return np.where(np.isnan(observed), np.nan, (b + 1) / (len(rising) + 1))


def equal_p(t: np.ndarray, df: int, most: int) -> np.ndarray:
    """The |t| with `most` degrees of freedom that has the same p as |t| with `df`."""
    return t if df == most else stats.t.isf(stats.t.sf(t, df), most)


def _check(outcome, matrix, contrast, relabellings):
    if outcome.ndim != 2 or matrix.ndim != 2 or len(outcome) != len(matrix):
        raise ValueError("outcome, matrix: two dimensions, one row per participant in both")
    if not np.isfinite(matrix).all():
        raise ValueError("matrix: leave out participants with missing terms before")
    if np.shape(contrast) != (matrix.shape[1],) or not np.any(contrast):
        raise ValueError("contrast: one weight per term, not all 0")
    if relabellings.order.shape[1] != len(matrix):
        raise ValueError("relabellings: made for another number of participants")


def _untestable(matrix, min_participants):
    needed = max(min_participants, matrix.shape[1] + 1)
    if len(matrix) < needed:
        return f"not tested: {len(matrix)} participants, {needed} needed"
    return "" if full_rank(matrix) else "not tested: terms are collinear in these participants"


def _unchanged_first(nuisance, relabellings):
    """Nuisance as an orthonormal basis, the directions that no relabelling changes first."""
    if not nuisance.shape[1]:
        return nuisance, 0
    basis = linalg.orth(nuisance)
    mean = unchanged_part(basis, relabellings.exchange)
    values, directions = np.linalg.eigh(basis.T @ mean)
    return basis @ directions[:, ::-1], int((values > 1 - 1e-9).sum())


def _observed(outcome, place, terms, dtype):
    """Residuals of length 1 (n_tests x n_rows) and t of the tests that vary; which do."""
    rows, columns = place
    basis = np.linalg.qr(terms)[0]
    nuisance, interest = basis[:, :-1], basis[:, -1]
    sign = np.sign(interest @ terms[:, -1])
    left = len(rows) - terms.shape[1]
    residual = np.empty((len(columns), len(rows)), dtype=dtype)
    t, varied = np.empty(len(columns)), np.empty(len(columns), dtype=bool)
    for start in range(0, len(columns), BLOCK_TESTS):
        some = slice(start, start + BLOCK_TESTS)
        values = outcome[np.ix_(rows, columns[some])]
        rest = values - nuisance @ (nuisance.T @ values)
        length = np.linalg.norm(rest, axis=0)
        varied[some] = length > VARIATION * np.linalg.norm(values, axis=0)
        rest = rest / np.where(varied[some], length, 1.0)
        r = sign * (interest @ rest)
        with np.errstate(divide="ignore"):
            t[some] = r * np.sqrt(left / np.maximum(1 - r**2, 0))
        residual[some] = rest.T
    return (residual, t, varied) if varied.all() else (residual[varied], t[varied], varied)


def _squared(products, signed):
    """First product squared over 1 - squares of the others, and that rest (None without)."""
    first, others = products[0], products[1:]
    np.multiply(first, np.abs(first) if signed else first, out=first)
    if not len(others):
        return first, None
    np.multiply(others, others, out=others)
    rest = others[0]
    for square in others[1:]:
        rest += square
    np.subtract(1 + NO_REST, rest, out=rest)
    return np.divide(first, rest, out=first), rest


def _most(made):
    return max((pattern.df for pattern in made.patterns), default=0)


def _relabelled(made, uncorrected):
    """Largest |t| of each relabelling, and per test how many reach the observed one."""
    largest = np.zeros(made.relabellings.n_relabellings)
    reached = np.full(len(made.statistic), np.nan)
    for part in parts(made.relabellings):
        for pattern in made.patterns:
            top, counts = _scan(made, pattern, part, uncorrected)
            largest[part] = np.maximum(largest[part], _at_df(top, pattern.df, _most(made)))
            if uncorrected:
                reached[pattern.columns] = np.nan_to_num(reached[pattern.columns]) + counts
    return largest, reached


def _scan(made, pattern, part, uncorrected):
    """Largest squared correlation of each relabelling; per test, how many reach the observed."""
    t = made.statistic[pattern.columns]
    needed = (1 - TIE) * t**2 / (t**2 + pattern.df)
    top = np.zeros(part.stop - part.start)
    counts = np.zeros(len(pattern.columns), dtype=int)
    design = relabelled_design(made, pattern, part)
    for place, squared in correlation_blocks(made, pattern, design):
        np.abs(squared, out=squared)
        np.maximum(top, squared.max(axis=1), out=top)
        if uncorrected:
            counts[place] = (squared >= needed[place].astype(squared.dtype)).sum(axis=0)
    return top, counts


def _at_df(squared, df, most):
    squared = np.minimum(squared, 1.0)
    with np.errstate(divide="ignore"):
        t = np.sqrt(df * squared / (1 - squared))
    return equal_p(t, df, most)
