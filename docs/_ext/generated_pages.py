"""Parts of pages that are made from the code: `<!-- generated: NAME -->` becomes Markdown."""

import re
from collections.abc import Callable

from command_page import command_options, demo_options
from known_page import circuit_table, scale_tables
from other_pages import other_pages
from settings_page import setting_tables
from sphinx.application import Sphinx
from tables_page import column_tables

MARK = re.compile(r"<!-- generated: ([a-z-]+) -->")
PARTS: dict[str, Callable[[], str]] = {
    "command": command_options,
    "demo-command": demo_options,
    "settings": setting_tables,
    "columns": column_tables,
    "scales": scale_tables,
    "circuits": circuit_table,
    "other-pages": other_pages,
}


def with_parts(text: str) -> str:
    """Markdown with each mark replaced by the part that it names; an unknown name is an error."""
    return MARK.sub(lambda mark: PARTS[mark[1]](), text)


def _fill(app: Sphinx, name: str, source: list[str]) -> None:
    source[0] = with_parts(source[0])


def setup(app: Sphinx) -> dict[str, bool]:
    """Fill the marks when a page is read."""
    app.connect("source-read", _fill)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
