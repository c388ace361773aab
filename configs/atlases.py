"""Atlases by name: label image, its standard space and its table of regions."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import yaml

from bids_utils.errors import SettingsError

FOLDER = Path(__file__).parent


@dataclass(frozen=True)
class Atlas:
    """Labels in a standard space; `labels_file` has columns index, name, hemisphere, structure."""

    name: str
    space: str
    file: Path
    labels_file: Path
    licence: str
    citation: str
    citation_short: str


def find_atlas(name: str) -> Atlas:
    """Atlas of that name in `atlases.yaml`.

    Raises
    ------
    SettingsError
        There is no such atlas (the nearest name is given), or the package that holds it is
        not installed.
    """
    known = yaml.safe_load((FOLDER / "atlases.yaml").read_text(encoding="utf-8"))
    if name not in known:
        near = difflib.get_close_matches(name, known, n=1) or list(known)
        raise SettingsError(f"atlas.name: '{name}' is unknown; did you mean '{near[0]}'?")
    entry = known[name]
    return Atlas(
        name=name,
        space=entry["space"],
        file=_file_in_package(entry["package"], entry["file"]),
        labels_file=FOLDER / entry["labels"],
        licence=entry["licence"],
        citation=entry["citation"].strip(),
        citation_short=entry["citation_short"],
    )


def _file_in_package(package: str, name: str) -> Path:
    """File of an installed package, which is not imported."""
    spec = find_spec(package)
    folders = list(spec.submodule_search_locations or []) if spec else []
    for folder in folders:
        if (Path(folder) / name).is_file():
            return Path(folder) / name
    raise SettingsError(
        f"atlas.name: the package '{package}' with {name} is not installed; run "
        f"'pip install {package}'"
    )
