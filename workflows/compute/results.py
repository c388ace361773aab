"""Rows of a model table: one per tested region or edge and term."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from scipy import stats

from workflows.compute.design import Design
from workflows.compute.effects import (
    correlation_interval,
    pooled_deviation,
    standardised_difference,
)
from workflows.compute.families import QUALITY, Family
from workflows.compute.regression import Fit

MODEL_COLUMNS = [
    "model",
    "family",
    "planned",
    "term",
    "modality",
    "measure",
    "atlas",
    "region",
    "region_a",
    "region_b",
    "unit",
    "estimate",
    "standard_error",
    "ci_low",
    "ci_high",
    "df",
    "statistic",
    "p",
    "p_fdr",
    "p_fwe",
    "effect_size",
    "effect_size_name",
    "effect_low",
    "effect_high",
    "n",
    "n_per_arm",
    "formula",
    "note",
]
ONE_ARM = "one arm: change over time is not a treatment effect"
NO_REFERENCE = "group.reference_arm is not set: compared with the first arm in text order"


@dataclass(frozen=True)
class ModelSpec:
    """One model file: what is fitted to each family."""

    name: str
    kind: Literal["change", "baseline_adjusted", "symptoms"]
    planned: bool
    arm_column: str = ""
    reference_arm: str = ""
    covariates: tuple[str, ...] = ()
    score: str = ""
    better: str = "lower"
    confidence: float = 0.95
    min_participants: int = 6


def family_rows(spec: ModelSpec, family: Family, fit: Fit, design: Design) -> pd.DataFrame:
    """MODEL_COLUMNS of one family, without the corrected p values.

    Terms are the arms compared with the reference, the mean change where there is one
    arm, or the change of the symptom score.
    """
    if spec.kind == "symptoms":
        terms = {0: f"change in {spec.score}"}
    elif len(design.levels) == 1:
        terms = {0: design.names[0]}
    else:
        terms = {place: design.names[place] for place in range(1, design.n_leading)}
    tables = [
        _columns(spec, family, fit, design, place).assign(term=term)
        for place, term in terms.items()
    ]
    return pd.concat(tables, ignore_index=True).assign(
        model=spec.name,
        family=f"{spec.name}: {family.name}",
        planned=spec.planned and family.measure not in QUALITY,
        modality=family.modality,
        measure=family.measure,
        atlas=family.atlas,
        unit="correlation" if spec.kind == "symptoms" else family.unit,
        formula=_formula(spec, design),
    )


def _columns(spec, family, fit, design, place):
    estimate, error = fit.estimate[place], fit.standard_error[place]
    with np.errstate(divide="ignore"):
        statistic = estimate / error
    if spec.kind == "symptoms":
        effect, name = correlation_interval(estimate, fit.df, spec.confidence), "partial r"
        low, high = effect.low, effect.high
    else:
        scale, scale_df = pooled_deviation(_used_change(family, design), design.arms)
        effect = standardised_difference(estimate, error, scale, scale_df, spec.confidence)
        name = "d_z" if len(design.levels) == 1 else "Hedges g"
        half = stats.t.ppf((1 + spec.confidence) / 2, fit.df) * error
        low, high = estimate - half, estimate + half
    return family.labels.assign(
        estimate=estimate,
        standard_error=error,
        ci_low=low,
        ci_high=high,
        df=fit.df,
        statistic=statistic,
        p=2 * stats.t.sf(np.abs(statistic), fit.df),
        effect_size=effect.value,
        effect_size_name=name,
        effect_low=effect.low,
        effect_high=effect.high,
        n=fit.n,
        n_per_arm=_counts_text(fit, design.levels),
        note=_notes(spec, fit, design),
    )


def _used_change(family, design):
    usable = np.isfinite(design.matrix).all(axis=1)
    return np.where(usable[:, None], family.change, np.nan)


def _counts_text(fit, levels):
    counts, place = np.unique(fit.counts, axis=1, return_inverse=True)
    texts = [
        ";".join(f"{level}={n}" for level, n in zip(levels, column, strict=True))
        for column in counts.T
    ]
    return np.array(texts, dtype=object)[place.ravel()]


def _formula(spec, design):
    left = {"change": "change", "baseline_adjusted": "followup", "symptoms": "change"}[spec.kind]
    before = {
        "change": "",
        "baseline_adjusted": "baseline + ",
        "symptoms": f"{spec.score} change | ",
    }
    return f"{left} ~ {before[spec.kind]}{design.formula}"


def _notes(spec, fit, design):
    always = _standing_note(spec, design)
    texts = {
        note: "; ".join(part for part in (note, always) if part) for note in np.unique(fit.note)
    }
    return np.array([texts[note] for note in fit.note], dtype=object)


def _standing_note(spec, design):
    if spec.kind == "symptoms":
        meaning = "worsens" if spec.better == "lower" else "improves"
        return f"positive: the measure rises where {spec.score} rises, that is {meaning}"
    if len(design.levels) == 1:
        return ONE_ARM
    return "" if spec.reference_arm else NO_REFERENCE
