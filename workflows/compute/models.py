"""Outcome models: change by arm, all sessions, follow-up given baseline, change with symptoms."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd

from workflows.compute.association import (
    PrePost,
    followup_correlation,
    rank_partial_correlation,
    status_design,
)
from workflows.compute.design import MIN_ARM, Design, arms_of, design_of, level_text
from workflows.compute.families import MOTION, Cohort, Family
from workflows.compute.long_models import LongRequest, fit_long
from workflows.compute.model_permutation import (
    NETWORK_COLUMNS,
    PermutationPlan,
    Permuted,
    permuted,
    relabelled,
)
from workflows.compute.multiplicity import correct_families
from workflows.compute.problems import NOTE, ModelError, Problem, nearest_names
from workflows.compute.regression import Fit, least_squares, partial_correlation
from workflows.compute.results import (
    CORRELATIONS,
    LONG_KINDS,
    MODEL_COLUMNS,
    ModelSpec,
    family_rows,
)
from workflows.compute.scale import Scale, reached

BUILT_IN = ("interval_days", "fd_change", "icv")
SCORE = "score"
OWN_BASELINE = 0.999
PERMUTED = frozenset({"change", "symptoms", "remission"})
CHECKS = frozenset({"rank_symptoms", "symptoms_adjusted", "remission"})
SCORE_KINDS = CORRELATIONS | {"remission"}


@dataclass(frozen=True)
class ModelResult:
    """Rows of MODEL_COLUMNS and what could not be done."""

    rows: pd.DataFrame
    problems: tuple[Problem, ...]
    networks: pd.DataFrame = field(default_factory=pd.DataFrame)


@dataclass(frozen=True)
class FamilyModel:
    """A family with the design of its participants, ready to be fitted."""

    spec: ModelSpec
    cohort: Cohort
    family: Family
    design: Design


def run_model(
    spec: ModelSpec,
    cohort: Cohort,
    families: tuple[Family, ...],
    plan: PermutationPlan | None = None,
) -> ModelResult:
    """Result of one model over all families, corrected within each.

    A family that cannot be fitted gives no rows and a problem that says why. With a `plan`
    the models of change are corrected family-wise by permutation, the others by Holm.
    """
    tables, networks, problems = [], [], []
    for family in wanted_families(spec, families):
        try:
            model, found = prepared(spec, cohort, family, families)
            problems += found
            permutation, unpermuted = _tried(model, plan)
            tables += fitted(model, permutation)
            problems += unpermuted
        except ModelError as error:
            where = f"model {spec.name}: {error.problem.where}"
            kind = NOTE if spec.kind in CHECKS else error.problem.kind
            problems.append(replace(error.problem, where=where, kind=kind))
            continue
        if permutation is not None and len(permutation.networks):
            own = {"model": spec.name, "family": f"{spec.name}: {family.name}"}
            networks.append(permutation.networks.assign(**own, planned=spec.planned))
    if not tables:
        nothing = pd.DataFrame(columns=MODEL_COLUMNS)
        problems += _nothing_to_fit(spec, families) if not problems else []
        return ModelResult(nothing, tuple(dict.fromkeys(problems)))
    rows = correct_families(pd.concat(tables, ignore_index=True))
    problems += negative_variances(spec, rows)
    joined = pd.concat(networks, ignore_index=True)[NETWORK_COLUMNS] if networks else pd.DataFrame()
    return ModelResult(rows[MODEL_COLUMNS], tuple(dict.fromkeys(problems)), joined)


def _tried(model, plan):
    """Permutation of a family; a problem where it cannot be made, and Holm takes its place."""
    try:
        return permutation_of(model, plan), []
    except ModelError as error:
        where = f"model {model.spec.name}: {error.problem.where}"
        todo = f"p_fwe is Holm's; {error.problem.what_to_do}"
        return None, [Problem(error.problem.what, where, todo)]


def permutation_of(model: FamilyModel, plan: PermutationPlan | None) -> Permuted | None:
    """Permutation of a family; None for models without one."""
    spec, family = model.spec, model.family
    if plan is None or not plan.n_relabellings or spec.kind not in PERMUTED:
        return None
    partner = None
    if spec.kind == "symptoms":
        score = np.array(model.cohort.score_change[spec.score], dtype=float)
        partner = (f"change in {spec.score}", score)
    blocks = pd.Series("", index=model.cohort.participants.index)
    if spec.block_column in model.cohort.participants:
        blocks = model.cohort.participants[spec.block_column]
    family = _without_small_arms(model, partner)
    seen = np.isfinite(family.change).any(axis=1)
    seen &= np.isfinite(partner[1]) if partner else True
    matrix = np.where(seen[:, None], model.design.matrix, np.nan)
    if not np.isfinite(matrix).all(axis=1).any():
        return None
    who = relabelled(replace(model.design, matrix=matrix), partner, blocks, plan)
    return permuted(family, who, plan, spec.min_participants)


def wanted_families(spec: ModelSpec, families: tuple[Family, ...]) -> Iterator[Family]:
    """Families the model is about, with the wanted regions only."""
    for family in families:
        if spec.measures and family.measure not in spec.measures:
            continue
        if spec.only_incomplete and not is_incomplete(family):
            continue
        if spec.kind in SCORE_KINDS and family.modality == SCORE:
            continue
        chosen = family.only(spec.regions) if spec.regions else family
        if len(chosen.labels):
            yield chosen


def is_incomplete(family: Family) -> bool:
    """Whether there are more than two sessions, or people who lack one of two."""
    seen = np.isfinite(family.values).any(axis=2)
    return bool((seen.any(axis=1).sum() > 2) or (seen.any(axis=0) & ~seen.all(axis=0)).any())


def prepared(
    spec: ModelSpec, cohort: Cohort, family: Family, families: tuple[Family, ...]
) -> tuple[FamilyModel, tuple[Problem, ...]]:
    """Model of one family with its design; problems of participants left out.

    Raises
    ------
    ModelError
        The design cannot be made, or there is nobody to fit it to.
    """
    people = cohort.participants.assign(**_built_in(spec, cohort, family, families))
    if spec.block_column in people:
        people[spec.block_column] = _as_levels(people[spec.block_column])
    usable = _with_score(spec, cohort) & _with_data(spec, family)
    reference, absent = _reference(spec, family, people, usable)
    arms = np.full(len(people), "", dtype=object)
    arms[usable], levels, problems = arms_of(people[usable], spec.arm_column, reference)
    problems += absent
    if not levels or not usable.any():
        both = "images and both scores" if spec.kind in SCORE_KINDS else "images"
        what = f"no arm has two participants with both {both}"
        raise ModelError(Problem(what, "participants", "see flow.tsv for who is missing"))
    if spec.kind == "baseline_adjusted" and len(levels) < 2 and not spec.request.formula:
        what = f"one arm only ('{levels[0]}'): there is nothing to compare"
        raise ModelError(Problem(what, "participants.tsv", "see the model of change instead"))
    design = design_of(people, arms, levels, spec.request)
    _check_terms(spec, family, design)
    if spec.kind in SCORE_KINDS and not family.is_quality:
        motion = _motion_change(family, families)
        design = design if motion is None else design.with_covariate("fd_mean change", motion)
    if spec.kind == "remission":
        labels = ("not remitted", "remitted")
        design = status_design(_remitted(spec, cohort), design, labels)
    return FamilyModel(spec, cohort, family, design), problems


def fitted(model: FamilyModel, permutation: Permuted | None = None) -> Iterator[pd.DataFrame]:
    """Rows of one family, block by block of its tests."""
    spec, start = model.spec, 0
    if spec.kind in LONG_KINDS:
        yield from _fitted_long(model)
        return
    for block in model.family.blocks():
        part = replace(model, family=block)
        rows = family_rows(spec, block, _fit(part), model.design)
        if permutation is not None:
            p_fwe = permutation.p_fwe[:, start : start + len(block.labels)].ravel()
            rows = rows.assign(p_fwe=p_fwe, fwe_method=permutation.method)
        start += len(block.labels)
        yield rows


def _fitted_long(model):
    spec, request = model.spec, _long_request(model)
    for block in model.family.blocks():
        for design, family, fit in fit_long(model.design, block, request, spec.min_participants):
            yield family_rows(spec, family, fit, design)


def negative_variances(spec: ModelSpec, rows: pd.DataFrame) -> list[Problem]:
    """How many tests of a mixed model had a negative variance between participants."""
    if spec.kind not in LONG_KINDS:
        return []
    negative = rows["note"].astype(str).str.contains("negative variance", regex=False)
    tests = rows[negative].drop_duplicates(["family", "region", "region_a", "region_b"])
    return [
        Problem(
            f"the variance between participants is negative in {len(part)} test(s) of {family}: "
            "their sessions go together less than by chance",
            f"model {spec.name}",
            "the tests hold; see their notes, and check these measures",
            NOTE,
        )
        for family, part in tests.groupby("family", sort=False)
    ]


def _long_request(model):
    spec, family = model.spec, model.family
    days = None
    if len(model.cohort.days):
        days = model.cohort.days.reindex(columns=list(family.sessions)).to_numpy(dtype=float).T
    constrained = spec.kind == "constrained_baseline"
    return LongRequest(spec.time, spec.random, constrained, days, len(family.labels) == 1)


def _reference(spec, family, people, usable):
    """Reference arm, and a problem where nobody of it has data: then the first arm stands in."""
    wanted = spec.reference_arm if spec.kind not in SCORE_KINDS else ""
    if not wanted or spec.arm_column not in people:
        return wanted, ()
    arms = people[spec.arm_column].map(level_text)
    if (arms == wanted).any() and not (arms[usable] == wanted).any():
        what = f"nobody of the reference arm '{wanted}' has data of {family.name}"
        todo = "the other arms are compared with the first of them in text order"
        return "", (Problem(what, f"model {spec.name}", todo),)
    return wanted, ()


def _nothing_to_fit(spec, families):
    if spec.only_incomplete or not families:
        return []
    where = f"model {spec.name}: measures, regions"
    brain = [family for family in families if family.modality != SCORE]
    if spec.kind in SCORE_KINDS and not brain:
        todo = "see the problems of their sources"
        return [Problem("there are no measures of the brain", f"model {spec.name}", todo)]
    known = dict.fromkeys(family.measure for family in families)
    unknown = [name for name in spec.measures if name not in known]
    if unknown or not spec.regions:
        hint = nearest_names((unknown or [""])[0], known)
        return [Problem("no measure of the model is in the data", where, hint)]
    chosen = [family for family in brain if not spec.measures or family.measure in spec.measures]
    regions = [family.labels.dropna(axis=1).to_numpy().ravel() for family in chosen]
    hint = nearest_names(spec.regions[0], dict.fromkeys(np.concatenate([*regions, []])))
    return [Problem(f"no region '{spec.regions[0]}' in the data", where, hint)]


def _as_levels(column):
    """Sites are levels, also where their names are numbers; NaN where unknown."""
    texts = column.map(level_text)
    return texts.where(texts != "", np.nan).astype(object)


def _check_terms(spec, family, design):
    """Refuse a mean that is none, and change that is compared with its own baseline."""
    if spec.kind == "baseline_adjusted" and any(term.kind == "mean" for term in design.terms):
        what = f"nothing to test in '{design.formula}': a mean given baseline is no change"
        raise ModelError(Problem(what, "group.models", "name a term in test, or add arm"))
    if family.modality != SCORE or spec.kind not in ("change", *LONG_KINDS):
        return
    for term in (term for term in design.terms if term.kind == "slope"):
        if _is_own_baseline(design.matrix @ (term.weights != 0), family.baseline[:, 0]):
            what = f"'{term.name}' is the baseline of {family.name} itself"
            todo = "change goes with its own baseline by error alone; restrict measures"
            raise ModelError(Problem(what, "group.models", todo))


def _is_own_baseline(column, baseline):
    both = np.isfinite(column) & np.isfinite(baseline)
    x, y = column[both], baseline[both]
    if both.sum() < 3 or not (np.ptp(x) > 0 and np.ptp(y) > 0):
        return False
    return bool(np.corrcoef(x, y)[0, 1] > OWN_BASELINE)


def _without_small_arms(model, partner):
    """Family in which tests without two people in each arm are missing: they are not tested."""
    family, design = model.family, model.design
    usable = np.isfinite(design.matrix).all(axis=1)
    usable &= np.isfinite(partner[1]) if partner else True
    present = np.isfinite(family.change) & usable[:, None]
    small = (design.counts(present) < MIN_ARM).any(axis=0)
    if not small.any():
        return family
    return replace(family, values=np.where(small, np.nan, family.values))


def _built_in(spec, cohort, family, families):
    asked = " ".join((spec.request.formula, spec.request.moderator, *spec.request.covariates))
    wanted = [n for n in BUILT_IN if n in asked and n not in cohort.participants]
    return {name: _built_in_values(name, cohort, family, families) for name in wanted}


def _built_in_values(name, cohort, family, families):
    if name == "interval_days" and len(cohort.days):
        first, last = (family.sessions[place] for place in family.compared)
        return (cohort.days[last] - cohort.days[first]).to_numpy(dtype=float)
    if name == "fd_change":
        values = _motion_change(family, families)
        if values is not None:
            return values
    if name == "icv":
        for other in families:
            places = np.flatnonzero(other.labels["region"].to_numpy() == "icv")
            if len(places):
                with np.errstate(invalid="ignore"):
                    return _mean_of_sessions(other.values[:, :, places[0]])
    what = f"'{name}' is not known for {family.name}"
    raise ModelError(Problem(what, "group.covariates", "leave it out, or restrict `measures`"))


def _mean_of_sessions(values):
    there = np.isfinite(values)
    n = there.sum(axis=0)
    return np.where(n > 0, np.where(there, values, 0).sum(axis=0) / np.maximum(n, 1), np.nan)


def _with_data(spec: ModelSpec, family: Family) -> np.ndarray:
    """Participants with any value that the model can use: arms without them are left out."""
    if spec.kind in LONG_KINDS:
        return np.isfinite(family.values).any(axis=(0, 2))
    return np.isfinite(family.change).any(axis=1)


def _with_score(spec: ModelSpec, cohort: Cohort) -> np.ndarray:
    if spec.kind not in SCORE_KINDS:
        return np.ones(len(cohort.participants), dtype=bool)
    if spec.score not in cohort.score_change:
        hint = nearest_names(spec.score, cohort.score_change.columns)
        raise ModelError(Problem(f"no score '{spec.score}'", "group.scores", hint))
    change = cohort.score_change[spec.score].to_numpy(dtype=float)
    known = change[np.isfinite(change)]
    if len(known) > 1 and np.ptp(known) == 0:
        what = f"'{spec.score}' changes by {known[0]:g} in everybody"
        raise ModelError(Problem(what, "group.scores", "check the column and its sessions"))
    return np.isfinite(change)


def _remitted(spec, cohort):
    followup = _score_sides(spec, cohort).followup
    good = reached(followup, spec.remission, Scale(spec.score, spec.better))
    status = np.where(np.isfinite(followup), good, np.nan)
    for value, text in ((1, "remitted"), (0, "did not remit")):
        if (status == value).sum() < 2:
            what = f"fewer than 2 participants {text} on {spec.score}"
            raise ModelError(Problem(what, "participants", "there is nothing to compare"))
    return status


def _score_sides(spec, cohort):
    pair = [cohort.scores[(spec.score, label)] for label in cohort.pair]
    return PrePost(*(side.to_numpy(dtype=float) for side in pair))


def _motion_change(family, families):
    for other in families:
        if other.measure == MOTION and other.modality == family.modality:
            return np.asarray(other.change[:, 0], dtype=float)
    return None


def _fit(model: FamilyModel) -> Fit:
    spec, family, design = model.spec, model.family, model.design
    if spec.kind in ("change", "remission"):
        return least_squares(family.change, design, spec.min_participants)
    if spec.kind == "baseline_adjusted":
        return least_squares(family.followup, design, spec.min_participants, family.baseline)
    score = np.array(model.cohort.score_change[spec.score], dtype=float)
    if spec.kind == "symptoms":
        return partial_correlation(family.change, score, design, spec.min_participants)
    if spec.kind == "rank_symptoms":
        return rank_partial_correlation(family.change, score, design, spec.min_participants)
    sides = PrePost(family.baseline, family.followup)
    both = _score_sides(spec, model.cohort)
    return followup_correlation(sides, both, design, spec.min_participants)
