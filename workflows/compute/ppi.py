"""Generalised psychophysiological interaction: how the coupling with a seed goes with a task.

Every condition has an interaction of its own (generalised PPI, McLaren et al. 2012). The
interaction is the product of the seed's series and the condition's response, without going back
to neural activity by deconvolution (O'Reilly et al. 2012): for blocks both say the same, for
short events the deconvolved form would be more sensitive.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from workflows.compute.task_design import DEPENDENT

INTERACTION = "interaction_"
SEED = "seed"


def cleaned_seed(series, nuisance):
    """Seed (n_volumes,) without drift, confounds and censored volumes; the task stays in it.

    What is left of a head movement in the seed would go into the product and from there into
    the interaction, where no other column of the design accounts for it.

    Parameters
    ----------
    series : (n_volumes,) array
        Percent of its mean.
    nuisance : (n_volumes, n_columns) array
        Constant, drift, confounds, one column per censored volume.
    """
    length = np.linalg.norm(nuisance, axis=0)
    scaled = nuisance[:, length > 0] / length[length > 0]
    return series - scaled @ np.linalg.lstsq(scaled, series, rcond=DEPENDENT)[0]


def interaction_design(design, seed, conditions):
    """Design with the seed and its product with each condition, named by `interaction_name`.

    Conditions are centred before; the estimates of the interactions do not depend on it, as seed
    and conditions are in the design too.

    Parameters
    ----------
    design : DataFrame, (n_volumes, n_columns)
    seed : (n_volumes,) array
        From `cleaned_seed`.
    conditions : list of str
        Columns of all conditions; leaving one out would give its coupling to the baseline.
    """
    if len(seed) != len(design):
        raise ValueError("seed: another number of volumes than design")
    added = {SEED: np.asarray(seed, float)}
    for name in conditions:
        response = design[name].to_numpy(dtype=float)
        added[interaction_name(name)] = (response - response.mean()) * seed
    own = pd.DataFrame(added, index=design.index)
    return pd.concat([own, design], axis=1)


def interaction_name(condition):
    """Name of the column that is the product of the seed and a condition."""
    return f"{INTERACTION}{condition}"
