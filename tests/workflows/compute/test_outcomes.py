"""Outcomes of single participants."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from workflows.compute.outcomes import (
    CRITERIA_COLUMNS,
    OUTCOME_COLUMNS,
    participant_outcomes,
    remitted,
    responded,
)
from workflows.compute.scale import Scale

BTHEB = Path(__file__).parents[2] / "data" / "btheb.csv"
BDI = Scale("bdi", minimum=0, maximum=63, reliability=0.93, remission=9)


def long_table(table):
    rows = [
        (who, session, score, value)
        for who, sessions in table.items()
        for session, (score, value) in sessions.items()
    ]
    return pd.DataFrame(rows, columns=["participant_id", "session_id", "score", "value"])


@pytest.fixture
def scores():
    return long_table(
        {
            "1": {"pre": ("bdi", 32.0), "post": ("bdi", 16.0), "fu": ("bdi", 9.0)},
            "2": {"pre": ("bdi", 30.0), "post": ("bdi", 15.5), "fu": ("bdi", np.nan)},
            "3": {"pre": ("bdi", 10.0), "post": ("bdi", 25.0)},
            "4": {"post": ("bdi", 3.0)},
            "5": {"pre": ("bdi", 0.0), "post": ("bdi", 0.0)},
        }
    )


def outcome(rows, who, followup="post"):
    row = rows[(rows["participant_id"] == who) & (rows["followup"] == followup)].iloc[0]
    texts = ["response", "remission", "reliable_change", "clinically_significant"]
    return [None if pd.isna(row[name]) else row[name] for name in texts]


def test_outcomes_by_hand(scores):
    found = participant_outcomes(scores, [BDI], ("pre", "post", "fu"), ["1", "2", "3", "4", "5"])
    rows = found.rows
    assert list(rows.columns) == OUTCOME_COLUMNS
    assert rows["followup"].tolist() == ["post"] * 5 + ["fu"] * 5
    first = rows.iloc[0]
    assert first[["change", "improvement", "percent_improvement"]].tolist() == [-16, 16, 50]
    # SD of 32, 30, 10, 0: sqrt(728 / 3); 1.96 x SD x sqrt(2 x .07) = 11.42418; a < 0
    limits = found.criteria.iloc[0]
    assert limits["baseline_sd"] == pytest.approx((728 / 3) ** 0.5)
    assert limits["smallest_reliable_change"] == pytest.approx(11.42418, rel=1e-6)
    assert outcome(rows, "1") == ["yes", "no", "improved", None]
    assert outcome(rows, "1", "fu") == ["yes", "yes", "improved", None]
    assert outcome(rows, "2") == ["no", "no", "improved", None]
    assert outcome(rows, "3") == ["no", "no", "deteriorated", None]


def test_missing_stays_missing_and_nobody_disappears(scores):
    rows = participant_outcomes(
        scores, [BDI], ("pre", "post", "fu"), ["1", "2", "3", "4", "5", "6"]
    ).rows
    assert len(rows) == 12
    assert outcome(rows, "6") == [None, None, None, None]
    assert outcome(rows, "2", "fu") == [None, None, None, None]
    # without baseline the score after treatment still tells remission
    assert outcome(rows, "4") == [None, "yes", None, None]
    # nothing to improve: neither response nor failure
    assert outcome(rows, "5") == [None, "yes", "unchanged", None]


def test_norms_give_recovery(scores):
    scale = Scale("bdi", reliability=0.93, norm_mean=6, norm_sd=5, clinical_mean=26, clinical_sd=10)
    found = participant_outcomes(scores, [scale], ("pre", "post"), ["1", "2", "3"])
    # c = (5 x 26 + 10 x 6) / 15 = 12.67
    assert found.criteria["cutoff"][0] == pytest.approx(38 / 3)
    assert found.criteria["cutoff_kind"][0] == "c: norm and published clinical sample"
    assert outcome(found.rows, "1")[3] == "improved"
    later = participant_outcomes(scores, [scale], ("pre", "fu"), ["1", "2", "3"])
    assert outcome(later.rows, "1", "fu")[3] == "recovered"


def test_without_reliability_the_other_outcomes_still_come(scores):
    scale = Scale("bdi", remission=9)
    found = participant_outcomes(scores, [scale], ("pre", "post"), ["1", "2", "3"])
    assert outcome(found.rows, "1") == ["yes", "no", None, None]
    assert "give reliability" in found.problems[0].what_to_do


def test_what_cannot_be_judged_is_named(scores):
    texts = [
        problem.what
        for problem in participant_outcomes(
            scores,
            [Scale("bdi", minimum=0, reliability=0.9)],
            ("pre", "post"),
            ["1", "2", "3", "5"],
        ).problems
    ]
    assert texts[0] == "no cut-off to recovery: cut-off a (-13.2) lies outside the scale"
    assert "no cut-off to remission is known" in texts
    assert "1 participant(s) are at the best value at baseline" in texts
    higher = [Scale("bdi", better="higher", reliability=0.9, remission=40)]
    found = participant_outcomes(scores, higher, ("pre", "post"), ["1", "2", "3"])
    assert [p.what for p in found.problems] == ["percent improvement needs the best possible value"]
    assert found.rows["response"].isna().all()


def test_a_score_that_nobody_has_gives_rows_of_missing_values(scores):
    found = participant_outcomes(scores, [Scale("ham", reliability=0.9)], ("pre", "post"), ["1"])
    assert found.rows[["change", "response", "reliable_change"]].isna().all(axis=None)
    assert found.criteria["n_baseline"].tolist() == [0]
    assert any("do not vary" in problem.what for problem in found.problems)


def test_turning_the_scale_around_changes_no_outcome(scores):
    low = Scale("bdi", minimum=0, maximum=63, reliability=0.9, remission=9, norm_mean=5, norm_sd=4)
    high = Scale(
        "bdi", "higher", minimum=0, maximum=63, reliability=0.9, remission=54, norm_mean=58,
        norm_sd=4,
    )  # fmt: skip
    people, sessions = ["1", "2", "3", "4", "5"], ("pre", "post", "fu")
    one = participant_outcomes(scores, [low], sessions, people).rows
    turned = scores.assign(value=63 - scores["value"])
    other = participant_outcomes(turned, [high], sessions, people).rows
    same = [name for name in OUTCOME_COLUMNS if "value" not in name and name != "change"]
    pd.testing.assert_frame_equal(one[same], other[same])
    np.testing.assert_allclose(one["change"], -other["change"])


def test_the_order_of_the_rows_of_a_file_does_not_matter(scores):
    people = ["1", "2", "3", "4", "5"]
    one = participant_outcomes(scores, [BDI], ("pre", "post"), people)
    other = participant_outcomes(scores[::-1], [BDI], ("pre", "post"), people)
    pd.testing.assert_frame_equal(one.rows, other.rows)


def test_beat_the_blues_as_in_r():
    table = pd.read_csv(BTHEB)
    before, after = table["bdi.pre"].to_numpy(float), table["bdi.2m"].to_numpy(float)
    answers = pd.Series(responded(before, after, Scale("bdi")))
    counts = pd.crosstab(table["treatment"], answers)
    assert counts.loc["TAU"].to_dict() == {"no": 36, "yes": 9}
    assert counts.loc["BtheB"].to_dict() == {"no": 36, "yes": 16}
    assert answers.isna().sum() == 3


def test_remission_without_a_cut_off_is_not_known():
    assert remitted(np.array([1.0, 2.0]), Scale("x")).tolist() == [None, None]


def test_no_scales_give_empty_tables(scores):
    found = participant_outcomes(scores, [], ("pre", "post"), ["1"])
    assert list(found.rows.columns) == OUTCOME_COLUMNS
    assert list(found.criteria.columns) == CRITERIA_COLUMNS


@pytest.mark.parametrize("sessions", [("pre",), ("pre", "pre")])
def test_one_session_has_no_outcome(scores, sessions):
    with pytest.raises(ValueError, match="sessions: the baseline and at least one other"):
        participant_outcomes(scores, [BDI], sessions, ["1"])


def test_two_values_for_one_score_are_refused(scores):
    twice = pd.concat([scores, scores.iloc[:1]])
    with pytest.raises(ValueError, match="scores: one row for a participant, session and score"):
        participant_outcomes(twice, [BDI], ("pre", "post"), ["1"])
