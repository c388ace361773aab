"""Atlases by name, or a user's own: label image, its standard space and its table of regions."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import NotRequired, TypedDict

import yaml

from bids_utils.derivatives import known_digest
from bids_utils.errors import SettingsError
from bids_utils.names import nearest, parse_name
from configs.settings import AtlasSettings

FOLDER = Path(__file__).parent
HOME_SPACE = "MNI152NLin2009aSym"
UNKNOWN_LICENCE = "unknown: this atlas was given by the user"


class Source(TypedDict):
    """Where a file is: in the TemplateFlow cache, by its entities, or in a package."""

    templateflow: NotRequired[dict[str, str]]
    package: NotRequired[str]
    file: NotRequired[str]


class Entry(Source):
    """An atlas in `atlases.yaml`."""

    space: str
    resolution_mm: float
    labels: NotRequired[str]
    structure: NotRequired[str]
    sides: NotRequired[dict[str, str]]
    licence: str
    citation: str
    citation_short: str


class Registry(TypedDict):
    """Content of `atlases.yaml`."""

    spaces: dict[str, Source]
    atlases: dict[str, Entry]


@dataclass(frozen=True)
class Atlas:
    """Labels in a standard space, and what is known of them.

    `labels_file` has at least the columns index and name. `structure` and `sides` (start of
    the names by hemisphere) hold for labels whose table does not say. `brain_file` is the
    skull-stripped T1w of the space, None in the space of the images. `resolution_mm` is None
    where only the image knows.
    """

    name: str
    space: str
    file: Path
    labels_file: Path
    licence: str
    citation: str
    citation_short: str
    resolution_mm: float | None = None
    brain_file: Path | None = None
    structure: str | None = None
    sides: tuple[tuple[str, str], ...] = ()


def chosen_atlas(settings: AtlasSettings) -> Atlas:
    """Atlas of a study: one of `atlases.yaml`, or the user's own.

    Raises
    ------
    SettingsError
        Name, space or a file is not there; the message names the nearest or what to do.
    """
    if settings.file is None or settings.labels is None or settings.space is None:
        return find_atlas(settings.name, settings.space_template)
    if settings.name in _registry()["atlases"]:
        raise SettingsError(
            f"atlas.name: '{settings.name}' is an atlas of atlases.yaml; give your own another name"
        )
    cited = f"Atlas {settings.name} (given by the user; its source and licence are not known here)"
    return Atlas(
        name=settings.name,
        space=settings.space,
        file=_existing("atlas.file", settings.file),
        labels_file=_existing("atlas.labels", settings.labels),
        licence=UNKNOWN_LICENCE,
        citation=cited,
        citation_short=cited,
        brain_file=_brain_of(settings.space, settings.space_template),
    )


def find_atlas(name: str, space_template: Path | None = None) -> Atlas:
    """Atlas of that name in `atlases.yaml`.

    Parameters
    ----------
    name : str
        Name in `atlases.yaml`.
    space_template : Path, optional
        Skull-stripped T1w of the space of the atlas, in place of the one that would be found.

    Raises
    ------
    SettingsError
        There is no such atlas (the nearest name is given), or the package or file that
        holds it is not there.
    """
    known = _registry()["atlases"]
    if name not in known:
        raise SettingsError(
            f"atlas.name: '{name}' is unknown; {nearest(name, known)} For an atlas of your own "
            "give atlas.file, atlas.labels and atlas.space too"
        )
    entry = known[name]
    file = _found(f"atlas.name: {name}", entry, "dseg", ".nii.gz")
    if "labels" in entry:
        labels = FOLDER / entry["labels"]
    else:
        beside: Source = {"templateflow": _without(entry["templateflow"], "res")}
        labels = _found(f"atlas.name: {name}", beside, "dseg", ".tsv")
    return Atlas(
        name=name,
        space=entry["space"],
        file=file,
        labels_file=labels,
        licence=entry["licence"],
        citation=entry["citation"].strip(),
        citation_short=entry["citation_short"],
        resolution_mm=entry["resolution_mm"],
        brain_file=_brain_of(entry["space"], space_template),
        structure=entry.get("structure"),
        sides=tuple(entry.get("sides", {}).items()),
    )


def atlas_digest(atlas: Atlas) -> str:
    """SHA-256 of all files that decide the labels: image, table, and brain of the space."""
    files = [atlas.file, atlas.labels_file, *filter(None, [atlas.brain_file])]
    parts = [known_digest(file) for file in files]
    return hashlib.sha256(" ".join([atlas.name, atlas.space, *parts]).encode()).hexdigest()


@cache
def _registry() -> Registry:
    return yaml.safe_load((FOLDER / "atlases.yaml").read_text(encoding="utf-8"))


def _brain_of(space: str, given: Path | None) -> Path | None:
    """Skull-stripped T1w of a space; None for the space of the images."""
    if given is not None:
        return _existing("atlas.space_template", given)
    spaces = _registry()["spaces"]
    if space not in spaces:
        raise SettingsError(
            f"atlas.space: '{space}' is unknown; {nearest(space, spaces)} For another space "
            "give its skull-stripped T1w as atlas.space_template"
        )
    if space == HOME_SPACE:
        return None
    try:
        return _found(f"atlas.space: the brain of {space}", spaces[space], "T1w", ".nii.gz")
    except SettingsError as error:
        raise SettingsError(
            f"{error}; or give your own file as atlas.space_template: the skull-stripped T1w of "
            f"{space}, such as tpl-{space}_res-01_desc-brain_T1w.nii.gz of TemplateFlow"
        ) from error


def _existing(key: str, path: Path) -> Path:
    if not path.is_file():
        raise SettingsError(f"{key}: {path} is not a file; correct the path")
    return path


def _without(entities: Mapping[str, str], key: str) -> dict[str, str]:
    return {name: label for name, label in entities.items() if name != key}


def _found(what: str, source: Source, suffix: str, extension: str) -> Path:
    """File of a source, from TemplateFlow or a package; SettingsError says how to get it."""
    wanted = source.get("templateflow", {})
    file = _in_templateflow(wanted, suffix, extension) if wanted else None
    if file is None and "package" in source:
        file = _in_package(source["package"], source["file"])
    if file is not None:
        return file
    ways = [f"run 'pip install {source['package']}'"] if "package" in source else []
    if wanted:
        query = "".join(f", {key}={label!r}" for key, label in _without(wanted, "tpl").items())
        call = f"get({wanted['tpl']!r}{query.replace('res=', 'resolution=')}, suffix={suffix!r})"
        ways.append(
            f"put it into the TemplateFlow cache {templateflow_folder()}, where there is network, "
            f'by: python -c "from templateflow.api import get; {call}"'
        )
    raise SettingsError(f"{what}: not installed; {', or '.join(ways)}")


def _in_package(package: str, name: str) -> Path | None:
    """File of an installed package, which is not imported."""
    spec = find_spec(package)
    folders = list(spec.submodule_search_locations or []) if spec else []
    files = [Path(folder) / name for folder in folders]
    return next((file for file in files if file.is_file()), None)


def templateflow_folder() -> Path:
    """Folder of the TemplateFlow cache, which need not exist."""
    return Path(os.environ.get("TEMPLATEFLOW_HOME") or Path.home() / ".cache" / "templateflow")


def _in_templateflow(wanted: Mapping[str, str], suffix: str, extension: str) -> Path | None:
    """File of the cache with exactly these entities, in any order.

    TemplateFlow keeps an empty file for each one that it has not downloaded.
    """
    for file in (templateflow_folder() / f"tpl-{wanted['tpl']}").glob(f"*_{suffix}{extension}"):
        name = parse_name(file.name)
        if name and dict(name.entities) == dict(wanted) and file.stat().st_size:
            return file
    return None
