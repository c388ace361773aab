"""Points of a brain lie on its surface, face outwards and carry the label of their region."""

import numpy as np
import pytest

from workflows.compute.brain_points import brain_points, deep_labels, nearest_label

CENTRE_MM = np.array([0.0, 5.0, 10.0])
RADIUS_MM = 40.0


@pytest.fixture(scope="module")
def ball():
    """A ball of 40 mm around (0, 5, 10): label 1 and 2 are its left and right rind, 3 its core."""
    affine = np.array([[2.0, 0, 0, -49], [0, 2, 0, -44], [0, 0, 2, -39], [0, 0, 0, 1]])
    grid = np.indices((50, 50, 50)).reshape(3, -1).T @ affine[:3, :3].T + affine[:3, 3]
    away_mm = np.linalg.norm(grid - CENTRE_MM, axis=1).reshape(50, 50, 50)
    left = grid[:, 0].reshape(50, 50, 50) < 0
    rind = (away_mm < RADIUS_MM) & (away_mm > 32)
    labels = np.where(rind, np.where(left, 1, 2), np.where(away_mm < 10, 3, 0))
    return away_mm < RADIUS_MM, labels, affine


def test_points_lie_on_the_surface_and_face_outwards(ball):
    points = brain_points(*ball)
    outer = np.abs(points.places_mm[:, 0]) > 3
    outer[points.deep_from :] = False
    from_centre = points.places_mm[outer] - CENTRE_MM
    away_mm = np.linalg.norm(from_centre, axis=1)
    assert np.abs(away_mm - RADIUS_MM).max() < 1.6
    assert ((from_centre / away_mm[:, None]) * points.normals[outer]).sum(axis=1).min() > 0.7


def test_halves_come_left_first_and_carry_the_labels_of_their_side(ball):
    points = brain_points(*ball)
    left, right = slice(0, points.right_from), slice(points.right_from, points.deep_from)
    assert points.places_mm[left, 0].max() <= 1
    assert points.places_mm[right, 0].min() >= -1
    assert set(points.labels[left]) <= {0, 1, 3}
    assert set(points.labels[right]) <= {0, 2, 3}
    assert (points.labels[left] == 1).mean() > 0.5


def test_the_cut_between_the_halves_faces_the_other_side(ball):
    points = brain_points(*ball)
    x = points.places_mm[: points.right_from, 0]
    near = np.linalg.norm(points.places_mm[: points.right_from] - CENTRE_MM, axis=1) < 20
    cut = near & (x > -3)
    assert cut.sum() > 50
    assert points.normals[: points.right_from][cut, 0].min() > 0.9


def test_a_region_under_the_surface_is_drawn_on_its_own(ball):
    assert deep_labels(*ball) == [3]
    points = brain_points(*ball)
    own = points.places_mm[points.deep_from :]
    assert set(points.labels[points.deep_from :]) == {3}
    away_mm = np.linalg.norm(own - CENTRE_MM, axis=1)
    assert away_mm.min() > 7
    assert away_mm.max() < 12


def test_without_regions_the_surface_has_no_labels(ball):
    solid, labels, affine = ball
    points = brain_points(solid, np.zeros_like(labels), affine)
    assert len(points) == points.deep_from
    assert not points.labels.any()


def test_a_label_reaches_six_millimetres_and_no_further():
    labels = np.zeros((9, 3, 3), int)
    labels[0] = 7
    found = nearest_label(labels, np.diag([2.0, 2, 2, 1]))
    assert found[:, 1, 1].tolist() == [7, 7, 7, 7, 0, 0, 0, 0, 0]


def test_labels_of_another_grid_are_refused(ball):
    with pytest.raises(ValueError, match="labels: shape"):
        brain_points(ball[0], ball[1][1:], ball[2])
