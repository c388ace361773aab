"""Relabellings of participants that change nothing if there is no effect.

A relabelling gives each participant the design row of another one, or turns the sign of a
design row. The participant is the unit: long data are reduced to one row per participant
(the change) before they come here, so that two scans of a person are never parted.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from workflows.compute.problems import ModelError, Problem


@dataclass(frozen=True)
class Exchangeability:
    """Who can be exchanged with whom.

    `blocks` has one label per participant, such as the site: exchange is within a block
    only. With `whole`, blocks of equal size (families, therapy groups) are exchanged as a
    whole, each participant with the one at the same place in the other block. With `flips`,
    signs are turned instead (one arm, change that is symmetric around 0 without an effect):
    of each participant, or of each block with `whole`.
    """

    blocks: np.ndarray
    whole: bool = False
    flips: bool = False


@dataclass(frozen=True)
class Relabellings:
    """Relabellings without the observed one.

    `order` is n_relabellings x n_participants: the design row that each participant is
    given; `signs` (the same shape, 1 or -1) multiplies it. `exact`: these are all distinct
    relabellings there are. In both cases p = (b + 1) / (n_relabellings + 1).
    """

    order: np.ndarray
    signs: np.ndarray | None
    exact: bool
    exchange: Exchangeability

    @property
    def n_relabellings(self) -> int:
        """Number of relabellings, the observed one not counted."""
        return self.order.shape[0]

    @property
    def smallest_p(self) -> float:
        """Smallest p value that can come out."""
        return 1 / (self.n_relabellings + 1)

    def of(self, columns: np.ndarray, part: slice, rows: np.ndarray) -> np.ndarray:
        """Relabelled design columns.

        Parameters
        ----------
        columns : np.ndarray, shape (n_columns, n_participants)
        part : slice
            Which relabellings.
        rows : np.ndarray of int, shape (n_rows,)
            Participants to return.

        Returns
        -------
        np.ndarray, shape (n_columns, n_relabellings, n_rows)
        """
        relabelled = np.take(columns, self.order[part][:, rows], axis=1)
        return relabelled if self.signs is None else relabelled * self.signs[part][:, rows]


def free(n_participants: int) -> Exchangeability:
    """Everybody can be exchanged with everybody."""
    return Exchangeability(np.zeros(n_participants, dtype=int))


def relabellings(
    matrix: np.ndarray,
    exchange: Exchangeability,
    n_relabellings: int,
    rng: np.random.Generator,
) -> Relabellings:
    """Random relabellings, or all distinct ones where there are no more than asked for.

    Participants with the same design row are not told apart, so that two arms of 8 have
    12,870 distinct relabellings. Random ones are drawn independently of one another.

    Parameters
    ----------
    matrix : np.ndarray, shape (n_participants, n_terms)
        Design; finite.
    exchange : Exchangeability
    n_relabellings : int
        At least 1.
    rng : np.random.Generator

    Raises
    ------
    ModelError
        Blocks to exchange as a whole differ in size, or there is nothing to exchange.
    """
    _check(matrix, exchange, n_relabellings)
    codes = np.unique(matrix, axis=0, return_inverse=True)[1].ravel()
    members = _members(exchange)
    count = _n_distinct(codes, exchange, members)
    if count < 2:
        what = "no two participants who may be exchanged differ in the terms of the model"
        raise ModelError(Problem(what, "exchangeability blocks", "use other blocks"))
    exact = count <= n_relabellings + 1
    draws = (_random_orders, _all_orders), (_random_flips, _all_flips)
    drawn = draws[exchange.flips][exact](codes, exchange, members, (n_relabellings, rng))
    if not exchange.flips:
        return Relabellings(drawn, None, exact, exchange)
    order = np.broadcast_to(np.arange(len(codes)), drawn.shape)
    return Relabellings(order, drawn, exact, exchange)


def unchanged_part(columns: np.ndarray, exchange: Exchangeability) -> np.ndarray:
    """Mean of design columns over all relabellings: the part that no relabelling changes.

    Parameters
    ----------
    columns : np.ndarray, shape (n_participants, n_columns)

    Returns
    -------
    np.ndarray, shape (n_participants, n_columns)
        Means of the blocks; of the places in the blocks if these move as a whole; 0 if
        signs are turned.
    """
    if exchange.flips:
        return np.zeros(columns.shape)
    members = _members(exchange)
    mean = np.empty(columns.shape)
    for rows in np.transpose(members) if exchange.whole else members:
        mean[rows] = columns[rows].mean(axis=0)
    return mean


def _check(matrix, exchange, n_relabellings):
    if n_relabellings < 1:
        raise ValueError("n_relabellings: at least 1")
    if not np.isfinite(matrix).all():
        raise ValueError("matrix: leave out participants with missing terms before")
    if len(exchange.blocks) != len(matrix):
        raise ValueError("exchange: one block label for each row of matrix")
    sizes = [len(rows) for rows in _members(exchange)]
    if exchange.whole and min(sizes) != max(sizes):
        what = f"blocks of {min(sizes)} to {max(sizes)} participants cannot be exchanged whole"
        raise ModelError(Problem(what, "exchangeability blocks", "use blocks of equal size"))


def _members(exchange):
    labels = np.unique(np.asarray(exchange.blocks), return_inverse=True)[1].ravel()
    return [np.flatnonzero(labels == label) for label in range(labels.max() + 1)]


def _n_distinct(codes, exchange, members):
    if exchange.flips:
        return 2 ** (len(members) if exchange.whole else len(codes))
    if exchange.whole:
        return _n_arrangements(_block_kinds(codes, members))
    return math.prod(_n_arrangements(codes[rows]) for rows in members)


def _n_arrangements(kinds):
    repeats = math.prod(math.factorial(int(count)) for count in np.bincount(kinds))
    return math.factorial(len(kinds)) // repeats


def _block_kinds(codes, members):
    return np.unique([codes[rows] for rows in members], axis=0, return_inverse=True)[1].ravel()


def _random_orders(codes, exchange, members, request):
    n_relabellings, rng = request
    units = np.zeros(len(members)) if exchange.whole else np.empty(len(codes))
    if not exchange.whole:
        for label, rows in enumerate(members):
            units[rows] = label
    keys = units + rng.random((n_relabellings, len(units)))
    drawn = np.empty(keys.shape, dtype=np.intp)
    drawn[:, np.argsort(units, kind="stable")] = np.argsort(keys, axis=1)
    return _move_blocks(drawn, members) if exchange.whole else drawn


def _random_flips(codes, exchange, members, request):
    n_relabellings, rng = request
    n_units = len(members) if exchange.whole else len(codes)
    signs = 2 * rng.integers(0, 2, (n_relabellings, n_units), dtype=np.int8) - 1
    return _spread_signs(signs, members) if exchange.whole else signs


def _all_orders(codes, exchange, members, _):
    if exchange.whole:
        return _move_blocks(_distinct_orders(_block_kinds(codes, members)), members)[1:]
    parts = [rows[_distinct_orders(codes[rows])] for rows in members]
    order = np.empty((math.prod(len(part) for part in parts), len(codes)), dtype=np.intp)
    places = np.unravel_index(np.arange(len(order)), [len(part) for part in parts])
    for rows, part, place in zip(members, parts, places, strict=True):
        order[:, rows] = part[place]
    return order[1:]


def _all_flips(codes, exchange, members, _):
    n_units = len(members) if exchange.whole else len(codes)
    signs = np.array(list(itertools.product((1, -1), repeat=n_units)), dtype=np.int8)
    return (_spread_signs(signs, members) if exchange.whole else signs)[1:]


def _distinct_orders(kinds):
    """All distinct orders of units of these kinds, the observed one first."""
    sequences = np.array(list(_arrangements(tuple(np.bincount(kinds)))))
    observed = (sequences == kinds).all(axis=1)
    sequences = np.concatenate([sequences[observed], sequences[~observed]])
    ranks = np.argsort(np.argsort(sequences, axis=1, kind="stable"), axis=1)
    return np.argsort(kinds, kind="stable")[ranks]


def _arrangements(left: tuple[int, ...]) -> Iterator[tuple[int, ...]]:
    if not any(left):
        yield ()
    for kind, count in enumerate(left):
        if count:
            for rest in _arrangements((*left[:kind], count - 1, *left[kind + 1 :])):
                yield (kind, *rest)


def _move_blocks(drawn, members):
    places = np.array(members)
    order = np.empty((len(drawn), places.size), dtype=np.intp)
    order[:, places.ravel()] = places[drawn].reshape(len(drawn), -1)
    return order


def _spread_signs(signs, members):
    spread = np.empty((len(signs), sum(len(rows) for rows in members)), dtype=np.int8)
    for block, rows in enumerate(members):
        spread[:, rows] = signs[:, [block]]
    return spread
