"""Session-by-session results in words: the same person over time, and people compared."""

from __future__ import annotations

import numpy as np
import pandas as pd

SKIPPED = ("variance of", "covariance", "between minus within", "outcome at the session before")
NOT_A_FINDING = "not a finding"


def process_sentences(rows: pd.DataFrame, alpha: float) -> list[str]:
    """One sentence for each path of a process, in the order of the table.

    Variances, and relations of a change with its own starting level, are left out: they are
    in the table, but say nothing about the process.

    Parameters
    ----------
    rows : DataFrame
        Rows of one process: analysis, process, outcome, term, estimate, ci_low, ci_high, p.
    alpha : float
        Level of the tests, 0..1 (not corrected).
    """
    said = []
    for _, row in rows.iterrows():
        term, note = str(row["term"]), str(row.get("note", ""))
        if term.startswith(SKIPPED) or NOT_A_FINDING in note or not np.isfinite(row["estimate"]):
            continue
        said.append(_sentence(row, term, alpha))
    return said


def process_cautions(rows: pd.DataFrame) -> list[str]:
    """What the results of a process do not mean."""
    terms = rows["term"].astype(str)
    cautions = ["Nothing here was assigned at random: these are associations over time."]
    if terms.str.startswith("within-person").any():
        cautions.append(
            "Only the within-person part says what goes with what in the same person; the "
            "between-person part compares people and says nothing about change."
        )
    return cautions


def _sentence(row, term, alpha):
    size = f"{row['estimate']:+.3g} (interval {row['ci_low']:.3g} to {row['ci_high']:.3g})"
    shown = np.isfinite(row["p"]) and row["p"] <= alpha
    process, outcome = str(row["process"]), str(row["outcome"])
    analysis = str(row["analysis"]).partition(":")[0]
    if term.startswith("within-person effect"):
        when = "the same session" if analysis.startswith("same") else "the next session"
        given = ", given the outcome before," if "given the outcome before" in analysis else ""
        lead = f"When a person's {process} is one unit above that person's own mean, {outcome} in "
        return f"{lead}{when}{given} differs by {size}{_verdict(shown)}."
    if term.startswith("between-person effect"):
        lead = f"People whose mean {process} is one unit higher than that of others differ in "
        return f"{lead}{outcome} by {size}{_verdict(shown)} ({analysis})."
    return f"{term[0].upper()}{term[1:]}: {size}{_verdict(shown)}."


def _verdict(shown):
    return "" if shown else ", not shown to differ from 0"
