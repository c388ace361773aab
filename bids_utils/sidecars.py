"""Metadata of a file from its JSON sidecars, with the inheritance of BIDS."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from bids_utils.errors import DatasetError
from bids_utils.names import BidsName, parse_name
from bids_utils.plain_files import read_json

SHARED = (".json", "_events.tsv")


def shared_names(folder: Path) -> tuple[str, ...]:
    """Names of the files in a folder that can belong to several images: JSON and events.

    A folder that does not exist has none.

    Raises
    ------
    DatasetError
        The folder cannot be read.
    """
    try:
        with os.scandir(folder) as entries:
            return tuple(entry.name for entry in entries if entry.name.endswith(SHARED))
    except FileNotFoundError:
        return ()
    except OSError as error:
        raise DatasetError(f"{folder}: the folder cannot be read: {error.strerror}") from error


def file_sidecar(file: Path) -> Path:
    """Where the JSON of a saved file is, if it has one."""
    return file.with_name(f"{file.name.split('.')[0]}.json")


def read_metadata(
    bids_dir: Path, path: Path, root_names: tuple[str, ...] | None = None
) -> dict[str, object]:
    """Metadata of a data file; a sidecar deeper in the folders overrides those above.

    A sidecar applies if it has the file's suffix and no entity that the file does not have
    with the same label. In one folder, the one with more entities overrides.

    Parameters
    ----------
    bids_dir : Path
        Root of the dataset.
    path : Path
        Data file, absolute or relative to `bids_dir`.
    root_names : tuple of str, optional
        `shared_names` of `bids_dir`; saves listing a large folder again for each file.

    Raises
    ------
    DatasetError
        A sidecar that applies cannot be read.
    """
    name = parse_name(path.name)
    metadata: dict[str, object] = {}
    if name is not None:
        for sidecar in _inherited(bids_dir, path, (name, ".json"), root_names):
            metadata |= read_json(sidecar)
    return metadata


def events_file(
    bids_dir: Path, path: Path, root_names: tuple[str, ...] | None = None
) -> Path | None:
    """Table of events of a BOLD run: the nearest one that applies, None if there is none.

    It lies beside the run or higher up, and applies as a sidecar does.

    Parameters
    ----------
    bids_dir, path, root_names
        As for `read_metadata`.

    Raises
    ------
    DatasetError
        A folder cannot be read.
    """
    name = parse_name(path.name)
    if name is None:
        return None
    target = (BidsName(name.entities, "events", ".tsv"), ".tsv")
    return next(reversed(_inherited(bids_dir, path, target, root_names)), None)


def scanner_name(metadata: Mapping[str, object]) -> str:
    """Short text that tells scanners apart, such as ``Siemens Prisma 67026``; may be empty."""
    keys = ("Manufacturer", "ManufacturersModelName", "DeviceSerialNumber")
    words = [" ".join(str(metadata.get(key) or "").split()) for key in keys]
    maker, model, serial = words
    if maker and model.lower().startswith(maker.lower()):
        maker = ""
    return " ".join(word for word in (maker, model, serial) if word)


def _levels(bids_dir: Path, path: Path) -> list[Path]:
    inner = path.parent.relative_to(bids_dir).parts
    return [bids_dir.joinpath(*inner[:depth]) for depth in range(len(inner) + 1)]


def _inherited(
    bids_dir: Path,
    path: Path,
    target: tuple[BidsName, str],
    root_names: tuple[str, ...] | None,
) -> list[Path]:
    """Files that apply to a data file, the nearest last; `target` is its name and an extension."""
    found = []
    for folder in _levels(bids_dir, bids_dir / path):
        known = root_names if folder == bids_dir else None
        names = shared_names(folder) if known is None else known
        found += [folder / name for name in _applicable(names, *target)]
    return found


def _applicable(names: Iterable[str], target: BidsName, extension: str) -> list[str]:
    own = set(target.entities)
    ending = f"{target.suffix}{extension}"
    parsed = ((name, parse_name(name)) for name in names if name.endswith(ending))
    found = [
        (len(other.entities), name)
        for name, other in parsed
        if other and other.suffix == target.suffix and own.issuperset(other.entities)
    ]
    return [name for _, name in sorted(found)]
