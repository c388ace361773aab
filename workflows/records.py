"""Records of what is done: one small file per participant, so that no two jobs write the same."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Literal

from bids_utils.derivatives import content_digest, log_folder, write_json
from bids_utils.names import with_prefix
from bids_utils.plan import ParticipantPlan
from configs.atlases import atlas_digest, chosen_atlas
from configs.settings import Settings
from workflows.failures import Failure
from workflows.locks import is_locked
from workflows.participant import bold_runs, input_files

Status = Literal["done", "failed", "not started"]


@dataclass(frozen=True)
class SavedFile:
    """A file as it was when it was saved; a new time alone does not make it another one."""

    size_bytes: int
    mtime_ns: int
    sha256: str

    def is_still(self, file: Path) -> bool:
        """Whether a file is this one; its content is read only if its time is another."""
        try:
            facts = file.stat()
            if facts.st_size != self.size_bytes:
                return False
            return facts.st_mtime_ns == self.mtime_ns or content_digest(file) == self.sha256
        except OSError:
            return False


@dataclass(frozen=True)
class Record:
    """How the last run of a participant ended; `fingerprint` tells inputs and settings apart.

    `files` are those it saved, by their path in the derivative dataset.
    """

    status: Status
    fingerprint: str = ""
    causes: tuple[str, ...] = ()
    exit_code: int = 0
    files: Mapping[str, SavedFile] = field(default_factory=dict)


def record_file(output_dir: Path, participant: str) -> Path:
    """File that holds the record of a participant."""
    return log_folder(output_dir, participant) / "status.json"


def lock_file(output_dir: Path, participant: str) -> Path:
    """File that whoever works on a participant holds the lock of."""
    return log_folder(output_dir, participant) / "lock"


def is_running(output_dir: Path, participant: str) -> bool:
    """Whether a process works on a participant, on this machine or on another one."""
    return is_locked(lock_file(output_dir, participant))


def read_record(output_dir: Path, participant: str) -> Record:
    """Record of a participant; `not started` where there is none or it cannot be read."""
    try:
        content = json.loads(record_file(output_dir, participant).read_text(encoding="utf-8"))
        return Record(
            content["status"],
            content["fingerprint"],
            tuple(content["causes"]),
            content["exit_code"],
            {name: SavedFile(**facts) for name, facts in content["files"].items()},
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return Record("not started")


def forget_record(output_dir: Path, participant: str) -> None:
    """Say that a participant is not finished, before a run begins."""
    write_json(asdict(Record("not started")), record_file(output_dir, participant))


def write_record(
    output_dir: Path,
    participant: str,
    fingerprint: str,
    failures: Iterable[Failure],
    files: Iterable[Path] = (),
) -> Record:
    """Write how a run ended: done without failures, else failed with their causes.

    `files` are the paths in the derivative dataset that the run saved.
    """
    found = list(failures)
    record = Record(
        "failed" if found else "done",
        fingerprint,
        tuple(failure.sentence for failure in found),
        found[0].exit_code if found else 0,
        {file.as_posix(): saved_file(output_dir / file) for file in files},
    )
    write_json(asdict(record), record_file(output_dir, participant))
    return record


def saved_file(file: Path) -> SavedFile:
    """Size, time and digest of a file."""
    facts = file.stat()
    return SavedFile(facts.st_size, facts.st_mtime_ns, content_digest(file))


def fingerprint(participant: ParticipantPlan, settings: Settings) -> str:
    """Hash of all that decides the images of a participant: version, settings, files, timing.

    The order of the sessions is not part of it: they are processed alike, so a new order
    changes the group level only. Of images the place within the folder of the participant, size
    and time count, not where the dataset lies; of the atlas and of files with the model of a task
    the content.
    """
    used = _used(settings)
    files = [*input_files(participant), *_confounds_sidecars(participant)]
    facts = [(_place(file, participant.label), *_size_and_time(file)) for file in files]
    runs = [
        (
            run.entities,
            (run.repetition_time_s, run.n_volumes),
            (run.slice_times_s, run.slice_axis, run.slice_moment_s),
        )
        for run in bold_runs(participant)
    ]
    return _print_of(used, sorted(facts), sorted(runs))


def _place(file: Path, label: str) -> str:
    """Path of a file from the folder of its participant on; else the whole path."""
    own, parts = with_prefix(label, "sub"), file.parts
    if own not in parts:
        return str(file)
    return "/".join(parts[len(parts) - 1 - parts[::-1].index(own) :])


def study_print(settings: Settings) -> str:
    """Hash of all that decides the images of everybody: version, settings, atlas and models."""
    return _print_of(_used(settings))


def _print_of(*decisive: object) -> str:
    """Hash of the version of the program and of what else decides results."""
    content = json.dumps([version("braindelta"), *decisive], sort_keys=True)
    return hashlib.sha256(content.encode()).hexdigest()


def _used(settings: Settings) -> dict[str, object]:
    """Settings that decide images, with the content of files in place of where they lie."""
    used = settings.model_dump(mode="json", include={"anat", "func"})
    used["atlas"] = atlas_digest(chosen_atlas(settings.atlas))
    models = [task.stats_model for task in settings.func.tasks]
    used["models"] = [content_digest(model) if model else "" for model in models]
    for task in used["func"]["tasks"]:
        del task["stats_model"]
    return used


def _size_and_time(file: Path) -> tuple[int, int]:
    """Size and time of a file; -1 where it cannot be seen (any more)."""
    try:
        facts = file.stat()
    except OSError:
        return -1, -1
    return facts.st_size, facts.st_mtime_ns


def _confounds_sidecars(participant: ParticipantPlan) -> list[Path]:
    """What fMRIPrep says of the columns of its confounds, where it does."""
    tables = [run.derived.confounds_file for run in bold_runs(participant) if run.derived]
    return [file for table in tables if (file := table.with_suffix(".json")).is_file()]
