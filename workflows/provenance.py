"""What results came from: the steps that ran, versions, settings, and hashes of all inputs."""

from __future__ import annotations

import hashlib
import os
import platform
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from functools import partial
from importlib.metadata import version
from pathlib import Path

import yaml
from threadpoolctl import threadpool_info

from bids_utils.derivatives import known_digest, log_folder, source_address, write_json
from bids_utils.errors import DatasetError
from bids_utils.plan import BoldRun, ParticipantPlan
from bids_utils.readers.sources import source_stamp
from bids_utils.sidecars import read_json
from configs.atlases import atlas_digest, chosen_atlas
from configs.settings import Settings, dump_settings
from workflows.bold_tasks import SessionTask, modelled_runs, task_of
from workflows.group import DERIVED_TABLES, existing, input_tables
from workflows.options import Options, data_words, sources_of
from workflows.participant import bold_runs, input_files, t1w_sessions
from workflows.records import study_print
from workflows.saving import Study

PACKAGES = (
    *("braindelta", "nibabel", "nilearn", "nipype", "numpy", "pandas", "picsl-greedy"),
    *("scikit-learn", "scipy", "simpleitk"),
)
OF_IMAGES = ("atlas", "anat", "func")
"""Settings that decide what is made of images."""
FILE = "provenance.json"


@dataclass(frozen=True)
class RunSteps:
    """What was done with a BOLD run; `fmriprep` is its version, None for a raw run."""

    run: str
    task: str
    slice_timing: bool
    fmriprep: str | None
    task_model: bool


@dataclass(frozen=True)
class Steps:
    """What was done for a participant: sessions with anatomy, and BOLD runs."""

    anatomy: tuple[str, ...]
    bold: tuple[RunSteps, ...]


def planned_steps(participant: ParticipantPlan, settings: Settings) -> Steps:
    """Steps of a participant by the plan; they ran if the participant is done."""
    runs = [
        RunSteps(
            run="_".join(f"{key}-{label}" for key, label in run.entities),
            task=task_of(run),
            slice_timing=bool(run.slice_times_s) and run.derived is None,
            fmriprep=run.derived.version if run.derived else None,
            task_model=bool(modelled_runs(SessionTask("", task_of(run), (run,)), settings)),
        )
        for run in bold_runs(participant)
    ]
    return Steps(tuple(session.label for session in t1w_sessions(participant)), tuple(runs))


def participant_file(output_dir: Path, participant: str) -> Path:
    """File that says what the results of a participant came from."""
    return log_folder(output_dir, participant) / FILE


def group_file(output_dir: Path) -> Path:
    """File that says what the results of the group level came from."""
    return output_dir / "group" / FILE


def write_participant_provenance(
    participant: ParticipantPlan, study: Study, options: Options
) -> None:
    """Write what the results of a finished participant came from.

    Raises
    ------
    DatasetError
        The folder cannot be written.
    """
    content = {
        "command": rerun_command(options),
        "software": software(),
        "settings": settings_of_images(study.settings, study.output_dir),
        "study_print": study_print(study.settings),
        "atlas": atlas_facts(study),
        "inputs": input_digests(participant, study.bids_dir),
        "steps": asdict(planned_steps(participant, study.settings)),
    }
    write_json(content, participant_file(study.output_dir, participant.label))


def read_steps(output_dir: Path, settings: Settings) -> list[Steps]:
    """Steps of all participants that are done with these settings and this version."""
    now = study_print(settings)
    found = []
    for file in sorted(output_dir.glob(f"logs/sub-*/{FILE}")):
        try:
            content = read_json(file)
        except DatasetError:
            continue
        steps = content.get("steps")
        if content.get("study_print") == now and isinstance(steps, dict):
            runs = tuple(RunSteps(**run) for run in steps["bold"])
            found.append(Steps(tuple(steps["anatomy"]), runs))
    return found


def write_group_provenance(options: Options, settings: Settings) -> None:
    """Write what the results of the group level came from.

    Raises
    ------
    DatasetError
        A table cannot be read, or the folder not be written.
    """
    root, sources = options.output_dir, sources_of(options)
    tables = input_tables(options.bids_dir, sources, settings.sessions.exclude)
    if settings.group.rescan:
        tables[settings.group.rescan.name] = settings.group.rescan
    content = {
        "command": rerun_command(options),
        "software": software(),
        "settings_sha256": settings_digest(settings, root),
        "random_seed": settings.random_seed,
        "inputs": {name: digest(path) for name, path in tables.items()},
        "sources": [_source_facts(name, path, root) for name, path in sources],
        "participants": {} if options.scores_only else derivative_digests(root),
    }
    write_json(content, group_file(root))


def is_group_of(output_dir: Path, settings: Settings) -> bool:
    """Whether the results of the group level were made with these settings."""
    try:
        content = read_json(group_file(output_dir))
    except DatasetError:
        return False
    return content.get("settings_sha256") == settings_digest(settings, output_dir)


def software() -> dict[str, str]:
    """Versions of all that computes, and the kind of machine."""
    libraries = {
        " ".join(str(library.get(key)) for key in ("internal_api", "version", "architecture"))
        for library in threadpool_info()
        if library.get("user_api") == "blas"
    }
    versions = {name: version(name) for name in PACKAGES}
    machine = {"platform": platform.platform(), "machine": platform.machine()}
    blas = ", ".join(sorted(libraries))
    return versions | {"python": platform.python_version(), "blas": blas} | machine


def rerun_command(options: Options) -> list[str]:
    """Words of the command that makes the same again for everybody, to be called in OUTPUT_DIR.

    The saved settings hold the random seed too. Paths are relative to OUTPUT_DIR.
    """
    root = options.output_dir
    words = ["braindelta", _from(options.bids_dir, root), ".", options.level]
    words += ["--settings", "settings.yaml"]
    return [*words, *data_words(options, partial(_from, folder=root))]


def settings_of_images(settings: Settings, output_dir: Path) -> dict[str, object]:
    """Settings that decide what is made of images, as they stand in OUTPUT_DIR/settings.yaml."""
    plain = yaml.safe_load(dump_settings(settings, output_dir))
    return {name: plain[name] for name in OF_IMAGES}


def settings_digest(settings: Settings, output_dir: Path) -> str:
    """SHA-256 of OUTPUT_DIR/settings.yaml."""
    return hashlib.sha256(dump_settings(settings, output_dir).encode()).hexdigest()


def atlas_facts(study: Study) -> dict[str, object]:
    """Name and digests of the atlas as it was chosen, and of its labels in each space used."""
    chosen = chosen_atlas(study.settings.atlas)
    used = [atlas for atlas in (study.atlas, *study.space_atlases) if atlas is not None]
    return {
        "name": chosen.name,
        "space": chosen.space,
        "licence": chosen.licence,
        "sha256": atlas_digest(chosen),
        "labels": {atlas.space: digest(atlas.file) for atlas in used},
    }


def input_digests(participant: ParticipantPlan, bids_dir: Path) -> dict[str, str]:
    """SHA-256 of each file that is read for a participant, by its address."""
    derived: dict[Path, str] = {}
    for run in bold_runs(participant):
        if run.derived:
            start = run.derived.source.removeprefix("bids:").partition(":")[0]
            derived |= {file: _address(start, file, run) for file in run.derived.files}
    files = input_files(participant)
    return {derived.get(file) or source_address(bids_dir, file): digest(file) for file in files}


def _address(name: str, file: Path, run: BoldRun) -> str:
    root = run.derived.root if run.derived else file.parent
    return f"bids:{name}:{file.relative_to(root).as_posix()}"


def digest(file: Path) -> str:
    """SHA-256 of a file; empty if it cannot be read any more."""
    try:
        return known_digest(file)
    except OSError:
        return ""


def derivative_digests(output_dir: Path) -> dict[str, str]:
    """One SHA-256 over names and contents of the tables of each participant."""
    parts: dict[str, list[str]] = {}
    for file in map(Path, existing(output_dir, DERIVED_TABLES)):
        own = file.relative_to(output_dir)
        parts.setdefault(own.parts[0], []).append(f"{own.as_posix()} {digest(file)}")
    return {name: _digest_of(lines) for name, lines in sorted(parts.items())}


def _digest_of(lines: Iterable[str]) -> str:
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def _source_facts(name: str, path: Path, root: Path) -> Mapping[str, str]:
    """Name, place and digest of a source; of a folder that of names, sizes and times."""
    if path.is_file():
        return {"name": name, "path": _from(path, root), "sha256": digest(path)}
    return {"name": name, "path": _from(path, root), "files_sha256": source_stamp(path)}


def _from(path: Path, folder: Path) -> str:
    return os.path.relpath(path, folder)
