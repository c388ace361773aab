"""All images of one participant: anatomy of all sessions, each BOLD run, pictures, saving."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from nipype.interfaces.utility import Select
from nipype.pipeline.engine import Node, Workflow

from bids_utils.derivatives import source_address
from bids_utils.plan import BoldRun, ParticipantPlan, SessionPlan
from configs.atlases import Atlas
from configs.settings import Settings
from workflows.anat import ANAT_OUTPUTS, XFMS, init_anat_wf
from workflows.bold_tasks import add_session_tasks, model_outputs, session_tasks, task_outputs
from workflows.figures import (
    ANAT_FIGURE_OUTPUTS,
    BOLD_FIGURE_OUTPUTS,
    LATER_SESSION,
    init_anat_figures_wf,
    init_bold_figures_wf,
)
from workflows.fmriprep import init_derived_wf
from workflows.func import BOLD_OUTPUTS, TEMPLATE_FIELDS, init_bold_wf
from workflows.interfaces.save import Output, Place, output_file
from workflows.saving import (
    Study,
    connect_same,
    of_scope,
    run_place,
    save_outputs,
    task_place,
    with_atlas,
)
from workflows.series import TABLE_OUTPUTS

ANATOMY = (*ANAT_OUTPUTS, *ANAT_FIGURE_OUTPUTS)


def init_participant_wf(participant: ParticipantPlan, study: Study) -> Workflow:
    """Everything of one participant, from raw images to files in the derivative dataset.

    No input fields: images, places and settings come from the plan. The order of the
    sessions decides nothing but the order of the lists. Without any T1w image there is only
    BOLD that fMRIPrep preprocessed.
    """
    workflow = Workflow(participant_wf_name(participant.label))
    anat_wf = add_anatomy(workflow, participant, study) if t1w_sessions(participant) else None
    run_wfs = {}
    for run in bold_runs(participant):
        if run.derived:
            run_wfs[run] = add_derived_run(workflow, run, study)
        elif anat_wf is not None:
            run_wfs[run] = add_bold_run(workflow, anat_wf, run, study)
            connect_scanner(workflow, anat_wf, run_wfs[run], session_number(participant, run))
    add_session_tasks(workflow, participant, run_wfs, study)
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


def add_bold_run(workflow: Workflow, anat_wf: Workflow, run: BoldRun, study: Study) -> Workflow:
    """Add the processing of one raw BOLD run to the workflow of its participant."""
    bold_wf = init_bold_wf(run, study.settings, f"{run_name(run)}_wf")
    give_atlas(bold_wf, study.atlas)
    for field in TEMPLATE_FIELDS:
        if field != "atlas_file":
            workflow.connect(anat_wf, f"outputnode.{field}", bold_wf, f"inputnode.{field}")
    save_run(workflow, bold_wf, run, study)
    return bold_wf


def connect_scanner(
    workflow: Workflow, anat_wf: Workflow, bold_wf: Workflow, number: int | None
) -> None:
    """Tell a run where the T1w image of its session, the number-th, lies in the template."""
    if number is None:
        return
    pick = Node(Select(index=[number]), f"{bold_wf.name}_scanner")
    workflow.connect(anat_wf, f"outputnode.{XFMS}", pick, "inlist")
    workflow.connect(pick, "out", bold_wf, "inputnode.session2template_xfm")


def session_number(participant: ParticipantPlan, run: BoldRun) -> int | None:
    """Which of the sessions with a T1w image a run is from, from 0; None if that has none."""
    runs = [session.bold_runs for session in t1w_sessions(participant)]
    return next((number for number, own in enumerate(runs) if run in own), None)


def add_derived_run(workflow: Workflow, run: BoldRun, study: Study) -> Workflow:
    """Add one BOLD run that fMRIPrep preprocessed to the workflow of its participant."""
    bold_wf = init_derived_wf(run, study.settings, f"{run_name(run)}_wf")
    space = run.derived.space if run.derived else ""
    give_atlas(bold_wf, next((a for a in study.space_atlases if a.space == space), None))
    save_run(workflow, bold_wf, run, study)
    return bold_wf


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
    return TABLE_OUTPUTS if run.derived else BOLD_OUTPUTS


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


def expected_files(participant: ParticipantPlan, settings: Settings) -> Iterator[Path]:
    """Paths, relative to the derivative dataset, of all that a finished participant has."""
    atlas = settings.atlas.name
    for scope, places in anat_places(participant, Path("/")).items():
        if scope == LATER_SESSION:
            continue  # which session is the later one is up to the settings of the group level
        for row in with_atlas(of_scope(ANATOMY, scope), atlas):
            yield from (output_file(row, place) for place in places)
    for run in bold_runs(participant):
        own = (*run_outputs(run), *BOLD_FIGURE_OUTPUTS, *model_outputs(run, settings))
        for row in with_atlas(own, atlas):
            yield output_file(row, run_place(run, Path("/")))
    for scan in session_tasks(participant):
        for row in with_atlas(task_outputs(scan, settings), atlas):
            yield output_file(row, task_place(scan.runs, Path("/")))


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


def t1w_sessions(participant: ParticipantPlan) -> list[SessionPlan]:
    """Sessions with a T1w image, in time order."""
    return [session for session in participant.sessions if session.t1w_file is not None]


def bold_runs(participant: ParticipantPlan) -> list[BoldRun]:
    """BOLD runs of all sessions."""
    return [run for session in participant.sessions for run in session.bold_runs]


def input_files(participant: ParticipantPlan) -> list[Path]:
    """Images that are read for a participant, and tables of events."""
    anatomy = [session.t1w_file for session in participant.sessions if session.t1w_file]
    runs = bold_runs(participant)
    return [
        *anatomy,
        *(f for run in runs for f in (run.derived.files if run.derived else [run.file])),
        *(run.events_file for run in runs if run.events_file),
    ]
