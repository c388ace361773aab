from pathlib import Path

import nibabel as nb
import numpy as np
import pandas as pd
import pytest
from nibabel.affines import apply_affine, from_matvec
from nipype import Workflow
from scipy import ndimage

from bids_utils.derivatives import read_table, write_table
from bids_utils.plan import BoldRun
from configs.settings import FuncSettings, Settings
from workflows.compute.motion import grid_centre, mcflirt_parameters, pose_from_parameters
from workflows.func import BOLD_FIELDS, BOLD_OUTPUTS, init_bold_wf
from workflows.saving import connect_list
from workflows.series import ATLAS, CONNECTIVITY_OUTPUTS, init_connectivity_wf

RUN = BoldRun(Path("/data/sub-01/func/sub-01_task-rest_bold.nii.gz"), (), 1.75, 200)
TR_S = 2.0
N_VOLUMES = 150
HEAD_TURN = np.array([6.0, -4.0, 8.0, 0.08, -0.05, 0.1])


def test_settings_and_run_reach_the_nodes():
    func = FuncSettings(
        high_pass_hz=0.009,
        low_pass_hz=0.11,
        strategy="36P",
        fd_threshold_mm=0.4,
        std_dvars_threshold=1.5,
        censored="spline",
        min_clean_minutes=3.0,
        min_coverage=0.6,
    )
    workflow = init_bold_wf(RUN, Settings(func=func), "bold_wf")
    assert workflow.inputs.inputnode.bold_file == str(RUN.file)
    for name in ("clean", "local"):
        denoising = workflow.get_node(f"series_wf.{name}").inputs
        assert (denoising.high_pass_hz, denoising.low_pass_hz) == (0.009, 0.11)
        assert (denoising.fd_threshold_mm, denoising.std_dvars_threshold) == (0.4, 1.5)
        assert denoising.strategy == "36P"
    assert workflow.get_node("series_wf.clean").inputs.censored == "spline"
    connect = init_connectivity_wf(func).get_node("connect").inputs
    assert connect.min_clean_minutes == 3.0
    confounds = workflow.get_node("confounds").inputs
    assert (confounds.high_pass_hz, confounds.fd_threshold_mm) == (1 / 128, 0.4)
    for name in ("regions", "local"):
        assert workflow.get_node(f"series_wf.{name}").inputs.min_coverage == 0.6
    timed = [name for name in workflow.list_node_names() if name.endswith(TIMED)]
    assert len(timed) == len(TIMED)
    for name in timed:
        assert workflow.get_node(name).inputs.repetition_time_s == RUN.repetition_time_s


TIMED = ("realign", "confounds", "clean", "local", "quality", "carpet")


def test_a_run_without_low_pass_can_be_asked_for():
    workflow = init_bold_wf(RUN, Settings(func=FuncSettings(low_pass_hz=None)), "bold_wf")
    assert workflow.get_node("series_wf.clean").inputs.low_pass_hz is None


def test_every_saved_field_is_an_output_with_a_name_of_its_own():
    workflow = init_bold_wf(RUN, Settings(), "bold_wf")
    fields = set(workflow.get_node("outputnode").outputs.copyable_trait_names())
    assert {row.field for row in BOLD_OUTPUTS} < fields == set(BOLD_FIELDS)
    rows = (*BOLD_OUTPUTS, *CONNECTIVITY_OUTPUTS)
    names = {(row.suffix, row.extension, row.entities) for row in rows}
    assert len(names) == len(rows)
    with_atlas = [row.field for row in rows if ("atlas", ATLAS) in row.entities]
    assert with_atlas == [
        f"{stem}_{kind}"
        for stem in ("timeseries", "local", "relmat", "partial")
        for kind in ("file", "json")
    ]


def anatomy(folder):
    """Template, mask and segmentation of nilearn's brain at 3 mm, identity to standard space."""
    from nilearn import datasets
    from nilearn.image import resample_img

    loaders = {
        "brain": datasets.load_mni152_template,
        "grey": datasets.load_mni152_gm_template,
        "white": datasets.load_mni152_wm_template,
        "mask": datasets.load_mni152_brain_mask,
    }
    grid = from_matvec(np.diag([2.0, 2, 2]), [-90, -126, -72])
    images = {
        name: resample_img(
            load(resolution=2),
            target_affine=grid,
            target_shape=(91, 109, 91),
            interpolation="nearest" if name == "mask" else "linear",
        )
        for name, load in loaders.items()
    }
    values = {name: image.get_fdata() for name, image in images.items()}
    mask = values["mask"] > 0.5
    tissue = np.where(values["white"] > values["grey"], 2, 1)
    tissue = np.where(values["white"] + values["grey"] < 0.4, 3, tissue) * mask
    save(values["brain"] * mask, grid, folder / "template.nii.gz")
    save(mask, grid, folder / "mask.nii.gz", np.uint8)
    save(tissue, grid, folder / "dseg.nii.gz", np.uint8)
    warp = nb.Nifti1Image(np.zeros((91, 109, 91, 1, 3), np.float32), grid)
    warp.header.set_intent("vector")
    warp.to_filename(folder / "warp.nii.gz")
    return grid, tissue


def save(values, affine, path, dtype=np.float32):
    nb.Nifti1Image(values.astype(dtype), affine).to_filename(path)


def slabs(grid, tissue):
    """Six regions of grey matter: left and right, each in three slabs from back to front."""
    place = apply_affine(grid, np.stack(np.indices(tissue.shape), axis=-1))
    side = (place[..., 0] > 0).astype(int)
    slab = np.digitize(place[..., 1], [-50, -5])
    return np.where(tissue == 1, 1 + 3 * side + slab, 0)


def make_bold(folder, grid, tissue, rng):
    """A run with known motion; regions 1 and 4 share a signal, all others are their own."""
    atlas = slabs(grid, tissue)
    signals = ndimage.gaussian_filter1d(rng.normal(size=(N_VOLUMES, 7)), 2.0, axis=0)
    signals = (signals - signals.mean(axis=0)) / signals.std(axis=0)
    signals[:, 4] = (signals[:, 1] + 0.5 * signals[:, 4]) / np.sqrt(1.25)
    signals[:, 0] = 0
    affine = from_matvec(np.diag([-4.0, 4, 4]), [90, -122, -76])
    shape = (46, 56, 44)
    centre = grid_centre(shape, affine)
    motion = np.cumsum(rng.normal(0, [0.03, 0.02, 0.04, 4e-4, 3e-4, 2e-4], (N_VOLUMES, 6)), 0)
    motion[60] += [0.9, 0, 0, 0, 0, 0]
    brightness = ndimage.gaussian_filter(np.array([0.0, 1000, 850, 1300])[tissue], 0.8)
    to_grid = np.linalg.inv(grid) @ np.linalg.inv(pose_from_parameters(HEAD_TURN, centre))
    series = np.empty((*shape, N_VOLUMES), np.float32)
    for volume in range(N_VOLUMES):
        image = brightness * (1 + 0.005 * signals[volume][atlas])
        pose = pose_from_parameters(motion[volume], centre)
        matrix = to_grid @ np.linalg.inv(pose) @ affine
        series[..., volume] = ndimage.affine_transform(
            image, matrix[:3, :3], matrix[:3, 3], output_shape=shape, order=1
        )
    series += rng.normal(0, 8, series.shape)
    save(series, affine, folder / "bold.nii.gz")
    save(atlas, grid, folder / "atlas.nii.gz", np.int16)
    labels = {"index": [*range(1, 7), 9], "name": [f"region{i}" for i in [*range(1, 7), 9]]}
    write_table(pd.DataFrame(labels), folder / "labels.tsv")
    return motion, signals, centre


def run_graph(folder, name):
    run = BoldRun(folder / "bold.nii.gz", (), TR_S, N_VOLUMES)
    bold = init_bold_wf(run, Settings(), "bold_wf")
    joined = init_connectivity_wf(Settings().func)
    workflow = Workflow(name)
    workflow.add_nodes([bold, joined])
    connect_list(workflow, [bold], joined, ("clean_file", "clean_files"))
    connect_list(workflow, [bold], joined, ("timeseries_json", "timeseries_jsons"))
    inputs = bold.inputs.inputnode
    inputs.template_file = str(folder / "template.nii.gz")
    inputs.template_mask_file = str(folder / "mask.nii.gz")
    inputs.template_dseg_file = str(folder / "dseg.nii.gz")
    inputs.mni2template_xfm = str(folder / "warp.nii.gz")
    inputs.atlas_file = str(folder / "atlas.nii.gz")
    inputs.atlas_labels_file = str(folder / "labels.tsv")
    workflow.base_dir = str(folder)
    workflow.run(plugin="Linear")
    return folder / name


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_a_known_run_comes_back_twice_the_same(tmp_path):
    grid, tissue = anatomy(tmp_path)
    motion, signals, centre = make_bold(tmp_path, grid, tissue, np.random.default_rng(61))
    done = run_graph(tmp_path, "one")
    again = run_graph(tmp_path, "two")
    tables = done / "bold_wf" / "series_wf"
    for file in (
        "bold_wf/confounds/confounds",
        "connectivity_wf/connect/relmat",
        "connectivity_wf/connect/partial",
        "bold_wf/series_wf/clean/timeseries",
        "bold_wf/series_wf/local/local",
        "bold_wf/series_wf/quality/qc",
    ):
        first = (done / f"{file}.tsv").read_text()
        assert (again / f"{file}.tsv").read_text() == first
    confounds = read_table(done / "bold_wf" / "confounds" / "confounds.tsv")
    found = confounds[["trans_x", "trans_y", "trans_z", "rot_x", "rot_y", "rot_z"]].to_numpy()
    boldref = nb.load(done / "bold_wf" / "realign_wf" / "reference" / "boldref.nii.gz")
    poses = np.array([pose_from_parameters(row, centre) for row in motion])
    offset = found - mcflirt_parameters(poses, boldref.affine, boldref.get_fdata())
    assert (offset - offset.mean(axis=0)).std(axis=0)[:3].max() < 0.03
    assert (offset - offset.mean(axis=0)).std(axis=0)[3:].max() < 0.001
    matrix = np.loadtxt(done / "bold_wf" / "bold_space_wf" / "boundary" / "bold2template_xfm.mat")
    points = apply_affine(grid, np.argwhere(tissue == 2)[::200])
    expected = apply_affine(pose_from_parameters(HEAD_TURN, centre), points)
    assert np.linalg.norm(apply_affine(matrix, points) - expected, axis=1).mean() < 1.0
    row = read_table(tables / "quality" / "qc.tsv").iloc[0]
    assert (row["n_outliers"], row["usable"]) == (2, True)
    relmat = read_table(done / "connectivity_wf" / "connect" / "relmat.tsv").to_numpy()
    planted = relmat[0, 3]
    others = relmat[np.triu_indices(6, 1)]
    assert planted == pytest.approx(np.arctanh(1 / np.sqrt(1.25)), abs=0.5)
    assert planted > np.sort(others)[-2] + 0.5
    assert np.isnan(relmat[6]).all()
