"""Local activity of each voxel: size of its slow fluctuations, agreement with its neighbours."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from workflows.compute.denoise import project_out

SLOW_BAND_HZ = (0.01, 0.08)
MIN_NEIGHBOURS = 14
MIN_LEFT = 0.1
BLOCK_VALUES = 2**23


@dataclass(frozen=True)
class Cleaning:
    """How the kept volumes of any voxel are cleaned.

    `kept` (n_volumes,) bool; `operator` (n_kept, n_kept), a symmetric projection, which takes the
    values of the kept volumes to their cleaned values; NaN if no degree of freedom is left, empty
    if no volume is kept.
    """

    kept: np.ndarray
    operator: np.ndarray


@dataclass(frozen=True)
class Spectrum:
    """How the amplitude of each frequency follows from the values of the kept volumes.

    `waves` (2 x n_frequencies, n_kept) are cosines, then sines, cleaned and scaled to power
    spectral density; `left` (n_frequencies,) is the share of each frequency that cleaning leaves.
    """

    frequencies_hz: np.ndarray
    waves: np.ndarray
    left: np.ndarray


def cleaning_of(design, kept):
    """Cleaning by a nuisance design (n_volumes, n_columns), one matrix for all voxels."""
    every = project_out(np.eye(len(kept)), design, kept).series
    return Cleaning(np.asarray(kept), every[np.ix_(kept, kept)])


def spectrum_of(cleaning, repetition_time_s):
    """Least-squares spectrum of the kept volumes after cleaning, as a Spectrum.

    At each frequency k / (n_volumes x TR) a cosine and a sine are fitted to the cleaned values of
    the kept volumes (Lomb 1976, Scargle 1982); without censoring that is the Fourier transform.
    What the cleaning itself takes away of a frequency is made up for, as far as more than MIN_LEFT
    of it is left, so that a run with more confounds or censored volumes has no smaller amplitudes;
    other frequencies are left out.
    """
    n_volumes, times = len(cleaning.kept), np.flatnonzero(cleaning.kept)
    orders = np.arange(1, (n_volumes - 1) // 2 + 1)
    phase = 2 * np.pi / n_volumes * np.outer(orders, times)
    shift = np.angle(np.exp(2j * phase).sum(axis=1, keepdims=True)) / 2
    pair = np.stack([np.cos(phase - shift), np.sin(phase - shift)])  # orthogonal at these times
    length = np.linalg.norm(pair, axis=2, keepdims=True)
    pair = np.divide(pair, length, out=np.zeros_like(pair), where=length > 1e-6)
    cleaned = pair @ cleaning.operator
    left = (cleaned * pair).sum(axis=2).mean(axis=0)
    there = left > MIN_LEFT
    waves = cleaned[:, there] * np.sqrt(repetition_time_s / left[there])[:, None]
    frequencies_hz = orders[there] / (n_volumes * repetition_time_s)
    return Spectrum(frequencies_hz, waves.reshape(2 * there.sum(), len(times)), left[there])


def slow_amplitude(voxels, cleaning, spectrum, band_hz=SLOW_BAND_HZ):
    """ALFF and fALFF of each voxel, two (n_voxels,) arrays.

    ALFF is the mean over the band of the square root of the power spectral density (Zang et al.
    2007), in percent of the mean of the voxel per root Hz; noise has the same whatever the number
    of volumes. fALFF is the sum of these roots in the band divided by that over all frequencies
    (Zou et al. 2008). NaN where the mean is not above 0, and throughout if no frequency of the
    band is left.

    Parameters
    ----------
    voxels : (n_voxels, n_volumes) array
        Measured values, finite.
    cleaning : Cleaning
        Without a low-pass filter.
    spectrum : Spectrum
        Of this cleaning.
    band_hz : (low, high)
        Frequencies of the band, both included.
    """
    low, high = band_hz
    inside = (spectrum.frequencies_hz >= low - 1e-9) & (spectrum.frequencies_hz <= high + 1e-9)
    alff, falff = np.full((2, len(voxels)), np.nan)
    if not inside.any():
        return alff, falff
    waves = np.asarray(spectrum.waves.T, dtype=np.float32)
    for part in _blocks(voxels):
        values = np.asarray(voxels[part][:, cleaning.kept], dtype=np.float32)
        mean = values.mean(axis=1, keepdims=True)
        mean = np.where(mean > 0, mean, np.nan)
        cosine, sine = np.split((values / mean - 1) * 100 @ waves, 2, axis=1)
        density = np.sqrt(cosine**2 + sine**2)
        alff[part] = density[:, inside].mean(axis=1)
        total = density.sum(axis=1)
        falff[part] = density[:, inside].sum(axis=1) / np.where(total > 0, total, np.nan)
    return alff, falff


def regional_homogeneity(voxels, cleaning, mask):
    """Kendall's W of each voxel with its neighbours (n_voxels,), 0 to 1 (Zang et al. 2004).

    The neighbours are those of the 27 voxels around and including it that lie in the mask; NaN
    with fewer than MIN_NEIGHBOURS, for W of few voxels is larger by chance.

    Parameters
    ----------
    voxels : (n_voxels, n_volumes) array
        Measured values, finite, in the order of `array[mask]`.
    cleaning : Cleaning
        As for connectivity, with its filter.
    mask : (i, j, k) bool array
        The voxels.
    """
    if not (cleaning.operator.size and np.isfinite(cleaning.operator).all() and len(voxels)):
        return np.full(len(voxels), np.nan)
    ranks = _ranks(voxels, cleaning)
    n_kept = ranks.shape[1]
    box = mask[ndimage.find_objects(mask.astype(np.uint8))[0]]
    n_neighbours = _box_sum(box[..., None].astype(np.float32))[box][:, 0]
    total = np.zeros(len(voxels))
    step = max(1, BLOCK_VALUES // box.size)
    for start in range(0, n_kept, step):
        part = ranks[:, start : start + step]
        volume = np.zeros((*box.shape, part.shape[1]), dtype=np.float32)
        volume[box] = part - np.float32((n_kept - 1) / 2)
        total += (_box_sum(volume)[box] ** 2).sum(axis=1, dtype=float)
    agreement = 12 * total / (n_neighbours.astype(float) ** 2 * (n_kept**3 - n_kept))
    return np.where(n_neighbours >= MIN_NEIGHBOURS, agreement, np.nan)


def _ranks(voxels, cleaning):
    """Rank over time of each cleaned value, from 0, (n_voxels, n_kept)."""
    n_kept = int(cleaning.kept.sum())
    ranks = np.empty((len(voxels), n_kept), dtype=np.uint16)
    operator = np.asarray(cleaning.operator, dtype=np.float32)
    in_order = np.arange(n_kept, dtype=np.uint16)[None]
    for part in _blocks(voxels):
        values = np.asarray(voxels[part][:, cleaning.kept], dtype=np.float32)
        values = (values - values.mean(axis=1, keepdims=True)) @ operator
        np.put_along_axis(ranks[part], np.argsort(values, axis=1), in_order, axis=1)
    return ranks


def _box_sum(volume):
    """Sum (i, j, k, n) over the voxel and its neighbours along the first three axes."""
    for axis in range(3):
        moved = np.moveaxis(volume, axis, 0)
        total = moved.copy()
        total[1:] += moved[:-1]
        total[:-1] += moved[1:]
        volume = np.moveaxis(total, 0, axis)
    return volume


def _blocks(voxels):
    step = max(1, BLOCK_VALUES // max(1, voxels.shape[1]))
    return [slice(start, start + step) for start in range(0, len(voxels), step)]
