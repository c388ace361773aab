import numpy as np
import pandas as pd
import pytest
from scipy.special import erf

from workflows.compute.thickness import (
    WINDOW_MM,
    Lines,
    displacement_at,
    edge_shift,
    line_brightness,
    line_contrast,
    line_lengths,
    region_thickness,
    thickness_lines,
    thickness_map,
    thickness_table,
)

SHAPE = (22, 14, 12)
AFFINE = np.array([[-0.8, 0, 0, 30.0], [0, 0, 0.8, -4], [0, 0.8, 0, 7], [0, 0, 0, 1]])
"""The first axis leads to the left, the second up, the third to the front; .8 mm."""


def slab(low, high, n=SHAPE[0]):
    """Share of each voxel of the first axis between two places, in voxels, as a volume."""
    edges = np.arange(n + 1) - 0.5
    share = np.diff(np.clip(edges, low, high))
    return np.broadcast_to(share[:, None, None], (n, *SHAPE[1:])).astype(np.float32)


def core(lines):
    """Lines away from the walls of the grid."""
    return ((lines.voxels[:, 1:] >= 3) & (lines.voxels[:, 1:] < 9)).all(axis=1)


def shell(thickness, radius=11.0, n=36):
    """Grey and white share of a ball of white matter in a shell of grey, voxels of 1 mm."""
    centre = (n - 1) / 2 + np.array([0.2, -0.3, 0.1])
    points = (np.arange(2 * n) + 0.5) / 2 - 0.5
    away = np.sqrt(sum(np.meshgrid(*[(points - c) ** 2 for c in centre], indexing="ij")))
    inside = [np.clip(0.5 + 2 * (edge - away), 0, 1) for edge in (radius, radius + thickness)]
    white, tissue = (x.reshape(n, 2, n, 2, n, 2).mean(axis=(1, 3, 5)) for x in inside)
    return (tissue - white).astype(np.float32), white.astype(np.float32)


def one_line(inner, outer, voxel, room=WINDOW_MM):
    return Lines(*(np.array([x], float) for x in (inner, outer, [room, room])), np.array([voxel]))


def test_a_slab_has_its_thickness_in_mm_and_ends_at_its_edges():
    lines = thickness_lines(slab(6.5, 10.5), slab(-1, 6.5), AFFINE)
    inside = core(lines)
    np.testing.assert_allclose(line_lengths(lines, AFFINE)[inside], 4 * 0.8, atol=0.01)
    np.testing.assert_allclose(lines.inner[inside, 0], 30 - 0.8 * 6.5, atol=0.01)
    np.testing.assert_allclose(lines.outer[inside, 0], 30 - 0.8 * 10.5, atol=0.01)
    np.testing.assert_allclose(lines.inner[inside, 1], (lines.voxels[inside, 2] * 0.8) - 4)
    assert set(lines.voxels[inside, 0]) <= {8, 9}


@pytest.mark.parametrize("thickness", [1.6, 2.5, 4.0])
def test_a_shell_has_its_thickness(thickness):
    lines = thickness_lines(*shell(thickness), np.eye(4))
    lengths = line_lengths(lines, np.eye(4))
    assert lengths.mean() == pytest.approx(thickness, abs=0.06)
    assert lengths.std() < 0.12


def test_banks_that_touch_share_the_middle_of_their_white_matter():
    white = slab(-1, 5.5) + slab(11.5, 30)
    lines = thickness_lines(1 - white, white, AFFINE)
    inside = core(lines)
    np.testing.assert_allclose(line_lengths(lines, AFFINE)[inside], 3 * 0.8, atol=0.01)
    np.testing.assert_allclose(lines.outer[inside, 0], 30 - 0.8 * 8.5, atol=0.01)
    np.testing.assert_allclose(lines.room_mm[inside], [[WINDOW_MM, 0]] * inside.sum(), atol=0.01)
    left_bank = lines.inner[inside, 0] < 30 - 0.8 * 8.5
    assert 0.4 < left_bank.mean() < 0.6


def test_csf_too_narrow_to_be_an_edge_is_not_counted_as_cortex():
    white = slab(-1, 5.5) + slab(11.5, 30)
    fluid = slab(8.3, 8.7)
    lines = thickness_lines(1 - white - fluid, white, AFFINE)
    inside = core(lines)
    np.testing.assert_allclose(line_lengths(lines, AFFINE)[inside], 2.8 * 0.8, atol=0.05)
    np.testing.assert_allclose(lines.room_mm[inside, 1], 0.2 * 0.8, atol=0.05)


def test_room_inside_thin_white_matter_ends_at_its_middle():
    white = slab(9.5, 11.5)
    lines = thickness_lines(slab(6.5, 9.5) + slab(11.5, 14.5), white, AFFINE)
    inside = core(lines)
    np.testing.assert_allclose(lines.room_mm[inside, 0], 0.8, atol=0.05)
    np.testing.assert_allclose(line_lengths(lines, AFFINE)[inside], 2.4, atol=0.05)


def test_turning_the_grid_does_not_change_the_lines():
    rng = np.random.default_rng(2)
    grey, white = (np.clip(x + rng.normal(0, 0.03, x.shape), 0, 1) for x in shell(2.5, 8, 28))
    turned = [np.ascontiguousarray(np.flip(x.transpose(2, 0, 1), 1)) for x in (grey, white)]
    first = thickness_lines(grey, white, np.eye(4))
    second = thickness_lines(*turned, np.eye(4))
    lengths = [np.sort(line_lengths(lines, np.eye(4))) for lines in (first, second)]
    np.testing.assert_allclose(*lengths, atol=1e-3)
    i, j, k = first.voxels.T
    assert set(zip(k, 27 - i, j, strict=True)) == set(map(tuple, second.voxels.tolist()))


def test_only_lines_with_their_middle_in_the_wanted_voxels_are_made():
    within = np.zeros(SHAPE, bool)
    within[:, 4:6] = True
    every = thickness_lines(slab(6.5, 10.5), slab(-1, 6.5), AFFINE)
    some = thickness_lines(slab(6.5, 10.5), slab(-1, 6.5), AFFINE, within)
    assert set(some.voxels[:, 1]) == {4, 5}
    assert len(some.voxels) == np.isin(every.voxels[:, 1], [4, 5]).sum()


def test_a_speck_of_white_matter_is_no_edge():
    white, grey = slab(-1, 6.5).copy(), slab(6.5, 10.5).copy()
    white[9, 6, 6], grey[9, 6, 6] = 1, 0
    lengths = line_lengths(thickness_lines(grey, white, AFFINE), AFFINE)
    assert lengths.min() > 2.5


def test_maps_that_cannot_be_used_are_refused():
    grey, white = slab(6.5, 10.5), slab(-1, 6.5)
    with pytest.raises(ValueError, match="shapes differ"):
        thickness_lines(grey, white[1:], AFFINE)
    with pytest.raises(ValueError, match="isotropic"):
        thickness_lines(grey, white, np.diag([1, 1, 2.0, 1]))
    with pytest.raises(ValueError, match="no white matter"):
        thickness_lines(grey, white * 0, AFFINE)


def test_a_line_grows_as_its_ends_move_apart():
    ends = np.array([[10.0, 2, 12], [13.0, 2, 12]])
    line = one_line(*ends, [(30 - 11.6) / 0.8, 5 / 0.8, 6 / 0.8])
    displacement = np.zeros((30, 14, 12, 3), np.float32)
    displacement[..., 0] = 0.1 * (30 - 0.8 * np.arange(30))[:, None, None]
    displacement[..., 2] = 5
    assert line_lengths(line, AFFINE) == pytest.approx(3.0)
    assert line_lengths(line, AFFINE, displacement) == pytest.approx(3.3, abs=1e-5)
    np.testing.assert_allclose(
        displacement_at(ends, AFFINE, displacement), [[1.0, 0, 5], [1.3, 0, 5]], atol=1e-5
    )
    with pytest.raises(ValueError, match="x, y and z"):
        displacement_at(ends, AFFINE, displacement[..., :2])


def test_a_bent_line_is_measured_over_its_middle():
    line = one_line([0, 0, 0], [3, 0, 0], [0, 0, 0])
    bent = Lines(line.inner, line.outer, line.room_mm, np.array([[0, 4, 0]]))
    assert line_lengths(line, np.eye(4)) == pytest.approx(3)
    assert line_lengths(bent, np.eye(4)) == pytest.approx(4 + 5)


def profile(white_edge, fluid_edge, moved_mm=0.0):
    """Image of white 100, grey 60, CSF 30 along the first axis, blurred by half a voxel.

    It is read at a place moved to the right (mm, x).
    """
    at = (np.arange(SHAPE[0]) - moved_mm / 0.8)[:, None, None] + np.zeros(SHAPE)
    steps = [(40, white_edge), (30, fluid_edge)]
    image = 30 + sum(step * (1 - erf((at - edge) / 0.5 / 2**0.5)) / 2 for step, edge in steps)
    return image.astype(np.float32)


def test_edges_that_moved_are_read_off_the_brightness_in_mm():
    lines = thickness_lines(slab(6.5, 10.5), slab(-1, 6.5), AFFINE)
    inside = core(lines)
    means = np.broadcast_to(np.float32([30, 45, 60, 80, 100]), (*SHAPE, 5))
    contrast = line_contrast(lines, means)
    np.testing.assert_array_equal(contrast, [[40, 30]] * len(contrast))
    template = line_brightness(lines, AFFINE, profile(6.5, 10.5))
    session = line_brightness(lines, AFFINE, profile(6.6, 10.2))
    shift = edge_shift(session, template, contrast)[inside]
    np.testing.assert_allclose(shift, [[0.08, -0.24]] * len(shift), atol=0.012)


def test_displacement_and_brightness_share_a_thinning_between_them():
    lines = thickness_lines(slab(6.5, 10.5), slab(-1, 6.5), AFFINE)
    inside = core(lines)
    contrast = np.array([[40.0, 30]] * len(inside))
    template = line_brightness(lines, AFFINE, profile(6.5, 10.5))
    at = np.arange(SHAPE[0])
    for known in (0.0, 0.5, 1.0):
        displacement = np.zeros((*SHAPE, 3), np.float32)
        moved_mm = np.interp(at, [7, 10], [0, known * 0.2])
        displacement[..., 0] = moved_mm[:, None, None]
        session = line_brightness(lines, AFFINE, profile(6.5, 10.25, moved_mm))
        inner, outer = edge_shift(session, template, contrast).T
        length = line_lengths(lines, AFFINE, displacement) + outer - inner
        np.testing.assert_allclose(length[inside], 3.0, atol=0.02)


def test_without_contrast_a_shift_is_not_known():
    shift = edge_shift(np.array([[4.0, 3]]), np.array([[0.0, 6]]), np.array([[40.0, 0]]))
    np.testing.assert_array_equal(shift, [[0.1, np.nan]])


def test_regions_are_means_of_their_lines_in_the_order_asked():
    labels = np.array([[[3, 3, 7, 7, 9, 0]]])
    voxels = np.array([[0, 0, k] for k in (0, 1, 1, 2, 3, 4, 5)])
    lengths = np.array([2.0, 3, 4, 1.5, np.nan, 5, 9])
    mean, n_lines = region_thickness(lengths, voxels, labels, [7, 3, 12, 9], 1)
    np.testing.assert_array_equal(mean, [1.5, 3, np.nan, 5])
    assert n_lines.tolist() == [1, 3, 0, 1]
    np.testing.assert_array_equal(
        region_thickness(lengths, voxels, labels, [7, 3, 9], 2)[0], [np.nan, 3, np.nan]
    )
    np.testing.assert_array_equal(
        region_thickness(lengths, voxels, labels, [7, 3, 9], 1, 0.6)[0], [np.nan, 3, 5]
    )
    with pytest.raises(ValueError, match="start at 1"):
        region_thickness(lengths, voxels, labels, [0, 3], 1)


def test_the_map_takes_the_nearest_line_within_reach():
    grey = np.zeros((1, 1, 9), bool)
    grey[..., 1:] = True
    voxels = np.array([[0, 0, 0], [0, 0, 4]])
    found = thickness_map(np.array([2.0, 3.5]), voxels, grey, 1.4)
    np.testing.assert_array_equal(found.ravel(), np.float32([0, 2, 2, 3.5, 3.5, 3.5, 3.5, 0, 0]))


def test_a_region_that_is_not_cortex_keeps_its_row_without_thickness():
    table = pd.DataFrame({"index": [4, 2], "name": ["lh_x", "rh_y"], "hemisphere": ["L", "R"]})
    table["structure"] = ["subcortex", "cortex"]
    answer = thickness_table(table, np.array([2.0, 2.5]), np.array([70, 80]), "cortex")
    assert answer["region"].tolist() == ["lh_x", "rh_y"]
    np.testing.assert_array_equal(answer["thickness"], [np.nan, 2.5])
    assert answer["n_lines"].tolist() == [0, 80]
