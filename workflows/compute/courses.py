"""Courses over many sessions: time to response, sudden gains, individual slopes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from scipy import stats

from workflows.compute.covariance_structure import Term, term_table
from workflows.compute.outcomes import PERCENT_TOLERANCE
from workflows.compute.problems import ModelError, Problem
from workflows.compute.scale import Scale, percent_improvement

WINDOW = 3
GAIN_SHARE = 0.25
GAIN_TAIL = 0.05
REVERSAL_SHARE = 0.5
GAIN_COLUMNS = ["participant", "session", "before", "after", "magnitude", "reversed"]
SLOPE_COLUMNS = ["slope", "standard_error", "intercept", "n", "note"]


@dataclass(frozen=True)
class ResponseTimes:
    """Time of the first response of each participant, or of the last score without one.

    `time` is NaN where nothing can be said (`note` tells why); `event` is True at a response.
    """

    time: np.ndarray
    event: np.ndarray
    note: np.ndarray


@dataclass(frozen=True)
class LogRank:
    """Comparison of the arms: overall test, and PROCESS_COLUMNS against the first arm."""

    chi2: float
    df: int
    p: float
    rows: pd.DataFrame


def response_times(scores: np.ndarray, times: np.ndarray, scale: Scale) -> ResponseTimes:
    """Time until a score is first a response by the rule of its scale.

    Parameters
    ----------
    scores : np.ndarray, shape (n_participants, n_occasions)
        First occasion: baseline. NaN is missing: a response is then seen at the next score.
    times : np.ndarray, shape (n_occasions,)
        Growing, for example session numbers or days; the baseline is the start.
    scale : Scale
        `response_pct` of the way from the baseline to the best value counts.

    Returns
    -------
    ResponseTimes
        Without a response: censored at the last score. NaN where the percentage cannot be
        told (no baseline, or it is the best value already) or without a later score.

    Raises
    ------
    ValueError
        Times that do not grow.
    """
    scores, times = np.asarray(scores, dtype=float), np.asarray(times, dtype=float)
    if scores.ndim != 2 or times.shape != (scores.shape[1],) or (np.diff(times) <= 0).any():
        raise ValueError("times: one per occasion, growing")
    baseline = np.repeat(scores[:, :1], scores.shape[1] - 1, axis=1)
    improved = percent_improvement(baseline, scores[:, 1:], scale)
    reached = improved >= scale.response_pct - PERCENT_TOLERANCE
    later = np.isfinite(scores[:, 1:])
    last = later.shape[1] - 1 - np.argmax(later[:, ::-1], axis=1)
    event = reached.any(axis=1)
    place = np.where(event, np.argmax(reached, axis=1), last)
    note = np.full(len(scores), "", dtype=object)
    note[~np.isfinite(improved).any(axis=1)] = "percent improvement cannot be told"
    note[~later.any(axis=1)] = "no score after the baseline"
    usable = note == ""
    return ResponseTimes(
        np.where(usable, times[1:][place] - times[0], np.nan), event & usable, note
    )


def log_rank(times: np.ndarray, events: np.ndarray, arms: np.ndarray, confidence: float) -> LogRank:
    """Log-rank test of times to an event (Mantel 1966), and Peto's log hazard ratios.

    Parameters
    ----------
    times, events, arms : np.ndarray, shape (n_participants,)
        Time and kind of end as in ResponseTimes, and the arm; NaN times are not used. The first
        arm met is the reference.
    confidence : float
        Coverage of the intervals, .5..1.

    Returns
    -------
    LogRank
        A log hazard ratio above 0: the event comes earlier than in the reference arm.

    Raises
    ------
    ModelError
        Fewer than two arms with times, or nobody with an event.
    """
    used = np.isfinite(times)
    times, events, arms = times[used], events[used].astype(bool), arms[used]
    levels = list(dict.fromkeys(arms))
    if len(levels) < 2 or not events.any():
        what = "nobody responded" if len(levels) > 1 else "one arm only: nothing to compare"
        raise ModelError(Problem(what, "time to response", "see the share of responders instead"))
    excess, spread = _excess(times, events, arms, levels)
    chi2 = float(excess[1:] @ np.linalg.pinv(spread[1:, 1:], hermitian=True) @ excess[1:])
    df = len(levels) - 1
    terms = []
    for level in levels[1:]:
        pair = np.isin(arms, [levels[0], level])
        one, variance = _excess(times[pair], events[pair], arms[pair], [levels[0], level])
        error = 1 / np.sqrt(variance[1, 1]) if variance[1, 1] > 0 else np.nan
        title = f"log hazard ratio {level} - {levels[0]}"
        terms.append(Term(title, one[1] * error**2, error, standardised=np.nan))
    rows = term_table(terms, len(times), confidence)
    return LogRank(chi2, df, float(stats.chi2.sf(chi2, df)), rows)


def reliable_cutoff(deviation: float, reliability: float) -> float:
    """Smallest reliable change (Jacobson and Truax 1991), a cut-off for sudden gains.

    Parameters
    ----------
    deviation : float
        Standard deviation of the score before treatment, above 0.
    reliability : float
        0..1.
    """
    if not (deviation > 0 and 0 <= reliability < 1):
        raise ValueError("deviation: above 0; reliability: 0 to below 1")
    return float(stats.norm.ppf(0.975) * deviation * np.sqrt(2 * (1 - reliability)))


def sudden_gains(
    scores: np.ndarray, cutoff: float, better: Literal["lower", "higher"] = "lower"
) -> pd.DataFrame:
    """Sudden gains between two sessions by the three criteria of Tang and DeRubeis (1999).

    From session n to n + 1 the score improves (1) by at least `cutoff`, (2) by at least 25 % of
    its value at n, and (3) the mean of sessions n-2..n differs from that of n+1..n+3 by more than
    the 5 % two-sided quantile of t times their pooled standard deviation. Of each three, two are
    enough; the quantile then has fewer degrees of freedom (Lutz et al. 2013).

    Parameters
    ----------
    scores : np.ndarray, shape (n_participants, n_sessions)
        Sessions in order, equally spaced; NaN is missing.
    cutoff : float
        In points of the score, above 0; 7 for the BDI, or `reliable_cutoff`.
    better : "lower" or "higher"

    Returns
    -------
    pd.DataFrame
        GAIN_COLUMNS, one row per gain: participant (row of `scores`), session (position n, from
        0), the two scores, magnitude (above 0), and reversed: a later score loses half of it.
    """
    scores = np.asarray(scores, dtype=float)
    if not cutoff > 0 or better not in ("lower", "higher"):
        raise ValueError("cutoff: above 0; better: 'lower' or 'higher'")
    sign = 1 if better == "lower" else -1
    rows = []
    for participant, course in enumerate(scores):
        for session in range(1, len(course) - 2):
            before, after = course[session], course[session + 1]
            magnitude = sign * (before - after)
            enough = magnitude >= cutoff and magnitude >= GAIN_SHARE * abs(before)
            if enough and _stable(course, session, sign):
                limit = sign * after + REVERSAL_SHARE * magnitude
                lost = bool((sign * course[session + 2 :] >= limit).any())
                rows.append((participant, session, before, after, magnitude, lost))
    return pd.DataFrame(rows, columns=GAIN_COLUMNS)


def individual_slopes(scores: np.ndarray, times: np.ndarray) -> pd.DataFrame:
    """Least-squares slope of each participant's scores over time.

    Parameters
    ----------
    scores : np.ndarray, shape (n_participants, n_occasions)
        NaN is missing.
    times : np.ndarray, shape (n_occasions,)
        For example weeks since the start; the slope is per unit of it.

    Returns
    -------
    pd.DataFrame
        SLOPE_COLUMNS, one row per participant; NaN below two scores (standard error: three).
    """
    scores, times = np.asarray(scores, dtype=float), np.asarray(times, dtype=float)
    if scores.ndim != 2 or times.shape != (scores.shape[1],):
        raise ValueError("times: one per occasion")
    there = np.isfinite(scores)
    n = there.sum(axis=1)
    count = np.where(n > 1, n, np.nan)
    centre = (there * times).sum(axis=1) / count
    level = np.where(there, scores, 0).sum(axis=1) / count
    lever = np.where(there, times - centre[:, None], 0)
    spread = (lever**2).sum(axis=1)
    slope = (lever * np.where(there, scores, 0)).sum(axis=1) / spread
    fitted = level[:, None] + slope[:, None] * lever
    squares = (np.where(there, scores - fitted, 0) ** 2).sum(axis=1)
    error = np.sqrt(squares / np.where(n > 2, n - 2, np.nan) / spread)
    note = np.where(n > 1, "", "fewer than two scores")
    return pd.DataFrame(
        {
            "slope": slope,
            "standard_error": error,
            "intercept": level - slope * centre,
            "n": n,
            "note": note,
        }
    )[SLOPE_COLUMNS]


def slope_rows(slopes: np.ndarray, arms: np.ndarray, confidence: float) -> pd.DataFrame:
    """Mean slope of each arm, and its difference from the first arm (Welch's t test).

    Parameters
    ----------
    slopes, arms : np.ndarray, shape (n_participants,)
        Slopes (NaN is not used) and arms; the first arm met is the reference.
    confidence : float
        Coverage of the intervals, .5..1.

    Returns
    -------
    pd.DataFrame
        PROCESS_COLUMNS; `standardised` of a difference is in pooled standard deviations.

    Raises
    ------
    ModelError
        An arm with fewer than two slopes.
    """
    used = np.isfinite(slopes)
    left_out = int((~used).sum())
    note = f"{left_out} participants without a slope left out" if left_out else ""
    groups = {arm: slopes[used & (arms == arm)] for arm in dict.fromkeys(arms)}
    for arm, values in groups.items():
        if len(values) < 2:
            what = f"arm '{arm}' has {len(values)} participants with a slope"
            raise ModelError(Problem(what, "individual slopes", "leave this arm out"))
    terms = []
    for arm, values in groups.items():
        error, df = values.std(ddof=1) / np.sqrt(len(values)), len(values) - 1
        size = values.mean() / values.std(ddof=1)
        terms.append(Term(f"mean slope {arm}", values.mean(), error, df, "linear", size, note))
    reference, *others = groups
    terms += [_slope_difference(groups, reference, arm, note) for arm in others]
    return term_table(terms, int(used.sum()), confidence)


def _slope_difference(groups, reference, arm, note):
    one, other = groups[reference], groups[arm]
    parts = np.array([one.var(ddof=1) / len(one), other.var(ddof=1) / len(other)])
    df = parts.sum() ** 2 / (parts**2 / [len(one) - 1, len(other) - 1]).sum()
    pooled = ((len(one) - 1) * one.var(ddof=1) + (len(other) - 1) * other.var(ddof=1)) / (
        len(one) + len(other) - 2
    )
    difference = other.mean() - one.mean()
    title = f"difference of slopes {arm} - {reference}"
    size = difference / np.sqrt(pooled)
    return Term(title, difference, np.sqrt(parts.sum()), df, "linear", size, note)


def _excess(times, events, arms, levels):
    """Observed minus expected events of each arm and their covariance."""
    excess, spread = np.zeros(len(levels)), np.zeros((len(levels), len(levels)))
    for time in np.unique(times[events]):
        at_risk = np.array([((times >= time) & (arms == level)).sum() for level in levels])
        now = events & (times == time)
        observed = np.array([(now & (arms == level)).sum() for level in levels])
        n, share = at_risk.sum(), at_risk / at_risk.sum()
        excess += observed - observed.sum() * share
        if n > 1:
            factor = observed.sum() * (n - observed.sum()) / (n - 1)
            spread += factor * (np.diag(share) - np.outer(share, share))
    return excess, spread


def _stable(course, session, sign):
    """Third criterion: the scores before and after the gain differ more than they vary."""
    before = course[max(session - WINDOW + 1, 0) : session + 1]
    after = course[session + 1 : session + 1 + WINDOW]
    before, after = before[np.isfinite(before)], after[np.isfinite(after)]
    if min(len(before), len(after)) < 2:
        return False
    df = len(before) + len(after) - 2
    squares = ((before - before.mean()) ** 2).sum() + ((after - after.mean()) ** 2).sum()
    needed = stats.t.ppf(1 - GAIN_TAIL / 2, df) * np.sqrt(squares / df)
    return bool(sign * (before.mean() - after.mean()) > needed)
