import numpy as np
import pytest

from workflows.compute import atlas_labels
from workflows.compute.atlas_labels import carried_labels


def column(*points):
    return np.array(points, float).T


def test_on_its_own_voxels_an_image_of_labels_is_itself():
    labels = np.random.default_rng(0).integers(0, 400, (3, 4, 5))
    points = np.indices(labels.shape).reshape(3, -1).astype(float)
    assert carried_labels(labels, points).reshape(labels.shape).tolist() == labels.tolist()


def test_the_label_with_the_most_linear_weight_wins_though_another_voxel_is_nearest():
    labels = np.zeros((2, 2, 2), int)
    labels[0, 0, 0], labels[1, :, 0] = 3, 300
    # Weights at (.4, .4, 0): 3 has .6 * .6 = .36, 300 has .4, nothing .6 * .4 = .24.
    assert carried_labels(labels, column([0.4, 0.4, 0])).tolist() == [300]
    # At (.3, .4, 0): 3 has .7 * .6 = .42, 300 has .3.
    assert carried_labels(labels, column([0.3, 0.4, 0])).tolist() == [3]


def test_axes_are_not_exchanged():
    labels = np.zeros((2, 3, 4), int)
    labels[1, 2, 3], labels[0, 2, 1] = 5, 6
    assert carried_labels(labels, column([1.2, 1.8, 3.1], [0.1, 2.2, 0.8])).tolist() == [5, 6]


def test_half_way_between_two_labels_the_even_voxel_wins():
    labels = np.array([1, 2, 3, 4]).reshape(4, 1, 1)
    half = column([0.5, 0, 0], [1.5, 0, 0], [2.5, 0, 0])
    assert carried_labels(labels, half).tolist() == [1, 3, 3]


def test_outside_of_the_image_there_is_no_label():
    labels = np.full((2, 2, 2), 9)
    points = column([-0.4, 0, 0], [-0.6, 0, 0], [1.4, 1, 1], [1.6, 1, 1], [50, 0, 0], [0, -50, 0])
    assert carried_labels(labels, points).tolist() == [9, 0, 9, 0, 0, 0]


def test_blocks_make_no_difference(monkeypatch):
    rng = np.random.default_rng(1)
    labels, points = rng.integers(0, 5, (4, 4, 4)), rng.uniform(-1, 4, (3, 101))
    whole = carried_labels(labels, points)
    monkeypatch.setattr(atlas_labels, "BLOCK", 7)
    assert carried_labels(labels, points).tolist() == whole.tolist()


def test_points_in_the_wrong_direction_are_refused():
    with pytest.raises(ValueError, match="points: give one row for each axis"):
        carried_labels(np.ones((2, 2, 2), int), np.zeros((5, 3)))
