"""Results of the models in plain sentences that claim no more than the model."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from workflows.compute.term_words import (
    SCORE,
    estimate_text,
    has_one_arm,
    kind_of_place,
    place_name,
    subject_text,
    term_kind,
    unit_text,
    verb_text,
)

ONE_ARM_CAUTION = "There is one group: change is not a treatment effect."
NOT_RANDOMISED_CAUTION = (
    "Groups were not assigned at random: a difference may have other causes than treatment."
)
ASSOCIATION_CAUTION = "This is an association: it does not show what caused what."
SLOPE_CAUTION = (
    "Nobody was assigned to their value at random: this is an association, not an effect."
)
MODERATOR_CAUTION = (
    "The moderator was not assigned at random: it may stand for something else that goes with it."
)


@dataclass(frozen=True)
class Finding:
    """One family of tests and one term, said in words."""

    model: str
    family: str
    term: str
    planned: bool
    n_tests: int
    n_significant: int
    sentence: str
    caution: str


def findings(
    tests: pd.DataFrame, sensitivity: pd.DataFrame, alpha: float, randomised: bool
) -> list[Finding]:
    """One `Finding` for each family and term, planned ones first.

    Parameters
    ----------
    tests : DataFrame
        Rows of the models, see `MODEL_COLUMNS`; rows without p were not tested.
    sensitivity : DataFrame
        Smallest effects by family and term; may have no rows.
    alpha : float
        Limit for the corrected p value (`p_fdr`), 0..1.
    randomised : bool
        Whether the arms were assigned at random.
    """
    said = []
    for (model, family, term), rows in tests.groupby(["model", "family", "term"], sort=False):
        made = rows[rows["p"].notna()]
        limit = smallest_effect_text(sensitivity, family, term)
        significant = made[made["p_fdr"] <= alpha].sort_values("p", kind="stable")
        said.append(
            Finding(
                model=str(model),
                family=str(family),
                term=str(term),
                planned=bool(rows["planned"].iloc[0]),
                n_tests=len(made),
                n_significant=len(significant),
                sentence=_sentence(rows, made, significant, limit),
                caution=caution(rows, randomised),
            )
        )
    return [f for f in said if f.planned] + [f for f in said if not f.planned]


def caution(rows: pd.DataFrame, randomised: bool) -> str:
    """What a result of these rows does not mean; empty for arms assigned at random."""
    kind = term_kind(rows)
    one_arm = has_one_arm(rows) or not any(";" in str(text) for text in rows["n_per_arm"].unique())
    lead = [ONE_ARM_CAUTION] if one_arm else []
    if kind in ("correlation", "status"):
        return " ".join([*lead, ASSOCIATION_CAUTION])
    if kind == "slope":
        return " ".join([*lead, SLOPE_CAUTION])
    if kind == "mean" or has_one_arm(rows):
        return ONE_ARM_CAUTION
    assigned = [] if randomised else [NOT_RANDOMISED_CAUTION]
    moderated = [MODERATOR_CAUTION] if kind in ("product", "simple") else []
    return " ".join([*assigned, *moderated])


def smallest_effect_text(sensitivity: pd.DataFrame, family: str, term: str) -> str:
    """Smallest effect that this sample could have found, in words; empty if not known."""
    if not len(sensitivity):
        return ""
    known = (sensitivity["family"] == family) & (sensitivity["term"].astype(str) == str(term))
    if not known.any():
        return ""
    row = sensitivity[known].iloc[0]
    size = row["smallest_bonferroni"]
    if not np.isfinite(size):
        return ""
    several = f", correcting for {row['n_tests']:.0f} tests," if row["n_tests"] > 1 else ""
    return (
        f"The smallest effect this sample could have found with {100 * row['power']:.0f} % power"
        f"{several} is {row['effect_size_name']} = {size:.2f}; smaller effects cannot be ruled out."
    )


def _sentence(rows, made, significant, limit):
    subject = subject_text(rows)
    if not len(made):
        return f"{subject}: nothing could be tested."
    if len(made) == 1 and str(rows["modality"].iloc[0]) == SCORE:
        return _single(subject, made.iloc[0], len(significant) > 0, limit)
    several = f"after correction for {len(made)} tests" if len(made) > 1 else "(one test)"
    kind = kind_of_place(rows)
    if not len(significant):
        lead = f"{subject}: no {kind} {verb_text(rows, 1)} {several}."
        return " ".join(part for part in (lead, _reach(made, kind), limit) if part)
    first = significant.iloc[0]
    verb = verb_text(rows, len(significant))
    lead = f"{subject}: {len(significant)} of {len(made)} {kind}s {verb} {several}."
    return f"{lead} Strongest: {place_name(first)}, {estimate_text(first)}."


def _single(subject, row, is_significant, limit):
    p = f"p = {row['p']:.2g}"
    if is_significant:
        return f"{subject}: {estimate_text(row)}, {p}."
    return f"{subject}: not shown, {estimate_text(row)}, {p}. {limit}".rstrip()


def _reach(made, kind):
    """What the intervals of tests without a finding still allow."""
    low, high = made["ci_low"].min(), made["ci_high"].max()
    if not (np.isfinite(low) and np.isfinite(high)):
        return ""
    unit = unit_text(made["unit"].iloc[0])
    whose = f"The intervals of all {kind}s reach" if len(made) > 1 else "The interval reaches"
    return f"{whose} from {low:.3g} to {high:.3g}{unit}."
