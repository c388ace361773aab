"""What changed where between two sessions: voxel by voxel, and region by region."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from workflows.compute.intensity import FWHM_PER_SIGMA


def volume_change_map(baseline, followup, brain, width_voxels):
    """Change of volume around each voxel (%), follow-up against baseline.

    100 x (volume around the voxel at follow-up / at baseline - 1). Around means with weights of
    a Gaussian, inside the brain only: of single voxels the noise is larger than the change.

    Parameters
    ----------
    baseline, followup : (nx, ny, nz) array
        Jacobians: volume in the session of each unit of volume of the template, > 0. Voxels
        that are not finite or not positive in one of them count in neither.
    brain : (nx, ny, nz) array of bool
        Where to look.
    width_voxels : float or (3,) array
        Full width at half maximum of the Gaussian, in voxels along each axis; 0 is none.

    Returns
    -------
    (nx, ny, nz) array
        Percent; NaN outside the brain and where one of the sessions has no volume.
    """
    if not baseline.shape == followup.shape == brain.shape:
        raise ValueError(
            f"followup, brain: shapes {followup.shape}, {brain.shape} are not {baseline.shape}"
        )
    if np.min(width_voxels) < 0:
        raise ValueError(f"width_voxels: must be 0 or more, found {width_voxels}")
    known = brain & np.isfinite(baseline) & np.isfinite(followup)
    known = known & (np.where(known, baseline, 0) > 0) & (np.where(known, followup, 0) > 0)
    sigma = np.asarray(width_voxels, dtype=float) / FWHM_PER_SIGMA
    before, after = (
        ndimage.gaussian_filter(np.where(known, volume, 0.0), sigma)
        for volume in (baseline, followup)
    )
    change = np.full(baseline.shape, np.nan)
    change[known] = 100 * (after[known] / before[known] - 1)
    return change


def change_by_index(baseline, followup, column):
    """Follow-up minus baseline of a column of two tables of regions, by the index of the region.

    Parameters
    ----------
    baseline, followup : DataFrame
        Columns `index` (label in the atlas, once in each table) and `column`. Rows may be in
        any order.
    column : str
        What to subtract.

    Returns
    -------
    Series
        In the unit and by the `index` of `baseline`, in its order; NaN where one of the two is
        missing. No region is left out.
    """
    first, later = (table.set_index("index")[column] for table in (baseline, followup))
    if not first.index.is_unique or set(first.index) != set(later.index):
        raise ValueError("followup: its regions are not those of the baseline")
    return later.reindex(first.index).astype(float) - first.astype(float)
