"""Pictures say at which place which value is drawn, and keep it in their file."""

import io
import json

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from workflows.drawing.canvas import blank_figure, png_bytes
from workflows.drawing.forest import ForestText, forest_plot
from workflows.drawing.hover import CHUNK, MOST_GRID_ROWS, add_grid, add_spots, told_by
from workflows.drawing.matrices import region_matrix

MARK = (230, 159, 0)


def told_in(png):
    text = Image.open(io.BytesIO(png)).info.get(CHUNK)
    return json.loads(text) if text else None


def dot_at(x, y, size=(2, 1)):
    """PNG of one orange dot in axes from 0 to 10 that tells "here"."""
    figure = blank_figure(*size)
    axes = figure.add_axes((0.2, 0.1, 0.7, 0.8))
    axes.set(xlim=(0, 10), ylim=(0, 10))
    axes.axis("off")
    axes.plot([x], [y], "o", color="#E69F00", markersize=6)
    add_spots(axes, [x], [y], ["here"])
    return png_bytes(figure)


@pytest.mark.parametrize(("x", "y"), [(2, 8), (7, 1)])
def test_a_spot_is_where_its_dot_was_drawn(x, y):
    png = dot_at(x, y)
    ((across, down, words, link),) = told_in(png)["spots"]
    pixels = np.asarray(Image.open(io.BytesIO(png)).convert("RGB")).astype(int)
    rows, columns = np.nonzero(np.abs(pixels - MARK).sum(axis=2) < 60)
    height, width = pixels.shape[:2]
    assert (words, link) == ("here", "")
    assert across * width == pytest.approx(columns.mean() + 0.5, abs=1)
    assert down * height == pytest.approx(rows.mean() + 0.5, abs=1)


def test_places_without_a_number_are_not_told():
    figure = blank_figure(1, 1)
    axes = figure.subplots()
    add_spots(axes, [0.5, np.nan], [0.5, 0.5], ["seen", "missing"])
    png_bytes(figure)
    assert [spot[2] for spot in told_by(figure)["spots"]] == ["seen"]


def test_each_place_needs_its_words():
    with pytest.raises(ValueError, match="words: 1 for 2 places"):
        add_spots(blank_figure(1, 1).subplots(), [1, 2], [1, 2], ["one"])


def test_a_picture_without_places_says_nothing():
    assert told_in(png_bytes(blank_figure(1, 1))) is None


def test_the_cells_of_a_matrix_are_told_below_its_diagonal_in_their_box():
    values = np.array([[np.nan, 0.1234, 0.2], [0.1234, np.nan, np.nan], [0.2, np.nan, np.nan]])
    png = png_bytes(region_matrix(values, ["a", "b", "c"], "z"))
    grid = told_in(png)["grid"]
    assert grid["names"] == ["a", "b", "c"]
    assert grid["cells"] == [0.123, 0.2, None]
    left, top, right, bottom = grid["box"]
    assert 0 < left < right < 1
    assert 0 < top < bottom < 1
    pixels = np.asarray(Image.open(io.BytesIO(png)).convert("RGB"))
    height, width = pixels.shape[:2]
    row, column = int((top + 0.1) * height), int(((left + 5 * right) / 6) * width)
    strongest = pixels[row, column].astype(int)
    assert strongest[0] > strongest[2]


def test_a_very_large_matrix_tells_no_cells():
    figure = blank_figure(1, 1)
    n = MOST_GRID_ROWS + 1
    add_grid(figure.subplots(), np.zeros((n, n)), [str(k) for k in range(n)], "z")
    png_bytes(figure)
    assert told_by(figure) == {}


def test_a_forest_tells_estimate_interval_and_number_of_each_region():
    rows = pd.DataFrame(
        {
            "label": ["insula", "amygdala", "lost"],
            "estimate": [0.5, -0.25, np.nan],
            "ci_low": [0.25, -0.5, np.nan],
            "ci_high": [0.75, 0.0, np.nan],
            "significant": [True, False, False],
            "n": [12, 12, 0],
        }
    )
    told = told_in(png_bytes(forest_plot(rows, ForestText("ml"))))["spots"]
    assert [words for _, _, words, _ in told] == [
        "insula: +0.50 [0.25, 0.75], n = 12, significant",
        "amygdala: \N{MINUS SIGN}0.25 [\N{MINUS SIGN}0.50, 0.00], n = 12, not significant",
    ]
    assert told[0][0] > told[1][0]
    assert told[0][1] < told[1][1]
