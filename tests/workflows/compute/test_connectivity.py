import nibabel as nb
import numpy as np
import pytest

from workflows.compute.bold_checks import run_problem
from workflows.compute.bold_mask import dead_voxels
from workflows.compute.connectivity import (
    fisher_z_matrix,
    joined_runs,
    masked_voxels,
    partial_z_matrix,
    region_coverage,
    region_means,
    temporal_signal_to_noise,
)


def test_means_are_those_of_nilearn():
    from nilearn.maskers import NiftiLabelsMasker

    rng = np.random.default_rng(21)
    labels = rng.choice([0, 3, 7, 12], size=(6, 7, 5)).astype(np.int16)
    series = rng.normal(1000, 50, (6, 7, 5, 20)).astype(np.float32)
    masker = NiftiLabelsMasker(nb.Nifti1Image(labels, np.eye(4)), standardize=None)
    expected = masker.fit_transform(nb.Nifti1Image(series, np.eye(4)))
    inside = labels > 0
    means = region_means(series[inside], labels[inside], [12, 3, 7])
    np.testing.assert_allclose(means, expected[:, [2, 0, 1]], rtol=1e-6)


def test_a_region_without_voxels_is_missing_and_keeps_its_column():
    means = region_means(np.array([[1.0, 2.0], [3.0, 6.0]]), np.array([5, 5]), [4, 5])
    np.testing.assert_array_equal(means, [[np.nan, 2.0], [np.nan, 4.0]])


def test_values_that_are_not_finite_are_left_out_of_their_volume():
    voxels = np.array([[1.0, 2], [3, np.nan], [9, 9]])
    np.testing.assert_array_equal(
        region_means(voxels, np.array([5, 5, 0]), [5, 9]), [[2, np.nan], [2, np.nan]]
    )


def test_voxels_of_a_mask_are_in_the_order_of_numpy():
    rng = np.random.default_rng(25)
    series, mask = rng.normal(size=(3, 4, 5, 6)).astype(np.float32), rng.random((3, 4, 5)) > 0.4
    np.testing.assert_array_equal(masked_voxels(series, mask), series[mask])
    np.testing.assert_array_equal(masked_voxels(np.asfortranarray(series), mask), series[mask])


def test_constant_and_broken_voxels_are_told_apart_from_the_rest():
    voxels = np.array([[1.0, 2, 1], [3, 3, 3], [1, np.nan, 2], [1, np.inf, 2], [-np.inf, 1, 2]])
    assert (~dead_voxels(voxels)).tolist() == [True, False, False, False, False]


def test_coverage_counts_voxels_beyond_the_field_of_view():
    whole = np.array([1, 1, 1, 1, 2, 2, 0, 9])
    seen = np.array([1, 2, 2, 0])
    np.testing.assert_array_equal(region_coverage(whole, seen, [2, 1, 4]), [1.0, 0.25, np.nan])


def test_fisher_z_is_that_of_numpy_in_the_same_order():
    series = np.random.default_rng(22).normal(size=(50, 4)) @ np.triu(np.ones((4, 4)))
    expected = np.corrcoef(series, rowvar=False)
    np.fill_diagonal(expected, np.nan)
    np.testing.assert_allclose(fisher_z_matrix(series), np.arctanh(expected), atol=1e-12)


def test_censored_volumes_and_missing_regions_leave_the_rest():
    series = np.random.default_rng(23).normal(size=(30, 3))
    holed = np.insert(series, 1, np.nan, axis=1)
    holed[[3, 17]] = np.nan
    matrix = fisher_z_matrix(holed)
    assert np.isnan(matrix[1]).all()
    assert np.isnan(matrix[:, 1]).all()
    expected = fisher_z_matrix(np.delete(series, [3, 17], axis=0))
    np.testing.assert_allclose(matrix[np.ix_([0, 2, 3], [0, 2, 3])], expected)


def test_each_run_is_scaled_before_it_is_joined():
    rng = np.random.default_rng(26)
    runs = [rng.normal([50, 0, 2], 1, (40, 3)), rng.normal([0, 90, 2], [9, 2, 1], (25, 3))]
    runs[1][3] = np.nan
    runs[0][:, 2] = np.nan
    joined = joined_runs(runs)
    for start, run in ((0, runs[0]), (40, runs[1])):
        expected = (run[:, :2] - np.nanmean(run[:, :2], axis=0)) / np.nanstd(run[:, :2], axis=0)
        np.testing.assert_allclose(joined[start : start + len(run), :2], expected)
    assert np.isnan(joined[:, 2]).all()
    assert np.isnan(joined[43]).all()
    one = fisher_z_matrix(joined_runs(runs[1:]))
    np.testing.assert_allclose(one, fisher_z_matrix(runs[1]), atol=1e-12)


def test_partial_correlations_are_those_of_nilearn_and_leave_the_common_cause_out():
    from nilearn.connectome import ConnectivityMeasure
    from sklearn.covariance import LedoitWolf

    rng = np.random.default_rng(27)
    cause = rng.normal(size=(400, 1))
    series = np.hstack([cause, cause + rng.normal(size=(400, 2)), rng.normal(size=(400, 1))])
    series *= [1, 20, 0.5, 3]
    measure = ConnectivityMeasure(LedoitWolf(assume_centered=True), kind="partial correlation")
    expected = measure.fit_transform([(series - series.mean(axis=0)) / series.std(axis=0)])[0]
    holed = np.insert(np.insert(series, 2, np.nan, axis=1), 9, np.nan, axis=0)
    found = partial_z_matrix(holed)
    keep = [0, 1, 3, 4]
    upper = np.triu_indices(4, 1)
    known = np.arctanh(expected[upper])
    np.testing.assert_allclose(found[np.ix_(keep, keep)][upper], known, atol=1e-6)
    assert np.isnan(found[2]).all()
    assert abs(found[1, 3]) < 0.1 < 0.4 < fisher_z_matrix(holed)[1, 3]


def test_partial_correlations_exist_with_fewer_volumes_than_regions():
    matrix = partial_z_matrix(np.random.default_rng(28).normal(size=(15, 30)))
    assert np.isfinite(matrix[np.triu_indices(30, 1)]).all()
    np.testing.assert_array_equal(matrix, matrix.T)


def test_identical_regions_have_a_finite_z():
    wave = np.sin(np.arange(20.0))
    matrix = fisher_z_matrix(np.column_stack([wave, wave, -wave, np.full(20, 2.0)]))
    assert matrix[0, 1] == pytest.approx(np.arctanh(np.nextafter(1, 0)))
    assert matrix[0, 2] == pytest.approx(-matrix[0, 1])
    assert np.isnan(matrix[3]).all()


def test_signal_to_noise_is_the_median_of_varying_voxels():
    voxels = np.array([[9.0, 11.0], [18.0, 22.0], [8.0, 12.0], [5.0, 5.0]])
    assert temporal_signal_to_noise(voxels) == 10.0
    assert np.isnan(temporal_signal_to_noise(voxels[3:]))


def test_a_run_is_unusable_for_the_first_reason_that_holds():
    assert run_problem(3.9, 4.0, 40, 80) == "3.90 clean minutes, 4 needed"
    assert run_problem(4.0, 4.0, 4, 80).startswith("4 degrees of freedom are left")
    assert run_problem(4.0, 4.0, 5, 1) == "1 regions are covered, 2 needed"
    assert run_problem(4.0, 4.0, 5, 2) == ""
