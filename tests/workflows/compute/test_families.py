"""Families of tests from tables and arrays."""

import numpy as np
import pandas as pd
import pytest

from workflows.compute.families import edge_family, pair_participants, region_families, score_change

PAIR = ("pre", "post")


@pytest.fixture
def changes():
    rows = [
        ("02", "pre", "post", "volume", "z", 1.0, 2.0),
        ("02", "pre", "post", "volume", "a", 3.0, 5.0),
        ("01", "pre", "post", "volume", "z", 10.0, 20.0),
        ("01", "pre", "fu", "volume", "z", 10.0, 99.0),
        ("03", "post", "fu", "volume", "z", 7.0, 8.0),
        ("01", "pre", "post", "thickness", "z", 2.0, 2.5),
    ]
    names = ["participant_id", "baseline", "followup", "measure", "region", "baseline_value"]
    table = pd.DataFrame(rows, columns=[*names, "followup_value"])
    return table.assign(modality="T1w", atlas="A", unit="ml")


def test_only_people_with_the_tested_pair_are_in_whatever_the_order_of_rows(changes):
    assert pair_participants(changes, PAIR) == ["01", "02"]
    assert pair_participants(changes[::-1], PAIR) == ["01", "02"]


def test_regions_keep_their_order_and_missing_ones_are_nan(changes):
    volume, thickness = region_families(changes, PAIR, ["01", "02"])
    assert volume.labels["region"].tolist() == ["z", "a"]
    np.testing.assert_array_equal(volume.change, [[10, np.nan], [1, 2]])
    np.testing.assert_array_equal(thickness.change, [[0.5], [np.nan]])
    assert volume.name == "T1w volume A"


def test_edges_are_placed_by_participant():
    values = np.arange(8.0).reshape(4, 2) ** 2
    rows = pd.DataFrame({"p": ["02", "01"], "first": [0, 3], "last": [2, 1]})
    edges = pd.DataFrame({"region_a": ["x", "x"], "region_b": ["y", "z"]})
    family = edge_family(values, rows, edges, ["01", "02", "03"], ("bold", "A"))
    expected = [values[1] - values[3], values[2] - values[0], [np.nan, np.nan]]
    np.testing.assert_array_equal(family.change, expected)
    assert family.labels["region_b"].tolist() == ["y", "z"]


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
    change = score_change(scores, PAIR, ["02", "01"])
    np.testing.assert_array_equal(change["BDI"], [np.nan, -18])
    assert change["IQ"].isna().all()
