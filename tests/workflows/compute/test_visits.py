"""Which sessions come first."""

import numpy as np
import pandas as pd
import pytest

from workflows.compute.visits import (
    ordered_pairs,
    paired_visits,
    positioned_visits,
    session_sequence,
)


@pytest.fixture
def visits():
    rows = [
        ("01", "fu", "T1w", 400.0),
        ("01", "post", "T1w", 80.0),
        ("01", "pre", "T1w", 0.0),
        ("02", "post", "T1w", 60.0),
        ("02", "pre", "T1w", 0.0),
    ]
    names = ["participant_id", "session_id", "modality", "days_from_baseline"]
    return pd.DataFrame(rows, columns=names)


def test_order_of_the_settings_places_the_sessions(visits):
    placed, problems = positioned_visits(visits, ("pre", "post", "fu"))
    assert placed["position"].tolist() == [2, 1, 0, 1, 0]
    assert problems == ()


def test_dates_place_the_sessions_where_no_order_is_given(visits):
    placed, _ = positioned_visits(visits, ())
    assert placed["position"].tolist() == [3, 2, 1, 2, 1]


def test_a_session_outside_the_order_is_named(visits):
    placed, problems = positioned_visits(visits, ("pre", "post"))
    assert placed["session_id"].tolist() == ["post", "pre", "post", "pre"]
    assert [problem.where for problem in problems] == ["sub-01 ses-fu"]


def test_a_session_without_date_is_named_unless_it_is_the_only_one(visits):
    undated = visits.assign(days_from_baseline=[400, 80, 0, np.nan, 0])
    placed, problems = positioned_visits(undated, ())
    assert len(placed) == 4
    assert problems[0].where == "sub-02 ses-post"
    alone = undated[3:4]
    assert positioned_visits(alone, ())[0]["position"].tolist() == [1]


def test_sessions_follow_the_order_or_the_dates_and_never_their_labels(visits):
    assert session_sequence(visits, ("pre", "mid", "post", "fu")) == ["pre", "post", "fu"]
    assert session_sequence(visits, ()) == ["pre", "post", "fu"]
    assert session_sequence(visits[:1], ()) == ["fu"]


def test_a_follow_up_whose_pair_was_left_out_is_not_used(visits):
    placed, _ = positioned_visits(visits, ("pre", "post", "fu"))
    pairs = pd.DataFrame(
        {"participant_id": ["01", "02"], "modality": "T1w", "followup": ["fu", "post"]}
    )
    used = paired_visits(placed, pairs)
    assert used["session_id"].tolist() == ["fu", "pre", "post", "pre"]


def test_a_pair_whose_dates_contradict_the_order_is_left_out_and_named():
    pairs = pd.DataFrame(
        {
            "participant_id": ["01", "02", "03"],
            "modality": "T1w",
            "baseline": "pre",
            "followup": "post",
            "interval_days": [70.0, -7.0, np.nan],
        }
    )
    kept, problems = ordered_pairs(pairs)
    assert kept["participant_id"].tolist() == ["01", "03"]
    assert problems[0].what == "dates say ses-post comes 7 days before ses-pre"
