"""Volumes on disk: read with a useful error, written small, compared in space."""

from __future__ import annotations

import gzip
import zlib
from pathlib import Path

import nibabel as nib
import numpy as np
from nibabel.filebasedimages import ImageFileError
from nibabel.spatialimages import HeaderDataError

from bids_utils.errors import DatasetError

BLOCK_BYTES = 1 << 24
UNREADABLE = (OSError, EOFError, ValueError, zlib.error, ImageFileError, HeaderDataError)


def check_whole(path):
    """Raise DatasetError where a compressed file is cut or damaged.

    Whoever reads only as many bytes as the header promises never meets the checksum at the end.
    """
    if Path(path).suffix != ".gz":
        return
    try:
        with gzip.open(path) as stream:
            while stream.read(BLOCK_BYTES):
                pass
    except UNREADABLE as error:
        raise DatasetError(
            f"{path}: cannot be read to its end ({error}); copy the file again or leave it out"
        ) from error


def load_volume(path):
    """Volume, float32, and its affine; DatasetError names a file that cannot be read."""
    try:
        image = nib.load(path)
        return np.asanyarray(image.dataobj).astype(np.float32), image.affine
    except UNREADABLE as error:
        raise DatasetError(
            f"{path}: cannot be read as an image ({error}). Copy or convert the file again."
        ) from error


def load_labels(path):
    """Labels, int32, and their affine."""
    image = nib.load(path)
    return np.rint(np.asanyarray(image.dataobj)).astype(np.int32), image.affine


def load_mask(path):
    """Boolean mask; voxels of .5 or more are in."""
    return np.asanyarray(nib.load(path).dataobj) >= 0.5


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
