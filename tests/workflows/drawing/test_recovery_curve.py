"""Time to response: steps, people still followed, medians."""

import numpy as np
import pandas as pd
import pytest

from workflows.compute.trajectories import time_to_event
from workflows.drawing.canvas import png_bytes
from workflows.drawing.recovery_curve import recovery_curve


@pytest.fixture
def curves():
    times = np.array([2.0, 2, 3, 5, 5, 8, 4, 4])
    happened = np.array([1, 1, 0, 1, 0, 0, 1, 0], dtype=bool)
    arms = np.array(["CBT"] * 6 + ["wait"] * 2, dtype=object)
    return time_to_event(times, happened, arms, 0.95)


def test_curves_rise_in_steps_from_zero(curves):
    axes = recovery_curve(curves, "response", "session").axes[0]
    line = axes.lines[0]
    assert line.get_drawstyle() == "steps-post"
    np.testing.assert_allclose(line.get_xdata(), [0, 2, 3, 5, 8])
    np.testing.assert_allclose(line.get_ydata(), [0, 1 / 3, 1 / 3, 5 / 9, 5 / 9])
    assert axes.get_ylabel() == "share with response"


def test_people_who_left_are_marked_where_they_left(curves):
    axes = recovery_curve(curves, "response", "session").axes[0]
    marks = next(line for line in axes.lines if line.get_marker() == "o")
    np.testing.assert_allclose(marks.get_xdata(), [3, 5, 8])


def test_the_legend_counts_and_names_the_median(curves):
    figure = recovery_curve(curves, "response", "session")
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    assert labels == ["CBT: 3 of 6 with response, median 5", "wait: 1 of 2 with response, median 4"]


def test_the_table_says_who_is_still_followed(curves):
    axes = recovery_curve(curves, "response", "session").axes[0]
    cbt = {}
    first_row = axes.texts[1].get_position()[1]
    for text in axes.texts[3:]:
        if text.get_position()[1] == first_row:
            cbt[text.get_position()[0]] = text.get_text()
    # at risk before the event of that time: 6 at 0 and 2, 3 at 4, 1 at 6 and 8
    assert [cbt[time] for time in (0, 2, 4, 6, 8)] == ["6", "6", "3", "1", "1"]


def test_bands_are_left_out_where_they_would_hide_each_other(curves):
    many = pd.concat([curves[curves["arm"] == "CBT"].assign(arm=f"arm {n}") for n in range(4)])
    assert len(recovery_curve(many, "response", "session").axes[0].collections) == 0
    assert len(recovery_curve(curves, "response", "session").axes[0].collections) == 2


def test_no_rows_and_dollar_signs_are_drawn(curves):
    assert png_bytes(recovery_curve(curves[:0], "$r^", "$t_")).startswith(b"\x89PNG")
