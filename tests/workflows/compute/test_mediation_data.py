"""Variables of a mediation model."""

import numpy as np
import pytest

from workflows.compute.mediation_data import (
    MediationData,
    arm_contrasts,
    complete_data,
    places_of,
)
from workflows.compute.problems import ModelError


@pytest.fixture
def data():
    rng = np.random.default_rng(2)
    return MediationData(
        rng.normal(size=(20, 2)),
        ("x - w", "y - w"),
        rng.normal(size=(20, 2)),
        ("m", "k"),
        rng.normal(size=20),
        rng.normal(size=(20, 1)),
        ("age",),
    )


def test_arms_become_one_column_each_but_the_reference():
    columns, names = arm_contrasts(np.array(["w", "b", "a", "", "b"]), ("w", "a", "b"))
    assert names == ("a - w", "b - w")
    np.testing.assert_array_equal(columns, [[0, 0], [0, 1], [1, 0], [np.nan, np.nan], [0, 1]])
    with pytest.raises(ValueError, match="levels: a reference and at least one other arm"):
        arm_contrasts(np.array(["w"]), ("w",))


def test_places_point_at_the_columns(data):
    at, columns = places_of(data), data.columns
    np.testing.assert_array_equal(columns[:, 0], 1)
    np.testing.assert_array_equal(columns[:, at.treatment], data.treatment)
    np.testing.assert_array_equal(columns[:, at.covariates], data.covariates)
    np.testing.assert_array_equal(columns[:, at.mediators], data.mediators)
    np.testing.assert_array_equal(columns[:, at.outcome], data.outcome)
    assert at.base == (0, 1, 2, 3)


def test_a_constant_variable_is_named(data):
    data.mediators[:, 1] = 4
    with pytest.raises(ModelError, match="'k' is the same in all 20 participants"):
        complete_data(data)


def test_a_variable_that_is_a_sum_of_others_is_named(data):
    data.mediators[:, 0] = 3 + data.covariates[:, 0] - data.treatment[:, 1]
    with pytest.raises(ModelError, match=r"'m' is a sum of other variables \(x - w, y - w, age\)"):
        complete_data(data)


def test_too_few_complete_participants_are_counted(data):
    data.outcome[5:] = np.nan
    with pytest.raises(ModelError, match="6 variables for 5 participants"):
        complete_data(data)


def test_a_matrix_of_the_wrong_size_is_refused(data):
    with pytest.raises(ValueError, match="one row per participant, one column per name"):
        MediationData(
            data.treatment, ("x",), data.mediators, ("m", "k"), data.outcome, data.covariates
        )
