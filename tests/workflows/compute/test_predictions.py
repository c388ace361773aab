"""Predictions of a study: nothing measured with the outcome may predict it."""

import numpy as np
import pandas as pd
import pytest

from workflows.compute.families import Cohort, Family
from workflows.compute.predictions import PredictionRequest, run_prediction
from workflows.compute.problems import ModelError
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
