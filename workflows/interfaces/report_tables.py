"""Tables of a page: text cells, long tables cut, columns with one text said once."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from workflows.interfaces.report_numbers import Numbers, numbers_of
from workflows.interfaces.report_pages import cell_text

MAX_ROWS = 300
HEADINGS = {
    "region_a": "from region",
    "region_b": "to region",
    "ci_low": "interval from",
    "ci_high": "interval to",
    "bca_low": "BCa interval from",
    "bca_high": "BCa interval to",
    "p_fdr": "p corrected (FDR)",
    "p_fwe": "p corrected (family-wise)",
    "fwe_method": "family-wise method",
    "effect_low": "effect from",
    "effect_high": "effect to",
    "effect_size_name": "kind of effect size",
    "n_per_arm": "n per group",
    "smallest_uncorrected": "smallest effect, one test",
    "smallest_bonferroni": "smallest effect, all tests",
    "rho_zero": "correlation that explains it away",
}


@dataclass(frozen=True)
class Sheet:
    """A table of the page; `constant` are columns with the same text in all rows.

    `numbers` is the whole table to save; `key` tells the script which table it is.
    """

    title: str
    constant: list[tuple[str, str]]
    headings: list[tuple[str, str]]
    rows: list[list[tuple[str, str]]]
    cut: str = ""
    numbers: Numbers | None = None
    key: str = ""


def sheet(title: str, table: pd.DataFrame, max_rows: int = MAX_ROWS, fold: bool = True) -> Sheet:
    """Table as text: at most `max_rows` rows, those with the smallest p.

    With `fold`, columns with the same text in all rows are said once.
    """
    numbers = numbers_of(title, table) if 0 < len(table) <= max_rows else None
    cut = ""
    if len(table) > max_rows:
        known, which = "p" in table, "first rows"
        if known:
            which = "rows with the smallest p"
            table = table.sort_values("p", kind="stable")
        cut = f"The {max_rows} {which} of {len(table)}; all are in the file."
        table = table.head(max_rows)
    cells = table.map(cell_text)
    single = [name for name in cells if fold and len(cells) > 1 and len(set(cells[name])) == 1]
    constant = [(heading(name), cells[name].iloc[0]) for name in single]
    kept = [name for name in cells if name not in single]
    kinds = ["number" if pd.api.types.is_numeric_dtype(table[name]) else "text" for name in kept]
    rows = [list(zip(row, kinds, strict=True)) for row in cells[kept].to_numpy().tolist()]
    headings = [(heading(name), str(name)) for name in kept]
    shown = [(name, text) for name, text in constant if text != "n/a"]
    return Sheet(title.replace("_", " "), shown, headings, rows if kept else [], cut, numbers)


def sheets(**tables: pd.DataFrame) -> tuple[Sheet, ...]:
    """Tables with rows, titled by their names."""
    return tuple(sheet(name, table) for name, table in tables.items() if len(table))


def heading(column: str) -> str:
    """Words for a column."""
    return HEADINGS.get(str(column), str(column).replace("_", " "))
