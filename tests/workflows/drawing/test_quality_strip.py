"""Outliers of quality are on the side where worse is, ringed and named."""

import numpy as np
import pandas as pd
import pytest

from workflows.drawing.canvas import png_bytes
from workflows.drawing.hover import told_by
from workflows.drawing.quality_strip import FURTHEST_Z, MOST_TOLD, quality_strip


def scores(**changes):
    """Two measures of three people in two sessions; sub-03 is far out at ses-post in the first."""
    rows = [
        (row, f"sub-0{n}", session, z, False)
        for row, shift in (("snr", 0.0), ("wm2max", 0.5))
        for n in (1, 2, 3)
        for session, z in (("pre", n - 2 + shift), ("post", n - 1.8 + shift))
    ]
    table = pd.DataFrame(rows, columns=["row", "participant_id", "session_id", "z", "both"])
    table["both"] = table["row"] == "wm2max"
    table["stands_out"], table["limit"] = False, 3.5
    table.loc[5, ["z", "stands_out"]] = [20.0, True]
    return table.assign(**changes)


def points_of(axes):
    """Places of all filled dots, as (x, row)."""
    filled = [
        dots for dots in axes.collections if getattr(dots, "get_sizes", lambda: [0])()[0] < 50
    ]
    places = [dots.get_offsets() for dots in filled if len(dots.get_offsets())]
    return np.vstack([np.asarray(place) for place in places if np.asarray(place).any()])


def test_each_scan_is_a_dot_in_the_row_of_its_measure_and_worse_is_right():
    axes = quality_strip(scores()).axes[0]
    points = points_of(axes)
    assert len(points) == 12
    first = points[np.round(points[:, 1]) == 0]
    np.testing.assert_allclose(np.sort(first[:, 0]), [-1, -0.8, 0, 0.2, 1, FURTHEST_Z])
    # the earlier session lies higher
    assert axes.yaxis_inverted()
    far = first[first[:, 0] == FURTHEST_Z][0]
    near = first[first[:, 0] == 1][0]
    assert far[1] > near[1]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["snr", "wm2max"]


def test_who_stands_out_is_named_and_joined_with_the_other_session():
    axes = quality_strip(scores()).axes[0]
    assert [text.get_text() for text in axes.texts] == ["sub-03"]
    (line,) = [line for line in axes.lines if len(line.get_xdata()) == 2 and line.get_zorder() == 2]
    assert list(line.get_xdata()) == [1, FURTHEST_Z]


def test_many_names_are_counted():
    table = scores(stands_out=True, z=[4.0, 4, 4.2, 4, 4.1, 4] * 2)
    texts = [text.get_text() for text in quality_strip(table).axes[0].texts]
    assert texts == ["sub-02, sub-03 and 1 more"] * 2


def test_the_same_scores_give_the_same_picture_and_none_give_an_error():
    assert png_bytes(quality_strip(scores())) == png_bytes(quality_strip(scores()))
    with pytest.raises(ValueError, match="scores: no measure has a robust z"):
        quality_strip(scores(z=np.nan))


def test_very_many_sessions_have_one_colour_and_no_legend():
    table = pd.concat([scores(session_id=f"d{n}") for n in range(9)])
    assert quality_strip(table).legends == []
    assert len(quality_strip(scores()).legends[0].get_texts()) == 2


def told(table):
    figure = quality_strip(table)
    png_bytes(figure)
    return [words for _, _, words, _ in told_by(figure)["spots"]]


def test_each_dot_tells_whose_it_is_in_a_large_cohort_only_those_that_stand_out():
    assert len(told(scores())) == 12
    out = "sub-03 ses-post: snr, robust z 20.0, stands out"
    assert out in told(scores())
    many = pd.concat([scores(stands_out=False)] * (MOST_TOLD // 12), ignore_index=True)
    assert told(pd.concat([scores(), many], ignore_index=True)) == [out]
