"""Planted change beside the change that a pipeline recovered."""

from __future__ import annotations

import numpy as np
import pandas as pd


def comparison(planted, recovered):
    """Planted and recovered change side by side, a row per planted row.

    Parameters
    ----------
    planted : DataFrame
        Columns participant_id, name (region or edge set), planted.
    recovered : DataFrame
        Columns participant_id, name, recovered; in the unit of the planted change. Rows that were
        not planted are left out.

    Returns
    -------
    DataFrame
        participant_id, name, planted, recovered, in the order of `planted`; recovered is NaN
        where the pipeline gave nothing.

    Raises
    ------
    ValueError
        A participant has a name twice.
    """
    keys = ["participant_id", "name"]
    for title, table in (("planted", planted), ("recovered", recovered)):
        if table.duplicated(keys).any():
            raise ValueError(f"{title}: each participant may have each name only once")
    columns = [*keys, "planted"]
    return planted[columns].merge(recovered[[*keys, "recovered"]], on=keys, how="left")


def recovery_summary(compared, arms):
    """How well each region or edge set was recovered.

    Parameters
    ----------
    compared : DataFrame
        Result of `comparison`.
    arms : Series
        Arm of each participant_id (the index).

    Returns
    -------
    DataFrame
        One row per name, in the order of `compared`: name, n (participants with both values),
        slope and intercept of recovered on planted (least squares), correlation, and for each arm
        planted_<arm> and recovered_<arm>, the means. NaN where fewer than three participants
        have both values or where the planted change does not vary.
    """
    known = compared.dropna(subset=["planted", "recovered"])
    rows = []
    for name in compared["name"].unique():
        values = known[known["name"] == name]
        row = {"name": name, "n": len(values), **_line(values)}
        for arm in arms.unique():
            means = values[values["participant_id"].map(arms) == arm][
                ["planted", "recovered"]
            ].mean()
            row |= {f"{column}_{arm}": value for column, value in means.items()}
        rows.append(row)
    return pd.DataFrame(rows)


def symptom_relation(compared, improvement):
    """Correlation of the planted and of the recovered change with the symptom improvement.

    Parameters
    ----------
    compared : DataFrame
        Result of `comparison`.
    improvement : Series
        Points of each participant_id (the index); NaN where the score is missing.

    Returns
    -------
    DataFrame
        One row per name: name, n (participants with all three values), planted_r, recovered_r;
        NaN with fewer than three participants or without variation.
    """
    points = compared["participant_id"].map(improvement)
    known = compared.assign(points=points).dropna(subset=["planted", "recovered", "points"])
    rows = []
    for name in compared["name"].unique():
        values = known[known["name"] == name]
        x = values["points"].to_numpy(float)
        planted_r, recovered_r = (
            _correlation(x, values[column].to_numpy(float)) for column in ("planted", "recovered")
        )
        row = {"name": name, "n": len(values), "planted_r": planted_r, "recovered_r": recovered_r}
        rows.append(row)
    return pd.DataFrame(rows)


def false_change(compared, limit=0.5):
    """Median and largest absolute recovered change where less than `limit` was planted."""
    still = compared[compared["planted"].abs() < limit]["recovered"].abs()
    return float(still.median()), float(still.max())


def _line(values):
    planted, recovered = values["planted"].to_numpy(float), values["recovered"].to_numpy(float)
    if len(values) < 3 or np.ptp(planted) == 0:
        return {"slope": np.nan, "intercept": np.nan, "correlation": np.nan}
    slope, intercept = np.polyfit(planted, recovered, 1)
    return {
        "slope": slope,
        "intercept": intercept,
        "correlation": _correlation(planted, recovered),
    }


def _correlation(one, other):
    if len(one) < 3 or np.ptp(one) == 0 or np.ptp(other) == 0:
        return np.nan
    return np.corrcoef(one, other)[0, 1]
