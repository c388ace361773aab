import nibabel as nb
import numpy as np
import pytest

from workflows.compute.bold_checks import run_problem
from workflows.compute.connectivity import (
    fisher_z_matrix,
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
