"""Flow of participants per arm from the list to the analysis, in the manner of CONSORT."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch

from workflows.drawing.canvas import blank_figure, plain

WIDTH_IN = 10
NAME_IN = 2.2
GAP_IN = 0.14
MOST_BOX_IN = 3.0
LINE_IN = 0.165
PADDING_IN = 0.15
STEP_GAP_IN = 0.32
DETAIL_GAP_IN = 0.1
LETTERS_PER_IN = 14
MOST_REASONS = 8
ALL = "all"


@dataclass(frozen=True)
class _Level:
    """One row of boxes: a step or one detail of it, people per arm, and who was lost."""

    name: str
    detail: str
    counts: dict[str, int]
    lost: dict[str, int]
    reasons: tuple[str, ...] = ()

    @property
    def box_in(self) -> float:
        n_lines = max(1 + any(self.lost.values()), len(_lines(self.name, NAME_IN)) + 1)
        return PADDING_IN + LINE_IN * n_lines

    @property
    def height_in(self) -> float:
        return self.box_in + LINE_IN * len(self.reasons) + 0.06 * bool(self.reasons)


@dataclass(frozen=True)
class _Column:
    """Boxes of one arm: left edge and width in inches."""

    arm: str
    left: float
    width: float


def participant_flow(flow: pd.DataFrame) -> Figure:
    """Boxes of participants: one column an arm, one row a step, reasons underneath.

    Steps without a detail follow each other and are joined by arrows; those with one (images
    of a kind, analysed measures) do not depend on each other and have none.

    Parameters
    ----------
    flow : DataFrame
        Columns step, detail, arm, n, reason. Rows with a reason count who was lost ("all" or
        an arm). They stand under the row of the same step and detail, else under the first
        one with the same detail, else under the last step.
    """
    levels = _levels(flow)
    if not levels:
        raise ValueError("flow: no steps")
    columns = _columns(levels)
    named = columns[0].arm != ALL
    titles = [_lines(column.arm, column.width) if named else [] for column in columns]
    head = 0.1 + LINE_IN * max(map(len, titles))
    gaps = [DETAIL_GAP_IN if level.detail else STEP_GAP_IN for level in levels]
    gaps[0] = 0.05
    height = head + sum(level.height_in for level in levels) + sum(gaps) + 0.1
    figure = blank_figure(WIDTH_IN, height)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_xlim(0, WIDTH_IN)
    axes.set_ylim(-height, 0)
    axes.set_axis_off()
    for column, title in zip(columns, titles, strict=True):
        place = column.left + column.width / 2, -head
        style = {"ha": "center", "va": "bottom", "fontweight": "bold", "fontsize": 9}
        axes.text(*place, plain("\n".join(title)), **style)
    _draw(axes, levels, columns, (gaps, head))
    return figure


def _levels(flow: pd.DataFrame) -> list[_Level]:
    table = flow.fillna({"detail": "", "reason": ""})
    counted = table[table["reason"] == ""]
    levels, before = [], {}
    for (step, detail), part in counted.groupby(["step", "detail"], sort=False):
        counts = {str(arm): int(n) for arm, n in zip(part["arm"], part["n"], strict=True)}
        lost = {arm: max(0, before[arm] - n) for arm, n in counts.items() if arm in before}
        name = f"{step}: {detail}" if detail else str(step)
        levels.append(_Level(name, str(detail), counts, lost))
        if not detail:
            before = counts
    return _with_reasons(levels, table[table["reason"] != ""])


def _with_reasons(levels, rows):
    if not levels:
        return levels
    texts: dict[int, list[str]] = {}
    what = ["step", "detail", "reason"]
    by_arm = rows.groupby(what, sort=False)["arm"].transform(lambda arms: (arms != ALL).any())
    for row in rows[~((rows["arm"] == ALL) & by_arm.astype(bool))].itertuples():
        place = _place_of(levels, row)
        arm = "" if str(row.arm) == ALL else f"{row.arm}: "
        words = _lines(f"{row.n:.0f}  {arm}{row.reason}", WIDTH_IN - NAME_IN - 0.4, most=1)
        texts.setdefault(place, []).extend(words)
    for place, lines in texts.items():
        level = levels[place]
        if len(lines) > MOST_REASONS:
            left = len(lines) - MOST_REASONS + 1
            lines = [*lines[: MOST_REASONS - 1], f"… and {left} more reasons, see the table"]
        levels[place] = _Level(level.name, level.detail, level.counts, level.lost, tuple(lines))
    return levels


def _place_of(levels, row):
    name = f"{row.step}: {row.detail}" if row.detail else str(row.step)
    same = [place for place, level in enumerate(levels) if level.name == name]
    if row.detail:
        same += [place for place, level in enumerate(levels) if level.detail == row.detail]
    steps = [place for place, level in enumerate(levels) if not level.detail]
    return [*same, *steps[-1:], len(levels) - 1][0]


def _columns(levels):
    arms = dict.fromkeys(arm for level in levels for arm in level.counts if arm != ALL)
    arms = list(arms) or [ALL]
    left = NAME_IN + 0.2
    width = min(MOST_BOX_IN, (WIDTH_IN - left) / len(arms))
    return [_Column(arm, left + number * width, width - GAP_IN) for number, arm in enumerate(arms)]


def _draw(axes, levels, columns, layout):
    gaps, head = layout
    top, before = -head, None
    for level, gap in zip(levels, gaps, strict=True):
        top -= gap
        height = level.box_in
        _name(axes, level, top, height)
        for column in columns:
            _box(axes, level, column, (top, height))
            if before is not None and not level.detail:
                _down(axes, column.left + column.width / 2, before, top)
        words = plain("\n".join(level.reasons))
        style = {"va": "top", "fontsize": 8, "color": "0.2", "linespacing": 1.25}
        axes.text(columns[0].left + 0.05, top - height - 0.06, words, **style)
        before = before if level.detail else top - height
        top -= level.height_in


def _name(axes: Axes, level: _Level, top: float, height: float) -> None:
    words = _lines(level.name, NAME_IN)
    if ALL in level.counts:
        words.append(f"all: {level.counts[ALL]}")
    indent = 0.35 if level.detail else 0.15
    weight = "normal" if level.detail else "bold"
    axes.text(
        indent,
        top - height / 2,
        plain("\n".join(words)),
        va="center",
        fontsize=8.5,
        fontweight=weight,
        linespacing=1.2,
    )


def _box(axes: Axes, level: _Level, column: _Column, place: tuple[float, float]) -> None:
    top, height = place
    n = level.counts.get(column.arm)
    if n is None:
        return
    style = {"boxstyle": "round,pad=0,rounding_size=0.05", "edgecolor": "0.3", "linewidth": 1.1}
    face = "white" if level.detail else "#EAF3FA"
    corner = column.left, top - height
    axes.add_patch(FancyBboxPatch(corner, column.width, height, facecolor=face, **style))
    lost = level.lost.get(column.arm, 0)
    lines = [f"n = {n}"] + ([f"{lost} fewer"] if lost else [])
    middle = column.left + column.width / 2, top - height / 2
    axes.text(*middle, "\n".join(lines), ha="center", va="center", fontsize=8.5, linespacing=1.25)


def _down(axes: Axes, x: float, start: float, end: float) -> None:
    style = {"arrowstyle": "-|>", "mutation_scale": 10, "color": "0.3", "linewidth": 1.1}
    axes.add_patch(FancyArrowPatch((x, start), (x, end), shrinkA=0, shrinkB=0, **style))


def _lines(text: str, width_in: float, most: int = 4) -> list[str]:
    """Words of a text in lines that fit a width; long names break at underscores."""
    letters = max(6, int((width_in - 0.1) * LETTERS_PER_IN))
    lines = textwrap.wrap(str(text).replace("_", "_ "), letters, max_lines=most, placeholder="…")
    return [line.replace("_ ", "_") for line in lines]
