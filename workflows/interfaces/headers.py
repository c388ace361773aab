"""What a NIfTI header says, without reading voxels."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np

from bids_utils.plan import ImageFacts
from workflows.interfaces.volumes import UNREADABLE, size_problem

SECONDS = {"sec": 1.0, "msec": 1e-3, "usec": 1e-6}


def read_image_facts(path: Path) -> ImageFacts:
    """Shape, voxel size (mm) and repetition time (s) of an image, or why it cannot be used."""
    problem = _file_problem(path)
    if problem:
        return ImageFacts(problem=problem)
    try:
        image = nib.load(path)
    except UNREADABLE as error:
        return ImageFacts(problem=f"the header cannot be read: {error}")
    shape = tuple(int(length) for length in image.shape)
    affine = image.affine
    if len(shape) not in (3, 4) or min(shape) < 1:
        return ImageFacts(shape, problem=f"expected 3 or 4 dimensions, found shape {shape}")
    if not np.all(np.isfinite(affine)) or abs(np.linalg.det(affine[:3, :3])) < 1e-6:
        return ImageFacts(shape, problem="the affine in the header cannot be inverted")
    sizes = tuple(float(size) for size in nib.affines.voxel_sizes(affine))
    return ImageFacts(shape, sizes, _repetition_time_s(image.header, shape))


def _file_problem(path: Path) -> str:
    if not path.is_file():
        return "the file is missing (a broken link?)"
    if path.stat().st_size == 0:
        return "the file is empty"
    try:
        return size_problem(path)
    except UNREADABLE as error:
        return f"the header cannot be read: {error}"


def _repetition_time_s(header: nib.Nifti1Header, shape: tuple[int, ...]) -> float | None:
    zooms = header.get_zooms()
    if len(shape) < 4 or len(zooms) < 4 or not zooms[3] > 0:
        return None
    unit = header.get_xyzt_units()[1]
    if unit in SECONDS:
        return round(float(zooms[3]) * SECONDS[unit], 6)
    return round(float(zooms[3]) / (1000 if zooms[3] > 100 else 1), 6)
