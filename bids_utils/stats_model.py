"""Contrasts of a task: formulas of trial types, or the part of a BIDS Stats Model that is used."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

from bids_utils.errors import SettingsError
from bids_utils.plain_files import read_json

PREFIX = "trial_type."
HRF_MODELS = ("spm", "spm + derivative", "glover", "glover + derivative")
FIXED_LEVELS = ("Session", "Subject")
TESTS = ("t", "pass")
ONE_KIND = "contrasts of type t only are read"
WILD = set("*?")
QUOTED = re.compile(r"`([^`]+)`")

Json = Mapping[str, object]


@dataclass(frozen=True)
class TaskContrast:
    """A weighted sum of the responses to trial types."""

    name: str
    weights: dict[str, float]


@dataclass(frozen=True)
class StatsModel:
    """What a BIDS Stats Model says of the runs.

    `conditions` and `confounds` may hold wildcards; None: all trial types, and the confounds of
    the settings. `hrf` and `high_pass_hz` are None where the settings decide.
    """

    contrasts: tuple[TaskContrast, ...]
    conditions: tuple[str, ...] | None = None
    confounds: tuple[str, ...] | None = None
    hrf: str | None = None
    high_pass_hz: float | None = None
    notes: tuple[str, ...] = field(default=())


def contrast_from_formula(name: str, formula: str) -> TaskContrast:
    """Weights of the trial types of a formula such as ``(negative + fear)/2 - neutral``.

    Names with spaces or other signs stand in backticks: ```look negative` - neutral``.

    Parameters
    ----------
    name : str
        Of the contrast.
    formula : str
        Sums, differences and multiples of trial types.

    Raises
    ------
    SettingsError
        Not such a formula, or all its weights are 0.
    """
    quoted: list[str] = []

    def placeholder(match: re.Match[str]) -> str:
        quoted.append(match.group(1))
        return f" quoted_{len(quoted) - 1}_ "

    try:
        tree = ast.parse(QUOTED.sub(placeholder, formula).strip(), mode="eval")
        terms = _linear(tree.body)
    except (SyntaxError, ValueError, ArithmeticError) as error:
        raise _bad_formula(name, formula, str(error)) from error
    except (RecursionError, MemoryError) as error:  # of the parser, whose stack is short
        raise _bad_formula(name, f"{formula[:60]} ...", "it is far too long") from error
    if terms.get("", 0):
        raise _bad_formula(name, formula, "a number stands alone")
    names = {f"quoted_{i}_": text for i, text in enumerate(quoted)}
    weights = {names.get(key, key): weight for key, weight in terms.items() if key and weight}
    if not weights:
        raise _bad_formula(name, formula, "all weights are 0")
    return TaskContrast(name, weights)


def _bad_formula(name: str, formula: str, why: str) -> SettingsError:
    return SettingsError(
        f"func.tasks: contrast '{name}': '{formula}' is not a sum of trial types ({why}); write "
        "for example 'negative - neutral', and names with other signs in `backticks`"
    )


def _linear(node: ast.expr) -> dict[str, float]:
    """Weight of each name in a linear expression; "" is the constant."""
    if isinstance(node, ast.Name):
        return {node.id: 1.0}
    if isinstance(node, ast.Constant) and isinstance(node.value, int | float):
        return {"": float(node.value)}
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        return _times(_linear(node.operand), -1.0)
    if isinstance(node, ast.BinOp):
        return _combined(node.op, _linear(node.left), _linear(node.right))
    raise ValueError(f"'{ast.unparse(node)}' is not allowed")


def _combined(
    sign: ast.operator, left: dict[str, float], right: dict[str, float]
) -> dict[str, float]:
    if isinstance(sign, ast.Add | ast.Sub):
        added = _times(right, 1.0 if isinstance(sign, ast.Add) else -1.0)
        names = dict.fromkeys([*left, *added])
        return {name: left.get(name, 0.0) + added.get(name, 0.0) for name in names}
    if isinstance(sign, ast.Div) and set(right) == {""}:
        return _times(left, 1 / right[""])
    if isinstance(sign, ast.Mult) and set(right) == {""}:
        return _times(left, right[""])
    if isinstance(sign, ast.Mult) and set(left) == {""}:
        return _times(right, left[""])
    raise ValueError("trial types can be added, subtracted, and multiplied by numbers")


def _times(terms: dict[str, float], factor: float) -> dict[str, float]:
    return {name: weight * factor for name, weight in terms.items()}


def read_stats_model(path: Path, task: str) -> StatsModel:
    """Model of the runs of a task from a BIDS Stats Models file (version 1.0).

    Read are one Run node with conditions of the column trial_type, a convolution and contrasts of
    type t, and Session or Subject nodes that average. The averages are made over the runs of
    each session, never over sessions. A Dataset node is left to the group level.

    Parameters
    ----------
    path : Path
        JSON file.
    task : str
        Task that the settings ask for.

    Raises
    ------
    SettingsError
        The file asks for something else; the message names it.
    DatasetError
        The file cannot be read.
    """
    content = read_json(path)
    nodes = [node for node in _list(content, "Nodes") if isinstance(node, Mapping)]
    _check_task(path, content, task)
    _check_edges(path, content, nodes)
    runs = [node for node in nodes if _level(node) == "Run"]
    if len(runs) != 1:
        raise _refused(path, f"{len(runs)} nodes of the level Run", "one is needed")
    notes = [note for node in nodes if node not in runs for note in _upper_node(path, node)]
    return _run_model(path, runs[0], tuple(notes))


def _level(node: Json) -> str:
    return str(node.get("Level")).capitalize()


def _refused(path: Path, what: str, instead: str) -> SettingsError:
    return SettingsError(f"{path}: {what} cannot be used here; {instead}")


def _list(content: Json, key: str) -> list[object]:
    value = content.get(key) or []
    return list(value) if isinstance(value, list | tuple) else [value]


def _object(content: Json, key: str) -> Json:
    value = content.get(key) or {}
    return value if isinstance(value, Mapping) else {}


def _check_task(path: Path, content: Json, task: str) -> None:
    tasks = _list(_object(content, "Input"), "task")
    if tasks and task not in tasks:
        named = ", ".join(map(str, tasks))
        raise SettingsError(f"{path}: it is a model of {named} and not of '{task}'; correct one")


def _check_edges(path: Path, content: Json, nodes: Iterable[Json]) -> None:
    levels = {str(node.get("Name")): _level(node) for node in nodes}
    for edge in _list(content, "Edges"):
        if isinstance(edge, Mapping) and edge.get("Filter"):
            if levels.get(str(edge.get("Destination"))) == "Dataset":
                continue
            raise _refused(path, "an edge with a Filter", "all contrasts of the runs are averaged")


def _upper_node(path: Path, node: Json) -> list[str]:
    name, level = node.get("Name"), _level(node)
    if level == "Dataset":
        return [f"node '{name}' is left to the models of the group level"]
    model = _object(node, "Model")
    plain = [str(x) for x in _list(model, "X")] == ["1"] and _passed_on(node)
    if level not in FIXED_LEVELS or not plain or node.get("Transformations"):
        raise _refused(
            path, f"node '{name}'", "Session and Subject nodes must average (X: [1]), no more"
        )
    if level == "Subject":
        return [f"node '{name}' averages the runs of each session; sessions stay apart"]
    return []


def _passed_on(node: Json) -> bool:
    """Whether all contrasts of a node are those of the runs, as they are."""
    return all(
        isinstance(contrast, Mapping)
        and _list(contrast, "ConditionList") in ([contrast.get("Name")], [1])
        and _list(contrast, "Weights") == [1]
        and contrast.get("Test") in TESTS
        for contrast in _list(node, "Contrasts")
    )


def _run_model(path: Path, node: Json, notes: tuple[str, ...]) -> StatsModel:
    model = _object(node, "Model")
    if str(model.get("Type", "glm")).lower() != "glm":
        raise _refused(path, f"a Run model of type {model.get('Type')!r}", "it must be glm")
    if model.get("Formula"):
        raise _refused(path, "Formula", "list the variables in X")
    convolved, hrf = _convolution(path, node, model)
    contrasts = _contrasts(path, node)
    used = {name for contrast in contrasts for name in contrast.weights}
    names = [str(x) for x in _list(model, "X") if str(x) != "1"]
    is_condition = {x: x.startswith(PREFIX) or _plain(x) in convolved | used for x in names}
    conditions = tuple(_plain(x) for x in names if is_condition[x])
    contrasts += _dummies(path, node, conditions)
    _check_contrasts(path, contrasts, conditions)
    return StatsModel(
        contrasts=tuple(contrasts),
        conditions=conditions,
        confounds=tuple(x for x in names if not is_condition[x]) or None,
        hrf=hrf,
        high_pass_hz=_high_pass(path, _object(model, "Options")),
        notes=notes,
    )


def _plain(name: str) -> str:
    return name.removeprefix(PREFIX)


def _convolution(path: Path, node: Json, model: Json) -> tuple[set[str], str | None]:
    """Variables that are convolved, and the response function; None if not said."""
    asked = [(_object(model, "HRF"), "Variables")] if model.get("HRF") else []
    steps = _list(_object(node, "Transformations"), "Instructions")
    if isinstance(node.get("Transformations"), list):
        steps = _list(node, "Transformations")
    for step in steps:
        step = step if isinstance(step, Mapping) else {}
        name, inputs = str(step.get("Name")), [str(x) for x in _list(step, "Input")]
        if name == "Convolve" and not step.get("Dispersion"):
            asked.append((step, "Input"))
        elif name != "Factor" or inputs != ["trial_type"]:
            raise _refused(
                path, f"the transformation {name}", "Factor of trial_type and Convolve are read"
            )
    variables = {_plain(str(x)) for part, key in asked for x in _list(part, key)}
    models = {_hrf_name(part) for part, _ in asked}
    if len(models) > 1 or not models.issubset(HRF_MODELS):
        named = ", ".join(sorted(models))
        raise _refused(path, f"the response function {named}", f"use one of {HRF_MODELS}")
    return variables, models.pop() if models else None


def _hrf_name(part: Json) -> str:
    name = str(part.get("Model", "spm")).lower()
    return f"{name} + derivative" if part.get("Derivative") is True else name


def _high_pass(path: Path, options: Json) -> float | None:
    others = [key for key, value in options.items() if key not in _KNOWN_OPTIONS and value]
    if others:
        raise _refused(path, f"Options: {others[0]}", "take it out of the file")
    value = options.get("HighPassFilterCutoffHz")
    if value is None:
        return None
    if not isinstance(value, int | float) or value <= 0:
        raise _refused(path, f"HighPassFilterCutoffHz {value!r}", "give a frequency above 0")
    return float(value)


_KNOWN_OPTIONS = ("HighPassFilterCutoffHz", "Description", "Mask")


def _contrasts(path: Path, node: Json) -> list[TaskContrast]:
    found = []
    for contrast in _list(node, "Contrasts"):
        if not isinstance(contrast, Mapping):
            raise _refused(path, f"the contrast {contrast!r}", "it must be an object")
        name = str(contrast.get("Name"))
        if contrast.get("Test") not in TESTS:
            raise _refused(path, f"contrast '{name}': Test {contrast.get('Test')!r}", ONE_KIND)
        conditions = [_plain(str(x)) for x in _list(contrast, "ConditionList")]
        weights = _list(contrast, "Weights")
        if len(weights) != len(conditions) or not conditions or "1" in conditions:
            raise _refused(path, f"contrast '{name}'", "give a weight for each trial type")
        numbers = [_weight(path, name, weight) for weight in weights]
        found.append(TaskContrast(name, dict(zip(conditions, numbers, strict=True))))
    return found


def _weight(path: Path, name: str, weight: object) -> float:
    try:
        return float(Fraction(str(weight)))
    except (ValueError, ArithmeticError) as error:
        raise _refused(path, f"contrast '{name}': weight {weight!r}", "write 1, -.5 or 1/3") from (
            error
        )


def _dummies(path: Path, node: Json, conditions: tuple[str, ...]) -> list[TaskContrast]:
    dummies = _object(node, "DummyContrasts")
    if not dummies:
        return []
    if dummies.get("Test") not in TESTS:
        raise _refused(path, f"DummyContrasts: Test {dummies.get('Test')!r}", ONE_KIND)
    named = _list(dummies, "Contrasts") or _list(dummies, "Conditions") or list(conditions)
    wild = [str(name) for name in named if set(str(name)) & WILD]
    if wild:
        raise _refused(path, f"DummyContrasts of '{wild[0]}'", "name each trial type")
    return [TaskContrast(_plain(str(name)), {_plain(str(name)): 1.0}) for name in named]


def _check_contrasts(
    path: Path, contrasts: list[TaskContrast], conditions: tuple[str, ...]
) -> None:
    if not contrasts:
        raise _refused(path, "a Run node without contrasts", "add Contrasts or DummyContrasts")
    names = [contrast.name for contrast in contrasts]
    twice = [name for name in names if names.count(name) > 1]
    if twice:
        raise _refused(path, f"two contrasts called '{twice[0]}'", "rename one of them")
    for contrast in contrasts:
        unknown = [n for n in contrast.weights if not _listed(n, conditions)]
        if unknown:
            raise _refused(
                path,
                f"contrast '{contrast.name}': '{unknown[0]}', which is not in X,",
                "add it to X",
            )


def _listed(name: str, conditions: tuple[str, ...]) -> bool:
    """Whether a condition is in X; a wildcard there may stand for anything but a wildcard."""
    wild = any(set(condition) & WILD for condition in conditions)
    return name in conditions or (wild and not set(name) & WILD)
