"""Head motion and signal of one BOLD run over time."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from workflows.drawing.canvas import BLUE, GREEN, VERMILION, blank_figure

TRANSLATIONS = ("trans_x", "trans_y", "trans_z")
ROTATIONS = ("rot_x", "rot_y", "rot_z")
TISSUES = {1: "grey matter", 2: "white matter", 3: "CSF"}


def motion_trace(confounds: pd.DataFrame, repetition_time_s: float, threshold_mm: float) -> Figure:
    """Framewise displacement with its threshold, translations (mm) and rotations (degrees)."""
    figure = blank_figure(11, 5.2)
    rows = figure.subplots(3, 1, sharex=True)
    seconds = np.arange(len(confounds)) * repetition_time_s
    displacement = confounds["framewise_displacement"].to_numpy(dtype=float)
    n_over = int((displacement > threshold_mm).sum())
    rows[0].plot(seconds, displacement, color="black", linewidth=1)
    rows[0].axhline(threshold_mm, color=VERMILION, linestyle="--", linewidth=1.2)
    rows[0].set_ylim(0, 1.15 * max(threshold_mm, np.nanmax(displacement, initial=0)))
    rows[0].set_title(
        f"{n_over} of {len(confounds)} volumes above {threshold_mm:g} mm; "
        f"mean {np.nanmean(displacement):.2f} mm",
        loc="left",
        fontsize=10,
    )
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


def carpet(signal: np.ndarray, tissue: np.ndarray, repetition_time_s: float) -> Figure:
    """Signal of many voxels over time, one row a voxel, grouped by tissue.

    Parameters
    ----------
    signal : array (n_voxels, n_volumes)
        Any unit; each row is shown as standard deviations from its own mean.
    tissue : array (n_voxels,)
        1 grey matter, 2 white matter, 3 CSF.
    repetition_time_s : float
        Time between two volumes.
    """
    if signal.ndim != 2 or tissue.shape != signal.shape[:1]:
        raise ValueError(f"tissue: {tissue.shape} does not fit signal {signal.shape}")
    order = np.argsort(tissue, kind="stable")
    rows = standardised(signal[order])
    figure = blank_figure(11, 4.6)
    axes, bar = figure.subplots(1, 2, width_ratios=(60, 1))
    shown = axes.imshow(
        rows,
        aspect="auto",
        cmap="gray",
        vmin=-2,
        vmax=2,
        interpolation="nearest",
        extent=(0, signal.shape[1] * repetition_time_s, len(rows), 0),
    )
    present = [t for t in TISSUES if (tissue == t).any()]
    ends = np.searchsorted(tissue[order], present, side="right")
    starts = np.searchsorted(tissue[order], present, side="left")
    for end in ends[:-1]:
        axes.axhline(end, color=VERMILION, linewidth=1.2)
    axes.set_yticks((starts + ends) / 2, [TISSUES[t] for t in present], rotation=90, va="center")
    axes.tick_params(axis="y", length=0)
    axes.set_xlabel("time (s)")
    figure.colorbar(shown, cax=bar, label="signal (SD of the voxel)")
    figure.tight_layout()
    return figure


def standardised(signal: np.ndarray) -> np.ndarray:
    """Rows with mean 0 and standard deviation 1; a constant row becomes 0."""
    centred = signal - signal.mean(axis=1, keepdims=True)
    spread = centred.std(axis=1, keepdims=True)
    return np.divide(centred, spread, out=np.zeros_like(centred, dtype=float), where=spread > 0)


def _six_lines(axes, seconds: np.ndarray, columns: pd.DataFrame, factor: float) -> None:
    styles = zip(columns, (BLUE, GREEN, VERMILION), ("-", "--", ":"), "xyz", strict=True)
    for column, colour, dash, letter in styles:
        values = columns[column].to_numpy(dtype=float) * factor
        axes.plot(seconds, values, dash, color=colour, linewidth=1.3, label=letter)
    axes.axhline(0, color="0.8", linewidth=0.8, zorder=0)
    axes.legend(loc="center left", bbox_to_anchor=(1, 0.5), fontsize=8, frameon=False)
