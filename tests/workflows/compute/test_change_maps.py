"""Maps of change: percent of the first session, and no region is lost."""

import numpy as np
import pandas as pd
import pytest

from workflows.compute.change_maps import change_by_index, volume_change_map

SHAPE = (9, 11, 7)


@pytest.fixture
def brain():
    mask = np.zeros(SHAPE, dtype=bool)
    mask[1:8, 1:10, 1:6] = True
    return mask


def test_change_is_percent_of_the_first_session(brain):
    baseline, followup = np.full(SHAPE, 0.8), np.full(SHAPE, 1.0)
    # .8 to 1 is a quarter more, 1 to .8 a fifth less
    assert volume_change_map(baseline, followup, brain, 0)[4, 4, 4] == pytest.approx(25)
    assert volume_change_map(followup, baseline, brain, 0)[4, 4, 4] == pytest.approx(-20)


def test_an_even_change_is_the_same_at_the_edge_of_the_brain(brain):
    change = volume_change_map(np.full(SHAPE, 1.0), np.full(SHAPE, 1.03), brain, 4)
    np.testing.assert_allclose(change[brain], 3, atol=1e-9)
    assert np.isnan(change[~brain]).all()


def test_surroundings_reach_as_far_as_the_width_along_each_axis():
    shape = (41, 41, 41)
    followup = np.ones(shape)
    followup[20, 20, 20] = 2
    change = volume_change_map(np.ones(shape), followup, np.ones(shape, bool), np.array([6, 3, 6]))
    # half of the middle is at half the full width: 3 voxels along x, between 1 and 2 along y
    assert change[23, 20, 20] / change[20, 20, 20] == pytest.approx(0.5, abs=0.01)
    assert change[20, 21, 20] > 0.5 * change[20, 20, 20] > change[20, 22, 20]


def test_voxels_without_a_volume_in_one_session_count_in_neither(brain):
    baseline, followup = np.full(SHAPE, 1.0), np.full(SHAPE, 1.1)
    baseline[3, 3, 3], followup[4, 4, 4], followup[5, 5, 3] = np.nan, 0, 900
    baseline[5, 5, 3] = -1
    change = volume_change_map(baseline, followup, brain, 3)
    lost = np.isnan(change) & brain
    assert np.argwhere(lost).tolist() == [[3, 3, 3], [4, 4, 4], [5, 5, 3]]
    np.testing.assert_allclose(change[brain & ~lost], 10)


def test_maps_of_other_shapes_and_negative_widths_are_refused(brain):
    with pytest.raises(ValueError, match="shapes"):
        volume_change_map(np.ones(SHAPE), np.ones((2, 2, 2)), brain, 0)
    with pytest.raises(ValueError, match="width_voxels"):
        volume_change_map(np.ones(SHAPE), np.ones(SHAPE), brain, [1, -1, 1])


def test_regions_are_matched_by_index_and_keep_the_order_of_the_baseline():
    baseline = pd.DataFrame({"index": [7, 3, 5], "thickness": [2.0, 3.0, np.nan]})
    followup = pd.DataFrame({"index": [3, 5, 7], "thickness": [2.5, 2.0, 2.25]})
    change = change_by_index(baseline, followup, "thickness")
    assert change.index.tolist() == [7, 3, 5]
    np.testing.assert_array_equal(change, [0.25, -0.5, np.nan])


def test_tables_of_other_regions_are_refused():
    one, other = (pd.DataFrame({"index": [1, k], "thickness": 2.0}) for k in (2, 3))
    with pytest.raises(ValueError, match="regions"):
        change_by_index(one, other, "thickness")
