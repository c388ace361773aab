"""Outcome models against published numbers, statsmodels and simulated truth."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import statsmodels.formula.api as smf
from scipy import stats

from workflows.compute.design import DesignRequest
from workflows.compute.families import Cohort, Family
from workflows.compute.model_permutation import PermutationPlan
from workflows.compute.models import run_model
from workflows.compute.results import ALL_ARMS, MODEL_COLUMNS, NO_REFERENCE, ONE_ARM, ModelSpec

DATA = Path(__file__).parents[2] / "data"
N_TESTS = 2000
ASKED = ("covariates", "formula", "test", "contrasts", "moderator")
TOLERANCE = 3 * np.sqrt(0.05 * 0.95 / N_TESTS)


def family(baseline, followup, measure="volume", modality="T1w"):
    regions = [f"region{number}" for number in range(baseline.shape[1])]
    labels = pd.DataFrame({"region": regions, "region_a": None, "region_b": None})
    return Family(modality, measure, "A", "ml", labels, np.stack([baseline, followup]))


def cohort(participants, **scores):
    return Cohort(participants, pd.DataFrame(scores, index=participants.index))


def spec(kind="change", **fields):
    asked = {name: fields.pop(name) for name in ASKED if name in fields}
    fields = {"name": kind, "kind": kind, "planned": True, **fields}
    return ModelSpec(**fields, request=DesignRequest(**asked))


@pytest.fixture
def rng():
    return np.random.default_rng(20)


@pytest.fixture
def trial(rng):
    """Forty people in two arms with age and sex, and the noise of `N_TESTS` regions."""
    people = pd.DataFrame(
        {"arm": ["CBT", "WL"] * 20, "age": rng.normal(40, 10, 40), "sex": ["m", "f", "f", "m"] * 10}
    )
    baseline = rng.normal(10, 1, (40, N_TESTS))
    return people, baseline, baseline + rng.normal(0, 0.5, (40, N_TESTS))


@pytest.fixture
def orthodont():
    table = pd.read_csv(DATA / "orthodont.csv")
    wide = table.pivot_table(index="Subject", columns="age", values="distance")
    sex = table.drop_duplicates("Subject").set_index("Subject")["Sex"].reindex(wide.index)
    return cohort(pd.DataFrame({"arm": sex})), family(wide[[8]].to_numpy(), wide[[14]].to_numpy())


def test_change_in_orthodont_equals_the_mixed_model_of_two_sessions(orthodont):
    people, ages = orthodont
    fields = {"arm_column": "arm", "reference_arm": "Male"}
    row = run_model(spec(**fields), people, (ages,)).rows.iloc[0]
    assert row["term"] == "Female - Male"
    assert row["estimate"] == pytest.approx(-1.68465909091, rel=1e-6)
    assert row["standard_error"] == pytest.approx(0.874122752398, rel=1e-6)
    assert row["df"] == 25
    assert row["p"] == pytest.approx(0.0653845712640, rel=1e-6)
    assert row["n_per_arm"] == "Male=16;Female=11"
    assert row["formula"] == "change ~ arm"


def test_reference_arm_of_orthodont_changes_by_the_published_amount(orthodont):
    people, ages = orthodont
    boys = (people.participants["arm"] == "Male").to_numpy()
    only = family(ages.baseline[boys], ages.followup[boys])
    row = run_model(spec(), cohort(people.participants[boys]), (only,)).rows.iloc[0]
    assert row["estimate"] == pytest.approx(4.59375, rel=1e-9)
    assert row["term"] == "mean change"
    assert row["effect_size_name"] == "d_z"
    assert row["note"] == ONE_ARM


def test_baseline_adjusted_orthodont_equals_r(orthodont):
    people, ages = orthodont
    fields = {"arm_column": "arm", "reference_arm": "Male"}
    row = run_model(spec("baseline_adjusted", **fields), people, (ages,)).rows.iloc[0]
    assert row["estimate"] == pytest.approx(-2.530468356555311, rel=1e-9)
    assert row["standard_error"] == pytest.approx(0.812424675697715, rel=1e-9)
    assert row["p"] == pytest.approx(0.004717893028786, rel=1e-9)


@pytest.mark.parametrize(
    ("kind", "estimate", "error"),
    [
        ("baseline_adjusted", -2.98612634668, 1.79861037835),
        ("change", -2.01496292506, 1.96702054419),
    ],
)
def test_depression_two_months_after_beat_the_blues_equals_r(kind, estimate, error):
    table = pd.read_csv(DATA / "btheb.csv").set_index("subject")
    bdi = family(table[["bdi.pre"]].to_numpy(float), table[["bdi.2m"]].to_numpy(float))
    fields = {"arm_column": "treatment", "reference_arm": "TAU", "covariates": ("drug", "length")}
    row = run_model(spec(kind, **fields), cohort(table), (bdi,)).rows.iloc[0]
    assert row["n"] == 97
    assert row["estimate"] == pytest.approx(estimate, rel=1e-6)
    assert row["standard_error"] == pytest.approx(error, rel=1e-6)


def statsmodels_rows(kind, people, baseline, followup, score=None):
    left = {"change": "change", "baseline_adjusted": "followup"}[kind]
    right = "C(arm, Treatment('WL')) + age + C(sex)"
    right += " + baseline" if kind == "baseline_adjusted" else ""
    rows = []
    for column in range(baseline.shape[1]):
        values = {"baseline": baseline[:, column], "followup": followup[:, column]}
        table = people.assign(**values, change=values["followup"] - values["baseline"])
        fit = smf.ols(f"{left} ~ {right}", table).fit()
        term = next(name for name in fit.params.index if "arm" in name)
        limits = fit.conf_int().loc[term]
        rows.append((fit.params[term], fit.bse[term], *limits, fit.df_resid, fit.pvalues[term]))
    return np.array(rows)


@pytest.mark.parametrize("kind", ["change", "baseline_adjusted"])
def test_arms_with_covariates_and_holes_equal_statsmodels(kind, trial, rng):
    people, baseline, followup = trial
    baseline, followup = baseline[:, :12].copy(), followup[:, :12].copy()
    baseline[rng.random(baseline.shape) < 0.1] = np.nan
    followup[:5, 3:6] = np.nan
    people = people.assign(age=people["age"].where(people.index != 7))
    fields = {"arm_column": "arm", "reference_arm": "WL", "covariates": ("age", "sex")}
    rows = run_model(spec(kind, **fields), cohort(people), (family(baseline, followup),)).rows
    columns = ["estimate", "standard_error", "ci_low", "ci_high", "df", "p"]
    expected = statsmodels_rows(kind, people, baseline, followup)
    np.testing.assert_allclose(rows[columns].to_numpy(dtype=float), expected, rtol=1e-8)
    usable = np.isfinite(followup - baseline) & people["age"].notna().to_numpy()[:, None]
    assert rows["n"].tolist() == usable.sum(axis=0).tolist()


def test_mean_change_of_one_arm_is_adjusted_to_the_mean_of_covariates(trial):
    people, baseline, followup = trial
    fields = {"covariates": ("age", "sex")}
    row = run_model(spec(**fields), cohort(people), (family(baseline, followup),)).rows.iloc[0]
    change = followup[:, 0] - baseline[:, 0]
    assert row["estimate"] == pytest.approx(change.mean(), rel=1e-12)


def test_symptom_model_is_the_partial_correlation_of_residuals(trial, rng):
    people, baseline, followup = trial
    score = rng.normal(0, 5, 40)
    motion = family(rng.random((40, 1)), rng.random((40, 1)), "fd_mean", "bold")
    links = family(baseline[:, :4], followup[:, :4], "mean_connectivity", "bold")
    fields = {"arm_column": "arm", "covariates": ("age",), "score": "BDI"}
    result = run_model(spec("symptoms", **fields), cohort(people, BDI=score), (motion, links))
    rows = result.rows[result.rows["measure"] == "mean_connectivity"]
    arm = (people["arm"] == "WL").to_numpy(float)
    held = np.column_stack([np.ones(40), arm, people["age"], motion.change[:, 0]])
    fit = held @ np.linalg.pinv(held)
    score_rest, change_rest = score - fit @ score, links.change - fit @ links.change
    r = [stats.pearsonr(score_rest, change_rest[:, test])[0] for test in range(4)]
    np.testing.assert_allclose(rows["estimate"].to_numpy(float), r, rtol=1e-10)
    assert rows["df"].tolist() == [35] * 4
    t = r[0] * np.sqrt(35 / (1 - r[0] ** 2))
    assert rows["p"].iloc[0] == pytest.approx(2 * stats.t.sf(abs(t), 35), rel=1e-10)
    low, high = np.tanh(np.arctanh(r[0]) + np.array([-1, 1]) * stats.norm.ppf(0.975) / np.sqrt(34))
    assert rows["effect_low"].iloc[0] == pytest.approx(low, rel=1e-10)
    assert rows["ci_high"].iloc[0] == pytest.approx(high, rel=1e-10)
    assert rows["formula"].iloc[0] == "change ~ BDI change | arm + age + fd_mean change"


def test_symptom_note_tells_which_direction_is_better(trial, rng):
    people, baseline, followup = trial
    people, tested = cohort(people, X=rng.normal(size=40)), (family(baseline, followup),)
    notes = [
        run_model(spec("symptoms", score="X", better=better), people, tested).rows["note"].iloc[0]
        for better in ("lower", "higher")
    ]
    assert notes == [
        "positive: the measure rises where X rises, that is worsens",
        "positive: the measure rises where X rises, that is improves",
    ]


@pytest.mark.parametrize("kind", ["change", "baseline_adjusted", "symptoms"])
def test_false_positives_and_intervals_hold_their_rate(kind, trial, rng):
    people, baseline, followup = trial
    people = cohort(people, BDI=rng.normal(size=40))
    fields = {"arm_column": "arm", "covariates": ("age", "sex"), "score": "BDI"}
    rows = run_model(spec(kind, **fields), people, (family(baseline, followup),)).rows
    assert abs((rows["p"] < 0.05).mean() - 0.05) < TOLERANCE
    covered = (rows["ci_low"] < 0) & (rows["ci_high"] > 0)
    assert abs(covered.mean() - 0.95) < TOLERANCE
    assert (rows["p_fwe"] < 0.05).sum() <= 1


@pytest.mark.parametrize("kind", ["change", "baseline_adjusted"])
def test_intervals_cover_a_planted_effect(kind, trial):
    people, baseline, followup = trial
    planted = followup + 0.5 * (people["arm"] == "CBT").to_numpy()[:, None]
    fields = {"arm_column": "arm", "reference_arm": "WL"}
    rows = run_model(spec(kind, **fields), cohort(people), (family(baseline, planted),)).rows
    covered = (rows["ci_low"] < 0.5) & (rows["ci_high"] > 0.5)
    assert abs(covered.mean() - 0.95) < TOLERANCE
    assert rows["estimate"].mean() == pytest.approx(0.5, abs=0.02)
    true_g = (rows["effect_low"] < 1) & (rows["effect_high"] > 1)
    assert kind != "change" or abs(true_g.mean() - 0.95) < 2 * TOLERANCE


def test_planted_relation_with_symptoms_is_recovered_with_its_sign(trial, rng):
    people, baseline, followup = trial
    score = rng.normal(0, 1, 40)
    followup = baseline + 0.5 * rng.normal(size=followup.shape) - 0.5 * score[:, None]
    rows = run_model(
        spec("symptoms", score="BDI"), cohort(people, BDI=score), (family(baseline, followup),)
    ).rows
    assert rows["estimate"].mean() == pytest.approx(-np.sqrt(0.5), abs=0.1)


@pytest.mark.parametrize("kind", ["change", "symptoms"])
def test_swapping_the_sessions_flips_every_sign_exactly(kind, trial, rng):
    people, baseline, followup = trial
    fields = {"arm_column": "arm", "covariates": ("age",), "score": "BDI"}
    score = rng.normal(size=40)
    there = run_model(
        spec(kind, **fields), cohort(people, BDI=score), (family(baseline, followup),)
    ).rows
    back = run_model(
        spec(kind, **fields), cohort(people, BDI=-score), (family(followup, baseline),)
    ).rows
    sign = -1 if kind == "change" else 1
    np.testing.assert_array_equal(back["estimate"], sign * there["estimate"])
    np.testing.assert_array_equal(back["p"], there["p"])


def test_the_unit_of_a_covariate_changes_nothing(trial):
    people, baseline, followup = trial
    fields = {"arm_column": "arm", "covariates": ("age",)}
    tested = (family(baseline[:, :9], followup[:, :9]),)
    years = run_model(spec(**fields), cohort(people), tested).rows
    days = run_model(spec(**fields), cohort(people.assign(age=people["age"] * 365)), tested).rows
    np.testing.assert_allclose(days["estimate"], years["estimate"], rtol=1e-10)


def test_three_arms_give_two_terms_corrected_in_one_family(trial):
    people, baseline, followup = trial
    people = people.assign(arm=["CBT", "WL", "NFB", "WL"] * 10)
    fields = {"arm_column": "arm", "reference_arm": "WL"}
    rows = run_model(
        spec(**fields), cohort(people), (family(baseline[:, :3], followup[:, :3]),)
    ).rows
    assert rows["term"].tolist() == ["CBT - WL"] * 3 + ["NFB - WL"] * 3
    assert rows["p_fwe"].min() == pytest.approx(6 * rows["p"].min())
    assert list(rows.columns) == MODEL_COLUMNS


def test_each_measure_is_corrected_in_its_own_family(trial):
    people, baseline, followup = trial
    small = family(baseline[:, :2], followup[:, :2], "tissue_volume")
    large = family(baseline[:, 2:22], followup[:, 2:22])
    rows = run_model(spec(arm_column="arm"), cohort(people), (small, large)).rows
    for size, measure in ((2, "tissue_volume"), (20, "volume")):
        tests = rows[rows["measure"] == measure]
        assert tests["p_fwe"].min() == pytest.approx(min(1, size * tests["p"].min()))


def test_a_region_without_variation_keeps_its_row_without_a_p_value(trial):
    people, baseline, followup = trial
    baseline, followup = np.full((40, 2), 3.0), np.column_stack([np.full(40, 3.1), followup[:, 0]])
    fields = {"arm_column": "arm", "reference_arm": "WL"}
    rows = run_model(spec(**fields), cohort(people), (family(baseline, followup),)).rows
    assert rows["note"].tolist() == ["no variation between participants", ""]
    assert np.isnan(rows["p"].iloc[0])
    assert rows["p_fwe"].iloc[1] == rows["p"].iloc[1]


def test_a_region_with_too_few_participants_keeps_its_row_and_says_why(trial):
    people, baseline, followup = trial
    followup = followup[:, :2].copy()
    followup[5:, 0] = np.nan
    rows = run_model(
        spec(arm_column="arm"), cohort(people), (family(baseline[:, :2], followup),)
    ).rows
    reason = "not tested: 5 participants, 6 needed"
    assert rows["note"].tolist() == [f"{reason}; {NO_REFERENCE}", NO_REFERENCE]
    assert rows["n_per_arm"].tolist() == ["CBT=3;WL=2", "CBT=20;WL=20"]


PROBLEMS = [
    ({"arm_column": "groups"}, "no column 'groups' (group.arm_column)", "did you mean 'group'?"),
    (
        {"covariates": ("agee",)},
        "no column 'agee' (group.covariates)",
        "did you mean 'age' or 'name'?",
    ),
    ({"covariates": ("age", "months")}, "'months' does not vary or is a sum", "leave it out"),
    ({"covariates": ("constant",)}, "'constant' does not vary", "leave it out"),
    ({"covariates": ("name",)}, "40 terms for 40 participants", "use fewer covariates"),
    ({"arm_column": "group", "reference_arm": "wl"}, "in arm 'wl'", "did you mean 'WL'?"),
    ({"kind": "baseline_adjusted"}, "one arm only ('all')", "see the model of change instead"),
    ({"kind": "symptoms", "score": "BID"}, "no score 'BID'", "did you mean 'BDI'?"),
]


@pytest.mark.parametrize(("fields", "what", "todo"), PROBLEMS)
def test_a_model_that_cannot_be_fitted_says_what_to_do(fields, what, todo, trial):
    people, baseline, followup = trial
    people = people.rename(columns={"arm": "group"}).assign(
        months=people["age"] * 12, constant="x", name=[f"p{row}" for row in range(40)]
    )
    people = cohort(people, BDI=np.arange(40.0))
    result = run_model(spec(**fields), people, (family(baseline, followup),))
    assert result.rows.empty
    assert what in result.problems[0].what
    assert result.problems[0].what_to_do == todo


def test_an_arm_of_one_person_is_left_out_and_named(trial):
    people, baseline, followup = trial
    people = people.assign(arm=["NFB", *people["arm"][1:]])
    result = run_model(
        spec(arm_column="arm", reference_arm="WL"), cohort(people), (family(baseline, followup),)
    )
    assert result.rows["n_per_arm"].unique().tolist() == ["WL=20;CBT=19"]
    assert result.problems[0].what == "arm 'NFB' has one participant with data"


def test_arms_without_scores_do_not_stop_the_symptom_model(trial, rng):
    people, baseline, followup = trial
    people = people.assign(arm=["CBT", "WL", "NFB", "WL"] * 10)
    score = np.where(people["arm"] == "NFB", np.nan, rng.normal(size=40))
    rows = run_model(
        spec("symptoms", arm_column="arm", reference_arm="NFB", score="BDI"),
        cohort(people, BDI=score),
        (family(baseline[:, :2], followup[:, :2]),),
    ).rows
    assert rows["n_per_arm"].tolist() == ["CBT=10;WL=20"] * 2


def test_a_perfect_relation_has_a_p_of_zero(trial):
    people, baseline, _ = trial
    score = np.arange(40.0)
    tested = family(baseline[:, :1], baseline[:, :1] + score[:, None])
    row = run_model(spec("symptoms", score="BDI"), cohort(people, BDI=score), (tested,)).rows.iloc[
        0
    ]
    assert row["estimate"] == pytest.approx(1)
    assert row["p"] < 1e-100


@pytest.fixture
def planted(rng):
    """Sixty people in three arms whose gain depends on dose in CBT only."""
    people = pd.DataFrame({"arm": ["CBT", "NFB", "WL"] * 20, "sex": ["m", "f", "f", "m"] * 15})
    people["dose"] = rng.normal(12, 3, 60)
    cbt = (people["arm"] == "CBT").to_numpy()
    gain = np.where(cbt, 1 + 0.2 * (people["dose"] - people["dose"].mean()), 0)
    baseline = rng.normal(10, 1, (60, 1))
    return people, baseline, baseline + gain[:, None] + rng.normal(0, 0.1, (60, 1))


def asked(planted, **fields):
    people, baseline, followup = planted
    fields = {"arm_column": "arm", "reference_arm": "WL", **fields}
    return run_model(spec(**fields), cohort(people), (family(baseline, followup),))


def test_a_contrast_of_arms_is_the_weighted_difference(planted):
    weights = (("active", (("CBT", 0.5), ("NFB", 0.5), ("WL", -1.0))),)
    row = asked(planted, contrasts=weights).rows.iloc[0]
    people, baseline, followup = planted
    means = (followup - baseline)[:, 0]
    by_arm = {arm: means[people["arm"] == arm].mean() for arm in ("CBT", "NFB", "WL")}
    expected = (by_arm["CBT"] + by_arm["NFB"]) / 2 - by_arm["WL"]
    assert row["estimate"] == pytest.approx(expected, rel=1e-9)
    assert (row["term"], row["effect_size_name"]) == ("active", "Hedges g")


def test_a_moderator_gives_its_product_and_simple_slopes(planted):
    rows = asked(planted, moderator="dose").rows.set_index("term")["estimate"]
    deviation = planted[0]["dose"].std()
    assert rows["arm[CBT]:dose"] == pytest.approx(0.2, abs=0.02)
    assert rows["arm[NFB]:dose"] == pytest.approx(0, abs=0.02)
    assert rows["CBT - WL at dose mean"] == pytest.approx(1, abs=0.1)
    assert rows["CBT - WL at dose + 1 SD"] == pytest.approx(1 + 0.2 * deviation, abs=0.1)
    assert rows["CBT - WL at dose - 1 SD"] == pytest.approx(1 - 0.2 * deviation, abs=0.1)


def test_a_moderator_with_levels_gives_the_effect_in_each_level(planted):
    people, baseline, followup = planted
    rows = asked(planted, moderator="sex").rows.set_index("term")["estimate"]
    fit = smf.ols(
        "y ~ C(arm, Treatment('WL')) * C(sex)", people.assign(y=(followup - baseline)[:, 0])
    ).fit()
    first = fit.params["C(arm, Treatment('WL'))[T.CBT]"]
    both = fit.params["C(arm, Treatment('WL'))[T.CBT]:C(sex)[T.m]"]
    assert rows["CBT - WL at sex = f"] == pytest.approx(first)
    assert rows["CBT - WL at sex = m"] == pytest.approx(first + both)
    assert rows["arm[CBT]:sex[m]"] == pytest.approx(both)


def test_a_formula_tests_the_terms_that_are_named(planted):
    rows = asked(planted, formula="arm * dose + sex", test=("dose:arm",)).rows
    assert rows["term"].tolist() == ["arm[CBT]:dose", "arm[NFB]:dose"]
    assert rows["effect_size_name"].tolist() == ["partial r"] * 2
    assert rows["formula"].iloc[0] == "change ~ arm + dose + sex + arm:dose"
    t = rows["statistic"].iloc[0]
    assert rows["effect_size"].iloc[0] == pytest.approx(t / np.sqrt(t**2 + rows["df"].iloc[0]))


FORMULAS = [
    ({"formula": "arm +* dose"}, "cannot be read", "write it as"),
    ({"formula": "change ~ arm"}, "needs a constant and no left-hand side", "leave out '~'"),
    ({"formula": "np.log(dose)"}, "has a function", "use names of columns only"),
    ({"formula": "arm * doze"}, "no column 'doze'", "did you mean 'dose'?"),
    ({"formula": "arm", "test": ("arm:dose",)}, "no term 'arm:dose'", "did you mean 'arm'?"),
    ({"contrasts": (("x", (("CTB", 1.0), ("WL", -1.0))),)}, "in arm 'CTB'", "mean 'CBT'?"),
    ({"covariates": ("icv",)}, "'icv' is not known for T1w volume A", "leave it out"),
]


@pytest.mark.parametrize(("fields", "what", "todo"), FORMULAS)
def test_a_formula_that_cannot_be_used_says_why(fields, what, todo, planted):
    problem = asked(planted, **fields).problems[0]
    assert what in problem.what
    assert todo in problem.what_to_do


def test_remitters_are_compared_with_the_others(planted, rng):
    people, baseline, followup = planted
    after = pd.DataFrame({("BDI", "pre"): 30.0, ("BDI", "post"): rng.choice([5.0, 20.0], 60)})
    people = Cohort(people, pd.DataFrame({"BDI": after[("BDI", "post")] - 30}), scores=after)
    fields = {"arm_column": "arm", "score": "BDI", "remission": 13.0}
    row = run_model(spec("remission", **fields), people, (family(baseline, followup),)).rows.iloc[0]
    table = people.participants.assign(
        y=(followup - baseline)[:, 0], r=(after[("BDI", "post")] <= 13).astype(float)
    )
    fit = smf.ols("y ~ r + C(arm)", table).fit()
    assert row["estimate"] == pytest.approx(fit.params["r"])
    assert row["p"] == pytest.approx(fit.pvalues["r"])
    assert row["term"] == "remitted - not remitted"


def test_rank_correlation_and_follow_up_given_baselines_are_fitted(planted, rng):
    people, baseline, followup = planted
    scores = pd.DataFrame(
        {("BDI", "pre"): rng.normal(30, 5, 60), ("BDI", "post"): rng.normal(20, 5, 60)}
    )
    change = pd.DataFrame({"BDI": scores[("BDI", "post")] - scores[("BDI", "pre")]})
    people = Cohort(people, change, scores=scores)
    tested = (family(baseline, followup),)
    rank = run_model(spec("rank_symptoms", score="BDI"), people, tested).rows.iloc[0]
    expected = stats.spearmanr(change["BDI"], (followup - baseline)[:, 0]).statistic
    assert rank["estimate"] == pytest.approx(expected)
    assert rank["effect_size_name"] == "partial rank r"
    later = run_model(spec("symptoms_adjusted", score="BDI"), people, tested).rows.iloc[0]
    held = np.column_stack([np.ones(60), baseline[:, 0], scores[("BDI", "pre")]])
    fit = held @ np.linalg.pinv(held)
    y, x = followup[:, 0], scores[("BDI", "post")].to_numpy()
    assert later["estimate"] == pytest.approx(np.corrcoef(y - fit @ y, x - fit @ x)[0, 1])


def test_a_score_that_changes_alike_in_everybody_is_named(trial):
    people, baseline, followup = trial
    people = cohort(people, BDI=np.full(40, -3.0))
    result = run_model(spec("symptoms", score="BDI"), people, (family(baseline, followup),))
    assert result.problems[0].what == "'BDI' changes by -3 in everybody"


def test_sites_with_numbers_for_names_are_levels(rng):
    people = pd.DataFrame(
        {"arm": ["CBT", "WL"] * 40, "centre": np.tile([1.0, 2, 3, 4, 4, 3, 2, 1], 10)}
    )
    shift = people["centre"].map({1: 0, 2: 3, 3: -3, 4: 0}).to_numpy()[:, None]
    baseline = rng.normal(10, 1, (80, 1))
    followup = baseline + rng.normal(0, 0.5, (80, 1)) + shift
    asked = spec(arm_column="arm", block_column="centre", covariates=("centre",))
    row = run_model(asked, cohort(people), (family(baseline, followup),)).rows.iloc[0]
    table = people.assign(change=(followup - baseline)[:, 0])
    other = smf.ols("change ~ arm + C(centre)", table).fit()
    assert row["df"] == other.df_resid == 75
    assert row["estimate"] == pytest.approx(other.params["arm[T.WL]"], rel=1e-9)
    assert row["standard_error"] == pytest.approx(other.bse["arm[T.WL]"], rel=1e-9)


def test_a_site_of_which_nobody_has_data_leaves_the_model_as_it_is(rng):
    people = pd.DataFrame({"arm": ["CBT", "WL"] * 20, "site": ["B", "C", "C", "B"] * 10})
    baseline = rng.normal(10, 1, (40, 2))
    followup = baseline + rng.normal(0, 0.5, (40, 2))
    asked, columns = spec(arm_column="arm", covariates=("site",)), ["estimate", "p", "n"]
    without = run_model(asked, cohort(people.drop(index=[7])), (
        family(np.delete(baseline, 7, axis=0), np.delete(followup, 7, axis=0)),)).rows  # fmt: skip
    people.loc[7, "site"], followup[7] = "A", np.nan
    result = run_model(asked, cohort(people), (family(baseline, followup),))
    np.testing.assert_allclose(result.rows[columns], without[columns])
    assert result.problems == ()


def test_a_model_given_baseline_without_a_term_to_test_is_refused(trial):
    people, baseline, followup = trial
    asked = spec("baseline_adjusted", arm_column="arm", formula="age")
    result = run_model(asked, cohort(people), (family(baseline[:, :2], followup[:, :2]),))
    assert result.rows.empty
    assert result.problems[0].what == "nothing to test in 'age': a mean given baseline is no change"


def test_a_mean_of_all_arms_is_not_called_an_effect(trial):
    people, baseline, followup = trial
    asked = spec(arm_column="arm", formula="age")
    rows = run_model(asked, cohort(people), (family(baseline[:, :2], followup[:, :2]),)).rows
    assert rows["term"].tolist() == ["mean change"] * 2
    assert set(rows["note"]) == {ALL_ARMS}


def test_change_of_a_score_is_not_tested_against_its_own_baseline(rng):
    true = rng.normal(25, 6, 60)
    baseline, followup = (true + rng.normal(0, 4, 60) for _ in range(2))
    people = pd.DataFrame({"severity": baseline, "age": rng.normal(40, 10, 60)})
    score = family(baseline[:, None], followup[:, None], "BDI", "score")
    refused = run_model(spec(moderator="severity"), cohort(people), (score,))
    assert refused.rows.empty
    assert refused.problems[0].what == "'severity' is the baseline of score BDI A itself"
    assert len(run_model(spec(moderator="age"), cohort(people), (score,)).rows) == 1
    held = run_model(spec(covariates=("severity",)), cohort(people), (score,))
    assert held.rows["term"].tolist() == ["mean change"]


def test_simple_slopes_are_one_deviation_of_those_analysed_from_the_mean(rng):
    people = pd.DataFrame({"arm": ["A"] * 40 + ["B"] * 40, "severity": rng.normal(0, 1, 80)})
    people.loc[70:, "severity"] += 30
    baseline = rng.normal(10, 1, (80, 1))
    followup = baseline + rng.normal(0, 0.5, (80, 1))
    followup[70:] = np.nan
    asked = spec(arm_column="arm", moderator="severity")
    rows = run_model(asked, cohort(people), (family(baseline, followup),)).rows
    used = people[:70].assign(change=(followup - baseline)[:70, 0])
    used["severity"] = (used["severity"] - used["severity"].mean()) / used["severity"].std()
    other = smf.ols("change ~ arm * severity", used).fit().params
    high = other["arm[T.B]"] + other["arm[T.B]:severity"]
    estimate = rows.set_index("term")["estimate"]
    assert estimate["B - A at severity + 1 SD"] == pytest.approx(high, rel=1e-9)


def test_a_test_with_one_person_in_an_arm_has_no_p_by_permutation(rng):
    people = pd.DataFrame({"arm": ["A"] * 20 + ["B"] * 20})
    baseline = rng.normal(10, 1, (40, 3))
    followup = baseline + rng.normal(0, 0.5, (40, 3))
    followup[21:, 0] = np.nan
    followup[20, 0] += 5
    plan = PermutationPlan(199, 0.0, 1)
    asked = spec(arm_column="arm")
    rows = run_model(asked, cohort(people), (family(baseline, followup),), plan).rows
    others = run_model(
        asked, cohort(people), (family(baseline[:, 1:], followup[:, 1:]),), plan
    ).rows
    assert rows["p_fwe"].isna().tolist() == [True, False, False]
    assert rows["p_fwe"].tolist()[1:] == others["p_fwe"].tolist()


def test_an_arm_without_data_of_a_measure_leaves_the_others_to_be_compared(planted):
    people, baseline, followup = planted
    followup = np.where((people["arm"] == "WL").to_numpy()[:, None], np.nan, followup)
    result = asked((people, baseline, followup))
    row = result.rows.iloc[0]
    assert row["term"] == "NFB - CBT"
    assert row["n_per_arm"] == "CBT=20;NFB=20"
    assert result.problems[0].what == "nobody of the reference arm 'WL' has data of T1w volume A"
