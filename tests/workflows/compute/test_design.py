"""Arms and covariates as numbers."""

import numpy as np
import pandas as pd
import pytest

from workflows.compute.design import (
    DesignRequest,
    arms_of,
    centred,
    design_of,
    full_rank,
    level_text,
)
from workflows.compute.problems import ModelError


@pytest.fixture
def people():
    return pd.DataFrame(
        {
            "arm": ["WL", "CBT", "CBT", "WL", "CBT", "WL", np.nan, "CBT"],
            "age": [20.0, 30, 40, 50, 60, 70, 80, 95],
            "site": [1.0, 2, 3, 1, 2, 3, 1, 1],
            "drug": ["yes", "no", "no", "no", "yes", "yes", "no", np.nan],
        }
    )


def test_the_reference_arm_comes_first_and_missing_arms_are_empty(people):
    arms, levels, problems = arms_of(people, "arm", "WL")
    assert levels == ("WL", "CBT")
    assert arms.tolist() == ["WL", "CBT", "CBT", "WL", "CBT", "WL", "", "CBT"]
    assert problems == ()


def test_numbered_sites_are_levels_and_numbers_are_not(people):
    arms, levels, _ = arms_of(people, "arm", "WL")
    design = design_of(people, arms, levels, DesignRequest(("age", "site")))
    assert design.names == ("mean change", "CBT - WL", "age", "site[2]", "site[3]")
    assert design.formula == "arm + age + site"
    mean_age = (20 + 30 + 40 + 50 + 60 + 70 + 95) / 7
    np.testing.assert_allclose(design.matrix[1], [1, 1, 30 - mean_age, 1, 0])


def test_missing_values_take_the_participant_out(people):
    arms, levels, _ = arms_of(people, "arm", "WL")
    design = design_of(people, arms, levels, DesignRequest(("drug",)))
    used = np.isfinite(design.matrix).all(axis=1)
    assert np.flatnonzero(~used).tolist() == [6, 7]


def test_covariates_are_centred_on_the_participants_used(people):
    arms, levels, _ = arms_of(people, "arm", "WL")
    design = design_of(people, arms, levels, DesignRequest(("age", "drug")))
    matrix, kept = centred(design, np.array([1, 2, 3]))
    assert kept.tolist() == [True, True, True, False]
    np.testing.assert_allclose(matrix, [[1, 1, -10], [1, 1, 0], [1, 0, 10]])


def test_rank_does_not_depend_on_units():
    rng = np.random.default_rng(1)
    matrix = np.column_stack([np.ones(9), rng.normal(size=9) * 1e-9, rng.normal(size=9) * 1e9])
    assert full_rank(matrix)
    assert not full_rank(np.column_stack([matrix, matrix @ [1, 2, 3]]))


@pytest.mark.parametrize(
    ("value", "text"), [(1.0, "1"), (1.5, "1.5"), (np.nan, ""), ("a;b", "a,b")]
)
def test_levels_are_named_by_their_text(value, text):
    assert level_text(value) == text


def test_more_terms_than_people_are_refused(people):
    arms, levels, _ = arms_of(people, "arm", "WL")
    with pytest.raises(ModelError, match="4 terms for 5 participants"):
        design_of(people[:5], arms[:5], levels, DesignRequest(("age", "drug")))
