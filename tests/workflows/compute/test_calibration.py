"""Error rates and intervals of the models of the group level, small; benchmarks has the rest."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from workflows.compute.association import rank_interval
from workflows.compute.design import DesignRequest
from workflows.compute.families import Cohort, Family
from workflows.compute.model_permutation import PermutationPlan
from workflows.compute.models import run_model
from workflows.compute.power import sensitivity_table
from workflows.compute.results import ONE_ARM, ModelSpec

N_TESTS = 2000
TOLERANCE = 3 * np.sqrt(0.05 * 0.95 / N_TESTS)
SINGLE = {"arm_column": "", "reference_arm": ""}
CONTRAST = ("both - WL", (("CBT", 0.5), ("NFB", 0.5), ("WL", -1.0)))
SPEC = ModelSpec(
    "model", "change", True, arm_column="arm", reference_arm="WL", score="BDI", remission=0.0
)


@pytest.fixture
def rng():
    return np.random.default_rng(31)


def trial(n, rng, sessions=2, arms=("WL", "CBT"), n_tests=N_TESTS):
    """People, and values of SD 1 with correlation .5, so that change has SD 1, too."""
    site = np.where(rng.random(n) < 0.5, "north", "south")
    people = pd.DataFrame({"arm": np.resize(arms, n), "site": site, "age": rng.normal(size=n)})
    labels = pd.DataFrame({"region": np.arange(n_tests).astype(str)})
    labels = labels.assign(region_a=None, region_b=None)
    names = ("pre", "post", "fu")[:sessions]
    values = np.sqrt(0.5) * (
        rng.normal(size=(n, n_tests)) + rng.normal(size=(sessions, n, n_tests))
    )
    scores = pd.DataFrame(rng.normal(size=(n, 2)), columns=[("BDI", "pre"), ("BDI", "post")])
    change = pd.DataFrame({"BDI": scores[("BDI", "post")] - scores[("BDI", "pre")]})
    scores.columns = pd.MultiIndex.from_tuples(scores.columns)
    days = pd.DataFrame(np.tile([0.0, 56, 182][:sessions], (n, 1)), columns=list(names))
    cohort = Cohort(people, change, scores, days)
    return cohort, Family("T1w", "volume", "A", "ml", labels, values, names)


def treated(family, cohort, size):
    """Family in which every arm but the waiting list changes by `size` standard deviations."""
    values = family.values.copy()
    values[1:] += size * (cohort.participants["arm"] != "WL").to_numpy()[:, None]
    return replace(family, values=values)


def dropped(family, rng):
    """Family in which a fifth of people leave, more often those high in the first region."""
    values = family.values.copy()
    leaves = values[0] + rng.normal(size=values[0].shape) > 1.2
    values[1:, leaves[:, 0]] = np.nan
    return replace(family, values=values)


KINDS = [
    ("change", {}, {}),
    ("change", {"contrasts": (CONTRAST,)}, {"arms": ("WL", "CBT", "NFB")}),
    ("change", {"moderator": "age", "covariates": ("site",)}, {}),
    ("baseline_adjusted", {}, {}),
    ("mixed", {}, {}),
    ("mixed", {}, {"sessions": 3}),
    ("constrained_baseline", {}, {"sessions": 3}),
    ("symptoms", {}, {}),
    ("rank_symptoms", {}, {}),
    ("symptoms_adjusted", {}, {}),
    ("remission", {}, {}),
]


@pytest.mark.parametrize(("kind", "asked", "shape"), KINDS)
def test_every_kind_finds_nothing_in_one_of_twenty_and_keeps_its_intervals(kind, asked, shape, rng):
    spec = replace(
        SPEC, kind=kind, request=DesignRequest(**{"covariates": ("age", "site")} | asked)
    )
    tables = []
    for _ in range(4):
        cohort, family = trial(42, rng, n_tests=N_TESTS // 4, **shape)
        tables.append(run_model(spec, cohort, (dropped(family, rng),)).rows)
    for _, tests in pd.concat(tables).groupby("term"):
        positive = (tests["p"] < 0.05).mean()
        covered = ((tests["effect_low"] <= 0) & (tests["effect_high"] >= 0)).mean()
        assert positive == pytest.approx(0.05, abs=3 * np.sqrt(0.0475 / len(tests)))
        assert 0.935 <= covered <= 0.965
        assert tests["effect_size"].between(tests["effect_low"], tests["effect_high"]).all()


@pytest.mark.parametrize("size", [0.5, 1.5])
@pytest.mark.parametrize(
    ("kind", "n", "single", "sessions"),
    [
        ("change", 12, False, 2),
        ("change", 10, True, 2),
        ("baseline_adjusted", 24, False, 2),
        ("mixed", 24, False, 3),
    ],
)
def test_intervals_of_large_effects_hold_in_few_people(kind, n, single, sessions, size, rng):
    arms = ("CBT",) if single else ("WL", "CBT")
    cohort, family = trial(n, rng, sessions, arms)
    spec = replace(SPEC, kind=kind, **(SINGLE if single else {}))
    rows = run_model(spec, cohort, (treated(family, cohort, size),)).rows
    for low, high in (("ci_low", "ci_high"), ("effect_low", "effect_high")):
        covered = (rows[low] <= size) & (size <= rows[high])
        assert covered.mean() == pytest.approx(0.95, abs=TOLERANCE)


def test_the_interval_of_g_leaves_out_zero_exactly_where_p_is_below_five_percent(rng):
    cohort, family = trial(30, rng)
    spec = replace(SPEC, request=DesignRequest(("age", "site")))
    rows = run_model(spec, cohort, (treated(family, cohort, 0.7),)).rows
    without = (rows["effect_low"] > 0) | (rows["effect_high"] < 0)
    clear = (rows["p"] - 0.05).abs() > 0.001
    assert (without == (rows["p"] < 0.05))[clear].all()


def test_rank_correlations_have_the_interval_of_bonett_and_wright(rng):
    cohort, family = trial(30, rng, n_tests=50)
    row = run_model(replace(SPEC, kind="rank_symptoms"), cohort, (family,)).rows.iloc[7]
    expected = rank_interval(row["estimate"], row["df"], 0.95)
    assert (row["effect_low"], row["effect_high"]) == (expected.low, expected.high)
    assert (row["ci_low"], row["ci_high"]) == (expected.low, expected.high)


def test_effects_per_week_are_named_so_and_need_no_time_to_be_found(rng):
    cohort, family = trial(30, rng, 3, n_tests=40)
    weeks = cohort.days.to_numpy().T[:, :, None] / 7
    slope = 0.1 * (cohort.participants["arm"] == "CBT").to_numpy()[:, None]
    family = replace(family, values=family.values + weeks * slope)
    spec = replace(SPEC, kind="mixed", time="days")
    rows = run_model(spec, cohort, (family,)).rows
    assert rows["effect_size_name"].unique().tolist() == ["Hedges g per week"]
    assert rows["effect_size"].mean() == pytest.approx(0.1, abs=0.01)
    one = run_model(replace(spec, **SINGLE), cohort, (family,)).rows
    assert one["effect_size_name"].unique().tolist() == ["d_z per week"]
    size = sensitivity_table(one, 0.05).iloc[0]["smallest_uncorrected"]
    error = one["effect_size"] / one["statistic"]
    assert 2.8 * error.min() < size < 3 * error.max()


def test_the_smallest_effect_of_the_report_is_found_four_times_in_five(rng):
    cohort, family = trial(40, rng)
    rows = run_model(SPEC, cohort, (family,)).rows
    size = sensitivity_table(rows, 0.05, 0.8).iloc[0]["smallest_uncorrected"]
    found = run_model(SPEC, cohort, (treated(family, cohort, size),)).rows["p"] < 0.05
    assert found.mean() == pytest.approx(0.8, abs=3 * np.sqrt(0.16 / N_TESTS))


def test_people_picked_for_a_high_baseline_change_but_not_by_arm(rng):
    cohort, family = trial(40, rng)
    chosen = np.argsort(family.baseline, axis=0)[-20:]
    both = np.stack([np.take_along_axis(part, chosen, 0) for part in family.values])
    few = Cohort(cohort.participants[:20], cohort.score_change[:20])
    picked = replace(family, values=both)
    rows = run_model(SPEC, few, (picked,)).rows
    assert (rows["p"] < 0.05).mean() == pytest.approx(0.05, abs=TOLERANCE)
    alone = run_model(replace(SPEC, **SINGLE), few, (picked,)).rows
    assert alone["estimate"].mean() == pytest.approx(-0.4, abs=0.05)
    assert (alone["note"] == ONE_ARM).all()


@pytest.mark.parametrize("kind", ["change", "symptoms"])
def test_the_largest_of_related_tests_is_found_in_few_data_sets(kind, rng):
    plan, found = PermutationPlan(99, 0.0, random_seed=3), []
    for _ in range(25):
        cohort, family = trial(24, rng, n_tests=30)
        values = family.values + rng.normal(size=(2, 24, 1))
        spec = replace(SPEC, kind=kind, block_column="site")
        rows = run_model(spec, cohort, (replace(family, values=values),), plan).rows
        found.append((rows["p_fwe"] <= 0.05).any())
    assert np.mean(found) <= 0.05 + 3 * np.sqrt(0.0475 / 25)
