"""Bootstrap of regression models by participants, all resamples at once.

A least-squares model needs nothing of the data but the sums of squares and products of its
columns. Those of a resample are the counts of the participants times their own products, so one
matrix product serves all resamples.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from scipy.special import ndtr, ndtri, stdtr, stdtrit

SINGULAR = 1e-10
BATCH_CELLS = 2**22


@dataclass(frozen=True)
class Resampling:
    """How participants are drawn.

    `strata` (n_participants,) keeps the number of participants of each level, for instance of
    each arm. `clusters` (n_participants,) are drawn whole, for instance sites; each lies in one
    stratum. Intervals that resample fewer than about 20 clusters are too narrow.
    """

    n_bootstraps: int
    confidence: float
    strata: np.ndarray | None = field(default=None, repr=False)
    clusters: np.ndarray | None = field(default=None, repr=False)

    def __post_init__(self):
        if self.n_bootstraps < 1 or not 0 < self.confidence < 1:
            raise ValueError("n_bootstraps: at least 1; confidence: between 0 and 1")

    def of(self, rows: np.ndarray) -> Resampling:
        """The same for these participants only."""
        parts = [None if part is None else part[rows] for part in (self.strata, self.clusters)]
        return Resampling(self.n_bootstraps, self.confidence, *parts)


@dataclass(frozen=True)
class Draws:
    """Quantities in the whole sample, in each resample and without each unit.

    `estimate` (n_quantities,), `values` (n_quantities, n_bootstraps that could be fitted),
    `jackknife` (n_quantities, n_units) and `strata` (n_units,): the stratum of each unit.
    `n_degenerate` resamples could not be fitted and are left out.
    """

    estimate: np.ndarray
    values: np.ndarray = field(repr=False)
    jackknife: np.ndarray = field(repr=False)
    strata: np.ndarray = field(repr=False)
    n_degenerate: int = 0


@dataclass(frozen=True)
class Regression:
    """Least squares of one column on others, last axis = samples.

    `coefficients` (n_predictors, n_samples), `inverse` (n_predictors, n_predictors, n_samples)
    of the cross-products of the predictors, `residual_squares` (n_samples,). NaN where a
    predictor is constant or a sum of others.
    """

    coefficients: np.ndarray
    inverse: np.ndarray
    residual_squares: np.ndarray


def draw(
    columns: np.ndarray,
    quantities: Callable[[np.ndarray], np.ndarray],
    resampling: Resampling,
    rng: np.random.Generator,
) -> Draws:
    """Quantities of the sample, of resamples of its participants, and leaving each one out.

    Parameters
    ----------
    columns : np.ndarray, shape (n_participants, n_columns)
        Without NaN; the constant is one of them.
    quantities : callable
        Cross-products (n_columns, n_columns, n_samples) to numbers (n_quantities, n_samples).
    resampling : Resampling
    rng : np.random.Generator

    Returns
    -------
    Draws

    Raises
    ------
    ValueError
        A cluster lies in two strata.
    """
    products, strata = unit_products(columns, resampling)
    n_columns = columns.shape[1]
    total = products.sum(axis=0)
    size = max(1, BATCH_CELLS // len(products))
    parts = []
    for start in range(0, resampling.n_bootstraps, size):
        n_draws = min(size, resampling.n_bootstraps - start)
        counts = resample_counts(strata, n_draws, rng)
        parts.append(quantities(unpacked(counts @ products, n_columns)))
    values = np.concatenate(parts, axis=1)
    fitted = np.isfinite(values).all(axis=0)
    return Draws(
        estimate=quantities(unpacked(total[None], n_columns))[:, 0],
        values=values[:, fitted],
        jackknife=quantities(unpacked(total - products, n_columns)),
        strata=strata,
        n_degenerate=int((~fitted).sum()),
    )


def unit_products(columns: np.ndarray, resampling: Resampling) -> tuple[np.ndarray, np.ndarray]:
    """Products of all pairs of columns summed over each unit, and the stratum of each unit.

    Units are participants, or clusters where `resampling` has them.

    Returns
    -------
    products : np.ndarray, shape (n_units, n_columns * (n_columns + 1) / 2)
    strata : np.ndarray of int, shape (n_units,)
    """
    first, second = np.triu_indices(columns.shape[1])
    products = columns[:, first] * columns[:, second]
    strata = np.zeros(len(columns), dtype=int)
    if resampling.strata is not None:
        strata = np.unique(resampling.strata.astype(str), return_inverse=True)[1]
    if resampling.clusters is None:
        return products, strata
    names, member = np.unique(resampling.clusters.astype(str), return_inverse=True)
    place = np.zeros(len(names), dtype=int)
    place[member] = strata
    if np.any(place[member] != strata):
        raise ValueError("clusters: each lies in one stratum; leave the strata out")
    summed = np.zeros((len(names), products.shape[1]))
    np.add.at(summed, member, products)
    return summed, place


def resample_counts(strata: np.ndarray, n_draws: int, rng: np.random.Generator) -> np.ndarray:
    """How often each unit is drawn, with replacement within its stratum.

    Parameters
    ----------
    strata : np.ndarray of int, shape (n_units,)
    n_draws : int
    rng : np.random.Generator

    Returns
    -------
    np.ndarray of float, shape (n_draws, n_units)
    """
    counts = np.zeros((n_draws, len(strata)))
    for stratum in np.unique(strata):
        members = np.flatnonzero(strata == stratum)
        drawn = rng.integers(0, len(members), (n_draws, len(members)), dtype=np.int32)
        drawn = drawn.astype(np.intp) + np.arange(n_draws)[:, None] * len(members)
        tally = np.bincount(drawn.ravel(), minlength=n_draws * len(members))
        counts[:, members] = tally.reshape(n_draws, len(members))
    return counts


def unpacked(packed: np.ndarray, n_columns: int) -> np.ndarray:
    """Pairs (n_samples, n_pairs) as symmetric matrices (n_columns, n_columns, n_samples)."""
    place = np.zeros((n_columns, n_columns), dtype=int)
    first, second = np.triu_indices(n_columns)
    place[first, second] = place[second, first] = np.arange(len(first))
    return np.ascontiguousarray(packed.T)[place]


def regress(products: np.ndarray, outcome: int, predictors: tuple[int, ...]) -> Regression:
    """Least squares from cross-products, by the sweep operator (Goodnight 1979).

    Parameters
    ----------
    products : np.ndarray, shape (n_columns, n_columns, n_samples)
        Columns that are centred in the whole sample lose no digits.
    outcome : int
        Column that is explained.
    predictors : tuple of int
        Columns that explain it, with the constant.
    """
    used = [*predictors, outcome]
    swept = products[np.ix_(used, used)]
    sizes = np.einsum("iis->is", swept).copy()
    for place in range(len(predictors)):
        pivot = swept[place, place].copy()
        pivot[~(pivot > SINGULAR * sizes[place])] = np.nan
        column = swept[:, place].copy()
        row = swept[place] / pivot
        swept -= column[:, None] * row
        swept[place] = row
        swept[:, place] = -column / pivot
        swept[place, place] = 1 / pivot
    return Regression(swept[:-1, -1], swept[:-1, :-1], swept[-1, -1])


def sample_size(
    draws: Draws, resampling: Resampling, n_participants: int, n_terms: int
) -> tuple[int, int]:
    """Units and degrees of freedom that `widened_confidence` needs.

    Participants and what the largest regression leaves of them, or clusters and clusters - 1.

    Parameters
    ----------
    draws : Draws
    resampling : Resampling
    n_participants : int
    n_terms : int
        Predictors of the largest regression, with the constant.
    """
    if resampling.clusters is None:
        return n_participants, n_participants - n_terms
    n_units = max(len(draws.strata), 2)
    return n_units, n_units - 1


def widened_confidence(confidence: float, n: int, df: int) -> float:
    """Confidence at which a bootstrap interval has to be taken to cover as often as wanted.

    The bootstrap takes the spread of the sample for that of the population. The interval of a
    mean is Student's with tails of Phi(-sqrt(n / (n - 1)) t) (Hesterberg 2015, expanded
    percentile interval); of regressions, t has the residual degrees of freedom.

    Parameters
    ----------
    confidence : float
        Wanted coverage, 0..1.
    n, df : int
        Participants and residual degrees of freedom, or clusters and clusters - 1.
    """
    quantile = np.sqrt(n / (n - 1)) * stdtrit(df, (1 + confidence) / 2)
    return float(1 - 2 * ndtr(-quantile))


def widened_p(p: np.ndarray, n: int, df: int) -> np.ndarray:
    """The p that belongs to intervals at `widened_confidence`.

    Parameters
    ----------
    p : np.ndarray
        From `inversion_p`.
    n, df : int
        As in `widened_confidence`.
    """
    return 2 * stdtr(df, ndtri(np.asarray(p) / 2) / np.sqrt(n / (n - 1)))


def percentile_interval(values: np.ndarray, confidence: float) -> tuple[np.ndarray, np.ndarray]:
    """Limits of the percentile interval (Efron 1979).

    They are the values of rank k and n + 1 - k with k = (n + 1) (1 - confidence) / 2 rounded
    down, so that the interval leaves 0 out exactly where `inversion_p` <= 1 - confidence.

    Parameters
    ----------
    values : np.ndarray, shape (n_quantities, n_bootstraps)
    confidence : float
        0..1.

    Returns
    -------
    low, high : np.ndarray, shape (n_quantities,)
        NaN where there are too few bootstraps.
    """
    n_quantities, n_draws = values.shape
    rank = int(np.floor((n_draws + 1) * (1 - confidence) / 2 + 1e-9))
    if rank < 1:
        return np.full(n_quantities, np.nan), np.full(n_quantities, np.nan)
    ordered = np.partition(values, (rank - 1, n_draws - rank), axis=1)
    return ordered[:, rank - 1], ordered[:, n_draws - rank]


def inversion_p(values: np.ndarray) -> np.ndarray:
    """Two-sided p against 0: 1 - confidence of the percentile interval that touches 0.

    Parameters
    ----------
    values : np.ndarray, shape (n_quantities, n_bootstraps)

    Returns
    -------
    np.ndarray, shape (n_quantities,)
        2 (m + 1) / (n + 1), at most 1, with m the values on the rarer side of 0.
    """
    below, above = (values <= 0).sum(axis=1), (values >= 0).sum(axis=1)
    return np.minimum(2 * (np.minimum(below, above) + 1) / (values.shape[1] + 1), 1.0)


def bca_interval(draws: Draws, confidence: float) -> tuple[np.ndarray, np.ndarray]:
    """Limits of the bias-corrected and accelerated interval (Efron 1987).

    The acceleration comes from leaving out one unit at a time, within strata after Davison &
    Hinkley (1997).

    Parameters
    ----------
    draws : Draws
    confidence : float
        0..1.

    Returns
    -------
    low, high : np.ndarray, shape (n_quantities,)
        NaN where all resamples lie on one side of the estimate or leaving one unit out makes
        the model impossible.
    """
    values, estimate = draws.values, draws.estimate[:, None]
    n_draws = max(values.shape[1], 1)
    share = ((values < estimate).sum(axis=1) + (values == estimate).sum(axis=1) / 2) / n_draws
    shift = ndtri(np.where((share > 0) & (share < 1), share, np.nan))
    speed = _acceleration(draws)
    ordered = np.sort(values, axis=1)
    limits = []
    for tail in ((1 - confidence) / 2, (1 + confidence) / 2):
        moved = shift + ndtri(tail)
        limits.append(_at_share(ordered, ndtr(shift + moved / (1 - speed * moved))))
    return limits[0], limits[1]


def _acceleration(draws):
    cubes, squares = np.zeros(len(draws.estimate)), np.zeros(len(draws.estimate))
    for stratum in np.unique(draws.strata):
        part = draws.jackknife[:, draws.strata == stratum]
        n_units = part.shape[1]
        influence = (n_units - 1) * (part.mean(axis=1, keepdims=True) - part)
        cubes += (influence**3).sum(axis=1) / n_units**3
        squares += (influence**2).sum(axis=1) / n_units**2
    return cubes / (6 * np.where(squares > 0, squares, np.nan) ** 1.5)


def _at_share(ordered, share):
    n_draws = ordered.shape[1]
    known = np.isfinite(share)
    place = np.clip(np.where(known, share, 0.5) * (n_draws + 1) - 1, 0, max(n_draws - 1, 0))
    low = np.floor(place).astype(int)
    if n_draws < 1:
        return np.full(len(share), np.nan)
    high, rows = np.minimum(low + 1, n_draws - 1), np.arange(len(share))
    value = ordered[rows, low] + (place - low) * (ordered[rows, high] - ordered[rows, low])
    return np.where(known, value, np.nan)
