import numpy as np
import pandas as pd
import pytest

from workflows.compute.parcels import (
    dice,
    extended_labels,
    region_coverage,
    region_spread,
    region_table,
    region_volumes,
    tissue_table,
)

LABELS = np.array([[[3, 3, 0, 0, 0, 7, 0]]])


def test_grey_matter_takes_its_nearest_label_within_reach():
    target = np.array([[[True, False, True, True, True, False, False]]])
    extended = extended_labels(LABELS, target, 1.0, 1.5)
    np.testing.assert_array_equal(extended, [[[3, 3, 3, 0, 7, 7, 0]]])


def test_reach_is_in_mm():
    target = np.ones(LABELS.shape, bool)
    np.testing.assert_array_equal(extended_labels(LABELS, target, 2.0, 1.9), LABELS)
    with pytest.raises(ValueError, match="target"):
        extended_labels(LABELS, target[..., :3], 1.0, 1.0)


def test_volumes_are_in_the_order_asked_and_empty_regions_are_zero():
    fraction = np.array([[[0.5, 0.25, 1, 1, 1, 0.1, 1]]])
    volume = region_volumes(fraction, LABELS, [7, 5, 3], voxel_ml=2.0)
    np.testing.assert_allclose(volume, [0.2, 0, 1.5])


def test_volumes_refuse_other_shapes_and_the_background():
    with pytest.raises(ValueError, match="shape"):
        region_volumes(np.ones((1, 1, 2)), LABELS, [3], 1.0)
    with pytest.raises(ValueError, match="start at 1"):
        region_volumes(np.ones(LABELS.shape), LABELS, [0, 3], 1.0)


def test_coverage_is_the_share_of_each_region_that_was_seen():
    seen = np.array([[[True, False, True, True, True, False, True]]])
    np.testing.assert_array_equal(region_coverage(LABELS, seen, [3, 7, 9]), [0.5, 0, np.nan])
    with pytest.raises(ValueError, match="seen"):
        region_coverage(LABELS, seen[..., :2], [3])


def test_a_region_that_was_not_seen_keeps_its_row_without_a_volume():
    table = pd.DataFrame(
        {"index": [3, 7], "name": ["lh_a", "rh_a"], "hemisphere": ["L", "R"], "structure": "cortex"}
    )
    volumes = {"volume": np.array([1.5, 0.2]), "deformation": np.array([2.5, 0.1])}
    quality = {"coverage": np.array([0.5, 0.29]), "residual": np.array([1.25, 3.0])}
    answer = region_table(table, volumes, quality, 0.3)
    assert answer["region"].tolist() == ["lh_a", "rh_a"]
    np.testing.assert_array_equal(answer["volume"], [1.5, np.nan])
    np.testing.assert_array_equal(answer["deformation"], [2.5, np.nan])
    np.testing.assert_array_equal(answer["coverage"], [0.5, 0.29])
    np.testing.assert_array_equal(answer["residual"], [1.25, 3.0])
    outside = region_table(table, volumes, quality | {"coverage": np.array([np.nan, 0])}, 0.0)
    assert outside["volume"].isna().all()


def test_spread_is_the_root_mean_square_in_the_order_asked():
    values = np.array([[[3.0, -4, 9, 9, 9, -2, 9]]])
    found = region_spread(values, LABELS, [7, 5, 3])
    np.testing.assert_allclose(found, [2, np.nan, np.sqrt(12.5)])


def test_dice_of_half_overlap():
    first, second = np.array([1, 1, 0, 0], bool), np.array([0, 1, 1, 0], bool)
    assert dice(first, second) == 0.5
    assert np.isnan(dice(first & False, second & False))


def test_tissue_table_sums_inside_the_mask_in_ml():
    fractions = np.array([[0.5, 0.75, 1, 0], [0.5, 0, 0, 0], [0.125, 0.25, 0, 8]])[:, None, None]
    mask = np.array([[[True, True, False, False]]])
    ventricles = np.array([[[False, True, False, True]]])
    table = tissue_table(fractions, mask, ventricles, voxel_ml=4.0)
    assert dict(zip(table["measure"], table["value"], strict=True)) == {
        "gm_ml": 5.0,
        "wm_ml": 2.0,
        "csf_ml": 1.5,
        "brain_ml": 7.0,
        "ventricles_ml": 1.0,
        "icv_ml": 8.0,
    }
