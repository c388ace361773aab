"""Change is follow-up minus baseline."""

import numpy as np
import pandas as pd
import pytest

from workflows.compute.change import (
    CHANGE_COLUMNS,
    change_per_year,
    change_table,
    difference,
    paired_rows,
    percent_change,
    session_pairs,
)


@pytest.fixture
def measures():
    rows = [
        ("01", "pre", "T1w", "volume", "A", "x", 4.0, "ml"),
        ("01", "post", "T1w", "volume", "A", "x", 6.0, "ml"),
        ("01", "fu", "T1w", "volume", "A", "x", 3.0, "ml"),
        ("01", "pre", "T1w", "volume", "A", "y", 5.0, "ml"),
        ("01", "post", "T1w", "volume", "A", "y", np.nan, "ml"),
        ("01", "pre", "bold", "mean_connectivity", "A", "x", 0.2, "z"),
        ("01", "post", "bold", "mean_connectivity", "A", "x", 0.3, "z"),
    ]
    names = ["participant_id", "session_id", "modality", "measure", "atlas", "region", "value"]
    return pd.DataFrame(rows, columns=[*names, "unit"])


@pytest.fixture
def visits():
    return pd.DataFrame(
        [
            ("01", "fu", "T1w", 3, 430.5),
            ("01", "post", "T1w", 2, 73.05),
            ("01", "pre", "T1w", 1, 0.0),
            ("01", "post", "bold", 2, 73.05),
            ("01", "pre", "bold", 1, 0.0),
            ("02", "post", "T1w", 2, np.nan),
        ],
        columns=["participant_id", "session_id", "modality", "position", "days_from_baseline"],
    )


def test_change_by_hand():
    assert difference(4.0, 6.0, 70) == 2
    assert percent_change(4.0, 6.0, 70) == 40
    assert change_per_year(4.0, 6.0, 73.05) == pytest.approx(10)


def test_swapping_the_sessions_flips_the_sign_exactly():
    baseline, followup = np.random.default_rng(1).random((2, 100)) + 1
    for change in (difference, percent_change):
        there, back = change(baseline, followup), change(followup, baseline)
        np.testing.assert_array_equal(there, -back)


def test_percent_change_does_not_depend_on_the_unit():
    assert percent_change(4000.0, 6000.0) == percent_change(4.0, 6.0)


def test_a_percentage_needs_values_above_zero():
    assert np.isnan(percent_change(np.array([-1.0, 0, np.nan]), np.array([2.0, 0, 1]))).all()


@pytest.mark.parametrize("interval_days", [0, -5, np.array([10.0, 0.0])])
@pytest.mark.parametrize("function", [difference, percent_change, change_per_year])
def test_a_followup_before_the_baseline_is_refused(function, interval_days):
    with pytest.raises(ValueError, match="interval_days: the follow-up comes after the baseline"):
        function(np.ones(2), np.ones(2), interval_days)


def test_each_later_session_is_paired_with_the_first_one(visits):
    pairs = session_pairs(visits)
    found = pairs[["modality", "baseline", "followup", "interval_days"]].to_numpy().tolist()
    assert found == [
        ["T1w", "pre", "post", 73.05],
        ["T1w", "pre", "fu", 430.5],
        ["bold", "pre", "post", 73.05],
    ]


def test_pairs_do_not_depend_on_the_order_of_the_rows(visits):
    pd.testing.assert_frame_equal(session_pairs(visits[::-1]), session_pairs(visits))


def test_change_table_keeps_missing_regions_and_makes_no_percentages_of_connectivity(
    measures, visits
):
    table = change_table(measures, session_pairs(visits))
    assert list(table.columns) == CHANGE_COLUMNS
    keys = ["followup", "measure", "region"]
    rows = table.set_index(keys)[["change", "percent_change", "change_per_year"]]
    np.testing.assert_allclose(rows.loc[("post", "volume", "x")], [2, 40, 10])
    np.testing.assert_allclose(rows.loc[("fu", "volume", "x")][:2], [-1, -100 / 3.5])
    assert rows.loc[("post", "volume", "y")].isna().all()
    np.testing.assert_allclose(
        rows.loc[("post", "mean_connectivity", "x")], [0.1, np.nan, 0.5], rtol=1e-9
    )
    assert table[["reliable_change", "standard_error"]].isna().all(axis=None)


def test_change_per_year_is_missing_without_an_interval(measures, visits):
    unknown = visits.assign(days_from_baseline=np.nan)
    table = change_table(measures, session_pairs(unknown))
    assert table["change_per_year"].isna().all()
    assert table["change"].notna().sum() == 3


def test_rows_of_an_array_are_found_by_participant_modality_and_session(visits):
    scans = visits[["participant_id", "modality", "session_id"]]
    rows = paired_rows(scans, session_pairs(visits))
    assert rows.tolist() == [[2, 1], [2, 0], [4, 3]]
