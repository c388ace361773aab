"""The locked analysis: what was planned, written down before the outcomes were read."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from bids_utils.derivatives import content_digest, write_json
from bids_utils.errors import DatasetError, SettingsError
from bids_utils.plain_files import read_json
from configs.atlases import atlas_digest, chosen_atlas
from configs.settings import GroupSettings, Section, Settings

LOCK_FILE = "analysis_lock.json"
UNNAMED = frozenset({"scores", "composites", "models", "mechanisms", "processes", "predictions"})
"""Parts of `group` that are locked with the analyses that they make or that use them."""


@dataclass(frozen=True)
class Lock:
    """What was locked, when, and from which files.

    `shared` is what decides all analyses (`shared_settings`), `analyses` the definition of
    each planned one by its kind and name (`analysis_key`), `inputs` the SHA-256 of each
    table by its path in the dataset, `settings_sha256` that of `shared` and `analyses`.
    """

    time: str
    version: str
    settings_sha256: str
    shared: dict[str, object]
    analyses: dict[str, object]
    inputs: dict[str, str]


@dataclass(frozen=True)
class Comparison:
    """Planned analyses that still are as locked, and sentences on what is not.

    `planned` are kinds and names (`analysis_key`). Each sentence is (what, where, what to do).
    """

    planned: frozenset[str]
    notices: tuple[tuple[str, str, str], ...] = ()


def file_label(text: str) -> str:
    """Name with all that is neither letter nor digit as a hyphen."""
    return "".join(letter if letter.isalnum() else "-" for letter in text)


def main_model(group: GroupSettings) -> str:
    """Name of the planned model of the arms: given baseline if they were randomised."""
    return "baseline_adjusted" if group.arm_column and group.randomised else "change"


def analysis_key(kind: str, name: str) -> str:
    """Kind (model, mechanism, process, prediction) and name of an analysis as one text."""
    return f"{kind} {name}"


def planned_analyses(settings: Settings) -> dict[str, object]:
    """Definition of each planned analysis by `analysis_key`, besides `shared_settings`.

    A definition holds the scores that the analysis uses: models are fitted to all outcomes
    and composites. Predictions are locked whenever they are declared.
    """
    group = settings.group
    outcomes = [score.name for score in group.scores if score.role == "outcome"]
    fitted = [*outcomes, *(made.name for made in group.composites)]
    models: dict[str, object] = {main_model(group): _scores(group, fitted)}
    for name in fitted:
        models[f"symptoms_{file_label(name)}"] = _scores(group, [name])
    models |= {part.name: _defined(group, part, fitted) for part in group.models if part.planned}
    kinds: dict[str, dict[str, object]] = {
        "model": models,
        "mechanism": {p.name: _defined(group, p) for p in group.mechanisms if p.planned},
        "process": {p.name: _defined(group, p) for p in group.processes if p.planned},
        "prediction": {p.name: _defined(group, p) for p in group.predictions},
    }
    return {analysis_key(kind, name): x for kind, own in kinds.items() for name, x in own.items()}


def shared_settings(settings: Settings) -> dict[str, object]:
    """Settings that decide every analysis: how measures are made, the cohort, corrections."""
    found = settings.model_dump(mode="json")
    # the list of exclusions is an input: what it says counts, not where it lies
    found["sessions"].pop("exclude")
    # the table of repeated scans judges the change of people; no analysis reads it
    found["group"].pop("rescan")
    # what is shared of the results changes none of them
    found.pop("privacy")
    # of the atlas the content counts too, not where it lies
    atlas = chosen_atlas(settings.atlas)
    found["atlas"] = {"name": atlas.name, "sha256": atlas_digest(atlas)}
    cohort = {name: value for name, value in found["group"].items() if name not in UNNAMED}
    return found | {"group": cohort}


def make_lock(settings: Settings, inputs: Mapping[str, Path], time: str, version: str) -> Lock:
    """Lock of the settings and of the bytes of the input tables; no score is read.

    Parameters
    ----------
    settings : Settings
    inputs : mapping of name -> Path
        Tables that the analyses read.
    time, version : str
        When it is locked, and by which version.
    """
    shared, analyses = shared_settings(settings), planned_analyses(settings)
    text = json.dumps([shared, analyses], sort_keys=True)
    digest = hashlib.sha256(text.encode()).hexdigest()
    return Lock(time, version, digest, shared, analyses, digests(inputs))


def digests(inputs: Mapping[str, Path]) -> dict[str, str]:
    """SHA-256 of each file by its name."""
    return {name: content_digest(path) for name, path in inputs.items()}


def write_lock(lock: Lock, output_dir: Path) -> Path:
    """Write OUTPUT_DIR/analysis_lock.json; returns its path.

    Raises
    ------
    SettingsError
        There is a lock already.
    """
    path = output_dir / LOCK_FILE
    if path.exists():
        before = read_lock(output_dir)
        when = f" on {before.time}" if before else ""
        raise SettingsError(
            f"{path}: the analysis was locked{when} already, and a lock is never changed; "
            "what you plan from now on is exploratory: declare it and run the level group, or "
            "lock another study in another OUTPUT_DIR"
        )
    write_json(asdict(lock), path)
    return path


def read_lock(output_dir: Path) -> Lock | None:
    """Lock of a derivative dataset; None where there is none.

    Raises
    ------
    DatasetError
        The file is not a lock.
    """
    path = output_dir / LOCK_FILE
    if not path.is_file():
        return None
    try:
        return TypeAdapter(Lock).validate_python(read_json(path))
    except ValidationError as error:
        raise DatasetError(
            f"{path}: not a lock of an analysis ({error}); restore the file as it was written"
        ) from error


def compare_lock(
    lock: Lock | None, settings: Settings, inputs: Mapping[str, Path] | None = None
) -> Comparison:
    """Which planned analyses are as locked, and what exactly differs.

    Without a lock all planned analyses are planned. A shared setting that differs makes
    all analyses exploratory; an input that differs is told only, as data may be added.
    """
    asked = planned_analyses(settings)
    if lock is None:
        return Comparison(frozenset(asked))
    now = json.loads(json.dumps([shared_settings(settings), asked]))
    notices = [
        _notice(text, "settings", "all analyses count as exploratory")
        for text in _differences(lock.shared, now[0])
    ]
    same = [name for name in asked if name in lock.analyses and lock.analyses[name] == now[1][name]]
    planned = frozenset() if notices else frozenset(same)
    notices += [_changed(name, lock, now[1]) for name in asked if name not in same]
    gone = [name for name in lock.analyses if name not in asked]
    notices += [
        _notice("it was locked and is not asked for any more", name, "report that it was dropped")
        for name in gone
    ]
    found = digests(inputs) if inputs is not None else lock.inputs
    changed = [
        name for name in {**lock.inputs, **found} if lock.inputs.get(name) != found.get(name)
    ]
    notices += [
        _notice(f"{name} is not as it was when the analysis was locked", "input",
                "say in the report what was added or corrected") for name in changed
    ]  # fmt: skip
    return Comparison(planned, tuple(notices))


def _changed(name: str, lock: Lock, now: Mapping[str, object]) -> tuple[str, str, str]:
    if name not in lock.analyses:
        return _notice("it was not locked", name, "it counts as exploratory")
    texts = "; ".join(_differences(lock.analyses[name], now[name]))
    return _notice(texts, name, "it counts as exploratory")


def _notice(what: str, where: str, advice: str) -> tuple[str, str, str]:
    return what, f"{LOCK_FILE}: {where}", advice


def _differences(before: object, after: object, place: str = "") -> Iterable[str]:
    """A sentence for each value that differs, with its place."""
    if isinstance(before, dict) and isinstance(after, dict):
        for key in {**before, **after}:
            path = f"{place}.{key}" if place else str(key)
            yield from _differences(before.get(key), after.get(key), path)
    elif before != after:
        yield f"{place or 'it'} was locked as {before!r} and is {after!r} now"


def _defined(group: GroupSettings, part: Section, fitted: Iterable[str] = ()) -> dict[str, object]:
    """Settings of an analysis, and the scores that it is fitted to or names."""
    plain = part.model_dump(mode="json")
    return plain | _scores(group, [*fitted, *_named(plain)])


def _named(value: object) -> Iterable[str]:
    """Texts among settings that may be names of scores; of ``BDI@pre`` it is ``BDI``."""
    if isinstance(value, str):
        yield value.partition("@")[0]
    elif isinstance(value, dict | list):
        for part in value.values() if isinstance(value, dict) else value:
            yield from _named(part)


def _scores(group: GroupSettings, names: Iterable[str]) -> dict[str, object]:
    """Definitions of those scores and composites that are named, and of composites' scores."""
    names = set(names)
    composites = [made for made in group.composites if made.name in names]
    names |= {name for made in composites for name in made.scores}
    scores = [score for score in group.scores if score.name in names]
    return {
        "scores": {score.name: score.model_dump(mode="json") for score in scores},
        "composites": {made.name: made.model_dump(mode="json") for made in composites},
    }
