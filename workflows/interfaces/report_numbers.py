"""The numbers behind a picture: inside the page where they are few, else the file beside it."""

from __future__ import annotations

import base64
import os
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import pandas as pd

from bids_utils.derivatives import table_text

MOST_BYTES = 48 * 1024
TSV = "data:text/tab-separated-values;charset=utf-8;base64,"


@dataclass(frozen=True)
class Numbers:
    """A table to save: the name of its file, where it is, and how large."""

    name: str
    address: str
    size: str


def numbers_of(name: str, table: pd.DataFrame) -> Numbers:
    """A table as part of the page; missing values are n/a, numbers have all their digits."""
    kept = "".join(letter if letter.isalnum() or letter in "-_." else "_" for letter in name)
    return _inside(f"{kept}.tsv", table_text(table).encode("utf-8"))


def numbers_file(path: Path, page_folder: Path) -> Numbers:
    """A file of the output: as part of the page if it is small, else its address from the page."""
    content = path.stat().st_size
    if content <= MOST_BYTES:
        return _inside(path.name, path.read_bytes())
    place = Path(os.path.relpath(path, page_folder)).as_posix()
    return Numbers(path.name, quote(place), size_text(content))


def size_text(n_bytes: int) -> str:
    """Size of a file in words."""
    return f"{n_bytes / 1024:.0f} KiB" if n_bytes >= 1024 else f"{n_bytes} bytes"


def _inside(name: str, content: bytes) -> Numbers:
    address = TSV + base64.b64encode(content).decode("ascii")
    return Numbers(name, address, size_text(len(content)))
