"""Participants, scores and families of tests of the group level, from its tables."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from bids_utils.errors import DatasetError
from bids_utils.phenotype import read_participants, read_scores
from workflows.compute.families import (
    Cohort,
    Family,
    edge_family,
    participants_of,
    region_families,
    score_change,
    score_table,
)
from workflows.interfaces.group_tables import load_table


@dataclass(frozen=True)
class GroupFiles:
    """Files that all analyses of the group level read; empty paths where there are none."""

    measures: str
    waves: str
    connectivity: str = ""
    scans: str = ""
    edges: str = ""


@dataclass(frozen=True)
class Study:
    """Cohort and families of tests in the same order of participants."""

    cohort: Cohort
    families: tuple[Family, ...]
    sessions: tuple[str, ...]


def load_study(
    files: GroupFiles, bids_dir: Path, sessions: tuple[str, ...], pair: tuple[str, str]
) -> Study:
    """Everything that the models of a study are fitted to."""
    waves = load_table(files.waves)
    compared = (sessions.index(pair[0]), sessions.index(pair[1]))
    people = participants_of(waves)
    families = region_families(load_table(files.measures), waves, sessions, compared, people)
    families += load_edges(files, waves, (sessions, compared, people))
    return Study(load_cohort(bids_dir, pair, people, waves), families, sessions)


def load_edges(
    files: GroupFiles, waves: pd.DataFrame, order: tuple[tuple[str, ...], tuple[int, int], list]
) -> tuple[Family, ...]:
    """One family of edges per modality; none where there are no matrices."""
    if not files.connectivity:
        return ()
    values, edges = np.load(files.connectivity, mmap_mode="r"), load_table(files.edges)
    scans = load_table(files.scans)
    scans = scans.assign(row=np.arange(len(scans)))
    keys = ["participant_id", "session_id", "modality"]
    scans = scans.merge(waves[keys].drop_duplicates(), on=keys)
    atlas = edges["atlas"].iloc[0] if len(edges) else ""
    return tuple(
        edge_family(values, rows, edges, order, (str(modality), atlas))
        for modality, rows in scans.groupby("modality", sort=False)
    )


def load_cohort(
    bids_dir: Path, pair: tuple[str, str], people: list[str], waves: pd.DataFrame | None = None
) -> Cohort:
    """Columns of participants.tsv, scores and days, one row per participant."""
    scores = score_table(read_scores(bids_dir), people)
    days = pd.DataFrame(index=people)
    if waves is not None:
        known = waves.drop_duplicates(["participant_id", "session_id"])
        keyed = known.set_index(["participant_id", "session_id"])["days_from_baseline"]
        wide = keyed.unstack()  # noqa: PD010 (each pair is there once)
        days = wide.reindex(people).astype(float)
    return Cohort(
        participants=read_participants(bids_dir).reindex(people),
        score_change=score_change(scores, pair),
        scores=scores,
        days=days,
        pair=pair,
    )


def compared_sessions(known: list[str], wanted: tuple[str, ...]) -> list[str]:
    """Baseline and follow-up that the models of change compare.

    Raises
    ------
    DatasetError
        There are not two sessions, or the wanted ones have no usable measures.
    """
    if len(known) < 2:
        raise DatasetError(
            f"no two sessions with usable measures (sessions with measures: "
            f"{', '.join(known) or 'none'}); run the participant level first, or see ledger.tsv "
            "for why scans are not used"
        )
    missing = [label for label in wanted if label not in known]
    if missing:
        raise DatasetError(
            f"sessions.compared: no usable measures of session '{missing[0]}'; there are: "
            f"{', '.join(known)}"
        )
    return list(wanted) or [known[0], known[-1]]
