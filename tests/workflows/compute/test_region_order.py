import pandas as pd

from workflows.compute.region_order import grouped_regions


def table(**columns):
    return pd.DataFrame(columns)


def test_regions_of_a_network_stand_side_by_side_left_before_right():
    rows, groups = grouped_regions(
        table(
            hemisphere=["R", "B", "L", "R", "L", "L"],
            structure=["cortex"] * 6,
            network=["Visual", None, "Default", "Default", "Visual", "Default"],
        )
    )
    assert rows == [4, 0, 2, 5, 3, 1]
    assert groups == ["Visual", "Visual", "Default", "Default", "Default", "other"]


def test_without_networks_parts_of_the_brain_and_sides_are_groups():
    regions = table(hemisphere=["R", "L", "R", None], structure=["cortex", "cortex", "cortex", "x"])
    rows, groups = grouped_regions(regions)
    assert rows == [0, 2, 1, 3]
    assert groups == ["cortex R", "cortex R", "cortex L", "x"]
    empty = regions.assign(network=[None] * 4)
    assert grouped_regions(empty) == (rows, groups)


def test_where_nothing_is_known_the_order_stays():
    assert grouped_regions(table(index=[3, 1, 2])) == ([0, 1, 2], ["other"] * 3)
