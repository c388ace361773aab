"""The ledger: every image, missing or there, and what became of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import pandas as pd

from bids_utils.images import MISSING, Candidate
from bids_utils.names import nearest, with_prefix
from bids_utils.sessions import SessionOrder

LEDGER_DICTIONARY: Mapping[str, Mapping[str, object]] = {
    "participant_id": {"Description": "Participant"},
    "session_id": {"Description": "Session"},
    "modality": {"Description": "Kind of image", "Levels": {"T1w": "anatomy", "bold": "function"}},
    "run": {"Description": "File name without extension"},
    "status": {
        "Description": "What becomes of the image",
        "Levels": {
            "used": "measured",
            "found": "there, but not asked for or not needed",
            "excluded": "asked for, but cannot be used",
            "missing": "not there",
        },
    },
    "reason": {"Description": "Why it is not used, or what to know about its use"},
    "days_from_baseline": {
        "Description": "Time since the participant's first session",
        "Units": "day",
    },
    "scanner": {"Description": "Manufacturer, model and serial number of the scanner"},
    "source_file": {
        "Description": "Path in the dataset; bids:NAME:PATH in the results NAME of DatasetLinks"
    },
}


@dataclass(frozen=True)
class Expected:
    """Sessions and tasks that everybody should have; `order` if the settings give one.

    `anatomy` is false where nobody has a T1w image, as with results of fMRIPrep alone.
    """

    sessions: tuple[str, ...]
    tasks: tuple[str, ...]
    order: tuple[str, ...] = ()
    anatomy: bool = True


def make_ledger(
    images: Mapping[str, list[Candidate]],
    orders: Mapping[str, SessionOrder],
    expected: Expected,
    without_images: Iterable[str],
) -> pd.DataFrame:
    """One row for each image that is there or missing, in time order within participants.

    Parameters
    ----------
    images : mapping of participant -> decided candidates
    orders : mapping of participant -> SessionOrder
    expected : Expected
        What gets a row with the status missing where it is not there.
    without_images : iterable of str
        Participants of participants.tsv that have no images.

    Returns
    -------
    DataFrame
        Columns of `LEDGER_DICTIONARY`; ids with their prefix, None where there is nothing.
    """
    rows: list[dict[str, object]] = []
    for label, candidates in images.items():
        days = {time.label: time.days_from_baseline for time in orders[label].sessions}
        own = [_image_row(image, days) for image in candidates]
        own += _missing_rows(label, candidates, expected, days)
        rows += _in_time_order(own, [*expected.order, *days, *expected.sessions])
    reason = "is in participants.tsv, but has no images"
    rows += [_row(label, "", "", MISSING, reason) for label in without_images]
    ledger = pd.DataFrame(rows, columns=list(LEDGER_DICTIONARY), dtype=object)
    return ledger.astype({"days_from_baseline": float})


def no_row_note(label: str, people: Iterable[str]) -> str:
    """Note on a participant with images but without a row in participants.tsv."""
    same = [other for other in people if other.lstrip("0") == label.lstrip("0")]
    if same:
        return f"no row in participants.tsv; is it '{same[0]}' there? zeros of an id must be kept"
    return f"no row in participants.tsv; {nearest(label, people)}"


def _image_row(image: Candidate, days: Mapping[str, float | None]) -> dict[str, object]:
    more = {
        "run": image.labels.stem,
        "days_from_baseline": days.get(image.session),
        "scanner": image.scanner or None,
        "source_file": image.path,
    }
    row = _row(image.participant, image.session, image.modality, image.status, image.reason)
    return row | more


def _missing_rows(
    label: str,
    candidates: list[Candidate],
    expected: Expected,
    days: Mapping[str, float | None],
) -> list[dict[str, object]]:
    rows = []
    wanted = [("T1w", "")] if expected.anatomy else []
    wanted += [("bold", task) for task in expected.tasks]
    for session in expected.sessions:
        there = {(c.modality, c.label("task")) for c in candidates if c.session == session}
        for modality, task in (kind for kind in wanted if kind not in there):
            what = f"BOLD of task {task}" if task else f"{modality} image"
            reason = f"no {what} in ses-{session}" if there else f"no images of ses-{session}"
            row = _row(label, session, modality, MISSING, reason)
            rows.append(row | {"days_from_baseline": days.get(session)})
    return rows


def _row(label: str, session: str, modality: str, status: str, reason: str) -> dict[str, object]:
    return {
        "participant_id": with_prefix(label, "sub"),
        "session_id": with_prefix(session, "ses") if session else None,
        "modality": modality or None,
        "run": None,
        "status": status,
        "reason": reason or None,
        "days_from_baseline": None,
        "scanner": None,
        "source_file": None,
    }


def _in_time_order(
    rows: list[dict[str, object]], in_time: Iterable[str]
) -> list[dict[str, object]]:
    """Rows by session, those that have no place in time last, in each the anatomy first."""
    times = [with_prefix(label, "ses") for label in in_time]
    groups: dict[object, list[dict[str, object]]] = {time: [] for time in times}
    for row in rows:
        groups.setdefault(row["session_id"], []).append(row)
    ordered = []
    for group in groups.values():
        ordered += sorted(group, key=lambda row: (str(row["modality"]), str(row["run"])))
    return ordered
