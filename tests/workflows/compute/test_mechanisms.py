"""Mechanisms: what is asked is done or refused, and covariates that came too late."""

import numpy as np
import pandas as pd
import pytest

from workflows.compute.families import Cohort
from workflows.compute.mechanisms import MechanismSpec, run_mechanism
from workflows.compute.problems import ModelError
from workflows.compute.variables import Source, VariableSpec

MOMENTS = {("BDI", "pre"): "before", ("WAI", "s2"): 2, ("WAI", "s4"): 4, ("BDI", "post"): "after"}


@pytest.fixture
def source():
    rng = np.random.default_rng(4)
    people = pd.DataFrame({"arm": ["A", "B"] * 30, "age": rng.normal(40, 10, 60)})
    scores = pd.DataFrame({place: rng.normal(0, 1, 60) for place in MOMENTS})
    return Source(Cohort(people, pd.DataFrame(), scores), (), MOMENTS, {})


def asked(*sessions, **fields):
    mediators = tuple(VariableSpec(score="WAI", session=label) for label in sessions)
    outcome = VariableSpec(score="BDI", session="post")
    fields = {"n_bootstraps": 100, "arm_column": "arm", "randomised": True, **fields}
    return MechanismSpec("m", "arm", mediators, outcome, **fields)


def indirect(spec, source):
    rows = run_mechanism(spec, source, 0, np.random.default_rng(1)).rows
    return rows[rows["path"] == "indirect"].iloc[0]


def test_a_covariate_from_before_treatment_leaves_a_mechanism(source):
    assert indirect(asked("s4", covariates=("BDI@pre", "age")), source)["label"] == "mechanism"


def test_a_covariate_measured_after_treatment_began_makes_an_association(source):
    row = indirect(asked("s4", covariates=("BDI@pre", "WAI@s2")), source)
    assert row["label"] == "association"
    assert "the covariate 'WAI@s2' was not certainly measured before treatment" in row["reason"]


@pytest.mark.parametrize(
    ("sessions", "fields"),
    [
        (("s2", "s4"), {"moderator": "age"}),
        (("s2", "s4"), {"interaction": True}),
        (("s4",), {"moderator": "age", "interaction": True}),
    ],
)
def test_what_cannot_be_fitted_together_is_refused_and_not_left_out(source, sessions, fields):
    with pytest.raises(ModelError, match="in a mechanism of its own"):
        run_mechanism(asked(*sessions, **fields), source, 0, np.random.default_rng(1))
