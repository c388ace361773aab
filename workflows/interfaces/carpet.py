"""What a carpet plot shows of a BOLD run, as a small file."""

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

from bids_utils.derivatives import read_table
from workflows.compute.carpet import carpet_rows
from workflows.interfaces.func_files import read_array

CURVES = ("framewise_displacement", "std_dvars")


class _CarpetInputSpec(BaseInterfaceInputSpec):
    in_file = File(exists=True, mandatory=True, desc="realigned BOLD series")
    mask_file = File(exists=True, mandatory=True, desc="brain mask")
    dseg_file = File(exists=True, mandatory=True, desc="grey 1, white 2, CSF 3")
    confounds_file = File(exists=True, mandatory=True, desc="confound table")
    repetition_time_s = traits.Float(mandatory=True, desc="time from volume to volume, s")


class _CarpetOutputSpec(TraitedSpec):
    carpet_file = File(
        desc=".npz: carpet (n_rows, n_volumes; z), tissue (n_rows; 1 grey, 2 white, 3 CSF), "
        "framewise_displacement (mm), std_dvars, repetition_time_s"
    )


class Carpet(SimpleInterface):
    """Save what a carpet plot shows, thinned out."""

    input_spec = _CarpetInputSpec
    output_spec = _CarpetOutputSpec

    def _run_interface(self, runtime):
        _, series = read_array(self.inputs.in_file)
        _, mask = read_array(self.inputs.mask_file, bool)
        _, dseg = read_array(self.inputs.dseg_file)
        carpet, tissue = carpet_rows(series, np.where(mask, dseg, 0))
        confounds = read_table(Path(self.inputs.confounds_file))
        extra = {name: confounds[name].to_numpy() for name in CURVES}
        extra["repetition_time_s"] = self.inputs.repetition_time_s
        self._results["carpet_file"] = str(Path(runtime.cwd) / "carpet.npz")
        np.savez_compressed(self._results["carpet_file"], carpet=carpet, tissue=tissue, **extra)
        return runtime
