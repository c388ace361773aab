"""One raw BOLD run: motion, registration to the template, confounds, series of regions."""

from __future__ import annotations

from nipype import Node, Workflow
from nipype.interfaces.utility import IdentityInterface

from bids_utils.plan import BoldRun
from configs.settings import FuncSettings, Settings
from workflows.interfaces.bold_series import BoldReference, CheckBold, HeadMotion, Realign
from workflows.interfaces.bold_space import (
    AlignBoundary,
    AlignBrains,
    BoldMask,
    CarryLabels,
    CheckSides,
)
from workflows.interfaces.confounds import GatherConfounds
from workflows.interfaces.save import Output
from workflows.series import (
    FOR_LATER,
    REGISTRATION_FIELDS,
    SERIES_GB,
    SERIES_TABLES,
    TABLE_OUTPUTS,
    denoising_options,
    init_series_wf,
    same,
)

TEMPLATE_FIELDS = [
    "template_file",
    "template_mask_file",
    "template_dseg_file",
    "mni2template_xfm",
    "atlas_file",
]


def init_realign_wf(run: BoldRun, name: str = "realign_wf") -> Workflow:
    """Check a BOLD series, estimate head motion and resample it once.

    Inputs: bold_file.
    Outputs: preproc_bold_file, parameters_file, poses_file, boldref_file, head_mask_file,
    brain_file, n_dummy (volumes before the steady state), slice_moment_s (None: slices not
    corrected).
    """
    inputnode = Node(IdentityInterface(["bold_file"]), "inputnode")
    outputnode = Node(
        IdentityInterface(
            [
                "preproc_bold_file",
                "parameters_file",
                "poses_file",
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
            (motion, outputnode, same("parameters_file", "poses_file")),
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
            (inputnode, brains, same("brain_file", "template_file")),
            (inputnode, boundary, same(*edge_fields)),
            (brains, boundary, same("template2bold_xfms")),
            (inputnode, sides, same(*seen, "brain_file", "template_file")),
            (boundary, sides, same("boundary_cost")),
            (inputnode, labels, same(*label_fields)),
            (boundary, labels, same("template2bold_xfm")),
            (inputnode, bold_mask, [("bold_file", "source_file"), *same("head_mask_file")]),
            (labels, bold_mask, same("brain_mask_file")),
            (bold_mask, outputnode, list(outputs["bold_mask"])),
            (labels, outputnode, list(outputs["labels"])),
            (boundary, outputnode, list(outputs["boundary"])),
            (sides, outputnode, list(outputs["sides"])),
        ]
    )
    return workflow


def init_bold_wf(run: BoldRun, settings: Settings, name: str = "bold_wf") -> Workflow:
    """One BOLD run from the raw series to denoised series of regions.

    Inputs: bold_file, template_file (skull-stripped T1w), template_mask_file,
    template_dseg_file, mni2template_xfm, atlas_file (labels in standard space),
    atlas_labels_file; session2template_xfm (optional).
    Outputs: the fields of `BOLD_FIELDS`.
    """
    given = ["bold_file", *TEMPLATE_FIELDS, "session2template_xfm"]
    inputnode = Node(IdentityInterface([*given, "atlas_labels_file"]), "inputnode")
    outputnode = Node(IdentityInterface(BOLD_FIELDS), "outputnode")
    inputnode.inputs.bold_file = str(run.file)
    realign = init_realign_wf(run)
    space = init_bold_space_wf(settings.func)
    options = denoising_options(run, settings.func)
    told = {option: options[option] for option in CONFOUND_OPTIONS}
    confounds = Node(GatherConfounds(**told), "confounds", mem_gb=SERIES_GB)
    series = init_series_wf(run, settings.func)
    masks = [("mask_file", "bold_mask_file"), ("dseg_file", "bold_dseg_file")]
    workflow = Workflow(name)
    workflow.connect(
        [
            (inputnode, realign, [("bold_file", "inputnode.bold_file")]),
            (inputnode, space, _into(*given)),
            (inputnode, series, _into("atlas_labels_file")),
            (realign, space, _through("boldref_file", "head_mask_file", "brain_file")),
            (realign, confounds, [("outputnode.preproc_bold_file", "in_file")]),
            (realign, confounds, _out_of("parameters_file", "poses_file", "n_dummy")),
            (space, confounds, [(f"outputnode.{one}", other) for other, one in masks]),
            (realign, series, _through("preproc_bold_file", "n_dummy", "slice_moment_s")),
            (space, series, _through(*SPACE_TO_SERIES)),
            (confounds, series, _into("confounds_file")),
            (realign, outputnode, _out_of("boldref_file", "preproc_bold_file", "slice_moment_s")),
            (space, outputnode, _out_of(*SPACE_FIELDS)),
            (confounds, outputnode, same("confounds_file", "confounds_json")),
            (series, outputnode, _out_of(*SERIES_TABLES, *FOR_LATER)),
        ]
    )
    return workflow


CONFOUND_OPTIONS = ["repetition_time_s", "fd_threshold_mm", "std_dvars_threshold"]
SPACE_TO_SERIES = [
    "bold_mask_file",
    "bold_dseg_file",
    "bold_atlas_file",
    "whole_atlas_file",
    *REGISTRATION_FIELDS,
]
SPACE_FIELDS = ["bold_mask_file", "bold_dseg_file", "bold_atlas_file", "bold2template_xfm"]
BOLD_FIELDS = ["boldref_file", "preproc_bold_file", "slice_moment_s", *SPACE_FIELDS]
BOLD_FIELDS += ["confounds_file", "confounds_json", *SERIES_TABLES, *FOR_LATER]


def _into(*fields: str) -> list[tuple[str, str]]:
    return [(field, f"inputnode.{field}") for field in fields]


def _through(*fields: str) -> list[tuple[str, str]]:
    return [(f"outputnode.{field}", f"inputnode.{field}") for field in fields]


def _out_of(*fields: str) -> list[tuple[str, str]]:
    return [(f"outputnode.{field}", field) for field in fields]


BRAIN = (("desc", "brain"),)
TO_TEMPLATE = (("from", "boldref"), ("to", "T1w"), ("mode", "image"))

BOLD_OUTPUTS = (
    *TABLE_OUTPUTS,
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
"""Files of a run that are saved."""
