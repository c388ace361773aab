import networkx as nx
import numpy as np
import pytest

from workflows.compute.graph_measures import (
    binary_graphs,
    global_efficiency,
    graph_measures,
    mean_clustering,
    modularity,
)

TWO_TRIANGLES = [(0, 1), (1, 2), (0, 2), (3, 4), (4, 5), (3, 5)]


def adjacency(edges, n_regions):
    return nx.to_numpy_array(nx.Graph([*edges]), nodelist=range(n_regions))


def random_matrix(seed, n_regions=40):
    rng = np.random.default_rng(seed)
    series = rng.normal(size=(120, n_regions)) + rng.normal(size=(120, 4)).repeat(n_regions // 4, 1)
    return np.corrcoef(series, rowvar=False)


def test_the_strongest_edges_make_the_graph():
    matrix = random_matrix(1)
    graphs = binary_graphs(matrix, (0.1, 0.3))
    np.testing.assert_array_equal(graphs.sum(axis=(1, 2)), [156, 468])
    np.testing.assert_array_equal(graphs[1], graphs[1].T)
    upper = np.triu(np.ones((40, 40), bool), 1)
    assert matrix[upper & (graphs[0] == 1)].min() > matrix[upper & (graphs[0] == 0)].max()


def test_efficiency_clustering_and_modularity_of_small_graphs_are_those_by_hand():
    line = adjacency([(0, 1), (1, 2)], 3)
    assert global_efficiency(line[None]) == pytest.approx((1 + 1 + 0.5) / 3)
    kite = adjacency([(0, 1), (1, 2), (0, 2), (2, 3)], 4)
    assert mean_clustering(kite[None]) == pytest.approx((1 + 1 + 1 / 3 + 0) / 4)
    quality, modules = modularity(adjacency(TWO_TRIANGLES, 6))
    assert quality == pytest.approx(0.5)
    assert modules[0] == modules[1] == modules[2] != modules[3] == modules[4] == modules[5]


@pytest.mark.parametrize("seed", [2, 3, 4])
def test_efficiency_and_clustering_are_those_of_networkx(seed):
    graphs = binary_graphs(random_matrix(seed), (0.05, 0.15, 0.3))
    for graph, efficiency, clustering in zip(
        graphs, global_efficiency(graphs), mean_clustering(graphs), strict=True
    ):
        known = nx.from_numpy_array(graph)
        assert efficiency == pytest.approx(nx.global_efficiency(known), abs=1e-6)
        assert clustering == pytest.approx(nx.average_clustering(known), abs=1e-12)


@pytest.mark.parametrize("seed", [5, 6, 7])
def test_modularity_is_that_of_its_partition_and_as_good_as_that_of_networkx(seed):
    graph = binary_graphs(random_matrix(seed), (0.2,))[0]
    quality, modules = modularity(graph)
    known = nx.from_numpy_array(graph)
    groups = [set(np.flatnonzero(modules == number)) for number in np.unique(modules)]
    assert quality == pytest.approx(nx.community.modularity(known, groups), abs=1e-12)
    others = [nx.community.louvain_communities(known, seed=turn) for turn in range(5)]
    best = max(nx.community.modularity(known, groups) for groups in others)
    assert quality > best - 0.01


def test_each_measure_is_the_mean_of_its_curve():
    matrix = random_matrix(8)
    at = [graph_measures(matrix, (density,)) for density in (0.1, 0.2, 0.4)]
    expected = ((at[0] + at[1]) / 2 * 0.1 + (at[1] + at[2]) / 2 * 0.2) / 0.3
    np.testing.assert_allclose(graph_measures(matrix, (0.1, 0.2, 0.4)), expected)


def test_regions_in_another_order_and_a_missing_one_change_nothing():
    matrix = random_matrix(9)
    expected = graph_measures(matrix)
    order = np.random.default_rng(10).permutation(40)
    np.testing.assert_allclose(
        graph_measures(matrix[np.ix_(order, order)])[[0, 2]], expected[[0, 2]]
    )
    holed = np.insert(np.insert(matrix, 7, np.nan, axis=0), 7, np.nan, axis=1)
    np.testing.assert_allclose(graph_measures(holed), expected)


def test_too_few_regions_or_positive_edges_give_no_value():
    assert np.isnan(graph_measures(random_matrix(11)[:9, :9])).all()
    assert np.isnan(graph_measures(-np.abs(random_matrix(12)))).all()
    one_missing = random_matrix(13)
    one_missing[2, 5] = one_missing[5, 2] = np.nan
    assert np.isnan(graph_measures(one_missing)).all()
