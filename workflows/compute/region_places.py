"""Where regions are, and values of pairs of regions as a matrix."""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy import ndimage


def region_centres(labels, affine, indices):
    """Centre of mass of each region in mm (n_regions, 3); NaN for a region without voxels.

    Parameters
    ----------
    labels : (nx, ny, nz) array of int
    affine : (4, 4) array
        Voxel to mm.
    indices : sequence of int
        Labels, in the wanted order.
    """
    present = np.isin(indices, labels)
    centres = np.full((len(indices), 3), np.nan)
    if present.any():
        wanted = np.asarray(indices)[present]
        voxels = np.array(ndimage.center_of_mass(np.ones_like(labels), labels, wanted))
        centres[present] = voxels @ affine[:3, :3].T + affine[:3, 3]
    return centres


def edge_matrix(edges: pd.DataFrame, regions: list[str], column: str):
    """Symmetric matrix (n_regions, n_regions) of a column of an edge table; NaN where none.

    Parameters
    ----------
    edges : DataFrame
        region_a, region_b and the column.
    regions : list of str
        Order of rows and columns; edges with other regions are left out.
    column : str
        Column with the values.
    """
    place = {region: number for number, region in enumerate(regions)}
    known = edges[edges["region_a"].isin(place) & edges["region_b"].isin(place)]
    first = known["region_a"].map(place).to_numpy(dtype=int)
    second = known["region_b"].map(place).to_numpy(dtype=int)
    matrix = np.full((len(regions), len(regions)), np.nan)
    matrix[first, second] = matrix[second, first] = known[column].to_numpy(dtype=float)
    return matrix


def edge_regions(edges: pd.DataFrame) -> list[str]:
    """Regions of an edge table in the order in which they first appear."""
    pairs = edges[["region_a", "region_b"]].to_numpy(dtype=object)
    firsts = dict.fromkeys(pairs[:, 0])
    return list(firsts | dict.fromkeys(pairs[:, 1]))


def largest_edges(matrix, n_edges):
    """The edges furthest from 0, at most `n_edges`: (row, column, value), the furthest first.

    Parameters
    ----------
    matrix : (n_regions, n_regions) array
        Symmetric; NaN where there is no edge, the diagonal does not count.
    n_edges : int
    """
    first, second = np.triu_indices(len(matrix), k=1)
    values = matrix[first, second]
    known = np.flatnonzero(np.isfinite(values))
    order = known[np.argsort(-np.abs(values[known]), kind="stable")][:n_edges]
    return [(int(first[e]), int(second[e]), float(values[e])) for e in order]
