"""General linear model of a run with autocorrelated noise, and the mean over runs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import stats

from workflows.compute.task_design import DEPENDENT, contrast_vectors, degrees_of_freedom

CORRELATIONS = np.linspace(-0.95, 0.99, 195)
STEP = 0.01


@dataclass(frozen=True)
class Estimates:
    """Contrasts (n_contrasts, n_series) and their variances; NaN where a series has NaN."""

    effects: np.ndarray
    variances: np.ndarray
    degrees_of_freedom: int


def contrast_estimates(series, design, contrasts, problems):
    """Contrasts of all series in a run; those with a problem are NaN.

    Parameters
    ----------
    series : (n_volumes, n_series) array
        A column that has NaN comes out as NaN.
    design : DataFrame, (n_volumes, n_columns)
    contrasts : dict of str to dict of str to float
        Weights of columns of each contrast.
    problems : dict of str to str
        From `contrast_problem`; empty for a contrast that can be estimated.

    Returns
    -------
    Estimates
        Rows in the order of `contrasts`.
    """
    matrix = design.to_numpy(dtype=float)
    usable = np.array([not problems[name] for name in contrasts], dtype=bool)
    effects = np.full((len(contrasts), series.shape[1]), np.nan)
    if not usable.any():
        return Estimates(effects, effects.copy(), degrees_of_freedom(matrix))
    vectors = contrast_vectors(list(design.columns), list(contrasts.values()))
    correlation = lag_one_correlation(series, matrix)
    fitted = fitted_contrasts(series, matrix, vectors[usable], correlation)
    variances = effects.copy()
    effects[usable], variances[usable] = fitted.effects, fitted.variances
    return Estimates(effects, variances, fitted.degrees_of_freedom)


def lag_one_correlation(series, design):
    """Correlation of the noise of neighbouring volumes, for each series (n_series,).

    Residuals are less correlated than the noise, the more so the more columns a design has. What
    is returned is the correlation of a first-order autoregressive noise whose residuals would, in
    expectation, have the lag-one ratio that was found (the bias is that of Worsley et al. 2002,
    here inverted exactly on a grid). NaN for a series with NaN or without variance.

    Parameters
    ----------
    series : (n_volumes, n_series) array
    design : (n_volumes, n_columns) array
        Columns may depend on each other.
    """
    n_volumes = len(design)
    directions = _directions(design)
    residuals = series - directions @ (directions.T @ series)
    square = (residuals**2).sum(axis=0)
    product = (residuals[1:] * residuals[:-1]).sum(axis=0)
    known = square > DEPENDENT**2 * (np.asarray(series) ** 2).sum(axis=0)
    found = np.divide(product, square, out=np.full(len(square), np.nan), where=known)
    keeper = np.eye(n_volumes) - directions @ directions.T
    powers = CORRELATIONS[:, None] ** np.arange(n_volumes)
    expected = powers @ _diagonals(keeper[:, 1:] @ keeper[:-1]) / (powers @ _diagonals(keeper))
    return np.interp(found, np.maximum.accumulate(expected), CORRELATIONS)


def _directions(design):
    """Orthonormal basis of the columns of a design."""
    length = np.linalg.norm(design, axis=0)
    basis, sizes, _ = np.linalg.svd(design[:, length > 0] / length[length > 0], full_matrices=False)
    return basis[:, sizes > sizes[0] * DEPENDENT]


def _diagonals(matrix):
    """Sum along each diagonal and its mirror image: what multiplies the noise at each lag."""
    n_rows = len(matrix)
    upper = np.array([np.trace(matrix, lag) for lag in range(n_rows)])
    lower = np.array([np.trace(matrix, -lag) for lag in range(1, n_rows)])
    return upper + np.concatenate([[0.0], lower])


def fitted_contrasts(series, design, vectors, correlation):
    """Generalised least squares with first-order autoregressive noise, contrast by contrast.

    Each series and the design are whitened with the correlation of the series, as nilearn does
    (the first volume stays as it is); equal correlations give equal numbers. Correlations are
    rounded to .01.

    Parameters
    ----------
    series : (n_volumes, n_series) array
        A column that has NaN comes out as NaN.
    design : (n_volumes, n_columns) array
        Columns may depend on each other.
    vectors : (n_contrasts, n_columns) array
        Estimable contrasts.
    correlation : (n_series,) array
        From `lag_one_correlation`, or 0 for ordinary least squares.

    Returns
    -------
    Estimates
    """
    if len(series) != len(design):
        raise ValueError("series, design: different numbers of volumes")
    scale = np.linalg.norm(design, axis=0)
    scale = np.where(scale > 0, scale, 1.0)
    scaled, weights = design / scale, np.asarray(vectors) / scale
    left = degrees_of_freedom(design)
    effects = np.full((len(weights), series.shape[1]), np.nan)
    variances = effects.copy()
    usable = np.isfinite(series).all(axis=0) & np.isfinite(correlation) & (left > 0)
    steps = np.rint(np.nan_to_num(correlation) / STEP).astype(int)
    for step in np.unique(steps[usable]):
        own = usable & (steps == step)
        columns = _whitened(scaled, step * STEP)
        inverse = np.linalg.pinv(columns, rcond=DEPENDENT)
        values = _whitened(series[:, own], step * STEP)
        coefficients = inverse @ values
        noise = ((values - columns @ coefficients) ** 2).sum(axis=0) / left
        effects[:, own] = weights @ coefficients
        variances[:, own] = np.outer(((weights @ inverse) ** 2).sum(axis=1), noise)
    return Estimates(effects, variances, left)


def _whitened(columns, correlation):
    white = np.array(columns, dtype=float)
    white[1:] -= correlation * columns[:-1]
    return white


def z_scores(estimates):
    """Z scores (n_contrasts, n_series) with the same p value as the t of the estimates."""
    with np.errstate(invalid="ignore", divide="ignore"):
        t = estimates.effects / np.sqrt(estimates.variances)
    tail = stats.t.logsf(np.abs(t), estimates.degrees_of_freedom)
    # beyond e^-700 a probability is 0 in double precision
    return np.sign(t) * stats.norm.isf(np.exp(np.maximum(tail, -700.0)))


def fixed_effects(effects, variances):
    """Mean over runs weighted by precision (fixed effects), its variance, and the runs in it.

    A run with NaN in a series does not count there; NaN where no run counts.

    Parameters
    ----------
    effects, variances : (n_runs, n_series) array

    Returns
    -------
    effect, variance, n_runs : (n_series,) arrays
    """
    effects, variances = np.asarray(effects, float), np.asarray(variances, float)
    if effects.shape != variances.shape:
        raise ValueError("variances: another shape than effects")
    counts = np.isfinite(effects) & (variances > 0)
    precision = np.where(counts, 1.0 / np.where(counts, variances, 1.0), 0.0)
    total = precision.sum(axis=0)
    share = np.where(total > 0, total, np.nan)
    effect = (np.where(counts, effects, 0.0) * precision).sum(axis=0) / share
    return effect, 1.0 / share, counts.sum(axis=0)
