"""What a carpet plot shows of a BOLD run before and after denoising, as a small file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from nipype.interfaces.base import (
    BaseInterfaceInputSpec,
    File,
    SimpleInterface,
    TraitedSpec,
    isdefined,
    traits,
)

from bids_utils.derivatives import read_table
from workflows.compute.carpet import carpet_rows, cleaned_rows, thinned_rows
from workflows.compute.denoise import censored_volumes, nuisance_design
from workflows.interfaces.func_files import read_array

CURVES = ("framewise_displacement", "std_dvars")


class _CarpetInputSpec(BaseInterfaceInputSpec):
    in_file = File(exists=True, mandatory=True, desc="realigned BOLD series")
    mask_file = File(exists=True, mandatory=True, desc="brain mask")
    dseg_file = File(exists=True, mandatory=True, desc="grey 1, white 2, CSF 3")
    confounds_file = File(exists=True, mandatory=True, desc="confound table")
    repetition_time_s = traits.Float(mandatory=True, desc="time from volume to volume, s")
    strategy = traits.Str(desc="which confounds are removed; without it only the raw signal")
    high_pass_hz = traits.Float(requires=["strategy"], desc="slower changes are removed, Hz")
    low_pass_hz = traits.Either(
        None, traits.Float, usedefault=True, desc="faster changes are removed, Hz"
    )
    fd_threshold_mm = traits.Either(
        None, traits.Float, usedefault=True, desc="largest displacement of a kept volume, mm"
    )
    std_dvars_threshold = traits.Either(
        None, traits.Float, usedefault=True, desc="largest DVARS of a kept volume"
    )


class _CarpetOutputSpec(TraitedSpec):
    carpet_file = File(
        desc=".npz: carpet (n_rows, n_volumes; z), tissue (n_rows; 1 grey, 2 white, 3 CSF), "
        "framewise_displacement (mm), std_dvars, repetition_time_s; after denoising: cleaned "
        "(as carpet, NaN where censored), censored (n_volumes), degrees_of_freedom, "
        "share_removed, how (strategy and band)"
    )


class Carpet(SimpleInterface):
    """Save what a carpet plot shows, thinned out."""

    input_spec = _CarpetInputSpec
    output_spec = _CarpetOutputSpec

    def _run_interface(self, runtime):
        inputs = self.inputs
        confounds = read_table(Path(inputs.confounds_file))
        rows, tissue = rows_of(inputs)
        shown = before_denoising(rows, tissue, confounds)
        if isdefined(inputs.strategy):
            shown |= after_denoising(rows, tissue, confounds, inputs)
        self._results["carpet_file"] = str(Path(runtime.cwd) / "carpet.npz")
        times = {"repetition_time_s": inputs.repetition_time_s}
        np.savez_compressed(self._results["carpet_file"], **shown, **times)
        return runtime


def rows_of(inputs):
    """Thinned voxel series of the brain mask as measured, and their tissue."""
    _, series = read_array(inputs.in_file)
    _, mask = read_array(inputs.mask_file, bool)
    _, dseg = read_array(inputs.dseg_file)
    return thinned_rows(series, np.where(mask, dseg, 0))


def before_denoising(rows, tissue, confounds):
    """Arrays of the file that say what was measured; NaN for a curve that is not known."""
    curves = confounds.reindex(columns=list(CURVES)).astype(float)
    known = {name: curves[name].to_numpy() for name in CURVES}
    return {"carpet": carpet_rows(rows), "tissue": tissue} | known


def after_denoising(rows, tissue, confounds, inputs):
    """Arrays of the file that say what denoising leaves of the rows."""
    band_hz = (inputs.high_pass_hz, inputs.low_pass_hz)
    censored = censored_volumes(confounds, inputs.fd_threshold_mm, inputs.std_dvars_threshold)
    design = nuisance_design(confounds, inputs.strategy, inputs.repetition_time_s, band_hz)
    cleaned = cleaned_rows(rows, tissue, design, ~censored)
    return {
        "cleaned": cleaned.rows,
        "censored": censored,
        "degrees_of_freedom": cleaned.degrees_of_freedom,
        "share_removed": cleaned.share_removed,
        "how": cleaning(inputs.strategy, band_hz),
    }


def cleaning(strategy, band_hz):
    """Strategy and band (Hz; no upper limit: None) in words."""
    low, high = band_hz
    return f"{strategy}, {low:g} to {high:g} Hz" if high else f"{strategy}, above {low:g} Hz"
