"""Problems that do not stop the others: what, where, and what to do."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import astuple, dataclass

import pandas as pd

PROBLEM_COLUMNS = ["what", "where", "what_to_do", "kind"]
PROBLEM, NOTE = "problem", "note"


@dataclass(frozen=True)
class Problem:
    """Something left out, with the reason; a "note" is worth knowing, and nothing is wrong."""

    what: str
    where: str
    what_to_do: str
    kind: str = PROBLEM


class ModelError(ValueError):
    """A model that cannot be fitted; `problem` says why."""

    def __init__(self, problem: Problem):
        super().__init__(f"{problem.where}: {problem.what}; {problem.what_to_do}")
        self.problem = problem

    def __reduce__(self):
        return ModelError, (self.problem,)


def problem_table(problems: Iterable[Problem]) -> pd.DataFrame:
    """Table of problems, PROBLEM_COLUMNS, each named once."""
    rows = [astuple(problem) for problem in dict.fromkeys(problems)]
    return pd.DataFrame(rows, columns=PROBLEM_COLUMNS, dtype=object)


def nearest_names(name: str, known: Iterable[object]) -> str:
    """Hint for a misspelt name: the nearest known ones, or all of them."""
    names = {str(item).lower(): str(item) for item in known}
    near = difflib.get_close_matches(name.lower(), names, n=3, cutoff=0.5)
    if near:
        return "did you mean " + " or ".join(f"'{names[item]}'" for item in near) + "?"
    return f"known names: {', '.join(names.values()) or 'none'}"
