"""One call of the command: plan, run what is not done, and say truly how it ended."""

from __future__ import annotations

import logging
import shlex
import shutil
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime
from importlib.metadata import version

import pandas as pd
from rich.console import Console

from bids_utils.derivatives import read_table, remove_leftovers, validate_bids, write_table
from bids_utils.errors import DONE, NOTHING_TO_DO, SOME_FAILED, DatasetError, SettingsError
from bids_utils.exclusions import read_exclusions
from bids_utils.filters import read_filters
from bids_utils.images import USED
from bids_utils.index import Selection
from bids_utils.names import with_prefix
from bids_utils.plan import (
    LEDGER_DICTIONARY,
    DerivedRequest,
    ParticipantPlan,
    Plan,
    PlanRequest,
    make_plan,
)
from configs.atlases import chosen_atlas
from configs.lock import make_lock, write_lock
from configs.settings import Settings, load_settings
from workflows.bold_tasks import check_tasks, task_notes
from workflows.cluster import load_cluster
from workflows.cluster_jobs import GROUP
from workflows.completion import (
    current_records,
    exit_code,
    is_done,
    without_unfinished,
)
from workflows.compute.bold_checks import MIN_VOLUMES
from workflows.execution import (
    clean_work,
    execution_config,
    group_locks,
    run_graph,
    run_images,
    versioned,
    with_atlases,
)
from workflows.failures import read_failures
from workflows.fmriprep import space_brains
from workflows.group import init_group_wf, input_tables
from workflows.interfaces.face_notes import face_sentences
from workflows.interfaces.group_quality import flagged_ledger
from workflows.interfaces.headers import read_image_facts
from workflows.interfaces.measure_sources import Intake
from workflows.interfaces.participant_page import page_file
from workflows.locks import locked
from workflows.options import (
    Options,
    check_sources,
    fmriprep_trees,
    intake_of,
    sources_of,
    with_seed,
)
from workflows.output_dataset import ledger_file, prepare_output, write_methods
from workflows.provenance import write_group_provenance
from workflows.questions import session_moments
from workflows.records import Record, is_running
from workflows.report import write_group_report, write_participant_report
from workflows.saving import Study
from workflows.seals import remove_unsealed
from workflows.sharing import share_results
from workflows.standing import Standing, standings
from workflows.submit import (
    SUBMIT_SCRIPT,
    chosen_scheduler,
    labels_to_submit,
    open_jobs,
    start_jobs,
    write_jobs,
)
from workflows.tables import counts, plan_table, status_table
from workflows.terminal import PlainConsole

LOGGER = logging.getLogger(__name__)


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
        "submit": run_submit,
    }
    return levels.get(options.level, run_status)(options, settings, PlainConsole())


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
        ledger = whole_ledger(plan, options)
        prepare_output(options, settings, ledger)
        write_methods(options, settings, plan.participants)
        if ledger is not None:
            console.print(f"Written: {options.output_dir / 'ledger.tsv'}", soft_wrap=True)
    return DONE if plan.participants else NOTHING_TO_DO


def whole_ledger(plan: Plan, options: Options) -> pd.DataFrame | None:
    """Ledger of the whole dataset; None if only some people were planned.

    Jobs for single participants must not write over each other's.
    """
    return None if options.participant_label else plan.ledger


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
    prepare_output(options, settings, whole_ledger(plan, options))
    if options.boilerplate_only:
        write_methods(options, settings, plan.participants)
        return DONE
    if todo and not options.reports_only:
        study = with_atlases(study, todo, options, console)
        run_images(todo, study, options, console)
    write_methods(options, settings, plan.participants)
    write_pages(plan, list(plan.participants) if options.reports_only else todo, options)
    records = current_records(plan, study)
    if options.clean_workdir:
        clean_work(records, options)
    orders = {one.label: [session.label for session in one.sessions] for one in todo}
    for sentence in face_sentences(options.output_dir, orders):
        console.print(f"note: {sentence}", highlight=False, soft_wrap=True)
    show_failures(records, console)
    return exit_code(records, plan, bool(todo))


def write_pages(plan: Plan, new: list[ParticipantPlan], options: Options) -> None:
    """Write the pages of some participants and of those who have none.

    Those whom another run works on get theirs from that run.
    """
    root = options.output_dir
    for participant in plan.participants:
        label = participant.label
        is_there = page_file(root, label).is_file()
        if (is_there and participant not in new) or is_running(root, label):
            continue
        rows = plan.ledger[plan.ledger["participant_id"] == with_prefix(label, "sub")]
        write_table(rows, ledger_file(root, label), LEDGER_DICTIONARY)
        write_participant_report(root, label)


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
        found = standings(records, options.output_dir)
        console.print(status_table(found, options.output_dir))
        return DONE
    with ExitStack() as locks:
        for file in group_locks(options):
            locks.enter_context(locked(file))
        prepare_output(options, settings, ledger)
        if options.boilerplate_only:
            write_methods(options, settings)
            return DONE
        write_group(options, settings, ledger, (intake, console))
    console.print(f"Report: {options.output_dir / 'group' / 'report.html'}", soft_wrap=True)
    show_failures(records, console)
    problems = read_table(options.output_dir / "group" / "problems.tsv")
    for row in problems.itertuples():
        text = f"{row.kind}: {row.where}: {row.what}; {row.what_to_do}"
        console.print(text, highlight=False, markup=False, soft_wrap=True)
    incomplete = any(record.status != "done" for record in records.values())
    return SOME_FAILED if incomplete or (problems["kind"] == "problem").any() else DONE


def write_group(
    options: Options,
    settings: Settings,
    ledger: pd.DataFrame | None,
    how: tuple[Intake, Console],
) -> None:
    """Run the group workflow and write its report; `ledger` without those who are not done."""
    remove_leftovers(options.output_dir / "group")
    if not options.reports_only:
        run_models(options, settings, how)
        write_group_provenance(options, settings)
    write_methods(options, settings)
    if ledger is not None:
        flagged = flagged_ledger(ledger, options.output_dir / "group")
        write_table(flagged, options.output_dir / "ledger.tsv", LEDGER_DICTIONARY)
    write_group_report(options.output_dir)
    share_results(options.output_dir, settings)


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
    remove_unsealed(versioned(options.work_dir) / workflow.name)
    workflow.config = execution_config(options, crash_dir)
    run_graph(workflow, {workflow.name: "group"}, (options, console), LOGGER.info)
    failures = read_failures(crash_dir)
    if failures:
        raise failures[0].as_error()


def run_status(options: Options, settings: Settings, console: Console) -> int:
    """Show who is done, at work, waiting, who failed and why, who was not started."""
    found = cohort_standings(make_cohort_plan(options, settings), options, settings)
    console.print(status_table(found, options.output_dir))
    console.print(counts(found), highlight=False)
    failed = [one for label, one in found.items() if label != GROUP and one.status == "failed"]
    return SOME_FAILED if failed else DONE


def run_submit(options: Options, settings: Settings, console: Console) -> int:
    """Write, and with --go submit, jobs for those who need one."""
    scheduler = chosen_scheduler(options)
    load_cluster(options.cluster)
    plan = make_cohort_plan(options, settings)
    check_dataset(options)
    show_notes(plan, console)
    found = cohort_standings(plan, options, settings)
    labels = labels_to_submit(found, options.failed)
    console.print(f"{counts(found)}; {len(labels)} to submit", highlight=False)
    if len(labels) < len(labels_to_submit(found, with_failed=True)):
        console.print("Those who failed are left out: status tells why, --failed submits them too")
    if options.dry_run or not labels:
        return DONE if labels else NOTHING_TO_DO
    prepare_output(options, settings, whole_ledger(plan, options))
    folder = write_jobs(labels, options, settings, open_jobs(found, scheduler))
    console.print(f"Written: {folder}", highlight=False, soft_wrap=True)
    if options.go:
        start_jobs(folder, console)
    else:
        script = shlex.quote(str(folder / SUBMIT_SCRIPT))
        console.print(f"To submit: bash {script}", highlight=False, soft_wrap=True)
    return DONE


def cohort_standings(plan: Plan, options: Options, settings: Settings) -> dict[str, Standing]:
    """How each planned participant stands, and the group level where it was submitted."""
    study = Study(options.bids_dir, options.output_dir, settings)
    return standings(current_records(plan, study), options.output_dir)


def show_failures(records: dict[str, Record], console: Console) -> None:
    """Print who failed at which step, why, and what to do."""
    for label, record in records.items():
        for cause in record.causes:
            name = with_prefix(label, "sub")
            console.print(f"{name}: {cause}", style="red", highlight=False, soft_wrap=True)
