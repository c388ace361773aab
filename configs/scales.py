"""Clinical scales by name: range, direction, cut-offs and norms with their sources."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, model_validator

from bids_utils.errors import SettingsError
from bids_utils.names import nearest

FILE = Path(__file__).parent / "scales.yaml"
RESPONSE_PCT = 50.0

Citation = Annotated[str, Field(pattern=r"\b(19|20)\d\d\b")]
Number = float | int | str | None


class Record(BaseModel):
    """A frozen record that knows only its own keys."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Published(Record):
    """A number and where it was published."""

    value: float
    citation: Citation
    detail: str = ""


class Reliability(Published):
    """Reliability of the total score, 0..1, and which kind of it."""

    value: Annotated[float, Field(gt=0, lt=1)]
    kind: Literal["test-retest", "internal consistency"]


class Sample(Record):
    """Mean and standard deviation of a published sample."""

    mean: float
    sd: Annotated[float, Field(gt=0)]
    who: str
    citation: Citation


class ScaleRecord(Record):
    """What is published about a scale; None where no source is given."""

    name: str
    full_name: str
    aliases: tuple[str, ...] = ()
    better: Literal["lower", "higher"]
    minimum: float
    maximum: float
    citation: Citation
    reliability: Reliability | None = None
    remission: Published | None = None
    response_pct: Published | None = None
    norm: Sample | None = None
    clinical: Sample | None = None

    @model_validator(mode="after")
    def _check_values(self) -> ScaleRecord:
        values = {
            "remission": self.remission.value if self.remission else None,
            "norm_mean": self.norm.mean if self.norm else None,
            "clinical_mean": self.clinical.mean if self.clinical else None,
        }
        _check(self.name, values | {"minimum": self.minimum, "maximum": self.maximum}, self.better)
        return self


class ScoreDefinition(Record):
    """A score with everything known about it; `sources` says where each filled value is from."""

    name: str
    scale: str | None = None
    better: Literal["lower", "higher"] = "lower"
    minimum: float | None = None
    maximum: float | None = None
    reliability: Annotated[float, Field(gt=0, lt=1)] | None = None
    remission: float | None = None
    response_pct: Annotated[float, Field(gt=0, le=100)] = RESPONSE_PCT
    norm_mean: float | None = None
    norm_sd: Annotated[float, Field(gt=0)] | None = None
    clinical_mean: float | None = None
    clinical_sd: Annotated[float, Field(gt=0)] | None = None
    sources: tuple[tuple[str, str], ...] = ()


FIELDS = frozenset(ScoreDefinition.model_fields) - {"sources"}


@lru_cache(maxsize=1)
def known_scales() -> tuple[ScaleRecord, ...]:
    """All scales of scales.yaml, in its order."""
    entries = yaml.safe_load(FILE.read_text(encoding="utf-8"))
    return tuple(ScaleRecord.model_validate({"name": key} | entries[key]) for key in entries)


def find_scale(name: str) -> ScaleRecord:
    """Scale of that name or alias; upper case, hyphens and spaces do not matter.

    Raises
    ------
    SettingsError
        There is no such scale; the nearest names are given.
    """
    wanted = _plain(name)
    for scale in known_scales():
        if wanted in {_plain(known) for known in (scale.name, *scale.aliases)}:
            return scale
    advice = nearest(name, [scale.name for scale in known_scales()])
    raise SettingsError(
        f"group.scores: the scale '{name}' is unknown; {advice} Or leave scale out and give its "
        "minimum, maximum, reliability and remission yourself"
    )


def complete_score(given: Mapping[str, object]) -> ScoreDefinition:
    """Definition of a score: what a study gives, the rest from its scale.

    Parameters
    ----------
    given : mapping of field -> value
        At least `name`; `scale` names an entry of scales.yaml. None counts as not given, keys
        that are no field of `ScoreDefinition` are left alone. A mean and its standard
        deviation are taken together from one source. Without a scale `better` is lower and
        `response_pct` is 50.

    Raises
    ------
    SettingsError
        The scale is unknown, its direction is the opposite, the range is empty, a cut-off lies
        outside of it, a standard deviation stands without its mean, or the norm is worse than
        the clinical mean.
    """
    own: dict[str, Number] = {
        key: value
        for key, value in given.items()
        if key in FIELDS and isinstance(value, float | int | str)
    }
    name = str(own["name"])
    for pair in ("norm", "clinical"):
        if (f"{pair}_mean" in own) != (f"{pair}_sd" in own):
            raise SettingsError(
                f"group.scores: {name}: give {pair}_mean and {pair}_sd together; one without the "
                "other cannot be used"
            )
    scale = find_scale(str(own["scale"])) if "scale" in own else None
    if scale and own.get("better", scale.better) != scale.better:
        raise SettingsError(
            f"group.scores: {name}: better: {own['better']}, but on the scale {scale.name} "
            f"{scale.better} values are better; correct one of the two"
        )
    filled = {key: rest for key, rest in _published(scale) if key not in own} if scale else {}
    values = {key: value for key, (value, _) in filled.items()} | own
    _check(name, values, str(values.get("better", "lower")))
    sources = tuple((key, citation) for key, (_, citation) in filled.items())
    return ScoreDefinition.model_validate(values | {"sources": sources})


def _published(scale: ScaleRecord) -> Iterator[tuple[str, tuple[Number, str]]]:
    for key in ("better", "minimum", "maximum"):
        yield key, (getattr(scale, key), scale.citation)
    for key in ("reliability", "remission", "response_pct"):
        entry: Published | None = getattr(scale, key)
        if entry is not None:
            kind = f"{entry.kind}, " if isinstance(entry, Reliability) else ""
            detail = f" ({kind}{entry.detail})" if kind + entry.detail else ""
            yield key, (entry.value, f"{entry.citation}{detail}")
    for key in ("norm", "clinical"):
        sample: Sample | None = getattr(scale, key)
        if sample is not None:
            source = f"{sample.citation} ({sample.who})"
            yield f"{key}_mean", (sample.mean, source)
            yield f"{key}_sd", (sample.sd, source)


def _check(name: str, values: Mapping[str, Number], better: str) -> None:
    low, high = _number(values, "minimum"), _number(values, "maximum")
    if low is not None and high is not None and low >= high:
        raise SettingsError(f"group.scores: {name}: minimum {low:g} is not below maximum {high:g}")
    for key in ("remission", "norm_mean", "clinical_mean"):
        value = _number(values, key)
        if value is None:
            continue
        if (low is not None and value < low) or (high is not None and value > high):
            raise SettingsError(
                f"group.scores: {name}: {key} {value:g} lies outside the scale's range "
                f"({'' if low is None else f'{low:g}'} to {'' if high is None else f'{high:g}'})"
            )
    norm, clinical = _number(values, "norm_mean"), _number(values, "clinical_mean")
    if norm is None or clinical is None:
        return
    if (norm >= clinical) if better == "lower" else (norm <= clinical):
        raise SettingsError(
            f"group.scores: {name}: norm_mean {norm:g} is not better than clinical_mean "
            f"{clinical:g}, but better is '{better}'; correct the means or the direction"
        )


def _number(values: Mapping[str, Number], key: str) -> float | None:
    value = values.get(key)
    return None if value is None else float(value)


def _plain(name: str) -> str:
    return "".join(character for character in name.lower() if character.isalnum())
