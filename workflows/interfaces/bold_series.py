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
from workflows.compute.bold_mask import dead_voxels, epi_brain_mask
from workflows.compute.confounds import non_steady_state
from workflows.compute.motion import (
    head_poses,
    mcflirt_parameters,
    realigned_volume,
    reference_volume,
)
from workflows.compute.slice_timing import at_one_moment, middle_of_slices, slices_in_order
from workflows.interfaces.func_files import (
    read_array,
    read_checked_series,
    read_series,
    write_array,
)


class _CheckBoldInputSpec(BaseInterfaceInputSpec):
    in_file = traits.Str(mandatory=True, desc="BOLD file of the dataset")


class _CheckBoldOutputSpec(TraitedSpec):
    out_file = File(desc="the same file, found to be a series of varying volumes")
    n_dummy = traits.Int(desc="leading volumes before the steady state")


class CheckBold(SimpleInterface):
    """Refuse a BOLD file that is cut off, not 4-D, too short or mostly without information.

    Volumes before the steady state are counted here, in the raw series, as in fMRIPrep.
    """

    input_spec = _CheckBoldInputSpec
    output_spec = _CheckBoldOutputSpec

    def _run_interface(self, runtime):
        path = Path(self.inputs.in_file)
        _, series = read_checked_series(path)
        n_dummy = _dummy_volumes(series) if series.ndim == 4 else 0
        problem = series_problem(series, n_dummy)
        if problem:
            raise DatasetError(f"{path}: {problem}; leave this file out")
        self._results.update(out_file=str(path.resolve()), n_dummy=n_dummy)
        return runtime


def _dummy_volumes(series):
    """Leading volumes before the steady state, by the mean of all voxels that are numbers."""
    known = series[np.isfinite(series).all(axis=3)]
    return non_steady_state(known.mean(axis=0, dtype=float)) if len(known) else 0


def _read_living(path):
    """Image, its series with voxels without information set to 0, and which these are."""
    image, series = read_series(path)
    dead = dead_voxels(series)
    series[dead] = 0
    return image, series, dead


class _HeadMotionInputSpec(BaseInterfaceInputSpec):
    in_file = File(exists=True, mandatory=True, desc="raw BOLD series")
    n_dummy = traits.Int(0, usedefault=True, desc="leading volumes before the steady state")


class _HeadMotionOutputSpec(TraitedSpec):
    poses_file = File(desc="head poses (n_volumes, 4, 4), .npy, world RAS+ mm")
    parameters_file = File(desc="MCFLIRT's parameters (n_volumes, 6), .npy, mm and rad")
    reference = traits.Int(desc="volume whose pose is the identity, 0-based")


class HeadMotion(SimpleInterface):
    """Estimate where the head is in every volume; the reference is in the steady state."""

    input_spec = _HeadMotionInputSpec
    output_spec = _HeadMotionOutputSpec

    def _run_interface(self, runtime):
        image, series, _ = _read_living(self.inputs.in_file)
        n_dummy = self.inputs.n_dummy
        reference = n_dummy + reference_volume(series[..., n_dummy:])
        poses = head_poses(series, image.affine, reference)
        parameters = mcflirt_parameters(poses, image.affine, series[..., reference])
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
    n_dummy = traits.Int(0, usedefault=True, desc="leading volumes before the steady state")
    slice_times_s = traits.List(
        traits.Float,
        usedefault=True,
        desc="SliceTiming, s after the start of the volume; empty: not corrected",
    )
    slice_axis = traits.Str("k", usedefault=True, desc="SliceEncodingDirection: i, j, k, i-, ...")


class _RealignOutputSpec(TraitedSpec):
    out_file = File(desc="realigned series, float32, not compressed")
    slice_moment_s = traits.Either(
        None, traits.Float, desc="moment of a volume all slices show, s; None: not corrected"
    )


class Realign(SimpleInterface):
    """Interpolate slices along time, then resample every raw volume once.

    The target is the position of the reference volume and the middle of the slices' times.
    Voxels without information are 0 before and after.
    """

    input_spec = _RealignInputSpec
    output_spec = _RealignOutputSpec

    def _run_interface(self, runtime):
        image, series, dead = _read_living(self.inputs.in_file)
        series, moment_s = self._without_slice_times(series)
        for volume, pose in enumerate(np.load(self.inputs.poses_file)):
            series[..., volume] = realigned_volume(series[..., volume], image.affine, pose)
        series[dead] = 0
        image.header.set_xyzt_units("mm", "sec")
        image.header["pixdim"][4] = self.inputs.repetition_time_s
        target = Path(runtime.cwd) / "realigned_bold.nii"
        self._results["out_file"] = write_array(series, image, target)
        self._results["slice_moment_s"] = moment_s
        return runtime

    def _without_slice_times(self, series):
        """Series at one moment of each volume, and this moment; None without slice times."""
        times_s, repetition_time_s = self.inputs.slice_times_s, self.inputs.repetition_time_s
        if not times_s:
            return series, None
        timing = (middle_of_slices(times_s), repetition_time_s)
        ordered, axis = slices_in_order(times_s, self.inputs.slice_axis)
        return at_one_moment(series, ordered, axis, timing, self.inputs.n_dummy), timing[0]


class _BoldReferenceInputSpec(BaseInterfaceInputSpec):
    in_file = File(exists=True, mandatory=True, desc="realigned BOLD series")
    n_dummy = traits.Int(0, usedefault=True, desc="leading volumes before the steady state")


class _BoldReferenceOutputSpec(TraitedSpec):
    boldref_file = File(desc="median over time")
    head_mask_file = File(desc="mask from the histogram of the reference; all voxels vary")
    brain_file = File(desc="reference inside that mask")


class BoldReference(SimpleInterface):
    """Median image of the steady volumes of a realigned series and a first mask of it."""

    input_spec = _BoldReferenceInputSpec
    output_spec = _BoldReferenceOutputSpec

    def _run_interface(self, runtime):
        image, series = read_array(self.inputs.in_file)
        steady = series[..., self.inputs.n_dummy :]
        reference = _median_over_time(steady)
        mask = (epi_brain_mask(reference) & ~dead_voxels(steady)).astype(np.uint8)
        images = {"boldref": reference, "head_mask": mask, "brain": reference * mask}
        for name, values in images.items():
            target = Path(runtime.cwd) / f"{name}.nii.gz"
            self._results[f"{name}_file"] = write_array(values, image, target)
        return runtime


def _median_over_time(series):
    """Median volume, float32, slice by slice to spare memory."""
    slices = [np.median(series[:, :, z], axis=-1) for z in range(series.shape[2])]
    return np.stack(slices, axis=2).astype(np.float32)
