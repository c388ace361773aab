"""Tables in Markdown."""

from collections.abc import Iterable, Sequence


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Markdown of a table; bars and line ends in cells are made harmless."""
    lines = [_line(header), _line(["---"] * len(header))]
    return "\n".join([*lines, *(_line(row) for row in rows)]) + "\n"


def code(text: str) -> str:
    """Text as code, or nothing where there is none."""
    return f"`{text}`" if text else ""


def _line(cells: Sequence[str]) -> str:
    harmless = [" ".join(cell.split()).replace("|", "\\|").replace("$", "\\$") for cell in cells]
    return "| " + " | ".join(harmless) + " |"
