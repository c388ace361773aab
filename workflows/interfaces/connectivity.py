"""Regional series of a BOLD run, their denoising, and the connectivity of a session."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from nipype.interfaces.base import (
    BaseInterfaceInputSpec,
    File,
    InputMultiPath,
    SimpleInterface,
    TraitedSpec,
    traits,
)

from bids_utils.derivatives import read_table, write_json, write_table
from bids_utils.sidecars import read_json
from workflows.compute.bold_checks import run_problem
from workflows.compute.bold_mask import dead_voxels
from workflows.compute.connectivity import (
    fisher_z_matrix,
    joined_runs,
    masked_voxels,
    partial_z_matrix,
    region_coverage,
    region_means,
    temporal_signal_to_noise,
)
from workflows.compute.denoise import project_out, spline_filled
from workflows.compute.pair_quality import LOWEST
from workflows.interfaces.denoising_inputs import DenoisingInputSpec, design_of, kept_volumes
from workflows.interfaces.func_files import read_array, same_grid

SPLINE = "spline"
ENOUGH_MINUTES = LOWEST["clean_minutes"]
SHORT = f"{{:.2f}} clean minutes; with less than {ENOUGH_MINUTES:g} edges are unreliable"


class _RegionSeriesInputSpec(BaseInterfaceInputSpec):
    in_file = File(exists=True, mandatory=True, desc="realigned BOLD series")
    mask_file = File(exists=True, mandatory=True, desc="brain mask")
    atlas_file = File(exists=True, mandatory=True, desc="labels on the BOLD grid")
    whole_atlas_file = File(exists=True, mandatory=True, desc="labels on the extended grid")
    atlas_labels_file = File(exists=True, mandatory=True, desc="table: index, name")
    min_coverage = traits.Float(mandatory=True, desc="least covered fraction of a region")
    n_dummy = traits.Int(0, usedefault=True, desc="leading volumes before the steady state")


class _RegionSeriesOutputSpec(TraitedSpec):
    means_file = File(desc="mean series, a column per region, n/a where coverage is low")
    coverage_file = File(desc="table: index, region, coverage")
    coverage_mean = traits.Float(desc="mean coverage of the regions, 0 to 1")
    tsnr = traits.Float(desc="median of the brain mask, volumes of the steady state")


class RegionSeries(SimpleInterface):
    """Average the voxels of each region that lie in the brain mask and vary over time."""

    input_spec = _RegionSeriesInputSpec
    output_spec = _RegionSeriesOutputSpec

    def _run_interface(self, runtime):
        regions = read_table(Path(self.inputs.atlas_labels_file), text_columns=["name"])
        voxels, labels, _ = varying_inside(self.inputs)
        coverage = self._coverage(labels, regions["index"])
        means = region_means(voxels, labels, regions["index"])
        means[:, ~(coverage >= self.inputs.min_coverage)] = np.nan
        self._write(regions, means, coverage, Path(runtime.cwd))
        self._results["coverage_mean"] = float(pd.Series(coverage).mean())
        self._results["tsnr"] = temporal_signal_to_noise(voxels[:, self.inputs.n_dummy :])
        return runtime

    def _write(self, regions, means, coverage, folder):
        write_table(pd.DataFrame(means, columns=regions["name"]), folder / "means.tsv")
        table = regions[["index", "name"]].rename(columns={"name": "region"})
        write_table(table.assign(coverage=coverage), folder / "coverage.tsv")
        self._results["means_file"] = str(folder / "means.tsv")
        self._results["coverage_file"] = str(folder / "coverage.tsv")

    def _coverage(self, labels, indices):
        _, whole = read_array(self.inputs.whole_atlas_file)
        return region_coverage(np.rint(whole).astype(int).ravel(), labels, indices)


def varying_inside(inputs):
    """Voxels of in_file that lie in mask_file and vary over time.

    Returns
    -------
    voxels : (n_voxels, n_volumes) array
    labels : (n_voxels,) array of int
        Their regions in atlas_file.
    where : (i, j, k) bool array
    """
    image, series = read_array(inputs.in_file)
    mask_image, where = read_array(inputs.mask_file, bool)
    atlas_image, atlas = read_array(inputs.atlas_file, int)
    same_grid(image, mask_image)
    same_grid(image, atlas_image)
    voxels = masked_voxels(series, where)
    varying = ~dead_voxels(voxels)
    if not varying.all():
        where[where], voxels = varying, voxels[varying]
    return voxels, atlas[where], where


class _CleanSeriesInputSpec(DenoisingInputSpec):
    means_file = File(exists=True, mandatory=True, desc="mean series of the regions")
    censored = traits.Enum("nan", SPLINE, usedefault=True, desc="saved in censored volumes")
    slice_moment_s = traits.Either(
        None, traits.Float, desc="moment of all slices in each volume, s; None: not corrected"
    )


class _CleanSeriesOutputSpec(TraitedSpec):
    clean_file = File(desc="cleaned series, n/a in censored volumes")
    timeseries_file = File(desc="cleaned series as it is saved, censored volumes as asked")
    timeseries_json = File(desc="how it was cleaned, and what is left")
    facts = traits.Dict(desc="n_outliers, clean_minutes, degrees_of_freedom, usable, reason")


class CleanSeries(SimpleInterface):
    """Clean the regional series of a run in one projection.

    A short run is usable: whether there is enough time is decided for the session.
    """

    input_spec = _CleanSeriesInputSpec
    output_spec = _CleanSeriesOutputSpec

    def _run_interface(self, runtime):
        inputs, folder = self.inputs, Path(runtime.cwd)
        means, kept = read_table(Path(inputs.means_file)), kept_volumes(inputs)
        cleaned = project_out(means.to_numpy(float), design_of(inputs, inputs.low_pass_hz), kept)
        facts = self._facts(cleaned, kept)
        shown = spline_filled(cleaned.series, kept) if inputs.censored == SPLINE else cleaned.series
        for field, series in (("clean_file", cleaned.series), ("timeseries_file", shown)):
            self._save(folder, field, pd.DataFrame(series, columns=means.columns))
        write_json(self._description(facts), folder / "timeseries.json")
        self._results |= {"timeseries_json": str(folder / "timeseries.json"), "facts": facts}
        return runtime

    def _save(self, folder, field, table):
        file = folder / f"{field.removesuffix('_file')}.tsv"
        write_table(table, file)
        self._results[field] = str(file)

    def _facts(self, cleaned, kept):
        n_regions = int(np.isfinite(cleaned.series).any(axis=0).sum())
        minutes = float(kept.sum() * self.inputs.repetition_time_s / 60)
        reason = run_problem(minutes, 0.0, cleaned.degrees_of_freedom, n_regions)
        return {
            "n_outliers": int((~kept).sum()),
            "clean_minutes": minutes,
            "degrees_of_freedom": cleaned.degrees_of_freedom,
            "usable": not reason,
            "reason": reason,
        }

    def _description(self, facts):
        inputs = self.inputs
        filled = "filled by a spline" if inputs.censored == SPLINE else "n/a"
        return {
            "Description": f"Mean of each region after denoising; censored volumes are {filled}, "
            "regions with too little coverage n/a",
            "SamplingFrequency": 1 / inputs.repetition_time_s,
            "StartTime": inputs.slice_moment_s or 0,
            "Strategy": inputs.strategy,
            "HighPassHz": inputs.high_pass_hz,
            "LowPassHz": inputs.low_pass_hz,
            "MaxFramewiseDisplacementMm": inputs.fd_threshold_mm,
            "MaxStandardisedDvars": inputs.std_dvars_threshold,
            "CleanMinutes": facts["clean_minutes"],
            "DegreesOfFreedom": facts["degrees_of_freedom"],
            "Usable": facts["usable"],
            "Reason": facts["reason"],
        }


class _ConnectSessionInputSpec(BaseInterfaceInputSpec):
    clean_files = InputMultiPath(
        File(exists=True), mandatory=True, desc="cleaned series of the runs, n/a where censored"
    )
    timeseries_jsons = InputMultiPath(
        File(exists=True), mandatory=True, desc="how each run was cleaned, in the same order"
    )
    min_clean_minutes = traits.Float(mandatory=True, desc="least time of all runs together, min")


class _ConnectSessionOutputSpec(TraitedSpec):
    relmat_file = File(desc="Fisher z of correlations, n/a throughout where unusable")
    relmat_json = File(desc="how it was made, and why it is n/a")
    partial_file = File(desc="Fisher z of partial correlations, n/a throughout where unusable")
    partial_json = File(desc="how it was made, and why it is n/a")


class ConnectSession(SimpleInterface):
    """Correlate the regions over all usable runs of a task in a session.

    Each run is scaled to standard deviation one before the runs are joined.
    """

    input_spec = _ConnectSessionInputSpec
    output_spec = _ConnectSessionOutputSpec

    def _run_interface(self, runtime):
        made = [read_json(Path(file)) for file in self.inputs.timeseries_jsons]
        used = [run["Usable"] for run in made]
        series, regions = self._joined(used if any(used) else [True] * len(made))
        about = self._about(made, used, int(np.isfinite(series).any(axis=0).sum()))
        for name, matrix_of, measure in MATRICES:
            matrix = matrix_of(series) if about["Usable"] else np.full((len(regions),) * 2, np.nan)
            self._write(name, pd.DataFrame(matrix, columns=regions), measure | about)
        return runtime

    def _joined(self, used):
        """Series of the used runs and the names of their regions."""
        tables = [read_table(Path(file)) for file in self.inputs.clean_files]
        regions = tables[0].columns
        if any(not table.columns.equals(regions) for table in tables):
            raise ValueError("clean_files: runs with other regions")
        runs = [table.to_numpy(float) for table, use in zip(tables, used, strict=True) if use]
        return joined_runs(runs), regions

    def _about(self, made, used, n_regions):
        runs = [run for run, use in zip(made, used, strict=True) if use]
        minutes = float(sum(run["CleanMinutes"] for run in runs))
        freedom = int(sum(run["DegreesOfFreedom"] for run in runs))
        reason = run_problem(minutes, self.inputs.min_clean_minutes, freedom, n_regions)
        if not runs:
            reason = f"no usable run: {made[0]['Reason']}"
        kept = ("Strategy", "HighPassHz", "LowPassHz")
        return {name: made[0][name] for name in kept} | {
            "Runs": len(made),
            "RunsUsed": len(runs),
            "CleanMinutes": minutes,
            "DegreesOfFreedom": freedom,
            "Usable": not reason,
            "Reason": reason,
            "Note": "" if reason or minutes >= ENOUGH_MINUTES else SHORT.format(minutes),
        }

    def _write(self, name, table, content):
        """Table and how it was made."""
        file = Path(f"{name}.tsv").resolve()
        write_table(table, file)
        write_json(content, file.with_suffix(".json"))
        self._results[f"{name}_file"] = str(file)
        self._results[f"{name}_json"] = str(file.with_suffix(".json"))


MATRICES = (
    (
        "relmat",
        fisher_z_matrix,
        {
            "Description": "Fisher z of the Pearson correlation between regions over all usable "
            "runs; n/a on the diagonal and in regions with too little coverage in one of them",
            "RelationshipMeasure": "Pearson correlation, Fisher z",
        },
    ),
    (
        "partial",
        partial_z_matrix,
        {
            "Description": "Fisher z of the partial correlation between regions, all others held, "
            "from a covariance shrunk as Ledoit and Wolf (2004), over all usable runs; n/a on the "
            "diagonal and in regions with too little coverage in one of them",
            "RelationshipMeasure": "Partial correlation, Fisher z",
        },
    ),
)
"""Name of the output, function and description of each matrix."""
