"""Change with change: partial and rank correlation over many tests, with intervals."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import stats

from workflows.compute.design import Design, Term, centred, full_rank
from workflows.compute.effects import Effect
from workflows.compute.problems import ModelError, Problem
from workflows.compute.regression import (
    VARIATION,
    Fit,
    empty_fit,
    missingness_patterns,
    untestable,
)

NO_VARIATION = "no variation between participants"


@dataclass(frozen=True)
class PrePost:
    """The same thing at both sessions, arrays of one shape with participants as rows."""

    baseline: np.ndarray
    followup: np.ndarray

    def __post_init__(self) -> None:
        if np.shape(self.baseline) != np.shape(self.followup):
            raise ValueError(
                f"followup: shape {np.shape(self.followup)}, baseline {np.shape(self.baseline)}"
            )


@dataclass(frozen=True)
class PartialResiduals:
    """Points of an added-variable plot and their line.

    `rows` are the participants that have every value; `x` and `y` are partner and outcome
    with the design removed and their means put back, in their own units. The line has the
    slope of the partner in the full model and goes through the means.
    """

    rows: np.ndarray
    x: np.ndarray
    y: np.ndarray
    slope: float
    intercept: float
    residual_deviation: float
    df: int

    def band(self, x: np.ndarray, confidence: float) -> tuple[np.ndarray, np.ndarray]:
        """Lower and upper limit of the line at `x` (confidence of the mean, .5..1)."""
        centre = self.x.mean()
        share = 1 / len(self.x) + (x - centre) ** 2 / ((self.x - centre) ** 2).sum()
        half = stats.t.ppf((1 + confidence) / 2, self.df) * self.residual_deviation
        line = self.intercept + self.slope * x
        return line - half * np.sqrt(share), line + half * np.sqrt(share)


def rank_partial_correlation(
    outcome: np.ndarray, partner: np.ndarray, design: Design, min_participants: int
) -> Fit:
    """Partial Spearman correlation of each column of `outcome` with `partner`.

    Outcome, partner and covariates become ranks (ties share their mean rank) among the
    participants of each test; then the linear effect of the design is removed from both.

    Parameters
    ----------
    outcome : np.ndarray, shape (n_participants, n_tests)
        NaN leaves the participant out of that test only.
    partner : np.ndarray, shape (n_participants,)
        NaN leaves the participant out of all tests.
    design : Design
        Arms and covariates.
    min_participants : int
        Tests with fewer participants are not made.

    Returns
    -------
    Fit
        One term: r, its standard error sqrt((1 - r**2) / df) for the test of r = 0 and
        df = n - 2 - covariates; its interval is `rank_interval`.
    """
    values = _Values(np.asarray(outcome, float), np.asarray(partner, float), None, ranks=True)
    return _correlations(values, design, min_participants)


def followup_correlation(
    measure: PrePost, score: PrePost, design: Design, min_participants: int, ranks: bool = False
) -> Fit:
    """Correlation of a measure with a score at follow-up, both their baselines held constant.

    The post-on-pre form of change with change: it does not suppose that a person who began
    high changes as much as one who began low, so neither side carries regression to the mean.

    Parameters
    ----------
    measure : PrePost of np.ndarray, shape (n_participants, n_tests)
        NaN in either session leaves the participant out of that test only.
    score : PrePost of np.ndarray, shape (n_participants,)
        NaN in either session leaves the participant out of all tests.
    design : Design
        Arms and covariates.
    min_participants : int
        Tests with fewer participants are not made.
    ranks : bool
        Ranks of everything instead of values.

    Returns
    -------
    Fit
        One term: r, its standard error sqrt((1 - r**2) / df) and df = n - 4 - covariates.
    """
    measure_values = np.asarray(measure.followup, float), np.asarray(measure.baseline, float)
    values = _Values(measure_values[0], np.asarray(score.followup, float), measure_values[1], ranks)
    with_baseline = design.with_covariate("baseline score", np.asarray(score.baseline, float))
    return _correlations(values, with_baseline, min_participants)


def rank_interval(r: np.ndarray, df: np.ndarray, confidence: float) -> Effect:
    """Interval of a (partial) Spearman correlation (Bonett and Wright 2000).

    Fisher's z with variance (1 + r**2 / 2) / (df - 1), where df = n - 2 - covariates.

    Parameters
    ----------
    r : np.ndarray
        Rank correlations, -1..1; NaN stays NaN.
    df : np.ndarray
        Degrees of freedom; the interval needs df > 1.
    confidence : float
        Coverage of the interval, .5..1.
    """
    r, df = np.asarray(r, dtype=float), np.asarray(df, dtype=float)
    z = np.arctanh(np.clip(r, -1 + 1e-15, 1 - 1e-15))
    error = np.sqrt((1 + r**2 / 2) / np.where(df > 1, df - 1, np.nan))
    half = stats.norm.ppf((1 + confidence) / 2) * error
    return Effect(r, np.tanh(z - half), np.tanh(z + half))


def status_design(
    status: np.ndarray, design: Design, labels: tuple[str, str] = ("not remitted", "remitted")
) -> Design:
    """Design that compares people who reached a status (remission, response) with the others.

    Given to `least_squares` with the change of a measure, its term is the difference, with
    arms and covariates of `design` held constant and participants counted by status.

    Parameters
    ----------
    status : np.ndarray, shape (n_participants,)
        1 reached, 0 not, NaN unknown (the participant is left out).
    design : Design
        Arms and covariates.
    labels : tuple of str
        Names of 0 and 1.
    """
    status = np.asarray(status, dtype=float)
    known = np.isfinite(status)
    if not np.isin(status[known], (0, 1)).all():
        raise ValueError("status: must be 0, 1 or NaN")
    groups = np.where(status == 1, labels[1], labels[0]).astype(object)
    rest = design.formula.removeprefix("1").removeprefix(" + ")
    matrix = np.column_stack([np.where(known, 1.0, np.nan), status, design.matrix[:, 1:]])
    difference = f"{labels[1]} - {labels[0]}"
    return Design(
        matrix=matrix,
        names=(f"mean of {labels[0]}", difference, *design.names[1:]),
        n_leading=2,
        arms=np.where(known, groups, ""),
        levels=labels,
        formula=f"{labels[1]} + {rest}" if rest else labels[1],
        terms=(Term(difference, "arms", np.eye(matrix.shape[1])[1]),),
    )


def partial_residuals(outcome: np.ndarray, partner: np.ndarray, design: Design) -> PartialResiduals:
    """Points of the added-variable plot of one outcome on a partner, given the design.

    Parameters
    ----------
    outcome, partner : np.ndarray, shape (n_participants,)
        NaN leaves the participant out.
    design : Design
        Arms and covariates whose linear effect is removed from both.

    Raises
    ------
    ModelError
        Too few participants, collinear covariates, or a partner without variation.
    """
    usable = np.isfinite(outcome) & np.isfinite(partner)
    rows = np.flatnonzero(usable & np.isfinite(design.matrix).all(axis=1))
    matrix, _ = centred(design, rows)
    df = len(rows) - matrix.shape[1] - 1
    if df < 1 or not full_rank(matrix):
        what = f"{matrix.shape[1] + 1} terms cannot be told apart in {len(rows)} participants"
        raise ModelError(Problem(what, "picture of residuals", "use fewer covariates"))
    basis, _ = np.linalg.qr(matrix)
    x, y = (adjusted(values[rows], basis) for values in (partner, outcome))
    if not (x**2).sum() > 0:
        raise ModelError(Problem(NO_VARIATION, "picture of residuals", "check the scores"))
    slope = float(x @ y / (x @ x))
    deviation = float(np.sqrt(((y - slope * x) ** 2).sum() / df))
    x, y = x + partner[rows].mean(), y + outcome[rows].mean()
    return PartialResiduals(rows, x, y, slope, float(y.mean() - slope * x.mean()), deviation, df)


def adjusted(values: np.ndarray, basis: np.ndarray) -> np.ndarray:
    """Values without their part in the space of orthonormal columns; rounding becomes 0.

    Parameters
    ----------
    values : np.ndarray, shape (n_participants,) or (n_participants, n_tests)
        Without NaN.
    basis : np.ndarray, shape (n_participants, n_terms)
    """
    rest = values - basis @ (basis.T @ values)
    size = np.sqrt((values**2).sum(axis=0))
    return np.where(np.sqrt((rest**2).sum(axis=0)) > VARIATION * size, rest, 0.0)


@dataclass(frozen=True)
class _Values:
    outcome: np.ndarray
    partner: np.ndarray
    own: np.ndarray | None
    ranks: bool

    def present(self) -> np.ndarray:
        both = np.isfinite(self.outcome) & np.isfinite(self.partner)[:, None]
        return both if self.own is None else both & np.isfinite(self.own)

    def at(self, rows: np.ndarray, columns: np.ndarray) -> tuple:
        place = np.ix_(rows, columns)
        own = None if self.own is None else self._scaled(self.own[place])
        return self._scaled(self.outcome[place]), self._scaled(self.partner[rows]), own

    def terms(self, design: Design, rows: np.ndarray) -> np.ndarray:
        matrix, _ = centred(design, rows)
        if not (self.ranks and len(rows)):
            return matrix
        rest = stats.rankdata(matrix[:, design.n_leading :], axis=0)
        return np.column_stack([matrix[:, : design.n_leading], rest - rest.mean(axis=0)])

    def _scaled(self, values: np.ndarray) -> np.ndarray:
        return stats.rankdata(values, axis=0) if self.ranks else values


def _correlations(values, design, min_participants):
    present = values.present() & np.isfinite(design.matrix).all(axis=1)[:, None]
    fit = empty_fit(present, design, 1)
    for rows, columns in missingness_patterns(present) if present.shape[1] else ():
        matrix = values.terms(design, rows)
        n_terms = matrix.shape[1] + (values.own is not None)
        reason = untestable(design, rows, matrix, max(min_participants, n_terms + 2))
        if reason:
            fit.note[columns] = reason
            continue
        df = len(rows) - n_terms - 1
        r = _correlate(*values.at(rows, columns), np.linalg.qr(matrix)[0])
        fit.estimate[0, columns] = r
        fit.standard_error[0, columns] = np.sqrt((1 - r**2) / df)
        fit.df[columns] = df
        fit.note[columns[np.isnan(r)]] = NO_VARIATION
    return fit


def _correlate(outcome, partner, own, basis):
    first, second = adjusted(outcome, basis), adjusted(partner, basis)[:, None]
    if own is not None:
        rest = adjusted(own, basis)
        length = (rest**2).sum(axis=0)
        length = np.where(length > 0, length, np.nan)
        first = first - rest * ((rest * first).sum(axis=0) / length)
        second = second - rest * ((rest * second).sum(axis=0) / length)
    length = np.sqrt((first**2).sum(axis=0) * (second**2).sum(axis=0))
    floor = VARIATION * np.sqrt((outcome**2).sum(axis=0) * (partner**2).sum())
    length = np.where(length > floor, length, np.nan)
    return np.clip((first * second).sum(axis=0) / length, -1, 1)
