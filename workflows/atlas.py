"""The atlas of a study in the space of the images, made once for all participants."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

import nibabel as nib
import pandas as pd
from nipype.interfaces.utility import IdentityInterface
from nipype.pipeline.engine import Node, Workflow

from bids_utils.derivatives import write_table
from bids_utils.names import build_name
from configs.atlases import HOME_SPACE, Atlas, atlas_digest
from configs.label_tables import read_label_table
from workflows.interfaces.atlas_space import (
    BrainMatch,
    CarryLabels,
    SaveAtlas,
    check_atlas,
    is_kept_whole,
)
from workflows.interfaces.registration import (
    ApplyWarp,
    Coarser,
    ComposeWarp,
    GreedyAffine,
    GreedyWarp,
    MniReference,
)
from workflows.interfaces.volumes import voxel_size_mm

FINEST_MM = 1.0
REGISTRATION_MM = 2.0
KEY_LENGTH = 10
NIFTI = ".nii.gz"
LABEL_DICTIONARY = {
    "index": {"Description": "Value of the region in the image"},
    "name": {"Description": "Name of the region"},
    "hemisphere": {"Description": "L, R, or B for both"},
    "structure": {"Description": "Cortex, subcortex or another part of the brain"},
    "network": {"Description": "Network of the region, n/a where none is known"},
}


def standard_atlas(atlas: Atlas, output_dir: Path, run: Callable[[Workflow], None]) -> Atlas:
    """Atlas in the space of the images, with a table that has all columns.

    What is made lies in OUTPUT_DIR/atlas under a name that follows from the bytes of all that
    it is made of; jobs that run at the same time make the same file and do not harm each other.

    Parameters
    ----------
    atlas : Atlas
        As chosen, in its own space.
    output_dir : Path
        Derivative dataset.
    run : function of a Workflow
        Runs it to its end, or raises. Called only where the labels have to be carried and no job
        has done so.

    Raises
    ------
    SettingsError
        Image, table and space do not belong together.
    """
    table = check_atlas(atlas)
    labels_file = carried_file(atlas, output_dir).with_name(_name(atlas, (), ".tsv"))
    ready = replace(atlas, labels_file=labels_file, structure=None, sides=())
    if not _is_written(table, ready):  # nodes that read a new file would run again
        write_table(table, labels_file, LABEL_DICTIONARY)
    if not is_carried(atlas):
        return ready
    carried = carried_file(atlas, output_dir)
    if not is_kept_whole(carried):
        run(init_atlas_wf(atlas, carried))
    return replace(ready, file=carried, space=HOME_SPACE, resolution_mm=FINEST_MM, brain_file=None)


def _is_written(table: pd.DataFrame, atlas: Atlas) -> bool:
    """Whether the table of an atlas on disk holds the same regions."""
    if not atlas.labels_file.is_file():
        return False
    both = (read_label_table(atlas), table)
    kept, made = (part.astype(object).where(part.notna(), None) for part in both)
    return kept.equals(made)


def is_carried(atlas: Atlas) -> bool:
    """Whether labels are in another space than the images, or coarser than 1 mm."""
    coarsest_mm = float(voxel_size_mm(nib.load(atlas.file).affine).max())
    return atlas.brain_file is not None or coarsest_mm > FINEST_MM + 1e-3


def carried_file(atlas: Atlas, output_dir: Path, space: str = HOME_SPACE, digest: str = "") -> Path:
    """Where the labels in a space are kept; `digest` is of all that decides them.

    Without it the labels are in the space of the images and the files of the atlas decide.
    """
    key = f"{version('braindelta').replace('.', '')}{(digest or atlas_digest(atlas))[:KEY_LENGTH]}"
    return output_dir / "atlas" / _name(atlas, (("desc", key),), NIFTI, space)


def description(atlas: Atlas) -> dict[str, object]:
    """Sidecar of carried labels: where they are from, and under which licence."""
    how = "carried by the registration of the brains of the two spaces" if atlas.brain_file else ""
    sources = [path.name for path in (atlas.file, atlas.brain_file) if path]
    return {
        "Description": f"Labels of {atlas.name} from {atlas.space} {how}".strip(),
        "Sources": sources,
        "License": atlas.licence,
        "ReferencesAndLinks": [atlas.citation],
    }


def _name(
    atlas: Atlas, extra: tuple[tuple[str, str], ...], extension: str, space: str = HOME_SPACE
) -> str:
    entities = (("tpl", space), ("atlas", atlas.name), *extra)
    return build_name(entities, "dseg", extension)


def init_atlas_wf(atlas: Atlas, out_file: Path, name: str = "atlas_wf") -> Workflow:
    """Labels of an atlas in MNI152NLin2009aSym, 1 mm, in one step from their own grid.

    No input fields. The last node writes `out_file`.
    """
    workflow = Workflow(name)
    grid = Node(MniReference(resolution_mm=FINEST_MM), "grid", mem_gb=1.0)
    carry = Node(CarryLabels(in_file=str(atlas.file)), "carry", mem_gb=2.0)
    save = Node(
        SaveAtlas(
            labels_file=str(atlas.file), out_file=str(out_file), description=description(atlas)
        ),
        "save_atlas",
    )
    workflow.connect(grid, "template_file", carry, "reference_file")
    workflow.connect(carry, "out_file", save, "in_file")
    if atlas.brain_file is not None:
        spaces_wf = init_spaces_wf(atlas.brain_file)
        workflow.connect(grid, "template_file", spaces_wf, "inputnode.reference_file")
        workflow.connect(spaces_wf, "outputnode.xfm_file", carry, "xfm_file")
        workflow.connect(spaces_wf, "outputnode.overlap", save, "overlap")
    return workflow


def init_spaces_wf(brain_file: Path, name: str = "spaces_wf") -> Workflow:
    """Registration of the brain of another standard space to that of the images, checked.

    inputnode: `reference_file` (grid). outputnode: `xfm_file` (displacement on that grid),
    `overlap` (Dice of grey matter).
    """
    workflow = Workflow(name)
    inputnode = Node(IdentityInterface(["reference_file"]), "inputnode")
    outputnode = Node(IdentityInterface(["xfm_file", "overlap"]), "outputnode")
    mni = Node(MniReference(resolution_mm=REGISTRATION_MM), "mni")
    coarse = Node(Coarser(in_file=str(brain_file)), "coarse", mem_gb=0.6)
    compose, match = register_brains(
        workflow, (mni, "template_file"), (coarse, "out_file"), brain_file
    )
    workflow.connect(
        [
            (mni, coarse, [("template_file", "like_file")]),
            (mni, match, [("mask_file", "mask_file"), ("gm_file", "gm_file")]),
            (inputnode, compose, [("reference_file", "reference_file")]),
            (compose, outputnode, [("out_xfm", "xfm_file")]),
            (match, outputnode, [("overlap", "overlap")]),
        ]
    )
    return workflow


def register_brains(
    workflow: Workflow, fixed: tuple[Node, str], moving: tuple[Node, str], named_file: Path
) -> tuple[Node, Node]:
    """Add the registration of one standard brain to another, and its check, to a workflow.

    Parameters
    ----------
    workflow : Workflow
    fixed, moving : (Node, str)
        Node and output field of each brain.
    named_file : Path
        Brain that messages name.

    Returns
    -------
    (Node, Node)
        One gives the way from the fixed to the moving space (`out_xfm`) on the grid of its
        `reference_file`; the other `overlap` from `mask_file` and `gm_file` of the fixed brain.
    """
    affine = Node(GreedyAffine(dof=12, metric=["NMI"], iterations="100x50x10"), "affine")
    warp = Node(GreedyWarp(iterations="100x50x20"), "warp", mem_gb=1.0)
    compose = Node(ComposeWarp(inverse=False), "compose", mem_gb=1.0)
    near = Node(ComposeWarp(inverse=False), "near")
    brain = Node(ApplyWarp(interpolation="LINEAR"), "brain")
    match = Node(BrainMatch(named_file=str(named_file)), "match")
    for step in (affine, warp):
        workflow.connect(*fixed, step, "fixed_file")
        workflow.connect(*moving, step, "moving_file")
    for step in (near, brain):
        workflow.connect(*fixed, step, "reference_file")
    workflow.connect(*moving, brain, "in_file")
    steps = [("warp_file", "warp_file")]
    workflow.connect(
        [
            (affine, warp, [("out_xfm", "affine_file")]),
            (affine, compose, [("out_xfm", "affine_file")]),
            (affine, near, [("out_xfm", "affine_file")]),
            (warp, compose, steps),
            (warp, near, steps),
            (near, brain, [("out_xfm", "xfm_files")]),
            (brain, match, [("out_file", "brain_file")]),
        ]
    )
    return compose, match
