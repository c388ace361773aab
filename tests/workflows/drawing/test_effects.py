"""Intervals and scatters: order, marks and missing people."""

import numpy as np
import pandas as pd

from workflows.drawing.canvas import png_bytes
from workflows.drawing.effects import change_scatter, interval_plot


def test_the_first_row_is_on_top_and_only_significant_dots_are_filled():
    rows = pd.DataFrame(
        {
            "label": ["first", "second"],
            "estimate": [1.0, -2.0],
            "ci_low": [0.5, -5.0],
            "ci_high": [1.5, 1.0],
            "significant": [True, False],
        }
    )
    axes = interval_plot(rows, "change (ml)", "significant").axes[0]
    intervals, dots = axes.lines[0:4:2], axes.lines[1:4:2]
    np.testing.assert_array_equal(intervals[0].get_xydata(), [[0.5, 1], [1.5, 1]])
    np.testing.assert_array_equal(intervals[1].get_xydata(), [[-5, 0], [1, 0]])
    np.testing.assert_array_equal(dots[1].get_xydata(), [[-2, 0]])
    assert dots[0].get_markerfacecolor() != "white"
    assert dots[1].get_markerfacecolor() == "white"
    names = dict(zip(axes.get_yticks(), axes.get_yticklabels(), strict=True))
    assert names[1].get_text() == "first"
    assert axes.get_xlabel() == "change (ml)"


def test_people_without_both_changes_are_not_counted():
    points = pd.DataFrame({"x": [1.0, np.nan, 3], "y": [-1.0, 2, -3], "arm": ["CBT", "CBT", "WL"]})
    axes = change_scatter(points, "BDI", "volume", "t").axes[0]
    labels = [text.get_text() for text in axes.get_legend().get_texts()]
    assert labels == ["CBT (n = 1)", "WL (n = 1)"]
    np.testing.assert_array_equal(axes.collections[1].get_offsets(), [[3, -3]])


def test_a_dollar_sign_in_a_name_is_no_formula():
    points = pd.DataFrame({"x": [1.0], "y": [1.0], "arm": ["$\\frac$"]})
    figure = change_scatter(points, "$x^$", "$y_$", "$")
    assert png_bytes(figure).startswith(b"\x89PNG")
