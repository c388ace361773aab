"""Design of a task run: nuisance columns, contrast vectors, and what makes them unusable."""

from __future__ import annotations

from fnmatch import fnmatchcase

import numpy as np
import pandas as pd

from workflows.compute.confounds import one_hot

MIN_DEGREES_OF_FREEDOM = 10
HIGH_INFLATION = 5.0
ESTIMABLE = 1e-6
DEPENDENT = 1e-8


def percent_signal(series, kept):
    """Series (n_volumes, n_series) in percent of its mean over the kept volumes, mean 0 there.

    Parameters
    ----------
    series : (n_volumes, n_series) array
        Any unit. NaN where the mean is not above 0, as percent of nothing means nothing.
    kept : (n_volumes,) bool array
        Volumes that are not censored.
    """
    if not np.any(kept):
        raise ValueError("kept: no volume is kept")
    mean = np.asarray(series)[kept].mean(axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(mean > 0, 100.0 * (series / mean - 1.0), np.nan)


def named_by(patterns, names):
    """Those of the names that a list of names and wildcards (* and ?) has, in their own order."""
    return [name for name in names if any(name == p or fnmatchcase(name, p) for p in patterns)]


def matching_names(patterns, names):
    """Names that a list of names and wildcards stands for, each once, in the order of the list.

    Raises
    ------
    ValueError
        One of the patterns stands for none.
    """
    found = []
    for pattern in patterns:
        own = named_by([pattern], names)
        if not own:
            raise ValueError(f"there is no '{pattern}'; there are {', '.join(names)}")
        found += own
    return list(dict.fromkeys(found))


def nuisance_columns(confounds, names, kept):
    """Confounds (centred, length 1) and one column for each volume that is not kept.

    A missing first difference counts as no change; a column without variance is left out.

    Parameters
    ----------
    confounds : DataFrame
        A row per volume.
    names : list of str
        Its columns that are used.
    kept : (n_volumes,) bool array
        Volumes that are not censored.

    Raises
    ------
    ValueError
        A confound has no value after the first volume.
    """
    table = confounds[list(names)].astype(float)
    holed = table.columns[table.iloc[1:].isna().any()]
    if len(holed):
        raise ValueError(f"confounds: {holed[0]} has volumes without a value; choose others")
    table = table.fillna(0.0)
    centred = table - table.mean()
    length = np.sqrt((centred**2).sum())
    varies = length > DEPENDENT * np.sqrt((table**2).sum())
    scaled = centred.loc[:, varies] / length[varies]
    spikes = one_hot(~np.asarray(kept), "censored").astype(float)
    return pd.concat([scaled.reset_index(drop=True), spikes], axis=1)


def contrast_vectors(columns, contrasts):
    """Weights (n_contrasts, n_columns) of the columns of a design; 0 where one has no column.

    Parameters
    ----------
    columns : list of str
        Columns of the design.
    contrasts : list of dict of str to float
        Weights of conditions. A condition without a column had no events; `contrast_problem`
        tells.
    """
    places = {name: place for place, name in enumerate(columns)}
    vectors = np.zeros((len(contrasts), len(columns)))
    for vector, weights in zip(vectors, contrasts, strict=True):
        for name, weight in weights.items():
            if name in places:
                vector[places[name]] = weight
    return vectors


def contrast_problem(weights, n_events, design):
    """Empty text, or why a contrast says nothing in a run.

    Parameters
    ----------
    weights : dict of str to float
        Weights of conditions.
    n_events : dict of str to int
        Events of each condition in the run.
    design : DataFrame, (n_volumes, n_columns)
        Conditions among its columns.
    """
    empty = [name for name in weights if not n_events.get(name)]
    if empty:
        return f"no event of {' and '.join(empty)} in this run (there are: {', '.join(n_events)})"
    vector = contrast_vectors(list(design.columns), [weights])[0]
    left = degrees_of_freedom(design.to_numpy())
    if left < MIN_DEGREES_OF_FREEDOM:
        return f"{left} degrees of freedom are left, {MIN_DEGREES_OF_FREEDOM} needed"
    if not is_estimable(vector, design.to_numpy()):
        return "it cannot be told apart from other columns of the design"
    return ""


def is_estimable(vector, design):
    """Whether a contrast is a combination of the rows of a design, so that it has one value.

    Parameters
    ----------
    vector : (n_columns,) array
    design : (n_volumes, n_columns) array
    """
    length = np.linalg.norm(design, axis=0)
    scaled = design / np.where(length > 0, length, 1.0)
    weights = vector / np.where(length > 0, length, np.inf)
    _, sizes, directions = np.linalg.svd(scaled, full_matrices=False)
    directions = directions[sizes > sizes[0] * DEPENDENT]
    outside = weights - directions.T @ (directions @ weights)
    lost = np.any((length == 0) & (vector != 0))
    return bool(not lost and np.linalg.norm(outside) <= ESTIMABLE * np.linalg.norm(weights))


def degrees_of_freedom(design):
    """Volumes minus the rank of a design (n_volumes, n_columns)."""
    length = np.linalg.norm(design, axis=0)
    sizes = np.linalg.svd(design[:, length > 0] / length[length > 0], compute_uv=False)
    return len(design) - int((sizes > sizes[0] * DEPENDENT).sum())


def variance_inflation(design, columns):
    """How much larger the variance of each task column's estimate is than if it stood alone.

    1 / (1 - R^2) of the column on all others (Marquardt 1970); infinite where they make it up.

    Parameters
    ----------
    design : DataFrame, (n_volumes, n_columns)
        With a constant.
    columns : list of str
        Columns to judge.
    """
    answer = {}
    for name in columns:
        own = design[name].to_numpy(dtype=float)
        others = design.drop(columns=name).to_numpy(dtype=float)
        length = np.linalg.norm(others, axis=0)
        scaled = others[:, length > 0] / length[length > 0]
        left = own - scaled @ np.linalg.lstsq(scaled, own, rcond=DEPENDENT)[0]
        spread, rest = ((own - own.mean()) ** 2).sum(), (left**2).sum()
        answer[name] = float(spread / rest) if rest > DEPENDENT * spread else float("inf")
    return answer


def condition_number(design, columns):
    """Largest over smallest singular value of the task columns, each centred and of length 1.

    Parameters
    ----------
    design : DataFrame, (n_volumes, n_columns)
    columns : list of str
        Task columns; 1.0 for a single one. Infinite if they depend on each other.
    """
    table = design[list(columns)].to_numpy(dtype=float)
    table = table - table.mean(axis=0)
    length = np.linalg.norm(table, axis=0)
    sizes = np.linalg.svd(table / np.where(length > 0, length, 1.0), compute_uv=False)
    return float(sizes[0] / sizes[-1]) if sizes[-1] > DEPENDENT * sizes[0] else float("inf")


def collinearity_notes(inflation, number):
    """Sentences on task columns that are hard to tell apart.

    Parameters
    ----------
    inflation : dict of str to float
        From `variance_inflation`.
    number : float
        From `condition_number`.
    """
    return [
        f"{name}: the variance of its estimate is {size:.1f} times as large as if the column stood "
        f"alone (condition number of the task columns {number:.1f})"
        for name, size in inflation.items()
        if size > HIGH_INFLATION
    ]
