"""Mediation diagram: who points where, what is solid, and the warning."""

import numpy as np
import pandas as pd
import pytest
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch

from workflows.drawing.canvas import png_bytes
from workflows.drawing.mediation_paths import (
    ASSOCIATION_BANNER,
    MediationText,
    mediation_diagram,
)

TEXT = MediationText("CBT - wait", "BDI change")


def table(*rows, label="association"):
    names = ["path", "term", "mediator", "estimate", "ci_low", "ci_high"]
    return pd.DataFrame(rows, columns=names).assign(label=label, reason="measured too late")


def parallel(label="association"):
    return table(
        ("a", "CBT - wait", "alliance", 0.5, 0.1, 0.9),
        ("a", "drug - wait", "alliance", 9.0, 8.0, 10.0),
        ("a", "CBT - wait", "insight", -0.2, -0.6, 0.2),
        ("b", "", "alliance", -0.3, -0.5, -0.1),
        ("b", "", "insight", 0.0, -0.2, 0.2),
        ("direct", "CBT - wait", "", -1.5, -3.0, 0.0),
        ("indirect via alliance", "CBT - wait", "alliance", -0.15, -0.3, -0.02),
        ("indirect via alliance minus via insight", "CBT - wait", "", -0.15, -0.3, 0.0),
        ("proportion mediated", "CBT - wait", "", np.nan, np.nan, np.nan),
        label=label,
    )


def chain(n_mediators):
    names = [f"m{number}" for number in range(n_mediators)]
    rows = [("a", "CBT - wait", name, 0.5, 0.1, 0.9) for name in names]
    rows += [("b", "", name, 0.5, 0.1, 0.9) for name in names]
    rows += [
        ("d", "", f"{first} -> {second}", 0.7, 0.1, 0.9)
        for place, first in enumerate(names)
        for second in names[place + 1 :]
    ]
    return table(*rows, ("direct", "CBT - wait", "", 0.1, -0.1, 0.3))


def words(figure):
    return [text.get_text() for text in figure.axes[0].texts]


def arrows(figure):
    return [patch for patch in figure.axes[0].patches if isinstance(patch, FancyArrowPatch)]


def boxes(figure):
    """Name of each box and its centre."""
    centres = [
        (patch.get_x() + patch.get_width() / 2, patch.get_y() + patch.get_height() / 2)
        for patch in figure.axes[0].patches
        if isinstance(patch, FancyBboxPatch)
    ]
    by_place = {tuple(np.round(t.get_position(), 6)): t.get_text() for t in figure.axes[0].texts}
    return {by_place[tuple(np.round(centre, 6))]: centre for centre in centres}


def test_parallel_mediators_stand_between_treatment_and_outcome():
    figure = mediation_diagram(parallel(), "CBT - wait", TEXT)
    place = boxes(figure)
    assert set(place) == {"CBT - wait", "BDI change", "alliance", "insight"}
    assert place["CBT - wait"][0] < place["alliance"][0] < place["BDI change"][0]
    assert place["alliance"][1] > place["insight"][1] > place["BDI change"][1]
    assert len(arrows(figure)) == 5


def test_paths_carry_their_coefficient_and_are_solid_if_the_interval_excludes_zero():
    figure = mediation_diagram(parallel(), "CBT - wait", TEXT)
    shown = words(figure)
    assert "a +0.50\n[0.10, 0.90]" in shown
    assert "c' −1.50\n[−3.00, 0.00]" in shown
    solid = [
        arrow.get_linestyle() == "solid" or arrow.get_linestyle() == "-" for arrow in arrows(figure)
    ]
    # a and b of alliance, a and b of insight, direct (its interval ends at 0)
    assert solid == [True, True, False, False, False]


def test_another_contrast_has_its_own_paths():
    rows = pd.concat([parallel(), table(("direct", "drug - wait", "", 1.0, 0.5, 1.5))])
    shown = words(mediation_diagram(rows, "drug - wait", TEXT))
    assert "a +9.00\n[8.00, 10.0]" in shown
    assert "a +0.50\n[0.10, 0.90]" not in shown
    with pytest.raises(ValueError, match="no path a of 'dose'"):
        mediation_diagram(parallel(), "dose", TEXT)


def test_an_association_says_so_in_large_letters_with_the_reason():
    figure = mediation_diagram(parallel(), "CBT - wait", TEXT)
    banner = next(t for t in figure.axes[0].texts if t.get_text() == ASSOCIATION_BANNER)
    assert banner.get_fontsize() >= 14
    assert "measured too late" in words(figure)
    shown = words(mediation_diagram(parallel("mechanism"), "CBT - wait", TEXT))
    assert ASSOCIATION_BANNER not in shown
    assert any("unmeasured causes" in line for line in shown)


def test_one_row_that_is_no_mechanism_brings_the_warning():
    rows = parallel("mechanism")
    rows.loc[3, "label"] = "association"
    assert ASSOCIATION_BANNER in words(mediation_diagram(rows, "CBT - wait", TEXT))


def test_indirect_effects_are_listed_without_differences_and_missing_ones_say_so():
    shown = words(mediation_diagram(parallel(), "CBT - wait", TEXT))
    assert "indirect via alliance:  −0.15 [−0.30, −0.020]" in shown
    assert "proportion mediated:  n/a" in shown
    assert not [line for line in shown if " minus " in line]


@pytest.mark.parametrize(("n_mediators", "n_paths"), [(2, 6), (3, 10), (4, 15)])
def test_a_chain_stands_in_its_order_and_draws_every_path(n_mediators, n_paths):
    figure = mediation_diagram(chain(n_mediators), "CBT - wait", TEXT)
    place = boxes(figure)
    across = [place[f"m{number}"][0] for number in range(n_mediators)]
    assert across == sorted(across)
    assert len({place[f"m{number}"][1] for number in range(n_mediators)}) == 1
    assert len(arrows(figure)) == n_paths


def test_paths_of_a_long_chain_are_numbered_and_explained():
    shown = words(mediation_diagram(chain(3), "CBT - wait", TEXT))
    assert [str(number) in shown for number in range(1, 11)] == [True] * 10
    assert "4  m0 → m1:  +0.70 [0.10, 0.90]" in shown
    assert "9  m2 → BDI change:  +0.50 [0.10, 0.90]" in shown


def test_long_names_and_dollar_signs_are_drawn():
    rows = parallel()
    rows["mediator"] = rows["mediator"].str.replace("alliance", "$working_alliance_inventory_total")
    figure = mediation_diagram(rows, "CBT - wait", MediationText("$" * 40, "word " * 20, "$"))
    assert png_bytes(figure).startswith(b"\x89PNG")
