"""Connectome-based predictive modelling (Shen 2017)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import stats

from workflows.compute.fold_steps import correlations
from workflows.compute.penalised import PenaltyPath, starting_intercept

EDGE_P = 0.01
LOGISTIC_STEPS = 50


@dataclass(frozen=True)
class EdgeModel:
    """Edges that rise and edges that fall with the target, and the model of their sums.

    `positive` and `negative` are column numbers, `path` a model with a single candidate of
    the sums over the positive and over the negative edges.
    """

    positive: np.ndarray
    negative: np.ndarray
    path: PenaltyPath

    def predictor(self, x: np.ndarray) -> np.ndarray:
        """Linear predictor, n_rows x 1 (log odds for a binary target)."""
        return self.path.predictor(network_strengths(x, self.positive, self.negative))


def selected_edges(x: np.ndarray, y: np.ndarray, edge_p: float) -> tuple[np.ndarray, np.ndarray]:
    """Columns whose correlation with `y` has p < `edge_p`: positive ones, negative ones.

    Parameters
    ----------
    x : np.ndarray, shape (n_rows, n_edges)
        Training rows only, without NaN.
    y : np.ndarray, shape (n_rows,)
        Target of the training rows.
    edge_p : float
        Two-sided threshold of each edge, 0..1.
    """
    df = len(y) - 2
    if df < 1 or not 0 < edge_p < 1:
        raise ValueError("y, edge_p: three rows or more, a threshold between 0 and 1")
    limit = stats.t.isf(edge_p / 2, df)
    r = correlations(x, y)
    least = limit / np.sqrt(df + limit**2)
    return np.flatnonzero(r > least), np.flatnonzero(r < -least)


def network_strengths(x: np.ndarray, positive: np.ndarray, negative: np.ndarray) -> np.ndarray:
    """Sum over the positive and over the negative edges, n_rows x 2 (0 without edges)."""
    return np.column_stack([x[:, positive].sum(axis=1), x[:, negative].sum(axis=1)])


def edge_model(
    x: np.ndarray, y: np.ndarray, offset: np.ndarray, binary: bool, edge_p: float = EDGE_P
) -> EdgeModel:
    """Model of the training rows: select, sum, regress.

    Edges are selected by their correlation with what the offset leaves of the target; where
    no edge passes, the answer is the mean. Least squares, or a logistic model with a weak
    ridge penalty (one observation's worth) that keeps separated classes finite.

    Parameters
    ----------
    x : np.ndarray, shape (n_rows, n_edges)
    y, offset : np.ndarray, shape (n_rows,)
        Target (0 or 1 if `binary`) and the known part of the linear predictor.
    binary : bool
    edge_p : float
        Two-sided threshold of each edge.
    """
    start = starting_intercept(y, offset, binary)
    rest = y - (1 / (1 + np.exp(-offset - start)) if binary else offset)
    positive, negative = selected_edges(x, rest, edge_p)
    sums = network_strengths(x, positive, negative)
    centre, scale = sums.mean(axis=0), sums.std(axis=0)
    scale = np.where(scale > 0, scale, 1.0)
    scaled = (sums - centre) / scale
    if binary:
        intercept, slopes = _logistic(scaled, y, offset, start)
    else:
        intercept, slopes = start, np.linalg.lstsq(scaled, rest - start, rcond=1e-10)[0]
    return EdgeModel(
        positive, negative, PenaltyPath(centre, scale, np.array([intercept]), slopes[:, None])
    )


def _logistic(x, y, offset, start):
    whole = np.column_stack([np.ones(len(y)), x])
    weight = np.diag([1e-8, *np.ones(x.shape[1])])
    current = np.array([start, *np.zeros(x.shape[1])])
    for _ in range(LOGISTIC_STEPS):
        probability = 1 / (1 + np.exp(-whole @ current - offset))
        slope = whole.T @ (y - probability) - weight @ current
        curvature = (whole.T * (probability * (1 - probability))) @ whole + weight
        move = np.linalg.solve(curvature, slope)
        current = current + move
        if np.abs(move).max() < 1e-10:
            break
    return current[0], current[1:]
