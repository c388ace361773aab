"""Subject folders of FreeSurfer and FastSurfer: whose they are and which of them are compared."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from bids_utils.errors import DatasetError
from bids_utils.readers.records import SourceProblem, SourceRequest, counted, scan_text
from bids_utils.readers.scan_names import ScanName, name_problem, scan_name

LONG = ".long."
CROSS, LONGITUDINAL = "cross", "longitudinal"
NOT_PARTICIPANTS = ("fsaverage", "cvs_avg", "lh.EC_average", "rh.EC_average", "V1_average")
PARTS = ("mri", "surf", "scripts")


@dataclass(frozen=True)
class Reconstruction:
    """One session of one participant; `template` is empty for a cross-sectional one."""

    folder: Path
    participant: str
    session: str
    template: str = ""

    @property
    def stream(self) -> str:
        """Whether it was made by itself or from the participant's template."""
        return LONGITUDINAL if self.template else CROSS

    @property
    def key(self) -> tuple[str, str]:
        """Participant and session."""
        return (self.participant, self.session)


def find_reconstructions(
    path: Path, request: SourceRequest
) -> tuple[list[Reconstruction], dict[str, Path], list[SourceProblem]]:
    """Reconstructions that are compared with each other, folders of templates, and problems.

    Cross-sectional and longitudinal ones are never mixed: where there is any longitudinal
    one, sessions without are left out (`request.stream` decides otherwise).

    Raises
    ------
    DatasetError
        The folder cannot be read.
    """
    folders = dict(_subject_folders(path))
    members = _fastsurfer_members(folders)
    templates = {name.partition(LONG)[2] for name in folders if LONG in name}
    templates |= set(members.values())
    bases = {
        name: folder
        for name, folder in folders.items()
        if LONG not in name and (name in templates or (folder / "base-tps").is_file())
    }
    found, problems = _named(folders, bases, members, request)
    found, more = _without_repeats(found)
    chosen, mixed = _one_stream(found, path, request)
    return chosen, bases, [*problems, *more, *mixed]


def _subject_folders(path: Path) -> Iterator[tuple[str, Path]]:
    """Name and place of folders with results: path, path/NAME or path/sub-X/ses-Y."""
    try:
        inside = sorted(item for item in path.iterdir() if item.is_dir())
    except OSError as error:
        raise DatasetError(
            f"{path}: cannot be read ({error.strerror}); give the folder that holds the "
            "subject folders (SUBJECTS_DIR)"
        ) from error
    if _is_reconstruction(path):
        yield path.name, path
        return
    people = [item for item in inside if not item.name.startswith((".", *NOT_PARTICIPANTS))]
    yield from ((item.name, item) for item in people if _is_reconstruction(item))
    for folder in people:
        if folder.name.startswith("sub-") and not _is_reconstruction(folder):
            for inner in filter(_is_reconstruction, sorted(folder.glob("ses-*"))):
                yield f"{folder.name}_{inner.name}", inner


def _fastsurfer_members(folders: dict[str, Path]) -> dict[str, str]:
    """Template of each time point that FastSurfer made from one.

    FastSurfer keeps the plain name of the time point; the template lists its time points.
    """
    members: dict[str, str] = {}
    for name, folder in folders.items():
        listing = folder / "base-tps.fastsurfer"
        if listing.is_file():
            points = listing.read_text(encoding="utf-8", errors="replace").split()
            members |= dict.fromkeys(points, name)
    return members


def _is_reconstruction(folder: Path) -> bool:
    return any((folder / part).is_dir() for part in ("stats", *PARTS))


def _named(
    folders: dict[str, Path],
    bases: dict[str, Path],
    members: dict[str, str],
    request: SourceRequest,
) -> tuple[list[Reconstruction], list[SourceProblem]]:
    found, problems = [], []
    for text, folder in folders.items():
        point, _, template = text.partition(LONG)
        template = template or members.get(point, "")
        if text in bases or (folder.is_symlink() and template == members.get(point)):
            continue
        name = scan_name(text if text in request.scans else point, request)
        problem = name_problem(folder, name)
        if problem:
            problems.append(problem)
        if name is None or not name.session:
            continue
        if not request.wants_scan(name.participant, name.session):
            continue
        if not (folder / "stats").is_dir():
            problems.append(_unfinished(folder, name))
            continue
        found.append(Reconstruction(folder, name.participant, name.session, template))
    return found, problems


def _unfinished(folder: Path, name: ScanName) -> SourceProblem:
    where = f"{folder} ({scan_text((name.participant, name.session))})"
    return SourceProblem("there is no stats folder; it is left out", where, "finish this run")


def _without_repeats(
    found: list[Reconstruction],
) -> tuple[list[Reconstruction], list[SourceProblem]]:
    first: dict[tuple[str, str, str], Reconstruction] = {}
    problems = []
    for item in found:
        kept = first.setdefault((*item.key, item.stream), item)
        if kept is not item:
            what = f"a second reconstruction of {scan_text(item.key)}; {kept.folder.name} is used"
            problems.append(SourceProblem(what, str(item.folder), "move one of them away"))
    return list(first.values()), problems


def _one_stream(
    found: list[Reconstruction], path: Path, request: SourceRequest
) -> tuple[list[Reconstruction], list[SourceProblem]]:
    streams = {item.stream for item in found}
    stream = request.stream or (LONGITUDINAL if LONGITUDINAL in streams else CROSS)
    chosen = [item for item in found if item.stream == stream]
    have = {item.key for item in chosen}
    others = [item for item in found if item.stream != stream]
    both = [item for item in others if item.key in have]
    problems = []
    if both:
        what = f"{len(both)} sessions were made in both streams; the {stream} one is used"
        problems.append(SourceProblem(what, str(path), "nothing, if that is what you want"))
    lost = [item for item in others if item.key not in have]
    for participant in dict.fromkeys(item.participant for item in lost):
        own = [item for item in lost if item.participant == participant]
        problems.append(_lost_sessions(own, stream))
    return chosen, [*problems, *_several_templates(chosen)]


def _lost_sessions(own: list[Reconstruction], stream: str) -> SourceProblem:
    sessions = counted([f"ses-{item.session}" for item in own])
    what = (
        f"{sessions} only in the {own[0].stream} stream, but others in the {stream} one: these "
        "are not comparable; left out"
    )
    advice = (
        f"run the {stream} stream for these sessions too, or set the stream in the settings "
        "(sources: stream)"
    )
    return SourceProblem(what, f"{own[0].folder.parent}: sub-{own[0].participant}", advice)


def _several_templates(chosen: Iterable[Reconstruction]) -> Iterator[SourceProblem]:
    templates: dict[str, dict[str, Path]] = {}
    for item in chosen:
        templates.setdefault(item.participant, {}).setdefault(item.template, item.folder)
    for participant, own in templates.items():
        if len(own) > 1:
            what = f"sessions were made from different templates ({counted(list(own))})"
            where = f"{next(iter(own.values())).parent}: sub-{participant}"
            advice = "make all sessions of a participant from one template"
            yield SourceProblem(what, where, advice)
