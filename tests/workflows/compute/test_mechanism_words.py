"""Mechanisms are worded by what the order in time allows."""

import numpy as np
import pandas as pd

from workflows.compute.mechanism_words import (
    NOT_ASSIGNED,
    claim_sentences,
    contrasts_of,
    mass_sentences,
    mechanism_sentences,
)


def paths(**changes):
    table = pd.DataFrame(
        {
            "path": ["a", "b", "indirect"],
            "term": ["CBT - WL", "", "CBT - WL"],
            "mediator": ["alliance", "alliance", "alliance"],
            "estimate": [0.5, -2.0, -1.0],
            "ci_low": [0.2, -3.0, -2.0],
            "ci_high": [0.8, -1.0, -0.2],
            "bca_low": [np.nan, np.nan, -2.1],
            "bca_high": [np.nan, np.nan, -0.1],
            "interval": ["t", "t", "percentile bootstrap"],
            "rho_zero": [np.nan, np.nan, -0.15],
            "outcome": "BDI",
            "label": "mechanism",
            "reason": "",
            "note": "",
        }
    )
    return table.assign(**changes)


def test_both_intervals_and_the_weak_point_are_said():
    said = mechanism_sentences(paths(), "CBT - WL")
    assert said[0] == (
        "Through alliance: -1 on BDI (percentile bootstrap interval -2 to -0.2; BCa interval -2.1 "
        "to -0.1); an indirect path goes with the treatment CBT - WL."
    )
    assert "correlate at -0.15" in said[1]
    assert "(a weak one would do)" in said[1]
    assert "does not prove it" in said[2]


def test_a_mediator_out_of_order_is_an_association_with_its_reason():
    said = claim_sentences(paths(label="association", reason="measured together"))
    assert said == ["This is an association, not a mechanism: measured together."]


def test_intervals_that_disagree_allow_no_firm_statement():
    said = mechanism_sentences(paths(bca_high=[np.nan, np.nan, 0.1]), "CBT - WL")[0]
    assert "disagree about zero" in said


def test_an_interval_with_zero_is_not_shown():
    table = paths(ci_high=[0.8, -1.0, 0.2], bca_high=[np.nan, np.nan, 0.3])
    said = mechanism_sentences(table, "CBT - WL")[0]
    assert "was not shown to go with" in said
    assert "disagree" not in said


def test_arms_not_assigned_at_random_are_said():
    note = "arms were not assigned at random"
    assert claim_sentences(paths(note=note))[-1] == NOT_ASSIGNED
    assert NOT_ASSIGNED not in claim_sentences(paths())


def test_each_contrast_is_found_once():
    two = pd.concat([paths(), paths(term=["ACT - WL", "", "ACT - WL"])])
    assert contrasts_of(two) == ["CBT - WL", "ACT - WL"]
    assert mechanism_sentences(two, "ACT - WL")[0].endswith("treatment ACT - WL.")


def test_regions_are_counted_after_correction():
    rows = pd.DataFrame(
        {
            "region": ["a", "b", "c"],
            "measure": "volume",
            "estimate": [1.0, -2.0, 0.1],
            "ci_low": [0.5, -3.0, -1.0],
            "ci_high": [1.5, -1.0, 1.0],
            "p": [0.02, 0.001, 0.9],
            "p_fdr": [0.06, 0.003, 0.9],
            "label": "association",
            "reason": "",
            "note": "",
        }
    )
    said = mass_sentences(rows, 0.05)
    assert said[0].startswith("An indirect effect was found in 1 of 3 regions after correction")
    assert "the strongest: b, -2 (interval -3 to -1)" in said[0]
    assert said[1] == "This is an association, not a mechanism."
    none = mass_sentences(rows.assign(p_fdr=0.9), 0.05)[0]
    assert none.startswith("No indirect effect was found in any of 3 regions")
