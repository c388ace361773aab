"""Metadata of a file from its JSON sidecars, with the inheritance of BIDS."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
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


def read_metadata(bids_dir: Path, path: Path) -> dict[str, object]:
    """Metadata of a data file; a sidecar deeper in the folders overrides those above.

    A sidecar applies if it has the file's suffix and no entity that the file does not have
    with the same label. In one folder, the one with more entities overrides.

    Parameters
    ----------
    bids_dir : Path
        Root of the dataset.
    path : Path
        Data file, absolute or relative to `bids_dir`.

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
        for sidecar in _sidecars(folder, name):
            metadata |= read_json(sidecar)
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


def _sidecars(folder: Path, name: BidsName) -> list[Path]:
    own = set(name.entities)
    found = [
        (len(other.entities), path)
        for path, other in _json_names(folder, name.suffix)
        if own.issuperset(other.entities)
    ]
    return [path for _, path in sorted(found)]


def _json_names(folder: Path, suffix: str) -> Iterator[tuple[Path, BidsName]]:
    with os.scandir(folder) as entries:
        files = [entry.name for entry in entries if entry.name.endswith(f"{suffix}.json")]
    for file in files:
        name = parse_name(file)
        if name and name.suffix == suffix:
            yield folder / file, name
