"""One analysis of the group level: its kind says which compute functions are called."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd
from pydantic import TypeAdapter

from workflows.compute.families import EDGES
from workflows.compute.mechanisms import MechanismSpec, run_mechanism
from workflows.compute.model_permutation import PermutationPlan
from workflows.compute.models import run_model
from workflows.compute.power import SENSITIVITY_COLUMNS, sensitivity_table
from workflows.compute.predictions import PredictionRequest, run_prediction
from workflows.compute.problems import ModelError, Problem
from workflows.compute.processes import ProcessSpec, run_process
from workflows.compute.results import MODEL_COLUMNS, ModelSpec
from workflows.compute.variables import Source
from workflows.interfaces.group_cohort import Study


@dataclass(frozen=True)
class Rules:
    """What all analyses share: level of the tests, permutations, start of random numbers."""

    alpha: float
    n_permutations: int
    network_threshold: float
    random_seed: int

    def generator(self) -> np.random.Generator:
        """Random numbers that are the same in every run of an analysis."""
        return np.random.default_rng(self.random_seed)


def _no_sensitivity() -> pd.DataFrame:
    return pd.DataFrame(columns=SENSITIVITY_COLUMNS)


@dataclass(frozen=True)
class Analysed:
    """Tables by name (at least one, it may be empty), smallest effects, what failed."""

    tables: dict[str, pd.DataFrame]
    sensitivity: pd.DataFrame = field(default_factory=_no_sensitivity)
    problems: tuple[Problem, ...] = ()


def analyse(kind: str, text: str, study: Study, rules: Rules) -> Analysed:
    """Result of one analysis; one that cannot be done gives a problem that says why.

    Parameters
    ----------
    kind : str
        A key of `KINDS`.
    text : str
        What is asked, as JSON of the record that the kind needs.
    study : Study
    rules : Rules
    """
    try:
        return KINDS[kind](text, study, rules)
    except ModelError as error:
        problem = named_problem(error.problem, f"{kind} {json.loads(text)['name']}")
        return Analysed({kind: pd.DataFrame(columns=MODEL_COLUMNS)}, problems=(problem,))


def named_problem(problem: Problem, analysis: str) -> Problem:
    """Problem that says in which analysis it arose, once."""
    if problem.where.startswith(analysis):
        return problem
    where = problem.where.removeprefix(analysis.partition(" ")[0]).strip()
    return replace(problem, where=f"{analysis}: {where}" if where else analysis)


def analyse_model(text: str, study: Study, rules: Rules) -> Analysed:
    """Rows of a mass-univariate model, regions and edges apart."""
    spec = TypeAdapter(ModelSpec).validate_json(text)
    plan = PermutationPlan(rules.n_permutations, rules.network_threshold, rules.random_seed)
    result = run_model(spec, study.cohort, study.families, plan)
    sensitivity = sensitivity_table(result.rows, rules.alpha)
    tables = model_tables(spec.name, result.rows)
    if len(result.networks):
        tables[f"{spec.name}_networks"] = result.networks
    return Analysed(tables, sensitivity, result.problems)


def model_tables(name: str, rows: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Rows of regions, and of edges where there are any, by the name of their file."""
    edges = (rows["measure"] == EDGES).to_numpy(dtype=bool)
    tables = {name: rows[~edges]}
    return tables | {f"{name}_edges": rows[edges]} if edges.any() else tables


def analyse_mechanism(text: str, study: Study, rules: Rules) -> Analysed:
    """Paths and effects of a mechanism."""
    spec = TypeAdapter(MechanismSpec).validate_json(text)
    made = run_mechanism(spec, source_of(study), rules.n_permutations, rules.generator())
    return Analysed({f"mechanism_{spec.name}": made.rows}, problems=made.problems)


def analyse_process(text: str, study: Study, _: Rules) -> Analysed:
    """Rows of a process, and what must be known of its fit."""
    spec = TypeAdapter(ProcessSpec).validate_json(text)
    made = run_process(spec, source_of(study))
    notes = pd.DataFrame({"model": spec.name, "note": list(made.notes)})
    return Analysed({f"process_{spec.name}": made.rows, f"process_{spec.name}_notes": notes})


def analyse_prediction(text: str, study: Study, rules: Rules) -> Analysed:
    """Scores, people, calibration and facts of a prediction."""
    request = TypeAdapter(PredictionRequest).validate_json(text)
    tables = run_prediction(request, source_of(study), rules.generator())
    return Analysed({f"prediction_{request.name}{end}": made for end, made in tables.items()})


def source_of(study: Study) -> Source:
    """Where the variables of a study come from."""
    return Source(study.cohort, study.families, study.moments, study.session_moments)


KINDS: dict[str, Callable[[str, Study, Rules], Analysed]] = {
    "model": analyse_model,
    "mechanism": analyse_mechanism,
    "process": analyse_process,
    "prediction": analyse_prediction,
}
