"""Sites and arms, scanners and sessions."""

import numpy as np
import pytest

from workflows.compute.problems import ModelError
from workflows.compute.site_checks import (
    check_scanners_and_sessions,
    check_sites_and_arms,
    cross_table,
    each_on_one_scanner,
)


def labels(*texts):
    return np.array(texts, dtype=object)


def scans(people, sessions=("pre", "post")):
    """Arrays of `people`: one (arm, scanner at each session) each."""
    rows = [
        (scanner, session, number, arm)
        for number, (arm, *scanners) in enumerate(people)
        for session, scanner in zip(sessions, scanners, strict=True)
    ]
    scanner, session, person, arm = zip(*rows, strict=True)
    return labels(*scanner), labels(*session), np.array(person), labels(*arm)


def test_a_site_that_is_an_arm_is_refused_with_the_counts():
    site, arm = labels("A", "A", "A", "B", "B"), labels("CBT", "CBT", "CBT", "WL", "WL")
    message = r"site and arm .* \(participants in A: CBT 3, WL 0; B: CBT 0, WL 2\)"
    with pytest.raises(ModelError, match=message):
        check_sites_and_arms(site, arm)


def test_one_person_in_the_other_arm_makes_them_separable():
    site, arm = labels("A", "A", "A", "B", "B"), labels("CBT", "CBT", "WL", "WL", "WL")
    assert check_sites_and_arms(site, arm) == ()


def test_sites_inside_arms_are_refused_whatever_their_number():
    site = labels("A", "A", "B", "B", "C", "C", "D", "D")
    arm = labels("x", "x", "x", "x", "y", "y", "y", "y")
    with pytest.raises(ModelError, match="cannot be told apart"):
        check_sites_and_arms(site, arm)
    arm[1] = "y"
    assert check_sites_and_arms(site, arm) == ()


def test_three_arms_need_each_a_link_to_the_others():
    site = labels("A", "A", "A", "A", "B", "B")
    arm = labels("x", "y", "x", "y", "z", "z")
    with pytest.raises(ModelError, match="x 0, y 0, z 2"):
        check_sites_and_arms(site, arm)


def test_a_site_with_one_person_is_noted_and_unknown_ones_are_not_counted():
    site, arm = labels("A", "A", "B", "", "B"), labels("x", "y", "x", "y", "")
    problems = check_sites_and_arms(site, arm)
    assert [problem.what for problem in problems] == ["site 'B' has one person"]


def test_one_arm_needs_no_link():
    assert check_sites_and_arms(labels("A", "A", "B", "B"), labels(*["x"] * 4)) == ()


def test_a_scanner_for_each_session_is_refused_with_the_counts():
    table = scans([("x", "old", "new")] * 4)
    message = r"scanner and session .* \(scans in pre: old 4, new 0; post: old 0, new 4\)"
    with pytest.raises(ModelError, match=message):
        check_scanners_and_sessions(*table)


def test_one_person_who_stayed_makes_change_visible():
    table = scans([("x", "old", "new")] * 4 + [("x", "old", "old")])
    assert check_scanners_and_sessions(*table) == ()
    assert not each_on_one_scanner(table[0], table[2])


def test_people_on_other_scanners_at_one_session_do_not_help():
    table = scans([("x", "old", "new")] * 4)
    extra = scans([("x", "old"), ("x", "new")], sessions=("pre",))
    joined = [np.concatenate(pair) for pair in zip(table, extra, strict=True)]
    joined[2] = np.concatenate([table[2], extra[2] + 100])
    with pytest.raises(ModelError, match="scanner and session cannot be told apart"):
        check_scanners_and_sessions(*joined)


def test_a_change_of_scanner_in_one_arm_only_is_refused():
    table = scans([("x", "old", "old")] * 3 + [("y", "old", "new")] * 3)
    with pytest.raises(ModelError, match="scanner and the arms' change cannot be told apart"):
        check_scanners_and_sessions(*table)


def test_everyone_on_one_scanner_is_fine_at_several_sites():
    table = scans([("x", "A", "A"), ("y", "A", "A"), ("x", "B", "B"), ("y", "B", "B")])
    assert check_scanners_and_sessions(*table) == ()
    assert each_on_one_scanner(table[0], table[2])


def test_a_scanner_with_one_person_is_noted():
    table = scans([("x", "A", "A"), ("x", "A", "A"), ("x", "B", "B")])
    problems = check_scanners_and_sessions(*table)
    assert [problem.what for problem in problems] == ["scanner 'B' has one person"]


def test_counts_are_in_the_order_of_the_labels():
    text = cross_table(labels("pre", "fu", "pre"), labels("Z", "A", "A"), "scans")
    assert text == "scans in pre: Z 1, A 1; fu: Z 0, A 1"
