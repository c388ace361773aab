"""Forest of regions: order, sections, marks, cut intervals."""

import numpy as np
import pandas as pd
import pytest

from workflows.drawing.canvas import png_bytes
from workflows.drawing.forest import ForestText, forest_plot

TEXT = ForestText("Hedges g of change")


def table(*rows):
    names = ["label", "estimate", "ci_low", "ci_high", "significant", "planned", "arm", "n"]
    return pd.DataFrame(rows, columns=names)


def dots(axes):
    """Estimate, height, colour and face of each mark."""
    return [
        (line.get_xdata()[0], line.get_ydata()[0], line.get_color(), line.get_markerfacecolor())
        for line in axes.lines
        if line.get_marker() in "os^DPvX*" and len(line.get_xdata()) == 1
    ]


def beside(axes):
    return {round(text.xy[1], 3): text.get_text() for text in axes.texts}


def test_planned_rows_stand_above_exploratory_ones_under_headings():
    rows = table(
        ("explored", 0.3, 0.1, 0.5, True, False, "", 20),
        ("planned", -0.2, -0.6, 0.2, False, True, "", 18),
    )
    axes = forest_plot(rows, TEXT).axes[0]
    heights = {text.get_text(): text.xy[1] for text in axes.texts}
    names = dict(
        zip([t.get_text() for t in axes.get_yticklabels()], axes.get_yticks(), strict=True)
    )
    order = [heights["Planned"], names["planned"], heights["Exploratory"], names["explored"]]
    assert order == sorted(order, reverse=True)
    explored, planned = dots(axes)
    assert (explored[0], planned[0]) == (0.3, -0.2)
    assert (explored[1], planned[1]) == pytest.approx((names["explored"], names["planned"]))
    assert explored[3] == explored[2]
    assert planned[3] == "white"


def test_estimates_and_people_are_written_beside_their_row():
    rows = table(
        ("a", -0.251, -0.6, 0.1, False, False, "", 18),
        ("b", np.nan, np.nan, np.nan, False, False, "", 4),
    )
    axes = forest_plot(rows, TEXT).axes[0]
    words = [text.get_text() for text in axes.texts]
    assert words[0].split() == ["−0.25", "[−0.60,", "0.10]", "n", "18"]
    assert words[1].split() == ["not", "tested", "n", "4"]
    assert len(dots(axes)) == 1


def test_arms_of_one_region_share_its_name_and_keep_their_order():
    rows = table(
        ("a", 0.1, 0.0, 0.2, False, False, "CBT", 9),
        ("a", 0.2, 0.1, 0.3, False, False, "drug", 9),
        ("b", 0.3, 0.2, 0.4, False, False, "drug", 9),
    )
    figure = forest_plot(rows, TEXT)
    axes = figure.axes[0]
    assert [text.get_text() for text in axes.get_yticklabels()] == ["a", "b"]
    first, second, third = dots(axes)
    assert first[1] > second[1] > third[1]
    assert second[2] == third[2] != first[2]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["CBT", "drug"]


def test_an_endless_interval_is_cut_and_the_others_stay_readable():
    rows = table(
        ("a", 0.2, 0.0, 0.4, False, False, "", 9),
        ("b", 0.1, -0.1, 0.3, False, False, "", 9),
        ("c", 0.3, -900.0, np.inf, False, False, "", 9),
    )
    axes = forest_plot(rows, TEXT).axes[0]
    low, high = axes.get_xlim()
    assert -1 < low < -0.1
    assert 0.4 < high < 1.5
    arrows = [line.get_marker() for line in axes.lines if line.get_marker() in ("<", ">")]
    assert arrows == ["<", ">"]
    assert "900.00" in axes.texts[2].get_text()


def test_the_line_of_no_effect_is_always_in_the_picture():
    axes = forest_plot(table(("a", 5.0, 4.0, 6.0, True, False, "", 9)), TEXT).axes[0]
    assert axes.get_xlim()[0] < 0


def test_labels_do_not_overlap_of_long_names_and_four_arms():
    rng = np.random.default_rng(0)
    rows = table(
        *(
            (
                f"Region_{region:02d}_superior_frontal_gyrus_left",
                e,
                e - 0.3,
                e + 0.3,
                e > 0.4,
                region < 4,
                arm,
                20,
            )
            for region in range(8)
            for arm, e in zip("abcd", rng.normal(size=4), strict=True)
        )
    )
    figure = forest_plot(rows, TEXT)
    assert figure.get_figwidth() == 10
    png_bytes(figure)
    boxes = [text.get_window_extent() for text in figure.axes[0].get_yticklabels()]
    boxes = sorted(boxes, key=lambda box: box.y0)
    assert all(low.y1 <= high.y0 for low, high in zip(boxes, boxes[1:], strict=False))
    assert min(box.x0 for box in boxes) >= 0


def test_nothing_tested_is_drawn_with_dollar_signs_as_they_are():
    figure = forest_plot(table(("$x^", np.nan, np.nan, np.nan, False, False, "", np.nan)), TEXT)
    assert png_bytes(figure).startswith(b"\x89PNG")
