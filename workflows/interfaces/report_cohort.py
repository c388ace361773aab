"""Regional change and scores of the people, put together again from the tables on disk."""

from __future__ import annotations

import numpy as np
import pandas as pd

from workflows.compute.design import Design
from workflows.compute.families import Cohort, Family
from workflows.compute.models import prepared
from workflows.compute.problems import ModelError
from workflows.compute.results import ModelSpec
from workflows.interfaces.group_results import GroupResults

KEYS = ["modality", "measure", "atlas"]


def change_families(results: GroupResults, cohort: Cohort) -> tuple[Family, ...]:
    """Families of regions at the two tested sessions, in the order of the cohort."""
    pair, change = results.pair, results.change
    if pair is None or not {"baseline_value", "followup_value", *KEYS} <= set(change):
        return ()
    own = change[(change["baseline"] == pair[0]) & (change["followup"] == pair[1])]
    made = []
    for (modality, measure, atlas), rows in own.groupby(KEYS, sort=False, dropna=False):
        regions = list(dict.fromkeys(rows["region"]))
        sides = [
            rows.pivot_table(
                index="participant_id", columns="region", values=name, sort=False, dropna=False
            ).reindex(index=cohort.participants.index, columns=regions)
            for name in ("baseline_value", "followup_value")
        ]
        labels = pd.DataFrame({"region": regions, "region_a": None, "region_b": None})
        unit = str(rows["unit"].iloc[0]) if "unit" in rows else ""
        values = np.stack([side.to_numpy(dtype=float) for side in sides])
        made.append(Family(modality, measure, atlas or "", unit, labels, values, pair, (0, 1)))
    return tuple(made)


def family_of(families: tuple[Family, ...], row: pd.Series) -> Family | None:
    """Family that a row of results is about."""
    for family in families:
        if (family.modality, family.measure) == (row["modality"], row["measure"]) and (
            (family.atlas or "") == (row["atlas"] or "")
        ):
            return family
    return None


def design_for(
    spec: ModelSpec, cohort: Cohort, family: Family, families: tuple[Family, ...]
) -> Design | None:
    """Design of the people in a family; None where it cannot be made any more."""
    try:
        return prepared(spec, cohort, family, families)[0].design
    except ModelError:
        return None
