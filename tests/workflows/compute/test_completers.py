"""Completers and dropouts."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from workflows.compute.completers import (
    COMPLETER_COLUMNS,
    NOT_SHOWN,
    compare_completers,
    cramers_v,
)

BTHEB = Path(__file__).parents[2] / "data" / "btheb.csv"


@pytest.fixture
def people():
    return pd.DataFrame(
        {
            "age": [20.0, 30, 40, 50, 60, np.nan],
            "sex": ["f", "f", "m", "m", "m", "f"],
            "site": [1.0, 1, 2, 3, 3, 2],
        },
        index=["a", "b", "c", "d", "e", "g"],
    )


COMPLETED = pd.Series({"a": True, "b": True, "c": True, "d": False, "e": False})
ARMS = pd.Series({"a": "x", "b": "x", "c": "y", "d": "x", "e": "y", "g": ""})


def test_numbers_by_hand(people):
    table = compare_completers(people[["age"]], COMPLETED, ARMS, 0.95)
    assert list(table.columns) == COMPLETER_COLUMNS
    row = table.iloc[0]
    assert row[["arm", "n_completers", "n_dropouts"]].tolist() == ["all", 3, 2]
    assert row[["completers_mean", "dropouts_mean"]].tolist() == [30, 55]
    assert row["completers_sd"] == pytest.approx(10)
    assert row["dropouts_sd"] == pytest.approx(np.sqrt(50))
    # pooled SD sqrt((2 x 100 + 1 x 50) / 3), factor 1 - 3 / 11
    d, factor = -25 / np.sqrt(250 / 3), 1 - 3 / 11
    assert row["effect_size"] == pytest.approx(d * factor)
    # noncentral t with 3 df leaves 2.5 % beyond the observed one at these effects
    assert row["effect_low"] == pytest.approx(-5.4108, abs=0.005)
    assert row["effect_high"] == pytest.approx(0.0743, abs=0.015)


def test_categories_are_counted_by_level(people):
    table = compare_completers(people[["sex", "site"]], COMPLETED, ARMS, 0.95)
    both = table[table["arm"] == "all"].set_index(["characteristic", "level"])
    counts = both[["completers_count", "dropouts_count"]]
    assert counts.loc["sex"].to_numpy().tolist() == [[2, 1], [1, 2]]
    assert counts.loc["site"].to_numpy().tolist() == [[2, 0], [1, 1], [0, 2]]
    assert both["effect_size_name"].tolist() == ["phi", "", "Cramer V", "", ""]
    assert both.loc[("sex", "f"), "effect_size"] == pytest.approx(1 / 3)


def test_each_arm_is_compared_by_itself(people):
    table = compare_completers(people[["age"]], COMPLETED, ARMS, 0.95).set_index("arm")
    assert table.index.tolist() == ["all", "x", "y"]
    assert table.loc["x", ["n_completers", "n_dropouts"]].tolist() == [2, 1]
    assert np.isnan(table.loc["x", "effect_size"])
    assert table.loc["x", "note"].startswith("fewer than 2 people in a group")


def test_every_row_says_what_cannot_be_concluded(people):
    table = compare_completers(people, COMPLETED, ARMS, 0.95)
    assert table["note"].str.endswith(NOT_SHOWN).all()
    assert "cannot show that data are missing at random" in NOT_SHOWN


def test_exchanging_the_groups_flips_the_sign(people):
    stayed = COMPLETED.reindex(people.index).fillna(False).astype(bool)
    one = compare_completers(people[["age"]], stayed, ARMS, 0.95).iloc[0]
    other = compare_completers(people[["age"]], ~stayed, ARMS, 0.95).iloc[0]
    assert other["effect_size"] == pytest.approx(-one["effect_size"])
    assert other["effect_low"] == pytest.approx(-one["effect_high"])


def test_who_is_not_listed_as_completed_dropped_out(people):
    table = compare_completers(people[["sex"]], COMPLETED[:2], ARMS, 0.95)
    assert table[["n_completers", "n_dropouts"]].iloc[0].tolist() == [2, 4]


def test_cramers_v_of_a_published_table():
    # chi-square of [[10, 20], [30, 40]] is .7937 without correction: V = sqrt(.7937 / 100)
    assert cramers_v(np.array([[10, 20], [30, 40]])) == pytest.approx(0.0891, abs=5e-5)
    assert cramers_v(np.array([[5, 0], [0, 7]])) == pytest.approx(1)
    assert cramers_v(np.array([[5, 0, 0], [0, 7, 0], [0, 0, 3]])) == pytest.approx(1)


def test_one_level_or_nobody_has_no_association():
    assert np.isnan(cramers_v(np.array([[5, 3], [0, 0]])))
    assert np.isnan(cramers_v(np.array([[5, 0], [3, 0]])))


def test_beat_the_blues_at_8_months():
    table = pd.read_csv(BTHEB, dtype={"subject": str}).set_index("subject")
    found = compare_completers(
        table[["bdi.pre", "drug"]], table["bdi.8m"].notna(), table["treatment"], 0.95
    )
    row = found[(found["arm"] == "all") & (found["characteristic"] == "bdi.pre")].iloc[0]
    there = table["bdi.8m"].notna()
    assert (row["n_completers"], row["n_dropouts"]) == (there.sum(), (~there).sum()) == (52, 48)
    assert row["completers_mean"] == pytest.approx(table["bdi.pre"][there].mean())
    assert len(found) == 3 * 3
