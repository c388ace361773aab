"""Results of a cohort: intervals by region, and brain change against symptom change."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from workflows.drawing.canvas import BLUE, GREEN, GREY, PURPLE, VERMILION, blank_figure, plain

ARM_STYLES = ((BLUE, "o"), (VERMILION, "s"), (GREEN, "^"), (PURPLE, "D"), (GREY, "v"))


def interval_plot(rows: pd.DataFrame, axis_label: str, marked_label: str) -> Figure:
    """Estimates with intervals, first row on top; significant rows are filled.

    Parameters
    ----------
    rows : DataFrame
        Columns label, estimate, ci_low, ci_high, significant (bool).
    axis_label : str
        What the estimate is, with its unit.
    marked_label : str
        What a filled dot means.
    """
    figure = blank_figure(9.5, 1.3 + 0.27 * len(rows))
    axes = figure.subplots()
    heights = np.arange(len(rows))[::-1]
    for height, row in zip(heights, rows.itertuples(), strict=True):
        colour = VERMILION if row.significant else BLUE
        face = colour if row.significant else "white"
        axes.plot([row.ci_low, row.ci_high], [height, height], color=colour, linewidth=1.8)
        axes.plot(row.estimate, height, "o", color=colour, markerfacecolor=face, markersize=6)
    axes.axvline(0, color="0.3", linewidth=1, linestyle="--", zorder=0)
    axes.set_yticks(heights, [plain(label) for label in rows["label"]], fontsize=9)
    axes.set_ylim(-0.7, len(rows) - 0.3)
    axes.set_xlabel(plain(axis_label))
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(axis="y", length=0)
    axes.set_title(f"filled: {marked_label}; open: not", loc="left", fontsize=9)
    figure.tight_layout()
    return figure


def change_scatter(points: pd.DataFrame, x_label: str, y_label: str, title: str) -> Figure:
    """Dots of two changes by arm, with lines at no change.

    Parameters
    ----------
    points : DataFrame
        Columns x, y, arm; rows with a missing value are left out.
    x_label, y_label, title : str
        Text of the axes (with units) and of the picture.
    """
    figure = blank_figure(5.4, 4.6)
    axes = figure.subplots()
    axes.axhline(0, color="0.8", linewidth=1, zorder=0)
    axes.axvline(0, color="0.8", linewidth=1, zorder=0)
    whole = points.dropna(subset=["x", "y"])
    arms = list(dict.fromkeys(whole["arm"]))
    for number, arm in enumerate(arms):
        colour, marker = ARM_STYLES[number % len(ARM_STYLES)]
        part = whole[whole["arm"] == arm]
        label = f"{plain(arm)} (n = {len(part)})"
        axes.scatter(part["x"], part["y"], c=colour, marker=marker, s=34, alpha=0.85, label=label)
    axes.set_xlabel(plain(x_label))
    axes.set_ylabel(plain(y_label))
    axes.set_title(plain(title), fontsize=10, loc="left")
    axes.spines[["top", "right"]].set_visible(False)
    if arms:
        axes.legend(frameon=False, fontsize=8)
    figure.tight_layout()
    return figure
