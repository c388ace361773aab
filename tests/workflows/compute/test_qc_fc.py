"""QC-FC on change: planted effects of motion are found, and none where none is."""

import numpy as np
import pytest
from scipy import stats

from workflows.compute.measures import edge_labels
from workflows.compute.qc_fc import (
    QC_FC_COLUMNS,
    STATISTICS,
    edge_distances_mm,
    motion_correlations,
    qc_fc_table,
)

N_REGIONS = 24


@pytest.fixture
def distance_mm():
    places = np.random.default_rng(3).uniform(-60, 60, (N_REGIONS, 3))
    return edge_distances_mm(places)


def cohort(n_people, distance_mm, effect, seed=1):
    """Change of motion, and of edges that follow it less the longer they are."""
    rng = np.random.default_rng(seed)
    motion = rng.normal(0.05, 0.1, n_people)
    noise = rng.normal(0, 0.2, (n_people, len(distance_mm)))
    return noise + effect * np.outer(motion, np.exp(-distance_mm / 30)), motion


def table_of(change, motion, distance_mm, seed=0):
    rng = np.random.default_rng(seed)
    return qc_fc_table(change, motion, distance_mm, 200, rng).set_index("statistic")


def test_distances_are_in_the_order_of_the_edges():
    places = np.array([[0.0, 0, 0], [3, 4, 0], [0, 0, 12], [np.nan] * 3])
    np.testing.assert_allclose(edge_distances_mm(places), [5, 12, np.nan, 13, np.nan, np.nan])
    labels = edge_labels(["a", "b", "c", "d"])
    assert labels.iloc[3].tolist() == ["b", "c"]


def test_correlation_and_p_are_those_of_scipy_and_leave_out_missing_people_per_edge():
    rng = np.random.default_rng(2)
    change, motion = rng.normal(size=(12, 3)), rng.normal(size=12)
    change[[0, 5], 1] = np.nan
    change[:, 2] = 0.7
    found = motion_correlations(change, motion)
    for edge, kept in ((0, np.arange(12)), (1, np.delete(np.arange(12), [0, 5]))):
        r, p = stats.pearsonr(change[kept, edge], motion[kept])
        assert found.loc[edge, ["r", "p", "n"]].tolist() == pytest.approx([r, p, len(kept)])
    assert found.loc[2, ["r", "p"]].isna().all()
    assert found.loc[2, "n"] == 12


def test_motion_that_acts_on_near_regions_is_found_with_its_distance(distance_mm):
    change, motion = cohort(40, distance_mm, 3.0)
    found = table_of(change, motion, distance_mm)
    r = np.array([stats.pearsonr(motion, edge).statistic for edge in change.T])
    assert found.loc["median_abs_r", "value"] == pytest.approx(np.median(np.abs(r)))
    assert found.loc["distance_rho", "value"] == pytest.approx(
        stats.spearmanr(r, distance_mm).statistic
    )
    assert found.loc["distance_rho", "ci_high"] < -0.3
    assert (found["p"] < 0.05).all()
    # the numbers of the same people with motion of the other sign of change
    turned = table_of(change, -motion, distance_mm)
    assert turned.loc["distance_rho", "value"] == -found.loc["distance_rho", "value"]
    assert turned.loc["share_p05", "value"] == found.loc["share_p05", "value"]


def test_without_an_effect_of_motion_one_edge_in_twenty_is_below_five_percent(distance_mm):
    shares, p = [], []
    for seed in range(20):
        found = table_of(*cohort(20, distance_mm, 0.0, seed), distance_mm, seed)
        shares.append(found.loc["share_p05", "value"])
        p.append(found["p"].to_numpy())
        assert found.loc["share_p05", "chance_low"] < 0.05 < found.loc["share_p05", "chance_high"]
    # 20 x 276 edges: standard error .003
    assert np.mean(shares) == pytest.approx(0.05, abs=0.01)
    assert (np.array(p) < 0.05).mean() < 0.15


def test_intervals_are_those_of_the_jackknife_worked_out_with_scipy(distance_mm):
    change, motion = cohort(8, distance_mm, 2.0)
    found = table_of(change, motion, distance_mm).loc["median_abs_r"]

    def median(people):
        rows = [stats.pearsonr(motion[people], edge[people]).statistic for edge in change.T]
        return np.median(np.abs(rows))

    without = np.array([median(np.delete(np.arange(8), one)) for one in range(8)])
    reach = stats.t.isf(0.025, 7) * np.sqrt(7 / 8 * ((without - without.mean()) ** 2).sum())
    assert found["ci_high"] == pytest.approx(found["value"] + reach)
    assert found["ci_low"] == pytest.approx(max(found["value"] - reach, 0))


def test_the_order_of_people_and_the_scale_of_motion_change_nothing(distance_mm):
    change, motion = cohort(12, distance_mm, 2.0)
    found = table_of(change, motion, distance_mm)
    order = np.random.default_rng(9).permutation(12)
    again = table_of(change[order], 10 * motion[order] + 3, distance_mm)
    sizes = ["value", "ci_low", "ci_high", "n", "n_edges"]
    np.testing.assert_allclose(found[sizes], again[sizes])


def test_edges_of_unknown_length_count_for_all_but_distance(distance_mm):
    change, motion = cohort(12, distance_mm, 2.0)
    gaps = distance_mm.copy()
    gaps[::3] = np.nan
    found, whole = (table_of(change, motion, lengths) for lengths in (gaps, distance_mm))
    assert found.loc["median_abs_r", "value"] == whole.loc["median_abs_r", "value"]
    r = motion_correlations(change, motion)["r"]
    known = np.isfinite(gaps)
    assert found.loc["distance_rho", "value"] == pytest.approx(
        stats.spearmanr(r[known], gaps[known]).statistic
    )
    nowhere = table_of(change, motion, np.full_like(gaps, np.nan))
    assert np.isnan(nowhere.loc["distance_rho", "value"])
    assert np.isfinite(nowhere.loc["share_p05", "value"])


def test_few_people_and_equal_motion_keep_their_rows_without_values(distance_mm):
    change, motion = cohort(6, distance_mm, 2.0)
    for found, n in (
        (table_of(change[:4], motion[:4], distance_mm), 4),
        (table_of(change, np.full(6, 0.1), distance_mm), 6),
        (table_of(np.full_like(change, np.nan), motion, distance_mm), 6),
    ):
        assert list(found.index) == list(STATISTICS)
        assert list(found.reset_index().columns) == QC_FC_COLUMNS
        assert found["value"].isna().all()
        assert set(found["n"]) == {n}


def test_motion_that_is_missing_is_refused():
    with pytest.raises(ValueError, match="motion: a finite value for each of 5 people"):
        motion_correlations(np.zeros((5, 3)), np.array([0.1, np.nan, 0, 0, 0]))
    with pytest.raises(ValueError, match=r"found shape \(4,\)"):
        motion_correlations(np.zeros((5, 3)), np.zeros(4))
