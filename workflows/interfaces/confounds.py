"""Confounds of a BOLD run."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from nipype.interfaces.base import (
    BaseInterfaceInputSpec,
    File,
    SimpleInterface,
    TraitedSpec,
    traits,
)

from bids_utils.derivatives import write_table
from workflows.compute.bold_mask import CSF, WHITE, tissue_core
from workflows.compute.confounds import confound_meanings, confound_table, dvars
from workflows.interfaces.func_files import read_array, same_grid


class _GatherConfoundsInputSpec(BaseInterfaceInputSpec):
    in_file = File(exists=True, mandatory=True, desc="realigned BOLD series")
    mask_file = File(exists=True, mandatory=True, desc="brain mask")
    dseg_file = File(exists=True, mandatory=True, desc="grey 1, white 2, CSF 3")
    parameters_file = File(exists=True, mandatory=True, desc="motion (n_volumes, 6), .npy")
    repetition_time_s = traits.Float(mandatory=True, desc="time from volume to volume, s")
    high_pass_hz = traits.Float(mandatory=True, desc="cosines up to here, Hz")
    fd_threshold_mm = traits.Float(mandatory=True, desc="displacement of an outlier, mm")


class _GatherConfoundsOutputSpec(TraitedSpec):
    confounds_file = File(desc="one row per volume, fMRIPrep's column names")
    confounds_json = File(desc="meaning and unit of every column")


class GatherConfounds(SimpleInterface):
    """Write the confound table of a run and its dictionary."""

    input_spec = _GatherConfoundsInputSpec
    output_spec = _GatherConfoundsOutputSpec

    def _run_interface(self, runtime):
        inputs, target = self.inputs, Path(runtime.cwd) / "confounds.tsv"
        tissues, both_dvars = _signals(inputs.in_file, inputs.mask_file, inputs.dseg_file)
        parameters = np.load(inputs.parameters_file)
        timing = (inputs.repetition_time_s, inputs.high_pass_hz)
        table = confound_table(parameters, tissues, both_dvars, timing, inputs.fd_threshold_mm)
        write_table(table, target, confound_meanings(table.columns))
        self._results["confounds_file"] = str(target)
        self._results["confounds_json"] = str(target.with_suffix(".json"))
        return runtime


def _signals(series_file, mask_file, dseg_file):
    """Mean tissue signals (table) and both DVARS."""
    image, series = read_array(series_file)
    mask_image, mask = read_array(mask_file, bool)
    dseg_image, dseg = read_array(dseg_file)
    same_grid(image, mask_image)
    same_grid(image, dseg_image)
    cores = {
        "csf": tissue_core(dseg, mask, CSF),
        "white_matter": tissue_core(dseg, mask, WHITE),
        "global_signal": mask,
    }
    means = {name: series[core].mean(axis=0, dtype=float) for name, core in cores.items()}
    return pd.DataFrame(means), dvars(series[mask])
