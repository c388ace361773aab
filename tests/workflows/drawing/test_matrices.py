"""Matrices and connections: values, names and sides."""

import numpy as np
import pytest

from workflows.drawing.matrices import connections_on_brain, region_matrix


def test_a_matrix_keeps_the_order_of_its_names_and_hides_missing_values():
    values = np.array([[np.nan, 0.5, -0.1], [0.5, np.nan, 0.2], [-0.1, 0.2, np.nan]])
    axes = region_matrix(values, ["a", "b", "c"], "Fisher z").axes[0]
    assert [text.get_text() for text in axes.get_yticklabels()] == ["a", "b", "c"]
    shown = axes.images[0].get_array()
    assert shown[0, 1] == 0.5
    assert shown[2, 0] == -0.1
    assert shown.mask.tolist() == np.eye(3, dtype=bool).tolist()


def test_colours_of_a_matrix_are_symmetric_about_zero():
    image = region_matrix(np.array([[0, 0.4], [0.1, 0]]), ["a", "b"], "z").axes[0].images[0]
    assert image.norm.vmin == -image.norm.vmax


def test_names_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="names"):
        region_matrix(np.zeros((2, 2)), ["a"], "z")


def test_groups_are_parted_by_lines_and_named_over_their_middle():
    groups = ["Visual", "Visual", "Default", "Default", "Default", "other"]
    axes = region_matrix(np.zeros((6, 6)), list("abcdef"), "z", groups, "t").axes[0]
    lines = [line.get_xydata().tolist() for line in axes.lines]
    assert lines == [
        [[0, 1.5], [1, 1.5]],
        [[1.5, 0], [1.5, 1]],
        [[0, 4.5], [1, 4.5]],
        [[4.5, 0], [4.5, 1]],
    ]
    named = {text.get_text(): text.xy for text in axes.texts}
    assert named == {"Visual": (0.5, -0.5), "Default": (3, -0.5)}


def test_a_connection_joins_its_regions_with_left_on_the_left():
    mask = np.zeros((5, 6, 7), dtype=bool)
    mask[1:4, 1:5, 1:6] = True
    affine = np.diag([10.0, 10, 10, 1])
    affine[:3, 3] = -20
    places = np.array([[-15.0, 5, 12], [15, -5, 3], [0, 0, 0]])
    figure = connections_on_brain([(0, 1, -0.3)], places, (mask, affine), "z")
    right, behind, above = figure.axes[:3]
    assert behind.get_title() == "from behind"
    np.testing.assert_array_equal(right.lines[0].get_xydata(), [[5, 12], [-5, 3]])
    np.testing.assert_array_equal(behind.lines[0].get_xydata(), [[-15, 12], [15, 3]])
    np.testing.assert_array_equal(above.lines[0].get_xydata(), [[-15, 5], [15, -5]])
    letters = {text.get_text(): text.get_position()[0] for text in above.texts}
    assert letters["L"] < letters["R"]
