"""One BOLD run: motion, registration to the template, confounds, connectivity."""

from __future__ import annotations

from nipype import Node, Workflow
from nipype.interfaces.utility import IdentityInterface

from bids_utils.plan import BoldRun
from configs.settings import FuncSettings, Settings
from workflows.interfaces.bold_quality import BoldQuality
from workflows.interfaces.bold_series import BoldReference, CheckBold, HeadMotion, Realign
from workflows.interfaces.bold_space import (
    AlignBoundary,
    AlignBrains,
    BoldMask,
    CarryLabels,
    CheckSides,
)
from workflows.interfaces.carpet import Carpet
from workflows.interfaces.confounds import GatherConfounds
from workflows.interfaces.connectivity import CleanSeries, ConnectSession, RegionSeries
from workflows.interfaces.local_activity import LocalActivity
from workflows.interfaces.save import Output

TEMPLATE_FIELDS = [
    "template_file",
    "template_mask_file",
    "template_dseg_file",
    "mni2template_xfm",
    "atlas_file",
]
SERIES_GB = 1.0


def init_realign_wf(run: BoldRun, name: str = "realign_wf") -> Workflow:
    """Check a BOLD series, estimate head motion and resample it once.

    Inputs: bold_file.
    Outputs: preproc_bold_file, parameters_file, boldref_file, head_mask_file, brain_file,
    n_dummy (volumes before the steady state), slice_moment_s (None: slices not corrected).
    """
    inputnode = Node(IdentityInterface(["bold_file"]), "inputnode")
    outputnode = Node(
        IdentityInterface(
            [
                "preproc_bold_file",
                "parameters_file",
                "boldref_file",
                "head_mask_file",
                "brain_file",
                "n_dummy",
                "slice_moment_s",
            ]
        ),
        "outputnode",
    )
    check = Node(CheckBold(), "check", mem_gb=SERIES_GB)
    motion = Node(HeadMotion(), "motion", mem_gb=SERIES_GB)
    tr_s = run.repetition_time_s
    timing = {"slice_times_s": list(run.slice_times_s), "slice_axis": run.slice_axis}
    realign = Node(Realign(repetition_time_s=tr_s, **timing), "realign", mem_gb=SERIES_GB)
    reference = Node(BoldReference(), "reference", mem_gb=SERIES_GB)
    workflow = Workflow(name)
    workflow.connect(
        [
            (inputnode, check, [("bold_file", "in_file")]),
            (check, motion, [("out_file", "in_file"), ("n_dummy",) * 2]),
            (check, realign, [("out_file", "in_file"), ("n_dummy",) * 2]),
            (check, reference, [("n_dummy",) * 2]),
            (check, outputnode, [("n_dummy",) * 2]),
            (motion, realign, [("poses_file", "poses_file")]),
            (motion, outputnode, [("parameters_file", "parameters_file")]),
            (realign, reference, [("out_file", "in_file")]),
            (realign, outputnode, [("out_file", "preproc_bold_file"), ("slice_moment_s",) * 2]),
            (
                reference,
                outputnode,
                [(field, field) for field in ("boldref_file", "head_mask_file", "brain_file")],
            ),
        ]
    )
    return workflow


def init_bold_space_wf(settings: FuncSettings, name: str = "bold_space_wf") -> Workflow:
    """Register a BOLD reference to the template and carry mask, tissues and atlas back.

    Inputs: bold_file (for messages), boldref_file, head_mask_file, brain_file, template_file,
    template_mask_file, template_dseg_file, mni2template_xfm, atlas_file; session2template_xfm
    (optional: where the T1w image of the session lies in the template).
    Outputs: bold_mask_file, bold_dseg_file, bold_atlas_file, whole_atlas_file,
    bold2template_xfm, registration_dice, boundary_cost, registration_kind, flip_cost_ratio.
    """
    given = ["bold_file", "boldref_file", "head_mask_file", "brain_file", "session2template_xfm"]
    inputnode = Node(IdentityInterface([*given, *TEMPLATE_FIELDS]), "inputnode")
    outputs = {
        "bold_mask": (("mask_file", "bold_mask_file"), ("registration_dice",) * 2),
        "labels": (
            ("dseg_file", "bold_dseg_file"),
            ("atlas_file", "bold_atlas_file"),
            ("whole_atlas_file",) * 2,
        ),
        "boundary": tuple(
            (field,) * 2 for field in ("bold2template_xfm", "boundary_cost", "registration_kind")
        ),
        "sides": (("flip_cost_ratio",) * 2,),
    }
    fields = [field for pairs in outputs.values() for _, field in pairs]
    outputnode = Node(IdentityInterface(fields), "outputnode")
    brains = Node(AlignBrains(), "brains")
    boundary = Node(AlignBoundary(), "boundary")
    sides = Node(CheckSides(), "sides")
    labels = Node(CarryLabels(), "labels")
    bold_mask = Node(BoldMask(min_dice=settings.min_registration_dice), "bold_mask")
    seen = ["boldref_file", "template_dseg_file"]
    edge_fields = [*seen, "head_mask_file", "template_mask_file", "session2template_xfm"]
    label_fields = [*seen, "template_mask_file", "atlas_file", "mni2template_xfm"]
    workflow = Workflow(name)
    workflow.connect(
        [
            (inputnode, brains, _same("brain_file", "template_file")),
            (inputnode, boundary, _same(*edge_fields)),
            (brains, boundary, _same("template2bold_xfms")),
            (inputnode, sides, _same(*seen, "brain_file", "template_file")),
            (boundary, sides, _same("boundary_cost")),
            (inputnode, labels, _same(*label_fields)),
            (boundary, labels, _same("template2bold_xfm")),
            (inputnode, bold_mask, [("bold_file", "source_file"), *_same("head_mask_file")]),
            (labels, bold_mask, _same("brain_mask_file")),
            (bold_mask, outputnode, list(outputs["bold_mask"])),
            (labels, outputnode, list(outputs["labels"])),
            (boundary, outputnode, list(outputs["boundary"])),
            (sides, outputnode, list(outputs["sides"])),
        ]
    )
    return workflow


def init_connectivity_wf(
    run: BoldRun, settings: FuncSettings, name: str = "connectivity_wf"
) -> Workflow:
    """Confounds, regional series, connectivity and quality of a realigned run.

    Inputs: preproc_bold_file, parameters_file, n_dummy, bold_mask_file, bold_dseg_file,
    bold_atlas_file, whole_atlas_file, atlas_labels_file, and REGISTRATION_FIELDS.
    Outputs: the tables of `init_bold_wf`, and carpet_file.
    """
    inputnode = Node(IdentityInterface(CONNECTIVITY_INPUTS), "inputnode")
    outputnode = Node(IdentityInterface(TABLE_FIELDS), "outputnode")
    denoising = _denoising(run, settings)
    told = {name: denoising[name] for name in CONFOUND_OPTIONS}
    confounds = Node(GatherConfounds(**told), "confounds", mem_gb=SERIES_GB)
    clean = Node(CleanSeries(censored=settings.censored, **denoising), "clean")
    covered = {"min_coverage": settings.min_coverage}
    regions = Node(RegionSeries(**covered), "regions", mem_gb=SERIES_GB)
    local = Node(LocalActivity(**covered, **denoising), "local", mem_gb=SERIES_GB)
    connect = Node(ConnectSession(min_clean_minutes=settings.min_clean_minutes), "connect")
    quality = Node(BoldQuality(repetition_time_s=run.repetition_time_s), "quality")
    carpet = Node(Carpet(**denoising), "carpet", mem_gb=SERIES_GB)
    users = (clean, local, quality, carpet)
    series = [("preproc_bold_file", "in_file"), ("bold_mask_file", "mask_file")]
    tissues = ("bold_dseg_file", "dseg_file")
    atlas = [("bold_atlas_file", "atlas_file"), *_same("whole_atlas_file", "atlas_labels_file")]
    workflow = Workflow(name)
    workflow.connect(
        [
            (inputnode, confounds, [*series, tissues, *_same("parameters_file", "n_dummy")]),
            (inputnode, regions, [*series, *atlas]),
            (inputnode, carpet, [*series, tissues]),
            (inputnode, quality, _same("n_dummy", *REGISTRATION_FIELDS)),
            *((confounds, user, _same("confounds_file")) for user in users),
            (inputnode, local, [*series, atlas[0]]),
            (regions, local, _same("coverage_file")),
            (regions, clean, _same("means_file")),
            (regions, quality, _same("tsnr", "coverage_mean")),
            (clean, quality, _same("facts")),
            (
                clean,
                connect,
                [("clean_file", "clean_files"), ("timeseries_json", "timeseries_jsons")],
            ),
            (confounds, outputnode, _same("confounds_file", "confounds_json")),
            (local, outputnode, _same("local_file", "local_json")),
            (clean, outputnode, _same("timeseries_file", "timeseries_json")),
            (connect, outputnode, _same(*CONNECT_FIELDS)),
            (quality, outputnode, _same("bold_qc_file", "bold_qc_json")),
            (carpet, outputnode, _same("carpet_file")),
        ]
    )
    return workflow


def _denoising(run: BoldRun, settings: FuncSettings) -> dict[str, str | float | None]:
    """What nodes that clean a run are told."""
    return {
        "repetition_time_s": run.repetition_time_s,
        "strategy": settings.strategy,
        "high_pass_hz": settings.high_pass_hz,
        "low_pass_hz": settings.low_pass_hz,
        "fd_threshold_mm": settings.fd_threshold_mm,
        "std_dvars_threshold": settings.std_dvars_threshold,
    }


def init_bold_wf(run: BoldRun, settings: Settings, name: str = "bold_wf") -> Workflow:
    """One BOLD run from the raw series to connectivity.

    Inputs: bold_file, template_file (skull-stripped T1w), template_mask_file,
    template_dseg_file, mni2template_xfm, atlas_file (labels in standard space),
    atlas_labels_file.
    Outputs: preproc_bold_file (realigned, not saved), carpet_file, and every field of
    `BOLD_OUTPUTS`.
    """
    inputnode = Node(
        IdentityInterface(["bold_file", *TEMPLATE_FIELDS, "atlas_labels_file"]), "inputnode"
    )
    image_fields = ["boldref_file", "preproc_bold_file"]
    space_fields = ["bold_mask_file", "bold_dseg_file", "bold_atlas_file", "bold2template_xfm"]
    outputnode = Node(
        IdentityInterface([*image_fields, *space_fields, *TABLE_FIELDS]), "outputnode"
    )
    inputnode.inputs.bold_file = str(run.file)
    realign = init_realign_wf(run)
    space = init_bold_space_wf(settings.func)
    connectivity = init_connectivity_wf(run, settings.func)
    workflow = Workflow(name)
    workflow.connect(
        [
            (inputnode, realign, [("bold_file", "inputnode.bold_file")]),
            (inputnode, space, _into("bold_file", *TEMPLATE_FIELDS)),
            (realign, space, _through("boldref_file", "head_mask_file", "brain_file")),
            (inputnode, connectivity, _into("atlas_labels_file")),
            (realign, connectivity, _through("preproc_bold_file", "parameters_file", "n_dummy")),
            (space, connectivity, _through(*SPACE_TO_CONNECTIVITY)),
            (realign, outputnode, _out_of(*image_fields)),
            (space, outputnode, _out_of(*space_fields)),
            (connectivity, outputnode, _out_of(*TABLE_FIELDS)),
        ]
    )
    return workflow


CONFOUND_OPTIONS = [
    "repetition_time_s",
    "high_pass_hz",
    "fd_threshold_mm",
    "std_dvars_threshold",
]
REGISTRATION_FIELDS = [
    "registration_dice",
    "boundary_cost",
    "registration_kind",
    "flip_cost_ratio",
]
SPACE_TO_CONNECTIVITY = [
    "bold_mask_file",
    "bold_dseg_file",
    "bold_atlas_file",
    "whole_atlas_file",
    *REGISTRATION_FIELDS,
]
CONNECTIVITY_INPUTS = [
    "preproc_bold_file",
    "parameters_file",
    "n_dummy",
    "atlas_labels_file",
    *SPACE_TO_CONNECTIVITY,
]
CONNECT_FIELDS = ["relmat_file", "relmat_json", "partial_file", "partial_json"]
TABLE_FIELDS = [
    "confounds_file",
    "confounds_json",
    "local_file",
    "local_json",
    "timeseries_file",
    "timeseries_json",
    *CONNECT_FIELDS,
    "bold_qc_file",
    "bold_qc_json",
    "carpet_file",
]


def _same(*fields: str) -> list[tuple[str, str]]:
    return [(field, field) for field in fields]


def _into(*fields: str) -> list[tuple[str, str]]:
    return [(field, f"inputnode.{field}") for field in fields]


def _through(*fields: str) -> list[tuple[str, str]]:
    return [(f"outputnode.{field}", f"inputnode.{field}") for field in fields]


def _out_of(*fields: str) -> list[tuple[str, str]]:
    return [(f"outputnode.{field}", field) for field in fields]


ATLAS = "{atlas}"
CONFOUNDS = (("desc", "confounds"),)
MEANS = (("atlas", ATLAS), ("stat", "mean"))
CORRELATIONS = (("atlas", ATLAS), ("stat", "pearsoncorrelation"))
PARTIAL = (("atlas", ATLAS), ("stat", "partialcorrelation"))
LOCAL = (("atlas", ATLAS), ("desc", "local"))
QUALITY = (("desc", "qc"),)
BRAIN = (("desc", "brain"),)
TO_TEMPLATE = (("from", "boldref"), ("to", "T1w"), ("mode", "image"))

BOLD_OUTPUTS = (
    Output("confounds_file", "timeseries", ".tsv", "func", CONFOUNDS, "run"),
    Output("confounds_json", "timeseries", ".json", "func", CONFOUNDS, "run"),
    Output("timeseries_file", "timeseries", ".tsv", "func", MEANS, "run"),
    Output("timeseries_json", "timeseries", ".json", "func", MEANS, "run"),
    Output("relmat_file", "relmat", ".tsv", "func", CORRELATIONS, "run"),
    Output("relmat_json", "relmat", ".json", "func", CORRELATIONS, "run"),
    Output("partial_file", "relmat", ".tsv", "func", PARTIAL, "run"),
    Output("partial_json", "relmat", ".json", "func", PARTIAL, "run"),
    Output("local_file", "bold", ".tsv", "func", LOCAL, "run"),
    Output("local_json", "bold", ".json", "func", LOCAL, "run"),
    Output("bold_qc_file", "bold", ".tsv", "func", QUALITY, "run"),
    Output("bold_qc_json", "bold", ".json", "func", QUALITY, "run"),
    Output(
        "boldref_file",
        "boldref",
        ".nii.gz",
        "func",
        scope="run",
        description="Median over time of the realigned series",
        metadata=(("SkullStripped", False),),
    ),
    Output(
        "bold_mask_file",
        "mask",
        ".nii.gz",
        "func",
        BRAIN,
        "run",
        "Voxels of the T1w brain mask that have BOLD signal",
        metadata=(("Type", "Brain"),),
    ),
    Output("bold2template_xfm", "xfm", ".mat", "func", TO_TEMPLATE, "run"),
)
"""Files of a run that are saved; `ATLAS` stands for the name of the atlas."""
