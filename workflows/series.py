"""From a BOLD series in its final place to tables: regions, denoising, quality, connectivity."""

from __future__ import annotations

from nipype import Node, Workflow
from nipype.interfaces.utility import IdentityInterface

from bids_utils.plan import BoldRun
from configs.settings import FuncSettings
from workflows.interfaces.bold_quality import BoldQuality
from workflows.interfaces.carpet import Carpet
from workflows.interfaces.connectivity import CleanSeries, ConnectSession, RegionSeries
from workflows.interfaces.local_activity import LocalActivity
from workflows.interfaces.save import ATLAS, Output

SERIES_GB = 1.0
REGISTRATION_FIELDS = [
    "registration_dice",
    "boundary_cost",
    "registration_kind",
    "flip_cost_ratio",
]
SERIES_INPUTS = [
    "preproc_bold_file",
    "confounds_file",
    "n_dummy",
    "slice_moment_s",
    "bold_mask_file",
    "bold_dseg_file",
    "bold_atlas_file",
    "whole_atlas_file",
    "atlas_labels_file",
    *REGISTRATION_FIELDS,
]
FOR_LATER = ["means_file", "coverage_file", "clean_file", "carpet_file"]
"""Outputs of a run that other steps read and nobody saves."""
SERIES_TABLES = ["timeseries_file", "timeseries_json", "local_file", "local_json"]
SERIES_TABLES += ["bold_qc_file", "bold_qc_json"]
CONNECTIVITY_FIELDS = ["relmat_file", "relmat_json", "partial_file", "partial_json"]
MEANS = (("atlas", ATLAS), ("stat", "mean"))
CORRELATIONS = (("atlas", ATLAS), ("stat", "pearsoncorrelation"))
PARTIAL = (("atlas", ATLAS), ("stat", "partialcorrelation"))
LOCAL = (("atlas", ATLAS), ("desc", "local"))
CONFOUNDS = (("desc", "confounds"),)
QUALITY = (("desc", "qc"),)

TABLE_OUTPUTS = (
    Output("confounds_file", "timeseries", ".tsv", "func", CONFOUNDS, "run"),
    Output("confounds_json", "timeseries", ".json", "func", CONFOUNDS, "run"),
    Output("timeseries_file", "timeseries", ".tsv", "func", MEANS, "run"),
    Output("timeseries_json", "timeseries", ".json", "func", MEANS, "run"),
    Output("local_file", "bold", ".tsv", "func", LOCAL, "run"),
    Output("local_json", "bold", ".json", "func", LOCAL, "run"),
    Output("bold_qc_file", "bold", ".tsv", "func", QUALITY, "run"),
    Output("bold_qc_json", "bold", ".json", "func", QUALITY, "run"),
)
"""Tables of a run that are saved; `ATLAS` stands for the name of the atlas."""
CONNECTIVITY_OUTPUTS = (
    Output("relmat_file", "relmat", ".tsv", "func", CORRELATIONS, "task"),
    Output("relmat_json", "relmat", ".json", "func", CORRELATIONS, "task"),
    Output("partial_file", "relmat", ".tsv", "func", PARTIAL, "task"),
    Output("partial_json", "relmat", ".json", "func", PARTIAL, "task"),
)
"""Tables of all runs of a task in a session."""


def init_series_wf(run: BoldRun, settings: FuncSettings, name: str = "series_wf") -> Workflow:
    """Regional series, denoising, local activity, quality and carpet of a run.

    Inputs: the fields of `SERIES_INPUTS`.
    Outputs: the fields of `SERIES_TABLES` and `FOR_LATER`: means_file (of the regions, not
    cleaned), coverage_file, clean_file (n/a in censored volumes), carpet_file.
    """
    inputnode = Node(IdentityInterface(SERIES_INPUTS), "inputnode")
    outputnode = Node(IdentityInterface([*SERIES_TABLES, *FOR_LATER]), "outputnode")
    denoising = denoising_options(run, settings)
    covered = {"min_coverage": settings.min_coverage}
    clean = Node(CleanSeries(censored=settings.censored, **denoising), "clean")
    regions = Node(RegionSeries(**covered), "regions", mem_gb=SERIES_GB)
    local = Node(LocalActivity(**covered, **denoising), "local", mem_gb=SERIES_GB)
    quality = Node(BoldQuality(repetition_time_s=run.repetition_time_s), "quality")
    carpet = Node(Carpet(**denoising), "carpet", mem_gb=SERIES_GB)
    series = [("preproc_bold_file", "in_file"), ("bold_mask_file", "mask_file")]
    atlas = [("bold_atlas_file", "atlas_file"), *same("whole_atlas_file", "atlas_labels_file")]
    workflow = Workflow(name)
    workflow.connect(
        [
            *((inputnode, node, same("confounds_file")) for node in (clean, local, quality)),
            (inputnode, regions, [*series, *atlas, *same("n_dummy")]),
            (inputnode, local, [*series, atlas[0]]),
            (inputnode, carpet, [*series, ("bold_dseg_file", "dseg_file")]),
            (inputnode, carpet, same("confounds_file")),
            (inputnode, quality, same("n_dummy", *REGISTRATION_FIELDS)),
            (regions, local, same("coverage_file")),
            (inputnode, clean, same("slice_moment_s")),
            (regions, clean, same("means_file")),
            (regions, quality, same("tsnr", "coverage_mean")),
            (regions, outputnode, same("means_file", "coverage_file")),
            (clean, quality, same("facts")),
            (clean, outputnode, same("clean_file", "timeseries_file", "timeseries_json")),
            (local, outputnode, same("local_file", "local_json")),
            (quality, outputnode, same("bold_qc_file", "bold_qc_json")),
            (carpet, outputnode, same("carpet_file")),
        ]
    )
    return workflow


def init_connectivity_wf(settings: FuncSettings, name: str = "connectivity_wf") -> Workflow:
    """Connectivity of a session: all its runs of one task, each cleaned alone, joined.

    Inputs: clean_files, timeseries_jsons (lists, in one order).
    Outputs: the fields of `CONNECTIVITY_FIELDS`.
    """
    inputnode = Node(IdentityInterface(["clean_files", "timeseries_jsons"]), "inputnode")
    outputnode = Node(IdentityInterface(CONNECTIVITY_FIELDS), "outputnode")
    connect = Node(ConnectSession(min_clean_minutes=settings.min_clean_minutes), "connect")
    workflow = Workflow(name)
    workflow.connect(
        [
            (inputnode, connect, same("clean_files", "timeseries_jsons")),
            (connect, outputnode, same(*CONNECTIVITY_FIELDS)),
        ]
    )
    return workflow


def denoising_options(run: BoldRun, settings: FuncSettings) -> dict[str, str | float | None]:
    """What nodes that clean a run are told."""
    return {
        "repetition_time_s": run.repetition_time_s,
        "strategy": settings.strategy,
        "high_pass_hz": settings.high_pass_hz,
        "low_pass_hz": settings.low_pass_hz,
        "fd_threshold_mm": settings.fd_threshold_mm,
        "std_dvars_threshold": settings.std_dvars_threshold,
    }


def same(*fields: str) -> list[tuple[str, str]]:
    """Fields that are connected to fields of the same name."""
    return [(field, field) for field in fields]
