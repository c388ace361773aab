"""Which sessions come first: positions in time and the order of the sessions of a study."""

from __future__ import annotations

import pandas as pd

from workflows.compute.problems import Problem


def positioned_visits(
    visits: pd.DataFrame, order: tuple[str, ...]
) -> tuple[pd.DataFrame, tuple[Problem, ...]]:
    """Visits with `position`, an integer that grows with time within a participant.

    Parameters
    ----------
    visits : pd.DataFrame
        participant_id, session_id, modality, days_from_baseline (NaN where unknown).
    order : tuple of str
        Session labels, the earliest first; empty: days_from_baseline decides.

    Returns
    -------
    visits, problems
        Visits that cannot be placed in time are left out and named as problems.
    """
    if order:
        known = {label: position for position, label in enumerate(order)}
        position = visits["session_id"].map(known)
        reason, todo = "session is not in sessions.order", "add it to sessions.order if it counts"
    else:
        position = visits.groupby("participant_id")["days_from_baseline"].rank(method="dense")
        alone = visits.groupby("participant_id")["session_id"].transform("nunique") == 1
        position = position.where(position.notna() | ~alone, 1.0)
        reason = "no date tells when this session was"
        todo = "set sessions.order in the settings or add acq_time to sub-*_sessions.tsv"
    lost = visits[position.isna()].drop_duplicates(["participant_id", "session_id"])
    problems = tuple(
        Problem(reason, f"sub-{row.participant_id} ses-{row.session_id}", todo)
        for row in lost.itertuples()
    )
    placed = visits.assign(position=position)[position.notna()]
    return placed.astype({"position": int}).reset_index(drop=True), problems


def session_sequence(visits: pd.DataFrame, order: tuple[str, ...]) -> list[str]:
    """Labels of the sessions that have visits, in the order of time.

    Without `order` the labels are ranked by their median days from baseline over
    participants; labels without any date are left out.
    """
    there = set(visits["session_id"])
    if order:
        return [label for label in order if label in there]
    days = visits.groupby("session_id")["days_from_baseline"].median().dropna()
    return [str(label) for label in days.sort_values(kind="stable").index]


def paired_visits(visits: pd.DataFrame, pairs: pd.DataFrame) -> pd.DataFrame:
    """Visits that may be used: first sessions, and follow-ups whose pair was not left out.

    Parameters
    ----------
    visits : pd.DataFrame
        participant_id, session_id, modality, position.
    pairs : pd.DataFrame
        participant_id, modality, followup, as `ordered_pairs` keeps them.
    """
    keys = ["participant_id", "modality"]
    first = visits["position"] == visits.groupby(keys)["position"].transform("min")
    kept = pd.MultiIndex.from_frame(pairs[[*keys, "followup"]])
    later = pd.MultiIndex.from_frame(visits[[*keys, "session_id"]]).isin(kept)
    return visits[first | later].reset_index(drop=True)


def ordered_pairs(pairs: pd.DataFrame) -> tuple[pd.DataFrame, tuple[Problem, ...]]:
    """Pairs whose follow-up comes after the baseline; the others are named as problems."""
    wrong = pairs["interval_days"] <= 0
    problems = tuple(
        Problem(
            f"dates say ses-{row.followup} comes {-row.interval_days:g} days before "
            f"ses-{row.baseline}",
            f"sub-{row.participant_id}",
            "correct acq_time in sub-*_sessions.tsv or sessions.order; the pair is left out",
        )
        for row in pairs[wrong].drop_duplicates(["participant_id", "followup"]).itertuples()
    )
    return pairs[~wrong].reset_index(drop=True), problems
