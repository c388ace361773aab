"""Means of arms over sessions and their intervals."""

import numpy as np
import pytest
from scipy import stats

from workflows.compute.trajectories import session_means, time_to_event

ARMS = np.array(["wait", "CBT", "wait", "CBT", "wait", ""], dtype=object)


def test_means_and_intervals_by_hand_in_the_order_given():
    values = np.array([[1.0, 9], [4, 2], [3, 9], [8, np.nan], [5, 12], [100, 100]])
    table = session_means(values, ARMS, ("pre", "post"), 0.95)
    assert table["arm"].tolist() == ["wait", "wait", "CBT", "CBT"]
    assert table["session"].tolist() == ["pre", "post"] * 2
    assert table["n"].tolist() == [3, 3, 2, 1]
    assert table["mean"].tolist() == [3, 10, 6, 2]
    # wait at pre: SD 2, standard error 2 / sqrt(3), t of 2 degrees of freedom 4.3027
    assert table["ci_high"][0] == pytest.approx(3 + 4.302653 * 2 / np.sqrt(3), rel=1e-6)
    assert table["ci_low"][0] == pytest.approx(3 - 4.302653 * 2 / np.sqrt(3), rel=1e-6)
    assert np.isnan(table["ci_low"][3])


def test_two_sessions_within_persons_give_the_error_of_the_change_over_root_two():
    values = np.random.default_rng(1).normal(size=(8, 2)) + 50 * np.arange(8)[:, None]
    table = session_means(values, np.full(8, "a", dtype=object), ("pre", "post"), 0.9, within=True)
    change = values[:, 1] - values[:, 0]
    half = stats.t.ppf(0.95, 7) * change.std(ddof=1) / np.sqrt(8) / np.sqrt(2)
    np.testing.assert_allclose(table["ci_high"] - table["mean"], half)
    np.testing.assert_allclose(table["mean"], values.mean(axis=0))


def test_within_persons_only_those_seen_at_every_session_count():
    values = np.array([[1.0, 2, 4], [2, 5, 5], [3, np.nan, 7], [4, 4, 7]])
    table = session_means(values, np.full(4, "a", dtype=object), ("1", "2", "3"), 0.95, within=True)
    assert table["n"].tolist() == [3, 3, 3]
    np.testing.assert_allclose(table["mean"], [7 / 3, 11 / 3, 16 / 3])
    # persons 7/3, 4, 5 off: first session -4/3, -2, -1; SD .5092, Morey's factor sqrt(3 / 2)
    half = 4.302653 * np.std([-4 / 3, -2, -1], ddof=1) / np.sqrt(3) * np.sqrt(1.5)
    assert table["ci_high"][0] == pytest.approx(7 / 3 + half, rel=1e-6)


def test_a_person_who_is_always_higher_does_not_widen_the_interval_within():
    values = np.random.default_rng(3).normal(size=(6, 4))
    names, arms = tuple("abcd"), np.full(6, "a", dtype=object)
    shifted = values + np.array([0, 100, 0, -40, 7, 3])[:, None]
    first, second = (session_means(v, arms, names, 0.95, within=True) for v in (values, shifted))
    np.testing.assert_allclose(
        first["ci_high"] - first["ci_low"], second["ci_high"] - second["ci_low"]
    )


def test_an_arm_without_values_keeps_its_rows():
    values = np.array([[1.0, 2], [np.nan, np.nan], [2, 4]])
    arms = np.array(["a", "b", "a"], dtype=object)
    for within in (False, True):
        table = session_means(values, arms, ("pre", "post"), 0.95, within)
        assert table.loc[table["arm"] == "b", "n"].tolist() == [0, 0]
        assert table.loc[table["arm"] == "b", "mean"].isna().all()


def test_shapes_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="values"):
        session_means(np.zeros((3, 2)), ARMS, ("pre", "post"), 0.95)


def test_time_to_event_by_hand():
    # Kaplan and Meier: 6 people, events at 2, 2 and 5, people who left at 3, 5 and 8
    times = np.array([2.0, 2, 3, 5, 5, 8, np.nan])
    happened = np.array([True, True, False, True, False, False, True])
    table = time_to_event(times, happened, np.full(7, "CBT", dtype=object), 0.95)
    assert table["time"].tolist() == [2, 3, 5, 8]
    assert table["at_risk"].tolist() == [6, 4, 3, 1]
    assert table["n_events"].tolist() == [2, 0, 1, 0]
    assert table["n_censored"].tolist() == [0, 1, 1, 1]
    np.testing.assert_allclose(table["share"], [1 / 3, 1 / 3, 5 / 9, 5 / 9])
    greenwood = np.sqrt(2 / (6 * 4) + 1 / (3 * 2))
    spread = 1.959964 * greenwood / -np.log(4 / 9)
    assert table["ci_low"][2] == pytest.approx(1 - (4 / 9) ** np.exp(-spread), rel=1e-6)
    assert table["ci_high"][2] == pytest.approx(1 - (4 / 9) ** np.exp(spread), rel=1e-6)


def test_without_people_who_left_the_curve_is_the_share_of_people():
    times = np.array([1.0, 2, 2, 4])
    table = time_to_event(times, np.ones(4, bool), np.full(4, "a", dtype=object), 0.95)
    np.testing.assert_allclose(table["share"], [0.25, 0.75, 1])
    assert np.isnan(table["ci_high"].iloc[-1])


def test_intervals_of_time_to_event_cover_their_share():
    rng = np.random.default_rng(9)
    covered = []
    for _ in range(150):
        event, leaves = rng.exponential(10, 40), rng.uniform(2, 20, 40)
        times, happened = np.minimum(event, leaves), event <= leaves
        table = time_to_event(times, happened, np.full(40, "a", dtype=object), 0.95)
        at = table[table["time"] <= 5].iloc[-1]
        covered.append(at["ci_low"] <= 1 - np.exp(-0.5) <= at["ci_high"])
    assert 0.9 <= np.mean(covered) <= 0.99


def test_arms_have_curves_of_their_own_and_impossible_times_are_refused():
    arms = np.array(["b", "a", "b", ""], dtype=object)
    table = time_to_event(np.array([1.0, 2, 3, 4]), np.array([True, True, False, True]), arms, 0.95)
    assert table["arm"].tolist() == ["b", "b", "a"]
    with pytest.raises(ValueError, match="0 or above"):
        time_to_event(np.array([-1.0]), np.array([True]), arms[:1], 0.95)
    with pytest.raises(ValueError, match="one value"):
        time_to_event(np.array([1.0, 2]), np.array([True]), arms[:1], 0.95)
