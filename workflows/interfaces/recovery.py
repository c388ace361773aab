"""Reading what was planted (truth tables) and what was recovered (derivatives of a run)."""

from __future__ import annotations

import numpy as np
import pandas as pd

from bids_utils.derivatives import read_table
from workflows.compute.planted_trial import EDGE_SET, GROWING_REGIONS
from workflows.compute.recovery import comparison
from workflows.interfaces.planted import SESSIONS, load_regions

VOLUME = "deformation"
"""Measure of the volume of a region that is compared with what was planted."""
EDGES = " - ".join(EDGE_SET)
"""Name of the planted edge set in the tables."""


def planted_regions():
    """Names of the regions that grow in the treated arm, in the atlas' order."""
    regions = load_regions()
    return list(regions["name"][regions["label"].isin(GROWING_REGIONS)])


def compare_volumes(truth_dir, derivatives_dir):
    """Planted and recovered percent change of all regions; see `compute.recovery.comparison`."""
    truth = read_table(truth_dir / "volumes.tsv")
    planted = truth.rename(columns={"region": "name", "percent_change": "planted"})
    changes = read_table(derivatives_dir / "group" / "change.tsv", text_columns=("region",))
    volumes = changes[changes["measure"] == VOLUME]
    recovered = volumes.rename(columns={"region": "name", "percent_change": "recovered"})
    return comparison(planted, recovered)


def compare_connectivity(truth_dir, derivatives_dir):
    """Planted and recovered change of Fisher z of the edge set."""
    truth = read_table(truth_dir / "connectivity.tsv")
    found = pd.DataFrame(
        [
            (path.parents[2].name, path.parents[1].name, edge_set_mean(read_table(path)))
            for path in derivatives_dir.glob("sub-*/ses-*/func/*_relmat.tsv")
        ],
        columns=["participant_id", "session_id", "z"],
    )
    planted = _session_difference(truth, "population_z").dropna()
    recovered = _session_difference(found, "z")
    return comparison(
        planted.rename("planted").reset_index().assign(name=EDGES),
        recovered.rename("recovered").reset_index().assign(name=EDGES),
    )


def edge_set_mean(matrix):
    """Mean Fisher z of the planted edge set in a connectivity matrix with region names."""
    labels = load_regions().set_index("name")["label"].reindex(matrix.columns)
    rows, columns = (np.flatnonzero(labels == label) for label in EDGE_SET)
    return matrix.to_numpy(dtype=float)[np.ix_(rows, columns)].mean()


def model_rows(derivatives_dir):
    """Rows of all models about the volume of the planted regions."""
    tables = [
        read_table(path, text_columns=("model", "term", "measure", "region"))
        for path in sorted((derivatives_dir / "group" / "models").glob("*.tsv"))
    ]
    rows = pd.concat([table for table in tables if len(table)], ignore_index=True)
    return rows[(rows["measure"] == VOLUME) & rows["region"].isin(planted_regions())]


def _session_difference(table, column):
    """Follow-up minus baseline for each participant_id; NaN where one is missing."""
    wide = table.pivot_table(index="participant_id", columns="session_id", values=column)
    baseline, followup = (f"ses-{session}" for session in SESSIONS)
    wide = wide.reindex(columns=[baseline, followup])
    return wide[followup] - wide[baseline]
