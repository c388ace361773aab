"""What harmonisation of sites must keep: sessions, arms, their product, and covariates."""

from __future__ import annotations

import numpy as np
import pandas as pd

from workflows.compute.design import full_rank, level_text
from workflows.compute.site_harmonisation import Harmonisation, Scans

PART = ("coefficients", "site_effects", "scale", "ratio", "location", "spread", "note")


def scan_design(
    scans: pd.DataFrame, people: pd.DataFrame, sessions: tuple[str, ...], arm_column: str
) -> Scans:
    """Sites and kept covariates of scans: sessions, arms, arm by session, columns of people.

    Parameters
    ----------
    scans : pd.DataFrame
        participant_id, session_id, site ("" where unknown); one row per scan.
    people : pd.DataFrame
        Columns whose effects are kept, indexed by participant; numbers are linear, texts are
        levels. `arm_column` may be among them.
    sessions : tuple of str
        Sessions in the order of time; the first is the reference.
    arm_column : str
        Column of the arm; empty or unknown: one arm.

    Returns
    -------
    Scans
        A row with an unknown arm or covariate has NaN. Columns that are constant, or a sum of
        earlier ones, are left out.
    """
    who = people.reindex(scans["participant_id"])
    parts: dict[str, np.ndarray] = {}
    for label in sessions[1:]:
        parts[f"ses-{label}"] = (scans["session_id"] == label).to_numpy(dtype=float)
    times = dict(parts)
    arms = _columns(arm_column, who[arm_column].map(level_text)) if arm_column in who else {}
    for name, values in arms.items():
        parts |= {name: values} | {f"{name} {time}": values * at for time, at in times.items()}
    for column in who.columns.drop(arm_column, errors="ignore"):
        parts |= _columns(str(column), who[column])
    names, matrix = _independent(parts, len(scans))
    person = pd.factorize(scans["participant_id"])[0]
    return Scans(scans["site"].to_numpy(dtype=object), person, matrix, names)


def rows_of(scans: Scans, rows: np.ndarray) -> Scans:
    """Some rows of the scans, by a mask or by places."""
    return Scans(scans.site[rows], scans.person[rows], scans.covariates[rows], scans.names)


def part_of(learned: Harmonisation, columns: slice) -> Harmonisation:
    """What was learned about some features."""
    return Harmonisation(
        learned.sites,
        learned.names,
        learned.n_rows,
        **{name: getattr(learned, name)[..., columns] for name in PART},
    )


def _columns(name, values):
    """A number as it is, levels as 0 and 1 with the first in text order as reference."""
    if pd.api.types.is_numeric_dtype(values):
        return {name: values.to_numpy(dtype=float)}
    texts = values.map(level_text).to_numpy(dtype=object)
    levels = np.unique(texts[texts != ""].astype(str))
    return {
        f"{name} {level}": np.where(texts == "", np.nan, texts == level).astype(float)
        for level in levels[1:]
    }


def _independent(parts, n_rows):
    usable = np.ones(n_rows, dtype=bool)
    for values in parts.values():
        usable &= np.isfinite(values)
    kept, columns = [], [np.ones(n_rows)]
    for name, values in parts.items():
        if full_rank(np.column_stack([*columns, values])[usable]):
            kept.append(name)
            columns.append(values)
    matrix = np.column_stack(columns)[:, 1:]
    matrix[~usable] = np.nan
    return tuple(kept), matrix
