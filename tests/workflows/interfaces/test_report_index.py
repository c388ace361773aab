"""The list of people: what was used, worst quality first."""

import pandas as pd

from workflows.interfaces.report_index import index_table

LEDGER = pd.DataFrame(
    {
        "participant_id": ["sub-01", "sub-01", "sub-02", "sub-02", "sub-03"],
        "session_id": ["ses-pre", "ses-post", "ses-pre", "ses-post", "ses-pre"],
        "status": ["used", "used", "used", "missing", "excluded"],
    }
)


def test_each_person_has_a_row_with_what_was_used():
    table = index_table(LEDGER, pd.DataFrame(), pd.DataFrame())
    assert table.drop(columns="rating").to_numpy().tolist() == [
        ["sub-01", 2, 2, 0],
        ["sub-02", 1, 1, 1],
        ["sub-03", 1, 0, 1],
    ]


def test_people_who_stand_out_come_first_and_nobody_is_lost():
    quality = pd.DataFrame(
        {
            "participant_id": ["01", "02"],
            "session_id": ["pre", "pre"],
            "modality": ["T1w", "T1w"],
            "n_flags": [0, 2],
            "largest_z": [1.0, 5.0],
            "flag": ["", "noise is high"],
        }
    )
    table = index_table(LEDGER, quality, pd.DataFrame())
    assert table["participant_id"].tolist() == ["sub-02", "sub-01", "sub-03"]
    assert table["what"].tolist()[:2] == ["ses-pre T1w: noise is high", "none"]
    assert table["images used"].tolist() == [1, 2, 0]


def test_a_study_without_a_ledger_has_no_list():
    assert len(index_table(pd.DataFrame(), pd.DataFrame(), pd.DataFrame())) == 0
