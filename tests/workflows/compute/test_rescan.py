"""Error of one person's change, and what repeated scans say about it."""

import gzip

import numpy as np
import pandas as pd
import pytest

from workflows.compute.change import change_table, difference, percent_change, session_pairs
from workflows.compute.rescan import RESCAN_COLUMNS, judged_changes, rescan_table

VISITS = [("pre", 1), ("post", 2)]


def study(baseline, followup, errors=(np.nan, np.nan), unit="ml"):
    """Measures and pairs of people who each have one region x."""
    rows = [
        (f"{who:04d}", session, "T1w", "volume", "A", "x", value, unit, error)
        for session, values, error in zip(
            ("pre", "post"), (baseline, followup), errors, strict=True
        )
        for who, value in enumerate(values)
    ]
    names = ["participant_id", "session_id", "modality", "measure", "atlas", "region", "value"]
    measures = pd.DataFrame(rows, columns=[*names, "unit", "standard_error"])
    visits = pd.DataFrame(
        [
            (f"{who:04d}", label, "T1w", n, np.nan)
            for who in range(len(baseline))
            for label, n in VISITS
        ],
        columns=["participant_id", "session_id", "modality", "position", "days_from_baseline"],
    )
    return measures, session_pairs(visits)


def repeated(deviation, n=np.nan, **place):
    place = {"measure": "volume", "atlas": "A", "region": "x"} | place
    return pd.DataFrame([{**place, "standard_deviation": deviation, "n": n}])


def test_the_error_of_a_change_is_that_of_both_sessions():
    # sqrt(.3^2 + .4^2) = .5, and 1.96 * .5 = .98
    table = change_table(*study([4, 4, 4, np.nan], [5, 4.97, 3, 4], (0.3, 0.4)))
    np.testing.assert_allclose(table["standard_error"], [0.5, 0.5, 0.5, np.nan])
    words = ["increased", "unchanged", "decreased"]
    assert table["reliable_change"].tolist()[:3] == words
    assert table["error_from"].tolist()[:3] == ["images"] * 3
    assert table.loc[3, ["reliable_change", "error_from"]].isna().all()


def test_without_an_error_nothing_is_called_reliable():
    table = change_table(*study([4.0], [9.0], (0.3, np.nan)))
    assert table[["reliable_change", "standard_error", "error_from"]].isna().all(axis=None)


def test_swapping_the_sessions_turns_what_is_reliable_around():
    rng = np.random.default_rng(3)
    one, other = 4 + rng.normal(0, 0.5, (2, 300))
    there = change_table(*study(one, other, (0.2, 0.3)), repeated(8.0))
    back = change_table(*study(other, one, (0.3, 0.2)), repeated(8.0))
    np.testing.assert_array_equal(there["standard_error"], back["standard_error"])
    turned = back["reliable_change"].replace({"increased": "decreased", "decreased": "increased"})
    assert there["reliable_change"].tolist() == turned.tolist()
    assert there["reliable_change"].nunique() == 3


def test_repeated_scans_replace_the_errors_of_better_images_and_those_of_worse_ones_stay():
    # 5 % of the mean of 3.8 and 4.2 is .2
    good = change_table(*study([3.8], [4.2], (0.06, 0.08)), repeated(5.0))
    assert good["standard_error"].item() == pytest.approx(0.2)
    assert (good["error_from"].item(), good["reliable_change"].item()) == (
        "repeated scans",
        "increased",
    )
    bad = change_table(*study([3.8], [4.2], (0.3, 0.4)), repeated(5.0))
    assert bad["standard_error"].item() == pytest.approx(0.5)
    assert (bad["error_from"].item(), bad["reliable_change"].item()) == ("images", "unchanged")


def test_a_deviation_of_few_people_needs_a_larger_change():
    # t(.975) with 5 degrees of freedom is 2.571 (table), so the limit is 5.14 % instead of 3.92 %
    measures = study([100.0, 100], [104.5, 105.5])
    assert change_table(*measures, repeated(2.0))["reliable_change"].tolist() == ["increased"] * 2
    few = change_table(*measures, repeated(2.0, n=5))["reliable_change"]
    assert few.tolist() == ["unchanged", "increased"]


def test_only_rows_of_the_same_place_are_used_and_of_any_atlas_without_that_column():
    measures = study([4.0], [5.0])
    for other in ({"atlas": "B"}, {"region": "y"}, {"measure": "thickness"}):
        assert change_table(*measures, repeated(2.0, **other))["standard_error"].isna().all()
    anywhere = repeated(2.0).drop(columns="atlas")
    assert change_table(*measures, anywhere)["standard_error"].item() == pytest.approx(0.09)


def test_a_percentage_is_no_error_of_connectivity():
    table = change_table(*study([0.4], [0.9], unit="z"), repeated(2.0))
    assert table["standard_error"].isna().all()


def test_without_change_five_in_a_hundred_are_called_changed():
    error, true = 0.03 * 50 / np.sqrt(2), np.full(20_000, 50.0)
    one, other = true + np.random.default_rng(5).normal(0, error, (2, len(true)))
    words = change_table(*study(one, other, (error, error)))["reliable_change"]
    assert (words != "unchanged").mean() == pytest.approx(0.05, abs=0.005)
    assert (words == "increased").mean() == pytest.approx(0.025, abs=0.004)


def test_so_it_is_where_the_error_was_estimated_from_a_few_people():
    """2,000 regions, each with a rescan of 6 people; 5 other people are judged by them."""
    rng = np.random.default_rng(6)
    regions = [f"r{n}" for n in range(2000)]
    scans = 50 + rng.normal(0, 0.03 * 50 / np.sqrt(2), (11, 2, 2000))
    table = pd.DataFrame(
        {
            "participant_id": np.repeat([f"{n:02d}" for n in range(11)], 2000),
            "measure": "volume",
            "atlas": "A",
            "region": np.tile(regions, 11),
            "baseline_value": scans[:, 0].ravel(),
            "followup_value": scans[:, 1].ravel(),
            "baseline_error": np.nan,
            "followup_error": np.nan,
        }
    )
    change = table["followup_value"] - table["baseline_value"]
    percent = percent_change(table["baseline_value"], table["followup_value"])
    table = table.assign(change=change, percent_change=percent)
    few = rescan_table(table[: 6 * 2000])
    words = judged_changes(table[6 * 2000 :], few)["reliable_change"]
    assert (words != "unchanged").mean() == pytest.approx(0.05, abs=0.006)
    exact = judged_changes(table[6 * 2000 :], few.assign(n=np.nan))["reliable_change"]
    assert (exact != "unchanged").mean() > 0.08


def test_the_deviation_of_repeated_scans_is_about_zero_and_counts_people():
    # changes of +2 and -4 % in one person (mean square 10) and +5 % (25) in the other: sqrt(17.5)
    rows = [
        ("01", "volume", "A", "x", 2.0),
        ("01", "volume", "A", "x", -4.0),
        ("02", "volume", "A", "x", 5.0),
        ("01", "volume", "A", "y", np.nan),
        ("02", "volume", "A", "y", np.nan),
        ("01", "tissue_volume", np.nan, "icv", 0.0),
        ("01", "mean_connectivity", "A", "x", np.nan),
        ("01", "fd_mean", np.nan, "brain", 30.0),
    ]
    columns = ["participant_id", "measure", "atlas", "region", "percent_change"]
    table = rescan_table(pd.DataFrame(rows, columns=columns))
    assert list(table.columns) == RESCAN_COLUMNS
    assert table["measure"].tolist() == ["volume", "volume", "tissue_volume"]
    np.testing.assert_allclose(table["standard_deviation"], [np.sqrt(17.5), np.nan, np.nan])
    assert table["n"].tolist() == [2, 0, 1]


@pytest.fixture(scope="module")
def real_changes(shared_dir):
    """Change of 272 regions of 12 healthy people between two scans, as change.tsv has it."""
    folder = shared_dir / "data" / "kirby21_mricloud"
    first, second = (mricloud_volumes(folder / f"visit_{n}") for n in (1, 2))
    both = first.merge(second, on=["participant_id", "region"], suffixes=("_1", "_2"))
    both = both.rename(columns={"value_1": "baseline_value", "value_2": "followup_value"})
    values = both["baseline_value"], both["followup_value"]
    both = both.assign(change=difference(*values), percent_change=percent_change(*values))
    none = {"baseline_error": np.nan, "followup_error": np.nan}
    return both.assign(measure="volume", atlas="MRICloud", **none)


@pytest.mark.needs_shared
def test_real_people_scanned_twice_agree_with_what_is_known_of_them(real_changes):
    """Known of these data: |change| 2.4 % (median), hippocampus 1.4 %, amygdala 2.9 %."""
    size = real_changes["percent_change"].abs()
    assert size.median() == pytest.approx(2.4, abs=0.25)
    hippocampus = real_changes["region"].isin(["Hippo_L", "Hippo_R"])
    assert size[hippocampus].mean() == pytest.approx(1.4, abs=0.05)
    amygdala = real_changes[real_changes["region"].isin(["Amyg_L", "Amyg_R"])]
    both = amygdala.groupby("participant_id")[["baseline_value", "followup_value"]].sum()
    assert np.abs(percent_change(*both.to_numpy().T)).mean() == pytest.approx(2.9, abs=0.1)
    table = rescan_table(real_changes).set_index("region")
    assert len(table) == 272
    own = amygdala.loc[amygdala["region"] == "Amyg_L", "percent_change"]
    assert table.loc["Amyg_L", "n"] == 12
    assert table.loc["Amyg_L", "standard_deviation"] == pytest.approx(np.sqrt((own**2).mean()))


@pytest.mark.needs_shared
def test_few_regions_of_a_real_person_are_called_changed_by_the_scans_of_the_others(real_changes):
    called = []
    for who in real_changes["participant_id"].unique():
        own = real_changes["participant_id"] == who
        found = judged_changes(real_changes[own], rescan_table(real_changes[~own]))
        called.append((found["reliable_change"] != "unchanged").mean())
    assert np.mean(called) == pytest.approx(0.05, abs=0.01)


def mricloud_volumes(folder):
    """Volumes (mm3) of the finest regions of a visit; two names that occur twice are left out."""
    rows = []
    for path in folder.glob("*/*_stats.txt.gz"):
        text = gzip.decompress(path.read_bytes()).decode()
        part = text.partition("Type1-L5 Statistics")[2].partition("Type2")[0]
        cells = [line.split("\t") for line in part.splitlines() if line.count("\t") > 2]
        rows += [(path.parent.name, line[1], float(line[2])) for line in cells]
    table = pd.DataFrame(rows, columns=["participant_id", "region", "value"])
    return table.drop_duplicates(["participant_id", "region"], keep=False)
