"""Outcomes in words: counts, intervals, numbers needed to treat, Lord's paradox."""

import numpy as np
import pandas as pd

from workflows.compute.outcome_rates import outcome_rates, rate_differences
from workflows.compute.outcome_words import (
    criteria_sentence,
    dropout_sentence,
    known_sentence,
    paradox_sentences,
    rate_sentence,
)

NONE = pd.DataFrame()


def rates(response):
    people = [f"p{i}" for i in range(len(response))]
    table = pd.DataFrame({"participant_id": people, "response": response})
    table = table.assign(
        score="BDI",
        followup="post",
        remission=None,
        reliable_change=None,
        clinically_significant=None,
    )
    arms = pd.Series(["CBT", "WL"] * (len(people) // 2), index=people)
    made = outcome_rates(table, arms, 0.95)
    return made, rate_differences(made, "WL", 0.95)


def test_rates_are_said_with_counts_and_the_number_needed():
    # CBT 18 of 20, WL 2 of 20: 80 points, one more response in 1.25 people
    yes = [i % 2 == 0 for i in range(40)]
    yes[0] = yes[2] = False
    yes[1] = yes[3] = True
    made, differences = rates(["yes" if y else "no" for y in yes])
    said = rate_sentence(made, differences, "response")
    assert said.startswith("Response: CBT 18 of 20 (90 %, interval 70 to 97 %); WL 2 of 20 (10 %")
    assert "CBT minus WL: +80 percentage points" in said
    assert "number needed to treat for one benefit: 1.2 (" in said


def test_without_a_difference_no_number_needed_is_given():
    made, differences = rates(["yes", "yes", "no", "no"] * 5)
    said = rate_sentence(made, differences, "response")
    assert "CBT minus WL: 0 percentage points" in said
    assert "no number needed to treat is given" in said


def test_unknown_criteria_say_nothing():
    made, differences = rates(["yes", "no"] * 4)
    assert rate_sentence(made, differences, "remission") == ""
    assert rate_sentence(made, NONE, "response").endswith(").")


def test_people_without_an_outcome_are_counted():
    made, _ = rates(["yes", "no", None, "no"])
    assert known_sentence(made).startswith("At ses-post, of 3 people with a known outcome; of 1")


CRITERIA = pd.Series(
    {
        "score": "BDI",
        "better": "lower",
        "response_pct": 50.0,
        "remission": 9.0,
        "smallest_reliable_change": 7.95,
        "reliability": 0.93,
        "cutoff": np.nan,
        "cutoff_kind": None,
    }
)


def test_criteria_are_said_with_their_sources():
    said = criteria_sentence(CRITERIA, {"remission": "Wiles 2013"})
    assert "remission is at most 9 (Wiles 2013)" in said
    assert "a change of more than 8 points is reliable (reliability 0.93)" in said
    higher = CRITERIA.copy()
    higher["better"], higher["smallest_reliable_change"] = "higher", np.nan
    assert "remission is at least 9" in criteria_sentence(higher, {})
    assert "without a declared reliability" in criteria_sentence(higher, {})


def fit(estimate, p, error=1.0):
    return pd.Series(
        {
            "estimate": estimate,
            "ci_low": estimate - 2 * error,
            "ci_high": estimate + 2 * error,
            "standard_error": error,
            "p": p,
            "unit": "points",
            "effect_size_name": "Hedges g",
        }
    )


def test_lords_paradox_is_told_with_both_numbers():
    # Orthodont, ages 8 and 14: change -1.68 (p .065), given baseline -2.53 (p .0047)
    said = paradox_sentences(fit(-1.685, 0.065, 0.874), fit(-2.53, 0.0047, 0.812), 0.05)
    assert said.startswith("Change alone says -1.69 points")
    assert "Lord's paradox" in said
    assert "-2.53 points" in said


def test_models_that_agree_are_not_called_a_paradox():
    assert paradox_sentences(fit(-3.6, 1e-6), fit(-3.5, 1e-7), 0.05) == ""
    assert paradox_sentences(fit(0.5, 0.6), fit(-0.5, 0.5), 0.05) == ""
    assert paradox_sentences(fit(np.nan, np.nan), fit(-3.5, 0.001), 0.05) == ""


def test_opposite_signs_are_a_paradox():
    assert paradox_sentences(fit(3.0, 0.01), fit(-3.0, 0.01), 0.05)


def test_dropouts_are_described_by_what_differs_most():
    table = pd.DataFrame(
        {
            "arm": ["all", "all", "CBT"],
            "characteristic": ["age", "BDI at baseline", "age"],
            "n_completers": [30, 30, 15],
            "n_dropouts": [6, 6, 3],
            "effect_size": [0.1, -0.7, 2.0],
            "effect_size_name": "Hedges g",
            "effect_low": [-0.8, -1.6, 1.0],
            "effect_high": [1.0, 0.2, 3.0],
        }
    )
    said = dropout_sentence(table)
    assert said.startswith("30 participants have the main outcome, 6 do not.")
    assert "differ most in BDI at baseline: Hedges g = -0.70" in said
    assert dropout_sentence(table[table["arm"] == "CBT"]) == ""
