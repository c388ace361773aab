"""Design matrices: arms, covariates and formulas of participants as numbers."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
import pandas as pd
from formulaic import Formula
from formulaic.errors import FormulaicError

from workflows.compute.problems import ModelError, Problem, nearest_names

LEVEL_COLUMNS = frozenset({"site", "scanner", "sex", "gender", "handedness", "group"})
MIN_ARM = 2
SETTING = "group.covariates"


@dataclass(frozen=True)
class Term:
    """A tested combination of the columns of a design.

    `kind` says what it is: the mean of the reference arm, a difference between arms, or a
    slope (of a covariate, dose or moderator).
    """

    name: str
    kind: Literal["mean", "arms", "slope"]
    weights: np.ndarray = field(repr=False)


@dataclass(frozen=True)
class DesignRequest:
    """What a design is made of.

    `formula` is a right-hand side in Wilkinson notation; empty: the arms. `covariates` are
    added to it. `test` names terms of the formula, `contrasts` weights of the arms, and
    `moderator` a column whose product with the arm is tested, with simple slopes.
    """

    covariates: tuple[str, ...] = ()
    formula: str = ""
    test: tuple[str, ...] = ()
    contrasts: tuple[tuple[str, tuple[tuple[str, float], ...]], ...] = ()
    moderator: str = ""


@dataclass(frozen=True)
class Design:
    """Columns of a model and the terms that are tested.

    `matrix` has one row per participant (a row with NaN is not used): the constant, one
    column per arm that is not the reference, then the others, which are centred over
    the participants of each fit, so that the constant is the mean of the reference arm.
    """

    matrix: np.ndarray
    names: tuple[str, ...]
    n_leading: int
    arms: np.ndarray
    levels: tuple[str, ...]
    formula: str
    terms: tuple[Term, ...]

    def with_covariate(self, name: str, values: np.ndarray) -> Design:
        """Copy of this design with one more continuous covariate."""
        return replace(
            self,
            matrix=np.column_stack([self.matrix, values]),
            names=(*self.names, name),
            formula=f"{self.formula} + {name}",
            terms=tuple(replace(term, weights=np.append(term.weights, 0)) for term in self.terms),
        )

    def counts(self, present: np.ndarray) -> np.ndarray:
        """Participants of each arm among those `present` (n_participants x n_tests)."""
        members = np.array([self.arms == level for level in self.levels], dtype=int)
        return members @ present.astype(int)

    @property
    def weights(self) -> np.ndarray:
        """Weights of all terms, n_terms x n_columns."""
        return np.array([term.weights for term in self.terms], dtype=float)


def arms_of(
    participants: pd.DataFrame, column: str, reference: str
) -> tuple[np.ndarray, tuple[str, ...], tuple[Problem, ...]]:
    """Arm of each participant, the arms with the reference first, and what was left out.

    Parameters
    ----------
    participants : pd.DataFrame
        One row per participant of the model.
    column : str
        Column of the arm; empty: one arm called "all".
    reference : str
        Arm the others are compared with; empty: the first in text order.

    Returns
    -------
    arms : np.ndarray of str
        Empty text where unknown or where the arm has fewer than two participants.
    levels : tuple of str
    problems : tuple of Problem
    """
    if not column:
        return np.full(len(participants), "all", dtype=object), ("all",), ()
    where = "participants.tsv"
    if column not in participants:
        hint = nearest_names(column, participants.columns)
        raise ModelError(Problem(f"no column '{column}' (group.arm_column)", where, hint))
    arms = participants[column].map(level_text).to_numpy(dtype=object)
    counts = pd.Series(arms[arms != ""]).value_counts()
    small = [arm for arm, count in counts.items() if count < MIN_ARM]
    problems = tuple(
        Problem(f"arm '{arm}' has one participant with data", where, "it is left out of the models")
        for arm in small
    )
    arms = np.where(np.isin(arms, small), "", arms)
    levels = [str(level) for level in np.unique(arms[arms != ""].astype(str))]
    if reference and reference not in levels:
        hint = nearest_names(reference, levels)
        problem = Problem(
            f"no participant with data in arm '{reference}'", "group.reference_arm", hint
        )
        raise ModelError(problem)
    first = [reference] if reference else levels[:1]
    return arms, (*first, *(level for level in levels if level not in first)), problems


def design_of(
    participants: pd.DataFrame,
    arms: np.ndarray,
    levels: tuple[str, ...],
    request: DesignRequest,
) -> Design:
    """Design of a formula, or of arms and covariates.

    Numbers are continuous and centred; texts, and the columns site, scanner, sex, gender,
    handedness and group, are levels (the first is the reference).

    Raises
    ------
    ModelError
        A name is not a column, a column does not vary or is a sum of others, the formula
        cannot be read, or a tested term is not in it.
    """
    formula = _formula(request, levels)
    setting = "group.models" if request.formula or request.moderator else SETTING
    frame = _frame(participants, arms, levels, (formula, setting))
    matrix, names, factors = _columns(formula, frame)
    unknown = frame.isna().any(axis=1).to_numpy() | (arms == "")
    leading = [place for place, parts in enumerate(factors) if parts in ((), ("arm",))]
    order = leading + [place for place in range(len(names)) if place not in leading]
    factors = [factors[place] for place in order]
    names = tuple(_name(names[place], factors[rank], levels) for rank, place in enumerate(order))
    design = Design(
        matrix=np.where(unknown[:, None], np.nan, matrix[:, order]),
        names=names,
        n_leading=len(leading),
        arms=arms,
        levels=levels,
        formula=str(formula).removeprefix("1 + "),
        terms=(),
    )
    _check_rank(design, setting)
    return replace(design, terms=tuple(_terms(design, factors, frame, request)))


def centred(design: Design, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Matrix of these participants and which columns of the design it has.

    Columns after the leading ones are centred; those without variation are left out.
    """
    matrix = design.matrix[rows]
    kept = np.ones(matrix.shape[1], dtype=bool)
    if len(rows):
        kept[design.n_leading :] = np.ptp(matrix[:, design.n_leading :], axis=0) > 0
    others = matrix[:, design.n_leading :][:, kept[design.n_leading :]]
    shifted = others - others.mean(axis=0) if len(rows) else others
    return np.column_stack([matrix[:, : design.n_leading], shifted]), kept


def level_text(value: object) -> str:
    """Name of a level: 1.0 is "1", missing is empty; ";" (used between counts) becomes ","."""
    if pd.isna(value):
        return ""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value).replace(";", ",")


def full_rank(matrix: np.ndarray) -> bool:
    """True if no column is a sum of the others (columns scaled to length 1 first)."""
    length = np.linalg.norm(matrix, axis=0)
    if matrix.shape[0] < matrix.shape[1] or np.any(length == 0):
        return False
    return bool(np.linalg.matrix_rank(matrix / length, tol=1e-8) == matrix.shape[1])


def _formula(request, levels):
    parts = [request.formula] if request.formula else []
    if not request.formula and len(levels) > 1:
        parts.append("arm")
    if request.moderator:
        product = "arm * " if len(levels) > 1 else ""
        parts.append(f"{product}{_quoted(request.moderator)}")
    try:
        formula = Formula(" + ".join([*parts, *map(_quoted, request.covariates)]) or "1")
    except FormulaicError as error:
        what = f"the formula '{request.formula}' cannot be read"
        todo = "write it as in arm * age + sex; a name with spaces or signs in backticks"
        raise ModelError(Problem(what, "group.models", todo)) from error
    terms = [] if hasattr(formula, "lhs") else list(formula)
    if "1" not in map(str, terms):
        what = f"the formula '{request.formula}' needs a constant and no left-hand side"
        raise ModelError(Problem(what, "group.models", "leave out '~', '0 +' and '- 1'"))
    if any(part.eval_method.value == "python" for term in terms for part in term.factors):
        what = f"the formula '{request.formula}' has a function"
        todo = "use names of columns only; texts are levels by themselves, no C() needed"
        raise ModelError(Problem(what, "group.models", todo))
    return formula


def _quoted(name):
    return name if name.isidentifier() else f"`{name}`"


def _frame(participants, arms, levels, wanted):
    formula, setting = wanted
    columns, used = {}, _complete(participants, arms, formula)
    for name in sorted(map(str, formula.required_variables)):
        if name == "arm":
            values = pd.Series(np.where(arms == "", None, arms), index=participants.index)
            columns["arm"] = pd.Categorical(values, categories=list(levels))
            continue
        if name not in participants:
            hint = nearest_names(name, participants.columns)
            raise ModelError(Problem(f"no column '{name}' ({setting})", "participants.tsv", hint))
        columns[name] = _coded(participants[name], name, used, setting)
    return pd.DataFrame(columns, index=participants.index)


def _complete(participants, arms, formula):
    """Participants with an arm and a value of each column of the formula that is there."""
    names = [name for name in map(str, formula.required_variables) if name in participants]
    there = participants[names].map(level_text).ne("").all(axis=1).to_numpy(dtype=bool)
    return there & (arms != "") if there.any() else arms != ""


def _coded(column, name, used, setting):
    if pd.api.types.is_numeric_dtype(column) and name.lower() not in LEVEL_COLUMNS:
        return column.astype(float) - column[used].mean()
    texts = column.map(level_text)
    levels = np.unique(texts[used & (texts != "")].to_numpy(dtype=str))
    if len(levels) < 2:
        raise ModelError(Problem(f"'{name}' does not vary", setting, "leave it out"))
    return pd.Categorical(texts.where(texts.isin(levels), None), categories=list(levels))


def _columns(formula, frame):
    filled = frame.copy()
    for name in frame:
        if isinstance(frame[name].dtype, pd.CategoricalDtype):
            filled[name] = frame[name].fillna(frame[name].cat.categories[0])
        else:
            filled[name] = frame[name].fillna(0.0)
    if not len(frame.columns):
        return np.ones((len(frame), 1)), ["Intercept"], [()]
    made = formula.get_model_matrix(filled, na_action="raise")
    names, factors = [], []
    for term, columns in made.model_spec.term_indices.items():
        parts = tuple(str(part.expr) for part in term.factors if str(part.expr) != "1")
        names += [made.columns[place] for place in columns]
        factors += [parts] * len(columns)
    places = [place for columns in made.model_spec.term_indices.values() for place in columns]
    return made.to_numpy(dtype=float)[:, places], names, factors


def _name(column, parts, levels):
    if not parts:
        return "mean change"
    text = str(column).replace("[T.", "[")
    if parts == ("arm",):
        return f"{text.removeprefix('arm[').removesuffix(']')} - {levels[0]}"
    return text


def _terms(design, factors, frame, request):
    eye = np.eye(len(design.names))
    arms = [place for place, parts in enumerate(factors) if parts == ("arm",)]
    if request.contrasts:
        yield from _arm_contrasts(design, arms, request.contrasts)
    elif not request.test and not request.moderator:
        for place in arms or [0]:
            yield Term(design.names[place], "arms" if arms else "mean", eye[place])
    for wanted in request.test:
        places = _places(wanted, factors, design)
        for place in places:
            kind = "arms" if factors[place] == ("arm",) else "slope"
            yield Term(design.names[place], kind, eye[place])
    if request.moderator:
        yield from _moderated(design, factors, frame, request.moderator)


def _arm_contrasts(design, arms, contrasts):
    column = {design.levels[0]: None} | dict(zip(design.levels[1:], arms, strict=False))
    for name, weights in contrasts:
        vector = np.zeros(len(design.names))
        for arm, weight in weights:
            if arm not in column:
                hint = nearest_names(arm, design.levels)
                what = f"contrast '{name}': no participant with data in arm '{arm}'"
                raise ModelError(Problem(what, "group.models", hint))
            if column[arm] is not None:
                vector[column[arm]] = weight
        yield Term(name, "arms", vector)


def _places(wanted, factors, design):
    parts = {part.strip().strip("`") for part in wanted.split(":")}
    places = [p for p, own in enumerate(factors) if own and {o.strip("`") for o in own} == parts]
    if not places:
        known = [":".join(own) for own in dict.fromkeys(factors) if own]
        what = f"no term '{wanted}' in the formula '{design.formula}'"
        raise ModelError(Problem(what, "group.models", nearest_names(wanted, known)))
    return places


def _moderated(design, factors, frame, moderator):
    eye = np.eye(len(design.names))
    own = [p for p, parts in enumerate(factors) if {o.strip("`") for o in parts} == {moderator}]
    both = [
        p for p, parts in enumerate(factors) if {o.strip("`") for o in parts} == {"arm", moderator}
    ]
    for place in both or own:
        yield Term(design.names[place], "slope", eye[place])
    if not both:
        return
    for arm in design.levels[1:]:
        first = eye[design.names.index(f"{arm} - {design.levels[0]}")]
        for text, values in _moderator_values(frame.loc[design.arms != "", moderator]):
            columns = [p for p in both if f"arm[{arm}]" in design.names[p]]
            weights = first + sum(
                value * eye[place] for value, place in zip(values, columns, strict=True)
            )
            yield Term(f"{arm} - {design.levels[0]} at {moderator} {text}", "arms", weights)


def _moderator_values(column):
    """Values of the moderator's columns at which the effect of the arm is given."""
    if isinstance(column.dtype, pd.CategoricalDtype):
        levels = list(column.cat.categories)
        return [(f"= {level}", [float(level == other) for other in levels[1:]]) for level in levels]
    deviation = float(column.std())
    return [("- 1 SD", [-deviation]), ("mean", [0.0]), ("+ 1 SD", [deviation])]


def _check_rank(design, setting):
    rows = np.flatnonzero(np.isfinite(design.matrix).all(axis=1))
    matrix = design.matrix[rows]
    if len(rows) <= matrix.shape[1] + 1:
        what = f"{matrix.shape[1]} terms for {len(rows)} participants with complete values"
        few = matrix.shape[1] == design.n_leading
        todo = "see flow.tsv for who is missing" if few else "use fewer covariates"
        raise ModelError(Problem(what, "participants" if few else setting, todo))
    _check_arms(design, rows)
    means = matrix[:, design.n_leading :].mean(axis=0)
    matrix = np.column_stack([matrix[:, : design.n_leading], matrix[:, design.n_leading :] - means])
    for stop in range(design.n_leading, matrix.shape[1] + 1):
        if not full_rank(matrix[:, :stop]):
            what = f"'{design.names[stop - 1]}' does not vary or is a sum of the other terms"
            before = ", ".join(design.names[: stop - 1])
            raise ModelError(Problem(f"{what} ({before})", setting, "leave it out"))


def _check_arms(design, rows):
    """Refuse arms of which nobody has all covariates; it would read as collinearity."""
    there = set(design.arms[rows])
    lost = [arm for arm in design.levels if arm not in there]
    if lost:
        named = ", ".join(design.names[design.n_leading :])
        what = f"nobody in arm '{lost[0]}' has a value of each covariate ({named})"
        todo = "fill the column in, or leave the covariate out"
        raise ModelError(Problem(what, "participants.tsv", todo))
