"""Matrices in the HDF5 files of giga_connectome, if h5py is installed."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import numpy as np

from bids_utils.errors import DatasetError

ENDING = "_connectome"


@dataclass(frozen=True)
class H5Entry:
    """A matrix in an HDF5 file; its regions have no names there, so they are counted from 1."""

    file: Path
    dataset: str
    n_regions: int

    @property
    def stem(self) -> str:
        """Name that says which scan it is."""
        return self.dataset.rpartition("/")[2].removesuffix(ENDING) + "_relmat"

    @property
    def regions(self) -> tuple[str, ...]:
        """Numbers of the regions."""
        return tuple(str(number) for number in range(1, self.n_regions + 1))

    def values(self) -> np.ndarray:
        """Correlations, n_regions x n_regions."""
        with _h5py(self.file).File(self.file, "r") as content:
            return np.array(content[self.dataset], dtype=float)


def h5_entries(file: Path) -> list[H5Entry]:
    """Matrices of single scans in a file; those of the whole group are left out.

    Raises
    ------
    DatasetError
        h5py is not installed, or the file is damaged.
    """
    h5py, found = _h5py(file), []

    def visit(name: str, item: object) -> None:
        if isinstance(item, h5py.Dataset) and name.endswith(ENDING) and name.startswith("sub-"):
            found.append(H5Entry(file, name, item.shape[0]))

    try:
        with h5py.File(file, "r") as content:
            content.visititems(visit)
    except OSError as error:
        raise DatasetError(
            f"{file}: not an HDF5 file or cut off ({error}); copy it again"
        ) from error
    return found


def _h5py(file: Path) -> ModuleType:
    try:
        return importlib.import_module("h5py")
    except ImportError as error:
        raise DatasetError(
            f"{file}: HDF5 files need the package h5py, which is not installed; install it (pip "
            "install h5py), or use a version of giga_connectome that writes *_relmat.tsv"
        ) from error
