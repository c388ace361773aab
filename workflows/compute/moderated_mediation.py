"""Mediation that depends on a moderator, or on the treatment itself."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from workflows.compute.bootstrap import Resampling
from workflows.compute.mediation import (
    MediationResult,
    mediation_result,
    mediator_terms,
    outcome_terms,
)
from workflows.compute.mediation_data import (
    MediationData,
    check_columns,
    complete_data,
    places_of,
)
from workflows.compute.path_model import PathEffect, PathModel, PathTerm

STAGES = ("a", "b", "direct")
CENTRE = "mean of mediator"


def moderated_mediation(
    data: MediationData,
    moderator: tuple[str, np.ndarray],
    stages: frozenset[str],
    resampling: Resampling,
    rng: np.random.Generator,
) -> MediationResult:
    """Indirect effect of one mediator at several values of a moderator.

    The moderator is in both regressions and centred at its mean, so that a, b and direct are
    those of a participant with the mean. Rows "indirect at" give the indirect effect at the mean
    and one standard deviation below and above it, or at both values of a moderator with two.
    The index of moderated mediation (Hayes 2015) is the change of the indirect effect per unit
    of the moderator; with stages a and b it is no constant and the difference of the indirect
    effects at the highest and the lowest of these values stands in its place.

    Parameters
    ----------
    data : MediationData
        With one mediator.
    moderator : tuple
        Name and values, shape (n_participants,); NaN leaves the participant out.
    stages : frozenset of str
        What it moderates: "a" (first stage), "b" (second stage), "direct".
    resampling : Resampling
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
    if len(data.mediator_names) != 1 or not stages or not stages <= set(STAGES):
        raise ValueError(f"mediators: one; stages: at least one of {STAGES}")
    ready, used = complete_data(data, moderator[1])
    values = moderator[1][used]
    centred = values - values.mean()
    columns, names, equations, extra = _moderated_equations(ready, moderator[0], centred, stages)
    check_columns(columns, names)
    terms = [term for term in (*mediator_terms(ready), *outcome_terms(ready, 1))]
    terms += _moderator_terms(ready, moderator[0], extra)
    points = _points(values)
    effects = _conditional_effects(ready, terms, stages, (moderator[0], values.mean(), points))
    model = PathModel(columns, equations, tuple(terms), tuple(effects))
    return mediation_result(model, used, resampling, rng)


def interaction_mediation(
    data: MediationData,
    levels: tuple[float, float],
    resampling: Resampling,
    rng: np.random.Generator,
) -> MediationResult:
    """Effects of one mediator whose effect on the outcome may depend on the treatment.

    d0 and d1 are the indirect effects with the treatment held at its low and its high level, z0
    and z1 the direct ones (Imai, Keele & Tingley 2010); d0 + z1 = d1 + z0 = total.

    Parameters
    ----------
    data : MediationData
        With one mediator.
    levels : tuple of float
        Low and high level of the treatment; (0, 1) for arms.
    resampling : Resampling
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
    if len(data.mediator_names) != 1 or not levels[0] < levels[1]:
        raise ValueError("mediators: one; levels: low before high")
    ready, used = complete_data(data)
    at, name = places_of(ready), ready.mediator_names[0]
    products = ready.treatment * ready.mediators
    columns = np.column_stack([ready.columns, products])
    crossed = tuple(range(at.outcome + 1, columns.shape[1]))
    mediator = at.mediators[0]
    equations = ((mediator, at.base), (at.outcome, (*at.base, mediator, *crossed)))
    terms = [*mediator_terms(ready), *outcome_terms(ready, 1)]
    terms = [term for term in terms if term.path != "total"]
    terms += [
        PathTerm("treatment x mediator", contrast, name, 1, place, np.nan)
        for contrast, place in zip(ready.contrasts, crossed, strict=True)
    ]
    terms.append(PathTerm(CENTRE, "", name, 0, 0, np.nan))
    names = (*ready.contrasts, *ready.covariate_names, name, "outcome")
    check_columns(columns, (*names, *(f"{contrast} x {name}" for contrast in ready.contrasts)))
    effects = _effects_by_level(ready, terms, levels)
    model = PathModel(columns, equations, tuple(terms), tuple(effects))
    result = mediation_result(model, used, resampling, rng)
    shown = (result.rows["path"] != CENTRE).to_numpy()
    return replace(result, rows=result.rows[shown].reset_index(drop=True))


def _moderated_equations(data, name, centred, stages):
    """Columns, their names, the three regressions, and what was added to the first two."""
    at, treated = places_of(data), data.treatment * centred[:, None]
    columns = np.column_stack([data.columns, centred, treated, data.mediators[:, 0] * centred])
    w = at.outcome + 1
    crossed, last = tuple(range(w + 1, columns.shape[1] - 1)), columns.shape[1] - 1
    base, mediator = (*at.base, w), at.mediators[0]
    in_mediator = crossed if "a" in stages else ()
    in_outcome = (*(crossed if "direct" in stages else ()), *((last,) if "b" in stages else ()))
    equations = (
        (mediator, (*base, *in_mediator)),
        (at.outcome, (*base, mediator, *in_outcome)),
        (at.outcome, base),
    )
    variable = (*data.contrasts, *data.covariate_names, *data.mediator_names, "outcome", name)
    products = tuple(f"{part} x {name}" for part in (*data.contrasts, *data.mediator_names))
    return columns, (*variable, *products), equations, (in_mediator, in_outcome, last)


def _moderator_terms(data, name, extra):
    in_mediator, in_outcome, last = extra
    mediator = data.mediator_names[0]
    terms = [
        PathTerm(f"a x {name}", contrast, mediator, 0, place, np.nan)
        for contrast, place in zip(data.contrasts, in_mediator, strict=False)
    ]
    crossed = [place for place in in_outcome if place != last]
    terms += [
        PathTerm(f"direct x {name}", contrast, "", 1, place, np.nan)
        for contrast, place in zip(data.contrasts, crossed, strict=False)
    ]
    if last in in_outcome:
        terms.append(PathTerm(f"b x {name}", "", mediator, 1, last, np.nan))
    return terms


def _points(values):
    """Values of the moderator at which the indirect effect is given, lowest first."""
    different = np.unique(values)
    if len(different) == 2:
        return different
    return values.mean() + np.array([-1, 0, 1]) * values.std(ddof=1)


def _conditional_effects(data, terms, stages, moderator):
    name, centre, points = moderator
    place = {(term.path, term.term): number for number, term in enumerate(terms)}
    spread, mediator, effects = data.spread, data.mediator_names[0], []
    for contrast in data.contrasts:
        scale = spread[contrast] / spread[""]
        first = (place["a", contrast], place.get((f"a x {name}", contrast)))
        second = (place["b", ""], place.get((f"b x {name}", "")))
        at = {point: _product_at(first, second, point - centre) for point in points}
        effects += [
            PathEffect(f"indirect at {name} = {point:g}", contrast, mediator, product, scale)
            for point, product in at.items()
        ]
        if {"a", "b"} <= stages:
            low, high = at[points[0]], at[points[-1]]
            path = f"indirect at {name} = {points[-1]:g} minus at {points[0]:g}"
            difference = (*high, *((-factor, places) for factor, places in low))
            effects.append(PathEffect(path, contrast, mediator, difference, scale))
        elif stages & {"a", "b"}:
            slope = (first[1], second[0]) if "a" in stages else (first[0], second[1])
            path = "index of moderated mediation"
            effects.append(PathEffect(path, contrast, mediator, ((1.0, slope),), scale))
    return effects


def _product_at(first, second, shift):
    """(a + a x shift) (b + b x shift) as a sum of products."""
    parts = []
    for one, own in zip(first, (1.0, shift), strict=True):
        for other, factor in zip(second, (1.0, shift), strict=True):
            if one is not None and other is not None:
                parts.append((own * factor, (one, other)))
    return tuple(parts)


def _effects_by_level(data, terms, levels):
    place = {(term.path, term.term): number for number, term in enumerate(terms)}
    name, effects = data.mediator_names[0], []
    step, b = levels[1] - levels[0], place["b", ""]
    for contrast in data.contrasts:
        scale = data.spread[contrast] / data.spread[""] / step
        a, crossed = place["a", contrast], place["treatment x mediator", contrast]
        indirect = [((step, (a, b)), (step * level, (a, crossed))) for level in levels]
        fixed = _direct_at_reference(data, place, contrast, step)
        direct = [(*fixed, (step * level, (a, crossed))) for level in levels]
        effects += [
            PathEffect("d0", contrast, name, indirect[0], scale),
            PathEffect("d1", contrast, name, indirect[1], scale),
            PathEffect("z0", contrast, "", direct[0], scale),
            PathEffect("z1", contrast, "", direct[1], scale),
            PathEffect("total", contrast, "", (*indirect[0], *direct[1]), scale),
        ]
    return effects


def _direct_at_reference(data, place, contrast, step):
    """Direct effect with the mediator at its mean without treatment.

    The constant of the centred regression is 0 in the sample but not in a resample.
    """
    crossed = place["treatment x mediator", contrast]
    products = [
        (step, (place["direct", contrast],)),
        (step * data.mediators.mean(), (crossed,)),
        (step, (crossed, place[CENTRE, ""])),
    ]
    for other, mean in zip(data.contrasts, data.treatment.mean(axis=0), strict=True):
        products.append((-step * mean, (crossed, place["a", other])))
    return tuple(products)
