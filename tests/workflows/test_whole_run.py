"""Whole runs of the command on a made-up trial, from images to report."""

import os
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from explained_columns import unexplained
from small_trial import files_below

from bids_utils.derivatives import read_table, validate_bids
from workflows.cli import main as braindelta

pytestmark = pytest.mark.slow
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
