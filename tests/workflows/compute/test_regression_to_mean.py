"""Error alone relates change to its baseline: how much, and the slope without it."""

import numpy as np
import pytest

from workflows.compute.association import PrePost
from workflows.compute.design import Design
from workflows.compute.regression_to_mean import (
    MeasurementError,
    baseline_warning,
    corrected_slope,
    expected_change_of_selected,
    expected_correlation,
)


@pytest.fixture
def rng():
    return np.random.default_rng(21)


def design(n):
    arms = np.array(["b", "a"] * (n // 2), dtype=object)
    matrix = np.column_stack([np.ones(n), arms == "b"]).astype(float)
    return Design(matrix, ("mean change", "b - a"), 2, arms, ("a", "b"), "arm", ())


def sessions(rng, reliability, slope, shape):
    """Both sessions of true scores with variance 1 x reliability that change by slope."""
    true = np.sqrt(reliability) * rng.normal(size=shape)
    later = (1 + slope) * true + 0.4 * (slope != 0) * rng.normal(size=shape)
    error = np.sqrt(1 - reliability) * rng.normal(size=(2, *shape))
    return PrePost(true + error[0], later + error[1])


@pytest.mark.parametrize(
    ("reliability", "r"), [(0.29, -0.5958), (0.80, -0.3162), (0.95, -0.1581), (1.0, 0.0)]
)
def test_expected_correlation_by_formula_and_by_simulation(rng, reliability, r):
    assert expected_correlation(reliability) == pytest.approx(r, abs=5e-5)
    measure = sessions(rng, reliability, 0.0, (100_000,))
    change = measure.followup - measure.baseline
    if reliability < 1:
        found = np.corrcoef(measure.baseline, change)[0, 1]
        assert found == pytest.approx(r, abs=0.01)


def test_expected_change_of_people_picked_above_a_cut_off(rng):
    # reliability .8, SD 10, cut-off at the mean: -.2 * 10 * sqrt(2 / pi)
    expected = -0.2 * 10 * np.sqrt(2 / np.pi)
    assert expected_change_of_selected(10, 0.8, 0.0) == pytest.approx(expected)
    assert expected_change_of_selected(10, 0.8, 0.0, above=False) == pytest.approx(-expected)
    measure = sessions(rng, 0.8, 0.0, (200_000,))
    picked = 10 * measure.baseline > 12
    change = 10 * (measure.followup - measure.baseline)[picked].mean()
    assert expected_change_of_selected(10, 0.8, 1.2) == pytest.approx(change, abs=0.1)
    assert np.isfinite(expected_change_of_selected(10, 0.8, 40.0))


def test_corrected_slope_by_hand():
    baseline = np.array([1.0, 1, 3, 3, 5, 5])[:, None]
    followup = np.array([2.0, 1, 2, 3, 3, 4])[:, None]
    # within arms (1, 3, 5), (1, 3, 5) with changes (1, -1, -2), (0, 0, -1): b = -8 / 16
    found = corrected_slope(
        PrePost(baseline, followup), MeasurementError(reliability=0.8), design(6), 4, 0.95
    )
    assert found.observed[0] == pytest.approx(-0.5)
    assert found.corrected[0] == pytest.approx((-0.5 + 0.2) / 0.8)
    # squares of change 4.667 + .667 - 8**2 / 16, 3 degrees of freedom
    error = np.sqrt((5.333333 - 4) / 3 / 16) / 0.8
    assert found.high[0] - found.corrected[0] == pytest.approx(3.18244631 * error, rel=1e-6)
    assert found.corrected[0] - found.low[0] == pytest.approx(3.18244631 * error, rel=1e-6)


def test_error_variance_and_the_reliability_it_makes_give_one_slope(rng):
    measure = sessions(rng, 0.8, -0.3, (60, 4))
    within = [
        np.array([measure.baseline[start::2, test].var(ddof=0) for start in (0, 1)])
        for test in range(4)
    ]
    variance = np.array([30 * parts.sum() / 58 for parts in within])
    first = corrected_slope(measure, MeasurementError(variance=0.2), design(60), 4, 0.95)
    share = MeasurementError(reliability=1 - 0.2 / variance)
    second = corrected_slope(measure, share, design(60), 4, 0.95)
    np.testing.assert_allclose(first.corrected, second.corrected, rtol=1e-10)


@pytest.mark.parametrize("slope", [0.0, -0.3])
@pytest.mark.parametrize("error", [{"reliability": 0.8}, {"variance": 0.2}])
def test_corrected_slope_is_unbiased_and_its_interval_covers(rng, slope, error):
    measure = sessions(rng, 0.8, slope, (40, 4000))
    found = corrected_slope(measure, MeasurementError(**error), design(40), 4, 0.95)
    assert np.median(found.corrected) == pytest.approx(slope, abs=0.02)
    assert np.median(found.observed) == pytest.approx(0.8 * slope - 0.2, abs=0.02)
    assert 0.935 <= np.mean((found.low <= slope) & (slope <= found.high)) <= 0.965


def test_no_error_leaves_the_observed_slope(rng):
    measure = sessions(rng, 0.6, -0.3, (20, 2))
    found = corrected_slope(measure, MeasurementError(reliability=1.0), design(20), 4, 0.95)
    np.testing.assert_allclose(found.corrected, found.observed)


def test_error_as_large_as_the_differences_gives_no_slope(rng):
    measure = sessions(rng, 0.5, 0.0, (20, 3))
    errors = np.array([50.0, np.nan, 0.95 * measure.baseline[:, 2].var()])
    found = corrected_slope(measure, MeasurementError(variance=errors), design(20), 4, 0.95)
    assert np.isnan(found.corrected[:2]).all()
    assert np.isnan(found.low[:2]).all()
    assert found.note.tolist() == [
        "not corrected: the declared error is as large as the differences between participants",
        "not corrected: no reliability declared",
        "the declared error is too large for a bounded interval",
    ]
    assert (found.low[2], found.high[2]) == (-np.inf, np.inf)


def test_missing_values_and_constant_measures_are_explained(rng):
    measure = sessions(rng, 0.8, 0.0, (20, 3))
    measure.baseline[:, 1], measure.followup[4:, 2] = 3.0, np.nan
    measure.followup[0, 0] = np.nan
    found = corrected_slope(measure, MeasurementError(reliability=0.8), design(20), 6, 0.95)
    assert found.n.tolist() == [19, 20, 4]
    assert found.note.tolist() == [
        "",
        "no variation between participants",
        "not tested: 4 participants, 6 needed",
    ]


def test_the_warning_names_the_size_and_what_to_do():
    known, unknown = baseline_warning("BDI", 0.8), baseline_warning("BDI", np.nan)
    assert "r = -0.32 when nobody changes (declared reliability 0.80)" in known.what
    assert "corrected slope" in known.what_to_do
    assert "r = -0.50 at reliability .50 and -0.22 at .90" in unknown.what
    assert "declare the reliability" in unknown.what_to_do


@pytest.mark.parametrize(
    "wrong", [{}, {"reliability": 0.8, "variance": 1.0}, {"reliability": 1.2}, {"variance": -1.0}]
)
def test_an_impossible_error_is_refused(wrong):
    with pytest.raises(ValueError, match=r"reliability|variance"):
        MeasurementError(**wrong)
