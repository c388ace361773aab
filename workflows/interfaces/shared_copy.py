"""A copy of the results of the group that can be given to others: `OUTPUT_DIR/shared`."""

from __future__ import annotations

import os
import secrets
import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import yaml

from bids_utils.derivatives import (
    read_table,
    replaced_whole,
    write_bidsignore,
    write_json,
    write_table,
    write_text,
)
from bids_utils.errors import SettingsError
from bids_utils.names import strip_label
from bids_utils.plain_files import read_json, read_plain, read_utf8
from configs.settings import FILES, PrivacySettings, Settings, dump_settings
from workflows.compute.pseudonyms import pseudonyms, without_names
from workflows.compute.small_cells import PER_ARM, without_hidden_rates, without_small_cells

SHARED = "shared"
PERSON = "participant_id"
LEFT_OUT = frozenset({"problems"})
"""Tables that quote what people wrote."""

FREE_TEXT = ["reason", "source_file", "scanner"]
"""Columns that quote what people wrote, or name a machine: they stay empty."""

WHOLE_ROWS = {
    "completers": "n_completers",
    "outcome_rates": "rate",
    "outcome_differences": "difference",
}
"""Tables whose hidden rows are left out, by a column that is there in all others."""

ROWS = (("_scans", ""), ("_pairs", "_change"))
"""Endings of tables that say whose the rows of an array are, and of the array."""

README = """\
Results of braindelta to be given to others, made from tables of one study.

Contents: {contents}
People: {people}
Not here: names of files and folders, dates, free text, scanners, the list of problems.
"""
RESULTS = (
    "tables about groups of people; counts of fewer than {fewest} people are hidden (n/a, or the "
    "row is left out)"
)
PEOPLE = "tables about groups, and tables with a row a person"
NOBODY = "no table has a row a person"
PSEUDONYMS = "pseudonyms; who has the secret of the study can find out whose they are, nobody else"
MOST_SECRET_BYTES = 4096


@dataclass(frozen=True)
class _Sharing:
    """Where from, where to, who, and what may be told."""

    source: Path
    target: Path
    known: dict[str, str]
    privacy: PrivacySettings

    @property
    def people(self) -> bool:
        """Whether rows about single people are shared."""
        return self.privacy.share == "people"


def write_shared(output_dir: Path, settings: Settings) -> Path | None:
    """Write OUTPUT_DIR/shared anew, without its report; None where nothing is to be shared.

    Raises
    ------
    SettingsError
        The secret of the pseudonyms cannot be used.
    DatasetError
        A table cannot be read, or the copy not be written.
    """
    target = output_dir / SHARED
    shutil.rmtree(target, ignore_errors=True)
    if settings.privacy.share == "none":
        return None
    tables = [*(output_dir / "group").glob("*.tsv"), *(output_dir / "group").glob("models/*.tsv")]
    labels = {label for path in tables for label in _people(path)}
    secret = read_secret(key_file(output_dir, settings.privacy))
    sharing = _Sharing(output_dir, target, pseudonyms(sorted(labels), secret), settings.privacy)
    for path in sorted(tables):
        if path.stem not in LEFT_OUT:
            _share_table(path, sharing)
    _share_description(sharing, settings)
    return target


def key_file(output_dir: Path, privacy: PrivacySettings) -> Path:
    """Where the secret of the pseudonyms lies: never in the output.

    Raises
    ------
    SettingsError
        The settings name a file inside the output.
    """
    path = privacy.key_file or output_dir.with_name(f"{output_dir.name}_pseudonyms.key")
    if path.resolve().is_relative_to(output_dir.resolve()):
        raise SettingsError(
            f"privacy.key_file: {path} lies in the output, where it would be shared along; "
            "name a file elsewhere"
        )
    return path


def read_secret(path: Path) -> bytes:
    """Secret of the pseudonyms; made, readable for its owner only, where there is none.

    Raises
    ------
    SettingsError
        It cannot be made, or is too short to be one.
    """
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "w", encoding="ascii") as stream:
            stream.write(f"{secrets.token_hex(32)}\n")
    except FileExistsError:
        pass
    except OSError as error:
        raise SettingsError(
            f"privacy.key_file: {path} cannot be made ({error.strerror}); name another file"
        ) from error
    secret = read_plain(path, MOST_SECRET_BYTES).strip()
    if len(secret) < 32:
        raise SettingsError(
            f"privacy.key_file: {path} holds {len(secret)} signs, at least 32 are needed; "
            "restore the file, or remove it to make a new one (with new pseudonyms)"
        )
    return secret


def _people(path: Path) -> list[str]:
    table = read_table(path, columns=[PERSON])
    labels = table[PERSON].dropna().unique() if PERSON in table else []
    return [strip_label(str(label), "sub") for label in labels]


def _share_table(path: Path, sharing: _Sharing) -> None:
    texts = [PER_ARM, "arm", "reference", "detail", "level"]
    table = read_table(path, texts)
    if PERSON in table and not sharing.people:
        return
    table = _without_reasons(table) if path.stem == "flow" else table
    table = table.assign(**dict.fromkeys([name for name in FREE_TEXT if name in table]))
    if PERSON in table:
        table = _in_new_order(path, table, sharing)
    elif not sharing.people:
        table = _of_groups(path, table, sharing.privacy.min_cell)
    shown = pd.DataFrame({name: _plain(table[name], sharing) for name in table})
    place = sharing.target / path.relative_to(sharing.source)
    write_table(shown, place, _dictionary(path, sharing))


def _of_groups(path: Path, table: pd.DataFrame, fewest: int) -> pd.DataFrame:
    rates = path.with_name("outcome_rates.tsv")
    shown = without_small_cells(table, fewest)
    if path.stem == "outcome_differences" and len(table) and rates.is_file():
        shown = without_hidden_rates(shown, without_small_cells(read_table(rates, ["arm"]), fewest))
    kept = shown.dropna(subset=[WHOLE_ROWS[path.stem]]) if path.stem in WHOLE_ROWS else shown
    return kept.reset_index(drop=True)


def _without_reasons(flow: pd.DataFrame) -> pd.DataFrame:
    """Steps only: reasons are quoted from lists, and add up with the steps to what is hidden."""
    kept = flow[flow["reason"].isna()] if "reason" in flow else flow
    return kept.reset_index(drop=True)


def _in_new_order(path: Path, table: pd.DataFrame, sharing: _Sharing) -> pd.DataFrame:
    """Rows, and those of the array they describe, in the order of the pseudonyms.

    The order of the labels would give them away.
    """
    names = [sharing.known[_label(label)] for label in table[PERSON]]
    order = np.argsort(np.array(names), kind="stable")
    for ending, array_ending in ROWS:
        stem = path.stem.removesuffix(ending)
        array = path.with_name(f"{stem}{array_ending}.npy")
        if path.stem.endswith(ending) and array.is_file():
            target = sharing.target / array.relative_to(sharing.source)
            with replaced_whole(target) as temporary, temporary.open("wb") as stream:
                np.save(stream, np.load(array, mmap_mode="r")[order])
    moved = table.iloc[order].reset_index(drop=True)
    scans = path.with_name(path.name.replace("_pairs.tsv", "_scans.tsv"))
    rows = [name for name in ("baseline_row", "followup_row") if name in moved]
    if rows and scans.is_file():
        people = [sharing.known[label] for label in map(_label, read_table(scans)[PERSON])]
        place = np.argsort(np.argsort(np.array(people), kind="stable"))
        moved[rows] = moved[rows].map(lambda row: place[int(row)])
    return moved


def _label(text: object) -> str:
    return strip_label(str(text), "sub")


def _plain(column: pd.Series, sharing: _Sharing) -> pd.Series:
    if pd.api.types.is_numeric_dtype(column):
        return column
    return column.map(lambda x: without_names(x, sharing.known) if isinstance(x, str) else x)


def _dictionary(path: Path, sharing: _Sharing) -> dict[str, dict[str, object]] | None:
    beside = path.with_suffix(".json")
    if not beside.is_file():
        return None
    content = read_json(beside).items()
    return {name: entry for name, entry in content if isinstance(entry, dict)}


def _share_description(sharing: _Sharing, settings: Settings) -> None:
    """What the copy is, how it was made, and with which settings, without any place on a disk."""
    source, target = sharing.source, sharing.target
    description = read_json(source / "dataset_description.json")
    kept = {
        name: value
        for name, value in description.items()
        if name not in ("SourceDatasets", "DatasetLinks")
    }
    write_json(kept, target / "dataset_description.json")
    write_bidsignore(target, ("group", "logs", "settings.yaml", "*.html"))
    methods = source / "logs" / "CITATION.md"
    if methods.is_file():
        text = without_names(read_utf8(methods), sharing.known)
        write_text(text, target / "logs" / "CITATION.md")
    write_text(_settings(settings), target / "settings.yaml")
    contents = PEOPLE if sharing.people else RESULTS.format(fewest=sharing.privacy.min_cell)
    people = PSEUDONYMS if sharing.people else NOBODY
    write_text(README.format(contents=contents, people=people), target / "README")


def _settings(settings: Settings) -> str:
    """Settings of the study without folders and without names of people."""
    plain = yaml.safe_load(dump_settings(settings, Path("/")))
    for first, *rest in FILES:
        parts = [plain[first]]
        for key in rest[:-1]:
            parts = [one for part in parts for one in part[key]]
        for part in parts:
            part[rest[-1]] = part[rest[-1]] and Path(part[rest[-1]]).name
    plain["sources"]["scans"] = {}
    plain["privacy"]["key_file"] = None
    return yaml.safe_dump(plain, sort_keys=False)
