import numpy as np
import pytest
from nilearn import datasets

from workflows.compute import start_pose as search
from workflows.compute.geometry import centre_of, centre_shift
from workflows.compute.intensity import antialiased
from workflows.compute.start_pose import candidate_turns, start_pose


@pytest.fixture(scope="module")
def brain():
    """Brain of MNI at 4 mm."""
    image = datasets.load_mni152_template(resolution=2)
    volume = antialiased(image.get_fdata(dtype=np.float32), (2.0, 2.0, 2.0), 4.0)
    return volume[::2, ::2, ::2], image.affine @ np.diag([2.0, 2, 2, 1])


def rotation(angles_deg):
    """Rotation (3, 3) about x, then y, then z."""
    return search.turn_about(np.radians(angles_deg), np.zeros(3))[:3, :3]


def turned(brain, angles_deg, half=(1, 1, 1), shift_mm=(0.0, 0.0, 0.0)):
    """The brain with a header that turns it about its centre and shifts it; the map (4, 4)."""
    pose, centre = np.eye(4), centre_of(brain)
    pose[:3, :3] = rotation(angles_deg) @ np.diag(half)
    pose[:3, 3] = centre - pose[:3, :3] @ centre + shift_mm
    return (brain[0], pose @ brain[1]), pose


def test_rotations_are_made_about_x_then_y_then_z():
    turn = rotation([90, 90, 0])
    np.testing.assert_allclose(turn @ [0, 1, 0], [1, 0, 0], atol=1e-12)
    np.testing.assert_allclose(rotation([0, 0, 90]) @ [1, 0, 0], [0, 1, 0], atol=1e-12)


def test_candidates_keep_handedness_and_begin_with_the_head_as_it_is():
    turns = candidate_turns(np.zeros(3))[:, :3, :3]
    np.testing.assert_allclose(np.linalg.det(turns), 1)
    np.testing.assert_array_equal(turns[0], np.eye(3))


@pytest.mark.parametrize("half", [(1, -1, -1), (-1, 1, -1), (-1, -1, 1)])
def test_a_head_that_its_header_turns_half_round_is_found(brain, half):
    moving, pose = turned(brain, (6, -5, 8), half, (10.0, -20.0, 5.0))
    found = start_pose(brain, moving)
    corners = np.array([[60, 0, 0], [0, -80, 0], [0, 0, 60]])
    error = corners @ (found - pose)[:3, :3].T + (found - pose)[:3, 3]
    assert np.linalg.norm(error, axis=1).max() < 4


def test_a_head_tilted_far_is_found(brain):
    moving, pose = turned(brain, (42, 0, 0))
    angle = np.trace(start_pose(brain, moving)[:3, :3].T @ pose[:3, :3])
    assert np.degrees(np.arccos((angle - 1) / 2)) < 3


def test_a_head_near_its_place_starts_from_the_centres(brain):
    moving, _ = turned(brain, (10, -8, 5), shift_mm=(4.0, 3.0, -2.0))
    np.testing.assert_array_equal(start_pose(brain, moving), centre_shift(brain, moving))


def test_an_empty_image_is_refused(brain):
    with pytest.raises(ValueError, match="moving: zero everywhere"):
        start_pose(brain, (brain[0] * 0, brain[1]))
