"""Motion traces and carpets: units, order and threshold."""

import numpy as np
import pandas as pd
import pytest

from workflows.drawing.timecourses import carpet, motion_trace, standardised


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


def test_rows_of_a_carpet_are_grouped_by_tissue():
    signal = np.array([[0.0, 2], [3, 1], [0, 4], [5, 5]])
    figure = carpet(signal, np.array([3, 1, 2, 1]), 2.5)
    shown = figure.axes[0].images[0]
    np.testing.assert_array_equal(shown.get_array(), [[1, -1], [0, 0], [-1, 1], [-1, 1]])
    assert shown.get_extent() == [0, 5.0, 4, 0]
    names = [text.get_text() for text in figure.axes[0].get_yticklabels()]
    assert names == ["grey matter", "white matter", "CSF"]


def test_a_constant_voxel_is_zero_and_others_have_unit_spread():
    rows = standardised(np.array([[1.0, 1, 1], [1, 2, 3]]))
    np.testing.assert_array_equal(rows[0], 0)
    assert rows[1].mean() == pytest.approx(0)
    assert rows[1].std() == pytest.approx(1)


def test_tissue_that_does_not_fit_the_signal_is_refused():
    with pytest.raises(ValueError, match="tissue"):
        carpet(np.zeros((3, 4)), np.ones(4), 2.0)
