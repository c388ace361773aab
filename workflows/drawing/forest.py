"""Estimates of many regions with their intervals, planned ones apart from exploratory ones."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from workflows.drawing.arms import arm_legend, arm_styles, legend_height_in
from workflows.drawing.canvas import blank_figure, plain
from workflows.drawing.hover import add_spots

WIDTH_IN = 10
ROW_IN = 0.3
SUBROW_IN = 0.17
LABEL_LETTERS = 36
HEAD_IN = 0.3
AXIS_IN = 0.75
LONGEST_INTERVAL = 4
SECTIONS = ((True, "Planned"), (False, "Exploratory"))


@dataclass(frozen=True)
class ForestText:
    """Words of a forest plot: what the estimate is with its unit, and what a filled mark means."""

    axis: str
    marked: str = "significant after correction"
    interval: str = "95 % interval"


def forest_plot(rows: pd.DataFrame, text: ForestText) -> Figure:
    """Estimates with intervals, one line a region and arm, first row on top.

    Parameters
    ----------
    rows : DataFrame
        Columns label, estimate, ci_low, ci_high, significant (bool) and, optional, planned
        (bool), arm (text) and n. A missing estimate is written as not tested. Intervals far
        longer than the others end in an arrow; their limits are in the text beside.
    text : ForestText
        Words for the axis and the legend.
    """
    table = _complete(rows)
    arms = arm_styles(table["arm"])
    places, headings, height = _places(table, len(arms))
    names = {arm: arm for arm in arms}
    head = HEAD_IN + legend_height_in(names, WIDTH_IN)
    figure = blank_figure(WIDTH_IN, head + height + AXIS_IN)
    axes = figure.subplots()
    window = _window(table)
    for place, row in zip(places, table.itertuples(), strict=True):
        _interval(axes, place, row, arms[row.arm], window)
    _beside(axes, table, places, headings)
    _labels(axes, table, places)
    axes.axvline(0, color="0.3", linewidth=1, linestyle="--", zorder=0)
    axes.set_xlim(*window)
    axes.set_ylim(-height, 0)
    axes.set_xlabel(plain(text.axis))
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(axis="y", length=0)
    words = f"filled: {text.marked}; open: not. Line: {text.interval}"
    figure.text(0.01, 1 - 0.08 / figure.get_figheight(), words, va="top", fontsize=9)
    arm_legend(figure, arms, names, HEAD_IN)
    figure.tight_layout(rect=(0, 0, 1, 1 - head / figure.get_figheight()))
    return figure


def _complete(rows):
    table = rows.reset_index(drop=True)
    for name, value in (("planned", False), ("arm", ""), ("n", np.nan)):
        if name not in table:
            table[name] = value
    return table


def _places(table, n_arms):
    """Height of each row in inches below the top, headings, and the height of all."""
    slot = ROW_IN if n_arms <= 1 else SUBROW_IN * n_arms + 0.08
    places, headings, top = np.zeros(len(table)), [], 0.0
    several = len(set(table["planned"].astype(bool))) > 1
    for planned, name in SECTIONS:
        part = table[table["planned"].astype(bool) == planned]
        if not len(part):
            continue
        if several or planned:
            headings.append((name, -(top + ROW_IN / 2)))
            top += ROW_IN
        order = list(dict.fromkeys(part["label"]))
        arms = list(dict.fromkeys(table["arm"]))
        for number, row in zip(part.index, part.itertuples(), strict=True):
            within = (slot - SUBROW_IN * len(arms)) / 2 + SUBROW_IN * (arms.index(row.arm) + 0.5)
            places[number] = -(top + slot * order.index(row.label) + within)
        top += slot * len(order)
    return places, headings, max(top, ROW_IN)


def _window(table):
    """Limits of the axis: all estimates, and intervals unless they are far longer than most."""
    known = table[np.isfinite(table["estimate"].astype(float))]
    if not len(known):
        return -1.0, 1.0
    estimate = known["estimate"].to_numpy(float)
    low, high = known["ci_low"].to_numpy(float), known["ci_high"].to_numpy(float)
    lengths = np.where(np.isfinite(high - low), (high - low) / 2, np.nan)
    there = np.isfinite(lengths)
    longest = LONGEST_INTERVAL * np.median(lengths[there]) if there.any() else 0.0
    low = np.fmax(low, estimate - longest)
    high = np.fmin(high, estimate + longest)
    ends = min(low.min(), 0.0), max(high.max(), 0.0)
    margin = 0.04 * (ends[1] - ends[0]) or 1.0
    return ends[0] - margin, ends[1] + margin


def _interval(axes: Axes, place: float, row, style: tuple[str, str], window) -> None:
    colour, marker = style
    if not np.isfinite(row.estimate):
        return
    ends = np.array([row.ci_low, row.ci_high], dtype=float)
    inside = 0.015 * (window[1] - window[0])
    limits = window[0] + inside, window[1] - inside
    shown = np.clip(np.where(np.isnan(ends), row.estimate, ends), *limits)
    axes.plot(shown, [place, place], color=colour, linewidth=1.8, solid_capstyle="butt")
    for end, at, arrow in zip(ends, shown, "<>", strict=True):
        if np.isfinite(end) and end != at or np.isinf(end):
            axes.plot(at, place, arrow, color=colour, markersize=6, clip_on=False)
    face = colour if row.significant else "white"
    size = 7 if marker in "P*X^v" else 6
    axes.plot(row.estimate, place, marker, color=colour, markerfacecolor=face, markersize=size)


def _beside(axes, table, places, headings):
    style = {"xycoords": ("axes fraction", "data"), "va": "center", "annotation_clip": False}
    words = list(_words(table))
    column = f"{max(len(word) for word in words)}" if words else "0"
    known = np.isfinite(table["estimate"].to_numpy(float))
    told = [_told(row, word) for row, word in zip(table.itertuples(), words, strict=True)]
    add_spots(axes, table["estimate"][known], places[known], np.array(told, dtype=object)[known])
    for place, word, n in zip(places, words, table["n"], strict=True):
        shown = f"{word:<{column}}" + (f"  n {n:.0f}" if np.isfinite(n) else "")
        axes.annotate(shown, (1.02, place), fontsize=7.5, family="monospace", **style)
    for name, place in headings:
        offset = {"xytext": (-4, 0), "textcoords": "offset points"}
        axes.annotate(name, (0, place), ha="right", fontweight="bold", **style, **offset)


def _told(row, word):
    label = f"{row.label}, {row.arm}" if row.arm else row.label
    n = f", n = {row.n:.0f}" if np.isfinite(row.n) else ""
    return f"{label}: {word}{n}, {'' if row.significant else 'not '}significant"


def _words(table):
    lengths = (table["ci_high"] - table["ci_low"]).to_numpy(float)
    lengths = lengths[np.isfinite(lengths) & (lengths > 0)]
    typical = np.median(lengths) / 2 if len(lengths) else 1.0
    digits = int(np.clip(1 - np.floor(np.log10(typical)), 0, 6))
    for row in table.itertuples():
        if not np.isfinite(row.estimate):
            yield "not tested"
            continue
        limits = f"[{row.ci_low:.{digits}f}, {row.ci_high:.{digits}f}]"
        yield f"{row.estimate:+.{digits}f} {limits}".replace("-", "\N{MINUS SIGN}")


def _labels(axes, table, places):
    middle = pd.Series(places).groupby([table["planned"], table["label"]], sort=False).mean()
    names = [_wrapped(str(label)) for _, label in middle.index]
    axes.set_yticks(middle.to_numpy(), [plain(name) for name in names])
    for tick, name in zip(axes.get_yticklabels(), names, strict=True):
        tick.set_fontsize(7.5 if "\n" in name else 9)
        tick.set_linespacing(1.05)


def _wrapped(label):
    """At most two lines, broken at spaces and underscores."""
    lines = textwrap.wrap(label.replace("_", "_ "), LABEL_LETTERS, max_lines=2, placeholder="…")
    return "\n".join(line.replace("_ ", "_") for line in lines)
