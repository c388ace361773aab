"""Task BOLD: the model of each run, and the mean of the runs of a session."""

from __future__ import annotations

from dataclasses import replace

from nipype import Node, Workflow
from nipype.interfaces.utility import IdentityInterface

from bids_utils.errors import SettingsError
from bids_utils.plan import BoldRun
from bids_utils.stats_model import StatsModel, contrast_from_formula, read_stats_model
from configs.settings import FuncSettings, TaskSettings
from workflows.interfaces.save import ATLAS, Output
from workflows.interfaces.task import (
    ContrastFigure,
    ContrastMaps,
    DesignFigure,
    FitContrasts,
    FixedEffects,
    TaskDesign,
)

MAP_GB = 2.0
RUN_INPUTS = ["means_file", "coverage_file", "confounds_file"]
RUN_INPUTS += ["preproc_bold_file", "bold_mask_file", "boldref_file", "slice_moment_s"]
RUN_FIELDS = ["design_file", "design_json", "run_contrasts_file", "run_contrasts_json"]
RUN_FIELDS += ["design_figure", "contrast_figure"]
DESIGN = (("desc", "design"),)
CONTRASTS = (("atlas", ATLAS), ("desc", "contrasts"))

TASK_RUN_OUTPUTS = (
    Output("design_file", "timeseries", ".tsv", "func", DESIGN, "run"),
    Output("design_json", "timeseries", ".json", "func", DESIGN, "run"),
)
TASK_FIGURE_OUTPUTS = (
    Output("design_figure", "bold", ".png", "figures", DESIGN, "run"),
    Output("contrast_figure", "bold", ".png", "figures", (("desc", "contrasts"),), "run"),
)
TASK_SESSION_OUTPUTS = (
    Output("contrasts_file", "bold", ".tsv", "func", CONTRASTS, "session"),
    Output("contrasts_json", "bold", ".json", "func", CONTRASTS, "session"),
)
"""Files that are saved; `ATLAS` stands for the name of the atlas."""


def task_model(task: TaskSettings) -> StatsModel:
    """Contrasts of a task and how it is modelled; every field has a value but `confounds`.

    Raises
    ------
    SettingsError
        There are no contrasts, contrasts and a file at the same time, or one that is wrong.
    DatasetError
        The BIDS Stats Models file cannot be read.
    """
    if bool(task.contrasts) == (task.stats_model is not None):
        raise SettingsError(
            f"func.tasks: task '{task.task}' needs contrasts or a stats_model, one of both"
        )
    if task.stats_model is not None:
        model = read_stats_model(task.stats_model, task.task)
    else:
        formulas = task.contrasts.items()
        model = StatsModel(tuple(contrast_from_formula(name, text) for name, text in formulas))
    return replace(
        model,
        conditions=model.conditions or ("*",),
        hrf=model.hrf or task.hrf,
        high_pass_hz=model.high_pass_hz or task.high_pass_hz,
    )


def init_task_run_wf(
    run: BoldRun, task: TaskSettings, settings: FuncSettings, name: str = "task_run_wf"
) -> Workflow:
    """Model of one task run, which has events, in all regions and voxels.

    Inputs: means_file (mean series of the regions, not cleaned), coverage_file (index, region,
    coverage), confounds_file, preproc_bold_file, bold_mask_file, boldref_file, slice_moment_s
    (None: slices are not at one moment).
    Outputs: design_file, design_json, run_contrasts_file, run_contrasts_json (for
    `init_task_session_wf`), design_figure, contrast_figure.
    """
    inputnode = Node(IdentityInterface(RUN_INPUTS), "inputnode")
    outputnode = Node(IdentityInterface(RUN_FIELDS), "outputnode")
    design = _design_node(run, task, settings)
    contrasts = Node(FitContrasts(ppi_seeds=list(task.ppi_seeds)), "contrasts")
    maps = Node(ContrastMaps(), "maps", mem_gb=MAP_GB)
    design_figure = Node(DesignFigure(), "design_figure")
    contrast_figure = Node(ContrastFigure(), "contrast_figure")
    files = [("design_file", "design_file"), ("design_json", "design_json")]
    series = [("preproc_bold_file", "in_file"), ("bold_mask_file", "mask_file")]
    picture = [("boldref_file", "in_file"), ("bold_mask_file", "mask_file")]
    means = [("means_file", "means_file"), ("coverage_file", "coverage_file")]
    timing = [("confounds_file", "confounds_file"), ("slice_moment_s", "slice_moment_s")]
    fitted = [(field, field) for field in ("run_contrasts_file", "run_contrasts_json")]
    workflow = Workflow(name)
    workflow.connect(
        [
            (inputnode, design, timing),
            (inputnode, contrasts, means),
            (inputnode, maps, series),
            (inputnode, contrast_figure, picture),
            (design, contrasts, files),
            (design, maps, files),
            (design, design_figure, files),
            (design, contrast_figure, files[1:]),
            (maps, contrast_figure, [("z_file", "z_file")]),
            (design, outputnode, files),
            (contrasts, outputnode, fitted),
            (design_figure, outputnode, [("out_file", "design_figure")]),
            (contrast_figure, outputnode, [("out_file", "contrast_figure")]),
        ]
    )
    return workflow


def _design_node(run: BoldRun, task: TaskSettings, settings: FuncSettings) -> Node:
    model = task_model(task)
    design = TaskDesign(
        events_file=str(run.events_file),
        repetition_time_s=run.repetition_time_s,
        hrf=model.hrf,
        high_pass_hz=model.high_pass_hz,
        contrasts={contrast.name: contrast.weights for contrast in model.contrasts},
        conditions=list(model.conditions or ()),
        strategy=task.strategy,
        confounds=list(model.confounds or ()),
        fd_threshold_mm=settings.fd_threshold_mm,
        std_dvars_threshold=settings.std_dvars_threshold,
    )
    return Node(design, "design")


def init_task_session_wf(run_names: tuple[str, ...], name: str = "task_session_wf") -> Workflow:
    """Mean of the runs of one task in one session, weighted by precision.

    Inputs: run_contrasts_files, run_contrasts_jsons (lists, a file per run in the order of
    `run_names`).
    Outputs: contrasts_file, contrasts_json.
    """
    inputnode = Node(IdentityInterface(["run_contrasts_files", "run_contrasts_jsons"]), "inputnode")
    outputnode = Node(IdentityInterface(["contrasts_file", "contrasts_json"]), "outputnode")
    runs = Node(FixedEffects(run_names=list(run_names)), "runs")
    lists = [("run_contrasts_files", "in_files"), ("run_contrasts_jsons", "in_jsons")]
    saved = [("contrasts_file", "contrasts_file"), ("contrasts_json", "contrasts_json")]
    workflow = Workflow(name)
    workflow.connect([(inputnode, runs, lists), (runs, outputnode, saved)])
    return workflow
