"""Variables of mechanisms, processes and predictions: values per participant and their moments."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from itertools import pairwise

import numpy as np
import pandas as pd

from workflows.compute.design import LEVEL_COLUMNS, level_text
from workflows.compute.families import Cohort, Family
from workflows.compute.problems import ModelError, Problem, nearest_names
from workflows.compute.temporal_order import Measured, Moment, moment_of


@dataclass(frozen=True)
class VariableSpec:
    """A score, a column of participants.tsv, or a measure; of a session or a change.

    A measure without `region` stands for all its regions.
    """

    score: str | None = None
    column: str | None = None
    measure: str | None = None
    modality: str | None = None
    region: str | None = None
    session: str | None = None
    change: tuple[str, str] | None = None
    moment: str | int | None = None

    @property
    def name(self) -> str:
        """Words for the variable."""
        what = " ".join(
            part for part in (self.score, self.column, self.measure, self.region) if part
        )
        if self.change:
            return f"{what} change {self.change[0]} to {self.change[1]}"
        return f"{what} at {self.session}" if self.session else what


@dataclass(frozen=True)
class Source:
    """Where variables come from.

    `level_columns` hold levels even where these are numbers (sites). `moments` says when each
    (score, session) was taken, `session_moments` when each session
    was; what is not there is not known.
    """

    cohort: Cohort
    families: tuple[Family, ...]
    moments: Mapping[tuple[str, str], str | int | None]
    session_moments: Mapping[str, str | int]
    level_columns: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Variable:
    """Values, n_participants x n_tests, with the labels of the tests and when they were taken."""

    name: str
    values: np.ndarray = field(repr=False)
    labels: pd.DataFrame = field(repr=False)
    measured: Measured
    identity: tuple[str, str, str] = ("", "", "")

    @property
    def single(self) -> np.ndarray:
        """The one column of values; an error names a variable that has more.

        Raises
        ------
        ModelError
            There is more than one region.
        """
        if self.values.shape[1] != 1:
            what = f"'{self.name}' stands for {self.values.shape[1]} regions"
            raise ModelError(Problem(what, "settings of the variable", "name one region"))
        return self.values[:, 0]


def variable(spec: VariableSpec, source: Source) -> Variable:
    """Values of a variable in the row order of the cohort.

    Raises
    ------
    ModelError
        There is no such score, column, measure, region or session (the nearest are named).
    """
    if spec.score is not None:
        return _score(spec, source)
    if spec.column is not None:
        return _column(spec, source)
    return _measure(spec, source)


def score_at(name: str) -> VariableSpec | None:
    """Score of a session for a name such as ``BDI@pre``; None for the name of a column."""
    score, mark, session = name.partition("@")
    return VariableSpec(score=score, session=session.removeprefix("ses-")) if mark else None


def covariate_columns(names: tuple[str, ...], source: Source) -> tuple[np.ndarray, tuple[str, ...]]:
    """Covariates as columns, numbers as they are and texts as levels, with their names.

    A name such as ``BDI@pre`` is a score of a session. The columns site, scanner, sex, gender,
    handedness and group are levels, also where they hold numbers.

    Raises
    ------
    ModelError
        There is no such column or score.
    """
    columns, labels = [], []
    for name in names:
        score = score_at(name)
        if score is not None:
            columns.append(variable(score, source).single)
            labels.append(name)
            continue
        own = _known_column(name, source.cohort.participants)
        coded = name.lower() in LEVEL_COLUMNS or name in source.level_columns
        if pd.api.types.is_numeric_dtype(own) and not coded:
            columns.append(own.to_numpy(dtype=float))
            labels.append(name)
            continue
        texts = own.map(level_text).to_numpy(dtype=object)
        levels = [str(level) for level in np.unique(texts[texts != ""].astype(str))]
        for level in levels[1:]:
            columns.append(np.where(texts == "", np.nan, texts == level).astype(float))
            labels.append(f"{name}[{level}]")
    n = len(source.cohort.participants)
    return (np.column_stack(columns) if columns else np.empty((n, 0))), tuple(labels)


def occasions(spec: VariableSpec, sessions: tuple[str, ...], source: Source) -> np.ndarray:
    """Values of a variable at several sessions, n_participants x n_sessions.

    Raises
    ------
    ModelError
        As `variable`.
    """
    found = [variable(replace(spec, session=label, change=None), source) for label in sessions]
    for first, second in pairwise(zip(found, sessions, strict=True)):
        _check_forward(spec, (first[1], second[1]), source)
        _check_moments(spec, (*first[0].measured.moments, *second[0].measured.moments))
    return np.column_stack([one.single for one in found])


def _score(spec, source):
    scores = source.cohort.scores
    names = dict.fromkeys(scores.columns.get_level_values(0)) if len(scores.columns) else {}
    if spec.score not in names:
        hint = f"{nearest_names(str(spec.score), names)} Declare it under group.scores"
        raise ModelError(Problem(f"no score '{spec.score}'", "group.scores", hint))
    labels = [str(label) for name, label in scores.columns if name == spec.score]
    wanted = _sessions(spec, labels)
    sides = [scores[(spec.score, label)].to_numpy(dtype=float) for label in wanted]
    moments = [source.moments.get((str(spec.score), label)) for label in wanted]
    if spec.moment is not None:
        moments = [spec.moment] * len(wanted)
    return _made(spec, _joined(sides), (moments, wanted), source)


def _sessions(spec, labels):
    """Sessions of a score or measure: one, or the two of a change."""
    if spec.change:
        wanted = spec.change
    elif spec.session:
        wanted = (spec.session,)
    else:
        wanted = ("",) if "" in labels else ()
    missing = [label for label in wanted if label not in labels]
    if not wanted or missing:
        known = [label for label in labels if label]
        what = f"'{spec.name}': " + (f"no session '{missing[0]}'" if missing else "no session")
        todo = f"give session or change; {nearest_names(missing[0] if missing else '', known)}"
        raise ModelError(Problem(what, "settings of the variable", todo))
    return wanted


def _check_forward(spec, wanted, source):
    """Refuse sessions against their order in the study, where it is known."""
    for family in source.families:
        own = family.measure in (spec.score, spec.measure)
        if own and set(wanted) <= set(family.sessions) and len(wanted) > 1:
            places = [family.sessions.index(label) for label in wanted]
            if places[0] >= places[1]:
                raise ModelError(_backwards(spec, f"'{wanted[1]}' is not after '{wanted[0]}'"))


def _check_moments(spec, moments):
    first, second = moments
    if first is not None and second is not None and second < first:
        raise ModelError(_backwards(spec, f"{second} is before {first}"))


def _backwards(spec, what):
    todo = "write the sessions in the order of time, the earlier one first"
    return Problem(f"'{spec.name}': {what}", "settings of the variable", todo)


def _column(spec, source):
    own = _known_column(spec.column, source.cohort.participants)
    if not pd.api.types.is_numeric_dtype(own):
        what = f"'{spec.column}' holds text"
        raise ModelError(Problem(what, "participants.tsv", "use a column of numbers"))
    return _made(spec, own.to_numpy(dtype=float)[:, None], ([spec.moment], ("",)), source)


def _known_column(name, participants):
    if name not in participants:
        hint = nearest_names(str(name), participants.columns)
        raise ModelError(Problem(f"no column '{name}'", "participants.tsv", hint))
    return participants[name]


def _measure(spec, source):
    found = [
        family
        for family in source.families
        if family.measure == spec.measure and spec.modality in (None, family.modality)
    ]
    if not found:
        known = dict.fromkeys(family.measure for family in source.families)
        hint = nearest_names(str(spec.measure), known)
        raise ModelError(Problem(f"no measure '{spec.measure}'", "group measures", hint))
    if len(found) > 1:
        kinds = ", ".join(family.name for family in found)
        todo = "give modality, or use one atlas"
        raise ModelError(Problem(f"'{spec.measure}' is there more than once ({kinds})", "", todo))
    family = found[0].only((spec.region,)) if spec.region else found[0]
    if not len(family.labels):
        hint = nearest_names(str(spec.region), found[0].labels.dropna(axis=1).to_numpy().ravel())
        raise ModelError(Problem(f"no region '{spec.region}' in {found[0].name}", "", hint))
    wanted = _sessions(spec, family.sessions)
    sides = [
        np.asarray(family.values[family.sessions.index(label)], dtype=float) for label in wanted
    ]
    moments = [source.session_moments.get(label) for label in wanted]
    made = _made(spec, _joined(sides), (moments, wanted), source)
    identity = (family.modality, family.measure, family.atlas)
    return replace(made, labels=family.labels, identity=identity)


def _joined(sides):
    values = sides[0] if len(sides) == 1 else sides[1] - sides[0]
    return values[:, None] if values.ndim == 1 else values


def _made(spec, values, taken, source):
    moments, sessions = taken
    days = source.cohort.days
    middle = [
        float(days[label].median()) if label in days and days[label].notna().any() else None
        for label in sessions
    ]
    placed: list[Moment | None] = [
        moment_of(moment, days=day) for moment, day in zip(moments, middle, strict=True)
    ]
    if spec.change:
        _check_forward(spec, sessions, source)
        _check_moments(spec, placed)
    labels = pd.DataFrame({"region": [None], "region_a": [None], "region_b": [None]}, dtype=object)
    return Variable(spec.name, values, labels, Measured(spec.name, tuple(placed)))
