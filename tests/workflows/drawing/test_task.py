"""Pictures of a task model: what stands where."""

import numpy as np
import pandas as pd
import pytest

from workflows.drawing.slices import Volume
from workflows.drawing.task import contrast_slices, design_picture


@pytest.fixture
def content():
    return {
        "SamplingFrequency": 0.5,
        "StartTime": 1.0,
        "Conditions": {"negative": 3, "neutral": 3},
        "Contrasts": {
            "reactivity": {"Weights": {"negative": 1.0, "neutral": -0.5}, "Problem": ""},
            "fear": {"Weights": {"fear": 1.0}, "Problem": "no event of fear"},
        },
        "VarianceInflation": {"negative": 1.25, "neutral": None},
    }


@pytest.fixture
def design():
    table = {"negative": [0.0, 2, 0, 0], "neutral": [0.0, 0, -4, 0], "drift_1": [3.0, 1, -1, -3]}
    return pd.DataFrame(table | {"constant": 1.0, "rot_x": 0.0, "censored00": [0, 0, 0, 1.0]})


def texts(axes):
    return [text.get_text() for text in axes.texts]


def labels(axis):
    return [text.get_text() for text in axis.get_ticklabels()]


def test_responses_stand_over_the_time_of_their_volumes(design, content):
    over_time = design_picture(design, content).axes[0]
    line = over_time.lines[0]
    np.testing.assert_array_equal(line.get_xdata(), [1, 3, 5, 7])
    np.testing.assert_allclose(line.get_ydata(), [1, 1.9, 1, 1])
    assert labels(over_time.yaxis) == ["negative", "neutral"]


def test_columns_are_rows_of_the_picture_grouped_by_kind(design, content):
    matrix = design_picture(design, content).axes[1]
    shown = matrix.images[0].get_array()
    np.testing.assert_allclose(shown[:3], [[0, 1, 0, 0], [0, 0, -1, 0], [1, 1 / 3, -1 / 3, -1]])
    assert matrix.images[0].get_extent() == [0, 8, 5.5, -0.5]
    assert labels(matrix.yaxis) == [
        *("conditions (2)", "drift (1)", "constant (1)", "confounds (1)", "censored volumes (1)"),
    ]


def test_weights_are_written_where_their_condition_stands(design, content):
    weights = design_picture(design, content).axes[2]
    np.testing.assert_allclose(weights.images[0].get_array(), [[1, -0.5, 0], [0, 0, 1]])
    assert labels(weights.xaxis) == ["negative", "neutral", "fear"]
    assert labels(weights.yaxis) == ["reactivity", "fear (not estimated)"]
    assert texts(weights) == ["1", "-0.5", "1"]


def test_inflation_stands_beside_the_correlation(design, content):
    correlation = design_picture(design, content).axes[3]
    # columns (0, 2, 0, 0) and (0, 0, -4, 0): r = 1/3
    np.testing.assert_allclose(correlation.images[0].get_array(), [[1, 1 / 3], [1 / 3, 1]])
    assert labels(correlation.yaxis) == ["negative, 1.2", "neutral, not separable"]


def test_a_run_without_conditions_is_drawn_too(design, content):
    content |= {"Conditions": {}, "VarianceInflation": {}}
    figure = design_picture(design.drop(columns=["negative", "neutral"]), content)
    assert len(figure.axes) == 3


def test_each_contrast_has_a_row_with_its_map_and_a_missing_one_says_so():
    brain = np.zeros((8, 10, 12), bool)
    brain[1:7, 1:9, 1:11] = True
    volume = Volume(brain * 100.0, np.diag([3.0, 3, 3, 1]))
    z = np.where(brain, 0.0, np.nan)
    z[5, 7, :] = 6.0
    figure = contrast_slices(volume, {"a$b": z, "fear": z * np.nan}, brain)
    rows = np.reshape(figure.axes[:-1], (2, 9))
    assert rows[0, 0].get_title("left") == r"a\$b"
    assert rows[1, 0].get_title("left") == "fear: not estimated in this run"
    shown = rows[0, 4].images[1]
    assert shown.get_array()[7, 5] == 6.0
    assert shown.get_alpha()[7, 5] == pytest.approx(0.9)
    assert (shown.get_alpha() > 0).sum() == 1
    assert (rows[1, 4].images[1].get_alpha() == 0).all()
    assert shown.norm.vmin == -shown.norm.vmax
