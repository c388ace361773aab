"""Settings of a study: the only home of defaults of scientific options."""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, get_args

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from bids_utils.errors import SettingsError

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

Positive = Annotated[float, Field(gt=0)]
Fraction = Annotated[float, Field(ge=0, le=1)]


class Section(BaseModel):
    """A frozen group of settings that knows only its own keys."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class SessionSettings(Section):
    """Order of the sessions in time; without `order` the dates in the dataset decide."""

    order: tuple[str, ...] | None = None
    interval_days: tuple[Positive, ...] | None = None

    @model_validator(mode="after")
    def _check_order(self) -> SessionSettings:
        if self.order is not None and len(set(self.order)) < max(2, len(self.order)):
            raise ValueError("order: name at least two different sessions, the earliest first")
        if self.interval_days is not None and len(self.interval_days) != len(self.order or ()) - 1:
            raise ValueError("interval_days: give one interval between each two sessions of order")
        return self


class AtlasSettings(Section):
    """Regions: a name from atlases.yaml."""

    name: str = "DesikanKilliany"


class AnatSettings(Section):
    """Anatomy: bias correction, tissue classes, template and registration to MNI."""

    template_resolution_mm: Positive | None = None
    n4_resolution_mm: Positive = 4.0
    mni_resolution_mm: Positive = 2.0
    min_mni_overlap: Fraction = 0.55
    min_coverage: Fraction = 0.8
    min_brain_ml: Positive = 600.0
    max_brain_ml: Positive = 2400.0


class FuncSettings(Section):
    """BOLD: checks, confounds, denoising and connectivity."""

    high_pass_hz: Positive = 0.008
    low_pass_hz: Positive | None = 0.1
    strategy: Literal["24P", "36P", "24P+CSF+WM"] = "24P+CSF+WM"
    fd_threshold_mm: Positive = 0.5
    min_clean_minutes: Positive = 4.0
    min_coverage: Fraction = 0.5
    min_registration_dice: Fraction = 0.75
    tr_tolerance_s: Positive = 0.001


class ScoreSettings(Section):
    """A symptom score: its column and which direction is an improvement."""

    name: str
    better: Literal["lower", "higher"] = "lower"


class GroupSettings(Section):
    """Cohort: arms, covariates, symptom scores and the corrections for many tests."""

    arm_column: str | None = None
    reference_arm: str | None = None
    randomised: bool = False
    covariates: tuple[str, ...] = ()
    scores: tuple[ScoreSettings, ...] = ()
    alpha: Annotated[float, Field(gt=0, lt=0.5)] = 0.05
    confidence: Annotated[float, Field(gt=0.5, lt=1)] = 0.95
    min_participants: Annotated[int, Field(ge=4)] = 6


class Settings(Section):
    """Everything that decides a result."""

    sessions: SessionSettings = SessionSettings()
    atlas: AtlasSettings = AtlasSettings()
    anat: AnatSettings = AnatSettings()
    func: FuncSettings = FuncSettings()
    group: GroupSettings = GroupSettings()


def load_settings(path: Path | None) -> Settings:
    """Settings read from a YAML file; without a file, the defaults.

    Raises
    ------
    SettingsError
        The file cannot be read, has an unknown key (the nearest one is named) or an
        impossible value.
    """
    if path is None:
        return Settings()
    try:
        raw = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise SettingsError(f"{path}: cannot be read as YAML: {error}") from error
    if not isinstance(raw, dict | None):
        raise SettingsError(f"{path}: expected sections such as 'sessions:', found {raw!r}")
    try:
        return Settings.model_validate(raw or {})
    except ValidationError as error:
        lines = [_explain(item) for item in error.errors()]
        raise SettingsError("\n".join(f"{path}: {line}" for line in lines)) from error


def dump_settings(settings: Settings) -> str:
    """YAML text of all settings, readable by `load_settings`."""
    return yaml.safe_dump(settings.model_dump(mode="json"), sort_keys=False)


def _explain(item: ErrorDetails) -> str:
    """One line for a user: where, what was found, what is possible."""
    place = ".".join(str(part) for part in item["loc"])
    if item["type"] != "extra_forbidden":
        return f"{place or 'settings'}: {item['msg']}, found {item['input']!r}"
    known = _known_keys(item["loc"][:-1])
    near = difflib.get_close_matches(str(item["loc"][-1]), known, n=1, cutoff=0.5)
    hint = f"did you mean '{near[0]}'?" if near else f"known keys: {', '.join(known)}"
    return f"{place}: unknown key; {hint}"


def _known_keys(path: tuple[int | str, ...]) -> list[str]:
    """Keys of the section that `path` leads to; positions in a list are stepped over."""
    section: type[BaseModel] = Settings
    for part in path:
        if isinstance(part, str):
            annotation = section.model_fields[part].annotation
            section = next(
                kind
                for kind in (annotation, *get_args(annotation))
                if isinstance(kind, type) and issubclass(kind, BaseModel)
            )
    return list(section.model_fields)
