"""Steps that are learned in the training rows of a fold only, as scikit-learn transformers.

Columns a step needs beside the features (site, confounds) come first in its input and are
left out of its output, so that they can never get out of step with the rows.
"""

from __future__ import annotations

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.covariance import ledoit_wolf

from workflows.compute.problems import ModelError, Problem


class MissingFiller(TransformerMixin, BaseEstimator):
    """Replaces NaN by the mean of the column in the training rows (0 if it has none)."""

    def fit(self, values, y=None):
        """Learn the means of `values`, n_rows x n_columns."""
        there = np.isfinite(values)
        total = np.where(there, values, 0.0).sum(axis=0)
        self.means_ = total / np.maximum(there.sum(axis=0), 1)
        return self

    def transform(self, values):
        """Copy of `values` without NaN."""
        return np.where(np.isfinite(values), values, self.means_)


class SiteOffsets(TransformerMixin, BaseEstimator):
    """Removes the mean of each site, learned in the training rows; the overall mean stays.

    The first column is the number of the site, whose name is `names[number]`; it is left out
    of the answer. Any transformer with the same columns can stand in its place. A site that
    was not in the training rows is an error: its offset cannot be known.
    """

    def __init__(self, names=()):
        self.names = names

    def fit(self, values, y=None):
        """Learn the offsets; `values` is site, features; NaN is left out."""
        features = values[:, 1:]
        overall = _finite_means(features, np.zeros(features.shape[1]))
        self.offsets_ = {
            site: _finite_means(features[values[:, 0] == site], overall) - overall
            for site in np.unique(values[:, 0])
        }
        return self

    def transform(self, values):
        """Features without the offset of their site.

        Raises
        ------
        ModelError
            A site that the training rows do not have.
        """
        features = values[:, 1:].copy()
        for site in np.unique(values[:, 0]):
            if site not in self.offsets_:
                raise ModelError(self._unseen(site))
            features[values[:, 0] == site] -= self.offsets_[site]
        return features

    def _unseen(self, site):
        name = self.names[int(site)] if int(site) < len(self.names) else f"{site:g}"
        what = f"site '{name}' has nobody among those the model learned from"
        return Problem(what, "site", "its offset cannot be known: predict without harmonisation")


class ConfoundRegression(TransformerMixin, BaseEstimator):
    """Removes the linear effect of confounds, learned in the training rows (Snoek 2019).

    The first `n_confounds` columns are the confounds; they are left out of the answer, which
    is centred at the training rows. A confound that does not vary there has no effect.
    """

    def __init__(self, n_confounds=0):
        self.n_confounds = n_confounds

    def fit(self, values, y=None):
        """Learn constant and slopes; `values` is confounds, features, without NaN."""
        confounds, features = values[:, : self.n_confounds], values[:, self.n_confounds :]
        self.centre_ = confounds.mean(axis=0)
        self.means_ = np.ones(len(features)) @ features / len(features)
        inverse = np.linalg.pinv(confounds - self.centre_, rcond=1e-10)
        self.slopes_ = inverse @ features
        return self

    def transform(self, values):
        """Features without constant and confounds, n_rows x n_features."""
        features = values[:, self.n_confounds :] - self.means_
        if self.n_confounds:
            features -= (values[:, : self.n_confounds] - self.centre_) @ self.slopes_
        return features


class EdgeSelection(TransformerMixin, BaseEstimator):
    """Keeps the features most correlated with the target in the training rows.

    Sure independence screening (Fan & Lv 2008): at most `n_kept` features, by default one
    fewer than there are training rows. Their order is that of the input.
    """

    def __init__(self, n_kept=None):
        self.n_kept = n_kept

    def fit(self, values, y):
        """Learn which columns of `values` (n_rows x n_features, no NaN) to keep."""
        n_kept = len(values) - 1 if self.n_kept is None else self.n_kept
        if values.shape[1] <= n_kept:
            self.columns_ = np.arange(values.shape[1])
            return self
        size = np.abs(correlations(values, y))
        self.columns_ = np.flatnonzero(_among_largest(size, n_kept))
        return self

    def transform(self, values):
        """The kept columns."""
        return values[:, self.columns_]


class TangentSpace(TransformerMixin, BaseEstimator):
    """Covariances as displacements from the mean covariance of the training rows.

    Whitening by the mean, then the matrix logarithm (Varoquaux 2010; for predictions Pervaiz
    2020). The reference is the arithmetic mean, which needs no iterations. A row holds
    `n_leading` other columns, which pass unchanged, and a flattened n_regions x n_regions
    covariance, positive definite. The answer has
    n_regions * (n_regions + 1) / 2 values, those beside the diagonal times sqrt(2), so that
    distances are kept.
    """

    def __init__(self, n_leading=0):
        self.n_leading = n_leading

    def fit(self, values, y=None):
        """Learn the mean covariance."""
        mean = self._matrices(values).mean(axis=0)
        size, axes = np.linalg.eigh(mean)
        if size[0] <= 0:
            raise ValueError("values: covariances must be positive definite")
        self.whitening_ = (axes / np.sqrt(size)) @ axes.T
        return self

    def transform(self, values):
        """Leading columns, then the upper triangle of each logarithm row by row."""
        white = self.whitening_ @ self._matrices(values) @ self.whitening_
        size, axes = np.linalg.eigh(white)
        if size.min() <= 0:
            raise ValueError("values: covariances must be positive definite")
        logs = (axes * np.log(size)[:, None, :]) @ axes.transpose(0, 2, 1)
        upper = np.triu_indices(logs.shape[1])
        weight = np.where(upper[0] == upper[1], 1.0, np.sqrt(2.0))
        return np.hstack([values[:, : self.n_leading], logs[:, *upper] * weight])

    def _matrices(self, values):
        flat = values[:, self.n_leading :]
        size = int(np.sqrt(flat.shape[1]))
        return flat.reshape(len(flat), size, size)


def correlations(values: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Correlation of each column with `y`; 0 where one of them does not vary.

    Parameters
    ----------
    values : np.ndarray, shape (n_rows, n_features)
    y : np.ndarray, shape (n_rows,)
    """
    centred = y - y.mean()
    total = np.ones(len(values)) @ values
    squares = np.einsum("ij,ij->j", values, values)
    spread = squares - total**2 / len(values)
    varies = spread > 1e-12 * squares
    length = np.sqrt(np.where(varies, spread, 1.0) * max((centred**2).sum(), 1e-300))
    return np.where(varies, np.clip((centred @ values) / length, -1, 1), 0.0)


def shrunk_covariance(series: np.ndarray) -> np.ndarray:
    """Covariance between regions, shrunk so that it is positive definite (Ledoit & Wolf 2004).

    Parameters
    ----------
    series : np.ndarray, shape (n_volumes, n_regions)
        Rows that are NaN throughout (censored volumes) are left out. Columns are scaled to
        standard deviation 1 first; one that does not vary is an error.

    Returns
    -------
    np.ndarray, shape (n_regions, n_regions)
    """
    rows = series[np.isfinite(series).any(axis=1)]
    deviation = rows.std(axis=0)
    if not np.all(deviation > 0):
        raise ValueError("series: each region must be there and vary")
    return ledoit_wolf((rows - rows.mean(axis=0)) / deviation, assume_centered=True)[0]


def _finite_means(features, otherwise):
    there = np.isfinite(features)
    count = there.sum(axis=0)
    total = np.where(there, features, 0.0).sum(axis=0)
    return np.where(count > 0, total / np.maximum(count, 1), otherwise)


def _among_largest(size, n_kept):
    limit = np.partition(size, len(size) - n_kept)[len(size) - n_kept]
    kept = size > limit
    ties = np.flatnonzero(size == limit)
    kept[ties[: n_kept - int(kept.sum())]] = True
    return kept
