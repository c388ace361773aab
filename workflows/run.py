"""One call of the command: plan, run what is not done, and say truly how it ended."""

from __future__ import annotations

import logging
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import pandas as pd
from nipype.pipeline.engine import Workflow
from rich.console import Console

from bids_utils.derivatives import read_table, validate_bids, write_table
from bids_utils.errors import DatasetError, SettingsError
from bids_utils.exclusions import LISTED, read_exclusions
from bids_utils.filters import read_filters
from bids_utils.images import EXCLUDED, USED
from bids_utils.index import Selection
from bids_utils.names import parse_name, with_prefix
from bids_utils.plan import (
    ANATOMY,
    FUNCTION,
    LEDGER_DICTIONARY,
    DerivedRequest,
    ParticipantPlan,
    Plan,
    PlanRequest,
    SessionPlan,
    make_plan,
)
from configs.atlases import HOME_SPACE, chosen_atlas
from configs.lock import make_lock, write_lock
from configs.settings import Settings, load_settings
from workflows.atlas import standard_atlas
from workflows.bold_tasks import check_tasks, session_tasks, task_notes
from workflows.compute.bold_checks import MIN_VOLUMES
from workflows.failures import Failure, read_failures
from workflows.fmriprep import space_atlas, space_brains, used_spaces
from workflows.group import init_group_wf, input_tables
from workflows.interfaces.group_quality import flagged_ledger
from workflows.interfaces.headers import read_image_facts
from workflows.interfaces.measure_sources import Intake
from workflows.options import (
    Options,
    check_sources,
    fmriprep_trees,
    intake_of,
    sources_of,
    with_seed,
)
from workflows.output_dataset import ledger_file, prepare_output
from workflows.participant import (
    bold_runs,
    expected_files,
    init_participant_wf,
    participant_wf_name,
    t1w_sessions,
)
from workflows.plugin import LocalPlugin
from workflows.progress import NodeProgress
from workflows.questions import session_moments
from workflows.records import (
    Record,
    crash_folder,
    fingerprint,
    forget_record,
    read_record,
    write_record,
)
from workflows.report import write_group_report, write_participant_report
from workflows.saving import Study
from workflows.tables import plan_table, status_table

LOGGER = logging.getLogger(__name__)
DONE, FAILED, SOME_FAILED, NOTHING_TO_DO = 0, 1, 10, 11
OUTDATED = "made with other settings, images or version, or incomplete; run the level participant"


def execute(options: Options) -> int:
    """Exit code of one call of the command."""
    settings = with_seed(load_settings(options.settings), options.random_seed)
    if options.output_dir == options.bids_dir:
        raise SettingsError(f"{options.output_dir}: the output folder must not be the dataset")
    check_sources(options, settings)
    atlas = chosen_atlas(settings.atlas)
    if settings.func.tasks:
        check_tasks(settings, list(read_table(atlas.labels_file, ["name"])["name"]))
    levels = {
        "plan": run_plan,
        "participant": run_participants,
        "group": run_group,
        "lock": run_lock,
    }
    return levels.get(options.level, run_status)(options, settings, Console())


def make_cohort_plan(options: Options, settings: Settings) -> Plan:
    """Who will be processed with which files, of what the command line asks for."""
    filters = read_filters(options.bids_filter_file) if options.bids_filter_file else {}
    exclude = settings.sessions.exclude
    request = PlanRequest(
        bids_dir=options.bids_dir,
        order=settings.sessions.order,
        interval_days=settings.sessions.interval_days,
        moments=tuple(session_moments(settings)),
        tr_tolerance_s=settings.func.tr_tolerance_s,
        selection=Selection(
            options.participant_label, options.session_label, options.task_id, filters
        ),
        exclusions=read_exclusions(exclude) if exclude else (),
        repetition_time_s=settings.func.repetition_time_s,
        slice_timing=settings.func.slice_timing,
        derived=derived_request(options, settings),
        modelled_tasks=tuple(task.task for task in settings.func.tasks),
        min_volumes=MIN_VOLUMES,
    )
    plan = make_plan(request, read_image_facts)
    return replace(plan, notes=(*plan.notes, *task_notes(plan.participants, settings)))


def derived_request(options: Options, settings: Settings) -> DerivedRequest | None:
    """Which results of fMRIPrep are read and in which spaces; None if none are given."""
    trees = fmriprep_trees(options)
    if not trees:
        return None
    brains, absent = space_brains(chosen_atlas(settings.atlas))
    sources = settings.sources
    return DerivedRequest(trees, tuple(brains), sources.scans, sources.session or "", absent)


def show_notes(plan: Plan, console: Console) -> None:
    """Print what is worth knowing about the plan and stops nobody."""
    for what, where, todo in plan.notes:
        console.print(
            f"note: {where}: {what}; {todo}", highlight=False, markup=False, soft_wrap=True
        )


def check_dataset(options: Options) -> None:
    """Stop if the dataset is not valid BIDS; not once for each job of a cluster.

    Raises
    ------
    DatasetError
        The validator found errors; the first ones are in the message.
    """
    if options.skip_bids_validation or options.participant_label:
        return
    errors = [error for error in validate_bids(options.bids_dir) if not is_score_by_session(error)]
    if errors:
        shown = "\n  ".join(errors[:10])
        more = f"\n  and {len(errors) - 10} more" if len(errors) > 10 else ""
        raise DatasetError(
            f"{options.bids_dir}: not valid BIDS:\n  {shown}{more}\n"
            "correct this, or go on with --skip-bids-validation"
        )


def is_score_by_session(error: str) -> bool:
    """Whether the validator objects to several rows of a person in phenotype/, one a session.

    The specification has no rule for them yet (BEP 36); they are read all the same.
    """
    return "/phenotype/" in error and "TSV_INDEX_VALUE_NOT_UNIQUE" in error


def run_plan(options: Options, settings: Settings, console: Console) -> int:
    """Show and write what would be done with which file."""
    plan = make_cohort_plan(options, settings)
    check_dataset(options)
    console.print(plan_table(plan))
    show_notes(plan, console)
    if not options.dry_run:
        prepare_output(options, settings, plan.ledger)
        console.print(f"Written: {options.output_dir / 'ledger.tsv'}", soft_wrap=True)
    return DONE if plan.participants else NOTHING_TO_DO


def run_participants(options: Options, settings: Settings, console: Console) -> int:
    """Process the participants that are not done; one failure does not stop the others."""
    plan = make_cohort_plan(options, settings)
    check_dataset(options)
    study = Study(options.bids_dir, options.output_dir, settings)
    todo = [p for p in plan.participants if not is_done(p, study)]
    console.print(plan_table(plan))
    show_notes(plan, console)
    console.print(f"{len(plan.participants)} planned, {len(todo)} to do")
    if options.dry_run:
        return DONE if todo else NOTHING_TO_DO
    prepare_output(options, settings, plan.ledger)
    if options.boilerplate_only:
        return DONE
    if todo and not options.reports_only:
        study = with_atlases(study, todo, options, console)
        run_images(todo, study, options, console)
    for participant in plan.participants if options.reports_only else todo:
        rows = plan.ledger[plan.ledger["participant_id"] == with_prefix(participant.label, "sub")]
        write_table(rows, ledger_file(options.output_dir, participant.label), LEDGER_DICTIONARY)
        write_participant_report(options.output_dir, participant.label)
    records = current_records(plan, study)
    show_failures(records, console)
    return exit_code(records, plan, bool(todo))


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
        options.work_dir.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=options.work_dir) as folder:
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


def leave_out(workflow: Workflow) -> None:
    """Do not make labels in the space of the images: there are none."""
    LOGGER.info("%s is not needed: there are no T1w images", workflow.name)


def run_images(
    todo: list[ParticipantPlan], study: Study, options: Options, console: Console
) -> None:
    """Run the participant workflows in one graph; write how each ended as soon as it did."""
    workflow = Workflow("participants_wf", base_dir=str(versioned(options.work_dir)))
    workflow.config = execution_config(options, options.output_dir / "logs")
    running = {}
    for participant in todo:
        crash_dir = crash_folder(options.output_dir, participant.label)
        shutil.rmtree(crash_dir, ignore_errors=True)
        forget_record(options.output_dir, participant.label)
        forget_results(participant, study)
        one = init_participant_wf(participant, study)
        workflow.add_nodes([one])
        running[with_prefix(participant.label, "sub")] = participant
        for name in one.list_node_names():
            one.get_node(name).config = execution_config(options, crash_dir)

    def close(title: str) -> None:
        close_participant(running.pop(title), study, options)

    titles = {participant_wf_name(p.label): title for title, p in running.items()}
    if todo:
        run_graph(workflow, titles, (options, console), close)
    for participant in running.values():
        stop_participant(participant, study)


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


def close_participant(participant: ParticipantPlan, study: Study, options: Options) -> None:
    """Write that a participant came to the end: done only if each expected file is there."""
    missing = missing_files(participant, study)
    cause = f"missing at the end: {', '.join(map(str, missing[:3]))} ...; run it again"
    failures = [Failure("saving", "ToolError", cause, "")] if missing else []
    print_ = fingerprint(participant, study.settings)
    record = write_record(study.output_dir, participant.label, print_, failures)
    if options.clean_workdir and record.status == "done":
        work = versioned(options.work_dir) / "participants_wf"
        shutil.rmtree(work / participant_wf_name(participant.label))


def stop_participant(participant: ParticipantPlan, study: Study) -> None:
    """Write that a participant did not come to the end, and why."""
    failures = read_failures(crash_folder(study.output_dir, participant.label))
    unfinished = Failure("run", "ToolError", "was not run to its end; run it again", "")
    print_ = fingerprint(participant, study.settings)
    write_record(study.output_dir, participant.label, print_, failures or [unfinished])


def versioned(work_dir: Path) -> Path:
    """Work folder of this version: a new version must not take over results of an old one."""
    return work_dir / f"braindelta-{version('braindelta')}"


def missing_files(participant: ParticipantPlan, study: Study) -> list[Path]:
    """Expected files of a participant that are not there."""
    expected = expected_files(participant, study.settings)
    return [file for file in expected if not (study.output_dir / file).is_file()]


def forget_results(participant: ParticipantPlan, study: Study) -> None:
    """Remove files of an older run, so that those that are there at the end are of this one."""
    for file in expected_files(participant, study.settings):
        (study.output_dir / file).unlink(missing_ok=True)


def is_done(participant: ParticipantPlan, study: Study) -> bool:
    """Whether the same inputs and settings were processed before and all files are there."""
    record = read_record(study.output_dir, participant.label)
    same = record.fingerprint == fingerprint(participant, study.settings)
    return record.status == "done" and same and not missing_files(participant, study)


def run_group(options: Options, settings: Settings, console: Console) -> int:
    """Measures, change, models and report of all participants that are there."""
    records: dict[str, Record] = {}
    ledger, intake = None, intake_of(options)
    if intake.derivatives:
        plan = make_cohort_plan(options, settings)
        study = Study(options.bids_dir, options.output_dir, settings)
        records = current_records(plan, study)
        ledger = without_unfinished(plan, records, study)
        if not (ledger["status"] == USED).any():
            raise DatasetError(
                f"{options.output_dir}: nobody is done with these settings and sessions; run the "
                "level participant, or give -d fmriprep=PATH here too if it was given there"
            )
    if options.dry_run:
        console.print(status_table(records))
        return DONE
    prepare_output(options, settings, ledger)
    if options.boilerplate_only:
        return DONE
    if not options.reports_only:
        run_models(options, settings, (intake, console))
    if ledger is not None and not options.participant_label:
        flagged = flagged_ledger(ledger, options.output_dir / "group")
        write_table(flagged, options.output_dir / "ledger.tsv", LEDGER_DICTIONARY)
    write_group_report(options.output_dir)
    console.print(f"Report: {options.output_dir / 'group' / 'report.html'}", soft_wrap=True)
    show_failures(records, console)
    problems = read_table(options.output_dir / "group" / "problems.tsv")
    for row in problems.itertuples():
        text = f"{row.kind}: {row.where}: {row.what}; {row.what_to_do}"
        console.print(text, highlight=False, markup=False, soft_wrap=True)
    incomplete = any(record.status != "done" for record in records.values())
    return SOME_FAILED if incomplete or (problems["kind"] == "problem").any() else DONE


def run_lock(options: Options, settings: Settings, console: Console) -> int:
    """Write down what is planned, before the outcomes are read."""
    inputs = input_tables(options.bids_dir, sources_of(options), settings.sessions.exclude)
    time = datetime.now(UTC).isoformat(timespec="seconds")
    lock = make_lock(settings, inputs, time, version("braindelta"))
    console.print(f"Planned: {', '.join(lock.analyses)}", highlight=False)
    if not options.dry_run:
        path = write_lock(lock, options.output_dir)
        console.print(f"Locked: {path}", soft_wrap=True)
    return DONE


def run_models(options: Options, settings: Settings, how: tuple[Intake, Console]) -> None:
    """Run the group workflow.

    Raises
    ------
    PipelineError
        The first failure of a step, with its own class of error.
    """
    crash_dir = options.output_dir / "logs" / "group" / "crash"
    shutil.rmtree(crash_dir, ignore_errors=True)
    intake, console = how
    workflow = init_group_wf(options.output_dir, options.bids_dir, intake, settings)
    workflow.base_dir = str(versioned(options.work_dir))
    workflow.config = execution_config(options, crash_dir)
    run_graph(workflow, {workflow.name: "group"}, (options, console), LOGGER.info)
    failures = read_failures(crash_dir)
    if failures:
        raise failures[0].as_error()


def run_status(options: Options, settings: Settings, console: Console) -> int:
    """Show who is done, who failed and why, who was not started."""
    plan = make_cohort_plan(options, settings)
    records = current_records(plan, Study(options.bids_dir, options.output_dir, settings))
    console.print(status_table(records))
    failed = [record for record in records.values() if record.status == "failed"]
    return SOME_FAILED if failed else DONE


def show_failures(records: dict[str, Record], console: Console) -> None:
    """Print who failed at which step, why, and what to do."""
    for label, record in records.items():
        for cause in record.causes:
            name = with_prefix(label, "sub")
            console.print(f"{name}: {cause}", style="red", highlight=False, soft_wrap=True)


def current_records(plan: Plan, study: Study) -> dict[str, Record]:
    """Records of all planned participants; what was made otherwise than now asked is not done."""
    records = {}
    for participant in plan.participants:
        record = read_record(study.output_dir, participant.label)
        if record.status == "done" and not is_done(participant, study):
            record = Record("not started", causes=(OUTDATED,))
        records[participant.label] = record
    return records


def without_unfinished(plan: Plan, records: dict[str, Record], study: Study) -> pd.DataFrame:
    """Ledger in which scans that are not done are excluded, with the reason.

    Of somebody who failed those scans stay whose own files were all made.
    """
    ledger = plan.ledger.copy()
    names = [parse_name(f"{run}.nii.gz") if isinstance(run, str) else None for run in ledger["run"]]
    ledger["task"] = [
        name.get("task") or "" if name and kind == FUNCTION else ""
        for name, kind in zip(names, ledger["modality"], strict=True)
    ]
    for participant in plan.participants:
        reasons = unfinished_scans(participant, records[participant.label], study)
        for (session, modality, task), reason in reasons.items():
            own = (
                (ledger["participant_id"] == with_prefix(participant.label, "sub"))
                & (ledger["session_id"] == with_prefix(session, "ses"))
                & (ledger["modality"] == modality)
                & (ledger["task"] == task)
                & (ledger["status"] == USED)
            )
            ledger.loc[own, ["status", "reason"]] = [EXCLUDED, reason]
    return ledger.drop(columns="task")


def unfinished_scans(
    participant: ParticipantPlan, record: Record, study: Study
) -> dict[tuple[str, str, str], str]:
    """Session, modality and task of the scans of a participant that are not done, and why."""
    if record.status == "done":
        return {}
    is_current = record.fingerprint == fingerprint(participant, study.settings)
    reasons = {}
    for (session, modality, task), scan in scan_plans(participant).items():
        missing = missing_files(scan, study)
        if is_current and not missing:
            continue
        causes = record.causes or ("not processed; run the level participant",)
        if is_current:
            causes = (*scan_causes(scan, record.causes), f"{missing[0].name} was not made")
        reasons[session, modality, task] = f"{record.status}: {'; '.join(causes)}"
    return reasons


def scan_plans(participant: ParticipantPlan) -> dict[tuple[str, str, str], ParticipantPlan]:
    """Plan of each scan alone, by session, modality and task (empty for anatomy).

    The runs of a task in a session are one scan.
    """
    plans = {}
    for session in participant.sessions:
        if session.t1w_file is not None:
            own = replace(session, bold_runs=())
            plans[session.label, ANATOMY, ""] = replace(participant, sessions=(own,))
    for scan in session_tasks(participant):
        own = SessionPlan(scan.session, None, None, scan.runs)
        plans[scan.session, FUNCTION, scan.task] = replace(participant, sessions=(own,))
    return plans


def scan_causes(scan: ParticipantPlan, causes: tuple[str, ...]) -> tuple[str, ...]:
    """Causes of a failure that name the runs of a scan; all of them where none does."""
    names = [own.name.replace("_", " ") for own in session_tasks(scan)]
    starts = tuple(f"{name}{end}" for name in names for end in (" ", ",", ":"))
    return tuple(cause for cause in causes if starts and cause.startswith(starts)) or causes


def exit_code(records: dict[str, Record], plan: Plan, was_run: bool) -> int:
    """Code that says truly how the run ended.

    Participants whose images are all excluded have failed too, before anything ran; those
    whom the list of exclusions left out have not.
    """
    excluded = plan.ledger[plan.ledger["status"] == "excluded"]
    listed = excluded["reason"].astype(str).str.startswith(LISTED)
    with_images = excluded.loc[~listed, "participant_id"]
    planned = {with_prefix(label, "sub") for label in records}
    left_out = set(with_images) - planned
    failed = [record for record in records.values() if record.status != "done"]
    if not failed and not left_out:
        return DONE if was_run else NOTHING_TO_DO
    if len(failed) < len(records):
        return SOME_FAILED
    codes = {record.exit_code or FAILED for record in failed} or {DatasetError.exit_code}
    return codes.pop() if len(codes) == 1 else FAILED
