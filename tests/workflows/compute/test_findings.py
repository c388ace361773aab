"""Sentences claim no more than the model."""

import numpy as np
import pandas as pd
import pytest

from workflows.compute.findings import (
    ASSOCIATION_CAUTION,
    MODERATOR_CAUTION,
    NOT_RANDOMISED_CAUTION,
    ONE_ARM_CAUTION,
    SLOPE_CAUTION,
    findings,
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


@pytest.mark.parametrize("n_significant", [0, 1, 2])
def test_the_number_of_significant_regions_is_the_number_said(n_significant):
    p = [0.01] * n_significant + [0.5] * 3
    found = only(rows(p))
    assert found.n_significant == n_significant
    assert (f"{n_significant} of" in found.sentence) == (n_significant > 0)


SCORE = {"modality": "score", "measure": "BDI", "atlas": "", "region": "", "unit": "points"}


def test_a_score_is_said_with_its_interval_also_where_nothing_was_shown():
    found = only(rows([0.3], **SCORE, formula="followup ~ baseline + arm"))
    assert found.sentence.startswith(
        "BDI, CBT - WL, given the baseline: not shown, +0.5 points (interval 0.2 to 0.8), p = 0.03"
    )
    assert "not shown" not in only(rows([0.01], **SCORE)).sentence


def test_null_results_say_how_far_the_intervals_reach():
    table = rows([0.3, 0.9]).assign(ci_low=[-0.5, -0.1], ci_high=[0.1, 0.7])
    assert "The intervals of all regions reach from -0.5 to 0.7 ml." in only(table).sentence


DOSE = {"term": "attended", "effect_size_name": "partial r", "unit": "ml"}
PRODUCT = {"term": "arm[CBT]:age", "effect_size_name": "partial r"}


def test_a_dose_is_not_an_effect_even_where_arms_were_randomised():
    found = only(rows([0.01], **DOSE), randomised=True)
    assert found.caution == SLOPE_CAUTION
    assert found.sentence.startswith("Grey-matter volume, change with each unit of attended: 1 of")
    assert "partial correlation" not in found.sentence
    alone = only(rows([0.01], **DOSE, n_per_arm="all=15"))
    assert alone.caution == f"{ONE_ARM_CAUTION} {SLOPE_CAUTION}"


def test_a_moderator_was_not_assigned():
    assert only(rows([0.01], **PRODUCT), randomised=True).caution == MODERATOR_CAUTION
    simple = only(rows([0.01], term="CBT - WL at age + 1 SD"))
    assert simple.caution == f"{NOT_RANDOMISED_CAUTION} {MODERATOR_CAUTION}"
    later = only(rows([0.01], term="CBT - WL at ses-fu"), randomised=True)
    assert later.caution == ""


def test_a_dependence_on_a_moderator_is_not_called_a_difference():
    found = only(rows([0.01], **PRODUCT))
    assert "whether the difference of CBT depends on age" in found.sentence
    assert "1 of 1 regions showed such a dependence" in found.sentence
