"""The terminal: what comes from a dataset is shown as it is, never obeyed."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.text import Text

from bids_utils.plain_text import printable


class PlainConsole(Console):
    """Console in which text is text: neither ``[red]`` nor ``:smile:`` nor ESC does anything."""

    def __init__(self, **options: Any) -> None:
        super().__init__(markup=False, emoji=False, **options)

    def render_str(self, text: str, **options: Any) -> Text:
        """Text of a line or a cell of a table."""
        return super().render_str(printable(text), **options)
