"""Mediation as boxes and arrows: treatment, mediators, outcome, each path with its interval."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch

from workflows.drawing.canvas import BLUE, VERMILION, blank_figure, plain

WIDTH_IN = 10
BOX_IN = (1.9, 0.62)
BOX_LETTERS = 21
STEP_IN = 1.15
LANE_IN = 0.36
LINE_IN = 0.2
FEW_IN_CHAIN = 2
ASSOCIATION_BANNER = "ASSOCIATION, NOT A MECHANISM"
MECHANISM_FOOT = (
    "The order of the measurements allows a mechanism; unmeasured causes of mediator and "
    "outcome are still assumed away."
)
NUMBERS = ("estimate", "ci_low", "ci_high")


@dataclass(frozen=True)
class MediationText:
    """Words of the diagram: the ends of the paths and the title."""

    treatment: str
    outcome: str
    title: str = ""


@dataclass(frozen=True)
class _Path:
    """An arrow between two boxes; `at` is where along it the label stands, 0..1.

    `beside`: it meets the mediator at its side, not below. `lane` above 0: it runs above the
    boxes, higher lanes further up.
    """

    start: str
    end: str
    row: pd.Series
    at: float
    beside: bool = False
    lane: int = 0


def mediation_diagram(rows: pd.DataFrame, contrast: str, text: MediationText) -> Figure:
    """Paths of one treatment contrast; parallel mediators, or a chain where a path d exists.

    Parameters
    ----------
    rows : DataFrame
        Columns path (a, b, d, direct, total, indirect...), term (contrast; empty for paths
        that do not start at the treatment), mediator ("first -> second" for d), estimate,
        ci_low, ci_high, label ("mechanism" or anything else) and reason.
    contrast : str
        Which of the treatment's contrasts is drawn.
    text : MediationText
    """
    own = rows[rows["term"].isin(["", contrast])].reset_index(drop=True)
    mediators = list(own.loc[own["path"] == "a", "mediator"])
    if not mediators:
        raise ValueError(f"contrast: no path a of '{contrast}'")
    chain = bool((own["path"] == "d").any())
    places, height = (_chain_places if chain else _parallel_places)(mediators)
    paths = _chain_paths(own, mediators) if chain else _parallel_paths(own, mediators)
    numbered = chain and len(mediators) > FEW_IN_CHAIN
    banner, below = _banner(own), _below(own, paths if numbered else [], text)
    head = 0.15 + 0.25 * bool(text.title) + LINE_IN * (len(banner) + bool(banner))
    figure = blank_figure(WIDTH_IN, head + height + LINE_IN * (len(below) + 1))
    axes = figure.add_axes((0, 0, 1, 1))
    total = figure.get_figheight()
    axes.set_xlim(0, WIDTH_IN)
    axes.set_ylim(height - total + head, height + head)
    axes.set_axis_off()
    for number, path in enumerate(paths, start=1):
        _arrow(axes, path, places, str(number) if numbered else "")
    names = {"": text.treatment, " ": text.outcome} | {name: name for name in mediators}
    for key, place in places.items():
        _box(axes, place, names[key], key in mediators)
    _write(axes, text.title, banner, below, height + head)
    return figure


def _parallel_places(mediators):
    places = {"": (1.25, 0.6), " ": (WIDTH_IN - 1.25, 0.6)}
    top = 0.6 + STEP_IN * len(mediators)
    for number, name in enumerate(mediators):
        places[name] = (WIDTH_IN / 2, top - STEP_IN * number + 0.25)
    return places, top + 0.75


def _chain_places(mediators):
    many = len(mediators) > FEW_IN_CHAIN
    places = {"": (1.25, 0.6), " ": (WIDTH_IN - 1.25, 0.6)}
    ends = (1.25, WIDTH_IN - 1.25) if many else (3.0, WIDTH_IN - 3.0)
    top = 3.1 if many else 2.9
    for name, x in zip(mediators, np.linspace(*ends, len(mediators)), strict=True):
        places[name] = (x, top)
    n_lanes = (len(mediators) - 1) * (len(mediators) - 2) // 2
    return places, top + BOX_IN[1] / 2 + 0.3 + LANE_IN * n_lanes


def _parallel_paths(rows, mediators):
    paths, spot = [], 0.6 if len(mediators) < 3 else 0.78
    for name in mediators:
        paths.append(_Path("", name, _row(rows, "a", name), spot, beside=True))
        paths.append(_Path(name, " ", _row(rows, "b", name), 1 - spot, beside=True))
    return [*paths, _Path("", " ", _row(rows, "direct", ""), 0.5)]


def _chain_paths(rows, mediators):
    last = len(mediators) - 1
    spots = (0.5, 0.3) if last == 1 else (0.74, 0.74)
    paths = [
        _Path("", name, _row(rows, "a", name), spots[min(number, 1)])
        for number, name in enumerate(mediators)
    ]
    pairs = sorted(combinations(range(last + 1), 2), key=lambda pair: pair[1] - pair[0])
    for number, (first, second) in enumerate(pairs):
        ends = mediators[first], mediators[second]
        row = _row(rows, "d", " -> ".join(ends))
        paths.append(_Path(*ends, row, 0.5, lane=max(0, number + 1 - last)))
    for number, name in enumerate(mediators):
        spot = 1 - spots[0 if number == last else 1] if last == 1 else 0.09
        paths.append(_Path(name, " ", _row(rows, "b", name), spot))
    return [*paths, _Path("", " ", _row(rows, "direct", ""), 0.5)]


def _row(rows, path, mediator):
    found = rows[(rows["path"] == path) & (rows["mediator"] == mediator)]
    if not len(found):
        return pd.Series(np.nan, index=list(NUMBERS))
    return found.iloc[0]


def _box(axes: Axes, place, name: str, is_mediator: bool) -> None:
    width, height = BOX_IN
    corner = place[0] - width / 2, place[1] - height / 2
    face = "#FFF4DC" if is_mediator else "#EAF3FA"
    style = {"boxstyle": "round,pad=0,rounding_size=0.06", "edgecolor": "0.25", "zorder": 4}
    axes.add_patch(FancyBboxPatch(corner, width, height, facecolor=face, linewidth=1.2, **style))
    spaced = name.replace("_", "_ ")
    lines = textwrap.wrap(spaced, BOX_LETTERS, max_lines=3, placeholder="…")
    words = plain("\n".join(lines).replace("_ ", "_"))
    axes.text(
        *place, words, ha="center", va="center", fontsize=9 if len(lines) < 3 else 8, zorder=5
    )


def _arrow(axes: Axes, path: _Path, places, badge: str) -> None:
    start, end = _ends(places[path.start], places[path.end], path)
    told = _excludes_zero(path.row)
    colour, dash = (BLUE, "-") if told else ("0.45", (0, (5, 3)))
    spot = tuple(
        (1 - path.at) * one + path.at * other for one, other in zip(start, end, strict=True)
    )
    if path.lane:
        height = start[1] + LANE_IN * path.lane
        spot = spot[0], height
        corners = [start[0], start[0], end[0]], [start[1], height, height]
        axes.plot(*corners, color=colour, linestyle=dash, linewidth=1.5, zorder=2)
        start = end[0], height
    style = {"color": colour, "linestyle": dash, "linewidth": 1.8 if told else 1.4}
    arrow = {"arrowstyle": "-|>", "mutation_scale": 13, "shrinkA": 0, "shrinkB": 0, "zorder": 2}
    axes.add_patch(FancyArrowPatch(start, end, **style, **arrow))
    shape = {"boxstyle": "circle,pad=0.22" if badge else "square,pad=0.12", "facecolor": "white"}
    shape["edgecolor"] = colour if badge else "none"
    place = {"ha": "center", "va": "center", "zorder": 3, "linespacing": 1.2}
    axes.text(*spot, badge or _label(path.row), fontsize=8.5, bbox=shape, **place)


def _ends(start, end, path):
    """Points on the edges of two boxes where an arrow begins and ends."""
    width, height = BOX_IN
    if path.lane:
        shift = (0.45 - 0.12 * path.lane) * width
        return (start[0] + shift, start[1] + height / 2), (end[0] - shift, end[1] + height / 2)
    if start[1] == end[1]:
        return (start[0] + width / 2, start[1]), (end[0] - width / 2, end[1])
    up = end[1] > start[1]
    foot, mediator, side = (start, end, -1) if up else (end, start, 1)
    low = foot[0], foot[1] + height / 2
    high = mediator[0] + side * 0.25 * width, mediator[1] - height / 2
    if path.beside:
        high = mediator[0] + side * width / 2, mediator[1]
    return (low, high) if up else (high, low)


def _excludes_zero(row):
    return bool(row["ci_low"] > 0 or row["ci_high"] < 0)


def _label(row):
    name = str(row.get("path", ""))
    letter = name if name in ("a", "b", "d") else "c'" if name == "direct" else ""
    return f"{letter} {_number(row['estimate'], sign=True)}\n{_interval(row)}".strip()


def _interval(row):
    return f"[{_number(row['ci_low'])}, {_number(row['ci_high'])}]"


def _number(value, sign=False):
    if not np.isfinite(value):
        return "n/a"
    size, plus = abs(value), "+" if sign else ""
    digits = 0 if size >= 100 else 1 if size >= 10 else 2 if size >= 0.1 or not size else 3
    kind = f"{plus}.{digits}f" if size >= 5e-4 or not size else f"{plus}.1e"
    return f"{value:{kind}}".replace("-", "\N{MINUS SIGN}")


def _banner(rows):
    """Lines of the warning; none for a mechanism."""
    odd = rows[rows["label"] != "mechanism"]
    if not len(odd):
        return []
    reason = "; ".join(dict.fromkeys(str(text) for text in odd["reason"] if text))
    return [ASSOCIATION_BANNER, *textwrap.wrap(reason, 125, max_lines=3, placeholder="…")]


def _below(rows, numbered, text):
    """Lines under the diagram: numbered paths, effects, and what lines mean."""
    names = {"": text.treatment, " ": text.outcome}
    lines = [
        f"{number}  {names.get(path.start, path.start)} → {names.get(path.end, path.end)}:  "
        f"{_number(path.row['estimate'], sign=True)} {_interval(path.row)}"
        for number, path in enumerate(numbered, start=1)
    ]
    for _, row in rows.iterrows():
        name = str(row["path"])
        if name.startswith(("indirect", "total", "proportion")) and " minus " not in name:
            found = f"{_number(row['estimate'], sign=True)} {_interval(row)}"
            missing = str(row.get("note", "")) or "n/a"
            lines.append(f"{name}:  {found if np.isfinite(row['estimate']) else missing}")
    mechanism = (rows["label"] == "mechanism").all()
    foot = "Solid: the interval excludes 0; dashed: it does not."
    foot = f"{foot} {MECHANISM_FOOT}" if mechanism else foot
    wrapped = [part for line in lines for part in textwrap.wrap(line, 125, subsequent_indent="   ")]
    return [*wrapped, "", *textwrap.wrap(foot, 125)]


def _write(axes: Axes, title: str, banner: list[str], below: list[str], top: float) -> None:
    y = top - 0.2
    if title:
        axes.text(0.15, y, plain(title), fontsize=11, va="center")
        y -= 0.3
    for number, line in enumerate(banner):
        style = {"fontsize": 9, "color": "0.15"}
        if number == 0:
            style = {"fontsize": 14, "color": "white", "fontweight": "bold"}
            style["bbox"] = {"boxstyle": "square,pad=0.25", "facecolor": VERMILION}
            style["bbox"]["edgecolor"] = "none"
        axes.text(0.22, y, plain(line), va="center", **style)
        y -= 0.3 if number == 0 else LINE_IN
    for number, line in enumerate(below):
        axes.text(0.22, -LINE_IN * (number + 0.3), plain(line), va="center", fontsize=9)
