"""Change against change with everything else held constant (added-variable plot)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from workflows.compute.association import PartialResiduals
from workflows.drawing.arms import arm_legend, arm_styles, legend_height_in
from workflows.drawing.canvas import blank_figure, plain
from workflows.drawing.hover import add_spots

WIDTH_IN = 7.2
PLOT_IN = 5.0
TITLE_LINE_IN = 0.22
N_GRID = 60


@dataclass(frozen=True)
class ScatterText:
    """Words of a scatter: axes with units, title, and what was held constant."""

    x: str
    y: str
    title: str
    held_constant: str = ""


@dataclass(frozen=True)
class ScatterMarks:
    """Participants that are ringed (row numbers), and names to write beside them.

    Names identify people: they are empty unless asked for.
    """

    influential: tuple[int, ...] = ()
    names: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.names and len(self.names) != len(self.influential):
            raise ValueError("names: one for each influential participant, or none")


def partial_scatter(
    points: PartialResiduals,
    arms: np.ndarray,
    text: ScatterText,
    marks: ScatterMarks,
    confidence: float = 0.95,
) -> Figure:
    """Partial residuals with the fitted line and the band of its mean.

    Parameters
    ----------
    points : PartialResiduals
        From `partial_residuals`.
    arms : np.ndarray of str, shape (n_participants,)
        Arm of all participants of the design, also those without a point.
    text : ScatterText
    marks : ScatterMarks
        Row numbers are those of the design.
    confidence : float
        Of the band, .5..1.
    """
    own = np.asarray(arms, dtype=object)[points.rows]
    styles = {arm: style for arm, style in arm_styles(arms).items() if arm in own}
    labels = {arm: f"{arm} (n = {(own == arm).sum()})" for arm in styles}
    title_in = TITLE_LINE_IN * (text.title.count("\n") + 1) + 0.1
    head = title_in + legend_height_in(labels, WIDTH_IN)
    figure = blank_figure(WIDTH_IN, head + PLOT_IN)
    axes = figure.subplots()
    _line(axes, points, confidence)
    for arm, (colour, marker) in styles.items():
        part = own == arm
        style = {"c": colour, "marker": marker, "s": 36, "alpha": 0.85, "linewidths": 0}
        axes.scatter(points.x[part], points.y[part], **style)
        pairs = zip(points.x[part], points.y[part], strict=True)
        told = [f"{arm}: {text.x} {x:.3g}, {text.y} {y:.3g}" for x, y in pairs]
        add_spots(axes, points.x[part], points.y[part], told)
    n_ringed = _rings(axes, points, marks)
    axes.set_xlabel(plain(text.x))
    axes.set_ylabel(plain(text.y))
    axes.spines[["top", "right"]].set_visible(False)
    height = figure.get_figheight()
    figure.text(0.012, 1 - 0.08 / height, plain(text.title), va="top", fontsize=10)
    arm_legend(figure, styles, labels, title_in)
    figure.text(0.012, 0.06 / height, _foot(text, n_ringed, confidence), fontsize=8, color="0.25")
    figure.tight_layout(rect=(0, 0.3 / height, 1, 1 - head / height))
    return figure


def _line(axes: Axes, points: PartialResiduals, confidence: float) -> None:
    margin = 0.04 * np.ptp(points.x)
    grid = np.linspace(points.x.min() - margin, points.x.max() + margin, N_GRID)
    line = points.intercept + points.slope * grid
    low, high = points.band(grid, confidence)
    axes.fill_between(grid, low, high, color="0.88", linewidth=0, zorder=0)
    axes.plot(grid, line, color="0.2", linewidth=1.6, zorder=1)
    axes.set_xlim(grid[0], grid[-1])
    axes.set_ylim(*_heights(np.append(points.y, line), low.min(), high.max()))


def _heights(shown: np.ndarray, low: float, high: float) -> tuple[float, float]:
    """Limits with room around points and line; a very wide band is cut."""
    size = np.ptp(shown) or 1.0
    least, most = shown.min() - 0.06 * size, shown.max() + 0.06 * size
    return min(least, max(low, least - 0.3 * size)), max(most, min(high, most + 0.3 * size))


def _rings(axes: Axes, points: PartialResiduals, marks: ScatterMarks) -> int:
    place = {row: number for number, row in enumerate(points.rows)}
    ringed = [row for row in marks.influential if row in place]
    at = [place[row] for row in ringed]
    axes.scatter(
        points.x[at], points.y[at], s=130, facecolors="none", edgecolors="black", linewidths=1.3
    )
    for row, name in zip(marks.influential, marks.names, strict=False):
        if row in place:
            spot = (points.x[place[row]], points.y[place[row]])
            axes.annotate(plain(name), spot, (8, 5), textcoords="offset points", fontsize=8)
    return len(ringed)


def _foot(text: ScatterText, n_ringed: int, confidence: float) -> str:
    held = f"Held constant: {text.held_constant}. " if text.held_constant else ""
    ring = f" Ringed: {n_ringed} influential (Cook's distance)." if n_ringed else ""
    return plain(f"{held}Line and its {100 * confidence:g} % band.{ring}")
