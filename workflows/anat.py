"""Anatomy of a participant: template, tissue, MNI, regions, for one or more sessions."""

from __future__ import annotations

from nipype.interfaces.utility import IdentityInterface
from nipype.pipeline.engine import MapNode, Node, Workflow

from configs.settings import AnatSettings, Settings
from workflows.interfaces.anat_columns import (
    ANAT_QC_MEANINGS,
    THICKNESS_MEANINGS,
    TISSUE_MEANINGS,
    VOLUME_MEANINGS,
)
from workflows.interfaces.atlas import AnatQuality, RegionVolumes, SessionView, TemplateAtlas
from workflows.interfaces.deformation import RegionErrors, SessionDeformations
from workflows.interfaces.registration import (
    MNI_SPACE,
    ApplyWarp,
    CheckAgreement,
    Coarser,
    ComposeWarp,
    GreedyAffine,
    GreedyWarp,
    MniReference,
)
from workflows.interfaces.save import ATLAS, Output
from workflows.interfaces.session_order import ArrangeSessions, RestoreOrder
from workflows.interfaces.session_quality import QUALITY_DICTIONARY, SessionQuality
from workflows.interfaces.thickness import RegionThickness, SessionThickness, ThicknessLines
from workflows.interfaces.tissue import (
    SessionNoise,
    SessionTissue,
    TemplateTissue,
    TissueVolumes,
)
from workflows.template import init_template_wf

LABEL_REACH_MM = 3.0
TISSUES = ("gm_file", "wm_file", "csf_file")
TISSUE_FIELDS = (*TISSUES, "dseg_file")
XFMS = "session2template_xfms"
QUALITY_INPUTS = ("session_files", "head_files", "mask_files", XFMS, "head_file", "mask_file")
QUALITY_FIELDS = ("anat_qc_file", "session_quality_files")
TEMPLATE_FIELDS = (
    ("mask_file", "template_mask_file"),
    ("head_file", "template_head_file"),
    ("scaled_files", "session_t1w_files"),
    (XFMS, XFMS),
)
SEGMENTED_FIELDS = ("session_gm_files", "session_dseg_files")
SHARE_FIELDS = ("session_gm_files", "session_tissue_files")
FOLLOWED = ("warped", "jacobian")
NOISE_FIELDS = ("noise", "left_noise", "voxels_per_sample")
DEFORMED_FIELDS = ("warped_files", "jacobian_files", "brain_file", *NOISE_FIELDS)
MNI_FIELDS = ("template2mni_xfm", "mni2template_xfm", "template_mni_file")
REGION_FIELDS = ("template_atlas_file", "morph_files", "tissue_files")
THICKNESS_FIELDS = ("thickness_files", "template_thickness_file")
PREPROC, NIFTI = (("desc", "preproc"),), ".nii.gz"
FROM_T1W = (("from", "T1w"), ("to", MNI_SPACE), ("mode", "image"))
TO_T1W = (("from", MNI_SPACE), ("to", "T1w"), ("mode", "image"))
FROM_SESSION = (("from", "orig"), ("to", "T1w"), ("mode", "image"))
STRIPPED = (("SkullStripped", True),)

ANAT_OUTPUTS = (
    Output(
        "template_file",
        "T1w",
        NIFTI,
        "anat",
        PREPROC,
        description="Mean of all sessions half-way between them, without bias field and skull.",
        metadata=STRIPPED,
    ),
    Output(
        "template_mask_file",
        "mask",
        NIFTI,
        "anat",
        (("desc", "brain"),),
        description="Brain mask of the template.",
        metadata=(("Type", "Brain"),),
    ),
    Output(
        "template_dseg_file",
        "dseg",
        NIFTI,
        "anat",
        description="Tissue of the template: 1 grey matter, 2 white matter, 3 CSF.",
    ),
    *(
        Output(
            f"template_{tissue.lower()}_file",
            "probseg",
            NIFTI,
            "anat",
            (("label", tissue),),
            description=f"Share of {tissue} in each voxel of the template, 0 to 1.",
        )
        for tissue in ("GM", "WM", "CSF")
    ),
    Output(
        "template2mni_xfm",
        "xfm",
        NIFTI,
        "anat",
        FROM_T1W,
        description="Displacement field of greedy: resamples the template to MNI.",
    ),
    Output(
        "mni2template_xfm",
        "xfm",
        NIFTI,
        "anat",
        TO_T1W,
        description="Displacement field of greedy: resamples MNI to the template.",
    ),
    Output(
        "template_atlas_file",
        "dseg",
        NIFTI,
        "anat",
        (("atlas", ATLAS),),
        description="Regions of the atlas on the template, extended to its grey matter.",
    ),
    Output(
        "thickness_files",
        "morph",
        ".tsv",
        "anat",
        (("atlas", ATLAS), ("desc", "thickness")),
        "session",
        "Mean cortical thickness of each region.",
        columns=THICKNESS_MEANINGS,
    ),
    Output(
        "template_thickness_file",
        "thickness",
        NIFTI,
        "anat",
        description="Cortical thickness of the template (mm), for looking.",
    ),
    Output(
        "anat_qc_file",
        "qc",
        ".tsv",
        "anat",
        (("desc", "anat"),),
        description="Whether the anatomy of the participant can be trusted.",
        columns=ANAT_QC_MEANINGS,
    ),
    Output(
        "session_quality_files",
        "T1w",
        ".tsv",
        "anat",
        (("desc", "quality"),),
        "session",
        "Quality of the image.",
        columns=QUALITY_DICTIONARY,
    ),
    Output(
        "jacobian_files",
        "jacobian",
        NIFTI,
        "anat",
        (),
        "session",
        "Volume in the session of each unit of volume of the template.",
    ),
    Output(
        "session_t1w_files",
        "T1w",
        NIFTI,
        "anat",
        PREPROC,
        "session",
        "Session on the grid of the template, without bias field and skull, interpolated once.",
        STRIPPED,
    ),
    Output(
        "session_gm_files",
        "probseg",
        NIFTI,
        "anat",
        (("label", "GM"),),
        "session",
        "Share of grey matter in each voxel, 0 to 1, with the same model for all sessions.",
    ),
    Output(
        "session_dseg_files",
        "dseg",
        NIFTI,
        "anat",
        (),
        "session",
        "Tissue of the session: 1 grey matter, 2 white matter, 3 CSF.",
    ),
    Output(
        "session2template_xfms",
        "xfm",
        ".mat",
        "anat",
        FROM_SESSION,
        "session",
        "4x4 matrix, mm, RAS+: maps points of the template to points of the session.",
    ),
    Output(
        "morph_files",
        "morph",
        ".tsv",
        "anat",
        (("atlas", ATLAS), ("desc", "volume")),
        "session",
        "Size of each region.",
        columns=VOLUME_MEANINGS,
    ),
    Output(
        "tissue_files",
        "morph",
        ".tsv",
        "anat",
        (("desc", "tissue"),),
        "session",
        "Volumes of the tissues.",
        columns=TISSUE_MEANINGS,
    ),
)


def init_tissue_wf(name: str = "tissue_wf") -> Workflow:
    """Tissue of the template, and of each session with the model of the template.

    inputnode: `warped_files`, `brain_file`, `mask_file`, `gm_prior_file`, `wm_prior_file`.
    outputnode: `session_gm_files`, `session_tissue_files` (grey and white),
    `session_dseg_files` in the order of `warped_files`;
    `gm_file`, `wm_file`, `csf_file`, `dseg_file`, `classes_file` of the template;
    `tissue_noise`.
    """
    workflow = Workflow(name)
    priors = ["gm_prior_file", "wm_prior_file"]
    given = ["warped_files", "brain_file", "mask_file", *priors]
    inputnode = Node(IdentityInterface(given), "inputnode")
    fields = [*TISSUE_FIELDS, *SEGMENTED_FIELDS, "session_tissue_files", "tissue_noise"]
    outputnode = Node(IdentityInterface([*fields, "classes_file"]), "outputnode")
    template = Node(TemplateTissue(), "template", mem_gb=1.5)
    noise = Node(SessionNoise(), "noise", mem_gb=1.5)
    tissue = MapNode(SessionTissue(), ["in_file"], name="tissue", mem_gb=2.0)
    reference = [("brain_file", "template_file"), ("mask_file", "mask_file")]
    workflow.connect(
        [
            (inputnode, template, [("brain_file", "in_file"), ("mask_file", "mask_file")]),
            (inputnode, template, [(field, field) for field in priors]),
            (inputnode, noise, [("warped_files", "in_files"), ("brain_file", "template_file")]),
            (template, noise, [("classes_file", "classes_file")]),
            (inputnode, tissue, [("warped_files", "in_file"), *reference]),
            (template, tissue, [("classes_file", "classes_file")]),
            (noise, tissue, [("noise", "noise")]),
            (template, outputnode, [(field, field) for field in TISSUE_FIELDS]),
            (template, outputnode, [("classes_file", "classes_file")]),
            (noise, outputnode, [("noise", "tissue_noise")]),
            (tissue, outputnode, [("gm_file", "session_gm_files")]),
            (tissue, outputnode, [("dseg_file", "session_dseg_files")]),
            (tissue, outputnode, [("tissue_file", "session_tissue_files")]),
        ]
    )
    return workflow


def init_mni_wf(settings: AnatSettings, name: str = "mni_wf") -> Workflow:
    """Registration of the template to MNI152NLin2009aSym, both ways, checked for its agreement.

    inputnode: `brain_file`, `mask_file`. outputnode: `template2mni_xfm`, `mni2template_xfm`,
    `template_mni_file`; `gm_prior_file`, `wm_prior_file`, `ventricles_prior_file` (MNI on the
    template); `agreement`.
    """
    workflow = Workflow(name)
    inputnode = Node(IdentityInterface(["brain_file", "mask_file"]), "inputnode")
    fields = ["template2mni_xfm", "mni2template_xfm", "template_mni_file", "agreement"]
    priors = ["gm_prior_file", "wm_prior_file", "ventricles_prior_file"]
    outputnode = Node(IdentityInterface([*fields, *priors]), "outputnode")
    mni = Node(MniReference(resolution_mm=settings.mni_resolution_mm), "mni")
    coarse = Node(Coarser(), "coarse", mem_gb=0.6)
    effort = {"metric": ["NMI"], "iterations": "100x50x10"}
    affine = Node(GreedyAffine(dof=12, any_pose=True, **effort), "affine")
    warp = Node(GreedyWarp(iterations="100x50x20"), "warp", mem_gb=1.0)
    to_mni = Node(ComposeWarp(inverse=False), "to_mni")
    from_mni = Node(ComposeWarp(inverse=True), "from_mni", mem_gb=1.0)
    template_mni = Node(ApplyWarp(interpolation="LINEAR"), "template_mni")
    gm_prior = Node(ApplyWarp(interpolation="LINEAR"), "gm_prior")
    wm_prior = Node(ApplyWarp(interpolation="LINEAR"), "wm_prior")
    ventricles = Node(ApplyWarp(interpolation="LINEAR"), "ventricles")
    check = Node(CheckAgreement(min_agreement=settings.min_mni_agreement), "check")
    images = [("brain_file", "brain_file"), ("mask_file", "mask_file")]
    workflow.connect(
        [
            (inputnode, mni, [("brain_file", "like_file")]),
            (inputnode, coarse, [("brain_file", "in_file")]),
            (mni, coarse, [("template_file", "like_file")]),
            (mni, affine, [("template_file", "fixed_file")]),
            (coarse, affine, [("out_file", "moving_file")]),
            (mni, warp, [("template_file", "fixed_file")]),
            (coarse, warp, [("out_file", "moving_file")]),
            (affine, warp, [("out_xfm", "affine_file")]),
            (affine, to_mni, [("out_xfm", "affine_file")]),
            (warp, to_mni, [("warp_file", "warp_file")]),
            (mni, to_mni, [("template_file", "reference_file")]),
            (affine, from_mni, [("out_xfm", "affine_file")]),
            (warp, from_mni, [("inverse_warp_file", "warp_file")]),
            (inputnode, from_mni, [("brain_file", "reference_file")]),
            (coarse, template_mni, [("out_file", "in_file")]),
            (to_mni, template_mni, [("out_xfm", "xfm_files")]),
            (mni, template_mni, [("template_file", "reference_file")]),
            (inputnode, check, images),
            (gm_prior, check, [("out_file", "gm_prior_file")]),
            (wm_prior, check, [("out_file", "wm_prior_file")]),
            (to_mni, outputnode, [("out_xfm", "template2mni_xfm")]),
            (from_mni, outputnode, [("out_xfm", "mni2template_xfm")]),
            (template_mni, outputnode, [("out_file", "template_mni_file")]),
            (check, outputnode, [("agreement", "agreement")]),
        ]
    )
    for tissue, node in (("gm", gm_prior), ("wm", wm_prior), ("ventricles", ventricles)):
        workflow.connect(mni, f"{tissue}_file", node, "in_file")
        workflow.connect(from_mni, "out_xfm", node, "xfm_files")
        workflow.connect(inputnode, "brain_file", node, "reference_file")
        workflow.connect(node, "out_file", outputnode, f"{tissue}_prior_file")
    return workflow


def init_regions_wf(settings: AnatSettings, name: str = "regions_wf") -> Workflow:
    """Volume and deformation of each region, and of all tissues, in each session.

    inputnode: `brain_file`, `gm_file`, `wm_file`, `csf_file`, `mask_file`, `mni2template_xfm`,
    `template2mni_xfm`, `ventricles_prior_file` of the template; `warped_files`, `jacobian_files`,
    `session_gm_files`, `session_tissue_files`, `view_files`, their `NOISE_FIELDS`;
    `atlas_file` (MNI), `atlas_labels_file`. outputnode: `template_atlas_file`; `seen_files`,
    `morph_files`, `tissue_files` in the order of `warped_files`.
    """
    workflow = Workflow(name)
    of_template = ["brain_file", *TISSUES, "mask_file", "ventricles_prior_file"]
    given = [*of_template, "mni2template_xfm", "template2mni_xfm", "view_files", *SHARE_FIELDS]
    given += [field for field in DEFORMED_FIELDS if field != "brain_file"]
    inputnode = Node(IdentityInterface([*given, "atlas_file", "atlas_labels_file"]), "inputnode")
    outputnode = Node(IdentityInterface([*REGION_FIELDS, "seen_files"]), "outputnode")
    labels = Node(ApplyWarp(interpolation="NN"), "labels", mem_gb=0.6)
    atlas = Node(TemplateAtlas(reach_mm=LABEL_REACH_MM), "atlas", mem_gb=1.0)
    view = MapNode(SessionView(), ["view_file"], name="view")
    view_mni = MapNode(ApplyWarp(interpolation="NN"), ["in_file"], name="view_mni", mem_gb=0.6)
    tissue = MapNode(TissueVolumes(), ["jacobian_file"], name="tissue")
    errors = Node(RegionErrors(), "errors", mem_gb=2.0)
    volumes = MapNode(
        RegionVolumes(min_coverage=settings.min_coverage),
        ["gm_file", "tissue_file", "jacobian_file", "warped_file", "mni_view_file"],
        name="volumes",
        mem_gb=0.6,
    )
    tissues = [(field, field) for field in (*TISSUES, "mask_file", "ventricles_prior_file")]
    to_mni = [("atlas_file", "reference_file"), ("template2mni_xfm", "xfm_files")]
    images = [("csf_file",) * 2, ("mask_file",) * 2]
    shares = [("session_gm_files", "gm_file"), ("session_tissue_files", "tissue_file")]
    mni_atlas = [("atlas_file", "mni_atlas_file"), ("atlas_labels_file", "labels_file")]
    workflow.connect(
        [
            (inputnode, labels, [("atlas_file", "in_file"), ("mask_file", "reference_file")]),
            (inputnode, labels, [("mni2template_xfm", "xfm_files")]),
            (labels, atlas, [("out_file", "labels_file")]),
            (inputnode, atlas, [("gm_file",) * 2, ("mask_file",) * 2]),
            (inputnode, view, [("view_files", "view_file"), ("mask_file", "mask_file")]),
            (view, view_mni, [("out_file", "in_file")]),
            (inputnode, view_mni, to_mni),
            (inputnode, tissue, [*tissues, ("jacobian_files", "jacobian_file")]),
            (inputnode, errors, [*images, *((field, f"{name}s") for field, name in shares)]),
            (inputnode, errors, [("warped_files",) * 2, ("atlas_labels_file", "labels_file")]),
            (inputnode, errors, [("noise",) * 2, ("voxels_per_sample",) * 2]),
            (atlas, errors, [("out_file", "atlas_file")]),
            (inputnode, volumes, [*images, ("brain_file",) * 2, *shares, *mni_atlas]),
            (inputnode, volumes, [(f"{name}_files", f"{name}_file") for name in FOLLOWED]),
            (inputnode, volumes, [("left_noise", "noise")]),
            (errors, volumes, [("out_file", "errors_file")]),
            (atlas, volumes, [("out_file", "atlas_file")]),
            (view_mni, volumes, [("out_file", "mni_view_file")]),
            (atlas, outputnode, [("out_file", "template_atlas_file")]),
            (view, outputnode, [("out_file", "seen_files")]),
            (volumes, outputnode, [("out_file", "morph_files")]),
            (tissue, outputnode, [("out_file", "tissue_files")]),
        ]
    )
    return workflow


def init_anat_wf(n_sessions: int, settings: Settings, name: str = "anat_wf") -> Workflow:
    """Anatomy of one participant with `n_sessions` T1-weighted images.

    inputnode: `t1w_files` (a list; no session is treated apart), `atlas_file` (labels in
    MNI152NLin2009aSym), `atlas_labels_file`. outputnode: the fields of `ANAT_OUTPUTS`, and
    `template_mni_file` and `template_head_file` for pictures; lists are in the order of
    `t1w_files`. Inside, the sessions are in an order that their images decide.
    """
    workflow = Workflow(name)
    given = ["t1w_files", "atlas_file", "atlas_labels_file"]
    inputnode = Node(IdentityInterface(given), "inputnode")
    fields = [*(output.field for output in ANAT_OUTPUTS), "template_mni_file", "template_head_file"]
    arrange, arranged = _in_one_order(workflow, inputnode, fields)
    template_wf = init_template_wf(n_sessions, settings.anat)
    deform = Node(SessionDeformations(), "deform", mem_gb=2.0)
    mni_wf = init_mni_wf(settings.anat)
    tissue_wf = init_tissue_wf()
    regions_wf = init_regions_wf(settings.anat)
    thickness_wf = init_thickness_wf(settings.anat)
    quality_wf = init_quality_wf()
    workflow.connect(arrange, "out_files", template_wf, "inputnode.t1w_files")
    for source, target, passed in (
        (template_wf, mni_wf, ("mask_file",)),
        (template_wf, tissue_wf, ("mask_file",)),
        (template_wf, regions_wf, ("mask_file", "view_files")),
        (template_wf, quality_wf, QUALITY_INPUTS),
        (mni_wf, tissue_wf, ("gm_prior_file", "wm_prior_file")),
        (mni_wf, regions_wf, ("template2mni_xfm", "mni2template_xfm", "ventricles_prior_file")),
        (mni_wf, quality_wf, ("agreement",)),
        (tissue_wf, regions_wf, (*TISSUES, *SHARE_FIELDS)),
        (tissue_wf, quality_wf, (*TISSUES, "tissue_noise")),
        (tissue_wf, thickness_wf, ("gm_file", "wm_file", "classes_file")),
        (regions_wf, thickness_wf, ("template_atlas_file", "seen_files")),
    ):
        _pass(workflow, source, target, passed)
    atlas_fields = [(field, f"inputnode.{field}") for field in ("atlas_file", "atlas_labels_file")]
    heads = [(f"outputnode.{k}", k) for k in ("scales", "mask_file")]
    heads += [("outputnode.head_files", "in_files"), (f"outputnode.{XFMS}", "xfm_files")]
    deformed = [(field, f"inputnode.{field}") for field in DEFORMED_FIELDS]
    followed = ("brain_file", "warped_files", "displacement_files")
    workflow.connect(
        [
            (inputnode, regions_wf, atlas_fields),
            (template_wf, deform, heads),
            (deform, mni_wf, [("brain_file", "inputnode.brain_file")]),
            (deform, tissue_wf, [(k, f"inputnode.{k}") for k in ("warped_files", "brain_file")]),
            (deform, regions_wf, deformed),
            (deform, thickness_wf, [(field, f"inputnode.{field}") for field in followed]),
            (inputnode, thickness_wf, [("atlas_labels_file", "inputnode.atlas_labels_file")]),
            (deform, arranged, [("brain_file", "template_file"), ("jacobian_files",) * 2]),
            (template_wf, arranged, [(f"outputnode.{k}", v) for k, v in TEMPLATE_FIELDS]),
            (tissue_wf, arranged, [(f"outputnode.{k}", f"template_{k}") for k in TISSUE_FIELDS]),
            (tissue_wf, arranged, [(f"outputnode.{k}", k) for k in SEGMENTED_FIELDS]),
            (mni_wf, arranged, [(f"outputnode.{k}", k) for k in MNI_FIELDS]),
            (regions_wf, arranged, [(f"outputnode.{k}", k) for k in REGION_FIELDS]),
            (thickness_wf, arranged, [(f"outputnode.{k}", k) for k in THICKNESS_FIELDS]),
            (quality_wf, arranged, [(f"outputnode.{k}", k) for k in QUALITY_FIELDS]),
        ]
    )
    return workflow


def _in_one_order(workflow: Workflow, inputnode: Node, fields: list[str]) -> tuple[Node, Node]:
    """Node that arranges the sessions, and one for results, whose lists come back as given.

    The second passes on to the outputnode.
    """
    arrange = Node(ArrangeSessions(), "arrange")
    arranged = Node(IdentityInterface(fields), "arranged")
    outputnode = Node(IdentityInterface(fields), "outputnode")
    lists = tuple(dict.fromkeys(row.field for row in ANAT_OUTPUTS if row.scope == "session"))
    restore = Node(RestoreOrder(lists), "restore")
    others = [(field, field) for field in dict.fromkeys(fields) if field not in lists]
    same = [(field, field) for field in lists]
    workflow.connect(
        [
            (inputnode, arrange, [("t1w_files", "in_files")]),
            (arrange, restore, [("order", "order")]),
            (arranged, restore, same),
            (restore, outputnode, same),
            (arranged, outputnode, others),
        ]
    )
    return arrange, arranged


def init_thickness_wf(settings: AnatSettings, name: str = "thickness_wf") -> Workflow:
    """Cortical thickness of the template, and of each region in each session.

    inputnode: `brain_file`, `gm_file`, `wm_file`, `classes_file`, `template_atlas_file` of the
    template; `warped_files`, `displacement_files`, `seen_files`; `atlas_labels_file`. outputnode:
    `thickness_files` in the order of `warped_files`; `template_thickness_file`.
    """
    workflow = Workflow(name)
    of_template = ["brain_file", "gm_file", "wm_file", "classes_file", "template_atlas_file"]
    of_sessions = ["warped_files", "displacement_files", "seen_files"]
    given = [*of_template, *of_sessions, "atlas_labels_file"]
    inputnode = Node(IdentityInterface(given), "inputnode")
    outputnode = Node(IdentityInterface(THICKNESS_FIELDS), "outputnode")
    lines = Node(ThicknessLines(), "lines", mem_gb=1.0)
    own = ["warped_file", "displacement_file", "seen_file"]
    session = MapNode(SessionThickness(), own, name="session", mem_gb=0.8)
    floors = {"min_lines": settings.min_thickness_lines, "min_coverage": settings.min_coverage}
    thickness = Node(RegionThickness(**floors), "thickness")
    tissues = [(field, field) for field in ("gm_file", "wm_file", "classes_file")]
    regions = [("template_atlas_file", "atlas_file"), ("atlas_labels_file", "labels_file")]
    workflow.connect(
        [
            (inputnode, lines, [("brain_file", "template_file"), *tissues, *regions]),
            (inputnode, session, [(f"{name}s", name) for name in own]),
            (lines, session, [("lines_file", "lines_file")]),
            (inputnode, thickness, regions),
            (lines, thickness, [("lines_file", "lines_file")]),
            (session, thickness, [("lengths_file", "lengths_files")]),
            (lines, outputnode, [("thickness_file", "template_thickness_file")]),
            (thickness, outputnode, [("out_files", "thickness_files")]),
        ]
    )
    return workflow


def init_quality_wf(name: str = "quality_wf") -> Workflow:
    """Numbers that say whether the anatomy of a participant and of each session can be trusted.

    inputnode: `session_files` (as they came), `head_files`, `mask_files`,
    `session2template_xfms`, one per session; `head_file`, `mask_file`, `gm_file`, `wm_file`,
    `csf_file` of the template; `agreement`, `tissue_noise`. outputnode: `anat_qc_file`;
    `session_quality_files`.
    """
    workflow = Workflow(name)
    given = [*QUALITY_INPUTS, *TISSUES, "agreement", "tissue_noise"]
    inputnode = Node(IdentityInterface(given), "inputnode")
    outputnode = Node(IdentityInterface(QUALITY_FIELDS), "outputnode")
    participant = Node(AnatQuality(), "participant")
    own = ["in_file", "corrected_file", "mask_file", "xfm_file"]
    session = MapNode(SessionQuality(), own, name="session", mem_gb=1.0)
    of_sessions = [("session_files", "in_file"), ("head_files", "corrected_file")]
    of_sessions += [("mask_files", "mask_file"), ("session2template_xfms", "xfm_file")]
    of_template = [("head_file", "template_file"), ("mask_file", "template_mask_file")]
    facts = [("agreement", "mni_agreement"), ("tissue_noise", "noise"), (XFMS, XFMS)]
    workflow.connect(
        [
            (inputnode, participant, [("mask_file", "mask_file"), *facts]),
            (inputnode, session, [*of_sessions, *of_template, *((k, k) for k in TISSUES)]),
            (participant, outputnode, [("out_file", "anat_qc_file")]),
            (session, outputnode, [("out_file", "session_quality_files")]),
        ]
    )
    return workflow


def _pass(workflow: Workflow, source: Workflow, target: Workflow, fields: tuple[str, ...]) -> None:
    for field in fields:
        workflow.connect(source, f"outputnode.{field}", target, f"inputnode.{field}")
