"""QC-FC on change: whether connectivity changes in those people whose motion changes.

For each edge the correlation over people of its change with the change of their motion (Power
2012, Satterthwaite 2012, Ciric 2017). Three numbers say what is left of motion: the median of
|r|, the part of the edges with p < .05, of which chance gives one in twenty, and whether r
depends on how far apart the two regions are.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import stats

from workflows.compute.permutation import share_reaching

LEAST_PEOPLE, FEW_PEOPLE = 5, 10
LEAST_OF_EDGE = 4
ALPHA = 0.05
STATISTICS = ("median_abs_r", "share_p05", "distance_rho")
QC_FC_COLUMNS = [
    *("statistic", "value", "ci_low", "ci_high"),
    *("chance_low", "chance_high", "p", "n", "n_edges"),
]
BLOCK = 50


@dataclass(frozen=True)
class _Edges:
    """Change of edges as sums need it, each (n_people, n_edges), and ranks of their length.

    `values` are centred per edge and 0 where not `known` (1 or 0); `ranks` are centred, NaN
    where the length is not known.
    """

    values: np.ndarray
    known: np.ndarray
    ranks: np.ndarray

    def only(self, people: np.ndarray) -> _Edges:
        """The same edges of some people."""
        return _edges(np.where(self.known, self.values, np.nan)[people], self.ranks)


def edge_distances_mm(places_mm: np.ndarray) -> np.ndarray:
    """Straight distance between the regions of each edge (mm), in the order of `edge_labels`.

    Parameters
    ----------
    places_mm : np.ndarray, shape (n_regions, 3)
        Centres; NaN for a region whose place is not known, which makes NaN of its edges.
    """
    first, second = np.triu_indices(len(places_mm), k=1)
    return np.linalg.norm(places_mm[first] - places_mm[second], axis=1)


def motion_correlations(change: np.ndarray, motion: np.ndarray) -> pd.DataFrame:
    """Correlation over people of each edge with motion: r, p (two-sided) and n.

    Parameters
    ----------
    change : np.ndarray, shape (n_people, n_edges)
        Change of Fisher z; a person without a value is left out of that edge only.
    motion : np.ndarray, shape (n_people,)
        Change of motion (mm), finite.

    Returns
    -------
    pd.DataFrame
        A row an edge; r and p are NaN with fewer than 4 people or where nothing varies.
    """
    change, motion = _checked(change, motion)
    edges = _edges(change, np.full(change.shape[1], np.nan))
    r, n = _correlations(edges, motion[None])[0], edges.known.sum(axis=0)
    freedom = np.maximum(n - 2.0, 1.0)
    with np.errstate(divide="ignore"):
        t = np.abs(r) * np.sqrt(freedom / np.clip(1 - r**2, 0, None))
    return pd.DataFrame({"r": r, "p": 2 * stats.t.sf(t, freedom), "n": n})


def qc_fc_table(
    change: np.ndarray,
    motion: np.ndarray,
    distance_mm: np.ndarray,
    n_permutations: int,
    rng: np.random.Generator,
) -> pd.DataFrame:
    """What is left of motion in the change of connectivity, a row for each of `STATISTICS`.

    Parameters
    ----------
    change : np.ndarray, shape (n_people, n_edges)
        Change of Fisher z, NaN where an edge was not seen in both sessions.
    motion : np.ndarray, shape (n_people,)
        Change of mean framewise displacement (mm), finite.
    distance_mm : np.ndarray, shape (n_edges,)
        NaN where not known; such edges do not count for distance_rho.
    n_permutations : int
        How often motion is given to other people.
    rng : np.random.Generator

    Returns
    -------
    pd.DataFrame, QC_FC_COLUMNS
        ci_low and ci_high: 95 % interval from leaving out one person at a time (jackknife). As
        |r| cannot be below 0, median_abs_r is above 0 in any sample: chance_low and chance_high
        hold 95 % of the values with motion permuted over people, and p is the share of
        permutations with a value at least as large (distance_rho: as far from 0). NaN
        throughout with fewer than 5 people, or if the motion of all changed alike.
    """
    change, motion = _checked(change, motion)
    edges = _edges(change, _centred_ranks(np.asarray(distance_mm, dtype=float)))
    n_edges = int((edges.known.sum(axis=0) >= LEAST_OF_EDGE).sum())
    table = pd.DataFrame({"statistic": STATISTICS}).reindex(columns=QC_FC_COLUMNS)
    table = table.assign(n=len(motion), n_edges=n_edges)
    if len(motion) < LEAST_PEOPLE or np.ptp(motion) == 0 or not n_edges:
        return table
    value = _statistics(edges, motion[None])[0]
    chance = _by_chance(edges, motion, n_permutations, rng)
    table["value"] = value
    table[["ci_low", "ci_high"]] = _jackknife_interval(edges, motion, value)
    table[["chance_low", "chance_high"]] = np.quantile(chance, [0.025, 0.975], axis=0).T
    size, by_chance = np.abs(value), np.abs(chance)
    table["p"] = [float(share_reaching(size[k : k + 1], by_chance[:, k])[0]) for k in range(3)]
    return table


def _checked(change, motion):
    change, motion = np.asarray(change, dtype=float), np.asarray(motion, dtype=float)
    if change.ndim != 2 or motion.shape != change.shape[:1] or not np.isfinite(motion).all():
        raise ValueError(
            f"motion: a finite value for each of {len(change)} people is needed, "
            f"found shape {motion.shape}"
        )
    return change, motion


def _edges(change, ranks):
    known = np.isfinite(change)
    count = np.maximum(known.sum(axis=0), 1)
    filled = np.where(known, change, 0.0)
    return _Edges(np.where(known, filled - filled.sum(axis=0) / count, 0.0), known, ranks)


def _centred_ranks(distance_mm):
    """Ranks of known distances around 0, NaN for the others."""
    ranks = stats.rankdata(distance_mm, nan_policy="omit")
    return ranks - np.nanmean(ranks) if np.isfinite(ranks).any() else ranks


def _correlations(edges, motions):
    """Pearson r of each row of motions (n_motions, n_people) with each edge; NaN: none."""
    known = edges.known.astype(float)
    n = known.sum(axis=0)
    centred = motions - motions.mean(axis=1, keepdims=True)
    spread = centred**2 @ known - (centred @ known) ** 2 / np.maximum(n, 1)
    product = spread * (edges.values**2).sum(axis=0)
    usable = (product > 1e-20) & (n >= LEAST_OF_EDGE)
    together = centred @ edges.values
    r = np.divide(
        together,
        np.sqrt(product, where=usable, out=np.ones_like(product)),
        where=usable,
        out=np.full_like(product, np.nan),
    )
    return np.clip(r, -1, 1)


def _statistics(edges, motions):
    """The three numbers for each row of motions, shape (n_motions, 3)."""
    r = _correlations(edges, motions)
    freedom = np.maximum(edges.known.sum(axis=0) - 2.0, 1.0)
    t = stats.t.isf(ALPHA / 2, freedom)
    beyond = np.abs(r) > t / np.sqrt(freedom + t**2)
    share = beyond.sum(axis=1) / np.isfinite(r).sum(axis=1)
    return np.column_stack([np.nanmedian(np.abs(r), axis=1), share, _rank_correlations(r, edges)])


def _rank_correlations(r, edges):
    """Spearman correlation of each row of r with the lengths; NaN where none is known."""
    wanted = np.isfinite(r).all(axis=0) & np.isfinite(edges.ranks)
    if wanted.sum() < 3 or np.ptp(edges.ranks[wanted]) == 0:
        return np.full(len(r), np.nan)
    length = _centred_ranks(edges.ranks[wanted])
    own = np.array([_centred_ranks(row) for row in r[:, wanted]])
    return own @ length / (np.linalg.norm(own, axis=1) * np.linalg.norm(length))


def _by_chance(edges, motion, n_permutations, rng):
    """Statistics with motion permuted over people, shape (n_permutations, 3)."""
    orders = [rng.permutation(len(motion)) for _ in range(n_permutations)]
    blocks = [orders[start : start + BLOCK] for start in range(0, n_permutations, BLOCK)]
    return np.vstack([_statistics(edges, motion[np.array(block)]) for block in blocks])


def _jackknife_interval(edges, motion, value):
    """95 % interval of each statistic, shape (3, 2), from leaving out each person (Tukey 1958)."""
    n = len(motion)
    without = np.array(
        [
            _statistics(edges.only(people), motion[people][None])[0]
            for people in ~np.eye(n, dtype=bool)
        ]
    )
    error = np.sqrt((n - 1) / n * ((without - without.mean(axis=0)) ** 2).sum(axis=0))
    reach = stats.t.isf(0.025, n - 1) * error
    lowest, highest = np.array([0, 0, -1]), np.array([1, 1, 1])
    return np.column_stack([np.maximum(value - reach, lowest), np.minimum(value + reach, highest)])
