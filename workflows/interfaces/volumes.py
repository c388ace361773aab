"""Volumes on disk: read with a useful error, written small, compared in space."""

from __future__ import annotations

import gzip
import math
import zlib
from pathlib import Path

import nibabel as nib
import numpy as np
from nibabel.filebasedimages import ImageFileError
from nibabel.spatialimages import HeaderDataError

from bids_utils.errors import DatasetError

BLOCK_BYTES = 1 << 24
MOST_VALUES = 5 * 10**9
MOST_EXTENSION_BYTES = 1 << 24
MOST_SQUEEZED = 1100
"""How many times smaller gzip can make a file; more cannot come out of it."""

HEADER_BYTES = 540
UNREADABLE = (OSError, EOFError, ValueError, zlib.error, ImageFileError, HeaderDataError)


def check_whole(path):
    """Raise DatasetError where a compressed file is cut or damaged, or holds far too much.

    Whoever reads only as many bytes as the header promises never meets the checksum at the end.
    """
    if Path(path).suffix != ".gz":
        return
    try:
        with gzip.open(path) as stream:
            start = stream.read(HEADER_BYTES)
            n_left = _promise(start)[1] + BLOCK_BYTES - len(start)
            while n_left > 0 and (block := stream.read(BLOCK_BYTES)):
                n_left -= len(block)
    except UNREADABLE as error:
        raise DatasetError(
            f"{path}: cannot be read to its end ({error}); copy the file again or leave it out"
        ) from error
    if n_left <= 0:
        raise DatasetError(
            f"{path}: holds far more than its header says; copy the file again or leave it out"
        )


def size_problem(path):
    """Why a NIfTI file cannot hold what its header promises; empty if it can, or is none.

    Nothing is allocated for it.
    """
    path = Path(path)
    is_small = path.suffix == ".gz"
    with gzip.open(path) if is_small else path.open("rb") as stream:
        shape, n_bytes = _promise(stream.read(HEADER_BYTES))
    n_values = math.prod(shape)
    if not shape:
        return ""
    if n_values > MOST_VALUES:
        shown = " x ".join(map(str, shape))
        return f"its header promises {shown} voxels, more than any image of a head has"
    if n_bytes > path.stat().st_size * (MOST_SQUEEZED if is_small else 1):
        return f"it is cut off: its header promises {n_bytes} bytes"
    return ""


def _promise(start):
    """Shape and number of bytes that the start of a NIfTI file promises; () for other files."""
    for kind in (nib.Nifti1Header, nib.Nifti2Header):
        size = kind.template_dtype.itemsize
        if len(start) >= size and size in (
            int.from_bytes(start[:4], "little"),
            int.from_bytes(start[:4], "big"),
        ):
            header = kind(start[:size], check=False)
            shape = tuple(max(int(length), 0) for length in header["dim"][1:8])
            shape = shape[: min(max(int(header["dim"][0]), 0), 7)]
            offset, code = float(header["vox_offset"]), int(header["datatype"])
            if not 0 <= offset <= MOST_EXTENSION_BYTES:
                raise HeaderDataError(f"its voxels start at byte {offset:g}")
            if code not in nib.nifti1.data_type_codes.dtype:
                raise HeaderDataError(f"the kind of its numbers, {code}, is not known")
            n_bytes = math.prod(shape) * header.get_data_dtype().itemsize
            return shape, int(offset) + n_bytes
    return (), 0


def load_volume(path):
    """Volume, float32, and its affine; DatasetError names a file that cannot be read."""
    values, affine = _values(path)
    return values.astype(np.float32), affine


def load_labels(path):
    """Labels, int32, and their affine; DatasetError names a file that cannot be read."""
    values, affine = _values(path)
    if not np.isfinite(values).all() or np.abs(values).max(initial=0) > np.iinfo(np.int32).max:
        raise DatasetError(f"{path}: its values are no labels, which are whole numbers")
    return np.rint(values).astype(np.int32), affine


def load_mask(path):
    """Boolean mask; voxels of .5 or more are in. DatasetError names a file that cannot be read."""
    return _values(path)[0] >= 0.5


def _values(path):
    """Values of an image as they are on disk, scaled, and its affine."""
    try:
        problem = size_problem(path)
        if problem:
            raise ImageFileError(problem)
        image = nib.load(path)
        if not isinstance(image, nib.spatialimages.SpatialImage):
            raise ImageFileError("it is no image of a volume")
        return np.asanyarray(image.dataobj), image.affine
    except UNREADABLE as error:
        raise DatasetError(
            f"{path}: cannot be read as an image ({error}). Copy or convert the file again."
        ) from error


def save_volume(volume, affine, path):
    """Absolute name of the written file, of the smallest kind of `disk_type`."""
    image = nib.Nifti1Image(volume.astype(disk_type(volume)), affine)
    image.set_sform(affine, 1)
    image.set_qform(affine, 1)
    image.header.set_xyzt_units("mm")
    image.to_filename(path)
    return str(Path(path).absolute())


def disk_type(volume):
    """Kind of number on disk: float32; of booleans and labels uint8, above 255 int32."""
    if volume.dtype != bool and not np.issubdtype(volume.dtype, np.integer):
        return np.float32
    low, high = volume.min(initial=0), volume.max(initial=0)
    return np.uint8 if low >= 0 and high <= np.iinfo(np.uint8).max else np.int32


def save_volumes(volumes, affine, folder):
    """Absolute name of each written file, by the names of the volumes."""
    return {
        name: save_volume(volume, affine, Path(folder) / f"{name}.nii.gz")
        for name, volume in volumes.items()
    }


def voxel_size_mm(affine):
    """Voxel size (3,), mm."""
    return nib.affines.voxel_sizes(affine)


def voxel_ml(affine):
    """Volume of a voxel, ml."""
    return float(abs(np.linalg.det(affine[:3, :3]))) / 1000


def check_same_grid(first, second):
    """Raise DatasetError when two images do not lie on the same grid."""
    one, two = nib.load(first), nib.load(second)
    if one.shape[:3] != two.shape[:3] or not np.allclose(one.affine, two.affine, atol=1e-3):
        raise DatasetError(f"{first} and {second} do not lie on the same grid")
