"""Outcome of each person: change, response, remission, reliable and significant change."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from workflows.compute.clinical_significance import (
    clinical_cutoff,
    clinically_significant_change,
    reliable_change,
    reliable_limits,
)
from workflows.compute.problems import NOTE, ModelError, Problem
from workflows.compute.scale import Scale, improvement, percent_improvement, reached

OUTCOME_COLUMNS = [
    "participant_id",
    "score",
    "baseline",
    "followup",
    "baseline_value",
    "followup_value",
    "change",
    "improvement",
    "percent_improvement",
    "response",
    "remission",
    "reliable_change",
    "clinically_significant",
]
CRITERIA_COLUMNS = [
    "score",
    "better",
    "n_baseline",
    "baseline_mean",
    "baseline_sd",
    "response_pct",
    "remission",
    "reliability",
    "standard_error",
    "smallest_reliable_change",
    "cutoff",
    "cutoff_kind",
]
YES, NO = "yes", "no"
PERCENT_TOLERANCE = 1e-9


@dataclass(frozen=True)
class Outcomes:
    """Outcomes of all participants, the criteria they were judged by, and what is missing.

    `rows` has OUTCOME_COLUMNS, one row per participant, score and follow-up; `criteria` has
    CRITERIA_COLUMNS, one row per score.
    """

    rows: pd.DataFrame
    criteria: pd.DataFrame
    problems: tuple[Problem, ...]


def participant_outcomes(
    scores: pd.DataFrame,
    scales: Iterable[Scale],
    sessions: tuple[str, ...],
    participants: Iterable[str],
) -> Outcomes:
    """Outcome of each participant on each scale, at each follow-up.

    Parameters
    ----------
    scores : pd.DataFrame
        Long: participant_id, session_id, score, value (NaN where unknown); one row for a
        participant, session and score.
    scales : iterable of Scale
        Scores that are outcomes; a score without any value gives rows of missing values.
    sessions : tuple of str
        Baseline and the follow-ups after it, in the order of time.
    participants : iterable of str
        Everybody enrolled, so that nobody without a score disappears.

    Returns
    -------
    Outcomes
        `change` is follow-up minus baseline, `improvement` the same with the sign of the
        scale. `response` (at least `response_pct` percent improvement) and `remission` are
        "yes", "no", or missing where the score is missing or the criterion is not known; so
        are `reliable_change` and `clinically_significant` (Jacobson & Truax 1991), whose
        standard deviation is that of all baseline scores of the score.
    """
    if len(sessions) < 2 or len(set(sessions)) < len(sessions):
        raise ValueError("sessions: the baseline and at least one other session, each once")
    people = list(dict.fromkeys(participants))
    keys = ["participant_id", "session_id", "score"]
    if scores.duplicated(keys).any():
        raise ValueError("scores: one row for a participant, session and score")
    values = scores.set_index(keys)["value"].astype(float)
    tables, criteria, problems = [], [], []
    for scale in scales:
        sides = {
            label: values.reindex([(who, label, scale.name) for who in people]).to_numpy()
            for label in sessions
        }
        table, row, found = _scale_outcomes(scale, sides, people)
        tables.append(table)
        criteria.append(row)
        problems += found
    if not tables:
        return Outcomes(
            pd.DataFrame(columns=OUTCOME_COLUMNS), pd.DataFrame(columns=CRITERIA_COLUMNS), ()
        )
    rows = pd.concat(tables, ignore_index=True)[OUTCOME_COLUMNS]
    return Outcomes(rows, pd.DataFrame(criteria, columns=CRITERIA_COLUMNS), tuple(problems))


def responded(baseline: np.ndarray, followup: np.ndarray, scale: Scale) -> np.ndarray:
    """Whether each person improved by at least `scale.response_pct` percent: yes, no or None."""
    percent = percent_improvement(baseline, followup, scale)
    return _answers(percent >= scale.response_pct - PERCENT_TOLERANCE, np.isfinite(percent))


def remitted(followup: np.ndarray, scale: Scale) -> np.ndarray:
    """Whether each person is at or beyond the remission cut-off: yes, no or None.

    None where the score is missing or the scale has no cut-off.
    """
    followup = np.asarray(followup, dtype=float)
    if scale.remission is None:
        return np.full(followup.shape, None, dtype=object)
    return _answers(reached(followup, scale.remission, scale), np.isfinite(followup))


def _scale_outcomes(scale, sides, people):
    labels = list(sides)
    before = sides[labels[0]]
    known = before[np.isfinite(before)]
    sd = float(known.std(ddof=1)) if len(known) > 1 else np.nan
    row, problems = _criteria(scale, known, sd)
    tables = []
    for label in labels[1:]:
        after = sides[label]
        reliable, significant = _significance(scale, before, after, sd, row["cutoff"])
        table = {
            "participant_id": people,
            "score": scale.name,
            "baseline": labels[0],
            "followup": label,
            "baseline_value": before,
            "followup_value": after,
            "change": after - before,
            "improvement": improvement(before, after, scale),
            "percent_improvement": percent_improvement(before, after, scale),
            "response": responded(before, after, scale),
            "remission": remitted(after, scale),
            "reliable_change": reliable,
            "clinically_significant": significant,
        }
        tables.append(pd.DataFrame(table))
    problems += _unanswered(scale, before)
    return pd.concat(tables, ignore_index=True), row, problems


def _criteria(scale, known, sd):
    problems = []
    try:
        error, smallest = reliable_limits(scale, sd)
    except ModelError as caught:
        error, smallest = np.nan, np.nan
        problems.append(caught.problem)
    cutoff, kind = np.nan, ""
    if not problems:
        try:
            crossing = clinical_cutoff(scale, known)
            cutoff, kind = crossing.value, f"{crossing.letter}: {crossing.basis}"
        except ModelError as caught:
            problems.append(caught.problem)
    row = {
        "score": scale.name,
        "better": scale.better,
        "n_baseline": len(known),
        "baseline_mean": float(known.mean()) if len(known) else np.nan,
        "baseline_sd": sd,
        "response_pct": scale.response_pct,
        "remission": np.nan if scale.remission is None else scale.remission,
        "reliability": np.nan if scale.reliability is None else scale.reliability,
        "standard_error": error,
        "smallest_reliable_change": smallest,
        "cutoff": cutoff,
        "cutoff_kind": kind,
    }
    return row, problems


def _significance(scale, before, after, sd, cutoff):
    unknown = np.full(before.shape, None, dtype=object)
    if scale.reliability is None or not sd > 0:
        return unknown, unknown
    reliable = reliable_change(before, after, sd, scale)
    if not np.isfinite(cutoff):
        return reliable, unknown
    return reliable, clinically_significant_change(before, after, sd, scale, cutoff)


def _unanswered(scale, before):
    """Criteria that cannot be judged, and people who have nothing left to improve."""
    where = f"score {scale.name}"
    if scale.remission is None:
        todo = "give remission (a cut-off) or scale under group.scores"
        yield Problem("no cut-off to remission is known", where, todo, NOTE)
    else:
        well = int(reached(before, scale.remission, scale).sum())
        if well:
            what = f"{well} participant(s) are within the cut-off to remission at baseline"
            todo = "they count as remitted if they stay there; read the rate with this in mind"
            yield Problem(what, where, todo, NOTE)
    if scale.best is None:
        todo = "give maximum or scale under group.scores"
        yield Problem("percent improvement needs the best possible value", where, todo)
        return
    healthy = int((scale.sign * (scale.best - before) <= 0).sum())
    if healthy:
        what = f"{healthy} participant(s) are at the best value at baseline"
        todo = "they can neither respond nor fail to; their response is missing"
        yield Problem(what, where, todo)


def _answers(true, known):
    return np.where(known, np.where(true, YES, NO).astype(object), None)
