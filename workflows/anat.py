"""Anatomy of a participant: template, tissue, MNI, regions, for one or more sessions."""

from __future__ import annotations

from nipype.interfaces.utility import IdentityInterface
from nipype.pipeline.engine import MapNode, Node, Workflow

from configs.settings import AnatSettings, Settings
from workflows.interfaces.atlas import AnatQuality, RegionVolumes, SessionView, TemplateAtlas
from workflows.interfaces.registration import (
    MNI_SPACE,
    ApplyWarp,
    CheckOverlap,
    Coarser,
    ComposeWarp,
    GreedyAffine,
    GreedyWarp,
    MniReference,
    SessionWarp,
)
from workflows.interfaces.save import Output
from workflows.interfaces.tissue import (
    MatchIntensity,
    SessionNoise,
    SessionTissue,
    TemplateTissue,
    TissueVolumes,
)
from workflows.template import init_template_wf

LABEL_REACH_MM = 3.0
TISSUE_FIELDS = ("gm_file", "wm_file", "csf_file", "dseg_file")
SESSION_FIELDS = ("session_t1w_files", "session_gm_files", "session_dseg_files")
MNI_FIELDS = ("template2mni_xfm", "mni2template_xfm", "template_mni_file")
REGION_FIELDS = ("template_atlas_file", "morph_files", "tissue_files")
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
        (("atlas", "{atlas}"),),
        description="Regions of the atlas on the template, extended to its grey matter.",
    ),
    Output("anat_qc_file", "qc", ".tsv", "anat", (("desc", "anat"),)),
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
        (("atlas", "{atlas}"), ("desc", "volume")),
        "session",
        "Grey-matter volume (ml) and coverage (0 to 1) of each region: grey matter of the "
        "template times the volume of each of its voxels in the session.",
    ),
    Output(
        "tissue_files",
        "morph",
        ".tsv",
        "anat",
        (("desc", "tissue"),),
        "session",
        "Grey matter, white matter, CSF of the session, brain mask of the template (ml).",
    ),
)


def init_tissue_wf(name: str = "tissue_wf") -> Workflow:
    """Tissue of the template, and of each session with the model of the template.

    inputnode: `scaled_files`, `brain_file`, `mask_file`, `gm_prior_file`, `wm_prior_file`.
    outputnode: `session_t1w_files`, `session_gm_files`, `session_dseg_files` in the order of
    `scaled_files`; `gm_file`, `wm_file`, `csf_file`, `dseg_file` of the
    template; `noise`.
    """
    workflow = Workflow(name)
    priors = ["gm_prior_file", "wm_prior_file"]
    given = ["scaled_files", "brain_file", "mask_file", *priors]
    inputnode = Node(IdentityInterface(given), "inputnode")
    of_template = ["gm_file", "wm_file", "csf_file", "dseg_file"]
    outputnode = Node(IdentityInterface([*of_template, *SESSION_FIELDS, "noise"]), "outputnode")
    template = Node(TemplateTissue(), "template", mem_gb=1.5)
    match = MapNode(MatchIntensity(), ["in_file"], name="match", mem_gb=1.0)
    noise = Node(SessionNoise(), "noise", mem_gb=1.5)
    tissue = MapNode(SessionTissue(), ["in_file"], name="tissue", mem_gb=2.0)
    reference = [("brain_file", "template_file"), ("mask_file", "mask_file")]
    workflow.connect(
        [
            (inputnode, template, [("brain_file", "in_file"), ("mask_file", "mask_file")]),
            (inputnode, template, [(field, field) for field in priors]),
            (inputnode, match, [("scaled_files", "in_file"), *reference]),
            (template, match, [("wm_file", "wm_file")]),
            (match, noise, [("out_file", "in_files")]),
            (inputnode, noise, [("brain_file", "template_file")]),
            (template, noise, [("classes_file", "classes_file")]),
            (match, tissue, [("out_file", "in_file")]),
            (inputnode, tissue, reference),
            (template, tissue, [("classes_file", "classes_file")]),
            (noise, tissue, [("noise", "noise")]),
            (template, outputnode, [(field, field) for field in of_template]),
            (noise, outputnode, [("noise", "noise")]),
            (match, outputnode, [("out_file", "session_t1w_files")]),
            (
                tissue,
                outputnode,
                [
                    ("gm_file", "session_gm_files"),
                    ("dseg_file", "session_dseg_files"),
                ],
            ),
        ]
    )
    return workflow


def init_mni_wf(settings: AnatSettings, name: str = "mni_wf") -> Workflow:
    """Registration of the template to MNI152NLin2009aSym, both ways, checked for its overlap.

    inputnode: `brain_file`, `mask_file`. outputnode: `template2mni_xfm`, `mni2template_xfm`,
    `template_mni_file`; `gm_prior_file`, `wm_prior_file` (MNI on the template); `overlap`.
    """
    workflow = Workflow(name)
    inputnode = Node(IdentityInterface(["brain_file", "mask_file"]), "inputnode")
    fields = ["template2mni_xfm", "mni2template_xfm", "template_mni_file", "overlap"]
    priors = ["gm_prior_file", "wm_prior_file"]
    outputnode = Node(IdentityInterface([*fields, *priors]), "outputnode")
    mni = Node(MniReference(resolution_mm=settings.mni_resolution_mm), "mni")
    coarse = Node(Coarser(), "coarse", mem_gb=0.6)
    affine = Node(GreedyAffine(dof=12, metric=["NMI"], iterations="100x50x10"), "affine")
    warp = Node(GreedyWarp(iterations="100x50x20"), "warp", mem_gb=1.0)
    to_mni = Node(ComposeWarp(inverse=False), "to_mni")
    from_mni = Node(ComposeWarp(inverse=True), "from_mni", mem_gb=1.0)
    template_mni = Node(ApplyWarp(interpolation="LINEAR"), "template_mni")
    gm_prior = Node(ApplyWarp(interpolation="LINEAR"), "gm_prior")
    wm_prior = Node(ApplyWarp(interpolation="LINEAR"), "wm_prior")
    check = Node(CheckOverlap(min_overlap=settings.min_mni_overlap), "check")
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
            (to_mni, outputnode, [("out_xfm", "template2mni_xfm")]),
            (from_mni, outputnode, [("out_xfm", "mni2template_xfm")]),
            (template_mni, outputnode, [("out_file", "template_mni_file")]),
            (check, outputnode, [("overlap", "overlap")]),
        ]
    )
    for tissue, node in (("gm", gm_prior), ("wm", wm_prior)):
        workflow.connect(mni, f"{tissue}_file", node, "in_file")
        workflow.connect(from_mni, "out_xfm", node, "xfm_files")
        workflow.connect(inputnode, "brain_file", node, "reference_file")
        workflow.connect(node, "out_file", outputnode, f"{tissue}_prior_file")
    return workflow


def init_regions_wf(settings: AnatSettings, name: str = "regions_wf") -> Workflow:
    """Grey-matter volume of each region, and of all tissues, in each session.

    The tissue of the template counts as much in a session as the session has to be stretched
    or squeezed to become the template.

    inputnode: `head_file`, `gm_file`, `wm_file`, `csf_file`, `mask_file`, `mni2template_xfm`,
    `template2mni_xfm` of the template; `scaled_files`, `view_files`; `atlas_file` (MNI),
    `atlas_labels_file`. outputnode: `template_atlas_file`; `morph_files`, `tissue_files` in
    the order of `scaled_files`.
    """
    workflow = Workflow(name)
    tissues = [(field, field) for field in ("gm_file", "wm_file", "csf_file", "mask_file")]
    of_template = ["head_file", *(field for field, _ in tissues)]
    transforms = ["mni2template_xfm", "template2mni_xfm"]
    given = [*of_template, *transforms, "scaled_files", "view_files"]
    inputnode = Node(IdentityInterface([*given, "atlas_file", "atlas_labels_file"]), "inputnode")
    outputnode = Node(IdentityInterface(REGION_FIELDS), "outputnode")
    labels = Node(ApplyWarp(interpolation="NN"), "labels", mem_gb=0.6)
    atlas = Node(TemplateAtlas(reach_mm=LABEL_REACH_MM), "atlas", mem_gb=1.0)
    view = MapNode(SessionView(), ["view_file"], name="view")
    view_mni = MapNode(ApplyWarp(interpolation="NN"), ["in_file"], name="view_mni", mem_gb=0.6)
    warp = MapNode(SessionWarp(), ["in_file"], name="warp", mem_gb=1.5)
    tissue = MapNode(TissueVolumes(), ["jacobian_file"], name="tissue")
    volumes = MapNode(
        RegionVolumes(min_coverage=settings.min_coverage),
        ["jacobian_file", "mni_view_file"],
        name="volumes",
        mem_gb=0.6,
    )
    mni_atlas = [("atlas_file", "mni_atlas_file"), ("atlas_labels_file", "labels_file")]
    images = [("scaled_files", "in_file"), ("head_file", "template_file")]
    workflow.connect(
        [
            (inputnode, labels, [("atlas_file", "in_file"), ("mask_file", "reference_file")]),
            (inputnode, labels, [("mni2template_xfm", "xfm_files")]),
            (labels, atlas, [("out_file", "labels_file")]),
            (inputnode, atlas, [("gm_file", "gm_file"), ("mask_file", "mask_file")]),
            (inputnode, view, [("view_files", "view_file"), ("mask_file", "mask_file")]),
            (view, view_mni, [("out_file", "in_file")]),
            (inputnode, view_mni, [("atlas_file", "reference_file")]),
            (inputnode, view_mni, [("template2mni_xfm", "xfm_files")]),
            (inputnode, warp, [*images, ("mask_file", "mask_file")]),
            (inputnode, tissue, tissues),
            (warp, tissue, [("jacobian_file", "jacobian_file")]),
            (inputnode, volumes, [("gm_file", "gm_file"), *mni_atlas]),
            (warp, volumes, [("jacobian_file", "jacobian_file")]),
            (atlas, volumes, [("out_file", "atlas_file")]),
            (view_mni, volumes, [("out_file", "mni_view_file")]),
            (atlas, outputnode, [("out_file", "template_atlas_file")]),
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
    `t1w_files`.
    """
    workflow = Workflow(name)
    inputnode = Node(
        IdentityInterface(["t1w_files", "atlas_file", "atlas_labels_file"]), "inputnode"
    )
    pictures = ["template_mni_file", "template_head_file"]
    fields = [*(output.field for output in ANAT_OUTPUTS), *pictures]
    outputnode = Node(IdentityInterface(fields), "outputnode")
    template_wf = init_template_wf(n_sessions, settings.anat)
    tissue_wf = init_tissue_wf()
    mni_wf = init_mni_wf(settings.anat)
    regions_wf = init_regions_wf(settings.anat)
    quality = Node(AnatQuality(), "quality")
    workflow.connect(inputnode, "t1w_files", template_wf, "inputnode.t1w_files")
    _pass(workflow, template_wf, tissue_wf, ("scaled_files", "brain_file", "mask_file"))
    _pass(workflow, template_wf, mni_wf, ("brain_file", "mask_file"))
    _pass(workflow, mni_wf, tissue_wf, ("gm_prior_file", "wm_prior_file"))
    to_regions = ("head_file", "mask_file", "scaled_files", "view_files")
    _pass(workflow, template_wf, regions_wf, to_regions)
    _pass(workflow, tissue_wf, regions_wf, ("gm_file", "wm_file", "csf_file"))
    _pass(workflow, mni_wf, regions_wf, ("template2mni_xfm", "mni2template_xfm"))
    atlas_fields = [(field, f"inputnode.{field}") for field in ("atlas_file", "atlas_labels_file")]
    xfms = ("outputnode.session2template_xfms", "session2template_xfms")
    workflow.connect(
        [
            (inputnode, regions_wf, atlas_fields),
            (template_wf, quality, [("outputnode.mask_file", "mask_file"), xfms]),
            (mni_wf, quality, [("outputnode.overlap", "mni_overlap")]),
            (tissue_wf, quality, [("outputnode.noise", "noise")]),
            (quality, outputnode, [("out_file", "anat_qc_file")]),
            (template_wf, outputnode, [xfms, ("outputnode.brain_file", "template_file")]),
            (template_wf, outputnode, [("outputnode.mask_file", "template_mask_file")]),
            (template_wf, outputnode, [("outputnode.head_file", "template_head_file")]),
            (tissue_wf, outputnode, [(f"outputnode.{k}", f"template_{k}") for k in TISSUE_FIELDS]),
            (tissue_wf, outputnode, [(f"outputnode.{k}", k) for k in SESSION_FIELDS]),
            (mni_wf, outputnode, [(f"outputnode.{k}", k) for k in MNI_FIELDS]),
            (regions_wf, outputnode, [(f"outputnode.{k}", k) for k in REGION_FIELDS]),
        ]
    )
    return workflow


def _pass(workflow: Workflow, source: Workflow, target: Workflow, fields: tuple[str, ...]) -> None:
    for field in fields:
        workflow.connect(source, f"outputnode.{field}", target, f"inputnode.{field}")
