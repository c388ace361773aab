"""Components of physiological noise (CompCor): what voxels without neural signal have in common.

Names, order and choice of the components are those of fMRIPrep: c_comp_cor_XX of fluid,
w_comp_cor_XX of white matter, a_comp_cor_XX of both together, t_comp_cor_XX of the most variable
voxels of the brain.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from workflows.compute.confounds import BLOCK_VOXELS

HALF = 0.5
MOST_VARIABLE_PCT = 2
MASK_NAMES = {"c": "CSF", "w": "WM", "a": "combined"}
PREFIX_OF_MASK = {mask: f"{letter}_comp_cor_" for letter, mask in MASK_NAMES.items()}
SOURCES = {
    "c": "the core of the cerebrospinal fluid",
    "w": "the core of the white matter",
    "a": "the cores of cerebrospinal fluid and white matter",
    "t": "the 2 % of the voxels of the brain that vary most",
}


@dataclass(frozen=True)
class Components:
    """Principal components in time (n_volumes, n_components), the largest first.

    `singular_values` and `shares` (n_components,): size and explained part of the variance.
    """

    series: np.ndarray
    singular_values: np.ndarray
    shares: np.ndarray


def course_products(voxels, cosines, n_dummy=0):
    """Products (n_settled, n_settled) of the volumes, summed over voxels that count alike.

    Each voxel is freed of its mean and of slow cosines and scaled to variance one before (Behzadi
    et al. 2007). Products of two masks without a common voxel add up to those of both.

    Parameters
    ----------
    voxels : (n_voxels, n_volumes) array
        Voxels with NaN and voxels that do not vary are left out.
    cosines : (n_volumes, n_cosines) array
        Slow cosines: orthonormal, without a constant, zero in the dummy volumes.
    n_dummy : int
        Volumes at the start that are left out.
    """
    slow = cosines[n_dummy:]
    products = np.zeros((len(slow), len(slow)))
    for start in range(0, len(voxels), BLOCK_VOXELS):
        block = np.asarray(voxels[start : start + BLOCK_VOXELS, n_dummy:], dtype=float)
        block = block[np.isfinite(block).all(axis=1)]
        size = np.abs(block).max(axis=1, initial=0)
        block = block - block.mean(axis=1, keepdims=True)
        block -= block @ slow @ slow.T
        spread = block.std(axis=1)
        alive = spread > 1e-6 * size
        block = block[alive] / spread[alive, None]
        products += block.T @ block
    return products


def noise_components(products, n_dummy=0):
    """Components that together carry half of the variance (Muschelli et al. 2014).

    Parameters
    ----------
    products : (n_settled, n_settled) array
        From `course_products`.
    n_dummy : int
        Volumes at the start that are not among the products; the components are zero there.

    Returns
    -------
    Components
        The value of a component that is farthest from zero is positive. Without a voxel, or
        with fewer than three volumes, there are no components.
    """
    n_settled = len(products)
    if n_settled < 3 or not products.any():
        return Components(np.empty((n_dummy + n_settled, 0)), np.empty(0), np.empty(0))
    variances, directions = np.linalg.eigh(products)
    variances, directions = np.maximum(variances[::-1], 0), directions[:, ::-1]
    shares = variances / variances.sum()
    n_components = int(np.searchsorted(np.cumsum(shares), HALF)) + 1
    series = np.zeros((n_dummy + n_settled, n_components))
    series[n_dummy:] = directions[:, :n_components]
    series *= np.sign(series[np.abs(series).argmax(axis=0), np.arange(n_components)])
    return Components(series, np.sqrt(variances[:n_components]), shares[:n_components])


def most_variable(voxels, n_dummy=0):
    """Voxels (n_voxels,) bool: the 2 % that vary most about a quadratic trend.

    Parameters
    ----------
    voxels : (n_voxels, n_volumes) array
    n_dummy : int
        Volumes at the start that are left out.
    """
    settled = voxels[:, n_dummy:]
    trend, _ = np.linalg.qr(np.vander(np.linspace(-1, 1, settled.shape[1]), 3))
    spread = np.empty(len(settled))
    for start in range(0, len(settled), BLOCK_VOXELS):
        block = np.asarray(settled[start : start + BLOCK_VOXELS], dtype=float)
        spread[start : start + BLOCK_VOXELS] = (block - block @ trend @ trend.T).std(axis=1)
    return spread >= np.percentile(spread, 100 - MOST_VARIABLE_PCT)


def compcor(fluid, white, brain, cosines, n_dummy=0):
    """Components of fluid, white matter, both, and the most variable voxels; and their facts.

    Parameters
    ----------
    fluid, white, brain : (n_voxels, n_volumes) arrays
        Voxels of the two noise masks and of the brain mask.
    cosines, n_dummy
        See `course_products`.

    Returns
    -------
    table : DataFrame
        A row per volume, a column per component.
    facts : dict of column -> BIDS fields
        With fMRIPrep's keys Method, Mask, SingularValue, VarianceExplained,
        CumulativeVarianceExplained and Retained.
    """
    variable = brain[most_variable(brain, n_dummy)]
    sources = {"c": fluid, "w": white, "t": variable}
    products = {name: course_products(part, cosines, n_dummy) for name, part in sources.items()}
    products["a"] = products["c"] + products["w"]
    columns, facts = {}, {}
    for letter in SOURCES:
        found = noise_components(products[letter], n_dummy)
        names = [f"{letter}_comp_cor_{k:02d}" for k in range(len(found.shares))]
        columns |= dict(zip(names, found.series.T, strict=True))
        facts |= dict(zip(names, _facts(letter, found), strict=True))
    return pd.DataFrame(columns, index=range(len(cosines))), facts


def _facts(letter, found):
    together = np.cumsum(found.shares)
    described = {
        "Description": f"Principal component of {SOURCES[letter]}, after slow changes were "
        "removed; zero in dummy volumes",
        "Units": "1",
        "Method": "tCompCor" if letter == "t" else "aCompCor",
    }
    if letter in MASK_NAMES:
        described["Mask"] = MASK_NAMES[letter]
    return [
        described
        | {
            "SingularValue": float(found.singular_values[k]),
            "VarianceExplained": float(share),
            "CumulativeVarianceExplained": float(together[k]),
            "Retained": True,
        }
        for k, share in enumerate(found.shares)
    ]


def current_component_names(columns, facts):
    """Names by which columns of a table of fMRIPrep are known since its version 21: {old: new}.

    Before, all anatomical components were called a_comp_cor_XX, and the dictionary alone told the
    masks apart. Components beyond half of the variance (fMRIPrep keeps them if it is told to) are
    not among the answer.

    Parameters
    ----------
    columns : sequence of str
        Columns of the table.
    facts : dict of column -> fields
        fMRIPrep's JSON; Method, Mask, VarianceExplained and CumulativeVarianceExplained are read.
        Columns that it does not know keep their name.
    """
    names, counts = {}, dict.fromkeys(PREFIX_OF_MASK, 0)
    for column in columns:
        fact = facts.get(column, {})
        if fact.get("Method") not in ("aCompCor", "tCompCor"):
            names[column] = column
            continue
        before = fact.get("CumulativeVarianceExplained", 0) - fact.get("VarianceExplained", 0)
        if before >= HALF:
            continue
        mask = fact.get("Mask")
        names[column] = f"{PREFIX_OF_MASK[mask]}{counts[mask]:02d}" if mask in counts else column
        counts |= {mask: counts[mask] + 1} if mask in counts else {}
    return names
