"""Model of a task run: its design matrix with what is compared, and maps of the contrasts."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from workflows.drawing.canvas import (
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    PURPLE,
    SKY,
    VERMILION,
    blank_figure,
    plain,
)
from workflows.drawing.slices import (
    CONVENTION,
    FEW_GREYS,
    INK,
    MORE_OR_LESS,
    Overlay,
    Volume,
    cut_indices,
    plane_of,
)

LINE_COLOURS = (BLUE, VERMILION, GREEN, ORANGE, SKY, PURPLE, GREY)
N_CUTS = 9
FAINT_Z = (1.65, 3.1)
LEAST_LIMIT_Z = 4.0
ROW_IN = 1.55


def design_picture(design: pd.DataFrame, content: dict) -> Figure:
    """Responses over time, all columns of the design, weights of contrasts, and correlations.

    Parameters
    ----------
    design : DataFrame, (n_volumes, n_columns)
        Conditions among its columns.
    content : dict
        Of its JSON: SamplingFrequency, StartTime, Conditions, Contrasts, VarianceInflation.
    """
    conditions = list(content["Conditions"])
    contrasts = content["Contrasts"]
    figure = blank_figure(12, 7.6)
    grid = figure.add_gridspec(2, 2, width_ratios=(1.9, 1), height_ratios=(1, 1.5))
    seconds = content["StartTime"] + np.arange(len(design)) / content["SamplingFrequency"]
    over_time = figure.add_subplot(grid[0, 0])
    _responses(over_time, seconds, design[conditions])
    matrix = figure.add_subplot(grid[1, 0], sharex=over_time)
    _columns(matrix, seconds, design, conditions)
    names = list(dict.fromkeys([*conditions, *_weighted(contrasts)]))
    _weights(figure.add_subplot(grid[0, 1]), contrasts, names)
    if conditions:
        _correlations(figure.add_subplot(grid[1, 1]), design[conditions], content)
    figure.tight_layout()
    return figure


def contrast_slices(volume: Volume, maps: dict[str, np.ndarray], focus: np.ndarray) -> Figure:
    """A row of axial slices for each contrast: orange is more, purple is less than zero.

    Parameters
    ----------
    volume : Volume
        BOLD reference.
    maps : dict of str to array, shape of the volume
        z of each contrast; NaN where nothing is known.
    focus : array, shape of the volume
        Brain; the slices are cropped to it.
    """
    height = ROW_IN * len(maps) + 0.75
    figure = blank_figure(12, height, background="black")
    known = np.abs(np.concatenate([values[np.isfinite(values)] for values in maps.values()]))
    limit = max(LEAST_LIMIT_Z, float(np.percentile(known, 99.9)) if known.size else 0.0)
    axes = figure.subplots(len(maps), N_CUTS, squeeze=False)
    figure.subplots_adjust(0.005, 0.3 / height, 0.925, 1 - 0.3 / height, 0.02, 0.22)
    for row, (name, values) in zip(axes, maps.items(), strict=True):
        overlay = Overlay(values, (-limit, limit), "z", faint=FAINT_Z)
        shown = np.isfinite(values).any()
        title = plain(name) if shown else f"{plain(name)}: not estimated in this run"
        row[0].set_title(title, color=INK, fontsize=10, loc="left", pad=3)
        for panel, index in zip(row, cut_indices(focus, 2, N_CUTS), strict=True):
            _axial(panel, volume, overlay, (focus, index))
        for letter, x, align in (("L", 0.02, "left"), ("R", 0.98, "right")):
            row[0].text(x, 0.5, letter, color=INK, ha=align, transform=row[0].transAxes)
    scale = figure.add_axes((0.94, 0.2, 0.012, 0.6))
    bar = figure.colorbar(ScalarMappable(Normalize(-limit, limit), MORE_OR_LESS), cax=scale)
    bar.set_label("z (voxels, not smoothed)", color=INK, fontsize=9)
    bar.ax.tick_params(colors=INK, labelsize=8)
    figure.text(0.005, 0.06 / height, CONVENTION, color=INK, fontsize=9)
    return figure


def _responses(axes: Axes, seconds: np.ndarray, columns: pd.DataFrame) -> None:
    """One line a condition, the first on top, each scaled to its own largest value."""
    names = list(columns)
    for place, name in enumerate(names):
        values = columns[name].to_numpy(dtype=float)
        base = len(names) - 1 - place
        line = base + 0.9 * values / (np.abs(values).max() or 1.0)
        axes.plot(seconds, line, color=LINE_COLOURS[place % len(LINE_COLOURS)], linewidth=1.4)
        axes.axhline(base, color="0.85", linewidth=0.8, zorder=0)
    axes.set_yticks(range(len(names) - 1, -1, -1), [plain(name) for name in names])
    axes.set_title("Expected response to each condition", fontsize=10, loc="left")
    axes.spines[["top", "right"]].set_visible(False)


def _columns(axes: Axes, seconds: np.ndarray, design: pd.DataFrame, conditions: list[str]) -> None:
    values = design.to_numpy(dtype=float).T
    largest = np.abs(values).max(axis=1, keepdims=True)
    step = seconds[1] - seconds[0]
    axes.imshow(
        values / np.where(largest > 0, largest, 1.0),
        cmap="gray",
        vmin=-1,
        vmax=1,
        aspect="auto",
        interpolation="nearest",
        extent=(seconds[0] - step / 2, seconds[-1] + step / 2, len(values) - 0.5, -0.5),
    )
    groups = [_group(name, conditions) for name in design.columns]
    kinds = list(dict.fromkeys(groups))
    places = [np.flatnonzero([group == kind for group in groups]) for kind in kinds]
    counted = [f"{plain(kind)} ({len(own)})" for kind, own in zip(kinds, places, strict=True)]
    axes.set_yticks([own.mean() for own in places], counted, fontsize=8)
    for own in places[1:]:
        axes.axhline(own[0] - 0.5, color=VERMILION, linewidth=0.9)
    axes.set_title("All columns of the design, each by its largest value", fontsize=10, loc="left")
    axes.set_xlabel("time (s)")


def _group(name: str, conditions: list[str]) -> str:
    if name.removesuffix("_derivative") in conditions:
        return "conditions"
    kinds = (("drift_", "drift"), ("constant", "constant"), ("censored", "censored volumes"))
    return next((kind for start, kind in kinds if name.startswith(start)), "confounds")


def _weighted(contrasts: dict) -> list[str]:
    return [name for facts in contrasts.values() for name in facts["Weights"]]


def _weights(axes: Axes, contrasts: dict, conditions: list[str]) -> None:
    table = np.array(
        [[facts["Weights"].get(c, 0.0) for c in conditions] for facts in contrasts.values()]
    )
    limit = np.abs(table).max() or 1.0
    _numbers(axes, table, limit)
    axes.set_xticks(range(len(conditions)), [plain(c) for c in conditions], rotation=40, ha="right")
    names = [
        plain(name) + (" (not estimated)" if facts["Problem"] else "")
        for name, facts in contrasts.items()
    ]
    axes.set_yticks(range(len(names)), names)
    axes.set_title("Weights of the contrasts", fontsize=10, loc="left")


def _correlations(axes: Axes, columns: pd.DataFrame, content: dict) -> None:
    _numbers(axes, np.atleast_2d(np.corrcoef(columns.to_numpy(dtype=float).T)), 1.0)
    inflation = content["VarianceInflation"]
    names = [f"{plain(name)}, {_size(inflation[name])}" for name in columns]
    axes.set_yticks(range(len(names)), names)
    short = [plain(name) for name in columns]
    axes.set_xticks(range(len(names)), short, rotation=40, ha="right")
    title = "Correlation; after the name: variance inflation"
    axes.set_title(title, fontsize=10, loc="left")


def _size(inflation: float | None) -> str:
    return "not separable" if inflation is None else f"{inflation:.1f}"


def _numbers(axes: Axes, table: np.ndarray, limit: float) -> None:
    axes.imshow(table, cmap="PuOr_r", vmin=-1.6 * limit, vmax=1.6 * limit, aspect="auto")
    size = float(np.clip(60 / max(table.shape), 5, 9))
    for (row, column), value in np.ndenumerate(table):
        if value:
            axes.text(column, row, f"{value:.2g}", ha="center", va="center", fontsize=size)
    axes.tick_params(length=0, labelsize=8)


def _axial(axes: Axes, volume: Volume, overlay: Overlay, where: tuple[np.ndarray, int]) -> None:
    focus, index = where
    size = volume.voxel_size_mm
    inside = np.argwhere(focus.any(axis=2))
    (x_low, y_low), (x_high, y_high) = inside.min(axis=0) - 1, inside.max(axis=0) + 2
    extent = (0.0, volume.data.shape[0] * size[0], 0.0, volume.data.shape[1] * size[1])
    style = {"origin": "lower", "extent": extent, "interpolation": "nearest"}
    grey = Normalize(0, 1.5 * float(np.percentile(volume.data[focus], 99)), clip=True)
    axes.imshow(plane_of(volume.data, "axial", index), cmap=FEW_GREYS, norm=grey, **style)
    axes.imshow(
        plane_of(np.nan_to_num(overlay.values), "axial", index),
        cmap=overlay.colours,
        norm=Normalize(*overlay.limits),
        alpha=plane_of(overlay.opacity, "axial", index),
        **style,
    )
    axes.set_axis_off()
    axes.set_xlim(x_low * size[0], x_high * size[0])
    axes.set_ylim(y_low * size[1], y_high * size[1])
    height_mm = volume.affine[2, 2] * index + volume.affine[2, 3]
    axes.text(
        0.98,
        0.01,
        f"z = {height_mm:.0f} mm",
        color=INK,
        fontsize=7,
        ha="right",
        transform=axes.transAxes,
    )
