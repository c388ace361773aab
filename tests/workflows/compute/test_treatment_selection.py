"""Which of two treatments suits whom."""

import numpy as np
import pytest

from workflows.compute.problems import ModelError
from workflows.compute.treatment_selection import (
    SelectionSpec,
    TreatmentCases,
    indicated_contrast,
    treatment_selection,
)

SPEC = SelectionSpec("continuous", "lower", randomised=True, n_repeats=2, n_permutations=19)


def trial(interaction, seed=0, n=80):
    """Lower is better; drug is the better arm where the first predictor is above 0."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 3))
    arms = np.array(["drug", "talk"] * (n // 2))
    side = np.where(arms == "drug", 1, -1)
    y = 10 + 0.5 * x[:, 1] - interaction * side * x[:, 0] + 0.5 * rng.normal(size=n)
    return TreatmentCases(np.arange(n), y, arms, x)


def test_contrast_by_hand():
    benefit = np.array([5.0, 1, 4, 2])
    first = np.array([1.0, 1, 0, 0])
    # indicated: first, second, second, first: got it: 5, 4; did not: 1, 2
    advantage = np.array([[1.0, -1, -1, 1]])
    assert indicated_contrast(benefit, first, advantage, np.ones((1, 4)))[0] == 3
    # the first participant twice: (5 + 5 + 4) / 3
    weights = np.array([[2.0, 1, 1, 1]])
    assert indicated_contrast(benefit, first, advantage, weights)[0] == pytest.approx(14 / 3 - 1.5)
    everybody = np.array([[1.0, 1, -1, -1]])
    assert np.isnan(indicated_contrast(benefit, first, everybody, np.ones((1, 4)))[0])


def test_a_planted_interaction_is_found_with_its_size_and_side():
    cases = trial(1.0)
    found = treatment_selection(cases, SPEC, np.random.default_rng(1))
    row = found.scores.iloc[0]
    assert np.corrcoef(found.people["advantage"], cases.predictors[:, 0])[0, 1] > 0.95
    # expected benefit: 2 E|x| = 1.6
    assert row["estimate"] == pytest.approx(1.6, abs=0.4)
    assert row["ci_low"] < 1.6 < row["ci_high"]
    assert row["p"] == 1 / 20
    assert row["n"] + row["n_other"] == 80
    agrees = (found.people["advantage"] > 0) == (found.people["indicated"] == "drug")
    assert agrees.all()


def test_turning_the_outcome_turns_which_end_is_better():
    cases = trial(1.0)
    one = treatment_selection(cases, SPEC, np.random.default_rng(1))
    turned = TreatmentCases(cases.participants, -cases.target, cases.arms, cases.predictors)
    spec = SelectionSpec("continuous", "higher", randomised=False, n_repeats=2, n_permutations=0)
    two = treatment_selection(turned, spec, np.random.default_rng(1))
    r = np.corrcoef(one.people["advantage"], two.people["advantage"])[0, 1]
    assert r > 0.99
    assert np.isnan(two.scores["p"][0])
    assert "not randomised" in two.scores["note"][0]


def test_an_arm_that_is_better_for_all_is_not_taken_for_a_choice():
    cases = trial(0.0, seed=3)
    cases.target[cases.arms == "drug"] -= 2
    spec = SelectionSpec("continuous", "lower", True, n_repeats=1, n_permutations=39)
    found = treatment_selection(cases, spec, np.random.default_rng(1))
    assert (found.people["indicated"] == "drug").all()
    assert found.scores["estimate"][0] == pytest.approx(2, abs=0.3)
    assert found.scores["p"][0] > 0.5


def test_response_is_predicted_under_both_arms_as_a_probability():
    cases = trial(1.5)
    yes = (cases.target < 10).astype(float)
    spec = SelectionSpec("binary", "higher", True, n_repeats=1, n_permutations=0)
    made = TreatmentCases(cases.participants, yes, cases.arms, cases.predictors)
    people = treatment_selection(made, spec, np.random.default_rng(1)).people
    assert people[["predicted drug", "predicted talk"]].to_numpy().min() >= 0
    assert people[["predicted drug", "predicted talk"]].to_numpy().max() <= 1
    assert np.corrcoef(people["advantage"], cases.predictors[:, 0])[0, 1] > 0.8


def test_small_or_more_than_two_arms_and_a_constant_outcome_are_refused():
    rng, cases = np.random.default_rng(0), trial(0.0)
    for arms, target, what in (
        (np.repeat(["a", "b"], [19, 61]), cases.target, "19 in arm 'a', 20 needed"),
        (np.array(["a", "b", "c", "c"] * 20), cases.target, "3 arms"),
        (cases.arms, np.ones(80), "the same for all"),
    ):
        with pytest.raises(ModelError, match=what):
            treatment_selection(
                TreatmentCases(cases.participants, target, arms, cases.predictors), SPEC, rng
            )
    with pytest.raises(ValueError, match="one row each"):
        treatment_selection(
            TreatmentCases(np.zeros(80), cases.target, cases.arms, cases.predictors), SPEC, rng
        )
