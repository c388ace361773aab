"""What a prediction starts from, and whom it can use."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator

from workflows.compute.design import level_text
from workflows.compute.problems import ModelError, Problem

MIN_CLASS = 5
SHRINKAGE = 0.1
MIN_REGIONS = 3
MOST_NAMED = 10


@dataclass(frozen=True)
class Cases:
    """Rows to learn from, usually one per participant.

    `participants` and `target` (n_rows,); `clinical` n_rows x columns, numbers or texts;
    `brain` arrays by name, n_rows x n_features, or one n_rows x n_regions x n_regions of
    covariances; `confounds` n_rows x n_confounds (0 columns if none), removed from the brain
    features; `sites` (n_rows,) or None. NaN is missing.
    """

    participants: np.ndarray
    target: np.ndarray
    clinical: pd.DataFrame
    brain: Mapping[str, np.ndarray]
    confounds: np.ndarray
    sites: np.ndarray | None = None

    def rows(self, rows: np.ndarray) -> Cases:
        """Cases of these rows."""
        return Cases(
            self.participants[rows],
            self.target[rows],
            self.clinical.iloc[rows],
            {name: block[rows] for name, block in self.brain.items()},
            self.confounds[rows],
            None if self.sites is None else self.sites[rows],
        )


@dataclass(frozen=True)
class PredictionSpec:
    """How to predict.

    `predictors_first`: all predictors were measured before the outcome. `method`: elastic net
    on the strongest features, ridge (also for covariances), or connectome-based predictive
    modelling. `harmoniser`: a transformer like `fold_steps.SiteOffsets`, learned in the fold.
    `confidence` is that of the scores, `interval_confidence` that of a person's interval.
    """

    kind: Literal["continuous", "binary"]
    predictors_first: bool
    method: Literal["elastic_net", "ridge", "cpm"] = "elastic_net"
    group_by: Literal["participant", "site"] = "participant"
    n_folds: int = 5
    n_repeats: int = 10
    n_inner: int = 5
    n_permutations: int = 200
    n_permutation_repeats: int = 1
    n_bootstraps: int = 2000
    n_bins: int = 5
    confidence: float = 0.95
    interval_confidence: float = 0.90
    min_participants: int = 20
    harmoniser: BaseEstimator | None = field(default=None, repr=False)


def usable_rows(cases: Cases, spec: PredictionSpec) -> np.ndarray:
    """Why each row cannot be used, empty text if it can, n_rows.

    A row needs its target, its confounds, its site (if sites count) and at least one value
    of each brain array (all values of a covariance). Other missing predictors are filled
    inside the fold.

    Raises
    ------
    ModelError
        Predictors that were not measured first; too few participants (below
        `spec.min_participants`: with 20 the share of right predictions is uncertain by +-22
        percentage points by chance alone, Varoquaux 2018); a class of a binary target with
        fewer than 5; a target that does not vary; sites that do not allow the folds.
    """
    _check_shapes(cases, spec)
    if not spec.predictors_first:
        what = "a predictor was not measured before the outcome"
        todo = "take baseline or early change only: otherwise it is no prediction"
        raise ModelError(Problem(what, "prediction", todo))
    reasons = np.full(len(cases.target), "", dtype=object)
    for why, missing in _missing(cases, spec):
        reasons[(reasons == "") & missing] = why
    kept = np.flatnonzero(reasons == "")
    _check_people(cases, spec, kept)
    _check_target(cases, spec, kept)
    _check_sites(cases, spec, kept)
    return reasons


def clinical_matrix(clinical: pd.DataFrame) -> np.ndarray:
    """Numbers of the clinical columns, n_rows x n_columns, NaN where missing.

    A text column becomes one 0/1 column per level but the first (in text order).
    """
    columns = []
    for name in clinical:
        values = clinical[name]
        if pd.api.types.is_numeric_dtype(values):
            columns.append(values.to_numpy(dtype=float, na_value=np.nan))
            continue
        texts = values.map(level_text).to_numpy(dtype=object)
        levels = np.unique(texts[texts != ""].astype(str))
        columns += [np.where(texts == "", np.nan, texts == level) for level in levels[1:]]
    return np.column_stack(columns).astype(float) if columns else np.empty((len(clinical), 0))


def with_correlations(cases: Cases, labels: pd.DataFrame) -> tuple[Cases, str]:
    """Cases with matrices of correlations instead of edges, and what was done in words.

    Each matrix is (1 - `SHRINKAGE`) times the correlations plus `SHRINKAGE` times the identity,
    so that it has an inverse also where there are fewer volumes than regions. Regions that lack
    values in anybody with outcome, confounds and any edge are left out for all.

    Parameters
    ----------
    cases : Cases
        One brain array, n_rows x n_edges, Fisher z of full correlations; NaN is missing.
    labels : pd.DataFrame
        region_a and region_b of each edge.

    Raises
    ------
    ModelError
        There is not one edge for each pair of regions; fewer than `MIN_REGIONS` regions are
        left; a matrix is not positive definite.
    """
    [(name, edges)] = cases.brain.items()
    regions, places = _regions_of(labels, name)
    matrices = np.full((len(edges), len(regions), len(regions)), np.nan)
    matrices[:, places[0], places[1]] = (1 - SHRINKAGE) * np.tanh(edges)
    matrices[:, places[1], places[0]] = matrices[:, places[0], places[1]]
    matrices[:, range(len(regions)), range(len(regions))] = 1.0
    used = np.isfinite(cases.target.astype(float)) & np.isfinite(cases.confounds).all(axis=1)
    used &= np.isfinite(edges).any(axis=1)
    there = _regions_of_all(np.isnan(matrices[used]).any(axis=0))
    if there.sum() < MIN_REGIONS:
        what = f"{name}: only {there.sum()} regions are there in everybody, {MIN_REGIONS} needed"
        raise ModelError(Problem(what, "prediction", "leave out people with poor coverage"))
    kept = matrices[:, there][:, :, there]
    _check_positive(kept[used], cases.participants[used], name)
    left = [region for region, own in zip(regions, there, strict=True) if not own]
    return replace(cases, brain={name: kept}), _tangent_words(int(there.sum()), left)


def _regions_of(labels, name):
    """Names of regions in the order of the edges, and the two places of each edge, 2 x n_edges."""
    pairs = labels[["region_a", "region_b"]]
    regions = pd.unique(pairs.to_numpy(dtype=object).ravel())
    places = np.sort(pd.Index(regions).get_indexer(pairs.to_numpy(object).ravel()).reshape(-1, 2))
    n_pairs = len(np.unique(places[places[:, 0] < places[:, 1]], axis=0))
    if pairs.isna().any(axis=None) or len(places) != n_pairs or _n_edges(regions) != n_pairs:
        what = f"'{name}' does not have one value for each pair of regions"
        raise ModelError(Problem(what, "prediction", "take connectivity of all regions"))
    return regions, places.T


def _n_edges(regions):
    return len(regions) * (len(regions) - 1) // 2


def _regions_of_all(holes):
    """Regions to keep, so that no pair of them is a hole; the one with most holes goes first."""
    kept = np.ones(len(holes), dtype=bool)
    while (count := (holes & kept & kept[:, None]).sum(axis=1)).any():
        kept[np.argmax(count)] = False
    return kept


def _check_positive(matrices, participants, name):
    smallest = np.linalg.eigvalsh(matrices)[:, 0]
    if len(smallest) and smallest.min() < 1e-6:
        what = f"{name}: the matrix of participant {participants[np.argmin(smallest)]} is not "
        what += "positive definite, so not of correlations over the same volumes"
        raise ModelError(Problem(what, "prediction", "use elastic_net, or check the matrix"))


def _tangent_words(n_regions, left):
    more = f" and {len(left) - MOST_NAMED} more" if len(left) > MOST_NAMED else ""
    named = ", ".join(str(region) for region in left[:MOST_NAMED]) + more
    lacking = f", {len(left)} left out because somebody lacks them ({named})" if left else ""
    return (
        f"{n_regions} regions{lacking}; correlations shrunk by {SHRINKAGE:g} to the identity; "
        "reference: mean matrix of the training participants of each fold"
    )


def _missing(cases, spec):
    yield "no outcome", ~np.isfinite(cases.target.astype(float))
    yield "a confound is missing", ~np.isfinite(cases.confounds).all(axis=1)
    if cases.sites is not None:
        yield "no site", pd.isna(cases.sites) | (cases.sites.astype(str) == "")
    for name, block in cases.brain.items():
        there = np.isfinite(block.reshape(len(block), -1))
        lacking = ~there.all(axis=1) if block.ndim == 3 else ~there.any(axis=1)
        yield f"no values of {name}", lacking


def _check_shapes(cases, spec):
    blocks = list(cases.brain.values())
    parts = [cases.participants, cases.clinical, cases.confounds, *blocks]
    if any(len(part) != len(cases.target) for part in parts) or cases.confounds.ndim != 2:
        raise ValueError("cases: each part has one row per row of the target")
    if any(block.ndim == 3 for block in blocks) and len(blocks) > 1:
        raise ValueError("brain: covariances stand alone")
    if spec.method == "cpm" and (len(blocks) != 1 or blocks[0].ndim != 2):
        raise ValueError("brain: connectome-based predictive modelling takes one array of edges")
    if not blocks and cases.clinical.shape[1] == 0:
        raise ValueError("cases: neither clinical columns nor brain arrays")


def _check_people(cases, spec, kept):
    n = len(pd.unique(cases.participants[kept]))
    if n < max(spec.min_participants, 2 * spec.n_folds):
        needed = max(spec.min_participants, 2 * spec.n_folds)
        what = f"too few to predict: {n} participants with outcome and predictors, {needed} needed"
        todo = "report group results only; below 20 an accuracy is uncertain by +-22 points"
        raise ModelError(Problem(what, "prediction", todo))


def _check_target(cases, spec, kept):
    target = cases.target[kept].astype(float)
    if np.ptp(target) == 0:
        raise ModelError(Problem("the outcome is the same for all", "prediction", "leave it out"))
    if spec.kind == "continuous":
        return
    if not np.isin(target, (0, 1)).all():
        what = "a binary outcome has values other than 0 and 1"
        raise ModelError(Problem(what, "prediction", "declare it as continuous, or code it 0 / 1"))
    for value, name in ((1, "with the outcome"), (0, "without the outcome")):
        n = len(pd.unique(cases.participants[kept][target == value]))
        if n < MIN_CLASS:
            what = f"only {n} participants {name}, {MIN_CLASS} needed"
            raise ModelError(Problem(what, "prediction", "predict the continuous score instead"))


def _check_sites(cases, spec, kept):
    if spec.group_by != "site" and spec.harmoniser is None:
        return
    if cases.sites is None:
        raise ModelError(Problem("no site column", "prediction", "name it, or do not use sites"))
    if spec.group_by != "site":
        return
    pairs = pd.DataFrame({"person": cases.participants[kept], "site": cases.sites[kept]})
    pairs = pairs.drop_duplicates()
    if pairs["site"].nunique() < 2:
        what = "one site only: no site can be left out"
        raise ModelError(Problem(what, "site", "use folds of participants"))
    if pairs["person"].duplicated().any():
        person = pairs.loc[pairs["person"].duplicated(), "person"].iloc[0]
        what = f"participant {person} has rows at two sites"
        raise ModelError(Problem(what, "site", "use folds of participants"))
    if spec.harmoniser is not None:
        what = "a site that is left out cannot be harmonised: its offset cannot be known"
        raise ModelError(Problem(what, "site", "use folds of participants, or no harmonisation"))
    _check_site_classes(cases, spec, kept)


def _check_site_classes(cases, spec, kept):
    if spec.kind != "binary":
        return
    sites, target = cases.sites[kept], cases.target[kept]
    for site in pd.unique(sites):
        rest = target[sites != site]
        if min(rest.sum(), len(rest) - rest.sum()) < 2:
            what = f"without site '{site}' one class has fewer than 2 participants"
            raise ModelError(Problem(what, "site", "use folds of participants"))
