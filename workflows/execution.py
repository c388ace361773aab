"""Running graphs on this machine, and writing how each participant ended."""

from __future__ import annotations

import logging
import shutil
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path

from nipype.pipeline.engine import Workflow
from rich.console import Console

from bids_utils.derivatives import log_folder, remove_leftovers
from bids_utils.errors import DatasetError
from bids_utils.names import with_prefix
from bids_utils.plan import ParticipantPlan
from configs.atlases import HOME_SPACE, chosen_atlas
from workflows.atlas import standard_atlas
from workflows.completion import forget_results, is_done, missing_files, saved_files
from workflows.failures import Failure, crash_folder, read_failures
from workflows.fmriprep import space_atlas, used_spaces
from workflows.interfaces.participant_page import page_file
from workflows.interfaces.save import known_output
from workflows.locks import LockedError, locked
from workflows.options import Options
from workflows.participant import (
    bold_runs,
    init_participant_wf,
    participant_wf_name,
    t1w_sessions,
)
from workflows.plugin import LocalPlugin
from workflows.processes import Stopped
from workflows.progress import NodeProgress
from workflows.provenance import participant_file, write_participant_provenance
from workflows.records import (
    Record,
    fingerprint,
    forget_record,
    is_running,
    lock_file,
    read_record,
    write_record,
)
from workflows.saving import Study
from workflows.seals import remove_unsealed

LOGGER = logging.getLogger(__name__)
PEOPLE_PER_CORE, FEWEST, MOST = 4, 16, 200
"""Participants of one graph."""
DAY_S = 24 * 3600


def with_atlases(
    study: Study, todo: list[ParticipantPlan], options: Options, console: Console
) -> Study:
    """Study with its atlas in the space of the images and in those of fMRIPrep, each made once.

    Where there are no T1w images, the first space is that of fMRIPrep.

    Raises
    ------
    PipelineError
        It is not as described, or could not be carried to one of these spaces.
    """

    def run(workflow: Workflow) -> None:
        place = versioned(options.work_dir) / "atlas"
        place.mkdir(parents=True, exist_ok=True)
        remove_old(place)
        with tempfile.TemporaryDirectory(dir=place) as folder:
            crash_dir = options.output_dir / "logs" / "atlas" / Path(folder).name
            workflow.base_dir = folder
            workflow.config = execution_config(options, crash_dir)
            run_graph(workflow, {workflow.name: "atlas"}, (options, console), LOGGER.info)
            failures = read_failures(crash_dir)
        if failures:
            raise failures[0].as_error()

    chosen = chosen_atlas(study.settings.atlas)
    spaces = used_spaces(run for participant in todo for run in bold_runs(participant))
    is_needed = HOME_SPACE in spaces or any(t1w_sessions(participant) for participant in todo)
    ready = standard_atlas(chosen, options.output_dir, run if is_needed else leave_out)
    how = (options.output_dir, run)
    atlases = tuple(space_atlas(chosen, ready, space, how) for space in spaces)
    first = ready if is_needed or not atlases else atlases[0]
    return replace(study, atlas=first, space_atlases=atlases)


def remove_old(place: Path) -> None:
    """Remove folders of yesterday and before, which killed runs left; others may be in use."""
    for folder in place.iterdir():
        with suppress(FileNotFoundError):  # another job removes it at the same moment
            if time.time() - folder.stat().st_mtime > DAY_S:
                shutil.rmtree(folder, ignore_errors=True)


def leave_out(workflow: Workflow) -> None:
    """Do not make labels in the space of the images: there are none."""
    LOGGER.info("%s is not needed: there are no T1w images", workflow.name)


def run_images(
    todo: list[ParticipantPlan], study: Study, options: Options, console: Console
) -> None:
    """Run the participant workflows, some people at a time; write how each ended as soon as it did.

    Those whom another run works on, or has finished meanwhile, are left alone.

    Raises
    ------
    Stopped
        A signal asked to stop; the records of those who were not finished say so.
    """
    for people in batches(todo, options.nprocs):
        with ExitStack() as locks:
            free = [one for one in people if is_free(one, options, locks, console)]
            run_free([one for one in free if not is_done(one, study)], study, options, console)
        records = [read_record(study.output_dir, one.label) for one in people]
        if options.stop_on_first_crash and any(record.status == "failed" for record in records):
            return


def batches(todo: list[ParticipantPlan], n_procs: int) -> list[list[ParticipantPlan]]:
    """Participants whose steps are in one graph; a few for each core, so that none waits for long.

    A person costs 3 MB and two open locks as long as the graph is there, and Nipype looks at all
    steps of a graph each time one ends.
    """
    size = min(max(FEWEST, PEOPLE_PER_CORE * n_procs), MOST)
    return [todo[start : start + size] for start in range(0, len(todo), size)]


def is_free(
    participant: ParticipantPlan, options: Options, locks: ExitStack, console: Console
) -> bool:
    """Whether nobody else works on a participant, in this output or work folder; if so, lock it."""
    label = participant.label
    work = participant_work(label, options)
    try:
        locks.enter_context(locked(lock_file(options.output_dir, label)))
        locks.enter_context(locked(work.with_name(f"{work.name}.lock")))
    except LockedError as error:
        text = f"{with_prefix(label, 'sub')}: left alone: {error}"
        console.print(text, highlight=False, markup=False, soft_wrap=True)
        return False
    return True


def run_free(todo: list[ParticipantPlan], study: Study, options: Options, console: Console) -> None:
    """Run the participant workflows in one graph; nobody else works on these participants.

    Raises
    ------
    DatasetError
        The output folder is gone; nothing can be written about anybody.
    """
    workflow = Workflow("participants_wf", base_dir=str(versioned(options.work_dir)))
    workflow.config = execution_config(options, options.output_dir / "logs")
    running = {}
    for participant in todo:
        forget_run(participant, study, options)
        one = init_participant_wf(participant, study)
        workflow.add_nodes([one])
        started = Started(participant, fingerprint(participant, study.settings))
        running[with_prefix(participant.label, "sub")] = started
        crash_dir = crash_folder(options.output_dir, participant.label)
        for name in one.list_node_names():
            one.get_node(name).config = execution_config(options, crash_dir)

    def close(title: str) -> None:
        close_participant(running[title], study, options)
        del running[title]

    titles = {participant_wf_name(one.participant.label): name for name, one in running.items()}
    try:
        if todo:
            run_graph(workflow, titles, (options, console), close)
    except Stopped as stop:
        for started in running.values():
            stop_participant(started, study, str(stop))
        raise
    known_output(study.output_dir)
    for started in running.values():
        stop_participant(started, study)


@dataclass(frozen=True)
class Started:
    """A participant who is worked on, and the fingerprint of the inputs when that began."""

    participant: ParticipantPlan
    fingerprint: str


def forget_run(participant: ParticipantPlan, study: Study, options: Options) -> None:
    """Say that a participant is not done, and remove what cannot be used of earlier runs.

    These are results, the page, crash files, files that a killed run was writing, and steps that
    are not whole.

    Raises
    ------
    DatasetError
        A folder cannot be written.
    """
    label, root = participant.label, options.output_dir
    forget_record(root, label)
    shutil.rmtree(crash_folder(root, label), ignore_errors=True)
    forget_results(participant, study)
    page_file(root, label).unlink(missing_ok=True)
    participant_file(root, label).unlink(missing_ok=True)
    for folder in (root / with_prefix(label, "sub"), log_folder(root, label)):
        remove_leftovers(folder)
    for folder in remove_unsealed(participant_work(label, options)):
        LOGGER.info("%s: this step is not whole and runs again", folder)


def run_graph(
    workflow: Workflow,
    titles: dict[str, str],
    how: tuple[Options, Console],
    finished: Callable[[str], None],
) -> None:
    """Run a workflow on the cores given; failed nodes leave crash files and stop nobody else."""
    options, console = how
    with NodeProgress(workflow, titles, console, finished) as progress:
        arguments: dict[str, float | bool] = {
            "n_procs": options.nprocs,
            "raise_insufficient": False,
        }
        if options.mem_gb is not None:
            arguments["memory_gb"] = options.mem_gb
        try:
            workflow.run(plugin=LocalPlugin(arguments, progress))
        except RuntimeError as error:
            LOGGER.info("%s", error)
            if not progress.failed:
                raise


def execution_config(options: Options, crash_dir: Path) -> dict[str, dict[str, str]]:
    """Nipype's configuration for one run: text crash files, no report files, quick polling."""
    execution = {
        "crashdump_dir": str(crash_dir),
        "crashfile_format": "txt",
        "create_report": "false",
        "check_version": "false",
        "poll_sleep_duration": "0.05",
        "stop_on_first_crash": str(options.stop_on_first_crash).lower(),
    }
    return {"execution": execution}


def close_participant(started: Started, study: Study, options: Options) -> None:
    """Write that a participant came to the end: done only if each expected file is there."""
    participant = started.participant
    missing = missing_files(participant, study)
    files = saved_files(participant, study)
    cause = f"missing at the end: {', '.join(map(str, missing[:3]))} ...; run it again"
    failures = [Failure("saving", "ToolError", cause, "")] if missing else []
    if not failures:
        write_participant_provenance(participant, study, options)
    how = (started.fingerprint, failures, files)
    record = write_record(study.output_dir, participant.label, *how)
    if options.clean_workdir and record.status == "done":
        remove_work(participant.label, options)


def remove_work(label: str, options: Options) -> None:
    """Remove all that Nipype keeps of a participant, also what killed runs left.

    Raises
    ------
    DatasetError
        Something cannot be removed.
    """
    folder = participant_work(label, options)
    try:
        if folder.is_dir():
            shutil.rmtree(folder)
    except OSError as error:
        raise DatasetError(
            f"{folder}: cannot be removed ({error.strerror}); delete it, its results are saved"
        ) from error


def clean_work(records: Mapping[str, Record], options: Options) -> None:
    """Remove the work of those who are done, whichever run did them, and nobody works on."""
    for label, record in records.items():
        if record.status == "done" and not is_running(options.output_dir, label):
            remove_work(label, options)


def stop_participant(started: Started, study: Study, signal: str = "") -> None:
    """Write that a participant did not come to the end, and why: failures, or a signal."""
    participant = started.participant
    failures = read_failures(crash_folder(study.output_dir, participant.label))
    if signal:
        failures.append(Failure("", "PipelineError", signal, ""))
    unfinished = Failure("run", "ToolError", "was not run to its end; run it again", "")
    how = (started.fingerprint, failures or [unfinished], saved_files(participant, study))
    write_record(study.output_dir, participant.label, *how)


def participant_work(label: str, options: Options) -> Path:
    """Work folder of one participant."""
    return versioned(options.work_dir) / "participants_wf" / participant_wf_name(label)


def group_locks(options: Options) -> tuple[Path, Path]:
    """Files that whoever runs the group level holds the locks of: of its output, of its work."""
    work = versioned(options.work_dir)
    return options.output_dir / "logs" / "group" / "lock", work / "group_wf.lock"


def versioned(work_dir: Path) -> Path:
    """Work folder of this version: a new version must not take over results of an old one."""
    return work_dir / f"braindelta-{version('braindelta')}"
