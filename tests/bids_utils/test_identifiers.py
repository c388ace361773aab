"""People written differently in two tables."""

import pytest

from bids_utils.identifiers import MATCH_COLUMNS, compare_identifiers


def only(label, known):
    (found,) = compare_identifiers([label], known).mismatches
    return found


def test_labels_with_and_without_prefix_are_the_same():
    found = compare_identifiers(["sub-01", "02", "sub-01"], ["01", "sub-02", "03"])
    assert found.matched == ("sub-01", "02")
    assert found.mismatches == ()
    assert found.unused == ("03",)


@pytest.mark.parametrize(
    ("label", "partner", "reason"),
    [
        ("sub-sub-01", "01", "the prefix sub-"),
        ("sub_01", "sub-01", "the prefix sub-"),
        ("1", "01", "leading zeros"),
        ("sub-001", "sub-01", "leading zeros"),
        ("p01", "P01", "upper and lower case"),
        ("sub-p01", "P1", "upper and lower case and leading zeros"),
        ("01 ", "01", "spaces at the ends"),
        ("P-01", "P01", "hyphens, underscores or dots"),
        ("CBT_007", "CBT7", "hyphens, underscores or dots and leading zeros"),
        ("P01", "01", "letters before the number"),
        ("12", "BN012", "leading zeros and letters before the number"),
    ],
)
def test_a_difference_in_writing_is_explained_and_offered(label, partner, reason):
    found = compare_identifiers([label], [partner, "99", "A50"])
    (mismatch,) = found.mismatches
    assert (mismatch.partners, mismatch.reason, mismatch.offered) == ((partner,), reason, True)
    assert found.mapping == {label: partner}
    assert found.unused == ("99", "A50")


def test_numbers_that_differ_are_never_joined():
    found = only("12", ["13", "112", "21", "120"])
    assert (found.partners, found.offered) == ((), False)


def test_similar_spelling_is_named_but_not_offered():
    found = only("Anna1990", ["Ana1990", "Otto1971"])
    assert (found.partners, found.reason) == (("Ana1990",), "similar spelling only")
    assert not found.offered


@pytest.mark.parametrize(("label", "known"), [("CBT01", "WL01"), ("CBT01", "CBT02")])
def test_other_letters_or_numbers_are_other_people(label, known):
    assert only(label, [known]).partners == ()


def test_two_who_stand_for_one_are_not_offered():
    found = compare_identifiers(["1", "001"], ["01"])
    assert found.mapping == {}
    assert [item.partners for item in found.mismatches] == [("01",), ("01",)]
    assert found.mismatches[0].reason == "leading zeros; others may stand for 01 too"


def test_one_who_may_be_two_is_not_offered():
    found = only("1", ["01", "001"])
    assert found.partners == ("01", "001")
    assert found.reason == "leading zeros; several people fit"
    assert not found.offered


def test_a_partner_who_is_there_already_is_not_offered():
    found = compare_identifiers(["01", "1"], ["01", "02"])
    (mismatch,) = found.mismatches
    assert mismatch.partners == ("01",)
    assert mismatch.reason == "leading zeros; but 01 is in both tables already"
    assert found.mapping == {}
    assert found.unused == ("02",)


def test_an_equal_number_under_other_letters_is_not_confused():
    found = compare_identifiers(["A01", "B01"], ["A1", "B1"])
    assert found.mapping == {"A01": "A1", "B01": "B1"}


def test_sentences_name_both_tables_and_what_to_do():
    found = compare_identifiers(["sub-sub-01", "1 ", "zz"], ["01", "1"])
    one, two, three = found.sentences("measures.tsv", "participants.tsv")
    assert one == (
        "'sub-sub-01' of measures.tsv is not in participants.tsv; probably '01' or '1' (the "
        "prefix sub-; several people fit): check who is meant"
    )
    assert two.startswith("'1 ' of measures.tsv is not in participants.tsv; probably")
    assert three == (
        "'zz' of measures.tsv is not in participants.tsv, and nobody there is written like it"
    )


def test_the_table_has_a_row_for_each_mismatch():
    table = compare_identifiers(["sub-sub-1", "x"], ["1"]).table()
    assert list(table.columns) == MATCH_COLUMNS
    assert table.to_numpy().tolist() == [
        ["sub-sub-1", "1", "the prefix sub-", True],
        ["x", "", "", False],
    ]


def test_empty_lists_have_nothing_to_say():
    found = compare_identifiers([], ["01"])
    assert (found.matched, found.mismatches, found.unused) == ((), (), ("01",))
