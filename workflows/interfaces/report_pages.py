"""HTML pages made of one file: templates filled with escaped text, pictures inside."""

from __future__ import annotations

import base64
import hashlib
import io
import json
from dataclasses import asdict, dataclass
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

from jinja2 import Environment, PackageLoader, StrictUndefined
from markdown_it import MarkdownIt
from markupsafe import Markup
from matplotlib.figure import Figure
from PIL import Image

from bids_utils.plain_text import printable
from bids_utils.sidecars import read_json
from workflows.drawing.canvas import png_bytes
from workflows.drawing.hover import CHUNK
from workflows.interfaces.brain_view import BrainMap
from workflows.interfaces.report_numbers import Numbers

if TYPE_CHECKING:
    from workflows.interfaces.report_tables import Sheet

LANGUAGE = "en"
SCRIPTS = ("brain.js", "page.js")
STYLE = "page.css"
LOWEST_HEADING = 6
WEBP_QUALITY = 88


@dataclass(frozen=True)
class Picture:
    """A picture with its words; two `small` ones stand side by side where there is room.

    `hover` is what its places say (see `drawing.hover`), `numbers` are the tables behind it,
    `brain` is the same as a brain that can be turned.
    """

    source: str
    alt: str
    caption: str
    small: bool = False
    hover: dict[str, object] | None = None
    numbers: tuple[Numbers, ...] = ()
    brain: BrainMap | None = None


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
    """Page of a template with the script and the style of all pages; every value is escaped.

    Signs that are not seen, such as those that turn the order of what is read, are written out.
    The browser runs no script but this one: the page names its hash.
    """
    environment = Environment(
        loader=PackageLoader("workflows"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=lambda value: printable(value) if type(value) is str else value,
    )
    environment.filters["asdict"] = asdict
    environment.policies["json.dumps_function"] = plain_json
    script = "\n".join(_part_of_page(name) for name in SCRIPTS)
    digest = base64.b64encode(hashlib.sha256(script.encode("utf-8")).digest()).decode("ascii")
    return environment.get_template(template).render(
        language=LANGUAGE,
        script=Markup(script),  # nosec B704 # noqa: S704 (our own file)
        script_hash=f"sha256-{digest}",
        page_style=Markup(_part_of_page(STYLE)),  # nosec B704 # noqa: S704 (our own file)
        **content,
    )


def plain_json(value: object, **options: bool) -> str:
    """JSON in which the texts have no signs that are not seen."""
    return json.dumps(_printable(value), **options)


def _printable(value: object) -> object:
    if isinstance(value, str):
        return printable(value)
    if isinstance(value, dict):
        return {_printable(key): _printable(own) for key, own in value.items()}
    return [_printable(own) for own in value] if isinstance(value, list | tuple) else value


def as_html(markdown: str, below: int = 2) -> Markup:
    """Text in Markdown as HTML, its headings below a heading of that level; HTML in it is text."""
    parser = MarkdownIt("commonmark", {"html": False})
    tokens = parser.parse(printable(markdown))
    for token in tokens:
        if token.type in ("heading_open", "heading_close"):
            token.tag = f"h{min(int(token.tag[1]) + below, LOWEST_HEADING)}"
    return Markup(parser.renderer.render(tokens, parser.options, {}))  # nosec B704 # noqa: S704 (escaped)


def drawn(
    figure: Figure,
    alt: str,
    caption: str,
    numbers: tuple[Numbers, ...] = (),
    brain: BrainMap | None = None,
) -> Picture:
    """Picture of a figure, with what its places say."""
    png = png_bytes(figure)
    return Picture(embedded(png), alt, caption, hover=hover_of(png), numbers=numbers, brain=brain)


def study_key(output_dir: Path) -> str:
    """Letters that tell the ratings of this study from those of others; no name, no path."""
    path = output_dir / "dataset_description.json"
    about = read_json(path) if path.is_file() else {}
    told = json.dumps([about.get("Name"), about.get("DatasetLinks")], sort_keys=True)
    return hashlib.sha256(told.encode("utf-8")).hexdigest()[:12]


def embedded(png: bytes) -> str:
    """Address of a picture that is part of the page."""
    return f"data:image/png;base64,{base64.b64encode(png).decode('ascii')}"


def lighter(png: bytes) -> str:
    """Address of a picture as WebP of high quality, a quarter of the size where it has noise."""
    stream = io.BytesIO()
    Image.open(io.BytesIO(png)).convert("RGB").save(stream, format="webp", quality=WEBP_QUALITY)
    return f"data:image/webp;base64,{base64.b64encode(stream.getvalue()).decode('ascii')}"


def hover_of(png: bytes) -> dict[str, object] | None:
    """What the places of a PNG say; None if nothing, or nothing that can be read."""
    try:
        told = Image.open(io.BytesIO(png)).info.get(CHUNK)
        return json.loads(told) if told else None
    except (OSError, ValueError):
        return None


def _part_of_page(name: str) -> str:
    """A file of the templates that goes into every page as it is."""
    return (files("workflows") / "templates" / name).read_text(encoding="utf-8").strip()


def cell_text(value: object) -> str:
    """Text of a table cell: n/a for a missing value, four digits for a fraction."""
    if value is None or value != value:
        return "n/a"
    if isinstance(value, float) and not value.is_integer():
        return f"{value:.4g}"
    if isinstance(value, float):
        return f"{value:.0f}"
    return str(value) or "n/a"
