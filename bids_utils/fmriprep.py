"""BOLD runs that fMRIPrep preprocessed (20.2 to 25.x and older names), found by their names."""

from __future__ import annotations

import tomllib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from bids_utils.errors import DatasetError, SettingsError
from bids_utils.images import BOLD, DerivedBold
from bids_utils.index import ALWAYS, index_dataset
from bids_utils.names import (
    NUMBERED,
    BidsName,
    parse_name,
    strip_label,
    with_prefix,
)
from bids_utils.plain_files import read_json

RUN_KEYS = ("task", "acq", "ce", "rec", "dir", "run", "echo", "part")
CONFOUNDS = ("timeseries", "regressors")
"""Suffixes of the table of confounds; versions before 20.2 have the second one."""

SCAN = ("sub", "ses")
NIFTI = (".nii.gz", ".nii")
ASK_FOR = "--output-spaces MNI152NLin2009cAsym:res-2 MNI152NLin6Asym:res-2"
Entities = tuple[tuple[str, str], ...]
Place = tuple[str, str]
"""Space and resolution of a file name; empty where it has none."""


@dataclass(frozen=True)
class DerivedRequest:
    """Folders of fMRIPrep and how to read them.

    `trees` are the name of each in addresses and its path. `spaces` are the standard spaces in
    which the atlas can be had, the best first. `scans` gives participant and session of
    ``sub-X_ses-Y``, ``sub-X`` or ``ses-Y`` there (an empty text keeps what the name says),
    `session` the session of runs whose names have none. `absent` says by space why the atlas
    cannot be had there.
    """

    trees: tuple[tuple[str, Path], ...]
    spaces: tuple[str, ...] = ()
    scans: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    session: str = ""
    absent: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class DerivedRun:
    """A run in the results; `entities` are those of its raw series, with the study's labels.

    `bold` is None where it cannot be used, and `note` says why, or what to know about its use.
    """

    entities: Entities
    address: str
    bold: DerivedBold | None
    note: str = ""

    @property
    def name(self) -> BidsName:
        """Name of the raw series."""
        return BidsName(self.entities, BOLD, ".nii.gz")

    @property
    def identity(self) -> frozenset[tuple[str, str]]:
        """What is the same for a run and all its echoes and parts."""
        return identity(self.entities)


@dataclass(frozen=True, eq=False)
class _Tree:
    """One folder of results: its name in addresses, its path, its version and its files.

    `tissues` are session, path and name of the tissue classes of each participant.
    """

    name: str
    root: Path
    version: str
    files: pd.DataFrame
    tissues: Mapping[str, Sequence[tuple[str, str, BidsName]]]


@dataclass(frozen=True)
class _Group:
    """All files of one run; `entities` as the results name it."""

    tree: _Tree
    entities: Entities
    files: tuple[tuple[str, BidsName], ...]

    def find(self, suffixes: Iterable[str], desc: str, place: Place | None = None) -> Path | None:
        """File with one of the suffixes (the first one counts most); place None: any or none."""
        for suffix in suffixes:
            for path, name in self.files:
                fits = name.suffix == suffix and (name.get("desc") or "") == desc
                if fits and place in (None, place_of(name)) and name.extension != ".json":
                    return self.tree.root / path
        return None

    @property
    def series(self) -> dict[Place, str]:
        """Preprocessed volumes by place."""
        found = [
            (place_of(name), path)
            for path, name in self.files
            if name.suffix == BOLD and name.get("desc") == "preproc" and name.extension in NIFTI
        ]
        return dict(found)


def find_runs(request: DerivedRequest) -> list[DerivedRun]:
    """All BOLD runs in folders of fMRIPrep, with what of them is used or why nothing is.

    All runs are taken in one space and resolution: of those in which the atlas can be had, the
    one that most runs have. Single echoes are left out where fMRIPrep combined them.

    Raises
    ------
    DatasetError
        A folder cannot be read, is no BIDS derivative, or has no BOLD.
    SettingsError
        All series are in spaces to which the atlas cannot be brought as things are.
    """
    groups = [group for name, root in request.trees for group in _groups(_tree(name, root))]
    place = _common_place(groups, request.spaces)
    there = _common_place(groups, tuple(request.absent))
    if place is None and there is not None:
        raise SettingsError(f"--derivatives fmriprep: {request.absent[there[0]]}")
    people = [(group.tree.root, _label(group, "sub")) for group in groups]
    logged = {person: log_versions(*person) for person in dict.fromkeys(people)}
    return [
        _run(group, place, request, logged[person])
        for group, person in zip(groups, people, strict=True)
    ]


def identity(entities: Entities) -> frozenset[tuple[str, str]]:
    """Entities that a run has in common with its echoes and parts; numbers without zeros."""
    pairs = [(key, label) for key, label in entities if key not in ("echo", "part")]
    return frozenset((k, label.lstrip("0") if k in NUMBERED else label) for k, label in pairs)


def place_of(name: BidsName) -> Place:
    """Space and resolution that a file name says."""
    return name.get("space") or "", name.get("res") or ""


def run_table(runs: Iterable[DerivedRun]) -> pd.DataFrame:
    """Runs as rows of an index (see `index_dataset`): the address is the path."""
    rows = []
    for run in runs:
        labels = dict(run.entities)
        row = {"path": run.address, "subject": labels["sub"], "session": labels.get("ses", "")}
        row |= {"datatype": "func", "suffix": BOLD, "extension": ".nii.gz"}
        rows.append(row | {key: labels.get(key, "") for key in ALWAYS})
    return pd.DataFrame(rows, dtype="str")


def check_labels(runs: Sequence[DerivedRun], known: Mapping[str, Iterable[str]]) -> None:
    """Refuse results whose participants or sessions all have other names than the dataset's.

    Parameters
    ----------
    runs : sequence of DerivedRun
    known : mapping
        Labels of the dataset by key (sub, ses); none: nothing to compare with.

    Raises
    ------
    DatasetError
        The message lists both, and says how to tell which is which.
    """
    examples = {"sub": '{sub-01: ["P01", ""]}', "ses": '{ses-1: ["", pre], ses-2: ["", post]}'}
    words = {"sub": "participants", "ses": "sessions"}
    for key, own in known.items():
        here = dict.fromkeys(own)
        there = dict.fromkeys(label for run in runs if (label := dict(run.entities).get(key)))
        if here and there and not here.keys() & there.keys():
            raise DatasetError(
                f"{runs[0].address}: the {words[key]} of the fMRIPrep results ({_listed(there)}) "
                f"are not those of the dataset ({_listed(here)}); say which is which in the "
                f"settings, as sources: {{scans: {examples[key]}}}"
            )


def generator_version(root: Path) -> str:
    """Version of fMRIPrep that dataset_description.json tells; empty where it does not."""
    path = root / "dataset_description.json"
    description = read_json(path) if path.is_file() else {}
    made_by = description.get("GeneratedBy", description.get("PipelineDescription"))
    entries = made_by if isinstance(made_by, list) else [made_by]
    known = [entry for entry in entries if isinstance(entry, dict)]
    named = [entry for entry in known if "fmriprep" in str(entry.get("Name", "")).lower()]
    return str((named or known or [{}])[0].get("Version") or "")


def log_versions(root: Path, subject: str) -> tuple[str, ...]:
    """Versions of fMRIPrep in the logs of a participant, in no order."""
    found = set()
    for path in (root / with_prefix(subject, "sub")).glob("log/*/fmriprep.toml"):
        try:
            content = tomllib.loads(path.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError):
            continue  # a log that cannot be read says nothing about the images
        found.add(str(content.get("environment", {}).get("version") or ""))
    return tuple(sorted(found - {""}))


def _tree(name: str, root: Path) -> _Tree:
    try:
        files = index_dataset(root)
    except DatasetError as error:
        raise DatasetError(f"--derivatives fmriprep: {error}") from error
    if not ((files["datatype"] == "func") & (files["task"] != "")).any():
        raise DatasetError(f"--derivatives fmriprep: {root}: there is no BOLD in it")
    return _Tree(name, root, generator_version(root), files, _tissues(files))


def _tissues(files: pd.DataFrame) -> dict[str, list[tuple[str, str, BidsName]]]:
    rows = files[(files["suffix"] == "dseg") & (files["datatype"] == "anat")]
    rows = rows[rows["extension"].isin(NIFTI)]
    found: dict[str, list[tuple[str, str, BidsName]]] = {}
    for path, subject, session in _places(rows):
        name = parse_name(path.rpartition("/")[2])
        if name and not name.get("desc"):
            found.setdefault(subject, []).append((session, path, name))
    return found


def _places(files: pd.DataFrame) -> Iterable[tuple[str, str, str]]:
    return zip(files["path"], files["subject"], files["session"], strict=True)


def _groups(tree: _Tree) -> list[_Group]:
    files = tree.files[(tree.files["datatype"] == "func") & (tree.files["task"] != "")]
    groups: dict[Entities, list[tuple[str, BidsName]]] = {}
    for path, subject, session in _places(files):
        name = parse_name(path.rpartition("/")[2])
        if name is not None:
            folders = [("sub", subject), *([("ses", session)] if session else [])]
            own = [pair for pair in name.entities if pair[0] in RUN_KEYS]
            groups.setdefault((*folders, *own), []).append((path, name))
    made = [_Group(tree, entities, tuple(own)) for entities, own in groups.items()]
    whole = {identity(group.entities) for group in made if not _label(group, "echo")}
    return [g for g in made if not _label(g, "echo") or identity(g.entities) not in whole]


def _common_place(groups: Iterable[_Group], spaces: Sequence[str]) -> Place | None:
    """Space and resolution that most runs have, of those in which the atlas can be had."""
    counts = Counter(place for group in groups for place in group.series if place[0] in spaces)
    ranked = [(-n, spaces.index(place[0]), place) for place, n in counts.items()]
    return min(ranked)[2] if ranked else None


def _run(
    group: _Group, place: Place | None, request: DerivedRequest, logged: tuple[str, ...]
) -> DerivedRun:
    entities = _study_labels(group.entities, request)
    problem = _problem(group, place, request.spaces)
    confounds = group.find(CONFOUNDS, "confounds")
    if problem or place is None or confounds is None:
        return DerivedRun(entities, _address(group, group.files[0][0]), None, problem)
    source = group.series[place]
    bold = DerivedBold(
        root=group.tree.root,
        source=_address(group, source),
        file=group.tree.root / source,
        confounds_file=confounds,
        space=place[0],
        version=group.tree.version,
        mask_file=group.find(("mask",), "brain", place),
        boldref_file=group.find(("boldref",), "", place),
        dseg_file=_tissue_file(group, place),
    )
    return DerivedRun(entities, bold.source, bold, "; ".join(_notes(bold, logged)))


def _notes(bold: DerivedBold, logged: tuple[str, ...]) -> list[str]:
    notes = []
    if bold.mask_file is None:
        notes.append("fMRIPrep's brain mask is missing: one is made from the mean image")
    if len(logged) > 1:
        notes.append(
            f"this person was processed by fMRIPrep {' and '.join(logged)} (logs): a change may "
            "come from that; process all sessions with one version"
        )
    return notes


def _problem(group: _Group, place: Place | None, spaces: Sequence[str]) -> str:
    """Why a run cannot be used; empty if it can."""
    if _label(group, "echo"):
        return "single echoes without the series that fMRIPrep combines of them; run it for all"
    series, again = group.series, f"run fMRIPrep again with {ASK_FOR}"
    surfaces = [path for path, name in group.files if name.suffix == BOLD]
    if not series and not surfaces:
        return (
            "fMRIPrep left no *_desc-preproc_bold.nii.gz, as with --level minimal; "
            f"{again} --level full (its results so far can be given by --derivatives)"
        )
    if place is None or place not in series:
        there = [f"{s or 'the scanner space'} {r}".strip() for s, r in series] or ["a surface"]
        wanted = (
            f"the other runs in {' res-'.join(filter(None, place))}"
            if place
            else (f"the atlas can be had in {', '.join(spaces) or 'none of its spaces'}")
        )
        return f"the series is in {', '.join(there)} only, {wanted}; {again}"
    if group.find(CONFOUNDS, "confounds") is None:
        return f"*_desc-confounds_timeseries.tsv is not beside it; {again} --level full"
    return ""


def _tissue_file(group: _Group, place: Place) -> Path | None:
    """Tissue classes of a person in a space, those of the session and the resolution first."""
    session = _label(group, "ses")
    found = [
        (where != session, where != "", place_of(name) != place, path)
        for where, path, name in group.tree.tissues.get(_label(group, "sub"), ())
        if place_of(name)[0] == place[0]
    ]
    return group.tree.root / min(found)[3] if found else None


def _study_labels(entities: Entities, request: DerivedRequest) -> Entities:
    """Entities with participant and session as the dataset calls them."""
    labels = dict(entities)
    subject, session = with_prefix(labels["sub"], "sub"), with_prefix(labels.get("ses", ""), "ses")
    for key in (f"{subject}_{session}", subject, session):
        if key in request.scans:
            named = (strip_label(text, k) for text, k in zip(request.scans[key], SCAN, strict=True))
            labels |= {k: label for k, label in zip(SCAN, named, strict=True) if label}
            break
    labels.setdefault("ses", request.session)
    kept = [(key, labels[key]) for key in (*SCAN, *RUN_KEYS) if labels.get(key)]
    return tuple(kept)


def _label(group: _Group, key: str) -> str:
    return dict(group.entities).get(key, "")


def _address(group: _Group, path: str) -> str:
    return f"bids:{group.tree.name}:{path}"


def _listed(labels: Iterable[str], shown: int = 8) -> str:
    names = list(labels)
    return ", ".join(names[:shown]) + (" ..." if len(names) > shown else "")
