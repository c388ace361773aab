"""Variables of mechanisms, processes and predictions: their order in time and their coding."""

import numpy as np
import pandas as pd
import pytest

from workflows.compute.families import Cohort, Family
from workflows.compute.problems import ModelError
from workflows.compute.variables import (
    Source,
    VariableSpec,
    covariate_columns,
    occasions,
    variable,
)

LABELS = pd.DataFrame({"region": ["a"], "region_a": [None], "region_b": [None]})


@pytest.fixture
def source():
    people = pd.DataFrame({"site": [1.0, 2.0, 3.0, np.nan], "age": [30.0, 40.0, 50.0, 60.0]})
    scores = pd.DataFrame(
        {("BDI", "post"): [9.0, 8, 7, 6], ("BDI", "pre"): [20.0, 22, 24, 26]}, index=people.index
    )
    volume = np.arange(8.0).reshape(2, 4, 1) ** 2
    family = Family("T1w", "volume", "A", "ml", LABELS, volume, ("pre", "post"))
    moments = {("BDI", "pre"): "before", ("BDI", "post"): "after"}
    return Source(Cohort(people, pd.DataFrame(), scores), (family,), moments, {})


def test_a_change_is_later_minus_earlier(source):
    change = variable(VariableSpec(score="BDI", change=("pre", "post")), source).single
    assert change.tolist() == [-11, -14, -17, -20]


@pytest.mark.parametrize("asked", [{"score": "BDI"}, {"measure": "volume"}])
def test_a_change_against_the_order_of_time_is_refused(source, asked):
    with pytest.raises(ModelError, match="the earlier one first"):
        variable(VariableSpec(**asked, change=("post", "pre")), source)


def test_sessions_of_a_process_against_the_order_of_time_are_refused(source):
    forward = occasions(VariableSpec(score="BDI"), ("pre", "post"), source)
    assert forward[0].tolist() == [20, 9]
    with pytest.raises(ModelError, match="the earlier one first"):
        occasions(VariableSpec(score="BDI"), ("post", "pre"), source)


def test_sites_with_numbers_for_names_are_levels(source):
    columns, names = covariate_columns(("site", "age"), source)
    assert names == ("site[2]", "site[3]", "age")
    np.testing.assert_array_equal(columns[:, 0], [0, 1, 0, np.nan])
    np.testing.assert_array_equal(columns[:, 2], [30, 40, 50, 60])
