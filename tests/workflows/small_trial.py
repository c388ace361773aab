"""A trial with coarse images, for tests of everything around the images: jobs, containers, kills.

    python tests/workflows/small_trial.py FOLDER PEOPLE

writes bids/, truth/ and settings.yaml into FOLDER; the first of the people has BOLD.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Collection
from importlib.resources import files
from pathlib import Path

from workflows.interfaces.planted import TrialDesign, write_trial


def write_small_trial(
    root: Path, n_participants: int, with_bold: Collection[str] = ("01",)
) -> None:
    """Write the trial of the demo with T1w images of 4 mm and BOLD for some people only.

    Parameters
    ----------
    root : Path
        Folder for bids/, truth/ and settings.yaml.
    n_participants : int
        At least 4.
    with_bold : collection of str
        Labels of those who have BOLD.
    """
    design = TrialDesign(n_participants, t1w_voxel_mm=4.0, bold_voxel_mm=6.0)
    write_trial(root, design, 2)
    for folder in (root / "bids").glob("sub-*/ses-*/func"):
        if not any(f"sub-{label}" in folder.parts for label in with_bold):
            shutil.rmtree(folder)
    text = files("configs").joinpath("demo.yaml").read_text(encoding="utf-8")
    assert "  mni_resolution_mm: 2.5\n" in text
    coarse = text.replace(
        "  mni_resolution_mm: 2.5\n", "  mni_resolution_mm: 4.0\n  n4_resolution_mm: 8.0\n"
    )
    (root / "settings.yaml").write_text(coarse, encoding="utf-8")


def files_below(folder: Path) -> set[str]:
    """Files of a folder by their path in it."""
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


if __name__ == "__main__":
    write_small_trial(Path(sys.argv[1]), int(sys.argv[2]))
