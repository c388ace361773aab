"""Quality measures of all scans of a cohort, one row a measure, so that outliers are seen."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from workflows.drawing.arms import STYLES, arm_legend, arm_styles, legend_height_in
from workflows.drawing.canvas import GREY, blank_figure, plain
from workflows.drawing.hover import add_spots

WIDTH_IN = 9.0
NAMES_IN = 1.9
ROW_IN = 0.27
FOOT_IN = 0.75
FURTHEST_Z = 12.0
SPREAD = 0.5
MOST_NAMES_A_ROW = 2
MOST_TOLD = 4000
LETTER_Z = 0.2
"""Width of a letter of a name, in robust z."""


def quality_strip(scores: pd.DataFrame) -> Figure:
    """Robust z of each measure and scan; to the right is worse, beyond the lines is unusual.

    Each dot tells whose it is, in large cohorts only those that stand out.

    Scans of one session share a colour and a height within the row. Those that stand out are
    ringed and named, the other sessions of the same person are joined to them by a line.

    Parameters
    ----------
    scores : DataFrame
        row (name of the measure), participant_id, session_id, z (positive is worse; both signs
        are unusual where `both` is true), both, limit (robust z of the lines), stands_out and,
        optional, value and link (the page of the person). Sessions in the order of time.
    """
    drawn = scores[scores["z"].notna()]
    drawn = drawn.assign(told=drawn["stands_out"] | (len(drawn) <= MOST_TOLD))
    names = list(dict.fromkeys(drawn["row"]))
    if not names:
        raise ValueError("scores: no measure has a robust z")
    sessions = list(dict.fromkeys(scores["session_id"]))
    styles = _session_styles(sessions)
    labels = {session: f"ses-{session}" for session in styles if session}
    head = 0.1 + legend_height_in(labels, WIDTH_IN)
    height = head + ROW_IN * len(names) + FOOT_IN
    figure = blank_figure(WIDTH_IN, height)
    low, tall = FOOT_IN / height, ROW_IN * len(names) / height
    axes = figure.add_axes((NAMES_IN / WIDTH_IN, low, 0.97 - NAMES_IN / WIDTH_IN, tall))
    offsets = _offsets(sessions)
    for place, name in enumerate(names):
        rows = drawn[drawn["row"] == name]
        rows = rows.assign(
            x=rows["z"].clip(-FURTHEST_Z, FURTHEST_Z),
            y=place + rows["session_id"].map(offsets),
        )
        _row(axes, rows, styles)
    _frame(axes, names)
    if labels:
        arm_legend(figure, styles, labels, 0.05)
    return figure


def _session_styles(sessions):
    """Colour and marker per session; one grey for all where there are too many to tell."""
    if len(sessions) > len(STYLES):
        return {"": (GREY, "o")}
    return arm_styles(sessions)


def _offsets(sessions):
    """Height of each session within a row, the earliest on top."""
    heights = np.linspace(-SPREAD / 2, SPREAD / 2, len(sessions)) if len(sessions) > 1 else [0.0]
    return dict(zip(sessions, heights, strict=True))


def _row(axes, rows, styles):
    """Dots of one measure; lines and names for those that stand out."""
    beyond = rows[rows["stands_out"]]
    both = bool(rows["both"].iloc[0])
    limit = float(rows["limit"].iloc[0])
    edges = [edge for edge in ((-limit, limit) if both else (limit,)) if limit <= FURTHEST_Z]
    place = round(rows["y"].mean())
    axes.vlines(edges, place - 0.42, place + 0.42, color="0.2", linewidth=1.2, zorder=1)
    for person in dict.fromkeys(beyond["participant_id"]):
        own = rows[rows["participant_id"] == person]
        axes.plot(own["x"], own["y"], color="0.45", linewidth=0.9, zorder=2)
    for session, part in rows.groupby("session_id", sort=False):
        colour, marker = styles.get(session, styles.get("", (GREY, "o")))
        style = {"s": 16, "color": colour, "marker": marker, "alpha": 0.75, "linewidths": 0}
        axes.scatter(part["x"], part["y"], zorder=3, **style)
        named = part[part["told"]]
        told = [_told(row) for row in named.itertuples()]
        add_spots(axes, named["x"], named["y"], told, named.get("link", ()))
    ring = {"s": 62, "facecolors": "none", "edgecolors": "black", "linewidths": 1.2}
    axes.scatter(beyond["x"], beyond["y"], zorder=4, **ring)
    _named(axes, beyond, place)


def _told(row):
    value = f" {row.value:.3g}" if hasattr(row, "value") else ""
    stands_out = ", stands out" if row.stands_out else ""
    who = f"{row.participant_id} ses-{row.session_id}"
    return f"{who}: {row.row}{value}, robust z {row.z:.1f}{stands_out}"


def _named(axes, beyond, place):
    """Names of those that stand out on each side, further out than they are if it fits."""
    for is_right, rows in beyond.groupby(beyond["x"] > 0):
        furthest = rows.reindex(rows["z"].abs().sort_values(ascending=False).index)
        people = list(dict.fromkeys(furthest["participant_id"]))
        more = len(people) - MOST_NAMES_A_ROW
        words = ", ".join(people[:MOST_NAMES_A_ROW]) + (f" and {more} more" if more > 0 else "")
        fits = rows["x"].abs().max() + len(words) * LETTER_Z < FURTHEST_Z
        to_right = is_right == fits
        x = rows["x"].max() if to_right else rows["x"].min()
        axes.annotate(
            plain(words),
            (x, place),
            (8 if to_right else -8, 0),
            textcoords="offset points",
            ha="left" if to_right else "right",
            va="center",
            fontsize=7.5,
            bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.8},
            zorder=5,
        )


def _frame(axes, names):
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.set_xlim(-FURTHEST_Z - 0.4, FURTHEST_Z + 0.4)
    axes.set_yticks(range(len(names)), [plain(name) for name in names], fontsize=8.5)
    axes.tick_params(axis="y", length=0)
    axes.axvline(0, color="0.7", linewidth=0.8, zorder=0)
    for edge in np.arange(0.5, len(names) - 1):
        axes.axhline(edge, color="0.9", linewidth=0.8, zorder=0)
    axes.set_xlabel(
        "robust z in the cohort: to the right is worse; unusual beyond the line "
        f"(all beyond {FURTHEST_Z:g} are drawn there)",
        fontsize=8.5,
    )
    axes.spines[["top", "right", "left"]].set_visible(False)
