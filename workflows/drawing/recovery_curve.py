"""Time to response: the share that has responded by each day or session (Kaplan and Meier)."""

from __future__ import annotations

import textwrap

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from workflows.drawing.arms import arm_legend, arm_styles, legend_height_in
from workflows.drawing.canvas import blank_figure, plain
from workflows.drawing.hover import add_spots

WIDTH_IN = 8.8
PLOT_IN = 4.0
ROW_IN = 0.2
MOST_BANDS = 3
DASHES = ("-", "--", "-.", (0, (1, 1)))
LABEL_LETTERS = 22


def recovery_curve(curves: pd.DataFrame, event: str, time_label: str) -> Figure:
    """Share with the event over time, and the number still followed below.

    Bands are intervals; with more than three arms they would hide each other and are left out.
    Open marks: people left without the event at this time.

    Parameters
    ----------
    curves : DataFrame
        Columns arm, time, at_risk (people followed just before this time), n_events,
        n_censored (left at this time without the event), share (with the event by this
        time), ci_low, ci_high. One row an arm and time, times ascending.
    event : str
        What happened, e.g. "response".
    time_label : str
        What the time is, with its unit.
    """
    known = curves[np.isfinite(curves["time"].astype(float))]
    styles = arm_styles(known["arm"])
    labels = {arm: _label(arm, known[known["arm"] == arm], event) for arm in styles}
    head = 0.2 + legend_height_in(labels, WIDTH_IN)
    below = 0.75 + ROW_IN * (len(styles) + 1)
    figure = blank_figure(WIDTH_IN, head + PLOT_IN + below)
    height = figure.get_figheight()
    axes = figure.add_axes((0.25, below / height, 0.72, PLOT_IN / height))
    end = float(known["time"].max()) if len(known) else 1.0
    for number, (arm, (colour, marker)) in enumerate(styles.items()):
        part = known[known["arm"] == arm]
        if len(styles) <= MOST_BANDS:
            _band(axes, part, colour)
        _curve(axes, part, colour, DASHES[number % len(DASHES)])
        censored = part[part["n_censored"] > 0]
        axes.plot(
            censored["time"],
            censored["share"],
            marker,
            color=colour,
            markersize=5,
            markerfacecolor="white",
            zorder=5,
        )
    axes.set_xlim(0, 1.03 * end if end > 0 else 1.0)
    axes.set_ylim(0, 1.01)
    axes.set_ylabel(plain(f"share with {event}"))
    axes.set_xlabel(plain(time_label))
    axes.spines[["top", "right"]].set_visible(False)
    arm_legend(figure, styles, labels, 0.08)
    _risk_table(axes, known, styles, end)
    return figure


def _label(arm, part, event):
    n = int(part["at_risk"].max()) if len(part) else 0
    reached = part.loc[part["share"] >= 0.5, "time"]
    median = f"median {reached.iloc[0]:g}" if len(reached) else "median not reached"
    return f"{arm or 'all'}: {part['n_events'].sum():.0f} of {n} with {event}, {median}"


def _band(axes: Axes, part: pd.DataFrame, colour: str) -> None:
    time = np.append(0.0, part["time"].to_numpy(float))
    low, high = (np.append(0.0, part[name].to_numpy(float)) for name in ("ci_low", "ci_high"))
    axes.fill_between(time, low, high, step="post", color=colour, alpha=0.13, linewidth=0)


def _curve(axes: Axes, part: pd.DataFrame, colour: str, dash) -> None:
    time = np.append(0.0, part["time"].to_numpy(float))
    share = np.append(0.0, part["share"].to_numpy(float))
    axes.step(time, share, where="post", color=colour, linewidth=2, linestyle=dash)
    told = [
        f"{row.arm or 'all'}, after {row.time:g}: {100 * row.share:.0f} % "
        f"[{100 * row.ci_low:.0f}, {100 * row.ci_high:.0f}], {row.at_risk:.0f} followed"
        for row in part.itertuples()
    ]
    add_spots(axes, time[1:], share[1:], told)


def _risk_table(axes: Axes, curves: pd.DataFrame, styles: dict, end: float) -> None:
    times = [time for time in axes.get_xticks() if 0 <= time <= end * 1.001]
    across = axes.get_xaxis_transform()
    height = axes.get_position().height * axes.figure.get_figheight()
    style = {"transform": across, "va": "center", "fontsize": 8.5, "clip_on": False}
    start = -0.68 / height
    band = "band: interval; " if len(styles) <= MOST_BANDS else ""
    words = f"still followed without the event ({band}open marks: somebody left then):"
    axes.text(0, start, words, **style, color="0.25")
    for number, (arm, (colour, _)) in enumerate(styles.items(), start=1):
        y = start - number * ROW_IN / height
        name = textwrap.shorten(str(arm) or "all", LABEL_LETTERS, placeholder="…")
        left = {**style, "transform": axes.transAxes}
        axes.text(-0.055, y, plain(name), ha="right", color="black", **left)
        axes.text(-0.04, y, "■", color=colour, ha="center", **left)
        part = curves[curves["arm"] == arm]
        for time in times:
            axes.text(time, y, f"{_followed(part, time)}", ha="center", **style)


def _followed(part: pd.DataFrame, time: float) -> int:
    """People at risk just before a time: those of the first row at or after it."""
    later = part[part["time"] >= time]
    if len(later):
        return int(later["at_risk"].iloc[0])
    if not len(part):
        return 0
    last = part.iloc[-1]
    return int(last["at_risk"] - last["n_events"] - last["n_censored"])
