"""Text of unknown origin, as it may be shown: on a terminal, in a log, in a table."""

from __future__ import annotations

import unicodedata

KEPT = frozenset("\n\t\u200c\u200d")
"""Ends of lines, tabs, and the joiners without which some scripts cannot be written."""
HIDDEN = frozenset({"Cc", "Cf", "Cs", "Co", "Zl", "Zp"})
"""Kinds of signs that are not seen: control codes, marks of direction, ends of lines."""

FORMULA = ("=", "@", "+", "-", "|")


def printable(text: str) -> str:
    r"""Text in which signs that are not seen are written out, such as ``\x1b``.

    They could change a terminal, forge a line of a log, or turn the order of what is read.
    Line ends and tabs stay.
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(_shown(sign) for sign in text)


def without_formula(cell: str) -> str:
    """Cell of a table of which a spreadsheet makes no formula: ``=1+1`` becomes ``'=1+1``.

    Numbers, also those with a sign, stay.
    """
    if not cell.startswith(FORMULA) or _is_number(cell):
        return cell
    return f"'{cell}"


def _shown(sign: str) -> str:
    if sign in KEPT or unicodedata.category(sign) not in HIDDEN:
        return sign
    return sign.encode("unicode_escape").decode("ascii")


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return cell.strip("+-") == ""
    return True
