"""Which images can be used, and why the others cannot."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from bids_utils.acquisition import (
    PREPROCESSING,
    SLICES,
    SPACE,
    Acquisition,
    acquisition,
    differences,
    slice_times,
)
from bids_utils.errors import DatasetError
from bids_utils.events import read_events
from bids_utils.exclusions import ImageLabels
from bids_utils.names import (
    NUMBERED,
    BidsName,
    build_name,
    parse_name,
    same_label,
    with_prefix,
)
from bids_utils.plain_files import read_utf8
from bids_utils.sidecars import events_file, read_metadata, scanner_name

FOUND, USED, EXCLUDED, MISSING = "found", "used", "excluded", "missing"
BOLD = "bold"
ADDRESS = "bids:"
"""Start of the path of an image that lies in other results than the dataset."""


@dataclass(frozen=True)
class ImageFacts:
    """Header of an image: `problem` is empty, or says why the file cannot be used."""

    shape: tuple[int, ...] = ()
    voxel_size_mm: tuple[float, ...] = ()
    repetition_time_s: float | None = None
    problem: str = ""


MOTION = ("trans_x", "trans_y", "trans_z", "rot_x", "rot_y", "rot_z", "framewise_displacement")
"""Columns that every table of confounds has."""
NOT_MODELLED = "the task is not modelled in this run"

Kind = tuple[tuple[str, str], ...]
ImageReader = Callable[[Path], ImageFacts]


@dataclass(frozen=True)
class DerivedBold:
    """A BOLD run as fMRIPrep left it in the standard space `space`.

    `root` is the folder of the results, `source` the address of the series there. What is
    None was not found: `dseg_file` (grey 1, white 2, CSF 3) may have another voxel size.
    """

    root: Path
    source: str
    file: Path
    confounds_file: Path
    space: str
    version: str = ""
    mask_file: Path | None = None
    boldref_file: Path | None = None
    dseg_file: Path | None = None

    @property
    def files(self) -> tuple[Path, ...]:
        """All files there are."""
        optional = (self.mask_file, self.boldref_file, self.dseg_file)
        return (self.file, self.confounds_file, *(file for file in optional if file))


@dataclass(frozen=True)
class BoldRun:
    """One BOLD file; `entities` are its BIDS entities (sub, ses, task, run, ...) in order.

    `slice_times_s` are seconds from the start of a volume as the JSON has them, empty where they
    are not known; `slice_axis` is their SliceEncodingDirection. `derived` is there for a run
    that fMRIPrep preprocessed; `file` is then its series, and `slice_moment_s` the moment in each
    volume to which fMRIPrep brought the slices (None: it did not). `events_problem` says why the
    events of a task that is modelled cannot be read.
    """

    file: Path
    entities: tuple[tuple[str, str], ...]
    repetition_time_s: float
    n_volumes: int
    slice_times_s: tuple[float, ...] = ()
    slice_axis: str = "k"
    events_file: Path | None = None
    derived: DerivedBold | None = None
    slice_moment_s: float | None = None
    events_problem: str = ""


@dataclass(frozen=True)
class Candidate:
    """An image and what becomes of it; an empty `status` means: not decided yet.

    `path` is relative to the dataset (of `derived` BOLD its address), `name` is None if it is
    not a BIDS name. `run` is there for BOLD that is used, `acquired` for all images that are used.
    """

    path: str
    participant: str
    session: str
    modality: str
    name: BidsName | None
    status: str = ""
    reason: str = ""
    scanner: str = ""
    run: BoldRun | None = None
    acquired: Acquisition = ()
    derived: DerivedBold | None = None

    @property
    def labels(self) -> ImageLabels:
        """Which image it is, as a list of exclusions and the ledger name it."""
        extension = self.name.extension if self.name else ".nii.gz"
        stem = self.path.rpartition("/")[2].removesuffix(extension)
        if self.name and self.path.startswith(ADDRESS):
            stem = build_name(self.name.entities, self.name.suffix, "")
        return ImageLabels(self.participant, self.session, self.modality, stem)

    def label(self, key: str) -> str:
        """Label of an entity, empty if the name does not have it."""
        return (self.name.get(key) or "") if self.name else ""

    def excluded(self, reason: str) -> Candidate:
        """The same image, not to be used for this reason."""
        return replace(self, status=EXCLUDED, reason=reason)


@dataclass(frozen=True)
class Inspector:
    """How images are looked at: where they are, who reads headers, how exact times must be.

    `root_names` are the `shared_names` of the dataset, if they are known already;
    `repetition_time_s` holds by task, whatever the files say; without `slice_timing` nobody
    asks when slices were acquired. Events of `modelled_tasks` must be readable; a BOLD run with
    less than `min_volumes` is of no use.
    """

    bids_dir: Path
    read_image: ImageReader
    tr_tolerance_s: float
    root_names: tuple[str, ...] | None = None
    repetition_time_s: Mapping[str, float] = field(default_factory=dict)
    slice_timing: bool = True
    modelled_tasks: tuple[str, ...] = ()
    min_volumes: int = 2

    def metadata(self, image: Candidate) -> dict[str, object]:
        """Metadata of an image from its sidecars; those of derived BOLD go before the raw ones."""
        metadata = read_metadata(self.bids_dir, raw_path(image, self.bids_dir), self.root_names)
        if image.derived:
            metadata |= read_metadata(image.derived.root, image.derived.file)
            made_by = f"fMRIPrep {image.derived.version}".strip()
            metadata |= {PREPROCESSING: made_by, SPACE: image.derived.space}
        return metadata

    def events(self, image: Candidate) -> Path | None:
        """Table of events of a run in the dataset."""
        return events_file(self.bids_dir, raw_path(image, self.bids_dir), self.root_names)


def raw_path(image: Candidate, bids_dir: Path) -> Path:
    """Path of an image in the dataset; of derived BOLD that of the run it was made of.

    Numbers are as the files of that run in the dataset have them: run-01 there may be run-1 here.
    """
    if image.derived is None or image.name is None:
        return Path(image.path)
    folder = Path(with_prefix(image.participant, "sub"), with_prefix(image.session, "ses"), "func")
    entities = _as_written(image.name.entities, bids_dir / folder)
    return folder / build_name(entities, image.name.suffix, image.name.extension)


def _as_written(entities: Kind, folder: Path) -> Kind:
    """Entities of a run with the labels that its files in a folder have."""
    names = [parse_name(path.name) for path in folder.glob("*")]
    written = {
        tuple((key, name.get(key) or "") for key, _ in entities)
        for name in names
        if name and all(same_label(key, own, name.get(key) or "") for key, own in entities)
    }
    return entities if entities in written or not written else min(written)


def screen_names(candidates: Iterable[Candidate], one_echo: bool) -> list[Candidate]:
    """Candidates whose name or place rules them out, with the reason; the others unchanged.

    Parameters
    ----------
    candidates : iterable of Candidate
        Images of one participant.
    one_echo : bool
        Whether a filter file asks for an echo, so that one echo alone may be used.
    """
    return _without_duplicates([_screened(image, one_echo) for image in candidates])


def choose_t1w(candidates: Sequence[Candidate], inspector: Inspector) -> list[Candidate]:
    """T1w candidates of one participant, with at most one used in each session.

    Images of the kind (acq, rec, ce, ...) that most sessions have come first, so that the
    sessions are measured alike, then the lowest run. An unreadable image is excluded and the
    next one taken.
    """
    sessions = {(_kind(image), image.session) for image in candidates if not image.status}
    n_sessions = Counter(kind for kind, _ in sessions)
    ranks = {image.path: _preference(image, n_sessions) for image in candidates}
    taken: dict[str, str] = {}
    decided = {}
    for image in sorted(candidates, key=lambda image: ranks[image.path]):
        decided[image.path] = _next_t1w(image, taken.get(image.session, ""), inspector)
        if decided[image.path].status == USED:
            taken[image.session] = Path(image.path).name
    return _note_kinds([decided[image.path] for image in candidates])


def inspect_bold(image: Candidate, inspector: Inspector) -> Candidate:
    """A BOLD candidate as used, with its run, or as excluded, with the reason.

    The repetition time is that of the settings; where they have none, that of the sidecars, and
    where these have none, that of the header. If the two contradict each other, nobody can know
    which is right and the run is excluded.
    """
    if image.status:
        return image
    file = image.derived.file if image.derived else inspector.bids_dir / image.path
    facts = inspector.read_image(file)
    problem = facts.problem or _shape_problem(facts, 4, "a BOLD run")
    problem = problem or _length_problem(facts, inspector.min_volumes)
    if problem:
        return image.excluded(problem)
    try:
        metadata, events = inspector.metadata(image), inspector.events(image)
        if image.derived:
            check_confounds(image.derived, facts.shape[3])
    except DatasetError as error:
        return image.excluded(str(error))
    seconds, reason = _checked_time(metadata, facts, inspector, image.label("task"))
    if seconds is None:
        return replace(image.excluded(reason), scanner=scanner_name(metadata))
    entities = image.name.entities if image.name else ()
    run = BoldRun(file, entities, seconds, facts.shape[3], (), "k", events, image.derived)
    run = replace(run, events_problem=_events_problem(run, inspector))
    if image.derived:
        run = replace(run, slice_moment_s=_moment(metadata, seconds))
    if inspector.slice_timing and image.derived is None:
        times_s, axis, problem = slice_times(metadata, facts.shape, seconds)
        run = replace(run, slice_times_s=times_s, slice_axis=axis)
        problem = problem and f"{problem}: its slices are not brought to one moment"
        metadata |= {SLICES: "known" if times_s else "not known"}
    used = _used(image, metadata | {"RepetitionTime": seconds}, facts)
    untold = run.events_problem and f"{run.events_problem}: {NOT_MODELLED}"
    return replace(used, reason=_joined(image.reason, reason, problem, untold), run=run)


def check_confounds(bold: DerivedBold, n_volumes: int) -> None:
    """Refuse a table of confounds that cannot belong to a series of so many volumes.

    Raises
    ------
    DatasetError
        It cannot be read, has another number of rows, or lacks the motion of the head.
    """
    path = bold.confounds_file
    header, *rows = read_utf8(path).split("\n")
    columns, n_rows = header.split("\t"), sum(1 for line in rows if line.strip())
    if n_rows != n_volumes:
        raise DatasetError(
            f"{path}: {n_rows} rows, but {bold.file} has {n_volumes} volumes; they are not of the "
            "same run, or one of them is cut off: run fMRIPrep again for this person"
        )
    missing = [name for name in MOTION if name not in columns]
    if missing:
        raise DatasetError(
            f"{path}: the column {missing[0]} is missing; it must be the table of fMRIPrep"
        )


def with_differences(images: Sequence[Candidate], sessions: Iterable[str]) -> list[Candidate]:
    """Images of one participant, used ones with what was acquired otherwise than before.

    Each is compared with the first one of its kind (T1w; BOLD of the same task, acq, ...) in
    the first session that has one.

    Parameters
    ----------
    images : sequence of Candidate
    sessions : iterable of str
        Labels in the order of time.
    """
    first: dict[object, Candidate] = {}
    noted = {image.path: image for image in images}
    for session in sessions:
        for image in images:
            if image.status != USED or image.session != session:
                continue
            before = first.setdefault(_compared_kind(image), image)
            other = differences(before.acquired, image.acquired)
            if before.session != session and other:
                text = f"differs from ses-{before.session}: {'; '.join(other)}"
                noted[image.path] = replace(image, reason=_joined(image.reason, text))
    return list(noted.values())


def _compared_kind(image: Candidate) -> tuple[object, ...]:
    return (image.modality, _kind(image) if image.modality == BOLD else ())


def _used(image: Candidate, metadata: Mapping[str, object], facts: ImageFacts) -> Candidate:
    acquired = acquisition(metadata, facts.shape, facts.voxel_size_mm)
    return replace(image, status=USED, scanner=scanner_name(metadata), acquired=acquired)


def _moment(metadata: Mapping[str, object], repetition_time_s: float) -> float | None:
    """Moment of the slices of a derived run; where none is stated, the middle as in fMRIPrep."""
    start = metadata.get("StartTime")
    if metadata.get("SliceTimingCorrected") is not True:
        return None
    return float(start) if isinstance(start, int | float) else repetition_time_s / 2


def _joined(*notes: str) -> str:
    return "; ".join(note for note in notes if note)


def _screened(image: Candidate, one_echo: bool) -> Candidate:
    reason = "" if image.status else _name_problem(image, one_echo)
    return image.excluded(reason) if reason else image


def _name_problem(image: Candidate, one_echo: bool) -> str:
    if not image.session:
        return "lies outside the session folders; move it into its sub-X/ses-Y"
    for key, folder in (("sub", image.participant), ("ses", image.session)):
        if image.label(key) != folder:
            said = image.label(key) or "nothing"
            return (
                f"the folder says {key}-{folder}, the file name {key}: {said}; correct one of them"
            )
    part, echo = image.label("part"), image.label("echo")
    if part not in ("", "mag"):
        return f"part-{part}: only magnitude images are used"
    if echo and not one_echo:
        return (
            f"echo-{echo} of a multi-echo run: echoes are not combined here; let fMRIPrep combine "
            "them and give its results (-d fmriprep=PATH), or use one alone by a filter file with "
            f'{{"bold": {{"echo": {echo}}}}}'
        )
    return ""


def _without_duplicates(images: list[Candidate]) -> list[Candidate]:
    groups: dict[tuple[object, ...], list[str]] = {}
    for image in images:
        if not image.status:
            groups.setdefault(_identity(image), []).append(image.path)
    checked = []
    for image in images:
        others = [path for path in groups.get(_identity(image), []) if path != image.path]
        if others and not image.status:
            names = " and ".join(Path(path).name for path in others)
            image = image.excluded(f"means the same as {names}; keep one of them")
        checked.append(image)
    return checked


def _identity(image: Candidate) -> tuple[object, ...]:
    return (image.modality, image.session, _entities(image, ()))


def _kind(image: Candidate) -> Kind:
    return _entities(image, ("sub", "ses", "run"))


def _entities(image: Candidate, without: tuple[str, ...]) -> Kind:
    pairs = image.name.entities if image.name else ()
    numbers = ((key, label.lstrip("0") if key in NUMBERED else label) for key, label in pairs)
    return (*(pair for pair in numbers if pair[0] not in without), ("suffix", _suffix(image)))


def _suffix(image: Candidate) -> str:
    return image.name.suffix if image.name else ""


def _preference(image: Candidate, n_sessions: Mapping[Kind, int]) -> tuple[int, str, int, str]:
    kind, run = _kind(image), image.label("run")
    number = int(run) if run.isdecimal() else 0
    return (-n_sessions.get(kind, 0), str(kind), number, image.path)


def _next_t1w(image: Candidate, taken: str, inspector: Inspector) -> Candidate:
    if image.status:
        return image
    if taken:
        reason = f"not needed: {taken} is used (choose by a filter file)"
        return replace(image, status=FOUND, reason=reason)
    facts = inspector.read_image(inspector.bids_dir / image.path)
    problem = facts.problem or _shape_problem(facts, 3, "a T1w image")
    if problem:
        return image.excluded(problem)
    try:
        metadata = inspector.metadata(image)
    except DatasetError as error:
        return image.excluded(str(error))
    return _used(image, metadata, facts)


def _note_kinds(images: list[Candidate]) -> list[Candidate]:
    kinds = {_kind(image) for image in images if image.status == USED}
    if len(kinds) < 2:
        return images
    note = "the sessions have T1w images of different kinds: a change may come from that"
    return [replace(image, reason=note) if image.status == USED else image for image in images]


def _shape_problem(facts: ImageFacts, n_dimensions: int, what: str) -> str:
    size = " x ".join(str(length) for length in facts.shape)
    if len(facts.shape) != n_dimensions:
        return f"{what} must be {n_dimensions}-D, found {len(facts.shape)}-D ({size})"
    return ""


def _length_problem(facts: ImageFacts, min_volumes: int) -> str:
    n_volumes = facts.shape[3]
    if n_volumes >= min_volumes:
        return ""
    size = " x ".join(str(length) for length in facts.shape)
    return f"a BOLD run must have at least {min_volumes} volumes, found {n_volumes} ({size})"


def _events_problem(run: BoldRun, inspector: Inspector) -> str:
    """Why the events of a task that is modelled cannot be read; empty if they can."""
    is_modelled = dict(run.entities).get("task", "") in inspector.modelled_tasks
    if run.events_file is None or not is_modelled:
        return ""
    try:
        read_events(run.events_file, run.n_volumes * run.repetition_time_s)
    except DatasetError as error:
        return str(error)
    return ""


def _checked_time(
    metadata: Mapping[str, object], facts: ImageFacts, inspector: Inspector, task: str
) -> tuple[float | None, str]:
    """Repetition time (s) and a note, or None and why it is not known."""
    stated, header = metadata.get("RepetitionTime"), facts.repetition_time_s or None
    given = inspector.repetition_time_s.get(task)
    if given is not None:
        said = f"{stated} s in the JSON, {header} s in the header".replace("None s", "none")
        return given, f"repetition time {given:g} s by func.repetition_time_s ({said})"
    setting = f"as func.repetition_time_s: {{{task or 'TASK'}: SECONDS}} in the settings"
    if stated is None and header is None:
        return None, (
            "RepetitionTime is neither in the JSON sidecar nor in the header; write it there, or "
            f"give it {setting}"
        )
    if stated is None:
        return header, f"RepetitionTime is missing in the JSON; {header:g} s taken from the header"
    if isinstance(stated, bool) or not isinstance(stated, int | float) or stated <= 0:
        return None, f"RepetitionTime in the JSON is {stated!r}; it must be a number of seconds"
    if header is not None and abs(stated - header) > inspector.tr_tolerance_s:
        return None, (
            f"RepetitionTime is {stated:g} s in the JSON, but {header:g} s in the header; "
            f"find out which is true and give it {setting}, or correct the other"
        )
    return float(stated), ""
