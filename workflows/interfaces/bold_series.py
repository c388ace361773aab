"""The BOLD series itself: check, head motion, realignment, reference image."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from nipype.interfaces.base import (
    BaseInterfaceInputSpec,
    File,
    SimpleInterface,
    TraitedSpec,
    traits,
)

from bids_utils.errors import DatasetError
from workflows.compute.bold_checks import series_problem
from workflows.compute.bold_mask import epi_brain_mask
from workflows.compute.motion import (
    grid_centre,
    head_poses,
    parameters_from_pose,
    realigned_volume,
    reference_volume,
)
from workflows.interfaces.func_files import (
    read_array,
    read_checked_series,
    read_series,
    write_array,
)


class _CheckBoldInputSpec(BaseInterfaceInputSpec):
    in_file = traits.Str(mandatory=True, desc="BOLD file of the dataset")


class _CheckBoldOutputSpec(TraitedSpec):
    out_file = File(desc="the same file, found to be a series of finite, varying volumes")


class CheckBold(SimpleInterface):
    """Refuse a BOLD file that is cut off, not 4-D, constant or holds NaN."""

    input_spec = _CheckBoldInputSpec
    output_spec = _CheckBoldOutputSpec

    def _run_interface(self, runtime):
        path = Path(self.inputs.in_file)
        _, series = read_checked_series(path)
        problem = series_problem(series)
        if problem:
            raise DatasetError(f"{path}: {problem}; leave this file out")
        self._results["out_file"] = str(path.resolve())
        return runtime


class _HeadMotionInputSpec(BaseInterfaceInputSpec):
    in_file = File(exists=True, mandatory=True, desc="raw BOLD series")


class _HeadMotionOutputSpec(TraitedSpec):
    poses_file = File(desc="head poses (n_volumes, 4, 4), .npy, world RAS+ mm")
    parameters_file = File(desc="motion parameters (n_volumes, 6), .npy, mm and rad")
    reference = traits.Int(desc="volume whose pose is the identity, 0-based")


class HeadMotion(SimpleInterface):
    """Estimate where the head is in every volume."""

    input_spec = _HeadMotionInputSpec
    output_spec = _HeadMotionOutputSpec

    def _run_interface(self, runtime):
        image, series = read_series(self.inputs.in_file)
        reference = reference_volume(series)
        poses = head_poses(series, image.affine, reference)
        centre = grid_centre(image.shape, image.affine)
        parameters = [parameters_from_pose(pose, centre) for pose in poses]
        folder = Path(runtime.cwd)
        self._results["poses_file"] = _save_numbers(poses, folder / "poses.npy")
        self._results["parameters_file"] = _save_numbers(parameters, folder / "parameters.npy")
        self._results["reference"] = reference
        return runtime


def _save_numbers(values, path):
    np.save(path, np.asarray(values))
    return str(path)


class _RealignInputSpec(BaseInterfaceInputSpec):
    in_file = File(exists=True, mandatory=True, desc="raw BOLD series")
    poses_file = File(exists=True, mandatory=True, desc="head poses, .npy")
    repetition_time_s = traits.Float(mandatory=True, desc="time from volume to volume, s")


class _RealignOutputSpec(TraitedSpec):
    out_file = File(desc="realigned series, float32, not compressed")


class Realign(SimpleInterface):
    """Resample every raw volume once, into the position of the reference volume."""

    input_spec = _RealignInputSpec
    output_spec = _RealignOutputSpec

    def _run_interface(self, runtime):
        image, series = read_series(self.inputs.in_file)
        for volume, pose in enumerate(np.load(self.inputs.poses_file)):
            series[..., volume] = realigned_volume(series[..., volume], image.affine, pose)
        image.header.set_xyzt_units("mm", "sec")
        image.header["pixdim"][4] = self.inputs.repetition_time_s
        target = Path(runtime.cwd) / "realigned_bold.nii"
        self._results["out_file"] = write_array(series, image, target)
        return runtime


class _BoldReferenceInputSpec(BaseInterfaceInputSpec):
    in_file = File(exists=True, mandatory=True, desc="realigned BOLD series")


class _BoldReferenceOutputSpec(TraitedSpec):
    boldref_file = File(desc="median over time")
    head_mask_file = File(desc="mask from the histogram of the reference")
    brain_file = File(desc="reference inside that mask")


class BoldReference(SimpleInterface):
    """Median image of a realigned series and a first mask of it."""

    input_spec = _BoldReferenceInputSpec
    output_spec = _BoldReferenceOutputSpec

    def _run_interface(self, runtime):
        image, series = read_array(self.inputs.in_file)
        reference = _median_over_time(series)
        mask = epi_brain_mask(reference).astype(np.uint8)
        images = {"boldref": reference, "head_mask": mask, "brain": reference * mask}
        for name, values in images.items():
            target = Path(runtime.cwd) / f"{name}.nii.gz"
            self._results[f"{name}_file"] = write_array(values, image, target)
        return runtime


def _median_over_time(series):
    """Median volume, float32, slice by slice to spare memory."""
    slices = [np.median(series[:, :, z], axis=-1) for z in range(series.shape[2])]
    return np.stack(slices, axis=2).astype(np.float32)
