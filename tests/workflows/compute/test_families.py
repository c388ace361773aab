"""Families of tests from tables and arrays."""

import numpy as np
import pandas as pd
import pytest

from workflows.compute.families import (
    edge_family,
    participants_of,
    region_families,
    score_change,
    score_table,
)

SESSIONS = ("pre", "post", "fu")


@pytest.fixture
def measures():
    rows = [
        ("02", "post", "volume", "z", 2.0),
        ("02", "pre", "volume", "z", 1.0),
        ("02", "pre", "volume", "a", 3.0),
        ("02", "post", "volume", "a", 5.0),
        ("01", "pre", "volume", "z", 10.0),
        ("01", "post", "volume", "z", 20.0),
        ("01", "fu", "volume", "z", 99.0),
        ("03", "fu", "volume", "z", 8.0),
        ("01", "pre", "thickness", "z", 2.0),
        ("01", "post", "thickness", "z", 2.5),
        ("04", "pre", "volume", "z", 1000.0),
    ]
    names = ["participant_id", "session_id", "measure", "region", "value"]
    return pd.DataFrame(rows, columns=names).assign(modality="T1w", atlas="A", unit="ml")


@pytest.fixture
def visits(measures):
    used = measures[measures["participant_id"] != "04"]
    return used[["participant_id", "session_id", "modality"]].drop_duplicates()


def test_everybody_with_a_used_visit_is_in_whatever_the_order_of_rows(visits):
    assert participants_of(visits) == ["01", "02", "03"]
    assert participants_of(visits[::-1]) == ["01", "02", "03"]


def test_regions_keep_their_order_and_missing_ones_are_nan(measures, visits):
    people = participants_of(visits)
    volume, thickness = region_families(measures, visits, SESSIONS, (0, 1), people)
    assert volume.labels["region"].tolist() == ["z", "a"]
    np.testing.assert_array_equal(volume.change, [[10, np.nan], [1, 2], [np.nan, np.nan]])
    np.testing.assert_array_equal(volume.values[2, :, 0], [99, np.nan, 8])
    np.testing.assert_array_equal(thickness.change[:, 0], [0.5, np.nan, np.nan])
    assert volume.name == "T1w volume A"


def test_the_compared_sessions_decide_what_change_is(measures, visits):
    people = participants_of(visits)
    volume, _ = region_families(measures, visits, SESSIONS, (1, 2), people)
    np.testing.assert_array_equal(volume.change[:, 0], [79, np.nan, np.nan])


def test_blocks_cover_all_tests_in_their_order_and_regions_can_be_chosen(measures, visits):
    (volume, _) = region_families(measures, visits, SESSIONS, (0, 1), participants_of(visits))
    blocks = list(volume.blocks())
    assert [block.labels["region"].tolist() for block in blocks] == [["z", "a"]]
    chosen = volume.only(("a",))
    np.testing.assert_array_equal(chosen.change, [[np.nan], [2], [np.nan]])


def test_edges_are_placed_by_participant_and_session():
    values = np.arange(8.0).reshape(4, 2) ** 2
    scans = pd.DataFrame(
        {
            "participant_id": ["02", "01", "02", "01"],
            "session_id": ["pre", "post", "post", "pre"],
            "row": [0, 1, 2, 3],
        }
    )
    edges = pd.DataFrame({"region_a": ["x", "x"], "region_b": ["y", "z"]})
    order = (("pre", "post"), (0, 1), ["01", "02", "03"])
    family = edge_family(values, scans, edges, order, ("bold", "A"))
    expected = [values[1] - values[3], values[2] - values[0], [np.nan, np.nan]]
    np.testing.assert_array_equal(family.change, expected)
    assert family.labels["region_b"].tolist() == ["y", "z"]
    touching = family.only(("z",))
    np.testing.assert_array_equal(touching.change[:, 0], [9 - 49, 25 - 1, np.nan])


def test_change_of_scores_is_followup_minus_baseline():
    scores = pd.DataFrame(
        [
            ("01", "pre", "BDI", 30.0),
            ("01", "post", "BDI", 12.0),
            ("02", "pre", "BDI", 25.0),
            ("02", np.nan, "IQ", 100.0),
            ("01", "fu", "BDI", 5.0),
        ],
        columns=["participant_id", "session_id", "score", "value"],
    )
    table = score_table(scores, ["02", "01"])
    assert table[("IQ", "")].tolist()[0] == 100
    change = score_change(table, ("pre", "post"))
    np.testing.assert_array_equal(change["BDI"], [np.nan, -18])
    assert change["IQ"].isna().all()
