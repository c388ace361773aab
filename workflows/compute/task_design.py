"""Design of a task run: nuisance columns, contrast vectors, and what makes them unusable."""

from __future__ import annotations

from fnmatch import fnmatchcase

import numpy as np
import pandas as pd

from workflows.compute.confounds import one_hot, settled_differences

MIN_DEGREES_OF_FREEDOM = 10
HIGH_INFLATION = 5.0
ESTIMABLE = 1e-6
DEPENDENT = 1e-8
LEAST_SHARE = 0.1
WILD = set("*?")


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

    A wildcard may stand for none, as not every run has columns of moved volumes.

    Raises
    ------
    ValueError
        A name without wildcards is not there.
    """
    found = []
    for pattern in patterns:
        own = named_by([pattern], names)
        if not own and not set(pattern) & WILD:
            raise ValueError(f"there is no '{pattern}'; there are {', '.join(names)}")
        found += own
    return list(dict.fromkeys(found))


def unmatched_notes(patterns, names):
    """Sentences on the wildcards of confounds that stand for none of the names."""
    return [
        f"no confound of this run is called '{pattern}'"
        for pattern in patterns
        if set(pattern) & WILD and not named_by([pattern], names)
    ]


def nuisance_columns(confounds, names, kept):
    """Confounds (centred, length 1) and one column for each volume that is not kept.

    A missing first difference counts as no change, and so does the one from the last volume
    before the steady state to the first one in it: it shows the settling of the signal. A column
    without variance is left out.

    Parameters
    ----------
    confounds : DataFrame
        A row per volume; columns non_steady_state_outlier* tell which ones are not steady.
    names : list of str
        Its columns that are used.
    kept : (n_volumes,) bool array
        Volumes that are not censored.

    Raises
    ------
    ValueError
        A confound has no value after the first volume.
    """
    table = settled_differences(confounds)[list(names)].astype(float)
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


def seen_shares(whole, seen):
    """Share (0 to 1) of the peak of each condition's response that the volumes of a run show.

    Parameters
    ----------
    whole : DataFrame, (n_volumes, n_conditions)
        Responses from before the run until all of them are over.
    seen : (n_volumes,) bool array
        Volumes in the run that are not censored.
    """
    size = whole.abs()
    shares = size[seen].max() / size.max() if np.any(seen) else 0.0 * size.max()
    return {name: float(share) for name, share in shares.items()}


def unseen_notes(shares):
    """Sentence on each condition of which too little is seen to estimate its response.

    Parameters
    ----------
    shares : dict of str to float
        From `seen_shares`.
    """
    return {
        name: f"{name}: {100 * share:.3g} % of its peak is in the volumes that count, "
        f"{100 * LEAST_SHARE:g} % needed (events at an end of the run or in censored volumes)"
        for name, share in shares.items()
        if share < LEAST_SHARE
    }


def impulse_notes(events, contrasts):
    """Sentences on events without duration, whose effects are another percent than that of others.

    Parameters
    ----------
    events : DataFrame
        Columns duration (s) and trial_type.
    contrasts : dict of str to dict of str to float
        Weights of conditions.
    """
    impulse = events["duration"] == 0
    short = list(dict.fromkeys(events["trial_type"][impulse]))
    lasting = list(dict.fromkeys(events["trial_type"][~impulse]))
    if not short:
        return []
    mixed = [f"{name}: has" for name in short if name in lasting]
    mixed += [
        f"{name}: compares"
        for name, weights in contrasts.items()
        if set(weights) & set(short) and set(weights) & set(lasting) - set(short)
    ]
    return [
        f"{', '.join(short)}: {impulse.sum()} events without duration are impulses; their effect "
        "is the peak of the response to one, in %",
        *(
            f"{text} events with and without duration, which are not in the same unit"
            for text in mixed
        ),
    ]


def contrast_problem(weights, n_events, design, unseen=None):
    """Empty text, or why a contrast says nothing in a run.

    Parameters
    ----------
    weights : dict of str to float
        Weights of conditions.
    n_events : dict of str to int
        Events of each condition in the run.
    design : DataFrame, (n_volumes, n_columns)
        Conditions among its columns.
    unseen : dict of str to str, optional
        From `unseen_notes`.
    """
    empty = [name for name in weights if not n_events.get(name)]
    if empty:
        return f"no event of {' and '.join(empty)} in this run (there are: {', '.join(n_events)})"
    vector = contrast_vectors(list(design.columns), [weights])[0]
    left = degrees_of_freedom(design.to_numpy())
    if left < MIN_DEGREES_OF_FREEDOM:
        return f"{left} degrees of freedom are left, {MIN_DEGREES_OF_FREEDOM} needed"
    hidden = [text for name, text in (unseen or {}).items() if name in weights]
    if hidden:
        return "; ".join(hidden)
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
