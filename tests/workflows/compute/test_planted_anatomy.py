import numpy as np
import pytest
from heads import tiny_head

from workflows.compute import planted, planted_anatomy
from workflows.compute.planted_anatomy import AIR, BRAIN, FLUID, SCALP, SKULL, Appearance

HEAD = tiny_head()
GRID = HEAD.field_grid


def growth(size):
    fractions = planted.region_fractions(HEAD.labels, [1, 2, 3, 4], 2)
    target = planted.planted_log_jacobian(fractions, {0: size, 1: size}, GRID)
    return planted.expansion_velocity(target, GRID), fractions


def volumes(anatomy, change, fractions):
    return planted.region_volumes(
        fractions, planted_anatomy.outward_map(HEAD, anatomy, change), GRID
    )


def person(seed=1):
    return planted_anatomy.random_anatomy(HEAD, np.random.default_rng(seed), sd_mm=(1.0, 0.4))


def test_layers_follow_each_other_outwards():
    x, y, z = np.indices((80, 80, 80)) - 39.5
    layers = planted_anatomy.head_layers(x**2 + y**2 + z**2 < 20**2, 1.0, (2.0, 5.0, 6.0))
    outwards = layers[40:, 40, 40]
    names = [BRAIN, FLUID, SKULL, SCALP, AIR]
    assert list(dict.fromkeys(outwards)) == names
    thickness = [int((outwards == name).sum()) for name in names[1:4]]
    np.testing.assert_allclose(thickness, [2, 5, 6], atol=1)


def test_a_dressed_brain_keeps_its_own_intensities():
    layers = np.full((9, 9, 9), SKULL, dtype=np.uint8)
    layers[4, 4, 4] = BRAIN
    head = planted_anatomy.dressed(
        np.full((9, 9, 9), 0.7), layers, {FLUID: 0.2, SKULL: 0.06, SCALP: 0.8}, np.ones((9, 9, 9))
    )
    assert head[4, 4, 4] == pytest.approx(0.7)
    assert head[0, 0, 0] == pytest.approx(0.06)


def test_the_two_sides_of_a_head_have_the_contrast_of_their_tissue():
    assert HEAD.t1w[48 + 20, 48, 48] == pytest.approx(0.9 * 0.9 + 0.6 * 0.1)
    assert HEAD.bold[48 - 20, 48, 48] == pytest.approx(0.75 * 0.9 + 0.6 * 0.1)


def test_inward_and_outward_maps_are_inverse():
    velocity, _ = growth(0.3)
    anatomy = person()
    pose = planted.rigid_matrix([3, -4, 5, 6, -7, 8])
    change = planted_anatomy.half_changes(velocity, GRID)[1]
    there = planted_anatomy.outward_map(HEAD, anatomy, change)[:, 20:28, 20:28, 20:28]
    scanner = planted.transformed(there, pose)
    back = planted.transformed(scanner, np.linalg.inv(pose @ anatomy.scale))
    back = planted.displaced(back, anatomy.inward, anatomy.grid)
    back = planted.displaced(back, change.inward, change.grid)
    np.testing.assert_allclose(back, planted.grid_points(GRID)[:, 20:28, 20:28, 20:28], atol=0.08)


def test_the_map_of_a_session_looks_where_the_pose_put_the_head():
    still = planted_anatomy.half_changes(np.zeros((3, *GRID.shape)), GRID)[0]
    nobody = np.zeros((3, *GRID.shape), dtype=np.float32)
    anatomy = planted_anatomy.Anatomy(GRID, nobody, nobody, np.diag([2.0, 2.0, 2.0, 1.0]))
    pose = planted.rigid_matrix([10, 0, 0, 0, 0, 90])
    grid = planted.box_grid((1, 1, 1), 1.0, centre_mm=(10.0, 8.0, 0.0))
    template_point = planted_anatomy.inward_map(grid, pose, anatomy, still)[:, 0, 0, 0]
    np.testing.assert_allclose(template_point, [4, 0, 0], atol=1e-5)


def test_zero_change_leaves_both_sessions_alike():
    before, after = planted_anatomy.half_changes(np.zeros((3, *GRID.shape)), GRID)
    assert not before.outward.any()
    assert not after.outward.any()


def test_swapping_the_sessions_flips_the_change_and_no_session_is_favoured():
    velocity, fractions = growth(0.1)
    anatomy = person()
    before, after = (
        volumes(anatomy, c, fractions) for c in planted_anatomy.half_changes(velocity, GRID)
    )
    later, sooner = (
        volumes(anatomy, c, fractions) for c in planted_anatomy.half_changes(-velocity, GRID)
    )
    np.testing.assert_array_equal(before, sooner)
    np.testing.assert_array_equal(after, later)
    middle = volumes(anatomy, planted_anatomy.half_changes(0 * velocity, GRID)[0], fractions)
    gain, loss = np.log(after[:2] / middle[:2]), np.log(middle[:2] / before[:2])
    np.testing.assert_allclose(gain, loss, atol=0.003)
    np.testing.assert_allclose(gain + loss, 0.1, rtol=0.12)


def test_half_of_the_motion_is_on_each_session():
    position, motion = (planted.rigid_matrix(p) for p in ([1, 2, 3, 4, 5, 6], [2, -1, 1, 3, -2, 4]))
    before, after = planted_anatomy.half_poses(position, motion)
    np.testing.assert_allclose(after @ np.linalg.inv(before), motion, atol=1e-12)
    back = planted_anatomy.half_poses(position, np.linalg.inv(motion))
    np.testing.assert_allclose(back[0], after, atol=1e-12)


def test_a_bias_field_has_the_wanted_spread_and_is_smooth():
    field = planted_anatomy.bias_field((30, 34, 28), 0.06, np.random.default_rng(2))
    assert np.log(field).std() == pytest.approx(0.06, rel=1e-3)
    assert np.abs(np.diff(field, axis=1)).max() < 0.03


def test_noise_is_rician():
    rng = np.random.default_rng(0)
    background = planted_anatomy.rician(np.zeros((60, 60, 60)), 2.0, rng)
    assert background.mean() == pytest.approx(2.0 * np.sqrt(np.pi / 2), rel=0.01)
    bright = planted_anatomy.rician(np.full((60, 60, 60), 100.0), 2.0, rng)
    assert bright.std() == pytest.approx(2.0, rel=0.02)


def test_an_image_without_noise_and_bias_is_the_template_times_the_gain():
    inward = planted.grid_points(HEAD.grid)
    scanner = Appearance(gain=1.2, bias=0.0, noise=0.0)
    image = planted_anatomy.t1w_image(HEAD, inward, scanner, np.random.default_rng(0), 1)
    np.testing.assert_allclose(image[8:-8, 8:-8, 8:-8], 1.2 * HEAD.t1w[8:-8, 8:-8, 8:-8], atol=1e-3)


def test_the_same_generator_makes_the_same_person():
    np.testing.assert_array_equal(person(4).outward, person(4).outward)
    assert np.abs(person(4).outward - person(5).outward).max() > 1
