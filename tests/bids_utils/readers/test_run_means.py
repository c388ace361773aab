"""Weighted mean of runs."""

import numpy as np

from bids_utils.readers.run_means import weighted_mean

RUNS = np.array([[1.0, np.nan, np.nan], [4.0, 6.0, np.nan]])


def test_runs_count_by_their_weights_and_nan_leaves_the_decision_to_the_others():
    mean = weighted_mean(RUNS, np.array([100, 200]))
    assert mean[:2].tolist() == [3, 6]
    assert np.isnan(mean[2])


def test_without_a_weight_all_runs_count_the_same():
    assert weighted_mean(RUNS, np.array([100, np.nan]))[0] == 2.5
