"""Head motion and signal of one BOLD run over time."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib import colormaps
from matplotlib.figure import Figure

from workflows.drawing.canvas import BLUE, GREEN, ORANGE, VERMILION, blank_figure, plain
from workflows.drawing.hover import add_spots

TRANSLATIONS = ("trans_x", "trans_y", "trans_z")
ROTATIONS = ("rot_x", "rot_y", "rot_z")
TISSUES = {1: "grey matter", 2: "white matter", 3: "CSF"}


@dataclass(frozen=True)
class Course:
    """What happened at each volume of a run; `censored` (bool) are the volumes left out."""

    repetition_time_s: float
    displacement_mm: np.ndarray
    std_dvars: np.ndarray
    censored: np.ndarray
    threshold_mm: float | None = None


@dataclass(frozen=True)
class Carpet:
    """Signal (n_voxels, n_volumes) in standard deviations of each voxel, and its tissue.

    `tissue` (n_voxels,) is 1 grey matter, 2 white matter, 3 CSF.
    """

    signal: np.ndarray
    tissue: np.ndarray
    title: str

    def __post_init__(self) -> None:
        if self.signal.ndim != 2 or self.tissue.shape != self.signal.shape[:1]:
            raise ValueError(f"tissue: {self.tissue.shape} does not fit signal {self.signal.shape}")


def motion_trace(
    confounds: pd.DataFrame, repetition_time_s: float, threshold_mm: float | None
) -> Figure:
    """Framewise displacement with its threshold, translations (mm) and rotations (degrees)."""
    figure = blank_figure(11, 5.2)
    rows = figure.subplots(3, 1, sharex=True)
    seconds = np.arange(len(confounds)) * repetition_time_s
    displacement = confounds["framewise_displacement"].to_numpy(dtype=float)
    rows[0].plot(seconds, displacement, color="black", linewidth=1)
    volumes = enumerate(zip(seconds, displacement, strict=True))
    told = [f"volume {number} ({at:g} s): {fd:.2f} mm" for number, (at, fd) in volumes]
    add_spots(rows[0], seconds, displacement, told)
    title = f"mean {np.nanmean(displacement):.2f} mm"
    if threshold_mm is not None:
        rows[0].axhline(threshold_mm, color=VERMILION, linestyle="--", linewidth=1.2)
        n_over = int((displacement > threshold_mm).sum())
        title = f"{n_over} of {len(confounds)} volumes above {threshold_mm:g} mm; {title}"
    rows[0].set_ylim(0, 1.15 * max(threshold_mm or 0, np.nanmax(displacement, initial=0)) or 1)
    rows[0].set_title(title, loc="left", fontsize=10)
    rows[0].set_ylabel("framewise\ndisplacement (mm)")
    _six_lines(rows[1], seconds, confounds[list(TRANSLATIONS)], 1.0)
    rows[1].set_ylabel("translation (mm)")
    _six_lines(rows[2], seconds, confounds[list(ROTATIONS)], 180 / np.pi)
    rows[2].set_ylabel("rotation (degrees)")
    rows[2].set_xlabel("time (s)")
    rows[2].set_xlim(0, max(seconds[-1], repetition_time_s))
    figure.align_ylabels(rows)
    figure.tight_layout()
    return figure


def carpet(before: Carpet, course: Course, after: Carpet) -> Figure:
    """Motion and signal change over time, and below them the signal of many voxels.

    Parameters
    ----------
    before : Carpet
        As measured.
    course : Course
        What happened at each volume; those that were left out are marked.
    after : Carpet
        The same voxels after denoising, NaN where volumes were left out.
    """
    figure = blank_figure(11, 8)
    grid = figure.subplots(4, 2, width_ratios=(60, 1), height_ratios=(1, 1, 3.2, 3.2))
    _curve(grid[0, 0], course, course.displacement_mm, "framewise\ndisplacement\n(mm)")
    if course.threshold_mm is not None:
        grid[0, 0].axhline(course.threshold_mm, color=VERMILION, linestyle="--", linewidth=1.2)
    _curve(grid[1, 0], course, course.std_dvars, "DVARS\n(standardised)")
    grid[0, 0].set_title(_left_out(course), loc="left", fontsize=10)
    for axes, bar, shown in zip(grid[2:, 0], grid[2:, 1], (before, after), strict=True):
        drawn = _signal(axes, shown, course)
        figure.colorbar(drawn, cax=bar, label="signal (SD)")
        axes.set_title(plain(shown.title), loc="left", fontsize=10)
    for row in grid[:2]:
        row[1].set_axis_off()
    for axes in grid[:, 0]:
        axes.set_xlim(0, len(course.displacement_mm) * course.repetition_time_s)
    for axes in grid[:-1, 0]:
        axes.tick_params(labelbottom=False)
    grid[-1, 0].set_xlabel("time (s)")
    figure.align_ylabels(grid[:, 0])
    figure.tight_layout(h_pad=0.4)
    return figure


def _left_out(course: Course) -> str:
    n_out, n_volumes = int(course.censored.sum()), len(course.censored)
    return f"{n_out} of {n_volumes} volumes left out{' (orange)' if n_out else ''}"


def _curve(axes, course: Course, values: np.ndarray, label: str) -> None:
    """A value of each volume over its time; volumes that are left out in orange."""
    edges = np.arange(len(values) + 1) * course.repetition_time_s
    axes.plot(edges[:-1] + course.repetition_time_s / 2, values, color="black", linewidth=1)
    axes.set_ylim(0, 1.1 * max(np.nanmax(values, initial=0), course.threshold_mm or 0) or 1)
    for volume in np.flatnonzero(course.censored):
        axes.axvspan(edges[volume], edges[volume + 1], color=ORANGE, alpha=0.55, linewidth=0)
    axes.set_ylabel(label, fontsize=9)


def _signal(axes, shown: Carpet, course: Course):
    """Rows grouped by tissue; volumes without values are orange."""
    order = np.argsort(shown.tissue, kind="stable")
    rows, tissue = np.ma.masked_invalid(shown.signal[order]), shown.tissue[order]
    colours = colormaps["gray"].with_extremes(bad=ORANGE)
    drawn = axes.imshow(
        rows,
        aspect="auto",
        cmap=colours,
        vmin=-2,
        vmax=2,
        interpolation="nearest",
        extent=(0, rows.shape[1] * course.repetition_time_s, len(rows), 0),
    )
    present = [kind for kind in TISSUES if (tissue == kind).any()]
    ends = np.searchsorted(tissue, present, side="right")
    starts = np.searchsorted(tissue, present, side="left")
    for end in ends[:-1]:
        axes.axhline(end, color=VERMILION, linewidth=1.2)
    names = [TISSUES[kind] for kind in present]
    axes.set_yticks((starts + ends) / 2, names, rotation=90, va="center", fontsize=9)
    axes.tick_params(axis="y", length=0)
    return drawn


def _six_lines(axes, seconds: np.ndarray, columns: pd.DataFrame, factor: float) -> None:
    styles = zip(columns, (BLUE, GREEN, VERMILION), ("-", "--", ":"), "xyz", strict=True)
    for column, colour, dash, letter in styles:
        values = columns[column].to_numpy(dtype=float) * factor
        axes.plot(seconds, values, dash, color=colour, linewidth=1.3, label=letter)
    axes.axhline(0, color="0.8", linewidth=0.8, zorder=0)
    axes.legend(loc="center left", bbox_to_anchor=(1, 0.5), fontsize=8, frameon=False)
