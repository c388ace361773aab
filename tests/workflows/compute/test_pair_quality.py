import math

import numpy as np
import pandas as pd
import pytest

from workflows.compute.pair_quality import (
    OUTLIER_Z,
    badness,
    flagged_pairs,
    long_values,
    outlier_limit,
    pair_table,
    quality_table,
    ranked_people,
    robust_z,
    scored_values,
)

PEOPLE = ["01", "02", "03", "04", "05"]


def values_of(metric, by_session, modality="T1w"):
    """Long table of one metric from values per session, one per person."""
    rows = [
        (person, session, modality, metric, value)
        for session, values in by_session.items()
        for person, value in zip(PEOPLE, values, strict=False)
    ]
    columns = ["participant_id", "session_id", "modality", "metric", "value"]
    return pd.DataFrame(rows, columns=columns)


def pairs_of(n_people=5, baseline="pre", followup="post", modality="T1w"):
    return pd.DataFrame(
        {
            "participant_id": PEOPLE[:n_people],
            "modality": modality,
            "baseline": baseline,
            "followup": followup,
            "interval_days": 84.0,
        }
    )


def flagged(table):
    return {
        (row.participant_id, row.session_id): row.flag for row in table.itertuples() if row.flag
    }


def test_robust_z_is_the_distance_from_the_median_in_scaled_mad():
    # median 3, deviations 2 1 0 1 97, their median 1
    z = robust_z(np.array([1.0, 2, 3, 4, 100]), PEOPLE)
    np.testing.assert_allclose(z, np.array([-2, -1, 0, 1, 97]) / 1.4826)
    # Iglewicz and Hoaglin write it as 0.6745 (x - median) / MAD
    np.testing.assert_allclose(z, 0.6745 * np.array([-2, -1, 0, 1, 97]), rtol=1e-4)


def test_robust_z_does_not_know_units_and_flips_with_the_sign():
    values = np.array([1.0, 2, 3.5, 4, 9, np.nan])
    people = [*PEOPLE, "06"]
    z = robust_z(values, people)
    np.testing.assert_allclose(robust_z(10 - 3 * values, people), -z)
    assert np.isnan(z[5])
    assert np.isfinite(z[:5]).all()


@pytest.mark.parametrize(
    ("values", "people"),
    [
        ([1.0, 2, 3, 4], PEOPLE[:4]),
        ([1.0, 2, 3, 4, 5, 6, 7, 8], PEOPLE[:4] * 2),
        ([1.0, 2, 3, 4, np.nan], PEOPLE),
        ([1.0, 1, 1, 1, 50], PEOPLE),
    ],
    ids=["four people", "four people twice", "four with a value", "no spread"],
)
def test_without_five_people_or_a_spread_there_is_no_z(values, people):
    assert np.isnan(robust_z(np.array(values), people)).all()


def test_one_name_per_value_is_needed():
    with pytest.raises(ValueError, match="people: 4 names for 5 values"):
        robust_z(np.arange(5.0), PEOPLE[:4])


def test_few_people_can_only_say_what_is_very_unusual():
    rare = math.erfc(3.5 / math.sqrt(2)) / 2
    # Student's t has a closed form for 2 and for 4 degrees of freedom
    u = 1 - 2 * rare
    assert outlier_limit(3) == pytest.approx(math.sqrt(2 * u**2 / (1 - u**2)), rel=1e-6)
    t = outlier_limit(5)
    root = 1 + t**2 / 4
    assert 0.5 - 3 / 8 * t / math.sqrt(root) * (1 - t**2 / (12 * root)) == pytest.approx(rare)
    assert t == pytest.approx(10.5, abs=0.01)
    assert outlier_limit(10**6) == pytest.approx(3.5, abs=1e-4)
    with pytest.raises(ValueError, match="n_people: at least 2, found 1"):
        outlier_limit(1)


def test_changes_of_people_with_whom_nothing_is_wrong_are_rarely_flagged():
    rng, limit = np.random.default_rng(5), outlier_limit(5)
    z = np.abs([robust_z(rng.normal(100, 1, 5), PEOPLE) for _ in range(1000)])
    assert (z > limit).mean() < 0.01
    # beyond 3.5, the limit of large cohorts, it is one in twenty
    assert 0.03 < (z > OUTLIER_Z).mean() < 0.07


def test_badness_grows_with_what_is_bad():
    z = np.array([-4.0, 3.0])
    np.testing.assert_array_equal(badness(z, "higher"), [4, -3])
    np.testing.assert_array_equal(badness(z, "lower"), [-4, 3])
    np.testing.assert_array_equal(badness(z, "neither"), [4, 3])
    with pytest.raises(ValueError, match="better: .*'more'"):
        badness(z, "more")


@pytest.mark.parametrize(
    ("metric", "low", "high"),
    [("snr_total", True, False), ("cjv", False, True), ("wm2max", True, True)],
)
def test_a_value_is_flagged_in_its_bad_direction_only(metric, low, high):
    # median 100, MAD 1, limit 10.50: 84.3 is z -10.59, 84.5 is z -10.45, and so above
    for value, is_flagged in ((84.3, low), (84.5, False), (115.7, high), (115.5, False)):
        by_session = {"pre": [99, 100, 101, 100, value], "post": [99, 101]}
        table = scored_values(values_of(metric, by_session))
        assert bool(flagged(table)) == is_flagged, value


def test_a_flag_says_what_and_how_far():
    values = values_of("snr_total", {"pre": [29, 30, 31, 30, 32], "post": [29, 31, 28, 2, 30]})
    # median 30, deviations 1 0 1 0 2 1 1 2 28 0, MAD 1, so 2 is -28 / 1.4826
    assert flagged(scored_values(values)) == {("04", "post"): "snr_total 2 is low (robust z -18.9)"}


def test_limits_of_plausibility_hold_for_one_person():
    values = pd.concat(
        [
            values_of("mask_dice", {"pre": [0.95], "post": [0.85]}),
            values_of("mask_ml", {"pre": [1400.0], "post": [1475.0]}),
            values_of("registration_r", {"pre": [0.75], "post": [0.95]}),
        ]
    )
    scored = scored_values(values)
    assert flagged(scored) == {
        ("01", "post"): "mask_dice 0.85, below 0.9",
        ("01", "pre"): "registration_r 0.75, below 0.9",
    }
    # 75 of 1437.5 is 5.2 %
    pairs = pair_table(scored, pairs_of(1))
    assert pairs.set_index("metric")["flag"].to_dict() == {
        "mask_dice": "",
        "mask_ml": "mask_ml changed by +5.2 %, more than 5 %",
        "registration_r": "",
    }
    assert pairs["change_z"].isna().all()


@pytest.mark.parametrize(
    ("metric", "value", "flag"),
    [
        ("clean_minutes", 4.9, "clean_minutes 4.9, below 5"),
        ("clean_minutes", 5.0, ""),
        ("flip_cost_ratio", 1.02, "flip_cost_ratio 1.02, above 1"),
        ("flip_cost_ratio", 0.98, ""),
        ("boundary_cost", 1.1, "boundary_cost 1.1, above 1"),
        ("fd_mean", 4.9, ""),
    ],
)
def test_limits_of_bold_hold_for_one_person(metric, value, flag):
    scored = scored_values(values_of(metric, {"pre": [value]}, "bold"))
    assert scored["flag"].tolist() == [flag]


@pytest.mark.parametrize(
    ("metric", "before", "after", "flag"),
    [
        ("repetition_time_s", 2.0, 2.2, "repetition_time_s changed by +9.5 %, more than 0.5 %"),
        ("repetition_time_s", 2.0, 2.005, ""),
        ("n_volumes", 160, 150, "n_volumes changed by -6.5 %, more than 5 %"),
        ("n_volumes", 160, 155, ""),
        ("coverage_mean", 1.0, 0.9, "coverage_mean changed by -10.5 %, more than 5 %"),
    ],
)
def test_sessions_acquired_otherwise_are_flagged_in_one_person(metric, before, after, flag):
    scored = scored_values(values_of(metric, {"pre": [before], "post": [after]}, "bold"))
    assert pair_table(scored, pairs_of(1, modality="bold"))["flag"].tolist() == [flag]


def test_a_change_is_flagged_in_both_directions_and_swapping_flips_its_sign():
    by_session = {"pre": [10.0, 10, 10, 10, 10], "post": [10.1, 9.9, 10, 10.2, 14]}
    scored = scored_values(values_of("snr_total", by_session))
    there, back = pair_table(scored, pairs_of()), pair_table(scored, pairs_of(5, "post", "pre"))
    # changes 0.1 -0.1 0 0.2 4: median 0.1, deviations 0 0.2 0.1 0.1 3.9, MAD 0.1
    last = there.set_index("participant_id").loc["05"]
    assert (last["baseline_value"], last["followup_value"], last["change"]) == (10, 14, 4)
    assert last["change_z"] == pytest.approx(3.9 / 0.14826)
    assert last["flag"] == "snr_total changed by +4 (robust z 26.3)"
    np.testing.assert_allclose(back["change"], -there["change"])
    np.testing.assert_allclose(back["change_z"], -there["change_z"])
    assert (back["flag"] != "").tolist() == [False] * 4 + [True]


def test_a_metric_of_one_session_only_gives_no_pair():
    values = values_of("snr_total", {"pre": [1.0, 2, 3, 4, 5], "post": [1.0, 2]})
    assert pair_table(scored_values(values), pairs_of())["participant_id"].tolist() == ["01", "02"]


def test_modalities_are_different_cohorts():
    t1w = values_of("fd_mean", {"pre": [1.0, 2, 3, 4, 5]}, "bold_rest")
    bold = values_of("fd_mean", {"pre": [101.0, 102, 103, 104, 105]}, "bold_task")
    z = scored_values(pd.concat([t1w, bold]))["z"].to_numpy()
    np.testing.assert_allclose(z[:5], z[5:])


def test_the_wide_table_has_a_row_a_scan_and_all_metrics():
    values = pd.concat(
        [
            values_of("snr_total", {"pre": [29, 30, 31, 30, 2], "post": [29, 31, 28]}),
            values_of("cjv", {"pre": [0.4, 0.5, 0.6, 0.5, 0.5]}),
            values_of("fd_mean", {"pre": [0.2]}, "bold"),
            values_of("unheard_of", {"pre": [1.0]}),
        ]
    )
    table = quality_table(scored_values(values))
    assert len(table) == 9
    assert "unheard_of" not in table
    assert table.columns[:4].tolist() == ["participant_id", "session_id", "modality", "cjv"]
    row = table.query("participant_id == '05' and session_id == 'pre'").iloc[0]
    # median of snr_total 29.5, MAD 1
    assert (row["snr_total"], row["cjv"], row["n_flags"]) == (2, 0.5, 1)
    assert row["largest_z"] == pytest.approx(27.5 / 1.4826)
    bold = table[table["modality"] == "bold"].iloc[0]
    assert np.isnan(bold["snr_total"])
    assert np.isnan(bold["largest_z"])
    assert bold["fd_mean"] == 0.2
    keys = ["participant_id", "session_id", "modality", "metric"]
    again = long_values(table).sort_values(keys, ignore_index=True)
    known = values[values["metric"] != "unheard_of"].sort_values(keys, ignore_index=True)
    pd.testing.assert_frame_equal(again, known, check_dtype=False)


def test_without_values_the_tables_have_columns_and_no_rows():
    empty = scored_values(values_of("snr_total", {}))
    assert quality_table(empty).columns[-1] == "flag"
    assert len(quality_table(empty)) == len(pair_table(empty, pairs_of())) == 0


def test_people_come_worst_first():
    values = values_of("snr_total", {"pre": [30, 29, 31, 27, 30], "post": [30, 29.5, 31.5, 28, 1]})
    scored = scored_values(values)
    ranked = ranked_people(quality_table(scored), pair_table(scored, pairs_of()))
    assert ranked["participant_id"].tolist()[:2] == ["05", "04"]
    worst = ranked.iloc[0]
    assert worst["n_flags"] == 2
    assert worst["flags"].startswith("ses-post T1w: snr_total 1 is low (robust z -")
    assert "; ses-pre to ses-post T1w: snr_total changed by -29" in worst["flags"]
    assert worst["largest_z"] > outlier_limit(5)
    assert ranked["n_flags"].tolist() == [2, 0, 0, 0, 0]
    assert (np.diff(ranked["largest_z"][1:]) <= 0).all()


def test_what_stands_out_in_one_pair_of_scans_is_one_row():
    by_session = {"pre": [100, 99, 101, 100, 102], "post": [101, 99, 100, 100, 2]}
    values = pd.concat([values_of("snr_gm", by_session), values_of("snr_wm", by_session)])
    found = flagged_pairs(pair_table(scored_values(values), pairs_of()))
    assert found[["participant_id", "followup", "n_flags"]].to_numpy().tolist() == [
        ["05", "post", 2]
    ]
    assert found["flag"].item().count("changed by -100 (robust z") == 2
