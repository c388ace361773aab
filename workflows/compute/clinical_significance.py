"""Reliable and clinically significant change of one person (Jacobson & Truax 1991)."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from workflows.compute.problems import ModelError, Problem
from workflows.compute.scale import Scale

LIMIT = 1.96
"""Reliable change index beyond which a change is taken as more than error (two-sided .05)."""
RECOVERED, IMPROVED, UNCHANGED, DETERIORATED = "recovered", "improved", "unchanged", "deteriorated"


@dataclass(frozen=True)
class Cutoffs:
    """Cut-offs between people in treatment and others, in points; NaN where not known.

    a: two standard deviations from the clinical mean; b: two from the norm; c: the point
    that is as likely in one population as in the other.
    """

    a: float
    b: float
    c: float


@dataclass(frozen=True)
class Crossing:
    """The cut-off that is used: its value, its letter, and what it was computed from."""

    value: float
    letter: str
    basis: str


def standard_error_of_measurement(sd: float, reliability: float) -> float:
    """Standard error of one score, sd * sqrt(1 - reliability).

    Parameters
    ----------
    sd : float
        Standard deviation of the scores before treatment, above 0.
    reliability : float
        Between 0 and 1.
    """
    if not 0 < reliability < 1:
        raise ValueError("reliability: between 0 and 1")
    if not sd > 0:
        raise ValueError("sd: above 0")
    return float(sd * np.sqrt(1 - reliability))


def standard_error_of_difference(sd: float, reliability: float) -> float:
    """Standard error of the difference of two scores, sqrt(2) * standard error of measurement."""
    return float(np.sqrt(2) * standard_error_of_measurement(sd, reliability))


def reliable_change_index(
    baseline: np.ndarray, followup: np.ndarray, sd: float, reliability: float
) -> np.ndarray:
    """Follow-up minus baseline in standard errors of a difference (Jacobson & Truax 1991).

    NaN where a score is missing. The sign is that of the change, not of the improvement.
    """
    change = np.asarray(followup, dtype=float) - np.asarray(baseline, dtype=float)
    return change / standard_error_of_difference(sd, reliability)


def smallest_reliable_change(sd: float, reliability: float) -> float:
    """Points by which a score must change to be more than error, 1.96 standard errors."""
    return LIMIT * standard_error_of_difference(sd, reliability)


def reliable_change(
    baseline: np.ndarray, followup: np.ndarray, sd: float, scale: Scale
) -> np.ndarray:
    """Whether each person changed by more than the error of measurement.

    Parameters
    ----------
    baseline, followup : np.ndarray, shape (n_participants,)
        Scores; NaN where missing.
    sd : float
        Standard deviation of the baseline scores of the sample.
    scale : Scale
        With its reliability.

    Returns
    -------
    np.ndarray of object
        "improved", "unchanged" or "deteriorated"; None where a score is missing.

    Raises
    ------
    ModelError
        The reliability is not known, or the baseline scores do not vary.
    """
    _check_reliability(sd, scale)
    index = reliable_change_index(baseline, followup, sd, scale.reliability)
    better = scale.sign * index
    texts = np.select([better > LIMIT, better < -LIMIT], [IMPROVED, DETERIORATED], UNCHANGED)
    return np.where(np.isfinite(index), texts.astype(object), None)


def cutoffs(scale: Scale) -> Cutoffs:
    """Cut-offs a, b and c of a scale with norms (Jacobson & Truax 1991).

    c weighs the two means with the standard deviation of the other population,
    (sd_norm * mean_clinical + sd_clinical * mean_norm) / (sd_norm + sd_clinical).
    """
    clinical, clinical_sd = _known(scale.clinical_mean), _known(scale.clinical_sd)
    norm, norm_sd = _known(scale.norm_mean), _known(scale.norm_sd)
    return Cutoffs(
        a=clinical + 2 * scale.sign * clinical_sd,
        b=norm - 2 * scale.sign * norm_sd,
        c=(norm_sd * clinical + clinical_sd * norm) / (norm_sd + clinical_sd),
    )


def clinical_cutoff(scale: Scale, baseline: np.ndarray) -> Crossing:
    """Cut-off to recovery: c where norms are known, otherwise a.

    Parameters
    ----------
    scale : Scale
        Where it has no clinical mean, the baseline scores of the sample stand for it.
    baseline : np.ndarray
        Scores of the sample before treatment; NaN is left out.

    Raises
    ------
    ModelError
        Nothing is known to compute a cut-off from, or the cut-off lies where nobody can be.
    """
    basis = "published clinical sample"
    if scale.clinical_mean is None or scale.clinical_sd is None:
        basis, values = "this sample at baseline", np.asarray(baseline, dtype=float)
        values = values[np.isfinite(values)]
        if len(values) < 2 or np.ptp(values) == 0:
            raise ModelError(_without_cutoff(scale, "the baseline scores do not vary"))
        mean, sd = float(values.mean()), float(values.std(ddof=1))
        scale = replace(scale, clinical_mean=mean, clinical_sd=sd)
    found = cutoffs(scale)
    if np.isfinite(found.c):
        if scale.sign * (scale.norm_mean - scale.clinical_mean) <= 0:
            what = f"the mean of {basis} is not worse than the norm"
            raise ModelError(_without_cutoff(scale, what))
        return Crossing(found.c, "c", f"norm and {basis}")
    if _beyond(found.a, scale):
        what = f"cut-off a ({found.a:.3g}) lies outside the scale"
        raise ModelError(_without_cutoff(scale, what))
    return Crossing(found.a, "a", basis)


def clinically_significant_change(
    baseline: np.ndarray, followup: np.ndarray, sd: float, scale: Scale, cutoff: float
) -> np.ndarray:
    """Reliable change together with the crossing of the cut-off (Jacobson & Truax 1991).

    Returns
    -------
    np.ndarray of object
        "recovered" (reliably improved, and from the clinical to the other side of the
        cut-off), "improved", "unchanged" or "deteriorated"; None where a score is missing.
        Who begins on the healthy side cannot recover.

    Raises
    ------
    ModelError
        The reliability is not known, or the baseline scores do not vary.
    """
    change = reliable_change(baseline, followup, sd, scale)
    before = scale.sign * (np.asarray(baseline, dtype=float) - cutoff) < 0
    after = scale.sign * (np.asarray(followup, dtype=float) - cutoff) > 0
    return np.where((change == IMPROVED) & before & after, RECOVERED, change)


def reliable_limits(scale: Scale, sd: float) -> tuple[float, float]:
    """Standard error of a difference and smallest reliable change of a score, in points.

    Raises
    ------
    ModelError
        The reliability is not known, or the baseline scores do not vary.
    """
    _check_reliability(sd, scale)
    return (
        standard_error_of_difference(sd, scale.reliability),
        smallest_reliable_change(sd, scale.reliability),
    )


def _check_reliability(sd, scale):
    where = f"score {scale.name}"
    if scale.reliability is None:
        what = "its reliability is not known, so reliable change cannot be told from error"
        todo = "give reliability (0 to 1) or scale (a name from scales.yaml) under group.scores"
        raise ModelError(Problem(what, where, todo))
    if not sd > 0:
        what = "the baseline scores do not vary or only one is known"
        raise ModelError(Problem(what, where, "reliable change is not computed; check the scores"))


def _without_cutoff(scale, what):
    todo = "give norm_mean and norm_sd, and clinical_mean and clinical_sd, under group.scores"
    return Problem(f"no cut-off to recovery: {what}", f"score {scale.name}", todo)


def _beyond(value, scale):
    low = -np.inf if scale.minimum is None else scale.minimum
    high = np.inf if scale.maximum is None else scale.maximum
    return not low <= value <= high


def _known(value):
    return np.nan if value is None else float(value)
