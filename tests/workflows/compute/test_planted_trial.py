import numpy as np
import pytest
from heads import tiny_stage

from workflows.compute import planted, planted_bold, planted_trial
from workflows.compute.planted_bold import BoldScan
from workflows.compute.planted_trial import PlantedSize

STAGE = tiny_stage()


def table(n_participants=8, seed=1):
    size = PlantedSize(volume_pct=0.8, fisher_z=0.05)
    return planted_trial.trial_table(n_participants, np.random.default_rng(seed), size)


def person(log_jacobian, seed=2):
    return planted_trial.random_person(STAGE, log_jacobian, np.random.default_rng(seed))


def test_only_the_treated_arm_changes_and_in_proportion_to_the_improvement():
    people = table()
    assert list(people["group"][:3]) == ["CBT", "waitlist", "CBT"]
    treated = people[people["group"] == "CBT"]
    np.testing.assert_allclose(np.exp(treated["log_jacobian"]), 1 + 0.008 * treated["improvement"])
    np.testing.assert_allclose(treated["fisher_z_change"], 0.05 * treated["improvement"])
    waiting = people[people["group"] == "waitlist"]
    assert not waiting[["log_jacobian", "fisher_z_change"]].any(axis=None)
    assert set(treated["improvement"]) == {3, 8, 13, 18}


def test_scores_fall_by_the_improvement():
    people = table()
    assert (people["baseline_score"] - people["followup_score"] == people["improvement"]).all()


@pytest.mark.parametrize("n_participants", [5, 6, 8, 11])
def test_one_session_and_one_score_of_different_people_are_missing(n_participants):
    people = table(n_participants)
    assert list(np.flatnonzero(~people["has_followup"])) == [n_participants - 1]
    assert list(np.flatnonzero(~people["has_score"])) == [n_participants - 3]


def test_a_trial_of_three_is_refused():
    with pytest.raises(ValueError, match="at least 4"):
        table(3)


def test_a_person_without_change_has_exactly_no_change_of_volume():
    truth = planted_trial.volume_truth(STAGE, person(0.0))
    assert not truth["percent_change"].any()


def test_a_person_with_change_grows_in_the_planted_regions_only():
    truth = planted_trial.volume_truth(STAGE, person(np.log(1.1))).set_index("region")
    grown = ["lh_hippocampus", "lh_amygdala"]
    np.testing.assert_allclose(truth.loc[grown, "percent_change"], 200 * 0.1 / 2.1, rtol=0.12)
    others = truth.drop(grown)["percent_change"]
    assert others.abs().max() < 0.2


def test_opposite_changes_have_opposite_truth():
    growing = planted_trial.volume_truth(STAGE, person(0.1))["percent_change"]
    shrinking = planted_trial.volume_truth(STAGE, person(-0.1))["percent_change"]
    np.testing.assert_allclose(growing, -shrinking, rtol=1e-9)


def test_the_t1w_image_shows_the_true_volume():
    marked = STAGE.head.t1w * 0 + (STAGE.head.labels == 1)
    one = person(0.2)
    grid = planted.box_grid((45, 45, 45), 2.0)
    seen = [
        planted.resampled(
            marked,
            STAGE.head.grid,
            planted_trial.planted_anatomy.inward_map(grid, pose, one.anatomy, change),
            2,
        ).sum()
        * 0.008
        for pose, change in zip(one.t1w_poses, one.changes, strict=True)
    ]
    truth = planted_trial.volume_truth(STAGE, one).iloc[0]
    np.testing.assert_allclose(seen, truth[["baseline_ml", "followup_ml"]].astype(float), rtol=0.02)


def test_half_of_the_connectivity_change_is_on_each_session():
    assert planted_trial.edge_set_values(0.9) == pytest.approx((-0.25, 0.65))


def test_a_run_reports_the_motion_and_the_correlation_it_was_made_with():
    scan = BoldScan(planted.box_grid((18, 18, 18), 6.0), 2.0, 200, noise=0.0)
    one = person(0.0)
    run, truth = planted_trial.session_bold(STAGE, one, 1, scan, 0.8, np.random.default_rng(3))
    again, same = planted_trial.session_bold(STAGE, one, 1, scan, 0.8, np.random.default_rng(3))
    np.testing.assert_array_equal(run, again)
    np.testing.assert_array_equal(truth.motion, same.motion)
    assert run.shape == (18, 18, 18, 200)
    assert truth.realised_z == pytest.approx(0.8, abs=0.3)
    jump = np.abs(np.diff(truth.motion[:, :3], axis=0)).sum(axis=1).argmax()
    step = np.abs(np.diff(run, axis=-1)).mean(axis=(0, 1, 2))
    assert step.argmax() == jump


def test_all_planted_values_of_the_edge_set_are_possible():
    labels = [label for members in planted_trial.NETWORKS for label in members] * 2 + ["other"]
    correlation = planted_bold.network_correlation(planted_trial.networks_of(labels))
    ends = [[i for i, label in enumerate(labels) if label == end] for end in planted_trial.EDGE_SET]
    for z in planted_trial.edge_set_values(0.05 * 18):
        assert planted_bold.edge_set_z(
            planted_bold.with_edges(correlation, *ends, z), *ends
        ) == pytest.approx(z)


def test_a_label_in_no_network_shares_the_last_one():
    assert list(planted_trial.networks_of(["amygdala", "cuneus", "nowhere"])) == [0, 3, 8]
