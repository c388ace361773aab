"""All runs of a task in a session together: connectivity, task models, pictures, change."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from nipype.pipeline.engine import Workflow

from bids_utils.errors import SettingsError
from bids_utils.images import NOT_MODELLED
from bids_utils.names import build_name, nearest
from bids_utils.plan import BoldRun, ParticipantPlan
from configs.atlases import HOME_SPACE
from configs.settings import Settings, TaskSettings
from workflows.figures import (
    CONNECTIVITY_CHANGE_OUTPUTS,
    CONNECTIVITY_FIGURE_OUTPUTS,
    init_connectivity_change_wf,
    init_connectivity_figures_wf,
)
from workflows.interfaces.save import Output
from workflows.saving import Study, connect_list, connect_same, run_place, save_outputs, task_place
from workflows.series import CONNECTIVITY_OUTPUTS, init_connectivity_wf
from workflows.task import (
    TASK_FIGURE_OUTPUTS,
    TASK_RUN_OUTPUTS,
    TASK_SESSION_OUTPUTS,
    init_task_run_wf,
    init_task_session_wf,
    task_model,
)

ON_BRAIN = "connectome_change_figures"
RUN_IMAGES = ("boldref_file", "bold_dseg_file", "bold_atlas_file")


@dataclass(frozen=True)
class SessionTask:
    """Runs of one task in one session; the task is empty where names have none."""

    session: str
    task: str
    runs: tuple[BoldRun, ...]

    @property
    def name(self) -> str:
        """Start of the names of its workflows."""
        parts = (("ses", self.session), ("task", self.task))
        return "_".join(["bold", *(f"{key}_{label}" for key, label in parts if label)])


def session_tasks(participant: ParticipantPlan) -> list[SessionTask]:
    """Tasks of each session that have BOLD; sessions in time order."""
    found: dict[tuple[str, str], list[BoldRun]] = {}
    for session in participant.sessions:
        for run in session.bold_runs:
            found.setdefault((session.label, task_of(run)), []).append(run)
    return [SessionTask(*key, tuple(runs)) for key, runs in found.items()]


def task_of(run: BoldRun) -> str:
    """Task of a run, empty if its name has none."""
    return dict(run.entities).get("task", "")


def modelled_runs(scan: SessionTask, settings: Settings) -> tuple[BoldRun, ...]:
    """Runs whose task has a model in the settings, and that have events that can be read."""
    if model_of(scan, settings) is None:
        return ()
    return tuple(run for run in scan.runs if run.events_file and not run.events_problem)


def model_of(scan: SessionTask, settings: Settings) -> TaskSettings | None:
    """Model of a task in the settings."""
    return next((own for own in settings.func.tasks if own.task == scan.task), None)


def check_tasks(settings: Settings, regions: Sequence[str]) -> None:
    """Refuse models of tasks that cannot be computed, before anything is.

    Raises
    ------
    SettingsError
        A model is wrong, or a seed is not one of the `regions` of the atlas.
    DatasetError
        A BIDS Stats Models file cannot be read.
    """
    for task in settings.func.tasks:
        task_model(task)
        unknown = [seed for seed in task.ppi_seeds if seed not in regions]
        if unknown:
            raise SettingsError(
                f"func.tasks: ppi_seeds of task '{task.task}': the atlas {settings.atlas.name} has "
                f"no region '{unknown[0]}'; {nearest(unknown[0], regions)}"
            )


def task_notes(
    participants: Iterable[ParticipantPlan], settings: Settings
) -> list[tuple[str, str, str]]:
    """What is worth knowing of the models of tasks: what was found, where, what to do."""
    scans = [scan for person in participants for scan in session_tasks(person)]
    notes = [
        note
        for scan in scans
        if model_of(scan, settings) is not None
        for run in scan.runs
        for note in run_notes(run)
    ]
    for task in settings.func.tasks:
        where = f"func.tasks, task '{task.task}'"
        if not any(scan.task == task.task for scan in scans):
            notes.append(("no BOLD run of this task is used", where, "correct its name"))
        notes += [(note, where, "no need to act") for note in task_model(task).notes]
    return notes


def run_notes(run: BoldRun) -> list[tuple[str, str, str]]:
    """Why a run cannot be part of the model of its task, where, and what to do; empty if it can."""
    where = run.file.name
    if run.events_file is None:
        what = "there are no events of this run, so the task is not modelled in it"
        return [(what, where, f"add {build_name(run.entities, 'events', '.tsv')}")]
    todo = f"until this is corrected {NOT_MODELLED}; its connectivity is measured"
    return [(run.events_problem, where, todo)] if run.events_problem else []


def add_session_tasks(
    workflow: Workflow,
    participant: ParticipantPlan,
    run_wfs: Mapping[BoldRun, Workflow],
    study: Study,
) -> None:
    """Add what is made of several runs to the workflow of a participant.

    Parameters
    ----------
    workflow : Workflow
    participant : ParticipantPlan
    run_wfs : mapping of BoldRun to Workflow
        Workflow of each run; a run that is not here is left out.
    study : Study
    """
    connected: dict[str, list[tuple[str, Workflow, SessionTask]]] = {}
    for scan in session_tasks(participant):
        there = tuple(run for run in scan.runs if run in run_wfs)
        if not there:
            continue
        scan = SessionTask(scan.session, scan.task, there)
        own = add_connectivity(workflow, scan, run_wfs, study)
        connected.setdefault(scan.task, []).append((scan.session, own, scan))
        add_task_model(workflow, scan, run_wfs, study)
    for waves in connected.values():
        add_connectivity_change(workflow, waves, study)


def add_connectivity(
    workflow: Workflow, scan: SessionTask, run_wfs: Mapping[BoldRun, Workflow], study: Study
) -> Workflow:
    """Add connectivity of a task in a session and its pictures; returns its workflow."""
    sources = [run_wfs[run] for run in scan.runs]
    joined = init_connectivity_wf(study.settings.func, f"{scan.name}_connectivity_wf")
    connect_list(workflow, sources, joined, ("clean_file", "clean_files"))
    connect_list(workflow, sources, joined, ("timeseries_json", "timeseries_jsons"))
    places = [task_place(scan.runs, study.bids_dir)]
    save_outputs(workflow, joined, CONNECTIVITY_OUTPUTS, places, study)
    figures = init_connectivity_figures_wf(
        study.settings.atlas.name, study.settings.func.circuits, f"{scan.name}_matrices_wf"
    )
    connect_same(workflow, joined, figures)
    for field in RUN_IMAGES:
        workflow.connect(sources[0], f"outputnode.{field}", figures, f"inputnode.{field}")
    if study.atlas is not None:
        figures.inputs.inputnode.atlas_labels_file = str(study.atlas.labels_file)
    save_outputs(workflow, figures, CONNECTIVITY_FIGURE_OUTPUTS, places, study)
    return joined


def add_task_model(
    workflow: Workflow, scan: SessionTask, run_wfs: Mapping[BoldRun, Workflow], study: Study
) -> None:
    """Add the model of a task that the settings describe: of each run, and over runs."""
    settings = study.settings
    runs, task = modelled_runs(scan, settings), model_of(scan, settings)
    if not runs or task is None:
        return
    models = []
    for number, run in enumerate(runs, start=1):
        own = init_task_run_wf(run, task, settings.func, f"{scan.name}_model_{number}_wf")
        connect_same(workflow, run_wfs[run], own)
        places = [run_place(run, study.bids_dir)]
        save_outputs(workflow, own, (*TASK_RUN_OUTPUTS, *TASK_FIGURE_OUTPUTS), places, study)
        models.append(own)
    names = tuple(run.file.name for run in runs)
    session = init_task_session_wf(names, f"{scan.name}_contrasts_wf")
    connect_list(workflow, models, session, ("run_contrasts_file", "run_contrasts_files"))
    connect_list(workflow, models, session, ("run_contrasts_json", "run_contrasts_jsons"))
    places = [task_place(runs, study.bids_dir)]
    save_outputs(workflow, session, TASK_SESSION_OUTPUTS, places, study)


def add_connectivity_change(
    workflow: Workflow, waves: list[tuple[str, Workflow, SessionTask]], study: Study
) -> None:
    """Add pictures of how the connectivity of a task changed since its first session.

    The regions are drawn on the brain of the space of our own images: not where they lie in
    another space.
    """
    if len(waves) < 2 or study.atlas is None:
        return
    labels = tuple(session for session, _, _ in waves)
    task = f"_task_{waves[0][2].task}" if waves[0][2].task else ""
    figures = init_connectivity_change_wf(labels, f"bold{task}_change_wf")
    connect_list(workflow, [own for _, own, _ in waves], figures, ("relmat_file", "relmat_files"))
    inputs = figures.inputs.inputnode
    inputs.atlas_file, inputs.atlas_labels_file = study.atlas.file, study.atlas.labels_file
    places = [task_place(scan.runs, study.bids_dir) for _, _, scan in waves[1:]]
    is_home = study.atlas.space == HOME_SPACE
    drawn = [row for row in CONNECTIVITY_CHANGE_OUTPUTS if is_home or row.field != ON_BRAIN]
    save_outputs(workflow, figures, tuple(drawn), places, study)


def task_outputs(scan: SessionTask, settings: Settings) -> tuple[Output, ...]:
    """Files of a task in a session that a finished participant has."""
    rows = (*CONNECTIVITY_OUTPUTS, *CONNECTIVITY_FIGURE_OUTPUTS)
    return (*rows, *TASK_SESSION_OUTPUTS) if modelled_runs(scan, settings) else rows


def model_outputs(run: BoldRun, settings: Settings) -> tuple[Output, ...]:
    """Files of the task model of a run."""
    scan = SessionTask("", task_of(run), (run,))
    return (*TASK_RUN_OUTPUTS, *TASK_FIGURE_OUTPUTS) if modelled_runs(scan, settings) else ()
