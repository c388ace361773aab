import numpy as np
import pytest
from nibabel.affines import apply_affine, from_matvec

from workflows.compute.boundary import (
    Alignment,
    alignments,
    best_alignment,
    boundary_cost,
    cost_of,
    mirrored,
    overlap_of,
    refine_to_boundary,
    usual_contrast,
    white_matter_edge,
)
from workflows.compute.motion import pose_from_parameters

TEMPLATE = from_matvec(np.diag([-1.5, 1.5, 1.5]), [45, -48, -40])
BOLD = from_matvec(np.diag([3.0, 3.0, 3.5]), [-48, -54, -45])
CENTRE = np.array([-1.0, 1.0, 2.0])


def tissue(points):
    """White matter 2 inside a lopsided body, grey 1 around it, 0 outside."""
    away = points - CENTRE
    radius = np.linalg.norm(away / [26, 32, 22], axis=-1)
    angle = np.arctan2(away[..., 1], away[..., 0])
    wave = 1 + 0.15 * np.cos(3 * angle + 0.5) + 0.1 * np.sin(away[..., 2] / 6)
    return np.where(radius < wave, 2, np.where(radius < wave * 1.35, 1, 0))


def scene(motion, contrast):
    grid = apply_affine(TEMPLATE, np.stack(np.indices((60, 66, 56)), axis=-1))
    fine = apply_affine(BOLD, np.stack(np.indices((32, 36, 26)), axis=-1))
    back = np.linalg.inv(pose_from_parameters(motion, CENTRE))
    image = np.zeros(fine.shape[:3])
    offsets = np.array(np.meshgrid(*[[-1, 0, 1]] * 3)).reshape(3, -1).T
    for offset in offsets:
        image += np.array([5, *contrast])[tissue(apply_affine(back, fine + offset))]
    return tissue(grid), image / len(offsets)


@pytest.mark.parametrize("contrast", [(1000, 800), (700, 900)])
def test_a_known_shift_is_found_with_either_contrast(contrast):
    motion = np.array([1.5, -2.0, 1.0, 0.03, -0.02, 0.04])
    segmentation, image = scene(motion, contrast)
    edge = white_matter_edge(segmentation, TEMPLATE)
    matrix, cost = refine_to_boundary(image, BOLD, edge, np.eye(4))
    expected = apply_affine(pose_from_parameters(motion, CENTRE), edge[0])
    error = np.linalg.norm(apply_affine(matrix, edge[0]) - expected, axis=1)
    assert error.mean() < 0.6
    assert cost < 0.3


def test_normals_lead_out_of_white_matter():
    segmentation, _ = scene(np.zeros(6), (1, 2))
    points, normals = white_matter_edge(segmentation, TEMPLATE)
    np.testing.assert_allclose(np.linalg.norm(normals, axis=1), 1)
    assert (tissue(points - 2 * normals) == 2).mean() > 0.95
    assert (tissue(points + 2 * normals) == 1).mean() > 0.95


@pytest.mark.parametrize("voxel_mm", [1.0, 2.5, 3.0])
def test_the_edge_of_a_ball_is_found_at_every_voxel_size(voxel_mm):
    count = int(72 / voxel_mm)
    affine = from_matvec(np.diag([voxel_mm] * 3), [-36.0] * 3)
    centres = apply_affine(affine, np.stack(np.indices((count,) * 3), axis=-1))
    radius = np.linalg.norm(centres, axis=-1)
    ball = np.where(radius < 20, 2, np.where(radius < 28, 1, 0))
    points, normals = white_matter_edge(ball, affine)
    distance = np.linalg.norm(points, axis=1)
    assert abs(distance.mean() - 20) < 0.15
    assert distance.std() < 0.25 * voxel_mm
    assert ((points * normals).sum(axis=1) / distance).min() > 0.8


def test_the_start_comes_back_when_the_image_shows_no_edge():
    segmentation, image = scene(np.zeros(6), (1000, 800))
    start = from_matvec(np.eye(3), [200, 0, 0])
    matrix, cost = refine_to_boundary(image, BOLD, white_matter_edge(segmentation, TEMPLATE), start)
    np.testing.assert_array_equal(matrix, start)
    assert cost == 2.0


def test_cost_is_one_without_contrast_and_counts_the_sign():
    contrast = np.array([4.0, 4.0, np.nan])
    assert boundary_cost(np.zeros(5), 1) == 1.0
    assert boundary_cost(contrast, 2) == pytest.approx(1 - np.tanh(2))
    assert boundary_cost(contrast, -2) == pytest.approx(1 + np.tanh(2))
    assert boundary_cost(np.array([4.0, *[np.nan] * 10]), 2) == 2.0


def test_the_usual_contrast_has_the_sign_of_most_points():
    assert usual_contrast(np.array([-3.0, -5.0, 4.0, 0.0, np.nan])) == -4.0
    assert usual_contrast(np.array([np.nan, 0.0])) == 1.0


def test_a_segmentation_without_white_matter_is_refused():
    with pytest.raises(ValueError, match="fewer than 100 edge points"):
        white_matter_edge(np.ones((10, 10, 10), int), np.eye(4))


def brain_masks(image, segmentation):
    """Function of a matrix: overlap of the bright part of an image with all tissue."""
    return lambda matrix: overlap_of(image > 100, BOLD, segmentation > 0, TEMPLATE, matrix)


def test_the_start_that_leads_to_the_edge_wins_over_the_one_that_does_not():
    motion = np.array([1.5, -2.0, 1.0, 0.03, -0.02, 0.04])
    segmentation, image = scene(motion, (700, 900))
    edge = white_matter_edge(segmentation, TEMPLATE)
    starts = [("header", from_matvec(np.eye(3), [16, 5, 12])), ("mi", np.eye(4))]
    overlap = brain_masks(image, segmentation)
    found = alignments(image, BOLD, edge, starts, overlap)
    assert [candidate.kind for candidate in found] == ["header", "bbr", "mi", "bbr"]
    assert found[2].cost == cost_of(image, BOLD, edge, np.eye(4))
    best = best_alignment(found)
    np.testing.assert_array_equal(best.matrix, found[3].matrix)
    assert best.cost == min(candidate.cost for candidate in found)
    assert best.overlap > found[0].overlap + 0.05


def test_a_cheap_edge_does_not_win_where_the_brains_hardly_overlap():
    candidates = [
        Alignment("mi", np.eye(4), 0.7, 0.90),
        Alignment("bbr", np.eye(4), 0.2, 0.84),
        Alignment("header", np.eye(4), 0.6, 0.86),
    ]
    assert best_alignment(candidates).kind == "header"
    assert best_alignment(candidates[:2]).kind == "mi"


def test_overlap_is_seen_through_the_transform_in_the_right_direction():
    head, brain = np.zeros((10, 10, 10), bool), np.zeros((20, 20, 20), bool)
    head[4:8, 2:6, 2:6] = True
    brain[2:6, 4:11, 6:13] = True
    coarse, fine = np.diag([3.0, 3, 3, 1]), from_matvec(np.diag([3.0, 1.5, 1.5]), [0, 0, -3])
    forwards = from_matvec(np.eye(3), [6.0, 0, 0])
    assert overlap_of(head, coarse, brain, fine, forwards) == 1
    assert overlap_of(head, coarse, brain, fine, np.eye(4)) == 0.5
    assert overlap_of(head, coarse, brain, fine, np.linalg.inv(forwards)) == 0


@pytest.mark.parametrize(("axes", "expected"), [((0, 1, 2), 0), ((1, 2, 0), 2)])
def test_mirroring_turns_the_axis_that_goes_from_left_to_right(axes, expected):
    image = np.random.default_rng(41).random((3, 4, 5))
    turn = np.array([[0.9, -0.3, 0.2], [0.3, 0.9, 0], [-0.2, 0, 0.9]])[:, axes]
    affine = from_matvec(turn @ np.diag([2, 2, 9]), [1, 2, 3])
    np.testing.assert_array_equal(mirrored(image, affine), np.flip(image, axis=expected))


def test_a_lopsided_brain_fits_worse_when_mirrored():
    segmentation, image = scene(np.zeros(6), (700, 900))
    edge = white_matter_edge(segmentation, TEMPLATE)
    _, given = refine_to_boundary(image, BOLD, edge, np.eye(4))
    _, exchanged = refine_to_boundary(mirrored(image, BOLD), BOLD, edge, np.eye(4))
    assert given < 0.8 * exchanged
