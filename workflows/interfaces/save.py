"""Saving: the table of what a workflow writes, and the node that writes it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Output:
    """One file to save: an output field of a builder and its BIDS name."""

    field: str
    suffix: str
    extension: str
    datatype: str
    entities: tuple[tuple[str, str], ...] = ()
    scope: str = "participant"
    description: str = ""
    metadata: tuple[tuple[str, str | bool | float], ...] = ()
