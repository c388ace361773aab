"""Faces are found where they are, however the head lies."""

import numpy as np
import pytest

from workflows.compute.face import FACE_SHARE, brain_pose, face_share

SHAPE, SIZE_MM = (50, 70, 64), 4.0


def head(nod_deg=0.0, scale=1.0, shift=(0.0, 0.0, 0.0), with_face=True):
    """An ellipsoid as a brain and another in front of and below it as a face, made anew."""
    affine = np.diag([SIZE_MM, SIZE_MM, SIZE_MM, 1.0])
    affine[:3, 3] = [-98, -150, -140]
    voxels = np.moveaxis(np.indices(SHAPE), 0, -1)
    turn = np.deg2rad(nod_deg)
    nod = np.array([[1, 0, 0], [0, np.cos(turn), -np.sin(turn)], [0, np.sin(turn), np.cos(turn)]])
    places = (voxels @ affine[:3, :3].T + affine[:3, 3] - np.array(shift)) @ nod / scale
    tilt = 0.178
    axes = np.array([[1, 0, 0], [0, np.cos(tilt), -np.sin(tilt)], [0, np.sin(tilt), np.cos(tilt)]])
    brain = ((((places - [0, -22.1, 9.5]) @ axes) / [68, 88, 73]) ** 2).sum(-1) <= 1
    face = (((places - [0, 78, -52]) / [50, 34, 50]) ** 2).sum(-1) <= 1
    return np.where(brain, 100.0, np.where(face & with_face, 60.0, 2.0)), affine, brain


@pytest.mark.parametrize("nod_deg", [-20, 0, 15])
@pytest.mark.parametrize("shift", [(0, 0, 0), (5, -12, 8)])
def test_a_face_is_found_however_the_head_nods_and_lies(nod_deg, shift):
    assert face_share(*head(nod_deg, 0.95, shift)) > 0.6
    assert face_share(*head(nod_deg, 0.95, shift, with_face=False)) == 0


def test_the_unit_of_the_image_does_not_matter():
    volume, affine, brain = head()
    assert face_share(volume * 1000, affine, brain) == face_share(volume, affine, brain)


def test_an_image_that_ends_before_the_face_tells_nothing():
    volume, affine, brain = head()
    assert np.isnan(face_share(volume[:, :45], affine, brain[:, :45]))
    assert np.isnan(face_share(volume, affine, np.zeros_like(brain)))


def test_the_pose_is_middle_angle_and_spread_of_the_mask():
    affine = np.diag([2.0, 2, 2, 1])
    mask = np.zeros((20, 60, 60), bool)
    for step in range(40):  # a bar that rises by 45 degrees towards the front
        mask[8:12, 10 + step, 10 + step] = True
    centre, angle, spread = brain_pose(mask, affine)
    assert centre == pytest.approx([18, 58, 58], abs=2)
    assert np.rad2deg(angle) == pytest.approx(45)
    assert spread == pytest.approx(2 * np.sqrt(2 * np.var(np.arange(40))), rel=0.05)


def test_the_limit_lies_between_real_heads_with_and_without_face():
    whole, defaced = (0.61, 0.68, 0.69, 0.35), (0.08, 0.06, 0.08, 0.01, 0.01)
    assert max(defaced) < FACE_SHARE < min(whole)
