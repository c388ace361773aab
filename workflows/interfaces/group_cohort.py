"""Participants, scores and families of tests of the group level, from its tables."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from bids_utils.errors import DatasetError
from bids_utils.phenotype import read_participants
from workflows.compute.families import (
    Cohort,
    Family,
    edge_family,
    participants_of,
    region_families,
    score_change,
    score_table,
)
from workflows.compute.models import SCORE
from workflows.interfaces.group_tables import load_table


@dataclass(frozen=True)
class GroupFiles:
    """Files that all analyses of the group level read; empty paths where there are none."""

    measures: str
    waves: str
    scores: str
    connectivity: str = ""
    scans: str = ""
    edges: str = ""


@dataclass(frozen=True)
class StudyOrder:
    """Sessions in the order of time, those with scans and those with scores, and the pair.

    `planned_days` are the days from the first session on by the settings, if they say so;
    `moments` says when sessions were in the course of treatment.
    """

    sessions: tuple[str, ...]
    score_sessions: tuple[str, ...]
    pair: tuple[str, str]
    planned_days: tuple[tuple[str, float], ...] = ()
    moments: tuple[tuple[str, str | int], ...] = ()


@dataclass(frozen=True)
class Study:
    """Cohort and families of tests in the same order of participants.

    `moments` has the moment each (score, session) was taken, as text (empty: unknown).
    """

    cohort: Cohort
    families: tuple[Family, ...]
    order: StudyOrder
    moments: dict[tuple[str, str], str]

    @property
    def session_moments(self) -> dict[str, str | int]:
        """When each session was in the course of treatment."""
        return dict(self.order.moments)


def load_study(files: GroupFiles, bids_dir: Path, order: StudyOrder) -> Study:
    """Everything that the models of a study are fitted to."""
    waves, scores = load_table(files.waves), load_table(files.scores)
    people = participants_of(pd.concat([waves, scores])[["participant_id"]])
    families: tuple[Family, ...] = ()
    if order.sessions and len(waves):
        compared = (order.sessions.index(order.pair[0]), order.sessions.index(order.pair[1]))
        measures = load_table(files.measures)
        families = region_families(measures, waves, order.sessions, compared, people)
        families += load_edges(files, waves, (order.sessions, compared, people))
    cohort = load_cohort(bids_dir, scores, order.pair, people)
    processes = frozenset(scores.loc[scores["role"] == "process", "score"])
    families += score_families(cohort.scores, order, processes)
    moments = {
        (str(row.score), str(row.session_id)): row.moment
        for row in scores.drop_duplicates(["score", "session_id"]).itertuples()
    }
    return Study(replace(cohort, days=_days(waves, order, people)), families, order, moments)


def score_families(
    table: pd.DataFrame, order: StudyOrder, processes: frozenset[str]
) -> tuple[Family, ...]:
    """One family per score with values in two sessions: its own change is modelled too.

    `table` is that of `score_table`, `processes` are the scores that are no outcomes.
    """
    families = []
    labels = pd.DataFrame({"region": [""], "region_a": [None], "region_b": [None]})
    for name in dict.fromkeys(table.columns.get_level_values(0)) if len(table.columns) else ():
        wide = table[name].reindex(columns=list(order.score_sessions))
        values = wide.to_numpy(dtype=float).T[:, :, None]
        there = np.flatnonzero(np.isfinite(values).any(axis=(1, 2)))
        if len(there) < 2:
            continue
        sessions = tuple(order.score_sessions[place] for place in there)
        both = set(order.pair) <= set(sessions)
        pair = tuple(map(sessions.index, order.pair)) if both else (0, len(sessions) - 1)
        texts = (SCORE, str(name), "", "points")
        families.append(Family(*texts, labels, values[there], sessions, pair, name in processes))
    return tuple(families)


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
    bids_dir: Path, scores: pd.DataFrame, pair: tuple[str, str], people: list[str]
) -> Cohort:
    """Columns of participants.tsv and scores, one row per participant."""
    table = score_table(scores, people)
    return Cohort(
        participants=read_participants(bids_dir).reindex(people),
        score_change=score_change(table, pair),
        scores=table,
        pair=pair,
    )


def _days(waves: pd.DataFrame, order: StudyOrder, people: list[str]) -> pd.DataFrame:
    """Days from baseline per participant and session; planned ones where no date is known."""
    labels = list(dict.fromkeys([*order.score_sessions, *order.sessions]))
    days = pd.DataFrame(np.nan, index=people, columns=labels)
    known = waves.drop_duplicates(["participant_id", "session_id"])
    keyed = known.set_index(["participant_id", "session_id"])["days_from_baseline"].astype(float)
    for label in labels:
        days[label] = keyed.reindex([(who, label) for who in people]).to_numpy()
    for label, planned in order.planned_days:
        if label in days and days[label].isna().all():
            days[label] = planned
    return days


def compared_sessions(
    known: list[str], wanted: tuple[str, ...], measured: list[str] | None = None
) -> list[str]:
    """Baseline and follow-up that the models of change compare.

    `known` are the sessions with usable measures in the order of time, `measured` all that
    were looked for, of which some may not be in the order.

    Raises
    ------
    DatasetError
        There are not two sessions, or the wanted ones have no usable measures.
    """
    others = [label for label in measured or () if label not in known]
    if len(known) < 2 and others:
        raise DatasetError(
            f"no two sessions with usable measures (with: {', '.join(known) or 'none'}; without, "
            f"or not in sessions.order: {', '.join(others)}); write sessions.order as the "
            "measures do, or see ledger.tsv for why scans are not used"
        )
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
