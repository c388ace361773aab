"""Does a relation of brain and symptoms hold: other ways to ask, and without each person."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd


@dataclass(frozen=True)
class LeaveOneOut:
    """A partial correlation with everybody, and its range with each person left out in turn.

    `p` is that with everybody, not corrected. `n_influential` people have a Cook's distance
    above 4 / n. `plain` is the correlation without covariates (NaN: there are none).
    """

    r: float
    p: float
    r_low: float
    r_high: float
    p_low: float
    p_high: float
    n: int
    n_influential: int
    plain: float = np.nan


def leave_one_out_sentence(name: str, found: LeaveOneOut, alpha: float) -> str:
    """How much the correlation of one region depends on single people and on covariates."""
    text = (
        f"{name}: r = {found.r:.2f} with all {found.n} people; leaving each out in turn it ranges "
        f"from {found.r_low:.2f} to {found.r_high:.2f}"
    )
    if found.p <= alpha and found.r_low * found.r_high < 0:
        text += " and changes its sign: it rests on one person"
    elif found.p <= alpha < found.p_high:
        text += ", and is not significant any more without one of them (p not corrected)"
    elif found.p_low <= alpha < found.p:
        text += ", and would be significant without one of them (p not corrected)"
    parts = [f"{text}."]
    if found.n_influential:
        parts.append(f"{found.n_influential} influential (Cook's distance above 4/n).")
    if np.isfinite(found.plain):
        parts.append(f"Without covariates r = {found.plain:.2f}.")
    return " ".join(parts)


def check_sentence(place: str, checks: pd.DataFrame, alpha: float) -> str:
    """Whether a finding holds when asked in other ways; empty without a planned finding.

    Parameters
    ----------
    place : str
        Region.
    checks : DataFrame
        One row a way of asking, the planned one first: check (words), estimate (its sign turned
        so that it should be that of the first), p_fdr, coarse (bool: uses less of the data).
    alpha : float
        Level of the corrected tests, 0..1.
    """
    first, others = checks.iloc[0], checks.iloc[1:]
    others = others[others["p_fdr"].notna()]
    if not first["p_fdr"] <= alpha or not len(others):
        return ""
    same = np.sign(others["estimate"]) == np.sign(first["estimate"])
    lost = others[~(same & (others["p_fdr"] <= alpha))]
    if not len(lost):
        return f"{place}: the finding holds in each of {len(others)} other ways to ask."
    firm = lost[~lost["coarse"].astype(bool)]
    if len(firm):
        names = ", ".join(firm["check"])
        return f"{place}: the finding does not hold {names}; treat it as uncertain."
    names = ", ".join(lost["check"])
    return f"{place}: the finding holds, but was not shown {names}, which uses less of the data."
