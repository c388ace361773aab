"""Within a person and between people are never mixed up."""

import numpy as np
import pandas as pd

from workflows.compute.process_words import process_cautions, process_sentences


def rows(*lines):
    names = ["analysis", "term", "estimate", "ci_low", "ci_high", "p", "note"]
    return pd.DataFrame(lines, columns=names).assign(process="WAI", outcome="BDI")


SAME = "same session: an association"
NEXT = "process before the outcome of the next session, given the outcome before"


def test_the_same_person_and_people_compared_are_worded_apart():
    table = rows(
        (NEXT, "within-person effect of WAI", -0.5, -0.9, -0.1, 0.01, ""),
        (SAME, "between-person effect of WAI", 0.2, -0.4, 0.8, 0.5, ""),
    )
    within, between = process_sentences(table, 0.05)
    assert within == (
        "When a person's WAI is one unit above that person's own mean, BDI in the next session, "
        "given the outcome before, differs by -0.5 (interval -0.9 to -0.1)."
    )
    assert between.startswith("People whose mean WAI is one unit higher than that of others")
    assert "not shown to differ from 0 (same session)" in between
    assert "compares people" in process_cautions(table)[1]


def test_paths_that_are_no_findings_are_left_to_the_table():
    table = rows(
        ("latent change", "variance of BDI change", 10.0, 8.0, 12.0, np.nan, ""),
        ("latent change", "BDI level -> BDI change", -0.2, -0.4, 0.0, np.nan, "not a finding of x"),
        ("latent change", "WAI -> BDI", np.nan, np.nan, np.nan, np.nan, ""),
        ("latent change", "correlation of changes", -0.5, -0.7, -0.2, 0.001, ""),
    )
    assert process_sentences(table, 0.05) == [
        "Correlation of changes: -0.5 (interval -0.7 to -0.2)."
    ]
    assert len(process_cautions(table)) == 1


def test_a_correlation_of_the_first_occasion_is_not_called_an_effect_on_the_next():
    row = {
        "analysis": "cross-lagged, apart from stable differences between people",
        "process": "WAI",
        "outcome": "BDI",
        "term": "within-person correlation at the first occasion",
        **{"estimate": 0.3, "ci_low": 0.1, "ci_high": 0.5, "p": 0.01, "note": ""},
    }
    said = process_sentences(pd.DataFrame([row]), 0.05)
    assert said == ["Within-person correlation at the first occasion: +0.3 (interval 0.1 to 0.5)."]
