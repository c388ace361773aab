"""What a carpet plot shows of a BOLD run before and after denoising, as a small file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from nipype.interfaces.base import File, SimpleInterface, TraitedSpec

from bids_utils.derivatives import read_table
from workflows.compute.carpet import carpet_rows, cleaned_rows, thinned_rows
from workflows.interfaces.denoising_inputs import DenoisingInputSpec, design_of, kept_volumes
from workflows.interfaces.func_files import read_array

CURVES = ("framewise_displacement", "std_dvars")


class _CarpetInputSpec(DenoisingInputSpec):
    in_file = File(exists=True, mandatory=True, desc="realigned BOLD series")
    mask_file = File(exists=True, mandatory=True, desc="brain mask")
    dseg_file = File(exists=True, mandatory=True, desc="grey 1, white 2, CSF 3")


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
        rows, tissue = rows_of(inputs)
        shown = before_denoising(rows, inputs) | after_denoising(rows, tissue, inputs)
        self._results["carpet_file"] = str(Path(runtime.cwd) / "carpet.npz")
        np.savez_compressed(self._results["carpet_file"], tissue=tissue, **shown)
        return runtime


def rows_of(inputs):
    """Thinned voxel series of the brain mask as measured, and their tissue."""
    _, series = read_array(inputs.in_file)
    _, mask = read_array(inputs.mask_file, bool)
    _, dseg = read_array(inputs.dseg_file)
    return thinned_rows(series, np.where(mask, dseg, 0))


def before_denoising(rows, inputs):
    """Arrays of the file that say what was measured; NaN for a curve that is not known."""
    confounds = read_table(Path(inputs.confounds_file))
    curves = confounds.reindex(columns=list(CURVES)).astype(float)
    known = {name: curves[name].to_numpy() for name in CURVES}
    return {"carpet": carpet_rows(rows), "repetition_time_s": inputs.repetition_time_s} | known


def after_denoising(rows, tissue, inputs):
    """Arrays of the file that say what denoising leaves of the rows."""
    kept = kept_volumes(inputs)
    cleaned = cleaned_rows(rows, tissue, design_of(inputs, inputs.low_pass_hz), kept)
    return {
        "cleaned": cleaned.rows,
        "censored": ~kept,
        "degrees_of_freedom": cleaned.degrees_of_freedom,
        "share_removed": cleaned.share_removed,
        "how": cleaning(inputs.strategy, inputs.high_pass_hz, inputs.low_pass_hz),
    }


def cleaning(strategy, low_hz, high_hz):
    """Strategy and the band that is kept (no upper limit: None) in words."""
    return (
        f"{strategy}, {low_hz:g} to {high_hz:g} Hz"
        if high_hz
        else f"{strategy}, above {low_hz:g} Hz"
    )
