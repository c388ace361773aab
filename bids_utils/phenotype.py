"""People and their scores: participants.tsv, phenotype/ and the sessions files."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path

import pandas as pd

from bids_utils.errors import DatasetError
from bids_utils.names import folder_label, split_wide_column, strip_label
from bids_utils.sidecars import read_json
from bids_utils.tables import read_text_table

KEYS = ["participant_id", "session_id", "score"]
NOT_SCORES = ("participant_id", "session_id", "acq_time")


def read_participants(bids_dir: Path) -> pd.DataFrame:
    """People of ``participants.tsv``, one row each, labels (without ``sub-``) as index.

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


def read_scores(bids_dir: Path, names: Collection[str] = ()) -> pd.DataFrame:
    """Scores of all people and sessions, one row each.

    They come from ``participants.tsv`` (columns such as ``BDI_ses-pre``), ``phenotype/*.tsv``
    (by participant, by participant and session, or with columns such as ``BDI_ses-pre``) and
    ``sub-X/sub-X_sessions.tsv``. A column is a score if at least half of its values are
    numbers, or if `names` has it.

    Parameters
    ----------
    bids_dir : Path
        Root of the dataset.
    names : collection of str, optional
        Columns that are scores whatever is in them.

    Returns
    -------
    DataFrame
        participant_id and session_id (without prefix; NaN if a score belongs to no session),
        score, value (NaN if missing or not usable), problem (empty, or why a value is not
        usable: text instead of a number, two different values). Sorted as the files are.

    Raises
    ------
    DatasetError
        A file cannot be read or has no column participant_id.
    """
    cells = _all_cells(bids_dir)
    if cells.empty:
        return pd.DataFrame(columns=[*KEYS, "value", "problem"])
    is_score = cells.groupby("score")["text"].transform(_is_score).astype(bool)
    cells = cells[is_score | cells["score"].isin(list(names))]
    value = _numbers(cells["text"])
    wrong = cells["text"].notna() & value.isna()
    scores = cells.assign(value=value, problem="")
    scores.loc[wrong, "problem"] = [_text_problem(cell) for _, cell in cells[wrong].iterrows()]
    return _without_repeats(scores)[[*KEYS, "value", "problem"]].reset_index(drop=True)


def list_problems(bids_dir: Path, names: Collection[str] = ()) -> tuple[str, ...]:
    """What was set aside in ``participants.tsv`` and in the scores, a sentence each."""
    scores = read_scores(bids_dir, names)
    found = scores["problem"][scores["problem"] != ""].tolist()
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
    return table.assign(participant_id=labels).reset_index(drop=True)


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
            yield f"{path}: {column} of sub-{label} is '{text}', not a number"


def _all_cells(bids_dir: Path) -> pd.DataFrame:
    tables = []
    people = bids_dir / "participants.tsv"
    if people.is_file():
        cells = _cells(people, _read_people(people))
        tables.append(cells[cells["session_id"].notna()])
    tables += [_cells(path, _read_people(path)) for path in _files(bids_dir / "phenotype")]
    tables += [_cells(path, table) for path, table in _session_tables(bids_dir)]
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame()


def _files(folder: Path) -> list[Path]:
    paths = folder.glob("*.tsv") if folder.is_dir() else ()
    return sorted(path for path in paths if not path.name.startswith("."))


def _session_tables(bids_dir: Path) -> Iterator[tuple[Path, pd.DataFrame]]:
    paths = bids_dir.glob("sub-*/sub-*_sessions.tsv")
    for path in sorted(paths):
        table = read_text_table(path)
        if "session_id" in table:
            yield path, table.assign(participant_id=folder_label(path.parent.name, "sub"))


def _cells(path: Path, table: pd.DataFrame) -> pd.DataFrame:
    session = (
        table["session_id"] if "session_id" in table else pd.Series(None, table.index, dtype=object)
    )
    rows = []
    for column in table.columns:
        if column in NOT_SCORES or column.endswith("_id"):
            continue
        score, label = split_wide_column(column) or (column, None)
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


def _is_score(texts: pd.Series) -> bool:
    present = texts.dropna()
    return bool(len(present)) and 2 * int(_numbers(present).notna().sum()) >= len(present)


def _numbers(texts: pd.Series) -> pd.Series:
    numbers = pd.to_numeric(texts, errors="coerce").astype(float)
    return numbers.where(numbers.abs() != float("inf"))


def _text_problem(cell: pd.Series) -> str:
    when = f" in ses-{cell['session_id']}" if isinstance(cell["session_id"], str) else ""
    return (
        f"{cell['place']} of sub-{cell['participant_id']}{when} is '{cell['text']}', not a number"
    )


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
    whose = single["place"] + " of sub-" + single["participant_id"] + " has several values: "
    return single.assign(
        value=single["value"].where(clash == ""),
        problem=single["problem"].where(clash == "", whose + clash),
    )
