"""Who dropped out: participants with and without an outcome compared at baseline."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pandas as pd

from workflows.compute.design import LEVEL_COLUMNS, level_text
from workflows.compute.effects import pooled_deviation, standardised_difference

COMPLETER_COLUMNS = [
    "arm",
    "characteristic",
    "level",
    "n_completers",
    "n_dropouts",
    "completers_mean",
    "completers_sd",
    "dropouts_mean",
    "dropouts_sd",
    "completers_count",
    "dropouts_count",
    "effect_size",
    "effect_size_name",
    "effect_low",
    "effect_high",
    "note",
]
ALL = "all"
NOT_SHOWN = (
    "similar groups cannot show that data are missing at random: what was not measured, above "
    "all the missing outcome itself, may still decide who drops out"
)
MIN_PER_GROUP = 2


def compare_completers(
    characteristics: pd.DataFrame, completed: pd.Series, arms: pd.Series, confidence: float
) -> pd.DataFrame:
    """Baseline characteristics of completers and dropouts, COMPLETER_COLUMNS.

    Numbers are compared by means and Hedges' g (completers minus dropouts) with its interval,
    categories by counts and phi (two levels) or Cramer's V (more). There are no tests: with
    few dropouts a test finds nothing, whatever the difference.

    Parameters
    ----------
    characteristics : pd.DataFrame
        One row per participant (index: label): age, sex, baseline scores, ... Numbers are
        compared as numbers, texts and the columns site, scanner, sex, gender, handedness
        and group as categories.
    completed : pd.Series of bool
        By participant label: True where the outcome is known. Who is not listed dropped out.
    arms : pd.Series of str
        Arm by participant label; with two or more arms each is compared by itself too.
    confidence : float
        Coverage of the intervals, .5..1.

    Returns
    -------
    pd.DataFrame
        One row for a number, one for each level of a category (the effect size stands in the
        first of them). Missing values are left out and seen in n_completers and n_dropouts.
        The note of each row says what the comparison cannot show.
    """
    stayed = completed.reindex(characteristics.index).fillna(False).astype(bool).to_numpy()
    own = arms.reindex(characteristics.index).fillna("").astype(str).to_numpy(dtype=object)
    levels = [str(level) for level in np.unique(own[own != ""].astype(str))]
    rows = []
    for arm in [ALL, *(levels if len(levels) > 1 else [])]:
        inside = np.ones(len(own), dtype=bool) if arm == ALL else own == arm
        for name in characteristics.columns:
            column = characteristics[name][inside]
            if _is_category(column):
                found = list(_categories(column, stayed[inside]))
            else:
                found = [_numbers(column, stayed[inside], confidence)]
            rows += [{"arm": arm, "characteristic": name} | row for row in found]
    return pd.DataFrame(rows, columns=COMPLETER_COLUMNS)


def cramers_v(counts: np.ndarray) -> float:
    """Association of two categories, 0..1 (Cramer 1946); for 2 x 2 counts it is |phi|.

    Parameters
    ----------
    counts : np.ndarray, shape (n_rows, n_columns)
        People in each cell.

    Returns
    -------
    float
        NaN where a row or column holds everybody.
    """
    counts = np.asarray(counts, dtype=float)
    counts = counts[counts.sum(axis=1) > 0][:, counts.sum(axis=0) > 0]
    smaller = min(counts.shape) - 1
    if smaller < 1:
        return np.nan
    total = counts.sum()
    expected = np.outer(counts.sum(axis=1), counts.sum(axis=0)) / total
    return float(np.sqrt(((counts - expected) ** 2 / expected).sum() / total / smaller))


def _is_category(column):
    named = str(column.name).lower() in LEVEL_COLUMNS
    return named or not pd.api.types.is_numeric_dtype(column)


def _numbers(column, stayed, confidence):
    values = column.to_numpy(dtype=float)
    groups = [values[stayed & np.isfinite(values)], values[~stayed & np.isfinite(values)]]
    sizes = [len(group) for group in groups]
    means = [group.mean() if len(group) else np.nan for group in groups]
    deviations = [group.std(ddof=1) if len(group) > 1 else np.nan for group in groups]
    row = {
        "level": "",
        "n_completers": sizes[0],
        "n_dropouts": sizes[1],
        "completers_mean": means[0],
        "dropouts_mean": means[1],
        "completers_sd": deviations[0],
        "dropouts_sd": deviations[1],
        "effect_size_name": "Hedges g",
        "note": NOT_SHOWN,
    }
    if min(sizes) < MIN_PER_GROUP:
        return row | {"note": f"fewer than {MIN_PER_GROUP} people in a group; {NOT_SHOWN}"}
    scale, df = pooled_deviation(values[:, None], stayed)
    error = scale * np.sqrt(1 / sizes[0] + 1 / sizes[1])
    effect = standardised_difference(means[0] - means[1], error, scale, df, confidence)
    return row | {
        "effect_size": float(effect.value[0]),
        "effect_low": float(effect.low[0]),
        "effect_high": float(effect.high[0]),
    }


def _categories(column, stayed) -> Iterable[dict]:
    texts = column.map(level_text).to_numpy(dtype=object)
    levels = [str(level) for level in np.unique(texts[texts != ""].astype(str))]
    counts = np.array(
        [[(texts[stayed] == name).sum(), (texts[~stayed] == name).sum()] for name in levels]
    ).reshape(-1, 2)
    sizes = counts.sum(axis=0)
    two = len(levels) == 2
    for place, level in enumerate(levels):
        yield {
            "level": level,
            "n_completers": int(sizes[0]),
            "n_dropouts": int(sizes[1]),
            "completers_count": int(counts[place, 0]),
            "dropouts_count": int(counts[place, 1]),
            "effect_size": cramers_v(counts) if place == 0 else np.nan,
            "effect_size_name": ("phi" if two else "Cramer V") if place == 0 else "",
            "note": NOT_SHOWN,
        }
