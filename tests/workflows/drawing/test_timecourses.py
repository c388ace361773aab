"""Motion traces and carpets: units, order and threshold."""

import numpy as np
import pandas as pd
import pytest

from workflows.drawing.timecourses import Carpet, Course, carpet, motion_trace


@pytest.fixture
def confounds():
    table = pd.DataFrame(
        0.0, index=range(4), columns=["trans_x", "trans_y", "trans_z", "rot_x", "rot_y", "rot_z"]
    )
    table["rot_y"] = [0, np.pi / 180, 0, 0]
    table["trans_z"] = [0, 0, 1.5, 0]
    table["framewise_displacement"] = [np.nan, 0.9, 0.5, 0.1]
    return table


def lines(axes):
    return {line.get_label(): line for line in axes.lines}


def test_rotations_are_in_degrees_and_translations_in_mm_over_seconds(confounds):
    figure = motion_trace(confounds, 2.0, 0.5)
    _, translations, rotations = figure.axes
    np.testing.assert_allclose(lines(rotations)["y"].get_ydata(), [0, 1, 0, 0])
    np.testing.assert_allclose(lines(translations)["z"].get_ydata(), [0, 0, 1.5, 0])
    np.testing.assert_array_equal(lines(rotations)["y"].get_xdata(), [0, 2, 4, 6])


def test_the_threshold_line_and_the_volumes_above_it_are_shown(confounds):
    displacement = motion_trace(confounds, 2.0, 0.5).axes[0]
    assert list(displacement.lines[1].get_ydata()) == [0.5, 0.5]
    # .5 is not above .5; the mean of .9, .5 and .1 is .5
    assert displacement.get_title("left") == "1 of 4 volumes above 0.5 mm; mean 0.50 mm"


def test_without_a_threshold_no_volume_is_counted(confounds):
    displacement = motion_trace(confounds, 2.0, None).axes[0]
    assert len(displacement.lines) == 1
    assert displacement.get_title("left") == "mean 0.50 mm"


@pytest.fixture
def course():
    return Course(
        2.5,
        np.array([np.nan, 0.1, 0.9, 0.2]),
        np.array([np.nan, 1.0, 2.0, 1.1]),
        np.array([False, False, True, False]),
        0.5,
    )


def test_rows_of_a_carpet_are_grouped_by_tissue_and_keep_their_time(course):
    signal = np.array([[-1.0, 1, 0, 0], [1, 1, 0, 0], [2, 0, 0, 0], [0, 0, 0, 3]])
    raw = Carpet(signal, np.array([3, 1, 2, 1]), "raw")
    axes = [axes for axes in carpet(raw, course, raw).axes if axes.images][0]
    shown = axes.images[0]
    np.testing.assert_array_equal(shown.get_array(), signal[[1, 3, 2, 0]])
    assert shown.get_extent() == [0, 10.0, 4, 0]
    names = [text.get_text() for text in axes.get_yticklabels()]
    assert names == ["grey matter", "white matter", "CSF"]


def test_volumes_that_are_left_out_are_marked_at_their_time_in_both_curves(course):
    signal = np.zeros((2, 4))
    cleaned = np.where(course.censored, np.nan, signal)
    tissue = np.array([1, 1])
    figure = carpet(Carpet(signal, tissue, "raw"), course, Carpet(cleaned, tissue, "clean"))
    displacement, dvars = figure.axes[0], figure.axes[2]
    for axes in (displacement, dvars):
        (mark,) = axes.patches
        assert mark.get_extents().transformed(axes.transData.inverted()).intervalx.tolist() == (
            pytest.approx([5.0, 7.5])
        )
    np.testing.assert_allclose(displacement.lines[0].get_xdata(), [1.25, 3.75, 6.25, 8.75])
    assert list(displacement.lines[1].get_ydata()) == [0.5, 0.5]
    assert displacement.get_title("left") == "1 of 4 volumes left out (orange)"
    before, after = (axes for axes in figure.axes if axes.images)
    assert not np.ma.getmaskarray(before.images[0].get_array()).any()
    np.testing.assert_array_equal(
        np.ma.getmaskarray(after.images[0].get_array()), [course.censored] * 2
    )
    assert (before.get_title("left"), after.get_title("left")) == ("raw", "clean")


def test_tissue_that_does_not_fit_the_signal_is_refused():
    with pytest.raises(ValueError, match="tissue"):
        Carpet(np.zeros((3, 4)), np.ones(4), "raw")
