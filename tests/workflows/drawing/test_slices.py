"""Slices: sides, cuts and outlines are where they belong."""

import numpy as np
import pytest

from workflows.drawing.slices import (
    CONVENTION,
    Outline,
    Paint,
    Volume,
    cut_indices,
    outlined_slices,
    painted_rows,
    painted_slices,
    painted_values,
    plane_of,
    row_cuts,
)

AFFINE = np.diag([2.0, 2.0, 2.0, 1.0])


def panel(figure, row, column=3):
    return figure.axes[7 * row + column]


def outline_points(axes):
    paths = [path for drawn in axes.collections for path in drawn.get_paths()]
    return np.concatenate([path.vertices for path in paths if len(path.vertices)])


def texts(axes):
    return {text.get_text(): text.get_position() for text in axes.texts}


@pytest.fixture
def brain():
    """A brain of 20 x 24 x 16 voxels of 2 mm with a blob far right, in front and on top."""
    data = np.zeros((20, 24, 16))
    data[2:18, 2:22, 2:14] = 1
    blob = np.zeros(data.shape, dtype=bool)
    blob[13:17, 5:19, 4:12] = True
    return Volume(data, AFFINE), data > 0, blob


def test_the_right_of_the_participant_is_on_the_right_of_axial_and_coronal_slices(brain):
    volume, focus, blob = brain
    figure = outlined_slices(volume, (Outline(blob, "red", "blob"),), focus, "t")
    for row in (1, 2):
        x = outline_points(panel(figure, row))[:, 0]
        # voxels 13..16 of 2 mm: their edges at half height are 13 and 17 voxels from the left
        assert x.min() == pytest.approx(26, abs=0.01)
        assert x.max() == pytest.approx(34, abs=0.01)
        place = texts(panel(figure, row, 0))
        assert place["L"][0] < place["R"][0]


def test_sagittal_slices_have_the_front_on_the_right_and_the_top_up(brain):
    volume, focus, _ = brain
    front_top = np.zeros(focus.shape, dtype=bool)
    front_top[2:18, 17:21, 10:13] = True
    figure = outlined_slices(volume, (Outline(front_top, "red", "x"),), focus, "t")
    points = outline_points(panel(figure, 0))
    assert points.min(axis=0) == pytest.approx([34, 20], abs=0.01)
    assert points.max(axis=0) == pytest.approx([42, 26], abs=0.01)
    place = texts(panel(figure, 0, 0))
    assert place["P"][0] < place["A"][0]


def test_the_convention_is_written_on_the_picture(brain):
    volume, focus, _ = brain
    figure = outlined_slices(volume, (), focus, "t")
    assert CONVENTION in [text.get_text() for text in figure.texts]
    assert "left of the participant (L)" in CONVENTION


def test_slices_say_where_they_are_in_mm(brain):
    focus = brain[1].copy()
    focus[..., 13] = False
    shifted = AFFINE.copy()
    shifted[:3, 3] = (-20, -30, -10)
    figure = outlined_slices(Volume(focus.astype(float), shifted), (), focus, "t")
    # axial: the focus fills voxels 2..12, the middle cut is voxel 7, at 2 * 7 - 10 mm
    assert "z = 4" in texts(panel(figure, 2))


def test_cuts_stay_inside_the_focus_and_are_even():
    focus = np.zeros((101, 3, 3))
    focus[0:101, 1, 1] = 1
    assert cut_indices(focus, 0, 3) == [8, 50, 92]


def test_a_plane_has_rows_upwards_and_columns_to_the_right():
    data = np.arange(24).reshape(2, 3, 4)
    assert plane_of(data, "axial", 1)[2, 1] == data[1, 2, 1]
    assert plane_of(data, "coronal", 2)[3, 0] == data[0, 2, 3]
    assert plane_of(data, "sagittal", 0)[3, 2] == data[0, 2, 3]


def test_an_image_that_is_not_ras_is_refused():
    with pytest.raises(ValueError, match="RAS"):
        Volume(np.zeros((2, 2, 2)), np.diag([-2.0, 2, 2, 1]))
    with pytest.raises(ValueError, match="RAS"):
        Volume(np.zeros((2, 2, 2)), AFFINE[[1, 0, 2, 3]])


def test_an_empty_focus_is_refused(brain):
    volume, focus, _ = brain
    with pytest.raises(ValueError, match="empty"):
        outlined_slices(volume, (), np.zeros_like(focus), "t")


def test_regions_take_their_values_and_others_none():
    labels = np.array([[[0, 1, 2, 7]]])
    painted = painted_values(labels, {1: -0.5, 2: np.nan, 9: 3.0})
    np.testing.assert_array_equal(painted, [[[np.nan, -0.5, np.nan, np.nan]]])


def test_colours_are_symmetric_about_no_change(brain):
    volume, focus, blob = brain
    paint = Paint(blob.astype(int), {1: -0.25}, "ml", (1,), "significant")
    figure = painted_slices(volume, paint, focus, "t")
    scale = figure.axes[-1]
    assert scale.get_ylim() == pytest.approx((-0.25, 0.25))
    assert scale.get_ylabel() == "ml"
    assert outline_points(panel(figure, 2))[:, 0].min() == pytest.approx(26, abs=0.01)


def test_cuts_of_a_row_go_through_what_is_marked():
    focus = np.ones((21, 41, 101), dtype=bool)
    marked = np.zeros_like(focus)
    marked[3:6, 30:33, 70:77] = True
    cuts = row_cuts(focus, marked)
    assert cuts[0] == ("sagittal", 7)
    assert cuts[2:5] == [("coronal", 31), ("coronal", 14), ("axial", 73)]
    assert row_cuts(focus, marked & False)[4] == ("axial", 25)


def test_rows_of_paintings_share_one_colour_scale_and_keep_their_values(brain):
    volume, focus, blob = brain
    labels = np.where(blob, 2, np.where(focus, 1, 0))
    rows = {
        "one": Paint(labels, {1: 0.2}, "z", (2,), "seed"),
        "other": Paint(labels, {1: -0.1, 2: 0.8}, "z", (), "seed"),
    }
    figure = painted_rows(volume, rows, focus, "t")
    panels = [axes for axes in figure.axes if axes.images]
    assert len(panels) == 16
    first, last = panels[0].images[-1], panels[15].images[-1]
    assert first.norm.vmax == last.norm.vmax == 0.8
    assert first.norm.vmin == -0.8
    assert set(np.unique(first.get_array())) == {0.0, 0.2}
    assert {-0.1, 0.8} <= set(np.unique(last.get_array()))
    said = [text.get_text() for text in figure.texts]
    assert said[1:4] == [CONVENTION, "one", "other"]
    assert outline_points(panels[4]).size
