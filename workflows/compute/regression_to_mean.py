"""What measurement error alone does to the relation of change with its own baseline.

The observed correlation of change with baseline is never a finding: error that makes the
baseline high makes the change low. Here are its expected size, and the slope of the true
change on the true baseline where the reliability of the measure is declared.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import stats

from workflows.compute.association import PrePost, adjusted
from workflows.compute.design import Design, centred
from workflows.compute.problems import Problem
from workflows.compute.regression import empty_fit, missingness_patterns, untestable


@dataclass(frozen=True)
class BaselineSlope:
    """Slope of change on baseline, as observed and for true scores; arrays (n_tests,).

    `corrected` is NaN, with a `note`, where the error leaves no true differences between
    participants. `low` and `high` are the interval of `corrected`.
    """

    observed: np.ndarray
    corrected: np.ndarray
    low: np.ndarray
    high: np.ndarray
    df: np.ndarray
    n: np.ndarray
    note: np.ndarray


@dataclass(frozen=True)
class MeasurementError:
    """Declared error of a measure: its reliability (0..1) or the variance of its error.

    Exactly one is given, as a number or one per test (NaN: not declared). A reliability is
    the share of true differences in the variance of the baseline between participants of one
    arm with equal covariates; the error variance is in squared units of the measure. Both are
    taken as known: their own uncertainty is not in the interval.
    """

    reliability: float | np.ndarray | None = None
    variance: float | np.ndarray | None = None

    def __post_init__(self) -> None:
        if (self.reliability is None) == (self.variance is None):
            raise ValueError("reliability, variance: give exactly one")
        if self.reliability is not None:
            _check_reliability(self.reliability)
        elif (np.asarray(self.variance) < 0).any():
            raise ValueError("variance: must be 0 or above")


def expected_correlation(reliability: float | np.ndarray) -> np.ndarray:
    """Correlation of change with baseline when no true score changes: -sqrt((1 - rel) / 2).

    With the correlation between the two sessions in place of the reliability it is the one
    expected when people change, but not by where they began (equal variances).

    Parameters
    ----------
    reliability : float or np.ndarray
        Share of true differences in the variance at baseline, 0..1; NaN stays NaN.
    """
    _check_reliability(reliability)
    return -np.sqrt((1 - np.asarray(reliability, dtype=float)) / 2)


def expected_change_of_selected(
    deviation: float, reliability: float, cut_off_z: float, above: bool = True
) -> float:
    """Mean change of people picked for a high (or low) baseline when nobody changes.

    In the unit of the measure, follow-up minus baseline: negative for those picked above a
    cut-off (Davis 1976): -(1 - rel) * SD * pdf(z) / (1 - cdf(z)).

    Parameters
    ----------
    deviation : float
        Standard deviation of the baseline in all people, before anybody was picked.
    reliability : float
        0..1.
    cut_off_z : float
        Cut-off minus mean of all people, in standard deviations.
    above : bool
        Picked above the cut-off; else below.
    """
    _check_reliability(reliability)
    side = 1 if above else -1
    log_ratio = stats.norm.logpdf(cut_off_z) - stats.norm.logsf(side * cut_off_z)
    return float(-side * (1 - reliability) * deviation * np.exp(log_ratio))


def corrected_slope(
    measure: PrePost,
    error: MeasurementError,
    design: Design,
    min_participants: int,
    confidence: float,
) -> BaselineSlope:
    """Slope of true change on true baseline (Blomqvist 1977), the design held constant.

    (b + k) / (1 - k), where b is the observed slope and k the share of error in the variance
    of the baseline. Errors of the two sessions must be independent and of one variance. With
    a reliability the interval is that of b, moved and divided alike. With an error variance
    it holds the slopes that do not contradict the covariances (normal theory); it has no
    bounds, and a `note`, where true differences cannot be told from error.

    Parameters
    ----------
    measure : PrePost of np.ndarray, shape (n_participants, n_tests)
        NaN in either session leaves the participant out of that test only.
    error : MeasurementError
        Numbers, or arrays with one value per test.
    design : Design
        Arms and covariates.
    min_participants : int
        Tests with fewer participants are not made.
    confidence : float
        Coverage of the interval, .5..1.
    """
    change = measure.followup - measure.baseline
    present = np.isfinite(change) & np.isfinite(design.matrix).all(axis=1)[:, None]
    fit = empty_fit(present, design, 1)
    values = np.full((4, present.shape[1]), np.nan)
    for rows, columns in missingness_patterns(present) if present.shape[1] else ():
        matrix, _ = centred(design, rows)
        needed = max(min_participants, matrix.shape[1] + 3)
        reason = untestable(design, rows, matrix, needed)
        if reason:
            fit.note[columns] = reason
            continue
        basis, _ = np.linalg.qr(matrix)
        place, own = np.ix_(rows, columns), _part(error, columns)
        x, c = adjusted(measure.baseline[place], basis), adjusted(change[place], basis)
        fit.df[columns] = len(rows) - matrix.shape[1] - 1
        moments = _moments(x, c, len(rows) - matrix.shape[1])
        values[:, columns] = _slopes(moments, own, confidence)
        fit.note[columns] = _notes(values[:, columns], own)
    return BaselineSlope(*values, fit.df, fit.n, fit.note)


def baseline_warning(name: str, reliability: float | None = None) -> Problem:
    """Warning against a relation of change in `name` with its own baseline.

    Parameters
    ----------
    name : str
        Measure or score.
    reliability : float, optional
        0..1; without it the sizes for a poor and a good measure are named.
    """
    what = f"change in {name} goes with its own baseline through measurement error alone"
    if reliability is not None and np.isfinite(reliability):
        r = float(expected_correlation(reliability))
        size = f"r = {r:.2f} when nobody changes (declared reliability {reliability:.2f})"
        todo = "read the corrected slope, not the correlation"
    else:
        poor, good = (float(expected_correlation(value)) for value in (0.5, 0.9))
        size = f"r = {poor:.2f} at reliability .50 and {good:.2f} at .90 when nobody changes"
        todo = "declare the reliability of the measure to get the corrected slope"
    return Problem(f"{what}: {size}", f"baseline of {name}", todo)


@dataclass(frozen=True)
class _Moments:
    """Variances and covariance of baseline and change within the design."""

    baseline: np.ndarray
    change: np.ndarray
    both: np.ndarray
    df: int


def _moments(x, c, df):
    squares = (x**2).sum(axis=0)
    squares = np.where(squares > 0, squares, np.nan)
    return _Moments(squares / df, (c**2).sum(axis=0) / df, (x * c).sum(axis=0) / df, df)


def _slopes(moments, error, confidence):
    if error.reliability is None:
        variance = np.broadcast_to(error.variance, moments.baseline.shape)
        ends = _ends_by_variance(moments, variance, stats.norm.ppf((1 + confidence) / 2))
        true_variance = moments.baseline - variance
    else:
        true_variance = moments.baseline * np.asarray(error.reliability, dtype=float)
        half = stats.t.ppf((1 + confidence) / 2, moments.df - 1)
        rest = moments.change - moments.both**2 / moments.baseline
        half = half * np.sqrt(np.maximum(rest, 0) * moments.baseline / (moments.df - 1))
        top = moments.both + moments.baseline - true_variance
        ends = [
            (top + side * half) / np.where(true_variance > 0, true_variance, np.nan)
            for side in (-1, 1)
        ]
    there = np.where(true_variance > 0, true_variance, np.nan)
    corrected = (moments.both + moments.baseline - true_variance) / there
    ends = [np.where(np.isfinite(corrected), end, np.nan) for end in ends]
    return np.array([moments.both / moments.baseline, corrected, *ends])


def _ends_by_variance(moments, variance, quantile):
    """Slopes b that the covariance of baseline and change - b * baseline does not rule out.

    It is expected to be -(1 + b) * error variance, with normal-theory variance; infinite
    limits where any slope agrees with the data.
    """
    share = quantile**2 / moments.df
    top, true_variance = moments.both + variance, moments.baseline - variance
    squared = true_variance**2 - share * (moments.baseline**2 + variance**2)
    single = top * true_variance - share * (moments.baseline * moments.both - variance**2)
    constant = top**2 - share * (moments.baseline * moments.change + variance**2)
    root = np.sqrt(np.maximum(single**2 - squared * constant, 0))
    bounded = np.where(squared > 0, squared, np.nan)
    low, high = (single - root) / bounded, (single + root) / bounded
    return [np.where(squared > 0, end, limit) for end, limit in ((low, -np.inf), (high, np.inf))]


def _part(error, columns):
    def picked(value):
        return value if value is None or np.ndim(value) == 0 else np.asarray(value)[columns]

    return MeasurementError(picked(error.reliability), picked(error.variance))


def _notes(values, error):
    observed, corrected, low, _ = values
    declared = error.variance if error.reliability is None else error.reliability
    lost = "not corrected: the declared error is as large as the differences between participants"
    lost = np.where(np.isnan(declared), "not corrected: no reliability declared", lost)
    notes = np.where(np.isinf(low), "the declared error is too large for a bounded interval", "")
    notes = np.where(np.isnan(corrected), lost, notes)
    return np.where(np.isnan(observed), "no variation between participants", notes)


def _check_reliability(reliability):
    values = np.asarray(reliability, dtype=float)
    if ((values < 0) | (values > 1)).any():
        raise ValueError("reliability: must be between 0 and 1")
