"""HTML pages made of one file: templates filled with escaped text, pictures inside."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from jinja2 import Environment, PackageLoader, StrictUndefined

if TYPE_CHECKING:
    from workflows.interfaces.report_tables import Sheet

LANGUAGE = "en"


@dataclass(frozen=True)
class Picture:
    """A picture with its words; two `small` ones stand side by side where there is room."""

    source: str
    alt: str
    caption: str
    small: bool = False


@dataclass(frozen=True)
class Line:
    """A sentence and what it does not mean."""

    sentence: str
    caution: str = ""


@dataclass(frozen=True)
class Part:
    """One answer: cautions, sentences, pictures and tables, shown in this order.

    A `folded` part shows its title only until it is opened. Tables are always folded.
    """

    title: str = ""
    cautions: tuple[str, ...] = ()
    lines: tuple[Line, ...] = ()
    pictures: tuple[Picture, ...] = ()
    sheets: tuple[Sheet, ...] = ()
    folded: bool = False

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to show."""
        return not (self.cautions or self.lines or self.pictures or self.sheets)


@dataclass(frozen=True)
class Chapter:
    """A numbered part of the page: its place, its name, and its answers."""

    anchor: str
    title: str
    menu: str
    parts: tuple[Part, ...]
    lead: str = ""
    otherwise: str = ""


def lines_of(sentences: list[str]) -> tuple[Line, ...]:
    """Sentences without cautions; empty ones are left out."""
    return tuple(Line(sentence) for sentence in sentences if sentence)


def rendered(template: str, **content: object) -> str:
    """Page of a template; every value is escaped."""
    environment = Environment(
        loader=PackageLoader("workflows"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(template).render(language=LANGUAGE, **content)


def embedded(png: bytes) -> str:
    """Address of a picture that is part of the page."""
    return f"data:image/png;base64,{base64.b64encode(png).decode('ascii')}"


def embedded_file(path: Path) -> str:
    """Address of a picture on disk as part of the page."""
    return embedded(path.read_bytes())


def cell_text(value: object) -> str:
    """Text of a table cell: n/a for a missing value, four digits for a fraction."""
    if value is None or value != value:
        return "n/a"
    if isinstance(value, float) and not value.is_integer():
        return f"{value:.4g}"
    if isinstance(value, float):
        return f"{value:.0f}"
    return str(value) or "n/a"
