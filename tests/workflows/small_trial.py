"""A trial with coarse images, for tests of everything around the images: jobs, containers, kills.

    python tests/workflows/small_trial.py FOLDER

writes bids/, truth/ and settings.yaml of eight people into FOLDER.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Collection
from importlib.resources import files
from pathlib import Path

import nibabel as nib
import numpy as np
from nibabel.affines import from_matvec
from scipy import ndimage

from workflows.interfaces.planted import TrialDesign, write_trial

SLOW = "06"
"""Who has T1w images of 2 mm, which take longer than a minute on one core."""


def write_small_trial(
    root: Path, n_participants: int = 8, with_bold: Collection[str] = ("01",)
) -> None:
    """Write the trial of the demo with T1w images of 4 mm and BOLD for some people only.

    Parameters
    ----------
    root : Path
        Folder for bids/, truth/ and settings.yaml.
    n_participants : int
        At least 4; with fewer than 6 nobody has finer images.
    with_bold : collection of str
        Labels of those who have BOLD.
    """
    design = TrialDesign(n_participants, t1w_voxel_mm=4.0, bold_voxel_mm=6.0)
    write_trial(root, design, 2)
    for folder in (root / "bids").glob("sub-*/ses-*/func"):
        if not any(f"sub-{label}" in folder.parts for label in with_bold):
            shutil.rmtree(folder)
    for file in (root / "bids" / f"sub-{SLOW}").glob("ses-*/anat/*_T1w.nii.gz"):
        nib.save(finer(nib.load(file)), file)
    text = files("configs").joinpath("demo.yaml").read_text(encoding="utf-8")
    assert "mni_resolution_mm: 2.5" in text
    coarse = text.replace("mni_resolution_mm: 2.5", "mni_resolution_mm: 4.0")
    (root / "settings.yaml").write_text(coarse, encoding="utf-8")


def finer(image: nib.Nifti1Image) -> nib.Nifti1Image:
    """Image with half its voxel size in the same place; whole numbers."""
    values = ndimage.zoom(image.get_fdata(), 2, order=1, mode="nearest", grid_mode=True)
    affine = image.affine @ from_matvec(np.eye(3) / 2, [-0.25] * 3)
    return nib.Nifti1Image(values.round().astype(np.int16), affine)


if __name__ == "__main__":
    write_small_trial(Path(sys.argv[1]))
