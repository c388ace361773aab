"""Series of fMRIPrep: what is cut out of them, and what is refused."""

import json
from pathlib import Path

import nibabel as nb
import numpy as np
import pytest

from bids_utils.derivatives import read_table
from bids_utils.errors import DatasetError, ToolError
from bids_utils.plain_files import read_json
from workflows.interfaces.fmriprep import BrainTissues, TakeConfounds, TakeSeries, brain_box

AFFINE = np.array([[-4.0, 0, 0, 44], [0, 4, 0, -52], [0, 0, 4, -40], [0, 0, 0, 1]])
SHAPE = (24, 26, 22)
N_VOLUMES = 12


def save(folder, name, values, affine=AFFINE):
    path = folder / name
    nb.Nifti1Image(values, affine).to_filename(path)
    return str(path)


def ball(shape, affine, radius_mm):
    points = nb.affines.apply_affine(affine, np.indices(shape).reshape(3, -1).T)
    return (np.linalg.norm(points - (2, -4, 6), axis=1) < radius_mm).reshape(shape)


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Files of a run: the brain is a ball of 30 mm in the space and 29 mm in the series."""
    (tmp_path / "node").mkdir()
    monkeypatch.chdir(tmp_path / "node")
    head = ball(SHAPE, AFFINE, 29.0)
    noise = np.random.default_rng(3).normal(0, 5, (*SHAPE, N_VOLUMES))
    series = np.where(head[..., None], 500 + np.arange(22)[:, None] * 10, 20) + noise
    series = series.astype(np.float32)
    fine = np.array([[2.0, 0, 0, -46], [0, 2, 0, -54], [0, 0, 2, -42], [0, 0, 0, 1]])
    brain = ball((48, 52, 46), fine, 30.0) * np.float32(800)
    return {
        "series": series,
        "head": head,
        "bold_file": save(tmp_path, "bold.nii.gz", series),
        "mask_file": save(tmp_path, "mask.nii.gz", head.astype(np.uint8)),
        "boldref_file": save(tmp_path, "ref.nii.gz", series.mean(axis=3)),
        "brain_file": save(tmp_path, "brain.nii.gz", brain, fine),
    }


def taken(run, **more):
    names = ("bold_file", "mask_file", "boldref_file", "brain_file")
    inputs = {"min_dice": 0.75} | {name: run[name] for name in names} | more
    return TakeSeries(**{k: v for k, v in inputs.items() if v is not None}).run().outputs


def test_the_box_keeps_every_value_at_its_place_in_the_world(run):
    outputs = taken(run)
    series, mask, whole = (
        nb.load(getattr(outputs, f"{name}_file")) for name in ("out", "mask", "whole")
    )
    assert series.shape[:3] == mask.shape
    assert whole.shape == SHAPE
    assert all(small < large for small, large in zip(mask.shape, SHAPE, strict=True))
    inside = np.argwhere(np.asanyarray(mask.dataobj) > 0)
    points = nb.affines.apply_affine(mask.affine, inside)
    before = np.rint(nb.affines.apply_affine(np.linalg.inv(AFFINE), points)).astype(int)
    values = np.asanyarray(series.dataobj)[tuple(inside.T)]
    assert np.array_equal(values, run["series"][tuple(before.T)])
    assert len(inside) == np.count_nonzero(run["head"])
    assert series.get_data_dtype() == np.float32


def test_numbers_that_are_scaled_on_disk_come_out_as_what_they_mean(run, tmp_path):
    image = nb.Nifti1Image(run["series"], AFFINE)
    image.header.set_data_dtype(np.int16)
    image.to_filename(tmp_path / "scaled.nii.gz")
    expected = nb.load(tmp_path / "scaled.nii.gz").get_fdata()
    assert nb.load(tmp_path / "scaled.nii.gz").dataobj.inter != 0
    outputs = taken(run, bold_file=str(tmp_path / "scaled.nii.gz"), boldref_file=None)
    assert nb.load(outputs.whole_file).get_fdata() == pytest.approx(expected.mean(axis=3), rel=1e-4)
    values = nb.load(outputs.out_file).get_fdata()
    assert values.max() == pytest.approx(expected.max(), rel=1e-5)


def test_the_overlap_is_that_with_the_brain_of_the_space(run):
    brain = ball(SHAPE, AFFINE, 30.0)
    both = 2 * np.count_nonzero(brain & run["head"])
    expected = both / (np.count_nonzero(brain) + np.count_nonzero(run["head"]))
    assert taken(run).registration_dice == pytest.approx(expected, abs=0.01)


def test_a_shifted_brain_is_refused_naming_the_file(run):
    shifted = nb.load(run["brain_file"])
    moved = shifted.affine.copy()
    moved[0, 3] += 40
    path = save(Path(run["bold_file"]).parent, "x.nii.gz", shifted.get_fdata(), moved)
    with pytest.raises(ToolError, match=r"bold\.nii\.gz: its brain overlaps .* only by"):
        taken(run, brain_file=path)


def test_without_a_mask_one_is_made_of_the_mean_inside_the_brain_of_the_space(run):
    mask = np.asanyarray(nb.load(taken(run, mask_file=None).mask_file).dataobj) > 0
    n_voxels, n_head = np.count_nonzero(mask), np.count_nonzero(run["head"])
    assert n_voxels == pytest.approx(n_head, rel=0.1)


def test_without_a_reference_it_is_the_mean_over_time(run):
    whole = nb.load(taken(run, boldref_file=None).whole_file).get_fdata()
    assert whole == pytest.approx(run["series"].mean(axis=3), rel=1e-5)


def test_voxels_that_never_change_are_not_seen(run, tmp_path):
    series = run["series"].copy()
    series[12, 12, 11] = 700.0
    series[11, 12, 11, 3] = np.nan
    outputs = taken(run, bold_file=save(tmp_path, "dead.nii.gz", series))
    n_voxels = np.count_nonzero(np.asanyarray(nb.load(outputs.mask_file).dataobj))
    assert n_voxels == np.count_nonzero(run["head"]) - 2


@pytest.mark.parametrize("dtype", [np.float32, np.int16])
def test_voxels_that_leave_the_field_of_view_in_one_volume_are_not_seen(run, tmp_path, dtype):
    series = run["series"].copy()
    series[12, 12, 11, 4] = series[12, 13, 11, 0] = 0
    image = nb.Nifti1Image(series, AFFINE)
    image.header.set_data_dtype(dtype)
    image.to_filename(tmp_path / "moved.nii.gz")
    outputs = taken(run, bold_file=str(tmp_path / "moved.nii.gz"))
    box = brain_box(run["head"])
    found = np.asanyarray(nb.load(outputs.mask_file).dataobj) > 0
    expected = run["head"].copy()
    expected[12, 12, 11] = expected[12, 13, 11] = False
    assert np.array_equal(found, expected[box])


def test_a_series_with_an_empty_volume_is_refused(run, tmp_path):
    series = run["series"].copy()
    series[..., 7] = 0
    with pytest.raises(DatasetError, match=r"empty\.nii\.gz: no voxel of the brain has"):
        taken(run, bold_file=save(tmp_path, "empty.nii.gz", series))


def test_volumes_before_the_steady_state_are_neither_counted_nor_in_the_reference(run, tmp_path):
    series = run["series"].copy()
    series[..., :2] += 900
    path = save(tmp_path, "settling.nii.gz", series)
    outputs = taken(run, bold_file=path, boldref_file=None, n_dummy=2)
    whole = nb.load(outputs.whole_file).get_fdata()
    assert whole == pytest.approx(run["series"][..., 2:].mean(axis=3), rel=1e-5)
    with pytest.raises(DatasetError, match=r"9 volumes in the steady state \(the first 3 are"):
        taken(run, bold_file=path, n_dummy=3)


@pytest.mark.parametrize("field", ["mask_file", "boldref_file"])
def test_files_on_another_grid_are_refused_naming_both(run, tmp_path, field):
    other = AFFINE.copy()
    other[2, 3] += 4
    values = np.asanyarray(nb.load(run[field]).dataobj)
    with pytest.raises(DatasetError, match=r"moved\.nii\.gz: does not lie on the grid .*bold\.nii"):
        taken(run, **{field: save(tmp_path, "moved.nii.gz", values, other)})


def test_a_series_that_is_cut_off_is_refused(run, tmp_path):
    (tmp_path / "cut.nii.gz").write_bytes((tmp_path / "bold.nii.gz").read_bytes()[:5000])
    with pytest.raises(DatasetError, match=r"cut\.nii\.gz: cannot be read to its end"):
        taken(run, bold_file=str(tmp_path / "cut.nii.gz"))


def test_the_box_has_a_margin_and_ends_with_the_image():
    mask = np.zeros((6, 7, 8), bool)
    mask[2, 0, 5:8] = True
    assert brain_box(mask) == (slice(1, 4), slice(0, 2), slice(4, 9))
    assert mask[brain_box(mask)].shape == (3, 2, 4)
    with pytest.raises(ValueError, match="mask: is empty"):
        brain_box(np.zeros((2, 2, 2)))


def test_confounds_keep_values_and_description_or_get_an_empty_one(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    table = tmp_path / "a_timeseries.tsv"
    table.write_text(
        "csf\tnon_steady_state_outlier00\tnon_steady_state_outlier01\nn/a\t1\t0\n1.5\t0\t1\n"
    )
    outputs = TakeConfounds(in_file=str(table)).run().outputs
    assert outputs.n_dummy == 2
    assert read_table(Path(outputs.confounds_file)).equals(read_table(table))
    assert read_json(Path(outputs.confounds_json)) == {}
    table.with_suffix(".json").write_text('{"csf": {"Method": "Mean"}}')
    outputs = TakeConfounds(in_file=str(table)).run().outputs
    assert read_json(Path(outputs.confounds_json)) == {"csf": {"Method": "Mean"}}


def test_components_of_old_versions_are_told_apart_by_their_mask(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    table = tmp_path / "a_regressors.tsv"
    table.write_text("a_comp_cor_00\ta_comp_cor_01\n1\t3\n2\t5\n")
    share = {"VarianceExplained": 0.3, "CumulativeVarianceExplained": 0.3, "Method": "aCompCor"}
    facts = {"a_comp_cor_00": share | {"Mask": "CSF"}, "a_comp_cor_01": share | {"Mask": "WM"}}
    table.with_suffix(".json").write_text(json.dumps(facts))
    outputs = TakeConfounds(in_file=str(table)).run().outputs
    found = read_table(Path(outputs.confounds_file))
    assert found.to_dict("list") == {"c_comp_cor_00": [1, 2], "w_comp_cor_00": [3, 5]}
    assert read_json(Path(outputs.confounds_json))["w_comp_cor_00"]["Mask"] == "WM"


def test_tissues_of_a_standard_brain_follow_its_intensities(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    volume = np.zeros((9, 4, 4), np.float32)
    volume[1:3], volume[3:6], volume[6:8] = 20, 60, 100
    outputs = BrainTissues(in_file=save(tmp_path, "t1.nii.gz", volume)).run().outputs
    grey = nb.load(outputs.gm_file).get_fdata()
    assert np.array_equal(grey, volume == 60)
    assert np.array_equal(nb.load(outputs.mask_file).get_fdata() > 0, volume > 0)
