"""QC-FC over distance: points, fitted line and what chance makes."""

import numpy as np
import pytest
from matplotlib.collections import PolyCollection
from scipy import stats

from workflows.drawing.motion_edges import motion_edges


def test_the_line_is_fitted_to_known_edges_and_the_limits_are_those_of_one_test():
    distance = np.array([10.0, 30, 50, np.nan, 70])
    r = np.array([0.5, 0.3, 0.1, 0.9, np.nan])
    left, right = motion_edges(distance, r, 20, "t").axes[:2]
    fit = next(line for line in left.lines if line.get_linewidth() == 2.4)
    np.testing.assert_allclose(fit.get_xydata(), [[10, 0.5], [50, 0.1]])
    dotted = [line.get_ydata()[0] for line in left.lines if line.get_linestyle() == ":"]
    # r with p = .05 and 20 people is .444 in every table of critical values
    assert dotted == pytest.approx([-0.444, 0.444], abs=5e-4)
    cells = next(c for c in left.collections if isinstance(c, PolyCollection))
    assert cells.get_array().sum() == 3
    # an edge of unknown length counts among the bars
    assert sum(bar.get_width() for bar in right.patches) == 4


def test_chance_holds_as_many_edges_as_there_are():
    rng = np.random.default_rng(1)
    people = rng.normal(size=(12, 401))
    r = np.corrcoef(people.T)[0, 1:]
    _, right = motion_edges(np.full(400, 50.0), r, 12, "t").axes[:2]
    curve = next(line for line in right.lines if len(line.get_xdata()) == 200)
    counts, values = curve.get_xdata(), curve.get_ydata()
    width = right.patches[0].get_height()
    assert np.trapezoid(counts, values) / width == pytest.approx(400, rel=0.01)
    # the density of r is that of scipy's distribution of t
    t = values[100] * np.sqrt(10 / (1 - values[100] ** 2))
    slope = np.sqrt(10) / (1 - values[100] ** 2) ** 1.5
    assert counts[100] == pytest.approx(stats.t.pdf(t, 10) * slope * 400 * width)


def test_without_distances_there_are_bars_alone():
    left, right = motion_edges(np.full(3, np.nan), np.array([0.1, -0.2, 0.3]), 8, "t").axes
    assert not left.collections
    assert len(right.patches) == 39
