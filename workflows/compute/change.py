"""Change of a measure between two sessions: follow-up minus baseline."""

from __future__ import annotations

import numpy as np
import pandas as pd

from workflows.compute.rescan import CHANGE_ERROR, judged_changes

DAYS_PER_YEAR = 365.25
RATIO_UNITS = frozenset({"ml", "cm3", "cm^3", "mm3", "mm^3", "mm2", "mm^2", "mm", "cm", "s", "ms"})
IDENTITY = ["modality", "measure", "atlas", "region"]
CHANGE_COLUMNS = [
    "participant_id",
    "baseline",
    "followup",
    "interval_days",
    *IDENTITY,
    "unit",
    "baseline_value",
    "followup_value",
    "change",
    "percent_change",
    "change_per_year",
    *CHANGE_ERROR,
]


def difference(
    baseline: np.ndarray, followup: np.ndarray, interval_days: float | np.ndarray = np.nan
) -> np.ndarray:
    """Follow-up minus baseline, in the unit of the measure; NaN where either is missing.

    Parameters
    ----------
    baseline, followup : np.ndarray
        Values of the earlier and the later session, same shape.
    interval_days : float or np.ndarray
        Days from baseline to follow-up, above 0; NaN where unknown.
    """
    _check_interval(interval_days)
    return np.asarray(followup, dtype=float) - np.asarray(baseline, dtype=float)


def percent_change(
    baseline: np.ndarray, followup: np.ndarray, interval_days: float | np.ndarray = np.nan
) -> np.ndarray:
    """Symmetrised percent change, 100 * (follow-up - baseline) / mean of the two.

    Swapping the sessions flips the sign exactly. NaN where a value is missing or below 0,
    or both are 0: a percentage needs a ratio scale.
    """
    change = difference(baseline, followup, interval_days)
    mean = (np.asarray(baseline, dtype=float) + np.asarray(followup, dtype=float)) / 2
    valid = (np.asarray(baseline) >= 0) & (np.asarray(followup) >= 0) & (mean > 0)
    return 100 * change / np.where(valid, mean, np.nan)


def change_per_year(
    baseline: np.ndarray, followup: np.ndarray, interval_days: float | np.ndarray
) -> np.ndarray:
    """Change divided by the interval in years of 365.25 days; NaN without an interval."""
    change = difference(baseline, followup, interval_days)
    return change / (np.asarray(interval_days, dtype=float) / DAYS_PER_YEAR)


def session_pairs(visits: pd.DataFrame) -> pd.DataFrame:
    """One row per participant, modality and follow-up: the first session with every later one.

    Parameters
    ----------
    visits : pd.DataFrame
        Used sessions: participant_id, session_id, modality, position (order in time, an
        integer), days_from_baseline (NaN where unknown).

    Returns
    -------
    pd.DataFrame
        participant_id, modality, baseline, followup, interval_days.
    """
    ordered = visits.sort_values("position", kind="stable")
    keys = ["participant_id", "modality"]
    first = ordered.drop_duplicates(keys)
    pairs = ordered.merge(first, on=keys, suffixes=("", "_first"))
    pairs = pairs[pairs["position"] > pairs["position_first"]]
    interval = pairs["days_from_baseline"] - pairs["days_from_baseline_first"]
    pairs = pairs.assign(
        baseline=pairs["session_id_first"],
        followup=pairs["session_id"],
        interval_days=interval.astype(float),
    )
    pairs = pairs.sort_values([*keys, "position"], kind="stable")
    return pairs[[*keys, "baseline", "followup", "interval_days"]].reset_index(drop=True)


def change_table(
    measures: pd.DataFrame, pairs: pd.DataFrame, rescan: pd.DataFrame | None = None
) -> pd.DataFrame:
    """Change of each measure and region for each pair of sessions, CHANGE_COLUMNS.

    Parameters
    ----------
    measures : pd.DataFrame
        Long table: participant_id, session_id, modality, measure, atlas, region, value, unit and,
        if known, standard_error (of the value, in its unit).
    pairs : pd.DataFrame
        As `session_pairs` gives them; an interval must be above 0 or NaN.
    rescan : pd.DataFrame, optional
        RESCAN_COLUMNS: how much two scans of the same person differ without change.

    Notes
    -----
    A region missing in one session keeps its row with NaN. `standard_error` and
    `reliable_change` are those of `judged_changes`.
    """
    keys = ["participant_id", *IDENTITY]
    values = measures.assign(**{name: measures[name].fillna("") for name in IDENTITY})
    values = values.reindex(columns=list(dict.fromkeys([*values, "standard_error"])))
    regions = values.drop_duplicates(keys)[[*keys, "unit"]]
    table = pairs.merge(regions, on=["participant_id", "modality"])
    for role in ("baseline", "followup"):
        side = values[[*keys, "session_id", "value", "standard_error"]].rename(
            columns={
                "session_id": role,
                "value": f"{role}_value",
                "standard_error": f"{role}_error",
            }
        )
        table = table.merge(side, on=[*keys, role], how="left", validate="many_to_one")
    arguments = [
        table[name].to_numpy(dtype=float)
        for name in ("baseline_value", "followup_value", "interval_days")
    ]
    ratio = table["unit"].isin(RATIO_UNITS).to_numpy()
    table = table.assign(
        change=difference(*arguments),
        percent_change=np.where(ratio, percent_change(*arguments), np.nan),
        change_per_year=change_per_year(*arguments),
    )
    return table.assign(**judged_changes(table, rescan))[CHANGE_COLUMNS]


def paired_rows(scans: pd.DataFrame, pairs: pd.DataFrame) -> np.ndarray:
    """Row numbers of baseline and follow-up in an array of scans, shape (n_pairs, 2).

    Parameters
    ----------
    scans : pd.DataFrame
        One row per row of the array: participant_id, session_id, modality.
    pairs : pd.DataFrame
        participant_id, modality, baseline, followup; each session must be among `scans`.
    """
    row_of = {
        key: row
        for row, key in enumerate(
            zip(scans["participant_id"], scans["modality"], scans["session_id"], strict=True)
        )
    }
    keys = zip(pairs["participant_id"], pairs["modality"], strict=True)
    sessions = zip(pairs["baseline"], pairs["followup"], strict=True)
    rows = [
        (row_of[(*key, first)], row_of[(*key, last)])
        for key, (first, last) in zip(keys, sessions, strict=True)
    ]
    return np.array(rows, dtype=int).reshape(-1, 2)


def _check_interval(interval_days):
    if np.any(np.asarray(interval_days, dtype=float) <= 0):
        raise ValueError("interval_days: the follow-up comes after the baseline, so above 0")
