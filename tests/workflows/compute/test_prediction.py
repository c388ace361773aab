"""Prediction for the individual, nothing learned outside the fold."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from workflows.compute.fold_steps import SiteOffsets, TangentSpace, shrunk_covariance
from workflows.compute.prediction import fold_predictions, predict_outcome
from workflows.compute.prediction_cases import Cases, PredictionSpec
from workflows.compute.problems import ModelError

QUICK = PredictionSpec(
    "continuous", predictors_first=True, n_repeats=1, n_permutations=0, n_bootstraps=100
)


def cases_of(target, edges, clinical=None, **parts):
    n = len(target)
    table = pd.DataFrame(index=range(n)) if clinical is None else pd.DataFrame(clinical)
    values = {"participants": np.arange(n), "confounds": np.empty((n, 0))} | parts
    brain = {} if edges is None else {"edges": edges}
    return Cases(target=target, clinical=table, brain=brain, **values)


def score(result, model, metric):
    table = result.scores.set_index(["model", "metric"])
    return float(table.loc[(model, metric), "estimate"])


@pytest.mark.parametrize("method", ["elastic_net", "ridge", "cpm"])
@pytest.mark.parametrize("kind", ["continuous", "binary"])
def test_targets_of_the_test_rows_cannot_change_a_prediction(method, kind):
    rng = np.random.default_rng(0)
    target = (np.arange(40.0) % 2) if kind == "binary" else rng.normal(size=40)
    edges = rng.normal(size=(40, 300)) + 0.5 * target[:, None] * (np.arange(300) < 20)
    cases = cases_of(target, edges, {"baseline": rng.normal(size=40)})
    spec = replace(QUICK, kind=kind, method=method)
    rows = np.arange(32), np.arange(32, 40)
    one = fold_predictions(cases, spec, rows, np.random.default_rng(1))
    hidden = target.copy()
    hidden[32:] = np.nan
    two = fold_predictions(replace(cases, target=hidden), spec, rows, np.random.default_rng(1))
    pd.testing.assert_frame_equal(one, two)
    assert one["clinical+brain"].nunique() == 8


@pytest.mark.parametrize("method", ["elastic_net", "ridge", "cpm"])
def test_noise_has_no_skill_in_any_direction(method):
    found, spec = [], replace(QUICK, method=method, n_folds=3, n_inner=3)
    for seed in range(16):
        rng = np.random.default_rng(seed)
        cases = cases_of(rng.normal(size=30), rng.normal(size=(30, 100)))
        result = predict_outcome(cases, spec, rng)
        found.append(score(result, "brain", "r"))
        assert score(result, "brain", "R2") < 0.5
    assert abs(np.mean(found)) < 3 * np.std(found) / np.sqrt(16)


def test_a_planted_signal_is_found_with_its_size():
    rng = np.random.default_rng(3)
    edges = rng.normal(size=(1500, 12))
    baseline = rng.normal(size=1500)
    # shares of the variance: 1 from baseline, 1 from the edges, 2 of noise
    target = baseline + edges[:, :4] @ [0.5, -0.5, 0.5, -0.5] + np.sqrt(2) * rng.normal(size=1500)
    result = predict_outcome(cases_of(target, edges, {"baseline": baseline}), QUICK, rng)
    assert score(result, "clinical", "R2") == pytest.approx(0.25, abs=0.06)
    assert score(result, "brain", "R2") == pytest.approx(0.25, abs=0.06)
    assert score(result, "clinical+brain", "R2") == pytest.approx(0.5, abs=0.06)
    assert score(result, "difference", "R2") == pytest.approx(0.25, abs=0.06)
    assert score(result, "clinical+brain", "calibration slope") == pytest.approx(1, abs=0.15)
    assert score(result, "clinical+brain", "interval coverage") == pytest.approx(0.9, abs=0.03)
    row = result.scores.set_index(["model", "metric"]).loc[("difference", "R2")]
    assert row["ci_low"] > 0.1


def test_a_response_is_predicted_by_the_side_that_carries_it():
    rng = np.random.default_rng(4)
    edges = rng.normal(size=(120, 20))
    target = (edges[:, 3] + 0.5 * rng.normal(size=120) > 0).astype(float)
    spec = replace(QUICK, kind="binary")
    result = predict_outcome(cases_of(target, edges, {"age": rng.normal(size=120)}), spec, rng)
    assert score(result, "brain", "AUC") > 0.85
    assert score(result, "clinical", "AUC") == pytest.approx(0.5, abs=0.12)
    assert score(result, "difference", "Brier") < -0.08
    people = result.people
    assert people["brain"].between(0, 1).all()
    assert set(people["interval_low"]) <= {0, 1}
    assert result.facts["events"] == f"{int(target.sum())} of 120 rows"


def test_a_confound_that_carries_the_target_is_removed_inside_the_fold():
    rng = np.random.default_rng(5)
    motion = rng.normal(size=60)
    target = motion + 0.3 * rng.normal(size=60)
    edges = 2 * motion[:, None] + rng.normal(size=(60, 50))
    with_it = predict_outcome(cases_of(target, edges), QUICK, np.random.default_rng(1))
    cleaned = cases_of(target, edges, confounds=motion[:, None])
    without = predict_outcome(cleaned, QUICK, np.random.default_rng(1))
    assert score(with_it, "brain", "r") > 0.8
    assert abs(score(without, "brain", "r")) < 0.35


def test_a_person_scanned_twice_does_not_teach_about_himself():
    rng = np.random.default_rng(6)
    people = np.repeat(np.arange(30), 2)
    target, edges = rng.normal(size=30)[people], rng.normal(size=(30, 200))[people]
    edges = edges + 0.01 * rng.normal(size=edges.shape)
    # each second scan in a fold of its own would give r near 1
    found = predict_outcome(cases_of(target, edges, participants=people), QUICK, rng)
    assert score(found, "brain", "r") < 0.5
    assert found.scores["n"].unique().tolist() == [30]


def test_p_of_a_strong_signal_is_the_smallest_and_the_clinical_share_stays_in_the_difference():
    rng = np.random.default_rng(7)
    baseline, edges = rng.normal(size=40), rng.normal(size=(40, 10))
    target = 2 * baseline + 0.3 * rng.normal(size=40)
    spec = replace(QUICK, method="ridge", n_permutations=9)
    result = predict_outcome(cases_of(target, edges, {"baseline": baseline}), spec, rng)
    p = result.scores.set_index(["model", "metric"])["p"]
    assert p["clinical", "r"] == p["clinical", "R2"] == p["clinical", "MAE"] == 0.1
    assert p["clinical+brain", "R2"] == 0.1
    assert p["difference", "R2"] > 0.1
    assert p["brain", "R2"] > 0.1
    assert np.isnan(p["mean", "R2"])


def test_an_unseen_site_is_an_error_when_harmonising_and_allowed_when_not():
    rng = np.random.default_rng(8)
    sites = np.array(["a", "b"] * 20 + ["c"] * 2)
    cases = cases_of(rng.normal(size=42), rng.normal(size=(42, 4)), sites=sites)
    rows = np.arange(40), np.arange(40, 42)
    spec = replace(QUICK, harmoniser=SiteOffsets())
    with pytest.raises(ModelError, match="site 'c' has nobody"):
        fold_predictions(cases, spec, rows, rng)
    assert len(fold_predictions(cases, QUICK, rows, rng)) == 2


def test_harmonisation_learned_in_the_fold_removes_an_offset_between_sites():
    rng = np.random.default_rng(9)
    code = np.arange(80) % 2
    signal = rng.normal(size=80)
    edges = rng.normal(size=(80, 5))
    edges[:, 0] = signal + 10 * code
    target = signal + 0.3 * rng.normal(size=80)
    cases = cases_of(target, edges, sites=np.array(["x", "y"])[code])
    plain = predict_outcome(cases, QUICK, np.random.default_rng(1))
    spec = replace(QUICK, harmoniser=SiteOffsets())
    better = predict_outcome(cases, spec, np.random.default_rng(1))
    assert score(plain, "brain", "R2") < 0.2
    assert score(better, "brain", "R2") > 0.75


def test_a_site_left_out_is_predicted_by_the_other_sites():
    rng = np.random.default_rng(10)
    sites = np.repeat(["x", "y", "z"], 20)
    edges = rng.normal(size=(60, 5))
    target = edges[:, 0] + 0.5 * rng.normal(size=60)
    cases = cases_of(target, edges, sites=sites)
    spec = replace(QUICK, group_by="site")
    result = predict_outcome(cases, spec, np.random.default_rng(1))
    means = [target[sites != site].mean() for site in sites]
    np.testing.assert_allclose(result.people["mean"], means)
    assert score(result, "brain", "R2") > 0.6


def test_covariances_are_predicted_from_in_tangent_space():
    rng = np.random.default_rng(11)
    target = rng.normal(size=40)
    mixed = rng.normal(size=(40, 200, 3))
    mixed[:, :, 1] += (0.5 * target[:, None] + 1) * mixed[:, :, 0]
    cases = cases_of(target, np.array([shrunk_covariance(part) for part in mixed]))
    result = predict_outcome(cases, replace(QUICK, method="ridge"), rng)
    assert score(result, "brain", "r") > 0.7
    assert result.facts["predictors"] == "0 clinical columns, 6 brain"
    assert result.facts["model"] == "ridge in tangent space (brain), elastic net (clinical)"


def test_matrices_of_test_rows_change_neither_the_reference_nor_the_other_predictions(monkeypatch):
    rng = np.random.default_rng(15)
    matrices = np.array([shrunk_covariance(rng.normal(size=(30, 4))) for _ in range(40)])
    cases = cases_of(rng.normal(size=40) + 2 * matrices[:, 0, 1], matrices)
    references, learn = [], TangentSpace.fit

    def fit(step, values, y=None):
        references.append(learn(step, values).whitening_)
        return step

    monkeypatch.setattr(TangentSpace, "fit", fit)

    def predicted(changed):
        brain = matrices.copy()
        brain[changed] = shrunk_covariance(np.linspace(0, 9, 200).reshape(50, 4) ** 3)
        references.clear()
        part = replace(cases, brain={"edges": brain})
        rows = np.arange(32), np.arange(32, 40)
        spec = replace(QUICK, method="ridge")
        found = fold_predictions(part, spec, rows, np.random.default_rng(1))
        return found["brain"].to_numpy(), np.array(references)

    plain, learned = predicted([])
    late, same = predicted([39])
    np.testing.assert_array_equal(same, learned)
    np.testing.assert_array_equal(late[:7], plain[:7])
    assert late[7] != plain[7]
    assert len(learned) == 1 + QUICK.n_inner
    early, other = predicted([0])
    assert np.abs(other[0] - learned[0]).max() > 1e-3
    assert np.abs(early - plain).min() > 1e-6


def test_everybody_keeps_a_row_and_holes_are_filled_and_counted():
    rng = np.random.default_rng(12)
    target, edges = rng.normal(size=30), rng.normal(size=(30, 6))
    age = rng.normal(size=30)
    target[4], edges[7], edges[9, 2], age[2] = np.nan, np.nan, np.nan, np.nan
    result = predict_outcome(cases_of(target, edges, {"age": age}), QUICK, rng)
    people = result.people
    assert people["participant"].tolist() == list(range(30))
    assert people.loc[[4, 7], "note"].tolist() == ["no outcome", "no values of edges"]
    assert np.flatnonzero(people["brain"].isna()).tolist() == [4, 7]
    assert result.facts["left out"] == "1 no outcome; 1 no values of edges"
    assert result.facts["missing values"].startswith("1 clinical and 1 brain values")


def test_clinical_columns_alone_give_no_brain_row_and_the_seed_decides_the_rest():
    rng = np.random.default_rng(13)
    baseline = rng.normal(size=30)
    cases = cases_of(baseline + rng.normal(size=30), None, {"baseline": baseline})
    one, two = (predict_outcome(cases, QUICK, np.random.default_rng(1)) for _ in range(2))
    assert one.scores["model"].unique().tolist() == ["mean", "clinical"]
    pd.testing.assert_frame_equal(one.scores, two.scores)
    pd.testing.assert_frame_equal(one.people, two.people)
    assert one.calibration["model"].unique().tolist() == ["mean", "clinical"]


def test_the_same_participant_in_training_and_test_is_refused():
    rng = np.random.default_rng(14)
    cases = cases_of(rng.normal(size=30), rng.normal(size=(30, 3)))
    with pytest.raises(ValueError, match="in the training and in the test"):
        fold_predictions(cases, QUICK, (np.arange(25), np.arange(24, 30)), rng)
