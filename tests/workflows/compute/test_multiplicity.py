"""Corrections for many tests."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from statsmodels.stats.multitest import multipletests

from workflows.compute.multiplicity import benjamini_hochberg, correct_families, holm


def test_benjamini_hochberg_by_hand():
    adjusted = benjamini_hochberg(np.array([0.04, 0.01, 0.03, 0.5]))
    np.testing.assert_allclose(adjusted, [0.16 / 3, 0.04, 0.16 / 3, 0.5])


def test_holm_by_hand():
    adjusted = holm(np.array([0.04, 0.01, 0.03, 0.5]))
    np.testing.assert_allclose(adjusted, [0.09, 0.04, 0.09, 0.5])


def test_corrections_equal_scipy_and_statsmodels():
    p = np.random.default_rng(3).random(500) ** 2
    np.testing.assert_allclose(benjamini_hochberg(p), stats.false_discovery_control(p))
    np.testing.assert_allclose(holm(p), multipletests(p, method="holm")[1])


@pytest.mark.parametrize("correction", [benjamini_hochberg, holm])
def test_tests_that_were_not_made_are_not_counted(correction):
    with_holes = correction(np.array([np.nan, 0.02, 0.01, np.nan]))
    np.testing.assert_array_equal(with_holes, [np.nan, *correction(np.array([0.02, 0.01])), np.nan])


@pytest.mark.parametrize("correction", [benjamini_hochberg, holm])
def test_adjusted_values_follow_the_order_of_the_tests(correction):
    p = np.random.default_rng(4).random(50)
    order = np.random.default_rng(5).permutation(50)
    np.testing.assert_array_equal(correction(p[order]), correction(p)[order])


@pytest.mark.parametrize("correction", [benjamini_hochberg, holm])
def test_a_number_that_is_no_p_value_is_refused(correction):
    with pytest.raises(ValueError, match="p: one dimension, values between 0 and 1"):
        correction(np.array([0.5, 1.2]))


def test_families_are_corrected_apart():
    rows = pd.DataFrame({"family": ["a", "b", "a", "b", "b"], "p": [0.01, 0.01, 0.5, 0.2, np.nan]})
    corrected = correct_families(rows)
    np.testing.assert_allclose(corrected["p_fwe"], [0.02, 0.02, 0.5, 0.2, np.nan])
    np.testing.assert_allclose(corrected["p_fdr"], [0.02, 0.02, 0.5, 0.2, np.nan])
