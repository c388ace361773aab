"""Maximum likelihood for models of means and covariances."""

import numpy as np
import pytest
import statsmodels.api as sm
from scipy import stats

from workflows.compute.covariance_structure import (
    PROCESS_COLUMNS,
    Path,
    Structure,
    Term,
    derived,
    fit_structure,
    likelihood_limits,
    likelihood_loss,
    likelihood_ratio,
    saturated_moments,
    term_table,
)
from workflows.compute.problems import ModelError


@pytest.fixture
def rng():
    return np.random.default_rng(21)


def scores(rng, n=60):
    mixing = np.array([[1, 0.5, 0], [0, 1, 0.3], [0, 0, 1]])
    return rng.normal(size=(n, 3)) @ mixing * [1, 10, 100] + [5, 1, -3]


def moments(names, values):
    means = values.mean(axis=0)
    return [
        path
        for name, mean, variance in zip(names, means, values.var(axis=0), strict=True)
        for path in (
            Path("mean", name, "", f"mean {name}", mean),
            Path("covariance", name, name, f"variance {name}", variance),
        )
    ]


def path_model(values, *removed):
    paths = moments("abc", values)
    for target, source in (("b", "a"), ("c", "b"), ("c", "a")):
        label = f"{source}{target}"
        paths.append(Path("regression", target, source, "" if label in removed else label, 0.0))
    return Structure(tuple("abc"), (), tuple(paths))


def one_factor(values):
    size = dict(zip("abcd", values.std(axis=0), strict=True))
    paths = [
        Path("covariance", "f", "f", "variance f", size["a"] ** 2 / 2),
        *moments("abcd", values),
        Path("regression", "a", "f", "", 1.0),
        *(Path("regression", name, "f", f"load {name}", size[name] / size["a"]) for name in "bcd"),
    ]
    return fit_structure(Structure(tuple("abcd"), ("f",), tuple(paths)), values)


def test_a_path_model_is_ordinary_least_squares(rng):
    values = scores(rng)
    fit = fit_structure(path_model(values), values)
    other = sm.OLS(values[:, 2], sm.add_constant(values[:, [1, 0]])).fit()
    assert fit.value("bc") == pytest.approx(other.params[1], rel=1e-7)
    assert fit.value("ac") == pytest.approx(other.params[2], rel=1e-7)
    assert fit.value("mean c") == pytest.approx(other.params[0], rel=1e-6)
    # maximum likelihood divides by n where least squares divides by n - 3
    assert fit.error("bc") == pytest.approx(other.bse[1] * np.sqrt(57 / 60), rel=1e-6)
    assert fit.indices.chi2 == pytest.approx(0, abs=1e-8)
    assert (fit.indices.df, fit.n, fit.complete) == (0, 60, 60)


def test_a_saturated_model_gives_the_moments_of_the_sample(rng):
    values = scores(rng)
    fit = fit_structure(path_model(values), values)
    np.testing.assert_allclose(fit.all_mean, values.mean(axis=0), rtol=1e-9)
    np.testing.assert_allclose(fit.all_covariance, np.cov(values.T, ddof=0), rtol=1e-7, atol=1e-7)


def test_a_removed_path_gives_the_chi_square_of_its_partial_correlation(rng):
    values = scores(rng)
    fit = fit_structure(path_model(values, "ac"), values)
    residuals = [sm.OLS(values[:, at], sm.add_constant(values[:, 1])).fit().resid for at in (0, 2)]
    r = np.corrcoef(residuals)[0, 1]
    assert fit.indices.df == 1
    assert fit.indices.chi2 == pytest.approx(-60 * np.log(1 - r**2), rel=1e-6)
    free = fit_structure(path_model(values), values)
    chi2, df, p = likelihood_ratio(fit, free)
    assert (chi2, df) == (pytest.approx(fit.indices.chi2, rel=1e-6), 1)
    assert p == pytest.approx(stats.chi2.sf(chi2, 1))
    loss = likelihood_loss(path_model(values), values, free, "ac", 0.0)
    assert loss == pytest.approx(chi2, rel=1e-5)


def test_one_factor_agrees_with_the_maximum_likelihood_factor_analysis_of_another_tool(rng):
    factor = rng.normal(size=(200, 1))
    values = factor * [1, 0.8, 0.6, 0.9] + 0.6 * rng.normal(size=(200, 4))
    fit = one_factor(values)
    other = sm.Factor(values, n_factor=1, method="ml").fit()
    size = values.std(axis=0)
    loading = np.array([1, *(fit.value(f"load {name}") for name in "bcd")])
    ours = loading * np.sqrt(fit.value("variance f")) / size
    np.testing.assert_allclose(ours, np.abs(other.loadings[:, 0]), atol=2e-4)
    assert fit.indices.df == 2


def test_units_do_not_matter(rng):
    values = rng.normal(size=(80, 1)) * [1, 0.8, 0.6, 0.9] + rng.normal(size=(80, 4))
    one, other = one_factor(values), one_factor(values * [1e-3, 1, 1e3, 10])
    assert other.value("load c") == pytest.approx(one.value("load c") * 1e6, rel=1e-5)
    assert other.indices.chi2 == pytest.approx(one.indices.chi2, abs=1e-6)


def test_indices_follow_their_definitions(rng):
    values = scores(rng)
    fit = fit_structure(path_model(values, "ac"), values)
    chi2, n = fit.indices.chi2, 60
    worst = -n * np.log(np.linalg.det(np.corrcoef(values.T)))
    assert fit.indices.cfi == pytest.approx(1 - max(chi2 - 1, 0) / (worst - 3), rel=1e-6)
    assert fit.indices.rmsea == pytest.approx(np.sqrt(max(chi2 - 1, 0) / n), abs=1e-9)
    # all moments are met but one correlation, which becomes the product of the two others
    r = np.corrcoef(values.T)
    off = r[0, 2] - r[0, 1] * r[1, 2]
    assert fit.indices.srmr == pytest.approx(np.sqrt(off**2 / 9), rel=1e-6)
    assert fit.indices.aic == pytest.approx(-2 * fit.indices.log_likelihood + 16)
    if chi2 > 1:
        top = stats.ncx2.cdf(chi2, 1, fit.indices.rmsea_high**2 * n)
        assert top == pytest.approx(0.05, abs=1e-6)


def test_the_likelihood_is_that_of_the_normal_distribution_of_what_is_there(rng):
    values = scores(rng)
    values[rng.random(values.shape) < 0.2] = np.nan
    fit = fit_structure(path_model(scores(rng)), values)
    total = 0.0
    for row in values:
        there = np.isfinite(row)
        if there.any():
            total += stats.multivariate_normal.logpdf(
                row[there], fit.all_mean[there], fit.all_covariance[np.ix_(there, there)]
            )
    assert fit.indices.log_likelihood == pytest.approx(total, rel=1e-9)
    mean, covariance = saturated_moments(values)
    np.testing.assert_allclose(fit.all_mean, mean, rtol=1e-4)
    np.testing.assert_allclose(fit.all_covariance, covariance, rtol=1e-3, atol=1e-3)
    holes = int(np.isnan(values[np.isfinite(values).any(axis=1)]).sum())
    assert any(note.startswith(f"{holes} values missing") for note in fit.notes)


def test_an_outcome_missing_at_random_regresses_on_what_is_known():
    # second score known for 6 of 10: its mean is the regression line at the mean of the first
    first = np.array([1.0, 2, 3, 4, 5, 6, 7, 8, 9, 12])
    second = np.array([2.0, 1, 4, 4, 7, 5] + [np.nan] * 4)
    paths = moments("ab", np.column_stack([first, np.nan_to_num(second, nan=3.0)]))
    paths.append(Path("regression", "b", "a", "ab", 0.0))
    fit = fit_structure(Structure(("a", "b"), (), tuple(paths)), np.column_stack([first, second]))
    slope, intercept = np.polyfit(first[:6], second[:6], 1)
    assert fit.value("ab") == pytest.approx(slope, rel=1e-7)
    assert fit.all_mean[1] == pytest.approx(intercept + slope * first.mean(), rel=1e-7)


def test_equal_labels_are_one_parameter(rng):
    values = rng.normal(size=(40, 2)) * [1, 3]
    paths = moments("ab", values)
    equal = [
        Path(path.kind, path.target, path.source, "variance", 1.0)
        if path.kind == "covariance"
        else path
        for path in paths
    ]
    fit = fit_structure(Structure(("a", "b"), (), tuple(equal)), values)
    assert fit.labels == ("mean a", "variance", "mean b")
    assert fit.value("variance") == pytest.approx(values.var(axis=0).mean(), rel=1e-8)
    assert fit.indices.df == 2


def test_a_function_of_parameters_has_the_error_of_the_delta_method(rng):
    values = scores(rng)
    fit = fit_structure(path_model(values), values)
    value, error = derived(fit, lambda at: at["ab"] * at["bc"])
    a, b = fit.value("ab"), fit.value("bc")
    places = [fit.labels.index(label) for label in ("ab", "bc")]
    spread = fit.covariance[np.ix_(places, places)]
    assert value == pytest.approx(a * b)
    assert error == pytest.approx(np.sqrt([b, a] @ spread @ [b, a]), rel=1e-5)


def test_limits_from_the_likelihood_are_those_of_the_t_test_for_a_slope():
    rng = np.random.default_rng(3)
    x = rng.normal(size=30)
    values = np.column_stack([x, 0.4 * x + rng.normal(size=30)])
    paths = [*moments("ab", values), Path("regression", "b", "a", "ab", 0.0)]
    structure = Structure(("a", "b"), (), tuple(paths))
    fit = fit_structure(structure, values)
    term = Term("ab", fit.value("ab"), fit.error("ab"), 28)
    low, high, statistic = likelihood_limits(structure, values, fit, term, 0.95, 30).limits
    other = sm.OLS(values[:, 1], sm.add_constant(x)).fit()
    t = other.tvalues[1]
    # exact relation of the two statistics: loss = n log(1 + t**2 / df)
    assert statistic == pytest.approx(np.sign(t) * np.sqrt(28 * np.log1p(t**2 / 28)), rel=1e-4)
    far = np.sqrt(28 * np.expm1(stats.t.ppf(0.975, 28) ** 2 / 28)) * other.bse[1]
    expected = [other.params[1] - far, other.params[1] + far]
    np.testing.assert_allclose([low, high], expected, atol=2e-3 * far)


def test_rows_have_the_intervals_of_their_scale():
    terms = [
        Term("path", 2.0, 1.0, 10),
        Term("spread", 4.0, 4.0 * np.sqrt(2 / 20), scale="variance"),
        Term("r", 0.5, (1 - 0.25) / np.sqrt(37), scale="fisher"),
        Term("own", -1.0, 0.5, 10, tested=False),
    ]
    table = term_table(terms, 40, 0.95).set_index("term")
    assert [*table.reset_index().columns] == PROCESS_COLUMNS
    assert table.loc["path", "ci_low"] == pytest.approx(2 - stats.t.ppf(0.975, 10))
    assert table.loc["path", "p"] == pytest.approx(2 * stats.t.sf(2, 10))
    limits = 20 * 4 / stats.chi2.ppf([0.975, 0.025], 20)
    assert table.loc["spread", ["ci_low", "ci_high"]].tolist() == pytest.approx(limits.tolist())
    assert np.isnan(table.loc["spread", "p"])
    z = np.arctanh(0.5)
    assert table.loc["r", "ci_low"] == pytest.approx(np.tanh(z - 1.959964 / np.sqrt(37)), rel=1e-6)
    assert np.isnan(table.loc["own", "p"])
    assert table.loc["own", "ci_high"] == pytest.approx(-1 + 0.5 * stats.t.ppf(0.975, 10))


def test_a_negative_variance_is_named_and_has_no_interval(rng):
    values = rng.normal(size=(60, 2))
    values[:, 1] -= 0.8 * values[:, 0]
    paths = [
        Path("covariance", "person", "person", "variance person", 0.1),
        *(Path("regression", name, "person", "", 1.0) for name in "ab"),
        *moments("ab", values),
    ]
    fit = fit_structure(Structure(("a", "b"), ("person",), tuple(paths)), values)
    # the variance of the person is the covariance of the two scores
    covariance = np.cov(values.T, ddof=0)[0, 1]
    assert fit.value("variance person") == pytest.approx(covariance, rel=1e-6)
    assert covariance < 0
    assert "negative variance of 'person'" in fit.notes
    row = term_table([Term("v", covariance, 0.1, scale="variance")], 60, 0.95).iloc[0]
    assert np.isnan(row["ci_low"])


def test_a_model_the_data_do_not_determine_names_a_parameter(rng):
    values = rng.normal(size=(50, 2))
    paths = [
        Path("covariance", "f", "f", "variance f", 1.0),
        *moments("ab", values),
        Path("regression", "a", "f", "", 1.0),
        Path("regression", "b", "f", "load", 1.0),
    ]
    with pytest.raises(ModelError, match="do not determine the parameter"):
        fit_structure(Structure(("a", "b"), ("f",), tuple(paths)), values)


def test_bad_values_say_what_to_do(rng):
    values = scores(rng)
    structure = path_model(values)
    flat = values.copy()
    flat[:, 1] = 3.0
    with pytest.raises(ModelError, match="'b' is the same for everybody"):
        fit_structure(structure, flat)
    with pytest.raises(ModelError, match="4 participants with values, 10 needed"):
        fit_structure(structure, values[:4])
    with pytest.raises(ValueError, match="need 3 columns"):
        fit_structure(structure, values[:, :2])
    double = values.copy()
    double[:, 2] = 2 * double[:, 1]
    with pytest.raises(ModelError):
        fit_structure(structure, double)


def test_people_without_any_value_are_counted_and_change_nothing(rng):
    values = scores(rng)
    fit = fit_structure(path_model(values), values)
    more = fit_structure(path_model(values), np.vstack([values, np.full((2, 3), np.nan)]))
    assert more.estimate == pytest.approx(fit.estimate, rel=1e-9)
    assert more.n == 60
    assert "2 participants without any value left out" in more.notes


def test_few_participants_get_no_test_of_fit(rng):
    values = rng.normal(size=(11, 4)) + rng.normal(size=(11, 1))
    fit = fit_structure(Structure(tuple("abcd"), (), tuple(moments("abcd", values))), values)
    assert np.isnan(fit.indices.p)
    assert "no test of fit: 11 participants for 4 scores, 12 needed" in fit.notes
