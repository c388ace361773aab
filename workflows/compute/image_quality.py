"""Quality of one T1-weighted image: noise, contrast, bias field, blur, motion, air, overlap.

Most measures are those of MRIQC (Esteban 2017), from the published formulas. Arrays are volumes
(i, j, k) with axes in RAS+ order. Tissue is partial, 0..1: a voxel counts as a tissue where at
least `PURE` of it is. Measures of the brain take its place from the template of the participant,
so that they compare the same anatomy in all sessions.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

PURE = 0.9
MIN_VOXELS = 50
NORMAL_MAD = 1.4826
RAYLEIGH_SD = float(np.sqrt(2 - np.pi / 2))
"""Standard deviation of magnitude noise in air, where that of each channel is 1."""

COARSE_MM = 4.0
HEAD_LEVEL = 0.3
CLOSING_MM = 12.0
AIR_GAP_MM = 10.0
RIM_VOXELS = 3
MIN_AIR_SHARE = 0.1
DARK_PCT = 20
NOISE_PCTS = (5, 25)
NOISE_REACH = 2.7
"""How many times the distance of the two percentiles noise goes beyond the second: 1.9 standard
deviations of a channel, so that a voxel and its six neighbours do so once in 300,000 times."""
BRIGHTEST_PCT = 99.95


@dataclass(frozen=True)
class QualityMeasure:
    """Name, unit, which direction is better (higher, lower, neither), and what it says."""

    name: str
    unit: str
    better: str
    description: str


NEEDS_AIR = " n/a where the air was set to zero."

QUALITY_MEASURES = (
    QualityMeasure(
        "cjv",
        "1",
        "lower",
        "Coefficient of joint variation: spread of grey plus spread of white matter over the "
        "distance of their medians (Ganzetti 2016).",
    ),
    QualityMeasure(
        "cnr",
        "1",
        "higher",
        "Contrast of grey and white matter over the noise of both and of air (Magnotta 2006). "
        "Air that was set to zero counts as no noise.",
    ),
    QualityMeasure(
        "snr_gm",
        "1",
        "higher",
        "Median over standard deviation in grey matter (Esteban 2017).",
    ),
    QualityMeasure(
        "snr_wm",
        "1",
        "higher",
        "Median over standard deviation in white matter (Esteban 2017).",
    ),
    QualityMeasure(
        "snr_csf",
        "1",
        "higher",
        "Median over standard deviation in CSF (Esteban 2017).",
    ),
    QualityMeasure("snr_total", "1", "higher", "Mean of snr_gm, snr_wm and snr_csf."),
    QualityMeasure(
        "efc",
        "1",
        "lower",
        "Entropy focus criterion: 1 where the energy is the same in all voxels; ghosts and blur "
        "raise it (Atkinson 1997). Voxels that were set to zero do not count.",
    ),
    QualityMeasure(
        "fber",
        "1",
        "higher",
        "Median energy of head over that of air, above the middle of the brain (Shehzad 2015)."
        + NEEDS_AIR,
    ),
    QualityMeasure(
        "wm2max",
        "1",
        "neither",
        "Median of white matter over the 99.95th percentile of the image; low where fat or "
        "vessels are very bright (Esteban 2017).",
    ),
    QualityMeasure(
        "inu_med",
        "1",
        "neither",
        "Median bias field in the brain: image as it came over corrected image; 1 is none "
        "(Tustison 2010).",
    ),
    QualityMeasure(
        "inu_range",
        "1",
        "lower",
        "95th minus 5th percentile of the bias field in the brain, over its median "
        "(Tustison 2010).",
    ),
    QualityMeasure(
        "fwhm_avg",
        "mm",
        "lower",
        "Smoothness of the image in the brain, full width at half maximum, from neighbouring "
        "voxels, mean of three axes (Forman 1995).",
    ),
    QualityMeasure(
        "qi_1",
        "1",
        "lower",
        "Share of the air above the middle of the brain that holds artefacts (Mortamet 2009)."
        + NEEDS_AIR,
    ),
    QualityMeasure(
        "snrd_total",
        "1",
        "higher",
        "Median of tissue over noise of air, mean of grey, white and CSF (Dietrich 2007)."
        + NEEDS_AIR,
    ),
    QualityMeasure(
        "edge_sharpness",
        "1/mm",
        "higher",
        "Slope of brightness across the edges grey/white and grey/CSF in contrasts per mm; blur "
        "and motion lower it (after the average edge strength of Aksoy 2012).",
    ),
    QualityMeasure(
        "gradient_entropy",
        "1",
        "lower",
        "Entropy of the gradient in the brain, 1 where it is the same everywhere; motion and noise "
        "raise it (McGee 2000).",
    ),
    QualityMeasure("mask_ml", "ml", "neither", "Volume of the session's own brain mask."),
    QualityMeasure(
        "mask_dice",
        "1",
        "higher",
        "Overlap of the session's own brain mask with that of the template (Dice 1945).",
    ),
    QualityMeasure(
        "registration_r",
        "1",
        "higher",
        "Correlation of session and template in the brain (Pearson).",
    ),
    QualityMeasure(
        "asymmetry",
        "%",
        "neither",
        "White matter of the image as it came, brightness left minus right over their mean; "
        "missing parts count as dark, so that shading and a cut field of view show.",
    ),
)


@dataclass(frozen=True)
class TissueBrightness:
    """Brightness of the voxels of one tissue; all NaN where there are too few."""

    median: float
    sd: float
    robust_sd: float


@dataclass(frozen=True)
class UpperHead:
    """The slices above the middle of the brain, and which voxels of them are head and air."""

    volume: np.ndarray
    head: np.ndarray
    air: np.ndarray


@dataclass(frozen=True)
class BrainImages:
    """One session in a box around its brain, with what the template says about it.

    Parameters
    ----------
    uncorrected, corrected : array, (i, j, k)
        Session as it came and without bias field.
    mask : bool array, (i, j, k)
        Its own brain mask.
    template : array, (i, j, k)
        Template, moved to the session.
    template_mask : bool array, (i, j, k)
        Brain mask of the template, moved to the session.
    fractions : array, (3, i, j, k), 0..1
        Grey matter, white matter, CSF of the template, moved to the session.
    brightest : float
        `brightest` of the whole corrected image, of which the box is a part.
    """

    uncorrected: np.ndarray
    corrected: np.ndarray
    mask: np.ndarray
    template: np.ndarray
    template_mask: np.ndarray
    fractions: np.ndarray
    brightest: float


def robust_sd(values):
    """Standard deviation from the median absolute deviation, as if values were normal."""
    return float(NORMAL_MAD * np.median(np.abs(values - np.median(values))))


def tissue_brightness(volume, fraction):
    """Brightness (`TissueBrightness`) of the voxels that are one tissue to at least `PURE`.

    Parameters
    ----------
    volume : array, (i, j, k)
        Image.
    fraction : array, (i, j, k), 0..1
        How much of each voxel is this tissue.

    Returns
    -------
    TissueBrightness
        NaN where there are fewer than `MIN_VOXELS` such voxels.
    """
    values = volume[fraction >= PURE].astype(float)
    if values.size < MIN_VOXELS:
        return TissueBrightness(np.nan, np.nan, np.nan)
    return TissueBrightness(float(np.median(values)), float(values.std(ddof=1)), robust_sd(values))


def joint_variation(grey, white):
    """Coefficient of joint variation of two tissues (Ganzetti 2016); NaN without contrast."""
    return _ratio(grey.robust_sd + white.robust_sd, abs(white.median - grey.median))


def contrast_to_noise(grey, white, air_sd):
    """Contrast of two tissues over their noise and that of air (Magnotta and Friedman 2006).

    Parameters
    ----------
    grey, white : TissueBrightness
        Of the same image.
    air_sd : float
        Standard deviation in air, in the same unit; NaN (unknown) counts as 0.
    """
    noise = np.sqrt(np.nan_to_num(air_sd) ** 2 + grey.sd**2 + white.sd**2)
    return _ratio(abs(white.median - grey.median), noise)


def signal_to_noise(tissue):
    """Median of a tissue over its standard deviation; NaN where that is 0."""
    return _ratio(tissue.median, tissue.sd)


def air_signal_to_noise(median, air_sd):
    """Median of a tissue over the noise that is behind the magnitude noise of air.

    Parameters
    ----------
    median : float
        Of the tissue.
    air_sd : float
        Standard deviation of the magnitude image in air.

    References
    ----------
    Dietrich et al. 2007.
    """
    return _ratio(median * RAYLEIGH_SD, air_sd)


def entropy_focus(volume, seen):
    """Entropy focus criterion, 0 (all energy in one voxel) to 1 (the same in all voxels).

    Parameters
    ----------
    volume : array, (i, j, k)
        Image, zero or positive.
    seen : bool array, (i, j, k)
        Voxels that count.

    Returns
    -------
    float
        NaN with fewer than two voxels or no energy.

    References
    ----------
    Atkinson et al. 1997; divided by its largest possible value.
    """
    values = volume[seen]
    if values.size < 2 or not np.any(values):
        return np.nan
    share = np.abs(values) / np.float32(np.sqrt(np.square(values, dtype=float).sum()))
    share = share[share > 0]
    entropy = -(share * np.log(share)).sum(dtype=float)
    return float(entropy / (np.sqrt(values.size) * np.log(np.sqrt(values.size))))


def normalised_entropy(weights):
    """Shannon entropy of weights over the largest one that as many weights can have, 0..1.

    Parameters
    ----------
    weights : array, (n,)
        Zero or positive.

    Returns
    -------
    float
        NaN with fewer than two weights or if all are 0.
    """
    total = weights.sum(dtype=float)
    if weights.size < 2 or not total > 0:
        return np.nan
    share = weights[weights > 0] / total
    return float(-(share * np.log(share)).sum(dtype=float) / np.log(weights.size))


def gradient_entropy(volume, mask, voxel_mm):
    """Entropy of the length of the gradient in a mask, 0..1 (McGee 2000).

    Parameters
    ----------
    volume : array, (i, j, k)
        Image.
    mask : bool array, (i, j, k)
        Where.
    voxel_mm : array, (3,)
        Size of a voxel.
    """
    slopes = np.gradient(volume, *voxel_mm)
    return normalised_entropy(np.sqrt(sum(np.square(slope[mask]) for slope in slopes)))


def smoothness_mm(volume, mask, voxel_mm):
    """Full width at half maximum (3,) of the smoothness along each axis, mm.

    It is that of the Gaussian whose autocorrelation falls as much from a voxel to its neighbour.

    Parameters
    ----------
    volume : array, (i, j, k)
        Image.
    mask : bool array, (i, j, k)
        Only pairs of neighbours in it count.
    voxel_mm : array, (3,)
        Size of a voxel.

    Returns
    -------
    array
        Near 0 along an axis where neighbours are not alike; NaN where all steps are the same or
        the mask has no neighbours.

    References
    ----------
    Forman et al. 1995, as in 3dFWHMx -classic.
    """
    variance = float(np.var(volume[mask], dtype=float)) if mask.any() else 0.0
    widths = np.full(3, np.nan)
    for axis, size in enumerate(voxel_mm):
        first, second = (np.moveaxis(array, axis, 0) for array in (volume, mask))
        step = np.diff(first, axis=0)[second[1:] & second[:-1]]
        if step.size and variance > 0:
            alike = 1 - float(np.var(step, dtype=float)) / (2 * variance)
            if alike < 1:
                alike = max(alike, np.finfo(float).tiny)
                widths[axis] = size * np.sqrt(-2 * np.log(2) / np.log(alike))
    return widths


def brightest(volume):
    """Brightness that all but 0.05 % of the voxels do not reach.

    Taken from every second voxel along each axis, which is enough for a whole head.
    """
    return float(np.percentile(volume[::2, ::2, ::2], BRIGHTEST_PCT))


def bias_spread(field):
    """Median of a bias field and its 5th to 95th percentile over the median.

    Parameters
    ----------
    field : array, (n,)
        Image as it came over corrected image, in the brain.

    Returns
    -------
    tuple of float
        NaN for an empty field.
    """
    if not field.size:
        return np.nan, np.nan
    low, middle, high = np.percentile(field, [5, 50, 95])
    return float(middle), _ratio(high - low, middle)


def edge_sharpness(volume, fractions, medians, voxel_mm):
    """Slope of brightness across the edges of grey matter, in contrasts per mm.

    The slope is taken along the gradient of the tissue, so that noise does not add to it; a step
    from one tissue to the other within w mm has 1 / w. Mean of the two edges.

    Parameters
    ----------
    volume : array, (i, j, k)
        Image.
    fractions : array, (3, i, j, k), 0..1
        Grey matter, white matter, CSF.
    medians : sequence of float
        Brightness of the three.
    voxel_mm : array, (3,)
        Size of a voxel.

    Returns
    -------
    float
        NaN where an edge or its contrast is missing.

    References
    ----------
    After the average edge strength of Aksoy et al. 2012.
    """
    slopes = np.gradient(volume, *voxel_mm)
    grey = fractions[0]
    found = []
    for other in (1, 2):
        between = (grey + fractions[other] >= PURE) & (grey > 0) & (fractions[other] > 0)
        edge = [slope[between] for slope in np.gradient(fractions[other], *voxel_mm)]
        along = sum(
            (slope[between] * part).sum(dtype=float)
            for slope, part in zip(slopes, edge, strict=True)
        )
        length = np.sqrt(sum(np.square(part) for part in edge)).sum(dtype=float)
        found.append(_ratio(along, length * (medians[other] - medians[0])))
    return float(np.mean(found))


def dice(first_ml, second_ml, both_ml):
    """Overlap of two masks (Dice 1945) from their volumes and that of what they share."""
    return _ratio(2 * both_ml, first_ml + second_ml)


def side_difference_pct(volume, white, x_mm):
    """Brightness of white matter left minus right, in percent of their mean.

    Parameters
    ----------
    volume : array, (i, j, k)
        Image; 0 outside of its field of view.
    white : array, (i, j, k), 0..1
        White matter of the whole brain.
    x_mm : array, (i, j, k)
        Place from left (low) to right (high).

    Returns
    -------
    float
        The plane goes through the middle of white matter. NaN without white matter or brightness.
    """
    if not np.any(white):
        return np.nan
    left = x_mm < np.average(x_mm, weights=white)
    sides = [np.average(volume, weights=white * side) for side in (left, ~left)]
    return _ratio(100 * (sides[0] - sides[1]), (sides[0] + sides[1]) / 2)


def zeroed(volume):
    """Voxels (i, j, k), bool, in blocks of zeros: what defacing or a mask has removed.

    A single zero among noise is none: all six neighbours must be 0 too.
    """
    return ndimage.binary_erosion(volume == 0, border_value=1)


def upper_head(volume, brain, voxel_mm):
    """Head and air (`UpperHead`) in the slices above the middle of the brain.

    Below it the air is that of mouth and neck, and faces are often removed. Air is at
    least `AIR_GAP_MM` away from the head, and neither a block of zeros nor its rim, which
    interpolation has darkened.

    Parameters
    ----------
    volume : array, (i, j, k)
        Whole image, the last axis points up.
    brain : bool array, (i, j, k)
        Brain mask.
    voxel_mm : array, (3,)
        Size of a voxel.

    Raises
    ------
    ValueError
        The mask is empty.
    """
    heights = brain.sum(axis=(0, 1))
    if not heights.any():
        raise ValueError("brain: no voxel is set")
    middle = round(np.average(np.arange(len(heights)), weights=heights))
    volume, brain = volume[..., middle:], brain[..., middle:]
    step = np.maximum(1, np.rint(COARSE_MM / np.asarray(voxel_mm)).astype(int))
    head = _coarse_head(_blocks(volume, step), _blocks(brain, step) > 0.5, voxel_mm * step)
    near = ndimage.distance_transform_edt(~head, sampling=voxel_mm * step) < AIR_GAP_MM
    head, near = (_repeated(mask, step, volume.shape) for mask in (head, near))
    removed = ndimage.binary_dilation(zeroed(volume), iterations=RIM_VOXELS)
    return UpperHead(volume, head, ~near & ~removed)


def _coarse_head(volume, brain, voxel_mm):
    signal = volume[volume > 0]
    dark = np.percentile(signal, DARK_PCT) if signal.size else 0.0
    level = dark + HEAD_LEVEL * (np.median(volume[brain]) - dark)
    bright = (volume > level) | brain
    reach = np.ceil(CLOSING_MM / voxel_mm).astype(int)
    padded = np.pad(bright, [(n, n) for n in reach])
    padded = ndimage.distance_transform_edt(~padded, sampling=voxel_mm) < CLOSING_MM / 2
    closed = ndimage.distance_transform_edt(padded, sampling=voxel_mm) > CLOSING_MM / 2
    closed = closed[tuple(slice(n, -n) for n in reach)] | bright
    labels, _ = ndimage.label(closed)
    return np.isin(labels, np.unique(labels[brain]))


def _blocks(volume, step):
    """Mean of each block of `step` voxels; the last ones may be smaller."""
    for axis, n in enumerate(step):
        starts = np.arange(0, volume.shape[axis], n)
        sizes = np.diff(starts, append=volume.shape[axis])
        sums = np.add.reduceat(volume, starts, axis=axis, dtype=np.float32)
        volume = sums / np.expand_dims(sizes, tuple(i for i in range(3) if i != axis))
    return volume


def _repeated(mask, step, shape):
    sizes = zip(shape, step, mask.shape, strict=True)
    return mask[np.ix_(*(np.minimum(np.arange(n) // by, last - 1) for n, by, last in sizes))]


def has_air(upper):
    """Whether enough air is left to say something: not where it was set to zero."""
    outside = np.count_nonzero(~upper.head)
    return np.count_nonzero(upper.air) >= max(MIN_VOXELS, MIN_AIR_SHARE * outside)


def energy_ratio(upper):
    """Median energy of head over that of air (Shehzad 2015); NaN where air has none."""
    head, air = (np.median(upper.volume[mask]) ** 2 for mask in (upper.head, upper.air))
    return _ratio(head, air)


def artefact_share(upper):
    """Share of the air, 0..1, with artefacts.

    A voxel holds one if it and its six neighbours are brighter than noise, or if it is so and next
    to such a voxel. What noise is comes from the darkest quarter of the air, which ghosts leave
    alone.

    Returns
    -------
    float
        NaN where the darkest quarter is the same everywhere, as if cut off.

    References
    ----------
    Mortamet et al. 2009, quality index 1, with the mode of all air as threshold.
    """
    low, high = np.percentile(upper.volume[upper.air], NOISE_PCTS)
    if not high > low:
        return np.nan
    bright = (upper.volume > high + NOISE_REACH * (high - low)) & upper.air
    return float(np.count_nonzero(ndimage.binary_opening(bright)) / np.count_nonzero(upper.air))


def air_measures(volume, brain, voxel_mm):
    """Measures of the whole image as it came: `efc`, `fber`, `qi_1`, and its noise in air.

    Parameters
    ----------
    volume : array, (i, j, k)
        Whole image; the last axis points up.
    brain : bool array, (i, j, k)
        Brain mask.
    voxel_mm : array, (3,)
        Size of a voxel.

    Returns
    -------
    tuple of (dict of str -> float, float)
        Measures and the standard deviation in air, NaN where the air was set to zero.
    """
    found = {"efc": entropy_focus(volume, ~zeroed(volume)), "fber": np.nan, "qi_1": np.nan}
    upper = upper_head(volume, brain, voxel_mm)
    if not has_air(upper):
        return found, np.nan
    found |= {"fber": energy_ratio(upper), "qi_1": artefact_share(upper)}
    return found, robust_sd(upper.volume[upper.air])


def brain_measures(images, air_sd, voxel_mm):
    """Measures of the brain, by name.

    Parameters
    ----------
    images : BrainImages
        Session and template.
    air_sd : float
        Standard deviation in air of the image as it came; NaN if not known.
    voxel_mm : array, (3,)
        Size of a voxel.

    Returns
    -------
    dict of str -> float
        Those of `QUALITY_MEASURES` that need no more than the images; NaN where a measure does
        not exist.
    """
    volume, inside = images.corrected, images.template_mask
    grey, white, csf = (tissue_brightness(volume, part) for part in images.fractions)
    tissues = (grey, white, csf)
    known = images.mask & (images.uncorrected > 0) & (volume > 0)
    level, spread = bias_spread(images.uncorrected[known] / volume[known])
    corrected_sd = _ratio(air_sd, level)
    snr = [signal_to_noise(tissue) for tissue in tissues]
    medians = [tissue.median for tissue in tissues]
    return {
        "cjv": joint_variation(grey, white),
        "cnr": contrast_to_noise(grey, white, corrected_sd),
        **dict(zip(("snr_gm", "snr_wm", "snr_csf"), snr, strict=True)),
        "snr_total": float(np.mean(snr)),
        "wm2max": _ratio(white.median, images.brightest),
        "inu_med": level,
        "inu_range": spread,
        "fwhm_avg": float(np.mean(smoothness_mm(volume, inside, voxel_mm))),
        "snrd_total": float(np.mean([air_signal_to_noise(m, corrected_sd) for m in medians])),
        "edge_sharpness": edge_sharpness(volume, images.fractions, medians, voxel_mm),
        "gradient_entropy": gradient_entropy(volume, inside, voxel_mm),
        "registration_r": correlation(volume[inside], images.template[inside]),
    }


def correlation(first, second):
    """Pearson correlation of two arrays (n,); NaN where one of them is the same everywhere."""
    if not first.size:
        return np.nan
    first, second = (values - values.mean(dtype=float) for values in (first, second))
    both = (first * second).sum(dtype=float)
    return _ratio(both, np.sqrt(np.square(first).sum() * np.square(second).sum()))


def _ratio(above, below):
    return float(above / below) if below else np.nan
