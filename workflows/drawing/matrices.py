"""Connections: a matrix of regions by regions, and the strongest ones on a brain."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from workflows.drawing.canvas import blank_figure, plain
from workflows.drawing.hover import add_grid, add_spots

MANY_NAMES = 120
VIEWS = (("from the right", 1, 2), ("from behind", 0, 2), ("from above", 0, 1))


def region_matrix(
    values: np.ndarray,
    names: list[str],
    unit: str,
    groups: list[str] | None = None,
    title: str = "",
) -> Figure:
    """Square matrix with region names; NaN is drawn grey, zero is white.

    Parameters
    ----------
    values : array (n_regions, n_regions)
    names : list of str
        Regions in the order of rows and columns.
    unit : str
        Label of the colour bar.
    groups : list of str, optional
        Group of each region, equal ones side by side: lines part them, and their names stand
        above. A group of one region is not named.
    title : str
        Written above.
    """
    if values.shape != (len(names), len(names)):
        raise ValueError(f"names: {len(names)} names do not fit a matrix of {values.shape}")
    figure = blank_figure(9.5, 8.6)
    axes = figure.subplots()
    finite = np.abs(values[np.isfinite(values)])
    limit = float(np.percentile(finite, 99)) if finite.size else 1.0
    axes.set_facecolor("0.75")
    shown = axes.imshow(
        np.ma.masked_invalid(values),
        cmap="PuOr_r",
        vmin=-(limit or 1.0),
        vmax=limit or 1.0,
        interpolation="nearest",
    )
    add_grid(axes, values, names, unit)
    _name_regions(axes, names)
    if groups:
        _part_groups(axes, groups)
    bar = figure.colorbar(shown, ax=axes, shrink=0.6, pad=0.02, extend="both")
    bar.set_label(plain(unit))
    figure.text(0.99, 0.01, "grey = no value", ha="right", fontsize=8)
    figure.text(0.012, 0.985, plain(title), fontsize=10, va="top")
    figure.tight_layout(rect=(0, 0.012, 1, 0.945 if title else 1))
    return figure


def _name_regions(axes, names: list[str]) -> None:
    if len(names) > MANY_NAMES:
        axes.set_xlabel("region number")
        axes.set_ylabel("region number")
        return
    size = float(np.clip(330 / max(len(names), 1), 3.6, 9))
    shown_names = [plain(name) for name in names]
    axes.set_xticks(range(len(names)), shown_names, rotation=90, fontsize=size)
    axes.set_yticks(range(len(names)), shown_names, fontsize=size)
    axes.tick_params(length=0, pad=1)


def _part_groups(axes, groups: list[str]) -> None:
    starts = [
        place for place in range(len(groups)) if place == 0 or groups[place - 1] != groups[place]
    ]
    for start, end in zip(starts, [*starts[1:], len(groups)], strict=True):
        if start:
            axes.axhline(start - 0.5, color="black", linewidth=0.8)
            axes.axvline(start - 0.5, color="black", linewidth=0.8)
        if end - start > 1:
            middle, style = (start + end - 1) / 2, {"fontsize": 8, "rotation": 40, "ha": "left"}
            axes.annotate(
                plain(groups[start]), (middle, -0.5), (0, 3), textcoords="offset points", **style
            )


def connections_on_brain(
    edges: list[tuple[int, int, float]],
    places_mm: np.ndarray,
    brain: tuple[np.ndarray, np.ndarray],
    unit: str,
    names: Sequence[str] = (),
) -> Figure:
    """Lines between regions in three views through a transparent brain.

    Parameters
    ----------
    edges : list of (row, row, value)
        Rows of `places_mm` that are joined, and the value that colours the line.
    places_mm : array (n_regions, 3)
        Centres in RAS mm.
    brain : (mask, affine)
        Brain mask in RAS+ order and its affine, for the silhouette.
    unit : str
        Label of the colour bar.
    names : sequence of str, optional
        Of the regions, told where the reader points at a line.
    """
    figure = blank_figure(11, 3.9)
    panels = figure.subplots(1, 3)
    figure.subplots_adjust(0.01, 0.07, 0.9, 0.9, wspace=0.05)
    limit = max((abs(value) for *_, value in edges), default=1.0) or 1.0
    colours = ScalarMappable(Normalize(-limit, limit), "PuOr_r")
    for axes, (title, across, up) in zip(panels, VIEWS, strict=True):
        _silhouette(axes, brain, across, up)
        for first, second, value in edges:
            ends = places_mm[[first, second]]
            style = {"color": colours.to_rgba(value), "linewidth": 1 + 2.5 * abs(value) / limit}
            axes.plot(ends[:, across], ends[:, up], "-", solid_capstyle="round", **style)
            axes.plot(ends[:, across], ends[:, up], "o", color="0.2", markersize=4)
            if names:
                middle = ends.mean(axis=0)
                told = f"{names[first]} – {names[second]}: {value:+.3g}, {unit}"
                add_spots(axes, [middle[across]], [middle[up]], [told])
        axes.set_title(title, fontsize=10)
        axes.set_aspect("equal")
        axes.set_axis_off()
        for letter, x in zip("PA" if across == 1 else "LR", (0.02, 0.98), strict=True):
            axes.text(x, 0.5, letter, transform=axes.transAxes, ha="center", fontsize=10)
    figure.colorbar(colours, cax=figure.add_axes((0.92, 0.15, 0.013, 0.7)), label=plain(unit))
    return figure


def _silhouette(axes, brain: tuple[np.ndarray, np.ndarray], across: int, up: int) -> None:
    mask, affine = brain
    hidden = ({0, 1, 2} - {across, up}).pop()
    flat = mask.any(axis=hidden).T.astype(float)
    x = affine[across, across] * np.arange(mask.shape[across]) + affine[across, 3]
    y = affine[up, up] * np.arange(mask.shape[up]) + affine[up, 3]
    axes.contourf(x, y, flat, levels=[0.5, 1.5], colors=["0.93"])
    axes.contour(x, y, flat, levels=[0.5], colors=["0.4"], linewidths=1)
