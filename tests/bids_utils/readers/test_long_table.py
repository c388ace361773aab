"""Measures of many scans as one long table."""

from pathlib import Path

import numpy as np

from bids_utils.readers.long_table import long_table
from bids_utils.readers.records import Block, SourceRequest

PRE, POST = ("01", "pre", "T1w"), ("01", "post", "T1w")
PLACE = Path("folder")


def block(scan, regions, values, measure="volume", atlas="A"):
    return Block(scan, measure, "mm3", atlas, tuple(regions), np.array(values, dtype=float))


def test_values_follow_their_region_whatever_the_order_in_the_files():
    blocks = [block(PRE, "ab", [1, 2]), block(POST, "ba", [20, 10])]
    table, problems = long_table(blocks, [PRE, POST], SourceRequest(), PLACE)
    assert table["region"].tolist() == ["a", "b", "a", "b"]
    assert table["value"].tolist() == [1, 2, 10, 20]
    assert problems == []


def test_a_scan_without_the_measure_keeps_its_rows_in_its_modality_only():
    bold = ("01", "pre", "bold")
    table, problems = long_table([block(PRE, "a", [1])], [PRE, POST, bold], SourceRequest(), PLACE)
    assert table["session_id"].tolist() == ["pre", "post"]
    assert table["qc"].tolist() == ["ok", "missing"]
    assert problems[0].where == "folder: 1 of 2 scans: sub-01 ses-post T1w"


def test_infinite_values_are_missing_and_a_region_without_any_value_is_told_once():
    blocks = [block(PRE, "ab", [1, np.inf]), block(PRE, "ab", [3, np.nan], measure="area")]
    table, problems = long_table(blocks, [PRE], SourceRequest(), PLACE)
    assert table["qc"].tolist() == ["ok", "missing", "ok", "missing"]
    assert [problem.what for problem in problems] == ["volume A, area A: no scan has a value for b"]


def test_measures_and_atlases_that_are_not_wanted_are_left_out():
    blocks = [block(PRE, "a", [1]), block(PRE, "a", [2], atlas="B"), block(PRE, "a", [3], atlas="")]
    table, _ = long_table(blocks, [PRE], SourceRequest(atlases=("B",)), PLACE)
    assert table["value"].tolist() == [2, 3]
    table, _ = long_table(blocks, [PRE], SourceRequest(measures=("area",)), PLACE)
    assert len(table) == 0
