"""Confounds of a BOLD run."""

from __future__ import annotations

from pathlib import Path

import nibabel as nb
import numpy as np
import pandas as pd
from nipype.interfaces.base import (
    BaseInterfaceInputSpec,
    File,
    SimpleInterface,
    TraitedSpec,
    isdefined,
    traits,
)

from bids_utils.derivatives import write_table
from workflows.compute.bold_mask import CSF, WHITE, tissue_core
from workflows.compute.compcor import compcor
from workflows.compute.confounds import (
    COMPCOR_HIGH_PASS_HZ,
    Timing,
    confound_meanings,
    confound_table,
    dvars,
    relative_rms,
    slow_cosines,
)
from workflows.compute.motion import grid_centre
from workflows.interfaces.func_files import read_array, same_grid


class _GatherConfoundsInputSpec(BaseInterfaceInputSpec):
    in_file = File(exists=True, mandatory=True, desc="realigned BOLD series")
    mask_file = File(exists=True, mandatory=True, desc="brain mask")
    dseg_file = File(exists=True, mandatory=True, desc="grey 1, white 2, CSF 3")
    parameters_file = File(exists=True, mandatory=True, desc="motion (n_volumes, 6), .npy")
    poses_file = File(exists=True, desc="head poses (n_volumes, 4, 4), .npy; for the column rmsd")
    repetition_time_s = traits.Float(mandatory=True, desc="time from volume to volume, s")
    high_pass_hz = traits.Float(
        COMPCOR_HIGH_PASS_HZ, usedefault=True, desc="slower changes do not enter CompCor, Hz"
    )
    fd_threshold_mm = traits.Either(
        None, traits.Float, usedefault=True, desc="displacement of an outlier, mm"
    )
    std_dvars_threshold = traits.Either(
        None, traits.Float, usedefault=True, desc="standardised DVARS of an outlier"
    )
    n_dummy = traits.Int(0, usedefault=True, desc="leading volumes before the steady state")


class _GatherConfoundsOutputSpec(TraitedSpec):
    confounds_file = File(desc="one row per volume, fMRIPrep's column names")
    confounds_json = File(desc="meaning and unit of every column, fMRIPrep's keys for CompCor")


class GatherConfounds(SimpleInterface):
    """Write the confound table of a run and its dictionary."""

    input_spec = _GatherConfoundsInputSpec
    output_spec = _GatherConfoundsOutputSpec

    def _run_interface(self, runtime):
        inputs = self.inputs
        voxels = _voxels(inputs.in_file, inputs.mask_file, inputs.dseg_file)
        measures, timing = self._measures(voxels)
        components, facts = compcor(*voxels, slow_cosines(len(measures), timing), timing.n_dummy)
        table = pd.concat([measures, self._displacement(), components], axis=1)
        target = Path(runtime.cwd) / "confounds.tsv"
        write_table(table, target, confound_meanings(table.columns, facts))
        self._results["confounds_file"] = str(target)
        self._results["confounds_json"] = str(target.with_suffix(".json"))
        return runtime

    def _measures(self, voxels):
        """Table of everything but components, and the timing of the run."""
        tissues, parameters = _means(*voxels), np.load(self.inputs.parameters_file)
        inputs = self.inputs
        timing = Timing(inputs.repetition_time_s, inputs.high_pass_hz, inputs.n_dummy)
        limits = (inputs.fd_threshold_mm, inputs.std_dvars_threshold)
        both = dvars(voxels[-1], inputs.n_dummy)
        return confound_table(parameters, tissues, both, timing, *limits), timing

    def _displacement(self):
        """Table with the column rmsd, None if the poses are not known."""
        if not isdefined(self.inputs.poses_file):
            return None
        image = nb.load(self.inputs.in_file)
        centre = grid_centre(image.shape, image.affine)
        return pd.DataFrame({"rmsd": relative_rms(np.load(self.inputs.poses_file), centre)})


def _voxels(series_file, mask_file, dseg_file):
    """Series (n_voxels, n_volumes) of the cores of fluid and white matter, and of the brain."""
    image, series = read_array(series_file)
    mask_image, mask = read_array(mask_file, bool)
    dseg_image, dseg = read_array(dseg_file)
    same_grid(image, mask_image)
    same_grid(image, dseg_image)
    cores = (tissue_core(dseg, mask, CSF), tissue_core(dseg, mask, WHITE), mask)
    return [series[core] for core in cores]


def _means(fluid, white, brain):
    both = np.concatenate([fluid, white])
    voxels = {"csf": fluid, "white_matter": white, "csf_wm": both, "global_signal": brain}
    return pd.DataFrame({name: part.mean(axis=0, dtype=float) for name, part in voxels.items()})
