import json

import nibabel as nb
import numpy as np
import pandas as pd
import pytest
from nilearn.interfaces.fmriprep import load_confounds, load_confounds_strategy

from bids_utils.derivatives import read_table
from workflows.compute.bold_mask import tissue_core
from workflows.compute.compcor import course_products, noise_components
from workflows.compute.confounds import Timing, slow_cosines
from workflows.compute.denoise import STRATEGIES, strategy_columns
from workflows.interfaces.confounds import GatherConfounds

TR_S = 2.0
N_VOLUMES = 90
STEM = "sub-01_ses-pre_task-rest"


@pytest.fixture
def run(tmp_path):
    """Images of a tiny run: a shell of grey, a core of white matter, a block of fluid."""
    rng = np.random.default_rng(8)
    dseg = np.zeros((14, 13, 12), np.uint8)
    dseg[1:13, 1:12, 1:11] = 1
    dseg[2:8, 2:9, 2:9] = 2
    dseg[8:12, 3:9, 3:9] = 3
    courses = rng.normal(size=(4, N_VOLUMES)).cumsum(axis=1)
    series = 700 + courses[dseg] * 4 + rng.normal(0, 6, (*dseg.shape, N_VOLUMES))
    series[..., :2] += 90
    parameters = np.cumsum(rng.normal(0, 0.01, (N_VOLUMES, 6)) * [1, 1, 1, 0.01, 0.01, 0.01], 0)
    parameters[40:, 1] += 0.7
    np.save(tmp_path / "parameters.npy", parameters)
    images = {"in_file": series.astype(np.float32), "mask_file": dseg > 0, "dseg_file": dseg}
    inputs = {"parameters_file": str(tmp_path / "parameters.npy")}
    for name, values in images.items():
        inputs[name] = str(tmp_path / f"{name}.nii")
        values = values.astype(np.uint8) if values.dtype == bool else values
        nb.Nifti1Image(values, np.eye(4)).to_filename(inputs[name])
    return inputs, images


def gathered(inputs, folder, **options):
    options = {"repetition_time_s": TR_S, "fd_threshold_mm": 0.5, "n_dummy": 2} | options
    GatherConfounds(**inputs, **options).run(cwd=folder)
    return read_table(folder / "confounds.tsv"), json.loads((folder / "confounds.json").read_text())


def test_every_strategy_finds_its_columns_and_every_column_has_a_meaning(run, tmp_path):
    inputs, images = run
    table, meanings = gathered(inputs, tmp_path)
    assert list(meanings) == list(table.columns)
    assert all({"Description", "Units"} <= set(entry) for entry in meanings.values())
    for strategy in STRATEGIES:
        assert np.isfinite(table[strategy_columns(strategy, table.columns)].iloc[1:]).all(axis=None)
    series, dseg = images["in_file"], images["dseg_file"]
    fluid, white = (series[tissue_core(dseg, dseg > 0, tissue)] for tissue in (3, 2))
    np.testing.assert_allclose(table["csf"], fluid.mean(axis=0, dtype=float), rtol=1e-9)
    both = np.concatenate([fluid, white])
    np.testing.assert_allclose(table["csf_wm"], both.mean(axis=0, dtype=float), rtol=1e-9)
    cosines = slow_cosines(N_VOLUMES, Timing(TR_S, n_dummy=2))
    expected = noise_components(course_products(white, cosines, n_dummy=2), n_dummy=2).series
    np.testing.assert_allclose(table.filter(regex="^w_comp_cor"), expected, atol=1e-9)


def test_dummy_volumes_have_columns_and_no_components(run, tmp_path):
    inputs, _ = run
    table, _ = gathered(inputs, tmp_path, n_dummy=5)
    assert table.filter(regex="^non_steady_state").to_numpy().argmax(axis=0).tolist() == [*range(5)]
    assert (table.filter(regex="_comp_cor_").iloc[:5] == 0).all(axis=None)
    assert (table.filter(regex="_comp_cor_").iloc[5:] != 0).all(axis=None)
    settled, _ = gathered(inputs, tmp_path, n_dummy=0)
    assert settled.filter(regex="^non_steady_state").shape[1] == 0


def test_the_displacement_is_that_of_the_poses(run, tmp_path):
    inputs, _ = run
    poses = np.tile(np.eye(4), (N_VOLUMES, 1, 1))
    poses[30:, :3, 3] = [0.3, 0, 0.4]
    np.save(tmp_path / "poses.npy", poses)
    table, meanings = gathered(inputs, tmp_path, poses_file=str(tmp_path / "poses.npy"))
    assert np.isnan(table["rmsd"][0])
    assert np.flatnonzero(table["rmsd"] > 1e-9).tolist() == [30]
    assert table["rmsd"][30] == pytest.approx(0.5)
    assert meanings["rmsd"]["Units"] == "mm"


def test_without_a_threshold_no_volume_is_an_outlier(run, tmp_path):
    inputs, _ = run
    table, _ = gathered(inputs, tmp_path)
    assert table.filter(regex="^motion_outlier").to_numpy().argmax(axis=0).tolist() == [40]
    table, _ = gathered(inputs, tmp_path, fd_threshold_mm=None)
    assert table.filter(regex="^motion_outlier").shape[1] == 0


@pytest.fixture
def tree(run, tmp_path):
    """A folder with fMRIPrep's names, and the path of its image."""
    gathered(run[0], tmp_path)
    func = tmp_path / "sub-01" / "ses-pre" / "func"
    func.mkdir(parents=True)
    for extension in ("tsv", "json"):
        source = tmp_path / f"confounds.{extension}"
        source.rename(func / f"{STEM}_desc-confounds_timeseries.{extension}")
    image = func / f"{STEM}_space-MNI152NLin2009cAsym_desc-preproc_bold.nii.gz"
    nb.Nifti1Image(np.zeros((2, 2, 2, N_VOLUMES), np.float32), np.eye(4)).to_filename(image)
    return str(image), read_table(func / f"{STEM}_desc-confounds_timeseries.tsv")


def count(table, prefix):
    return table.filter(regex=f"^{prefix}").shape[1]


def test_nilearn_reads_simple_and_scrubbing_from_the_table(tree):
    image, table = tree
    simple, kept = load_confounds_strategy(image, denoise_strategy="simple", demean=False)
    assert simple.shape == (N_VOLUMES, 24 + 2 + count(table, "cosine"))
    assert list(kept) == [*range(2, N_VOLUMES)]
    pd.testing.assert_series_equal(simple["trans_y"], table["trans_y"])
    scrubbed, kept = load_confounds_strategy(
        image, denoise_strategy="scrubbing", scrub=0, std_dvars_threshold=99, demean=False
    )
    assert scrubbed.shape[1] == 24 + 8 + count(table, "cosine")
    assert sorted(set(range(N_VOLUMES)) - set(kept)) == [0, 1, 40]
    pd.testing.assert_series_equal(scrubbed["csf_power2"], table["csf_power2"])


@pytest.mark.parametrize(
    ("compcor", "prefixes"),
    [
        ("anat_combined", "a"),
        ("anat_separated", "cw"),
        ("temporal", "t"),
        ("temporal_anat_combined", "ta"),
        ("temporal_anat_separated", "tcw"),
    ],
)
def test_nilearn_finds_the_components_of_each_mask(tree, compcor, prefixes):
    image, table = tree
    found, _ = load_confounds(
        image, strategy=("high_pass", "compcor"), compcor=compcor, n_compcor="all", demean=False
    )
    ours = [name for name in table if name[0] in prefixes and name[1:].startswith("_comp_cor_")]
    assert sorted(set(found.columns) - set(table.filter(regex="^cosine"))) == sorted(ours)
    pd.testing.assert_frame_equal(found[ours], table[ours])


def test_nilearn_reads_its_compcor_strategy_from_the_table(tree):
    image, table = tree
    found, _ = load_confounds_strategy(image, denoise_strategy="compcor", demean=False)
    expected = strategy_columns("aCompCor50", table.columns)
    assert set(expected) <= set(found.columns)
    assert set(found.columns) - set(expected) == set(table.filter(regex="^cosine"))
