"""Components of edges above a threshold."""

import gzip

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from workflows.compute.exchangeability import Exchangeability, free, relabellings
from workflows.compute.network_statistic import Network, network_statistic
from workflows.compute.permutation import prepared

ENDS = np.column_stack(np.triu_indices(6, 1))


@pytest.fixture
def rng():
    return np.random.default_rng(12)


def edge(a, b):
    return int(np.flatnonzero(((a, b) == ENDS).all(axis=1))[0])


def arms(n):
    return np.column_stack([np.ones(n), np.resize([0.0, 1], n)])


def planted(rng, n=20):
    """Edges 0-1, 1-2, 2-0 rise, 1-5 falls, 3-4 rises on its own with the arm."""
    matrix = arms(n)
    outcome = rng.normal(size=(n, len(ENDS)))
    outcome -= matrix @ np.linalg.lstsq(matrix, outcome, rcond=None)[0]
    for place, effect in ((0, 9), (1, 8), (2, 7)):
        outcome[:, edge(*((0, 1), (1, 2), (0, 2))[place])] += effect * matrix[:, 1]
    outcome[:, edge(1, 5)] -= 6 * matrix[:, 1]
    outcome[:, edge(3, 4)] += 9 * matrix[:, 1]
    return outcome, matrix


def made(outcome, matrix, rng, n_relabellings=199, exchange=None):
    drawn = relabellings(matrix, exchange or free(len(matrix)), n_relabellings, rng)
    return prepared(outcome, matrix, np.eye(matrix.shape[1])[1], drawn, 4)


@pytest.mark.parametrize(
    ("tail", "largest", "second"),
    [
        ("two-sided", [(0, 1), (1, 2), (0, 2), (1, 5)], [(3, 4)]),
        ("greater", [(0, 1), (1, 2), (0, 2)], [(3, 4)]),
        ("less", [(1, 5)], []),
    ],
)
def test_planted_edges_join_where_they_share_a_node(rng, tail, largest, second):
    contrast = made(*planted(rng), rng)
    result = network_statistic(contrast, Network(ENDS, 6, 4.0, tail))
    expected = np.zeros(len(ENDS), dtype=int)
    expected[[edge(*ends) for ends in largest]] = 1
    expected[[edge(*ends) for ends in second]] = 2
    np.testing.assert_array_equal(result.component, expected)
    first = result.components.iloc[0]
    assert first["n_edges"] == first["size"] == len(largest)
    assert first["n_nodes"] == len({node for ends in largest for node in ends})
    p = ((result.max_size >= len(largest)).sum() + 1) / 200
    assert first["p_fwe"] == p <= 0.02
    assert (result.p_fwe[expected == 1] == p).all()
    assert (result.p_fwe[expected == 0] == 1).all()


def test_intensity_is_the_sum_of_what_is_above_the_threshold(rng):
    contrast = made(*planted(rng), rng)
    result = network_statistic(contrast, Network(ENDS, 6, 4.0, "greater", "intensity"))
    t = contrast.statistic
    expected = [sum(t[edge(*ends)] - 4 for ends in ((0, 1), (1, 2), (0, 2))), t[edge(3, 4)] - 4]
    np.testing.assert_allclose(result.components["size"], expected, rtol=1e-12)


def count_by_hand(t, threshold):
    """Size of the largest component, grown one edge at a time."""
    left, sizes = [tuple(ends) for ends in ENDS[np.abs(t) > threshold]], [0]
    while left:
        nodes, size = set(left.pop()), 1
        while touching := [ends for ends in left if nodes & set(ends)]:
            nodes |= set(touching[0])
            left.remove(touching[0])
            size += 1
        sizes.append(size)
    return max(sizes)


def test_every_relabelling_equals_scipy_and_counting_by_hand(rng):
    outcome, matrix = rng.normal(size=(8, len(ENDS))), arms(8)
    contrast = made(outcome, matrix, rng)
    result = network_statistic(contrast, Network(ENDS, 6, 1.5))
    order = contrast.relabellings.order
    assert (contrast.relabellings.exact, len(order)) == (True, 69)
    expected = [
        count_by_hand(stats.ttest_ind(outcome[arm == 1], outcome[arm == 0]).statistic, 1.5)
        for arm in matrix[order, 1]
    ]
    assert max(expected) > 5
    np.testing.assert_array_equal(result.max_size, expected)


@pytest.mark.parametrize("tail", ["two-sided", "greater", "less"])
def test_single_and_double_precision_find_the_same_components(rng, tail):
    n = 40
    matrix = np.column_stack([arms(n), rng.normal(size=n)])
    outcome = rng.normal(size=(n, len(ENDS))) + matrix[:, [2]]
    contrast = made(outcome, matrix, rng, 150)
    network = Network(ENDS, 6, 1.2, tail, "intensity")
    result = network_statistic(contrast, network)
    expected = []
    for order in contrast.relabellings.order:
        moved = matrix[order]
        residual = outcome - matrix[:, [0, 2]] @ np.linalg.lstsq(matrix[:, [0, 2]], outcome)[0]
        same = relabellings(moved, free(n), 1, rng)
        t = prepared(residual, moved, np.array([0, 1, 0]), same, 4).statistic
        t = {"two-sided": np.abs(t), "greater": t, "less": -t}[tail]
        expected.append(grown_intensity(t, 1.2))
    np.testing.assert_allclose(result.max_size, expected, rtol=1e-4, atol=1e-6)


def grown_intensity(t, threshold):
    above = np.flatnonzero(t > threshold)
    label = {int(place): int(place) for place in above}
    for _ in above:
        for one in above:
            for other in above:
                if set(ENDS[one]) & set(ENDS[other]):
                    label[int(one)] = label[int(other)] = min(label[int(one)], label[int(other)])
    sums = pd.Series(t[above] - threshold, index=list(label.values()), dtype=float)
    return sums.groupby(level=0).sum().max() if len(above) else 0.0


def test_a_covariate_that_explains_the_edges_leaves_no_component(rng):
    matrix = np.column_stack([arms(40), rng.normal(size=40)])
    matrix[:, 2] += 3 * matrix[:, 1]
    outcome = rng.normal(size=(40, len(ENDS))) + 3 * matrix[:, [2]]
    without = made(outcome, matrix[:, :2], rng, 99)
    assert network_statistic(without, Network(ENDS, 6, 3.5)).p_fwe.min() == 1 / 100
    beside = network_statistic(made(outcome, matrix, rng, 99), Network(ENDS, 6, 3.5))
    assert beside.components.empty
    assert (beside.p_fwe == 1).all()


def test_an_edge_that_cannot_be_tested_breaks_the_chain(rng):
    outcome, matrix = planted(rng)
    outcome[:, edge(1, 5)] = 3
    outcome[:4, edge(0, 1)] = np.nan
    contrast = made(outcome, matrix, rng)
    result = network_statistic(contrast, Network(ENDS, 6, 4.0))
    assert result.components["n_edges"].tolist() == [3, 1]
    assert np.flatnonzero(np.isnan(result.p_fwe)).tolist() == [edge(1, 5)]


def test_no_edge_to_test_gives_no_component(rng):
    contrast = made(np.full((8, len(ENDS)), np.nan), arms(8), rng)
    result = network_statistic(contrast, Network(ENDS, 6, 2.0))
    assert result.components.empty
    assert np.isnan(result.p_fwe).all()
    assert (result.max_size == 0).all()


def test_family_wise_error_without_effect(rng):
    found, n_trials = 0, 150
    for _ in range(n_trials):
        matrix = np.column_stack([arms(16), np.repeat([0.0, 1], 8), rng.normal(size=16)])
        outcome = rng.normal(size=(16, len(ENDS))) + rng.normal(size=(16, 1)) + matrix[:, [2]]
        contrast = made(outcome, matrix, rng, 19, Exchangeability(matrix[:, 2]))
        found += network_statistic(contrast, Network(ENDS, 6, 1.0)).p_fwe.min() <= 0.05
    # sizes are whole numbers with ties, so that the error is below .05
    assert 1 <= found <= n_trials * 0.05 + 3 * np.sqrt(n_trials * 0.05 * 0.95)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"tail": "left"}, "network: tail one of"),
        ({"size": "nodes"}, "network: tail one of .* size one of"),
        ({"threshold": 0.0}, "network: the threshold is a positive t"),
        ({"n_nodes": 5}, "network: two nodes, numbered from 0, for each test"),
        ({"ends": ENDS[1:]}, "network: two nodes, numbered from 0, for each test"),
    ],
)
def test_wrong_arguments_are_named(rng, change, message):
    network = Network(**{"ends": ENDS, "n_nodes": 6, "threshold": 2.0, **change})
    with pytest.raises(ValueError, match=message):
        network_statistic(made(*planted(rng), rng, 5), network)


@pytest.mark.slow
@pytest.mark.needs_shared
def test_exact_null_of_two_real_groups_of_connectomes(shared_dir, rng):
    rows, columns = np.triu_indices(219, 1)
    groups = []
    for name in ("dsi", "qball"):
        with gzip.open(shared_dir / "reference" / "nbs" / f"sample_group_{name}.npy.gz") as file:
            groups.append(np.load(file)[rows, columns].T)
    matrix = np.column_stack([np.ones(16), np.repeat([0.0, 1], 8)])
    contrast = made(np.concatenate(groups), matrix, rng, 12869)
    assert contrast.relabellings.exact
    assert (contrast.note != "").sum() == 7476
    ends = np.column_stack([rows, columns])
    strict = network_statistic(contrast, Network(ends, 219, 4.0)).components
    assert strict["n_edges"].tolist() == [2, 1, 1, 1, 1]
    np.testing.assert_allclose(strict["p_fwe"][:2], [0.2772338772, 0.8433566434], rtol=1e-9)
    loose = network_statistic(contrast, Network(ends, 219, 3.0)).components
    assert loose["n_edges"][:5].tolist() == [6, 3, 3, 2, 1]
    assert loose["p_fwe"][0] == pytest.approx(0.5247863248, rel=1e-9)
