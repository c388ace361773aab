import re

import numpy as np
import pytest
from scipy import ndimage

from workflows.compute.head_checks import (
    bright_object,
    core_to_rim,
    head_signs,
    image_problem,
    is_extracted,
    odd_volume,
    overlap_with_others,
)

VOXEL_MM = 4.0


def distance():
    offset = (np.indices((56, 60, 58)).T - [27, 29, 28]).T * VOXEL_MM
    return np.linalg.norm(offset, axis=0)


def brain(radius_mm=70):
    """White core (100), grey rim (70), nothing around."""
    volume = np.where(distance() < radius_mm, 70.0, 0.0)
    volume[distance() < radius_mm - 20] = 100
    volume += 12 * ndimage.gaussian_filter(np.random.default_rng(0).normal(size=volume.shape), 1)
    ripple = np.where(np.sin(distance() / 5) > 0, 1.0, 0.8)
    return np.where(distance() < radius_mm, volume * ripple, 0)


def head(radius_mm=70):
    """The same brain in a dark skull and bright scalp."""
    volume = brain(radius_mm)
    r = distance()
    volume[(r >= radius_mm) & (r < radius_mm + 8)] = 8
    volume[(r >= radius_mm + 8) & (r < radius_mm + 16)] = 120
    return volume


def test_a_brain_without_skull_is_told_from_a_head_also_if_the_head_is_small():
    assert is_extracted(head_signs(brain(), VOXEL_MM))
    assert not is_extracted(head_signs(head(), VOXEL_MM))
    small = head_signs(head(62), VOXEL_MM)
    assert small.object_ml < 2200
    assert not is_extracted(small)


def test_both_a_head_and_a_brain_have_no_problem():
    assert image_problem(head_signs(head(), VOXEL_MM)) == ""
    assert image_problem(head_signs(brain(), VOXEL_MM)) == ""


@pytest.mark.parametrize(
    ("volume", "words"),
    [
        (np.abs(np.random.default_rng(0).normal(size=(50, 50, 50))), "noise"),
        (np.where(distance() < 70, 100.0, 0.0), "varies by 0.0 %, like a phantom"),
        (brain()[:, :, 24:34], "shortest side of 40 mm"),
        (np.where(distance() < 48, brain(), 0), "has 4.. ml"),
    ],
)
def test_what_is_no_head_has_a_reason(volume, words):
    assert re.search(words, image_problem(head_signs(volume, VOXEL_MM)))


def test_the_volume_of_the_object_is_that_of_its_ball():
    signs = head_signs(brain(), VOXEL_MM)
    np.testing.assert_allclose(signs.object_ml, 4 / 3 * np.pi * 7**3, rtol=0.03)
    assert signs.empty == 1
    assert bright_object(brain())[27, 29, 28]


def test_an_empty_image_has_no_object():
    assert not bright_object(np.zeros((5, 5, 5))).any()
    assert "noise" in image_problem(head_signs(np.zeros((5, 5, 5)), VOXEL_MM))


def test_the_core_is_brighter_than_the_rim_until_the_contrast_is_turned():
    mask = distance() < 70
    volume = np.where(distance() < 50, 100.0, 80.0)
    assert core_to_rim(volume, mask, VOXEL_MM) == pytest.approx(1.25)
    assert core_to_rim(180 - volume, mask, VOXEL_MM) <= 1.0
    assert np.isnan(core_to_rim(volume, np.zeros(mask.shape, bool), VOXEL_MM))


@pytest.mark.parametrize(
    ("volumes", "odd"),
    [
        ([1500.0], None),
        ([1500.0, 1450.0], None),
        ([1500.0, 1200.0], 1),
        ([1200.0, 1500.0], 0),
        ([1500.0, 1800.0, 1480.0], 1),
    ],
)
def test_the_session_whose_brain_has_another_size_is_named(volumes, odd):
    assert odd_volume(volumes) == odd


def test_the_mask_that_lies_apart_overlaps_least_with_the_others():
    masks = np.zeros((3, 10, 4, 4))
    masks[0, 0:6], masks[1, 0:6], masks[2, 3:9] = 1, 1, 1
    # The others of session 2 agree on 0..5: 3 of 6 shared. Those of 0: half of two is either's.
    np.testing.assert_allclose(overlap_with_others(masks), [12 / 15, 12 / 15, 0.5])
    with pytest.raises(ValueError, match="two sessions"):
        overlap_with_others(masks[:1])
