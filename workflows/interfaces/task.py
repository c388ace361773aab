"""Task BOLD: design of a run, contrasts of its regions and voxels, and their mean over runs."""

from __future__ import annotations

import warnings
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
from nilearn.glm.first_level import make_first_level_design_matrix
from nilearn.glm.first_level.hemodynamic_models import glover_hrf, spm_hrf
from nipype.interfaces.base import (
    BaseInterfaceInputSpec,
    File,
    InputMultiPath,
    SimpleInterface,
    TraitedSpec,
    isdefined,
    traits,
)

from bids_utils.derivatives import read_table, write_json, write_table
from bids_utils.errors import DatasetError, SettingsError
from bids_utils.events import RESPONSE_S, read_events
from bids_utils.names import nearest
from bids_utils.sidecars import read_json
from workflows.compute.denoise import censored_volumes, strategy_columns
from workflows.compute.ppi import cleaned_seed, interaction_design, interaction_name
from workflows.compute.task_design import (
    collinearity_notes,
    condition_number,
    contrast_problem,
    degrees_of_freedom,
    impulse_notes,
    matching_names,
    named_by,
    nuisance_columns,
    percent_signal,
    seen_shares,
    unmatched_notes,
    unseen_notes,
    variance_inflation,
)
from workflows.compute.task_model import contrast_estimates, fixed_effects, z_scores
from workflows.drawing.canvas import save_png
from workflows.drawing.task import contrast_slices, design_picture
from workflows.interfaces.figures import FigureOutputSpec, faceless, read_volume
from workflows.interfaces.func_files import read_array, same_grid, write_array

PERCENT, SLOPE = "%", "1"
OVERSAMPLING = 50
RESPONSES = {"spm": spm_hrf, "glover": glover_hrf}
KEYS = ["index", "region", "coverage"]
RUN_COLUMNS = ["contrast", *KEYS, "effect", "variance", "unit"]
SESSION_COLUMNS = [*RUN_COLUMNS, "n_runs"]
CONTRAST_MEANINGS = {
    "contrast": {"Description": "Name of the contrast; gppi_NAME_SEED is its coupling with a seed"},
    "index": {"Description": "Label of the region in the atlas image"},
    "region": {"Description": "Name of the region"},
    "coverage": {"Description": "Least covered fraction of the region in any run", "Units": "1"},
    "effect": {
        "Description": "Weighted sum of responses, mean of the runs weighted by precision. A "
        "response is the change of the signal during lasting stimulation, for events without "
        "duration the peak after one event, in percent of the region's mean; for gppi it is the "
        "change of the slope on the seed"
    },
    "variance": {"Description": "Variance of the effect within the person", "Units": "unit^2"},
    "unit": {"Description": "Unit of the effect"},
    "n_runs": {"Description": "Runs in which the contrast could be estimated"},
}


class _TaskDesignInputSpec(BaseInterfaceInputSpec):
    events_file = File(exists=True, mandatory=True, desc="table: onset, duration, trial_type")
    confounds_file = File(exists=True, mandatory=True, desc="confound table of the run")
    repetition_time_s = traits.Float(mandatory=True, desc="time from volume to volume, s")
    slice_moment_s = traits.Either(
        None, traits.Float, desc="moment that a volume shows, s after its start; None: the middle"
    )
    hrf = traits.Str(mandatory=True, desc="response function, a name that nilearn knows")
    high_pass_hz = traits.Float(mandatory=True, desc="slower changes are drift, Hz")
    contrasts = traits.Dict(mandatory=True, desc="weights of trial types of each contrast")
    conditions = traits.List(traits.Str, ["*"], usedefault=True, desc="trial types in the model")
    strategy = traits.Str(mandatory=True, desc="confounds in the model")
    confounds = traits.List(
        traits.Str, usedefault=True, desc="columns in the model, in place of the strategy"
    )
    fd_threshold_mm = traits.Either(None, traits.Float, desc="largest displacement, mm")
    std_dvars_threshold = traits.Either(None, traits.Float, desc="largest standardised DVARS")


class _TaskDesignOutputSpec(TraitedSpec):
    design_file = File(desc="design matrix, a row per volume")
    design_json = File(desc="what its columns are, contrasts, and what may be wrong with them")


class TaskDesign(SimpleInterface):
    """Make the design matrix of a run and check it."""

    input_spec = _TaskDesignInputSpec
    output_spec = _TaskDesignOutputSpec

    def _run_interface(self, runtime):
        confounds = read_table(Path(self.inputs.confounds_file))
        events, notes = self._events(len(confounds))
        task = self._task_columns(events, len(confounds))
        nuisance, kept, more = self._nuisance(confounds)
        design = pd.concat([task, nuisance], axis=1)
        self._check_names(design)
        content = self._facts() | self._judged(design, events, kept, [*notes, *more])
        content |= {"CensoredVolumes": np.flatnonzero(~kept).tolist()}
        self._results |= _written(design, content, Path(runtime.cwd) / "design")
        return runtime

    def _events(self, n_volumes):
        """Events of the trial types in the model, and notes."""
        run_s = n_volumes * self.inputs.repetition_time_s
        found = read_events(Path(self.inputs.events_file), run_s)
        types = list(dict.fromkeys(found.table["trial_type"]))
        wanted = named_by(self.inputs.conditions, types)
        others = [name for name in types if name not in wanted]
        notes = list(found.notes)
        if others:
            notes.append(f"{', '.join(others)}: not in the model, they belong to the baseline")
        return found.table[found.table["trial_type"].isin(wanted)], notes

    def _task_columns(self, events, n_volumes):
        """Responses, drift and a constant."""
        inputs = self.inputs
        times = self._moment_s() + inputs.repetition_time_s * np.arange(n_volumes)
        return _convolved(events, times, inputs.hrf, inputs.high_pass_hz)

    def _shares(self, events, kept):
        """Share of each condition's peak that the kept volumes show."""
        if events.empty:
            return {}
        inputs = self.inputs
        # in twice the time of a response also that to a long event is at its height
        around = int(np.ceil(2 * RESPONSE_S / inputs.repetition_time_s))
        times = self._moment_s() + inputs.repetition_time_s * np.arange(len(kept) + 2 * around)
        later = events.assign(onset=events["onset"] + around * inputs.repetition_time_s)
        whole = _convolved(later, times, inputs.hrf, None)
        return seen_shares(whole[events["trial_type"].unique()], np.pad(kept, around))

    def _nuisance(self, confounds):
        """Confounds and columns of censored volumes; which volumes are kept; notes."""
        inputs = self.inputs
        limits = (inputs.fd_threshold_mm, inputs.std_dvars_threshold)
        names = list(confounds.columns)
        try:
            kept = ~censored_volumes(confounds, *limits)
            if inputs.confounds:
                chosen = matching_names(inputs.confounds, names)
            else:
                chosen = strategy_columns(inputs.strategy, names)
            columns = nuisance_columns(confounds, chosen, kept)
        except ValueError as error:
            raise DatasetError(f"{inputs.confounds_file}: {error}") from error
        return columns, kept, unmatched_notes(inputs.confounds, names)

    def _check_names(self, design):
        names = list(design.columns)
        twice = [name for name in names if names.count(name) > 1]
        if twice:
            raise DatasetError(
                f"{self.inputs.events_file}: the trial type '{twice[0]}' has the name of another "
                "column of the model; rename it"
            )

    def _moment_s(self):
        """Where slices are not brought to one moment, they lie around the middle."""
        moment_s = self.inputs.slice_moment_s
        known = isdefined(moment_s) and moment_s is not None
        return moment_s if known else self.inputs.repetition_time_s / 2

    def _facts(self):
        inputs = self.inputs
        return {
            "Description": "Design matrix of the task model, a row per volume",
            "SamplingFrequency": 1 / inputs.repetition_time_s,
            "StartTime": self._moment_s(),
            "ResponseFunction": inputs.hrf,
            "HighPassHz": inputs.high_pass_hz,
            "ConfoundsFile": Path(inputs.confounds_file).name,
            "Confounds": list(inputs.confounds) if inputs.confounds else inputs.strategy,
            "NoiseModel": "first-order autoregressive, corrected for the columns of the design",
        }

    def _judged(self, design, events, kept, notes):
        """Conditions, contrasts and collinearity of a design, for its JSON."""
        n_events = {
            str(name): int(n) for name, n in events["trial_type"].value_counts(sort=False).items()
        }
        inflation = variance_inflation(design, list(n_events))
        number = condition_number(design, list(n_events)) if n_events else 1.0
        contrasts, unseen = self.inputs.contrasts, unseen_notes(self._shares(events, kept))
        more = [*impulse_notes(events, contrasts), *collinearity_notes(inflation, number)]
        return {
            "Conditions": n_events,
            "Contrasts": {
                name: {
                    "Weights": dict(weights),
                    "Problem": contrast_problem(weights, n_events, design, unseen),
                }
                for name, weights in contrasts.items()
            },
            "VarianceInflation": {name: _finite(size) for name, size in inflation.items()},
            "ConditionNumber": _finite(number),
            "DegreesOfFreedom": degrees_of_freedom(design.to_numpy()),
            "Notes": [*notes, *unseen.values(), *more],
        }


def _convolved(events, times, hrf, high_pass_hz):
    """Responses, constant, drift up to a frequency (Hz); None: without drift.

    An event without duration is an impulse whose response has a peak of 1 at any repetition
    time; nilearn would make it last for one step, which is shorter the shorter that time is.
    """
    types = list(dict.fromkeys(events["trial_type"]))
    # nilearn changes names that are numbers or have spaces
    numbered = {name: f"condition{place:04d}" for place, name in enumerate(types)}
    kernel = RESPONSES[hrf.partition(" ")[0]](times[1] - times[0], OVERSAMPLING)
    shown = events.assign(trial_type=events["trial_type"].map(numbered))
    impulse = events["duration"] == 0
    if impulse.any():
        shown = shown.assign(modulation=np.where(impulse, 1 / kernel.max(), 1.0))
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*null duration.*")
        # what began earlier counts from then on, other than this warning says
        warnings.filterwarnings("ignore", message=".*onsets are earlier.*")
        design = make_first_level_design_matrix(
            times,
            shown if types else None,
            hrf,
            drift_model="cosine" if high_pass_hz else None,
            high_pass=high_pass_hz or 0.0,
            oversampling=OVERSAMPLING,
        )
    names = {new: old for old, new in numbered.items()}
    names |= {f"{new}_derivative": f"{old}_derivative" for old, new in numbered.items()}
    return design.rename(columns=names).reset_index(drop=True)


def _finite(number):
    return number if np.isfinite(number) else None


def _written(table, content, stem):
    """Fields STEM_file and STEM_json of a table and its JSON, written under this name."""
    files = {"file": stem.with_suffix(".tsv"), "json": stem.with_suffix(".json")}
    write_table(table, files["file"])
    write_json(content, files["json"])
    return {f"{stem.name}_{kind}": str(path) for kind, path in files.items()}


class _FitContrastsInputSpec(BaseInterfaceInputSpec):
    means_file = File(exists=True, mandatory=True, desc="mean series of regions, not cleaned")
    coverage_file = File(exists=True, mandatory=True, desc="table: index, region, coverage")
    design_file = File(exists=True, mandatory=True, desc="design matrix")
    design_json = File(exists=True, mandatory=True, desc="its contrasts and conditions")
    ppi_seeds = traits.List(
        traits.Str, usedefault=True, desc="regions whose coupling with the others is compared"
    )


class _FitContrastsOutputSpec(TraitedSpec):
    run_contrasts_file = File(
        desc="table: contrast, index, region, coverage, effect, variance, unit"
    )
    run_contrasts_json = File(desc="weights of each contrast and why it could not be estimated")


class FitContrasts(SimpleInterface):
    """Estimate all contrasts of a run in all regions."""

    input_spec = _FitContrastsInputSpec
    output_spec = _FitContrastsOutputSpec

    def _run_interface(self, runtime):
        means, regions = self._regions()
        design, content = _design_of(self.inputs, self.inputs.means_file, means)
        series = _percent(means, content)
        parts = [_task_part(series, design, content)]
        parts += [self._coupling(seed, series, regions, design) for seed in self.inputs.ppi_seeds]
        rows = pd.concat([_contrast_rows(regions, *part) for part in parts], ignore_index=True)
        facts = _contrast_facts(parts)
        self._results |= _written(rows, facts, Path(runtime.cwd) / "run_contrasts")
        return runtime

    def _regions(self):
        """Series (n_volumes, n_regions) and table of the regions."""
        means = read_table(Path(self.inputs.means_file))
        regions = read_table(Path(self.inputs.coverage_file), text_columns=["region"])[KEYS]
        if list(means.columns) != list(regions["region"]):
            raise ValueError("means_file and coverage_file: other regions")
        return means.to_numpy(dtype=float), regions

    def _coupling(self, seed, series, regions, design):
        """Interactions of the task with one seed: contrasts, estimates, unit."""
        content = read_json(Path(self.inputs.design_json))
        names = list(regions["region"])
        if seed not in names:
            raise SettingsError(
                f"func.tasks: ppi_seeds: there is no region '{seed}'; {nearest(seed, names)}"
            )
        own = series[:, names.index(seed)]
        conditions = list(content["Conditions"])
        contrasts = _seed_contrasts(content, seed)
        if not np.isfinite(own).all():
            return _all_refused(contrasts, "the seed has too little coverage"), None, SLOPE
        nuisance = design.drop(columns=_task_names(design, conditions)).to_numpy()
        whole = interaction_design(design, cleaned_seed(own, nuisance), conditions)
        n_events = {interaction_name(c): n for c, n in content["Conditions"].items()}
        judged = {
            name: (weights, problem or contrast_problem(weights, n_events, whole))
            for name, (weights, problem) in contrasts.items()
        }
        others = series.copy()
        others[:, names.index(seed)] = np.nan
        return judged, _estimates(others, whole, judged), SLOPE


def _design_of(inputs, path, series):
    """Design and its JSON; DatasetError where confounds and BOLD differ in their volumes."""
    design, content = read_table(Path(inputs.design_file)), read_json(Path(inputs.design_json))
    if len(series) != len(design):
        raise DatasetError(
            f"{content['ConfoundsFile']}: {len(design)} rows for {len(series)} volumes ({path}); "
            "the table is of another run, or volumes were cut off"
        )
    return design, content


def _percent(means, content):
    """Series in percent of the mean of the volumes that are not censored; NaN without any."""
    kept = np.ones(len(means), dtype=bool)
    kept[content["CensoredVolumes"]] = False
    return percent_signal(means, kept) if kept.any() else means * np.nan


def _task_part(series, design, content):
    """Contrasts of the task: weights and problems, estimates, unit."""
    contrasts = {
        name: (facts["Weights"], facts["Problem"]) for name, facts in content["Contrasts"].items()
    }
    return contrasts, _estimates(series, design, contrasts), PERCENT


def _estimates(series, design, contrasts):
    weights = {name: own for name, (own, _) in contrasts.items()}
    problems = {name: problem for name, (_, problem) in contrasts.items()}
    return contrast_estimates(series, design, weights, problems)


def _seed_contrasts(content, seed):
    """Contrasts of a seed's interactions: weights, and the problem that the task's one has."""
    return {
        f"gppi_{name}_{seed}": (
            {interaction_name(c): weight for c, weight in facts["Weights"].items()},
            facts["Problem"],
        )
        for name, facts in content["Contrasts"].items()
    }


def _all_refused(contrasts, reason):
    return {name: (weights, reason) for name, (weights, _) in contrasts.items()}


def _task_names(design, conditions):
    return [c for c in design.columns if c.removesuffix("_derivative") in conditions]


def _contrast_rows(regions, contrasts, estimates, unit):
    """Rows of all regions for each contrast, RUN_COLUMNS."""
    tables = []
    for row, name in enumerate(contrasts):
        own = estimates and (estimates.effects[row], estimates.variances[row])
        effect, variance = own or (np.nan, np.nan)
        values = {"contrast": name, "effect": effect, "variance": variance, "unit": unit}
        tables.append(regions.assign(**values)[RUN_COLUMNS])
    return pd.concat(tables, ignore_index=True)


def _contrast_facts(parts):
    return {
        name: {"Weights": weights, "Problem": problem}
        for contrasts, _, _ in parts
        for name, (weights, problem) in contrasts.items()
    }


class _ContrastMapsInputSpec(BaseInterfaceInputSpec):
    in_file = File(exists=True, mandatory=True, desc="realigned BOLD series, not cleaned")
    mask_file = File(exists=True, mandatory=True, desc="brain mask")
    design_file = File(exists=True, mandatory=True, desc="design matrix")
    design_json = File(exists=True, mandatory=True, desc="its contrasts")


class _ContrastMapsOutputSpec(TraitedSpec):
    z_file = File(desc="z of each contrast, a volume each; NaN outside of the mask or unknown")


class ContrastMaps(SimpleInterface):
    """Estimate all contrasts of a run in all voxels of the brain, without smoothing."""

    input_spec = _ContrastMapsInputSpec
    output_spec = _ContrastMapsOutputSpec

    def _run_interface(self, runtime):
        image, series = read_array(self.inputs.in_file)
        mask_image, mask = read_array(self.inputs.mask_file, bool)
        same_grid(image, mask_image)
        voxels = np.asarray(series[mask], dtype=float).T
        design, content = _design_of(self.inputs, self.inputs.in_file, voxels)
        _, estimates, _ = _task_part(voxels, design, content)
        maps = np.full((*mask.shape, len(estimates.effects)), np.nan, np.float32)
        maps[mask] = z_scores(estimates).T
        self._results["z_file"] = write_array(maps, mask_image, Path(runtime.cwd) / "z.nii.gz")
        return runtime


class _FixedEffectsInputSpec(BaseInterfaceInputSpec):
    in_files = InputMultiPath(File(exists=True), mandatory=True, desc="contrasts of each run")
    in_jsons = InputMultiPath(File(exists=True), mandatory=True, desc="their weights and problems")
    run_names = traits.List(traits.Str, mandatory=True, desc="name of each run, for the reasons")


class _FixedEffectsOutputSpec(TraitedSpec):
    contrasts_file = File(desc="table: contrasts of the session in each region")
    contrasts_json = File(desc="meaning of its columns; weights, and runs that do not count")


class FixedEffects(SimpleInterface):
    """Mean of the runs of a session, weighted by precision."""

    input_spec = _FixedEffectsInputSpec
    output_spec = _FixedEffectsOutputSpec

    def _run_interface(self, runtime):
        tables = [
            read_table(Path(file), text_columns=["contrast", "region", "unit"])
            for file in self.inputs.in_files
        ]
        facts = [read_json(Path(file)) for file in self.inputs.in_jsons]
        content = CONTRAST_MEANINGS | _session_facts(facts, self.inputs.run_names)
        target = Path(runtime.cwd) / "contrasts"
        self._results |= _written(_mean_of_runs(tables), content, target)
        return runtime


def _mean_of_runs(tables):
    """Table of a session, SESSION_COLUMNS, of tables with the same rows."""
    keys = ["contrast", "index", "region", "unit"]
    if any(not table[keys].equals(tables[0][keys]) for table in tables):
        raise ValueError("in_files: the runs have other contrasts or regions")
    values = {
        name: np.array([pd.to_numeric(table[name], errors="coerce") for table in tables], float)
        for name in ("effect", "variance", "coverage")
    }
    effect, variance, n_runs = fixed_effects(values["effect"], values["variance"])
    known = {"effect": effect, "variance": variance, "n_runs": n_runs}
    coverage = values["coverage"].min(axis=0)
    return tables[0][keys].assign(coverage=coverage, **known)[SESSION_COLUMNS]


def _session_facts(facts, run_names):
    """Weights of each contrast, and why runs do not count."""
    runs = list(zip(run_names, facts, strict=True))
    contrasts = {}
    for name, own in facts[0].items():
        refused = {run: content[name]["Problem"] for run, content in runs}
        refused = {run: problem for run, problem in refused.items() if problem}
        contrasts[name] = {"Weights": own["Weights"], "NotEstimated": refused}
    return {"Contrasts": contrasts}


class _DesignFigureInputSpec(BaseInterfaceInputSpec):
    design_file = File(exists=True, mandatory=True, desc="design matrix")
    design_json = File(exists=True, mandatory=True, desc="its conditions and contrasts")


class DesignFigure(SimpleInterface):
    """Design matrix, responses over time, contrasts and correlation of the conditions."""

    input_spec = _DesignFigureInputSpec
    output_spec = FigureOutputSpec

    def _run_interface(self, runtime):
        design = read_table(Path(self.inputs.design_file))
        figure = design_picture(design, read_json(Path(self.inputs.design_json)))
        self._results["out_file"] = str(save_png(figure, Path(runtime.cwd) / "design.png"))
        return runtime


class _ContrastFigureInputSpec(BaseInterfaceInputSpec):
    in_file = File(exists=True, mandatory=True, desc="BOLD reference")
    mask_file = File(exists=True, mandatory=True, desc="brain mask")
    z_file = File(exists=True, mandatory=True, desc="z of each contrast, a volume each")
    design_json = File(exists=True, mandatory=True, desc="names of the contrasts")


class ContrastFigure(SimpleInterface):
    """Map of z of each contrast over the BOLD reference."""

    input_spec = _ContrastFigureInputSpec
    output_spec = FigureOutputSpec

    def _run_interface(self, runtime):
        brain = read_volume(self.inputs.mask_file).data >= 0.5
        volume = faceless(self.inputs.in_file, brain, margin_mm=0)
        names = list(read_json(Path(self.inputs.design_json))["Contrasts"])
        maps = dict(zip(names, _ras_maps(self.inputs.z_file), strict=True))
        figure = contrast_slices(volume, maps, brain)
        self._results["out_file"] = str(save_png(figure, Path(runtime.cwd) / "contrasts.png"))
        return runtime


def _ras_maps(path):
    """Volumes of a series of maps turned to RAS+ order, NaN kept."""
    turned = nib.as_closest_canonical(nib.load(path))
    return np.moveaxis(np.asanyarray(turned.dataobj, dtype=np.float32), -1, 0)
