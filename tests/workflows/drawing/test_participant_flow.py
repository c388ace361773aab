"""Flow of participants: order, counts, losses and their reasons."""

import pandas as pd
import pytest
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch

from workflows.compute.flow import FLOW_COLUMNS, flow_table
from workflows.drawing.canvas import png_bytes
from workflows.drawing.participant_flow import participant_flow


@pytest.fixture
def flow():
    arms = pd.Series({"1": "wait", "2": "CBT", "3": "CBT", "4": "wait", "5": ""}, dtype=object)
    steps = [
        ("enrolled", "", frozenset("12345")),
        ("scanned", "", frozenset("124")),
        ("usable pair", "T1w", frozenset("14")),
        ("usable pair", "bold", frozenset("24")),
    ]
    lost = [("no usable pair", "T1w", "all", 1, "ses-post: moved"), ("left", "", "CBT", 1, "ill")]
    return pd.concat(
        [flow_table(steps, arms), pd.DataFrame(lost, columns=FLOW_COLUMNS)], ignore_index=True
    )


def places(figure):
    return {text.get_text(): text.get_position() for text in figure.axes[0].texts}


def patches(figure, kind):
    return [patch for patch in figure.axes[0].patches if isinstance(patch, kind)]


def test_steps_run_down_and_arms_stand_side_by_side(flow):
    figure = participant_flow(flow)
    place = places(figure)
    heights = [
        place[name][1]
        for name in (
            "enrolled\nall: 5",
            "scanned\nall: 3",
            "usable pair: T1w\nall: 2",
            "usable pair: bold\nall: 2",
        )
    ]
    assert heights == sorted(heights, reverse=True)
    assert place["CBT"][0] < place["wait"][0]
    assert len(patches(figure, FancyBboxPatch)) == 8


def test_boxes_count_people_and_how_many_fewer_than_the_step_before(flow):
    figure = participant_flow(flow)
    place = places(figure)
    across = {name: place[name][0] for name in ("CBT", "wait")}
    rows = {}
    for text in figure.axes[0].texts:
        if text.get_text().startswith("n = "):
            x, y = text.get_position()
            arm = min(across, key=lambda name: abs(across[name] - x))
            rows.setdefault(round(y, 6), {})[arm] = text.get_text()
    found = [rows[y] for y in sorted(rows, reverse=True)]
    assert found == [
        {"CBT": "n = 2", "wait": "n = 2"},
        {"CBT": "n = 1\n1 fewer", "wait": "n = 2"},
        {"CBT": "n = 0\n1 fewer", "wait": "n = 2"},
        {"CBT": "n = 1", "wait": "n = 1\n1 fewer"},
    ]


def test_only_steps_that_follow_each_other_are_joined(flow):
    assert len(patches(participant_flow(flow), FancyArrowPatch)) == 2


def test_reasons_stand_under_their_step(flow):
    place = places(participant_flow(flow))
    first = place["1  ses-post: moved"][1]
    assert place["usable pair: T1w\nall: 2"][1] > first > place["usable pair: bold\nall: 2"][1]
    assert (
        place["scanned\nall: 3"][1] > place["1  CBT: ill"][1] > place["usable pair: T1w\nall: 2"][1]
    )


def test_many_reasons_are_cut_and_say_so(flow):
    more = pd.DataFrame(
        [("no usable pair", "bold", "all", 1, f"reason {number}") for number in range(20)],
        columns=FLOW_COLUMNS,
    )
    shown = places(participant_flow(pd.concat([flow, more], ignore_index=True)))
    text = next(words for words in shown if words.startswith("1  reason 0"))
    assert text.splitlines()[-1] == "… and 13 more reasons, see the table"
    assert len(text.splitlines()) == 8


def test_without_arms_there_is_one_column_of_all():
    steps = [("enrolled", "", frozenset("12")), ("scanned", "", frozenset("1"))]
    flow = flow_table(steps, pd.Series({"1": "", "2": ""}, dtype=object))
    figure = participant_flow(flow)
    assert "n = 1\n1 fewer" in places(figure)
    assert len(patches(figure, FancyBboxPatch)) == 2


def test_long_names_of_six_arms_do_not_overlap(flow):
    names = [f"arm {number} cognitive behavioural therapy" for number in range(6)]
    arms = pd.Series({str(number): names[number % 6] for number in range(30)}, dtype=object)
    figure = participant_flow(flow_table([("enrolled", "", frozenset(arms.index))], arms))
    png_bytes(figure)
    titles = [text for text in figure.axes[0].texts if text.get_text().startswith("arm")]
    boxes = sorted((text.get_window_extent() for text in titles), key=lambda box: box.x0)
    assert len(boxes) == 6
    assert all(left.x1 < right.x0 for left, right in zip(boxes, boxes[1:], strict=False))


def test_a_table_without_steps_is_refused():
    with pytest.raises(ValueError, match="flow"):
        participant_flow(pd.DataFrame(columns=FLOW_COLUMNS))


def test_a_reason_counted_by_arm_is_not_said_again_for_all(flow):
    lost = [
        ("not analysed", "", arm, n, "left") for arm, n in (("all", 3), ("CBT", 1), ("wait", 2))
    ]
    rows = pd.DataFrame(lost, columns=flow.columns)
    figure = participant_flow(pd.concat([flow, rows], ignore_index=True))
    text = " ".join(one.get_text() for one in figure.axes[0].texts)
    assert "1  CBT: left" in text
    assert "3  left" not in text
