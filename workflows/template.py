"""Within-participant template: sessions meet half-way, each is interpolated once."""

from __future__ import annotations

from nipype.interfaces.utility import IdentityInterface
from nipype.pipeline.engine import MapNode, Node, Workflow

from configs.settings import AnatSettings
from workflows.interfaces.anat import (
    BiasCorrection,
    BrainMask,
    CheckSessions,
    Conform,
    MeanSpace,
    RefineMask,
    SessionPairs,
    Template,
    ToTemplate,
)
from workflows.interfaces.registration import Coarser, GreedyAffine, MniReference

COARSE_MNI_MM = 4.0


def init_sessions_wf(settings: AnatSettings, name: str = "sessions_wf") -> Workflow:
    """Check, bias-correct and mask the T1-weighted image of each session, all alike.

    inputnode: `t1w_files`. outputnode: `session_files` (checked, RAS), `head_files`
    (bias-corrected, cropped around the brain) and `mask_files` on the same grids as these, all
    in the order of `t1w_files`; `extracted`, true if all of them are brains without skull.
    """
    workflow = Workflow(name)
    inputnode = Node(IdentityInterface(["t1w_files"]), "inputnode")
    fields = ["session_files", "head_files", "mask_files", "extracted"]
    outputnode = Node(IdentityInterface(fields), "outputnode")
    conform = MapNode(Conform(), ["in_file"], name="conform", mem_gb=0.6)
    rough_mask = MapNode(
        BrainMask(fractional_threshold=0.5),
        ["in_file", "source_file", "extracted"],
        name="rough_mask",
        mem_gb=1.0,
    )
    n4 = MapNode(
        BiasCorrection(resolution_mm=settings.n4_resolution_mm),
        ["in_file", "mask_file"],
        name="n4",
        mem_gb=1.5,
    )
    mask = MapNode(
        BrainMask(fractional_threshold=0.45),
        ["in_file", "rough_mask_file", "source_file", "extracted"],
        name="mask",
        mem_gb=1.0,
    )
    check = Node(CheckSessions(), "check")
    flags = [("extracted", "extracted")]
    workflow.connect(
        [
            (inputnode, conform, [("t1w_files", "in_file")]),
            (conform, rough_mask, [("out_file", "in_file"), *flags]),
            (inputnode, rough_mask, [("t1w_files", "source_file")]),
            (conform, n4, [("out_file", "in_file")]),
            (rough_mask, n4, [("mask_file", "mask_file")]),
            (n4, mask, [("out_file", "in_file")]),
            (rough_mask, mask, [("mask_file", "rough_mask_file")]),
            (conform, outputnode, [("out_file", "session_files")]),
            (inputnode, mask, [("t1w_files", "source_file")]),
            (conform, mask, flags),
            (inputnode, check, [("t1w_files", "t1w_files")]),
            (conform, check, flags),
            (mask, check, [("mask_file", "mask_files")]),
            (mask, outputnode, [("out_file", "head_files")]),
            (check, outputnode, [("mask_files", "mask_files"), *flags]),
        ]
    )
    return workflow


def init_pairs_wf(name: str = "pairs_wf") -> Workflow:
    """Rigid registration of each session to each other one, in both directions.

    inputnode: `head_files`, `mask_files`. outputnode: `pair_xfms` (ordered pairs).
    """
    workflow = Workflow(name)
    inputnode = Node(IdentityInterface(["head_files", "mask_files"]), "inputnode")
    outputnode = Node(IdentityInterface(["pair_xfms"]), "outputnode")
    pairs = Node(SessionPairs(), "pairs")
    rigid = MapNode(
        GreedyAffine(dof=6, metric=["NCC", "2x2x2"], iterations="60x40x10"),
        ["fixed_file", "fixed_mask_file", "moving_file", "moving_mask_file"],
        name="rigid",
        mem_gb=1.5,
    )
    moved = [f"{role}{kind}_file" for role in ("fixed", "moving") for kind in ("", "_mask")]
    workflow.connect(
        [
            (inputnode, pairs, [("head_files", "in_files"), ("mask_files", "mask_files")]),
            (pairs, rigid, [(f"{field}s", field) for field in moved]),
            (rigid, outputnode, [("out_xfm", "pair_xfms")]),
        ]
    )
    return workflow


def init_template_wf(
    n_sessions: int, settings: AnatSettings, name: str = "template_wf"
) -> Workflow:
    """Mean of all sessions in the space half-way between them.

    inputnode: `t1w_files`. outputnode, on the grid of the template: `scaled_files` and
    `view_files` (one per session, in the order of `t1w_files`), their `scales`, `head_file`,
    `mask_file`; on the grid of each session: `session_files` (checked), `head_files`,
    `mask_files`; and `session2template_xfms`.
    """
    workflow = Workflow(name)
    inputnode = Node(IdentityInterface(["t1w_files"]), "inputnode")
    made = [(field, field) for field in ("scaled_files", "scales", "head_file")]
    own = ("session_files", "head_files", "mask_files")
    fields = [*own, "view_files", "session2template_xfms", "mask_file"]
    outputnode = Node(IdentityInterface([*fields, *(k for k, _ in made)]), "outputnode")
    sessions_wf = init_sessions_wf(settings)
    mean_space = Node(MeanSpace(resolution_mm=settings.template_resolution_mm), "mean_space")
    to_template = MapNode(
        ToTemplate(), ["in_file", "mask_file", "xfm_file"], name="to_template", mem_gb=1.0
    )
    template = Node(Template(), "template", mem_gb=1.0)
    brain_wf = init_brain_wf(settings)
    if n_sessions > 1:
        pairs_wf = init_pairs_wf()
        masks_and_heads = [
            (f"outputnode.{field}", f"inputnode.{field}") for field in ("head_files", "mask_files")
        ]
        workflow.connect(sessions_wf, masks_and_heads[0][0], pairs_wf, masks_and_heads[0][1])
        workflow.connect(sessions_wf, masks_and_heads[1][0], pairs_wf, masks_and_heads[1][1])
        workflow.connect(pairs_wf, "outputnode.pair_xfms", mean_space, "pair_xfms")
    heads, masks = "outputnode.head_files", "outputnode.mask_files"
    given = [("head_file", "inputnode.head_file"), ("mask_file", "inputnode.mask_file")]
    xfms = "session2template_xfms"
    workflow.connect(
        [
            (inputnode, sessions_wf, [("t1w_files", "inputnode.t1w_files")]),
            (sessions_wf, mean_space, [(masks, "mask_files")]),
            (sessions_wf, to_template, [(heads, "in_file"), (masks, "mask_file")]),
            (mean_space, to_template, [(xfms, "xfm_file"), ("reference_file", "reference_file")]),
            (to_template, template, [("out_file", "in_files"), ("mask_file", "mask_files")]),
            (template, brain_wf, given),
            (sessions_wf, brain_wf, [("outputnode.extracted", "inputnode.extracted")]),
            (brain_wf, outputnode, [("outputnode.mask_file", "mask_file")]),
            (sessions_wf, outputnode, [(f"outputnode.{k}", k) for k in own]),
            (template, outputnode, made),
            (to_template, outputnode, [("view_file", "view_files")]),
            (mean_space, outputnode, [(xfms, xfms)]),
        ]
    )
    return workflow


def init_brain_wf(settings: AnatSettings, name: str = "brain_wf") -> Workflow:
    """Brain mask of the template, kept near the MNI brain; checked for its volume.

    inputnode: `head_file`, `mask_file`; `extracted`: the mask is taken as it is. outputnode:
    `brain_file`, `mask_file`.
    """
    workflow = Workflow(name)
    inputnode = Node(IdentityInterface(["head_file", "mask_file", "extracted"]), "inputnode")
    outputnode = Node(IdentityInterface(["brain_file", "mask_file"]), "outputnode")
    mni = Node(MniReference(resolution_mm=COARSE_MNI_MM), "mni")
    coarse = Node(Coarser(), "coarse", mem_gb=0.6)
    effort = {"metric": ["NCC", "2x2x2"], "iterations": "100x50"}
    affine = Node(GreedyAffine(dof=12, any_pose=True, **effort), "affine")
    refine = Node(
        RefineMask(min_ml=settings.min_brain_ml, max_ml=settings.max_brain_ml), "refine", mem_gb=0.6
    )
    workflow.connect(
        [
            (inputnode, coarse, [("head_file", "in_file"), ("mask_file", "mask_file")]),
            (mni, coarse, [("template_file", "like_file")]),
            (mni, affine, [("template_file", "fixed_file")]),
            (coarse, affine, [("out_file", "moving_file")]),
            (inputnode, refine, [("head_file",) * 2, ("mask_file",) * 2, ("extracted",) * 2]),
            (mni, refine, [("distance_file",) * 2]),
            (affine, refine, [("out_xfm", "xfm_file")]),
            (refine, outputnode, [("brain_file",) * 2, ("mask_file",) * 2]),
        ]
    )
    return workflow
