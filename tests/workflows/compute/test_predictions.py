"""Predictions of a study: nothing measured with the outcome may predict it."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from workflows.compute.families import Cohort, Family
from workflows.compute.predictions import PredictionRequest, run_prediction
from workflows.compute.problems import ModelError
from workflows.compute.scale import Scale
from workflows.compute.variables import Source, VariableSpec


@pytest.fixture
def source():
    rng = np.random.default_rng(3)
    before = rng.normal(25, 5, 60)
    after = before - 8 + rng.normal(0, 5, 60)
    people = pd.DataFrame({"age": rng.normal(40, 10, 60), "first": before, "last": after})
    scores = pd.DataFrame({("BDI", "pre"): before, ("BDI", "post"): after})
    labels = pd.DataFrame({"region": ["a", "b"], "region_a": None, "region_b": None})
    volume = Family("T1w", "volume", "A", "ml", labels, rng.normal(0, 1, (2, 60, 2)))
    moments = {("BDI", "pre"): "before", ("BDI", "post"): "after"}
    places = {"pre": "before", "post": "after"}
    return Source(Cohort(people, pd.DataFrame(), scores), (volume,), moments, places)


def predicted(source, columns=("age",), confounds=()):
    request = PredictionRequest(
        "p",
        VariableSpec(score="BDI", session="post"),
        False,
        tuple(VariableSpec(column=name) for name in columns),
        (VariableSpec(measure="volume", session="pre"),),
        "elastic_net",
        confounds=confounds,
        n_repeats=1,
        n_permutations=0,
    )
    return run_prediction(request, source, np.random.default_rng(1))


def connected(seed, effect):
    """Sixty people; the correlation of regions 1 and 3 of five grows by `effect` a point of BDI."""
    rng = np.random.default_rng(seed)
    before, drop = rng.normal(25, 5, 60), rng.normal(0, 5, 60)
    first, second = np.triu_indices(5, 1)
    z = np.empty((2, 60, 10), dtype=np.float32)
    for person in range(60):
        shared = rng.normal(size=(2, 150, 5))
        shared[0, :, 3] += (0.5 + effect * drop[person]) * shared[0, :, 1]
        for session in range(2):
            matrix = np.corrcoef(shared[session], rowvar=False)
            z[session, person] = np.arctanh(matrix[first, second])
    people = pd.DataFrame({"age": rng.normal(40, 10, 60)}, index=[f"{n:02d}" for n in range(60)])
    scores = pd.DataFrame({("BDI", "pre"): before, ("BDI", "post"): before + drop})
    names = np.array([f"r{n}" for n in range(5)])
    labels = pd.DataFrame({"region": None, "region_a": names[first], "region_b": names[second]})
    edges = Family("bold", "connectivity", "A", "z", labels, z)
    moments = {("BDI", "pre"): "before", ("BDI", "post"): "after"}
    places = {"pre": "before", "post": "after"}
    return Source(Cohort(people, pd.DataFrame(), scores), (edges,), moments, places)


def in_tangent_space(source, **changes):
    request = PredictionRequest(
        "p",
        VariableSpec(score="BDI", change=("pre", "post")),
        False,
        (VariableSpec(column="age"),),
        (VariableSpec(measure="connectivity", session="pre"),),
        "tangent",
        n_repeats=1,
        n_permutations=0,
    )
    return run_prediction(replace(request, **changes), source, np.random.default_rng(1))


def skill(tables, metric):
    own = tables[""].set_index(["predictor", "metric"])
    return own.loc[("brain", metric), "estimate"]


def test_a_pattern_of_correlations_that_carries_the_outcome_is_found_in_tangent_space():
    tables = in_tangent_space(connected(1, 0.08))
    assert skill(tables, "R2") > 0.5
    facts = tables["_facts"].set_index("item")["text"]
    assert facts["predictors"] == "1 clinical columns, 15 brain"
    assert facts["model"].startswith("ridge in tangent space")
    assert facts["tangent space"].startswith("5 regions; correlations shrunk by 0.1")
    assert "reference: mean matrix of the training participants" in facts["tangent space"]


def test_without_such_a_pattern_tangent_space_has_no_skill():
    found = [in_tangent_space(connected(seed, 0.0), n_folds=3) for seed in range(6)]
    r = [skill(tables, "r") for tables in found]
    assert abs(np.mean(r)) < 3 * np.std(r) / np.sqrt(6)
    assert max(skill(tables, "R2") for tables in found) < 0.15


def test_a_region_without_coverage_in_one_person_is_told():
    source = connected(2, 0.08)
    edges = source.families[0]
    touches = (edges.labels[["region_a", "region_b"]] == "r4").any(axis=1).to_numpy()
    edges.values[0, 11, touches] = np.nan
    tables = in_tangent_space(source)
    facts = tables["_facts"].set_index("item")["text"]
    assert facts["tangent space"].startswith(
        "4 regions, 1 left out because somebody lacks them (r4)"
    )
    assert facts["predictors"] == "1 clinical columns, 10 brain"
    assert tables["_people"]["brain"].notna().all()


def test_treatment_selection_beside_tangent_space_uses_the_edges():
    source = connected(3, 0.08)
    source.cohort.participants["group"] = ["CBT", "WL"] * 30
    tables = in_tangent_space(source, arm_column="group", scale=Scale("BDI", better="lower"))
    facts = tables["_facts"].set_index("item")["text"]
    assert facts["treatment selection"] == "done: see the selection table"
    assert len(tables["_selection_people"]) == 60


def test_regional_measures_have_no_tangent_space(source):
    volume = (VariableSpec(measure="volume", session="pre"),)
    with pytest.raises(ModelError, match="'volume at pre' does not have one value for each pair"):
        in_tangent_space(source, brain=volume)


def test_a_column_that_holds_the_outcome_is_refused(source):
    with pytest.raises(ModelError, match="'last' holds what was measured with the outcome"):
        predicted(source, ("age", "last"))


def test_a_confound_that_holds_the_outcome_is_refused(source):
    with pytest.raises(ModelError, match="'last' holds what was measured with the outcome"):
        predicted(source, confounds=("last",))
    with pytest.raises(ModelError, match="'BDI at post' was not measured before the outcome"):
        predicted(source, confounds=("BDI@post",))


def test_a_column_that_holds_the_baseline_predicts(source):
    scores = predicted(source, ("age", "first"), ("BDI@pre",))[""]
    own = scores[(scores["predictor"] == "clinical") & (scores["metric"] == "R2")]
    assert own["estimate"].item() == pytest.approx(0.35, abs=0.25)
