"""HTML pages made of one file: templates filled with escaped text, pictures inside."""

from __future__ import annotations

import base64
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined

LANGUAGE = "en"


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
