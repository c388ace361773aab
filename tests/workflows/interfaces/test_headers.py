import gzip

import nibabel as nib
import numpy as np
import pytest

from workflows.interfaces.headers import read_image_facts


def bold(path, tr, unit):
    image = nib.Nifti1Image(np.zeros((4, 5, 6, 7), np.int16), np.diag([2.0, 3, 3.5, 1]))
    image.header.set_zooms((2, 3, 3.5, tr))
    image.header.set_xyzt_units("mm", unit)
    image.to_filename(path)
    return path


@pytest.mark.parametrize(
    ("tr", "unit", "seconds"),
    [(2.5, "sec", 2.5), (720, "msec", 0.72), (800, "unknown", 0.8), (1.4, "unknown", 1.4)],
)
def test_repetition_time_is_in_seconds_whatever_the_unit(tmp_path, tr, unit, seconds):
    facts = read_image_facts(bold(tmp_path / "bold.nii.gz", tr, unit))
    assert facts.shape == (4, 5, 6, 7)
    assert facts.voxel_size_mm == (2.0, 3.0, 3.5)
    assert facts.repetition_time_s == seconds
    assert facts.problem == ""


def test_a_repetition_time_of_zero_is_unknown(tmp_path):
    assert read_image_facts(bold(tmp_path / "bold.nii.gz", 0, "sec")).repetition_time_s is None


def test_voxels_are_not_read(tmp_path):
    path = bold(tmp_path / "bold.nii", 2, "sec")
    path.write_bytes(path.read_bytes()[:400])
    assert read_image_facts(path).shape == (4, 5, 6, 7)


def test_an_affine_without_inverse_is_a_problem(tmp_path):
    path = bold(tmp_path / "bold.nii", 2, "sec")
    raw = bytearray(path.read_bytes())
    second_row = 296
    raw[second_row : second_row + 16] = bytes(16)
    path.write_bytes(raw)
    assert "inverted" in read_image_facts(path).problem


def test_missing_empty_and_broken_files_are_problems(tmp_path):
    (tmp_path / "empty.nii.gz").touch()
    (tmp_path / "text.nii.gz").write_bytes(gzip.compress(b"text"))
    (tmp_path / "noise.nii.gz").write_bytes(b"\x1f\x8b" + b"no gzip" * 100)
    whole = bold(tmp_path / "bold.nii.gz", 2, "sec").read_bytes()
    (tmp_path / "cut.nii.gz").write_bytes(whole[:40])
    assert "missing" in read_image_facts(tmp_path / "none.nii.gz").problem
    assert "empty" in read_image_facts(tmp_path / "empty.nii.gz").problem
    for name in ("text", "noise", "cut"):
        assert "cannot be read" in read_image_facts(tmp_path / f"{name}.nii.gz").problem


def test_a_flat_image_is_a_problem(tmp_path):
    nib.Nifti1Image(np.zeros((4, 5), np.int16), np.eye(4)).to_filename(tmp_path / "flat.nii.gz")
    assert "(4, 5)" in read_image_facts(tmp_path / "flat.nii.gz").problem
