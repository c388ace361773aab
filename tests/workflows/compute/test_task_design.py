"""Columns of a task design and what is found wrong with them."""

import numpy as np
import pandas as pd
import pytest

from workflows.compute.task_design import (
    collinearity_notes,
    condition_number,
    contrast_problem,
    contrast_vectors,
    degrees_of_freedom,
    is_estimable,
    matching_names,
    named_by,
    nuisance_columns,
    percent_signal,
    seen_shares,
    unmatched_notes,
    unseen_notes,
    variance_inflation,
)


@pytest.fixture
def design():
    """Two blocks of 20 volumes and their rest, 60 volumes."""
    table = pd.DataFrame(0.0, index=range(60), columns=["a", "b"])
    table.loc[0:19, "a"] = 1.0
    table.loc[20:39, "b"] = 1.0
    return table.assign(constant=1.0)


def test_percent_is_of_the_mean_of_the_kept_volumes():
    series = np.array([[80.0, -1], [120, 1], [1000, 3]])
    percent = percent_signal(series, np.array([True, True, False]))
    np.testing.assert_allclose(percent[:, 0], [-20, 20, 900])
    assert np.isnan(percent[:, 1]).all()


def test_percent_does_not_depend_on_the_unit():
    series = np.random.default_rng(1).normal(500, 5, (20, 3))
    kept = np.ones(20, bool)
    np.testing.assert_allclose(percent_signal(series, kept), percent_signal(7.5 * series, kept))
    with pytest.raises(ValueError, match="kept: no volume"):
        percent_signal(series, ~kept)


def test_wildcards_stand_for_all_that_fit_in_the_order_asked():
    names = ["rot_x", "trans_x", "trans_y", "csf"]
    assert matching_names(["csf", "trans_?", "*_x"], names) == [
        "csf",
        "trans_x",
        "trans_y",
        "rot_x",
    ]


def test_a_wildcard_may_stand_for_nothing_but_a_name_may_not():
    names = ["csf", "motion_outlier00", "rot_x"]
    patterns = ["motion_outlier*", "non_steady_state*", "rot_?"]
    assert matching_names(patterns, names) == ["motion_outlier00", "rot_x"]
    assert matching_names(["non_steady_state*"], names) == []
    assert unmatched_notes([*patterns, "csf"], names) == [
        "no confound of this run is called 'non_steady_state*'"
    ]
    with pytest.raises(ValueError, match="no 'rot_y'; there are csf, motion_outlier00, rot_x"):
        matching_names(["rot_?", "rot_y"], names)


def test_conditions_may_be_named_by_wildcards_and_need_not_be_there():
    types = ["look neg", "feel neg", "rest", "a[1]"]
    assert named_by(["*neg", "happy_*", "a[1]"], types) == ["look neg", "feel neg", "a[1]"]


def test_confounds_are_centred_of_length_one_and_censored_volumes_have_columns():
    table = pd.DataFrame({"x": [np.nan, 3.0, 3, 6], "flat": 5.0, "other": [1.0, 2, 3, 4]})
    kept = np.array([True, False, True, False])
    found = nuisance_columns(table, ["x", "flat"], kept)
    assert list(found.columns) == ["x", "censored00", "censored01"]
    np.testing.assert_allclose(found["x"], np.array([-3, 0, 0, 3]) / np.sqrt(18))
    assert found["censored00"].tolist() == [0, 1, 0, 0]
    assert found["censored01"].tolist() == [0, 0, 0, 1]


def test_a_confound_with_holes_is_refused():
    table = pd.DataFrame({"x": [1.0, np.nan, 3.0]})
    with pytest.raises(ValueError, match="x has volumes without a value"):
        nuisance_columns(table, ["x"], np.ones(3, bool))


def test_the_change_from_the_last_unsettled_volume_is_no_change_of_the_person():
    # volumes 0 and 1 are brighter; the difference of volume 2 is the settling of the signal
    csf = np.array([1700.0, 1300, 1000, 1003, 999, 1002])
    change = np.array([np.nan, -400, -300, 3, -4, 3])
    table = pd.DataFrame({"csf": csf, "csf_derivative1": change})
    table["csf_derivative1_power2"] = change**2
    for place in (0, 1):
        table[f"non_steady_state_outlier0{place}"] = (np.arange(6) == place).astype(int)
    kept = np.array([False, False, True, True, True, True])
    names = ["csf", "csf_derivative1", "csf_derivative1_power2"]
    found = nuisance_columns(table, names, kept)
    plain, squared = found["csf_derivative1"], found["csf_derivative1_power2"]
    # 0, 3, -4, 3 and 0, 9, 16, 9 but for their mean and length
    assert (plain[4] - plain[3]) / (plain[3] - plain[2]) == pytest.approx(-7 / 3)
    assert (squared[4] - squared[2]) / (squared[3] - squared[2]) == pytest.approx(16 / 9)
    assert (found["csf"][3] - found["csf"][2]) / (
        found["csf"][1] - found["csf"][2]
    ) == pytest.approx(0.01)
    settled = nuisance_columns(table[names], names, kept)["csf_derivative1"]
    assert (settled[4] - settled[3]) / (settled[3] - settled[2]) == pytest.approx(-7 / 303)


def test_the_part_of_a_response_that_is_seen_is_that_of_its_peak_in_kept_volumes():
    whole = pd.DataFrame({"a": [0.0, 0.5, 1.0, 0.2, -0.1], "b": [0.0, 0.0, 0.1, 0.4, -2.0]})
    inside = np.array([False, True, False, True, False])
    assert seen_shares(whole, inside) == pytest.approx({"a": 0.5, "b": 0.2})
    assert seen_shares(whole, np.zeros(5, bool)) == {"a": 0.0, "b": 0.0}


def test_a_condition_of_which_less_than_a_tenth_is_seen_says_nothing(design):
    unseen = unseen_notes({"a": 0.0999, "b": 0.1})
    assert unseen == {
        "a": "a: 9.99 % of its peak is in the volumes that count, 10 % needed (events at an end "
        "of the run or in censored volumes)"
    }
    n_events = {"a": 4, "b": 4}
    assert contrast_problem({"a": 1.0, "b": -1.0}, n_events, design, unseen) == unseen["a"]
    assert contrast_problem({"b": 1.0}, n_events, design, unseen) == ""


def test_weights_stand_in_the_columns_of_their_conditions():
    vectors = contrast_vectors(["b", "drift", "a"], [{"a": 1.0, "b": -0.5}, {"gone": 1.0}])
    assert vectors.tolist() == [[-0.5, 0, 1], [0, 0, 0]]


def test_a_condition_without_events_is_named(design):
    problem = contrast_problem({"a": 1.0, "fear": -1.0}, {"a": 4, "b": 4}, design)
    assert problem == "no event of fear in this run (there are: a, b)"
    assert contrast_problem({"a": 1.0, "b": -1.0}, {"a": 4, "b": 4}, design) == ""


def test_a_contrast_that_other_columns_make_up_is_not_estimable(design):
    twin = design.assign(same=design["a"] * 3)
    assert not is_estimable(np.array([1.0, 0, 0, 0]), twin.to_numpy())
    assert is_estimable(np.array([1.0, 0, 0, 3.0]), twin.to_numpy())
    assert is_estimable(np.array([0, 1.0, 0, 0]), twin.to_numpy())
    n_events = {"a": 4, "b": 4}
    assert "told apart" in contrast_problem({"a": 1.0, "b": -1.0}, n_events, twin)
    assert contrast_problem({"b": 1.0}, n_events, twin) == ""
    empty = design.assign(c=0.0).to_numpy()
    assert not is_estimable(np.array([0, 0, 0, 1.0]), empty)


def test_whether_a_contrast_is_estimable_does_not_depend_on_the_unit_of_columns(design):
    scaled = design.to_numpy() * [1e6, 1e-6, 1]
    assert is_estimable(np.array([1.0, -1.0, 0]), scaled)
    assert degrees_of_freedom(scaled) == 57


def test_too_few_degrees_of_freedom_are_said(design):
    short = design.iloc[[0, 1, 2, 20, 21, 22, 40, 41, 42, 43, 44, 45]]
    problem = contrast_problem({"a": 1.0}, {"a": 1}, short)
    assert problem == "9 degrees of freedom are left, 10 needed"
    assert contrast_problem({"a": 1.0}, {"a": 1}, design.iloc[[0, 1, 20, *range(40, 50)]]) == ""


def test_variance_inflation_is_that_of_the_textbook():
    # two columns with correlation r: 1 / (1 - r^2)
    rng = np.random.default_rng(4)
    whole = rng.normal(size=(400, 2))
    table = pd.DataFrame({"a": whole[:, 0], "b": 0.9 * whole[:, 0] + 0.3 * whole[:, 1]})
    r = np.corrcoef(table.to_numpy().T)[0, 1]
    found = variance_inflation(table.assign(constant=1.0), ["a", "b"])
    assert found == pytest.approx({"a": 1 / (1 - r**2), "b": 1 / (1 - r**2)})
    sizes = np.sqrt([1 + r, 1 - r])
    assert condition_number(table, ["a", "b"]) == pytest.approx(sizes[0] / sizes[1])


def test_uncorrelated_columns_have_no_inflation_and_dependent_ones_an_infinite_one(design):
    wave = np.cos(np.pi * (np.arange(60) + 0.5) / 60)
    lone = pd.DataFrame({"a": wave, "constant": 1.0})
    assert variance_inflation(lone, ["a"])["a"] == pytest.approx(1.0)
    assert condition_number(lone, ["a"]) == pytest.approx(1.0)
    twin = design.assign(same=design["a"] - 2)
    assert variance_inflation(twin, ["a", "b"])["a"] == float("inf")
    assert condition_number(twin, ["a", "same"]) == float("inf")


def test_only_inflated_columns_are_noted():
    notes = collinearity_notes({"face": 9.04, "house": 4.9}, 3.26)
    assert notes == [
        "face: the variance of its estimate is 9.0 times as large as if the column stood alone "
        "(condition number of the task columns 3.3)"
    ]
