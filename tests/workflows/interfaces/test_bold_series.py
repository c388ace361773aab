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
        (lambda series: np.where(series > 700, np.nan, series), "% of the voxels .* not numbers"),
        (lambda series: np.full_like(series, 5), "volumes are all the same"),
        (lambda series: series[..., :9], "it has 9 volumes; at least 10 are needed"),
        (lambda series: series[..., 0], "3 dimensions and not 4"),
    ],
)
def test_a_series_without_information_is_named(spoil, message, tmp_path):
    file = save(spoil(blob(np.random.default_rng(4))), tmp_path / "sub-10_bold.nii.gz")
    with pytest.raises(DatasetError, match=f"sub-10_bold.nii.gz: .*{message}"):
        CheckBold(in_file=str(file)).run(cwd=tmp_path)


def settling(rng):
    """Series of 13 volumes of which the first two are much brighter."""
    series = blob(rng, 13)
    series[..., :2] *= np.array([2.2, 1.6], np.float32)
    return series


def test_volumes_before_the_steady_state_are_counted_and_never_the_reference(tmp_path):
    rng = np.random.default_rng(21)
    file = save(settling(rng), tmp_path / "bold.nii.gz")
    assert CheckBold(in_file=str(file)).run(cwd=tmp_path).outputs.n_dummy == 2
    short = save(settling(rng)[..., :11], tmp_path / "short.nii.gz")
    with pytest.raises(
        DatasetError, match=r"9 volumes in the steady state \(the first 2 are not\)"
    ):
        CheckBold(in_file=str(short)).run(cwd=tmp_path)
    still = blob(rng, 13)
    still[..., 2:] += rng.normal(0, 40, still[..., 2:].shape)
    file = save(still, tmp_path / "noisy.nii.gz")
    assert HeadMotion(in_file=str(file)).run(cwd=tmp_path).outputs.reference < 2
    motion = HeadMotion(in_file=str(file), n_dummy=2).run(cwd=tmp_path).outputs
    assert motion.reference >= 2
    np.testing.assert_array_equal(np.load(motion.poses_file)[motion.reference], np.eye(4))


def spoiled(rng):
    """Series with a voxel that is not a number once, one that is constant, and one infinite."""
    series = blob(rng)
    series[10, 13, 9, 4] = np.nan
    series[12, 13, 9] = 700
    series[11, 12, 9, 2] = np.inf
    return series, [(10, 13, 9), (12, 13, 9), (11, 12, 9)]


def test_a_few_voxels_without_information_are_left_out(tmp_path):
    series, places = spoiled(np.random.default_rng(22))
    file = save(series, tmp_path / "bold.nii.gz")
    assert CheckBold(in_file=str(file)).run(cwd=tmp_path).outputs.n_dummy == 0
    motion = HeadMotion(in_file=str(file)).run(cwd=tmp_path).outputs
    assert np.abs(np.load(motion.parameters_file)).max() < 0.15
    realign = Realign(in_file=str(file), poses_file=motion.poses_file, repetition_time_s=2.0)
    realigned = realign.run(cwd=tmp_path).outputs.out_file
    outputs = BoldReference(in_file=realigned).run(cwd=tmp_path).outputs
    values, mask = nb.load(realigned).get_fdata(), nb.load(outputs.head_mask_file).get_fdata()
    assert np.isfinite(values).all()
    for place in places:
        assert (np.abs(values[place]).max(), mask[place]) == (0, 0)
    assert mask[9, 13, 9] == 1


def timed(rng, axis):
    """Head, series in which its slices along `axis` show one wave in turn, and their times."""
    head = blob(rng, 1)
    count = head.shape[axis]
    times = (np.arange(count) * 7 % count) * (2.0 / count)
    phases = 2 * np.pi * 0.07 * (times[:, None] + 2.0 * np.arange(60))
    shape = [1, 1, 1, 60]
    shape[axis] = count
    return head, head * (1 + 0.2 * np.sin(phases).reshape(shape)).astype(np.float32), times


@pytest.mark.parametrize(("axis", "direction"), [(0, "i"), (1, "j-"), (2, "k")])
def test_slices_are_brought_to_the_middle_of_their_times(axis, direction, tmp_path):
    head, series, times = timed(np.random.default_rng(23), axis)
    file = save(series, tmp_path / "bold.nii.gz")
    np.save(tmp_path / "poses.npy", np.tile(np.eye(4), (60, 1, 1)))
    poses_file = str(tmp_path / "poses.npy")
    realign = Realign(in_file=str(file), poses_file=poses_file, repetition_time_s=2.0)
    inner = (slice(4, -4),) * 3 + (slice(10, -10),)
    outputs = realign.run(cwd=tmp_path).outputs
    assert outputs.slice_moment_s is None
    raw = (nb.load(outputs.out_file).get_fdata() / head)[inner]
    realign.inputs.slice_axis = direction
    realign.inputs.slice_times_s = list(times[::-1] if direction.endswith("-") else times)
    outputs = realign.run(cwd=tmp_path).outputs
    assert outputs.slice_moment_s == pytest.approx(times.max() / 2)
    found = (nb.load(outputs.out_file).get_fdata() / head)[inner]
    at = outputs.slice_moment_s + 2.0 * np.arange(10, 50)
    expected = 1 + 0.2 * np.sin(2 * np.pi * 0.07 * at)
    assert np.abs(found - expected).max() < 0.002
    assert np.abs(raw - expected).max() > 0.05


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
    np.testing.assert_allclose(found[7] - found[6], [-1.2, -0.5, -2.0, 0, 0, -0.02], atol=0.08)
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
