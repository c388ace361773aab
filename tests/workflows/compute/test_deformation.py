"""Deformation of all sessions against their middle, on a made-up head of known shape."""

import numpy as np
import pytest
from scipy import ndimage

from workflows.compute.deformation import (
    deformations,
    displacement,
    evened,
    exponential,
    filled,
    frame_of,
    normal_equations,
    read,
    scan_of,
    session_noise,
    shared_frame,
    views,
)
from workflows.compute.geometry import jacobian_determinant

SIDE = 28
AFFINE = np.eye(4)
AFFINE[:3, 3] = [-12, 31, 6]
STILL = np.eye(4)
MIDDLE_MM = AFFINE[:3, 3] + (SIDE - 1) / 2
DISTANCE = np.linalg.norm(np.indices((SIDE,) * 3) - (SIDE - 1) / 2, axis=0)
MASK = DISTANCE < 10
CORE = DISTANCE < 5
CENTRES = np.random.default_rng(5).uniform(-15, 15, (160, 3)) + MIDDLE_MM
HEIGHTS = np.random.default_rng(6).uniform(-35, 35, 160)
FRAME = frame_of(MASK, AFFINE)


def head(points):
    """Intensity at points (n, 3), mm."""
    answer = np.full(len(points), 100.0)
    for centre, height in zip(CENTRES, HEIGHTS, strict=True):
        answer += height * np.exp(-((points - centre) ** 2).sum(axis=1) / 2 / 2.0**2)
    return answer


def rigid(degrees, shift_mm):
    """Rotation about x and z through the middle, then a shift."""
    a, b = np.radians(degrees), np.radians(degrees) / 2
    about_z = [[np.cos(a), -np.sin(a), 0], [np.sin(a), np.cos(a), 0], [0, 0, 1]]
    about_x = [[1, 0, 0], [0, np.cos(b), -np.sin(b)], [0, np.sin(b), np.cos(b)]]
    matrix = np.eye(4)
    matrix[:3, :3] = np.array(about_z) @ about_x
    matrix[:3, 3] = MIDDLE_MM - matrix[:3, :3] @ MIDDLE_MM + shift_mm
    return matrix


def image(shape=(SIDE,) * 3, affine=AFFINE, to_session=STILL, moved=None):
    """Volume of a session; `moved` gives the displacement (n, 3) of points of the template."""
    index = np.indices(shape).reshape(3, -1)
    matrix = np.linalg.inv(to_session) @ affine
    points = (matrix[:3, :3] @ index + matrix[:3, 3:]).T
    start = points.copy()
    for _ in range(30 if moved else 0):
        start = points - moved(start)
    return head(start).reshape(shape)


def larger(points):
    """Growth by 5 % in each direction around a place that is not the middle."""
    away = points - MIDDLE_MM - [1.0, -0.5, 0.0]
    return 0.05 * away * np.exp(-(away**2).sum(axis=1, keepdims=True) / 2 / 5.0**2)


def upwards(points):
    """A wave of half a mm along z, over y."""
    moved = np.zeros_like(points)
    moved[:, 2] = 0.5 * np.exp(-((points[:, 1] - MIDDLE_MM[1]) ** 2) / 2 / 4.0**2)
    return moved


def scan(volume):
    return scan_of(volume, AFFINE, np.eye(4))


def log_jacobians(found):
    moved = [np.moveaxis(part, 0, -1) for part in found.displacements]
    return [np.log(jacobian_determinant(part, AFFINE)) for part in moved]


PLAIN = image()
NOISE = np.random.default_rng(7).normal(scale=0.5, size=(3, *PLAIN.shape))
LARGE = image(moved=larger) + NOISE[2]


@pytest.fixture(scope="module")
def grown():
    """A session with growth, and before it one without."""
    return deformations([scan(PLAIN + NOISE[0]), scan(LARGE)], FRAME)


def test_the_session_that_is_larger_has_a_jacobian_above_one_by_what_was_planted(grown):
    points = np.indices(PLAIN.shape).reshape(3, -1).T + AFFINE[:3, 3]
    planted = larger(points).reshape(*PLAIN.shape, 3)
    expected = np.log(jacobian_determinant(planted, AFFINE))[CORE].mean()
    before, after = (part[CORE].mean() for part in log_jacobians(grown))
    assert expected == pytest.approx(0.0837, abs=1e-4)
    assert after - before == pytest.approx(expected, rel=0.15)
    assert after == pytest.approx(-before, rel=0.05)


def test_swapping_two_sessions_swaps_their_displacements_bit_for_bit(grown):
    other = deformations([scan(LARGE), scan(PLAIN + NOISE[0])], FRAME)
    assert np.abs(grown.displacements[0]).max() > 0.01
    np.testing.assert_array_equal(grown.displacements, other.displacements[::-1])
    np.testing.assert_array_equal(grown.warped, other.warped[::-1])
    assert grown.noise == other.noise


def test_a_shift_is_along_its_own_axis_in_mm():
    found = deformations([scan(PLAIN + NOISE[0]), scan(image(moved=upwards) + NOISE[1])], FRAME)
    difference = found.displacements[1] - found.displacements[0]
    points = np.zeros((10, 3))
    points[:, 1] = np.arange(9, 19) + AFFINE[1, 3]
    np.testing.assert_allclose(difference[2, 13, 9:19, 14], upwards(points)[:, 2], atol=0.12)
    np.testing.assert_allclose(difference[:, CORE].mean(axis=1), [0, 0, 0.39], atol=0.04)


def test_sessions_have_the_same_shape_after_their_displacements(grown):
    one, two = deformations([scan(LARGE - NOISE[2]), scan(PLAIN)], FRAME).warped
    assert (two - one)[CORE].std() < 0.2 * (LARGE - NOISE[2] - PLAIN)[CORE].std()
    assert grown.noise == pytest.approx(0.5 * 0.85, rel=0.15)


def test_permuting_three_sessions_permutes_the_answer():
    volumes = [PLAIN + NOISE[0], LARGE, image(moved=upwards) + NOISE[1]]
    first = deformations([scan(volume) for volume in volumes], FRAME)
    order = [2, 0, 1]
    second = deformations([scan(volumes[i]) for i in order], FRAME)
    for i, moved in zip(order, second.displacements, strict=True):
        np.testing.assert_allclose(moved, first.displacements[i], atol=1e-5)
    for i, part in zip(order, log_jacobians(second), strict=True):
        assert part[CORE].mean() == pytest.approx(log_jacobians(first)[i][CORE].mean(), abs=1e-6)
    np.testing.assert_allclose(np.sum(first.displacements, axis=0)[:, CORE], 0, atol=0.05)


def test_the_same_scan_twice_is_no_change_at_all():
    found = deformations([scan(PLAIN)] * 2, FRAME)
    np.testing.assert_array_equal(found.displacements, 0)
    np.testing.assert_array_equal(found.warped[0], found.warped[1])


@pytest.mark.parametrize(("slope", "tolerance_mm"), [(0.0, 0.02), (0.004, 0.12)])
def test_gain_and_slow_bias_are_no_change(slope, tolerance_mm):
    first, second = PLAIN + 6 * NOISE[0], PLAIN + 6 * NOISE[1]
    usual = deformations([scan(first), scan(second)], FRAME)
    brighter = 1.3 * np.exp(slope * (np.indices(PLAIN.shape)[1] - 13.5)) * second
    found = deformations([scan(first), scan(brighter)], FRAME)
    parts = [log_jacobians(each)[1][CORE].mean() for each in (usual, found)]
    assert parts[1] == pytest.approx(parts[0], abs=0.004)
    moved = found.displacements[1] - usual.displacements[1]
    assert np.abs(moved[:, CORE]).max() < tolerance_mm
    ratio = found.warped[1][CORE] / found.warped[0][CORE]
    assert np.median(ratio) == pytest.approx(1, abs=0.003)


def test_one_session_is_not_displaced():
    found = deformations([scan(PLAIN)], FRAME)
    np.testing.assert_array_equal(found.displacements, np.zeros((1, 3, *PLAIN.shape)))
    np.testing.assert_allclose(found.warped[0][MASK], PLAIN[MASK], rtol=1e-4)
    assert np.isnan(found.noise)


def oblique():
    """Volume, affine and place of a session in turned voxels of 1.25 x 0.8 x 1.1 mm."""
    affine = rigid(12, [0, 0, 0]) @ np.diag([1.25, 0.8, 1.1, 1])
    shape, place = (34, 52, 38), rigid(-7, [3, -2, 1.5])
    centre = place @ [*MIDDLE_MM, 1]
    affine[:3, 3] = centre[:3] - affine[:3, :3] @ ((np.array(shape) - 1) / 2)
    return image(shape, affine, place), affine, place


def test_a_session_in_other_turned_voxels_is_read_at_its_place():
    turned = scan_of(*oblique())
    still = np.zeros((3, *PLAIN.shape), np.float32)
    found = read([turned], [still], FRAME)[0]
    np.testing.assert_allclose(found[MASK], PLAIN[MASK], atol=0.5)
    assert found[0, 0, 0] == 0
    moved = deformations([scan(PLAIN), turned], FRAME)
    assert np.abs(moved.displacements[1][:, CORE]).max() < 0.03


def test_what_lies_outside_of_a_cropped_session_is_no_change():
    kept = slice(9, None)
    shifted = AFFINE.copy()
    shifted[0, 3] += 9
    cropped = scan_of(PLAIN[kept] + NOISE[0, kept], shifted, np.eye(4))
    found = deformations([cropped, scan(PLAIN + NOISE[1])], FRAME)
    whole = deformations([scan(PLAIN + NOISE[0]), scan(PLAIN + NOISE[1])], FRAME)
    change = (log_jacobians(found)[1] - log_jacobians(found)[0])[MASK]
    usual = (log_jacobians(whole)[1] - log_jacobians(whole)[0])[MASK]
    assert np.abs(change).max() < 1.5 * np.abs(usual).max()
    outside = (slice(2, 9), *[slice(2, -2)] * 2)
    np.testing.assert_array_equal(found.warped[0][outside], found.warped[1][outside])
    assert found.noise == pytest.approx(whole.noise, rel=0.1)


def test_a_view_ends_two_mm_inside_the_field_of_view_of_each_voxel_axis():
    affine = AFFINE @ np.diag([1.0, 1, 0.5, 1])
    flat = scan_of(np.ones((SIDE, 12, SIDE)), affine, np.eye(4))
    (view,) = views([flat], FRAME)
    inside = np.zeros_like(view)
    inside[2:26, 2:10, 2:12] = True
    near = np.zeros(view.size, bool)
    near[FRAME.used] = True
    np.testing.assert_array_equal(view, inside | ~near.reshape(view.shape))


def test_weight_is_where_two_have_seen_and_the_mask_where_all_have():
    seen = [np.ones(MASK.shape, bool) for _ in range(3)]
    seen[0][:10], seen[1][:8] = False, False
    frame = shared_frame(FRAME, seen)
    np.testing.assert_array_equal(frame.mask[10:], MASK[10:])
    assert not frame.mask[:10].any()
    np.testing.assert_array_equal(frame.weight[8:], FRAME.weight[8:])
    assert not frame.weight[:8].any()
    with pytest.raises(ValueError, match="seen by all"):
        shared_frame(FRAME, [np.zeros(MASK.shape, bool), seen[2]])


def test_what_was_not_seen_is_the_mean_of_those_that_saw_it():
    images = [np.float32([1, 2, 3]), np.float32([5, 6, 7]), np.float32([9, 10, 12])]
    seen = [np.array(row, bool) for row in ([1, 0, 0], [1, 1, 0], [1, 1, 0])]
    found = filled(images, seen)
    np.testing.assert_array_equal(found, [[1, 8, 3], [5, 6, 7], [9, 10, 12]])


def test_the_exponential_of_the_negative_flow_is_the_inverse():
    index = np.indices((16, 16, 16), dtype=np.float32)
    bump = np.exp(-((index - 7.5) ** 2).sum(axis=0) / 2 / 3**2)
    flow = np.stack([1.0 * bump, -0.5 * bump, 0.75 * bump * (index[0] - 7.5) / 3])
    flow = flow.astype(np.float32)
    there, back = exponential(flow, 2.0), exponential(-flow, 2.0)
    places = index + there / 2.0
    home = [ndimage.map_coordinates(part, places, order=3, mode="nearest") for part in back]
    np.testing.assert_allclose(there + home, 0, atol=0.01)
    assert np.abs(there).max() > 0.8
    assert np.abs(there + back).max() > 0.1


def test_the_exponential_of_a_linear_flow_is_that_of_a_number():
    index = np.indices((16, 16, 16), dtype=np.float32)
    flow = np.zeros((3, 16, 16, 16), np.float32)
    flow[1] = 0.1 * 2.0 * (index[1] - 7.5)
    found = exponential(flow, 2.0)
    inner = slice(3, 13)
    expected = (np.exp(0.1) - 1) * 2.0 * (index[1] - 7.5)
    np.testing.assert_allclose(found[1, inner, inner], expected[inner, inner], rtol=1e-3)
    np.testing.assert_array_equal(found[[0, 2]], 0)


def test_displacements_of_nodes_are_those_of_the_middle_of_their_voxels():
    moved = np.zeros((3, *FRAME.node_shape), np.float32)
    assert FRAME.factor == 2
    moved[1] = np.arange(FRAME.node_shape[0])[:, None, None]
    found = displacement(moved, FRAME)
    assert found.shape == (3, *PLAIN.shape)
    np.testing.assert_allclose(found[1, :5, 0, 0], [0, 0.25, 0.75, 1.25, 1.75])


def test_grids_that_are_not_isotropic_or_turned_are_refused():
    for wrong in (np.diag([1.0, 1, 1.5, 1]), np.diag([-1.0, 1, 1, 1]), rigid(20, [0, 0, 0])):
        with pytest.raises(ValueError, match="affine"):
            frame_of(MASK, wrong)


def test_weight_is_full_near_the_brain_and_falls_to_zero_in_mm():
    mask = np.zeros((20, 1, 1), bool)
    mask[:5] = True
    frame = frame_of(mask, np.diag([1.5, 1.5, 1.5, 1]))
    # 1.5, 3, 4.5 mm from the last voxel of the brain
    np.testing.assert_allclose(frame.weight[4:9, 0, 0], [1, 1, 0.5, 0, 0])
    assert frame.used.tolist() == list(range(10))
    assert frame.points[0].tolist() == [1.5 * i for i in range(10)]


def test_noise_of_one_session_does_not_depend_on_how_many_there_are():
    noisy = 100 + np.random.default_rng(3).normal(scale=2, size=(4, *MASK.shape))
    for n_sessions in (2, 4):
        assert session_noise(list(noisy[:n_sessions]), FRAME) == pytest.approx(2, rel=0.06)
    assert session_noise([noisy[0], noisy[0]], FRAME) == pytest.approx(0.1, rel=0.01)


def test_slow_differences_are_taken_out_and_remembered():
    flat = np.full(MASK.shape, 100, np.float32)
    none = [np.zeros(MASK.shape, np.float32)] * 2
    images, fields = evened([flat, 1.1 * flat], none, FRAME, np.inf)
    np.testing.assert_allclose(images[0][CORE], images[1][CORE], rtol=0.01)
    ratio = np.exp(fields[1] - fields[0])[CORE]
    np.testing.assert_allclose(ratio, 1.1, rtol=0.01)
    again, _ = evened([flat, 1.1 * flat], fields, FRAME, 1.0)
    np.testing.assert_allclose(again[0][CORE], again[1][CORE], rtol=1e-3)


def test_voxels_that_share_one_value_say_less():
    images = [np.roll(FRAME.mask.astype(np.float32) * 100, shift, 0) for shift in (0, 1)]
    shared = frame_of(MASK, AFFINE, 4.0)
    alone, _ = normal_equations(images, FRAME, 1.0, 2.0)
    less, _ = normal_equations(images, shared, 1.0, 2.0)
    assert alone.any()
    np.testing.assert_allclose(less, alone / 4, rtol=1e-5)


def test_larger_voxels_say_less_per_mm_and_are_blurred_more():
    coarse = frame_of(MASK, np.diag([2.0, 2.0, 2.0, 1]), 3.0)
    assert coarse.variance(5.0) == pytest.approx(25 * 3 * 8)
    assert coarse.blur_mm(0.6) == pytest.approx(1.2)
    assert frame_of(MASK, np.diag([0.8, 0.8, 0.8, 1])).blur_mm(0.6) == 0.6
