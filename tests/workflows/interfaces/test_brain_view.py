"""The brain that can be turned: bytes that give the points back, values by label."""

import base64

import numpy as np
import pandas as pd
import pytest

from workflows.compute.brain_points import BrainPoints
from workflows.interfaces.brain_view import brain_map_of, packed


def test_packed_points_come_back():
    places = np.array([[-60.0, -100, -50], [50, 70, 80], [0, 0, 20]])
    normals = np.array([[-1.0, 0, 0], [0.6, 0.8, 0], [0, 0, 1]])
    points = BrainPoints(places, normals, np.array([3, 700, 0]), right_from=1, deep_from=2)
    shape = packed(points, "Mine")
    content = np.frombuffer(base64.b64decode(shape.content), np.uint8).reshape(8, 3)
    back = np.array(shape.about["low"]) + shape.about["step"] * content[:3].T
    np.testing.assert_allclose(back, places, atol=0.5)
    np.testing.assert_allclose(content[3:6].T.astype(np.int8) / 127, normals, atol=0.01)
    assert (content[6] + 256 * content[7].astype(int)).tolist() == [3, 700, 0]
    assert (shape.about["rightFrom"], shape.about["deepFrom"], shape.about["n"]) == (1, 2, 3)


@pytest.fixture
def table():
    return pd.DataFrame(
        {
            "region": ["insula", "amygdala", "elsewhere", "lost"],
            "value": [0.5, -2.0, 9.0, np.nan],
            "words": ["i", "a", "e", "l"],
            "marked": [True, False, True, False],
        }
    )


def test_regions_of_the_atlas_with_a_value_are_told_by_their_label(table):
    made = brain_map_of(table, {"insula": 35, "amygdala": 82, "lost": 4}, "Mine", "t", "ml")
    assert made.regions == ((35, "insula", 0.5, "i", True), (82, "amygdala", -2.0, "a", False))
    assert made.limit == 2.0


def test_without_a_value_there_is_no_brain(table):
    assert brain_map_of(table, {"lost": 4}, "Mine", "t", "ml") is None
