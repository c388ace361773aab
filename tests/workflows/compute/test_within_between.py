"""Within- and between-person effects of a process."""

import numpy as np
import pytest
import statsmodels.api as sm
from scipy import stats

from workflows.compute.problems import ModelError
from workflows.compute.within_between import (
    lagged_with_autoregression,
    person_centred,
    within_between,
)

WITHIN = "within-person effect of alliance"
BETWEEN = "between-person effect of alliance"


def sessions(rng, n=40, n_sessions=6, within=-0.5, between=0.8):
    """People with a high alliance are worse off, sessions with a high alliance are better."""
    person = rng.normal(size=n)
    process = 5 + person[:, None] + rng.normal(size=(n, n_sessions))
    outcome = 20 + (between - within) * process.mean(axis=1)[:, None] + within * process
    course = -np.arange(n_sessions) + rng.normal(size=n_sessions)
    return process, outcome + rng.normal(size=(n, 1)) + rng.normal(size=(n, n_sessions)) + course


def rows(result):
    return result.rows.set_index("term")


def test_person_means_and_deviations_by_hand():
    mean, deviation = person_centred(np.array([[1.0, 3, np.nan, 5], [2, 2, 2, 2], [np.nan] * 4]))
    assert mean[:2].tolist() == [3, 2]
    assert np.isnan(mean[2])
    np.testing.assert_array_equal(deviation[0], [-2, 0, np.nan, 2])
    assert np.isnan(deviation[2]).all()


def test_effects_of_opposite_sign_within_and_between_people_are_told_apart():
    process, outcome = sessions(np.random.default_rng(2), n=400)
    table = rows(within_between(process, outcome, "alliance", 0.95))
    assert table.loc[WITHIN, "estimate"] == pytest.approx(-0.5, abs=0.1)
    assert table.loc[BETWEEN, "estimate"] == pytest.approx(0.8, abs=0.15)
    contrast = table.loc["between minus within effect of alliance", "estimate"]
    assert contrast == pytest.approx(
        table.loc[BETWEEN, "estimate"] - table.loc[WITHIN, "estimate"], rel=1e-9
    )


@pytest.mark.filterwarnings("ignore::statsmodels.tools.sm_exceptions.ConvergenceWarning")
def test_estimates_and_errors_are_those_of_another_mixed_model():
    rng = np.random.default_rng(6)
    process, outcome = sessions(rng)
    outcome[rng.random(outcome.shape) < 0.15] = np.nan
    result = within_between(process, outcome, "alliance", 0.95, robust=False)
    there = np.isfinite(outcome)
    mean, deviation = person_centred(np.where(there, process, np.nan))
    person, session = np.nonzero(there)
    design = np.column_stack([deviation[there], mean[person], np.eye(6)[session]])
    other = sm.MixedLM(outcome[there], design, groups=person).fit(reml=True)
    table = rows(result)
    for at, term in enumerate((WITHIN, BETWEEN)):
        assert table.loc[term, "estimate"] == pytest.approx(other.params[at], rel=1e-4)
        assert table.loc[term, "standard_error"] == pytest.approx(other.bse[at], rel=1e-3)
    assert result.variance_person == pytest.approx(other.cov_re[0, 0], rel=1e-3)
    assert result.notes[0].startswith(f"{there.sum()} sessions of 40 people")


def test_the_within_effect_of_complete_data_is_least_squares_with_a_term_per_person():
    process, outcome = sessions(np.random.default_rng(3), n=12)
    table = rows(within_between(process, outcome, "alliance", 0.95, robust=False))
    person, session = np.divmod(np.arange(72), 6)
    design = np.column_stack([process.ravel(), np.eye(12)[person], np.eye(6)[session][:, 1:]])
    other = sm.OLS(outcome.ravel(), design).fit()
    assert table.loc[WITHIN, "estimate"] == pytest.approx(other.params[0], rel=1e-7)
    assert table.loc[WITHIN, "standard_error"] == pytest.approx(other.bse[0], rel=1e-6)
    assert table.loc[WITHIN, "df"] == pytest.approx(72 - 18, rel=1e-4)


def test_robust_errors_leave_out_one_person_at_a_time():
    process, outcome = sessions(np.random.default_rng(3), n=12)
    row = rows(within_between(process, outcome, "alliance", 0.95)).loc[WITHIN]
    without = [
        rows(
            within_between(
                np.delete(process, at, 0), np.delete(outcome, at, 0), "alliance", 0.95, robust=False
            )
        ).loc[WITHIN, "estimate"]
        for at in range(12)
    ]
    assert row["standard_error"] == pytest.approx(np.sqrt(np.var(without) * 11), rel=1e-6)
    assert row["df"] == 11


def test_a_lag_relates_the_process_to_the_next_session_only():
    rng = np.random.default_rng(5)
    process = rng.normal(size=(200, 6))
    outcome = rng.normal(size=(200, 6))
    outcome[:, 1:] += 0.7 * process[:, :-1]
    lagged = rows(within_between(process, outcome, "alliance", 0.95, lag=1)).loc[WITHIN]
    same = rows(within_between(process, outcome, "alliance", 0.95)).loc[WITHIN]
    assert lagged["estimate"] == pytest.approx(0.7, abs=0.1)
    assert abs(same["estimate"]) < 0.3
    backwards = rows(within_between(process[:, ::-1], outcome[:, ::-1], "alliance", 0.95, lag=1))
    assert abs(backwards.loc[WITHIN, "estimate"]) < 0.2


def test_autoregression_is_estimated_and_its_bias_announced():
    rng = np.random.default_rng(5)
    process, noise = rng.normal(size=(2, 300, 8))
    outcome = noise.copy()
    for at in range(1, 8):
        outcome[:, at] += 0.5 * outcome[:, at - 1] + 0.4 * process[:, at - 1]
    result = lagged_with_autoregression(process, outcome, "alliance", 0.95)
    table = rows(result)
    carried = table.loc["outcome at the session before", "estimate"]
    # 7 sessions: too low by about (1 + .5) / 6
    assert carried == pytest.approx(0.5 - 0.25, abs=0.08)
    assert table.loc[WITHIN, "estimate"] == pytest.approx(0.4, abs=0.1)
    assert any("Nickell" in note for note in result.notes)


def test_a_course_shared_by_all_is_no_effect_of_the_process():
    rng = np.random.default_rng(9)
    process = rng.normal(size=(60, 8)) + 2 * np.arange(8)
    outcome = rng.normal(size=(60, 8)) - 3 * np.arange(8)
    row = rows(within_between(process, outcome, "alliance", 0.95)).loc[WITHIN]
    assert row["ci_low"] < 0 < row["ci_high"]
    assert abs(row["estimate"]) < 0.2


def test_neighbouring_sessions_that_go_together_keep_the_error_rate():
    rng, rejected = np.random.default_rng(17), 0
    for _ in range(40):
        process, outcome = np.cumsum(rng.normal(size=(2, 25, 6)), axis=2)
        row = rows(within_between(process, outcome, "alliance", 0.95)).loc[WITHIN]
        rejected += row["p"] < 0.05
    assert rejected <= stats.binom.ppf(0.999, 40, 0.05)


def test_a_missing_session_is_left_out_and_counted():
    process, outcome = sessions(np.random.default_rng(2), n=30)
    process[0, 2] = np.nan
    process[1] = np.nan
    result = within_between(process, outcome, "alliance", 0.95)
    assert result.notes[0] == ("173 sessions of 29 people with all values; the others are not used")
    assert result.rows["n"].eq(29).all()


def test_bad_input_says_what_to_do():
    process, outcome = sessions(np.random.default_rng(2), n=30)
    with pytest.raises(ModelError, match="'alliance' does not vary within people"):
        within_between(np.tile(process[:, :1], 6), outcome, "alliance", 0.95)
    with pytest.raises(ModelError, match="5 people"):
        within_between(process[:5], outcome[:5], "alliance", 0.95)
    with pytest.raises(ModelError, match="2 occasions"):
        within_between(process[:, :2], outcome[:, :2], "alliance", 0.95, lag=1)
    with pytest.raises(ValueError, match="lag"):
        within_between(process, outcome, "alliance", 0.95, lag=2)
    with pytest.raises(ValueError, match="same shape"):
        within_between(process, outcome[:, 1:], "alliance", 0.95)
