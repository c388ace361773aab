"""Tissue classes of the template and, with the same model, of each session.

The five classes are in the order of their intensities in a T1-weighted image: CSF, CSF with
grey, grey, grey with white, white. `FRACTIONS` says how much of each tissue is in each class.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage, stats

FRACTIONS = np.array([[0, 0.5, 1, 0.5, 0], [0, 0, 0, 0.5, 1], [1, 0.5, 0, 0, 0]])
GREY, WHITE, CSF = range(3)
PURE = (0, 2, 4)
MEAN_SIGMA_MM = 8.0
PRIOR_SIGMA_MM = 0.8
PRIOR_FLOOR = 0.02
EXPECTED_FLOOR = 0.05
OTHER_LABEL_WEIGHT = 0.3
SURE = 0.8


def first_labels(volume, mask):
    """Labels (i, j, k), uint8, of a k-means of the intensities: CSF 1, grey 2, white 3.

    Parameters
    ----------
    volume : array, (i, j, k)
        T1-weighted image.
    mask : bool array, (i, j, k)
        Brain; 0 outside.

    Raises
    ------
    ValueError
        The brain does not have three intensities.
    """
    values = volume[mask]
    centres = np.percentile(values, [5, 45, 90]) if values.size else np.zeros(3)
    if len(np.unique(centres)) < 3:
        raise ValueError("volume: fewer than three intensities in the brain")
    for _ in range(100):
        classes = np.searchsorted((centres[1:] + centres[:-1]) / 2, values)
        counts = np.bincount(classes, minlength=3)
        if not counts.all():
            raise ValueError("volume: fewer than three intensities in the brain")
        new = np.bincount(classes, values, minlength=3) / counts
        if np.allclose(new, centres, rtol=1e-6):
            break
        centres = new
    labels = np.zeros(mask.shape, np.uint8)
    labels[mask] = classes + 1
    return labels


def tissue_agreement(volume, mask, grey, white):
    """How well the tissues of a standard brain tell the intensities of an image apart, 0..1.

    The chance that a voxel of white matter is brighter than one of grey matter, and that one of
    grey matter is brighter than one of fluid; the smaller of the two. .5 is chance. No intensity
    has to be known.

    Parameters
    ----------
    volume : array, (i, j, k)
        T1-weighted brain.
    mask : bool array, (i, j, k)
        Brain.
    grey, white : array, (i, j, k), 0..1
        Tissue maps of the standard brain, registered; the rest of the brain is fluid.

    Returns
    -------
    float
        NaN where a tissue has no voxels.

    References
    ----------
    Hanley and McNeil 1982 (area under the curve).
    """
    tissues = [
        volume[mask & (white > SURE)],
        volume[mask & (grey > SURE)],
        volume[mask & (grey < 1 - SURE) & (white < 1 - SURE)],
    ]
    return min(_chance_of_more(tissues[0], tissues[1]), _chance_of_more(tissues[1], tissues[2]))


def _chance_of_more(first, second):
    if not (first.size and second.size):
        return float("nan")
    ranks = stats.rankdata(np.concatenate([first, second]))[: first.size]
    beaten = ranks.sum(dtype=float) / first.size - (first.size + 1) / 2
    return float(beaten / second.size)


def expected_classes(grey, white, mask):
    """Probability (i, j, k, 5) of each class before the image is seen.

    Parameters
    ----------
    grey, white : array, (i, j, k), 0..1
        Tissue maps of a standard brain, registered; the rest of the brain is CSF.
    mask : bool array, (i, j, k)
        Brain; 0 outside.

    Raises
    ------
    ValueError
        Shapes differ.
    """
    if not grey.shape == white.shape == mask.shape:
        raise ValueError("grey, white, mask: shapes differ")
    grey, white = np.clip(grey, 0, 1), np.clip(white, 0, 1)
    csf = np.clip(1 - grey - white, 0, 1)
    classes = np.stack([csf, 2 * csf * grey, grey, 2 * grey * white, white], axis=-1)
    classes = (classes + EXPECTED_FLOOR) * mask[..., None]
    return (classes / np.maximum(classes.sum(axis=-1, keepdims=True), 1e-30)).astype(np.float32)


def template_classes(volume, expected, voxel_mm, n_rounds):
    """Probability (i, j, k, 5) of each class in the template.

    Parameters
    ----------
    volume : array, (i, j, k)
        Bias-corrected T1-weighted template.
    expected : array, (i, j, k, 5)
        From `expected_classes`; without it deep grey matter, which is nearly as bright as
        white matter, would be lost. Zero outside the brain.
    voxel_mm : float
        Size of the isotropic voxels.
    n_rounds : int
        Rounds of local means, noise and `session_classes`, each with the last answer, times
        what is expected, as prior.

    Raises
    ------
    ValueError
        The brain does not have three intensities.
    """
    labels = first_labels(volume, expected.sum(axis=-1) > 0)
    classes = np.zeros_like(expected)
    for label, k in enumerate(PURE, start=1):
        classes[..., k] = expected[..., k] * np.where(labels == label, 1, OTHER_LABEL_WEIGHT)
    classes /= np.maximum(classes.sum(axis=-1, keepdims=True), 1e-30)
    for _ in range(n_rounds):
        means = class_means(volume, classes, voxel_mm)
        noise = class_noise([volume], means, classes)
        prior = smoothed_prior(classes, voxel_mm) * expected
        classes = session_classes(volume, means, prior, noise)
    return classes


def smoothed_prior(classes, voxel_mm):
    """Prior (i, j, k, 5) made of smoothed classes; never 0 inside the brain, 0 outside.

    Parameters
    ----------
    classes : array, (i, j, k, 5), 0..1
        Zero outside the brain.
    voxel_mm : float
        Size of the isotropic voxels.
    """
    sigma = [PRIOR_SIGMA_MM / voxel_mm] * 3 + [0]
    smooth = ndimage.gaussian_filter(classes.astype(np.float32), sigma)
    return (smooth + PRIOR_FLOOR) * (classes.sum(axis=-1, keepdims=True) > 0)


def tissue_fractions(classes):
    """Grey, white and CSF fraction (3, i, j, k), 0..1, of five classes (i, j, k, 5).

    Raises
    ------
    ValueError
        There are not five classes.
    """
    if classes.shape[-1] != FRACTIONS.shape[1]:
        raise ValueError(f"classes: five are needed, found {classes.shape[-1]}")
    return np.moveaxis(classes.astype(np.float32) @ FRACTIONS.T.astype(np.float32), -1, 0)


def hard_labels(fractions, mask):
    """Labels (i, j, k), uint8: grey 1, white 2, CSF 3, outside the mask 0.

    Parameters
    ----------
    fractions : array, (3, i, j, k)
        Grey, white, CSF.
    mask : bool array, (i, j, k)
        Brain.
    """
    return np.where(mask, np.argmax(fractions, axis=0) + 1, 0).astype(np.uint8)


def class_means(volume, classes, voxel_mm):
    """Local mean intensity (i, j, k, 5) of each class.

    Parameters
    ----------
    volume : array, (i, j, k)
        The template.
    classes : array, (i, j, k, 5), 0..1
        Its classes; zero outside the brain.
    voxel_mm : float
        Size of its isotropic voxels.

    Returns
    -------
    array
        Pure classes: mean with Gaussian weights (sigma `MEAN_SIGMA_MM`), near the mean of the
        whole brain where the class is rare. Mixed classes: the middle of their neighbours.

    Raises
    ------
    ValueError
        A pure class is empty.
    """
    sigma = MEAN_SIGMA_MM / voxel_mm
    means = np.empty(classes.shape, np.float32)
    for k in PURE:
        weight = classes[..., k].astype(np.float32)
        total = weight.sum(dtype=float)
        if not total > 0:
            raise ValueError(f"classes: class {k} is empty")
        overall = float((weight * volume).sum(dtype=float) / total)
        near = ndimage.gaussian_filter(weight, sigma)
        away = ndimage.gaussian_filter(weight * (volume - overall), sigma)
        means[..., k] = overall + away / (near + 0.05)
    means[..., 1] = (means[..., 0] + means[..., 2]) / 2
    means[..., 3] = (means[..., 2] + means[..., 4]) / 2
    return means


def class_noise(volumes, means, classes):
    """Standard deviation (3,) of the pure classes CSF, grey, white, pooled over sessions.

    Parameters
    ----------
    volumes : iterable of arrays, (i, j, k)
        Sessions with matched intensities.
    means : array, (i, j, k, 5)
        Local means of the template.
    classes : array, (i, j, k, 5), 0..1
        Classes of the template.

    Returns
    -------
    array
        From the median absolute deviation where the class has more than `SURE` of its maximum.

    Raises
    ------
    ValueError
        A pure class is empty.
    """
    sure = [classes[..., k] > SURE * classes[..., k].max() for k in PURE]
    if not all(where.any() for where in sure):
        raise ValueError("classes: a tissue is empty")
    deviations = [
        [
            1.4826 * np.median(np.abs(volume[where] - means[where, k]))
            for k, where in zip(PURE, sure, strict=True)
        ]
        for volume in volumes
    ]
    return np.sqrt(np.mean(np.square(deviations), axis=0))


def session_classes(volume, means, prior, noise):
    """Probability (i, j, k, 5) of each class in one session.

    Parameters
    ----------
    volume : array, (i, j, k)
        Session with matched intensities on the template grid.
    means : array, (i, j, k, 5)
        Local means of the template.
    prior : array, (i, j, k, 5)
        Prior of each class up to a factor, 0 outside the brain.
    noise : array, (3,)
        Standard deviation of CSF, grey, white.

    Returns
    -------
    array
        Adds up to 1 inside the brain, 0 outside. The same image gives the same answer: all
        that differs between sessions is `volume`.

    Raises
    ------
    ValueError
        A standard deviation is not positive.
    """
    if not np.all(np.asarray(noise) > 0):
        raise ValueError("noise: must be positive")
    csf, grey, white = noise
    deviation = [csf, np.hypot(csf, grey) / 2**0.5, grey, np.hypot(grey, white) / 2**0.5, white]
    answer = np.zeros(prior.shape, np.float32)
    for k, width in enumerate(deviation):
        score = (volume - means[..., k]) / width
        if k == 0:
            score = np.maximum(score, 0)
        elif k == len(deviation) - 1:
            score = np.minimum(score, 0)
        answer[..., k] = prior[..., k] * np.exp(-0.5 * np.minimum(score**2, 80)) / width
    return answer / np.maximum(answer.sum(axis=-1, keepdims=True), 1e-30)
