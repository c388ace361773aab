"""Means with intervals per arm and session, for pictures of courses over time."""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy import stats

COURSE_COLUMNS = ["arm", "session", "n", "mean", "ci_low", "ci_high"]


def session_means(
    values: np.ndarray,
    arms: np.ndarray,
    sessions: tuple[str, ...],
    confidence: float,
    within: bool = False,
) -> pd.DataFrame:
    """Mean of each arm at each session with its interval, COURSE_COLUMNS.

    Parameters
    ----------
    values : np.ndarray, shape (n_participants, n_sessions)
        One measure or score, sessions in time order; NaN is missing.
    arms : np.ndarray of str, shape (n_participants,)
        Participants with an empty text are left out; arms keep the order they come in.
    sessions : tuple of str
        Labels in the order of the columns.
    confidence : float
        Coverage of the interval, .5..1.
    within : bool
        False: the ordinary interval of a mean, of everybody seen at that session. True: the
        interval without the differences between participants (Cousineau 2005; Morey 2008),
        of participants seen at every session: for comparing sessions within an arm.

    Returns
    -------
    pd.DataFrame
        `n` counts the participants of each mean; limits are NaN where there are less than two.

    Raises
    ------
    ValueError
        The arguments do not have the same number of participants or sessions.
    """
    if values.shape != (len(arms), len(sessions)):
        raise ValueError(f"values: {values.shape}, {len(arms)} arms, {len(sessions)} sessions")
    rows = []
    for arm in dict.fromkeys(arms[arms != ""]):
        own = values[arms == arm]
        if within:
            own = own[np.isfinite(own).all(axis=1)]
        shown, factor = _without_persons(own) if within else (own, 1.0)
        for session, column in zip(sessions, shown.T, strict=True):
            rows.append((arm, session, *_mean(column[np.isfinite(column)], factor, confidence)))
    return pd.DataFrame(rows, columns=COURSE_COLUMNS)


def _without_persons(values):
    """Values with the mean of each participant replaced by that of all, and Morey's factor."""
    n_sessions = values.shape[1]
    if n_sessions < 2 or not len(values):
        return values, np.nan
    shifted = values - values.mean(axis=1, keepdims=True) + values.mean()
    return shifted, np.sqrt(n_sessions / (n_sessions - 1))


def _mean(values, factor, confidence):
    if len(values) < 2:
        return len(values), float(values[0]) if len(values) else np.nan, np.nan, np.nan
    centre = float(values.mean())
    error = factor * float(values.std(ddof=1)) / np.sqrt(len(values))
    half = float(stats.t.ppf((1 + confidence) / 2, len(values) - 1)) * error
    return len(values), centre, centre - half, centre + half
