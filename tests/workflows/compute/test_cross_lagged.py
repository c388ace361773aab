"""Random-intercept cross-lagged panel model."""

import numpy as np
import pytest
from scipy import stats

from workflows.compute.covariance_structure import fit_structure, likelihood_loss
from workflows.compute.cross_lagged import cross_lagged, panel_structure
from workflows.compute.problems import ModelError

NAMES = ("alliance", "symptoms")
CARRY = np.array([[0.3, 0.1], [-0.25, 0.4]])


def panel(rng, n, n_occasions, stable=1.0):
    """Deviations carried over by CARRY (rows: target), stable parts correlated -.4."""
    person = rng.multivariate_normal([0, 0], stable * np.array([[1, -0.4], [-0.4, 1]]), n)
    state = rng.multivariate_normal([0, 0], [[1, -0.3], [-0.3, 1]], n)
    scores = []
    for at in range(n_occasions):
        if at:
            shock = rng.multivariate_normal([0, 0], [[0.8, -0.2], [-0.2, 0.8]], n)
            state = state @ CARRY.T + shock
        scores.append(state + person + [5 + 0.2 * at, 20 - at])
    return np.array(scores)[:, :, 0].T, np.array(scores)[:, :, 1].T


@pytest.fixture(scope="module")
def large():
    first, second = panel(np.random.default_rng(8), 4000, 4)
    return first, second, cross_lagged(first, second, NAMES, 0.95)


def test_known_paths_are_recovered_in_their_direction(large):
    table = large[2].rows.set_index("term")
    truth = {
        "alliance -> alliance": 0.3,
        "symptoms -> alliance": 0.1,
        "alliance -> symptoms": -0.25,
        "symptoms -> symptoms": 0.4,
        "between-person correlation": -0.4,
        "within-person correlation at the first occasion": -0.3,
    }
    for term, value in truth.items():
        assert table.loc[term, "estimate"] == pytest.approx(value, abs=0.06)
        assert table.loc[term, "ci_low"] < value < table.loc[term, "ci_high"]
    assert large[2].indices.df == 44 - 27
    assert large[2].indices.p > 0.001
    assert table.loc["alliance -> symptoms", "p"] < 1e-6
    assert table.loc["alliance -> symptoms", "standardised"] == pytest.approx(-0.24, abs=0.05)


def test_swapping_the_measures_swaps_the_paths_and_units_scale_them(large):
    first, second, result = large
    first, second = first[:150], second[:150]
    one = cross_lagged(first, second, NAMES, 0.95).rows.set_index("term")
    other = cross_lagged(10 * second, first, NAMES[::-1], 0.95).rows.set_index("term")
    assert other.loc["symptoms -> alliance", "estimate"] == pytest.approx(
        one.loc["symptoms -> alliance", "estimate"] / 10, rel=1e-4
    )
    for column in ("statistic", "standardised"):
        assert other[column].loc[one.index].tolist() == pytest.approx(
            one[column].tolist(), rel=1e-3, abs=1e-3
        )


def test_a_constant_for_each_person_or_occasion_changes_no_path():
    rng = np.random.default_rng(4)
    first, second = panel(rng, 150, 4)
    one = cross_lagged(first, second, NAMES, 0.95).rows
    moved = cross_lagged(first + [0, 5, -3, 2], second + [1, 1, 8, 2], NAMES, 0.95).rows
    assert moved["estimate"].tolist() == pytest.approx(one["estimate"].tolist(), abs=1e-5)


def test_free_paths_have_one_estimate_per_interval():
    first, second = panel(np.random.default_rng(4), 400, 4)
    result = cross_lagged(first, second, NAMES, 0.95, equal_paths=False)
    terms = result.rows["term"].tolist()
    assert [term for term in terms if term.startswith("alliance -> symptoms")] == [
        "alliance -> symptoms 1",
        "alliance -> symptoms 2",
        "alliance -> symptoms 3",
    ]
    assert result.indices.df == 44 - 35


def test_dropout_that_depends_on_symptoms_does_not_bias_the_paths():
    rng = np.random.default_rng(12)
    first, second = panel(rng, 4000, 3)
    gone = second[:, 1] > 20
    first[gone, 2] = second[gone, 2] = np.nan
    result = cross_lagged(first, second, NAMES, 0.95)
    table = result.rows.set_index("term")
    assert table.loc["alliance -> symptoms", "estimate"] == pytest.approx(-0.25, abs=0.08)
    assert table.loc["symptoms -> symptoms", "estimate"] == pytest.approx(0.4, abs=0.12)
    assert table["n"].eq(4000).all()
    assert any("missing at random" in note for note in result.notes)


def test_without_an_effect_about_one_test_in_twenty_rejects():
    rejected = []
    rng = np.random.default_rng(5)
    for _ in range(40):
        first, _ = panel(rng, 50, 5)
        _, second = panel(rng, 50, 5)
        structure, values = panel_structure(first, second, NAMES, True), np.hstack([first, second])
        fit = fit_structure(structure, values)
        loss = likelihood_loss(structure, values, fit, "alliance -> symptoms", 0.0)
        rejected.append(loss * 47 / 50 > stats.f.ppf(0.95, 1, 47))
    assert sum(rejected) <= stats.binom.ppf(0.999, 40, 0.05)


def test_a_negative_variance_between_people_leaves_their_correlation_out():
    rng = np.random.default_rng(3)
    first, second = panel(rng, 60, 3, stable=0.0)
    first -= 0.4 * np.roll(first, 1, axis=1)
    result = cross_lagged(first, second, NAMES, 0.95)
    row = result.rows.set_index("term").loc["between-person correlation"]
    assert any("negative variance" in note for note in result.notes)
    assert np.isnan(row["estimate"])
    assert row["note"] == "not defined: a variance is estimated as negative"


def test_two_occasions_are_refused():
    first, second = panel(np.random.default_rng(3), 60, 2)
    with pytest.raises(ModelError, match="2 occasions"):
        cross_lagged(first, second, NAMES, 0.95)
    with pytest.raises(ValueError, match="same shape"):
        cross_lagged(first, second[:, :1], NAMES, 0.95)
    with pytest.raises(ValueError, match="different names"):
        cross_lagged(first, second, ("a", "a"), 0.95)
