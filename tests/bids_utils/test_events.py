"""Events of a run: what is refused, what is left out, and what is said about it."""

import pytest

from bids_utils.errors import DatasetError
from bids_utils.events import read_events

HEADER = "onset\tduration\ttrial_type\tresponse_time"


@pytest.fixture
def events(tmp_path):
    """Return a function that writes lines of cells and reads them as events of a run of 100 s."""

    def read(*lines, header=HEADER, run_s=100.0):
        path = tmp_path / "sub-01_task-faces_events.tsv"
        path.write_text("\n".join([header, *lines]) + "\n", encoding="utf-8")
        return read_events(path, run_s)

    return read


def test_events_are_sorted_by_their_onset_and_that_is_said(events):
    found = events("30\t2\tneutral\t1", "10.5\t4\tnegative\t1")
    assert found.table.to_numpy().tolist() == [[10.5, 4.0, "negative"], [30.0, 2.0, "neutral"]]
    assert found.notes == ("the events were not in the order of time and have been sorted",)


def test_events_after_the_run_or_long_before_it_are_left_out_and_counted(events):
    found = events("-40\t2\ta\t1", "0\t1\ta\t1", "100\t1\tb\t1", "250\t1\tb\t1")
    assert found.table["onset"].tolist() == [0.0]
    assert found.notes == ("3 events outside the run of 100 s are left out",)


def test_an_event_shortly_before_the_run_still_has_its_response_in_it(events):
    found = events("-10\t2\ta\t1", "-26\t1\ta\t1", "-26\t3\ta\t1")
    assert found.table["onset"].tolist() == [-26.0, -10.0]
    assert found.table["duration"].tolist() == [3.0, 2.0]
    assert found.notes[0] == "1 events outside the run of 100 s are left out"
    assert found.notes[1] == "2 events begin before or end after the run and are kept"


def test_an_event_that_lasts_beyond_the_end_is_kept_with_a_note(events):
    found = events("10\t5\ta\t1", "95\t10\ta\t1")
    assert found.table["onset"].tolist() == [10.0, 95.0]
    assert found.notes == ("1 events begin before or end after the run and are kept",)


def test_events_without_trial_type_and_repeated_ones_are_left_out(events):
    found = events("1\t2\tn/a\t1", "5\t2\ta\t1", "5\t2\ta\t2", "5\t3\ta\t1")
    assert found.table["duration"].tolist() == [2.0, 3.0]
    assert found.notes == (
        "1 events without a trial type are left out",
        "1 events stand there twice and count once",
    )


def test_times_of_events_without_trial_type_need_not_be_known(events):
    found = events("1\t2\ta\t1", "5\tn/a\tn/a\t1", "n/a\t-3\tn/a\t1", "9\t1\tb\t1")
    assert found.table.to_numpy().tolist() == [[1.0, 2.0, "a"], [9.0, 1.0, "b"]]
    assert found.notes == ("2 events without a trial type are left out",)


def test_an_impulse_has_duration_zero(events):
    assert events("5\t0\ta\t1").table["duration"].tolist() == [0.0]


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (("5\t2\ta\t1", "7\t-1\tb\t1"), r"row 3: a negative duration"),
        (("5\t2\ta\t1", "soon\t1\tb\t1"), r"row 3: onset is 'soon'; expected seconds"),
        (("5\tn/a\ta\t1",), r"row 2: duration is n/a; expected seconds"),
        (("n/a\tn/a\tn/a\t1", "5\tlong\ta\t1"), r"row 3: duration is 'long'"),
        (("3\t-1\tn/a\t1", "5\t-1\ta\t1"), r"row 3: a negative duration"),
        (("inf\t1\ta\t1",), r"row 2: onset is 'inf'"),
        (("150\t2\ta\t1", "300\t5\ta\t1"), r"no event is in the run of 100 s \(events: from 150"),
        (("5\t2\tn/a\t1",), r"no event is in the run of 100 s \(events: none\)"),
        ((), r"no event is in the run"),
    ],
)
def test_what_cannot_be_used_names_the_file_and_the_row(events, lines, message):
    with pytest.raises(DatasetError, match=r"sub-01_task-faces_events\.tsv") as caught:
        events(*lines)
    assert caught.match(message)


def test_missing_columns_are_named_beside_those_that_are_there(events):
    with pytest.raises(DatasetError, match="the column duration and trial_type is missing") as info:
        events("5\tface", header="onset\tstim_file")
    assert info.match("there are onset, stim_file")
