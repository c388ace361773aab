import json

import nibabel as nb
import numpy as np
import pandas as pd
import pytest

from bids_utils.derivatives import read_table, write_table
from workflows.compute.confounds import confound_table, dvars
from workflows.interfaces.bold_quality import BoldQuality
from workflows.interfaces.connectivity import CleanSeries, ConnectSession, RegionSeries

REGIONS = ["left", "right", "hidden", "absent"]


def save(values, path):
    nb.Nifti1Image(values, np.eye(4)).to_filename(path)
    return str(path)


def confounds_file(folder, n_volumes=150, jumps=(), n_dummy=-1):
    rng = np.random.default_rng(51)
    parameters = np.cumsum(rng.normal(0, 0.005, (n_volumes, 6)) * [1, 1, 1, 0.01, 0.01, 0.01], 0)
    for volume in jumps:
        parameters[volume:, 2] += 0.9
    names = ["csf", "white_matter", "global_signal"]
    tissues = pd.DataFrame(rng.normal(900, 2, (n_volumes, 3)), columns=names)
    both = dvars(rng.normal(1000, 10, (20, n_volumes)))
    table = confound_table(parameters, tissues, both, (2.0, 0.008), 0.5)
    table["framewise_displacement"] += np.where(table.index < n_dummy + 1, 5.0, 0.0)
    table["std_dvars"] += np.where(table.index < n_dummy + 1, 9.0, 0.0)
    write_table(table, folder / "confounds.tsv")
    return str(folder / "confounds.tsv")


DENOISING = {
    "repetition_time_s": 2.0,
    "strategy": "24P",
    "high_pass_hz": 0.008,
    "low_pass_hz": None,
    "fd_threshold_mm": 0.5,
    "std_dvars_threshold": None,
}


def clean(folder, jumps=(), seed=52, n_volumes=150, **changed):
    rng = np.random.default_rng(seed)
    folder.mkdir(exist_ok=True)
    shared = rng.normal(size=(n_volumes, 1))
    means = pd.DataFrame(shared + rng.normal(size=(n_volumes, 3)), columns=REGIONS[:3])
    means["hidden"] = np.nan
    write_table(means, folder / "means.tsv")
    node = CleanSeries(
        means_file=str(folder / "means.tsv"),
        confounds_file=confounds_file(folder, n_volumes, jumps),
        **DENOISING | changed,
    )
    return node.run(cwd=folder).outputs


def connect(runs, min_clean_minutes=4.0):
    node = ConnectSession(
        clean_files=[run.clean_file for run in runs],
        timeseries_jsons=[run.timeseries_json for run in runs],
        min_clean_minutes=min_clean_minutes,
    )
    return node.run().outputs


def test_regions_with_little_coverage_are_missing(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    whole = np.zeros((6, 4, 4), np.int16)
    whole[:2], whole[2:4], whole[4:] = 7, 3, 9
    series = np.random.default_rng(53).normal(500, 9, (5, 4, 4, 12)).astype(np.float32)
    mask = np.ones((5, 4, 4), np.uint8)
    mask[4, 1:] = 0
    series[4, 0, 3] = 500
    series = np.concatenate([series[..., :2] * [2, 1.5], series], axis=3).astype(np.float32)
    series[4, 0, 3] = 500
    labels = pd.DataFrame({"index": [3, 7, 9, 11], "name": REGIONS})
    write_table(labels, tmp_path / "labels.tsv")
    node = RegionSeries(
        in_file=save(series, tmp_path / "bold.nii"),
        mask_file=save(mask, tmp_path / "mask.nii"),
        atlas_file=save(whole[:5], tmp_path / "atlas.nii"),
        whole_atlas_file=save(whole, tmp_path / "whole.nii"),
        atlas_labels_file=str(tmp_path / "labels.tsv"),
        min_coverage=0.5,
        n_dummy=2,
    )
    outputs = node.run(cwd=tmp_path).outputs
    coverage = read_table(tmp_path / "coverage.tsv")
    assert coverage["region"].tolist() == REGIONS
    np.testing.assert_array_equal(coverage["coverage"], [1, 1, 3 / 32, np.nan])
    assert outputs.coverage_mean == pytest.approx((1 + 1 + 3 / 32) / 3)
    means = read_table(tmp_path / "means.tsv")
    np.testing.assert_allclose(means["left"], series[2:4].mean(axis=(0, 1, 2)), rtol=1e-6)
    np.testing.assert_allclose(means["right"], series[:2].mean(axis=(0, 1, 2)), rtol=1e-6)
    assert means[["hidden", "absent"]].isna().all(axis=None)
    assert outputs.tsnr == pytest.approx(500 / 9, rel=0.1)


def test_a_run_is_cleaned_and_its_description_says_how(tmp_path):
    outputs = clean(tmp_path, jumps=(50,))
    series = read_table(tmp_path / "timeseries.tsv")
    assert np.flatnonzero(series["left"].isna()).tolist() == [50]
    assert series["hidden"].isna().all()
    assert outputs.facts["n_outliers"] == 1
    assert outputs.facts["clean_minutes"] == pytest.approx(149 * 2 / 60)
    assert outputs.facts["usable"]
    about = json.loads((tmp_path / "timeseries.json").read_text())
    assert about["SamplingFrequency"] == 0.5
    assert about["DegreesOfFreedom"] == outputs.facts["degrees_of_freedom"] == 149 - 1 - 24 - 4
    assert (about["Strategy"], about["LowPassHz"]) == ("24P", None)


def test_a_saved_series_starts_where_its_slices_were_brought(tmp_path):
    for moment_s, expected in ((0.95, 0.95), (None, 0)):
        clean(tmp_path, slice_moment_s=moment_s)
        assert json.loads((tmp_path / "timeseries.json").read_text())["StartTime"] == expected


def test_the_thresholds_are_those_given_and_not_those_of_the_table(tmp_path):
    outputs = clean(tmp_path, jumps=(50,), fd_threshold_mm=1.0)
    assert outputs.facts["n_outliers"] == 0
    assert clean(tmp_path, jumps=(50,), fd_threshold_mm=None).facts["n_outliers"] == 0


def test_a_spline_fills_what_is_saved_and_nothing_else(tmp_path):
    outputs = clean(tmp_path, jumps=(50,), censored="spline")
    saved, used = (read_table(tmp_path / f"{name}.tsv")["left"] for name in ("timeseries", "clean"))
    assert saved.notna().all()
    assert np.flatnonzero(used.isna()).tolist() == [50]
    np.testing.assert_array_equal(saved.drop(50), used.drop(50))
    assert outputs.facts["n_outliers"] == 1


def test_one_run_gives_both_matrices_with_holes_kept(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    connect([clean(tmp_path, jumps=(50,))])
    for name in ("relmat", "partial"):
        matrix = read_table(tmp_path / f"{name}.tsv")
        assert matrix.columns.tolist() == REGIONS[:3]
        assert matrix.loc[0, "right"] == matrix.loc[1, "left"] == pytest.approx(0.55, abs=0.2)
        assert matrix["hidden"].isna().all()
        assert np.isnan(np.diag(matrix)).all()
    about = json.loads((tmp_path / "relmat.json").read_text())
    assert about["Note"] == "4.97 clean minutes; with less than 5 edges are unreliable"


def test_runs_are_scaled_and_joined(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    runs = [clean(tmp_path / "one"), clean(tmp_path / "two", seed=53, n_volumes=90)]
    connect(runs)
    parts = [read_table(file)[["left", "right"]] for file in (run.clean_file for run in runs)]
    joined = np.vstack([(part - part.mean()) / part.std() for part in parts])
    expected = np.arctanh(np.corrcoef(joined, rowvar=False)[0, 1])
    assert read_table(tmp_path / "relmat.tsv").loc[0, "right"] == pytest.approx(expected, abs=1e-3)
    about = json.loads((tmp_path / "partial.json").read_text())
    assert (about["Runs"], about["RunsUsed"]) == (2, 2)
    assert about["CleanMinutes"] == 8
    assert about["Note"] == ""
    freedom = [run.facts["degrees_of_freedom"] for run in runs]
    assert about["DegreesOfFreedom"] == sum(freedom)


def test_short_runs_are_enough_together_and_an_empty_one_is_left_out(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    short = [clean(tmp_path / str(seed), seed=seed, n_volumes=75) for seed in (1, 2)]
    empty = clean(tmp_path / "empty", n_volumes=31, jumps=(5, 9))
    assert not empty.facts["usable"]
    connect([empty, *short])
    about = json.loads((tmp_path / "relmat.json").read_text())
    assert about["Usable"]
    assert about["RunsUsed"] == 2
    assert about["CleanMinutes"] == 5
    connect([empty])
    about = json.loads((tmp_path / "relmat.json").read_text())
    assert about["Reason"].startswith("no usable run: ")


def test_too_little_clean_time_empties_the_matrices_and_says_so(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    connect([clean(tmp_path, jumps=(50,))], min_clean_minutes=4.98)
    for name in ("relmat", "partial"):
        matrix = read_table(tmp_path / f"{name}.tsv")
        assert matrix.shape == (3, 3)
        assert matrix.isna().all(axis=None)
        about = json.loads((tmp_path / f"{name}.json").read_text())
        assert about["Reason"] == "4.97 clean minutes, 4.98 needed"
        assert not about["Usable"]


def test_runs_with_other_regions_are_refused(tmp_path):
    run = clean(tmp_path / "one")
    other = clean(tmp_path / "two")
    write_table(
        read_table(other.clean_file)[["right", "left", "hidden"]], tmp_path / "two/clean.tsv"
    )
    with pytest.raises(ValueError, match="other regions"):
        connect([run, other])


def test_the_quality_row_has_every_measure(tmp_path):
    node = BoldQuality(
        confounds_file=confounds_file(tmp_path, jumps=(20,), n_dummy=2),
        facts={
            "n_outliers": 1,
            "clean_minutes": 4.0,
            "degrees_of_freedom": 33,
            "usable": False,
            "reason": "too short",
        },
        repetition_time_s=2.0,
        tsnr=70.0,
        registration_dice=0.9,
        boundary_cost=0.4,
        registration_kind="bbr",
        flip_cost_ratio=0.8,
        coverage_mean=0.7,
        n_dummy=2,
    )
    node.run(cwd=tmp_path)
    row = read_table(tmp_path / "qc.tsv").iloc[0]
    assert row["n_volumes"] == 150
    assert row["fd_max"] == pytest.approx(0.9, abs=0.05)
    assert 0.006 < row["fd_mean"] < 0.05
    assert row[["tsnr", "degrees_of_freedom", "n_dummy"]].tolist() == [70, 33, 2]
    assert row["share_outliers"] == pytest.approx(1 / 150)
    assert row[["registration_kind", "flip_cost_ratio", "coverage_mean"]].tolist() == [
        "bbr",
        0.8,
        0.7,
    ]
    assert row["dvars_mean"] == pytest.approx(1, abs=0.2)
    assert not row["usable"]
    assert row["reason"] == "too short"
    meanings = json.loads((tmp_path / "qc.json").read_text())
    assert list(meanings) == row.index.tolist()
    assert meanings["fd_max"]["Units"] == "mm"
