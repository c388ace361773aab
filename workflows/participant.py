"""All images of one participant: anatomy of all sessions, each BOLD run, pictures, saving."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from nipype.pipeline.engine import Node, Workflow

from bids_utils.derivatives import source_address
from bids_utils.plan import BoldRun, ParticipantPlan, SessionPlan
from configs.atlases import Atlas
from configs.settings import Settings
from workflows.anat import ANAT_OUTPUTS, init_anat_wf
from workflows.figures import (
    ANAT_FIGURE_OUTPUTS,
    BOLD_FIGURE_OUTPUTS,
    LATER_SESSION,
    init_anat_figures_wf,
    init_bold_figures_wf,
)
from workflows.fmriprep import DERIVED_OUTPUTS, init_derived_wf
from workflows.func import BOLD_OUTPUTS, TEMPLATE_FIELDS, init_bold_wf
from workflows.interfaces.save import Output, Place, SaveDerivatives, output_file

ATLAS_LABEL = "{atlas}"
ANATOMY = (*ANAT_OUTPUTS, *ANAT_FIGURE_OUTPUTS)


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


def init_participant_wf(participant: ParticipantPlan, study: Study) -> Workflow:
    """Everything of one participant, from raw images to files in the derivative dataset.

    No input fields: images, places and settings come from the plan. The order of the
    sessions decides nothing but the order of the lists. Without any T1w image there is only
    BOLD that fMRIPrep preprocessed.
    """
    workflow = Workflow(participant_wf_name(participant.label))
    anat_wf = add_anatomy(workflow, participant, study) if t1w_sessions(participant) else None
    for run in bold_runs(participant):
        if run.derived:
            add_derived_run(workflow, run, study)
        elif anat_wf is not None:
            add_bold_run(workflow, anat_wf, run, study)
    return workflow


def add_anatomy(workflow: Workflow, participant: ParticipantPlan, study: Study) -> Workflow:
    """Add the anatomy of all sessions to the workflow of its participant."""
    scanned = t1w_sessions(participant)
    anat_wf = init_anat_wf(len(scanned), study.settings)
    anat_wf.inputs.inputnode.t1w_files = [str(session.t1w_file) for session in scanned]
    give_atlas(anat_wf, study.atlas)
    figures_wf = init_anat_figures_wf(tuple(session.label for session in scanned))
    connect_same(workflow, anat_wf, figures_wf)
    places = anat_places(participant, study.bids_dir)
    for scope, own in places.items():
        save_outputs(workflow, anat_wf, of_scope(ANAT_OUTPUTS, scope), own, study)
        save_outputs(workflow, figures_wf, of_scope(ANAT_FIGURE_OUTPUTS, scope), own, study)
    return anat_wf


def participant_wf_name(participant: str) -> str:
    """Name of the workflow of a participant."""
    return f"sub_{participant}_wf"


def add_bold_run(workflow: Workflow, anat_wf: Workflow, run: BoldRun, study: Study) -> None:
    """Add the processing of one raw BOLD run to the workflow of its participant."""
    bold_wf = init_bold_wf(run, study.settings, f"{run_name(run)}_wf")
    give_atlas(bold_wf, study.atlas)
    for field in TEMPLATE_FIELDS:
        if field != "atlas_file":
            workflow.connect(anat_wf, f"outputnode.{field}", bold_wf, f"inputnode.{field}")
    save_run(workflow, bold_wf, run, study)


def add_derived_run(workflow: Workflow, run: BoldRun, study: Study) -> None:
    """Add one BOLD run that fMRIPrep preprocessed to the workflow of its participant."""
    bold_wf = init_derived_wf(run, study.settings, f"{run_name(run)}_wf")
    space = run.derived.space if run.derived else ""
    give_atlas(bold_wf, next((a for a in study.space_atlases if a.space == space), None))
    save_run(workflow, bold_wf, run, study)


def save_run(workflow: Workflow, bold_wf: Workflow, run: BoldRun, study: Study) -> None:
    """Draw and save what a BOLD run gave."""
    figures_wf = init_bold_figures_wf(
        run.repetition_time_s, study.settings.func.fd_threshold_mm, f"{run_name(run)}_figures_wf"
    )
    connect_same(workflow, bold_wf, figures_wf)
    places = [run_place(run, study.bids_dir)]
    save_outputs(workflow, bold_wf, run_outputs(run), places, study)
    save_outputs(workflow, figures_wf, BOLD_FIGURE_OUTPUTS, places, study)


def run_name(run: BoldRun) -> str:
    """Start of the names of the workflows of a BOLD run."""
    return "_".join(["bold", *(f"{key}_{label}" for key, label in run.entities if key != "sub")])


def run_outputs(run: BoldRun) -> tuple[Output, ...]:
    """Files of a BOLD run that are saved; images of fMRIPrep are not saved once more."""
    return DERIVED_OUTPUTS if run.derived else BOLD_OUTPUTS


def give_atlas(workflow: Workflow, atlas: Atlas | None) -> None:
    """Set image and table of the regions as inputs of a workflow, and the brain they lie in.

    Raises
    ------
    ValueError
        The study has no atlas in this space.
    """
    if atlas is None:
        raise ValueError("study: has no atlas, which images need; see standard_atlas")
    inputs = workflow.inputs.inputnode
    inputs.atlas_file = str(atlas.file)
    inputs.atlas_labels_file = str(atlas.labels_file)
    if "brain_file" in inputs.copyable_trait_names() and atlas.brain_file is not None:
        inputs.brain_file = str(atlas.brain_file)


def connect_same(workflow: Workflow, source: Workflow, target: Workflow) -> None:
    """Connect all outputs of one workflow to the inputs of the same name of another."""
    given = source.get_node("outputnode").outputs.copyable_trait_names()
    for field in target.get_node("inputnode").inputs.copyable_trait_names():
        if field in given:
            workflow.connect(source, f"outputnode.{field}", target, f"inputnode.{field}")


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


def expected_files(participant: ParticipantPlan, settings: Settings) -> Iterator[Path]:
    """Paths, relative to the derivative dataset, of all that a finished participant has."""
    atlas = settings.atlas.name
    for scope, places in anat_places(participant, Path("/")).items():
        if scope == LATER_SESSION:
            continue  # which session is the later one is up to the settings of the group level
        for row in with_atlas(of_scope(ANATOMY, scope), atlas):
            yield from (output_file(row, place) for place in places)
    for run in bold_runs(participant):
        for row in with_atlas((*run_outputs(run), *BOLD_FIGURE_OUTPUTS), atlas):
            yield output_file(row, run_place(run, Path("/")))


def anat_places(participant: ParticipantPlan, bids_dir: Path) -> dict[str, list[Place]]:
    """Where files of the participant, of its sessions, and of all but the first go; time order.

    Empty where there is no T1w image.
    """
    scanned = t1w_sessions(participant)
    if not scanned:
        return {}
    subject = (("sub", participant.label),)
    sources = {s.label: source_address(bids_dir, s.t1w_file) for s in scanned if s.t1w_file}
    sessions = [Place((*subject, ("ses", label)), (source,)) for label, source in sources.items()]
    return {
        "participant": [Place(subject, tuple(sources.values()))],
        "session": sessions,
        LATER_SESSION: sessions[1:],
    }


def run_place(run: BoldRun, bids_dir: Path) -> Place:
    """Where files of a BOLD run go."""
    source = run.derived.source if run.derived else source_address(bids_dir, run.file)
    return Place(run.entities, (source,))


def t1w_sessions(participant: ParticipantPlan) -> list[SessionPlan]:
    """Sessions with a T1w image, in time order."""
    return [session for session in participant.sessions if session.t1w_file is not None]


def bold_runs(participant: ParticipantPlan) -> list[BoldRun]:
    """BOLD runs of all sessions."""
    return [run for session in participant.sessions for run in session.bold_runs]


def input_files(participant: ParticipantPlan) -> list[Path]:
    """Images that are read for a participant."""
    anatomy = [session.t1w_file for session in participant.sessions if session.t1w_file]
    runs = bold_runs(participant)
    return [
        *anatomy,
        *(f for run in runs for f in (run.derived.files if run.derived else [run.file])),
    ]


def of_scope(outputs: tuple[Output, ...], scope: str) -> tuple[Output, ...]:
    """Rows of a table of outputs that belong to the participant, or to each session."""
    return tuple(row for row in outputs if row.scope == scope)


def with_atlas(outputs: tuple[Output, ...], atlas: str) -> tuple[Output, ...]:
    """Rows with the name of the atlas in place of `{atlas}`."""
    return tuple(
        replace(
            row,
            entities=tuple((k, atlas if v == ATLAS_LABEL else v) for k, v in row.entities),
        )
        for row in outputs
    )
