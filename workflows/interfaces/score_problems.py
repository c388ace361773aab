"""What is wrong with the scores of a study, and what is worth knowing of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import pandas as pd

from bids_utils.names import nearest
from workflows.compute.problems import Problem

SET_ASIDE = "the value is not used; correct it in the file, or write n/a"
MARKS = "-_. "


def score_problem(text: str, bids_dir: Path) -> Problem:
    """Problem of a sentence about the scores; what to do stands after its last ";".

    The file of the dataset that the sentence starts with, and its line, are where it is.
    """
    inside = text.removeprefix(f"{bids_dir}/")
    where, _, rest = inside.partition(": ") if inside != text else ("group.scores", "", text)
    what, mark, todo = rest.rpartition("; ")
    return Problem(what, where, todo) if mark else Problem(rest, where, SET_ASIDE)


def session_problems(
    scores: pd.DataFrame, order: tuple[str, ...], named: Iterable[str], scanned: tuple[str, ...]
) -> Iterator[Problem]:
    """Names of sessions that are written differently in the settings and the tables.

    Parameters
    ----------
    scores : pd.DataFrame
        session_id, score and value.
    order : tuple of str
        Sessions of the settings, in the order of time; empty: dates decide.
    named : iterable of str
        Sessions of `sessions.moments`.
    scanned : tuple of str
        Sessions with usable measures.
    """
    measured = scores[scores["value"].notna()]
    there = [str(label) for label in dict.fromkeys(measured["session_id"].dropna()) if label]
    known = list(dict.fromkeys([*order, *scanned]))
    alike = {_plain(label): label for label in known}
    for label in there:
        if label not in known and _plain(label) in alike:
            names = ", ".join(dict.fromkeys(measured["score"][measured["session_id"] == label]))
            todo = f"write ses-{alike[_plain(label)]} in the file, or the same in the settings"
            yield Problem(f"no session '{label}' of {names} in the settings", "scores", todo)
    found = list(dict.fromkeys([*scanned, *there]))
    for setting, labels in (("sessions.order", order), ("sessions.moments", named)):
        for label in labels if found else ():
            if label not in found:
                what = f"nobody has a measure or a score of session '{label}'"
                yield Problem(what, setting, nearest(label, found))


def _plain(label: str) -> str:
    return "".join(letter for letter in label.lower() if letter not in MARKS)
