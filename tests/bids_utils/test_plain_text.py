"""Text that is not what it seems."""

import pytest

from bids_utils.plain_text import printable, without_formula


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("sub-01 ä β 中", "sub-01 ä β 中"),
        ("\x1b[2Jgone", r"\x1b[2Jgone"),
        ("a\rb\x08c\x00", r"a\rb\x08c\x00"),
        ("01\u202e10", r"01\u202e10"),
        ("a\u200bb", r"a\u200bb"),
        ("one\u2028two\x85", r"one\u2028two\x85"),
        ("line\n\tnext", "line\n\tnext"),
        ("\ud800", r"\ud800"),
        ("می\u200cخواهم", "می\u200cخواهم"),
    ],
)
def test_signs_that_are_not_seen_are_written_out(text, shown):
    assert printable(text) == shown


@pytest.mark.parametrize("cell", ["=1+1", "@SUM(A1)", "+cmd|' /C calc'!A0", "-2+3", "|x"])
def test_a_spreadsheet_takes_no_cell_for_a_formula(cell):
    assert without_formula(cell) == f"'{cell}"


@pytest.mark.parametrize("cell", ["-2.5", "+3", "-1e-5", "-inf", "-", "--", "n/a", "a=b", ""])
def test_numbers_and_plain_text_stay(cell):
    assert without_formula(cell) == cell
