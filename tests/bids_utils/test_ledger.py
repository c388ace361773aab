from bids_utils.images import Candidate
from bids_utils.ledger import LEDGER_DICTIONARY, Expected, make_ledger, no_row_note
from bids_utils.names import parse_name
from bids_utils.sessions import SessionOrder, SessionTime

ORDER = SessionOrder((SessionTime("pre", 0.0), SessionTime("post", 84.0)))
EXPECTED = Expected(("fu", "pre", "post"), ("rest",))


def candidate(file, session, modality, **more):
    return Candidate(f"sub-01/{file}", "01", session, modality, parse_name(file), **more)


IMAGES = [
    candidate("sub-01_ses-post_T1w.nii.gz", "post", "T1w", status="used", scanner="GE"),
    candidate("sub-01_ses-pre_task-rest_bold.nii", "pre", "bold", status="found", reason="why"),
    candidate("sub-01_ses-pre_T1w.nii.gz", "pre", "T1w", status="used"),
    candidate("sub-01_ses-extra_T1w.nii.gz", "extra", "T1w", status="found"),
]


def ledger():
    return make_ledger({"01": IMAGES}, {"01": ORDER}, EXPECTED, ["09"])


def test_rows_are_in_time_order_and_not_in_that_of_labels():
    keys = ["session_id", "modality", "status"]
    assert ledger()[keys].to_numpy().tolist() == [
        ["ses-pre", "T1w", "used"],
        ["ses-pre", "bold", "found"],
        ["ses-post", "T1w", "used"],
        ["ses-post", "bold", "missing"],
        ["ses-fu", "T1w", "missing"],
        ["ses-fu", "bold", "missing"],
        ["ses-extra", "T1w", "found"],
        [None, None, "missing"],
    ]


def test_a_row_tells_run_reason_days_scanner_and_file():
    rows = ledger()
    assert list(rows.columns) == list(LEDGER_DICTIONARY)
    assert rows.iloc[1].tolist()[3:6] == ["sub-01_ses-pre_task-rest_bold", "found", "why"]
    assert rows.iloc[2].tolist() == [
        "sub-01",
        "ses-post",
        "T1w",
        "sub-01_ses-post_T1w",
        "used",
        None,
        84.0,
        "GE",
        "sub-01/sub-01_ses-post_T1w.nii.gz",
    ]


def test_missing_images_say_what_is_missing_where():
    rows = ledger()
    assert rows["reason"].tolist()[3:5] == [
        "no BOLD of task rest in ses-post",
        "no images of ses-fu",
    ]
    assert rows["days_from_baseline"].tolist()[3] == 84.0


def test_people_without_images_have_the_last_rows():
    row = ledger().iloc[-1]
    assert row["participant_id"] == "sub-09"
    assert row["reason"] == "is in participants.tsv, but has no images"


def test_lost_zeros_of_an_id_are_recognised():
    assert "is it '1' there? zeros of an id must be kept" in no_row_note("001", ["1", "12"])
    assert "did you mean 'K02'" in no_row_note("K20", ["K02", "X"])


def test_a_missing_first_session_comes_first_if_the_settings_give_the_order():
    order = SessionOrder((SessionTime("post", 84.0),))
    expected = Expected(("pre", "post"), (), ("pre", "post"))
    rows = make_ledger({"01": IMAGES[:1]}, {"01": order}, expected, [])
    assert rows["session_id"].tolist() == ["ses-pre", "ses-post"]
