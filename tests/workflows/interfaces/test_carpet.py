"""The file behind a carpet plot: the same voxels before and after denoising."""

import nibabel as nib
import numpy as np
import pandas as pd
import pytest

from bids_utils.derivatives import read_table, write_table
from workflows.compute.denoise import nuisance_design, project_out
from workflows.compute.motion import MOTION_COLUMNS
from workflows.interfaces.carpet import Carpet
from workflows.interfaces.figures import CarpetFigure, carpets_of

N_VOLUMES, TR_S = 200, 2.0
EVERYTHING = {"strategy": "24P", "high_pass_hz": 0.01, "low_pass_hz": None, "fd_threshold_mm": None}


@pytest.fixture
def run(tmp_path):
    """Run the node on 3 x 3 x 1 voxels that follow trans_x; volume 7 moved by .6 mm."""
    rng = np.random.default_rng(4)
    motion = np.cumsum(rng.normal(0, 0.02, (N_VOLUMES, 6)), axis=0)
    confounds = pd.DataFrame(motion, columns=MOTION_COLUMNS)
    for name in MOTION_COLUMNS:
        steps = confounds[name].diff()
        confounds[f"{name}_derivative1"] = steps
        confounds[f"{name}_power2"] = confounds[name] ** 2
        confounds[f"{name}_derivative1_power2"] = steps**2
    confounds["framewise_displacement"] = [np.nan, *[0.1] * (N_VOLUMES - 1)]
    confounds.loc[7, "framewise_displacement"] = 0.6
    confounds["std_dvars"] = 1.2
    series = 800 + 40 * motion[:, 0] + rng.normal(size=(3, 3, 1, N_VOLUMES))
    dseg = np.array([[1, 1, 2], [2, 3, 0], [1, 0, 0]])[..., None]
    mask = np.ones_like(dseg)
    mask[2, 0] = 0
    images = {"in_file": series, "dseg_file": dseg, "mask_file": mask}
    for name, data in images.items():
        image = nib.Nifti1Image(data.astype(np.float32), np.eye(4))
        image.to_filename(tmp_path / f"{name}.nii")
    write_table(confounds, tmp_path / "confounds.tsv")

    def node(**inputs):
        files = {name: str(tmp_path / f"{name}.nii") for name in images}
        made = Carpet(confounds_file=str(tmp_path / "confounds.tsv"), repetition_time_s=TR_S)
        made.inputs.trait_set(std_dvars_threshold=None, **files, **inputs)
        return made.run(cwd=str(tmp_path)).outputs.carpet_file, series, confounds

    return node


def test_rows_after_denoising_are_those_of_the_projection_scaled(run):
    settings = {"strategy": "24P", "high_pass_hz": 0.01, "low_pass_hz": 0.1}
    file, series, confounds = run(**settings, fd_threshold_mm=0.5)
    saved = np.load(file)
    assert saved["tissue"].tolist() == [1, 1, 2, 2, 3]
    assert np.flatnonzero(saved["censored"]).tolist() == [7]
    kept = ~saved["censored"]
    design = nuisance_design(confounds, "24P", TR_S, (0.01, 0.1))
    # voxel (1, 1) is the fluid
    cleaned = project_out(series[1, 1, 0][:, None], design, kept)
    own = cleaned.series[kept, 0]
    np.testing.assert_allclose(saved["cleaned"][4, kept], own / own.std(), atol=1e-3)
    assert np.isnan(saved["cleaned"][:, 7]).all()
    assert saved["degrees_of_freedom"] == cleaned.degrees_of_freedom
    before, course, after = carpets_of(saved, 0.5)
    assert before.title == "As measured, without linear trend"
    share = round(100 * float(saved["share_removed"]))
    assert after.title == (
        f"After denoising (24P, 0.01 to 0.1 Hz): {share} % of the variance of grey matter "
        f"removed, {cleaned.degrees_of_freedom} degrees of freedom left"
    )
    assert course.displacement_mm[7] == 0.6


def test_without_limits_no_volume_is_left_out(run):
    file, *_ = run(**EVERYTHING)
    saved = np.load(file)
    assert not saved["censored"].any()
    assert str(saved["how"]) == "24P, above 0.01 Hz"


def test_a_run_of_which_nothing_is_left_is_drawn_and_said(run, tmp_path):
    file, *_ = run(**EVERYTHING | {"fd_threshold_mm": 0.05})
    *_, after = carpets_of(np.load(file), 0.05)
    assert after.title == "After denoising (24P, above 0.01 Hz): nothing is left"
    assert np.isnan(after.signal).all()
    CarpetFigure(carpet_file=file, fd_threshold_mm=0.05).run(cwd=str(tmp_path))


def test_a_table_without_dvars_has_the_other_curve(run, tmp_path):
    table = read_table(tmp_path / "confounds.tsv")
    write_table(table.drop(columns="std_dvars"), tmp_path / "confounds.tsv")
    file, *_ = run(**EVERYTHING)
    _, course, _ = carpets_of(np.load(file), None)
    assert np.isnan(course.std_dvars).all()
    assert course.displacement_mm[7] == 0.6
    CarpetFigure(carpet_file=file).run(cwd=str(tmp_path))
