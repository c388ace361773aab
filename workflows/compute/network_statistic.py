"""Network-based statistic: connected groups of edges above a threshold (Zalesky et al. 2010)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import sparse
from scipy.sparse import csgraph

from workflows.compute.permutation import (
    TIE,
    Contrast,
    correlation_blocks,
    exact_squares,
    parts,
    relabelled_design,
    share_reaching,
)

TAILS = ("two-sided", "greater", "less")
SIZES = ("extent", "intensity")
COMPONENT_COLUMNS = ["component", "n_edges", "n_nodes", "size", "p_fwe"]


@dataclass(frozen=True)
class Network:
    """What makes a component.

    `ends` is n_edges x 2: the nodes (0 to n_nodes - 1) of each edge, in the order of the tests.
    Edges with |t| above `threshold` ("two-sided": rises and falls together), with t above it
    ("greater") or with t below its negative ("less") belong together if they share a node.
    `size` of a component: "extent", its number of edges; "intensity", the sum of what its
    edges have above the threshold.
    """

    ends: np.ndarray
    n_nodes: int
    threshold: float
    tail: str = "two-sided"
    size: str = "extent"


@dataclass(frozen=True)
class NetworkTest:
    """Components with their p values.

    `components` has one row per component (COMPONENT_COLUMNS), the largest first; `component`
    has its number for each edge, 0 for none; `p_fwe` the p of the component of each edge, 1
    for none and NaN for edges that could not be tested; `max_size` the largest size of each
    relabelling.
    """

    components: pd.DataFrame
    component: np.ndarray
    p_fwe: np.ndarray
    max_size: np.ndarray


def network_statistic(contrast: Contrast, network: Network) -> NetworkTest:
    """Components of edges with their p values, corrected over all components.

    p = (b + 1) / (m + 1), b of the m relabellings have a component that is as large
    (Freedman-Lane, so that covariates are allowed). The p belongs to the component as a
    whole: nothing can be said of one edge in it.

    Parameters
    ----------
    contrast : Contrast
        Of `workflows.compute.permutation.prepared`; its tests are the edges.
    network : Network

    Raises
    ------
    ValueError
        An unknown word, a threshold that is not positive, or ends that do not fit the tests.
    """
    _check(contrast, network)
    t = np.nan_to_num(_directed(contrast.statistic, network.tail))
    edges = np.flatnonzero(t > network.threshold)
    number, table = _components(edges, t[edges] - network.threshold, network)
    largest = np.zeros(contrast.relabellings.n_relabellings)
    for part in parts(contrast.relabellings):
        largest[part] = _largest(contrast, network, part)
    table["p_fwe"] = share_reaching(table["size"].to_numpy(dtype=float), largest)
    component = np.zeros(len(t), dtype=int)
    component[edges] = number
    p_fwe = np.concatenate([[1.0], table["p_fwe"]])[component]
    p_fwe[np.isnan(contrast.statistic)] = np.nan
    return NetworkTest(table[COMPONENT_COLUMNS], component, p_fwe, largest)


def _check(contrast, network):
    if network.tail not in TAILS or network.size not in SIZES:
        raise ValueError(f"network: tail one of {TAILS}, size one of {SIZES}")
    if not network.threshold > 0:
        raise ValueError("network: the threshold is a positive t")
    ends, n_tests = network.ends, len(contrast.statistic)
    if ends.shape != (n_tests, 2) or ends.min() < 0 or ends.max() >= network.n_nodes:
        raise ValueError("network: two nodes, numbered from 0, for each test")


def _directed(values, tail):
    if tail == "two-sided":
        return np.abs(values)
    return values if tail == "greater" else -values


def _components(edges, excess, network):
    """Number of the component of each edge, the largest first, and the table of components."""
    ends = network.ends[edges]
    label = _connected(ends, network.n_nodes)
    kinds, place = np.unique(label, return_inverse=True)
    n_edges = np.bincount(place, minlength=len(kinds))
    size = n_edges if network.size == "extent" else np.bincount(place, excess, len(kinds))
    order = np.lexsort((-n_edges, -size))
    rank = np.empty(len(kinds), dtype=int)
    rank[order] = np.arange(1, len(kinds) + 1)
    n_nodes = [np.unique(ends[place == kind]).size for kind in order]
    table = pd.DataFrame(
        {
            "component": np.arange(1, len(kinds) + 1),
            "n_edges": n_edges[order],
            "n_nodes": np.array(n_nodes, dtype=int),
            "size": size[order],
        }
    )
    return rank[place], table


def _connected(ends, n_nodes):
    """Label of the component of each edge."""
    ones = np.ones(len(ends), dtype=np.int8)
    graph = sparse.csr_array((ones, (ends[:, 0], ends[:, 1])), shape=(n_nodes, n_nodes))
    return csgraph.connected_components(graph, directed=False)[1][ends[:, 0]]


def _largest(contrast, network, part):
    """Largest component of each relabelling; all are joined in one graph of separate copies."""
    n_relabellings = part.stop - part.start
    found = [_above(contrast, pattern, network, part) for pattern in contrast.patterns]
    if not sum(len(which) for which, _, _ in found):
        return np.zeros(n_relabellings)
    which, edges, excess = (np.concatenate(items) for items in zip(*found, strict=True))
    ends = network.ends[edges] + network.n_nodes * which[:, None]
    label = _connected(ends, network.n_nodes * n_relabellings)
    weights = None if network.size == "extent" else excess
    size = np.bincount(label, weights).astype(float)
    largest = np.zeros(n_relabellings)
    np.maximum.at(largest, which, size[label])
    return largest


def _above(contrast, pattern, network, part):
    """Relabelling, edge and t above the threshold, of all that are above it."""
    design = relabelled_design(contrast, pattern, part)
    limit = network.threshold**2 / (network.threshold**2 + pattern.df)
    which, tests, squares = [], [], []
    signed = network.tail != "two-sided"
    for place, squared in correlation_blocks(contrast, pattern, design, signed):
        if network.tail == "less":
            np.negative(squared, out=squared)
        high = np.flatnonzero(squared.ravel() > limit * (1 - TIE))
        which.append(high // squared.shape[1])
        tests.append(high % squared.shape[1] + place.start)
        squares.append(squared.ravel()[high].astype(float))
    which, tests, squares = (np.concatenate(items) for items in (which, tests, squares))
    near = np.flatnonzero(np.abs(squares - limit) <= 2 * TIE * limit)
    exact = exact_squares(contrast, pattern, design, (which[near], tests[near]))
    squares[near] = _directed(exact, network.tail)
    squares = np.minimum(squares, 1 - 1e-15)
    excess = np.sqrt(pattern.df * squares / (1 - squares)) - network.threshold
    above = excess > 0
    return which[above], pattern.columns[tests[above]], excess[above]
