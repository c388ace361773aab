"""Pictures of change: colours mean the same for everybody, small changes have none."""

import numpy as np
import pandas as pd
import pytest

from workflows.drawing.change_maps import (
    NOT_MEASURED,
    NOT_SEEN,
    thickness_change_slices,
    thickness_slices,
    volume_change_slices,
)
from workflows.drawing.slices import Overlay, Volume

AXIAL_MIDDLE = 14 + 3


@pytest.fixture
def brain():
    mask = np.zeros((20, 24, 16), dtype=bool)
    mask[2:18, 2:22, 2:14] = True
    return mask


@pytest.fixture
def volume(brain):
    return Volume(brain.astype(float), np.diag([2.0, 2, 2, 1]))


def layer(figure, number):
    """Array and opacity of a layer of the axial slice in the middle: voxel (x, y) is [y, x]."""
    image = figure.axes[AXIAL_MIDDLE].images[number]
    return image.get_array(), image.get_alpha()


def words(figure):
    return [text.get_text() for legend in figure.legends for text in legend.get_texts()]


def test_only_changes_that_stand_out_of_noise_have_a_colour(brain, volume):
    change = np.where(brain, 1.9, np.nan)
    change[12:15], change[4:6] = -2.5, 30
    figure = volume_change_slices(volume, change, brain, "t")
    values, opacity = layer(figure, 2)
    assert opacity[10, 8] == 0
    # half-way from 2, no colour, to 3, full
    assert opacity[10, 13] == pytest.approx(0.45)
    assert (opacity[10, 4], values[10, 4]) == (pytest.approx(0.9), 30)
    assert values[10, 13] == -2.5


def test_the_scale_is_fixed_and_has_a_point_where_values_go_beyond(brain, volume):
    change = np.where(brain, -0.5, np.nan)
    calm = volume_change_slices(volume, change, brain, "t").axes[-1]
    change[5, 5, 5] = 12
    strong = volume_change_slices(volume, change, brain, "t").axes[-1]
    assert calm.get_ylim() == strong.get_ylim() == (-6, 6)
    assert calm.get_ylabel() == "change of volume (%)"
    assert (calm._colorbar.extend, strong._colorbar.extend) == ("neither", "max")


def test_brain_that_was_not_seen_is_hatched_and_said(brain, volume):
    change = np.where(brain, 0.0, np.nan)
    assert words(volume_change_slices(volume, change, brain, "t")) == []
    change[2:6] = np.nan
    figure = volume_change_slices(volume, change, brain, "t")
    hatch, _ = layer(figure, 1)
    assert words(figure) == [NOT_SEEN]
    assert not hatch.mask[10, 2:6].any()
    assert hatch.mask[10, 6:].all()


def test_regions_take_their_change_and_those_without_are_hatched_never_dropped(volume, brain):
    labels = brain.astype(int)
    labels[brain & (np.arange(20)[:, None, None] >= 12)] = 2
    labels[brain & (np.arange(20)[:, None, None] >= 15)] = 9
    change = pd.Series([-0.1, np.nan], index=[1, 2])
    figure = thickness_change_slices(volume, labels, change, "t")
    values, opacity = layer(figure, 2)
    hatch, _ = layer(figure, 1)
    assert (values[10, 5], opacity[10, 5]) == (-0.1, 0.9)
    assert np.flatnonzero(~hatch.mask[10]).tolist() == [12, 13, 14]
    # region 9 has no thickness by its nature: neither colour nor hatching
    assert opacity[10, 12:].max() == 0
    assert words(figure) == [NOT_MEASURED]
    assert figure.axes[-1].get_ylim() == pytest.approx((-0.2, 0.2))


def test_a_picture_without_any_measured_region_is_still_drawn(volume, brain):
    change = pd.Series([np.nan], index=[1])
    figure = thickness_change_slices(volume, brain.astype(int), change, "t")
    assert words(figure) == [NOT_MEASURED]


def test_thickness_is_drawn_where_there_is_some(volume, brain):
    thickness = np.zeros(brain.shape)
    thickness[4:7] = 2.5
    figure = thickness_slices(volume, thickness, brain, "t")
    values, opacity = layer(figure, 2)
    assert np.flatnonzero(opacity[10]).tolist() == [4, 5, 6]
    assert values[10, 5] == 2.5
    assert figure.axes[-1].get_ylabel() == "thickness (mm)"


def test_opacity_without_faint_values_is_all_or_nothing():
    overlay = Overlay(np.array([0.0, -1.0, np.nan]), (-1, 1), "mm")
    np.testing.assert_array_equal(overlay.opacity, [0.9, 0.9, 0])
