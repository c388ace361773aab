"""Scores of out-of-fold predictions."""

import numpy as np
import pytest
from scipy import stats
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import brier_score_loss, r2_score, roc_auc_score

from workflows.compute.prediction_scores import (
    OutOfFold,
    bootstrap_counts,
    calibration_curve,
    calibration_line,
    corrected_interval,
    score_table,
    scores,
    wilson_interval,
)


@pytest.fixture
def rng():
    return np.random.default_rng(9)


def found(target, predicted, fold=None, reference=None, binary=False):
    n = len(target)
    fold = np.zeros(n, dtype=int) if fold is None else fold
    reference = np.full(n, np.mean(target)) if reference is None else reference
    return OutOfFold(target, fold[None], reference[None], {"m": predicted[None]}, binary)


def test_continuous_scores_equal_scipy_and_scikit_learn_in_one_fold(rng):
    target = rng.normal(size=30)
    predicted = 0.3 * target + rng.normal(size=30)
    row = scores(found(target, predicted), "m", np.ones((1, 30))).iloc[0]
    assert row["r"] == pytest.approx(stats.pearsonr(target, predicted).statistic)
    assert row["R2"] == pytest.approx(r2_score(target, predicted))
    assert row["MAE"] == pytest.approx(np.abs(target - predicted).mean())


def test_binary_scores_equal_scikit_learn_in_one_fold(rng):
    target = np.repeat([0.0, 1.0], [18, 12])
    chance = np.round(np.clip(0.3 * target + rng.random(30) * 0.7, 0, 1), 1)
    row = scores(found(target, chance, binary=True), "m", np.ones((1, 30))).iloc[0]
    assert row["AUC"] == pytest.approx(roc_auc_score(target, chance))
    assert row["Brier"] == pytest.approx(brier_score_loss(target, chance))
    assert row["Brier skill"] == pytest.approx(1 - row["Brier"] / (0.4 * 0.6))


def test_r2_is_measured_against_the_mean_of_the_training_rows():
    target, reference = np.array([1.0, 3, 5, 7]), np.array([6.0, 6, 2, 2])
    row = scores(found(target, target + 1, reference=reference), "m", np.ones((1, 4))).iloc[0]
    # squared errors 4 against 25 + 9 + 9 + 25
    assert row["R2"] == pytest.approx(1 - 4 / 68)


def test_the_mean_of_the_training_rows_has_no_skill_although_its_pooled_r_is_negative(rng):
    target = rng.normal(size=40)
    fold = np.repeat(np.arange(4), 10)
    mean = np.array([target[fold != number].mean() for number in range(4)])[fold]
    assert np.corrcoef(target, mean)[0, 1] < -0.05
    row = scores(found(target, mean, fold, mean), "m", np.ones((1, 40))).iloc[0]
    assert row["r"] == 0
    assert row["R2"] == 0
    yes = (target > 0).astype(float)
    rate = np.array([yes[fold != number].mean() for number in range(4)])[fold]
    assert roc_auc_score(yes, rate) < 0.45
    assert scores(found(yes, rate, fold, rate, True), "m", np.ones((1, 40)))["AUC"][0] == 0.5


def test_r_is_the_mean_of_the_folds_own_r_weighted_by_their_size(rng):
    target, predicted = rng.normal(size=12), rng.normal(size=12)
    fold = np.repeat([0, 1], [8, 4])
    r = [np.corrcoef(target[fold == part], predicted[fold == part])[0, 1] for part in (0, 1)]
    predicted[fold == 1] = 100 + 50 * predicted[fold == 1]
    row = scores(found(target, predicted, fold), "m", np.ones((1, 12))).iloc[0]
    assert row["r"] == pytest.approx((8 * r[0] + 4 * r[1]) / 12)


def test_a_row_that_counts_twice_equals_the_row_repeated(rng):
    target, predicted = rng.normal(size=10), rng.normal(size=10)
    counts = np.array([[2.0, 0, 1, 1, 3, 1, 0, 1, 1, 0]])
    again = np.repeat(np.arange(10), counts[0].astype(int))
    reference, fold = np.zeros(10), np.repeat([0, 1], 5)
    one = scores(found(target, predicted, fold, reference), "m", counts)
    two = found(target[again], predicted[again], fold[again], reference[again])
    np.testing.assert_allclose(one, scores(two, "m", np.ones((1, 10))))
    yes, chance = (target > 0).astype(float), 1 / (1 + np.exp(-predicted))
    one = scores(found(yes, chance, fold, reference + 0.5, True), "m", counts)
    two = found(yes[again], chance[again], fold[again], np.full(10, 0.5), True)
    np.testing.assert_allclose(one, scores(two, "m", np.ones((1, 10))))


def test_calibration_of_predictions_that_are_twice_too_extreme(rng):
    target = rng.normal(size=50)
    target -= target.mean()
    line = calibration_line(found(target, 2 * target), "m", np.ones((1, 50))).iloc[0]
    assert line["calibration slope"] == pytest.approx(0.5)
    assert line["calibration intercept"] == pytest.approx(0)
    odds = rng.normal(size=400)
    yes = (rng.random(400) < 1 / (1 + np.exp(-odds))).astype(float)
    half = np.full(400, 0.5)
    bent = found(yes, 1 / (1 + np.exp(-2 * odds)), reference=half, binary=True)
    line = calibration_line(bent, "m", np.ones((1, 400))).iloc[0]
    peer = LogisticRegression(C=1e9, tol=1e-10).fit(2 * odds[:, None], yes)
    assert line["calibration slope"] == pytest.approx(peer.coef_[0, 0], rel=1e-4)
    assert line["calibration intercept"] == pytest.approx(peer.intercept_[0], abs=1e-4)


def test_calibration_is_not_defined_for_one_prediction_or_separated_classes():
    target = np.array([0.0, 0, 1, 1])
    flat = calibration_line(found(target, np.full(4, 0.3)), "m", np.ones((1, 4)))
    apart = found(target, np.array([0.1, 0.2, 0.8, 0.9]), binary=True)
    assert flat.isna().all(axis=None)
    assert calibration_line(apart, "m", np.ones((1, 4))).isna().all(axis=None)


def test_corrected_interval_by_hand():
    mean, low, high = corrected_interval(np.array([1.0, 2, 3, 4]), 0.25, 0.95)
    half = stats.t.ppf(0.975, 3) * np.sqrt((1 / 4 + 0.25) * 5 / 3)
    assert (mean, low, high) == pytest.approx((2.5, 2.5 - half, 2.5 + half))
    with pytest.raises(ValueError, match="test_share"):
        corrected_interval(np.array([1.0, 2]), 0, 0.95)


def test_participants_are_drawn_with_all_their_rows(rng):
    counts = bootstrap_counts(np.array(["a", "b", "a", "c"]), 500, rng)
    assert np.array_equal(counts[:, 0], counts[:, 2])
    assert np.all(counts[:, [0, 1, 3]].sum(axis=1) == 3)
    assert np.abs(counts.mean(axis=0) - 1).max() < 0.15


def test_the_interval_of_a_mean_error_is_the_widened_one_of_independent_people(rng):
    target, fold = rng.normal(size=100), np.arange(100) % 5
    out = found(target, np.zeros(100), fold)
    table = score_table(out, (), bootstrap_counts(np.arange(100), 4000, rng), 0.95)
    row = table[table["metric"] == "MAE"].iloc[0]
    error = np.abs(target).std() / 10
    assert (row["ci_high"] - row["ci_low"]) / (2 * 1.96 * 1.5 * error) == pytest.approx(1, abs=0.05)


def test_the_difference_of_two_models_is_taken_on_the_same_people(rng):
    target, one = rng.normal(size=40), rng.normal(size=(1, 40))
    fold, reference = (np.arange(40) % 4)[None], np.zeros((1, 40))
    out = OutOfFold(target, fold, reference, {"a": one, "b": one.copy()}, False)
    table = score_table(out, (("a", "b"),), bootstrap_counts(np.arange(40), 100, rng), 0.95)
    difference = table[table["model"] == "a - b"]
    assert difference["metric"].tolist() == ["r", "R2", "MAE"]
    assert (difference[["estimate", "ci_low", "ci_high"]] == 0).all(axis=None)


def test_curve_has_the_means_of_equal_bins():
    target, predicted = np.arange(10.0), np.arange(10.0)[::-1] / 10
    curve = calibration_curve(target, {"m": predicted}, 5, False, 0.95)
    # two bins of five rows: low predictions belong to high targets here
    np.testing.assert_allclose(curve["predicted"], [0.2, 0.7])
    np.testing.assert_allclose(curve["observed"], [7, 2])
    half = stats.t.ppf(0.975, 4) * np.sqrt(2.5 / 5)
    np.testing.assert_allclose(curve["ci_high"] - curve["observed"], half)
    flat = calibration_curve(target, {"m": np.ones(10)}, 5, False, 0.95)
    assert flat["n"].tolist() == [10]


def test_wilson_interval_of_a_textbook_case():
    # 8 of 10: .4902 to .9433
    assert wilson_interval(np.repeat([1, 0], [8, 2]), 0.95) == pytest.approx(
        (0.4902, 0.9433), abs=1e-4
    )
