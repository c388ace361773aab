"""Small counts, and what would give them away, are hidden."""

import numpy as np
import pytest

from workflows.compute.small_cells import hidden_cells


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
