"""A blank figure, its colours, and how it becomes a PNG; no pyplot, so nothing is global."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from bids_utils.plain_text import printable
from workflows.drawing.hover import CHUNK, chunk_text

# Okabe and Ito (2008): told apart with any colour vision.
ORANGE = "#E69F00"
SKY = "#56B4E9"
GREEN = "#009E73"
BLUE = "#0072B2"
VERMILION = "#D55E00"
PURPLE = "#CC79A7"
GREY = "#6E6E6E"

DOTS_PER_INCH = 100


def blank_figure(width_in: float, height_in: float, background: str = "white") -> Figure:
    """Empty figure that belongs to nobody: it is gone when the last name for it is."""
    figure = Figure(figsize=(width_in, height_in), dpi=DOTS_PER_INCH, facecolor=background)
    FigureCanvasAgg(figure)
    return figure


def plain(text: object) -> str:
    """Text of a study as it is: dollar signs start no formula, hidden signs are written out."""
    return printable(str(text)).replace("$", r"\$")


def png_bytes(figure: Figure) -> bytes:
    """PNG of a figure, and what its places say; the same figure gives the same bytes."""
    return _png(figure, _pixels(figure))


def save_png(figure: Figure, path: Path) -> Path:
    """Write a figure as PNG with 256 colours (a third of the size) and return its path."""
    path.write_bytes(_png(figure, _pixels(figure).quantize(256, dither=Image.Dither.NONE)))
    return path


def _pixels(figure: Figure) -> Image.Image:
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return Image.fromarray(np.asarray(canvas.buffer_rgba())[..., :3])


def _png(figure: Figure, picture: Image.Image) -> bytes:
    stream, words = io.BytesIO(), PngInfo()
    told = chunk_text(figure)
    if told:
        words.add_itxt(CHUNK, told)
    picture.save(stream, format="png", optimize=True, pnginfo=words)
    return stream.getvalue()
