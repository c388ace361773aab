"""How strong an unmeasured cause of mediator and outcome would have to be."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial

import numpy as np
import pandas as pd

from workflows.compute.bootstrap import (
    Resampling,
    draw,
    percentile_interval,
    regress,
    sample_size,
    widened_confidence,
)
from workflows.compute.effects import correlation_interval
from workflows.compute.mediation_data import MediationData, complete_data, places_of
from workflows.compute.path_model import centred_columns

CURVE_COLUMNS = ["term", "mediator", "rho", "indirect", "ci_low", "ci_high"]


@dataclass(frozen=True)
class Sensitivity:
    """Unmeasured confounding at which the indirect effect would be 0.

    `rho` is the correlation between the errors of the two regressions, with its interval;
    `residual_share` the product of the shares of the unexplained variances of mediator and
    outcome that the unmeasured cause explains there, `total_share` the same of their whole
    variances. `curve` has CURVE_COLUMNS: the indirect effect at each supposed rho.
    """

    rho: float
    rho_low: float
    rho_high: float
    residual_share: float
    total_share: float
    curve: pd.DataFrame = field(repr=False)

    @property
    def in_words(self) -> str:
        """One sentence for a report."""
        return (
            "the indirect effect would be 0 if an unmeasured cause made the errors of mediator "
            f"and outcome correlate by {self.rho:.2f} (it would explain {self.total_share:.1%} of "
            "their variances, as a product)"
        )


def confounding_sensitivity(
    data: MediationData, rho: np.ndarray, resampling: Resampling, rng: np.random.Generator
) -> Sensitivity:
    """Indirect effect under unmeasured confounding (Imai, Keele & Yamamoto 2010).

    Linear regressions without interaction. With r the correlation of the residuals of mediator
    and outcome given treatment and covariates, s_y and s_m their deviations and rho the supposed
    correlation of the errors, the indirect effect is
    a (s_y / s_m) (r - rho sqrt((1 - r**2) / (1 - rho**2))); it is 0 at rho = r.

    Parameters
    ----------
    data : MediationData
        With one mediator.
    rho : np.ndarray, shape (n_rho,)
        Supposed correlations, between -1 and 1; 0 is the usual assumption.
    resampling : Resampling
    rng : np.random.Generator

    Returns
    -------
    Sensitivity
        Percentile intervals along the curve.

    Raises
    ------
    ModelError
        Too few participants, or a variable that is constant or a sum of others.
    """
    rho = np.asarray(rho, dtype=float)
    if len(data.mediator_names) != 1 or rho.ndim != 1 or not (np.abs(rho) < 1).all():
        raise ValueError("mediators: one; rho: between -1 and 1")
    ready, used = complete_data(data)
    columns, at = centred_columns(ready.columns), places_of(ready)
    draws = draw(columns, partial(_curve, at, rho), resampling.of(used), rng)
    products = (columns.T @ columns)[:, :, None]
    r = float(_residual_correlation(products, at)[0])
    df = np.array([len(columns) - len(at.base) - 1])
    limits = correlation_interval(np.array([r]), df, resampling.confidence)
    return Sensitivity(
        rho=r,
        rho_low=float(limits.low[0]),
        rho_high=float(limits.high[0]),
        residual_share=r**2,
        total_share=r**2 * _unexplained(products, at),
        curve=_curve_table(ready, rho, draws, resampling),
    )


def _curve_table(data, rho, draws, resampling):
    n_terms = len(places_of(data).base) + 1
    size = sample_size(draws, resampling, len(data.outcome), n_terms)
    confidence = widened_confidence(resampling.confidence, *size)
    low, high = percentile_interval(draws.values, confidence)
    columns = {
        "term": np.repeat(np.array(data.contrasts, dtype=object), len(rho)),
        "mediator": data.mediator_names[0],
        "rho": np.tile(rho, len(data.contrasts)),
        "indirect": draws.estimate,
        "ci_low": low,
        "ci_high": high,
    }
    return pd.DataFrame(columns)[CURVE_COLUMNS]


def _curve(at, rho, products):
    mediator = regress(products, at.mediators[0], at.base)
    outcome = regress(products, at.outcome, at.base)
    r = _residual_correlation(products, at)
    ratio = np.sqrt(outcome.residual_squares / mediator.residual_squares)
    supposed = rho[:, None]
    slope = ratio * (r - supposed * np.sqrt((1 - r**2) / (1 - supposed**2)))
    contrasts = mediator.coefficients[[at.base.index(place) for place in at.treatment]]
    return (contrasts[:, None] * slope).reshape(-1, products.shape[2])


def _residual_correlation(products, at):
    mediator = regress(products, at.mediators[0], at.base)
    outcome = regress(products, at.outcome, at.base)
    slope = regress(products, at.outcome, (*at.base, at.mediators[0])).coefficients[-1]
    return np.clip(slope * np.sqrt(mediator.residual_squares / outcome.residual_squares), -1, 1)


def _unexplained(products, at):
    """Unexplained share of the mediator times that of the outcome given the mediator."""
    place = at.mediators[0]
    mediator = regress(products, place, at.base).residual_squares[0]
    outcome = regress(products, at.outcome, (*at.base, place)).residual_squares[0]
    return float(
        mediator / products[place, place, 0] * outcome / products[at.outcome, at.outcome, 0]
    )
