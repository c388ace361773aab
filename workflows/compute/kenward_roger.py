"""Small-sample standard error and degrees of freedom of a mixed model with a random intercept."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import numpy as np


@dataclass(frozen=True)
class SmallSample:
    """Adjusted standard error and denominator degrees of freedom of one contrast."""

    standard_error: float
    df: float


def kenward_roger(
    matrix: np.ndarray,
    person: np.ndarray,
    contrast: np.ndarray,
    variances: tuple[float, float],
) -> SmallSample:
    """Standard error and df of one contrast of one outcome (Kenward & Roger 1997).

    Unlike Satterthwaite's they count the uncertainty of the two variances, which matters in
    small samples with dropout. Dense matrices of n_rows squared: for single outcomes.

    Parameters
    ----------
    matrix : np.ndarray, shape (n_rows, n_terms)
        Design of the rows that have a value; full rank.
    person : np.ndarray of int, shape (n_rows,)
    contrast : np.ndarray, shape (n_terms,)
    variances : tuple of float
        REML estimates between people and of the residual.
    """
    same = (person[:, None] == person[None, :]).astype(float)
    parts = (same, np.eye(len(person)))
    inverse = np.linalg.inv(variances[0] * parts[0] + variances[1] * parts[1])
    weighted = inverse @ matrix
    phi = np.linalg.inv(matrix.T @ weighted)
    p = [-weighted.T @ part @ weighted for part in parts]
    middle = [part @ weighted for part in parts]
    q = {(i, j): middle[i].T @ inverse @ middle[j] for i, j in product(range(2), repeat=2)}
    scaled = [inverse @ part for part in parts]
    information = np.empty((2, 2))
    for i, j in product(range(2), repeat=2):
        information[i, j] = 0.5 * (
            np.sum(scaled[i] * scaled[j].T)
            - 2 * np.trace(phi @ q[i, j])
            + np.trace(phi @ p[i] @ phi @ p[j])
        )
    w = np.linalg.inv(information)
    spread = sum(w[i, j] * (q[i, j] - p[i] @ phi @ p[j]) for i, j in q)
    adjusted = phi + 2 * phi @ spread @ phi
    plain = contrast @ phi @ contrast
    slopes = np.array([contrast @ phi @ one @ phi @ contrast for one in p]) / plain
    return SmallSample(float(np.sqrt(contrast @ adjusted @ contrast)), _df(slopes @ w @ slopes))


def _df(a):
    """Denominator degrees of freedom for one contrast, where A1 = A2 = a."""
    b, g = 3.5 * a, -1.0
    below = 3 + 2 * (1 - g)
    c = g / below, (1 - g) / below, (3 - g) / below
    mean = 1 / (1 - a)
    variance = 2 * (1 + c[0] * b) / ((1 - c[1] * b) ** 2 * (1 - c[2] * b))
    return float(4 + 3 / (variance / (2 * mean**2) - 1))
