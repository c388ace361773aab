"""Mediation: how much of a treatment's effect goes through what was measured in between.

All models are linear. With one mediator and no interaction the indirect effect a*b is the
average causal mediation effect (ACME) and the direct one the average direct effect (ADE) of
Imai, Keele & Tingley (2010), if nothing unmeasured causes both mediator and outcome.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from itertools import combinations

import numpy as np
import pandas as pd

from workflows.compute.bootstrap import Draws, Resampling
from workflows.compute.mediation_data import MediationData, complete_data, places_of
from workflows.compute.path_model import (
    PATH_COLUMNS,
    PathEffect,
    PathModel,
    PathTerm,
    path_rows,
)
from workflows.compute.temporal_order import OrderVerdict, joint_verdict

MEDIATION_COLUMNS = [*PATH_COLUMNS, "label", "reason"]
MAX_CHAIN = 4
SEPARATOR = " -> "
SHARE = "proportion mediated"


@dataclass(frozen=True)
class MediationResult:
    """Paths and effects with intervals.

    `rows` has MEDIATION_COLUMNS. `label` is "mechanism" only where the order of the measurements
    was checked and allows one (see `labelled`). `used` marks the participants of the model,
    `n_left_out` counts the others, `n_degenerate` the resamples that could not be fitted.
    """

    rows: pd.DataFrame
    label: str
    reason: str
    n: int
    n_left_out: int
    n_degenerate: int
    used: np.ndarray = field(repr=False)
    draws: Draws = field(repr=False)

    def to_frame(self) -> pd.DataFrame:
        """Copy of the rows, MEDIATION_COLUMNS."""
        return self.rows.copy()


def parallel_mediation(
    data: MediationData, resampling: Resampling, rng: np.random.Generator
) -> MediationResult:
    """Paths and effects of one mediator, or of several that do not act on each other.

    Rows: a (treatment on mediator), b (mediator on outcome given treatment and the other
    mediators), direct, total, indirect via each mediator, their sum, their pairwise differences
    and the proportion mediated, which is shown only where the total effect differs from 0 and
    indirect and direct effect have its sign. Standardised: in standard deviations of outcome
    (or mediator) per arm difference, or per standard deviation of a dose or mediator.

    Parameters
    ----------
    data : MediationData
    resampling : Resampling
        Strata and clusters in the row order of the data.
    rng : np.random.Generator

    Returns
    -------
    MediationResult
        An association until its order is checked.

    Raises
    ------
    ModelError
        Too few participants, or a variable that is constant or a sum of others.
    """
    ready, used = complete_data(data)
    at = places_of(ready)
    equations = [(place, at.base) for place in at.mediators]
    equations += [(at.outcome, (*at.base, *at.mediators)), (at.outcome, at.base)]
    terms = [*mediator_terms(ready), *outcome_terms(ready, len(at.mediators))]
    effects = _indirect_effects(ready, terms, [(name,) for name in ready.mediator_names])
    model = PathModel(ready.columns, tuple(equations), tuple(terms), tuple(effects))
    return mediation_result(model, used, resampling, rng)


def serial_mediation(
    data: MediationData, resampling: Resampling, rng: np.random.Generator
) -> MediationResult:
    """Paths and effects of mediators that act on each other in the order given.

    Each mediator is explained by treatment and all mediators before it; path d leads from one
    mediator to a later one. There is an indirect effect through each chain of mediators.

    Parameters
    ----------
    data : MediationData
        With 2 to 4 mediators.
    resampling : Resampling
    rng : np.random.Generator

    Returns
    -------
    MediationResult
        Rows as in `parallel_mediation`; an association until its order is checked.

    Raises
    ------
    ModelError
        As `parallel_mediation`.
    """
    if not 2 <= len(data.mediator_names) <= MAX_CHAIN:
        raise ValueError(f"mediators: 2 to {MAX_CHAIN} in a chain")
    ready, used = complete_data(data)
    at, names, spread = places_of(ready), ready.mediator_names, ready.spread
    equations = [
        (place, (*at.base, *at.mediators[:number])) for number, place in enumerate(at.mediators)
    ]
    equations += [(at.outcome, (*at.base, *at.mediators)), (at.outcome, at.base)]
    terms = [*mediator_terms(ready), *outcome_terms(ready, len(names))]
    for early, late in combinations(range(len(names)), 2):
        label, scale = (
            _joined(names[early], names[late]),
            spread[names[early]] / spread[names[late]],
        )
        terms.append(PathTerm("d", "", label, late, at.mediators[early], scale))
    chains = [chain for size in range(len(names)) for chain in combinations(names, size + 1)]
    effects = _indirect_effects(ready, terms, chains)
    model = PathModel(ready.columns, tuple(equations), tuple(terms), tuple(effects))
    return mediation_result(model, used, resampling, rng)


def labelled(result: MediationResult, verdicts: tuple[OrderVerdict, ...]) -> MediationResult:
    """The result with the label that the order of its measurements allows.

    Rows of a single mediator have its own label, all others the joint one.

    Parameters
    ----------
    result : MediationResult
    verdicts : tuple of OrderVerdict
        From `check_order`; none means that nothing was checked: an association.
    """
    joint = joint_verdict(verdicts)
    own = {verdict.mediator: verdict for verdict in verdicts}
    found = [own.get(name, joint) for name in result.rows["mediator"]]
    rows = result.rows.assign(
        label=[verdict.label for verdict in found], reason=[verdict.reason for verdict in found]
    )
    return replace(result, rows=rows, label=joint.label, reason=joint.reason)


def mediator_terms(data: MediationData) -> list[PathTerm]:
    """Terms a: each contrast in the equation of each mediator, which are numbered from 0."""
    spread, at = data.spread, places_of(data)
    return [
        PathTerm("a", contrast, name, number, place, spread[contrast] / spread[name])
        for number, name in enumerate(data.mediator_names)
        for contrast, place in zip(data.contrasts, at.treatment, strict=True)
    ]


def outcome_terms(data: MediationData, equation: int) -> list[PathTerm]:
    """Terms b and direct of this equation, and total of the next one."""
    spread, at = data.spread, places_of(data)
    terms = [
        PathTerm("b", "", name, equation, place, spread[name] / spread[""])
        for name, place in zip(data.mediator_names, at.mediators, strict=True)
    ]
    for path, number in (("direct", equation), ("total", equation + 1)):
        terms += [
            PathTerm(path, contrast, "", number, place, spread[contrast] / spread[""])
            for contrast, place in zip(data.contrasts, at.treatment, strict=True)
        ]
    return terms


def mediation_result(
    model: PathModel, used: np.ndarray, resampling: Resampling, rng: np.random.Generator
) -> MediationResult:
    """Result of a path model, an association until its order is checked.

    Parameters
    ----------
    model : PathModel
    used : np.ndarray of bool, shape (n_participants,)
        Participants whose rows the model has.
    resampling : Resampling
        Of all participants, also those left out.
    rng : np.random.Generator
    """
    rows, draws = path_rows(model, resampling.of(used), rng)
    left_out = int((~used).sum())
    if left_out:
        text = f"{left_out} participants left out: a value is missing"
        rows["note"] = [_together(note, text) for note in rows["note"]]
    rows = _cautious_share(rows)
    n = int(used.sum())
    result = MediationResult(rows, "", "", n, left_out, draws.n_degenerate, used, draws)
    return labelled(result, ())


def _indirect_effects(data, terms, chains):
    place = {(term.path, term.term, term.mediator): number for number, term in enumerate(terms)}
    spread, effects = data.spread, []
    for contrast in data.contrasts:
        scale = spread[contrast] / spread[""]
        products = {_joined(*chain): ((1.0, _chain(place, contrast, chain)),) for chain in chains}
        single = len(products) == 1
        for name, product in products.items():
            path = "indirect" if single else f"indirect via {name}"
            effects.append(PathEffect(path, contrast, name, product, scale))
        whole = sum(products.values(), ())
        if not single:
            effects.append(PathEffect("indirect", contrast, "", whole, scale))
            effects += _differences(products, contrast, scale)
        total = place["total", contrast, ""]
        effects.append(PathEffect(SHARE, contrast, "", whole, np.nan, total))
    return effects


def _differences(products, contrast, scale):
    return [
        PathEffect(
            f"indirect via {first} minus via {second}",
            contrast,
            "",
            (*one, *((-factor, places) for factor, places in other)),
            scale,
        )
        for (first, one), (second, other) in combinations(products.items(), 2)
    ]


def _chain(place, contrast, chain):
    steps = [place["d", "", _joined(*pair)] for pair in zip(chain, chain[1:], strict=False)]
    return (place["a", contrast, chain[0]], *steps, place["b", "", chain[-1]])


def _joined(*names):
    return SEPARATOR.join(names)


def _cautious_share(rows):
    """Proportions mediated without values where they mean nothing."""
    values = ["estimate", "standard_error", "ci_low", "ci_high", "p", "bca_low", "bca_high"]
    paths, terms = rows["path"].to_numpy(), rows["term"].to_numpy()
    for number in np.flatnonzero(paths == SHARE):
        own = rows.iloc[np.flatnonzero((terms == terms[number]) & (paths == "total"))[0]]
        share, reason = rows["estimate"].iloc[number], ""
        if not (own["ci_low"] > 0 or own["ci_high"] < 0):
            reason = "not shown: the total effect cannot be told from 0"
        elif not 0 <= share <= 1:
            reason = "not shown: indirect and direct effect have opposite signs"
        if reason:
            rows.loc[number, values] = np.nan
            rows.loc[number, "note"] = _together(reason, rows["note"].iloc[number])
    return rows


def _together(*notes):
    return "; ".join(note for note in notes if note)
