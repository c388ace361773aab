"""Colour, marker and legend of arms: the same arm looks the same in every picture."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterable

from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from workflows.drawing.canvas import BLUE, GREEN, GREY, ORANGE, PURPLE, SKY, VERMILION, plain

STYLES = (
    (BLUE, "o"),
    (VERMILION, "s"),
    (GREEN, "^"),
    (PURPLE, "D"),
    (ORANGE, "P"),
    (GREY, "v"),
    (SKY, "X"),
    ("black", "*"),
)
LETTERS_PER_IN = 14
MARK_LETTERS = 6
LEGEND_ROW_IN = 0.2


def arm_styles(arms: Iterable[str]) -> dict[str, tuple[str, str]]:
    """Colour and marker per arm in the order given; from the ninth arm on they repeat."""
    names = list(dict.fromkeys(arms))
    return {name: STYLES[place % len(STYLES)] for place, name in enumerate(names)}


def legend_height_in(labels: dict[str, str], width_in: float) -> float:
    """Height of the legend of these arms in a figure of this width, in inches."""
    named = {arm: text for arm, text in labels.items() if arm}
    if not named:
        return 0.0
    n_rows = math.ceil(len(named) / _n_columns(named, width_in))
    tallest = max(text.count("\n") + 1 for text in _wrapped(named, width_in).values())
    return LEGEND_ROW_IN * n_rows * tallest


def arm_legend(
    figure: Figure, styles: dict[str, tuple[str, str]], labels: dict[str, str], top_in: float
) -> None:
    """Legend of the arms above the axes, in as many rows as it needs.

    Parameters
    ----------
    figure : Figure
    styles : dict
        From `arm_styles`; an arm without a name is left out.
    labels : dict of str to str
        Text for each arm.
    top_in : float
        Distance of the legend from the upper edge, in inches.
    """
    named = {arm: labels[arm] for arm in styles if arm}
    handles = [
        Line2D([], [], color=styles[arm][0], marker=styles[arm][1], label=plain(text))
        for arm, text in _wrapped(named, figure.get_figwidth()).items()
    ]
    if handles:
        figure.legend(
            handles=handles,
            loc="upper left",
            bbox_to_anchor=(0.005, 1 - top_in / figure.get_figheight()),
            ncols=_n_columns(named, figure.get_figwidth()),
            frameon=False,
            fontsize=8.5,
            borderpad=0,
            handlelength=2.2,
        )


def _wrapped(labels, width_in):
    letters = int(width_in * LETTERS_PER_IN) - MARK_LETTERS
    return {arm: "\n".join(textwrap.wrap(text, letters)) for arm, text in labels.items()}


def _n_columns(labels, width_in):
    texts = _wrapped(labels, width_in).values()
    longest = max(len(line) for text in texts for line in text.splitlines())
    return min(len(labels), max(1, int(width_in * LETTERS_PER_IN) // (longest + MARK_LETTERS)))
