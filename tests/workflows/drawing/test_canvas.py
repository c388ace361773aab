"""Figures become PNG files, the same each time, without global state."""

import io

import matplotlib._pylab_helpers
import numpy as np
from PIL import Image

from workflows.drawing.canvas import blank_figure, png_bytes, save_png


def test_the_same_figure_gives_the_same_bytes_and_its_colour():
    one, two = (blank_figure(1, 0.5, background="#E69F00") for _ in range(2))
    assert png_bytes(one) == png_bytes(two)
    pixels = np.asarray(Image.open(io.BytesIO(png_bytes(one))).convert("RGB"))
    assert pixels.shape == (50, 100, 3)
    assert pixels[0, 0].tolist() == [0xE6, 0x9F, 0x00]


def test_a_saved_picture_shows_the_figure(tmp_path):
    path = save_png(blank_figure(1, 1, background="black"), tmp_path / "a.png")
    assert np.asarray(Image.open(path).convert("RGB")).max() == 0


def test_no_figure_stays_behind():
    blank_figure(1, 1)
    assert matplotlib._pylab_helpers.Gcf.get_num_fig_managers() == 0
