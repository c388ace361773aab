"""Models of all sessions against difference scores, published numbers and known truth."""

import numpy as np
import pandas as pd
import pytest
import statsmodels.formula.api as smf
from statsmodels.regression.mixed_linear_model import MixedLM

from workflows.compute.design import DesignRequest
from workflows.compute.families import Cohort, Family
from workflows.compute.long_models import NOT_ESTIMABLE
from workflows.compute.models import run_model
from workflows.compute.results import ModelSpec

SESSIONS = ("pre", "mid", "post")


def family(values, sessions=SESSIONS):
    regions = [f"region{number}" for number in range(values.shape[2])]
    labels = pd.DataFrame({"region": regions, "region_a": None, "region_b": None})
    return Family("T1w", "volume", "A", "ml", labels, values, sessions)


def cohort(people, days=None):
    days = pd.DataFrame(index=people.index) if days is None else days
    return Cohort(people, pd.DataFrame(index=people.index), days=days)


def spec(kind="mixed", request=None, **fields):
    request = request or DesignRequest(("age",))
    arms = {"arm_column": "arm", "reference_arm": "WL"}
    return ModelSpec(kind, kind, planned=True, request=request, **arms, **fields)


@pytest.fixture
def rng():
    return np.random.default_rng(5)


@pytest.fixture
def people(rng):
    return pd.DataFrame({"arm": ["CBT", "WL"] * 15, "age": rng.normal(40, 10, 30)})


@pytest.fixture
def values(rng):
    person = rng.normal(10, 1, (1, 30, 5))
    return person + rng.normal(0, 0.5, (3, 30, 5))


def test_two_complete_sessions_give_exactly_the_difference_scores(people, values):
    two = family(values[:2], ("pre", "post"))
    columns = ["estimate", "standard_error", "df", "p", "effect_size", "n"]
    mixed = run_model(spec(), cohort(people), (two,)).rows
    change = run_model(spec("change"), cohort(people), (two,)).rows
    np.testing.assert_allclose(mixed[columns], change[columns], rtol=1e-6)
    assert mixed["term"].tolist() == change["term"].tolist() == ["CBT - WL"] * 5


def test_each_later_session_has_its_own_effect_and_equals_statsmodels(people, values):
    values = values.copy()
    values[2, :4] = np.nan
    rows = run_model(spec(request=DesignRequest()), cohort(people), (family(values),)).rows
    rows = rows[rows["region"] == "region2"]
    assert rows["term"].tolist() == ["CBT - WL at ses-mid", "CBT - WL at ses-post"]
    assert rows["n"].tolist() == [30, 30]
    long = pd.DataFrame(
        {
            "value": values[:, :, 2].ravel(),
            "session": np.repeat(["a", "b", "c"], 30),
            "person": np.tile(np.arange(30), 3),
            "cbt": np.tile((people["arm"] == "CBT").astype(float), 3),
        }
    ).dropna()
    fit = smf.mixedlm("value ~ C(session) * cbt", long, groups=long["person"]).fit()
    terms = ["C(session)[T.b]:cbt", "C(session)[T.c]:cbt"]
    np.testing.assert_allclose(rows["estimate"], fit.params[terms], rtol=1e-4)
    np.testing.assert_allclose(rows["standard_error"], fit.bse[terms], rtol=1e-3)


def test_people_who_lack_a_session_add_to_the_answer(people, values):
    values = values[[0, 2]].copy()
    values[1, 20:] = np.nan
    known = family(values, ("pre", "post"))
    mixed = run_model(spec(only_incomplete=True), cohort(people), (known,)).rows
    change = run_model(spec("change"), cohort(people), (known,)).rows
    assert mixed["n"].tolist() == [30] * 5
    assert change["n"].tolist() == [20] * 5
    np.testing.assert_allclose(mixed["estimate"], change["estimate"], atol=0.5)


def test_complete_families_are_left_to_the_difference_scores(people, values):
    result = run_model(
        spec(only_incomplete=True), cohort(people), (family(values[:2], ("pre", "post")),)
    )
    assert result.rows.empty
    assert result.problems == ()


def test_one_baseline_for_randomised_arms_lies_between_change_and_ancova(people, values, rng):
    values = (
        values[:2]
        + np.array([0.0, 0.4])[:, None, None] * (people["arm"] == "CBT").to_numpy()[None, :, None]
    )
    two = (family(values, ("pre", "post")),)
    kinds = ("change", "constrained_baseline", "baseline_adjusted")
    errors = [
        run_model(spec(kind), cohort(people), two).rows["standard_error"].to_numpy()
        for kind in kinds
    ]
    assert (errors[1] < errors[0]).all()
    rows = run_model(spec("constrained_baseline"), cohort(people), two).rows
    adjusted = run_model(spec("baseline_adjusted"), cohort(people), two).rows
    np.testing.assert_allclose(rows["estimate"], adjusted["estimate"], atol=0.1)


@pytest.mark.parametrize("random", ["intercept", "slope"])
def test_a_slope_over_time_is_given_per_week(people, random, rng):
    days = pd.DataFrame(dict(zip(SESSIONS, [0.0, 28.0, 84.0], strict=True)), index=people.index)
    rise = np.where(people["arm"] == "CBT", 0.25, 0.05)
    rise = rise + rng.normal(0, 0.05, 30)
    weeks = np.array([0.0, 4, 12])[:, None]
    values = 10 + rng.normal(0, 1, 30) + weeks * rise + rng.normal(0, 0.05, (3, 30))
    asked = spec(request=DesignRequest(), time="days", random=random)
    row = run_model(asked, cohort(people, days), (family(values[:, :, None]),)).rows.iloc[0]
    assert row["term"] == "CBT - WL per week"
    assert row["unit"] == "ml per week"
    assert row["estimate"] == pytest.approx(0.2, abs=0.05)
    assert row["p"] < 1e-6
    assert row["n"] == 30


def test_days_that_are_not_known_are_asked_for(people, values):
    result = run_model(spec(time="days"), cohort(people), (family(values),))
    assert result.problems[0].what == "days between sessions are not known"


def test_a_negative_variance_between_people_is_counted(people, rng):
    noise = rng.normal(0, 1, (30, 5))
    values = 10 + np.stack([noise, -noise + rng.normal(0, 0.1, (30, 5))])
    values[1, :3] = np.nan
    result = run_model(spec(), cohort(people), (family(values, ("pre", "post")),))
    assert "negative in 5 test(s) of mixed: T1w volume A" in result.problems[0].what
    assert result.problems[0].kind == "note"


@pytest.mark.parametrize("kind", ["mixed", "constrained_baseline"])
def test_an_arm_that_nobody_has_at_follow_up_leaves_the_session_before(people, values, kind):
    values = values.copy()
    values[2, 1::2] = np.nan
    asked = spec(kind, DesignRequest())
    rows = run_model(asked, cohort(people), (family(values),)).rows
    before, after = (rows[rows["term"] == f"CBT - WL at ses-{name}"] for name in ("mid", "post"))
    assert after["p"].isna().all()
    assert set(after["note"]) == {NOT_ESTIMABLE}
    table = pd.DataFrame(
        {
            "value": values[:, :, 0].ravel(),
            "wave": np.repeat([0, 1, 2], 30),
            "who": np.tile(np.arange(30), 3),
            "cbt": np.tile((people["arm"] == "CBT").astype(float), 3),
        }
    ).dropna()
    first = [] if kind == "constrained_baseline" else [table["cbt"]]
    waves = [(table["wave"] == wave).astype(float) for wave in (1, 2)]
    matrix = np.column_stack([np.ones(len(table)), table["cbt"] * waves[0], *waves, *first])
    other = MixedLM(table["value"], matrix, groups=table["who"]).fit(reml=True)
    same = np.equal.outer(table["who"].to_numpy(), table["who"].to_numpy())
    variance = other.scale * np.eye(len(table)) + np.asarray(other.cov_re)[0, 0] * same
    errors = np.sqrt(np.diag(np.linalg.inv(matrix.T @ np.linalg.solve(variance, matrix))))
    assert before["estimate"].iloc[0] == pytest.approx(other.params.iloc[1], rel=1e-4)
    assert before["standard_error"].iloc[0] == pytest.approx(errors[1], rel=1e-3)


def test_a_single_outcome_has_the_small_sample_errors_and_says_so(people, values):
    values = values[[0, 2]].copy()
    values[1, 20:] = np.nan
    asked, who = spec(), cohort(people)
    alone = run_model(asked, who, (family(values[:, :, :1], ("pre", "post")),)).rows.iloc[0]
    among = run_model(asked, who, (family(values, ("pre", "post")),)).rows.iloc[0]
    assert alone["estimate"] == pytest.approx(among["estimate"])
    assert "Kenward and Roger" in alone["note"]
    assert "Kenward and Roger" not in among["note"]
    assert 1 <= alone["standard_error"] / among["standard_error"] < 1.1


def test_the_last_test_of_a_large_family_is_fitted_like_the_others(people, values, monkeypatch):
    values = values[[0, 2]].copy()
    values[1, 20:] = np.nan
    tests = (family(values, ("pre", "post")),)
    whole = run_model(spec(), cohort(people), tests).rows
    monkeypatch.setattr("workflows.compute.families.BLOCK", 4)
    parts = run_model(spec(), cohort(people), tests).rows
    pd.testing.assert_frame_equal(parts, whole)
