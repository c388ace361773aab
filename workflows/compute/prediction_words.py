"""Prediction for the individual in words: against a clinical-only model and against the mean."""

from __future__ import annotations

import numpy as np
import pandas as pd

CLINICAL, BRAIN, BOTH, DIFFERENCE = "clinical", "brain", "clinical+brain", "difference"
MAIN_METRICS = ("R2", "AUC")
USEFUL_SHARE = 0.5


def prediction_sentences(scores: pd.DataFrame, alpha: float) -> list[str]:
    """Added value over the clinical model first, then the skill of each model.

    Parameters
    ----------
    scores : DataFrame
        Rows of one prediction: predictor, metric, estimate, ci_low, ci_high, p, n, target.
    alpha : float
        Level of the tests, 0..1.
    """
    metric = next((name for name in MAIN_METRICS if (scores["metric"] == name).any()), "")
    if not metric:
        return ["No score of the prediction is there."]
    own = scores[scores["metric"] == metric].set_index("predictor")
    said = []
    if DIFFERENCE in own.index:
        said.append(_added(own.loc[DIFFERENCE], metric, alpha))
    elif CLINICAL not in own.index:
        said.append("There is no clinical-only model to compare with: added value is not known.")
    for name in (CLINICAL, BRAIN, BOTH):
        if name in own.index:
            said.append(_skill(name, own.loc[name], metric))
    return said


def person_sentences(people: pd.DataFrame) -> list[str]:
    """Whether a prediction could be used for one person: it cannot, and how wide intervals are.

    Parameters
    ----------
    people : DataFrame
        observed, interval_low, interval_high, one row a person; may be empty.
    """
    lead = (
        "This prediction cannot be used for a single person: it was tested only in the people "
        "of this study (internal validation), not in others."
    )
    if not {"interval_low", "interval_high", "observed"} <= set(people):
        return [lead]
    width = (people["interval_high"] - people["interval_low"]).astype(float).dropna()
    observed = people["observed"].astype(float).dropna()
    if not len(width) or len(observed) < 2:
        return [lead]
    middle = np.subtract(*np.percentile(observed, [95, 5]))
    share = float(width.median()) / middle if middle > 0 else np.nan
    text = f"The interval of one person's outcome is {width.median():.3g} wide in the median"
    if not np.isfinite(share):
        return [lead, f"{text}."]
    wide = ", too wide to tell people apart" if share > USEFUL_SHARE else ""
    return [lead, f"{text}, {100 * share:.0f} % of the spread of 90 % of all outcomes{wide}."]


def calibration_sentence(scores: pd.DataFrame) -> str:
    """Whether predictions are too extreme; empty where calibration was not estimated."""
    own = scores[scores["metric"] == "calibration slope"].set_index("predictor")
    name = BOTH if BOTH in own.index else BRAIN
    if name not in own.index or not np.isfinite(own.loc[name, "estimate"]):
        return ""
    row = own.loc[name]
    verdict = "agrees with 1"
    if row["ci_high"] < 1:
        verdict = "is below 1: predictions are too extreme"
    elif row["ci_low"] > 1:
        verdict = "is above 1: predictions are too timid"
    return f"The calibration slope of {name}, {_interval(row)}, {verdict}."


def selection_sentences(selection: pd.DataFrame) -> list[str]:
    """Whether people who got the arm that was predicted to suit them did better."""
    said = []
    for _, row in selection.iterrows():
        p = f", p = {row['p']:.2g}" if np.isfinite(row["p"]) else ""
        note = f" {row['note'][0].upper()}{row['note'][1:]}." if _is_text(row["note"]) else ""
        said.append(
            f"Treatment selection, {row['contrast']}: {_interval(row)}{p} "
            f"({row['n']:.0f} against {row['n_other']:.0f} people).{note}"
        )
    return said


def _added(row, metric, alpha):
    shown = row["ci_low"] > 0 and not row["p"] > alpha
    p = f", p = {row['p']:.2g}" if np.isfinite(row["p"]) else ""
    size = f"{metric} {_interval(row, sign=True)}{p}"
    if shown:
        return f"Brain measures added to the clinical variables: {size}."
    return f"That brain measures add anything to the clinical variables was not shown: {size}."


def _skill(name, row, metric):
    words = {CLINICAL: "Clinical variables alone", BRAIN: "Brain measures alone"}
    lead = words.get(name, "Clinical variables and brain measures together")
    return f"{lead}: {metric} = {_interval(row)}; {_against(row, metric)}."


def _against(row, metric):
    chance = 0.0 if metric == "R2" else 0.5
    what = "predicting the mean for everybody" if metric == "R2" else "chance"
    if row["ci_low"] > chance:
        return f"better than {what}"
    return f"not shown to be better than {what}"


def _interval(row, sign=False):
    plus = "+" if sign else ""
    return f"{row['estimate']:{plus}.2f} (interval {row['ci_low']:.2f} to {row['ci_high']:.2f})"


def _is_text(value):
    return isinstance(value, str) and bool(value)
