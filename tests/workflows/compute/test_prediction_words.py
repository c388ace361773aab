"""Predictions are compared with clinical variables first, and never meant for one person."""

import numpy as np
import pandas as pd

from workflows.compute.prediction_words import (
    calibration_sentence,
    person_sentences,
    prediction_sentences,
    selection_sentences,
)


def scores(*lines):
    names = ["predictor", "metric", "estimate", "ci_low", "ci_high", "p"]
    return pd.DataFrame(lines, columns=names)


def test_added_value_comes_first_and_needs_interval_and_p():
    table = scores(
        ("clinical", "R2", 0.3, 0.1, 0.5, 0.01),
        ("clinical+brain", "R2", 0.4, -0.1, 0.6, 0.01),
        ("difference", "R2", 0.1, 0.02, 0.2, 0.2),
    )
    said = prediction_sentences(table, 0.05)
    assert said[0].startswith("That brain measures add anything to the clinical variables was not")
    assert said[1].endswith("better than predicting the mean for everybody.")
    assert said[2].endswith("not shown to be better than predicting the mean for everybody.")
    shown = prediction_sentences(table.assign(p=0.01), 0.05)[0]
    assert shown == (
        "Brain measures added to the clinical variables: R2 +0.10 (interval 0.02 to 0.20), "
        "p = 0.01."
    )


def test_areas_under_the_curve_are_held_against_one_half():
    table = scores(("brain", "AUC", 0.6, 0.45, 0.7, np.nan), ("brain", "Brier", 0.2, 0.1, 0.3, 0.1))
    said = prediction_sentences(table, 0.05)
    assert said[0].startswith("There is no clinical-only model to compare with")
    assert said[1] == (
        "Brain measures alone: AUC = 0.60 (interval 0.45 to 0.70); not shown to be better than "
        "chance."
    )
    assert prediction_sentences(table.iloc[1:], 0.05) == ["No score of the prediction is there."]


def test_nobody_is_told_that_it_serves_a_single_person():
    people = pd.DataFrame({"observed": np.arange(21.0), "interval_low": 0.0, "interval_high": 12.0})
    said = person_sentences(people)
    assert said[0].startswith("This prediction cannot be used for a single person")
    # 90 % of the outcomes lie between 1 and 19: 12 / 18
    assert "12 wide in the median, 67 % of the spread" in said[1]
    assert "too wide" in said[1]
    narrow = person_sentences(people.assign(interval_high=1.8))
    assert narrow[0] == said[0]
    assert "too wide" not in narrow[1]
    assert person_sentences(pd.DataFrame()) == said[:1]


def test_extreme_predictions_are_said_to_be_so():
    name = "calibration slope"
    assert "too extreme" in calibration_sentence(scores(("brain", name, 0.5, 0.3, 0.8, np.nan)))
    assert "too timid" in calibration_sentence(scores(("brain", name, 2, 1.5, 2.5, np.nan)))
    both = scores(("brain", name, 2, 1.5, 2.5, 0.1), ("clinical+brain", name, 1, 0.5, 1.5, 0.1))
    assert calibration_sentence(both).endswith("agrees with 1.")
    assert calibration_sentence(scores(("brain", "r", 0.5, 0.3, 0.8, 0.1))) == ""


def test_treatment_selection_keeps_its_note():
    row = {"contrast": "received - did not", "estimate": 2.0, "ci_low": -1.0, "ci_high": 5.0}
    table = pd.DataFrame([row | {"p": np.nan, "n": 20, "n_other": 15, "note": "holds more"}])
    assert selection_sentences(table) == [
        "Treatment selection, received - did not: 2.00 (interval -1.00 to 5.00) (20 against 15 "
        "people). Holds more."
    ]
