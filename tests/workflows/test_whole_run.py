"""Whole runs of the command on a made-up trial: from images to report, and with broken input."""

import json
import os
import shutil
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
from explained_columns import unexplained
from small_trial import files_below, write_small_trial
from watched_calls import python

from bids_utils.derivatives import read_table, validate_bids
from workflows.cli import main as braindelta

pytestmark = pytest.mark.slow
RUN = "import sys; from workflows.cli import main; sys.exit(main(sys.argv[1:]))"
EXPECTED = Path(__file__).with_name("expected_outputs.txt")
THE_OTHERS = [f"sub-0{number}" for number in range(2, 8)]
KEYS = ["participant_id", "modality", "measure", "atlas", "region"]


def run(root, level, output, *options, settings="settings.yaml"):
    places = [str(root / "bids"), str(root / output), level]
    return braindelta([*places, "--settings", str(root / settings), "--nprocs", "2", *options])


def test_a_run_leaves_exactly_the_expected_files(trial):
    made = {
        name
        for name in files_below(trial / "derivatives")
        if not any(p in name for p in THE_OTHERS)
    }
    assert sorted(made) == EXPECTED.read_text(encoding="utf-8").splitlines()


def test_each_column_of_each_table_is_explained(trial):
    assert list(unexplained(trial / "derivatives")) == []


def test_the_derivatives_are_valid_bids(trial):
    assert validate_bids(trial / "derivatives", check_headers=True) == []


def test_the_dataset_is_only_read(trial, tmp_path):
    before = {p: p.stat().st_mtime_ns for p in (trial / "bids").rglob("*")}
    assert run(trial, "plan", tmp_path / "out") == 0
    assert {p: p.stat().st_mtime_ns for p in (trial / "bids").rglob("*")} == before


def test_a_second_run_has_nothing_to_do(trial):
    tables = {p: p.stat().st_mtime_ns for p in (trial / "derivatives").rglob("sub-*.tsv")}
    assert run(trial, "participant", "derivatives", "-w", str(trial / "work")) == 11
    assert {p: p.stat().st_mtime_ns for p in tables} == tables


def test_planted_growth_is_recovered_in_the_treated_and_not_in_the_others(trial):
    volumes = read_table(trial / "recovery" / "volumes.tsv")
    planted = volumes["name"].str.contains("hippocampus|amygdala")
    means = volumes[planted].groupby("participant_id")[["planted", "recovered"]].mean().dropna()
    slope, intercept = np.polyfit(means["planted"], means["recovered"], 1)
    assert len(means) == 7
    assert 0.5 < slope < 1.5
    assert abs(intercept) < 1.5
    assert means.corr().loc["planted", "recovered"] > 0.9
    still = volumes[volumes["planted"].abs() < 0.5]["recovered"].abs()
    assert still.median() < 1.0


def test_planted_connectivity_is_recovered(trial):
    edges = read_table(trial / "recovery" / "connectivity.tsv")
    planted = edges["name"].str.contains("amygdala")
    means = edges[planted].groupby("participant_id")[["planted", "recovered"]].mean().dropna()
    slope, intercept = np.polyfit(means["planted"], means["recovered"], 1)
    assert 0.6 < slope < 1.4
    assert abs(intercept) < 0.2


def test_swapping_the_sessions_in_the_settings_flips_every_change(trial, tmp_path):
    dates = shutil.ignore_patterns("sub-*_sessions.tsv")  # with them the order would be refused
    shutil.copytree(trial / "bids", tmp_path / "bids", ignore=dates, copy_function=os.symlink)
    settings = (trial / "settings.yaml").read_text(encoding="utf-8")
    changes = {}
    for name, order in (("forward", "[pre, post]"), ("swapped", "[post, pre]")):
        asked, output = tmp_path / f"{name}.yaml", tmp_path / name
        asked.write_text(f"sessions: {{order: {order}}}\n{settings}", encoding="utf-8")
        shutil.copytree(trial / "derivatives", output)
        code = run(tmp_path, "group", name, "-w", str(tmp_path / f"w_{name}"), settings=asked)
        assert code in (0, 10)
        table = read_table(output / "group" / "change.tsv")
        changes[name] = table.set_index(KEYS)["change"].dropna()
    both = pd.concat(changes, axis=1)
    assert len(both) > 500
    np.testing.assert_allclose(both["swapped"], -both["forward"], rtol=0, atol=1e-6)


@pytest.fixture(scope="module")
def broken(tmp_path_factory):
    """Four people: one scanned once and copied, three with a broken file."""
    root = tmp_path_factory.mktemp("broken")
    write_small_trial(root, n_participants=5, with_bold=("01", "03"))
    shutil.rmtree(root / "bids" / "sub-05")  # has no second session
    copy_session(root / "bids" / "sub-01")
    truncate(session_file(root, "02", "post", "anat", "T1w.nii.gz"))
    corrupt(session_file(root, "03", "pre", "func", "task-rest_bold.nii.gz"))
    flatten(session_file(root, "04", "post", "anat", "T1w.nii.gz"))
    words = [str(root / "bids"), str(root / "derivatives"), "participant", "--nprocs", "2"]
    words += ["--settings", str(root / "settings.yaml"), "--skip-bids-validation"]
    done, found, n_processes = python(root / "watched", "-c", RUN, *words)
    return root, done.returncode, (found, n_processes)


def session_file(root, participant, session, datatype, ending):
    stem = f"sub-{participant}_ses-{session}"
    folder = root / "bids" / f"sub-{participant}" / f"ses-{session}"
    return folder / datatype / f"{stem}_{ending}"


def copy_session(folder):
    """Give the first session to the second one, file by file."""
    for file in (folder / "ses-pre").rglob("*.*"):
        name = file.name.replace("ses-pre", "ses-post")
        shutil.copyfile(file, folder / "ses-post" / file.parent.name / name)


def truncate(file):
    content = file.read_bytes()
    file.write_bytes(content[: len(content) // 2])


def corrupt(file):
    content = bytearray(file.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 400] = bytes(400)
    file.write_bytes(content)


def flatten(file):
    image = nib.load(file)
    nib.save(nib.Nifti1Image(np.full(image.shape, 7, np.int16), image.affine), file)


def record(root, participant):
    path = root / "derivatives" / "logs" / f"sub-{participant}" / "status.json"
    return json.loads(path.read_text(encoding="utf-8"))


def test_broken_files_fail_their_participant_only(broken):
    root, code, _ = broken
    assert code == 10
    assert record(root, "01")["status"] == "done"
    assert {record(root, label)["status"] for label in ("02", "03", "04")} == {"failed"}


def test_images_are_processed_without_reaching_anybody(broken):
    """Template, registration, tissue, BOLD, pictures and pages."""
    root, _, (found, n_processes) = broken
    assert found == []
    assert n_processes > 10
    assert (root / "derivatives" / "sub-01.html").is_file()


@pytest.mark.parametrize(
    ("participant", "file", "words"),
    [
        ("02", "sub-02_ses-post_T1w.nii.gz", "truncated|ends|cut|copy"),
        ("03", "sub-03_ses-pre_task-rest_bold.nii.gz", "corrupt|damaged|copy"),
        ("04", "sub-04_ses-post_T1w.nii.gz", "all voxels are 7"),
    ],
)
def test_the_cause_names_the_file_and_what_is_wrong(broken, participant, file, words):
    root, *_ = broken
    causes = " ".join(record(root, participant)["causes"])
    assert file in causes
    assert any(word in causes for word in words.split("|")), causes
    assert "unexpected" not in causes


def test_what_was_done_before_a_failure_is_kept(broken):
    root, *_ = broken
    folder = root / "derivatives" / "sub-03" / "ses-post"
    assert list(folder.glob("anat/*_desc-volume_morph.tsv"))
    assert list(folder.glob("func/*_relmat.tsv"))


def test_the_same_scan_twice_gives_no_change(broken):
    root, *_ = broken
    assert run(root, "group", "derivatives", "--skip-bids-validation") == 10
    change = read_table(root / "derivatives" / "group" / "change.tsv")
    change = change[change["participant_id"] == "sub-01"]
    folder = root / "derivatives" / "sub-01" / "ses-pre" / "anat"
    lines = read_table(next(folder.glob("*_desc-thickness_morph.tsv")))
    n_thick = int(lines["thickness"].notna().sum())
    for measure, n_regions in (("volume", 83), ("deformation", 83), ("thickness", n_thick)):
        own = change[(change["measure"] == measure) & (change["baseline_value"] > 0)]
        assert len(own) == n_regions > 20, measure
        assert own["percent_change"].abs().max() <= 0.01, measure
    edges = np.load(next((root / "derivatives" / "group").glob("*_change.npy")))
    assert np.nanmax(np.abs(edges)) == 0
