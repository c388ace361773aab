"""Local activity of the regions of a BOLD run: amplitude of slow fluctuations, homogeneity."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from nipype.interfaces.base import File, SimpleInterface, TraitedSpec, traits

from bids_utils.derivatives import read_table, write_table
from workflows.compute.connectivity import region_means
from workflows.compute.local_activity import (
    SLOW_BAND_HZ,
    cleaning_of,
    regional_homogeneity,
    slow_amplitude,
    spectrum_of,
)
from workflows.interfaces.connectivity import varying_inside
from workflows.interfaces.denoising_inputs import DenoisingInputSpec, design_of, kept_volumes

MEASURES = ("alff", "falff", "reho")
LOCAL_MEANINGS = {
    "index": {"Description": "Label of the region in the atlas image"},
    "region": {"Description": "Name of the region"},
    "coverage": {
        "Description": "Fraction of the region's voxels, counted on the BOLD grid and beyond its "
        "field of view, that lie in the BOLD brain mask and vary",
        "Units": "1",
    },
    "alff": {
        "Description": "Amplitude of fluctuations of {} to {} Hz: mean square root of the power "
        "spectral density of each voxel, in percent of its mean (Zang 2007)".format(*SLOW_BAND_HZ),
        "Units": "%/Hz^0.5",
    },
    "falff": {
        "Description": "Share of these amplitudes in those of all frequencies (Zou 2008)",
        "Units": "1",
    },
    "reho": {
        "Description": "Kendall's W of each voxel with its 26 neighbours (Zang 2004)",
        "Units": "1",
    },
}


class _LocalActivityInputSpec(DenoisingInputSpec):
    in_file = File(exists=True, mandatory=True, desc="realigned BOLD series")
    mask_file = File(exists=True, mandatory=True, desc="brain mask")
    atlas_file = File(exists=True, mandatory=True, desc="labels on the BOLD grid")
    coverage_file = File(exists=True, mandatory=True, desc="table: index, region, coverage")
    min_coverage = traits.Float(mandatory=True, desc="least covered fraction of a region")


class _LocalActivityOutputSpec(TraitedSpec):
    local_file = File(desc="table: index, region, coverage, alff, falff, reho")
    local_json = File(desc="meaning and unit of every column")


class LocalActivity(SimpleInterface):
    """Mean ALFF, fALFF and ReHo of the voxels of each region, n/a where coverage is low."""

    input_spec = _LocalActivityInputSpec
    output_spec = _LocalActivityOutputSpec

    def _run_interface(self, runtime):
        regions = read_table(Path(self.inputs.coverage_file), text_columns=["region"])
        voxels, labels, mask = varying_inside(self.inputs)
        means = region_means(self._measures(voxels, mask), labels, regions["index"]).T
        means[~(regions["coverage"] >= self.inputs.min_coverage).to_numpy()] = np.nan
        file = Path(runtime.cwd) / "local.tsv"
        table = regions.assign(**dict(zip(MEASURES, means.T, strict=True)))
        write_table(table, file, LOCAL_MEANINGS)
        self._results["local_file"] = str(file)
        self._results["local_json"] = str(file.with_suffix(".json"))
        return runtime

    def _measures(self, voxels, mask):
        """MEASURES of each voxel, (n_voxels, 3)."""
        inputs, kept = self.inputs, kept_volumes(self.inputs)
        unfiltered = cleaning_of(design_of(inputs, None), kept)
        filtered = cleaning_of(design_of(inputs, inputs.low_pass_hz), kept)
        spectrum = spectrum_of(unfiltered, inputs.repetition_time_s)
        amplitude = slow_amplitude(voxels, unfiltered, spectrum)
        return np.column_stack([*amplitude, regional_homogeneity(voxels, filtered, mask)])
