"""Where people began and how they changed: the slope for true scores, with its warning."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pandas as pd

from workflows.compute.association import PrePost
from workflows.compute.design import DesignRequest, arms_of, design_of
from workflows.compute.problems import ModelError
from workflows.compute.regression_to_mean import (
    MeasurementError,
    corrected_slope,
    expected_correlation,
)
from workflows.compute.scale import Scale

BASELINE_COLUMNS = [
    "score",
    "baseline",
    "followup",
    "expected_correlation",
    "corrected_slope",
    "ci_low",
    "ci_high",
    "df",
    "n",
    "note",
]
ONE_ARM = "one arm: people may change by where they began without any treatment"
MIN_PARTICIPANTS = 6


def baseline_slopes(
    rows: pd.DataFrame, scales: Iterable[Scale], arms: pd.Series, confidence: float
) -> pd.DataFrame:
    """Slope of true change on true baseline (Blomqvist 1977) per score and follow-up.

    The observed slope is not given: measurement error alone makes it negative.
    `expected_correlation` is the correlation of change with baseline that error alone makes.

    Parameters
    ----------
    rows : pd.DataFrame
        OUTCOME_COLUMNS of `participant_outcomes`.
    scales : iterable of Scale
        Those without a reliability are left out.
    arms : pd.Series of str
        Arm by participant label, held constant; empty text where unknown.
    confidence : float
        Coverage of the intervals, .5..1.

    Returns
    -------
    pd.DataFrame
        BASELINE_COLUMNS; no row where the arms do not allow the model.
    """
    found = []
    for scale in (scale for scale in scales if scale.reliability is not None):
        own = rows[rows["score"] == scale.name]
        for (first, last), part in own.groupby(["baseline", "followup"], sort=False):
            slope = _slope(part.set_index("participant_id"), scale, arms, confidence)
            if slope is not None:
                found.append((scale.name, first, last, *slope))
    return pd.DataFrame(found, columns=BASELINE_COLUMNS)


def _slope(part, scale, arms, confidence):
    known = part["baseline_value"].notna() & part["followup_value"].notna()
    part = part[known]
    people = pd.DataFrame({"arm": arms.reindex(part.index)})
    try:
        labels, levels, _ = arms_of(people, "arm", "")
        design = design_of(people, labels, levels, DesignRequest())
    except ModelError:
        return None
    sides = [part[[f"{side}_value"]].to_numpy(dtype=float) for side in ("baseline", "followup")]
    error = MeasurementError(reliability=scale.reliability)
    made = corrected_slope(PrePost(*sides), error, design, MIN_PARTICIPANTS, confidence)
    note = "; ".join(text for text in (made.note[0], ONE_ARM * (len(levels) == 1)) if text)
    expected = float(np.round(expected_correlation(scale.reliability), 3))
    return expected, made.corrected[0], made.low[0], made.high[0], made.df[0], made.n[0], note
