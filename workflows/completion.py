"""What is done and what is not: of participants, of scans, and of a whole call."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pandas as pd

from bids_utils.errors import DONE, FAILED, NOTHING_TO_DO, SOME_FAILED, DatasetError
from bids_utils.exclusions import LISTED
from bids_utils.images import EXCLUDED, USED
from bids_utils.names import parse_name, with_prefix
from bids_utils.plan import ANATOMY, FUNCTION, ParticipantPlan, Plan, SessionPlan
from bids_utils.sidecars import file_sidecar
from workflows.bold_tasks import session_tasks
from workflows.participant import expected_files
from workflows.records import Record, fingerprint, read_record
from workflows.saving import Study

OUTDATED = "made with other settings, images or version, or incomplete; run the level participant"


def missing_files(
    participant: ParticipantPlan, study: Study, record: Record | None = None
) -> list[Path]:
    """Expected files of a participant that are not there, or not as a record says they were."""
    noted = record.files if record else {}
    missing = []
    for file in expected_files(participant, study.settings):
        own = {path: noted.get(path.as_posix()) for path in (file, file_sidecar(file))}
        changed = [
            path
            for path, saved in own.items()
            if saved is not None and not saved.is_still(study.output_dir / path)
        ]
        is_absent = own[file] is None and not (study.output_dir / file).is_file()
        missing += [file] if is_absent else changed
    return list(dict.fromkeys(missing))


def saved_files(participant: ParticipantPlan, study: Study) -> list[Path]:
    """Expected files of a participant that are there, and their sidecars."""
    expected = list(expected_files(participant, study.settings))
    named = dict.fromkeys([*expected, *map(file_sidecar, expected)])
    return [file for file in named if (study.output_dir / file).is_file()]


def forget_results(participant: ParticipantPlan, study: Study) -> None:
    """Remove files of an older run, so that those that are there at the end are of this one."""
    for file in saved_files(participant, study):
        (study.output_dir / file).unlink(missing_ok=True)


def is_done(participant: ParticipantPlan, study: Study) -> bool:
    """Whether the same inputs and settings were processed before and all files are there."""
    record = read_record(study.output_dir, participant.label)
    same = record.fingerprint == fingerprint(participant, study.settings)
    return record.status == "done" and same and not missing_files(participant, study, record)


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
        missing = missing_files(scan, study, record)
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
