"""Measures of one scan."""

import numpy as np
import pandas as pd
import pytest

from workflows.compute.measures import (
    MEASURE_COLUMNS,
    average_runs,
    edge_labels,
    edge_vector,
    mean_connectivity,
    measure_rows,
    poor_fit,
)

MATRIX = np.array(
    [[9.0, 0.1, 0.2, 0.3], [0.1, 9, 0.4, 0.5], [0.2, 0.4, 9, 0.6], [0.3, 0.5, 0.6, 9]]
)


def test_edges_and_their_labels_have_the_same_order():
    labels = edge_labels(["a", "b", "c", "d"])
    edges = dict(zip(labels["region_a"] + labels["region_b"], edge_vector(MATRIX), strict=True))
    assert edges == {"ab": 0.1, "ac": 0.2, "ad": 0.3, "bc": 0.4, "bd": 0.5, "cd": 0.6}


def test_runs_are_weighted_by_clean_minutes_and_holes_by_the_others():
    runs = np.array([[0.2, 0.1, np.nan], [0.6, np.nan, np.nan]])
    np.testing.assert_allclose(average_runs(runs, np.array([3.0, 1.0])), [0.3, 0.1, np.nan])


def test_one_run_is_its_own_average():
    np.testing.assert_array_equal(average_runs(MATRIX[None], np.array([4.2])), MATRIX)


def test_runs_without_clean_minutes_are_refused():
    with pytest.raises(ValueError, match="clean_minutes: one number above 0 per run"):
        average_runs(MATRIX[None], np.array([0.0]))


def test_mean_connectivity_leaves_the_diagonal_out():
    np.testing.assert_allclose(mean_connectivity(MATRIX[None])[0], [0.2, 1 / 3, 0.4, 1.4 / 3])


def test_a_region_lost_in_one_session_does_not_change_the_others():
    lost = MATRIX.copy()
    lost[3], lost[:, 3] = np.nan, np.nan
    first, second = mean_connectivity(np.array([MATRIX, lost]))
    np.testing.assert_allclose(first, [0.15, 0.25, 0.3, 1.4 / 3])
    np.testing.assert_allclose(second, [0.15, 0.25, 0.3, np.nan])


def test_mean_connectivity_follows_the_order_of_regions_and_sessions():
    other = MATRIX * 2
    order = [2, 0, 3, 1]
    straight = mean_connectivity(np.array([MATRIX, other]))
    turned = mean_connectivity(np.array([other, MATRIX])[:, order][:, :, order])
    np.testing.assert_allclose(turned, straight[::-1][:, order])


@pytest.mark.parametrize(
    ("matrix", "message"),
    [(np.ones((2, 3)), "expected a square"), (np.triu(np.ones((3, 3))), "not symmetric")],
)
def test_what_is_no_connectivity_matrix_is_refused(matrix, message):
    with pytest.raises(ValueError, match=message):
        edge_vector(matrix)


def test_missing_regions_keep_their_row():
    values = pd.Series([1.5, np.nan], index=["x", "y"])
    table = measure_rows(("01", "pre", "T1w"), "volume", "ml", values, "A")
    assert list(table.columns) == MEASURE_COLUMNS
    assert table["region"].tolist() == ["x", "y"]
    assert table["qc"].tolist() == ["ok", "missing"]
    assert table["value"].iloc[0] == 1.5


def test_errors_and_fit_belong_to_their_region_and_a_missing_value_has_neither():
    values = pd.Series([1.5, np.nan, 2.5], index=["x", "y", "z"])
    known = pd.DataFrame(
        {"standard_error": [0.1, 0.2, np.nan], "poor_fit": [True, True, False]}, values.index
    )
    table = measure_rows(("01", "pre", "T1w"), "volume", "ml", values, "A", known)
    np.testing.assert_array_equal(table["standard_error"], [0.1, np.nan, np.nan])
    assert table["qc"].tolist() == ["residual", "missing", "ok"]


def test_a_residual_stands_out_above_two_medians_of_the_scan():
    # the median of 1, 1.5, 2, 3.1 and 9 is 2
    found = poor_fit(np.array([1.5, 9, np.nan, 1, 4.0, 2]))
    assert found.tolist() == [False, True, False, False, False, False]
    assert poor_fit(np.array([1.5, 9, 1, 4.1, 2])).tolist() == [False, True, False, True, False]
    assert not poor_fit(np.array([np.nan, np.nan])).any()
