import numpy as np
import pytest
from nibabel.affines import apply_affine, from_matvec
from scipy import ndimage
from scipy.spatial.transform import Rotation

from workflows.compute.motion import (
    framewise_displacement,
    grid_centre,
    head_poses,
    mcflirt_parameters,
    pose_from_parameters,
    realigned_volume,
    reference_volume,
)

SHAPE = (30, 34, 26)
TILT = Rotation.from_euler("xyz", [0.1, -0.05, 0.2]).as_matrix()
AFFINE = from_matvec(TILT @ np.diag([-4.0, 4.0, 5.0]), [70.0, -80.0, -30.0])
SPOTS = (
    ([18, 10, 5], 0.9),
    ([-10, -20, 12], -0.7),
    ([-25, 12, -14], 0.8),
    ([8, 28, 16], -0.8),
    ([14, -28, -12], 0.7),
)
MOTION = np.array(
    [
        [0, 0, 0, 0, 0, 0],
        [1.0, 0, 0, 0, 0, 0],
        [0, -1.5, 0, 0, 0, 0],
        [0, 0, 2.0, 0, 0, 0],
        [0, 0, 0, 0.03, 0, 0],
        [0, 0, 0, 0, -0.02, 0],
        [0, 0, 0, 0, 0, 0.04],
        [-0.7, 0.4, 1.1, -0.01, 0.02, -0.03],
    ]
)


def smooth_head():
    """Function of world points: lobes and dents, nothing symmetric."""
    centre = grid_centre(SHAPE, AFFINE)

    def brightness(points):
        away = points - centre
        head = np.exp(-(((away / [38, 46, 36]) ** 2).sum(axis=-1) ** 2))
        inside = sum(
            height * np.exp(-(((away - place) / 10) ** 2).sum(axis=-1)) for place, height in SPOTS
        )
        return 1000 * head * (1 + inside)

    return brightness


def moving_head(motion, rng):
    """Volumes in which the head is at the given poses, drawn and not interpolated."""
    brightness, centre = smooth_head(), grid_centre(SHAPE, AFFINE)
    world = apply_affine(AFFINE, np.stack(np.indices(SHAPE), axis=-1))
    volumes = []
    for parameters in motion:
        turn = Rotation.from_euler("xyz", parameters[3:]).as_matrix()
        still = (world - centre - parameters[:3]) @ turn + centre
        volumes.append(brightness(still))
    series = np.stack(volumes, axis=-1)
    return series + rng.normal(0, 3, series.shape)


def parameters_from_pose(pose, centre):
    """What `pose_from_parameters` was given."""
    turn = Rotation.from_matrix(pose[:3, :3]).as_euler("xyz")
    return np.array([*(apply_affine(pose, centre) - centre), *turn])


def test_known_motion_comes_back_with_its_axis_sign_and_size():
    series = moving_head(MOTION, np.random.default_rng(3))
    poses = head_poses(series, AFFINE, reference=0)
    centre = grid_centre(SHAPE, AFFINE)
    found = np.array([parameters_from_pose(pose, centre) for pose in poses])
    np.testing.assert_allclose(found[:, :3], MOTION[:, :3], atol=0.03)
    np.testing.assert_allclose(found[:, 3:], MOTION[:, 3:], atol=0.001)


@pytest.mark.parametrize("times", [0.4, 1.05, 3.0])
def test_a_change_of_brightness_is_not_motion(times):
    motion = MOTION[[0, 7, 7]]
    series = moving_head(motion, np.random.default_rng(4))
    series[..., 2] *= times
    pose = head_poses(series, AFFINE, reference=0)[2]
    found = parameters_from_pose(pose, grid_centre(SHAPE, AFFINE))
    np.testing.assert_allclose(found, motion[2], atol=0.03)


def test_a_broken_volume_does_not_spoil_its_neighbours():
    rng = np.random.default_rng(18)
    series = moving_head(MOTION[[0, 7, 7, 7]], rng)
    series[..., 2] = rng.normal(500, 300, SHAPE)
    poses = head_poses(series, AFFINE, reference=0)
    np.testing.assert_allclose(poses[3], poses[1], atol=0.03)


def test_realigned_volumes_lie_on_the_reference():
    series = moving_head(MOTION, np.random.default_rng(5))
    centre = grid_centre(SHAPE, AFFINE)
    inner = (slice(5, -5),) * 3
    before, after = [], []
    for volume, parameters in enumerate(MOTION[1:], start=1):
        pose = pose_from_parameters(parameters, centre)
        moved = realigned_volume(series[..., volume], AFFINE, pose)
        before.append((series[..., volume] - series[..., 0])[inner].std())
        after.append((moved - series[..., 0])[inner].std())
    noise = 3 * np.sqrt(2)
    assert np.mean(before) > 3 * noise
    assert max(after) < 1.1 * noise


def test_a_pose_is_the_rotation_scipy_makes_about_the_centre():
    parameters, centre = np.array([1, -2, 3, 0.1, -0.2, 0.3]), np.array([10.0, 20.0, -30.0])
    pose = pose_from_parameters(parameters, centre)
    turn = Rotation.from_euler("xyz", [0.1, -0.2, 0.3])
    point = np.array([40.0, -5.0, 8.0])
    expected = turn.apply(point - centre) + centre + [1, -2, 3]
    np.testing.assert_allclose(apply_affine(pose, point), expected)


LEFT_FIRST = from_matvec(np.diag([-3.0, 3, 4]), [33, -20, -10])
RIGHT_FIRST = from_matvec(np.diag([3.0, 3, 4]), [-30, -20, -10])
CENTRE_MM = np.array([3.0, 10.0, 22.0])


def two_spots(affine):
    """Image (22, 20, 18) whose centre of gravity lies at CENTRE_MM."""
    image = np.full((22, 20, 18), 5.0)
    for place, value in ((CENTRE_MM + [-6, 3, 8], 20), (CENTRE_MM + [3, -1.5, -4], 40)):
        voxel = apply_affine(np.linalg.inv(affine), place)
        below = np.floor(voxel).astype(int)
        for corner in np.ndindex(2, 2, 2):
            share = np.prod(np.where(corner, voxel - below, 1 - (voxel - below)))
            image[tuple(below + corner)] += share * value
    return image


@pytest.mark.parametrize("affine", [LEFT_FIRST, RIGHT_FIRST])
def test_motion_has_the_signs_and_the_centre_of_mcflirt(affine):
    image = two_spots(affine)
    moves = np.diag([2.0, 3.0, 4.0, 0.1, 0.2, 0.3])
    poses = np.array([pose_from_parameters(move, CENTRE_MM) for move in moves])
    found = mcflirt_parameters(poses, affine, image)
    np.testing.assert_allclose(found, np.diag([2, -3, -4, 0.1, -0.2, -0.3]), atol=1e-12)


def test_motion_parameters_bring_a_volume_back_when_read_as_fsl_reads_them():
    image = np.random.default_rng(17).random((9, 7, 8))
    affine = from_matvec(TILT @ np.diag([2.0, 3.0, 4.0]), [5, -6, 7])
    pose = pose_from_parameters(np.array([1, -2, 3, 0.2, -0.3, 0.4]), np.array([4.0, 5, 6]))
    parameters = mcflirt_parameters(pose[None], affine, image)[0]
    voxels = np.array([[1.0, 2, 3], [8, 0, 5], [4, 6, 0]])
    weights = (image - image.min())[..., None]
    centre = (np.moveaxis(np.indices(image.shape), 0, -1) * weights).sum(axis=(0, 1, 2))
    centre = (centre / weights.sum() - [8, 0, 0]) * [-2, 3, 4]
    moved = apply_affine(np.linalg.inv(affine) @ pose @ affine, voxels)
    seen = (moved - [8, 0, 0]) * [-2, 3, 4]
    turn = Rotation.from_euler("XYZ", -parameters[3:])
    back = turn.apply(seen - centre) + centre + parameters[:3]
    np.testing.assert_allclose(back, (voxels - [8, 0, 0]) * [-2, 3, 4], atol=1e-9)


def test_an_image_without_contrast_is_turned_about_its_middle():
    pose = pose_from_parameters(np.array([0, 0, 0, 0, 0, 0.1]), np.array([-30 + 31.5, 8.5, 24.0]))
    found = mcflirt_parameters(pose[None], RIGHT_FIRST, np.ones((22, 20, 18)))
    np.testing.assert_allclose(found, [[0, 0, 0, 0, 0, -0.1]], atol=1e-12)


def test_identity_realignment_changes_nothing():
    volume = moving_head(MOTION[:1], np.random.default_rng(6))[..., 0]
    still = realigned_volume(volume, AFFINE, np.eye(4))
    np.testing.assert_allclose(still, volume, atol=1e-2)


def test_displacement_adds_translations_and_arcs_of_50_mm():
    parameters = np.zeros((3, 6))
    parameters[1] = [1, -2, 0.5, 0.01, 0, -0.02]
    parameters[2] = [1, -2, 0.5, 0.01, 0.004, -0.02]
    np.testing.assert_allclose(framewise_displacement(parameters), [np.nan, 5.0, 0.2])


def test_displacement_is_that_of_nipype(tmp_path):
    from nipype.algorithms.confounds import FramewiseDisplacement

    motion = np.random.default_rng(7).normal(0, [0.5, 0.3, 0.8, 0.01, 0.02, 0.005], (40, 6))
    poses = np.array([pose_from_parameters(row, CENTRE_MM + 5) for row in motion])
    parameters = mcflirt_parameters(poses, RIGHT_FIRST, two_spots(RIGHT_FIRST))
    np.savetxt(tmp_path / "motion.par", parameters[:, [3, 4, 5, 0, 1, 2]], fmt="%.12f")
    node = FramewiseDisplacement(
        in_file=str(tmp_path / "motion.par"),
        parameter_source="FSL",
        out_file=str(tmp_path / "fd.txt"),
    )
    node.run(cwd=str(tmp_path))
    expected = np.loadtxt(tmp_path / "fd.txt", skiprows=1)
    np.testing.assert_allclose(framewise_displacement(parameters)[1:], expected, atol=1e-6)


def test_displacement_refuses_a_table_of_another_width():
    with pytest.raises(ValueError, match=r"parameters: expected \(n_volumes, 6\)"):
        framewise_displacement(np.zeros((5, 7)))


def test_a_spike_is_not_taken_as_reference():
    rng = np.random.default_rng(8)
    series = 100 + rng.normal(0, 1, (8, 8, 8, 9))
    series += np.linspace(-4, 4, 9)
    series[..., 4] += ndimage.gaussian_filter(rng.normal(0, 500, (8, 8, 8)), 1)
    assert reference_volume(series) in (3, 5)


def test_an_empty_series_is_refused():
    with pytest.raises(ValueError, match="fewer than 100 bright voxels"):
        head_poses(np.zeros((12, 12, 12, 2)), np.eye(4), reference=0)
