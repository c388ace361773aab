"""Sentences claim no more than the model."""

import numpy as np
import pandas as pd
import pytest

from workflows.compute.findings import (
    ASSOCIATION_CAUTION,
    NOT_RANDOMISED_CAUTION,
    ONE_ARM_CAUTION,
    findings,
    flow_levels,
    measure_name,
    place_name,
    strongest,
)

NOTHING = pd.DataFrame()


def rows(p_fdr, **changes):
    table = pd.DataFrame(
        {
            "model": "change",
            "family": "change: T1w volume A",
            "planned": True,
            "term": "CBT - WL",
            "modality": "T1w",
            "measure": "volume",
            "atlas": "A",
            "region": [f"r{i}" for i in range(len(p_fdr))],
            "region_a": "",
            "region_b": "",
            "unit": "ml",
            "estimate": 0.5,
            "ci_low": 0.2,
            "ci_high": 0.8,
            "p": np.array(p_fdr) / 10,
            "p_fdr": p_fdr,
            "effect_size_name": "Hedges g",
            "n_per_arm": "CBT=8;WL=7",
            "note": "",
        }
    )
    return table.assign(**changes)


ONE_ARM = {
    "term": "mean change",
    "effect_size_name": "d_z",
    "n_per_arm": "all=15",
    "note": "one arm: change over time is not a treatment effect",
}
SYMPTOMS = {"term": "change in BDI", "effect_size_name": "partial r", "unit": "correlation"}
SMALLEST = pd.DataFrame(
    {
        "family": ["change: T1w volume A"],
        "term": ["CBT - WL"],
        "n_tests": [3],
        "effect_size_name": ["Hedges g"],
        "power": [0.8],
        "smallest_uncorrected": [1.5],
        "smallest_bonferroni": [1.876],
    }
)


def only(table, sensitivity=NOTHING, randomised=False, alpha=0.05):
    (found,) = findings(table, sensitivity, alpha, randomised)
    return found


def test_a_null_result_gives_the_smallest_effect_that_could_have_been_found():
    found = only(rows([0.3, 0.9, 0.051]), SMALLEST)
    assert found.n_significant == 0
    assert "no region differed after correction for 3 tests" in found.sentence
    assert "could have found with 80 % power" in found.sentence
    assert "Hedges g = 1.88; smaller effects cannot be ruled out" in found.sentence


def test_a_result_counts_corrected_regions_and_names_the_strongest_with_its_interval():
    found = only(rows([0.3, 0.01, 0.04]), SMALLEST)
    assert "2 of 3 regions differed after correction for 3 tests" in found.sentence
    assert "Strongest: r1, +0.5 ml (interval 0.2 to 0.8)" in found.sentence
    assert "smallest effect" not in found.sentence


def test_a_stricter_level_takes_results_away():
    assert only(rows([0.02, 0.04]), alpha=0.03).n_significant == 1


def test_one_group_is_never_a_treatment_effect_even_if_called_randomised():
    found = only(rows([0.001], **ONE_ARM), randomised=True)
    assert found.caution == ONE_ARM_CAUTION
    assert "1 of 1 regions changed" in found.sentence


def test_one_group_is_said_with_symptoms_too():
    one = only(rows([0.001], **SYMPTOMS, n_per_arm="all=15"))
    assert one.caution == f"{ONE_ARM_CAUTION} {ASSOCIATION_CAUTION}"
    assert only(rows([0.001], **SYMPTOMS)).caution == ASSOCIATION_CAUTION


def test_groups_not_assigned_at_random_are_said_to_be_so():
    assert only(rows([0.001])).caution == NOT_RANDOMISED_CAUTION
    assert only(rows([0.001]), randomised=True).caution == ""


def test_an_association_is_worded_as_one():
    found = only(rows([0.01, 0.02], **SYMPTOMS))
    assert found.sentence.startswith("Grey-matter volume with change in BDI: 2 of 2 regions were")
    assert "differed" not in found.sentence


def test_rows_that_were_not_tested_do_not_count():
    found = only(rows([0.01, np.nan]))
    assert found.n_tests == 1
    nothing = only(rows([np.nan]))
    assert nothing.sentence.endswith("nothing could be tested.")


def test_planned_questions_come_first():
    other = rows([0.5], family="other", planned=False)
    table = pd.concat([other, rows([0.5])], ignore_index=True)
    assert [f.planned for f in findings(table, NOTHING, 0.05, False)] == [True, False]


def test_edges_are_named_by_both_regions_and_whole_brain_measures_by_themselves():
    edge = rows([0.1], region="", region_a="a", region_b="b").iloc[0]
    assert place_name(edge) == "a – b"
    assert place_name(rows([0.1], region="").iloc[0]) == "grey-matter volume"
    assert measure_name("unheard_of") == "unheard_of"


def test_the_strongest_rows_have_the_smallest_p():
    assert strongest(rows([0.3, np.nan, 0.1, 0.2]), 2)["region"].tolist() == ["r2", "r3"]


def test_kinds_of_images_share_a_level_of_the_flow():
    flow = pd.DataFrame(
        [
            ("listed", np.nan, "all", 9, ""),
            ("listed", np.nan, "CBT", 5, ""),
            ("scanned", np.nan, "all", 8, ""),
            ("usable pair", "T1w", "all", 7, ""),
            ("usable pair", "bold", "all", 6, ""),
            ("no usable pair", "T1w", "all", 2, "late"),
            ("analysed", "x", "all", 6, ""),
        ],
        columns=["step", "detail", "arm", "n", "reason"],
    )
    levels = [[(box.name, box.counts) for box in level] for level in flow_levels(flow)]
    assert levels == [
        [("listed", {"all": 9, "CBT": 5})],
        [("scanned", {"all": 8})],
        [("usable pair: T1w", {"all": 7}), ("usable pair: bold", {"all": 6})],
    ]


@pytest.mark.parametrize("n_significant", [0, 1, 2])
def test_the_number_of_significant_regions_is_the_number_said(n_significant):
    p = [0.01] * n_significant + [0.5] * 3
    found = only(rows(p))
    assert found.n_significant == n_significant
    assert (f"{n_significant} of" in found.sentence) == (n_significant > 0)
