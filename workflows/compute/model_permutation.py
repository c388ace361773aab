"""Family-wise p values of the models of change by permutation, and networks of edges."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import stats

from workflows.compute.design import Design, centred, level_text
from workflows.compute.exchangeability import Exchangeability, Relabellings, free, relabellings
from workflows.compute.families import EDGES, Family
from workflows.compute.network_statistic import Network, network_statistic
from workflows.compute.permutation import freedman_lane, prepared, share_reaching

NETWORK_COLUMNS = [
    "model",
    "family",
    "planned",
    "term",
    "component",
    "n_edges",
    "n_nodes",
    "size",
    "threshold",
    "p_fwe",
    "n_relabellings",
    "regions",
]


@dataclass(frozen=True)
class PermutationPlan:
    """How many relabellings, the t above which edges form networks (0: none), random numbers."""

    n_relabellings: int
    network_threshold: float
    random_seed: int


@dataclass(frozen=True)
class Permuted:
    """Permutation of one family: `p_fwe` is n_terms x n_tests, `networks` NETWORK_COLUMNS."""

    p_fwe: np.ndarray
    method: str
    networks: pd.DataFrame


@dataclass(frozen=True)
class Relabelled:
    """Participants with complete terms: their rows, design matrix, contrasts, relabellings."""

    rows: np.ndarray
    matrix: np.ndarray
    weights: np.ndarray
    terms: tuple[str, ...]
    relabellings: Relabellings


def relabelled(
    design: Design, partner: tuple[str, np.ndarray] | None, blocks: pd.Series, plan: PermutationPlan
) -> Relabelled:
    """Relabellings of the participants of a model; a row of the design with NaN is left out.

    A mean change of one arm is tested by turning signs, everything else by exchanging
    participants, within `blocks`.

    Parameters
    ----------
    design : Design
    partner : (name, values) or None
        Change of a score that is tested instead of the terms of the design.
    blocks : pd.Series of str
        Site of each participant; one value for all if there are no sites.
    plan : PermutationPlan

    Raises
    ------
    ModelError
        There is nothing to exchange.
    """
    usable = np.isfinite(design.matrix).all(axis=1)
    if partner is not None:
        usable &= np.isfinite(partner[1])
    rows = np.flatnonzero(usable)
    matrix, kept = centred(design, rows)
    terms, weights = tuple(term.name for term in design.terms), design.weights[:, kept]
    if partner is not None:
        matrix = np.column_stack([matrix, partner[1][rows] - partner[1][rows].mean()])
        terms, weights = (partner[0],), np.eye(matrix.shape[1])[-1:]
    mean = partner is None and all(term.kind == "mean" for term in design.terms)
    labels = np.unique(blocks.map(level_text).to_numpy(dtype=str)[rows], return_inverse=True)[1]
    exchange = Exchangeability(labels, flips=mean) if labels.any() or mean else free(len(rows))
    rng = np.random.default_rng(plan.random_seed)
    made = relabellings(matrix, exchange, plan.n_relabellings, rng)
    return Relabelled(rows, matrix, weights, terms, made)


def permuted(
    family: Family, who: Relabelled, plan: PermutationPlan, min_participants: int
) -> Permuted:
    """Family-wise p of all terms of a family by the largest statistic (Freedman-Lane).

    Terms of one family share the relabellings and are corrected together.
    """
    outcome = family.change[who.rows]
    tests = [
        freedman_lane(outcome, who.matrix, weights, who.relabellings, min_participants)
        for weights in who.weights
    ]
    largest = np.max([test.max_statistic for test in tests], axis=0)
    p_fwe = np.array([_p_of(test, largest) for test in tests])
    tables = []
    if plan.network_threshold > 0 and family.measure == EDGES:
        tables = _networks(family, who, (plan.network_threshold, min_participants))
    networks = pd.concat(tables, ignore_index=True) if tables else pd.DataFrame()
    return Permuted(p_fwe, tests[0].method, networks)


def _p_of(test, largest):
    """P of a test against the largest statistics of all terms, at equal degrees of freedom."""
    observed, most = np.abs(test.statistic), np.nanmax(test.df, initial=1)
    fewer = test.df < most
    tail = stats.t.sf(observed[fewer], test.df[fewer])
    observed[fewer] = stats.t.isf(tail, most)
    return share_reaching(observed, largest)


def _networks(family, who, limits):
    """Networks of each term, compared with the largest of all terms of a relabelling."""
    threshold, min_participants = limits
    names = pd.unique(family.labels[["region_a", "region_b"]].to_numpy().ravel())
    index = pd.Index(names)
    ends = np.column_stack([index.get_indexer(family.labels[c]) for c in ("region_a", "region_b")])
    network, change = Network(ends, len(names), threshold), family.change[who.rows]
    found = [
        network_statistic(
            prepared(change, who.matrix, weights, who.relabellings, min_participants), network
        )
        for weights in who.weights
    ]
    largest = np.max([test.max_size for test in found], axis=0)
    return [
        test.components.assign(
            p_fwe=share_reaching(test.components["size"].to_numpy(dtype=float), largest),
            term=term,
            threshold=threshold,
            regions=[
                ";".join(map(str, names[np.unique(ends[test.component == number])]))
                for number in test.components["component"]
            ],
            n_relabellings=who.relabellings.n_relabellings,
        )
        for test, term in zip(found, who.terms, strict=True)
    ]
