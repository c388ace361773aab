"""How many responded, remitted, changed reliably or recovered, per arm and between arms."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd
from scipy import stats

RATE_COLUMNS = [
    "score",
    "followup",
    "outcome",
    "counted",
    "arm",
    "n_with_outcome",
    "n",
    "n_missing",
    "rate",
    "ci_low",
    "ci_high",
    "note",
]
DIFFERENCE_COLUMNS = [
    "score",
    "followup",
    "outcome",
    "counted",
    "arm",
    "reference",
    "difference",
    "ci_low",
    "ci_high",
    "number_needed",
    "number_low",
    "number_high",
    "number_of",
    "note",
]
EVENTS = (
    ("response", "response", "yes"),
    ("remission", "remission", "yes"),
    ("reliable improvement", "reliable_change", "improved"),
    ("recovery", "clinically_significant", "recovered"),
    ("reliable deterioration", "reliable_change", "deteriorated"),
)
"""Name of an outcome, the column it is counted in, and the value that counts."""
HARMS = frozenset({"reliable deterioration"})
OBSERVED, WORST_CASE = "observed", "worst case"
ALL = "all"


def wilson_interval(
    n_with: np.ndarray, n: np.ndarray, confidence: float
) -> tuple[np.ndarray, np.ndarray]:
    """Limits of a proportion (Wilson 1927); NaN where n is 0.

    Parameters
    ----------
    n_with, n : np.ndarray
        People with the outcome, and all people; 0 <= n_with <= n.
    confidence : float
        Coverage, .5..1.
    """
    n_with, n = np.asarray(n_with, dtype=float), np.asarray(n, dtype=float)
    if np.any((n_with < 0) | (n_with > n)):
        raise ValueError("n_with: between 0 and n")
    z = stats.norm.ppf((1 + confidence) / 2)
    n = np.where(n > 0, n, np.nan)
    rate = n_with / n
    centre = (rate + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * np.sqrt(rate * (1 - rate) / n + z**2 / (4 * n**2))
    low, high = np.where(n_with == 0, 0.0, centre - half), np.where(n_with == n, 1.0, centre + half)
    return np.where(np.isnan(n), np.nan, low), np.where(np.isnan(n), np.nan, high)


def newcombe_interval(
    first: tuple[int, int], second: tuple[int, int], confidence: float
) -> tuple[float, float]:
    """Limits of the difference of two proportions, first minus second (Newcombe 1998).

    Made of the two Wilson intervals (his method 10); NaN where a group is empty.

    Parameters
    ----------
    first, second : tuple of int
        People with the outcome, and all people of a group.
    confidence : float
        Coverage, .5..1.
    """
    low_1, high_1 = wilson_interval(*first, confidence)
    low_2, high_2 = wilson_interval(*second, confidence)
    if 0 in (first[1], second[1]):
        return np.nan, np.nan
    rate_1, rate_2 = first[0] / first[1], second[0] / second[1]
    low = rate_1 - rate_2 - np.hypot(rate_1 - low_1, high_2 - rate_2)
    high = rate_1 - rate_2 + np.hypot(high_1 - rate_1, rate_2 - low_2)
    return float(low), float(high)


def outcome_rates(rows: pd.DataFrame, arms: pd.Series, confidence: float) -> pd.DataFrame:
    """Rate of each outcome per score, follow-up and arm, RATE_COLUMNS.

    Each rate is counted twice: among those whose outcome is known ("observed"), and among
    everybody enrolled, a missing outcome being taken as the worse one ("worst case": no
    response, but deterioration). `n` is the denominator, `n_missing` those without a known
    outcome. The interval is Wilson's.

    Parameters
    ----------
    rows : pd.DataFrame
        OUTCOME_COLUMNS of `participant_outcomes`, a row for everybody enrolled.
    arms : pd.Series of str
        Arm per participant label; who has none is counted in "all" only.
    confidence : float
        Coverage of the interval, .5..1.
    """
    placed = rows.assign(arm=rows["participant_id"].map(arms).fillna("").astype(str))
    levels = np.unique(placed["arm"][placed["arm"] != ""].to_numpy(dtype=str))
    levels = [str(level) for level in levels] if len(levels) > 1 else []
    found = []
    for (score, followup), part in placed.groupby(["score", "followup"], sort=False):
        for name, column, value in EVENTS:
            judged = bool(part[column].notna().any())
            for level in [ALL, *levels]:
                texts = part[column] if level == ALL else part.loc[part["arm"] == level, column]
                places = {"score": score, "followup": followup, "outcome": name, "arm": level}
                counts = _counts(texts, value, name in HARMS, judged)
                found += [places | _rate(row, confidence) for row in counts]
    return pd.DataFrame(found, columns=RATE_COLUMNS)


def rate_differences(rates: pd.DataFrame, reference: str, confidence: float) -> pd.DataFrame:
    """Difference of the rates of each arm and the reference, DIFFERENCE_COLUMNS.

    The difference (arm minus reference) has Newcombe's interval. The number needed is
    1 / |difference|: people to be treated for one more with the outcome. `number_of` says
    whether it is a benefit or a harm. Its limits are NaN where the interval of the
    difference holds 0; the note then says so, because such an interval reaches infinity
    (Altman 1998).

    Parameters
    ----------
    rates : pd.DataFrame
        From `outcome_rates`.
    reference : str
        Arm that the others are compared with.
    confidence : float
        Coverage of the interval, .5..1.
    """
    keys = ["score", "followup", "outcome", "counted"]
    per_arm = rates[rates["arm"] != ALL]
    found = []
    for names, part in per_arm.groupby(keys, sort=False):
        base = part[part["arm"] == reference]
        if base.empty:
            continue
        second = (int(base["n_with_outcome"].iloc[0]), int(base["n"].iloc[0]))
        for row in part[part["arm"] != reference].itertuples():
            first = (int(row.n_with_outcome), int(row.n))
            compared = _difference(first, second, names[2] in HARMS, confidence)
            if 0 in (first[1], second[1]):
                compared["note"] = row.note or base["note"].iloc[0]
            places = dict(zip(keys, names, strict=True)) | {"arm": row.arm}
            found.append(places | {"reference": reference} | compared)
    return pd.DataFrame(found, columns=DIFFERENCE_COLUMNS)


def _counts(texts, value, harm, judged) -> Iterator[dict]:
    n_with, n_missing = int((texts == value).sum()), int(texts.isna().sum())
    worst = n_with + n_missing if harm else n_with
    n_known, n_all = len(texts) - n_missing, len(texts) if judged else 0
    for counted, n_yes, n in ((OBSERVED, n_with, n_known), (WORST_CASE, worst, n_all)):
        note = "nobody with a known outcome" if judged else "the criterion is not known"
        yield {
            "counted": counted,
            "n_with_outcome": n_yes if n else 0,
            "n": n,
            "n_missing": n_missing,
            "note": "" if n else note,
        }


def _rate(row, confidence):
    low, high = wilson_interval(row["n_with_outcome"], row["n"], confidence)
    rate = row["n_with_outcome"] / row["n"] if row["n"] else np.nan
    return row | {"rate": rate, "ci_low": float(low), "ci_high": float(high)}


def _difference(first, second, harm, confidence):
    low, high = newcombe_interval(first, second, confidence)
    empty = 0 in (first[1], second[1])
    value = np.nan if empty else first[0] / first[1] - second[0] / second[1]
    row = {"difference": value, "ci_low": low, "ci_high": high, "number_of": "", "note": ""}
    row |= {"number_needed": np.nan, "number_low": np.nan, "number_high": np.nan}
    if empty:
        return row
    if value != 0:
        row["number_needed"] = 1 / abs(value)
        row["number_of"] = "harm" if (value > 0) == harm else "benefit"
    if low > 0 or high < 0:
        limits = 1 / abs(low), 1 / abs(high)
        return row | {"number_low": min(limits), "number_high": max(limits)}
    return row | {"note": "the interval holds no difference: the number needed has no upper limit"}
