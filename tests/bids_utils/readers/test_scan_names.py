"""Participant and session of names that other tools gave."""

from pathlib import Path

import pytest

from bids_utils.readers.records import SourceRequest
from bids_utils.readers.scan_names import name_problem, scan_name

ALL = SourceRequest()
NAMES = [
    ("sub-01_ses-pre", ("01", "pre", "")),
    ("sub-01_ses-pre_run-2_T1w", ("01", "pre", "T1w")),
    ("sub-007", ("007", "", "")),
    ("sub-sub-01_ses-ses-pre_T1w", ("01", "pre", "T1w")),
]


@pytest.mark.parametrize(("stem", "expected"), NAMES)
def test_parts_of_a_name_are_found(stem, expected):
    name = scan_name(stem, ALL)
    assert (name.participant, name.session, name.suffix) == expected


def test_the_settings_go_before_the_name_and_fill_in_a_session():
    request = SourceRequest(scans={"sub-01_ses-x": ("sub-02", "ses-pre")}, session="only")
    name = scan_name("sub-01_ses-x", request)
    assert (name.participant, name.session) == ("02", "pre")
    assert scan_name("sub-03", request).session == "only"


@pytest.mark.parametrize("stem", ["bert", "ses-pre_T1w", "01_pre"])
def test_a_name_without_participant_is_a_problem_that_names_the_file(stem):
    problem = name_problem(Path("a") / stem, scan_name(stem, ALL))
    assert problem.where == str(Path("a") / stem)
    assert "does not say whose scan" in problem.what
