import pandas as pd
import pytest

from bids_utils.errors import DatasetError
from bids_utils.exclusions import ImageLabels, listed_reason, read_exclusions, unmatched

STEM = "sub-01_ses-{}_task-rest_run-{}_bold"


@pytest.fixture
def listed(tmp_path):
    """Rows of a list that is written to disk."""

    def read(*rows, columns="participant_id\tsession_id\tmodality\trun\treason"):
        path = tmp_path / "exclude.tsv"
        path.write_text("\n".join([columns, *("\t".join(row) for row in rows)]) + "\n")
        return read_exclusions(path)

    return read


def bold(session="pre", run="1", participant="01"):
    stem = STEM.format(session, run).replace("sub-01", f"sub-{participant}")
    return ImageLabels(participant, session, "bold", stem)


def t1w(session="pre", participant="01"):
    return ImageLabels(participant, session, "T1w", f"sub-{participant}_ses-{session}_T1w")


IMAGES = [t1w(), bold(), bold(run="02"), t1w("post"), bold("post"), t1w(participant="10")]


@pytest.mark.parametrize(
    ("row", "named"),
    [
        (("sub-01", "n/a", "n/a", "n/a", "left"), [0, 1, 2, 3, 4]),
        (("01", "ses-pre", "", "", "left"), [0, 1, 2]),
        (("01", "pre", "T1W", "", "ghosting"), [0]),
        (("01", "n/a", "bold", "n/a", "asleep"), [1, 2, 4]),
        (("01", "pre", "bold", "2", "asleep"), [2]),
        (("01", "n/a", "n/a", "run-01", "asleep"), [1, 4]),
        (("01", "n/a", "n/a", STEM.format("pre", "02"), "asleep"), [2]),
        (("01", "n/a", "n/a", STEM.format("post", "1") + ".nii.gz", "asleep"), [4]),
        (("10", "n/a", "n/a", "n/a", "phantom"), [5]),
        (("1", "n/a", "n/a", "n/a", "zeros count"), []),
    ],
)
def test_a_row_names_all_that_it_does_not_narrow_down(listed, row, named):
    rows = listed(row)
    found = [place for place, image in enumerate(IMAGES) if listed_reason(rows, image)]
    assert found == named


def test_the_reasons_of_several_rows_are_joined_and_said_to_be_of_the_list(listed):
    rows = listed(("01", "pre", "", "", "coughing"), ("01", "", "bold", "", "wrong coil"))
    assert listed_reason(rows, bold()) == "on the exclude list: coughing; wrong coil"
    assert listed_reason(rows, bold("post")) == "on the exclude list: wrong coil"
    assert listed_reason(rows, t1w("post")) == ""


def test_two_columns_are_enough(listed):
    (row,) = listed(("sub-01", "withdrew consent"), columns="participant_id\treason")
    assert (row.participant, row.session, row.modality, row.run) == ("01", "", "", "")


@pytest.mark.parametrize(
    ("columns", "row", "message"),
    [
        ("participant_id\tsesion_id\treason", ("1", "2", "x"), "'sesion_id'; did you mean 'sess"),
        ("participant_id\tsession_id", ("1", "2"), "the column 'reason' is missing"),
        ("session_id\treason", ("1", "2"), "the column 'participant_id' is missing"),
        ("participant_id\treason", ("1", "n/a"), "row 1, column reason: is empty"),
        ("participant_id\treason", ("", "x"), "row 1, column participant_id: is empty"),
        (
            "participant_id\tmodality\treason",
            ("1", "FLAIR", "x"),
            "row 1, column modality: 'FLAIR'; expected T1w, bold",
        ),
        ("participant_id\treason", ("1",), "line 2: 1 cells, but the header has 2"),
    ],
)
def test_a_malformed_list_is_an_error_with_file_and_column(listed, columns, row, message):
    with pytest.raises(DatasetError, match=r"exclude\.tsv.*") as caught:
        listed(row, columns=columns)
    assert message in str(caught.value)


def test_a_list_that_is_not_there_is_an_error(tmp_path):
    with pytest.raises(DatasetError, match=r"absent\.tsv: cannot be read"):
        read_exclusions(tmp_path / "absent.tsv")


def test_a_row_that_names_no_image_is_told_with_what_is_nearest(listed):
    ledger = pd.DataFrame(
        [(f"sub-{one.participant}", f"ses-{one.session}", one.modality, one.stem) for one in IMAGES]
        + [("sub-10", "ses-post", "bold", None), ("sub-11", None, None, None)],
        columns=["participant_id", "session_id", "modality", "run"],
    )
    rows = listed(
        ("sub-1O", "", "", "", "letter O"),
        ("sub-10", "ses-pst", "", "", "typing"),
        ("sub-10", "", "bold", "", "none there"),
        ("sub-10", "post", "bold", "", "missing, so not there"),
        ("01", "pre", "bold", "3", "no such run"),
        ("01", "pre", "bold", "2", "this one is there"),
    )
    found = unmatched(rows, ledger)
    said = [what.removeprefix("it names no image: ") for what, _, _ in found]
    assert said == [
        "there are no images of sub-1O; did you mean 'sub-10' or 'sub-01'?",
        "there are no images of sub-10 ses-pst; did you mean 'ses-pre'?",
        "there is no bold of sub-10",
        "there are no images of sub-10 ses-post; did you mean 'ses-pre'?",
        "there is no bold with run '3' of sub-01 ses-pre; there are: "
        f"{STEM.format('pre', '1')}, {STEM.format('pre', '02')}",
    ]
    assert [where.rpartition(", ")[2] for _, where, _ in found] == [f"row {n}" for n in range(1, 6)]
