"""Sessions of a table that was made elsewhere."""

import pytest

from bids_utils.errors import DatasetError
from bids_utils.readers.measure_table import read_measures
from bids_utils.sessions import OrderRule
from workflows.interfaces.measure_table import table_visits

HEADER = "participant_id\tsession_id\tmeasure\tregion\tvalue\tunit"


@pytest.fixture
def write(tmp_path):
    def write_lines(*lines):
        path = tmp_path / "measures.tsv"
        path.write_text("\n".join(lines) + "\n")
        return path

    return write_lines


def test_sessions_are_placed_by_the_settings_and_planned_intervals(write, tmp_path):
    rows = ("01\tpost\tvolume\tx\t4\tml", "01\tpre\tvolume\tx\t5\tml", "01\tfu\tvolume\tx\t5\tml")
    measures = read_measures(write(HEADER, *rows))
    visits, problems = table_visits(measures, tmp_path, OrderRule(("pre", "post"), (70.0,)))
    columns = ["session_id", "days_from_baseline", "status"]
    found = visits.set_index("session_id")[columns[1:]].T.to_dict("list")
    assert found["post"] == [70, "used"]
    assert found["pre"] == [0, "used"]
    assert found["fu"][1] == "excluded"
    assert [problem.where for problem in problems] == ["sub-01 ses-fu"]


def test_sessions_are_placed_by_their_dates(write, tmp_path):
    rows = ("01\tpost\tvolume\tx\t4\tml", "01\tpre\tvolume\tx\t5\tml")
    dates = tmp_path / "sub-01" / "sub-01_sessions.tsv"
    dates.parent.mkdir()
    dates.write_text("session_id\tacq_time\nses-pre\t2020-01-01\nses-post\t2020-03-01\n")
    visits, _ = table_visits(read_measures(write(HEADER, *rows)), tmp_path, OrderRule())
    days = dict(zip(visits["session_id"], visits["days_from_baseline"], strict=True))
    assert days == {"post": 60, "pre": 0}


def test_without_order_and_dates_it_asks_for_one(write, tmp_path):
    rows = ("01\tpost\tvolume\tx\t4\tml", "01\tpre\tvolume\tx\t5\tml")
    with pytest.raises(DatasetError, match="order of the sessions in time is unknown"):
        table_visits(read_measures(write(HEADER, *rows)), tmp_path, OrderRule())
