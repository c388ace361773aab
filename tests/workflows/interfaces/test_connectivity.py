import json

import nibabel as nb
import numpy as np
import pandas as pd
import pytest

from bids_utils.derivatives import read_table, write_table
from workflows.compute.confounds import confound_table, dvars
from workflows.interfaces.connectivity import BoldQuality, Connect, RegionSeries

REGIONS = ["left", "right", "hidden", "absent"]


def save(values, path):
    nb.Nifti1Image(values, np.eye(4)).to_filename(path)
    return str(path)


def confounds_file(folder, n_volumes=150, jumps=()):
    rng = np.random.default_rng(51)
    parameters = np.cumsum(rng.normal(0, 0.005, (n_volumes, 6)) * [1, 1, 1, 0.01, 0.01, 0.01], 0)
    for volume in jumps:
        parameters[volume:, 2] += 0.9
    names = ["csf", "white_matter", "global_signal"]
    tissues = pd.DataFrame(rng.normal(900, 2, (n_volumes, 3)), columns=names)
    both = dvars(rng.normal(1000, 10, (20, n_volumes)))
    table = confound_table(parameters, tissues, both, (2.0, 0.008), 0.5)
    write_table(table, folder / "confounds.tsv")
    return str(folder / "confounds.tsv")


def connect(folder, min_clean_minutes, jumps=()):
    rng = np.random.default_rng(52)
    shared = rng.normal(size=(150, 1))
    means = pd.DataFrame(shared + rng.normal(size=(150, 3)), columns=REGIONS[:3])
    means["hidden"] = np.nan
    write_table(means, folder / "means.tsv")
    node = Connect(
        means_file=str(folder / "means.tsv"),
        confounds_file=confounds_file(folder, jumps=jumps),
        repetition_time_s=2.0,
        strategy="24P",
        high_pass_hz=0.008,
        low_pass_hz=None,
        min_clean_minutes=min_clean_minutes,
    )
    return node.run(cwd=folder).outputs


def test_regions_with_little_coverage_are_missing(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    whole = np.zeros((6, 4, 4), np.int16)
    whole[:2], whole[2:4], whole[4:] = 7, 3, 9
    series = np.random.default_rng(53).normal(500, 9, (5, 4, 4, 12)).astype(np.float32)
    mask = np.ones((5, 4, 4), np.uint8)
    mask[4, 1:] = 0
    labels = pd.DataFrame({"index": [3, 7, 9, 11], "name": REGIONS})
    write_table(labels, tmp_path / "labels.tsv")
    node = RegionSeries(
        in_file=save(series, tmp_path / "bold.nii"),
        mask_file=save(mask, tmp_path / "mask.nii"),
        atlas_file=save(whole[:5], tmp_path / "atlas.nii"),
        whole_atlas_file=save(whole, tmp_path / "whole.nii"),
        atlas_labels_file=str(tmp_path / "labels.tsv"),
        min_coverage=0.5,
    )
    outputs = node.run(cwd=tmp_path).outputs
    coverage = read_table(tmp_path / "coverage.tsv")
    assert coverage["region"].tolist() == REGIONS
    np.testing.assert_array_equal(coverage["coverage"], [1, 1, 4 / 32, np.nan])
    means = read_table(tmp_path / "means.tsv")
    np.testing.assert_allclose(means["left"], series[2:4].mean(axis=(0, 1, 2)), rtol=1e-6)
    np.testing.assert_allclose(means["right"], series[:2].mean(axis=(0, 1, 2)), rtol=1e-6)
    assert means[["hidden", "absent"]].isna().all(axis=None)
    assert outputs.tsnr == pytest.approx(500 / 9, rel=0.1)


def test_a_usable_run_has_a_symmetric_matrix_with_holes_kept(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    outputs = connect(tmp_path, min_clean_minutes=4.0, jumps=(50,))
    matrix = read_table(tmp_path / "relmat.tsv")
    assert matrix.columns.tolist() == REGIONS[:3]
    assert matrix.loc[0, "right"] == matrix.loc[1, "left"] == pytest.approx(0.55, abs=0.2)
    assert matrix["hidden"].isna().all()
    assert np.isnan(np.diag(matrix)).all()
    series = read_table(tmp_path / "timeseries.tsv")
    assert np.flatnonzero(series["left"].isna()).tolist() == [50]
    assert outputs.facts["n_outliers"] == 1
    assert outputs.facts["clean_minutes"] == pytest.approx(149 * 2 / 60)
    assert outputs.facts["usable"]


def test_too_little_clean_time_empties_the_matrix_and_says_so(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    outputs = connect(tmp_path, min_clean_minutes=4.98, jumps=(50,))
    matrix = read_table(tmp_path / "relmat.tsv")
    assert matrix.shape == (3, 3)
    assert matrix.isna().all(axis=None)
    content = json.loads((tmp_path / "relmat.json").read_text())
    assert content["Reason"] == "4.97 clean minutes, 4.98 needed"
    assert not content["Usable"]
    assert outputs.facts["reason"] == content["Reason"]


def test_the_quality_row_has_every_measure(tmp_path):
    node = BoldQuality(
        confounds_file=confounds_file(tmp_path, jumps=(20,)),
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
    )
    node.run(cwd=tmp_path)
    row = read_table(tmp_path / "qc.tsv").iloc[0]
    assert row["n_volumes"] == 150
    assert row["fd_max"] == pytest.approx(0.9, abs=0.05)
    assert 0.006 < row["fd_mean"] < 0.05
    assert row[["tsnr", "degrees_of_freedom"]].tolist() == [70, 33]
    assert not row["usable"]
    assert row["reason"] == "too short"
    meanings = json.loads((tmp_path / "qc.json").read_text())
    assert list(meanings) == row.index.tolist()
    assert meanings["fd_max"]["Units"] == "mm"
