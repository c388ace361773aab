import numpy as np
import pytest

from workflows.compute.connectivity_measures import Grouping, connectivity_measures
from workflows.compute.graph_measures import graph_measures

REGIONS = [f"r{number}" for number in range(12)]
GROUPING = Grouping(
    {"r0": "A", "r1": "A", "r2": "B"},
    {"pair": (("r0",), ("r2", "r3")), "elsewhere": (("r0",), ("gone",))},
)


@pytest.fixture
def sessions():
    rng = np.random.default_rng(71)
    matrices = 0.5 + rng.normal(0, 0.2, (2, 12, 12))
    return (matrices + matrices.transpose(0, 2, 1)) / 2


def test_every_measure_of_every_session_is_a_row(sessions):
    table = connectivity_measures(sessions, REGIONS, GROUPING).set_index(["measure", "region"])
    one, two = sessions
    assert table.loc[("within_network", "A"), [0, 1]].tolist() == [one[0, 1], two[0, 1]]
    between = [(matrix[0, 2] + matrix[1, 2]) / 2 for matrix in sessions]
    assert table.loc[("between_network", "A-B"), [0, 1]].tolist() == pytest.approx(between)
    circuit = [(matrix[0, 2] + matrix[0, 3]) / 2 for matrix in sessions]
    assert table.loc[("circuit", "pair"), [0, 1]].tolist() == pytest.approx(circuit)
    assert ("circuit", "elsewhere") not in table.index
    efficiency, quality, clustering = graph_measures(two)
    assert table.loc[("global_efficiency", "brain"), 1] == efficiency
    assert table.loc[("modularity", "brain"), 1] == quality
    assert table.loc[("mean_clustering", "brain"), 1] == clustering
    assert table.loc[("mean_clustering", "brain"), "unit"] == "1"
    assert table.loc[("mean_connectivity", "r4"), 1] == pytest.approx(np.delete(two[4], 4).mean())
    means = ["mean_connectivity", "within_network", "between_network", "circuit"]
    assert set(table.loc[means, "unit"]) == {"z"}


def test_a_region_lost_in_one_session_counts_in_none(sessions):
    whole = connectivity_measures(sessions, REGIONS, GROUPING).set_index(["measure", "region"])
    lost = sessions.copy()
    lost[0, 1] = lost[0, :, 1] = np.nan
    table = connectivity_measures(lost, REGIONS, GROUPING).set_index(["measure", "region"])
    assert table.index.tolist() == whole.index.tolist()
    assert table.loc[("within_network", "A"), [0, 1]].isna().all()
    between = table.loc[("between_network", "A-B"), [0, 1]].tolist()
    assert between == [sessions[0, 0, 2], sessions[1, 0, 2]]
    fewer = np.delete(np.delete(sessions[1], 1, 0), 1, 1)
    assert table.loc[("modularity", "brain"), 1] == pytest.approx(graph_measures(fewer)[1])


def test_without_networks_and_circuits_there_are_regions_and_the_whole(sessions):
    table = connectivity_measures(sessions[:1], REGIONS, Grouping())
    assert table["measure"].value_counts().to_dict() == {
        "mean_connectivity": 12,
        "global_efficiency": 1,
        "modularity": 1,
        "mean_clustering": 1,
    }
    assert table.columns.tolist() == ["measure", "region", "unit", 0]
