"""Task model: planted responses, false alarms, and a real run with blocks of pictures.

usage: python benchmarks/task.py DATA_DIR OUTPUT_DIR [--anatomy FOLDER]

DATA_DIR holds `studyforrest_sub02`: a BOLD run with two blocks each of six kinds of pictures (its
header and JSON say 1.79 s, the protocol had 2.0 s) and a T1w. The anatomy is made once, into
OUTPUT_DIR/anatomy or the folder that is named. Pictures are written into OUTPUT_DIR.

Simulated: regions with first-order autoregressive noise, 24 columns of a moving head, ten censored
volumes. Real false alarms: events that nobody saw, in the real run whose own blocks stay in
the model. nilearn's estimate of the noise is shown beside ours.
"""

from __future__ import annotations

import argparse
import json
import resource
import shutil
import sys
from pathlib import Path

import numpy as np
import pandas as pd
from nilearn.glm.first_level import make_first_level_design_matrix, run_glm
from nipype import Node, Workflow
from nipype.interfaces.io import DataSink
from scipy import stats

from bids_utils.derivatives import read_table
from bids_utils.plan import BoldRun
from configs.atlases import chosen_atlas
from configs.settings import FuncSettings, Settings, TaskSettings
from workflows.anat import init_anat_wf
from workflows.atlas import standard_atlas
from workflows.compute.task_design import degrees_of_freedom, percent_signal
from workflows.compute.task_model import Estimates, fitted_contrasts, lag_one_correlation
from workflows.func import init_bold_space_wf, init_realign_wf
from workflows.interfaces.confounds import GatherConfounds
from workflows.interfaces.connectivity import RegionSeries
from workflows.task import init_task_run_wf

TRUE_TR_S, N_VOLUMES = 2.0, 156
STEM = "func/sub-02_task-oneback_run-1"
TASK = TaskSettings(
    task="oneback",
    contrasts={
        "stimulation": "(body + face + house + object + scene + scramble) / 6",
        "faces": "face - (house + object + scene) / 3",
        "places": "(house + scene) / 2 - (face + object) / 2",
    },
    ppi_seeds=("lh_fusiform",),
)
VISUAL = ("lateraloccipital", "fusiform", "lingual")
PLACES = ("parahippocampal",)
TEMPLATE = ("template_file", "template_mask_file", "template_dseg_file", "mni2template_xfm")
SIMULATED = {"n_runs": 40, "n_series": 300, "effect": 0.8, "correlation": 0.3}
N_NULL = 200
TARGETS = {
    "interval_coverage": (0.925, 0.975),
    "false_alarms": (0.025, 0.075),
    "recovered_slope": (0.97, 1.03),
    "visual_least_z": (3.1, np.inf),
    "visual_rank": (1.0, 1.0),
    "model_cpu_s": (0, 30),
}


def moving_head(rng: np.random.Generator) -> pd.DataFrame:
    """24 columns of a head that moves at random."""
    motion = np.cumsum(rng.normal(0, 0.02, (N_VOLUMES, 6)), axis=0)
    change = np.diff(motion, axis=0, prepend=motion[:1])
    columns = np.hstack([motion, change, motion**2, change**2])
    return pd.DataFrame(columns - columns.mean(axis=0)).add_prefix("motion")


def random_events(rng: np.random.Generator, blocks: bool) -> pd.DataFrame:
    """Two conditions in turn, blocks of 16 s or events of 2 s at irregular times."""
    step, duration = (24.0, 16.0) if blocks else (9.0, 2.0)
    onsets = rng.uniform(2, 12) + np.arange(0, N_VOLUMES * TRUE_TR_S - 30, step)
    onsets = onsets + rng.uniform(0, step - duration, len(onsets)) / 2
    kinds = rng.permutation(np.resize(["negative", "neutral"], len(onsets)))
    return pd.DataFrame({"onset": onsets, "duration": duration, "trial_type": kinds})


def task_columns(events: pd.DataFrame, drift: str | None) -> pd.DataFrame:
    """Responses to events, and drift up to .008 Hz with a constant if asked."""
    times = (np.arange(N_VOLUMES) + 0.5) * TRUE_TR_S
    design = make_first_level_design_matrix(times, events, "spm", drift, 0.008)
    return design.reset_index(drop=True)


def first_minus_second(design: np.ndarray) -> np.ndarray:
    """Contrast (1, n_columns) of the first two columns."""
    vector = np.zeros((1, design.shape[1]))
    vector[0, :2] = 1, -1
    return vector


def significant(estimates: Estimates, truth: float = 0.0) -> np.ndarray:
    """Whether the 95 % interval of each series leaves out the truth."""
    limit = stats.t.ppf(0.975, estimates.degrees_of_freedom)
    return np.abs(estimates.effects[0] - truth) > limit * np.sqrt(estimates.variances[0])


def both_fits(series: np.ndarray, design: np.ndarray) -> dict[str, Estimates]:
    """First minus second condition with our correlation of the noise and with nilearn's."""
    vector = first_minus_second(design)
    labels, _ = run_glm(series, design, "ar1")
    correlations = {"ours": lag_one_correlation(series, design), "nilearn": labels.astype(float)}
    return {
        name: fitted_contrasts(series, design, vector, values)
        for name, values in correlations.items()
    }


def simulated(rng: np.random.Generator) -> dict[str, float]:
    """Slope of found on planted effects, interval coverage and false alarms."""
    rows = []
    for run in range(SIMULATED["n_runs"]):
        spikes = pd.DataFrame(np.eye(N_VOLUMES)[:, rng.choice(N_VOLUMES, 10, replace=False)])
        task = task_columns(random_events(rng, blocks=run % 2 == 0), "cosine")
        design = pd.concat([task, moving_head(rng), spikes.add_prefix("censored")], axis=1)
        noise = rng.normal(size=(N_VOLUMES + 30, SIMULATED["n_series"]))
        for volume in range(1, len(noise)):
            noise[volume] += SIMULATED["correlation"] * noise[volume - 1]
        planted = noise[30:] + SIMULATED["effect"] * task[["negative"]].to_numpy()
        nothing = both_fits(noise[30:], design.to_numpy())
        for name, found in both_fits(planted, design.to_numpy()).items():
            row = {"kind": name, "slope": found.effects.mean() / SIMULATED["effect"]}
            row["inside"] = 1 - significant(found, SIMULATED["effect"]).mean()
            rows.append(row | {"false": significant(nothing[name]).mean()})
    mean = pd.DataFrame(rows).groupby("kind").mean()
    return {
        "recovered_slope": mean.loc["ours", "slope"],
        "interval_coverage": mean.loc["ours", "inside"],
        "false_alarms": mean.loc["ours", "false"],
        "nilearn_interval_coverage": mean.loc["nilearn", "inside"],
        "nilearn_false_alarms": mean.loc["nilearn", "false"],
    }


def real_false_alarms(
    means: pd.DataFrame, design: pd.DataFrame, rng: np.random.Generator
) -> dict[str, float]:
    """Share of regions that answer to events nobody saw; all share the noise of one head."""
    series = means.dropna(axis=1).to_numpy()
    series = percent_signal(series, np.ones(len(series), dtype=bool))
    rows = []
    for number in range(N_NULL):
        events = random_events(rng, blocks=number % 2 == 0)
        unseen = task_columns(events, None)[["negative", "neutral"]]
        whole = pd.concat([unseen, design], axis=1).to_numpy()
        found = both_fits(series, whole).items()
        rows.append({name: significant(estimates).mean() for name, estimates in found})
    return {f"real_false_alarms_{k}": v for k, v in pd.DataFrame(rows).mean().items()}


def make_anatomy(t1w: Path, folder: Path) -> None:
    """Write template, its mask and tissues, and its map to MNI, each into a folder of its name."""
    settings = Settings()
    atlas = standard_atlas(chosen_atlas(settings.atlas), folder, lambda workflow: workflow.run())
    anat = init_anat_wf(1, settings)
    anat.inputs.inputnode.t1w_files = [str(t1w)]
    anat.inputs.inputnode.atlas_file = str(atlas.file)
    anat.inputs.inputnode.atlas_labels_file = str(atlas.labels_file)
    sink = Node(DataSink(base_directory=str(folder), parameterization=False), "sink")
    for field in TEMPLATE:
        anat.connect(anat.get_node("outputnode"), field, sink, field)
    anat.base_dir = str(folder / "work")
    anat.run()


def real_run_wf(data_dir: Path, anatomy: Path, output_dir: Path) -> Workflow:
    """Studyforrest from the raw series to contrasts; no slice times are known."""
    bold, events = (data_dir / f"{STEM}_{end}" for end in ("bold.nii.gz", "events.tsv"))
    run = BoldRun(bold, (), TRUE_TR_S, N_VOLUMES, events_file=events)
    settings = FuncSettings()
    atlas = standard_atlas(chosen_atlas(Settings().atlas), anatomy, lambda workflow: workflow.run())
    realign, space = init_realign_wf(run), init_bold_space_wf(settings)
    confounds = Node(GatherConfounds(repetition_time_s=TRUE_TR_S), "confounds")
    regions = Node(RegionSeries(min_coverage=settings.min_coverage), "regions")
    task = init_task_run_wf(run, TASK, settings, "task_wf")
    realign.inputs.inputnode.bold_file = space.inputs.inputnode.bold_file = str(bold)
    for field in TEMPLATE:
        file = next((anatomy / field).iterdir())
        setattr(space.inputs.inputnode, field, str(file))
    space.inputs.inputnode.atlas_file = str(atlas.file)
    regions.inputs.atlas_labels_file = str(atlas.labels_file)
    series = [("outputnode.preproc_bold_file", "in_file")]
    mask = ("outputnode.bold_mask_file", "mask_file")
    labels = [(f"outputnode.{name}", name) for name in ("whole_atlas_file",)]
    labels += [("outputnode.bold_atlas_file", "atlas_file"), mask]
    workflow = Workflow("run_wf", base_dir=str(output_dir))
    workflow.connect(
        [
            (realign, space, through("boldref_file", "head_mask_file", "brain_file")),
            (realign, confounds, [*series, ("outputnode.parameters_file", "parameters_file")]),
            (space, confounds, [mask, ("outputnode.bold_dseg_file", "dseg_file")]),
            (realign, regions, series),
            (space, regions, labels),
            (confounds, task, [("confounds_file", "inputnode.confounds_file")]),
            (regions, task, [(f, f"inputnode.{f}") for f in ("means_file", "coverage_file")]),
            (realign, task, through("preproc_bold_file", "boldref_file", "slice_moment_s")),
            (space, task, through("bold_mask_file")),
        ]
    )
    return workflow


def through(*fields: str) -> list[tuple[str, str]]:
    """Outputs of one builder to the inputs of the same name of another."""
    return [(f"outputnode.{field}", f"inputnode.{field}") for field in fields]


def real_figures(folder: Path) -> dict[str, float]:
    """What visual and parahippocampal cortex answer, against all other regions."""
    path = folder / "task_wf" / "contrasts" / "run_contrasts.tsv"
    table = read_table(path, text_columns=["contrast", "region"])
    design = read_table(folder / "task_wf" / "design" / "design.tsv")
    left = degrees_of_freedom(design.to_numpy())
    t = table["effect"] / np.sqrt(table["variance"])
    table = table.assign(z=stats.norm.isf(stats.t.sf(t, left))).dropna(subset="z")
    seen = table[table["contrast"] == "stimulation"].set_index("region")["z"]
    places = table[table["contrast"] == "places"].set_index("region")["z"]
    visual, scenes = seen.index.str.endswith(VISUAL), places.index.str.endswith(PLACES)
    cortex = seen.index.str.contains("lateraloccipital|fusiform")
    return {
        "visual_mean_z": seen[visual].mean(),
        "visual_least_z": seen[cortex].min(),
        "other_mean_z": seen[~visual].mean(),
        "visual_rank": float(seen.drop(seen.index[cortex]).max() < seen[cortex].min()),
        "parahippocampal_places_mean_z": places[scenes].mean(),
        "other_places_mean_z": places[~scenes].mean(),
    }


def cpu_s() -> float:
    """Processor seconds of this process and of the engines it ended."""
    usage = (resource.getrusage(kind) for kind in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(part.ru_utime + part.ru_stime for part in usage)


def task_cpu_s(workflow: Workflow) -> float:
    """Processor seconds of the model alone, all that went before being there already."""
    shutil.rmtree(Path(workflow.base_dir) / workflow.name / "task_wf")
    start = cpu_s()
    workflow.run()
    return cpu_s() - start


def judged(figures: dict[str, float]) -> dict[str, dict[str, object]]:
    """Figures with their targets, where they have any."""
    rows: dict[str, dict[str, object]] = {}
    for name, value in figures.items():
        rows[name] = {"value": round(float(value), 4)}
        if name in TARGETS:
            low, high = TARGETS[name]
            rows[name] |= {"target": f"{low:g} to {high:g}", "ok": bool(low <= value <= high)}
    return rows


def main() -> int:
    """Simulate, run the real data, print figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data_dir", type=Path)
    parser.add_argument("output_dir", type=Path)
    parser.add_argument("--anatomy", type=Path)
    options = parser.parse_args()
    data_dir = options.data_dir.resolve() / "studyforrest_sub02"
    output_dir = options.output_dir.resolve()
    anatomy = (options.anatomy or output_dir / "anatomy").resolve()
    rng = np.random.default_rng(5)
    figures = simulated(rng)
    if not all((anatomy / field).is_dir() for field in TEMPLATE):
        make_anatomy(data_dir / "anat" / "sub-02_desc-1mm_T1w.nii.gz", anatomy)
    workflow = real_run_wf(data_dir, anatomy, output_dir)
    start = cpu_s()
    workflow.run()
    figures["whole_run_cpu_s"] = cpu_s() - start
    figures["model_cpu_s"] = task_cpu_s(workflow)
    folder = output_dir / workflow.name
    figures |= real_figures(folder)
    means = read_table(folder / "regions" / "means.tsv")
    design = read_table(folder / "task_wf" / "design" / "design.tsv")
    figures |= real_false_alarms(means, design, rng)
    for name in ("design", "contrast"):
        picture = next((folder / "task_wf" / f"{name}_figure").glob("*.png"))
        shutil.copyfile(picture, output_dir / picture.name)
    print(json.dumps({"figures": judged(figures)}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
