import numpy as np
import pytest

from workflows.compute.carpet import carpet_rows, cleaned_rows, thinned_rows


def test_rows_are_sorted_by_tissue_scaled_and_without_trend():
    time = np.linspace(-1, 1, 40)
    segmentation = np.array([3, 0, 1, 2, 1, 3]).reshape(6, 1, 1)
    wave = np.sin(9 * np.arange(40))
    series = (np.arange(1, 7)[:, None] * wave + 30 * time + 500).reshape(6, 1, 1, 40)
    series[4] = 7
    rows, tissue = thinned_rows(series, segmentation)
    assert tissue.tolist() == [1, 1, 2, 3, 3]
    np.testing.assert_allclose(rows[0], series[2, 0, 0])
    carpet = carpet_rows(rows)
    flat = wave - wave.mean() - time * (wave @ time) / (time @ time)
    np.testing.assert_allclose(carpet[0], flat / flat.std(), atol=1e-5)
    np.testing.assert_array_equal(carpet[1], 0)


def test_thinning_keeps_the_share_of_each_tissue():
    segmentation = np.repeat([1, 2], [600, 300]).reshape(30, 30, 1)
    series = np.random.default_rng(41).normal(size=(30, 30, 1, 12))
    rows, tissue = thinned_rows(series, segmentation, max_rows=90)
    assert rows.shape == (90, 12)
    assert (tissue == 1).sum() == 60


def test_denoising_takes_the_nuisance_out_of_the_kept_volumes_only():
    n_volumes = 64
    angle = 2 * np.pi * np.arange(n_volumes) / n_volumes
    signal, nuisance = np.sin(5 * angle), 3 * np.cos(2 * angle)
    rows = 500 + np.array([signal + nuisance, 2 * signal, nuisance])
    kept = np.arange(n_volumes) != 10
    rows[:, 10] = 9000
    design = np.column_stack([np.ones(n_volumes), nuisance])
    cleaned = cleaned_rows(rows, np.array([1, 2, 3]), design, kept)
    assert np.isnan(cleaned.rows[:, 10]).all()
    assert cleaned.degrees_of_freedom == n_volumes - 1 - 2
    for row in cleaned.rows[:2]:
        # sine and cosine of whole periods are uncorrelated but for the volume that is gone
        np.testing.assert_allclose(row[kept], signal[kept] * np.sqrt(2), atol=0.06)
    np.testing.assert_array_equal(cleaned.rows[2, kept], 0)


def test_the_share_that_was_removed_is_that_of_grey_matter():
    n_volumes = 64
    angle = 2 * np.pi * np.arange(n_volumes) / n_volumes
    signal, nuisance = np.sin(5 * angle), 3 * np.cos(2 * angle)
    rows = np.array([signal + nuisance, signal + 50 * nuisance])
    design = np.column_stack([np.ones(n_volumes), nuisance])
    cleaned = cleaned_rows(rows, np.array([1, 2]), design, np.ones(n_volumes, dtype=bool))
    # variances 9/2 and 1/2; a line fits a little of the sine
    assert cleaned.share_removed == pytest.approx(0.9, abs=0.01)


def test_without_degrees_of_freedom_nothing_is_left_to_see():
    rows = np.random.default_rng(1).normal(size=(3, 4))
    kept = np.array([True, True, False, False])
    cleaned = cleaned_rows(rows, np.ones(3), np.eye(4)[:, :2], kept)
    assert cleaned.degrees_of_freedom == 0
    assert np.isnan(cleaned.rows).all()
    assert cleaned.rows.shape == (3, 4)
    assert np.isnan(cleaned.share_removed)
