"""Random-slope mixed models of many outcomes."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from workflows.compute.mixed_slope import SINGULAR_NOTE, random_slope

DATA = Path(__file__).parents[2] / "data"
ESTIMATE, DF = {"rtol": 1e-6}, {"rtol": 1e-5}
close = np.testing.assert_allclose


def all_terms(values, matrix, person, time, **options):
    values = np.asarray(values, dtype=float).reshape(len(matrix), -1)
    return random_slope(values, matrix, person, time, np.eye(matrix.shape[1]), **options)


@pytest.fixture
def trial():
    """30 people, 4 sessions with holes, two arms; true slopes of people differ."""
    rng = np.random.default_rng(3)
    person, time = np.repeat(np.arange(30), 4), np.tile([0.0, 1, 2, 4], 30)
    values = rng.normal(size=(120, 200)) + rng.normal(size=(30, 200))[person]
    values += 0.6 * rng.normal(size=(30, 200))[person] * time[:, None]
    arm = (person % 2).astype(float)
    matrix = np.column_stack([np.ones(120), time, arm, time * arm])
    keep = (time == 0) | (rng.random(120) > 0.2)
    return values[keep], matrix[keep], person[keep], time[keep]


def test_orthodont_as_lme4_and_lmertest():
    table = pd.read_csv(DATA / "orthodont.csv")
    age, female = table["age"].to_numpy(float), (table["Sex"] == "Female").to_numpy(float)
    matrix = np.column_stack([np.ones(108), age, female, age * female])
    fit = all_terms(table["distance"], matrix, pd.factorize(table["Subject"])[0], age)
    close(
        fit.standard_error[[0, 1, 3], 0],
        [1.01853187872, 0.0859995091018, 0.134735336620],
        **ESTIMATE,
    )
    close(fit.estimate[3], -0.304829545455, **ESTIMATE)
    close(fit.df[3], 25, **DF)
    statistic = fit.estimate[3] / fit.standard_error[3]
    close(2 * stats.t.sf(np.abs(statistic), fit.df[3]), 0.0326138496581, rtol=1e-5)
    first, cross, second = fit.covariance[:, 0]
    close([first, second], [5.7864313361, 0.0325244611837], **ESTIMATE)
    close(cross / np.sqrt(first * second), -0.667618875, **ESTIMATE)
    close(fit.variance_residual, 1.7162037577, **ESTIMATE)
    close(fit.criterion, 432.58166150261, rtol=1e-9)


def test_sleepstudy_as_lme4_and_lmertest():
    table = pd.read_csv(DATA / "sleepstudy.csv")
    days = table["Days"].to_numpy(float)
    matrix = np.column_stack([np.ones(180), days])
    fit = all_terms(table["Reaction"], matrix, pd.factorize(table["Subject"])[0], days)
    close(fit.estimate[:, 0], [251.405104848, 10.4672859596], **ESTIMATE)
    close(fit.standard_error[:, 0], [6.82455577628, 1.54578893243], **ESTIMATE)
    close(fit.df[1], 17, **DF)
    close(fit.criterion, 1743.6282719585, rtol=1e-9)


@pytest.mark.parametrize("method", ["REML", "ML"])
def test_the_deviance_is_smallest_at_the_solution(trial, method):
    """Deviance around the solution by its definition, from the whole covariance matrix."""
    values, matrix, person, time = trial
    fit = all_terms(values[:, :2], matrix, person, time, method=method)
    effects_of_people = np.column_stack([np.ones(len(time)), time])
    same = person[:, None] == person

    def deviance(test, first, cross, second, within):
        between = effects_of_people @ [[first, cross], [cross, second]] @ effects_of_people.T
        covariance = between * same + within * np.eye(len(time))
        inverse = np.linalg.inv(covariance)
        information = matrix.T @ inverse @ matrix
        effects = np.linalg.solve(information, matrix.T @ inverse @ values[:, test])
        rest = values[:, test] - matrix @ effects
        logs, n = np.linalg.slogdet(covariance)[1], len(time)
        if method == "REML":
            logs, n = logs + np.linalg.slogdet(information)[1], n - matrix.shape[1]
        value = n * np.log(2 * np.pi) + logs + rest @ inverse @ rest
        return value, effects, np.sqrt(np.diag(np.linalg.inv(information)))

    for test in range(2):
        best = np.array([*fit.covariance[:, test], fit.variance_residual[test]])
        value, effects, errors = deviance(test, *best)
        close(fit.criterion[test], value, rtol=1e-10)
        close(fit.estimate[:, test], effects, rtol=1e-6)
        close(fit.standard_error[:, test], errors, rtol=1e-6)
        for step in np.concatenate([np.eye(4), -np.eye(4)]) * 1e-3:
            assert deviance(test, *(best + step))[0] > value


def test_where_time_is_zero_changes_only_the_intercept(trial):
    values, matrix, person, time = trial
    fit = all_terms(values[:, :20], matrix, person, time)
    later = matrix.copy()
    later[:, 1], later[:, 3] = later[:, 1] - 2, (later[:, 1] - 2) * later[:, 2]
    moved = all_terms(values[:, :20], later, person, time - 2)
    close(moved.estimate[[1, 3]], fit.estimate[[1, 3]], rtol=1e-6)
    close(moved.df[[1, 3]], fit.df[[1, 3]], rtol=1e-4)
    close(moved.covariance[2], fit.covariance[2], rtol=1e-5, atol=1e-8)
    at_two = fit.covariance[0] + 4 * fit.covariance[1] + 4 * fit.covariance[2]
    close(moved.covariance[0], at_two, rtol=1e-5, atol=1e-8)


def test_units_and_row_order_do_not_matter(trial):
    values, matrix, person, time = trial
    order = np.random.default_rng(1).permutation(len(time))
    fit = all_terms(values[:, :20], matrix, person, time)
    other = all_terms(1e3 * values[order, :20], matrix[order], person[order], 30 * time[order])
    close(other.estimate, 1e3 * fit.estimate, rtol=1e-5, atol=1e-6)
    close(other.standard_error, 1e3 * fit.standard_error, rtol=1e-5)
    close(other.covariance[2], fit.covariance[2] * 1e6 / 900, rtol=1e-4, atol=1e-6)


def test_a_hole_takes_the_row_out_of_that_test_only(trial):
    values, matrix, person, time = trial
    holed = values[:, :3].copy()
    holed[5, 1] = np.nan
    full, fit = (all_terms(v, matrix, person, time) for v in (values[:, :3], holed))
    keep = np.arange(len(time)) != 5
    without = all_terms(values[keep, 1], matrix[keep], person[keep], time[keep])
    close(fit.estimate[:, [0, 2]], full.estimate[:, [0, 2]], rtol=1e-8)
    close(fit.df[:, 1], without.df[:, 0], rtol=1e-6)
    assert (full.n_rows - fit.n_rows).tolist() == [0, 1, 0]


def test_equal_slopes_give_a_singular_fit_that_is_noted():
    rng = np.random.default_rng(4)
    person, time = np.repeat(np.arange(12), 4), np.tile([0.0, 1, 2, 3], 12)
    matrix = np.column_stack([np.ones(48), time])
    noise = np.tile([1.0, -1, -1, 1], 12) * np.repeat(rng.normal(size=12), 4)
    values = noise + np.repeat(rng.normal(size=12), 4) + time
    fit = all_terms(values, matrix, person, time)
    assert fit.singular.tolist() == [True]
    assert fit.note[0] == SINGULAR_NOTE
    close(fit.covariance[2], 0, atol=1e-6)
    close(fit.estimate[1], 1, rtol=1e-8)


def test_tests_that_cannot_be_made_say_why(trial):
    values, matrix, person, time = trial
    values = values[:, :4].copy()
    values[time > 1, 0] = np.nan
    values[:, 1] = 2.0
    values[:, 2] = np.nan
    fit = all_terms(values, matrix, person, time)
    assert fit.note.tolist() == [
        "not tested: nobody has three times, a random slope needs them",
        "no variation",
        "not tested: no values",
        "",
    ]
    assert np.isnan(fit.estimate[:, :3]).all()
    assert np.isfinite(fit.estimate[:, 3]).all()
    collinear = all_terms(values[:, 3], np.column_stack([matrix, matrix[:, 1]]), person, time)
    assert collinear.note[0] == "not tested: terms are collinear in these rows"


def test_arguments_that_do_not_fit_are_refused(trial):
    values, matrix, person, time = trial
    with pytest.raises(ValueError, match="time must have one entry per row"):
        all_terms(values, matrix, person, time[1:])
    with pytest.raises(ValueError, match="REML or ML"):
        all_terms(values, matrix, person, time, method="reml")


def test_false_positives_and_coverage_with_dropout():
    rng = np.random.default_rng(21)
    n_people, n_tests, effect = 30, 1000, 0.4
    person, time = np.repeat(np.arange(n_people), 4), np.tile([0.0, 1, 2, 3], n_people)
    arm = (person % 2).astype(float)
    values = rng.normal(size=(len(person), n_tests)) + rng.normal(size=(n_people, n_tests))[person]
    values += (effect + 0.7 * rng.normal(size=(n_people, n_tests))[person]) * time[:, None]
    keep = (time == 0) | (rng.random(len(time)) > 0.15)
    matrix = np.column_stack([np.ones(len(time)), time, arm, arm * time])
    fit = all_terms(values[keep], matrix[keep], person[keep], time[keep])
    p = 2 * stats.t.sf(np.abs(fit.estimate[3] / fit.standard_error[3]), fit.df[3])
    margin = 3 * np.sqrt(0.05 * 0.95 / n_tests)
    assert np.mean(p < 0.05) == pytest.approx(0.05, abs=margin)
    half = stats.t.ppf(0.975, fit.df[1]) * fit.standard_error[1]
    assert np.mean(np.abs(fit.estimate[1] - effect) < half) == pytest.approx(0.95, abs=margin)
