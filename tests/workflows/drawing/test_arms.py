"""Arms keep their look, and legends get the room they need."""

import pytest

from workflows.drawing.arms import arm_legend, arm_styles, legend_height_in
from workflows.drawing.canvas import blank_figure


def test_arms_differ_in_colour_and_marker_in_the_order_given():
    styles = arm_styles(["wait", "CBT", "wait", "drug", "a", "b", "c"])
    assert list(styles) == ["wait", "CBT", "drug", "a", "b", "c"]
    assert len({colour for colour, _ in styles.values()}) == 6
    assert len({marker for _, marker in styles.values()}) == 6
    assert styles["CBT"] == arm_styles(["x", "CBT"])["CBT"]


def test_long_names_take_more_rows_than_short_ones():
    short = {name: name for name in "abcdef"}
    long = {name: name * 40 for name in "abcdef"}
    assert legend_height_in(short, 10) == pytest.approx(0.2)
    # 40 letters and a mark: three of 140 letters a row
    assert legend_height_in(long, 10) == pytest.approx(0.4)
    assert legend_height_in({"a": "word " * 60}, 10) == pytest.approx(0.6)


def test_a_single_arm_without_a_name_has_no_legend():
    figure = blank_figure(5, 5)
    arm_legend(figure, arm_styles([""]), {"": ""}, 0.1)
    assert figure.legends == []
    assert legend_height_in({"": ""}, 5) == 0
