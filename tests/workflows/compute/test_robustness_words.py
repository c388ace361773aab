"""A finding that rests on one person, or on one way to ask, is said to do so."""

from dataclasses import replace

import numpy as np
import pandas as pd

from workflows.compute.robustness_words import (
    LeaveOneOut,
    check_sentence,
    leave_one_out_sentence,
)

FIRM = LeaveOneOut(-0.5, 0.001, -0.55, -0.45, 0.001, 0.01, 40, 2)


def said(**changes):
    return leave_one_out_sentence("insula", replace(FIRM, **changes), 0.05)


def test_the_range_without_each_person_is_said():
    assert said() == (
        "insula: r = -0.50 with all 40 people; leaving each out in turn it ranges from -0.55 to "
        "-0.45. 2 influential (Cook's distance above 4/n)."
    )
    assert said(plain=-0.4, n_influential=0).endswith("-0.45. Without covariates r = -0.40.")


def test_one_person_who_decides_is_said():
    assert "changes its sign: it rests on one person" in said(r_high=0.1)
    assert "not significant any more without one" in said(p_high=0.2)
    assert "would be significant without one" in said(p=0.2, p_low=0.01, p_high=0.6)


def test_noise_around_zero_that_changes_sign_is_no_finding_about_anybody():
    assert "sign" not in said(r=0.01, p=0.9, r_low=-0.1, r_high=0.1, p_low=0.5, p_high=0.99)


def checks(p_others, signs=(-0.4, -0.4)):
    table = pd.DataFrame({"check": ["planned", "by ranks", "given both baselines"]})
    return table.assign(coarse=False, estimate=[-0.5, *signs], p_fdr=[0.01, *p_others])


def test_other_ways_to_ask_are_counted():
    assert check_sentence("a", checks([0.02, 0.03]), 0.05).endswith("each of 2 other ways to ask.")
    lost = check_sentence("a", checks([0.02, 0.3]), 0.05)
    assert lost == "a: the finding does not hold given both baselines; treat it as uncertain."
    assert "does not hold by ranks" in check_sentence("a", checks([0.02, 0.03], (0.4, -0.4)), 0.05)


def test_without_a_finding_there_is_nothing_to_hold():
    assert check_sentence("a", checks([0.02, 0.03]).assign(p_fdr=0.4), 0.05) == ""
    assert check_sentence("a", checks([np.nan, np.nan]), 0.05) == ""


def test_a_coarser_question_without_an_answer_does_not_undo_a_finding():
    table = checks([0.02, 0.3]).assign(coarse=[False, False, True])
    said_of = check_sentence("a", table, 0.05)
    assert said_of == (
        "a: the finding holds, but was not shown given both baselines, which uses less of the data."
    )
