"""People and their scores: participants.tsv, phenotype/ and the sessions files."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from bids_utils.errors import DatasetError
from bids_utils.names import folder_label, nearest, split_wide_column, strip_label
from bids_utils.plain_files import read_json
from bids_utils.tables import in_label_order, read_text_table

KEYS = ["participant_id", "session_id", "score"]
LABELS = ("participant_id", "session_id")
NOT_SCORES = ("participant_id", "session_id", "acq_time")
MARKS = "_.-"
"""What may stand between a score and a session known, as in ``BDI_pre`` or ``bdi.pre``."""
MIN_VARYING = 2
LONGEST_QUOTED = 20
Moment = str | int


@dataclass(frozen=True)
class ScoreRule:
    """What is known about a score that is asked for.

    `minimum` and `maximum` are those of the scale; `moment` says when a score was taken that
    belongs to no session: "before", "after", or the number of a session of therapy.
    """

    name: str
    minimum: float | None = None
    maximum: float | None = None
    moment: Moment | None = None


@dataclass(frozen=True)
class ScoreIntake:
    """Scores that can be used, what was set aside, and what is worth knowing.

    `scores` has participant_id, session_id, score, value, problem and moment (None where it
    is not known). `problems` and `notes` are sentences; nothing is wrong with a note.
    """

    scores: pd.DataFrame
    problems: tuple[str, ...]
    notes: tuple[str, ...]


def read_participants(bids_dir: Path) -> pd.DataFrame:
    """People of ``participants.tsv``, one row each, labels (without ``sub-``) as sorted index.

    A column in which at least half of the values are numbers is numeric, and text in it
    becomes NaN. All others are text, and so are codes: columns with `Levels` in
    ``participants.json`` and columns with leading zeros (site ``01``). Missing values are NaN.
    Of repeated people the first row holds. `list_problems` tells what was set aside.

    Returns
    -------
    DataFrame
        Index `participant_id`; no rows if there is no ``participants.tsv``.

    Raises
    ------
    DatasetError
        The file cannot be read or has no column participant_id.
    """
    path = bids_dir / "participants.tsv"
    if not path.is_file():
        return pd.DataFrame(index=pd.Index([], dtype=object, name="participant_id"))
    table = _read_people(path).drop_duplicates("participant_id").set_index("participant_id")
    numeric = _numeric_columns(bids_dir, table)
    return table.assign(**{column: _numbers(table[column]) for column in numeric})


def read_scores(
    bids_dir: Path, names: Collection[str] = (), sessions: Collection[str] = ()
) -> pd.DataFrame:
    """Scores of all people and sessions, one row each.

    They come from ``participants.tsv`` (columns such as ``BDI_ses-pre``, and those in
    `names`), ``phenotype/*.tsv`` (by participant, by participant and session, or with columns
    such as ``BDI_ses-pre``) and ``sub-X/sub-X_sessions.tsv``. A column is a score if at least
    half of its values are numbers, or if `names` has it. A file of phenotype/ or of sessions
    that cannot be read is left out; `list_problems` names it.

    Parameters
    ----------
    bids_dir : Path
        Root of the dataset.
    names : collection of str, optional
        Columns that are scores whatever is in them.
    sessions : collection of str, optional
        Labels of known sessions: ``BDI_pre`` and ``BDI.pre`` are the score BDI of the session
        ``pre`` then. A column that `names` has is never split.

    Returns
    -------
    DataFrame
        participant_id and session_id (without prefix; NaN if a score belongs to no session),
        score, value (NaN if missing or not usable), problem (empty, or why a value is not
        usable: text instead of a number, two different values). In the order of the files, in
        each in that of the labels, whatever the order of its rows.

    Raises
    ------
    DatasetError
        ``participants.tsv`` cannot be read or has no column participant_id.
    """
    cells = _all_cells(bids_dir, names, sessions)
    return _scores(cells, names)[[*KEYS, "value", "problem"]]


def take_in_scores(
    bids_dir: Path,
    rules: Sequence[ScoreRule],
    sessions: Sequence[str] = (),
    moments: Mapping[str, Moment | None] | None = None,
) -> ScoreIntake:
    """Scores that were asked for, checked, each with the moment it was taken.

    Parameters
    ----------
    bids_dir : Path
        Root of the dataset.
    rules : sequence of ScoreRule
        Scores asked for; others are left out.
    sessions : sequence of str
        Labels of the sessions that have scans.
    moments : mapping of session label -> moment, optional
        When each session was in the course of treatment (None: not known); all of them are
        sessions of the study.

    Returns
    -------
    ScoreIntake
        Problems: text instead of a number, values outside the range of the scale (set aside),
        two different values, repeated rows, a score that nobody has (with the nearest names),
        a score that is the same for everybody, unreadable files. Notes: sessions
        that no scan has, and people whose score belongs to no session and has no moment.

    Raises
    ------
    DatasetError
        ``participants.tsv`` cannot be read.
    """
    names = [rule.name for rule in rules]
    known = (*sessions, *(moments or {}))
    cells = _all_cells(bids_dir, names, known)
    found = _scores(cells, names)
    there = list(dict.fromkeys(found["score"]))
    scores = found[found["score"].isin(names)].reset_index(drop=True)
    for rule in rules:
        scores = _within_range(scores, rule)
    problems = [*_absent(rules, cells, there), *_constant(scores)]
    problems += [*_repeated_rows(bids_dir), *_score_tables(bids_dir)[1]]
    notes = [*_unscanned(scores, sessions, known), *_without_moment(scores, rules)]
    own = {rule.name: rule.moment for rule in rules if rule.moment is not None}
    placed = with_moments(scores, moments or {}, own)
    set_aside = scores["problem"][scores["problem"] != ""].tolist()
    kept = placed[[*KEYS, "value", "problem", "moment"]]
    return ScoreIntake(kept, (*problems, *set_aside), tuple(notes))


def with_moments(
    scores: pd.DataFrame, sessions: Mapping[str, Moment | None], names: Mapping[str, Moment]
) -> pd.DataFrame:
    """Scores with `moment`: of their session, or of the score where it belongs to no session.

    Parameters
    ----------
    scores : DataFrame
        session_id (NaN for none) and score.
    sessions : mapping of session label -> moment
    names : mapping of score -> moment

    Returns
    -------
    DataFrame
        With one more column of objects: "before", "after", a whole number, or None.
    """
    places = zip(scores["session_id"], scores["score"], strict=True)
    found = [
        sessions.get(session) if isinstance(session, str) else names.get(name)
        for session, name in places
    ]
    return scores.assign(moment=pd.Series(found, index=scores.index, dtype=object))


def list_problems(
    bids_dir: Path, names: Collection[str] = (), sessions: Collection[str] = ()
) -> tuple[str, ...]:
    """What was set aside in ``participants.tsv`` and in the scores, a sentence each."""
    scores = read_scores(bids_dir, names, sessions)
    found = [*_score_tables(bids_dir)[1], *_repeated_rows(bids_dir)]
    found += scores["problem"][scores["problem"] != ""].tolist()
    path = bids_dir / "participants.tsv"
    if not path.is_file():
        return tuple(found)
    people = _read_people(path)
    repeated = people["participant_id"][people["participant_id"].duplicated()].unique()
    rows = [f"{path}: several rows for sub-{label}; the first one holds" for label in repeated]
    columns = _numeric_columns(bids_dir, people.drop(columns="participant_id"))
    return (*rows, *_texts_among_numbers(path, people, columns), *found)


def _read_people(path: Path) -> pd.DataFrame:
    table = read_text_table(path)
    if "participant_id" not in table:
        raise DatasetError(
            f"{path}: the column participant_id is missing; found {', '.join(table.columns)}"
        )
    table = table[table["participant_id"].notna()]
    labels = table["participant_id"].map(lambda text: strip_label(text, "sub"))
    return in_label_order(table.assign(participant_id=labels), LABELS)


def _numeric_columns(bids_dir: Path, table: pd.DataFrame) -> list[str]:
    path = bids_dir / "participants.json"
    dictionary = read_json(path) if path.is_file() else {}
    coded = {
        key for key, entry in dictionary.items() if isinstance(entry, dict) and "Levels" in entry
    }
    return [name for name in table.columns if name not in coded and _is_number(table[name])]


def _is_number(texts: pd.Series) -> bool:
    return _is_score(texts) and not texts.dropna().map(_has_leading_zero).any()


def _has_leading_zero(text: str) -> bool:
    return text.isdecimal() and text.startswith("0") and len(text) > 1


def _texts_among_numbers(path: Path, people: pd.DataFrame, columns: list[str]) -> Iterator[str]:
    for column in columns:
        if split_wide_column(column):
            continue
        texts = people[column]
        wrong = texts.notna() & _numbers(texts).isna()
        for label, text in zip(people["participant_id"][wrong], texts[wrong], strict=True):
            yield f"{path}: {column} of sub-{label} is {_quoted(text)}, not a number"


def _quoted(text: str) -> str:
    """A short cell as it is; a long one is free text about a person and not told."""
    return f"'{text}'" if len(text) <= LONGEST_QUOTED else f"a text of {len(text)} signs"


def _all_cells(
    bids_dir: Path, names: Collection[str] = (), sessions: Collection[str] = ()
) -> pd.DataFrame:
    """Every cell that may be a score: KEYS, text, and the place it stands in."""
    tables = []
    people = bids_dir / "participants.tsv"
    if people.is_file():
        cells = _cells(people, _read_people(people), names, sessions)
        tables.append(cells[cells["session_id"].notna() | cells["score"].isin(list(names))])
    for path, table in _score_tables(bids_dir)[0]:
        tables.append(_cells(path, table, names, sessions))
    filled = [table for table in tables if len(table)]
    if not filled:
        return pd.DataFrame(columns=[*KEYS, "text", "place"])
    return pd.concat(filled, ignore_index=True)


def _scores(cells: pd.DataFrame, names: Collection[str]) -> pd.DataFrame:
    """Cells that are scores: KEYS, text, place, value and problem, one row for each key."""
    if cells.empty:
        return pd.DataFrame(columns=[*KEYS, "text", "place", "value", "problem"])
    is_score = cells.groupby("score")["text"].transform(_is_score).astype(bool)
    cells = cells[is_score | cells["score"].isin(list(names))]
    value = _numbers(cells["text"])
    wrong = cells["text"].notna() & value.isna()
    scores = cells.assign(value=value, problem="")
    scores.loc[wrong, "problem"] = [_text_problem(cell) for _, cell in cells[wrong].iterrows()]
    return _without_repeats(scores).reset_index(drop=True)


def _within_range(scores: pd.DataFrame, rule: ScoreRule) -> pd.DataFrame:
    low = float("-inf") if rule.minimum is None else rule.minimum
    high = float("inf") if rule.maximum is None else rule.maximum
    outside = (scores["score"] == rule.name) & ((scores["value"] < low) | (scores["value"] > high))
    if not outside.any():
        return scores
    scores = scores.copy()
    scores.loc[outside, "problem"] = [
        f"{_whose(cell)} is {cell['text']}, outside of the scale ({low:g} to {high:g})"
        for _, cell in scores[outside].iterrows()
    ]
    scores.loc[outside, "value"] = float("nan")
    return scores


def _absent(rules: Sequence[ScoreRule], cells: pd.DataFrame, there: list[str]) -> Iterator[str]:
    """Scores that no file has, and those without a single number."""
    asked = [rule.name for rule in rules]
    for name in asked:
        if not (cells["score"] == name).any():
            advice = nearest(name, [other for other in there if other not in asked])
            yield f"no column '{name}' in participants.tsv, phenotype/ or *_sessions.tsv; {advice}"
        elif not cells["text"][cells["score"] == name].notna().any():
            yield f"the column '{name}' is empty for everybody"


def _constant(scores: pd.DataFrame) -> Iterator[str]:
    sessions = scores["session_id"].astype(object).fillna("")
    for (name, label), part in scores.groupby(["score", sessions], sort=False):
        values = part["value"].dropna()
        if len(values) > MIN_VARYING and (values == values.iloc[0]).all():
            when = f" in ses-{label}" if label else ""
            yield (
                f"all {len(values)} values of {name}{when} are {values.iloc[0]:g}; a score that "
                "does not vary cannot be related to anything: check the column"
            )


def _unscanned(
    scores: pd.DataFrame, sessions: Sequence[str], known: Sequence[str]
) -> Iterator[str]:
    """Sessions of scores that no scan has; nothing is wrong with them."""
    if not sessions:
        return
    labels = scores["session_id"][scores["value"].notna()].dropna()
    for label in dict.fromkeys(labels):
        if label not in sessions:
            names = ", ".join(dict.fromkeys(scores["score"][scores["session_id"] == label]))
            use = (
                "they count as outcomes, and nothing of the brain is compared with them"
                if label in known
                else "it is not in sessions.order either, so no model uses them: add it there"
            )
            yield f"ses-{label} has scores ({names}) but no scan: {use}"


def _without_moment(scores: pd.DataFrame, rules: Sequence[ScoreRule]) -> Iterator[str]:
    for rule in rules:
        own = scores[(scores["score"] == rule.name) & scores["session_id"].isna()]
        if rule.moment is None and own["value"].notna().any():
            yield (
                f"{rule.name} belongs to no session; give its moment (before, after, or the number "
                "of a session of therapy) if its place in time matters"
            )


def _repeated_rows(bids_dir: Path) -> Iterator[str]:
    """Rows of a person (and session) that stand in one phenotype or sessions file twice."""
    for path, table in _score_tables(bids_dir)[0]:
        keys = [key for key in ("participant_id", "session_id") if key in table]
        for row in table[table.duplicated(keys)].drop_duplicates(keys)[keys].itertuples():
            session = getattr(row, "session_id", None)
            when = f" in ses-{strip_label(session, 'ses')}" if isinstance(session, str) else ""
            yield (
                f"{path}: several rows for sub-{row.participant_id}{when}; equal values count "
                "once, different ones are set aside"
            )


def _files(folder: Path) -> list[Path]:
    paths = folder.glob("*.tsv") if folder.is_dir() else ()
    return sorted(path for path in paths if not path.name.startswith("."))


def _score_tables(bids_dir: Path) -> tuple[list[tuple[Path, pd.DataFrame]], list[str]]:
    """Phenotype and sessions files that can be read, and what is wrong with the others."""
    tables, problems = [], []
    by_participant = bids_dir.glob("sub-*/sub-*_sessions.tsv")
    own = sorted(by_participant)
    for path in [*_files(bids_dir / "phenotype"), *own]:
        try:
            table = read_text_table(path) if path in own else _read_people(path)
        except DatasetError as error:
            problems.append(f"{error}; the scores of this file are not used")
            continue
        if path not in own:
            tables.append((path, table))
        elif "session_id" in table:
            label = folder_label(path.parent.name, "sub")
            tables.append((path, in_label_order(table.assign(participant_id=label), LABELS)))
    return tables, problems


def _cells(
    path: Path, table: pd.DataFrame, names: Collection[str], sessions: Collection[str]
) -> pd.DataFrame:
    session = (
        table["session_id"] if "session_id" in table else pd.Series(None, table.index, dtype=object)
    )
    rows = []
    for column in table.columns:
        if column in NOT_SCORES or column.endswith("_id"):
            continue
        score, label = _split_column(column, names, sessions)
        rows.append(
            pd.DataFrame(
                {
                    "participant_id": table["participant_id"],
                    "session_id": label or session,
                    "score": score,
                    "text": table[column],
                    "place": f"{path}: {column}",
                }
            )
        )
    if not rows:
        return pd.DataFrame(columns=[*KEYS, "text", "place"])
    cells = pd.concat(rows, ignore_index=True)
    labels = cells["session_id"].map(lambda text: strip_label(text, "ses"), na_action="ignore")
    return cells.assign(session_id=labels.astype(object))


def _split_column(
    column: str, names: Collection[str], sessions: Collection[str]
) -> tuple[str, str | None]:
    """Score and session of a column; None for a column that names no session."""
    wide = split_wide_column(column)
    if wide or column in names:
        return wide or (column, None)
    for label in sessions:
        for mark in MARKS:
            score = column.removesuffix(mark + label)
            if score and score != column:
                return score, label
    return column, None


def _is_score(texts: pd.Series) -> bool:
    present = texts.dropna()
    return bool(len(present)) and 2 * int(_numbers(present).notna().sum()) >= len(present)


def _numbers(texts: pd.Series) -> pd.Series:
    numbers = pd.to_numeric(texts, errors="coerce").astype(float)
    return numbers.where(numbers.abs() != float("inf"))


def _text_problem(cell: pd.Series) -> str:
    return f"{_whose(cell)} is {_quoted(cell['text'])}, not a number"


def _whose(cell: pd.Series) -> str:
    when = f" in ses-{cell['session_id']}" if isinstance(cell["session_id"], str) else ""
    return f"{cell['place']} of sub-{cell['participant_id']}{when}"


def _without_repeats(scores: pd.DataFrame) -> pd.DataFrame:
    """One row for each participant, session and score; different values are a problem."""
    session = scores["session_id"].astype(object).fillna("")
    key = scores["participant_id"] + "\t" + session + "\t" + scores["score"]
    empty = scores["value"].isna() & (scores["problem"] == "")
    rows = scores.assign(key=key, empty=empty).drop_duplicates(["key", "value", "problem"])
    values = rows[~rows["empty"]].groupby("key")["text"]
    clashes = values.agg(" and ".join)[values.size() > 1].to_dict()
    single = rows.sort_values("empty", kind="stable").drop_duplicates("key").sort_index()
    clash = single["key"].map(lambda key: clashes.get(key, ""))
    cells = single[clash != ""].iterrows()
    clashing = [
        f"{_whose(cell)} has several values: {texts}"
        for (_, cell), texts in zip(cells, clash[clash != ""], strict=True)
    ]
    single = single.assign(value=single["value"].where(clash == ""))
    single.loc[clash != "", "problem"] = clashing
    return single
