"""Outcomes of treatment in plain sentences: rates, criteria, dropouts, and Lord's paradox."""

from __future__ import annotations

import numpy as np
import pandas as pd

from workflows.compute.term_words import estimate_text

OUTCOME_NAMES = {
    "response": "response",
    "remission": "remission",
    "recovery": "recovery (reliable change that crosses the cut-off)",
}
FAR_APART = 0.25


def rate_sentence(rates: pd.DataFrame, differences: pd.DataFrame, outcome: str) -> str:
    """Share of each arm with an outcome, observed, and the difference between arms.

    Parameters
    ----------
    rates, differences : DataFrame
        Rows of one score and one follow-up, from `outcome_rates` and `rate_differences`.
    outcome : str
    """
    own = rates[(rates["outcome"] == outcome) & (rates["counted"] == "observed")]
    own = own[own["rate"].notna()]
    arms = own[own["arm"] != "all"] if (own["arm"] != "all").any() else own
    if not len(arms):
        return ""
    name = OUTCOME_NAMES.get(outcome, outcome)
    shares = "; ".join(_share(row) for _, row in arms.iterrows())
    chosen = differences["outcome"] == outcome if len(differences) else pd.Series(dtype=bool)
    own = differences[chosen & (differences["counted"] == "observed")] if chosen.any() else ()
    compared = [_difference(row) for _, row in own.iterrows()] if len(own) else []
    return " ".join([f"{name[0].upper()}{name[1:]}: {shares}.", *compared])


def known_sentence(rates: pd.DataFrame) -> str:
    """Of whom the rates are, and how many people's outcome is not known."""
    everybody = rates[(rates["arm"] == "all") & (rates["counted"] == "observed")]
    known = everybody[everybody["rate"].notna()]
    if not len(known):
        return ""
    missing = int(known["n_missing"].max())
    left = f"; of {missing} it is not known, see the worst case in the table" if missing else ""
    lead = f"At ses-{known['followup'].iloc[0]}, of {known['n'].max():.0f} people"
    return f"{lead} with a known outcome{left}:"


def criteria_sentence(row: pd.Series, sources: dict[str, str]) -> str:
    """What counts as response, remission and reliable change, with where the numbers are from."""
    parts = [f"{row['score']} ({row['better']} is better)"]
    if np.isfinite(row["response_pct"]):
        text = f"response is an improvement of at least {row['response_pct']:g} %"
        parts.append(text + _source(sources, "response_pct"))
    if np.isfinite(row["remission"]):
        side = "at most" if row["better"] == "lower" else "at least"
        parts.append(f"remission is {side} {row['remission']:g}{_source(sources, 'remission')}")
    if np.isfinite(row["smallest_reliable_change"]):
        text = f"a change of more than {row['smallest_reliable_change']:.2g} points is reliable"
        parts.append(f"{text} (reliability {row['reliability']:g})")
        parts[-1] += _source(sources, "reliability")
    else:
        parts.append("reliable change cannot be judged without a declared reliability")
    if np.isfinite(row["cutoff"]):
        parts.append(f"cut-off of recovery {row['cutoff']:.3g} (kind {row['cutoff_kind']})")
    return f"{parts[0]}: {'; '.join(parts[1:])}."


def dropout_sentence(completers: pd.DataFrame) -> str:
    """How many dropped out, and where completers and dropouts differ most at baseline."""
    everybody = completers[completers["arm"] == "all"]
    if not len(everybody):
        return ""
    first = everybody.iloc[0]
    n_dropouts = int(first["n_dropouts"])
    lead = f"{first['n_completers']:.0f} participants have the main outcome, {n_dropouts} do not."
    sized = everybody[everybody["effect_size"].notna()]
    if not n_dropouts or not len(sized):
        return lead
    largest = sized.iloc[int(sized["effect_size"].abs().to_numpy().argmax())]
    return (
        f"{lead} They differ most in {largest['characteristic']}: {largest['effect_size_name']} = "
        f"{largest['effect_size']:.2f} (interval {largest['effect_low']:.2f} to "
        f"{largest['effect_high']:.2f}; completers minus dropouts)."
    )


def paradox_sentences(change: pd.Series, adjusted: pd.Series, alpha: float) -> str:
    """Why the model of change and the one given baseline differ; empty where they agree.

    Parameters
    ----------
    change, adjusted : Series
        Rows of the same score and arms: of change, and of follow-up given baseline.
    alpha : float
        Level of the tests, 0..1.
    """
    if not _disagree(change, adjusted, alpha):
        return ""
    return (
        f"Change alone says {estimate_text(change)}, follow-up given baseline says "
        f"{estimate_text(adjusted)}: this is Lord's paradox. The first asks how much more one "
        "group changed, the second how they differ at follow-up if they began alike; where "
        "groups were assigned at random both ask the same and the second is more precise, where "
        "they were not, groups that began differently make them differ and neither is an effect."
    )


def _disagree(change, adjusted, alpha):
    first, second = float(change["estimate"]), float(adjusted["estimate"])
    if not (np.isfinite(first) and np.isfinite(second)):
        return False
    verdicts = float(change["p"]) <= alpha, float(adjusted["p"]) <= alpha
    size = max(abs(first), abs(second))
    error = max(float(change["standard_error"]), float(adjusted["standard_error"]))
    apart = abs(first - second) > max(FAR_APART * size, error / 2)
    return verdicts[0] != verdicts[1] or (any(verdicts) and (first * second < 0 or apart))


def _share(row):
    low, high = 100 * row["ci_low"], 100 * row["ci_high"]
    count = f"{row['n_with_outcome']:.0f} of {row['n']:.0f}"
    return f"{row['arm']} {count} ({100 * row['rate']:.0f} %, interval {low:.0f} to {high:.0f} %)"


def _difference(row):
    low, high = 100 * row["ci_low"], 100 * row["ci_high"]
    points = 100 * row["difference"]
    size = f"{points:+.0f}" if points else "0"
    lead = (
        f"{row['arm']} minus {row['reference']}: {size} percentage points "
        f"(interval {low:.0f} to {high:.0f})"
    )
    ends = row["number_low"], row["number_high"]
    if not np.isfinite([row["number_needed"], *ends]).all():
        return f"{lead}; the interval holds no difference, so no number needed to treat is given."
    which = f"number needed to treat for one {row['number_of']}"
    return f"{lead}; {which}: {row['number_needed']:.1f} ({ends[0]:.1f} to {ends[1]:.1f})."


def _source(sources, field):
    return f" ({sources[field]})" if field in sources else ""
