import numpy as np
import pytest
from scipy import ndimage

from workflows.compute.brain_mask import (
    brain_facts,
    brain_surface,
    filled_surface,
    head_facts,
    icosphere,
    without_fat,
)

VOXEL_MM = 4.0


@pytest.fixture(scope="module")
def head():
    """Head: brain (100) of radius 70 mm, dark skull, scalp (90); with the true brain."""
    offset = (np.indices((50, 52, 48)).T - [24, 26, 22]).T * VOXEL_MM
    distance = np.linalg.norm(offset, axis=0)
    volume = np.where(distance < 70, 100.0, 5.0)
    volume[(distance > 80) & (distance < 88)] = 90
    volume[distance >= 88] = 0
    return volume, distance < 70


def test_icosphere_is_closed_round_and_points_outward():
    vertices, faces = icosphere(2)
    assert (len(vertices), len(faces)) == (162, 320)
    np.testing.assert_allclose(np.linalg.norm(vertices, axis=1), 1)
    first, second, third = vertices[faces].transpose(1, 0, 2)
    outward = np.einsum("ij,ij->i", np.cross(second - first, third - first), first)
    assert outward.min() > 0
    edges = np.sort(faces[:, [[0, 1], [1, 2], [2, 0]]].reshape(-1, 2), axis=1)
    assert (np.unique(edges, axis=0, return_counts=True)[1] == 2).all()


def test_the_sphere_of_a_surface_is_filled_to_its_volume():
    vertices, faces = icosphere(3)
    mask = filled_surface(vertices * 40 + 60, faces, (31, 31, 31), VOXEL_MM)
    wall_mm = VOXEL_MM / 2
    assert abs(mask.sum() * VOXEL_MM**3 / (4 / 3 * np.pi * (40 + wall_mm) ** 3) - 1) < 0.05
    assert mask[15, 15, 15]
    assert not mask[0].any()


def test_an_edge_too_long_for_the_grid_is_an_error():
    vertices, faces = icosphere(0)
    with pytest.raises(ValueError, match="edge"):
        filled_surface(vertices * 4000, faces, (9, 9, 9), VOXEL_MM)


def test_the_brain_is_found_inside_its_skull(head):
    volume, brain = head
    facts = head_facts(volume, VOXEL_MM)
    np.testing.assert_allclose(facts.centre_mm, np.array([24, 26, 22]) * VOXEL_MM, atol=1)
    surface = brain_surface(volume, VOXEL_MM, facts, 0.5, 200)
    mask = filled_surface(*surface, volume.shape, VOXEL_MM)
    assert (brain & ~mask).sum() == 0
    assert (ndimage.binary_erosion(mask) & ~brain).sum() < 0.01 * brain.sum()
    again = brain_surface(volume, VOXEL_MM, brain_facts(volume, mask, VOXEL_MM), 0.5, 200)
    second = filled_surface(*again, volume.shape, VOXEL_MM)
    assert 2 * (second & mask).sum() / (mask.sum() + second.sum()) > 0.97


def test_a_lower_threshold_gives_no_smaller_brain(head):
    volume, _ = head
    facts = head_facts(volume, VOXEL_MM)
    sizes = [
        filled_surface(
            *brain_surface(volume, VOXEL_MM, facts, threshold, 100), volume.shape, VOXEL_MM
        ).sum()
        for threshold in (0.7, 0.3)
    ]
    assert sizes[0] < sizes[1]


def test_an_empty_image_or_mask_is_an_error():
    with pytest.raises(ValueError, match="head"):
        head_facts(np.zeros((10, 10, 10)), VOXEL_MM)
    with pytest.raises(ValueError, match="mask"):
        brain_facts(np.ones((4, 4, 4)), np.zeros((4, 4, 4), bool), VOXEL_MM)


def test_fat_becomes_dark_and_white_matter_stays():
    mask = np.arange(10.0).reshape(1, 1, 10) < 8
    volume = np.array([100.0, 50, 100, 60, 100, 100, 70, 100, 129, 131]).reshape(1, 1, 10)
    found = without_fat(volume, mask, 3.0)
    np.testing.assert_array_equal(found[0, 0, -2:], [129, 3])
    np.testing.assert_array_equal(found[mask], volume[mask])
