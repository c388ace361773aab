"""Folds of participants, and shuffles that respect sites and repeated rows."""

from __future__ import annotations

import numpy as np
import pandas as pd


def participant_folds(
    participants: np.ndarray, target: np.ndarray, n_folds: int, rng: np.random.Generator
) -> np.ndarray:
    """Fold of each row, 0 .. n_folds - 1; all rows of a participant are in one fold.

    Participants are put in the order of their mean target and dealt in rounds, so that the
    folds have nearly the same mean (or the same share of responders).

    Parameters
    ----------
    participants : np.ndarray, shape (n_rows,)
        Label of the participant of each row.
    target : np.ndarray, shape (n_rows,)
        Without NaN.
    n_folds : int
        2 or more, at most the number of participants.
    rng : np.random.Generator
        Breaks ties and deals.
    """
    codes, names = pd.factorize(participants)
    if not 2 <= n_folds <= len(names):
        raise ValueError("n_folds: from 2 to the number of participants")
    means = np.bincount(codes, weights=target) / np.bincount(codes)
    order = np.lexsort((rng.random(len(names)), means))
    rounds = -(-len(names) // n_folds)
    dealt = rng.permuted(np.tile(np.arange(n_folds), (rounds, 1)), axis=1).ravel()
    fold = np.empty(len(names), dtype=int)
    fold[order] = dealt[: len(names)]
    return fold[codes]


def site_folds(sites: np.ndarray, n_folds: int, rng: np.random.Generator) -> np.ndarray:
    """Fold of each row; all rows of a site are in one fold.

    With at most `n_folds` sites each site is a fold (leave one site out); more sites are
    dealt, the largest first, to the fold that has the fewest rows so far.
    """
    codes, names = pd.factorize(sites)
    if len(names) < 2:
        raise ValueError("sites: two or more")
    if len(names) <= n_folds:
        return codes
    sizes = np.bincount(codes)
    fold, filled = np.empty(len(names), dtype=int), np.zeros(n_folds)
    for site in np.lexsort((rng.random(len(names)), -sizes)):
        fold[site] = int(np.argmin(filled))
        filled[fold[site]] += sizes[site]
    return fold[codes]


def shuffled_rows(
    participants: np.ndarray, sites: np.ndarray | None, rng: np.random.Generator
) -> np.ndarray:
    """Row whose values each row takes when participants are exchanged.

    Participants change places as a whole, only with participants of the same site and the
    same number of rows; one without such a partner stays where it is.

    Parameters
    ----------
    participants : np.ndarray, shape (n_rows,)
        Label of the participant of each row.
    sites : np.ndarray, shape (n_rows,), optional
        Site of each row; None: one site.
    rng : np.random.Generator
    """
    codes, names = pd.factorize(participants)
    rows = [np.flatnonzero(codes == code) for code in range(len(names))]
    place = pd.factorize(np.zeros(len(codes)) if sites is None else sites)[0]
    kinds = np.array([(place[own[0]], len(own)) for own in rows])
    taken = np.arange(len(codes))
    for kind in np.unique(kinds, axis=0):
        members = np.flatnonzero((kinds == kind).all(axis=1))
        for to, source in zip(members, rng.permutation(members), strict=True):
            taken[rows[to]] = rows[source]
    return taken
