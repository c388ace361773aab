"""Means of connectivity within and between networks, and along circuits."""

from __future__ import annotations

import numpy as np
import pandas as pd


def always_seen(sessions):
    """Fisher z of all sessions in which an edge that one session lacks is NaN in all.

    So that a region lost in one session does not make a change in means over edges.

    Parameters
    ----------
    sessions : (n_sessions, n_regions, n_regions) array
        Fisher z of one participant; NaN where coverage is low. The diagonal comes out NaN.
    """
    sessions = np.array(sessions, dtype=float)
    sessions[:, ~np.isfinite(sessions).all(axis=0)] = np.nan
    sessions[:, *np.diag_indices(sessions.shape[1])] = np.nan
    return sessions


def network_means(sessions, networks):
    """Mean Fisher z of the edges within each network and between each two.

    Parameters
    ----------
    sessions : (n_sessions, n_regions, n_regions) array
        As `always_seen` gives them: symmetric, NaN on the diagonal and where edges are left out.
    networks : sequence of str or None, (n_regions,)
        Network of each region; regions with None belong to no network.

    Returns
    -------
    DataFrame
        Columns measure (within_network or between_network) and region (the network, or both as
        `A-B` in the order of their first region), then a column per session, numbered from 0.
        NaN where no edge is left; a network of one region has no row within it.
    """
    names = list(dict.fromkeys(name for name in networks if name))
    belongs = np.array([[name == own for own in networks] for name in names], dtype=float)
    belongs = belongs.reshape(len(names), len(networks))
    means = _block_means(sessions, belongs)
    several = belongs.sum(axis=1) > 1
    rows = [
        ("within_network", name, *means[:, place, place])
        for place, name in enumerate(names)
        if several[place]
    ]
    rows += [
        ("between_network", f"{names[one]}-{names[other]}", *means[:, one, other])
        for one, other in zip(*np.triu_indices(len(names), k=1), strict=True)
    ]
    return pd.DataFrame(rows, columns=["measure", "region", *range(len(sessions))])


def circuit_means(sessions, sources, targets):
    """Mean Fisher z (n_sessions,) of the edges between two sets of regions; NaN without an edge.

    Parameters
    ----------
    sessions : (n_sessions, n_regions, n_regions) array
        As `always_seen` gives them.
    sources, targets : sequences of int
        Places of the regions.
    """
    block = sessions[:, np.asarray(sources)[:, None], np.asarray(targets)]
    block = block.reshape(len(sessions), -1)
    seen = np.isfinite(block)
    n_edges = seen.sum(axis=1)
    return np.where(seen, block, 0.0).sum(axis=1) / np.where(n_edges > 0, n_edges, np.nan)


def _block_means(sessions, belongs):
    """Mean of the finite values of each block, (n_sessions, n_networks, n_networks)."""
    seen = np.isfinite(sessions)
    total = belongs @ np.where(seen, sessions, 0.0) @ belongs.T
    n_values = belongs @ seen.astype(float) @ belongs.T
    return total / np.where(n_values > 0, n_values, np.nan)
