"""What the command line asks for: folders, whom, with what, and where measures come from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from bids_utils.errors import SettingsError
from bids_utils.names import nearest
from bids_utils.readers.sources import READERS, SAME_NAME
from configs.settings import Settings
from workflows.cluster import Scheduler
from workflows.group import DERIVED_TABLES, existing
from workflows.interfaces.measure_sources import Intake

PREPROCESSED = "fmriprep"
"""Derivatives that take the place of raw BOLD; all others are sources of measures."""


@dataclass(frozen=True)
class Options:
    """The command line, with full paths."""

    bids_dir: Path
    output_dir: Path
    level: str
    work_dir: Path
    participant_label: tuple[str, ...] = ()
    session_label: tuple[str, ...] = ()
    task_id: tuple[str, ...] = ()
    bids_filter_file: Path | None = None
    skip_bids_validation: bool = False
    settings: Path | None = None
    derivatives: tuple[str, ...] = ()
    measures: tuple[Path, ...] = ()
    scores_only: bool = False
    random_seed: int | None = None
    nprocs: int = 1
    mem_gb: float | None = None
    clean_workdir: bool = False
    dry_run: bool = False
    stop_on_first_crash: bool = False
    reports_only: bool = False
    boilerplate_only: bool = False
    verbose: int = 0
    scheduler: Scheduler | None = None
    cluster: Path | None = None
    failed: bool = False
    go: bool = False


def with_seed(settings: Settings, seed: int | None) -> Settings:
    """Settings with the start of random numbers from the command line.

    Raises
    ------
    SettingsError
        It is negative.
    """
    if seed is None:
        return settings
    if seed < 0:
        raise SettingsError(f"--random-seed {seed}: must be 0 or more")
    return settings.model_copy(update={"random_seed": seed})


def check_sources(options: Options, settings: Settings) -> None:
    """Refuse sources that are unknown or do not fit the level.

    Raises
    ------
    SettingsError
        The message says which option, and what to do.
    """
    measures = sources_of(options)
    if (measures or options.scores_only) and options.level not in ("group", "lock"):
        raise SettingsError(
            "--derivatives, --measures and --scores-only take the place of images: use the level "
            f"group. Here only preprocessed BOLD is read, as --derivatives {PREPROCESSED}=PATH"
        )
    for name, path in measures:
        if SAME_NAME.get(name.lower(), name.lower()) not in (*READERS, "auto"):
            raise SettingsError(
                f"--derivatives {name}={path}: unknown source '{name}'; "
                f"{nearest(name.lower(), [PREPROCESSED, *READERS, 'auto'])}"
            )
    for _, path in fmriprep_trees(options):
        if not path.is_dir():
            raise SettingsError(f"--derivatives {PREPROCESSED}={path}: there is no such folder")
    if options.scores_only and (measures or fmriprep_trees(options)):
        raise SettingsError("--scores-only: leave out --derivatives and --measures, or leave it")
    if options.scores_only and not settings.sessions.order:
        raise SettingsError(
            "sessions.order: --scores-only needs the sessions of the scores, the earliest first"
        )


def job_words(options: Options, level: str, settings_file: Path) -> tuple[str, ...]:
    """Words of the command line that do a level as these options say, from any folder.

    Who it is for, cores and memory are not in it: each job has its own.
    """
    places = ("--settings", str(settings_file), "--work-dir", str(options.work_dir))
    flags = {
        "--skip-bids-validation": True,  # done once, where the jobs were written
        "--clean-workdir": options.clean_workdir,
        "--stop-on-first-crash": options.stop_on_first_crash,
        f"-{'v' * options.verbose}": options.verbose > 0,
    }
    words = (str(options.bids_dir), str(options.output_dir), level, *places)
    return (*words, *data_words(options, str), *(name for name, is_on in flags.items() if is_on))


def data_words(options: Options, place: Callable[[Path], str]) -> list[str]:
    """Words of the command line that say which data are used, of whomever.

    Parameters
    ----------
    options : Options
    place : callable
        Text for a full path.
    """
    filters = options.bids_filter_file
    values: list[tuple[str, tuple[str, ...]]] = [
        ("--session-label", options.session_label),
        ("--task-id", options.task_id),
        ("--bids-filter-file", (place(filters.absolute()),) if filters else ()),
        *(("--derivatives", (f"{name}={place(path)}",)) for name, path in _derivatives(options)),
        *(("--measures", (place(path.absolute()),)) for path in options.measures),
    ]
    words = [word for name, given in values if given for word in (name, *given)]
    return [*words, "--scores-only"] if options.scores_only else words


def sources_of(options: Options) -> tuple[tuple[str, Path], ...]:
    """Name and full path of each source of measures: first those of --derivatives, then tables."""
    tables = [("table", path.absolute()) for path in options.measures]
    return (*(pair for pair in _derivatives(options) if not _is_preprocessed(pair)), *tables)


def fmriprep_trees(options: Options) -> tuple[tuple[str, Path], ...]:
    """Folders of fMRIPrep, each with the name it has in DatasetLinks and in addresses."""
    folders = [path for name, path in _derivatives(options) if _is_preprocessed((name, path))]
    return tuple((f"{PREPROCESSED}{place or ''}", path) for place, path in enumerate(folders))


def _derivatives(options: Options) -> list[tuple[str, Path]]:
    named = []
    for text in options.derivatives:
        name, equals, path = text.partition("=")
        is_path = not equals or len(Path(name).parts) != 1
        found = ("auto", Path(text)) if is_path else (name, Path(path))
        named.append((found[0], found[1].absolute()))
    return named


def _is_preprocessed(source: tuple[str, Path]) -> bool:
    return source[0].lower() == PREPROCESSED


def intake_of(options: Options) -> Intake:
    """Where the measures of the group level come from.

    Own derivatives are used where nothing else is given, or where there are some.
    """
    sources = sources_of(options)
    own = bool(existing(options.output_dir, DERIVED_TABLES))
    return Intake(
        sources=sources,
        derivatives=not options.scores_only and (not sources or own),
        participants=options.participant_label,
        sessions=options.session_label,
    )
