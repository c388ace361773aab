"""Rates per arm and their differences."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from statsmodels.stats.proportion import confint_proportions_2indep, proportion_confint

from workflows.compute.outcome_rates import (
    DIFFERENCE_COLUMNS,
    RATE_COLUMNS,
    newcombe_interval,
    outcome_rates,
    rate_differences,
    wilson_interval,
)
from workflows.compute.outcomes import participant_outcomes
from workflows.compute.scale import Scale

BTHEB = Path(__file__).parents[2] / "data" / "btheb.csv"


BDI = Scale("bdi", reliability=0.93, remission=9)


def btheb_rates(arms=None, scale=BDI):
    table = pd.read_csv(BTHEB, dtype={"subject": str})
    scores = table.melt("subject", ["bdi.pre", "bdi.2m"], "session_id")
    scores = scores.rename(columns={"subject": "participant_id"}).assign(score="bdi")
    found = participant_outcomes(scores, [scale], ("bdi.pre", "bdi.2m"), table["subject"])
    known = table.set_index("subject")["treatment"]
    return outcome_rates(found.rows, known if arms is None else arms(known), 0.95)


def pick(rates, outcome, counted, arm):
    row = rates[
        (rates["outcome"] == outcome) & (rates["counted"] == counted) & (rates["arm"] == arm)
    ]
    assert len(row) == 1
    return row.iloc[0]


def test_response_in_beat_the_blues_as_in_r():
    rates = btheb_rates()
    assert list(rates.columns) == RATE_COLUMNS
    tau, blues = (pick(rates, "response", "observed", arm) for arm in ("TAU", "BtheB"))
    assert (tau["n_with_outcome"], tau["n"], tau["n_missing"]) == (9, 45, 3)
    assert (blues["n_with_outcome"], blues["n"], blues["n_missing"]) == (16, 52, 0)
    assert (blues["ci_low"], blues["ci_high"]) == pytest.approx(
        proportion_confint(16, 52, method="wilson"), rel=1e-9
    )


def test_who_has_no_outcome_is_counted_as_failed_in_the_worst_case():
    rates = btheb_rates()
    worst = pick(rates, "response", "worst case", "TAU")
    assert (worst["n_with_outcome"], worst["n"], worst["rate"]) == (9, 48, 9 / 48)
    everybody = pick(rates, "response", "worst case", "all")
    assert (everybody["n_with_outcome"], everybody["n"]) == (25, 100)
    harm = pick(rates, "reliable deterioration", "worst case", "all")
    assert (harm["n_with_outcome"], harm["n"]) == (4 + 3, 100)
    assert pick(rates, "reliable deterioration", "observed", "all")["rate"] == 4 / 97


def test_a_criterion_that_is_not_known_gives_no_rate():
    rates = btheb_rates(scale=Scale("bdi"))
    row = pick(rates, "remission", "worst case", "all")
    assert row["n"] == 0
    assert np.isnan(row["rate"])
    assert row["note"] == "the criterion is not known"


def test_an_arm_without_outcomes_is_nobody_observed_and_all_failed_at_worst():
    table = pd.read_csv(BTHEB, dtype={"subject": str}).set_index("subject")
    gone = table.index[table["bdi.2m"].isna()]
    rates = btheb_rates(lambda known: known.mask(known.index.isin(gone), "other"))
    observed = pick(rates, "response", "observed", "other")
    worst = pick(rates, "response", "worst case", "other")
    assert (observed["n"], observed["note"]) == (0, "nobody with a known outcome")
    assert (worst["n_with_outcome"], worst["n"]) == (0, 3)
    differences = rate_differences(rates, "other", 0.95)
    row = differences[(differences["outcome"] == "response") & (differences["arm"] == "TAU")]
    assert row["note"].tolist()[0] == "nobody with a known outcome"


def test_people_without_an_arm_are_counted_in_all_only():
    rates = btheb_rates(lambda known: known.mask(known.index.isin(["1", "2"]), ""))
    n_arms = sum(pick(rates, "response", "worst case", arm)["n"] for arm in ("TAU", "BtheB"))
    assert (n_arms, pick(rates, "response", "worst case", "all")["n"]) == (98, 100)


def test_one_arm_has_the_rows_of_all_only():
    rates = btheb_rates(lambda known: known.mask(known == "TAU", "BtheB"))
    assert set(rates["arm"]) == {"all"}
    assert rate_differences(rates, "BtheB", 0.95).columns.tolist() == DIFFERENCE_COLUMNS


@pytest.mark.parametrize(("n_with", "n"), [(0, 12), (12, 12), (5, 12), (1, 400)])
def test_wilson_equals_statsmodels(n_with, n):
    expected = proportion_confint(n_with, n, alpha=0.1, method="wilson")
    assert wilson_interval(n_with, n, 0.9) == pytest.approx(expected, rel=1e-9, abs=1e-12)


def test_nobody_and_everybody_reach_the_ends_exactly():
    low, high = wilson_interval(np.array([0, 9, 0]), np.array([14, 9, 0]), 0.95)
    np.testing.assert_array_equal([low[0], high[1]], [0, 1])
    assert np.isnan([low[2], high[2]]).all()


def test_newcombe_equals_the_publication_and_statsmodels():
    # Newcombe 1998, table II: 56/70 minus 48/80 gives .0524 to .3339, 10/10 minus 0/20 .6791 to 1
    assert newcombe_interval((56, 70), (48, 80), 0.95) == pytest.approx((0.0524, 0.3339), abs=5e-5)
    assert newcombe_interval((10, 10), (0, 20), 0.95) == pytest.approx((0.6791, 1), abs=5e-5)
    expected = confint_proportions_2indep(16, 52, 9, 45, method="newcomb")
    assert newcombe_interval((16, 52), (9, 45), 0.95) == pytest.approx(expected, rel=1e-9)


def test_swapping_the_groups_flips_the_interval():
    low, high = newcombe_interval((9, 45), (16, 52), 0.95)
    assert newcombe_interval((16, 52), (9, 45), 0.95) == pytest.approx((-high, -low))


def test_impossible_counts_are_refused():
    with pytest.raises(ValueError, match="n_with: between 0 and n"):
        wilson_interval(5, 4, 0.95)


def test_the_number_needed_follows_the_difference():
    rates = pd.DataFrame(
        [
            ("s", "post", "response", "observed", "a", 48, 80),
            ("s", "post", "response", "observed", "b", 56, 70),
            ("s", "post", "reliable deterioration", "observed", "a", 20, 80),
            ("s", "post", "reliable deterioration", "observed", "b", 21, 70),
        ],
        columns=["score", "followup", "outcome", "counted", "arm", "n_with_outcome", "n"],
    )
    good, bad = rate_differences(rates, "a", 0.95).itertuples()
    assert (good.arm, good.reference, good.number_of) == ("b", "a", "benefit")
    assert good.difference == pytest.approx(0.2)
    assert good.number_needed == pytest.approx(5)
    assert (good.number_low, good.number_high) == pytest.approx((1 / 0.3339, 1 / 0.0524), rel=1e-3)
    assert (bad.number_of, round(bad.number_needed, 9)) == ("harm", 20)
    assert np.isnan(bad.number_high)
    assert bad.note.startswith("the interval holds no difference")


def test_intervals_cover_the_true_difference():
    rng = np.random.default_rng(4)
    draws = np.column_stack([rng.binomial(20, 0.5, 2000), rng.binomial(25, 0.3, 2000)])
    limits = [newcombe_interval((a, 20), (b, 25), 0.95) for a, b in draws]
    covered = np.mean([low <= 0.2 <= high for low, high in limits])
    assert 0.935 < covered < 0.972
