"""Means per arm and session and time to response, with intervals, for pictures of courses."""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy import stats

COURSE_COLUMNS = ["arm", "session", "n", "mean", "ci_low", "ci_high"]
EVENT_COLUMNS = [
    "arm",
    "time",
    "at_risk",
    "n_events",
    "n_censored",
    "share",
    "ci_low",
    "ci_high",
]


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


def time_to_event(
    times: np.ndarray, happened: np.ndarray, arms: np.ndarray, confidence: float
) -> pd.DataFrame:
    """Share of each arm with the event by each time (Kaplan and Meier 1958), EVENT_COLUMNS.

    People who left before the event count until they left, which supposes that leaving had
    nothing to do with it. The interval is Greenwood's on the log(-log) scale.

    Parameters
    ----------
    times : np.ndarray, shape (n_participants,)
        Time of the event (e.g. first session with response) or of the last time seen; 0 or
        above. NaN leaves the participant out.
    happened : np.ndarray of bool, shape (n_participants,)
        Whether the event was seen.
    arms : np.ndarray of str, shape (n_participants,)
        Participants with an empty text are left out; arms keep the order they come in.
    confidence : float
        Coverage of the interval, .5..1.

    Returns
    -------
    pd.DataFrame
        One row an arm and time; limits are NaN while nobody or once everybody had the event.
    """
    times, happened = np.asarray(times, dtype=float), np.asarray(happened, dtype=bool)
    if not len(times) == len(happened) == len(arms):
        raise ValueError("times, happened, arms: one value for each participant")
    if (times < 0).any():
        raise ValueError("times: must be 0 or above")
    tables = []
    for arm in dict.fromkeys(arms[arms != ""]):
        own = (arms == arm) & np.isfinite(times)
        tables.append(_arm_events(times[own], happened[own], confidence).assign(arm=arm))
    if not tables:
        return pd.DataFrame(columns=EVENT_COLUMNS)
    return pd.concat(tables, ignore_index=True)[EVENT_COLUMNS]


def _arm_events(times, happened, confidence):
    steps = np.unique(times)
    at_risk = (times[:, None] >= steps).sum(axis=0)
    n_events = ((times[:, None] == steps) & happened[:, None]).sum(axis=0)
    n_censored = (times[:, None] == steps).sum(axis=0) - n_events
    without = np.cumprod(1 - n_events / at_risk)
    inner = (without > 0) & (without < 1)
    left = np.where(at_risk > n_events, at_risk - n_events, 1)
    greenwood = np.sqrt(np.cumsum(n_events / (at_risk * left)))
    log = np.log(np.where(inner, without, 0.5))
    spread = stats.norm.ppf((1 + confidence) / 2) * greenwood / np.abs(log)
    low, high = (1 - np.exp(log * np.exp(side * spread)) for side in (-1, 1))
    return pd.DataFrame(
        {
            "time": steps,
            "at_risk": at_risk,
            "n_events": n_events,
            "n_censored": n_censored,
            "share": 1 - without,
            "ci_low": np.where(inner, low, np.nan),
            "ci_high": np.where(inner, high, np.nan),
        }
    )


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
