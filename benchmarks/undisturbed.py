"""Comparison of a derivative dataset with the same one from an undisturbed run.

Tables, JSON, pictures and matrices must have the same bytes, images the same header and voxels.
May differ: the log folder (times of files in the records), pages of HTML while a run goes on, and
the ledger of the dataset, which the group level writes anew.
"""

from __future__ import annotations

import json
import zlib
from pathlib import Path

import nibabel as nib
import numpy as np

from bids_utils.derivatives import TEMPORARY

NOT_RESULTS = ("logs", "work")
AT_THE_END = (".html", "ledger.tsv", "ledger.json")


def result_files(folder: Path) -> set[str]:
    """Files of a derivative dataset that must be the same in each run, by their path in it."""
    found = set()
    for path in folder.rglob("*"):
        place = path.relative_to(folder)
        is_result = place.parts[0] not in NOT_RESULTS and not path.name.startswith(TEMPORARY)
        if is_result and path.is_file():
            found.add(place.as_posix())
    return found


def wrong_files(folder: Path, reference: Path, is_finished: bool) -> list[str]:
    """Files that are not in the reference, or are other than there.

    While a run goes on, what is written anew later may differ, but must be readable.
    """
    known = result_files(reference)
    wrong = []
    for name in sorted(result_files(folder)):
        is_late = name.endswith(AT_THE_END) and not is_finished
        if name not in known or not (is_late or is_same(folder / name, reference / name)):
            wrong.append(name)
    return wrong


def is_same(file: Path, reference: Path) -> bool:
    """Whether a file has the content of another one; an image that cannot be read has not."""
    if file.read_bytes() == reference.read_bytes():
        return True
    if not file.name.endswith(".nii.gz"):
        return False
    try:
        one, other = nib.load(file), nib.load(reference)
        same = one.header.binaryblock == other.header.binaryblock
        return same and np.array_equal(np.asanyarray(one.dataobj), np.asanyarray(other.dataobj))
    except (OSError, EOFError, ValueError, zlib.error, nib.filebasedimages.ImageFileError):
        return False


def statuses(folder: Path) -> dict[str, str]:
    """What the record of each participant says; `unreadable` for a record that is cut."""
    found = {}
    for record in sorted(folder.glob("logs/sub-*/status.json")):
        try:
            found[record.parent.name] = json.loads(record.read_text(encoding="utf-8"))["status"]
        except ValueError:
            found[record.parent.name] = "unreadable"
    return found


def lost_files(folder: Path, reference: Path, participants: list[str]) -> list[str]:
    """Files of participants that the reference has and that are missing."""
    mine = {
        name
        for name in result_files(reference)
        if name.split("/")[0] in participants and not name.endswith(AT_THE_END)
    }
    return sorted(mine - result_files(folder))
