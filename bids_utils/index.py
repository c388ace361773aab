"""The files of a BIDS folder as a table, made without opening any of them."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from operator import attrgetter
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from bids_utils.errors import DatasetError, SettingsError
from bids_utils.filters import Filter, passes
from bids_utils.names import (
    ENTITY_ORDER,
    BidsName,
    folder_label,
    nearest,
    parse_name,
    strip_label,
    with_prefix,
)

# fmt: off
DATATYPES = frozenset({
    "anat", "beh", "dwi", "eeg", "emg", "fmap", "func", "ieeg", "meg", "micr", "motion", "mrs",
    "nirs", "perf", "pet",
})
# fmt: on
ALWAYS = ("task", "acq", "ce", "rec", "dir", "run", "echo", "part")
"""Entities that have a column even if no file has them."""

_FOLDER_KEYS = frozenset({"sub", "ses"})


@dataclass(frozen=True)
class Selection:
    """What the user asks for, with or without `sub-`, `ses-`, `task-`; empty means all."""

    participants: tuple[str, ...] = ()
    sessions: tuple[str, ...] = ()
    tasks: tuple[str, ...] = ()
    filters: Mapping[str, Filter] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, key in (("participants", "sub"), ("sessions", "ses"), ("tasks", "task")):
            labels = dict.fromkeys(strip_label(text, key) for text in getattr(self, name))
            object.__setattr__(self, name, tuple(labels))


class _Place(NamedTuple):
    path: str
    subject: str
    session: str = ""
    datatype: str = ""


def index_dataset(bids_dir: Path, subjects: frozenset[str] | None = None) -> pd.DataFrame:
    """Table of the participants' files, one row each, the same order every time.

    Only ``sub-*``, their ``ses-*`` and the BIDS data folders in them are read, so hidden
    files, ``derivatives``, ``sourcedata`` and ``code`` are left out and links cannot lead in
    circles. An image whose name is not BIDS keeps its row, with an empty suffix.

    Parameters
    ----------
    bids_dir : Path
        Folder with ``dataset_description.json``.
    subjects : frozenset of str, optional
        Labels to read, without ``sub-``; default all.

    Returns
    -------
    DataFrame
        Text columns path (relative, with ``/``), subject, session, datatype, suffix, extension
        (with its dot) and one for each entity (task, acq, run, ...) in the order of the
        specification. What a file does not have is an empty text.

    Raises
    ------
    DatasetError
        The folder is not a BIDS dataset or a folder in it cannot be read.
    """
    rows: list[tuple[_Place, BidsName]] = []
    for folder, label in _subject_folders(bids_dir):
        if subjects is None or label in subjects:
            rows.extend(_subject_files(folder, label))
    return _as_table(rows)


def select(index: pd.DataFrame, selection: Selection) -> pd.DataFrame:
    """Rows of the T1w and BOLD images that a selection asks for.

    A column `modality` (T1w or bold) is added. Tasks concern BOLD only.

    Raises
    ------
    SettingsError
        A label does not exist in the dataset; the nearest ones are named.
    """
    _check_labels(index["subject"], selection.participants, "participant")
    _check_labels(index["session"], selection.sessions, "session")
    _check_labels(index["task"], selection.tasks, "task")
    queries = {"t1w": "T1w", "bold": "bold"}
    modality = pd.Series("", index=index.index)
    for query, name in queries.items():
        modality[passes(index, query, selection.filters)] = name
    mask = modality != ""
    if selection.participants:
        mask &= index["subject"].isin(selection.participants)
    if selection.sessions:
        mask &= index["session"].isin(selection.sessions)
    if selection.tasks:
        mask &= index["task"].isin(selection.tasks) | (modality != "bold")
    return index.assign(modality=modality)[mask]


def _check_labels(known: pd.Series, asked: tuple[str, ...], kind: str) -> None:
    labels = [label for label in known.unique() if label]
    for label in asked:
        if label not in labels:
            raise SettingsError(f"{kind} '{label}' is not in the dataset; {nearest(label, labels)}")


def _subject_folders(bids_dir: Path) -> list[tuple[os.DirEntry[str], str]]:
    entries = list(_entries(bids_dir))
    found = [(entry, folder_label(entry.name, "sub")) for entry in entries]
    folders = [(entry, label) for entry, label in found if label and _is_folder(entry)]
    missing = [] if folders else ["sub-* folders"]
    if all(entry.name != "dataset_description.json" for entry in entries):
        missing.insert(0, "dataset_description.json")
    if missing:
        raise DatasetError(
            f"{bids_dir}: not a BIDS folder: {' and '.join(missing)} missing{_hint(entries)}"
        )
    return folders


def _hint(entries: Iterable[os.DirEntry[str]]) -> str:
    for entry in entries:
        inner = Path(entry.path, "dataset_description.json")
        if _is_folder(entry) and not entry.name.startswith("sub-") and inner.is_file():
            return f"; did you mean {entry.path}?"
    return ""


def _subject_files(folder: os.DirEntry[str], label: str) -> Iterator[tuple[_Place, BidsName]]:
    here = _Place(with_prefix(label, "sub"), label)
    yield from _level_files(folder, here)
    for entry in _entries(folder.path):
        session = folder_label(entry.name, "ses")
        if session and _is_folder(entry):
            yield from _level_files(entry, _Place(f"{here.path}/{entry.name}", label, session))


def _level_files(folder: os.DirEntry[str], here: _Place) -> Iterator[tuple[_Place, BidsName]]:
    for entry in _entries(folder.path):
        path = f"{here.path}/{entry.name}"
        if entry.name in DATATYPES and _is_folder(entry):
            inside = _Place(path, here.subject, here.session, entry.name)
            yield from _data_files(entry, inside)
        elif not _is_folder(entry) and (name := parse_name(entry.name)):
            yield _Place(path, here.subject, here.session), name


def _data_files(folder: os.DirEntry[str], here: _Place) -> Iterator[tuple[_Place, BidsName]]:
    for entry in _entries(folder.path):
        name = parse_name(entry.name) or _image_without_bids_name(entry.name)
        if name and not _is_folder(entry):
            path = f"{here.path}/{entry.name}"
            yield _Place(path, here.subject, here.session, here.datatype), name


def _image_without_bids_name(name: str) -> BidsName | None:
    for extension in (".nii.gz", ".nii"):
        if name.endswith(extension):
            return BidsName((), "", extension)
    return None


def _entries(folder: str | Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            seen = [entry for entry in entries if not entry.name.startswith(".")]
    except OSError as error:
        raise DatasetError(
            f"{folder}: the folder cannot be read ({error.strerror}); "
            "check its permissions and that the disk is connected"
        ) from error
    return sorted(seen, key=attrgetter("name"))


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:
        return False


def _as_table(rows: list[tuple[_Place, BidsName]]) -> pd.DataFrame:
    labels = [dict(name.entities) for _, name in rows]
    used = {key for entities in labels for key in entities} - _FOLDER_KEYS
    keys = [key for key in ENTITY_ORDER if key in used or key in ALWAYS]
    columns = {
        "path": [place.path for place, _ in rows],
        "subject": [place.subject for place, _ in rows],
        "session": [place.session for place, _ in rows],
        "datatype": [place.datatype for place, _ in rows],
        "suffix": [name.suffix for _, name in rows],
        "extension": [name.extension for _, name in rows],
    }
    columns |= {key: [entities.get(key, "") for entities in labels] for key in keys}
    return pd.DataFrame(columns, dtype="str")
