"""Steps learned inside folds."""

import numpy as np
import pytest
from nilearn.connectome import ConnectivityMeasure
from scipy import linalg
from sklearn.base import BaseEstimator, clone

from workflows.compute.fold_steps import (
    ConfoundRegression,
    EdgeSelection,
    MissingFiller,
    SiteOffsets,
    TangentSpace,
    correlations,
    shrunk_covariance,
)
from workflows.compute.problems import ModelError


@pytest.fixture
def rng():
    return np.random.default_rng(5)


def test_missing_values_become_the_mean_of_the_training_rows():
    train = np.array([[1.0, np.nan, np.nan], [3, 4, np.nan]])
    filled = MissingFiller().fit(train).transform(np.array([[np.nan, np.nan, np.nan], [9, 9, 9]]))
    assert filled.tolist() == [[2, 4, 0], [9, 9, 9]]


def test_confounds_are_removed_with_the_slope_of_the_training_rows():
    # feature = 10 + 3 * age in the training rows; a test row of age 5 and 30 is 5 above that
    train = np.array([[1.0, 13], [2, 16], [3, 19]])
    step = ConfoundRegression(n_confounds=1).fit(train)
    np.testing.assert_allclose(step.transform(train), 0, atol=1e-12)
    np.testing.assert_allclose(step.transform(np.array([[5.0, 30]])), [[5]])


def test_what_is_left_is_not_correlated_with_any_confound(rng):
    confounds = rng.normal(size=(30, 3))
    features = rng.normal(size=(30, 4)) + confounds @ rng.normal(size=(3, 4))
    whole = np.hstack([confounds, features])
    left = clone(ConfoundRegression(3)).fit_transform(whole)
    np.testing.assert_allclose(confounds.T @ left, 0, atol=1e-10)
    np.testing.assert_allclose(left.mean(axis=0), 0, atol=1e-12)


def test_a_constant_confound_has_no_effect(rng):
    features = rng.normal(size=(10, 2))
    whole = np.hstack([np.full((10, 1), 7.0), features])
    left = ConfoundRegression(1).fit_transform(whole)
    np.testing.assert_allclose(left, features - features.mean(axis=0))


def test_site_offsets_of_the_training_rows_are_removed():
    train = np.array([[0.0, 1, 5], [0, 3, np.nan], [1, 11, 8], [1, 13, 10]])
    step = SiteOffsets(names=("x", "y")).fit(train)
    # first feature: sites 2 and 12, overall 7; second: 5 and 9, overall 23 / 3
    found = step.transform(np.array([[1.0, 12, 9], [0, 2, 5]]))
    np.testing.assert_allclose(found, [[7, 23 / 3], [7, 23 / 3]])


def test_a_site_nobody_was_trained_on_is_an_error_that_names_it():
    step = SiteOffsets(names=("Bern", "Basel")).fit(np.array([[0.0, 1], [0, 2]]))
    with pytest.raises(ModelError, match="'Basel' has nobody among those the model learned from"):
        step.transform(np.array([[1.0, 1]]))


def test_the_strongest_features_of_either_sign_are_kept_in_order():
    y = np.array([1.0, 2, 3, 4])
    values = np.column_stack([[1, -1, -1, 1], -y, [1, 0, 2, 1], y * 2, np.ones(4)])
    step = EdgeSelection(2).fit(values, y)
    assert step.columns_.tolist() == [1, 3]
    assert step.transform(values)[0].tolist() == [-1, 2]
    assert EdgeSelection().fit(values, y).columns_.size == 3


def test_correlations_equal_numpy_and_are_0_for_a_constant(rng):
    values, y = rng.normal(5, 2, size=(20, 6)), rng.normal(size=20)
    values[:, 2] = 0.1
    found = correlations(values, y)
    for column in (0, 1, 3, 4, 5):
        assert found[column] == pytest.approx(np.corrcoef(values[:, column], y)[0, 1])
    assert found[2] == 0


def test_tangent_space_equals_the_logarithm_of_the_whitened_covariance(rng):
    series = rng.normal(size=(5, 40, 3))
    matrices = np.array([shrunk_covariance(part) for part in series])
    leading = rng.normal(size=(5, 2))
    whole = np.hstack([leading, matrices.reshape(5, -1)])
    found = TangentSpace(n_leading=2).fit(whole[:4]).transform(whole)
    root = np.linalg.inv(linalg.sqrtm(matrices[:4].mean(axis=0)))
    log = linalg.logm(root @ matrices[4] @ root)
    beside = np.sqrt(2) * np.array([log[0, 1], log[0, 2], log[1, 2]])
    expected = [log[0, 0], beside[0], beside[1], log[1, 1], beside[2], log[2, 2]]
    np.testing.assert_allclose(found[4], [*leading[4], *expected], atol=1e-10)
    assert (found[4, 2:] ** 2).sum() == pytest.approx((log**2).sum())


class Given(BaseEstimator):
    """Takes a matrix for its own covariance, so that nilearn starts from the same matrices."""

    def fit(self, matrix, y=None):
        self.covariance_ = matrix
        return self


def test_tangent_space_equals_that_of_nilearn_at_the_same_reference(rng):
    matrices = np.array([shrunk_covariance(rng.normal(size=(30, 7))) for _ in range(6)])
    flat = matrices.reshape(6, -1)
    found = TangentSpace().fit(flat[:4]).transform(flat)
    # nilearn's own reference is a geometric mean: that of one matrix is the matrix itself
    theirs = ConnectivityMeasure(cov_estimator=Given(), kind="tangent").fit(
        [matrices[:4].mean(axis=0)]
    )
    logs = theirs.transform(list(matrices))
    upper = np.triu_indices(7)
    weight = np.where(upper[0] == upper[1], 1, np.sqrt(2))
    np.testing.assert_allclose(found, logs[:, *upper] * weight, atol=1e-6)
    assert np.abs(found).max() > 0.1


def test_a_covariance_that_is_not_positive_definite_is_refused():
    flat = np.array([[1.0, 1, 1, 1], [1, 1, 1, 1]])
    with pytest.raises(ValueError, match="positive definite"):
        TangentSpace().fit(flat)


def test_shrunk_covariance_leaves_censored_volumes_out_and_refuses_a_flat_region(rng):
    series = rng.normal(size=(50, 4))
    holed = np.vstack([series, np.full((3, 4), np.nan)])
    np.testing.assert_allclose(shrunk_covariance(holed), shrunk_covariance(series))
    assert np.linalg.eigvalsh(shrunk_covariance(series[:3]))[0] > 0
    with pytest.raises(ValueError, match="vary"):
        shrunk_covariance(np.column_stack([series, np.ones(50)]))
