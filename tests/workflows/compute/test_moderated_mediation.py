"""Indirect effects that depend on a moderator."""

from dataclasses import replace

import numpy as np
import pytest
import statsmodels.api as sm

from workflows.compute.bootstrap import Resampling
from workflows.compute.mediation_data import MediationData
from workflows.compute.moderated_mediation import interaction_mediation, moderated_mediation
from workflows.compute.problems import ModelError

HOW = Resampling(399, 0.95)


@pytest.fixture
def rng():
    return np.random.default_rng(41)


def trial(rng, n=80):
    t, w, age = np.tile([0.0, 1], n // 2), rng.normal(10, 3, n), rng.normal(size=n)
    m = (0.5 + 0.2 * (w - 10)) * t + 0.1 * w + rng.normal(size=n)
    y = 2 + 0.3 * t + (0.4 - 0.1 * (w - 10)) * m + 0.2 * age + rng.normal(size=n)
    return MediationData(
        t[:, None], ("cbt - waiting",), m[:, None], ("m",), y, age[:, None], ("age",)
    ), w


def regressions(data, w, stages):
    c, t, m = w - w.mean(), data.treatment[:, 0], data.mediators[:, 0]
    base = np.column_stack([np.ones(len(t)), t, data.covariates, c])
    first = np.column_stack([base, t * c]) if "a" in stages else base
    second = np.column_stack([base, m, *([t * c] if "direct" in stages else [])])
    second = np.column_stack([second, m * c]) if "b" in stages else second
    return sm.OLS(m, first).fit().params, sm.OLS(data.outcome, second).fit().params


@pytest.mark.parametrize("stages", [{"a"}, {"b"}, {"a", "b"}, {"a", "b", "direct"}])
def test_conditional_effects_equal_those_of_two_regressions(rng, stages):
    data, w = trial(rng)
    rows = moderated_mediation(data, ("severity", w), frozenset(stages), HOW, rng).rows
    first, second = regressions(data, w, stages)
    a_slope = first[4] if "a" in stages else 0
    b_slope = second[-1] if "b" in stages else 0
    shifts = np.array([-1, 0, 1]) * w.std(ddof=1)
    expected = (first[1] + a_slope * shifts) * (second[4] + b_slope * shifts)
    found = rows[rows["path"].str.fullmatch(r"indirect at severity = [\d.]+")]["estimate"]
    np.testing.assert_allclose(found, expected, rtol=1e-8)
    estimate = rows.set_index("path")["estimate"]
    if len(stages) == 1:
        index = a_slope * second[4] + b_slope * first[1]
        assert estimate["index of moderated mediation"] == pytest.approx(index, rel=1e-8)
    else:
        difference = estimate[estimate.index.str.contains("minus at")].iloc[0]
        assert difference == pytest.approx(expected[2] - expected[0], rel=1e-8)
    if "direct" in stages:
        assert estimate["direct x severity"] == pytest.approx(second[5], rel=1e-8)


def test_a_moderator_with_two_values_gives_both_effects(rng):
    data, w = trial(rng)
    sex = (w > 10).astype(float)
    rows = moderated_mediation(data, ("sex", sex), frozenset({"a"}), HOW, rng).rows
    estimate = rows.set_index("path")["estimate"]
    gap = estimate["indirect at sex = 1"] - estimate["indirect at sex = 0"]
    assert gap == pytest.approx(estimate["index of moderated mediation"], rel=1e-9)


def test_turning_the_moderator_flips_the_index_and_keeps_the_middle(rng):
    data, w = trial(rng)
    tables = [
        moderated_mediation(
            data, ("w", value), frozenset({"a"}), HOW, np.random.default_rng(3)
        ).rows
        for value in (w, -w)
    ]
    index = [table.set_index("path").loc["index of moderated mediation"] for table in tables]
    assert index[1]["estimate"] == pytest.approx(-index[0]["estimate"])
    assert index[1]["ci_low"] == pytest.approx(-index[0]["ci_high"])
    at = [table[table["path"].str.startswith("indirect at")]["estimate"] for table in tables]
    np.testing.assert_allclose(at[1], at[0][::-1], rtol=1e-9)


def test_an_unknown_moderator_leaves_the_participant_out(rng):
    data, w = trial(rng)
    w[[2, 5, 9]] = np.nan
    result = moderated_mediation(data, ("w", w), frozenset({"b"}), HOW, rng)
    assert (result.n, result.n_left_out) == (77, 3)
    assert np.isfinite(
        result.rows.loc[result.rows["path"] != "proportion mediated", "estimate"]
    ).all()


def test_a_moderator_that_is_the_treatment_is_refused(rng):
    data, _ = trial(rng)
    with pytest.raises(ModelError, match="'w' is a sum of other variables"):
        moderated_mediation(data, ("w", data.treatment[:, 0]), frozenset({"a"}), HOW, rng)


def test_a_model_of_nothing_moderated_is_refused(rng):
    data, w = trial(rng)
    with pytest.raises(ValueError, match="stages: at least one of"):
        moderated_mediation(data, ("w", w), frozenset(), HOW, rng)


def test_levels_of_a_dose_scale_its_effects(rng):
    data, _ = trial(rng)
    dose = replace(data, treatment=data.treatment * 8 + rng.normal(size=(80, 1)), is_dose=True)
    unit, wide = (
        interaction_mediation(dose, levels, HOW, rng).rows.set_index("path")["estimate"]
        for levels in ((0.0, 1.0), (0.0, 8.0))
    )
    # at level 0 the indirect effect is a * b per unit
    assert wide["d0"] == pytest.approx(8 * unit["d0"])
    assert wide["d0"] == pytest.approx(8 * unit["a"] * unit["b"])
    assert wide["d1"] == pytest.approx(
        8 * unit["a"] * (unit["b"] + 8 * unit["treatment x mediator"])
    )
    with pytest.raises(ValueError, match="levels: low before high"):
        interaction_mediation(dose, (1.0, 0.0), HOW, rng)
