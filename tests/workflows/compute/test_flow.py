"""Participants from the list to the analysis."""

import pandas as pd
import pytest

from workflows.compute.flow import analysed_rows, flow_table, lost_pairs, scan_steps

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
