import gzip

import nibabel as nb
import numpy as np
import pytest

from bids_utils.errors import DatasetError
from workflows.compute.motion import pose_from_parameters, realigned_volume
from workflows.interfaces.bold_series import BoldReference, CheckBold, HeadMotion, Realign

AFFINE = np.array([[-4.0, 0, 0, 40], [0, 4, 0, -50], [0, 0, 4, -30], [0, 0, 0, 1]])


def blob(rng, n_volumes=10):
    """Series (24, 26, 20, n_volumes) of a lumpy head on a dark ground."""
    away = (np.indices((24, 26, 20)).reshape(3, -1).T - [11, 13, 9]) / [8, 9, 7]
    head = np.exp(-(((away**2).sum(axis=1)) ** 3)).reshape(24, 26, 20)
    lumps = nb.Nifti1Image(rng.normal(size=(6, 7, 5)), np.eye(4)).get_fdata()
    lumps = np.kron(lumps, np.ones((4, 4, 4)))[:24, :26, :20]
    head = head * (800 + 80 * lumps)
    return (head[..., None] + rng.normal(0, 4, (*head.shape, n_volumes))).astype(np.float32)


def save(series, path):
    nb.Nifti1Image(series, AFFINE).to_filename(path)
    return path


def test_a_sound_series_passes(tmp_path):
    file = save(blob(np.random.default_rng(1)), tmp_path / "bold.nii.gz")
    assert CheckBold(in_file=str(file)).run(cwd=tmp_path).outputs.out_file == str(file)


def test_a_cut_off_file_is_named(tmp_path):
    whole = save(blob(np.random.default_rng(2)), tmp_path / "whole.nii.gz")
    file = tmp_path / "sub-07_task-rest_bold.nii.gz"
    file.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    with pytest.raises(DatasetError, match="sub-07_task-rest_bold.nii.gz: cannot be read to its"):
        CheckBold(in_file=str(file)).run(cwd=tmp_path)


def test_damaged_compression_is_named(tmp_path):
    whole = save(blob(np.random.default_rng(3)), tmp_path / "whole.nii.gz")
    content = bytearray(whole.read_bytes())
    content[len(content) // 2 : len(content) // 2 + 400] = bytes(400)
    file = tmp_path / "sub-08_bold.nii.gz"
    file.write_bytes(bytes(content))
    with pytest.raises(DatasetError, match=r"sub-08_bold\.nii\.gz: cannot be read"):
        CheckBold(in_file=str(file)).run(cwd=tmp_path)


def test_text_that_is_no_image_is_named(tmp_path):
    file = tmp_path / "sub-09_bold.nii.gz"
    file.write_bytes(gzip.compress(b"no image"))
    with pytest.raises(DatasetError, match=r"sub-09_bold\.nii\.gz: cannot be read"):
        CheckBold(in_file=str(file)).run(cwd=tmp_path)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda series: np.where(series > 700, np.nan, series), "are not numbers"),
        (lambda series: np.full_like(series, 5), "volumes are all the same"),
        (lambda series: series[..., 0], "3 dimensions and not 4"),
    ],
)
def test_a_series_without_information_is_named(spoil, message, tmp_path):
    file = save(spoil(blob(np.random.default_rng(4))), tmp_path / "sub-10_bold.nii.gz")
    with pytest.raises(DatasetError, match=f"sub-10_bold.nii.gz: .*{message}"):
        CheckBold(in_file=str(file)).run(cwd=tmp_path)


def test_motion_and_realignment_bring_volumes_together(tmp_path):
    rng = np.random.default_rng(5)
    series = blob(rng)
    centre = AFFINE[:3, :3] @ [11.5, 12.5, 9.5] + AFFINE[:3, 3]
    moved = pose_from_parameters(np.array([-1.2, 0.5, 2.0, 0, 0, 0.02]), centre)
    still = series[..., 7].copy()
    series[..., 7] = realigned_volume(still, AFFINE, np.linalg.inv(moved))
    file = save(series, tmp_path / "bold.nii.gz")
    motion = HeadMotion(in_file=str(file)).run(cwd=tmp_path).outputs
    found = np.load(motion.parameters_file)
    np.testing.assert_allclose(found[7] - found[6], [-1.2, 0.5, 2.0, 0, 0, 0.02], atol=0.05)
    realign = Realign(in_file=str(file), poses_file=motion.poses_file, repetition_time_s=1.5)
    image = nb.load(realign.run(cwd=tmp_path).outputs.out_file)
    assert image.header.get_zooms()[3] == 1.5
    np.testing.assert_array_equal(image.affine, AFFINE)
    inner = (slice(4, -4),) * 3
    realigned = image.get_fdata()
    assert (realigned[..., 7] - realigned[..., 6])[inner].std() < 12
    assert (series[..., 7] - series[..., 6])[inner].std() > 25


def test_the_reference_is_the_median_and_the_brain_lies_in_its_mask(tmp_path):
    series = blob(np.random.default_rng(6))
    series[..., 3] += 500
    file = save(series, tmp_path / "realigned.nii")
    outputs = BoldReference(in_file=str(file)).run(cwd=tmp_path).outputs
    reference = nb.load(outputs.boldref_file).get_fdata()
    np.testing.assert_allclose(reference, np.median(series, axis=3))
    mask = nb.load(outputs.head_mask_file).get_fdata()
    assert mask[11, 13, 9] == 1
    assert mask[0, 0, 0] == 0
    np.testing.assert_allclose(nb.load(outputs.brain_file).get_fdata(), reference * mask)
