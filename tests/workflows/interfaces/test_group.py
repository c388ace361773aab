"""Who is in the tables of the group level and not in participants.tsv."""

from types import SimpleNamespace

import pandas as pd
import pytest

from workflows.interfaces.group import arm_of_each, dataset_problems, unusable
from workflows.interfaces.group_tables import save_table

PEOPLE = pd.DataFrame({"group": ["a", None], "age": [30.0, 40.0]}, index=["01", "02"])


@pytest.fixture
def problems(tmp_path):
    """Return a function: sentences on people of the measures whom participants.tsv lacks."""

    def problems(seen, listed):
        rows = "".join(f"{label}\n" for label in listed)
        (tmp_path / "participants.tsv").write_text(f"participant_id\n{rows}")
        files = [
            save_table(pd.DataFrame({"participant_id": found}), tmp_path / name)
            for name, found in (("visits.tsv", seen), ("scores.tsv", []))
        ]
        inputs = SimpleNamespace(
            visits_file=files[0], scores_file=files[1], bids_dir=str(tmp_path), arm_column="group"
        )
        return [problem.what for problem in dataset_problems(inputs)]

    return problems


def test_leading_zeros_are_not_made_up(problems):
    [text] = problems(["1", "02"], ["sub-01", "sub-02"])
    assert "'sub-1' of the measures is not in participants.tsv" in text
    assert "probably 'sub-01' (leading zeros)" in text


def test_a_doubled_prefix_in_the_list_is_seen(problems):
    [text] = problems(["01"], ["sub-sub-01", "sub-02"])
    assert "probably 'sub-sub-01' (the prefix sub-)" in text


def test_everybody_listed_is_no_problem(problems):
    assert problems(["01", "02"], ["01", "sub-02", "sub-03"]) == []


def test_an_unknown_arm_is_empty_and_makes_people_unusable():
    everyone = ["01", "02", "03"]
    assert arm_of_each(PEOPLE, "group", everyone).tolist() == ["a", "", ""]
    inputs = SimpleNamespace(arm_column="group", covariates=["age"])
    reasons = unusable(inputs, PEOPLE, everyone)
    assert reasons == {"02": "group is unknown", "03": "group is unknown"}
