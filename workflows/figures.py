"""Pictures of a participant: one workflow for the anatomy, one for each BOLD run."""

from __future__ import annotations

from nipype.interfaces.utility import IdentityInterface
from nipype.pipeline.engine import Node, Workflow

from workflows.interfaces.change_figures import (
    ThicknessChangeFigures,
    ThicknessFigure,
    VolumeChangeFigures,
)
from workflows.interfaces.connectivity_figures import (
    ConnectivityChangeFigures,
    ConnectivityFigure,
    SeedFigure,
)
from workflows.interfaces.figures import (
    AtlasFigure,
    BoldFigure,
    CarpetFigure,
    MaskFigure,
    MniFigure,
    MotionFigure,
    SessionFigures,
    TissueFigure,
)
from workflows.interfaces.save import Output

PICTURE_GB = 1.0
# Scope of outputs that every session of a participant has, in time order, but the first.
LATER_SESSION = "later_session"
CHANGE_INPUTS: tuple[str, ...] = ("template_file", "template_mask_file", "template_atlas_file")
CHANGE_INPUTS += ("jacobian_files", "thickness_files", "template_thickness_file")
CHANGE_FIELDS = ("thickness_figure", "volume_change_figures", "thickness_change_figures")


def _row(field: str, desc: str, suffix: str, scope: str) -> Output:
    return Output(field, suffix, ".png", "figures", (("desc", desc),), scope)


ANAT_FIGURE_OUTPUTS = (
    _row("mask_figure", "mask", "T1w", "participant"),
    _row("tissue_figure", "tissues", "T1w", "participant"),
    _row("mni_figure", "mni", "T1w", "participant"),
    _row("atlas_figure", "atlas", "T1w", "participant"),
    _row("thickness_figure", "thickness", "T1w", "participant"),
    _row("session_figures", "session", "T1w", "session"),
    _row("volume_change_figures", "volumechange", "T1w", LATER_SESSION),
    _row("thickness_change_figures", "thicknesschange", "T1w", LATER_SESSION),
)
BOLD_FIGURE_OUTPUTS = (
    _row("edges_figure", "edges", "bold", "run"),
    _row("motion_figure", "motion", "bold", "run"),
    _row("carpet_figure", "carpet", "bold", "run"),
)
CONNECTIVITY_FIGURE_OUTPUTS = (
    _row("connectivity_figure", "connectivity", "bold", "task"),
    _row("seeds_figure", "seeds", "bold", "task"),
)
CONNECTIVITY_CHANGE_OUTPUTS = (
    _row("connectivity_change_figures", "connectivitychange", "bold", LATER_SESSION),
    _row("connectome_change_figures", "connectomechange", "bold", LATER_SESSION),
)


def init_anat_figures_wf(
    session_labels: tuple[str, ...], name: str = "anat_figures_wf"
) -> Workflow:
    """Pictures of the anatomy; `session_labels` name the files of sessions, in time order.

    inputnode: `session_t1w_files`, `template_head_file`, `template_dseg_file`,
    `template_mni_file` and the inputs of `init_change_figures_wf` (outputs of `init_anat_wf`).
    outputnode: the fields of `ANAT_FIGURE_OUTPUTS`.
    """
    own = ["session_t1w_files", "template_head_file", "template_dseg_file", "template_mni_file"]
    inputnode = Node(IdentityInterface([*own, *CHANGE_INPUTS]), "inputnode")
    outputnode = Node(IdentityInterface([row.field for row in ANAT_FIGURE_OUTPUTS]), "outputnode")
    mask_figure = Node(MaskFigure(), "mask_figure", mem_gb=PICTURE_GB)
    tissue_figure = Node(TissueFigure(), "tissue_figure", mem_gb=PICTURE_GB)
    mni_figure = Node(MniFigure(), "mni_figure", mem_gb=PICTURE_GB)
    atlas_figure = Node(AtlasFigure(), "atlas_figure", mem_gb=PICTURE_GB)
    titles = [f"ses-{label}" for label in session_labels]
    session_figures = Node(SessionFigures(titles=titles), "session_figures", mem_gb=PICTURE_GB)
    changes_wf = init_change_figures_wf(session_labels)
    mask = ("template_mask_file", "mask_file")
    sessions = ("session_t1w_files", "in_files")
    brain = ("template_file", "in_file")
    workflow = Workflow(name)
    workflow.connect(
        [
            (inputnode, mask_figure, [("template_head_file", "in_files"), mask]),
            (inputnode, tissue_figure, [brain, mask, ("template_dseg_file", "dseg_file")]),
            (inputnode, mni_figure, [("template_mni_file", "in_file")]),
            (inputnode, atlas_figure, [brain, mask, ("template_atlas_file", "atlas_file")]),
            (inputnode, session_figures, [sessions, mask]),
            (mask_figure, outputnode, [("out_file", "mask_figure")]),
            (tissue_figure, outputnode, [("out_file", "tissue_figure")]),
            (mni_figure, outputnode, [("out_file", "mni_figure")]),
            (atlas_figure, outputnode, [("out_file", "atlas_figure")]),
            (session_figures, outputnode, [("out_files", "session_figures")]),
            (inputnode, changes_wf, [(field, f"inputnode.{field}") for field in CHANGE_INPUTS]),
            (changes_wf, outputnode, [(f"outputnode.{field}", field) for field in CHANGE_FIELDS]),
        ]
    )
    return workflow


def init_change_figures_wf(
    session_labels: tuple[str, ...], name: str = "change_figures_wf"
) -> Workflow:
    """Pictures of thickness, and of what changed from the first session to each later one.

    inputnode: the fields of `CHANGE_INPUTS`; lists in the order of `session_labels`, which is
    that of time. outputnode: `thickness_figure`; `volume_change_figures` and
    `thickness_change_figures`, one for each session but the first, none for a single session.
    """
    workflow = Workflow(name)
    inputnode = Node(IdentityInterface(CHANGE_INPUTS), "inputnode")
    outputnode = Node(IdentityInterface(CHANGE_FIELDS), "outputnode")
    labels = list(session_labels)
    thickness = Node(ThicknessFigure(), "thickness", mem_gb=PICTURE_GB)
    volume_change = Node(
        VolumeChangeFigures(session_labels=labels), "volume_change", mem_gb=PICTURE_GB
    )
    thickness_change = Node(
        ThicknessChangeFigures(session_labels=labels), "thickness_change", mem_gb=PICTURE_GB
    )
    brain = [("template_file", "in_file"), ("template_mask_file", "mask_file")]
    tables = [("thickness_files",) * 2, ("template_atlas_file", "atlas_file")]
    workflow.connect(
        [
            (inputnode, thickness, [*brain, ("template_thickness_file", "thickness_file")]),
            (inputnode, volume_change, [*brain, ("jacobian_files",) * 2]),
            (inputnode, thickness_change, [*brain, *tables]),
            (thickness, outputnode, [("out_file", "thickness_figure")]),
            (volume_change, outputnode, [("out_files", "volume_change_figures")]),
            (thickness_change, outputnode, [("out_files", "thickness_change_figures")]),
        ]
    )
    return workflow


def init_bold_figures_wf(
    repetition_time_s: float, fd_threshold_mm: float | None, name: str = "bold_figures_wf"
) -> Workflow:
    """Pictures of one BOLD run.

    inputnode: `boldref_file`, `bold_dseg_file`, `confounds_file`, `carpet_file` (outputs of
    `init_bold_wf`). outputnode: the fields of `BOLD_FIGURE_OUTPUTS`.
    """
    fields = ["boldref_file", "bold_dseg_file", "confounds_file", "carpet_file"]
    inputnode = Node(IdentityInterface(fields), "inputnode")
    outputnode = Node(IdentityInterface([row.field for row in BOLD_FIGURE_OUTPUTS]), "outputnode")
    edges_figure = Node(BoldFigure(), "edges_figure")
    motion = MotionFigure(repetition_time_s=repetition_time_s, fd_threshold_mm=fd_threshold_mm)
    motion_figure = Node(motion, "motion_figure")
    carpet_figure = Node(CarpetFigure(fd_threshold_mm=fd_threshold_mm), "carpet_figure")
    workflow = Workflow(name)
    edges = [("boldref_file", "in_file"), ("bold_dseg_file", "dseg_file")]
    workflow.connect(
        [
            (inputnode, edges_figure, edges),
            (inputnode, motion_figure, [("confounds_file", "confounds_file")]),
            (inputnode, carpet_figure, [("carpet_file", "carpet_file")]),
            (edges_figure, outputnode, [("out_file", "edges_figure")]),
            (motion_figure, outputnode, [("out_file", "motion_figure")]),
            (carpet_figure, outputnode, [("out_file", "carpet_figure")]),
        ]
    )
    return workflow


def init_connectivity_figures_wf(
    atlas: str, circuits: tuple[str, ...] | None, name: str = "connectivity_figures_wf"
) -> Workflow:
    """Pictures of the connectivity of one session and task.

    inputnode: `relmat_file`, `atlas_labels_file`, and of one of the runs `boldref_file`,
    `bold_dseg_file` and `bold_atlas_file`. outputnode: the fields of
    `CONNECTIVITY_FIGURE_OUTPUTS`.

    Parameters
    ----------
    atlas : str
        Name of the atlas.
    circuits : tuple of str or None
        Circuits whose seeds are drawn; None: all that the atlas has.
    name : str
    """
    both = ["relmat_file", "atlas_labels_file"]
    images = ["boldref_file", "bold_dseg_file", "bold_atlas_file"]
    inputnode = Node(IdentityInterface([*both, *images]), "inputnode")
    fields = [row.field for row in CONNECTIVITY_FIGURE_OUTPUTS]
    outputnode = Node(IdentityInterface(fields), "outputnode")
    connectivity_figure = Node(ConnectivityFigure(), "connectivity_figure")
    names = None if circuits is None else list(circuits)
    seeds_figure = Node(SeedFigure(atlas=atlas, circuits=names), "seeds_figure")
    workflow = Workflow(name)
    workflow.connect(
        [
            (inputnode, connectivity_figure, [(field, field) for field in both]),
            (inputnode, seeds_figure, [(field, field) for field in (*both, *images)]),
            (connectivity_figure, outputnode, [("out_file", "connectivity_figure")]),
            (seeds_figure, outputnode, [("out_file", "seeds_figure")]),
        ]
    )
    return workflow


def init_connectivity_change_wf(
    session_labels: tuple[str, ...], name: str = "connectivity_change_wf"
) -> Workflow:
    """Pictures of what changed in the connectivity of one task since the first session.

    inputnode: `relmat_files`, in the order of `session_labels`, which is that of time;
    `atlas_file` (labels in standard space) and `atlas_labels_file`. outputnode: the fields of
    `CONNECTIVITY_CHANGE_OUTPUTS`, one picture for each session but the first.
    """
    fields = ["relmat_files", "atlas_file", "atlas_labels_file"]
    inputnode = Node(IdentityInterface(fields), "inputnode")
    outputs = [row.field for row in CONNECTIVITY_CHANGE_OUTPUTS]
    outputnode = Node(IdentityInterface(outputs), "outputnode")
    figures = ConnectivityChangeFigures(session_labels=list(session_labels))
    change_figures = Node(figures, "change_figures", mem_gb=PICTURE_GB)
    workflow = Workflow(name)
    workflow.connect(
        [
            (inputnode, change_figures, [(field, field) for field in fields]),
            (
                change_figures,
                outputnode,
                list(zip(("matrix_files", "brain_files"), outputs, strict=True)),
            ),
        ]
    )
    return workflow
