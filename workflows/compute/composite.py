"""One score made of several: the mean of standardised scores."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd

from workflows.compute.problems import ModelError, Problem
from workflows.compute.scale import Scale

PART_COLUMNS = [
    "score",
    "sign",
    "n_baseline",
    "baseline_mean",
    "baseline_sd",
    "first_component_weight",
    "first_component_share",
]
MIN_PARTS = 2


@dataclass(frozen=True)
class CompositeSpec:
    """A composite: its name, its parts, and the share of the parts a person must have.

    With `better` "lower" a higher composite is worse, as with most symptom scales.
    """

    name: str
    parts: tuple[Scale, ...]
    min_share: float = 0.5
    better: Literal["lower", "higher"] = "lower"

    def __post_init__(self):
        """Refuse a composite that is none."""
        names = [part.name for part in self.parts]
        if len(names) < MIN_PARTS or len(set(names)) < len(names):
            raise ValueError("parts: at least two different scores")
        if not 0 < self.min_share <= 1:
            raise ValueError("min_share: above 0 and at most 1")


@dataclass(frozen=True)
class Composite:
    """Values of a composite, how its parts were standardised, and what to know.

    `rows` is long: participant_id, session_id, score, value, n_parts. `parts` has
    PART_COLUMNS; the weights of the first principal component are a check, not used.
    """

    rows: pd.DataFrame
    parts: pd.DataFrame
    problems: tuple[Problem, ...]


def composite_score(scores: pd.DataFrame, spec: CompositeSpec, baseline: str) -> Composite:
    """Mean of several scores in units of their standard deviation at baseline.

    Each score is standardised by the mean and standard deviation that all participants
    together have at baseline, in every session with the same two numbers, so that change is
    kept; it is turned around where its direction differs from that of the composite. The
    composite is the unweighted mean of the parts a person has in that session.

    Parameters
    ----------
    scores : pd.DataFrame
        Long: participant_id, session_id, score, value; NaN where unknown.
    spec : CompositeSpec
    baseline : str
        Session before treatment.

    Returns
    -------
    Composite
        A row for each participant and session in which any part was asked for; NaN where
        fewer than `min_share` of the parts are known.

    Raises
    ------
    ModelError
        Fewer than two parts vary at baseline.
    """
    names = [part.name for part in spec.parts]
    wide = _side_by_side(scores, names)
    before = wide[wide.index.get_level_values("session_id") == baseline]
    usable = [name for name in names if before[name].std(ddof=1) > 0]
    if len(usable) < MIN_PARTS:
        what = f"{len(usable)} of its parts vary at ses-{baseline}; two are needed"
        todo = f"check the scores {', '.join(names)}"
        raise ModelError(Problem(what, f"composite {spec.name}", todo))
    standard = _standardised(wide[usable], before[usable], spec)
    known = standard.notna().sum(axis=1)
    value = standard.mean(axis=1).where(known / len(usable) >= spec.min_share)
    rows = pd.DataFrame({"score": spec.name, "value": value, "n_parts": known}).reset_index()
    parts = _parts_table(before, spec, _first_component(standard.loc[before.index]))
    problems = (*_unused(names, usable, spec), *_mixed(standard, known, spec))
    columns = ["participant_id", "session_id", "score", "value", "n_parts"]
    return Composite(rows[columns], parts, problems)


def _side_by_side(scores, names):
    """One row per participant and session, one column per score."""
    keys = ["participant_id", "session_id"]
    asked = scores[scores["score"].isin(names) & scores["session_id"].notna()]
    if asked.duplicated([*keys, "score"]).any():
        raise ValueError("scores: one row for a participant, session and score")
    rows = pd.MultiIndex.from_frame(asked[keys].drop_duplicates())
    columns = {
        name: asked[asked["score"] == name].set_index(keys)["value"].astype(float).reindex(rows)
        for name in names
    }
    return pd.DataFrame(columns, index=rows)


def _standardised(wide, before, spec):
    signs = {part.name: -1 if part.better != spec.better else 1 for part in spec.parts}
    sign = pd.Series(signs).reindex(wide.columns)
    return (wide - before.mean()) / before.std(ddof=1) * sign


def _first_component(standard):
    """Weights of the first principal component over people with all parts, and its share."""
    complete = standard.dropna()
    if len(complete) <= standard.shape[1]:
        return pd.Series(np.nan, index=standard.columns), np.nan
    values, vectors = np.linalg.eigh(np.cov(complete.to_numpy(), rowvar=False))
    first = vectors[:, -1] * np.sign(vectors[:, -1].sum() or 1)
    return pd.Series(first, index=standard.columns), values[-1] / values.sum()


def _parts_table(before, spec, component):
    weights, share = component
    rows = [
        (
            part.name,
            1 if part.better == spec.better else -1,
            int(before[part.name].notna().sum()),
            before[part.name].mean(),
            before[part.name].std(ddof=1),
            weights.get(part.name, np.nan),
            share,
        )
        for part in spec.parts
    ]
    return pd.DataFrame(rows, columns=PART_COLUMNS)


def _unused(names, usable, spec) -> Iterable[Problem]:
    for name in names:
        if name not in usable:
            what = f"'{name}' does not vary at baseline and is no part of it"
            yield Problem(what, f"composite {spec.name}", "check this score")


def _mixed(standard, known, spec) -> Iterable[Problem]:
    """People whose composite is made of other parts in one session than in another."""
    kept = standard[known / standard.shape[1] >= spec.min_share].notna()
    pattern = pd.Series(kept.to_numpy() @ (2 ** np.arange(kept.shape[1])), index=kept.index)
    kinds = pattern.groupby(level="participant_id").nunique()
    mixed = int((kinds > 1).sum())
    if mixed:
        what = f"{mixed} participant(s) have other parts in one session than in another"
        todo = "their change mixes scales; raise min_share to leave them out"
        yield Problem(what, f"composite {spec.name}", todo)
