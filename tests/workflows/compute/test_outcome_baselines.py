"""Where people began and how they changed."""

import numpy as np
import pandas as pd
import pytest

from workflows.compute.outcome_baselines import BASELINE_COLUMNS, ONE_ARM, baseline_slopes
from workflows.compute.outcomes import participant_outcomes
from workflows.compute.scale import Scale

RELIABILITY = 0.8


def outcomes(rng, slope, n=600):
    """True change of `slope` per point of true baseline; error of both sessions."""
    true = rng.normal(30, 8, n)
    error = 8 * np.sqrt(1 / RELIABILITY - 1)
    after = true - 5 + slope * (true - 30)
    people = [f"{number:03d}" for number in range(n)]
    values = {"pre": true + rng.normal(0, error, n), "post": after + rng.normal(0, error, n)}
    scores = pd.concat(
        pd.DataFrame({"participant_id": people, "session_id": s, "score": "BDI", "value": v})
        for s, v in values.items()
    )
    scale = Scale("BDI", reliability=RELIABILITY)
    rows = participant_outcomes(scores, [scale], ("pre", "post"), people).rows
    return rows, scale, pd.Series(["CBT", "WL"] * (n // 2), index=people)


@pytest.mark.parametrize("slope", [0.0, -0.3])
def test_the_slope_of_true_scores_is_recovered(slope):
    rows, scale, arms = outcomes(np.random.default_rng(2), slope)
    row = baseline_slopes(rows, [scale], arms, 0.95).iloc[0]
    assert row["corrected_slope"] == pytest.approx(slope, abs=0.1)
    assert row["ci_low"] < slope < row["ci_high"]
    assert (row["n"], row["expected_correlation"]) == (600, -0.316)
    naive = np.polyfit(rows["baseline_value"].astype(float), rows["change"].astype(float), 1)[0]
    assert naive < slope - 0.1


def test_one_arm_is_said_and_a_score_without_reliability_has_no_row():
    rows, scale, arms = outcomes(np.random.default_rng(3), 0.0, n=20)
    one = pd.Series("all", index=arms.index)
    assert baseline_slopes(rows, [scale], one, 0.95)["note"].tolist() == [ONE_ARM]
    none = baseline_slopes(rows, [Scale("BDI")], arms, 0.95)
    assert (list(none.columns), len(none)) == (BASELINE_COLUMNS, 0)
