"""What will be done with which file, decided before anything is computed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import pandas as pd

from bids_utils.errors import DatasetError, SettingsError
from bids_utils.exclusions import Exclusion, listed_reason, unmatched
from bids_utils.fmriprep import (
    DerivedRequest,
    DerivedRun,
    check_labels,
    find_runs,
    identity,
    run_table,
)
from bids_utils.images import (
    BOLD,
    EXCLUDED,
    FOUND,
    USED,
    BoldRun,
    Candidate,
    DerivedBold,
    ImageFacts,
    ImageReader,
    Inspector,
    choose_t1w,
    inspect_bold,
    screen_names,
    with_differences,
)
from bids_utils.index import Selection, index_dataset, select
from bids_utils.ledger import LEDGER_DICTIONARY, Expected, make_ledger, no_row_note
from bids_utils.names import nearest, parse_name, strip_label
from bids_utils.phenotype import read_participants, read_scores
from bids_utils.sessions import OrderRule, SessionOrder, check_order, order_sessions, read_dates
from bids_utils.sidecars import shared_names

__all__ = [
    "LEDGER_DICTIONARY",
    "BoldRun",
    "DerivedBold",
    "DerivedRequest",
    "ImageFacts",
    "ImageReader",
    "ParticipantPlan",
    "Plan",
    "PlanRequest",
    "SessionPlan",
    "make_plan",
]

ANATOMY, FUNCTION = "T1w", BOLD
LOOKED_AT = {"anat": ("T1w", ""), "func": ("bold", "sbref", "")}
"""Suffixes of the images that have a row in the ledger; empty: the name is not BIDS."""


@dataclass(frozen=True)
class SessionPlan:
    """Files of one session; `t1w_file` is None where only BOLD is used."""

    label: str
    days_from_baseline: float | None
    t1w_file: Path | None
    bold_runs: tuple[BoldRun, ...]


@dataclass(frozen=True)
class ParticipantPlan:
    """One participant; sessions are in time order."""

    label: str
    sessions: tuple[SessionPlan, ...]


@dataclass(frozen=True)
class Plan:
    """Who will be processed, and the ledger of all images.

    `notes` are worth knowing and stop nobody: what was found, where, and what to do.
    """

    participants: tuple[ParticipantPlan, ...]
    ledger: pd.DataFrame
    notes: tuple[tuple[str, str, str], ...] = ()


@dataclass(frozen=True)
class PlanRequest:
    """What is asked for.

    `order` and `interval_days` come from the settings (None: dates decide), and so do the
    sessions of `moments`, which need no images, the list of `exclusions`, `repetition_time_s` of
    tasks whose files do not tell it, and whether `slice_timing` is asked for. With `derived` all
    BOLD is that of fMRIPrep. Events of `modelled_tasks` are read; `min_volumes` is the least
    length of a BOLD run.
    """

    bids_dir: Path
    order: tuple[str, ...] | None
    interval_days: tuple[float, ...] | None
    tr_tolerance_s: float
    selection: Selection = Selection()
    moments: tuple[str, ...] = ()
    exclusions: tuple[Exclusion, ...] = ()
    repetition_time_s: Mapping[str, float] = field(default_factory=dict)
    slice_timing: bool = True
    derived: DerivedRequest | None = None
    modelled_tasks: tuple[str, ...] = ()
    min_volumes: int = 2


def make_plan(request: PlanRequest, read_image: ImageReader) -> Plan:
    """Participants, their sessions in time order and their images, and the ledger.

    `read_image` tells a broken image by the `problem` of its facts. A participant without a
    usable T1w image is not in `participants`, only in the ledger, unless there is BOLD of
    fMRIPrep, which needs none.

    Raises
    ------
    DatasetError
        Not a BIDS dataset, no sessions, nobody has two sessions, neither settings nor dates
        give their order, or the results of fMRIPrep are of other people or sessions.
    SettingsError
        A participant, session or task that is asked for does not exist.
    """
    index, derived = _index(request)
    asked = select(index, request.selection)
    _check_sessions(request.bids_dir, index)
    _check_tasks(request.repetition_time_s, index)
    rule = OrderRule(request.order or (), request.interval_days or ())
    scanned = dict.fromkeys(index["session"][index["session"] != ""])
    check_order(rule.order, _known_sessions(request, rule, scanned))
    found = _candidates(index, asked, request.selection)
    found = {label: _with_derived(own, derived, request) for label, own in found.items()}
    orders = _orders(request.bids_dir, found, rule)
    people = _people(request)
    inspector = _inspector(request, read_image)
    one_echo = "echo" in request.selection.filters.get("bold", {})
    images = {
        label: _decided(_asked(own, orders[label], rule, request), inspector, one_echo)
        for label, own in found.items()
    }
    images = {label: _with_notes(own, orders[label], people) for label, own in images.items()}
    absent = [label for label in people or () if label not in images]
    ledger = make_ledger(images, orders, _expected(images, rule, request.selection), absent)
    plans = [_participant(label, images[label], orders[label], request) for label in images]
    notes = (*unmatched(_of_chosen(request), ledger), *_slice_notes(plans, request))
    return Plan(tuple(plan for plan in plans if plan.sessions), ledger, notes)


def _index(request: PlanRequest) -> tuple[pd.DataFrame, dict[str, DerivedRun]]:
    """Index of the dataset, and by address the runs of fMRIPrep that take the place of raw ones.

    Raw runs that fMRIPrep does not have stay in the index.
    """
    if request.derived is None:
        return index_dataset(request.bids_dir), {}
    runs = find_runs(request.derived)
    added = run_table(runs)
    if next(request.bids_dir.glob("sub-*"), None) is None:
        raw = added.iloc[:0]  # the images themselves need not be here
    else:
        raw = index_dataset(request.bids_dir)
    images = raw[_looked_at(raw)]
    sessions = images["session"][images["session"] != ""]
    check_labels(runs, {"sub": images["subject"], "ses": sessions})
    known = {run.identity for run in runs}
    names = (parse_name(path.rpartition("/")[2]) for path in raw["path"])
    twins = [name is not None and identity(name.entities) in known for name in names]
    kept = ~(_looked_at(raw) & (raw["datatype"] == "func") & pd.Series(twins, raw.index, bool))
    index: pd.DataFrame = pd.concat([raw.loc[kept], added], ignore_index=True).fillna("")
    index = index.sort_values("subject", kind="stable", ignore_index=True)
    return index, {run.address: run for run in runs}


def _with_derived(
    images: list[Candidate], derived: Mapping[str, DerivedRun], request: PlanRequest
) -> list[Candidate]:
    """Images, BOLD with its results of fMRIPrep; BOLD without them is excluded."""
    if request.derived is None:
        return images
    known = []
    for image in images:
        run = derived.get(image.path)
        if run is not None:
            image = replace(image, name=run.name, derived=run.bold)
            reason = "; ".join(filter(None, [image.reason, run.note]))
            unusable = run.bold is None and not image.status
            image = image.excluded(reason) if unusable else replace(image, reason=reason)
        elif image.modality == FUNCTION and not image.status:
            image = image.excluded("the fMRIPrep results do not have this run")
        known.append(image)
    return known


def _inspector(request: PlanRequest, read_image: ImageReader) -> Inspector:
    return Inspector(
        request.bids_dir,
        read_image,
        request.tr_tolerance_s,
        shared_names(request.bids_dir),
        request.repetition_time_s,
        request.slice_timing,
        request.modelled_tasks,
        request.min_volumes,
    )


def _check_tasks(tasks: Iterable[str], index: pd.DataFrame) -> None:
    known = [task for task in index["task"].unique() if task]
    for task in tasks:
        if task not in known:
            raise SettingsError(
                f"func.repetition_time_s: nobody has a task '{task}'; {nearest(task, known)}"
            )


def _check_sessions(bids_dir: Path, index: pd.DataFrame) -> None:
    images = index[_looked_at(index)]
    if images.empty:
        raise DatasetError(f"{bids_dir}: there are no T1w or BOLD images in it")
    if (images["session"] == "").all():
        raise DatasetError(
            f"{bids_dir}: the images are not in session folders (sub-X/ses-Y/anat); without "
            "sessions there is no change to measure"
        )
    n_sessions = images[images["session"] != ""].groupby("subject")["session"].nunique()
    if n_sessions.max() < 2:
        labels = ", ".join(images["session"].replace("", pd.NA).dropna().unique())
        raise DatasetError(
            f"{bids_dir}: nobody has images of two sessions, so there is no change to measure; "
            f"sessions found: {labels}"
        )


def _known_sessions(
    request: PlanRequest, rule: OrderRule, scanned: Iterable[str]
) -> dict[str, None]:
    """Sessions of images, of `moments`, and where the order has others, those of scores."""
    known = dict.fromkeys([*scanned, *(strip_label(name, "ses") for name in request.moments)])
    if all(label in known for label in rule.order):
        return known
    scores = read_scores(request.bids_dir, (), rule.order)
    labels = scores["session_id"][scores["value"].notna()].dropna()
    return known | dict.fromkeys(str(label) for label in labels)


def _looked_at(index: pd.DataFrame) -> pd.Series:
    mask = pd.Series(False, index=index.index)
    for datatype, suffixes in LOOKED_AT.items():
        mask |= (index["datatype"] == datatype) & index["suffix"].isin(suffixes)
    return mask & index["extension"].isin((".nii", ".nii.gz"))


def _candidates(
    index: pd.DataFrame, asked: pd.DataFrame, selection: Selection
) -> dict[str, list[Candidate]]:
    rows = index[_looked_at(index) | index.index.isin(asked.index)]
    if selection.participants:
        rows = rows[rows["subject"].isin(selection.participants)]
    modality = asked["modality"].to_dict()
    images: dict[str, list[Candidate]] = {}
    columns = (rows["path"], rows["subject"], rows["session"], rows["datatype"])
    for number, path, subject, session, datatype in zip(rows.index, *columns, strict=True):
        kind = modality.get(number) or (FUNCTION if datatype == "func" else ANATOMY)
        name = parse_name(path.rpartition("/")[2])
        image = Candidate(path, subject, session, kind, name)
        image = image if number in modality else _not_asked(image)
        images.setdefault(subject, []).append(image)
    return images


def _not_asked(image: Candidate) -> Candidate:
    if image.name is None:
        return image.excluded("the name is not a BIDS name; rename it as the specification says")
    if image.name.suffix == "sbref":
        return image.excluded("a single-band reference, not a time series")
    return replace(image, status=FOUND, reason="not asked for (session, task or filter file)")


def _orders(
    bids_dir: Path, images: Mapping[str, list[Candidate]], rule: OrderRule
) -> dict[str, SessionOrder]:
    sessions = {
        label: [name for name in dict.fromkeys(image.session for image in found) if name]
        for label, found in images.items()
    }
    labels = (*dict.fromkeys(name for own in sessions.values() for name in own), *rule.order)
    dates = {label: read_dates(bids_dir, label, dict.fromkeys(labels)) for label in sessions}
    return order_sessions(sessions, dates, rule)


def _placed(images: Iterable[Candidate], order: SessionOrder, rule: OrderRule) -> list[Candidate]:
    status = FOUND if rule.order else EXCLUDED
    placed = []
    for image in images:
        if image.status:
            placed.append(image)
        elif image.session in order.left_out:
            reason = order.left_out[image.session]
            placed.append(replace(image, status=status, reason=reason))
        else:
            placed.append(image.excluded(order.problem) if order.problem else image)
    return placed


def _asked(
    images: Iterable[Candidate], order: SessionOrder, rule: OrderRule, request: PlanRequest
) -> list[Candidate]:
    """Images with their place in time, without those of the list of exclusions."""
    asked = []
    for image in _placed(images, order, rule):
        reason = "" if image.status else listed_reason(request.exclusions, image.labels)
        asked.append(image.excluded(reason) if reason else image)
    return asked


def _of_chosen(request: PlanRequest) -> list[Exclusion]:
    """Rows of the list of exclusions about those participants that are asked for."""
    chosen = request.selection.participants
    return [row for row in request.exclusions if not chosen or row.participant in chosen]


def _decided(images: list[Candidate], inspector: Inspector, one_echo: bool) -> list[Candidate]:
    screened = screen_names(images, one_echo)
    anatomy = choose_t1w([image for image in screened if image.modality == ANATOMY], inspector)
    bold = [image for image in screened if image.modality == FUNCTION]
    anchored = any(image.status == USED for image in anatomy)
    reason = "the participant has no usable T1w image in any session"
    return [
        *anatomy,
        *(
            inspect_bold(image, inspector)
            if anchored or image.derived or image.status
            else image.excluded(reason)
            for image in bold
        ),
    ]


def _slice_notes(
    plans: Iterable[ParticipantPlan], request: PlanRequest
) -> list[tuple[str, str, str]]:
    """One note on all raw runs of which nobody knows when their slices were acquired."""
    runs = [run for plan in plans for session in plan.sessions for run in session.bold_runs]
    silent = [run for run in runs if not run.slice_times_s and run.derived is None]
    if not silent or not request.slice_timing:
        return []
    what = f"{len(silent)} of {len(runs)} BOLD runs have no SliceTiming that can be used"
    todo = "their slices are not brought to one moment; write it into the JSON if it is known"
    return [(what, str(request.bids_dir), todo)]


def _people(request: PlanRequest) -> list[str] | None:
    if not (request.bids_dir / "participants.tsv").is_file():
        return None
    people = [str(label) for label in read_participants(request.bids_dir).index]
    chosen = request.selection.participants
    return [label for label in people if not chosen or label in chosen]


def _with_notes(
    images: list[Candidate], order: SessionOrder, people: list[str] | None
) -> list[Candidate]:
    images = with_differences(images, [time.label for time in order.sessions])
    used = [image for image in images if image.status == USED]
    all_sessions = {image.session for image in used}
    noted = []
    for image in images:
        notes = [image.reason] if image.reason else []
        if image.status == USED:
            notes += [*_change_note(image, used, all_sessions), *filter(None, [order.note])]
            if people is not None and image.participant not in people:
                notes.append(no_row_note(image.participant, people))
        noted.append(replace(image, reason="; ".join(notes)))
    return noted


def _change_note(image: Candidate, used: list[Candidate], all_sessions: set[str]) -> list[str]:
    task = image.label("task")
    alike = [other for other in used if other.modality == image.modality]
    sessions = {other.session for other in alike if other.label("task") == task}
    if len(sessions) > 1:
        return []
    what = f"BOLD of task {task}" if image.modality == FUNCTION else "T1w image"
    second = "no second session" if len(all_sessions) < 2 else f"no {what} of a second session"
    return [f"measured, but gives no change: {second}"]


def _expected(
    images: Mapping[str, list[Candidate]], rule: OrderRule, selection: Selection
) -> Expected:
    asked = [image for found in images.values() for image in found if image.status != FOUND]
    scanned = {image.session for found in images.values() for image in found}
    sessions = tuple(label for label in rule.order if label in scanned)
    sessions = sessions or _shared_sessions(images)
    if selection.sessions:
        sessions = tuple(label for label in sessions if label in selection.sessions)
    tasks = dict.fromkeys(image.label("task") for image in asked if image.modality == FUNCTION)
    anatomy = any(image.modality == ANATOMY for found in images.values() for image in found)
    return Expected(sessions, tuple(task for task in tasks if task), rule.order, anatomy)


def _shared_sessions(images: Mapping[str, list[Candidate]]) -> tuple[str, ...]:
    """Labels of all sessions, unless everybody has labels of their own (dates, scan numbers)."""
    own = [dict.fromkeys(image.session for image in found) for found in images.values()]
    labels = dict.fromkeys(label for labels in own for label in labels if label)
    most = max((len(labels) for labels in own), default=0)
    return tuple(labels) if len(labels) <= 2 * most else ()


def _participant(
    label: str, images: list[Candidate], order: SessionOrder, request: PlanRequest
) -> ParticipantPlan:
    sessions = []
    for time in order.sessions:
        used = [i for i in images if i.status == USED and i.session == time.label]
        anatomy = [request.bids_dir / i.path for i in used if i.modality == ANATOMY]
        runs = tuple(image.run for image in used if image.run)
        if used:
            t1w_file = anatomy[0] if anatomy else None
            sessions.append(SessionPlan(time.label, time.days_from_baseline, t1w_file, runs))
    return ParticipantPlan(label, tuple(sessions))
