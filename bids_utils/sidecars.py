"""Metadata of a file from its JSON sidecars, with the inheritance of BIDS."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from bids_utils.errors import DatasetError
from bids_utils.names import BidsName, parse_name


def read_json(path: Path) -> dict[str, object]:
    """Content of a JSON file that holds one object.

    Raises
    ------
    DatasetError
        The file cannot be read or is not JSON; the message names file and line.
    """
    try:
        raw = json.loads(path.read_text(encoding="utf-8-sig"))
    except json.JSONDecodeError as error:
        place = f"{path}, line {error.lineno}, column {error.colno}"
        raise DatasetError(f"{place}: not JSON ({error.msg}); correct the file") from error
    except UnicodeDecodeError as error:
        raise DatasetError(f"{path}: not UTF-8 text ({error}); save it as UTF-8") from error
    except OSError as error:
        raise DatasetError(f"{path}: cannot be read: {error.strerror}") from error
    if not isinstance(raw, dict):
        raise DatasetError(f"{path}: expected an object {{...}}, found {type(raw).__name__}")
    return raw


def json_names(folder: Path) -> tuple[str, ...]:
    """Names of the JSON files in a folder.

    Raises
    ------
    DatasetError
        The folder cannot be read.
    """
    try:
        with os.scandir(folder) as entries:
            return tuple(entry.name for entry in entries if entry.name.endswith(".json"))
    except OSError as error:
        raise DatasetError(f"{folder}: the folder cannot be read: {error.strerror}") from error


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
        `json_names` of `bids_dir`; saves listing a large folder again for each file.

    Raises
    ------
    DatasetError
        A sidecar that applies cannot be read.
    """
    name = parse_name(path.name)
    metadata: dict[str, object] = {}
    if name is None:
        return metadata
    for folder in _levels(bids_dir, bids_dir / path):
        known = root_names if folder == bids_dir else None
        for sidecar in _applicable(json_names(folder) if known is None else known, name):
            metadata |= read_json(folder / sidecar)
    return metadata


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


def _applicable(names: Iterable[str], target: BidsName) -> list[str]:
    own = set(target.entities)
    parsed = ((name, parse_name(name)) for name in names if name.endswith(f"{target.suffix}.json"))
    found = [
        (len(other.entities), name)
        for name, other in parsed
        if other and other.suffix == target.suffix and own.issuperset(other.entities)
    ]
    return [name for _, name in sorted(found)]
