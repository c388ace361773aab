"""Reliable and clinically significant change, Jacobson & Truax (1991)."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from workflows.compute.clinical_significance import (
    clinical_cutoff,
    clinically_significant_change,
    cutoffs,
    reliable_change,
    reliable_change_index,
    reliable_limits,
    smallest_reliable_change,
    standard_error_of_difference,
    standard_error_of_measurement,
)
from workflows.compute.problems import ModelError
from workflows.compute.scale import Scale

BTHEB = Path(__file__).parents[2] / "data" / "btheb.csv"
MARITAL = Scale(
    "satisfaction",
    better="higher",
    reliability=0.8,
    norm_mean=60,
    norm_sd=7.5,
    clinical_mean=40,
    clinical_sd=7.5,
)


def test_the_textbook_case():
    assert standard_error_of_measurement(7.5, 0.8) == pytest.approx(3.354101966, rel=1e-9)
    assert standard_error_of_difference(7.5, 0.8) == pytest.approx(4.743416490, rel=1e-9)
    assert reliable_change_index(32.5, 47.5, 7.5, 0.8) == pytest.approx(3.162277660, rel=1e-9)
    found = cutoffs(MARITAL)
    assert (found.a, found.b, found.c) == (55, 45, 50)


def test_with_unequal_deviations_c_lies_nearer_to_the_narrower_population():
    # (5 x 40 + 10 x 60) / 15
    wide = replace(MARITAL, norm_sd=5, clinical_sd=10)
    assert cutoffs(wide).c == pytest.approx(160 / 3)


def test_cut_offs_of_a_reversed_scale_are_reversed():
    mirrored = replace(MARITAL, better="lower", norm_mean=-60, clinical_mean=-40)
    found = cutoffs(mirrored)
    assert (found.a, found.b, found.c) == (-55, -45, -50)


def test_beat_the_blues_as_in_r():
    table = pd.read_csv(BTHEB)
    before, after = table["bdi.pre"].to_numpy(float), table["bdi.2m"].to_numpy(float)
    sd = table["bdi.pre"].std()
    bdi = Scale("bdi", reliability=0.93)
    assert sd == pytest.approx(10.8404918074, rel=1e-9)
    expected = (4.05614062474, 7.95003562449)
    assert reliable_limits(bdi, sd) == pytest.approx(expected, rel=1e-9)
    assert smallest_reliable_change(sd, 0.93) == pytest.approx(expected[1], rel=1e-9)
    counts = pd.Series(reliable_change(before, after, sd, bdi)).value_counts()
    assert counts.to_dict() == {"unchanged": 57, "improved": 36, "deteriorated": 4}


def test_swapping_the_sessions_swaps_improved_and_deteriorated():
    before, after = np.random.default_rng(1).normal(20, 10, size=(2, 200))
    there = reliable_change(before, after, 10, Scale("x", reliability=0.9))
    back = reliable_change(after, before, 10, Scale("x", reliability=0.9))
    turned = {"improved": "deteriorated", "deteriorated": "improved", "unchanged": "unchanged"}
    assert [turned[text] for text in there] == back.tolist()
    assert set(there) == set(turned)


def test_groups_of_the_textbook_scale():
    before = np.array([40.0, 40, 40, 40, 52, np.nan, 40])
    after = np.array([55.0, 49.5, 42, 30, 65, 50, np.nan])
    found = clinically_significant_change(before, after, 7.5, MARITAL, 50)
    assert found.tolist() == [
        "recovered",
        "improved",
        "unchanged",
        "deteriorated",
        "improved",
        None,
        None,
    ]


def test_with_perfectly_random_error_five_percent_change_reliably():
    rng = np.random.default_rng(7)
    truth, errors = rng.normal(25, 9, 100_000), rng.normal(0, 3, (2, 100_000))
    scores = truth + errors
    reliability = 81 / 90
    found = reliable_change(*scores, np.sqrt(90), Scale("x", reliability=reliability))
    assert np.mean(found != "unchanged") == pytest.approx(0.05, abs=0.003)


def test_the_cut_off_uses_c_and_this_sample_where_no_clinical_sample_is_known():
    own = np.array([30.0, 40, 50, np.nan])
    found = clinical_cutoff(replace(MARITAL, clinical_mean=None, clinical_sd=None), own)
    # mean 40, sd 10: (7.5 x 40 + 10 x 60) / 17.5
    assert found.value == pytest.approx(900 / 17.5)
    assert (found.letter, found.basis) == ("c", "norm and this sample at baseline")
    assert clinical_cutoff(MARITAL, own).value == 50


def test_without_norms_the_cut_off_is_a():
    own = np.array([20.0, 30, 40])
    found = clinical_cutoff(Scale("x", minimum=0, maximum=63), own)
    assert (found.value, found.letter) == (10, "a")
    with pytest.raises(ModelError, match="cut-off a .-10. lies outside the scale"):
        clinical_cutoff(Scale("x", minimum=0), np.array([0.0, 20, 10]))


def test_a_sample_no_worse_than_the_norm_has_no_cut_off():
    with pytest.raises(ModelError, match="is not worse than the norm"):
        clinical_cutoff(Scale("x", norm_mean=20, norm_sd=5), np.array([5.0, 15]))


def test_without_reliability_the_message_says_which_setting_to_give():
    with pytest.raises(ModelError, match="give reliability .* under group.scores"):
        reliable_change(np.array([1.0]), np.array([2.0]), 3, Scale("bdi"))


@pytest.mark.parametrize("sd", [0.0, np.nan])
def test_scores_that_do_not_vary_are_a_problem(sd):
    with pytest.raises(ModelError, match="do not vary"):
        reliable_change(np.array([1.0]), np.array([2.0]), sd, Scale("x", reliability=0.9))


@pytest.mark.parametrize(("sd", "reliability"), [(1, 1.0), (1, 0), (0, 0.8), (np.nan, 0.8)])
def test_impossible_reliability_and_deviation_are_refused(sd, reliability):
    with pytest.raises(ValueError, match=r"reliability: between|sd: above"):
        standard_error_of_measurement(sd, reliability)
