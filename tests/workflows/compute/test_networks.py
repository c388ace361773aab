import numpy as np
import pytest

from workflows.compute.networks import always_seen, circuit_means, network_means

NETWORKS = ["V", "D", "V", None, "D", "S"]


def sessions():
    """Two sessions of six regions; the edge of i and j is (i + 1) * (j + 1), and twice that."""
    size = np.arange(1.0, 7.0)
    one = np.outer(size, size)
    both = np.array([one, 2 * one])
    both[:, np.arange(6), np.arange(6)] = 99.0
    return both


def test_means_within_and_between_networks_are_those_by_hand():
    table = network_means(always_seen(sessions()), NETWORKS).set_index(["measure", "region"])
    expected = {
        ("within_network", "V"): 3,
        ("within_network", "D"): 10,
        ("between_network", "V-D"): (2 + 5 + 6 + 15) / 4,
        ("between_network", "V-S"): (6 + 18) / 2,
        ("between_network", "D-S"): (12 + 30) / 2,
    }
    assert table[0].to_dict() == expected
    assert table[1].to_dict() == {key: 2 * value for key, value in expected.items()}


def test_an_edge_lost_in_one_session_counts_in_none():
    holed = sessions()
    holed[1, 2] = holed[1, :, 2] = np.nan
    table = network_means(always_seen(holed), NETWORKS).set_index(["measure", "region"])
    assert np.isnan(table.loc[("within_network", "V"), [0, 1]].to_numpy(float)).all()
    assert table.loc[("between_network", "V-D")].tolist() == [3.5, 7]


def test_regions_in_another_order_give_the_same_means():
    order = [4, 5, 0, 3, 1, 2]
    turned = network_means(
        always_seen(sessions()[:, order][:, :, order]), [NETWORKS[place] for place in order]
    )
    known = dict(zip(turned["region"], turned[0], strict=True))
    assert known == {"D": 10, "V": 3, "D-S": 21, "D-V": 7, "S-V": 12}


def test_an_atlas_without_networks_has_no_rows():
    table = network_means(always_seen(sessions()), [None] * 6)
    assert table.columns.tolist() == ["measure", "region", 0, 1]
    assert len(table) == 0


def test_a_circuit_is_the_mean_of_all_pairs_of_a_source_and_a_target():
    values = circuit_means(always_seen(sessions()), [5, 0], [1, 3])
    np.testing.assert_array_equal(values, [(12 + 24 + 2 + 4) / 4, (12 + 24 + 2 + 4) / 2])
    holed = sessions()
    holed[0, 5, 1] = holed[0, 1, 5] = np.nan
    assert circuit_means(always_seen(holed), [5, 0], [1, 3]) == pytest.approx([10, 20])
    assert np.isnan(circuit_means(always_seen(holed), [5], [1])).all()
