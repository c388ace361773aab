"""Latent change scores over two or three occasions, of one measure or of two together.

Change is a latent variable, the later score minus the earlier one (McArdle 2009; Kievit and others
2018), so it has a mean and a variance of its own, can go along with the change of another measure,
and can be predicted by the level of that other measure (coupling). A path from the level of a
measure to its own change is part of these models, but it is below 0 from measurement error alone:
it gets an interval and no test.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from workflows.compute.covariance_structure import (
    Path,
    ProcessResult,
    Structure,
    Term,
    check_scores,
    derived,
    fit_structure,
    likelihood_limits,
    term_table,
)

CHANGE = "{} change"
LEVEL_TO_CHANGE = "{} level -> {} change"
OWN_LEVEL = "level-to-change path, not a finding of regression to the mean"
NOT_TREATMENT = "change over time, not a treatment effect"
OBSERVED = "scores as they are: measurement error is part of the change"
COUPLING = "an association over time, not proof of a cause"


@dataclass(frozen=True)
class _Panel:
    """Scores by measure (n x occasions each), covariates (n x k, centred) and their names."""

    names: tuple[str, ...]
    scores: tuple[np.ndarray, ...]
    covariates: tuple[str, ...]
    values: np.ndarray
    left_out: int

    @property
    def n_occasions(self):
        """Occasions of each measure."""
        return self.scores[0].shape[1]

    def change(self, name, at):
        """Name of the change of a measure from occasion `at` - 1 to `at`."""
        return CHANGE.format(name) + (f" {at}" if self.n_occasions > 2 else "")

    def together(self, at):
        """Label of the covariance of the changes of interval `at`."""
        return "covariance of changes" + (f" {at}" if self.n_occasions > 2 else "")

    def changes(self):
        """All changes: name, measure and interval."""
        later = range(1, self.n_occasions)
        return [(self.change(name, at), name, at) for name in self.names for at in later]

    def complete(self, *names):
        """Participants with all occasions of these measures."""
        parts = [
            scores for name, scores in zip(self.names, self.scores, strict=True) if name in names
        ]
        return int(np.isfinite(np.column_stack(parts)).all(axis=1).sum())


def two_wave_change(
    measures: dict[str, np.ndarray],
    confidence: float,
    covariates: dict[str, np.ndarray] | None = None,
) -> ProcessResult:
    """Mean, variance, coupling and correlation of change between two occasions.

    Without missing values the model is saturated: mean change is the paired t test, coupling the
    regression of change on both baselines (and the covariates), the correlation of changes that
    of the difference scores. With missing values full-information maximum likelihood keeps
    everybody; degrees of freedom count the participants with both occasions.

    Parameters
    ----------
    measures : dict of np.ndarray, shape (n_participants, 2)
        One measure or two, for example brain and symptoms; baseline first, NaN is missing.
    confidence : float
        Coverage of the intervals, .5..1.
    covariates : dict of np.ndarray, shape (n_participants,), optional
        Taken out of levels and changes, for example an arm coded 0 and 1; a participant without
        one is left out and counted. Means are then those at the mean of the covariates.

    Raises
    ------
    ModelError
        Too few participants, or a score without variation.
    ValueError
        Not one or two measures of two occasions.
    """
    panel = _panel(measures, covariates or {}, 2)
    plain = fit_structure(_free_changes(panel), panel.values)
    coupled = fit_structure(_coupled_changes(panel), panel.values)
    terms = []
    for name in panel.names:
        terms += _change_terms(panel, plain, name, 1)
        terms += _level_terms(panel, coupled, name)
    if len(panel.names) == 2:
        terms += _together_terms(panel, plain, 1, confidence)
        terms.append(_residual_correlation(panel, coupled, 1))
    return _result(panel, plain, terms, confidence)


def three_wave_change(
    measures: dict[str, np.ndarray],
    confidence: float,
    form: Literal["proportional", "dual"] = "proportional",
) -> ProcessResult:
    """Coupling of one or two measures over three occasions, equal over both intervals.

    "proportional": change from one occasion to the next depends on the level before (of both
    measures), with intercepts and residuals of its own in each interval; scores are taken as they
    are. "dual" (McArdle 2009): true scores apart from measurement error of equal variance, and
    change is a constant part of the person plus a proportion of the level before (of both
    measures); it asks much of the data: expect wide intervals below 100 participants.

    Parameters
    ----------
    measures : dict of np.ndarray, shape (n_participants, 3)
        One measure or two; occasions in time order, equally spaced, NaN is missing.
    confidence : float
        Coverage of the intervals, .5..1.
    form : "proportional" or "dual"

    Raises
    ------
    ModelError
        Too few participants, a score without variation, or data that do not determine the model.
    ValueError
        Not one or two measures of three occasions, or an unknown form.
    """
    if form not in ("proportional", "dual"):
        raise ValueError(f"form: 'proportional' or 'dual', not '{form}'")
    panel = _panel(measures, {}, 3)
    plain = fit_structure(_free_changes(panel), panel.values)
    structure = _dual(panel) if form == "dual" else _coupled_changes(panel)
    fit = fit_structure(structure, panel.values)
    terms, both = [], len(panel.names) == 2
    for at in (1, 2):
        for name in panel.names:
            terms += _change_terms(panel, plain, name, at)
        terms += _together_terms(panel, plain, at, confidence) if both else []
    for name in panel.names:
        terms += _path_terms(structure, panel, fit, name, confidence)
    if form == "dual":
        terms += _constant_terms(panel, fit)
    elif both:
        terms += [_residual_correlation(panel, fit, at) for at in (1, 2)]
    return _result(panel, fit, terms, confidence)


def _panel(measures, covariates, n_occasions):
    scores = [np.asarray(values, dtype=float) for values in measures.values()]
    n = len(scores[0]) if scores else 0
    if len(scores) not in (1, 2) or any(part.shape != (n, n_occasions) for part in scores):
        raise ValueError(f"measures: need one or two arrays of n_participants x {n_occasions}")
    extra = np.array([np.asarray(part, dtype=float) for part in covariates.values()]).T
    extra = extra.reshape(n, len(covariates))
    scored = np.isfinite(np.column_stack(scores)).any(axis=1)
    used = np.isfinite(extra).all(axis=1) & (scored | (len(covariates) == 0))
    scores = tuple(part[used] for part in scores)
    extra = extra[used] - extra[used].mean(axis=0) if used.any() else extra[used]
    values = np.column_stack([*scores, extra])
    panel = _Panel(tuple(measures), scores, tuple(covariates), values, int((~used).sum()))
    check_scores(_variables(panel) + panel.covariates, values)
    return panel


def _variables(panel):
    return tuple(f"{name} {at}" for name in panel.names for at in range(panel.n_occasions))


def _covariate_paths(panel):
    """Means and covariances of the covariates, and their paths to levels and changes."""
    places = range(panel.values.shape[1] - len(panel.covariates), panel.values.shape[1])
    paths = []
    for name, place in zip(panel.covariates, places, strict=True):
        variance = float(panel.values[:, place].var())
        paths.append(Path("mean", name, "", f"mean {name}", 0.0))
        paths.append(Path("covariance", name, name, f"variance {name}", variance))
        for other in panel.covariates[: panel.covariates.index(name)]:
            paths.append(Path("covariance", name, other, f"covariance {name} {other}", 0.0))
        for measure in panel.names:
            for target in (f"{measure} 0", panel.change(measure, 1)):
                paths.append(Path("regression", target, name, f"{name} -> {target}", 0.0))
    return paths


def _change_paths(panel):
    """Each later score is the one before plus a change; means and variances are free."""
    paths = _covariate_paths(panel)
    for name, scores in zip(panel.names, panel.scores, strict=True):
        paths += _moments(f"{name} 0", scores[:, 0])
        for at in range(1, panel.n_occasions):
            change = panel.change(name, at)
            paths.append(Path("regression", f"{name} {at}", f"{name} {at - 1}", "", 1.0))
            paths.append(Path("regression", f"{name} {at}", change, "", 1.0))
            paths += _moments(change, _differences(scores[:, at - 1 : at + 1]))
    return paths


def _structure(panel, paths):
    latent = tuple(change for change, _, _ in panel.changes())
    return Structure(_variables(panel) + panel.covariates, latent, tuple(paths))


def _pairs(panel):
    """All pairs of levels and changes with the label of their covariance and their occasions."""
    ends = [(f"{name} 0", 0) for name in panel.names]
    ends += [(change, at) for change, _, at in panel.changes()]
    for place, (one, at) in enumerate(ends):
        for other, also in ends[:place]:
            same = at == also and at > 0
            yield (
                one,
                other,
                panel.together(at) if same else f"covariance {other}, {one}",
                at == also,
            )


def _free_changes(panel):
    """Saturated model: levels and changes with all their covariances."""
    covariances = [
        Path("covariance", one, other, label, 0.0) for one, other, label, _ in _pairs(panel)
    ]
    return _structure(panel, _change_paths(panel) + covariances)


def _coupled_changes(panel):
    """Changes regressed on the levels before, with the same paths in each interval."""
    paths = _change_paths(panel)
    for change, name, at in panel.changes():
        paths += _level_paths(panel, change, name, "{} " + str(at - 1))
    paths += [
        Path("covariance", one, other, label, 0.0)
        for one, other, label, together in _pairs(panel)
        if together
    ]
    return _structure(panel, paths)


def _moments(name, values):
    """Mean and variance of a variable, both free, starting at those of the values."""
    start = float(np.nanmean(values)), float(np.nanvar(values))
    return [
        Path("mean", name, "", f"mean {name}", start[0]),
        Path("covariance", name, name, f"variance {name}", start[1]),
    ]


def _differences(scores):
    """Difference scores to start from; those of the occasions where few people have both."""
    difference = scores[:, 1] - scores[:, 0]
    if np.isfinite(difference).sum() > 2 and np.nanvar(difference) > 0:
        return difference
    return scores[:, 1] - np.nanmean(scores[:, 0])


def _factor(pairs, lost):
    """Small-sample factor of a standard error and degrees of freedom."""
    df = max(pairs - lost, 1)
    return np.sqrt(max(pairs, 1) / df), df


def _ratio(fit, source, target):
    """Standard deviation of the source over that of the target, in the fitted model."""
    return np.sqrt(fit.implied(source, source) / fit.implied(target, target))


def _change_terms(panel, fit, name, at):
    """Mean and variance of change, and what the covariates do to it."""
    change = panel.change(name, at)
    factor, df = _factor(panel.complete(name), 1 + len(panel.covariates))
    mean, error = fit.value(f"mean {change}"), factor * fit.error(f"mean {change}")
    size = mean / np.sqrt(fit.implied(change, change))
    spread = fit.value(f"variance {change}") * factor**2
    spread_error = fit.error(f"variance {change}") * factor**3
    terms = [
        Term(f"mean {change}", mean, error, df, standardised=size, note=NOT_TREATMENT),
        Term(f"variance of {change}", spread, spread_error, scale="variance", note=OBSERVED),
    ]
    return terms + [_covariate_term(panel, fit, cause, name, "") for cause in panel.covariates]


def _covariate_term(panel, fit, cause, name, given):
    label = f"{cause} -> {CHANGE.format(name)}"
    lost = 1 + len(panel.covariates) + (len(panel.names) if given else 0)
    factor, df = _factor(panel.complete(name), lost)
    size = fit.value(label) * _ratio(fit, cause, CHANGE.format(name))
    return Term(label + given, fit.value(label), factor * fit.error(label), df, standardised=size)


def _level_terms(panel, fit, name):
    """Paths to the change of `name` from levels, and from covariates given the levels."""
    change, terms = CHANGE.format(name), []
    factor, df = _factor(panel.complete(name), 1 + len(panel.names) + len(panel.covariates))
    for source in panel.names:
        label = LEVEL_TO_CHANGE.format(source, name)
        size = fit.value(label) * _ratio(fit, f"{source} 0", change)
        error = factor * fit.error(label)
        terms.append(_level_term(source, name, (fit.value(label), error, df), size))
    given = f" given {'both baselines' if len(panel.names) == 2 else 'baseline'}"
    return terms + [_covariate_term(panel, fit, cause, name, given) for cause in panel.covariates]


def _level_term(source, name, numbers, size):
    """Path from a level to a change; of the same measure, without a test."""
    title = LEVEL_TO_CHANGE.format(source, name)
    if source == name:
        return Term(title, *numbers, note=OWN_LEVEL, tested=False)
    return Term(title, *numbers, standardised=size, note=COUPLING)


def _together_terms(panel, fit, at, confidence):
    """Covariance and correlation of the two changes of an interval."""
    title, changes = panel.together(at), [panel.change(name, at) for name in panel.names]
    pairs, lost = panel.complete(*panel.names), 1 + len(panel.covariates)
    factor, df = _factor(pairs, lost)
    correlation = _correlation(fit, *(f"variance {change}" for change in changes), title)
    term = Term(title, fit.value(title), factor * fit.error(title), df)
    structure = _free_changes(panel)
    term = likelihood_limits(structure, panel.values, fit, term, confidence, pairs)
    low, high, statistic = term.limits
    scaled = replace(
        term,
        estimate=term.estimate * factor**2,
        standard_error=term.standard_error * factor**2,
        limits=(low * factor**2, high * factor**2, statistic),
        standardised=correlation[0],
    )
    return [scaled, _fisher("correlation" + title[10:], correlation, pairs, lost + 2)]


def _correlation(fit, one, other, shared):
    """Correlation and its standard error; NaN where a variance is not above 0."""
    if min(fit.value(one), fit.value(other)) <= 0:
        return np.nan, np.nan
    return derived(fit, lambda at: at[shared] / np.sqrt(at[one] * at[other]))


def _fisher(title, correlation, pairs, lost):
    value, error = correlation
    note = "" if np.isfinite(value) else "not defined: a variance is estimated as negative"
    error = error * np.sqrt(max(pairs, 1) / max(pairs - lost, 1))
    return Term(title, value, error, scale="fisher", standardised=value, note=note)


def _level_paths(panel, change, name, variable):
    """Paths from the level of each measure, named by `variable`, to one change of `name`."""
    return [
        Path(
            "regression", change, variable.format(source), LEVEL_TO_CHANGE.format(source, name), 0.0
        )
        for source in panel.names
    ]


def _dual(panel):
    """True scores, a constant part of change and one proportional to the levels before."""
    paths, latent, parts = [], [], []
    for name, scores in zip(panel.names, panel.scores, strict=True):
        true, constant = f"{name} true", f"{name} constant change"
        own = [f"{true} {at}" for at in range(3)] + [constant]
        spread = float(np.nanmean(np.nanvar(scores, axis=0)))
        starts = float(np.nanmean(scores[:, 0])), _slope(scores)
        paths += [
            Path("mean", own[0], "", f"mean {name} 0", starts[0]),
            Path("mean", constant, "", f"mean {name} change", starts[1]),
            Path("covariance", own[0], own[0], f"variance {own[0]}", 0.7 * spread),
            Path("covariance", constant, constant, f"variance {constant}", 0.1 * spread),
        ]
        for at in range(3):
            paths.append(Path("regression", f"{name} {at}", own[at], "", 1.0))
            error = Path(
                "covariance", f"{name} {at}", f"{name} {at}", f"error {name}", 0.3 * spread
            )
            paths.append(error)
        for at in (1, 2):
            change = panel.change(name, at)
            paths += [
                Path("regression", own[at], own[at - 1], "", 1.0),
                Path("regression", own[at], change, "", 1.0),
                Path("regression", change, constant, "", 1.0),
                *_level_paths(panel, change, name, "{} true " + str(at - 1)),
            ]
            own.append(change)
        latent += own
        parts += [own[0], constant]
    paths += _shared_paths(panel, parts)
    return Structure(_variables(panel), tuple(latent), tuple(paths))


def _slope(scores):
    """Mean change per interval to start from."""
    means = np.nanmean(scores, axis=0)
    return float(means[2] - means[0]) / 2


def _shared_paths(panel, parts):
    """Covariances of levels and constant changes, and of errors on one occasion."""
    paths = [
        Path("covariance", one, other, f"covariance {other}, {one}", 0.0)
        for place, one in enumerate(parts)
        for other in parts[:place]
    ]
    if len(panel.names) == 2:
        for at in range(3):
            ends = [f"{name} {at}" for name in panel.names]
            paths.append(Path("covariance", *ends, "error covariance", 0.0))
    return paths


def _path_terms(structure, panel, fit, name, confidence):
    """Paths to the changes of `name`, with limits from the likelihood."""
    pairs, terms = panel.complete(*panel.names), []
    factor, df = _factor(pairs, 1 + len(panel.names))
    for source in panel.names:
        label = LEVEL_TO_CHANGE.format(source, name)
        target = [panel.change(name, at) for at in (1, 2)]
        sizes = [_ratio(fit, f"{source} {at}", target[at]) for at in (0, 1)]
        numbers = fit.value(label), factor * fit.error(label), df
        term = _level_term(source, name, numbers, fit.value(label) * np.mean(sizes))
        terms.append(likelihood_limits(structure, panel.values, fit, term, confidence, pairs))
    return terms


def _constant_terms(panel, fit):
    """Variances of constant change and of error, and the correlation of two constant changes."""
    terms = []
    for name in panel.names:
        for title in (f"variance {name} constant change", f"error {name}"):
            terms.append(Term(title, fit.value(title), fit.error(title), scale="variance"))
    if len(panel.names) == 2:
        first, second = (f"{name} constant change" for name in panel.names)
        shared = f"covariance {first}, {second}"
        found = _correlation(fit, f"variance {first}", f"variance {second}", shared)
        terms.append(_fisher("correlation of constant changes", found, fit.n, 3))
    return terms


def _residual_correlation(panel, fit, at):
    """Correlation of the changes of one interval given the levels before."""
    changes, shared = [panel.change(name, at) for name in panel.names], panel.together(at)
    found = _correlation(fit, *(f"variance {change}" for change in changes), shared)
    title = f"correlation{shared[10:]} given the levels before"
    return _fisher(title, found, panel.complete(*panel.names), 5 + len(panel.covariates))


def _result(panel, fit, terms, confidence):
    notes = fit.notes
    if panel.left_out:
        notes = (f"{panel.left_out} participants without scores or covariates left out", *notes)
    return ProcessResult(term_table(terms, fit.n, confidence), fit.indices, notes)
