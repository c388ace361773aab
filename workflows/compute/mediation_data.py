"""Variables of a mediation model, checked and side by side."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from workflows.compute.design import full_rank
from workflows.compute.problems import ModelError, Problem

VARIATION = 1e-10
WHERE = "mediation model"


@dataclass(frozen=True)
class MediationData:
    """Variables of a mediation model, one row per participant.

    `treatment` (n_participants, n_contrasts): one column per arm that is not the reference (see
    `arm_contrasts`), or one column with a dose (`is_dose`). `mediators` (n_participants,
    n_mediators), `outcome` (n_participants,), `covariates` (n_participants, n_covariates).
    A participant with NaN in any of them is left out and counted.
    """

    treatment: np.ndarray = field(repr=False)
    contrasts: tuple[str, ...]
    mediators: np.ndarray = field(repr=False)
    mediator_names: tuple[str, ...]
    outcome: np.ndarray = field(repr=False)
    covariates: np.ndarray = field(repr=False)
    covariate_names: tuple[str, ...] = ()
    is_dose: bool = False

    def __post_init__(self):
        names = (self.contrasts, self.mediator_names, self.covariate_names)
        parts = (self.treatment, self.mediators, self.covariates)
        for part, name in zip(parts, names, strict=True):
            if part.shape != (len(self.outcome), len(name)):
                raise ValueError("each matrix: one row per participant, one column per name")

    @property
    def columns(self) -> np.ndarray:
        """Constant, treatment, covariates, mediators and outcome side by side."""
        parts = (self.treatment, self.covariates, self.mediators, self.outcome)
        return np.column_stack([np.ones(len(self.outcome)), *parts])

    @property
    def spread(self) -> dict[str, float]:
        """Standard deviation of outcome ("") and mediators, and the step of each contrast.

        The step is 1 between arms and a standard deviation of a dose.
        """
        steps = np.ones(len(self.contrasts))
        if self.is_dose:
            steps = self.treatment.std(axis=0, ddof=1)
        sizes = self.mediators.std(axis=0, ddof=1)
        return {
            "": self.outcome.std(ddof=1),
            **dict(zip(self.mediator_names, sizes, strict=True)),
            **dict(zip(self.contrasts, steps, strict=True)),
        }


@dataclass(frozen=True)
class Places:
    """Where each variable is in `MediationData.columns`; `base` is what all models share."""

    treatment: tuple[int, ...]
    covariates: tuple[int, ...]
    mediators: tuple[int, ...]
    outcome: int

    @property
    def base(self) -> tuple[int, ...]:
        """Constant, treatment and covariates."""
        return (0, *self.treatment, *self.covariates)


def places_of(data: MediationData) -> Places:
    """Places of the variables in the columns of the data."""
    ends = np.cumsum(
        [1, len(data.contrasts), len(data.covariate_names), len(data.mediator_names)]
    ).tolist()
    ranges = [tuple(range(*pair)) for pair in zip(ends, ends[1:], strict=False)]
    return Places(*ranges, ends[-1])


def arm_contrasts(arms: np.ndarray, levels: tuple[str, ...]) -> tuple[np.ndarray, tuple[str, ...]]:
    """Treatment columns of arms, each 1 in one arm, and their names "arm - reference".

    Parameters
    ----------
    arms : np.ndarray of str, shape (n_participants,)
        An arm that is not one of the levels gives NaN.
    levels : tuple of str
        The reference first, then one or more arms.

    Returns
    -------
    columns : np.ndarray, shape (n_participants, n_levels - 1)
    names : tuple of str
    """
    if len(levels) < 2:
        raise ValueError("levels: a reference and at least one other arm")
    known = np.isin(arms, levels)
    columns = [np.where(known, arms == level, np.nan) for level in levels[1:]]
    names = tuple(f"{level} - {levels[0]}" for level in levels[1:])
    return np.column_stack(columns).astype(float), names


def complete_data(
    data: MediationData, extra: np.ndarray | None = None
) -> tuple[MediationData, np.ndarray]:
    """Data of the participants without NaN, and which they are.

    Parameters
    ----------
    data : MediationData
    extra : np.ndarray, shape (n_participants,), optional
        One more variable that has to be known.

    Returns
    -------
    data : MediationData
    used : np.ndarray of bool, shape (n_participants,)

    Raises
    ------
    ModelError
        Too few participants, or a variable that is constant or a sum of others.
    """
    known = data.columns if extra is None else np.column_stack([data.columns, extra])
    used = np.isfinite(known).all(axis=1)
    ready = replace(
        data,
        treatment=data.treatment[used],
        mediators=data.mediators[used],
        outcome=data.outcome[used],
        covariates=data.covariates[used],
    )
    names = (*data.contrasts, *data.covariate_names, *data.mediator_names, "outcome")
    check_columns(ready.columns, names)
    return ready, used


def check_columns(columns: np.ndarray, names: tuple[str, ...]) -> None:
    """Refuse columns that no regression can tell apart.

    Parameters
    ----------
    columns : np.ndarray, shape (n_participants, n_columns)
        The constant first.
    names : tuple of str
        Of all columns but the constant.

    Raises
    ------
    ModelError
        Too few participants, or a column that is constant or a sum of others, by its name.
    """
    n_participants = len(columns)
    if n_participants <= columns.shape[1]:
        what = f"{len(names)} variables for {n_participants} participants with all values"
        raise ModelError(Problem(what, WHERE, "use fewer mediators or covariates"))
    size = np.abs(columns).max(axis=0)
    centred = columns - columns.mean(axis=0)
    centred[:, 0] = 1
    for place, name in enumerate(names, start=1):
        if np.ptp(centred[:, place]) <= VARIATION * size[place]:
            what = f"'{name}' is the same in all {n_participants} participants with all values"
            raise ModelError(Problem(what, WHERE, "leave it out or complete its values"))
        if not full_rank(centred[:, : place + 1]):
            what = f"'{name}' is a sum of other variables ({', '.join(names[: place - 1])})"
            raise ModelError(Problem(what, WHERE, "leave one of them out"))
