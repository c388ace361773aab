"""Courses over sessions: order of time, people under each point, gaps."""

import numpy as np
import pytest

from workflows.compute.trajectories import session_means
from workflows.drawing.canvas import png_bytes
from workflows.drawing.trajectory import TrajectoryText, trajectory_plot

VALUES = np.array([[30.0, 20, 10], [20, np.nan, 16], [25, 24, np.nan], [np.nan, 7, np.nan]])
ARMS = np.array(["CBT", "CBT", "wait", "wait"], dtype=object)
SESSIONS = ("pre", "mid", "fu")


def drawn(values=VALUES, arms=ARMS, sessions=SESSIONS):
    means = session_means(values, arms, sessions, 0.95)
    return trajectory_plot(values, arms, means, TrajectoryText("BDI", "t"))


def test_sessions_are_in_time_order_with_the_people_under_each_point():
    panels = drawn().axes
    assert [panel.get_title("left") for panel in panels] == ["CBT", "wait"]
    labels = [text.get_text() for text in panels[0].get_xticklabels()]
    assert labels == ["pre\nn = 2", "mid\nn = 1", "fu\nn = 2"]


def test_the_mean_of_each_arm_is_thick_and_that_of_the_others_dashed():
    panel = drawn().axes[0]
    thick = next(line for line in panel.lines if line.get_linewidth() == 2.4)
    np.testing.assert_allclose(thick.get_ydata(), [25, 20, 13])
    other = next(line for line in panel.lines if line.get_linewidth() == 1.1)
    np.testing.assert_allclose(other.get_ydata(), [25, 15.5, np.nan])
    assert other.is_dashed()


def test_a_missing_session_is_bridged_by_dots_and_a_single_value_is_a_point():
    first, second = drawn().axes
    faint = [line for line in first.lines if line.get_linewidth() == 0.9]
    assert [line.get_linestyle() for line in faint] == ["-", "-", ":"]
    np.testing.assert_array_equal(faint[2].get_xdata(), [0, 2])
    np.testing.assert_array_equal(faint[2].get_ydata(), [20, 16])
    single = [line for line in second.lines if line.get_linewidth() == 0.9][-1]
    assert (single.get_marker(), single.get_ydata()[0]) == (".", 7)


def test_six_arms_fill_two_rows_and_share_their_scale():
    arms = np.array([f"arm {number % 6} with a long name of a treatment" for number in range(24)])
    figure = drawn(np.random.default_rng(0).normal(size=(24, 3)), arms.astype(object))
    assert len(figure.axes) == 6
    assert figure.get_figwidth() <= 10
    assert len({panel.get_ylim() for panel in figure.axes}) == 1


@pytest.mark.parametrize("n_sessions", [1, 15])
def test_one_person_and_one_or_many_sessions_are_drawn(n_sessions):
    names = tuple(f"{number:02d}" for number in range(n_sessions))
    figure = drawn(np.ones((1, n_sessions)), np.array(["a"], dtype=object), names)
    assert png_bytes(figure).startswith(b"\x89PNG")


def test_values_that_do_not_fit_the_means_are_refused():
    means = session_means(VALUES, ARMS, SESSIONS, 0.95)
    with pytest.raises(ValueError, match="values"):
        trajectory_plot(VALUES[:, :2], ARMS, means, TrajectoryText("BDI"))
