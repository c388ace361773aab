"""Where the files of a participant go: places of sessions, runs and tasks, and their saving."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from nipype.interfaces.utility import Merge
from nipype.pipeline.engine import Node, Workflow

from bids_utils.derivatives import source_address
from bids_utils.plan import BoldRun
from configs.atlases import Atlas
from configs.settings import Settings
from workflows.interfaces.save import ATLAS, Output, Place, SaveDerivatives


@dataclass(frozen=True)
class Study:
    """What all participants share: folders and settings; to run images, the atlas too.

    `atlas` is in the space of the images, as `standard_atlas` gives it; `space_atlases` are
    the same in the standard spaces of preprocessed BOLD.
    """

    bids_dir: Path
    output_dir: Path
    settings: Settings
    atlas: Atlas | None = None
    space_atlases: tuple[Atlas, ...] = ()


def save_outputs(
    workflow: Workflow,
    source: Workflow,
    outputs: tuple[Output, ...],
    places: list[Place],
    study: Study,
) -> None:
    """Save outputs of a workflow in the derivative dataset, one file for each place."""
    if not outputs or not places:
        return
    named = with_atlas(outputs, study.settings.atlas.name)
    save = Node(SaveDerivatives(outputs=named), name=f"save_{source.name}_{outputs[0].scope}")
    save.inputs.output_dir = str(study.output_dir)
    save.inputs.places = places
    for row in outputs:
        workflow.connect(source, f"outputnode.{row.field}", save, row.field)


def connect_same(workflow: Workflow, source: Workflow, target: Workflow) -> None:
    """Connect all outputs of one workflow to the inputs of the same name of another."""
    given = source.get_node("outputnode").outputs.copyable_trait_names()
    for field in target.get_node("inputnode").inputs.copyable_trait_names():
        if field in given:
            workflow.connect(source, f"outputnode.{field}", target, f"inputnode.{field}")


def connect_list(
    workflow: Workflow, sources: list[Workflow], target: Workflow, fields: tuple[str, str]
) -> None:
    """Connect one output of several workflows, in their order, to a list of another.

    Parameters
    ----------
    workflow : Workflow
        Of which all are part.
    sources, target : Workflow
    fields : (str, str)
        Output of each source, input of the target.
    """
    merge = Node(Merge(len(sources)), f"{target.name}_{fields[1]}")
    for number, source in enumerate(sources, start=1):
        workflow.connect(source, f"outputnode.{fields[0]}", merge, f"in{number}")
    workflow.connect(merge, "out", target, f"inputnode.{fields[1]}")


def run_place(run: BoldRun, bids_dir: Path) -> Place:
    """Where files of a BOLD run go."""
    return Place(run.entities, (run_source(run, bids_dir),))


def task_place(runs: Iterable[BoldRun], bids_dir: Path) -> Place:
    """Where files of all runs of a task in a session go."""
    runs = list(runs)
    shared = tuple(pair for pair in runs[0].entities if pair[0] in ("sub", "ses", "task"))
    return Place(shared, tuple(run_source(run, bids_dir) for run in runs))


def run_source(run: BoldRun, bids_dir: Path) -> str:
    """Address of the image that a run was made of."""
    return run.derived.source if run.derived else source_address(bids_dir, run.file)


def of_scope(outputs: tuple[Output, ...], scope: str) -> tuple[Output, ...]:
    """Rows of a table of outputs that belong to the participant, or to each session."""
    return tuple(row for row in outputs if row.scope == scope)


def with_atlas(outputs: tuple[Output, ...], atlas: str) -> tuple[Output, ...]:
    """Rows with the name of the atlas in place of `{atlas}`."""
    return tuple(
        replace(
            row,
            entities=tuple((k, atlas if v == ATLAS else v) for k, v in row.entities),
        )
        for row in outputs
    )
