"""Derivative datasets: files written whole or not at all, and the dataset's description."""

from __future__ import annotations

import csv
import errno
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from urllib.parse import quote
from uuid import uuid4

import pandas as pd

from bids_utils.errors import DatasetError, ToolError
from bids_utils.names import with_prefix
from bids_utils.plain_text import without_formula
from bids_utils.sidecars import read_json

BIDS_VERSION = "1.10.0"
LABEL_COLUMNS = ("baseline", "followup", "run", "session", "participant")
"""Columns that hold labels and not numbers, besides all that end in ``_id``."""

VALIDATOR = "bids-validator-deno"
VALIDATOR_FAILED = 16
"""Exit code of the validator when it ran and found errors."""

TEMPORARY = ".tmp"
"""Start of the name of a file that is being written."""


@dataclass(frozen=True)
class Generator:
    """The program that made a dataset."""

    name: str
    version: str
    code_url: str


@contextmanager
def replaced_whole(path: Path) -> Iterator[Path]:
    """Temporary path beside `path` that takes its place at the end, if nothing failed.

    The temporary name is hidden and has the same extension. The folder is made if needed. The
    content is on the disk before the name changes: after a loss of power there is the old
    file or the new one.

    Raises
    ------
    DatasetError
        The folder cannot be written; a file that was there before is unharmed.
    """
    temporary = path.with_name(f"{TEMPORARY}{uuid4().hex}_{path.name}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        _write_through(temporary)
        temporary.replace(path)
    except OSError as error:
        raise DatasetError(
            f"{path.parent}: {path.name} cannot be written ({error.strerror}); "
            "check the permissions and the free space of this folder"
        ) from error
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def remove_leftovers(folder: Path) -> None:
    """Remove files that a killed program was writing, in a folder nobody else writes to now.

    Raises
    ------
    DatasetError
        One of them cannot be removed.
    """
    for path in folder.rglob(f"{TEMPORARY}{'[0-9a-f]' * 32}_*"):
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            raise DatasetError(f"{path}: cannot be removed ({error.strerror})") from error


def _write_through(path: Path) -> None:
    """Wait until a file is on the disk, where the file system can say so."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.EOPNOTSUPP):
            raise
    finally:
        os.close(descriptor)


def content_digest(path: Path) -> str:
    """SHA-256 of the content of a file, hexadecimal."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def known_digest(path: Path) -> str:
    """SHA-256 of the content of a file, read again only if its size or time changed."""
    facts = path.stat()
    return _digest_of(path, facts.st_size, facts.st_mtime_ns)


@lru_cache(maxsize=64)
def _digest_of(path: Path, _size: int, _mtime_ns: int) -> str:
    return content_digest(path)


def write_text(text: str, path: Path) -> None:
    """Write a text file whole or not at all.

    Raises
    ------
    DatasetError
        The folder cannot be written.
    """
    with replaced_whole(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="")


def write_json(content: Mapping[str, object], path: Path) -> None:
    """Write a JSON object with indentation, whole or not at all.

    Raises
    ------
    DatasetError
        The folder cannot be written.
    """
    write_text(json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n", path)


def write_table(
    table: pd.DataFrame,
    path: Path,
    dictionary: Mapping[str, Mapping[str, object]] | None = None,
) -> None:
    """Write the columns of a table as TSV (missing: n/a) and its dictionary beside it.

    Parameters
    ----------
    table : DataFrame
        The index is not written. Line ends and tabs in text become spaces; text of which a
        spreadsheet would make a formula gets an apostrophe before it.
    path : Path
        Ends in ``.tsv``.
    dictionary : mapping of column -> BIDS fields, optional
        Such as ``{"fd_mean": {"Description": "...", "Units": "mm"}}``; written as JSON under
        the same name. Columns that the table does not have are left out.

    Raises
    ------
    DatasetError
        The folder cannot be written.
    """
    write_text(table_text(table), path)
    if dictionary is not None:
        entries = {str(name): dictionary[name] for name in table.columns if name in dictionary}
        write_json(entries, path.with_suffix(".json"))


def table_text(table: pd.DataFrame) -> str:
    """Columns of a table as TSV, as `write_table` writes them."""
    columns = {name: _cells(table[name]) for name in table.columns}
    return pd.DataFrame(columns, index=table.index, columns=table.columns).to_csv(
        sep="\t", index=False, na_rep="n/a", lineterminator="\n", quoting=csv.QUOTE_NONE
    )


def read_table(
    path: Path, text_columns: Collection[str] = (), columns: Collection[str] | None = None
) -> pd.DataFrame:
    """Table from a TSV file; n/a is NaN, labels are text with their leading zeros.

    Parameters
    ----------
    path : Path
        TSV file.
    text_columns : collection of str, optional
        Columns to read as text, besides those that end in ``_id``, baseline, followup, run,
        session and participant.
    columns : collection of str, optional
        Only these are read, as far as they are there.

    Raises
    ------
    DatasetError
        The file is missing or is not a table.
    """
    try:
        header = pd.read_csv(path, sep="\t", nrows=0, quoting=csv.QUOTE_NONE).columns
        wanted = [name for name in header if columns is None or name in columns]
        return pd.read_csv(
            path,
            sep="\t",
            usecols=None if columns is None else wanted,
            dtype={name: "str" for name in wanted if _is_text(name, text_columns)},
            na_values=["n/a", ""],
            keep_default_na=False,
            quoting=csv.QUOTE_NONE,
        )
    except OSError as error:
        raise DatasetError(f"{path}: cannot be read: {error.strerror}") from error
    except ValueError as error:
        reason = " ".join(str(error).split())
        raise DatasetError(f"{path}: not a table of tab-separated cells: {reason}") from error


def write_dataset_description(
    output_dir: Path,
    bids_dir: Path,
    generator: Generator,
    links: Mapping[str, Path] | None = None,
) -> None:
    """Write dataset_description.json of a derivative dataset.

    Parameters
    ----------
    output_dir : Path
        Root of the derivative dataset.
    bids_dir : Path
        The dataset it was made from; `bids:raw:` addresses in sidecars start here.
    generator : Generator
        Name, version and address of the program.
    links : mapping of name -> Path, optional
        Other derivatives that were read; `bids:<name>:` addresses start there. Links are
        relative to `output_dir`, so that both folders can be moved together.

    Raises
    ------
    DatasetError
        The folder cannot be written, or the description in `bids_dir` is not JSON.
    """
    sources = {"raw": bids_dir, **(links or {})}
    description = {
        "Name": f"{generator.name}: change between sessions",
        "BIDSVersion": BIDS_VERSION,
        "DatasetType": "derivative",
        "GeneratedBy": [
            {"Name": generator.name, "Version": generator.version, "CodeURL": generator.code_url}
        ],
        "SourceDatasets": [_source(folder, output_dir) for folder in sources.values()],
        "DatasetLinks": {name: _link(folder, output_dir) for name, folder in sources.items()},
    }
    write_json(description, output_dir / "dataset_description.json")


def log_folder(output_dir: Path, participant: str) -> Path:
    """Folder of what a derivative dataset keeps about the processing of a participant."""
    return output_dir / "logs" / with_prefix(participant, "sub")


def source_address(bids_dir: Path, path: Path) -> str:
    """Address of an input file for `Sources` in a sidecar, such as ``bids:raw:sub-01/...``."""
    return f"bids:raw:{path.relative_to(bids_dir).as_posix()}"


def write_bidsignore(output_dir: Path, patterns: Iterable[str]) -> None:
    """Write .bidsignore: patterns of the files that BIDS has no name for.

    Raises
    ------
    DatasetError
        The folder cannot be written.
    """
    write_text("".join(f"{pattern}\n" for pattern in patterns), output_dir / ".bidsignore")


def validate_bids(bids_dir: Path, check_headers: bool = False) -> list[str]:
    """Errors that the BIDS validator finds, a sentence each; empty if the dataset is valid.

    Parameters
    ----------
    bids_dir : Path
        Raw or derivative dataset.
    check_headers : bool
        Also open the images. Off for raw data: one broken image must not stop everybody.

    Raises
    ------
    ToolError
        The validator is not installed or did not finish.
    """
    options = [] if check_headers else ["--ignoreNiftiHeaders"]
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.json"
        command = [_validator(), str(bids_dir), "--format", "json", "--outfile", str(report)]
        done = subprocess.run(  # noqa: S603
            [*command, "--ignoreWarnings", *options],
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, "NO_COLOR": "1"},
        )
        if done.returncode not in (0, VALIDATOR_FAILED) or not report.is_file():
            lines = " ".join((done.stderr or done.stdout).split())[-500:]
            raise ToolError(
                f"{VALIDATOR} stopped with exit code {done.returncode}: {lines}; "
                "--skip-bids-validation goes on without it"
            )
        return _validator_errors(read_json(report))


def _validator() -> str:
    beside = Path(sys.executable).with_name(VALIDATOR)
    found = str(beside) if beside.is_file() else shutil.which(VALIDATOR)
    if found is None:
        raise ToolError(
            f"{VALIDATOR} is not installed: pip install {VALIDATOR}, or go on without it by "
            "--skip-bids-validation"
        )
    return found


def _validator_errors(report: Mapping[str, object]) -> list[str]:
    outer = report.get("issues")
    issues = outer.get("issues") if isinstance(outer, dict) else None
    errors = []
    for issue in issues if isinstance(issues, list) else []:
        if issue.get("severity") == "error":
            words = [issue.get("location"), issue.get("code"), issue.get("subCode")]
            words.append(issue.get("issueMessage"))
            errors.append(" ".join(" ".join(str(word).split()) for word in words if word))
    return errors


def _link(folder: Path, output_dir: Path) -> str:
    """Way from the derivative dataset to another one; it names nobody's home folder."""
    way = os.path.relpath(folder.resolve(), output_dir.resolve())
    return quote(Path(way).as_posix())


def _source(folder: Path, output_dir: Path) -> dict[str, str]:
    source = {"URL": _link(folder, output_dir)}
    path = folder / "dataset_description.json"
    doi = read_json(path).get("DatasetDOI") if path.is_file() else None
    return {**source, "DOI": doi} if isinstance(doi, str) else source


def _cells(column: pd.Series) -> pd.Series:
    if pd.api.types.is_numeric_dtype(column):
        return column
    return column.map(lambda cell: _one_line(cell) if isinstance(cell, str) else cell)


def _one_line(cell: str) -> str | None:
    return without_formula(" ".join(cell.split())) or None


def _is_text(name: str, text_columns: Collection[str]) -> bool:
    return name.endswith("_id") or name in LABEL_COLUMNS or name in text_columns
