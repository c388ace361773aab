"""Circuits chosen before the data were seen: pairs of regions of an atlas, and why."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path
from typing import Annotated

import yaml
from pydantic import BaseModel, ConfigDict, Field

from bids_utils.errors import SettingsError
from bids_utils.names import nearest

FILE = Path(__file__).parent / "circuits.yaml"
ANY = "*"


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Ends(_Record):
    """Regions of an atlas between which a circuit runs."""

    sources: Annotated[tuple[str, ...], Field(min_length=1)]
    targets: Annotated[tuple[str, ...], Field(min_length=1)]


class CircuitRecord(_Record):
    """A circuit, the work that named it, and its regions in each atlas."""

    meaning: str
    citation: Annotated[str, Field(pattern=r"\b(19|20)\d\d\b")]
    atlases: dict[str, Ends]


@lru_cache(maxsize=1)
def known_circuits() -> dict[str, CircuitRecord]:
    """All circuits of `circuits.yaml` by name."""
    content = yaml.safe_load(FILE.read_text(encoding="utf-8"))
    return {name: CircuitRecord(**record) for name, record in content.items()}


def chosen_circuits(
    names: tuple[str, ...] | None, atlas: str, regions: Iterable[str]
) -> dict[str, tuple[tuple[str, ...], tuple[str, ...]]]:
    """Sources and targets of the circuits of a study, by name.

    Parameters
    ----------
    names : tuple of str or None
        Those asked for; None: all that the atlas has.
    atlas : str
        Name of the atlas.
    regions : iterable of str
        Names of all its regions.

    Raises
    ------
    SettingsError
        There is no such circuit (the nearest is named), the atlas does not have it, or a region
        is not in the atlas.
    """
    known, regions = known_circuits(), tuple(regions)
    if names is None:
        names = tuple(name for name, record in known.items() if atlas in record.atlases)
    chosen = {}
    for name in names:
        if name not in known:
            raise SettingsError(f"func.circuits: '{name}' is unknown; {nearest(name, known)}")
        if atlas not in known[name].atlases:
            have = ", ".join(known[name].atlases)
            raise SettingsError(
                f"func.circuits: '{name}' is not defined in the atlas {atlas}, only in {have}; "
                "leave it out or choose another atlas"
            )
        ends = known[name].atlases[atlas]
        chosen[name] = (_members(ends.sources, regions), _members(ends.targets, regions))
    return chosen


def _members(patterns: tuple[str, ...], regions: tuple[str, ...]) -> tuple[str, ...]:
    """Regions that the names of a circuit stand for, each once."""
    members: dict[str, None] = {}
    for pattern in patterns:
        start = pattern.removesuffix(ANY)
        found = [name for name in regions if name == pattern or _begins(name, pattern, start)]
        if not found:
            raise SettingsError(
                f"func.circuits: the atlas has no region '{pattern}'; {nearest(start, regions)}"
            )
        members |= dict.fromkeys(found)
    return tuple(members)


def _begins(name: str, pattern: str, start: str) -> bool:
    return pattern.endswith(ANY) and name.startswith(start)
