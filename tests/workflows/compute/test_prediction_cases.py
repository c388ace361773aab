"""Whom a prediction can use."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from workflows.compute.fold_steps import SiteOffsets
from workflows.compute.prediction_cases import (
    Cases,
    PredictionSpec,
    clinical_matrix,
    usable_rows,
)
from workflows.compute.problems import ModelError

SPEC = PredictionSpec("continuous", predictors_first=True)


@pytest.fixture
def cases():
    rng = np.random.default_rng(2)
    return Cases(
        participants=np.array([f"{number:02d}" for number in range(24)]),
        target=rng.normal(size=24),
        clinical=pd.DataFrame({"baseline": rng.normal(size=24)}),
        brain={"regions": rng.normal(size=(24, 3))},
        confounds=np.empty((24, 0)),
    )


def refusal(cases, spec):
    with pytest.raises(ModelError) as caught:
        usable_rows(cases, spec)
    return caught.value.problem.what


def test_each_row_that_cannot_be_used_says_why(cases):
    cases.target[1] = np.nan
    cases.brain["regions"][2] = np.nan
    cases.brain["regions"][3, 1] = np.nan
    confounds = np.ones((24, 1))
    confounds[4] = np.nan
    reasons = usable_rows(replace(cases, confounds=confounds), SPEC)
    assert {place: why for place, why in enumerate(reasons) if why} == {
        1: "no outcome",
        2: "no values of regions",
        4: "a confound is missing",
    }


def test_fewer_than_twenty_participants_are_too_few_however_many_rows(cases):
    assert "19 participants" in refusal(cases.rows(np.arange(19)), SPEC)
    twice = cases.rows(np.tile(np.arange(15), 2))
    assert "15 participants with outcome and predictors, 20 needed" in refusal(twice, SPEC)
    assert (usable_rows(cases.rows(np.arange(20)), SPEC) == "").all()


def test_predictors_of_the_time_of_the_outcome_are_refused(cases):
    assert "not measured before the outcome" in refusal(
        cases, replace(SPEC, predictors_first=False)
    )


def test_a_rare_class_is_refused_with_its_number(cases):
    binary = replace(SPEC, kind="binary")
    rare = replace(cases, target=(np.arange(24) < 4).astype(float))
    assert refusal(rare, binary) == "only 4 participants with the outcome, 5 needed"
    common = replace(cases, target=(np.arange(24) < 20).astype(float))
    assert refusal(common, binary) == "only 4 participants without the outcome, 5 needed"
    assert (usable_rows(replace(cases, target=np.arange(24.0) < 5), binary) == "").all()


def test_an_outcome_that_does_not_vary_or_is_not_0_and_1_is_refused(cases):
    assert refusal(replace(cases, target=np.ones(24)), SPEC) == "the outcome is the same for all"
    assert "other than 0 and 1" in refusal(cases, replace(SPEC, kind="binary"))


def test_sites_that_cannot_be_left_out_are_refused(cases):
    spec = replace(SPEC, group_by="site")
    assert refusal(cases, spec) == "no site column"
    assert "one site only" in refusal(replace(cases, sites=np.full(24, "x")), spec)
    sites = np.array(["x", "y"] * 12)
    assert (usable_rows(replace(cases, sites=sites), spec) == "").all()
    people = cases.participants.copy()
    people[1] = people[0]
    moved = replace(cases, sites=sites, participants=people)
    assert refusal(moved, spec) == "participant 00 has rows at two sites"
    harmonised = replace(spec, harmoniser=SiteOffsets())
    assert "cannot be harmonised" in refusal(replace(cases, sites=sites), harmonised)
    answers = (sites == "x").astype(float)
    alone = replace(cases, sites=sites, target=answers)
    assert "without site 'x' one class" in refusal(alone, replace(spec, kind="binary"))


def test_texts_become_levels_and_holes_stay_holes():
    table = pd.DataFrame({"arm": ["cbt", "wait", None, "drug"], "age": [20.0, np.nan, 30, 40]})
    found = clinical_matrix(table)
    expected = [[0, 0, 20], [0, 1, np.nan], [np.nan, np.nan, 30], [1, 0, 40]]
    np.testing.assert_array_equal(found, expected)
    assert clinical_matrix(pd.DataFrame(index=range(3))).shape == (3, 0)


def test_parts_of_different_length_are_refused(cases):
    with pytest.raises(ValueError, match="one row per row"):
        usable_rows(replace(cases, confounds=np.empty((3, 0))), SPEC)
    with pytest.raises(ValueError, match="stand alone"):
        usable_rows(replace(cases, brain={"a": np.ones((24, 2, 2)), "b": np.ones((24, 1))}), SPEC)
