"""Predicted against observed: bins, smooth line, people in each bar."""

import numpy as np
import pandas as pd
import pytest

from workflows.drawing.calibration import CalibrationText, calibration_plot, local_line
from workflows.drawing.canvas import png_bytes

CURVE = pd.DataFrame(
    {
        "model": ["clinical", "clinical", "brain"],
        "n": [3, 3, 6],
        "predicted": [0.2, 0.8, 0.5],
        "observed": [0.3, 0.6, 0.5],
        "ci_low": [0.1, 0.4, 0.2],
        "ci_high": [0.5, 0.8, 0.7],
    }
)
TARGET = np.array([0.0, 0, 1, 1, 1, 0])
PREDICTED = {
    "clinical": np.array([0.11, 0.21, 0.31, 0.71, 0.81, np.nan]),
    "brain": np.full(6, 0.5),
}
TEXT = CalibrationText("response")


@pytest.fixture(scope="module")
def binary():
    return calibration_plot(TARGET, PREDICTED, CURVE, True, TEXT)


def test_each_model_has_its_bins_and_its_people(binary):
    top, other = binary.axes[:2]
    assert top.get_title("left") == "clinical (n = 5)"
    assert other.get_title("left") == "brain (n = 6)"
    squares = next(line for line in top.lines if line.get_marker() == "s")
    np.testing.assert_array_equal(squares.get_xydata(), [[0.2, 0.3], [0.8, 0.6]])
    assert top.get_xlim() == top.get_ylim() == (-0.03, 1.03)


def test_bars_go_up_for_people_with_the_outcome_and_down_without(binary):
    bars = binary.axes[2].patches
    heights = {round(bar.get_x(), 2): bar.get_height() for bar in bars if bar.get_height()}
    assert heights == {0.3: 1, 0.7: 1, 0.8: 1, 0.1: -1, 0.2: -1}


def test_a_continuous_outcome_shows_people_on_equal_axes():
    target = np.linspace(10, 30, 25)
    figure = calibration_plot(target, {"clinical": target + 1}, CURVE[:0], False, TEXT)
    axes = figure.axes[0]
    np.testing.assert_allclose(
        axes.collections[0].get_offsets(), np.column_stack([target + 1, target])
    )
    assert axes.get_xlim() == axes.get_ylim()
    smooth = next(line for line in axes.lines if line.get_linewidth() == 2)
    np.testing.assert_allclose(smooth.get_ydata(), smooth.get_xdata() - 1)


def test_few_people_have_no_smooth_line(binary):
    assert not [line for line in binary.axes[0].lines if line.get_linewidth() == 2]


def test_a_local_line_follows_a_line_exactly_and_a_curve_closely():
    rng = np.random.default_rng(1)
    x = rng.uniform(0, 1, 200)
    grid = np.linspace(0.05, 0.95, 7)
    np.testing.assert_allclose(local_line(x, 3 - 2 * x, grid, 0.5), 3 - 2 * grid)
    found = local_line(x, np.sin(3 * x), grid, 0.3)
    np.testing.assert_allclose(found, np.sin(3 * grid), atol=0.03)


def test_a_local_line_equals_the_weighted_fit_by_hand():
    x, y = np.array([0.0, 1, 2, 4]), np.array([1.0, 3, 2, 8])
    weight = np.array([(1 - (1 / 1) ** 3) ** 3, 1, (1 - 1) ** 3, 0])
    assert weight[1:].tolist() == [1, 0, 0]
    assert local_line(x, y, np.array([1.0]), 0.75)[0] == pytest.approx(3)
    weight = np.clip(1 - (np.abs(x - 1.5) / 2.5) ** 3, 0, None) ** 3
    expected = np.polyval(np.polyfit(x, y, 1, w=np.sqrt(weight)), 1.5)
    assert local_line(x, y, np.array([1.5]), 1.0)[0] == pytest.approx(expected)


def test_equal_predictions_give_their_mean():
    assert local_line(np.full(5, 0.3), np.arange(5.0), np.array([0.3]), 0.75) == pytest.approx(2)


def test_one_person_is_drawn():
    one = {"$m^": np.array([0.4])}
    figure = calibration_plot(np.array([1.0]), one, CURVE[:0], True, CalibrationText("$x_"))
    assert png_bytes(figure).startswith(b"\x89PNG")
