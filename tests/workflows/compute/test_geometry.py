import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from workflows.compute.geometry import (
    bounding_grid,
    centre_shift,
    grid_at,
    jacobian_determinant,
    mask_bounds,
    mean_space,
    mean_transform,
    resampled,
    transform_log,
)


def rigid(degrees, shift):
    matrix = np.eye(4)
    matrix[:3, :3] = Rotation.from_euler("xyz", degrees, degrees=True).as_matrix()
    matrix[:3, 3] = shift
    return matrix


def noisy_pairs(sessions, seed, size):
    generator = np.random.default_rng(seed)
    return np.array(
        [
            [
                to @ np.linalg.inv(start) @ rigid(*generator.normal(scale=size, size=(2, 3)))
                for to in sessions
            ]
            for start in sessions
        ]
    )


SESSIONS = [
    rigid((10, -4, 2), (3, 8, -5)),
    rigid((-7, 5, 1), (0, -6, 9)),
    rigid((2, 2, 20), (1, 1, 1)),
]


def test_log_of_a_quarter_turn_has_half_pi_and_halves_to_an_eighth_turn():
    log = transform_log(rigid((0, 0, 90), (0, 0, 6)))
    np.testing.assert_allclose(log[1, 0], np.pi / 2)
    np.testing.assert_allclose(log[2, 3], 6)


def test_log_refuses_a_scaling_a_mirror_and_a_half_turn():
    for matrix in (np.diag([2.0, 1, 1, 1]), np.diag([-1.0, 1, 1, 1]), np.diag([-1.0, -1, 1, 1])):
        with pytest.raises(ValueError, match="transform"):
            transform_log(matrix)


def test_mean_of_two_opposite_rotations_and_shifts_is_the_identity():
    mean = mean_transform([rigid((0, 0, 30), (0, 0, 4)), rigid((0, 0, -30), (0, 0, -4))])
    np.testing.assert_allclose(mean, np.eye(4), atol=1e-12)


def test_mean_moves_with_the_origin():
    shift = rigid((20, 0, 5), (100, -50, 7))
    moved = [shift @ session @ np.linalg.inv(shift) for session in SESSIONS]
    expected = shift @ mean_transform(SESSIONS) @ np.linalg.inv(shift)
    np.testing.assert_allclose(mean_transform(moved), expected, atol=1e-9)


def test_two_sessions_meet_half_way():
    pair = rigid((0, 0, 10), (0, 0, 4))
    pairs = np.array([[np.eye(4), pair], [np.linalg.inv(pair), np.eye(4)]])
    first, second = mean_space(pairs)
    np.testing.assert_allclose(first, rigid((0, 0, -5), (0, 0, -2)), atol=1e-9)
    np.testing.assert_allclose(second, rigid((0, 0, 5), (0, 0, 2)), atol=1e-9)


def test_mean_space_of_three_sessions_keeps_consistent_pairs():
    pairs = noisy_pairs(SESSIONS, seed=0, size=0)
    found = mean_space(pairs)
    for i in range(3):
        for j in range(3):
            between = found[j] @ np.linalg.inv(found[i])
            np.testing.assert_allclose(between, pairs[i, j], atol=1e-7)
    np.testing.assert_allclose(mean_transform(found), np.eye(4), atol=1e-8)


@pytest.mark.parametrize("n_sessions", [2, 3])
def test_permuting_sessions_permutes_the_transforms(n_sessions):
    pairs = noisy_pairs(SESSIONS[:n_sessions], seed=1, size=0.05)
    back = np.arange(n_sessions)[::-1]
    permuted = mean_space(pairs[np.ix_(back, back)])
    np.testing.assert_allclose(permuted[back], mean_space(pairs), atol=2e-9)


def test_one_session_stays_where_it_is():
    np.testing.assert_array_equal(mean_space(np.eye(4)[None, None]), np.eye(4)[None])


def test_bounds_of_a_mask_are_in_mm_of_the_other_space():
    mask = np.zeros((5, 6, 7), bool)
    mask[1, 2, 3] = mask[2, 4, 3] = True
    bounds = mask_bounds(mask, np.diag([2.0, 2, 2, 1]), rigid((0, 0, 90), (0, 0, 1)))
    np.testing.assert_allclose(bounds, [[-8, 2, 7], [-4, 4, 7]], atol=1e-12)
    with pytest.raises(ValueError, match="mask"):
        mask_bounds(np.zeros((2, 2, 2), bool), np.eye(4), np.eye(4))


def test_bounding_grid_has_a_margin_on_both_sides_and_the_same_middle():
    bounds = np.array([[[0, 0, 0], [9, 4, 2]], [[-1, 1, 0], [3, 5, 1]]])
    shape, affine = bounding_grid(bounds, 2.0, 3.0)
    assert shape == (9, 7, 5)
    middle = affine[:3, :3] @ (np.array(shape) - 1) / 2 + affine[:3, 3]
    np.testing.assert_allclose(middle, [4, 2.5, 1])
    with pytest.raises(ValueError, match="resolution_mm"):
        bounding_grid(bounds, 0.0, 3.0)


def test_coarser_grid_keeps_the_corner_of_the_field_of_view():
    affine = np.diag([1.0, 1, 1, 1])
    affine[:3, 3] = [-10, 0, 5]
    shape, coarse = grid_at((5, 4, 8), affine, 2.0)
    assert shape == (3, 2, 4)
    np.testing.assert_allclose(coarse[:3, 3] - 1.0, affine[:3, 3] - 0.5)
    with pytest.raises(ValueError, match="resolution_mm"):
        grid_at((5, 4, 8), affine, -1.0)


def test_resampling_maps_grid_points_to_image_points_and_is_zero_outside():
    volume = np.zeros((6, 6, 6))
    volume[4, 2, 1] = 7
    shift = rigid((0, 0, 0), (3, 1, -2))
    answer = resampled((volume, np.eye(4)), ((4, 4, 4), np.eye(4)), shift, 0)
    expected = np.zeros((4, 4, 4))
    expected[1, 1, 3] = 7
    np.testing.assert_array_equal(answer, expected)


def test_centre_shift_goes_from_the_fixed_to_the_moving_centre():
    fixed, moving = np.zeros((3, 3, 3)), np.zeros((3, 3, 3))
    fixed[0, 1, 2], moving[2, 1, 0] = 1, 5
    shift = centre_shift((fixed, np.eye(4)), (moving, np.diag([2.0, 2, 2, 1])))
    np.testing.assert_allclose(shift[:3, 3], [4, 1, -2])
    with pytest.raises(ValueError, match="moving"):
        centre_shift((fixed, np.eye(4)), (np.zeros((3, 3, 3)), np.eye(4)))


def test_jacobian_of_a_stretch_is_the_product_of_the_factors():
    affine = np.array([[0, -2.0, 0, 7], [2, 0, 0, -3], [0, 0, 2, 1], [0, 0, 0, 1]])
    points = np.moveaxis(np.indices((5, 6, 7)), 0, -1) @ affine[:3, :3].T + affine[:3, 3]
    answer = jacobian_determinant(points * [0.1, -0.2, 0.5], affine)
    np.testing.assert_allclose(answer, 1.1 * 0.8 * 1.5)


def test_jacobian_of_a_shear_is_one_and_depends_on_the_axes():
    points = np.moveaxis(np.indices((5, 6, 7)), 0, -1).astype(float)
    shear = np.stack([0.3 * points[..., 1], 0 * points[..., 0], 0.2 * points[..., 0]], axis=-1)
    np.testing.assert_allclose(jacobian_determinant(shear, np.eye(4)), 1)
    both = shear + np.stack([0 * points[..., 0], 0.3 * points[..., 0], 0 * points[..., 0]], axis=-1)
    np.testing.assert_allclose(jacobian_determinant(both, np.eye(4)), 1 - 0.09)
    with pytest.raises(ValueError, match="displacement"):
        jacobian_determinant(np.zeros((3, 3, 3, 2)), np.eye(4))
