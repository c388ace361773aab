"""Rows of a model table: one per tested region or edge and term."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from scipy import stats

from workflows.compute.association import rank_interval
from workflows.compute.design import Design, DesignRequest, Term
from workflows.compute.effects import (
    correlation_interval,
    pooled_deviation,
    standardised_difference,
)
from workflows.compute.families import Family
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
    "fwe_method",
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
ALL_ARMS = "all arms together: change over time is not a treatment effect"
NO_REFERENCE = "group.reference_arm is not set: compared with the first arm in text order"


ModelKind = Literal[
    "change",
    "baseline_adjusted",
    "mixed",
    "constrained_baseline",
    "symptoms",
    "rank_symptoms",
    "symptoms_adjusted",
    "remission",
]
CORRELATIONS = frozenset({"symptoms", "rank_symptoms", "symptoms_adjusted"})
LONG_KINDS = frozenset({"mixed", "constrained_baseline"})


@dataclass(frozen=True)
class ModelSpec:
    """One model file: what is fitted to each family.

    `measures` and `regions` restrict it (empty: all). Permutations stay within
    `block_column` (site). `time` and `random` are for models of
    all sessions. `only_incomplete` leaves out families of two sessions without missing ones.
    """

    name: str
    kind: ModelKind
    planned: bool
    arm_column: str = ""
    reference_arm: str = ""
    block_column: str = ""
    request: DesignRequest = DesignRequest()
    measures: tuple[str, ...] = ()
    regions: tuple[str, ...] = ()
    time: Literal["sessions", "days"] = "sessions"
    random: Literal["intercept", "slope"] = "intercept"
    only_incomplete: bool = False
    score: str = ""
    better: str = "lower"
    remission: float | None = None
    confidence: float = 0.95
    min_participants: int = 6


def family_rows(spec: ModelSpec, family: Family, fit: Fit, design: Design) -> pd.DataFrame:
    """MODEL_COLUMNS of one family, without the corrected p values.

    One row per test and term of the design; for correlations the term is the score.
    """
    if spec.kind in CORRELATIONS:
        terms = [Term(f"change in {spec.score}", "slope", np.empty(0))]
    else:
        terms = list(design.terms)
    tables = [
        _columns(spec, family, fit, design, (place, term)).assign(term=term.name)
        for place, term in enumerate(terms)
    ]
    return pd.concat(tables, ignore_index=True).assign(
        model=spec.name,
        family=f"{spec.name}: {family.name}",
        planned=spec.planned and not _is_secondary(spec, family),
        modality=family.modality,
        measure=family.measure,
        atlas=family.atlas,
        unit=_unit(spec, family),
        formula=_formula(spec, design),
        fwe_method="",
    )


def _is_secondary(spec: ModelSpec, family: Family) -> bool:
    """Whether a family is not the planned question; a model that names the measure means it."""
    named = family.measure in spec.measures
    return family.is_quality or family.is_process or (family.is_second and not named)


def _columns(spec, family, fit, design, numbered):
    place, term = numbered
    estimate, error = fit.estimate[place], fit.standard_error[place]
    df = fit.df if fit.df.ndim == 1 else fit.df[place]
    with np.errstate(divide="ignore"):
        statistic = estimate / error
    low, high, effect, name = _effect(spec, family, design, term, (estimate, error, df))
    return family.labels.assign(
        estimate=estimate,
        standard_error=error,
        ci_low=low,
        ci_high=high,
        df=df,
        statistic=statistic,
        p=2 * stats.t.sf(np.abs(statistic), df),
        effect_size=effect.value,
        effect_size_name=name,
        effect_low=effect.low,
        effect_high=effect.high,
        n=fit.n,
        n_per_arm=_counts_text(fit, design.levels),
        note=_notes(spec, fit, design, term),
    )


def _effect(spec, family, design, term, fitted):
    """Interval of the estimate, effect size and its name."""
    estimate, error, df = fitted
    if spec.kind in CORRELATIONS:
        if spec.kind == "rank_symptoms":
            effect = rank_interval(estimate, df, spec.confidence)
            return effect.low, effect.high, effect, "partial rank r"
        effect = correlation_interval(estimate, df, spec.confidence)
        return effect.low, effect.high, effect, "partial r"
    half = stats.t.ppf((1 + spec.confidence) / 2, df) * error
    if term.kind == "slope":
        with np.errstate(divide="ignore", invalid="ignore"):
            t = estimate / error
        effect = correlation_interval(t / np.sqrt(t**2 + df), df, spec.confidence)
        return estimate - half, estimate + half, effect, "partial r"
    scale, scale_df = pooled_deviation(_used_change(family, design), design.arms)
    effect = standardised_difference(estimate, error, scale, scale_df, spec.confidence, df)
    name = "d_z" if term.kind == "mean" else "Hedges g"
    name = f"{name} per week" if spec.time == "days" else name
    return estimate - half, estimate + half, effect, name


def _unit(spec, family):
    if spec.kind in CORRELATIONS:
        return "correlation"
    return f"{family.unit} per week" if spec.time == "days" else family.unit


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
    left = {
        "change": "change ~ ",
        "baseline_adjusted": "followup ~ baseline + ",
        "mixed": "value ~ (1 | participant) + time * ",
        "constrained_baseline": "value ~ (1 | participant) + time:",
        "symptoms": f"change ~ {spec.score} change | ",
        "rank_symptoms": f"rank(change) ~ rank({spec.score} change) | ",
        "symptoms_adjusted": (
            f"followup ~ {spec.score} followup | baseline + {spec.score} baseline + "
        ),
        "remission": f"change ~ {spec.score} remission + ",
    }[spec.kind]
    if spec.random == "slope":
        left = left.replace("(1 | ", "(time | ")
    several = spec.kind in LONG_KINDS and " + " in design.formula
    return f"{left}({design.formula})" if several else f"{left}{design.formula}"


def _notes(spec, fit, design, term):
    always = _standing_note(spec, design, term)
    texts = {
        note: "; ".join(part for part in (note, always) if part) for note in np.unique(fit.note)
    }
    return np.array([texts[note] for note in fit.note], dtype=object)


def _standing_note(spec, design, term):
    if spec.kind in CORRELATIONS:
        meaning = "worsens" if spec.better == "lower" else "improves"
        return f"positive: the measure rises where {spec.score} rises, that is {meaning}"
    if len(design.levels) == 1:
        return ONE_ARM
    if term.kind == "mean":
        return ALL_ARMS
    return "" if spec.reference_arm or term.kind != "arms" else NO_REFERENCE
