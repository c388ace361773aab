"""Centres of regions and matrices of edges."""

import numpy as np
import pandas as pd

from workflows.compute.region_places import edge_matrix, edge_regions, largest_edges, region_centres


def test_centres_are_in_mm_in_the_order_asked_for():
    labels = np.zeros((6, 6, 6), dtype=int)
    labels[1, 2, 3] = labels[3, 2, 3] = 5
    labels[0, 0, 0] = 2
    affine = np.diag([-2.0, 2, 2, 1])
    affine[:3, 3] = (10, 20, 30)
    centres = region_centres(labels, affine, [5, 9, 2])
    np.testing.assert_allclose(centres[0], [6, 24, 36])
    assert np.isnan(centres[1]).all()
    np.testing.assert_allclose(centres[2], [10, 20, 30])


def test_a_matrix_of_edges_is_symmetric_and_keeps_the_order():
    edges = pd.DataFrame(
        {"region_a": ["a", "a", "x"], "region_b": ["c", "b", "b"], "z": [0.3, -0.1, 9.0]}
    )
    matrix = edge_matrix(edges, ["a", "b", "c"], "z")
    expected = [[np.nan, -0.1, 0.3], [-0.1, np.nan, np.nan], [0.3, np.nan, np.nan]]
    np.testing.assert_array_equal(matrix, expected)


def test_regions_of_edges_come_in_the_order_of_their_first_appearance():
    edges = pd.DataFrame({"region_a": ["b", "b", "c"], "region_b": ["c", "a", "a"]})
    assert edge_regions(edges) == ["b", "c", "a"]


def test_the_largest_edges_come_first_whatever_their_sign():
    matrix = np.array([[9, 0.1, -0.5], [0.1, 9, np.nan], [-0.5, np.nan, 9]])
    assert largest_edges(matrix, 5) == [(0, 2, -0.5), (0, 1, 0.1)]
    assert largest_edges(matrix, 1) == [(0, 2, -0.5)]
