"""Longitudinal ComBat: shift and scale of sites learned from some people, applied to others."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
from scipy import sparse

from workflows.compute.design import full_rank
from workflows.compute.mixed import NOISE, present_rows, random_intercept
from workflows.compute.problems import ModelError, Problem

CHUNK = 2**11
N_ITERATIONS = 31
NOT_HARMONISED = "not harmonised: a site has fewer than two values"


@dataclass(frozen=True)
class Harmonisation:
    """What was learned, n_features in the last dimension; NaN where `note` says why.

    `coefficients` are the constant and the covariates (1 + n_covariates x n_features),
    `site_effects` the sites' means around 0 (weighted by rows), `scale` the residual
    standard deviation and `ratio` the variance between people over the residual variance.
    `location` (gamma*) and `spread` (delta2*), n_sites x n_features, are the empirical
    Bayes estimates of shift and variance of each site in units of `scale`.
    """

    sites: tuple[str, ...]
    names: tuple[str, ...]
    n_rows: tuple[int, ...]
    coefficients: np.ndarray
    site_effects: np.ndarray
    scale: np.ndarray
    ratio: np.ndarray
    location: np.ndarray
    spread: np.ndarray
    note: np.ndarray = field(repr=False)


@dataclass(frozen=True)
class Scans:
    """Rows of a table of scans: who, where, and the covariates whose effect is kept.

    `site` holds labels, `person` integers, `covariates` is n_rows x n_covariates with
    `names`; time (and time by arm) belongs to them, the outcome of a prediction does not.
    """

    site: np.ndarray
    person: np.ndarray
    covariates: np.ndarray
    names: tuple[str, ...]


def fit_harmonisation(values: np.ndarray, scans: Scans) -> Harmonisation:
    """Shift and scale of each site, given covariates and a random intercept per person.

    The site is a factor, whatever its labels. With one row per person (no repeated
    measures) this is cross-sectional ComBat, with a residual variance of rss / (n - p).

    Parameters
    ----------
    values : np.ndarray, shape (n_rows, n_features)
        NaN leaves the row out of that feature only; a row with a NaN covariate is not used.
    scans : Scans
        The same rows.

    Returns
    -------
    Harmonisation

    Raises
    ------
    ModelError
        One site, a site with one row, or covariates that cannot be told apart from sites.

    References
    ----------
    Johnson et al. 2007; Fortin et al. 2018; Beer et al. 2020.
    """
    if not len(values) == len(scans.site) == len(scans.person) == len(scans.covariates):
        raise ValueError("values and scans must have the same number of rows")
    usable = np.isfinite(scans.covariates).all(axis=1) & (scans.site.astype(str) != "")
    sites = tuple(str(site) for site in np.unique(scans.site[usable].astype(str)))
    member = _members(scans.site, sites) * usable[:, None]
    matrix = np.column_stack([np.ones(len(values)), scans.covariates, member[:, 1:]])
    _check_sites(sites, member.sum(axis=0), matrix[usable], scans.names)
    base = _base(values, np.where(usable[:, None], matrix, np.nan), scans, member, sites)
    return _with_sites(base, values, scans, member)


def apply_harmonisation(learned: Harmonisation, values: np.ndarray, scans: Scans) -> np.ndarray:
    """Values with the shift and scale of their sites removed, n_rows x n_features.

    People need not be those it was learned from: the random intercept of a person is
    predicted from their own rows. NaN stays NaN; a row with a NaN covariate and a
    feature with a note are NaN.

    Raises
    ------
    ModelError
        A site that was not learned, or other covariates.
    """
    if scans.names != learned.names or values.shape[1] != len(learned.scale):
        raise ValueError("covariates and features must be those that were learned")
    unseen = [site for site in dict.fromkeys(scans.site.astype(str)) if site not in learned.sites]
    if unseen:
        raise ModelError(
            Problem(
                f"no harmonisation was learned for site '{unseen[0]}'",
                f"sites ({', '.join(learned.sites)})",
                "leave its people out, or learn from people of every site",
            )
        )
    member = _members(scans.site, learned.sites)
    harmonised = np.empty(values.shape)
    for part in _columns(values.shape[1]):
        kept, standard = _standardised(learned, values, scans, member, part)
        location, spread = member @ learned.location[:, part], member @ learned.spread[:, part]
        harmonised[:, part] = kept + learned.scale[part] / np.sqrt(spread) * (standard - location)
    return harmonised


def relative_scales(learned: Harmonisation) -> Harmonisation:
    """The same, but only the ratios of the sites' scales are removed, not their mean.

    With a few rows per person the predicted random intercept takes part of the residual, so
    that the mean of the published `spread` is below 1. Dividing by it makes what varies
    within people larger, but not the effects that are kept: tests of change would find too
    little. Here `spread` is divided by its mean over sites (weighted by rows), feature by
    feature, and what varies within people keeps its size.
    """
    counts = np.array(learned.n_rows, dtype=float)
    return replace(learned, spread=learned.spread / (counts @ learned.spread / counts.sum()))


def _members(site, sites):
    return (site.astype(str)[:, None] == np.array(sites, dtype=str)).astype(float)


def _columns(n_features):
    return [slice(start, start + CHUNK) for start in range(0, n_features, CHUNK)]


def _check_sites(sites, counts, matrix, names):
    where = "harmonisation"
    if len(sites) < 2:
        found = f"one site only ('{sites[0]}')" if sites else "no row with all covariates"
        raise ModelError(Problem(found, where, "leave harmonisation out"))
    for site, count in zip(sites, counts, strict=True):
        if count < 2:
            what = f"site '{site}' has one scan: its scale cannot be learned"
            raise ModelError(Problem(what, where, "leave this site out or merge it with another"))
    if full_rank(matrix):
        return
    constant = matrix[:, :1]
    levels = matrix[:, 1 + len(names) :]
    for stop in range(1, len(names) + 1):
        if not full_rank(np.column_stack([constant, levels, matrix[:, 1 : 1 + stop]])):
            what = f"'{names[stop - 1]}' cannot be told apart from sites and other covariates"
            raise ModelError(Problem(what, where, "leave it out, or do not harmonise"))
    raise ModelError(Problem("more sites than scans allow", where, "merge small sites"))


def _base(values, matrix, scans, member, sites):
    """Harmonisation that does nothing yet: effects and variances of the model."""
    effects, scale, ratio, note = _model(values, matrix, scans)
    n_kept, n_features = 1 + scans.covariates.shape[1], values.shape[1]
    counts = member.sum(axis=0)
    site_effects = np.concatenate([np.zeros((1, n_features)), effects[n_kept:]])
    middle = counts @ site_effects / counts.sum()
    return Harmonisation(
        sites=sites,
        names=scans.names,
        n_rows=tuple(int(count) for count in counts),
        coefficients=np.concatenate([effects[:1] + middle, effects[1:n_kept]]),
        site_effects=site_effects - middle,
        scale=scale,
        ratio=ratio,
        location=np.zeros(site_effects.shape),
        spread=np.ones(site_effects.shape),
        note=note,
    )


def _model(values, matrix, scans):
    """Effects, residual standard deviation, variance ratio and notes of all features."""
    n_terms = matrix.shape[1]
    usable = np.isfinite(matrix).all(axis=1)
    if np.unique(scans.person[usable], return_counts=True)[1].max() > 1:
        fit = random_intercept(values, matrix, scans.person, np.eye(n_terms), pinned=True)
        untested = np.isnan(fit.variance_residual)
        note = np.where(untested, fit.note, "").astype(object)
        variance = np.where(untested, np.nan, fit.variance_residual)
        return fit.estimate, np.sqrt(variance), fit.variance_person / variance, note
    return _cross_sectional(values, matrix, usable)


def _cross_sectional(values, matrix, usable):
    n_terms, n_features = matrix.shape[1], values.shape[1]
    effects, variance = np.full((n_terms, n_features), np.nan), np.full(n_features, np.nan)
    note = np.full(n_features, "", dtype=object)
    for rows, columns in present_rows(values, usable):
        design = matrix[rows]
        if len(rows) <= n_terms or not full_rank(design):
            note[columns] = "not harmonised: too few values for these sites and covariates"
            continue
        outcome = values[:, columns][rows]
        effects[:, columns] = np.linalg.lstsq(design, outcome, rcond=None)[0]
        squares = ((outcome - design @ effects[:, columns]) ** 2).sum(axis=0)
        constant = squares <= NOISE * (outcome**2).sum(axis=0)
        variance[columns] = np.where(constant, np.nan, squares / (len(rows) - n_terms))
        note[columns] = np.where(constant, "no variation", "").astype(object)
    return effects, np.sqrt(variance), np.where(np.isnan(variance), np.nan, 0.0), note


def _standardised(learned, values, scans, member, columns):
    """What is kept (constant, covariates, person), and the rest in units of `scale`."""
    design = np.column_stack([np.ones(len(values)), scans.covariates])
    fixed = design @ learned.coefficients[:, columns]
    residual = values[:, columns] - fixed - member @ learned.site_effects[:, columns]
    present = np.isfinite(residual) & member.any(axis=1)[:, None]
    place = np.unique(scans.person, return_inverse=True)[1]
    whose = sparse.csr_array((np.ones(len(place)), (place, np.arange(len(place)))))
    sums, counts = whose @ np.where(present, residual, 0.0), whose @ present.astype(float)
    ratio = learned.ratio[columns]
    kept = fixed + (ratio * sums / (1 + ratio * counts))[place]
    return kept, (values[:, columns] - kept) / learned.scale[columns]


def _with_sites(base, values, scans, member):
    """Harmonisation with the shift and scale of each site."""
    shape = base.location.shape
    counts, means, variances = np.empty(shape), np.empty(shape), np.empty(shape)
    for part in _columns(shape[1]):
        standard = _standardised(base, values, scans, member, part)[1]
        present = np.isfinite(standard)
        counts[:, part] = member.T @ present
        with np.errstate(divide="ignore", invalid="ignore"):
            means[:, part] = member.T @ np.where(present, standard, 0.0) / counts[:, part]
            left = np.where(present, standard - member @ np.nan_to_num(means[:, part]), 0.0)
            variances[:, part] = member.T @ left**2 / (counts[:, part] - 1)
    few = (counts < 2).any(axis=0) & (base.note == "")
    note = np.where(few, NOT_HARMONISED, base.note)
    good = note == ""
    location, spread = np.full(shape, np.nan), np.full(shape, np.nan)
    location[:, good], spread[:, good] = _shrunk(
        counts[:, good], means[:, good], variances[:, good]
    )
    return replace(base, location=location, spread=spread, note=note)


def _shrunk(counts, means, variances):
    """Empirical Bayes estimates of shift and variance of each site, shrunk over features."""
    if means.shape[1] < 2:
        return means, variances
    centre, width = means.mean(axis=1, keepdims=True), means.var(axis=1, ddof=1, keepdims=True)
    typical = variances.mean(axis=1, keepdims=True)
    varied = variances.var(axis=1, ddof=1, keepdims=True)
    if (varied == 0).any():
        return means, variances
    shape = (typical**2 + 2 * varied) / varied
    rate = (typical**3 + typical * varied) / varied
    squares, spread = (counts - 1) * variances, variances
    for _ in range(N_ITERATIONS):
        location = (counts * width * means + spread * centre) / (counts * width + spread)
        around = squares + counts * (means - location) ** 2
        spread = (rate + around / 2) / (counts / 2 + shape - 1)
    return location, spread
