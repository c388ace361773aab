"""Courses over many sessions."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from statsmodels.duration.survfunc import survdiff

from workflows.compute.courses import (
    individual_slopes,
    log_rank,
    reliable_cutoff,
    response_times,
    slope_rows,
    sudden_gains,
)
from workflows.compute.outcomes import responded
from workflows.compute.problems import ModelError
from workflows.compute.scale import Scale


def trial(rng, n=60, faster=1.0):
    arms = np.resize(np.array(["control", "therapy"], dtype=object), n)
    times = np.ceil(rng.exponential(6 / np.where(arms == "therapy", faster, 1), n))
    return np.minimum(times, 12), times <= 12, arms


def test_response_is_the_first_score_that_has_fallen_enough():
    scores = np.array(
        [
            [20, 18, 10, 15],
            [20, 11, np.nan, np.nan],
            [20, np.nan, 9, 9],
            [np.nan, 5, 5, 5],
            [20, np.nan, np.nan, np.nan],
            [0, 5, 5, 5],
        ]
    )
    found = response_times(scores, np.array([0.0, 2, 4, 8]), Scale("BDI", minimum=0))
    np.testing.assert_array_equal(found.time, [4, 2, 4, np.nan, np.nan, np.nan])
    assert found.event.tolist() == [True, False, True, False, False, False]
    assert found.note[3:].tolist() == [
        "percent improvement cannot be told",
        "no score after the baseline",
        "percent improvement cannot be told",
    ]
    with pytest.raises(ValueError, match="growing"):
        response_times(scores, np.array([0.0, 4, 2, 8]), Scale("BDI"))


@pytest.mark.parametrize(
    ("scale", "scores", "when"),
    [
        (Scale("K10", minimum=10), [30.0, 21, 20], 2),
        (Scale("GAF", better="higher", maximum=100), [40.0, 62, 70], 2),
        (Scale("GAF", better="higher", maximum=100), [80.0, 85, 95], 2),
    ],
)
def test_response_over_time_is_the_response_of_the_scale(scale, scores, when):
    found = response_times(np.array([scores]), np.array([0.0, 1, 2]), scale)
    assert (found.time[0], found.event[0]) == (when, True)
    assert responded(np.array(scores[:1]), np.array(scores[2:]), scale)[0] == "yes"


def test_log_rank_agrees_with_another_tool():
    times, events, arms = trial(np.random.default_rng(1), faster=2.0)
    chi2, p = survdiff(times, events, arms)
    test = log_rank(times, events, arms, 0.95)
    assert test.chi2 == pytest.approx(chi2, rel=1e-10)
    assert (test.p, test.df) == (pytest.approx(p, rel=1e-8), 1)
    row = test.rows.iloc[0]
    assert row["term"] == "log hazard ratio therapy - control"
    assert row["statistic"] ** 2 == pytest.approx(chi2, rel=1e-8)
    assert row["estimate"] > 0.2
    turned = log_rank(times[::-1], events[::-1], arms[::-1], 0.95).rows.iloc[0]
    assert turned["estimate"] == pytest.approx(-row["estimate"])


def test_three_arms_have_one_overall_test():
    times, events, arms = trial(np.random.default_rng(1), n=90)
    arms[::3] = "waiting list"
    chi2, p = survdiff(times, events, arms)
    test = log_rank(times, events, arms, 0.95)
    assert test.chi2 == pytest.approx(chi2, rel=1e-8)
    assert test.df == 2
    assert len(test.rows) == 2


def test_arms_alike_are_told_apart_in_one_of_twenty_trials():
    rng = np.random.default_rng(2)
    rejected = sum(log_rank(*trial(rng, 40), 0.95).p < 0.05 for _ in range(100))
    assert rejected <= stats.binom.ppf(0.999, 100, 0.05)


def test_a_comparison_that_cannot_be_made_is_refused():
    times, events, arms = trial(np.random.default_rng(1))
    with pytest.raises(ModelError, match="one arm only"):
        log_rank(times, events, np.full(60, "a", dtype=object), 0.95)
    with pytest.raises(ModelError, match="nobody responded"):
        log_rank(times, np.zeros(60, dtype=bool), arms, 0.95)


def test_a_sudden_gain_needs_all_three_criteria():
    steady = [30.0, 31, 30, 18, 17, 18]
    gains = sudden_gains(np.array([steady]), 7)
    assert gains.iloc[0].tolist() == [0, 2, 30.0, 18.0, 12.0, False]
    assert sudden_gains(np.array([steady]), 13).empty
    # less than a quarter of 60
    assert sudden_gains(np.array([steady]) + 30, 7).empty
    unsteady = [44.0, 20, 30, 18, 29, 12]
    assert sudden_gains(np.array([unsteady]), 7).empty
    assert sudden_gains(-np.array([steady]), 7).empty
    rising = sudden_gains(40 - np.array([steady]), 1, "higher")
    assert rising["magnitude"].tolist() == [12.0]


def test_a_gain_is_reversed_when_half_of_it_is_lost():
    kept, lost = [30.0, 31, 30, 18, 17, 18, 23.5], [30.0, 31, 30, 18, 17, 18, 24]
    assert sudden_gains(np.array([kept, lost]), 7)["reversed"].tolist() == [False, True]


def test_missing_scores_raise_the_quantile_of_the_third_criterion():
    # two scores each: means differ by 12, pooled deviation 2.915, t(2) 4.303: 12.5 is needed
    course = np.array([[np.nan, 34.0, 28, 18, np.nan, 20]])
    assert sudden_gains(course, 7).empty
    course[0, 1] = 30
    assert len(sudden_gains(course, 7)) == 1
    assert sudden_gains(np.array([[30.0, np.nan, 30, 18, 17, 18]]), 7)["session"].tolist() == [2]
    assert sudden_gains(np.array([[np.nan, np.nan, 30, 18, 17, 18]]), 7).empty


@pytest.mark.needs_shared
def test_sudden_gains_of_the_r_package_are_found(shared_dir):
    table = pd.read_csv(shared_dir / "reference" / "sgdata.csv")
    scores = table[[f"bdi_s{session}" for session in range(1, 13)]].to_numpy(dtype=float)
    gains = sudden_gains(scores, 7)
    # describe_sg() of suddengains (Wiedemann and others 2020) for its sgdata, cut-off 7 given
    assert len(gains) == 24
    assert gains["participant"].nunique() == 15
    assert (gains["participant"].value_counts() > 1).sum() == 8
    assert gains["reversed"].sum() == 4
    assert gains["magnitude"].mean() == pytest.approx(11, abs=0.005)
    assert gains["magnitude"].std() == pytest.approx(3.43, abs=0.005)
    first = gains.groupby("participant").first()
    assert (first["reversed"].sum(), round(first["magnitude"].mean(), 1)) == (3, 11.4)
    assert first["magnitude"].std() == pytest.approx(3.98, abs=0.005)


def test_the_reliable_cutoff_is_the_smallest_reliable_change():
    # Jacobson and Truax 1991: s 7.5, reliability .80, S_diff 4.743416490
    assert reliable_cutoff(7.5, 0.80) == pytest.approx(1.959964 * 4.743416490, rel=1e-6)
    with pytest.raises(ValueError, match="reliability"):
        reliable_cutoff(7.5, 1.2)


def test_slopes_are_least_squares_of_each_participant():
    times = np.array([0.0, 1, 2, 4])
    scores = np.array([[20, 18, 17, 11], [20, np.nan, np.nan, 12], [20, np.nan, np.nan, np.nan]])
    table = individual_slopes(scores, times)
    other = stats.linregress(times, scores[0])
    assert table.loc[0, "slope"] == pytest.approx(other.slope)
    assert table.loc[0, "standard_error"] == pytest.approx(other.stderr)
    assert table.loc[0, "intercept"] == pytest.approx(other.intercept)
    assert table.loc[1, "slope"] == -2
    assert np.isnan(table.loc[1, "standard_error"])
    assert np.isnan(table.loc[2, "slope"])
    assert table["note"].tolist() == ["", "", "fewer than two scores"]


def test_slopes_of_arms_are_compared_by_the_test_of_welch():
    rng = np.random.default_rng(3)
    slopes = np.concatenate([rng.normal(-1, 1, 20), rng.normal(-2, 3, 12), [np.nan]])
    arms = np.array(["a"] * 20 + ["b"] * 13, dtype=object)
    table = slope_rows(slopes, arms, 0.95).set_index("term")
    other = stats.ttest_ind(slopes[20:32], slopes[:20], equal_var=False)
    row = table.loc["difference of slopes b - a"]
    assert (row["statistic"], row["p"]) == (
        pytest.approx(other.statistic),
        pytest.approx(other.pvalue),
    )
    limits = other.confidence_interval()
    assert [row["ci_low"], row["ci_high"]] == pytest.approx([limits.low, limits.high])
    assert table.loc["mean slope b", "estimate"] == pytest.approx(slopes[20:32].mean())
    assert row["note"] == "1 participants without a slope left out"
    with pytest.raises(ModelError, match="arm 'b' has 1 participants"):
        slope_rows(slopes[:21], arms[:21], 0.95)
