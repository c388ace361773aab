"""Path models: coefficients of several regressions and sums of products of them."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial

import numpy as np
import pandas as pd
from scipy import stats

from workflows.compute.bootstrap import (
    Draws,
    Resampling,
    bca_interval,
    draw,
    inversion_p,
    percentile_interval,
    regress,
    sample_size,
    widened_confidence,
    widened_p,
)

PATH_COLUMNS = [
    "path",
    "term",
    "mediator",
    "estimate",
    "standard_error",
    "ci_low",
    "ci_high",
    "interval",
    "df",
    "statistic",
    "p",
    "standardised",
    "sobel_standard_error",
    "bca_low",
    "bca_high",
    "n",
    "note",
]
PERCENTILE = "percentile bootstrap"
FEW_CLUSTERS = 20
Products = tuple[tuple[float, tuple[int, ...]], ...]


@dataclass(frozen=True)
class PathTerm:
    """Coefficient of column `predictor` in the regression number `equation`.

    `path`, `term` and `mediator` are the labels of its row; the estimate times `scale` is the
    standardised one.
    """

    path: str
    term: str
    mediator: str
    equation: int
    predictor: int
    scale: float


@dataclass(frozen=True)
class PathEffect:
    """Sum of factor times product of path terms, divided by one of the effects or terms.

    `products` holds (factor, places of path terms); `share_of` is the place of the path term
    the sum is divided by, if any.
    """

    path: str
    term: str
    mediator: str
    products: Products
    scale: float
    share_of: int | None = None


@dataclass(frozen=True)
class PathModel:
    """Regressions of the columns, their coefficients of interest and what is made of them.

    `columns` (n_participants, n_columns) are complete and the first is the constant;
    `equations` hold an outcome column and its predictor columns.
    """

    columns: np.ndarray = field(repr=False)
    equations: tuple[tuple[int, tuple[int, ...]], ...]
    terms: tuple[PathTerm, ...]
    effects: tuple[PathEffect, ...]


def path_rows(
    model: PathModel, resampling: Resampling, rng: np.random.Generator
) -> tuple[pd.DataFrame, Draws]:
    """Rows of all path terms and effects, PATH_COLUMNS, and the draws they come from.

    Path terms have t intervals of ordinary least squares, or percentile intervals where
    clusters are resampled; effects have percentile and BCa intervals, widened for small samples
    (`widened_confidence` with the degrees of freedom of the largest regression), and, if they are
    one product, Sobel's (1982) standard error. The standard error of a bootstrap row is the
    standard deviation of its resamples.

    Parameters
    ----------
    model : PathModel
    resampling : Resampling
    rng : np.random.Generator

    Returns
    -------
    rows : pd.DataFrame
    draws : Draws
        Quantities in the order of the rows.
    """
    columns = centred_columns(model.columns)
    draws = draw(columns, partial(_quantities, model), resampling, rng)
    rows = _bootstrap_rows(model, draws, resampling)
    error, df = _term_errors(model, columns)
    if resampling.clusters is None:
        _put_t_rows(rows, error, df, resampling.confidence)
    labels = (*model.terms, *model.effects)
    rows |= {
        "path": [label.path for label in labels],
        "term": [label.term for label in labels],
        "mediator": [label.mediator for label in labels],
        "standardised": draws.estimate * np.array([label.scale for label in labels]),
        "sobel_standard_error": [np.nan] * len(error)
        + [_sobel(effect, draws.estimate, error) for effect in model.effects],
        "n": np.full(len(labels), len(columns)),
        "note": [_resample_note(rows, draws, resampling)] * len(labels),
    }
    return pd.DataFrame({name: rows[name] for name in PATH_COLUMNS}), draws


def centred_columns(columns: np.ndarray) -> np.ndarray:
    """Columns minus their mean, but for the constant, which is the first."""
    centred = columns - columns.mean(axis=0)
    centred[:, 0] = 1
    return centred


def evaluated(effect: PathEffect, terms: np.ndarray) -> np.ndarray:
    """Effect for path terms of shape (n_terms, n_samples)."""
    total = np.zeros(terms.shape[1])
    for factor, places in effect.products:
        total = total + factor * np.prod(terms[list(places)], axis=0)
    if effect.share_of is not None:
        size = terms[effect.share_of]
        total = total / np.where(size == 0, np.nan, size)
    return total


def _quantities(model, products):
    coefficients = [
        regress(products, outcome, predictors).coefficients
        for outcome, predictors in model.equations
    ]
    terms = np.stack(
        [
            coefficients[term.equation][model.equations[term.equation][1].index(term.predictor)]
            for term in model.terms
        ]
    )
    return np.concatenate([terms, *[evaluated(effect, terms)[None] for effect in model.effects]])


def _bootstrap_rows(model, draws, resampling):
    n_terms = max(len(predictors) for _, predictors in model.equations)
    size = sample_size(draws, resampling, len(model.columns), n_terms)
    confidence = widened_confidence(resampling.confidence, *size)
    low, high = percentile_interval(draws.values, confidence)
    bca_low, bca_high = bca_interval(draws, confidence)
    enough = draws.values.shape[1] > 1
    error = draws.values.std(axis=1, ddof=1) if enough else np.full(len(low), np.nan)
    p = widened_p(inversion_p(draws.values), *size)
    return {
        "estimate": draws.estimate,
        "standard_error": error,
        "ci_low": low,
        "ci_high": high,
        "interval": np.full(len(low), PERCENTILE, dtype=object),
        "df": np.full(len(low), np.nan),
        "statistic": np.full(len(low), np.nan),
        "p": np.where(np.isfinite(low), p, np.nan),
        "bca_low": bca_low,
        "bca_high": bca_high,
    }


def _put_t_rows(rows, error, df, confidence):
    first = slice(0, len(error))
    estimate = rows["estimate"][first]
    half = stats.t.ppf((1 + confidence) / 2, df) * error
    values = {
        "standard_error": error,
        "ci_low": estimate - half,
        "ci_high": estimate + half,
        "interval": "t",
        "df": df,
        "statistic": estimate / error,
        "p": 2 * stats.t.sf(np.abs(estimate / error), df),
        "bca_low": np.nan,
        "bca_high": np.nan,
    }
    for name, value in values.items():
        rows[name][first] = value


def _term_errors(model, columns):
    products = (columns.T @ columns)[:, :, None]
    fits = [regress(products, outcome, predictors) for outcome, predictors in model.equations]
    error, df = np.zeros(len(model.terms)), np.zeros(len(model.terms))
    for place, term in enumerate(model.terms):
        fit, predictors = fits[term.equation], model.equations[term.equation][1]
        which = predictors.index(term.predictor)
        df[place] = len(columns) - len(predictors)
        variance = max(fit.residual_squares[0], 0) / df[place]
        error[place] = np.sqrt(fit.inverse[which, which, 0] * variance)
    return error, df


def _sobel(effect, estimate, error):
    if len(effect.products) != 1 or effect.share_of is not None:
        return np.nan
    factor, places = effect.products[0]
    if len(places) < 2:
        return np.nan
    squares = 0.0
    for place in places:
        others = [other for other in places if other != place]
        squares += (error[place] * np.prod(estimate[others])) ** 2
    return abs(factor) * np.sqrt(squares)


def _resample_note(rows, draws, resampling):
    notes = []
    if draws.n_degenerate:
        made = resampling.n_bootstraps
        notes.append(f"{draws.n_degenerate} of {made} resamples could not be fitted")
    if resampling.clusters is not None and len(draws.strata) < FEW_CLUSTERS:
        notes.append(f"only {len(draws.strata)} clusters: the intervals are not reliable")
    if not np.isfinite(rows["ci_low"]).any():
        notes.append("no bootstrap interval: too few resamples for so small a sample")
    return "; ".join(notes)
