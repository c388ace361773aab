import numpy as np
import pytest

from workflows.compute import planted
from workflows.compute.planted import Grid, box_grid, grid_points

BOX = box_grid((40, 44, 36), 2.0, centre_mm=(3.0, -5.0, 7.0))


def ball(grid, centre, radius):
    points = grid_points(grid)
    offset = points - np.reshape(centre, (3, 1, 1, 1))
    return (offset**2).sum(axis=0) < radius**2


def fractions_of(mask):
    return planted.region_fractions(mask.astype(int), [1], 1)


def test_the_middle_of_a_box_is_where_it_was_asked_for():
    points = grid_points(box_grid((4, 2, 6), 2.0, centre_mm=(1, 2, 3)))
    np.testing.assert_allclose(points.mean(axis=(1, 2, 3)), [1, 2, 3])
    np.testing.assert_allclose(points[:, 1, 0, 0] - points[:, 0, 0, 0], [2, 0, 0])


def test_a_coarse_voxel_is_in_the_middle_of_its_block():
    fine = box_grid((6, 6, 5), 1.0)
    coarse = planted.coarser(fine, 2)
    assert coarse.shape == (3, 3, 3)
    block = grid_points(fine)[:, 2:4, 0:2, 0:2].mean(axis=(1, 2, 3))
    np.testing.assert_allclose(grid_points(coarse)[:, 1, 0, 0], block)


def test_values_between_voxels_are_linear_and_outside_is_zero():
    x = grid_points(BOX)[0]
    points = np.array([[3.7, 500.0], [-5.2, 0.0], [7.1, 0.0]])
    np.testing.assert_allclose(planted.sampled(x, BOX, points), [3.7, 0.0], atol=1e-5)


def test_an_oblique_grid_is_sampled_by_its_affine():
    affine = np.array([[0, -2.0, 0, 10], [2.0, 0, 0, -4], [0, 0, 2.0, 0], [0, 0, 0, 1]])
    grid = Grid((20, 20, 20), affine)
    y = grid_points(grid)[1]
    np.testing.assert_allclose(planted.sampled(y, grid, np.array([[0.0], [5.0], [8.0]])), [5.0])


def test_the_flow_of_a_linear_velocity_is_exponential():
    points = grid_points(BOX)
    centre = np.reshape([3.0, -5.0, 7.0], (3, 1, 1, 1))
    velocity = 0.2 * (points - centre) * np.reshape([1, -1, 0], (3, 1, 1, 1))
    end = points + planted.exponential(velocity, BOX)
    inner = (slice(None), slice(14, 26), slice(14, 30), slice(12, 24))
    wanted = centre + (points - centre) * np.exp(np.reshape([0.2, -0.2, 0], (3, 1, 1, 1)))
    np.testing.assert_allclose(end[inner], wanted[inner], atol=0.02)


def test_the_flow_of_the_opposite_velocity_is_the_inverse():
    velocity = planted.random_velocity(BOX, 2.0, 12.0, np.random.default_rng(3))
    points = grid_points(BOX)
    there = points + planted.exponential(velocity, BOX)
    back = planted.displaced(there, planted.exponential(-velocity, BOX), BOX)
    inner = (slice(None), *[slice(12, -12)] * 3)
    assert np.abs(there - points)[inner].max() > 3
    assert np.abs(back - points)[inner].max() < 0.1


def test_a_still_velocity_moves_nothing():
    assert not planted.exponential(np.zeros((3, *BOX.shape)), BOX).any()


def test_random_velocities_have_the_wanted_size_and_repeat_with_the_seed():
    one, same = (planted.random_velocity(BOX, 2.5, 6.0, np.random.default_rng(1)) for _ in "ab")
    np.testing.assert_allclose(one.std(axis=(1, 2, 3)), 2.5, rtol=1e-5)
    np.testing.assert_array_equal(one, same)


def test_the_divergence_of_the_velocity_is_the_wanted_log_jacobian():
    points = grid_points(BOX) - np.reshape([3.0, -5.0, 7.0], (3, 1, 1, 1))
    wanted = 0.1 * np.exp(-(points**2).sum(axis=0) / (2 * 8.0**2))
    velocity = planted.expansion_velocity(wanted, BOX)
    divergence = sum(np.gradient(part, 2.0, axis=axis) for axis, part in enumerate(velocity))
    inner = tuple(slice(2, -2) for _ in range(3))
    np.testing.assert_allclose(divergence[inner], (wanted - wanted.mean())[inner], atol=2e-3)


def test_a_growing_ball_pushes_outwards():
    velocity = planted.expansion_velocity(0.1 * ball(BOX, (3, -5, 7), 10), BOX)
    beyond = planted.sampled(velocity[1], BOX, np.array([[3.0], [-5.0 + 16], [7.0]]))
    assert beyond[0] == pytest.approx(0.1 * 10**3 / (3 * 16**2), rel=0.1)


def test_an_expansion_refuses_a_turned_grid():
    turned = Grid((4, 4, 4), np.diag([-2.0, 2.0, 2.0, 1.0]))
    with pytest.raises(ValueError, match="axes"):
        planted.expansion_velocity(np.zeros((4, 4, 4)), turned)


def test_the_jacobian_of_a_stretch_is_the_product_of_its_factors():
    stretched = grid_points(BOX) * np.reshape([1.1, 1.0, 0.8], (3, 1, 1, 1))
    np.testing.assert_allclose(planted.jacobian_determinant(stretched, BOX), 0.88, rtol=1e-4)


def test_the_integral_of_the_jacobian_is_the_planted_change_and_favours_no_session():
    region = ball(BOX, (3, -5, 7), 14)
    fractions = fractions_of(region)
    target = planted.planted_log_jacobian(fractions, {0: 0.1}, BOX, smooth_mm=2.0)
    velocity = planted.expansion_velocity(target, BOX)
    points = grid_points(BOX)
    volumes = [
        planted.region_volumes(fractions, points + planted.exponential(v, BOX), BOX)[0]
        for v in (-velocity / 2, np.zeros_like(velocity), velocity / 2)
    ]
    before, middle, after = np.log(volumes)
    assert volumes[1] == pytest.approx(region.sum() * 0.008)
    assert after - before == pytest.approx(0.1, rel=0.08)
    assert after - middle == pytest.approx(middle - before, abs=0.002)


def test_volume_does_not_change_where_nothing_was_planted():
    grown, still = ball(BOX, (-12, -5, 7), 10), ball(BOX, (18, -5, 7), 10)
    target = planted.planted_log_jacobian(fractions_of(grown), {0: 0.1}, BOX)
    displacement = planted.exponential(planted.expansion_velocity(target, BOX), BOX)
    after = planted.region_volumes(fractions_of(still), grid_points(BOX) + displacement, BOX)
    change = 100 * np.log(after[0] / (still.sum() * 0.008))
    box_share = 100 * target.mean()
    assert change == pytest.approx(-box_share, abs=0.05)


def test_neighbours_get_their_own_mean_log_jacobian():
    labels = np.zeros((30, 30, 30), dtype=int)
    labels[8:15, 10:20, 10:20], labels[15:22, 10:20, 10:20] = 5, 9
    grid = box_grid(labels.shape, 2.0)
    fractions = planted.region_fractions(labels, [5, 9], 1)
    field = planted.planted_log_jacobian(fractions, {0: 0.08, 1: -0.04}, grid, smooth_mm=4.0)
    assert field[labels == 5].mean() == pytest.approx(0.08, rel=1e-4)
    assert field[labels == 9].mean() == pytest.approx(-0.04, rel=1e-4)


def test_nothing_wanted_is_a_field_of_zeros():
    assert not planted.planted_log_jacobian(fractions_of(ball(BOX, (0, 0, 0), 9)), {}, BOX).any()


def test_region_fractions_are_shares_of_a_coarse_voxel():
    labels = np.zeros((4, 2, 3), dtype=int)
    labels[0, 0, 0] = labels[1, 1, 1] = 7
    labels[2:, :, 2] = 4
    labels[3, 1, 0] = 6
    shares = planted.region_fractions(labels, [4, 7], 2).toarray()
    expected = np.zeros((2, 2, 1, 2))
    expected[1, 0, 0, 0] = 2 / 8
    expected[0, 1, 0, 1] = 4 / 8
    np.testing.assert_array_equal(shares, expected.reshape(2, -1))


def test_the_imaged_volume_is_the_integral_of_the_jacobian():
    region = ball(BOX, (3, -5, 7), 14)
    velocity = planted.random_velocity(BOX, 2.0, 10.0, np.random.default_rng(5))
    outward = grid_points(BOX) + planted.exponential(velocity, BOX)
    inward = grid_points(BOX) + planted.exponential(-velocity, BOX)
    seen = planted.resampled(region.astype(float), BOX, inward, oversampling=2)
    truth = planted.region_volumes(fractions_of(region), outward, BOX)[0]
    assert abs(truth / (region.sum() * 0.008) - 1) > 0.01
    assert seen.sum() * 0.008 == pytest.approx(truth, rel=0.004)


def test_rigid_matrices_turn_before_they_shift():
    matrix = planted.rigid_matrix([10, 0, 0, 0, 0, 90])
    np.testing.assert_allclose(matrix @ [1, 0, 0, 1], [10, 1, 0, 1], atol=1e-12)


def test_half_of_a_motion_twice_is_the_motion():
    matrix = planted.rigid_matrix([2, -3, 1, 4, -6, 10])
    half = planted.matrix_power(matrix, 0.5)
    np.testing.assert_allclose(half @ half, matrix, atol=1e-12)
    np.testing.assert_allclose(planted.matrix_power(matrix, -0.5), np.linalg.inv(half), atol=1e-12)


def test_oversampling_takes_the_mean_of_the_voxel():
    fine = box_grid((8, 8, 8), 1.0)
    volume = np.random.default_rng(0).random(fine.shape)
    coarse = planted.coarser(fine, 2)
    seen = planted.resampled(volume, fine, grid_points(coarse), oversampling=2)
    blocks = volume.reshape(4, 2, 4, 2, 4, 2).mean(axis=(1, 3, 5))
    np.testing.assert_allclose(seen, blocks, rtol=1e-5)
