"""BOLD that fMRIPrep preprocessed: its series, regions and confounds as the later steps need them.

The atlas comes to the series, which stays in its standard space and is not interpolated again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

from nipype import Node, Workflow
from nipype.interfaces.utility import IdentityInterface

from bids_utils.errors import SettingsError
from bids_utils.plan import BoldRun
from configs.atlases import HOME_SPACE, Atlas, atlas_digest, chosen_atlas
from configs.settings import AtlasSettings, FuncSettings, Settings
from workflows.atlas import REGISTRATION_MM, carried_file, description, register_brains
from workflows.interfaces.atlas_space import CarryLabels, SaveAtlas, is_kept_whole
from workflows.interfaces.fmriprep import BrainTissues, TakeConfounds, TakeSeries
from workflows.interfaces.registration import Coarser, MniReference
from workflows.series import FOR_LATER, SERIES_INPUTS, SERIES_TABLES, init_series_wf

SPACES = ("MNI152NLin2009cAsym", "MNI152NLin6Asym", HOME_SPACE)
SERIES_GB = 3.0
GIVEN = "given"
GIVEN_FIELDS = ["atlas_file", "brain_file"]
DERIVED_FIELDS = [
    "preproc_bold_file",
    "boldref_file",
    "bold_mask_file",
    "bold_dseg_file",
    "bold_atlas_file",
    "whole_atlas_file",
    "confounds_file",
    "confounds_json",
    "n_dummy",
    "slice_moment_s",
    "registration_dice",
    "boundary_cost",
    "registration_kind",
    "flip_cost_ratio",
]


def init_fmriprep_bold_wf(
    run: BoldRun, settings: FuncSettings, name: str = "fmriprep_bold_wf"
) -> Workflow:
    """A run of fMRIPrep with regions, mask, tissues and confounds on its own grid.

    Inputs: atlas_file (labels in the space of the run), brain_file (T1w of that space without
    skull; not given where the space is that of our own images).
    Outputs: the fields of `DERIVED_FIELDS`, as from a raw run. All images but whole_atlas_file
    are in the box around the brain. Without tissue classes of fMRIPrep, bold_dseg_file calls all
    of the brain grey. boundary_cost and flip_cost_ratio are NaN: nothing was registered here.
    """
    derived = run.derived
    if derived is None:
        raise ValueError("run: was not preprocessed by fMRIPrep")
    inputnode = Node(IdentityInterface(GIVEN_FIELDS), "inputnode")
    outputnode = Node(IdentityInterface(DERIVED_FIELDS), "outputnode")
    outputnode.inputs.trait_set(
        boundary_cost=float("nan"), flip_cost_ratio=float("nan"), registration_kind=GIVEN
    )
    outputnode.inputs.slice_moment_s = run.slice_moment_s
    taken = TakeSeries(bold_file=str(derived.file), min_dice=settings.min_registration_dice)
    optional = {"mask_file": derived.mask_file, "boldref_file": derived.boldref_file}
    taken.inputs.trait_set(**{field: str(file) for field, file in optional.items() if file})
    take = Node(taken, "take", mem_gb=SERIES_GB)
    confounds = Node(TakeConfounds(in_file=str(derived.confounds_file)), "confounds")
    near, whole = Node(CarryLabels(), "near"), Node(CarryLabels(), "whole")
    fields = {"out_file": "preproc_bold_file", "mask_file": "bold_mask_file"}
    same = ("boldref_file", "registration_dice")
    workflow = Workflow(name)
    workflow.connect(
        [
            (inputnode, take, [("brain_file", "brain_file")]),
            (confounds, take, [("n_dummy", "n_dummy")]),
            (inputnode, near, [("atlas_file", "in_file")]),
            (inputnode, whole, [("atlas_file", "in_file")]),
            (take, near, [("mask_file", "reference_file")]),
            (take, whole, [("whole_file", "reference_file")]),
            (take, outputnode, [*fields.items(), *((field, field) for field in same)]),
            (near, outputnode, [("out_file", "bold_atlas_file")]),
            (whole, outputnode, [("out_file", "whole_atlas_file")]),
            (
                confounds,
                outputnode,
                [(f, f) for f in ("confounds_file", "confounds_json", "n_dummy")],
            ),
        ]
    )
    if derived.dseg_file:
        tissues = Node(CarryLabels(in_file=str(derived.dseg_file)), "tissues")
        workflow.connect(take, "mask_file", tissues, "reference_file")
        workflow.connect(tissues, "out_file", outputnode, "bold_dseg_file")
    else:
        workflow.connect(take, "mask_file", outputnode, "bold_dseg_file")
    return workflow


def init_derived_wf(run: BoldRun, settings: Settings, name: str = "derived_wf") -> Workflow:
    """A run of fMRIPrep from its series to denoised series of regions.

    Inputs: atlas_file, atlas_labels_file, brain_file (see `init_fmriprep_bold_wf`).
    Outputs: preproc_bold_file, boldref_file, bold_mask_file, bold_dseg_file, bold_atlas_file,
    confounds_file, confounds_json, slice_moment_s, and the tables and files of `init_series_wf`.
    """
    inputnode = Node(IdentityInterface([*GIVEN_FIELDS, "atlas_labels_file"]), "inputnode")
    passed = ["preproc_bold_file", "boldref_file", "bold_mask_file", "bold_dseg_file"]
    passed += ["bold_atlas_file", "confounds_file", "confounds_json", "slice_moment_s"]
    made = [*SERIES_TABLES, *FOR_LATER]
    outputnode = Node(IdentityInterface([*passed, *made]), "outputnode")
    bold = init_fmriprep_bold_wf(run, settings.func)
    series = init_series_wf(run, settings.func)
    through = [field for field in DERIVED_FIELDS if field in SERIES_INPUTS]
    labels = "atlas_labels_file"
    workflow = Workflow(name)
    workflow.connect(
        [
            (inputnode, bold, [(field, f"inputnode.{field}") for field in GIVEN_FIELDS]),
            (inputnode, series, [(labels, f"inputnode.{labels}")]),
            (bold, series, [(f"outputnode.{f}", f"inputnode.{f}") for f in through]),
            (bold, outputnode, [(f"outputnode.{field}", field) for field in passed]),
            (series, outputnode, [(f"outputnode.{field}", field) for field in made]),
        ]
    )
    return workflow


def space_brains(atlas: Atlas) -> tuple[dict[str, Path | None], dict[str, str]]:
    """Brains of the standard spaces in which an atlas can be had, and why not in the others.

    The space of the atlas itself is first. The brain of our own images' space is None.
    """
    found: dict[str, Path | None] = {atlas.space: atlas.brain_file}
    absent = {}
    for space in SPACES:
        own = AtlasSettings(name="Space", file=atlas.file, labels=atlas.labels_file, space=space)
        try:
            found.setdefault(space, chosen_atlas(own).brain_file)
        except SettingsError as error:
            absent[space] = str(error)
    return found, {space: reason for space, reason in absent.items() if space not in found}


def space_atlas(
    atlas: Atlas, ready: Atlas, space: str, how: tuple[Path, Callable[[Workflow], None]]
) -> Atlas:
    """Atlas in another standard space, made once for all participants.

    Parameters
    ----------
    atlas : Atlas
        As chosen, in its own space.
    ready : Atlas
        As `standard_atlas` gives it; its table of regions is used.
    space : str
        One of the spaces of `space_brains`.
    how : (output_dir, run)
        Derivative dataset, and the function that runs a workflow to its end or raises.

    Raises
    ------
    KeyError
        The brain of this space is not there.
    """
    brain = space_brains(atlas)[0][space]
    there = replace(ready, space=space, brain_file=brain)
    if space == atlas.space:
        return replace(there, file=atlas.file, resolution_mm=atlas.resolution_mm)
    if brain is None:
        return ready
    output_dir, run = how
    digest = hashlib.sha256(atlas_digest(atlas).encode() + brain.read_bytes()).hexdigest()
    file = carried_file(atlas, output_dir, space, digest)
    if not is_kept_whole(file):
        run(init_space_atlas_wf(atlas, space, brain, file))
    return replace(there, file=file, resolution_mm=None)


def init_space_atlas_wf(
    atlas: Atlas, space: str, brain_file: Path, out_file: Path, name: str = "space_atlas_wf"
) -> Workflow:
    """Labels of an atlas on the grid of the brain of another space, in one step from their own.

    No input fields. The last node writes `out_file`.
    """
    workflow = Workflow(name)
    mni = Node(MniReference(resolution_mm=REGISTRATION_MM), "mni")
    fixed = Node(Coarser(in_file=str(brain_file)), "fixed", mem_gb=0.6)
    tissues = Node(BrainTissues(), "tissues")
    labels = CarryLabels(in_file=str(atlas.file), reference_file=str(brain_file))
    carry = Node(labels, "carry", mem_gb=2.0)
    save = Node(_saved(atlas, space, brain_file, out_file), "save_atlas")
    moving = (mni, "template_file")
    if atlas.brain_file is not None:
        moving = (Node(Coarser(in_file=str(atlas.brain_file)), "moving"), "out_file")
        workflow.connect(mni, "template_file", moving[0], "like_file")
    compose, match = register_brains(workflow, (fixed, "out_file"), moving, brain_file)
    compose.inputs.reference_file = str(brain_file)
    workflow.connect(
        [
            (mni, fixed, [("template_file", "like_file")]),
            (fixed, tissues, [("out_file", "in_file")]),
            (tissues, match, [("mask_file", "mask_file"), ("gm_file", "gm_file")]),
            (compose, carry, [("out_xfm", "xfm_file")]),
            (carry, save, [("out_file", "in_file")]),
            (match, save, [("overlap", "overlap")]),
        ]
    )
    return workflow


def _saved(atlas: Atlas, space: str, brain_file: Path, out_file: Path) -> SaveAtlas:
    """Node content that keeps carried labels and says what they are."""
    sources = [path.name for path in (atlas.file, atlas.brain_file, brain_file) if path]
    text = f"Labels of {atlas.name}, {atlas.space}, carried to {space} by the registration of the "
    text += "brains of the two spaces"
    described = description(atlas) | {"Description": text, "Sources": sources}
    return SaveAtlas(labels_file=str(atlas.file), out_file=str(out_file), description=described)


def used_spaces(runs: Iterable[BoldRun]) -> list[str]:
    """Standard spaces of runs of fMRIPrep, each once."""
    return list(dict.fromkeys(run.derived.space for run in runs if run.derived))
