"""Courses over sessions: each person faint, the mean of the arm with its interval."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from workflows.drawing.arms import arm_styles
from workflows.drawing.canvas import blank_figure, plain
from workflows.drawing.hover import add_spots

WIDTH_IN = 10
PANEL_IN = 2.9
FEW_SESSIONS = 5
MANY_SESSIONS = 9
LABEL_LETTERS = 11


@dataclass(frozen=True)
class TrajectoryText:
    """Words of the picture: the value with its unit, a title, and what the interval is."""

    value: str
    title: str = ""
    interval: str = "95 % interval of the mean"


def trajectory_plot(
    values: np.ndarray, arms: np.ndarray, means: pd.DataFrame, text: TrajectoryText
) -> Figure:
    """One panel an arm, with the means of the other arms behind as thin lines.

    Parameters
    ----------
    values : np.ndarray, shape (n_participants, n_sessions)
        Sessions in time order; NaN is missing. Two values beside a gap are joined by dots.
    arms : np.ndarray of str, shape (n_participants,)
    means : DataFrame
        From `session_means`: arm, session, n, mean, ci_low, ci_high.
    text : TrajectoryText
    """
    styles = arm_styles(means["arm"])
    sessions = list(dict.fromkeys(means["session"]))
    if values.shape != (len(arms), len(sessions)):
        raise ValueError(f"values: {values.shape}, {len(arms)} arms, {len(sessions)} sessions")
    columns = _n_columns(len(styles), len(sessions))
    n_rows = -(-len(styles) // columns)
    width = WIDTH_IN if columns > 1 or len(sessions) > FEW_SESSIONS else 0.6 * WIDTH_IN
    figure = blank_figure(width, 0.75 + n_rows * PANEL_IN)
    panels = figure.subplots(n_rows, columns, sharey=True, squeeze=False).ravel()
    for panel, arm in zip(panels, styles, strict=False):
        _others(panel, means, styles, arm)
        _persons(panel, values[np.asarray(arms, dtype=object) == arm], styles[arm][0])
        _mean(panel, means[means["arm"] == arm], styles[arm])
        title = "\n".join(textwrap.wrap(str(arm), 80 // columns))
        panel.set_title(plain(title), fontsize=10, color="black", loc="left")
        panel.spines[["top", "right"]].set_visible(False)
        panel.tick_params(labelleft=True)
    for panel in panels[len(styles) :]:
        panel.set_visible(False)
    _words(figure, panels, text, len(styles) > 1)
    return figure


def _n_columns(n_arms, n_sessions):
    most = 3 if n_sessions <= FEW_SESSIONS else 2 if n_sessions <= MANY_SESSIONS else 1
    return max(1, min(n_arms, 2 if n_arms == 4 else most, most))


def _others(panel: Axes, means: pd.DataFrame, styles: dict, arm: str) -> None:
    for other, (colour, _) in styles.items():
        if other != arm:
            line = means.loc[means["arm"] == other, "mean"].to_numpy(float)
            panel.plot(line, color=colour, linewidth=1.1, linestyle=(0, (4, 2)), zorder=2)


def _persons(panel: Axes, values: np.ndarray, colour: str) -> None:
    alpha = float(np.clip(8 / max(len(values), 1), 0.2, 0.45))
    for person in values:
        there = np.flatnonzero(np.isfinite(person))
        whole = {"color": colour, "alpha": alpha, "linewidth": 0.9, "zorder": 1}
        if len(there) == 1:
            panel.plot(there, person[there], ".", markersize=4, **whole)
        for first, last in zip(there[:-1], there[1:], strict=True):
            dash = "-" if last == first + 1 else ":"
            panel.plot([first, last], person[[first, last]], dash, **whole)


def _mean(panel: Axes, means: pd.DataFrame, style: tuple[str, str]) -> None:
    colour, marker = style
    places = np.arange(len(means))
    low, middle, high = (means[name].to_numpy(float) for name in ("ci_low", "mean", "ci_high"))
    panel.plot(places, middle, color=colour, linewidth=2.4, zorder=4)
    told = [
        f"{row.arm}, {row.session}: mean {row.mean:.3g} [{row.ci_low:.3g}, {row.ci_high:.3g}], "
        f"n = {row.n:.0f}"
        for row in means.itertuples()
    ]
    add_spots(panel, places, middle, told)
    panel.vlines(places, low, high, color="black", linewidth=1.6, zorder=5)
    panel.plot(
        places,
        middle,
        marker,
        color=colour,
        markersize=7,
        zorder=6,
        markeredgecolor="black",
        linestyle="none",
    )
    many = len(means) > MANY_SESSIONS
    labels = [
        "\n".join([_wrapped(session), f"{n:.0f}" if many else f"n = {n:.0f}"])
        for session, n in zip(means["session"], means["n"], strict=True)
    ]
    panel.set_xticks(places, [plain(label) for label in labels], fontsize=7.5 if many else 8.5)
    panel.set_xlim(-0.35, max(len(means) - 0.65, 0.35))


def _wrapped(session):
    spaced = str(session).replace("_", "_ ")
    lines = textwrap.wrap(spaced, LABEL_LETTERS, max_lines=3, placeholder="…")
    return "\n".join(lines).replace("_ ", "_")


def _words(figure, panels, text, several):
    height = figure.get_figheight()
    for panel in panels:
        if panel.get_subplotspec().is_first_col():
            panel.set_ylabel("\n".join(textwrap.wrap(plain(text.value), 40)))
    foot = f"Thick: mean with {text.interval}; faint: persons (dotted over a missing session)"
    foot += "; dashed: means of the other arms. n: people under each point." if several else "."
    figure.text(0.012, 0.05 / height, foot, fontsize=8, color="0.25")
    figure.text(0.012, 1 - 0.06 / height, plain(text.title), va="top", fontsize=10.5)
    top = 0.3 * bool(text.title)
    figure.tight_layout(rect=(0, 0.22 / height, 1, 1 - top / height))
