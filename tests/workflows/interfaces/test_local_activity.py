import json

import nibabel as nb
import numpy as np
import pandas as pd
import pytest

from bids_utils.derivatives import read_table, write_table
from workflows.compute.confounds import cosine_basis
from workflows.compute.local_activity import (
    cleaning_of,
    regional_homogeneity,
    slow_amplitude,
    spectrum_of,
)
from workflows.interfaces.local_activity import LocalActivity

N_VOLUMES = 120


@pytest.fixture
def image(tmp_path):
    """Two regions: one whose voxels share a slow wave, one of noise; three voxels are dead."""
    rng = np.random.default_rng(61)
    labels = np.full((8, 5, 5), 4, np.int16)
    labels[4:] = 2
    series = 500 + rng.normal(0, 5, (*labels.shape, N_VOLUMES))
    wave = np.sin(2 * np.pi * 0.04 * 2.0 * np.arange(N_VOLUMES))
    series[labels == 4] += 8 * wave
    series[0, 0, :3] = [[500], [np.nan], [0]]
    mask = np.ones(labels.shape, np.uint8)
    for name, values in (("bold", series), ("atlas", labels), ("mask", mask)):
        nb.Nifti1Image(values.astype(np.float32), np.eye(4)).to_filename(tmp_path / f"{name}.nii")
    regions = pd.DataFrame({"index": [2, 4, 9], "region": ["noise", "wave", "hidden"]})
    write_table(regions.assign(coverage=[0.9, 0.8, 0.4]), tmp_path / "coverage.tsv")
    terms = ("", "_derivative1", "_power2", "_derivative1_power2")
    names = [
        f"{kind}_{axis}{term}" for kind in ("trans", "rot") for axis in "xyz" for term in terms
    ]
    table = pd.DataFrame(rng.normal(size=(N_VOLUMES, 24)), columns=names)
    moved = np.where(np.arange(N_VOLUMES) % 10 == 3, 0.9, 0.1)
    write_table(table.assign(framewise_displacement=moved), tmp_path / "confounds.tsv")
    return series, labels, table.to_numpy(), moved < 0.5


def local_table(folder):
    LocalActivity(
        in_file=str(folder / "bold.nii"),
        mask_file=str(folder / "mask.nii"),
        atlas_file=str(folder / "atlas.nii"),
        coverage_file=str(folder / "coverage.tsv"),
        confounds_file=str(folder / "confounds.tsv"),
        min_coverage=0.5,
        repetition_time_s=2.0,
        strategy="24P",
        high_pass_hz=0.008,
        low_pass_hz=0.1,
        fd_threshold_mm=0.5,
        std_dvars_threshold=None,
    ).run(cwd=folder)
    return read_table(folder / "local.tsv").set_index("region")


def test_regions_have_the_mean_of_their_voxels_that_vary(tmp_path, image):
    table = local_table(tmp_path)
    assert table.columns.tolist() == ["index", "coverage", "alff", "falff", "reho"]
    assert table.loc["hidden", ["alff", "falff", "reho"]].isna().all()
    assert table.loc["wave", "falff"] > 1.2 * table.loc["noise", "falff"]

    series, labels, confounds, kept = image
    where = labels > 0
    where[0, 0, :3] = False
    constant = np.ones((N_VOLUMES, 1))
    slow = np.hstack([constant, confounds, cosine_basis(N_VOLUMES, 1, 3)])
    unfiltered = cleaning_of(slow, kept)
    filtered = cleaning_of(np.hstack([slow, cosine_basis(N_VOLUMES, 49, 119)]), kept)
    alff, _ = slow_amplitude(series[where], unfiltered, spectrum_of(unfiltered, 2.0))
    reho = regional_homogeneity(series[where], filtered, where)
    for name, index in (("wave", 4), ("noise", 2)):
        own = labels[where] == index
        assert table.loc[name, "alff"] == pytest.approx(alff[own].mean(), rel=1e-4)
        assert table.loc[name, "reho"] == pytest.approx(np.nanmean(reho[own]), rel=1e-3)
    meanings = json.loads((tmp_path / "local.json").read_text())
    assert meanings["alff"]["Units"] == "%/Hz^0.5"


def test_a_run_without_any_volume_left_has_regions_and_no_values(tmp_path, image):
    table = read_table(tmp_path / "confounds.tsv").assign(framewise_displacement=0.9)
    table.loc[0, "framewise_displacement"] = np.nan
    table["non_steady_state_outlier00"] = (table.index == 0).astype(int)
    write_table(table, tmp_path / "confounds.tsv")
    found = local_table(tmp_path)
    assert found["coverage"].tolist() == [0.9, 0.8, 0.4]
    assert found[["alff", "falff", "reho"]].isna().all(axis=None)
