"""BIDS names: the only place where they are split and joined."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

# fmt: off
ENTITY_ORDER = (
    "sub", "tpl", "ses", "cohort", "sample", "task", "tracksys", "acq", "nuc", "voi", "ce",
    "trc", "stain", "rec", "dir", "run", "mod", "echo", "flip", "inv", "mt", "part", "proc",
    "hemi", "space", "split", "recording", "chunk", "atlas", "seg", "scale", "res", "den",
    "label", "from", "to", "mode", "stat", "desc",
)
# fmt: on
"""Order in a file name; `from`, `to`, `mode` and `stat` stand where fMRIPrep and XCP-D put them."""

NUMBERED = frozenset({"run", "echo", "flip", "inv", "split", "chunk"})
"""Entities whose label is a number, so that `run-1` and `run-01` mean the same."""


@dataclass(frozen=True)
class BidsName:
    """A file name in its parts; `entities` keep the order of the name."""

    entities: tuple[tuple[str, str], ...]
    suffix: str
    extension: str

    def get(self, key: str) -> str | None:
        """Label of an entity, without its key; None if the name does not have it."""
        return dict(self.entities).get(key)


def parse_name(name: str) -> BidsName | None:
    """Parts of a file name, or None if it is not made as BIDS says.

    Parameters
    ----------
    name : str
        File name without folders, such as ``sub-01_ses-pre_T1w.nii.gz``. Names without
        entities (``bold.json``) are valid, names without extension are not.
    """
    stem, dot, extension = name.partition(".")
    *pairs, suffix = stem.split("_")
    entities = tuple(_split_pair(pair) for pair in pairs)
    keys = {key for key, _ in entities}
    if not (dot and extension and _is_label(suffix)):
        return None
    if "" in keys or len(keys) < len(entities):
        return None
    return BidsName(entities, suffix, dot + extension)


def build_name(entities: Iterable[tuple[str, str]], suffix: str, extension: str) -> str:
    """File name with the entities in the order of the specification.

    Parameters
    ----------
    entities : iterable of (key, label)
        In any order; the last one of equal keys holds.
    suffix : str
        Such as ``T1w``.
    extension : str
        With its dot, such as ``.nii.gz``.

    Raises
    ------
    ValueError
        An entity is unknown, or a label holds more than letters and digits.
    """
    labels = dict(entities)
    for key, label in labels.items():
        if key not in ENTITY_ORDER:
            raise ValueError(f"entities: '{key}' is not a BIDS entity")
        if not _is_label(label):
            raise ValueError(f"entities: '{key}-{label}' must hold letters and digits only")
    pairs = [f"{key}-{labels[key]}" for key in ENTITY_ORDER if key in labels]
    return "_".join([*pairs, suffix]) + extension


def strip_label(text: str, key: str) -> str:
    """Label without its key: ``sub-01`` and ``01`` both give ``01`` for the key ``sub``."""
    return text.strip().removeprefix(f"{key}-")


def with_prefix(label: str, key: str) -> str:
    """Label with its key: ``01`` and ``sub-01`` both give ``sub-01`` for the key ``sub``."""
    return f"{key}-{strip_label(label, key)}"


def folder_label(name: str, key: str) -> str:
    """Label of a folder such as ``sub-01``; empty if the folder is not of this kind."""
    label = name.removeprefix(f"{key}-")
    return label if label != name and _is_label(label) else ""


def split_wide_column(column: str) -> tuple[str, str] | None:
    """Score and session of a column such as ``BDI_ses-pre``; None for other columns."""
    score, mark, session = column.rpartition("_ses-")
    return (score, session) if mark and score and _is_label(session) else None


def same_label(key: str, one: str, other: str) -> bool:
    """Whether two labels mean the same; numbers are compared as numbers."""
    if key in NUMBERED and one.isdecimal() and other.isdecimal():
        return int(one) == int(other)
    return one == other


def nearest(asked: str, known: Iterable[str]) -> str:
    """Advice for a name that does not exist: the nearest ones, or what there is."""
    names = list(dict.fromkeys(known))
    near = difflib.get_close_matches(asked, names, n=3, cutoff=0.5)
    if near:
        return f"did you mean {' or '.join(repr(name) for name in near)}?"
    if not names:
        return "there are none"
    shown = ", ".join(names[:10])
    return f"there are: {shown}" + (f" and {len(names) - 10} more" if len(names) > 10 else "")


@lru_cache(maxsize=4096)
def _split_pair(pair: str) -> tuple[str, str]:
    key, _, label = pair.partition("-")
    return (key, label) if key.isalnum() and _is_label(label) else ("", "")


def _is_label(text: str) -> bool:
    return text.isascii() and text.replace("+", "").isalnum()
