"""Mechanisms in careful words: what the paths show, and what the order in time allows to say."""

from __future__ import annotations

import numpy as np
import pandas as pd

from workflows.compute.temporal_order import MECHANISM
from workflows.compute.term_words import place_name

UNMEASURED = "unmeasured causes of mediator and outcome are assumed away"
NOT_RANDOMISED = "not assigned at random"
NOT_ASSIGNED = "Arms were not assigned at random: the path from treatment may have other causes."
MASS = "region"


def is_mass(rows: pd.DataFrame) -> bool:
    """Whether a mechanism was tested region by region."""
    return MASS in rows


def contrasts_of(rows: pd.DataFrame) -> list[str]:
    """Contrasts or dose of the treatment, in the order of the table."""
    terms = rows.loc[rows["path"].isin(["a", "indirect", "total"]), "term"].astype(str)
    return [term for term in dict.fromkeys(terms) if term]


def mechanism_sentences(rows: pd.DataFrame, contrast: str) -> list[str]:
    """What the indirect effects of one contrast are, with both intervals, and their limits.

    Parameters
    ----------
    rows : DataFrame
        MECHANISM_COLUMNS of one mechanism with named mediators.
    contrast : str
        Contrast of the arms, or the dose.
    """
    own = rows[rows["term"].astype(str) == contrast]
    said = [_effect(row, rows) for _, row in own.iterrows() if _is_indirect(row["path"])]
    said += [
        _robustness(row) for _, row in own.iterrows() if np.isfinite(row.get("rho_zero", np.nan))
    ]
    return [*said, *claim_sentences(rows)]


def claim_sentences(rows: pd.DataFrame) -> list[str]:
    """Whether the order in time allows a mechanism, and why not."""
    odd = rows[rows["label"] != MECHANISM]
    if len(odd):
        reasons = dict.fromkeys(text for text in odd["reason"] if isinstance(text, str) and text)
        why = f": {'; '.join(reasons)}" if reasons else ""
        return [f"This is an association, not a mechanism{why}."]
    notes = rows["note"].fillna("").astype(str)
    assigned = [] if not notes.str.contains(NOT_RANDOMISED).any() else [NOT_ASSIGNED]
    return [
        "The mediator was measured after treatment began and before the outcome, as a mechanism "
        f"needs; {UNMEASURED}, so this agrees with a mechanism and does not prove it.",
        *assigned,
    ]


def mass_sentences(rows: pd.DataFrame, alpha: float) -> list[str]:
    """Indirect effects over many regions, counted after correction."""
    made = rows[rows["p"].notna()]
    found = made[made["p_fdr"] <= alpha].sort_values("p", kind="stable")
    over = f"of {len(made)} regions after correction"
    if not len(found):
        lead = f"No indirect effect was found in any {over}; this does not show that there is none."
        return [lead, *claim_sentences(rows)]
    first = found.iloc[0]
    low, high = first["ci_low"], first["ci_high"]
    lead = (
        f"An indirect effect was found in {len(found)} {over}; the strongest: {place_name(first)}, "
        f"{first['estimate']:+.3g} (interval {low:.3g} to {high:.3g}), picked for being extreme."
    )
    return [lead, *claim_sentences(rows)]


def _is_indirect(path):
    text = str(path)
    return text.startswith(("indirect", "index of")) and " minus " not in text


def _effect(row, rows):
    name, path = str(row["outcome"]), str(row["path"])
    through = path.removeprefix("indirect").removeprefix(" via ").strip()
    if not through:
        named = rows.loc[rows["path"] == "a", "mediator"].astype(str)
        through = " and ".join(dict.fromkeys(named)) or "the mediators"
    what = f"Through {through}"
    if path.startswith("index of"):
        what = path[0].upper() + path[1:]
    elif through.startswith("at "):
        what = f"Indirect effect {through}"
    if not np.isfinite(row["estimate"]):
        return f"{what}: not estimated."
    intervals = f"{row['interval']} interval {row['ci_low']:.3g} to {row['ci_high']:.3g}"
    if np.isfinite(row.get("bca_low", np.nan)):
        intervals += f"; BCa interval {row['bca_low']:.3g} to {row['bca_high']:.3g}"
    shown = _excludes_zero(row["ci_low"], row["ci_high"])
    bca = _excludes_zero(row.get("bca_low", np.nan), row.get("bca_high", np.nan))
    verdict = "goes with" if shown else "was not shown to go with"
    differ = ""
    if np.isfinite(row.get("bca_low", np.nan)) and bca != shown:
        differ = " The two intervals disagree about zero: no firm statement is possible."
    size = f"{row['estimate']:+.3g} on {name} ({intervals})"
    return f"{what}: {size}; an indirect path {verdict} the treatment {row['term']}.{differ}"


def _robustness(row):
    rho = abs(float(row["rho_zero"]))
    return (
        f"An unmeasured cause of mediator and outcome that makes their errors correlate at "
        f"{row['rho_zero']:.2f} would be enough to explain the indirect effect away"
        f"{' (a weak one would do)' if rho < 0.2 else ''}."
    )


def _excludes_zero(low, high):
    return bool(low > 0 or high < 0)
