import hashlib
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
from heads import REGIONS, tiny_head

from workflows.compute import planted_bold, planted_trial
from workflows.interfaces import planted

DESIGN = planted.TrialDesign(
    n_participants=5, seed=3, t1w_voxel_mm=8.0, bold_voxel_mm=8.0, n_volumes=30
)
real_head, real_regions = planted.load_head, planted.load_regions


@pytest.fixture(scope="module")
def tiny():
    with pytest.MonkeyPatch.context() as patch:
        head = tiny_head()
        patch.setattr(planted, "load_head", lambda rng: head)
        patch.setattr(planted, "load_regions", lambda: REGIONS)
        yield


@pytest.fixture(scope="module")
def trial(tiny, tmp_path_factory):
    folder = tmp_path_factory.mktemp("trial")
    planted.write_trial(folder, DESIGN, n_threads=2)
    return folder


def checksums(folder):
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file()
    }


def read(path):
    return pd.read_csv(path, sep="\t", na_values="n/a")


def test_each_session_has_both_images_and_one_session_is_missing(trial):
    found = {path.relative_to(trial / "bids").as_posix() for path in trial.rglob("*.nii.gz")}
    sessions = [(f"sub-0{n}", f"ses-{s}") for n in range(1, 6) for s in ("pre", "post")]
    expected = set()
    for sub, ses in sessions[:-1]:
        expected |= {
            f"{sub}/{ses}/anat/{sub}_{ses}_T1w.nii.gz",
            f"{sub}/{ses}/func/{sub}_{ses}_task-rest_bold.nii.gz",
        }
    assert found == expected


def test_the_same_design_gives_the_same_bytes_with_any_number_of_threads(trial, tmp_path):
    planted.write_trial(tmp_path, DESIGN, n_threads=1)
    assert checksums(tmp_path) == checksums(trial)


def test_another_seed_gives_other_images(trial, tmp_path):
    planted.write_trial(tmp_path, replace(DESIGN, seed=4))
    name = "bids/sub-01/ses-pre/anat/sub-01_ses-pre_T1w.nii.gz"
    assert checksums(tmp_path)[name] != checksums(trial)[name]


def test_what_is_there_is_not_made_again(trial):
    image = trial / "bids/sub-01/ses-pre/anat/sub-01_ses-pre_T1w.nii.gz"
    before = image.stat().st_mtime_ns
    planted.write_trial(trial, DESIGN)
    assert image.stat().st_mtime_ns == before


def test_the_first_visit_in_time_is_the_last_in_the_alphabet(trial):
    dates = read(trial / "bids/sub-02/sub-02_sessions.tsv").set_index("session_id")["acq_time"]
    assert dates["ses-pre"] < dates["ses-post"]
    assert max(dates.index) == "ses-pre"


def test_one_score_is_missing(trial):
    scores = read(trial / "bids/phenotype/bdi.tsv").set_index("participant_id")
    assert list(scores.columns) == ["BDI_ses-pre", "BDI_ses-post"]
    assert list(scores.index[scores["BDI_ses-post"].isna()]) == ["sub-03"]
    assert scores["BDI_ses-pre"].notna().all()


def test_the_bold_header_has_size_and_repetition_time(trial):
    image = nib.load(trial / "bids/sub-01/ses-pre/func/sub-01_ses-pre_task-rest_bold.nii.gz")
    np.testing.assert_allclose(image.header.get_zooms(), [8, 8, 8, 2.0])
    assert image.shape[3] == 30
    assert image.header.get_xyzt_units() == ("mm", "sec")


def test_the_truth_is_outside_of_the_dataset_and_complete(trial):
    names = {path.name for path in (trial / "truth").iterdir()}
    tables = {"trial.tsv", "volumes.tsv", "connectivity.tsv", "motion.tsv", "poses.tsv"}
    assert names == tables | {"design.json"}
    assert {path.name for path in trial.iterdir()} == {"bids", "truth"}
    motion = read(trial / "truth/motion.tsv")
    assert len(motion) == 9 * 30
    volumes = read(trial / "truth/volumes.tsv")
    assert set(volumes["participant_id"]) == {"sub-01", "sub-02", "sub-03", "sub-04"}


def test_the_truth_is_the_planted_size(trial):
    people = read(trial / "truth/trial.tsv").set_index("participant_id")
    edges = read(trial / "truth/connectivity.tsv").pivot_table(
        index="participant_id", columns="session_id", values="population_z"
    )
    change = (edges["ses-post"] - edges["ses-pre"]).drop("sub-05")
    treated = people["group"] == "CBT"
    wanted = np.where(treated, 0.05 * people["improvement"], 0)[:4]
    np.testing.assert_allclose(change, wanted, atol=1e-9)
    volumes = read(trial / "truth/volumes.tsv").set_index(["participant_id", "region"])
    for name in ("sub-01", "sub-02", "sub-03", "sub-04"):
        growth = 0.01 * people.loc[name, "improvement"] * treated[name]
        seen = volumes.loc[(name, "lh_hippocampus"), "percent_change"]
        assert seen == pytest.approx(200 * growth / (2 + growth), rel=0.15)


def test_the_pose_of_the_truth_finds_the_head_in_the_image(trial):
    image = nib.load(trial / "bids/sub-01/ses-pre/anat/sub-01_ses-pre_T1w.nii.gz")
    poses = read(trial / "truth/poses.tsv")
    pose = poses[(poses["participant_id"] == "sub-01") & (poses["session_id"] == "ses-pre")]
    middle = pose[pose["image"] == "T1w"][["m03", "m13", "m23"]].to_numpy()[0]
    inside = np.argwhere(image.get_fdata() > 300)
    centre = nib.affines.apply_affine(image.affine, inside).mean(axis=0)
    np.testing.assert_allclose(centre, middle, atol=5)


def test_the_validator_finds_no_error(trial):
    script = Path(sys.executable).with_name("bids-validator-deno")
    if not script.is_file():
        pytest.skip("bids-validator-deno is not installed")
    command = [str(script), str(trial / "bids")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert "[ERROR]" not in done.stdout + done.stderr
    assert done.returncode == 0


def test_each_planted_connection_of_the_atlas_is_possible():
    regions = real_regions()
    labels = [label for members in planted_trial.NETWORKS for label in members]
    assert set(labels) <= set(regions["label"])
    assert len(set(labels)) == len(labels)
    ends = [planted_trial.region_rows(regions, end) for end in planted_trial.EDGE_SET]
    networks = planted_trial.networks_of(regions["label"])
    for z in planted_trial.edge_set_values(18 * planted_trial.PlantedSize().fisher_z):
        matrix = planted_bold.with_edges(planted_bold.network_correlation(networks), *ends, z)
        assert planted_bold.edge_set_z(matrix, *ends) == pytest.approx(z)


def test_the_real_head_has_the_atlas_in_its_grey_matter():
    head = real_head(np.random.default_rng(0))
    regions = real_regions()
    index = dict(zip(regions["name"], regions["index"], strict=True))
    centre = np.argwhere(head.labels == index["lh_hippocampus"]).mean(axis=0)
    x, y, z = nib.affines.apply_affine(head.grid.affine, centre)
    assert -35 < x < -20
    assert -30 < y < -12
    assert -25 < z < -8
    cortex = head.labels == index["rh_superiorfrontal"]
    assert head.t1w[cortex].mean() == pytest.approx(0.64, abs=0.06)
