"""What a picture says where the reader points: places with words, and cells of a matrix.

Nothing of it is drawn. It goes with the PNG as a text chunk, so that a picture on disk keeps it.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bids_utils.plain_text import printable

CHUNK = "braindelta:hover"
MOST_GRID_ROWS = 250


class Spots(Artist):
    """Places in the units of the axes, each with words and, where it has one, the page it opens."""

    def __init__(
        self,
        x: Sequence[float],
        y: Sequence[float],
        words: Sequence[str],
        links: Sequence[str] = (),
    ) -> None:
        super().__init__()
        self.set_in_layout(False)
        self.places = np.column_stack([np.asarray(x, dtype=float), np.asarray(y, dtype=float)])
        self.words = [printable(str(word)) for word in words]
        self.links = list(links) or [""] * len(self.words)
        if len(self.words) != len(self.places):
            raise ValueError(f"words: {len(self.words)} for {len(self.places)} places")

    def draw(self, renderer: object) -> None:
        """Draw nothing."""

    def told(self) -> list[tuple[float, float, str, str]]:
        """Parts of the width and height of the picture, from its upper left, words and link."""
        size = np.array(self.figure.canvas.get_width_height())
        shares = self.axes.transData.transform(self.places) / size
        rows = zip(shares, self.words, self.links, strict=True)
        return [
            (round(x, 4), round(1 - y, 4), word, link)
            for (x, y), word, link in rows
            if x == x and y == y
        ]


class Grid(Artist):
    """Cells of a symmetric matrix that `imshow` drew."""

    def __init__(self, values: np.ndarray, names: Sequence[str], unit: str) -> None:
        super().__init__()
        self.set_in_layout(False)
        self.values, self.names, self.unit = (
            np.asarray(values, dtype=float),
            [printable(name) for name in names],
            unit,
        )

    def draw(self, renderer: object) -> None:
        """Draw nothing."""

    def told(self) -> dict[str, object]:
        """Box of the cells as parts of the picture, names, and the cells below the diagonal."""
        ends = np.array([[-0.5, -0.5], [len(self.names) - 0.5, len(self.names) - 0.5]])
        size = np.array(self.figure.canvas.get_width_height())
        (left, top), (right, bottom) = self.axes.transData.transform(ends) / size
        box = [round(float(share), 4) for share in (left, 1 - top, right, 1 - bottom)]
        cells = self.values[np.tril_indices(len(self.names), -1)]
        rounded = [float(f"{cell:.3g}") if np.isfinite(cell) else None for cell in cells]
        return {"box": box, "names": self.names, "cells": rounded, "unit": self.unit}


def add_spots(
    axes: Axes,
    x: Sequence[float],
    y: Sequence[float],
    words: Sequence[str],
    links: Sequence[str] = (),
) -> None:
    """Let places of axes tell these words and open these pages (empty: none)."""
    axes.add_artist(Spots(x, y, words, links))


def add_grid(axes: Axes, values: np.ndarray, names: Sequence[str], unit: str) -> None:
    """Let the cells of a symmetric matrix tell their value; none of a very large matrix."""
    if len(names) <= MOST_GRID_ROWS:
        axes.add_artist(Grid(values, names, unit))


def told_by(figure: Figure) -> dict[str, object]:
    """What a drawn figure says: its spots (x, y, words, link), and its grid if it has one."""
    parts = [part for axes in figure.axes for part in axes.get_children()]
    spots = [spot for part in parts if isinstance(part, Spots) for spot in part.told()]
    grids = [part.told() for part in parts if isinstance(part, Grid)]
    told: dict[str, object] = {"spots": spots} if spots else {}
    return told | ({"grid": grids[0]} if grids else {})


def chunk_text(figure: Figure) -> str:
    """Text for the PNG of a figure that has been drawn; empty if it says nothing."""
    told = told_by(figure)
    return json.dumps(told, ensure_ascii=False, separators=(",", ":")) if told else ""
