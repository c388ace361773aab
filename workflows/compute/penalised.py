"""Penalised regression over a fixed grid of penalties, all penalties fitted at once."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import expit

L1_RATIOS = (0.1, 0.5, 0.9)
FRACTIONS = (1.0, 0.5, 0.25, 0.1, 0.03)
RIDGE_FRACTIONS = (1000.0, 100.0, 30.0, 10.0, 3.0, 1.0, 0.3, 0.1, 0.01)
MAX_STEPS = 1000
TOLERANCE = 1e-4
NEWTON_STEPS = 25


@dataclass(frozen=True)
class PenaltyPath:
    """Linear models of the columns, one per penalty, strongest penalty first.

    `centre` and `scale` (n_features,) are those of the training rows, `intercept`
    (n_penalties,) and `coefficient` (n_features, n_penalties) belong to scaled columns.
    """

    centre: np.ndarray
    scale: np.ndarray
    intercept: np.ndarray
    coefficient: np.ndarray

    def predictor(self, x: np.ndarray) -> np.ndarray:
        """Linear predictor, n_rows x n_penalties (log odds for a binary target)."""
        return self.intercept + ((x - self.centre) / self.scale) @ self.coefficient


def elastic_net_path(x: np.ndarray, y: np.ndarray, offset: np.ndarray, binary: bool) -> PenaltyPath:
    """Elastic nets (Zou & Hastie 2005) over a fixed grid, by accelerated proximal steps.

    Minimises loss / n + alpha (l1_ratio |b| + (1 - l1_ratio) b**2 / 2) on scaled columns; the
    loss is half the squared error or the logistic loss. The grid is `L1_RATIOS` by
    `FRACTIONS` of the alpha at which all coefficients are 0 (Beck & Teboulle 2009; restarts
    of O'Donoghue & Candes 2015).

    Parameters
    ----------
    x : np.ndarray, shape (n_rows, n_features)
        Without NaN; a column that does not vary gets coefficient 0.
    y : np.ndarray, shape (n_rows,)
        Target; 0 or 1 if `binary`.
    offset : np.ndarray, shape (n_rows,)
        Part of the linear predictor that is known already, 0 if none.
    binary : bool
        Logistic loss.
    """
    centre, scale = column_scale(x)
    scaled = (x - centre) / scale
    start = starting_intercept(y, offset, binary)
    slope = scaled.T @ (y - _mean(start + offset, binary)) / len(y)
    largest = max(np.abs(slope).max(initial=0.0), 1e-12)
    ratios, shares = (grid.ravel() for grid in np.meshgrid(L1_RATIOS, FRACTIONS))
    lasso = largest * shares
    ridge = lasso / ratios * (1 - ratios)
    if binary:
        intercept, coefficient = _logistic(scaled, y, offset, (start, lasso, ridge))
    else:
        coefficient = _least_squares(scaled, slope, lasso, ridge)
        intercept = np.full(len(lasso), start)
    return PenaltyPath(centre, scale, intercept, coefficient)


def ridge_path(x: np.ndarray, y: np.ndarray, offset: np.ndarray, binary: bool) -> PenaltyPath:
    """Ridge regressions over a fixed grid, solved in the space of the rows (n_rows < n_features).

    Ridge does not change under a rotation of the columns, so the columns are replaced by
    their at most n_rows principal components; penalties are `RIDGE_FRACTIONS` of the mean
    squared length of a row. Arguments and answer as `elastic_net_path`.
    """
    centre, scale = column_scale(x)
    scaled = (x - centre) / scale
    squares, left = np.linalg.eigh(scaled @ scaled.T)
    kept = squares > 1e-10 * max(squares.max(initial=0.0), 1e-300)
    lengths, left = np.sqrt(squares[kept]), left[:, kept]
    start = starting_intercept(y, offset, binary)
    penalties = np.array(RIDGE_FRACTIONS) * max(squares.sum() / len(y), 1e-300)
    if binary:
        intercept, inner = _logistic_ridge(left * lengths, y, offset, penalties)
    else:
        along = lengths * (left.T @ (y - offset - start))
        inner = along[:, None] / (lengths[:, None] ** 2 + penalties)
        intercept = np.full(len(penalties), start)
    coefficient = scaled.T @ (left @ (inner / lengths[:, None]))
    return PenaltyPath(centre, scale, intercept, coefficient)


def column_scale(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation of each column; 1 instead of 0 for one that does not vary."""
    centre, deviation = x.mean(axis=0), x.std(axis=0)
    steady = deviation <= 1e-12 * np.abs(centre)
    return centre, np.where(steady | (deviation == 0), 1.0, deviation)


def starting_intercept(y: np.ndarray, offset: np.ndarray, binary: bool) -> float:
    """Intercept of the model without columns: best constant beside the offset."""
    if not binary:
        return float(np.mean(y - offset))
    intercept = 0.0
    for _ in range(NEWTON_STEPS):
        probability = expit(intercept + offset)
        curvature = max(float(np.sum(probability * (1 - probability))), 1e-3)
        before = intercept
        intercept = float(np.clip(intercept + np.sum(y - probability) / curvature, -10, 10))
        if abs(intercept - before) < 1e-12:
            break
    return intercept


def _mean(predictor, binary):
    return expit(predictor) if binary else predictor


def _least_squares(x, slope, lasso, ridge):
    gram = x.T @ x / len(x)

    def gradient(coefficient):
        return gram @ coefficient - slope[:, None]

    bound = np.linalg.eigvalsh(gram)[-1] if len(slope) else 1.0
    return _proximal(gradient, bound, lasso, ridge, np.zeros((len(slope), len(lasso))))


def _logistic(x, y, offset, grid):
    start, lasso, ridge = grid
    whole = np.column_stack([np.ones(len(y)), x])
    free = np.zeros((whole.shape[1], len(lasso)))
    free[0] = start
    penalised = np.ones((whole.shape[1], 1))
    penalised[0] = 0

    def gradient(coefficient):
        return whole.T @ (expit(whole @ coefficient + offset[:, None]) - y[:, None]) / len(y)

    bound = np.linalg.norm(whole, 2) ** 2 / (4 * len(y))
    both = _proximal(gradient, bound, lasso * penalised, ridge * penalised, free)
    return both[0], both[1:]


def _proximal(gradient, bound, lasso, ridge, start):
    step = 1 / (bound + ridge)
    current, ahead, momentum = start, start, 1.0
    for _ in range(MAX_STEPS):
        raw = ahead - step * (gradient(ahead) + ridge * ahead)
        new = np.sign(raw) * np.maximum(np.abs(raw) - step * lasso, 0)
        moved = new - current
        restart = ((ahead - new) * moved).sum() > 0
        following = 1.0 if restart else (1 + np.sqrt(1 + 4 * momentum**2)) / 2
        ahead = new + (0.0 if restart else (momentum - 1) / following) * moved
        current, momentum = new, following
        if np.abs(moved).max(initial=0.0) <= TOLERANCE * np.abs(new).max(initial=1e-12):
            break
    return current


def _logistic_ridge(x, y, offset, penalties):
    whole = np.column_stack([np.ones(len(y)), x])
    coefficients = np.zeros((whole.shape[1], len(penalties)))
    current = np.zeros(whole.shape[1])
    for place, penalty in enumerate(penalties):
        weight = np.full(whole.shape[1], penalty)
        weight[0] = 1e-8
        for _ in range(NEWTON_STEPS):
            probability = expit(whole @ current + offset)
            slope = whole.T @ (y - probability) - weight * current
            curvature = (whole.T * (probability * (1 - probability))) @ whole + np.diag(weight)
            move = np.linalg.solve(curvature, slope)
            current = current + move
            if np.abs(move).max() < 1e-8:
                break
        coefficients[:, place] = current
    return coefficients[0], coefficients[1:]
