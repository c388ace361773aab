"""Files of unknown origin: ordinary ones only, never more of them than fits into memory."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path

from bids_utils.errors import DatasetError

MOST_BYTES = 512 * 2**20
MOST_JSON_BYTES = 64 * 2**20
MOST_DIGITS = 100
MOST_LINE_BYTES = 16 * 2**20
TOO_DEEP = "its brackets are nested too deeply to be read"


def read_plain(path: Path, most_bytes: int = MOST_BYTES) -> bytes:
    """Content of an ordinary file.

    A pipe or a device, which could wait or go on for ever, is never read from.

    Raises
    ------
    DatasetError
        The file cannot be read, is no ordinary file, or is larger than `most_bytes`.
    """
    content = _start(path, most_bytes + 1)
    if len(content) > most_bytes:
        raise DatasetError(
            f"{path}: larger than {most_bytes / 2**20:.0f} MiB, which no file of this kind is; "
            "replace or split it"
        )
    return content


def read_utf8(path: Path, most_bytes: int = MOST_BYTES) -> str:
    """Text of an ordinary file without its byte order mark, all line ends made the same.

    Raises
    ------
    DatasetError
        As of `read_plain`, or the file is not UTF-8.
    """
    return _text(path, read_plain(path, most_bytes))


def read_first_line(path: Path) -> str:
    """First line of a text file without its line end; raises as `read_utf8` does."""
    line = _start(path, MOST_LINE_BYTES).partition(b"\n")[0]
    if len(line) == MOST_LINE_BYTES:
        raise DatasetError(f"{path}: its first line never ends; is it a table?")
    return _text(path, line).rstrip("\n")


def read_json(path: Path) -> dict[str, object]:
    """Content of a JSON file that holds one object.

    Raises
    ------
    DatasetError
        The file cannot be read or is not JSON; the message names file and line.
    """
    text = read_utf8(path, MOST_JSON_BYTES)
    try:
        raw = json.loads(text, parse_int=_whole)
    except json.JSONDecodeError as error:
        place = f"{path}, line {error.lineno}, column {error.colno}"
        raise DatasetError(f"{place}: not JSON ({error.msg}); correct the file") from error
    except RecursionError as error:
        raise DatasetError(f"{path}: {TOO_DEEP}; correct the file") from error
    if not isinstance(raw, dict):
        raise DatasetError(f"{path}: expected an object {{...}}, found {type(raw).__name__}")
    return raw


def _whole(digits: str) -> int | float:
    """A whole number; infinite beyond what a fraction can hold, which no calculation survives."""
    return int(digits) if len(digits) <= MOST_DIGITS else float(digits)


def _start(path: Path, n_bytes: int) -> bytes:
    try:
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK), "rb") as stream:
            if not stat.S_ISREG(os.fstat(stream.fileno()).st_mode):
                raise DatasetError(f"{path}: not an ordinary file but a pipe or device; remove it")
            return stream.read(n_bytes)
    except OSError as error:
        raise DatasetError(f"{path}: cannot be read: {error.strerror}") from error


def _text(path: Path, content: bytes) -> str:
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DatasetError(f"{path}: not UTF-8 text ({error}); save it as UTF-8") from error
    return text.replace("\r\n", "\n").replace("\r", "\n")
