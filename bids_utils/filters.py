"""Filter files (`--bids-filter-file`) with the meaning they have in fMRIPrep."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from bids_utils.errors import DatasetError, SettingsError
from bids_utils.names import ENTITY_ORDER, nearest, same_label, strip_label
from bids_utils.plain_files import read_json

ANY = "*"
"""A filter value: the entity must be there, with any label."""

Filter = Mapping[str, tuple[str | None, ...]]
"""Column of the index -> labels that pass; None passes files without the entity."""

IMAGE_EXTENSIONS = (".nii", ".nii.gz")

DEFAULTS: Mapping[str, Filter] = {
    "t1w": {"datatype": ("anat",), "suffix": ("T1w",), "extension": IMAGE_EXTENSIONS},
    "bold": {"datatype": ("func",), "suffix": ("bold",), "extension": IMAGE_EXTENSIONS},
}
"""What each query asks for; a filter file replaces or adds entities."""

OTHER_QUERIES = ("fmap", "sbref", "flair", "t2w", "roi", "dwi", "asl", "pet")
"""Queries of other tools: allowed in the file, without effect here."""

LONG_NAMES = {
    "acquisition": "acq",
    "ceagent": "ce",
    "tracer": "trc",
    "staining": "stain",
    "reconstruction": "rec",
    "direction": "dir",
    "modality": "mod",
    "inversion": "inv",
    "mtransfer": "mt",
    "processing": "proc",
    "hemisphere": "hemi",
    "resolution": "res",
    "density": "den",
    "description": "desc",
    "sub": "subject",
    "ses": "session",
}
"""Names of entities in filter files -> columns of the index."""

COLUMNS = ("subject", "session", "datatype", "suffix", "extension", *ENTITY_ORDER)


def read_filters(path: Path) -> dict[str, Filter]:
    """Filters by query (``t1w``, ``bold``) from a JSON file.

    A value is a label, a number or a list of them; ``null`` means that the entity must be
    absent, ``"*"`` that it must be present. Entities have their long or short names
    (``acquisition`` or ``acq``); queries for images that are not used here are allowed.

    Raises
    ------
    SettingsError
        The file cannot be read, or a query or an entity is unknown (the nearest is named).
    """
    raw = _read_json(path)
    known = (*DEFAULTS, *OTHER_QUERIES)
    filters: dict[str, Filter] = {}
    for query, entities in raw.items():
        if query not in known:
            raise SettingsError(f"{path}: unknown query '{query}'; {nearest(query, known)}")
        if not isinstance(entities, dict):
            raise SettingsError(f"{path}: '{query}' must be an object of entities and labels")
        if query in DEFAULTS:
            filters[query] = dict(_read_entity(path, *item) for item in entities.items())
    return filters


def passes(index: pd.DataFrame, query: str, filters: Mapping[str, Filter]) -> pd.Series:
    """Whether each file of the index answers a query, as a boolean column."""
    wanted = {**DEFAULTS[query], **filters.get(query, {})}
    mask = pd.Series(True, index=index.index)
    for column, labels in wanted.items():
        found = index[column] if column in index else pd.Series("", index=index.index)
        fits = {value: _fits(column, value, labels) for value in found.unique()}
        mask &= found.map(fits).astype(bool)
    return mask


def _fits(column: str, value: str, labels: tuple[str | None, ...]) -> bool:
    if not value:
        return None in labels
    return any(
        label == ANY or same_label(column, value, label) for label in labels if label is not None
    )


def _read_json(path: Path) -> dict[str, object]:
    try:
        return read_json(path)
    except DatasetError as error:
        example = 'queries such as {"t1w": {"acquisition": null}}'
        raise SettingsError(f"{error} (a filter file holds {example})") from error


def _read_entity(path: Path, key: str, value: object) -> tuple[str, tuple[str | None, ...]]:
    column = LONG_NAMES.get(key, key)
    if column not in COLUMNS:
        advice = nearest(key, (*COLUMNS, *LONG_NAMES))
        raise SettingsError(f"{path}: unknown entity '{key}'; {advice}")
    values = value if isinstance(value, list) else [value]
    return column, tuple(_read_label(path, column, item) for item in values)


def _read_label(path: Path, column: str, value: object) -> str | None:
    special = {"Query.NONE": None, "Query.ANY": ANY, "Query.REQUIRED": ANY, ANY: ANY}
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise SettingsError(f"{path}: '{column}': {value!r} must be a label, a list or null")
    text = str(value)
    if text in special:
        return special[text]
    prefix = {"subject": "sub", "session": "ses"}.get(column, column)
    label = strip_label(text, prefix)
    return f".{label}" if column == "extension" and not label.startswith(".") else label
