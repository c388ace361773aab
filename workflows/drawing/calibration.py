"""Predicted against observed outcomes: bins, a smooth line, and the ideal one."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from workflows.drawing.canvas import BLUE, GREY, ORANGE, VERMILION, blank_figure, plain

PANEL_IN = 3.6
WIDTH_IN = 10
SMOOTH_SHARE = 0.75
SMOOTH_LEAST = 20
N_GRID = 80
N_BARS = 20


@dataclass(frozen=True)
class CalibrationText:
    """Words of the picture: what is predicted (with its unit), and how it was made."""

    outcome: str
    foot: str = "Each person predicted by models that had not seen them."


def calibration_plot(
    target: np.ndarray,
    predicted: Mapping[str, np.ndarray],
    curve: pd.DataFrame,
    binary: bool,
    text: CalibrationText,
) -> Figure:
    """One panel a model, with a histogram of its predictions underneath.

    Parameters
    ----------
    target : np.ndarray, shape (n_people,)
        Observed outcome; 0 or 1 if `binary`.
    predicted : mapping of model to np.ndarray, shape (n_people,)
        Predictions out of the fold; people with NaN are left out.
    curve : DataFrame
        Columns model, n, predicted, observed, ci_low, ci_high; one row a bin.
    binary : bool
        Whether predictions are probabilities.
    text : CalibrationText
    """
    n_models = len(predicted)
    figure = blank_figure(max(4.6, min(0.6 + PANEL_IN * n_models, WIDTH_IN)), 5.6)
    panels = figure.subplots(2, n_models, height_ratios=(4, 1), squeeze=False, sharex="col")
    known = {
        model: np.isfinite(values) & np.isfinite(target) for model, values in predicted.items()
    }
    limits = _limits(target, predicted, binary)
    for (top, low), (model, values) in zip(panels.T, predicted.items(), strict=True):
        there = known[model]
        _panel(top, values[there], target[there], curve[curve["model"] == model], binary)
        _histogram(low, values[there], target[there], binary, limits)
        name = "\n".join(textwrap.wrap(str(model), 28))
        top.set_title(f"{plain(name)} (n = {there.sum()})", fontsize=10, loc="left")
        top.set_xlim(*limits)
        top.set_ylim(*limits)
        low.set_xlabel("predicted probability" if binary else "predicted")
    what = f"observed share: {text.outcome}" if binary else f"observed: {text.outcome}"
    panels[0, 0].set_ylabel(plain("\n".join(textwrap.wrap(what, 44))))
    panels[1, 0].set_ylabel("people")
    foot = "Diagonal: perfect. Squares: bins with intervals. Line: smoothed."
    bars = " Bars up: with the outcome; down: without." if binary else ""
    figure.text(
        0.012,
        0.012,
        plain(
            "\n".join(textwrap.wrap(f"{foot}{bars} {text.foot}", int(figure.get_figwidth() * 15)))
        ),
        fontsize=8,
        color="0.25",
        va="bottom",
    )
    figure.tight_layout(rect=(0, 0.07, 1, 1))
    return figure


def local_line(x: np.ndarray, y: np.ndarray, grid: np.ndarray, share: float) -> np.ndarray:
    """Smooth of y over x at the points of a grid: weighted lines (Cleveland 1979, not robust).

    Parameters
    ----------
    x, y : np.ndarray, shape (n,)
    grid : np.ndarray, shape (n_grid,)
    share : float
        Part of the points that each line uses, 0..1; at least three.

    Returns
    -------
    np.ndarray, shape (n_grid,)
    """
    n_used = int(np.clip(np.ceil(share * len(x)), 3, len(x)))
    distance = np.abs(grid[:, None] - x)
    reach = np.partition(distance, n_used - 1, axis=1)[:, [n_used - 1]]
    reach = np.maximum(reach, 1e-12 + 1e-9 * np.ptp(x))
    weight = np.clip(1 - (distance / reach) ** 3, 0, None) ** 3
    total = np.maximum(weight.sum(axis=1), 1e-12)
    centre, level = (weight @ x) / total, (weight @ y) / total
    offset = x - centre[:, None]
    spread = (weight * offset**2).sum(axis=1)
    slope = (weight * offset * y).sum(axis=1) / np.where(spread > 0, spread, np.inf)
    return level + slope * (grid - centre)


def _limits(target, predicted, binary):
    if binary:
        return -0.03, 1.03
    values = np.concatenate([target, *predicted.values()])
    values = values[np.isfinite(values)]
    if not len(values):
        return 0.0, 1.0
    margin = 0.05 * np.ptp(values) or 1.0
    return values.min() - margin, values.max() + margin


def _panel(axes: Axes, values: np.ndarray, target: np.ndarray, curve: pd.DataFrame, binary: bool):
    axes.axline((0, 0), slope=1, color="0.55", linestyle="--", linewidth=1.2, zorder=1)
    if not binary:
        axes.scatter(values, target, s=14, c=GREY, alpha=0.45, linewidths=0, zorder=2)
    if len(values) >= SMOOTH_LEAST and len(np.unique(values)) > 4:
        grid = np.linspace(values.min(), values.max(), N_GRID)
        smooth = local_line(values, target, grid, SMOOTH_SHARE)
        axes.plot(grid, np.clip(smooth, 0, 1) if binary else smooth, color=VERMILION, linewidth=2)
    x, y = curve["predicted"].to_numpy(float), curve["observed"].to_numpy(float)
    axes.vlines(x, curve["ci_low"], curve["ci_high"], color=BLUE, linewidth=1.6, zorder=4)
    axes.plot(x, y, "s", color=BLUE, markersize=6, zorder=5)
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelbottom=False)


def _histogram(axes: Axes, values, target, binary, limits):
    edges = np.linspace(*((0, 1) if binary else limits), N_BARS + 1)
    groups = ((target == 1, BLUE, 1), (target == 0, ORANGE, -1)) if binary else ()
    for member, colour, side in groups or ((np.ones(len(values), bool), GREY, 1),):
        counts, _ = np.histogram(values[member], edges)
        axes.bar(edges[:-1], side * counts, np.diff(edges), align="edge", color=colour)
    axes.axhline(0, color="0.3", linewidth=0.8)
    axes.yaxis.set_major_locator(MaxNLocator(3, integer=True))
    axes.yaxis.set_major_formatter(lambda value, _: f"{abs(value):.0f}")
    axes.spines[["top", "right", "bottom"]].set_visible(False)
