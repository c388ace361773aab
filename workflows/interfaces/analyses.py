"""One analysis of the group level: its kind says which compute functions are called."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from pydantic import TypeAdapter

from workflows.compute.families import EDGES
from workflows.compute.model_permutation import PermutationPlan
from workflows.compute.models import run_model
from workflows.compute.power import sensitivity_table
from workflows.compute.problems import ModelError, Problem
from workflows.compute.results import MODEL_COLUMNS, ModelSpec
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


@dataclass(frozen=True)
class Analysed:
    """Tables by name (at least one, it may be empty), smallest effects, what failed."""

    tables: dict[str, pd.DataFrame]
    sensitivity: pd.DataFrame = field(default_factory=pd.DataFrame)
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
        return Analysed({kind: pd.DataFrame(columns=MODEL_COLUMNS)}, problems=(error.problem,))


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


KINDS: dict[str, Callable[[str, Study, Rules], Analysed]] = {"model": analyse_model}
