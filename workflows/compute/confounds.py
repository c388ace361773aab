"""Nuisance signals of a BOLD run, with fMRIPrep's column names and definitions."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd

from workflows.compute.motion import MOTION_COLUMNS, framewise_displacement

TISSUE_COLUMNS = ("csf", "white_matter", "global_signal")
TERMS = ("", "_derivative1", "_power2", "_derivative1_power2")
STEADY_STATE_VOLUMES = 50
BLOCK_VOXELS = 20_000
COMPCOR_HIGH_PASS_HZ = 1 / 128


class Timing(NamedTuple):
    """Time from volume to volume, frequency up to which cosines are made, dummy volumes."""

    repetition_time_s: float
    high_pass_hz: float = COMPCOR_HIGH_PASS_HZ
    n_dummy: int = 0


def dvars(voxels, n_dummy=0):
    """Standardised DVARS and plain DVARS; the first value of both is NaN.

    The median over all brain voxels and volumes is brought to 1000 before. Standardised means
    divided by what a first-order autoregressive series of each voxel's robust spread would show
    (Nichols 2013), so that 1 is the expected value. Dummy volumes have values, but enter neither
    the median nor what is expected.

    Parameters
    ----------
    voxels : (n_voxels, n_volumes) array
        Brain voxels; those without variance are left out.
    n_dummy : int
        Leading volumes before the steady state.

    Returns
    -------
    std_dvars, dvars : (n_volumes,) arrays
    """
    scale, n_voxels, expected = 1000 / np.median(voxels[:, n_dummy:]), 0, 0.0
    squares = np.zeros(voxels.shape[1] - 1)
    for start in range(0, len(voxels), BLOCK_VOXELS):
        scaled = np.asarray(voxels[start : start + BLOCK_VOXELS], dtype=float) * scale
        upper, lower = np.percentile(scaled[:, n_dummy:], [75, 25], axis=1, method="lower")
        spread = (upper - lower) / 1.349
        scaled, spread = scaled[spread > 0], spread[spread > 0]
        steady = scaled[:, n_dummy:]
        centred = steady - steady.mean(axis=1, keepdims=True)
        lagged = (centred[:, 1:] * centred[:, :-1]).sum(axis=1) / (centred**2).sum(axis=1)
        expected += (np.sqrt(2 * (1 - lagged)) * spread).sum()
        squares += (np.diff(scaled, axis=1) ** 2).sum(axis=0)
        n_voxels += len(scaled)
    if not n_voxels:
        raise ValueError("voxels: no voxel varies over time")
    plain = np.concatenate([[np.nan], np.sqrt(squares / n_voxels)])
    return plain / (expected / n_voxels), plain


def expand(table):
    """Each column, its backward difference, and the squares of both (Satterthwaite et al. 2013).

    Parameters
    ----------
    table : DataFrame
        One row per volume. The first difference is NaN.
    """
    columns = {}
    for name in table.columns:
        values = table[name].to_numpy(dtype=float)
        difference = np.concatenate([[np.nan], np.diff(values)])
        terms = (values, difference, values**2, difference**2)
        columns |= {name + term: column for term, column in zip(TERMS, terms, strict=True)}
    return pd.DataFrame(columns)


def unsettled_volumes(confounds):
    """Volumes (n_volumes,) bool that a confound table names as before the steady state."""
    return confounds.filter(regex="^non_steady_state_outlier").to_numpy(bool).any(axis=1)


def settled_differences(confounds):
    """Confound table in which the difference from a dummy volume counts as no change.

    Dummy volumes are left out of a fit, but the difference of the first steady volume holds their
    brightness, which would make up most of a `_derivative1` column. A value that is missing stays
    so.

    Parameters
    ----------
    confounds : DataFrame
        A row per volume, with the columns non_steady_state_outlierXX.
    """
    after = np.flatnonzero(unsettled_volumes(confounds)[:-1]) + 1
    table = confounds.copy()
    differences = table.columns.str.contains("_derivative1")
    table.iloc[after, np.flatnonzero(differences)] = 0.0
    return table


def cosine_basis(n_volumes, first, last):
    """Discrete cosines (n_volumes, last - first + 1) of orders `first` to `last`, of length one.

    Order k swings k / 2 times over the run: its frequency is k / (2 x n_volumes x TR).
    """
    orders = np.arange(first, last + 1)
    phase = np.pi / n_volumes * (np.arange(n_volumes) + 0.5)
    return np.sqrt(2 / n_volumes) * np.cos(np.outer(phase, orders))


def cosine_order(n_volumes, repetition_time_s, frequency_hz):
    """Highest order of `cosine_basis` that is not faster than `frequency_hz`."""
    order = np.floor(2 * n_volumes * repetition_time_s * frequency_hz + 1e-9)
    return int(min(n_volumes - 1, order))


def slow_cosines(n_volumes, timing):
    """Cosines (n_volumes, n_cosines) that fMRIPrep removes before CompCor; zero in dummy volumes.

    As there, the order that just reaches the frequency is not among them.

    Parameters
    ----------
    n_volumes : int
    timing : Timing
    """
    n_settled = n_volumes - timing.n_dummy
    order = cosine_order(n_settled, timing.repetition_time_s, timing.high_pass_hz) - 1
    cosines = cosine_basis(n_settled, 1, order)
    return np.concatenate([np.zeros((timing.n_dummy, cosines.shape[1])), cosines])


def relative_rms(poses, centre, head_radius_mm=80.0):
    """Root mean square displacement (mm) from the volume before; the first value is NaN.

    Over all points of a sphere (Jenkinson 1999), as MCFLIRT's relative RMS and fMRIPrep's rmsd.

    Parameters
    ----------
    poses : (n_volumes, 4, 4) array
        Head poses, world mm.
    centre : (3,) array
        Centre of the sphere, mm: for MCFLIRT that of the image grid.
    head_radius_mm : float
    """
    moved = np.linalg.inv(poses[:-1]) @ poses[1:] - np.eye(4)
    turned = (moved[:, :3, :3] ** 2).sum(axis=(1, 2)) * head_radius_mm**2 / 5
    shift = moved[:, :3, :3] @ centre + moved[:, :3, 3]
    return np.concatenate([[np.nan], np.sqrt(turned + (shift**2).sum(axis=1))])


def motion_outliers(measures, fd_threshold_mm, std_dvars_threshold=None):
    """Volumes (n_volumes,) bool above a threshold; a first volume without a value is not.

    Parameters
    ----------
    measures : DataFrame
        Columns framewise_displacement (mm) and std_dvars, as far as they have a threshold.
    fd_threshold_mm, std_dvars_threshold : float or None
        None: no limit.
    """
    limits = {"framewise_displacement": fd_threshold_mm, "std_dvars": std_dvars_threshold}
    above = np.zeros(len(measures), dtype=bool)
    for column, limit in limits.items():
        if limit is not None:
            above |= measures[column].to_numpy(dtype=float) > limit
    return above


def one_hot(flags, prefix):
    """One column per flagged volume (1 there, 0 elsewhere): prefix00, prefix01, ..."""
    volumes = np.flatnonzero(flags)
    columns = np.zeros((len(flags), len(volumes)), dtype=int)
    columns[volumes, np.arange(len(volumes))] = 1
    names = [f"{prefix}{number:02d}" for number in range(len(volumes))]
    return pd.DataFrame(columns, columns=names)


def non_steady_state(global_signal):
    """Number of bright volumes at the start, before the magnetisation has settled.

    As in Nipype: leading volumes whose modified z-score among the first 50 is above 3.5.

    Parameters
    ----------
    global_signal : (n_volumes,) array
        Mean of the brain.
    """
    start = np.asarray(global_signal)[:STEADY_STATE_VOLUMES]
    away = start - np.median(start)
    spread = np.median(np.abs(away))
    if spread == 0:
        return 0
    bright = 0.6745 * away / spread > 3.5
    return len(bright) if bright.all() else int(np.argmin(bright))


def confound_table(
    parameters, tissues, both_dvars, timing, fd_threshold_mm, std_dvars_threshold=None
):
    """Confounds of one run: a row per volume, NaN where a difference has no predecessor.

    Parameters
    ----------
    parameters : (n_volumes, 6) array
        Motion, mm and rad.
    tissues : DataFrame
        Columns csf, white_matter, global_signal: mean signals. Further columns (csf_wm) are
        taken over as they are.
    both_dvars : (std_dvars, dvars)
        From `dvars`.
    timing : Timing
        Or a tuple of its values.
    fd_threshold_mm, std_dvars_threshold : float or None
        Volumes above get a motion_outlier column; see `motion_outliers`.
    """
    n_volumes, timing = len(parameters), Timing(*timing)
    cosines = slow_cosines(n_volumes, timing)
    measures = pd.DataFrame(
        {
            "framewise_displacement": framewise_displacement(parameters),
            "std_dvars": both_dvars[0],
            "dvars": both_dvars[1],
        }
    )
    unsettled = np.arange(n_volumes) < timing.n_dummy
    moved = motion_outliers(measures, fd_threshold_mm, std_dvars_threshold)
    parts = [
        expand(pd.DataFrame(parameters, columns=list(MOTION_COLUMNS))),
        expand(tissues[list(TISSUE_COLUMNS)]),
        tissues.drop(columns=list(TISSUE_COLUMNS)),
        measures,
        pd.DataFrame(cosines, columns=[f"cosine{k:02d}" for k in range(cosines.shape[1])]),
        one_hot(unsettled, "non_steady_state_outlier"),
        one_hot(moved, "motion_outlier"),
    ]
    return pd.concat(parts, axis=1)


MEAN = {"Method": "Mean"}
PLAIN_MEANINGS = {
    "csf": ("Mean signal of the core of the cerebrospinal fluid", "arbitrary"),
    "white_matter": ("Mean signal of the core of the white matter", "arbitrary"),
    "csf_wm": ("Mean signal of the cores of fluid and white matter together", "arbitrary"),
    "global_signal": ("Mean signal of the brain mask", "arbitrary"),
    "framewise_displacement": (
        "Sum of absolute differences of the motion parameters, rotations as arcs on a sphere of "
        "50 mm (Power 2012)",
        "mm",
    ),
    "rmsd": (
        "Root mean square displacement from the volume before, over a sphere of 80 mm about the "
        "centre of the grid (Jenkinson 1999)",
        "mm",
    ),
    "std_dvars": ("DVARS divided by its expected value (Nichols 2013)", "1"),
    "dvars": ("Root mean square change of the brain, its median scaled to 1000", "arbitrary"),
}
MOTION_MEANINGS = {
    "trans": ("Translation onto the reference volume along {} in MCFLIRT's conventions", "mm"),
    "rot": ("Rotation onto the reference volume about {} in MCFLIRT's conventions", "rad"),
}
NUMBERED_MEANINGS = {
    "cosine": ("Slow cosine that was removed before CompCor", "arbitrary"),
    "non_steady_state_outlier": ("1 in one volume before the signal settled, else 0", "1"),
    "motion_outlier": ("1 in one volume above a threshold of motion or change, else 0", "1"),
}
TERM_MEANINGS = {
    "_derivative1_power2": ", squared backward difference",
    "_derivative1": ", backward difference",
    "_power2": ", squared",
}


def confound_meanings(columns, components=None):
    """BIDS dictionary of confound columns: description and units of each.

    Parameters
    ----------
    columns : sequence of str
        Names made by `confound_table` or listed in `components`.
    components : dict of column -> BIDS fields, optional
        The facts of `compcor`.
    """
    known = components or {}
    return {name: known[name] if name in known else _meaning(name) for name in columns}


def _meaning(name):
    term = next((ending for ending in TERM_MEANINGS if name.endswith(ending)), "")
    plain = name.removesuffix(term)
    kind, _, axis = plain.partition("_")
    if kind in MOTION_MEANINGS:
        text, units = MOTION_MEANINGS[kind]
        text = text.format(axis)
    else:
        known = PLAIN_MEANINGS | NUMBERED_MEANINGS
        text, units = known[plain.rstrip("0123456789") if plain not in known else plain]
    power = "^2" if term.endswith("power2") and units != "1" and units != "arbitrary" else ""
    averaged = MEAN if name in (*TISSUE_COLUMNS, "csf_wm") else {}
    return {"Description": text + TERM_MEANINGS.get(term, ""), "Units": units + power} | averaged
