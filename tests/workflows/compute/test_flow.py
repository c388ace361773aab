"""Participants from the list to the analysis."""

import numpy as np
import pandas as pd
import pytest

from workflows.compute.flow import (
    FLOW_TESTS,
    FlowCohort,
    analysed_rows,
    excluded_scans,
    family_pairs,
    flow_table,
    lost_pairs,
    not_analysed,
    scan_steps,
    score_steps,
    untested_families,
)

PAIR = ("pre", "post")


@pytest.fixture
def visits():
    rows = [
        ("01", "pre", "used", ""),
        ("01", "post", "used", ""),
        ("02", "pre", "used", ""),
        ("02", "post", "excluded", "broken file"),
        ("03", "post", "used", ""),
        ("04", "pre", "used", ""),
        ("04", "post", "missing", "no T1w"),
    ]
    names = ["participant_id", "session_id", "status", "reason"]
    return pd.DataFrame(rows, columns=names).assign(modality="T1w")


def test_steps_count_people_and_arms(visits):
    changes = pd.DataFrame(
        {
            "participant_id": ["01"],
            "baseline": "pre",
            "followup": "post",
            "modality": "T1w",
            "change": 1.0,
        }
    )
    arms = pd.Series({"01": "CBT", "02": "WL", "03": "CBT", "04": ""})
    table = flow_table(scan_steps(visits, changes, PAIR), arms)
    assert table[["step", "arm", "n"]].to_numpy().tolist() == [
        ["scanned at ses-pre", "all", 3],
        ["scanned at ses-pre", "CBT", 1],
        ["scanned at ses-pre", "WL", 1],
        ["scanned at ses-pre and ses-post", "all", 2],
        ["scanned at ses-pre and ses-post", "CBT", 1],
        ["scanned at ses-pre and ses-post", "WL", 1],
        ["usable pair", "all", 1],
        ["usable pair", "CBT", 1],
        ["usable pair", "WL", 0],
    ]


def test_each_lost_participant_is_counted_with_the_reason(visits):
    table = lost_pairs(visits, {"T1w": frozenset({"01"})}, PAIR, ["01", "02", "03", "04", "05"])
    assert dict(zip(table["reason"], table["n"], strict=True)) == {
        "ses-post: broken file": 1,
        "ses-pre: not found": 1,
        "ses-post: no T1w": 1,
        "ses-pre: not found; ses-post: not found": 1,
    }


def test_analysed_people_are_those_of_the_largest_test():
    tests = pd.DataFrame(
        {"family": ["f", "f"], "n": [6, 7], "n_per_arm": ["a=3;b=x=3", "a=3;b=x=4"]}
    )
    assert analysed_rows(tests)[["arm", "n"]].to_numpy().tolist() == [
        ["all", 7],
        ["a", 3],
        ["b=x", 4],
    ]


ARMS = pd.Series({"01": "CBT", "02": "WL", "03": "CBT", "04": "", "05": "WL", "06": "WL"})
CHANGES = pd.DataFrame(
    {
        "participant_id": ["01", "04", "05", "06"],
        "baseline": "pre",
        "followup": "post",
        "modality": "T1w",
        "measure": "volume",
        "atlas": "DK",
        "change": [1.0, 2.0, 3.0, 4.0],
    }
)


def made_tests(*rows):
    table = pd.DataFrame(rows, columns=["modality", "measure", "atlas", "p", "n", "n_per_arm"])
    family = "change: " + table["modality"] + " " + table["measure"] + " " + table["atlas"]
    fields = {"model": "change", "family": family, "planned": True, "note": "too few"}
    return table.assign(**fields)[FLOW_TESTS]


def test_counts_of_remitters_are_not_arms():
    tests = pd.DataFrame({"family": ["f"], "n": [6], "n_per_arm": ["remitted=2;not=4"]})
    assert analysed_rows(tests, {"CBT", "WL"})["arm"].tolist() == ["all"]


def test_everybody_is_analysed_or_lost_for_one_reason(visits):
    unusable = {"04": "group is unknown", "02": "group is unknown"}
    cohort = FlowCohort(list(ARMS.index), ARMS, PAIR, visits, unusable)
    pairs = family_pairs(CHANGES, pd.DataFrame(index=ARMS.index), PAIR)
    tests = made_tests(
        ("T1w", "volume", "DK", 0.2, 2, "CBT=1;WL=1"), ("T1w", "volume", "DK", 0.1, 1, "CBT=1;WL=0")
    )
    rows = not_analysed(tests, "change", pairs, cohort)
    everyone = rows[rows["arm"] == "all"].set_index("reason")["n"]
    assert everyone.to_dict() == {
        "ses-post: broken file": 1,
        "ses-pre: not found": 1,
        "group is unknown": 1,
        "lacks the tested values or is left out of the model: see its notes and problems": 1,
    }
    assert everyone.sum() + 2 == len(ARMS)
    waiting = rows[rows["arm"] == "WL"]
    assert waiting["n"].sum() + 1 == 3


def test_a_family_without_tests_keeps_nobody_and_is_a_problem(visits):
    cohort = FlowCohort(list(ARMS.index), ARMS, PAIR, visits)
    pairs = family_pairs(CHANGES, pd.DataFrame(index=ARMS.index), PAIR)
    tests = made_tests(("T1w", "volume", "DK", np.nan, 4, "CBT=1;WL=2"))
    rows = not_analysed(tests, "change", pairs, cohort)
    assert rows.loc[rows["arm"] == "all", "n"].sum() == len(ARMS)
    [problem] = untested_families(tests)
    assert problem.where == "model change: T1w volume DK"
    assert problem.what == "nothing could be tested (too few)"
    assert problem.kind == "problem"
    [note] = untested_families(tests.assign(planned=False))
    assert note.kind == "note"


def test_a_model_that_was_not_fitted_loses_everybody(visits):
    cohort = FlowCohort(list(ARMS.index), ARMS, PAIR, visits)
    rows = not_analysed(made_tests(), "baseline_adjusted", {}, cohort)
    assert rows[["detail", "arm", "n"]].to_numpy().tolist() == [
        ["baseline_adjusted", "all", 6],
        ["baseline_adjusted", "CBT", 2],
        ["baseline_adjusted", "WL", 3],
    ]


def test_scans_that_failed_are_counted_by_reason_and_arm(visits):
    rows = excluded_scans(FlowCohort(list(ARMS.index), ARMS, PAIR, visits))
    assert rows[["detail", "arm", "n", "reason"]].to_numpy().tolist() == [
        ["T1w", "all", 1, "ses-post: broken file"],
        ["T1w", "WL", 1, "ses-post: broken file"],
    ]


def test_scores_are_counted_at_baseline_and_in_both_sessions():
    scores = pd.DataFrame(
        {
            "participant_id": ["01", "01", "02", "03"],
            "session_id": ["pre", "post", "post", "pre"],
            "score": "BDI",
            "value": [20.0, 10, 12, np.nan],
        }
    )
    change = pd.DataFrame({"BDI": [-10.0, np.nan, np.nan]}, index=["01", "02", "03"])
    steps = list(score_steps(scores, change, "pre"))
    assert steps == [
        ("score at ses-pre", "BDI", frozenset({"01"})),
        ("score at both", "BDI", frozenset({"01"})),
    ]
