"""Small counts, and what would give them away, are hidden."""

import numpy as np
import pandas as pd
import pytest

from workflows.compute.small_cells import (
    hidden_cells,
    without_hidden_rates,
    without_small_cells,
)


def test_one_small_cell_takes_three_others_with_it():
    # 3 of 10 in the first arm could be had from 10 - 7, and from the total of both arms - 6
    counts = np.array([[3.0, 7, 20], [6, 9, 30]])
    hidden = hidden_cells(counts)
    assert hidden.tolist() == [[True, True, False], [True, True, False]]


def test_large_counts_and_zeros_are_shown():
    assert not hidden_cells(np.array([[0.0, 5], [12, 7]])).any()


def test_no_row_or_column_has_a_single_hidden_cell():
    rng = np.random.default_rng(3)
    for _ in range(50):
        counts = rng.integers(0, 30, (3, 4)).astype(float)
        hidden = hidden_cells(counts)
        assert hidden[(counts > 0) & (counts < 5)].all()
        assert 1 not in hidden.sum(axis=0)
        assert 1 not in hidden.sum(axis=1)


def test_a_cell_alone_is_hidden_and_missing_cells_stay():
    assert hidden_cells(np.array([[4.0]])).tolist() == [[True]]
    assert hidden_cells(np.array([[4.0, np.nan]])).tolist() == [[True, False]]


@pytest.mark.parametrize(("fewest", "expected"), [(3, [False, False]), (11, [True, True])])
def test_the_limit_can_be_chosen(fewest, expected):
    assert hidden_cells(np.array([[10.0, 12.0]]), fewest).tolist() == [expected]


def flow(*rows):
    return pd.DataFrame(rows, columns=["step", "arm", "n"])


def test_a_small_arm_and_the_one_that_would_give_it_away_are_hidden():
    table = flow(
        ("scanned", "all", 30), ("scanned", "A", 3), ("scanned", "B", 12), ("scanned", "C", 15)
    )
    shown = without_small_cells(table, 5)["n"]
    assert shown.fillna(-1).tolist() == [30, -1, -1, 15]


def test_with_two_arms_the_total_cannot_be_used_to_find_the_small_one():
    table = flow(("scanned", "all", 15), ("scanned", "A", 3), ("scanned", "B", 12))
    assert without_small_cells(table, 5)["n"].isna().tolist() == [False, True, True]


def test_counts_that_are_large_enough_or_zero_stay():
    table = flow(("scanned", "all", 15), ("scanned", "A", 0), ("scanned", "B", 15))
    assert without_small_cells(table, 5)["n"].tolist() == [15, 0, 15]


def test_few_people_without_the_outcome_hide_the_rate_too():
    table = pd.DataFrame(
        {"arm": ["A", "B"], "n_with_outcome": [18, 10], "n": [20, 20], "rate": [0.9, 0.5]}
    )
    shown = without_small_cells(table, 5)
    assert shown["rate"].isna().all()
    alone = without_small_cells(table.drop(columns="arm"), 5)
    assert alone["rate"].isna().tolist() == [True, False]


def test_counts_of_arms_in_a_text_are_hidden_together_and_numbers_of_tests_stay():
    table = pd.DataFrame({"n": [9, 40], "n_per_arm": ["A=4;B=5", "A=20;B=20"], "n_edges": [3, 3]})
    shown = without_small_cells(table, 5)
    assert shown["n_per_arm"].fillna("").tolist() == ["", "A=20;B=20"]
    assert shown["n_edges"].tolist() == [3, 3]


def test_small_numbers_in_notes_are_not_told():
    table = pd.DataFrame({"note": ["not tested: 2 participants, 5 needed", "12 people", None]})
    notes = without_small_cells(table, 5)["note"].fillna("").tolist()
    assert notes == ["not tested: fewer than 5 participants, 5 needed", "12 people", ""]


def test_a_difference_goes_with_the_rates_it_is_made_of():
    rates = pd.DataFrame({"score": ["x"] * 3, "arm": ["A", "B", "C"], "rate": [0.2, np.nan, 0.4]})
    differences = pd.DataFrame(
        {"score": ["x", "x"], "arm": ["A", "B"], "reference": "C", "difference": [-0.2, 0.1]}
    )
    shown = without_hidden_rates(differences, rates)["difference"]
    assert shown.fillna(9).tolist() == [-0.2, 9]


@pytest.mark.parametrize(
    ("item", "text", "shown"),
    [
        ("events", "3 of 40 rows", "fewer than 5 rows with or without it"),
        ("events", "38 of 40 rows", "fewer than 5 rows with or without it"),
        ("events", "20 of 40 rows", "20 of 40 rows"),
        ("left out", "2 no score; 12 no scan", "fewer than 5 no score; 12 no scan"),
        ("participants", "4 with 4 rows", "fewer than 5"),
        ("participants", "40 with 80 rows", "40 with 80 rows"),
        (
            "treatment selection",
            "not done: too few to choose treatments: 3 in arm 'x', 20 needed",
            "not done: too few to choose treatments: fewer than 5 in arm 'x', 20 needed",
        ),
        ("validation", "2 repeats of 3 folds", "2 repeats of 3 folds"),
    ],
)
def test_facts_of_a_prediction_do_not_tell_small_numbers_of_people(item, text, shown):
    table = pd.DataFrame({"item": [item], "text": [text]})
    assert without_small_cells(table, 5)["text"].tolist() == [shown]
