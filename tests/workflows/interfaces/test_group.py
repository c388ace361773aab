"""Who is in the tables of the group level and not in participants.tsv."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from workflows.interfaces.group import (
    MeasureChange,
    arm_of_each,
    dataset_problems,
    publish,
    unusable,
)
from workflows.interfaces.group_tables import load_table, save_table

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


@pytest.fixture
def judged(tmp_path, monkeypatch):
    """Return a function: change.tsv and problems with a table of repeated scans."""

    def judged(*rescan_rows):
        keys = {"participant_id": "01", "modality": "T1w", "measure": "volume", "atlas": "A"}
        measures = pd.DataFrame(
            {**keys, "session_id": ["pre", "pre", "post", "post"], "region": ["x", "y"] * 2}
            | {"value": [4.0, 9, 5, 9.1], "unit": "ml", "standard_error": 0.1, "qc": "ok"}
        )
        visits = pd.DataFrame({"participant_id": "01", "session_id": ["post", "pre"]})
        visits = visits.assign(modality="T1w", days_from_baseline=[70.0, 0], status="used")
        rescan = tmp_path / "rescan.tsv"
        rescan.write_text("\n".join(["measure\tregion\tstandard_deviation", *rescan_rows, ""]))
        monkeypatch.chdir(tmp_path)
        node = MeasureChange(
            measures_file=save_table(measures, tmp_path / "measures.tsv"),
            visits_file=save_table(visits, tmp_path / "visits.tsv"),
            rescan_file=str(rescan),
            session_order=["pre", "post"],
            compared=[],
        )
        outputs = node.run(cwd=str(tmp_path)).outputs
        return load_table(outputs.change_file), load_table(outputs.problems_file)

    return judged


def test_the_table_of_repeated_scans_replaces_the_errors_of_the_images(judged):
    change, problems = judged("volume\tx\t20")
    assert change["region"].tolist() == ["x", "y"]
    # 20 % of the mean of 4 and 5; sqrt(.1^2 + .1^2)
    np.testing.assert_allclose(change["standard_error"], [0.9, np.sqrt(0.02)])
    assert change["error_from"].tolist() == ["repeated scans", "images"]
    assert change["reliable_change"].tolist() == ["unchanged", "unchanged"]
    assert len(problems) == 0


def test_a_table_of_repeated_scans_about_other_places_is_told(judged):
    change, problems = judged("thickness\tx\t20", "volume\tz\t20")
    assert change["error_from"].tolist() == ["images", "images"]
    assert problems["what"].tolist() == ["no row has a measure, atlas and region of this study"]
    assert problems["where"].item().endswith("rescan.tsv")
    assert "'volume'" in problems["what_to_do"].item()


def test_an_older_report_is_gone_before_new_tables_are_there(tmp_path, monkeypatch):
    source = save_table(pd.DataFrame({"participant_id": ["01"]}), tmp_path / "made.tsv")
    group_dir = tmp_path / "group"
    group_dir.mkdir()
    (group_dir / "report.html").write_text("old")
    (group_dir / "older.tsv").write_text("old")

    def be_killed(*_):
        assert not (group_dir / "report.html").exists()
        raise KeyboardInterrupt

    monkeypatch.setattr("workflows.interfaces.group.shutil.copyfile", be_killed)
    with pytest.raises(KeyboardInterrupt):
        publish({group_dir / "measures.tsv": source}, group_dir)
    assert [path.name for path in group_dir.glob("*.*")] == ["older.tsv"]
