"""How change of each connection goes with change of motion, over the length of the connection."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure
from scipy import stats

from workflows.drawing.canvas import BLUE, VERMILION, blank_figure, plain

WIDTH_IN, HEIGHT_IN = 9.0, 4.6
N_CELLS, N_BARS, N_GRID = 42, 40, 200
ALPHA = 0.05


def motion_edges(distance_mm: np.ndarray, r: np.ndarray, n_people: int, title: str) -> Figure:
    """Correlation with motion against distance, and beside it how often each value is there.

    Parameters
    ----------
    distance_mm, r : np.ndarray, shape (n_edges,)
        Edges where either is NaN are left out of the left panel.
    n_people : int
        People behind each correlation, at least 4, for what chance makes.
    title : str
        Written above.
    """
    both = np.isfinite(distance_mm) & np.isfinite(r)
    known = r[np.isfinite(r)]
    figure = blank_figure(WIDTH_IN, HEIGHT_IN)
    left, right = figure.subplots(1, 2, sharey=True, width_ratios=(3, 1))
    limit = float(np.clip(1.1 * np.abs(known).max(initial=0), 0.1, 1))
    if both.any():
        _against_distance(figure, left, distance_mm[both], r[both])
    edge = _critical_r(n_people)
    for axes in (left, right):
        axes.axhline(0, color="0.4", linewidth=0.8)
        for sign in (-edge, edge):
            axes.axhline(sign, color="black", linestyle=":", linewidth=1.2)
        axes.spines[["top", "right"]].set_visible(False)
    left.set_ylim(-limit, limit)
    left.set_xlabel("distance between the regions (mm)")
    left.set_ylabel("r of change of connectivity\nwith change of motion")
    right.hist(known, np.linspace(-limit, limit, N_BARS), orientation="horizontal", color="0.75")
    _chance(right, len(known), n_people, limit)
    right.set_xlabel("edges")
    figure.text(0.012, 0.985, plain(title), fontsize=10, va="top")
    foot = "Dotted: p = .05 of one edge. Orange line: straight fit. Blue line: chance alone."
    figure.text(0.012, 0.012, foot, fontsize=8, color="0.25")
    figure.tight_layout(rect=(0, 0.04, 1, 0.94))
    return figure


def _against_distance(figure, axes, distance_mm, r) -> None:
    drawn = axes.hexbin(distance_mm, r, gridsize=N_CELLS, mincnt=1, cmap="Greys")
    figure.colorbar(drawn, ax=axes, label="edges", pad=0.02)
    if np.ptp(distance_mm) > 0:
        slope, start = np.polyfit(distance_mm, r, 1)
        ends = np.array([distance_mm.min(), distance_mm.max()])
        axes.plot(ends, start + slope * ends, color=VERMILION, linewidth=2.4)


def _critical_r(n_people):
    """The |r| whose two-sided p is .05."""
    t = stats.t.isf(ALPHA / 2, n_people - 2)
    return t / np.sqrt(n_people - 2 + t**2)


def _chance(axes, n_edges, n_people, limit) -> None:
    """How many edges each bar would hold if nothing were related."""
    grid = np.linspace(-limit, limit, N_GRID)
    half = (n_people - 2) / 2
    density = stats.beta.pdf((grid + 1) / 2, half, half) / 2
    axes.plot(density * n_edges * 2 * limit / (N_BARS - 1), grid, color=BLUE, linewidth=1.8)
