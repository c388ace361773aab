import gzip
import os
import time

import nibabel as nib
import numpy as np
import pytest

from bids_utils.errors import DatasetError
from workflows.interfaces.headers import read_image_facts
from workflows.interfaces.volumes import check_whole, load_labels, load_mask, load_volume


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
    path = tmp_path / "bold.nii"
    header = nib.Nifti1Header()
    header.set_data_dtype(np.uint8)
    header.set_data_shape((1000, 1000, 1000, 4))
    path.write_bytes(header.binaryblock + b"\0" * 4)
    os.truncate(path, 352 + 4 * 10**9)  # a file with a hole: reading it would take seconds
    began = time.monotonic()
    assert read_image_facts(path).shape == (1000, 1000, 1000, 4)
    assert time.monotonic() - began < 1


def test_a_file_that_is_cut_off_is_found_by_its_size(tmp_path):
    path = bold(tmp_path / "bold.nii", 2, "sec")
    path.write_bytes(path.read_bytes()[:400])
    assert "cut off: its header promises 2032 bytes" in read_image_facts(path).problem


def test_a_header_that_promises_terabytes_is_refused_before_anything_is_made(tmp_path):
    path = bold(tmp_path / "bold.nii", 2, "sec")
    content = bytearray(path.read_bytes())
    content[42:48] = np.array([30000] * 3, "<i2").tobytes()
    path.write_bytes(content)
    told = "30000 x 30000 x 30000 x 7 voxels, more than any image of a head has"
    assert told in read_image_facts(path).problem
    small = tmp_path / "small.nii.gz"
    small.write_bytes(gzip.compress(bytes(content)))
    for read in (load_volume, load_labels, load_mask):
        with pytest.raises(DatasetError, match=rf"{small}: cannot be read .*30000 x 30000"):
            read(small)


def test_extensions_of_gigabytes_are_refused(tmp_path):
    path = bold(tmp_path / "bold.nii", 2, "sec")
    content = bytearray(path.read_bytes())
    content[108:112] = np.array([2e9], "<f4").tobytes()
    path.write_bytes(content)
    assert "start at byte 2e+09" in read_image_facts(path).problem


def test_a_compressed_file_that_grows_far_beyond_its_header_is_refused_early(tmp_path):
    plain = bold(tmp_path / "bold.nii", 2, "sec").read_bytes()
    path = tmp_path / "bomb.nii.gz"
    with gzip.open(path, "wb", 1) as stream:
        stream.write(plain)
        for _ in range(20):
            stream.write(bytes(1 << 24))
    with pytest.raises(DatasetError, match=rf"{path}: holds far more than its header says"):
        check_whole(path)
    assert load_volume(path)[0].shape == (4, 5, 6, 7)


def test_pipes_devices_and_folders_are_no_images(tmp_path):
    os.mkfifo(tmp_path / "pipe.nii")
    (tmp_path / "zero.nii").symlink_to("/dev/zero")
    (tmp_path / "folder.nii").mkdir()
    (tmp_path / "loop.nii").symlink_to("loop.nii")
    for name in ("pipe", "zero", "folder", "loop"):
        assert "missing" in read_image_facts(tmp_path / f"{name}.nii").problem


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
