"""What a dataset says on the terminal."""

import io

from rich.table import Table

from workflows.terminal import PlainConsole

HOSTILE = "\x1b]0;title\x07[red]x[/blue] :smile: \x1b[2J\u202e"
SHOWN = r"\x1b]0;title\x07[red]x[/blue] :smile: \x1b[2J\u202e"


def shown(thing, **options):
    stream = io.StringIO()
    PlainConsole(file=stream, force_terminal=True, width=120, color_system=None).print(
        thing, **options
    )
    return stream.getvalue()


def test_lines_are_shown_as_they_are_and_never_obeyed():
    assert shown(HOSTILE, style="red", soft_wrap=True) == f"{SHOWN}\n"


def test_cells_of_a_table_are_shown_as_they_are():
    table = Table(title=HOSTILE)
    table.add_column("status")
    table.add_row(HOSTILE)
    text = shown(table)
    assert text.count(SHOWN) == 2
    assert "\x1b" not in text
