"""Nothing far from the brain is left."""

import numpy as np
import pytest

from workflows.compute.near_brain import near_brain


def test_a_margin_in_mm_follows_the_voxel_size_of_each_axis():
    volume, mask = np.ones((11, 11, 11)), np.zeros((11, 11, 11), dtype=bool)
    mask[5, 5, 5] = True
    kept = near_brain(volume, mask, (1.0, 2.0, 4.0), 4.0)
    assert np.flatnonzero(kept[:, 5, 5]).tolist() == [1, 2, 3, 4, 5, 6, 7, 8, 9]
    assert np.flatnonzero(kept[5, :, 5]).tolist() == [3, 4, 5, 6, 7]
    assert np.flatnonzero(kept[5, 5, :]).tolist() == [4, 5, 6]


def test_without_margin_or_brain_only_the_brain_is_left():
    volume = np.full((4, 4, 4), 3.0)
    volume[1, 1, 1] = np.nan
    mask = np.zeros((4, 4, 4), dtype=bool)
    assert near_brain(volume, mask, (1, 1, 1), 5.0).max() == 0
    mask[1, 1, 1:3] = True
    kept = near_brain(volume, mask, (1, 1, 1), 0)
    assert kept.sum() == 3
    assert kept[1, 1, 2] == 3


def test_impossible_margins_and_shapes_are_refused():
    with pytest.raises(ValueError, match="margin_mm"):
        near_brain(np.ones((2, 2, 2)), np.ones((2, 2, 2), bool), (1, 1, 1), -1)
    with pytest.raises(ValueError, match="mask"):
        near_brain(np.ones((2, 2, 2)), np.ones((2, 2, 3), bool), (1, 1, 1), 1)
