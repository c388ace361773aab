"""All columns of all tables."""

from markdown_table import code, table
from output_tables import TABLES, OutputTable


def column_tables() -> str:
    """Markdown of the columns of each kind of table, a heading for each."""
    return "\n".join(_kind(one) for one in TABLES)


def _kind(one: OutputTable) -> str:
    rows = [
        (code(name), _meaning(fields), str(fields.get("Units", "")))
        for name, fields in one.columns.items()
    ]
    files = ", ".join(code(pattern) for pattern in one.patterns)
    return f"## {one.title}\n\n{files}\n\n{one.about}\n\n" + table(
        ("column", "meaning", "unit"), rows
    )


def _meaning(fields: object) -> str:
    text = str(fields["Description"])
    levels = fields.get("Levels")
    if not levels:
        return text
    return f"{text}: " + "; ".join(f"{code(name)} {told}" for name, told in levels.items())
