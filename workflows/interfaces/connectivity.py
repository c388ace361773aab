"""Regional series, denoising, connectivity and the quality table of a BOLD run."""

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

from bids_utils.derivatives import read_table, write_json, write_table
from workflows.compute.bold_checks import run_problem
from workflows.compute.confounds import outlier_volumes
from workflows.compute.connectivity import (
    fisher_z_matrix,
    region_coverage,
    region_means,
    temporal_signal_to_noise,
)
from workflows.compute.denoise import nuisance_design, project_out
from workflows.interfaces.func_files import read_array, same_grid

COVERAGE_MEANINGS = {
    "index": {"Description": "Label of the region in the atlas image"},
    "region": {"Description": "Name of the region"},
    "coverage": {
        "Description": "Fraction of the region's voxels, counted on the BOLD grid and beyond its "
        "field of view, that lie in the BOLD brain mask",
        "Units": "1",
    },
}
MEASURED = ("repetition_time_s", "tsnr", "registration_dice", "boundary_cost")
QUALITY_MEANINGS = {
    "n_volumes": {"Description": "Volumes of the run"},
    "repetition_time_s": {"Description": "Time from volume to volume", "Units": "s"},
    "fd_mean": {"Description": "Mean framewise displacement (Power 2012)", "Units": "mm"},
    "fd_max": {"Description": "Largest framewise displacement (Power 2012)", "Units": "mm"},
    "n_outliers": {"Description": "Volumes left out: displacement too large, or not settled"},
    "clean_minutes": {"Description": "Duration of the volumes that are left", "Units": "min"},
    "tsnr": {"Description": "Mean over standard deviation in time, median of the brain mask"},
    "registration_dice": {"Description": "Overlap of the BOLD and the T1w brain mask"},
    "boundary_cost": {
        "Description": "Cost of the registration at the white matter edge: 0 perfect, 1 no contrast"
    },
    "degrees_of_freedom": {"Description": "Volumes left minus rank of the nuisance design"},
    "usable": {"Description": "Whether connectivity was computed"},
    "reason": {"Description": "Why connectivity was not computed"},
}


class _RegionSeriesInputSpec(BaseInterfaceInputSpec):
    in_file = File(exists=True, mandatory=True, desc="realigned BOLD series")
    mask_file = File(exists=True, mandatory=True, desc="brain mask")
    atlas_file = File(exists=True, mandatory=True, desc="labels on the BOLD grid")
    whole_atlas_file = File(exists=True, mandatory=True, desc="labels on the extended grid")
    atlas_labels_file = File(exists=True, mandatory=True, desc="table: index, name")
    min_coverage = traits.Float(mandatory=True, desc="least covered fraction of a region")


class _RegionSeriesOutputSpec(TraitedSpec):
    means_file = File(desc="mean series, a column per region, n/a where coverage is low")
    coverage_file = File(desc="table: index, region, coverage")
    coverage_json = File(desc="meaning of its columns")
    tsnr = traits.Float(desc="median of the brain mask")


class RegionSeries(SimpleInterface):
    """Average the voxels of each region that lie in the brain mask."""

    input_spec = _RegionSeriesInputSpec
    output_spec = _RegionSeriesOutputSpec

    def _run_interface(self, runtime):
        regions = read_table(Path(self.inputs.atlas_labels_file), text_columns=["name"])
        voxels, labels = self._inside()
        coverage = self._coverage(labels, regions["index"])
        means = region_means(voxels, labels, regions["index"])
        means[:, ~(coverage >= self.inputs.min_coverage)] = np.nan
        self._write(regions, means, coverage, Path(runtime.cwd))
        self._results["tsnr"] = temporal_signal_to_noise(voxels)
        return runtime

    def _write(self, regions, means, coverage, folder):
        write_table(pd.DataFrame(means, columns=regions["name"]), folder / "means.tsv")
        table = regions[["index", "name"]].rename(columns={"name": "region"})
        write_table(table.assign(coverage=coverage), folder / "coverage.tsv", COVERAGE_MEANINGS)
        self._results["means_file"] = str(folder / "means.tsv")
        self._results["coverage_file"] = str(folder / "coverage.tsv")
        self._results["coverage_json"] = str(folder / "coverage.json")

    def _inside(self):
        """Series (n_voxels, n_volumes) and labels (n_voxels,) of the brain mask."""
        image, series = read_array(self.inputs.in_file)
        mask_image, mask = read_array(self.inputs.mask_file, bool)
        atlas_image, atlas = read_array(self.inputs.atlas_file, int)
        same_grid(image, mask_image)
        same_grid(image, atlas_image)
        return series[mask], atlas[mask]

    def _coverage(self, labels, indices):
        _, whole = read_array(self.inputs.whole_atlas_file)
        return region_coverage(np.rint(whole).astype(int).ravel(), labels, indices)


class _ConnectInputSpec(BaseInterfaceInputSpec):
    means_file = File(exists=True, mandatory=True, desc="mean series of the regions")
    confounds_file = File(exists=True, mandatory=True, desc="confound table")
    repetition_time_s = traits.Float(mandatory=True, desc="time from volume to volume, s")
    strategy = traits.Str(mandatory=True, desc="which confounds are removed")
    high_pass_hz = traits.Float(mandatory=True, desc="slower changes are removed, Hz")
    low_pass_hz = traits.Either(None, traits.Float, desc="faster changes are removed, Hz")
    min_clean_minutes = traits.Float(mandatory=True, desc="least time without outliers, min")


class _ConnectOutputSpec(TraitedSpec):
    timeseries_file = File(desc="cleaned series, n/a in censored volumes")
    timeseries_json = File(desc="how it was cleaned")
    relmat_file = File(desc="Fisher z between regions, n/a throughout where unusable")
    relmat_json = File(desc="how it was made, and why it is n/a")
    facts = traits.Dict(desc="n_outliers, clean_minutes, degrees_of_freedom, usable, reason")


class Connect(SimpleInterface):
    """Clean the regional series in one projection and correlate them."""

    input_spec = _ConnectInputSpec
    output_spec = _ConnectOutputSpec

    def _run_interface(self, runtime):
        means = read_table(Path(self.inputs.means_file))
        confounds = read_table(Path(self.inputs.confounds_file))
        cleaned = self._clean(means, confounds)
        facts = self._facts(cleaned, outlier_volumes(confounds))
        matrix = fisher_z_matrix(cleaned.series)
        matrix[:] = matrix if facts["usable"] else np.nan
        self._write("timeseries", pd.DataFrame(cleaned.series, columns=means.columns), facts)
        self._write("relmat", pd.DataFrame(matrix, columns=means.columns), facts)
        self._results["facts"] = facts
        return runtime

    def _clean(self, means, confounds):
        inputs = self.inputs
        band = (inputs.high_pass_hz, inputs.low_pass_hz)
        design = nuisance_design(confounds, inputs.strategy, inputs.repetition_time_s, band)
        return project_out(means.to_numpy(dtype=float), design, ~outlier_volumes(confounds))

    def _facts(self, cleaned, outliers):
        n_regions = int(np.isfinite(cleaned.series).any(axis=0).sum())
        minutes = float((~outliers).sum() * self.inputs.repetition_time_s / 60)
        freedom = cleaned.degrees_of_freedom
        reason = run_problem(minutes, self.inputs.min_clean_minutes, freedom, n_regions)
        return {
            "n_outliers": int(outliers.sum()),
            "clean_minutes": minutes,
            "degrees_of_freedom": freedom,
            "usable": not reason,
            "reason": reason,
        }

    def _write(self, name, table, facts):
        """Table and how it was made."""
        file = Path(f"{name}.tsv").resolve()
        write_table(table, file)
        inputs = self.inputs
        content = {
            "timeseries": {
                "Description": "Mean of each region after denoising; n/a in outlier volumes and "
                "in regions with too little coverage",
                "SamplingFrequency": 1 / inputs.repetition_time_s,
                "StartTime": 0,
            },
            "relmat": {
                "Description": "Fisher z of the Pearson correlation between regions; n/a on the "
                "diagonal and in regions with too little coverage",
                "RelationshipMeasure": "Pearson correlation, Fisher z",
            },
        }[name]
        content |= {
            "Confounds": inputs.strategy,
            "HighPassHz": inputs.high_pass_hz,
            "LowPassHz": inputs.low_pass_hz,
            "DegreesOfFreedom": facts["degrees_of_freedom"],
            "Usable": facts["usable"],
            "Reason": facts["reason"],
        }
        write_json(content, file.with_suffix(".json"))
        self._results[f"{name}_file"] = str(file)
        self._results[f"{name}_json"] = str(file.with_suffix(".json"))


class _BoldQualityInputSpec(BaseInterfaceInputSpec):
    confounds_file = File(exists=True, mandatory=True, desc="confound table")
    facts = traits.Dict(mandatory=True, desc="from the denoising")
    repetition_time_s = traits.Float(mandatory=True, desc="time from volume to volume, s")
    tsnr = traits.Float(mandatory=True, desc="median of the brain mask")
    registration_dice = traits.Float(mandatory=True, desc="overlap of the brain masks, 0 to 1")
    boundary_cost = traits.Float(mandatory=True, desc="cost of the registration, 0 to 2")


class _BoldQualityOutputSpec(TraitedSpec):
    bold_qc_file = File(desc="one row of quality measures")
    bold_qc_json = File(desc="meaning and unit of every column")


class BoldQuality(SimpleInterface):
    """Write the quality measures of a run in one row."""

    input_spec = _BoldQualityInputSpec
    output_spec = _BoldQualityOutputSpec

    def _run_interface(self, runtime):
        confounds = read_table(Path(self.inputs.confounds_file))
        measured = {name: getattr(self.inputs, name) for name in MEASURED}
        row = _displacement(confounds) | measured | dict(self.inputs.facts)
        row |= {"usable": str(row["usable"]).lower(), "reason": row["reason"] or "n/a"}
        file = Path(runtime.cwd) / "qc.tsv"
        write_table(pd.DataFrame([row])[list(QUALITY_MEANINGS)], file, QUALITY_MEANINGS)
        self._results["bold_qc_file"] = str(file)
        self._results["bold_qc_json"] = str(file.with_suffix(".json"))
        return runtime


def _displacement(confounds):
    displacement = confounds["framewise_displacement"]
    return {
        "n_volumes": len(displacement),
        "fd_mean": displacement.mean(),
        "fd_max": displacement.max(),
    }
