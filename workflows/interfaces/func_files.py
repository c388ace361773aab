"""Reading and writing the images and tables of the BOLD nodes."""

from __future__ import annotations

from pathlib import Path

import nibabel as nb
import numpy as np

from bids_utils.errors import DatasetError, ToolError
from workflows.interfaces.volumes import UNREADABLE, check_whole


def read_checked_series(path):
    """The same as `read_series`, after the checksum of a compressed file was compared."""
    check_whole(path)
    return read_series(path)


def read_series(path):
    """Image and its float32 values.

    Raises
    ------
    DatasetError
        The file is not an image, or it ends too early.
    """
    try:
        image = nb.load(path)
        return image, np.asarray(image.dataobj, dtype=np.float32)
    except UNREADABLE as error:
        raise _unreadable(path, error) from error


def _unreadable(path, error):
    return DatasetError(
        f"{path}: cannot be read to its end ({error}); copy the file again or leave it out"
    )


def read_array(path, dtype=None):
    """Image and its values; an uncompressed file without scaling stays on disk."""
    image = nb.load(path)
    values = np.asanyarray(image.dataobj)
    return image, values if dtype is None else values.astype(dtype)


def write_array(values, like, path):
    """Path (str) of a new image on the grid of the image `like`, with its codes and units."""
    path = Path(path).resolve()
    header = like.header.copy()
    header.set_data_dtype(values.dtype)
    header.set_slope_inter(1, 0)
    nb.Nifti1Image(values, like.affine, header).to_filename(path)
    return str(path)


def same_grid(one, other):
    """Check that two images have one grid.

    Raises
    ------
    ToolError
        Shapes or affines differ.
    """
    shapes = one.shape[:3], other.shape[:3]
    if shapes[0] != shapes[1] or not np.allclose(one.affine, other.affine, atol=1e-3):
        names = [Path(image.get_filename() or "image").name for image in (one, other)]
        raise ToolError(f"{names[0]} and {names[1]} do not share one grid: {shapes}")
