"""Prediction intervals for one person, without assumptions on the distribution."""

from __future__ import annotations

import numpy as np


def cross_conformal_interval(
    residuals: np.ndarray, predictions: np.ndarray, confidence: float
) -> tuple[np.ndarray, np.ndarray]:
    """Limits of the jackknife+ / CV+ interval of new persons (Barber 2021).

    Each training person has a residual from the model that has not seen them, and that
    model's prediction for each new person. The interval goes from the lower quantile of
    prediction - |residual| to the upper quantile of prediction + |residual|. For
    exchangeable persons the coverage is at least 1 - 2 (1 - confidence) whatever the model
    and the distribution (for folds minus a term of the order 1 / sqrt(n)), and close to
    `confidence` in practice.

    Parameters
    ----------
    residuals : np.ndarray, shape (n_training,)
        Observed minus predicted.
    predictions : np.ndarray, shape (n_training, n_new)
        Predictions for the new persons by the model without this training person.
    confidence : float
        Wanted coverage, .5..1.

    Returns
    -------
    low, high : np.ndarray, shape (n_new,)
        -inf and inf where there are too few training persons for this confidence.
    """
    n = _checked(residuals, predictions, confidence)
    rank = int(np.ceil(confidence * (n + 1) - 1e-9))
    if rank > n:
        width = predictions.shape[1]
        return np.full(width, -np.inf), np.full(width, np.inf)
    size = np.abs(residuals)[:, None]
    low = np.partition(predictions - size, n - rank, axis=0)[n - rank]
    high = np.partition(predictions + size, rank - 1, axis=0)[rank - 1]
    return low, high


def cross_conformal_classes(
    residuals: np.ndarray, probabilities: np.ndarray, confidence: float
) -> tuple[np.ndarray, np.ndarray]:
    """Smallest and largest class of the cross-conformal prediction set (Vovk 2015).

    A class is in the set unless it lies further from the probabilities than the residuals
    of nearly all training persons; (0, 1) means that neither class can be excluded. An
    empty set is given the more probable class.

    Parameters
    ----------
    residuals : np.ndarray, shape (n_training,)
        Class (0 or 1) minus the probability from the model that has not seen this person.
    probabilities : np.ndarray, shape (n_training, n_new)
        Probability of class 1 for the new persons by the model without this person.
    confidence : float
        Wanted coverage, .5..1.

    Returns
    -------
    low, high : np.ndarray, shape (n_new,)
        0 or 1.
    """
    n = _checked(residuals, probabilities, confidence)
    size, least = np.abs(residuals)[:, None], (1 - confidence) * (n + 1) + 1e-9
    inside = [(size >= np.abs(label - probabilities)).sum(axis=0) + 1 > least for label in (0, 1)]
    likely = probabilities.mean(axis=0) >= 0.5
    empty = ~inside[0] & ~inside[1]
    zero, one = inside[0] | (empty & ~likely), inside[1] | (empty & likely)
    return np.where(zero, 0.0, 1.0), np.where(one, 1.0, 0.0)


def _checked(residuals, predictions, confidence):
    if not 0.5 <= confidence < 1:
        raise ValueError("confidence: from .5 to below 1")
    if predictions.ndim != 2 or residuals.shape != (len(predictions),):
        raise ValueError("residuals, predictions: n_training and n_training x n_new")
    if not (np.isfinite(residuals).all() and np.isfinite(predictions).all()):
        raise ValueError("residuals, predictions: without NaN")
    return len(residuals)
