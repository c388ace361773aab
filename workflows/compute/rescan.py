"""Error of one person's change, from the images or from repeated scans, and reliable change."""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy import stats

from workflows.compute.clinical_significance import LIMIT, UNCHANGED
from workflows.compute.families import is_quality

PLACE = ["measure", "atlas", "region"]
RESCAN_COLUMNS = [*PLACE, "standard_deviation", "n"]
CHANGE_ERROR = ("reliable_change", "standard_error", "error_from")
INCREASED, DECREASED = "increased", "decreased"
IMAGES, REPEATED = "images", "repeated scans"
LEVEL = 0.05


def rescan_table(changes: pd.DataFrame) -> pd.DataFrame:
    """How much two scans of a person differ without change, RESCAN_COLUMNS.

    `standard_deviation` is the root mean square of the symmetrised percent change over `n`
    people, about 0 and not about the mean: a shift that all second scans share is an error too.
    A region without value, or one that never differs because it is made once for all
    sessions, has NaN.

    Parameters
    ----------
    changes : pd.DataFrame
        Change of people who were scanned again before anything could change: participant_id,
        measure, atlas, region, percent_change. Several pairs of a person count as one
        person. Measures without percentages and those of the quality of images are left out.
    """
    known = {name: is_quality(str(name)) for name in changes["measure"].unique()}
    own = changes[~changes["measure"].map(known).astype(bool)]
    own = own.assign(atlas=own["atlas"].fillna(""), square=own["percent_change"].pow(2))
    measured = own.groupby("measure", sort=False)["square"].transform("count") > 0
    people = own[measured].groupby([*PLACE, "participant_id"], sort=False)["square"].mean()
    places = people.groupby(level=PLACE, sort=False)
    deviation, n = np.sqrt(places.mean()), places.count()
    table = pd.DataFrame({"standard_deviation": deviation.where(deviation > 0), "n": n})
    return table.reset_index()[RESCAN_COLUMNS]


def judged_changes(table: pd.DataFrame, rescan: pd.DataFrame | None) -> dict[str, np.ndarray]:
    """Standard error of each person's change, where it comes from, and whether it is reliable.

    The images give sqrt(baseline_error^2 + followup_error^2). Repeated scans give
    their standard deviation times the mean of the two values; they hold the noise of the
    images too, so the two are not added: the larger one is used, which is that of the images
    only where these are noisier than the repeated ones were.

    Parameters
    ----------
    table : pd.DataFrame
        PLACE, change, percent_change, baseline_value, followup_value, baseline_error,
        followup_error; percent_change is NaN for units that are no ratio scale, which have no
        error from repeated scans.
    rescan : pd.DataFrame or None
        RESCAN_COLUMNS; with NaN `n` the deviation counts as exact. Without the column `atlas`
        its regions are those of any atlas.

    Returns
    -------
    dict of np.ndarray, shape (n_rows,)
        CHANGE_ERROR: reliable_change is "increased", "unchanged" or "decreased", missing without
        change or error: beyond 1.96 standard errors, or, with the standard deviation of n
        people, the quantile of t with n degrees of freedom (Jacobson & Truax 1991).
    """
    images = np.hypot(table["baseline_error"], table["followup_error"]).to_numpy(dtype=float)
    repeated, n = repeated_errors(table, rescan)
    is_repeated = np.isfinite(repeated) & ~(images > repeated)
    change = table["change"].to_numpy(dtype=float)
    error = np.where(is_repeated, repeated, images)
    error = np.where(np.isfinite(change), error, np.nan)
    limit = error * np.where(is_repeated & np.isfinite(n), stats.t.ppf(1 - LEVEL / 2, n), LIMIT)
    known = np.isfinite(limit)
    words = np.select([change > limit, change < -limit], [INCREASED, DECREASED], UNCHANGED)
    source = np.where(is_repeated, REPEATED, IMAGES)
    return {
        "reliable_change": np.where(known, words.astype(object), None),
        "standard_error": error,
        "error_from": np.where(known, source.astype(object), None),
    }


def repeated_errors(
    table: pd.DataFrame, rescan: pd.DataFrame | None
) -> tuple[np.ndarray, np.ndarray]:
    """Standard error of each change from repeated scans, in its unit, and their n; else NaN.

    Parameters
    ----------
    table, rescan : pd.DataFrame
        As for `judged_changes`.
    """
    if rescan is None or not len(table):
        return np.full(len(table), np.nan), np.full(len(table), np.nan)
    keys = [name for name in PLACE if name in rescan]
    found = table[keys].merge(rescan, on=keys, how="left", validate="many_to_one")
    deviation, n = (found[name].to_numpy(dtype=float) for name in RESCAN_COLUMNS[-2:])
    mean = (table["baseline_value"] + table["followup_value"]).to_numpy(dtype=float) / 2
    is_ratio = np.isfinite(table["percent_change"].to_numpy(dtype=float))
    return np.where(is_ratio, deviation / 100 * mean, np.nan), n
