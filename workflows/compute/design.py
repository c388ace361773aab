"""Design matrices: arms and covariates of participants as numbers."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from workflows.compute.problems import ModelError, Problem, nearest_names

LEVEL_COLUMNS = frozenset({"site", "scanner", "sex", "gender", "handedness", "group"})
MIN_ARM = 2


@dataclass(frozen=True)
class Design:
    """Terms of a model.

    `matrix` has one row per participant (a row with NaN is not used): the constant, one
    column per arm that is not the reference, then the covariates, which are centred over
    the participants of each fit, so that the constant is the mean of the reference arm.
    """

    matrix: np.ndarray
    names: tuple[str, ...]
    n_leading: int
    arms: np.ndarray
    levels: tuple[str, ...]
    formula: str

    def with_covariate(self, name: str, values: np.ndarray) -> Design:
        """Copy of this design with one more continuous covariate."""
        return replace(
            self,
            matrix=np.column_stack([self.matrix, values]),
            names=(*self.names, name),
            formula=f"{self.formula} + {name}",
        )


def arms_of(
    participants: pd.DataFrame, column: str, reference: str
) -> tuple[np.ndarray, tuple[str, ...], tuple[Problem, ...]]:
    """Arm of each participant, the arms with the reference first, and what was left out.

    Parameters
    ----------
    participants : pd.DataFrame
        One row per participant of the model.
    column : str
        Column of the arm; empty: one arm called "all".
    reference : str
        Arm the others are compared with; empty: the first in text order.

    Returns
    -------
    arms : np.ndarray of str
        Empty text where unknown or where the arm has fewer than two participants.
    levels : tuple of str
    problems : tuple of Problem
    """
    if not column:
        return np.full(len(participants), "all", dtype=object), ("all",), ()
    where = "participants.tsv"
    if column not in participants:
        hint = nearest_names(column, participants.columns)
        raise ModelError(Problem(f"no column '{column}' (group.arm_column)", where, hint))
    arms = participants[column].map(level_text).to_numpy(dtype=object)
    counts = pd.Series(arms[arms != ""]).value_counts()
    small = [arm for arm, count in counts.items() if count < MIN_ARM]
    problems = tuple(
        Problem(f"arm '{arm}' has one participant with data", where, "it is left out of the models")
        for arm in small
    )
    arms = np.where(np.isin(arms, small), "", arms)
    levels = [str(level) for level in np.unique(arms[arms != ""].astype(str))]
    if reference and reference not in levels:
        hint = nearest_names(reference, levels)
        problem = Problem(
            f"no participant with data in arm '{reference}'", "group.reference_arm", hint
        )
        raise ModelError(problem)
    first = [reference] if reference else levels[:1]
    return arms, (*first, *(level for level in levels if level not in first)), problems


def design_of(
    participants: pd.DataFrame,
    arms: np.ndarray,
    levels: tuple[str, ...],
    covariates: tuple[str, ...],
) -> Design:
    """Design of arms and covariates.

    Numbers are continuous covariates; texts, and the columns site, scanner, sex, gender,
    handedness and group, are levels (the first is the reference).

    Raises
    ------
    ModelError
        A covariate is not a column, does not vary, or is a sum of other terms.
    """
    columns = [np.where(arms == "", np.nan, 1.0)]
    columns += [np.where(arms == "", np.nan, arms == level) for level in levels[1:]]
    names = ["mean change"] + [f"{level} - {levels[0]}" for level in levels[1:]]
    n_leading = len(names)
    parts = ["arm"] if len(levels) > 1 else ["1"]
    for covariate in covariates:
        coded, coded_names = _covariate_columns(participants, covariate)
        columns, names = columns + coded, names + coded_names
        parts.append(covariate if coded_names == [covariate] else f"C({covariate})")
    matrix = np.column_stack(columns).astype(float)
    design = Design(matrix, tuple(names), n_leading, arms, levels, " + ".join(parts))
    _check_rank(design)
    return design


def centred(design: Design, rows: np.ndarray) -> np.ndarray:
    """Matrix of these participants: covariates centred, those without variation dropped."""
    matrix = design.matrix[rows]
    covariates = matrix[:, design.n_leading :]
    covariates = covariates[:, np.ptp(covariates, axis=0) > 0] if len(rows) else covariates
    return np.column_stack([matrix[:, : design.n_leading], covariates - covariates.mean(axis=0)])


def level_text(value: object) -> str:
    """Name of a level: 1.0 is "1", missing is empty; ";" (used between counts) becomes ","."""
    if pd.isna(value):
        return ""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value).replace(";", ",")


def full_rank(matrix: np.ndarray) -> bool:
    """True if no column is a sum of the others (columns scaled to length 1 first)."""
    length = np.linalg.norm(matrix, axis=0)
    if matrix.shape[0] < matrix.shape[1] or np.any(length == 0):
        return False
    return bool(np.linalg.matrix_rank(matrix / length, tol=1e-8) == matrix.shape[1])


def _covariate_columns(participants, covariate):
    if covariate not in participants:
        hint = nearest_names(covariate, participants.columns)
        raise ModelError(
            Problem(f"no column '{covariate}' (group.covariates)", "participants.tsv", hint)
        )
    column = participants[covariate]
    if pd.api.types.is_numeric_dtype(column) and covariate.lower() not in LEVEL_COLUMNS:
        return [column.to_numpy(dtype=float)], [covariate]
    texts = column.map(level_text)
    levels = np.unique(texts[texts != ""].to_numpy(dtype=str))
    if len(levels) < 2:
        what = f"'{covariate}' does not vary"
        raise ModelError(Problem(what, "group.covariates", "leave it out"))
    missing = (texts == "").to_numpy()
    coded = [np.where(missing, np.nan, texts == level) for level in levels[1:]]
    return coded, [f"{covariate}[{level}]" for level in levels[1:]]


def _check_rank(design):
    rows = np.flatnonzero(np.isfinite(design.matrix).all(axis=1))
    matrix = design.matrix[rows]
    if len(rows) <= matrix.shape[1] + 1:
        what = f"{matrix.shape[1]} terms for {len(rows)} participants with complete values"
        few = matrix.shape[1] == design.n_leading
        todo = "see flow.tsv for who is missing" if few else "use fewer covariates"
        raise ModelError(Problem(what, "participants" if few else "group.covariates", todo))
    means = matrix[:, design.n_leading :].mean(axis=0)
    matrix = np.column_stack([matrix[:, : design.n_leading], matrix[:, design.n_leading :] - means])
    for stop in range(design.n_leading, matrix.shape[1] + 1):
        if not full_rank(matrix[:, :stop]):
            what = f"'{design.names[stop - 1]}' does not vary or is a sum of the other terms"
            before = ", ".join(design.names[: stop - 1])
            raise ModelError(Problem(f"{what} ({before})", "group.covariates", "leave it out"))
