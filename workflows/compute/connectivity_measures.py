"""Measures of one participant that follow from the connectivity matrices of all sessions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from workflows.compute.graph_measures import GRAPH_MEASURES, graph_measures
from workflows.compute.measures import mean_connectivity
from workflows.compute.networks import always_seen, circuit_means, network_means

NAMES = ["measure", "region", "unit"]
WHOLE = "brain"


@dataclass(frozen=True)
class Grouping:
    """Network of each region that has one; sources and targets of each circuit, by name."""

    networks: Mapping[str, str] = field(default_factory=dict)
    circuits: Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]] = field(default_factory=dict)


def connectivity_measures(matrices, regions, grouping):
    """Means over edges, and graph measures, of each session of one participant.

    Only edges seen in every session count, so that a region lost in one session makes no change.

    Parameters
    ----------
    matrices : (n_sessions, n_regions, n_regions) array
        Fisher z; NaN where coverage is low; the diagonal is ignored.
    regions : sequence of str, (n_regions,)
        Names of the regions. A circuit of which a region is not among them is left out.
    grouping : Grouping

    Returns
    -------
    DataFrame
        NAMES, then a column per session, numbered from 0: mean_connectivity of each region;
        within_network and between_network; circuit; GRAPH_MEASURES of the whole.
    """
    regions, columns = list(regions), [*NAMES, *range(len(matrices))]
    seen = always_seen(matrices)
    means = pd.DataFrame(mean_connectivity(matrices).T).assign(
        measure="mean_connectivity", region=regions, unit="z"
    )
    blocks = network_means(seen, [grouping.networks.get(name) for name in regions])
    graphs = pd.DataFrame(np.transpose([graph_measures(matrix) for matrix in seen])).assign(
        measure=GRAPH_MEASURES, region=WHOLE, unit="1"
    )
    tables = [means, blocks.assign(unit="z"), _circuits(seen, regions, grouping.circuits), graphs]
    return pd.concat([table[columns] for table in tables if len(table)], ignore_index=True)


def _circuits(seen, regions, circuits):
    place = {name: number for number, name in enumerate(regions)}
    rows = []
    for name, ends in circuits.items():
        if all(region in place for end in ends for region in end):
            sources, targets = ([place[region] for region in end] for end in ends)
            rows.append(("circuit", name, "z", *circuit_means(seen, sources, targets)))
    return pd.DataFrame(rows, columns=[*NAMES, *range(len(seen))])
