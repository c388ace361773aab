"""Random-intercept mixed models of many outcomes."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from workflows.compute.mixed import DIFFERENCES, NEGATIVE, PINNED, random_intercept

DATA = Path(__file__).parents[2] / "data"
ESTIMATE, DF = {"rtol": 1e-6}, {"rtol": 1e-5}
close = np.testing.assert_allclose


def all_terms(values, matrix, person, **options):
    values = np.asarray(values, dtype=float).reshape(len(matrix), -1)
    return random_intercept(values, matrix, person, np.eye(matrix.shape[1]), **options)


def p_values(fit):
    return 2 * stats.t.sf(np.abs(fit.estimate / fit.standard_error), fit.df)


@pytest.fixture
def orthodont():
    table = pd.read_csv(DATA / "orthodont.csv")
    female = (table["Sex"] == "Female").to_numpy(float)
    return table, pd.factorize(table["Subject"])[0], female


def sleep(name):
    table = pd.read_csv(DATA / f"{name}.csv")
    matrix = np.column_stack([np.ones(len(table)), table["Days"]])
    return all_terms(table["Reaction"], matrix, pd.factorize(table["Subject"])[0])


def btheb(sessions):
    wide = pd.read_csv(DATA / "btheb.csv")
    columns = {"pre": "bdi.pre", 2: "bdi.2m", 3: "bdi.3m", 5: "bdi.5m", 8: "bdi.8m"}
    parts = [
        wide.assign(bdi=wide[columns[s]], time=0.0 if s == "pre" else float(s)) for s in sessions
    ]
    table = pd.concat(parts, ignore_index=True)
    treated = (table["treatment"] == "BtheB").to_numpy(float)
    other = [(table["drug"] == "Yes").to_numpy(float), (table["length"] == ">6m").to_numpy(float)]
    return table, treated, other


@pytest.fixture
def trial():
    """40 people, 2 sessions, people in blocks, with holes."""
    rng = np.random.default_rng(3)
    person = np.repeat(np.arange(40), 2)
    time, arm = np.tile([0.0, 1.0], 40), (person % 2).astype(float)
    values = rng.normal(size=(80, 300)) + np.repeat(rng.normal(size=(40, 300)), 2, axis=0)
    matrix = np.column_stack([np.ones(80), time, arm, time * arm, rng.normal(size=80)])
    keep = (time == 0) | (rng.random(80) > 0.2)
    return values[keep], matrix[keep], person[keep]


def test_orthodont_as_lme4_and_lmertest(orthodont):
    table, person, female = orthodont
    age = table["age"].to_numpy(float)
    matrix = np.column_stack([np.ones(108), age, female, age * female])
    fit = all_terms(table["distance"], matrix, person)
    close(fit.estimate[:, 0], [16.340625, 0.784375, 1.03210227273, -0.304829545455], **ESTIMATE)
    errors = [0.981312236756, 0.0775011046231, 1.53742080542, 0.121420895641]
    close(fit.standard_error[:, 0], errors, **ESTIMATE)
    close(fit.df[:, 0], [103.986361016, 79, 103.986361016, 79], **DF)
    close(p_values(fit)[3], 0.0140974503210, rtol=1e-5)
    close(fit.variance_person, 3.29863412102, **ESTIMATE)
    close(fit.variance_residual, 1.92205478970, **ESTIMATE)
    close(fit.criterion, 433.75724920114, rtol=1e-9)
    assert (fit.n_people[0], fit.n_rows[0], fit.note[0]) == (27, 108, "")


def test_two_sessions_of_orthodont_equal_least_squares_on_differences(orthodont):
    table, person, female = orthodont
    keep = table["age"].isin([8, 14]).to_numpy()
    post = (table["age"] == 14).to_numpy(float)
    matrix = np.column_stack([np.ones(108), post, female, post * female])
    fit = all_terms(table["distance"][keep], matrix[keep], person[keep])
    close(fit.estimate[[1, 3], 0], [4.59375, -1.68465909091], **ESTIMATE)
    close(fit.standard_error[[1, 3], 0], [0.557939212435, 0.874122752398], **ESTIMATE)
    close(fit.df[[1, 3], 0], 25, **DF)
    close(p_values(fit)[3], 0.0653845712640, rtol=1e-6)


def test_sleepstudy_as_lme4():
    fit = sleep("sleepstudy")
    close(fit.estimate[:, 0], [251.405104848, 10.4672859596], **ESTIMATE)
    close(fit.standard_error[:, 0], [9.74671634386, 0.804221428178], **ESTIMATE)
    close(fit.df[:, 0], [22.8101989690, 161], **DF)
    close(fit.variance_person, 1378.178540635, **ESTIMATE)
    close(fit.variance_residual, 960.456576728, **ESTIMATE)


def test_sleepstudy_with_rows_missing_as_lme4():
    fit = sleep("sleep_unbal")
    close(fit.estimate[:, 0], [253.452070423, 10.4372565919], **ESTIMATE)
    close(fit.standard_error[:, 0], [9.62534352085, 0.878953445151], **ESTIMATE)
    close(fit.df[:, 0], [24.7117912198, 146.952736982], **DF)
    close(fit.variance_person, 1260.486403727, **ESTIMATE)
    close(fit.variance_residual, 994.654542644, **ESTIMATE)


def test_a_trial_with_dropout_as_lme4():
    table, treated, other = btheb([2, 3, 5, 8])
    matrix = np.column_stack(
        [np.ones(len(table)), table["bdi.pre"], table["time"], treated, *other]
    )
    fit = all_terms(table["bdi"], matrix, table["subject"].to_numpy(), method="ML")
    close(
        fit.estimate[1:5, 0],
        [0.639676208139, -0.704764833517, -2.32908264922, -2.82495240164],
        **ESTIMATE,
    )
    errors = [0.0778913441098, 0.146391503330, 1.67035608058]
    close(fit.standard_error[1:4, 0], errors, **ESTIMATE)
    close(np.sqrt(fit.variance_person), 6.98408105109, **ESTIMATE)
    close(np.sqrt(fit.variance_residual), 5.01397804336, **ESTIMATE)
    close(fit.criterion / -2, -935.74598154396, rtol=1e-9)
    assert (fit.n_rows[0], fit.n_people[0]) == (280, 97)
    fit = all_terms(table["bdi"], matrix, table["subject"].to_numpy())
    close(fit.estimate[3], -2.31510510896, **ESTIMATE)
    close(fit.standard_error[3], 1.71515295894, **ESTIMATE)
    close(fit.df[3], 92.1842782347, **DF)
    close(p_values(fit)[3], 0.180386983726, rtol=1e-5)


def test_arm_by_time_with_dropout_as_lmertest():
    table, treated, other = btheb(["pre", 2, 3, 5, 8])
    time = table["time"].to_numpy()
    matrix = np.column_stack([np.ones(len(table)), treated, time, *other, treated * time])
    fit = all_terms(table["bdi"], matrix, table["subject"].to_numpy())
    close(fit.estimate[5], -0.158693229666, **ESTIMATE)
    close(fit.standard_error[5], 0.271133595633, **ESTIMATE)
    close(fit.df[5], 290.045563810, **DF)
    close(p_values(fit)[5], 0.558804226314, rtol=1e-6)
    assert fit.n_rows[0] == 380


def test_the_order_of_rows_does_not_matter(trial):
    values, matrix, person = trial
    order = np.random.default_rng(1).permutation(len(values))
    fit = all_terms(values, matrix, person)
    mixed = all_terms(values[order], matrix[order], 100 - person[order])
    for name in ("estimate", "standard_error", "df", "variance_person", "criterion"):
        close(getattr(mixed, name), getattr(fit, name), rtol=1e-6, atol=1e-9)


def test_the_deviance_is_smallest_at_the_solution(trial):
    """Deviance of person variances around the solution by its definition, from the covariance."""
    values, matrix, person = trial
    fit = all_terms(values[:, :3], matrix, person)

    def deviance(test, between, within):
        shared = person[:, None] == person
        covariance = within * np.eye(len(person)) + between * shared
        inverse = np.linalg.inv(covariance)
        information = matrix.T @ inverse @ matrix
        effects = np.linalg.solve(information, matrix.T @ inverse @ values[:, test])
        rest = values[:, test] - matrix @ effects
        logs = np.linalg.slogdet(covariance)[1] + np.linalg.slogdet(information)[1]
        n = len(person) - matrix.shape[1]
        return n * np.log(2 * np.pi) + logs + rest @ inverse @ rest, effects, information

    for test in range(3):
        best = fit.variance_person[test], fit.variance_residual[test]
        value, effects, information = deviance(test, *best)
        close(fit.criterion[test], value, rtol=1e-10)
        close(fit.estimate[:, test], effects, rtol=1e-8)
        errors = np.sqrt(np.diag(np.linalg.inv(information)))
        close(fit.standard_error[:, test], errors, rtol=1e-8)
        for step in (-1e-3, 1e-3):
            assert deviance(test, best[0] + step, best[1])[0] > value
            assert deviance(test, best[0], best[1] + step)[0] > value


def test_units_and_a_large_mean_change_nothing_else(trial):
    values, matrix, person = trial
    fit = all_terms(values, matrix, person)
    scaled = all_terms(values * 1e3 + 1e6, matrix * [1, 1, 1, 1, 1e6], person)
    close(scaled.estimate[1:4], fit.estimate[1:4] * 1e3, rtol=1e-5, atol=1e-6)
    close(scaled.standard_error[1:4], fit.standard_error[1:4] * 1e3, rtol=1e-6)
    close(scaled.df, fit.df, rtol=1e-4)


def test_swapping_sessions_flips_the_sign():
    rng = np.random.default_rng(8)
    person, time = np.repeat(np.arange(12), 2), np.tile([0.0, 1.0], 12)
    values = rng.normal(size=(24, 5)) + time[:, None]
    forward = all_terms(values, np.column_stack([np.ones(24), time]), person)
    backward = all_terms(values, np.column_stack([np.ones(24), 1 - time]), person)
    close(forward.estimate[1], -backward.estimate[1], rtol=1e-12)
    close(forward.df[1], backward.df[1], rtol=1e-9)
    assert np.median(forward.estimate[1]) > 0.5


def test_a_hole_takes_the_row_out_of_that_test_only(trial):
    values, matrix, person = trial
    full = all_terms(values[:, :4], matrix, person)
    holed = values[:, :4].copy()
    holed[7, 2] = np.nan
    fit = all_terms(holed, matrix, person)
    without = all_terms(
        np.delete(values[:, 2], 7), np.delete(matrix, 7, axis=0), np.delete(person, 7)
    )
    close(fit.estimate[:, [0, 1, 3]], full.estimate[:, [0, 1, 3]], rtol=1e-10)
    close(fit.estimate[:, 2], without.estimate[:, 0], rtol=1e-10)
    close(fit.df[:, 2], without.df[:, 0], rtol=1e-8)
    assert (full.n_rows[0] - fit.n_rows).tolist() == [0, 0, 1, 0]


def test_a_missing_covariate_takes_the_row_out_of_all_tests(trial):
    values, matrix, person = trial
    holed = matrix.copy()
    holed[4, 4] = np.nan
    fit = all_terms(values[:, :2], holed, person)
    keep = np.arange(len(person)) != 4
    close(fit.estimate, all_terms(values[keep, :2], matrix[keep], person[keep]).estimate)


def repelling(n_tests=1):
    """Sessions of a person that are correlated negatively, two arms."""
    rng = np.random.default_rng(5)
    first = rng.normal(size=(16, n_tests))
    second = -0.8 * first + 0.6 * rng.normal(size=(16, n_tests))
    arm = (np.arange(16) % 2).astype(float)
    values = np.concatenate([first, second])
    time = np.repeat([0.0, 1.0], 16)
    arms = np.tile(arm, 2)
    matrix = np.column_stack([np.ones(32), time, arms, arms * time])
    return values, matrix, np.tile(np.arange(16), 2), second - first, arm


def test_a_negative_variance_is_counted_and_gives_difference_scores():
    values, matrix, person, change, arm = repelling()
    fit = all_terms(values, matrix, person)
    assert fit.negative.tolist() == [True]
    assert fit.variance_person[0] < 0
    assert fit.note[0] == DIFFERENCES
    groups = change[arm == 1, 0], change[arm == 0, 0]
    close(fit.estimate[3, 0], groups[0].mean() - groups[1].mean(), rtol=1e-10)
    close(fit.df[3, 0], 14, rtol=1e-8)
    close(p_values(fit)[3, 0], stats.ttest_ind(*groups).pvalue, rtol=1e-8)


def test_a_pinned_variance_is_least_squares_and_says_so():
    values, matrix, person, _, _ = repelling()
    fit = all_terms(values, matrix, person, pinned=True)
    effects, squares, _, _ = np.linalg.lstsq(matrix, values[:, 0], rcond=None)
    close(fit.estimate[:, 0], effects, rtol=1e-10)
    close(fit.variance_residual, squares / 28, rtol=1e-10)
    close(fit.df[:, 0], 28)
    assert (fit.variance_person[0], fit.note[0]) == (0, PINNED)
    assert fit.negative.tolist() == [True]


def test_a_negative_variance_with_dropout_is_noted():
    values, matrix, person, _, _ = repelling()
    fit = all_terms(values[:-3], matrix[:-3], person[:-3])
    assert fit.note[0] == NEGATIVE
    assert fit.variance_person[0] < 0


def test_tests_that_cannot_be_made_say_why():
    rng = np.random.default_rng(2)
    person, time = np.repeat(np.arange(6), 2), np.tile([0.0, 1.0], 6)
    matrix = np.column_stack([np.ones(12), time])
    values = rng.normal(size=(12, 6))
    values[:, 0] = np.nan
    values[time == 1, 1] = np.nan
    values[:, 2] = 7.3
    values[time == 1, 3] = values[time == 0, 3] + 0.5
    values[2:, 4] = np.nan
    fit = all_terms(values, matrix, person)
    assert fit.note.tolist() == [
        "not tested: no values",
        "not tested: nobody has two sessions",
        "no variation",
        "no variation within people",
        "not tested: too few people for these terms",
        "",
    ]
    assert np.isnan(fit.estimate[:, :5]).all()
    assert np.isnan(fit.df[:, :5]).all()
    assert np.isfinite(fit.df[:, 5]).all()


def test_collinear_terms_are_not_tested(trial):
    values, matrix, person = trial
    fit = all_terms(values, np.column_stack([matrix, matrix[:, 1] + matrix[:, 2]]), person)
    assert set(fit.note) == {"not tested: terms are collinear in these rows"}


def test_arguments_that_do_not_fit_are_refused(trial):
    values, matrix, person = trial
    with pytest.raises(ValueError, match="same number of rows"):
        all_terms(values, matrix, person[1:])
    with pytest.raises(ValueError, match="one column per column of matrix"):
        random_intercept(values, matrix, person, np.eye(3))
    with pytest.raises(ValueError, match="REML or ML"):
        all_terms(values, matrix, person, method="reml")


@pytest.mark.parametrize("icc", [0.0, 0.3, 0.8])
@pytest.mark.parametrize("n_sessions", [2, 3])
def test_false_positives_and_coverage_with_dropout(icc, n_sessions):
    rng = np.random.default_rng(17)
    n_people, n_tests, effect = 30, 4000, 0.4
    person = np.repeat(np.arange(n_people), n_sessions)
    time = np.tile(np.arange(n_sessions, dtype=float), n_people)
    arm = (person % 2).astype(float)
    values = np.sqrt(1 - icc) * rng.normal(size=(len(person), n_tests))
    values += np.sqrt(icc) * rng.normal(size=(n_people, n_tests))[person]
    values += effect * time[:, None]
    keep = (time == 0) | (rng.random(len(time)) > 0.2)
    matrix = np.column_stack([np.ones(len(time)), time, arm, arm * time])
    fit = all_terms(values[keep], matrix[keep], person[keep])
    margin = 3 * np.sqrt(0.05 * 0.95 / n_tests)
    assert np.mean(p_values(fit)[3] < 0.05) == pytest.approx(0.05, abs=margin)
    half = stats.t.ppf(0.975, fit.df[1]) * fit.standard_error[1]
    covered = np.abs(fit.estimate[1] - effect) < half
    assert covered.mean() == pytest.approx(0.95, abs=margin)
