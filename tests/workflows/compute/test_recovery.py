import numpy as np
import pandas as pd
import pytest

from workflows.compute.recovery import (
    comparison,
    false_change,
    recovery_summary,
    symptom_relation,
)

PLANTED = pd.DataFrame(
    {
        "participant_id": ["sub-01", "sub-02", "sub-03", "sub-04"],
        "name": "lh_amygdala",
        "planted": [2.0, 0.0, 6.0, 0.0],
    }
)
RECOVERED = pd.DataFrame(
    {
        "participant_id": ["sub-03", "sub-02", "sub-01", "sub-01"],
        "name": ["lh_amygdala"] * 3 + ["rh_cuneus"],
        "recovered": [3.5, 0.5, 1.5, 9.0],
    }
)
ARMS = pd.Series(["CBT", "wait", "CBT", "wait"], index=PLANTED["participant_id"])


def test_each_planted_row_meets_its_own_recovered_value():
    table = comparison(PLANTED, RECOVERED)
    assert list(table["participant_id"]) == list(PLANTED["participant_id"])
    np.testing.assert_array_equal(table["recovered"], [1.5, 0.5, 3.5, np.nan])


def test_a_name_given_twice_is_refused():
    twice = pd.concat([RECOVERED, RECOVERED.iloc[:1]])
    with pytest.raises(ValueError, match="recovered"):
        comparison(PLANTED, twice)


def test_the_summary_has_slope_intercept_and_means_of_the_arms():
    row = recovery_summary(comparison(PLANTED, RECOVERED), ARMS).iloc[0]
    assert row["n"] == 3
    assert row["slope"] == pytest.approx(0.5)
    assert row["intercept"] == pytest.approx(0.5)
    assert row["correlation"] == pytest.approx(1.0)
    assert (row["planted_CBT"], row["recovered_CBT"]) == (4.0, 2.5)
    assert (row["planted_wait"], row["recovered_wait"]) == (0.0, 0.5)


def test_without_planted_variation_there_is_no_slope():
    flat = comparison(PLANTED.assign(planted=0.0), RECOVERED)
    row = recovery_summary(flat, ARMS).iloc[0]
    assert np.isnan([row["slope"], row["correlation"]]).all()
    assert row["recovered_CBT"] == 2.5


def test_false_change_is_counted_where_nothing_was_planted():
    table = pd.DataFrame({"planted": [0.0, 0.1, -0.2, 5.0], "recovered": [1.0, -3.0, 2.0, 9.0]})
    assert false_change(table) == (2.0, 3.0)


def test_the_symptom_relation_is_that_of_people_with_all_three_values():
    table = pd.DataFrame(
        {
            "participant_id": ["sub-01", "sub-02", "sub-03", "sub-04", "sub-05"],
            "name": "lh_amygdala",
            "planted": [1.0, 2.0, 3.0, 9.0, 9.0],
            "recovered": [3.0, 1.0, 2.0, 9.0, np.nan],
        }
    )
    points = pd.Series([10.0, 20.0, 30.0, np.nan, 1.0], index=table["participant_id"])
    row = symptom_relation(table, points).iloc[0]
    assert (row["n"], row["planted_r"]) == (3, pytest.approx(1.0))
    assert row["recovered_r"] == pytest.approx(-0.5)


def test_a_symptom_relation_of_two_people_is_unknown():
    table = comparison(PLANTED.iloc[:2], RECOVERED)
    row = symptom_relation(table, pd.Series([1.0, 2.0], index=["sub-01", "sub-02"])).iloc[0]
    assert np.isnan([row["planted_r"], row["recovered_r"]]).all()
