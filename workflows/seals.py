"""Seals: only what a step left whole in its folder is used again by a later run.

Nipype takes a step for done if a file with the hash of its inputs is there, whatever became of
its results. A seal holds where the folder of a step is, and size and digest of all its files.
Before a run, the folders without a seal that fits are removed, so that these steps run again.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TypedDict

from nipype.interfaces.base.support import InterfaceResult
from nipype.pipeline.engine import Node
from nipype.pipeline.plugins.multiproc import run_node

from bids_utils.derivatives import content_digest, write_json
from bids_utils.errors import DatasetError
from bids_utils.sidecars import read_json

SEAL = "seal.json"
NEEDLESS = ("_node.pklz", "_inputs.pklz")
"""What Nipype keeps of each step for its own looking back, a third of all its files."""
PARTS = "mapflow"
"""Folder in which Nipype keeps the parts of a MapNode, each with a folder of its own."""


class NodeResult(TypedDict):
    """What a worker sends back for one node."""

    result: InterfaceResult | None
    traceback: list[str] | None
    taskid: int


def run_sealed(node: Node, updatehash: bool, taskid: int) -> NodeResult:
    """Run a node in a worker, as Nipype does, and seal its folder if it succeeded."""
    answer: NodeResult = run_node(node, updatehash, taskid)
    if answer["traceback"] is None:
        seal(Path(node.output_dir()))
    return answer


def seal(folder: Path) -> None:
    """Write down what a step left in its folder, after what nobody reads again is removed.

    Raises
    ------
    DatasetError
        The folder cannot be written.
    """
    for name in NEEDLESS:
        for file in folder.rglob(name):
            file.unlink(missing_ok=True)
    write_json({"folder": str(folder), "files": _contents(folder)}, folder / SEAL)


def is_whole(folder: Path) -> bool:
    """Whether the folder of a step is where it was and has in it what it had when sealed."""
    try:
        noted = read_json(folder / SEAL)
        found = {"folder": str(folder), "files": _contents(folder)}
    except (DatasetError, OSError):
        return False
    return noted == found and all(is_whole(part) for part in _sealed_parts(folder))


def remove_unsealed(folder: Path) -> list[Path]:
    """Remove the folders of steps that are not whole, below a folder of a workflow.

    Parts of a MapNode that are whole stay.

    Returns
    -------
    list of Path
        The folders that were removed.

    Raises
    ------
    DatasetError
        A folder cannot be removed.
    """
    if folder.is_symlink() or not folder.is_dir():
        return []
    entries = list(folder.iterdir())
    if all(_is_folder(entry) for entry in entries):
        return [path for entry in entries for path in remove_unsealed(entry)]
    if is_whole(folder):
        return []
    try:
        for entry in entries:
            _remove(entry)
        if not any(folder.iterdir()):
            folder.rmdir()
    except OSError as error:
        raise DatasetError(
            f"{folder}: cannot be removed ({error.strerror}); delete the work folder and try again"
        ) from error
    return [folder]


def _contents(folder: Path) -> dict[str, list[object]]:
    """Size and digest of all files; of parts that have their own seal, only of the seal."""
    files: dict[str, list[object]] = {}
    for root, folders, names in os.walk(folder):
        place = Path(root)
        if place != folder and SEAL in names:
            folders.clear()
            names = [SEAL]
        kept = (name for name in names if name not in NEEDLESS)
        for path in (place / name for name in kept if place != folder or name != SEAL):
            size = path.stat().st_size
            files[path.relative_to(folder).as_posix()] = [size, content_digest(path)]
    return files


def _sealed_parts(folder: Path) -> Iterator[Path]:
    """Nearest folders below that have their own seal."""
    for root, folders, names in os.walk(folder):
        if Path(root) != folder and SEAL in names:
            folders.clear()
            yield Path(root)


def _is_folder(path: Path) -> bool:
    return path.is_dir() and not path.is_symlink()


def _remove(path: Path) -> None:
    """Remove what a step left, but for the parts of a MapNode that are whole."""
    if not _is_folder(path):
        path.unlink()
    elif path.name == PARTS:
        remove_unsealed(path)
    else:
        shutil.rmtree(path)
