"""What a study asks: its models, mechanisms, processes, predictions and scores."""

from __future__ import annotations

from dataclasses import replace
from itertools import accumulate

from pydantic import TypeAdapter

from bids_utils.errors import SettingsError
from bids_utils.names import strip_label
from bids_utils.phenotype import ScoreRule
from configs.lock import file_label, main_model
from configs.scales import complete_score
from configs.settings import (
    GroupSettings,
    MechanismSettings,
    ModelSettings,
    Moment,
    PredictionSettings,
    ProcessSettings,
    ScoreSettings,
    Settings,
    VariableSettings,
)
from workflows.compute.composite import CompositeSpec
from workflows.compute.design import DesignRequest
from workflows.compute.mechanisms import MechanismSpec
from workflows.compute.predictions import PredictionRequest
from workflows.compute.processes import ProcessSpec
from workflows.compute.results import ModelKind, ModelSpec
from workflows.compute.scale import Scale
from workflows.compute.variables import VariableSpec
from workflows.interfaces.outcomes import REQUEST, ScoreRequest


def analyses_of(settings: Settings) -> list[tuple[str, str]]:
    """Kind of each analysis and what is asked, as JSON.

    Raises
    ------
    SettingsError
        A prediction in tangent space where connections are partial correlations.
    """
    group = settings.group
    if settings.func.connectivity == "partial":
        _check_correlations(group.predictions)
    models = [("model", _json(ModelSpec, spec)) for spec in model_specs(settings)]
    return [
        *models,
        *(("mechanism", _json(MechanismSpec, _mechanism(m, group))) for m in group.mechanisms),
        *(("process", _json(ProcessSpec, _process(p, group))) for p in group.processes),
        *(
            ("prediction", _json(PredictionRequest, _prediction(p, group)))
            for p in group.predictions
        ),
    ]


def model_specs(settings: Settings) -> list[ModelSpec]:
    """Models of a study: the standard ones, those of the scores, and the declared ones.

    If arms were randomised the model given baseline is the planned one, else that of change.
    The model of all sessions is fitted where people lack one or there are more than two.
    """
    group = settings.group
    adjusted = main_model(group) == "baseline_adjusted"
    change = ModelSpec(
        "change",
        "change",
        planned=not adjusted,
        arm_column=group.arm_column or "",
        reference_arm=group.reference_arm or "",
        block_column=group.sites.column or "",
        request=DesignRequest(covariates_of(group)),
        confidence=group.confidence,
        min_participants=group.min_participants,
    )
    specs = [
        change,
        replace(change, name="mixed", kind="mixed", planned=False, only_incomplete=True),
    ]
    if group.arm_column:
        kind: ModelKind = "baseline_adjusted"
        specs.append(replace(change, name=kind, kind=kind, planned=adjusted))
    for score in group.scores:
        if score.role == "outcome":
            specs += _score_specs(scale_of(score), change)
    for made in group.composites:
        specs += _score_specs(Scale(made.name, made.better), change)
    return specs + [_declared(model, change) for model in group.models]


def score_request(settings: Settings) -> str:
    """What the scores of a study are asked, as JSON of ScoreRequest."""
    group = settings.group
    scales = scales_of(group)
    composites = tuple(
        CompositeSpec(
            made.name, tuple(scales[name] for name in made.scores), made.min_share, made.better
        )
        for made in group.composites
    )
    request = ScoreRequest(
        scales=tuple(scales.values()),
        outcomes=tuple(score.name for score in group.scores if score.role == "outcome"),
        rules=tuple(
            ScoreRule(score.name, scale.minimum, scale.maximum, score.moment)
            for score, scale in zip(group.scores, scales.values(), strict=True)
        ),
        composites=composites,
        moments=session_moments(settings),
        sessions=tuple(session_order(settings)),
        days=tuple(planned_days(settings).values()),
        pair=_pair(settings.sessions.compared),
        arm_column=group.arm_column or "",
        reference_arm=group.reference_arm or "",
        characteristics=covariates_of(group),
        confidence=group.confidence,
    )
    return REQUEST.dump_json(request).decode()


def scale_of(score: ScoreSettings) -> Scale:
    """Scale of a declared score, filled from scales.yaml."""
    known = complete_score(score.model_dump(exclude_none=True))
    return Scale(**known.model_dump(exclude={"scale", "sources"}))


def scales_of(group: GroupSettings) -> dict[str, Scale]:
    """Scale of each declared score by its name."""
    return {score.name: scale_of(score) for score in group.scores}


def _score_specs(score: Scale, change: ModelSpec) -> list[ModelSpec]:
    label = file_label(score.name)
    symptoms = replace(
        change,
        name=f"symptoms_{label}",
        kind="symptoms",
        planned=True,
        score=score.name,
        better=score.better,
    )
    kinds: tuple[ModelKind, ...] = ("rank_symptoms", "symptoms_adjusted")
    checks = [replace(symptoms, name=f"{k}_{label}", kind=k, planned=False) for k in kinds]
    if score.remission is not None:
        remitters = replace(symptoms, kind="remission", planned=False, remission=score.remission)
        checks.append(replace(remitters, name=f"remission_{label}"))
    return [symptoms, *checks]


def _declared(model: ModelSettings, change: ModelSpec) -> ModelSpec:
    covariates = () if model.formula else change.request.covariates
    contrasts = tuple((name, tuple(arms.items())) for name, arms in model.contrasts.items())
    return replace(
        change,
        name=model.name,
        kind=model.design,
        planned=model.planned,
        request=DesignRequest(
            covariates, model.formula, model.test, contrasts, model.moderator or ""
        ),
        measures=model.measures,
        regions=model.regions,
        time=model.time,
        random=model.random,
    )


def covariates_of(group: GroupSettings) -> tuple[str, ...]:
    """Columns held constant in every model that does not have a formula of its own."""
    site = group.sites.column if group.sites.method == "covariate" else None
    added = (site,) if site and site not in group.covariates else ()
    return (*group.covariates, *added)


def _mechanism(made: MechanismSettings, group: GroupSettings) -> MechanismSpec:
    return MechanismSpec(
        name=made.name,
        treatment=made.treatment,
        mediators=tuple(_variable(mediator) for mediator in made.mediators),
        outcome=_variable(made.outcome),
        kind=made.kind,
        interaction=made.interaction,
        moderator=made.moderator,
        moderated=made.moderated,
        covariates=(*made.covariates, *covariates_of(group)),
        n_bootstraps=made.n_bootstraps,
        planned=made.planned,
        site_column=group.sites.column or "",
        arm_column=group.arm_column or "",
        reference_arm=group.reference_arm or "",
        randomised=group.randomised,
        confidence=group.confidence,
        min_participants=group.min_participants,
    )


def _process(made: ProcessSettings, group: GroupSettings) -> ProcessSpec:
    return ProcessSpec(
        name=made.name,
        model=made.model,
        process=_variable(made.process),
        outcome=_variable(made.outcome),
        sessions=tuple(strip_label(label, "ses") for label in made.sessions),
        planned=made.planned,
        confidence=group.confidence,
    )


def _check_correlations(predictions: tuple[PredictionSettings, ...]) -> None:
    for made in predictions:
        if made.method == "tangent":
            raise SettingsError(
                f"group.predictions: {made.name}: tangent needs matrices of correlations, those of "
                "partial correlations need not be positive definite: write "
                "func.connectivity: correlation, or method: elastic_net"
            )


def _prediction(made: PredictionSettings, group: GroupSettings) -> PredictionRequest:
    return PredictionRequest(
        name=made.name,
        target=_variable(made.target),
        response=made.response,
        clinical=tuple(_variable(part) for part in made.clinical),
        brain=tuple(_variable(part) for part in made.brain),
        method="cpm" if made.method == "connectome" else made.method,
        confounds=made.confounds,
        by_site=made.by_site,
        harmonise=bool(group.sites.column) and group.sites.method != "none",
        site_column=group.sites.column or "",
        arm_column=group.arm_column or "",
        randomised=group.randomised,
        scale=scales_of(group).get(made.target.score or ""),
        n_folds=made.n_folds,
        n_repeats=made.n_repeats,
        n_permutations=made.n_permutations,
        confidence=group.confidence,
        planned=made.planned,
    )


def _variable(made: VariableSettings) -> VariableSpec:
    session = strip_label(made.session, "ses") if made.session else None
    return VariableSpec(**{**made.model_dump(), "session": session, "change": _pair(made.change)})


def _pair(labels: tuple[str, str] | None) -> tuple[str, str] | None:
    return (strip_label(labels[0], "ses"), strip_label(labels[1], "ses")) if labels else None


def session_order(settings: Settings) -> list[str]:
    """Labels of the sessions in the order of time; empty if dates decide."""
    return [strip_label(label, "ses") for label in settings.sessions.order or ()]


def session_moments(settings: Settings) -> dict[str, Moment]:
    """When each session was in the course of treatment."""
    return {strip_label(k, "ses"): moment for k, moment in settings.sessions.moments.items()}


def planned_days(settings: Settings) -> dict[str, float]:
    """Days of each session from the first one on, by the settings; empty if they do not say."""
    intervals = settings.sessions.interval_days
    if intervals is None:
        return {}
    return dict(zip(session_order(settings), accumulate(intervals, initial=0.0), strict=True))


def _json(form: type, made: object) -> str:
    adapter: TypeAdapter[object] = TypeAdapter(form)
    return adapter.dump_json(made).decode()
