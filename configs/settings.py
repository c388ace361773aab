"""Settings of a study: the only home of defaults of scientific options."""

from __future__ import annotations

import difflib
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, TypeVar, get_args

import yaml
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    model_validator,
)

from bids_utils.errors import SettingsError
from configs.plain_yaml import read_yaml

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

Positive = Annotated[float, Field(gt=0)]
Fraction = Annotated[float, Field(ge=0, le=1)]
CONTRAST_TOLERANCE = 1e-9
MOST_SHOWN = 200
FILES = (
    *(("sessions", "exclude"), ("atlas", "file"), ("atlas", "labels"), ("atlas", "space_template")),
    *(("func", "tasks", "stats_model"), ("group", "rescan"), ("privacy", "key_file")),
)
"""Settings that name a file."""

STANDARD_MODELS = frozenset({"change", "baseline_adjusted", "mixed", "sensitivity"})


def _beside_the_settings(path: Path, info: ValidationInfo) -> Path:
    """Path from the folder of the settings file, where there is one; `~` is the home."""
    try:
        path = path.expanduser()
    except RuntimeError as error:
        raise ValueError("nobody here has this home folder; give the whole path") from error
    folder: Path | None = (info.context or {}).get("folder")
    return Path(os.path.normpath(folder / path)) if folder else path


Strategy = Literal[
    "6P", "24P", "24P+CSF+WM", "9P", "27P", "36P", "aCompCor", "aCompCor+GSR", "aCompCor50"
]
"""Confounds that are removed; compute/denoise.py says which columns each has."""

InputFile = Annotated[Path, AfterValidator(_beside_the_settings)]
"""A file that the settings name, relative to the settings file."""


class Section(BaseModel):
    """A frozen group of settings that knows only its own keys."""

    model_config = ConfigDict(frozen=True, extra="forbid")


Kind = TypeVar("Kind", bound=Section)


Moment = Literal["before", "after"] | Annotated[int, Field(ge=1)]
"""When something was measured: before treatment, during its k-th session, or after it."""


class SessionSettings(Section):
    """Order of the sessions in time; without `order` the dates in the dataset decide.

    `compared` are the two sessions that the models of change compare (first and last of the
    order if not given); `moments` says when each session was in the course of treatment.
    `exclude` is a list of images not to be used, its path relative to the settings file.
    """

    order: tuple[str, ...] | None = None
    interval_days: tuple[Positive, ...] | None = None
    compared: tuple[str, str] | None = None
    moments: dict[str, Moment] = {}
    exclude: InputFile | None = None

    @model_validator(mode="after")
    def _check_order(self) -> SessionSettings:
        if self.order is not None and len(set(self.order)) < max(2, len(self.order)):
            raise ValueError("order: name at least two different sessions, the earliest first")
        if self.interval_days is not None and len(self.interval_days) != len(self.order or ()) - 1:
            raise ValueError("interval_days: give one interval between each two sessions of order")
        if self.compared is not None and self.order is not None:
            places = [self.order.index(name) for name in self.compared if name in self.order]
            if len(places) < 2 or places[0] >= places[1]:
                raise ValueError("compared: two sessions of order, the earlier one first")
        return self


class AtlasSettings(Section):
    """Regions: a name from atlases.yaml, or an atlas of one's own.

    Its own `file` (label image), `labels` (table) and `space` belong together.
    `space_template` is the skull-stripped T1w of that space. Paths are relative to the settings
    file.
    """

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9]+$")] = "DesikanKilliany"
    file: InputFile | None = None
    labels: InputFile | None = None
    space: Annotated[str, Field(pattern=r"^[A-Za-z0-9]+$")] | None = None
    space_template: InputFile | None = None

    @model_validator(mode="after")
    def _check_own(self) -> AtlasSettings:
        own = {"file": self.file, "labels": self.labels, "space": self.space}
        missing = [key for key, value in own.items() if value is None]
        if 0 < len(missing) < len(own):
            raise ValueError(f"an atlas of your own needs {', '.join(missing)} too")
        return self


class AnatSettings(Section):
    """Anatomy: bias correction, tissue classes, template and registration to MNI."""

    template_resolution_mm: Positive | None = None
    n4_resolution_mm: Positive = 4.0
    mni_resolution_mm: Positive = 2.0
    min_mni_agreement: Fraction = 0.8
    min_coverage: Fraction = 0.8
    min_thickness_lines: Annotated[int, Field(ge=1)] = 50
    min_brain_ml: Positive = 600.0
    max_brain_ml: Positive = 2400.0


class TaskSettings(Section):
    """Model of a task: its contrasts of conditions, or a BIDS Stats Models file with them.

    `contrasts` are formulas of trial types, e.g. {reactivity: negative - neutral}. `ppi_seeds` are
    regions whose coupling with all others is compared between the conditions (gPPI).
    """

    task: str
    contrasts: dict[str, str] = {}
    stats_model: InputFile | None = None
    hrf: Literal["spm", "spm + derivative", "glover", "glover + derivative"] = "spm"
    high_pass_hz: Positive = 0.008
    strategy: Strategy = "24P"
    ppi_seeds: tuple[str, ...] = ()


class FuncSettings(Section):
    """BOLD: checks, confounds, denoising, connectivity and models of tasks."""

    repetition_time_s: dict[str, Positive] = {}
    slice_timing: bool = True
    high_pass_hz: Positive = 0.008
    low_pass_hz: Positive | None = 0.1
    strategy: Strategy = "24P+CSF+WM"
    fd_threshold_mm: Positive | None = 0.5
    std_dvars_threshold: Positive | None = None
    censored: Literal["nan", "spline"] = "nan"
    min_clean_minutes: Positive = 4.0
    min_coverage: Fraction = 0.5
    min_registration_dice: Fraction = 0.75
    tr_tolerance_s: Positive = 0.001
    connectivity: Literal["correlation", "partial"] = "correlation"
    circuits: tuple[str, ...] | None = None
    tasks: tuple[TaskSettings, ...] = ()

    @model_validator(mode="after")
    def _one_model_a_task(self) -> FuncSettings:
        names = [own.task for own in self.tasks]
        twice = [name for name in names if names.count(name) > 1]
        if twice:
            raise ValueError(f"tasks: '{twice[0]}' has two models; put their contrasts into one")
        return self

    @model_validator(mode="after")
    def _pass_something(self) -> FuncSettings:
        if self.low_pass_hz is not None and self.low_pass_hz <= self.high_pass_hz:
            raise ValueError(
                f"low_pass_hz: {self.low_pass_hz:g} must be above high_pass_hz, which is "
                f"{self.high_pass_hz:g}: no frequency would be left"
            )
        return self


class SourceSettings(Section):
    """What is read of other tools' results and of tables, and how to name what has no name.

    `scans` gives participant and session of folders and files without BIDS names, `session`
    the session of all scans whose names have none. `measure`, `unit`, `modality` and `atlas`
    say what the numbers of a wide table are; `measures` and `atlases` restrict what is read.
    """

    scans: dict[str, tuple[str, str]] = {}
    session: str | None = None
    stream: Literal["cross", "longitudinal"] | None = None
    measures: tuple[str, ...] = ()
    atlases: tuple[str, ...] = ()
    measure: str | None = None
    unit: str | None = None
    modality: str | None = None
    atlas: str | None = None


class ScoreSettings(Section):
    """A score: its column, which direction is an improvement, and what a change has to be.

    `scale` is a name from scales.yaml; it fills what is not given here (without a scale lower
    is better, and 50 % improvement is a response). `moment` says when a
    score that belongs to no session was taken.
    """

    name: str
    better: Literal["lower", "higher"] | None = None
    role: Literal["outcome", "process"] = "outcome"
    scale: str | None = None
    minimum: float | None = None
    maximum: float | None = None
    reliability: Annotated[float, Field(gt=0, lt=1)] | None = None
    remission: float | None = None
    response_pct: Annotated[float, Field(gt=0, le=100)] | None = None
    norm_mean: float | None = None
    norm_sd: Positive | None = None
    clinical_mean: float | None = None
    clinical_sd: Positive | None = None
    moment: Moment | None = None


class CompositeSettings(Section):
    """A composite of declared scores, the mean in units of their baseline SD."""

    name: str
    scores: Annotated[tuple[str, ...], Field(min_length=2)]
    min_share: Annotated[float, Field(gt=0, le=1)] = 0.5
    better: Literal["lower", "higher"] = "lower"


class ModelSettings(Section):
    """A model beside the standard ones, fitted to each region and edge.

    `formula` is the right-hand side in Wilkinson notation over columns of participants.tsv,
    `arm`, and what is known of each pair of sessions: interval_days, fd_change, icv. `test`
    names its terms that are tested (the arms, or the mean change, if empty). `contrasts` are
    weights of the arms that sum to 0. `moderator` adds its product with the arm and the simple
    slopes.
    """

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]+$")]
    design: Literal["change", "baseline_adjusted", "mixed", "constrained_baseline"] = "change"
    formula: str = ""
    test: tuple[str, ...] = ()
    contrasts: dict[str, dict[str, float]] = {}
    moderator: str | None = None
    time: Literal["sessions", "days"] = "sessions"
    random: Literal["intercept", "slope"] = "intercept"
    measures: tuple[str, ...] = ()
    regions: tuple[str, ...] = ()
    planned: bool = False

    @model_validator(mode="after")
    def _check_design(self) -> ModelSettings:
        if self.random == "slope" and (self.time != "days" or self.design != "mixed"):
            raise ValueError("random: slope needs design: mixed and time: days")
        if self.time == "days" and self.design not in ("mixed", "constrained_baseline"):
            raise ValueError("time: days is for design: mixed or constrained_baseline")
        for name, weights in self.contrasts.items():
            if abs(sum(weights.values())) > CONTRAST_TOLERANCE or not any(weights.values()):
                raise ValueError(f"contrasts: the weights of '{name}' must sum to 0")
        return self


class VariableSettings(Section):
    """One number per participant: a score, a column of participants.tsv, or a measure.

    With `session` it is the value of that session, with `change` the difference of two
    sessions, the earlier one first. A measure without `region` stands for all its regions.
    """

    score: str | None = None
    column: str | None = None
    measure: str | None = None
    modality: str | None = None
    region: str | None = None
    session: str | None = None
    change: tuple[str, str] | None = None
    moment: Moment | None = None

    @model_validator(mode="after")
    def _check_kind(self) -> VariableSettings:
        if sum(kind is not None for kind in (self.score, self.column, self.measure)) != 1:
            raise ValueError("give one of score, column and measure")
        if self.session is not None and self.change is not None:
            raise ValueError("give session or change, not both")
        if self.moment is not None and self.change is not None:
            raise ValueError("a change has two moments: give them by sessions.moments")
        return self


class MechanismSettings(Section):
    """A path from treatment over mediators to an outcome.

    `treatment` is `arm` or a column of participants.tsv such as the number of sessions
    attended. `moderated` says which path `moderator` changes.
    """

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]+$")]
    treatment: str = "arm"
    mediators: Annotated[tuple[VariableSettings, ...], Field(min_length=1)]
    outcome: VariableSettings
    kind: Literal["parallel", "serial"] = "parallel"
    interaction: bool = False
    moderator: str | None = None
    moderated: Literal["a", "b"] = "a"
    covariates: tuple[str, ...] = ()
    n_bootstraps: Annotated[int, Field(ge=100)] = 5000
    planned: bool = False


class ProcessSettings(Section):
    """Two scores measured session by session, such as alliance and symptoms."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]+$")]
    model: Literal["within_between", "cross_lagged", "latent_change"] = "within_between"
    process: VariableSettings
    outcome: VariableSettings
    sessions: Annotated[tuple[str, ...], Field(min_length=2)]
    planned: bool = False


class PredictionSettings(Section):
    """Prediction of an outcome for the individual, beside a clinical-only model.

    `tangent` takes all connections of one session together, as a matrix.
    """

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]+$")]
    target: VariableSettings
    response: bool = False
    clinical: tuple[VariableSettings, ...] = ()
    brain: Annotated[tuple[VariableSettings, ...], Field(min_length=1)]
    method: Literal["elastic_net", "connectome", "tangent"] = "elastic_net"
    confounds: tuple[str, ...] = ()
    by_site: bool = False
    n_folds: Annotated[int, Field(ge=2)] = 5
    n_repeats: Annotated[int, Field(ge=1)] = 10
    n_permutations: Annotated[int, Field(ge=0)] = 200
    planned: bool = False

    @model_validator(mode="after")
    def _check_tangent(self) -> PredictionSettings:
        part = self.brain[0]
        whole = part.measure == "connectivity" and part.region is None and part.change is None
        if self.method == "tangent" and not (whole and len(self.brain) == 1):
            raise ValueError(
                f"{self.name}: tangent predicts from all connections of one session; a change, a "
                "region or a second measure is not possible: write "
                "brain: [{measure: connectivity, session: BASELINE}], or method: elastic_net"
            )
        return self


class CorrectionSettings(Section):
    """Family-wise correction; without permutations it is Holm's.

    `network_threshold` is the t value above which edges form networks (NBS).
    """

    n_permutations: Annotated[int, Field(ge=0)] = 5000
    network_threshold: Positive | None = 3.0


class SiteSettings(Section):
    """Sites or scanners: a column of participants.tsv and what is done about it."""

    column: str | None = None
    method: Literal["none", "covariate", "combat"] = "covariate"


class GroupSettings(Section):
    """Cohort: arms, covariates, scores, models and the corrections for many tests.

    `rescan` is a table of repeated scans, from which the error of one person's change comes; its
    path is relative to the settings file.
    """

    arm_column: str | None = None
    reference_arm: str | None = None
    randomised: bool = False
    covariates: tuple[str, ...] = ()
    scores: tuple[ScoreSettings, ...] = ()
    composites: tuple[CompositeSettings, ...] = ()
    models: tuple[ModelSettings, ...] = ()
    mechanisms: tuple[MechanismSettings, ...] = ()
    processes: tuple[ProcessSettings, ...] = ()
    predictions: tuple[PredictionSettings, ...] = ()
    correction: CorrectionSettings = CorrectionSettings()
    sites: SiteSettings = SiteSettings()
    rescan: InputFile | None = None
    alpha: Annotated[float, Field(gt=0, lt=0.5)] = 0.05
    confidence: Annotated[float, Field(gt=0.5, lt=1)] = 0.95
    min_participants: Annotated[int, Field(ge=4)] = 6

    @model_validator(mode="after")
    def _check_names(self) -> GroupSettings:
        parts = (self.models, self.mechanisms, self.processes, self.predictions)
        declared = [score.name for score in self.scores]
        for composite in self.composites:
            unknown = [name for name in composite.scores if name not in declared]
            if unknown:
                raise ValueError(
                    f"composites: {composite.name}: '{unknown[0]}' is not among scores"
                )
        for group in parts:
            names = [part.name for part in group]
            twice = {name for name in names if names.count(name) > 1 or name in STANDARD_MODELS}
            if twice:
                raise ValueError(f"two models are called '{min(twice)}'; rename one of them")
        return self


class PrivacySettings(Section):
    """A copy of the results of the group that can be given to others, in OUTPUT_DIR/shared.

    `results`: tables about groups of people, without counts of fewer than `min_cell`. `people`:
    also tables with a row a person, under pseudonyms made with the secret in `key_file` (not
    given: beside OUTPUT_DIR; made where it is not there).
    """

    share: Literal["none", "results", "people"] = "none"
    min_cell: Annotated[int, Field(ge=2)] = 5
    key_file: InputFile | None = None


class Settings(Section):
    """Everything that decides a result, and what of it may be shared."""

    sessions: SessionSettings = SessionSettings()
    atlas: AtlasSettings = AtlasSettings()
    anat: AnatSettings = AnatSettings()
    func: FuncSettings = FuncSettings()
    sources: SourceSettings = SourceSettings()
    group: GroupSettings = GroupSettings()
    privacy: PrivacySettings = PrivacySettings()
    random_seed: Annotated[int, Field(ge=0)] = 1


def load_settings(path: Path | None) -> Settings:
    """Settings read from a YAML file; without a file, the defaults.

    Raises
    ------
    SettingsError
        The file cannot be read, has an unknown key (the nearest one is named) or an
        impossible value.
    """
    return Settings() if path is None else read_sections(path, Settings)


def read_sections(path: Path, kind: type[Kind]) -> Kind:
    """Settings of one kind, such as those of a study, read from a YAML file.

    Raises
    ------
    SettingsError
        The file cannot be read, has an unknown key (the nearest one is named) or an
        impossible value.
    """
    raw = read_yaml(path)
    if not isinstance(raw, dict | None):
        first = next(iter(kind.model_fields))
        raise SettingsError(f"{path}: expected sections such as '{first}:', found {_short(raw)}")
    try:
        return kind.model_validate(raw or {}, context={"folder": path.absolute().parent})
    except ValidationError as error:
        lines = [_explain(item, kind) for item in error.errors()]
        raise SettingsError("\n".join(f"{path}: {line}" for line in lines)) from error


def dump_settings(settings: Settings, folder: Path | None = None) -> str:
    """YAML text of all settings, readable by `load_settings`.

    Parameters
    ----------
    settings : Settings
    folder : Path, optional
        Where the text will lie: files are named from there, and no home folder is told.
    """
    plain = settings.model_dump(mode="json")
    for field in FILES if folder else ():
        _name_from(plain, field, str(folder))
    return yaml.safe_dump(plain, sort_keys=False)


def _name_from(section: dict[str, object], field: tuple[str, ...], folder: str) -> None:
    """Replace the name of a file by its way from a folder, in place."""
    first, *rest = field
    value = section[first]
    if isinstance(value, str) and not rest:
        section[first] = os.path.relpath(value, folder)
    for part in value if isinstance(value, list) else [value]:
        if isinstance(part, dict):
            _name_from(part, tuple(rest), folder)


def _explain(item: ErrorDetails, kind: type[BaseModel]) -> str:
    """One line for a user: where, what was found, what is possible."""
    place = ".".join(str(part) for part in item["loc"])
    if item["type"] != "extra_forbidden":
        message = item["msg"].removeprefix("Value error, ")
        found = "" if isinstance(item["input"], dict) else f", found {_short(item['input'])}"
        return f"{place or 'settings'}: {message}{found}"
    known = _known_keys(item["loc"][:-1], kind)
    near = difflib.get_close_matches(str(item["loc"][-1]), known, n=1, cutoff=0.5)
    hint = f"did you mean '{near[0]}'?" if near else f"known keys: {', '.join(known)}"
    return f"{place}: unknown key; {hint}"


def _short(value: object) -> str:
    """A value as it is written, cut where it is long."""
    text = repr(value)
    return text if len(text) <= MOST_SHOWN else f"{text[:MOST_SHOWN]} ..."


def _known_keys(path: tuple[int | str, ...], kind: type[BaseModel]) -> list[str]:
    """Keys of the section that `path` leads to; positions in a list are stepped over."""
    section = kind
    for part in path:
        if isinstance(part, str):
            annotation = section.model_fields[part].annotation
            section = next(
                one
                for one in (annotation, *get_args(annotation))
                if isinstance(one, type) and issubclass(one, BaseModel)
            )
    return list(section.model_fields)
