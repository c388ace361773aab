"""Scatter of partial residuals: points, line, rings, nobody's name."""

import numpy as np
import pytest

from workflows.compute.association import partial_residuals
from workflows.compute.design import Design
from workflows.drawing.canvas import png_bytes
from workflows.drawing.partial_scatter import ScatterMarks, ScatterText, partial_scatter

TEXT = ScatterText("BDI change", "volume change", "t", "arm")
ARMS = np.array(["b", "a"] * 5, dtype=object)


@pytest.fixture
def points():
    rng = np.random.default_rng(0)
    matrix = np.column_stack([np.ones(10), ARMS == "b"]).astype(float)
    design = Design(matrix, ("mean", "b - a"), 2, ARMS, ("a", "b"), "arm", ())
    outcome = rng.normal(size=10)
    outcome[0] = np.nan
    return partial_residuals(outcome, rng.normal(size=10), design)


def test_each_arm_has_its_points_and_people_without_values_do_not_count(points):
    figure = partial_scatter(points, ARMS, TEXT, ScatterMarks())
    axes = figure.axes[0]
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    assert labels == ["b (n = 4)", "a (n = 5)"]
    of_a = ARMS[points.rows] == "a"
    expected = np.column_stack([points.x[of_a], points.y[of_a]])
    np.testing.assert_allclose(axes.collections[2].get_offsets(), expected)


def test_the_line_and_its_band_are_those_of_the_model(points):
    axes = partial_scatter(points, ARMS, TEXT, ScatterMarks(), 0.9).axes[0]
    x, y = axes.lines[0].get_data()
    assert np.polyfit(x, y, 1) == pytest.approx([points.slope, points.intercept])
    low, high = points.band(x, 0.9)
    edge = axes.collections[0].get_paths()[0].vertices
    assert edge[:, 1].min() == pytest.approx(low.min())
    assert edge[:, 1].max() == pytest.approx(high.max())


def test_influential_people_are_ringed_without_names_unless_asked(points):
    figure = partial_scatter(points, ARMS, TEXT, ScatterMarks((3, 0)))
    rings = figure.axes[0].collections[-1].get_offsets()
    place = points.rows.tolist().index(3)
    np.testing.assert_allclose(rings, [[points.x[place], points.y[place]]])
    assert len(figure.axes[0].texts) == 0
    assert "Ringed: 1 influential" in figure.texts[1].get_text()
    named = partial_scatter(points, ARMS, TEXT, ScatterMarks((3, 0), ("x", "y")))
    assert [text.get_text() for text in named.axes[0].texts] == ["x"]


def test_all_points_are_inside_the_axes(points):
    axes = partial_scatter(points, ARMS, TEXT, ScatterMarks()).axes[0]
    assert axes.get_xlim()[0] < points.x.min() < points.x.max() < axes.get_xlim()[1]
    assert axes.get_ylim()[0] < points.y.min() < points.y.max() < axes.get_ylim()[1]


def test_names_must_fit_and_dollar_signs_are_text(points):
    with pytest.raises(ValueError, match="names"):
        ScatterMarks((1, 2), ("one",))
    text = ScatterText("$x^", "$y_", "$", "$")
    assert png_bytes(partial_scatter(points, ARMS, text, ScatterMarks())).startswith(b"\x89PNG")
