"""Mechanisms: from treatment over mediators to the outcome, with the guard on their order."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import pandas as pd

from workflows.compute.bootstrap import Resampling
from workflows.compute.design import arms_of
from workflows.compute.mass_mediation import (
    MassData,
    mass_mediation,
    mass_table,
    with_permutation,
)
from workflows.compute.mediation import (
    MEDIATION_COLUMNS,
    labelled,
    parallel_mediation,
    serial_mediation,
)
from workflows.compute.mediation_data import MediationData, arm_contrasts
from workflows.compute.mediation_sensitivity import confounding_sensitivity
from workflows.compute.moderated_mediation import interaction_mediation, moderated_mediation
from workflows.compute.problems import ModelError, Problem
from workflows.compute.temporal_order import (
    ASSOCIATION,
    MECHANISM,
    Measured,
    check_order,
    joint_verdict,
    moment_of,
)
from workflows.compute.variables import (
    Source,
    Variable,
    VariableSpec,
    covariate_columns,
    score_at,
    variable,
)

ARM = "arm"
NOT_RANDOMISED = "arms were not assigned at random"
MASS_COLUMNS = ["modality", "measure", "atlas", "region", "region_a", "region_b"]
MECHANISM_COLUMNS = ["model", "planned", *MEDIATION_COLUMNS, "rho_zero", "outcome"]
LATE = (
    "the covariate {} was not certainly measured before treatment: what treatment has changed may "
    "carry part of its effect"
)
UNCLEAR = (
    "reported as an association: a mediator has to change before the outcome does, "
    "at a known moment (sessions.moments)"
)


@dataclass(frozen=True)
class MechanismSpec:
    """What a mechanism claims; see the settings of the same names."""

    name: str
    treatment: str
    mediators: tuple[VariableSpec, ...]
    outcome: VariableSpec
    kind: Literal["parallel", "serial"] = "parallel"
    interaction: bool = False
    moderator: str | None = None
    moderated: Literal["a", "b"] = "a"
    covariates: tuple[str, ...] = ()
    n_bootstraps: int = 5000
    planned: bool = False
    site_column: str = ""
    arm_column: str = ""
    reference_arm: str = ""
    randomised: bool = False
    confidence: float = 0.95
    min_participants: int = 6


@dataclass(frozen=True)
class MechanismResult:
    """Rows of paths (MECHANISM_COLUMNS), or of one mediator per region, and problems."""

    rows: pd.DataFrame
    problems: tuple[Problem, ...]


@dataclass(frozen=True)
class _Ready:
    treatment: np.ndarray
    contrasts: tuple[str, ...]
    arms: np.ndarray
    mediators: tuple[Variable, ...]
    outcome: Variable
    covariates: np.ndarray
    covariate_names: tuple[str, ...]
    is_dose: bool
    late: tuple[str, ...] = ()


def run_mechanism(
    spec: MechanismSpec, source: Source, n_permutations: int, rng: np.random.Generator
) -> MechanismResult:
    """Paths and effects of a mechanism, labelled by what the order in time allows.

    A mediator that stands for many regions is tested region by region, with correction.

    Parameters
    ----------
    spec : MechanismSpec
    source : Source
    n_permutations : int
        For the family-wise p of many regions; 0: Holm.
    rng : np.random.Generator

    Raises
    ------
    ModelError
        A variable is not there, or the model cannot be fitted.
    """
    _check_asked(spec)
    source = replace(source, level_columns=frozenset({spec.site_column}))
    ready, problems = _ready(spec, source)
    wide = [mediator for mediator in ready.mediators if mediator.values.shape[1] > 1]
    if wide and len(ready.mediators) > 1:
        what = f"'{wide[0].name}' stands for many regions beside other mediators"
        raise ModelError(Problem(what, f"mechanism {spec.name}", "name one region"))
    if wide and (spec.moderator or spec.interaction):
        _refuse(spec, "many regions allow neither a moderator nor an interaction")
    rows = _mass(spec, ready, n_permutations, rng) if wide else _paths(spec, source, ready, rng)
    unclear = [
        Problem(f"{name}: {reason}", f"mechanism {spec.name}", UNCLEAR)
        for name, reason in _reasons(spec, ready)
    ]
    return MechanismResult(rows, (*problems, *unclear))


def verdicts(spec: MechanismSpec, ready: _Ready):
    """Verdict of the order in time on each mediator."""
    treatment = Measured(spec.treatment, (moment_of("before"),))
    if ready.is_dose:
        treatment = Measured(spec.treatment, (moment_of("after"),))
    measured = [mediator.measured for mediator in ready.mediators]
    found = check_order(treatment, measured, ready.outcome.measured, spec.kind == "serial")
    if not ready.late:
        return found
    reason = LATE.format(", ".join(f"'{name}'" for name in ready.late))
    return tuple(
        replace(verdict, label=ASSOCIATION, reason=reason)
        if verdict.label == MECHANISM
        else verdict
        for verdict in found
    )


def _check_asked(spec):
    if (spec.moderator or spec.interaction) and len(spec.mediators) > 1:
        _refuse(spec, "several mediators allow neither a moderator nor an interaction")
    if spec.moderator and spec.interaction:
        _refuse(spec, "a moderator and an interaction cannot be asked for at once")


def _refuse(spec, what):
    todo = "ask for it in a mechanism of its own"
    raise ModelError(Problem(what, f"mechanism {spec.name}", todo))


def _late_covariates(spec, source):
    """Scores among the covariates that were not certainly taken before treatment."""
    found = []
    for name in spec.covariates:
        score = score_at(name)
        taken = variable(score, source) if score is not None else None
        if taken and any(m is None or m.phase != "before" for m in taken.measured.moments):
            found.append(name)
    return tuple(found)


def _reasons(spec, ready):
    return [
        (verdict.mediator, verdict.reason)
        for verdict in verdicts(spec, ready)
        if verdict.label != MECHANISM
    ]


def _ready(spec, source):
    people = source.cohort.participants
    mediators = tuple(variable(asked, source) for asked in spec.mediators)
    outcome = variable(spec.outcome, source)
    covariates, names = covariate_columns(spec.covariates, source)
    arms, problems = np.full(len(people), "all", dtype=object), ()
    if spec.treatment == ARM:
        arms, levels, problems = arms_of(people, spec.arm_column, spec.reference_arm)
        if len(levels) < 2:
            what = f"one arm only ('{levels[0] if levels else ''}'): no effect of a treatment"
            todo = "use a dose as treatment, or compare arms"
            raise ModelError(Problem(what, f"mechanism {spec.name}", todo))
        treatment, contrasts = arm_contrasts(arms, levels)
    else:
        dose = variable(VariableSpec(column=spec.treatment), source).single
        treatment, contrasts = dose[:, None], (spec.treatment,)
    made = _Ready(
        treatment,
        contrasts,
        arms,
        mediators,
        outcome,
        covariates,
        names,
        spec.treatment != ARM,
        _late_covariates(spec, source),
    )
    return made, problems


def _data(ready):
    names = [mediator.name for mediator in ready.mediators]
    return MediationData(
        ready.treatment,
        ready.contrasts,
        np.column_stack([mediator.single for mediator in ready.mediators]),
        tuple(names),
        ready.outcome.single,
        ready.covariates,
        ready.covariate_names,
        ready.is_dose,
    )


def _paths(spec, source, ready, rng):
    data = _data(ready)
    strata = None if ready.is_dose else np.unique(ready.arms.astype(str), return_inverse=True)[1]
    resampling = Resampling(spec.n_bootstraps, spec.confidence, strata)
    one = len(ready.mediators) == 1
    if spec.moderator and one:
        values = variable(VariableSpec(column=spec.moderator), source).single
        moderator = (spec.moderator, values)
        made = moderated_mediation(data, moderator, frozenset({spec.moderated}), resampling, rng)
    elif spec.interaction and one:
        levels = (0.0, 1.0)
        if ready.is_dose:
            known = ready.treatment[np.isfinite(ready.treatment)]
            levels = (float(known.mean() - known.std()), float(known.mean() + known.std()))
        made = interaction_mediation(data, levels, resampling, rng)
    elif spec.kind == "serial" and not one:
        made = serial_mediation(data, resampling, rng)
    else:
        made = parallel_mediation(data, resampling, rng)
    rows = labelled(made, verdicts(spec, ready)).to_frame()
    rho = np.full(len(rows), np.nan)
    if one and not spec.interaction and not spec.moderator:
        sensitivity = confounding_sensitivity(data, np.zeros(1), resampling, rng)
        rho = np.where(rows["path"] == "indirect", sensitivity.rho, np.nan)
    return _named(spec, ready, rows.assign(rho_zero=rho))[MECHANISM_COLUMNS]


def _mass(spec, ready, n_permutations, rng):
    mediator, joint = ready.mediators[0], joint_verdict(verdicts(spec, ready))
    tables = []
    for place, contrast in enumerate(ready.contrasts):
        others = np.delete(ready.treatment, place, axis=1)
        data = MassData(
            mediator.values,
            ready.treatment[:, place],
            ready.outcome.single,
            np.column_stack([others, ready.covariates]),
        )
        result = mass_mediation(data, spec.confidence, spec.min_participants)
        if n_permutations:
            result = with_permutation(result, data, n_permutations, rng)
        names = ["" for _ in range(mediator.values.shape[1])]
        table = mass_table(result, names, contrast).assign(mediator=mediator.name)
        tables.append(pd.concat([mediator.labels.reset_index(drop=True), table], axis=1))
    rows = pd.concat(tables, ignore_index=True)
    modality, measure, atlas = mediator.identity
    rows = rows.assign(
        modality=modality,
        measure=measure,
        atlas=atlas,
        label=joint.label,
        reason=joint.reason,
        fwe_method="largest |t| of permutations" if n_permutations else "Holm",
    )
    rest = [name for name in rows if name not in MASS_COLUMNS]
    return _named(spec, ready, rows[[*MASS_COLUMNS, *rest]])


def _named(spec, ready, rows):
    caution = "" if spec.randomised or ready.is_dose else NOT_RANDOMISED
    notes = ["; ".join(part for part in (note, caution) if part) for note in rows["note"]]
    front = {"model": spec.name, "planned": spec.planned}
    named = rows.assign(note=notes, outcome=ready.outcome.name)
    for place, (name, value) in enumerate(front.items()):
        named.insert(place, name, value)
    return named
