"""Graph measures of a connectivity matrix, averaged over a range of densities."""

from __future__ import annotations

import numpy as np
from scipy.integrate import trapezoid

DENSITIES = (0.10, 0.15, 0.20, 0.25, 0.30)
GRAPH_MEASURES = ("global_efficiency", "modularity", "mean_clustering")
MIN_REGIONS = 10


def graph_measures(matrix, densities=DENSITIES):
    """Global efficiency, modularity and mean clustering (3,), in the order of GRAPH_MEASURES.

    Each is the area under its curve over the densities, divided by their range, so that it is a
    mean over the range and no single threshold decides (Fornito et al. 2013). Chance level depends
    on density alone, which is the same in all scans (van Wijk et al. 2010).

    Parameters
    ----------
    matrix : (n_regions, n_regions) array
        Symmetric; the diagonal is ignored. Regions without any finite edge are left out. NaN where
        fewer than MIN_REGIONS are left, where an edge between two of them is missing, or where
        fewer edges are positive than the largest density needs.
    densities : sequence of float, increasing
        Shares of all possible edges that are kept, the strongest ones.
    """
    graphs = binary_graphs(matrix, densities)
    if graphs is None:
        return np.full(len(GRAPH_MEASURES), np.nan)
    curves = [
        global_efficiency(graphs),
        [modularity(graph)[0] for graph in graphs],
        mean_clustering(graphs),
    ]
    if len(densities) == 1:
        return np.ravel(curves)
    return trapezoid(curves, densities, axis=1) / (densities[-1] - densities[0])


def binary_graphs(matrix, densities):
    """Graphs (n_densities, n_kept, n_kept) of the strongest positive edges, 0 and 1.

    None where no graph can be made, see `graph_measures`. Of equal edges the first, row by row,
    are kept.
    """
    matrix = np.array(matrix, dtype=float)
    np.fill_diagonal(matrix, np.nan)
    there = np.isfinite(matrix).any(axis=1)
    n_regions = int(there.sum())
    rows, columns = np.triu_indices(n_regions, k=1)
    values = matrix[np.ix_(there, there)][rows, columns]
    counts = [round(density * len(values)) for density in densities]
    enough = n_regions >= MIN_REGIONS and np.isfinite(values).all()
    if not enough or np.count_nonzero(values > 0) < max(counts):
        return None
    order = np.argsort(-values, kind="stable")
    graphs = np.zeros((len(counts), n_regions, n_regions))
    for graph, count in zip(graphs, counts, strict=True):
        graph[rows[order[:count]], columns[order[:count]]] = 1
    return graphs + graphs.transpose(0, 2, 1)


def global_efficiency(graphs):
    """Mean of the inverse path length between two regions (n_graphs,); 0 where no path is.

    Latora & Marchiori 2001.

    Parameters
    ----------
    graphs : (n_graphs, n_regions, n_regions) array
        Symmetric, 0 and 1, without loops.
    """
    n_regions = graphs.shape[1]
    edges = np.asarray(graphs, dtype=np.float32)
    reached = edges + np.eye(n_regions, dtype=np.float32) > 0
    total = edges.sum(axis=(1, 2), dtype=float)
    for length in range(2, n_regions):
        further = reached | (reached.astype(np.float32) @ edges > 0)
        new = (further & ~reached).sum(axis=(1, 2))
        if not new.any():
            break
        total, reached = total + new / length, further
    return total / (n_regions * (n_regions - 1))


def mean_clustering(graphs):
    """Mean over regions of the share of their neighbours' pairs that are joined (n_graphs,).

    Watts & Strogatz 1998; a region with fewer than two neighbours counts as 0.

    Parameters
    ----------
    graphs : (n_graphs, n_regions, n_regions) array
        Symmetric, 0 and 1, without loops.
    """
    degree = graphs.sum(axis=2)
    pairs = degree * (degree - 1)
    closed = ((graphs @ graphs) * graphs).sum(axis=2)
    return (closed / np.where(pairs > 0, pairs, 1)).mean(axis=1)


def modularity(graph):
    """Modularity of the best partition that is found, and the module of each region.

    The regions are split in two along the leading eigenvector of the modularity matrix, each part
    again while that helps (Newman 2006); then single regions are moved, the best move first, while
    one helps. Nothing is drawn at random.

    Parameters
    ----------
    graph : (n_regions, n_regions) array
        Symmetric, 0 and 1, without loops; with at least one edge.

    Returns
    -------
    quality : float
    modules : (n_regions,) array of int
    """
    degree = graph.sum(axis=0)
    surplus = graph - np.outer(degree, degree) / degree.sum()
    modules = np.zeros(len(graph), dtype=int)
    _split(surplus, np.arange(len(graph)), modules)
    modules = _moved(surplus, modules)
    same = modules[:, None] == modules
    return float(surplus[same].sum() / degree.sum()), modules


def _split(surplus, members, modules):
    """Number the modules of `members` in place, the part that stays whole by its first member."""
    waiting = [members]
    while waiting:
        part = waiting.pop()
        block = surplus[np.ix_(part, part)]
        block = block - np.diag(block.sum(axis=0))
        direction = np.linalg.eigh(block)[1][:, -1]
        side = np.where(direction >= 0, 1.0, -1.0)
        if abs(side.sum()) == len(part) or side @ block @ side <= 1e-9:
            modules[part] = part[0]
            continue
        waiting += [part[side > 0], part[side < 0]]


def _moved(surplus, modules):
    """Modules after all moves of one region that raise the modularity."""
    names, modules = np.unique(modules, return_inverse=True)
    member = np.eye(len(names) + 1)[modules]  # one empty module that a region can leave for
    regions = np.arange(len(surplus))
    to_module = surplus @ member
    to_module[regions, modules] -= np.diag(surplus)
    while True:
        gain = to_module - to_module[regions, modules][:, None]
        region, target = np.unravel_index(np.argmax(gain), gain.shape)
        if gain[region, target] <= 1e-9:
            return modules
        others = surplus[:, region] * (regions != region)
        to_module[:, modules[region]] -= others
        to_module[:, target] += others
        modules[region] = target
