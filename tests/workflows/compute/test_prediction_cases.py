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
    with_correlations,
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


# edges of four regions, neither in the order of the regions nor from the first to the second
PAIRS = [("c", "a"), ("a", "b"), ("b", "c"), ("d", "a"), ("b", "d"), ("d", "c")]
LABELS = pd.DataFrame(PAIRS, columns=["region_a", "region_b"])
R = np.array([0.3, -0.2, 0.4, 0.1, 0.5, -0.25])


@pytest.fixture
def connected(cases):
    return replace(cases, brain={"connectivity at pre": np.tile(np.arctanh(R), (24, 1))})


def test_edges_become_shrunk_correlations_of_their_two_regions(connected):
    made, said = with_correlations(connected, LABELS)
    [matrices] = made.brain.values()
    # regions as the edges name them: c, a, b, d; 0.9 times each correlation
    expected = [
        [1, 0.27, 0.36, -0.225],
        [0.27, 1, -0.18, 0.09],
        [0.36, -0.18, 1, 0.45],
        [-0.225, 0.09, 0.45, 1],
    ]
    np.testing.assert_allclose(matrices[5], expected, atol=1e-12)
    assert matrices.shape == (24, 4, 4)
    assert said.startswith("4 regions; correlations shrunk by 0.1 to the identity")


def test_a_region_that_somebody_lacks_is_left_out_for_all_and_named(connected):
    edges = connected.brain["connectivity at pre"].copy()
    edges[3, [1, 2, 4]] = np.nan  # person 3 lacks b
    edges[7] = np.nan  # person 7 was not scanned
    edges[8, [0, 2, 5]] = np.nan  # person 8 lacks c, but has no outcome
    target = connected.target.copy()
    target[8] = np.nan
    made, said = with_correlations(replace(connected, brain={"z": edges}, target=target), LABELS)
    expected = [[1, 0.27, -0.225], [0.27, 1, 0.09], [-0.225, 0.09, 1]]
    np.testing.assert_allclose(made.brain["z"][3], expected, atol=1e-12)
    assert said.startswith("3 regions, 1 left out because somebody lacks them (b); ")
    reasons = usable_rows(made, SPEC)
    assert {place: why for place, why in enumerate(reasons) if why} == {
        7: "no values of z",
        8: "no outcome",
    }


def test_too_few_regions_in_everybody_are_refused(connected):
    edges = connected.brain["connectivity at pre"].copy()
    edges[3, [1, 2, 4]] = np.nan
    edges[4, [0, 2, 5]] = np.nan
    with pytest.raises(ModelError, match="only 2 regions are there in everybody, 3 needed"):
        with_correlations(replace(connected, brain={"z": edges}), LABELS)


@pytest.mark.parametrize("change", [LABELS.iloc[:5], LABELS.assign(region_a=None)])
def test_connections_that_are_no_whole_matrix_are_refused(connected, change):
    [edges] = connected.brain.values()
    part = replace(connected, brain={"z": edges[:, : len(change)]})
    with pytest.raises(ModelError, match="'z' does not have one value for each pair of regions"):
        with_correlations(part, change)


def test_a_matrix_that_is_not_of_correlations_is_refused_by_the_participant(connected):
    edges = connected.brain["connectivity at pre"].copy()
    # a like b, a like c, but b the opposite of c: smallest eigenvalue of the three 1 - 1.9 * 0.9
    edges[11, [0, 1, 2]] = np.arctanh([0.95, 0.95, -0.95])
    with pytest.raises(ModelError, match="participant 11 is not positive definite"):
        with_correlations(replace(connected, brain={"z": edges}), LABELS)
