"""Quality of the images of a cohort: what stands out, in a session or between two sessions.

A value or a change is compared with the cohort by its robust z, the distance from the median in
units of 1.4826 times the median absolute deviation. Beyond 3.5 it is an outlier (Iglewicz &
Hoaglin 1993), in small cohorts beyond `outlier_limit`. Each measure has a bad direction, in which
alone a value is flagged; a change is flagged in both. Limits of plausibility hold for a single
person too. Nothing is left out here.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd
from scipy import stats

from workflows.compute.image_quality import NORMAL_MAD, QUALITY_MEASURES, QualityMeasure

OUTLIER_Z = 3.5
MIN_PEOPLE = 5

BOLD_QUALITY = (
    QualityMeasure("n_volumes", "1", "neither", "Volumes, summed over runs."),
    QualityMeasure("repetition_time_s", "s", "neither", "Time from volume to volume."),
    QualityMeasure("fd_mean", "mm", "lower", "Mean framewise displacement (Power 2012)."),
    QualityMeasure("share_outliers", "1", "lower", "Part of the volumes that is left out, 0..1."),
    QualityMeasure(
        "clean_minutes", "min", "higher", "Time left after censoring, summed over runs."
    ),
    QualityMeasure(
        "dvars_mean",
        "1",
        "lower",
        "Mean standardised DVARS: change from volume to volume, 1 where there is noise alone "
        "(Power 2012, Nichols 2013).",
    ),
    QualityMeasure(
        "tsnr",
        "1",
        "higher",
        "Mean over standard deviation in time, median of the brain mask.",
    ),
    QualityMeasure(
        "coverage_mean", "1", "higher", "Mean over regions of their part that has signal, 0..1."
    ),
    QualityMeasure(
        "registration_dice", "1", "higher", "Overlap of the BOLD and the T1w brain mask, 0..1."
    ),
    QualityMeasure(
        "boundary_cost",
        "1",
        "lower",
        "Cost of the registration at the edge of white matter: 0 perfect, 1 no contrast (Greve & "
        "Fischl 2009).",
    ),
    QualityMeasure(
        "flip_cost_ratio",
        "1",
        "lower",
        "Cost of the registration over that of the image mirrored left to right: above 1 the "
        "mirrored one fits better.",
    ),
    QualityMeasure(
        "degrees_of_freedom",
        "1",
        "higher",
        "Volumes left minus what denoising takes out, summed over runs.",
    ),
)
ALL_QUALITY = (*QUALITY_MEASURES, *BOLD_QUALITY)

LOWEST = {"mask_dice": 0.9, "registration_r": 0.9, "clean_minutes": 5.0}
"""A value below this is worth a look, whatever the cohort is like.

Of two heads, noise of 6 % or blur of 1 mm left registration_r at .95 and more, motion in 30 % of
the lines brought it to .88 and .91, a cut side of the head to .87 and .80. With less than five
minutes connectivity says little of a person (Van Dijk 2010, Birn 2013).
"""

HIGHEST = {"flip_cost_ratio": 1.0, "boundary_cost": 1.0}
"""A value above this is not plausible: left and right may be swapped, or no edge was found."""

LARGEST_CHANGE_PCT = {
    "mask_ml": 5.0,
    "n_volumes": 5.0,
    "repetition_time_s": 0.5,
    "coverage_mean": 5.0,
}
"""Sessions that differ by more (percent of their mean) were not acquired or cut alike.

No brain changes its volume by more, and one region in twenty without signal changes all measures
that are averages over regions.
"""

SCAN = ["participant_id", "session_id", "modality"]
FAMILY = ["modality", "metric"]
PAIR_COLUMNS = [
    "participant_id",
    "baseline",
    "followup",
    "interval_days",
    *FAMILY,
    "unit",
    "baseline_value",
    "followup_value",
    "change",
    "baseline_z",
    "followup_z",
    "change_z",
    "flag",
]


def robust_z(values: np.ndarray, people: Sequence[str]) -> np.ndarray:
    """Distance of each value from the median of all, in units of 1.4826 MAD, shape (n,).

    NaN where a value is missing, and everywhere if fewer than 5 people have one or more than
    half of the values are equal, so that there is no spread to compare with.

    Parameters
    ----------
    values : np.ndarray, shape (n,)
        Scans or pairs of scans; a person may have several.
    people : sequence of str, length n
        Whose value it is.

    Notes
    -----
    Iglewicz & Hoaglin (1993), How to detect and handle outliers, ASQC Quality Press.
    """
    values = np.asarray(values, dtype=float)
    if len(values) != len(people):
        raise ValueError(f"people: {len(people)} names for {len(values)} values")
    known = np.isfinite(values)
    if _n_people(values, people) < MIN_PEOPLE:
        return np.full(len(values), np.nan)
    centre = np.median(values[known])
    spread = NORMAL_MAD * np.median(np.abs(values[known] - centre))
    return (values - centre) / spread if spread > 0 else np.full(len(values), np.nan)


def outlier_limit(n_people: int) -> float:
    """Robust z beyond which a value is an outlier: 3.5, more where few people say what is usual.

    The quantile of Student's t with n - 1 degrees of freedom that is as rare as 3.5 is in the
    normal distribution: 10.5 for 5 people, 5.4 for 10, 4.2 for 20. With 3.5 itself one change in
    twenty would be flagged in 5 people of whom nothing is wrong.

    Parameters
    ----------
    n_people : int
        At least 2.
    """
    if n_people < 2:
        raise ValueError(f"n_people: at least 2, found {n_people}")
    return float(stats.t.isf(stats.norm.sf(OUTLIER_Z), n_people - 1))


def badness(z: np.ndarray, better: str) -> np.ndarray:
    """Robust z that grows with what is bad: turned around if higher is better.

    Parameters
    ----------
    z : np.ndarray
    better : str
        higher, lower or neither (then both directions are unusual).
    """
    directions = {"higher": np.negative, "lower": np.positive, "neither": np.abs}
    if better not in directions:
        raise ValueError(f"better: higher, lower or neither, found {better!r}")
    return directions[better](np.asarray(z, dtype=float))


def scored_values(
    values: pd.DataFrame, measures: Iterable[QualityMeasure] = ALL_QUALITY
) -> pd.DataFrame:
    """Values with unit, z, bad_z, limit (NaN without z) and flag (empty, or why it stands out).

    Parameters
    ----------
    values : pd.DataFrame
        participant_id, session_id, modality, metric, value; a metric that is not among
        `measures` is left out.
    measures : iterable of QualityMeasure
    """
    known = {measure.name: measure for measure in measures}
    table = values[values["metric"].isin(list(known))].reset_index(drop=True)
    table = table.assign(unit=[known[name].unit for name in table["metric"]], flag="")
    table[["z", "limit"]] = _z_and_limit(table, "value")
    table["bad_z"] = [
        float(badness(z, known[name].better))
        for z, name in zip(table["z"], table["metric"], strict=True)
    ]
    table["flag"] = [_value_flag(row) for row in table.itertuples()]
    return table


def _z_and_limit(table, column):
    """Robust z of a column within its metric and modality, and where outliers begin."""
    found = np.full((len(table), 2), np.nan)
    for places in table.groupby(FAMILY, sort=False).indices.values():
        values, people = table[column].to_numpy(float)[places], table["participant_id"].iloc[places]
        found[places, 0] = robust_z(values, list(people))
        if np.isfinite(found[places, 0]).any():
            found[places, 1] = outlier_limit(_n_people(values, people))
    return found


def _n_people(values, people):
    known = np.isfinite(values)
    return len({one for one, here in zip(people, known, strict=True) if here})


def quality_table(
    scored: pd.DataFrame, measures: Iterable[QualityMeasure] = ALL_QUALITY
) -> pd.DataFrame:
    """One row per participant, session and modality; columns are the metrics and what stands out.

    Parameters
    ----------
    scored : pd.DataFrame
        As `scored_values` gives them.
    measures : iterable of QualityMeasure
        Their columns are there even if nobody has a value.

    Returns
    -------
    pd.DataFrame
        SCAN, a column a metric (NaN: not measured, or of another modality), n_flags,
        largest_z (robust z in the bad direction, NaN in small cohorts) and flag.
    """
    names = [measure.name for measure in measures]
    if not len(scored):
        return pd.DataFrame(columns=[*SCAN, *names, "n_flags", "largest_z", "flag"])
    scans = scored.groupby(SCAN, sort=False)
    wide = scored.pivot_table(
        index=SCAN, columns="metric", values="value", aggfunc="first", sort=False
    ).reindex(columns=names)
    more = pd.DataFrame(
        {
            "n_flags": scans["flag"].agg(lambda flags: int((flags != "").sum())),
            "largest_z": scans["bad_z"].max(),
            "flag": scans["flag"].agg(_joined),
        }
    )
    table = more.join(wide)[[*names, *more.columns]].reset_index()
    return table.rename_axis(columns=None)


def long_values(table: pd.DataFrame) -> pd.DataFrame:
    """Values of `quality_table` as rows again: SCAN, metric, value; missing ones left out."""
    names = [name for name in table if name not in (*SCAN, "n_flags", "largest_z", "flag")]
    long = table.melt(id_vars=SCAN, value_vars=names, var_name="metric", value_name="value")
    return long[long["value"].notna()].reset_index(drop=True)


def pair_table(scored: pd.DataFrame, pairs: pd.DataFrame) -> pd.DataFrame:
    """Change of each metric between two sessions and how unusual it is, PAIR_COLUMNS.

    Parameters
    ----------
    scored : pd.DataFrame
        As `scored_values` gives them.
    pairs : pd.DataFrame
        participant_id, modality, baseline, followup, interval_days.

    Notes
    -----
    Swapping the sessions flips the sign of change and change_z, and flags stay. The cohort of a
    change are all pairs of all people.
    """
    table = pairs.copy()
    keys = ["participant_id", "modality"]
    for role in ("baseline", "followup"):
        side = scored[[*SCAN, "metric", "unit", "value", "z"]].rename(
            columns={"session_id": role, "value": f"{role}_value", "z": f"{role}_z"}
        )
        on = [*keys, role, *(["metric", "unit"] if role == "followup" else [])]
        table = table.merge(side, on=on)
    table["change"] = table["followup_value"] - table["baseline_value"]
    table[["change_z", "limit"]] = _z_and_limit(table, "change")
    table["flag"] = [_change_flag(row) for row in table.itertuples()]
    return table[PAIR_COLUMNS]


def flagged_pairs(pairs: pd.DataFrame) -> pd.DataFrame:
    """Pairs of scans of which a change stands out: n_flags, and flag with all of them joined.

    Parameters
    ----------
    pairs : pd.DataFrame
        As `pair_table` gives it.
    """
    keys = ["participant_id", "baseline", "followup", "modality"]
    flagged = pairs[pairs["flag"] != ""].groupby(keys, sort=False)["flag"]
    return flagged.agg(n_flags="count", flag=_joined).reset_index()


def standing_out(quality: pd.DataFrame, pairs: pd.DataFrame) -> list[tuple[str, str, str, str]]:
    """What stands out: participant, session or sessions, modality and flag; scans, then pairs.

    Parameters
    ----------
    quality : pd.DataFrame
        As `quality_table` gives it.
    pairs : pd.DataFrame
        As `pair_table` gives it.
    """
    scans = [
        (row.participant_id, f"ses-{row.session_id}", row.modality, row.flag)
        for row in quality[quality["flag"] != ""].itertuples()
    ]
    changes = [
        (row.participant_id, f"ses-{row.baseline} to ses-{row.followup}", row.modality, row.flag)
        for row in flagged_pairs(pairs).itertuples()
    ]
    return scans + changes


def ranked_people(quality: pd.DataFrame, pairs: pd.DataFrame) -> pd.DataFrame:
    """People from worst to best quality: most flags first, then the largest robust z.

    Parameters
    ----------
    quality : pd.DataFrame
        As `quality_table` gives it.
    pairs : pd.DataFrame
        As `pair_table` gives it.

    Returns
    -------
    pd.DataFrame
        participant_id, n_flags, largest_z (of values in the bad direction and of changes in
        both; NaN where the cohort is small) and flags, one text; one row a person.
    """
    who = "participant_id"
    people = pd.Index(quality[who].unique(), name=who)
    said = [
        (person, f"{scans} {modality}: {flag}")
        for person, scans, modality, flag in standing_out(quality, pairs)
    ]
    flags = pd.DataFrame(said, columns=[who, "flags"], dtype=object).groupby(who)["flags"]
    n_flags = [
        table.groupby(who)["n_flags"].sum().reindex(people, fill_value=0)
        for table in (quality, flagged_pairs(pairs))
    ]
    sizes = [
        size.astype(float).groupby(table[who]).max().reindex(people)
        for table, size in ((quality, quality["largest_z"]), (pairs, pairs["change_z"].abs()))
    ]
    table = pd.DataFrame(
        {
            "n_flags": n_flags[0] + n_flags[1],
            "largest_z": np.fmax(*sizes),
            "flags": flags.agg("; ".join).reindex(people, fill_value=""),
        }
    ).reset_index()
    order = ["n_flags", "largest_z"]
    return table.sort_values(order, ascending=False, kind="stable").reset_index(drop=True)


def _value_flag(row) -> str:
    """Why a value of `scored_values` stands out, empty if it does not."""
    said = f"{row.metric} {row.value:.3g}"
    lowest = LOWEST.get(row.metric, -np.inf)
    if row.value < lowest:
        return f"{said}, below {lowest:g}"
    highest = HIGHEST.get(row.metric, np.inf)
    if row.value > highest:
        return f"{said}, above {highest:g}"
    if row.bad_z > row.limit:
        return f"{said} is {'high' if row.z > 0 else 'low'} (robust z {row.z:.1f})"
    return ""


def _change_flag(row) -> str:
    """Why a change of `pair_table` stands out, empty if it does not."""
    mean = (row.baseline_value + row.followup_value) / 2
    percent = 100 * row.change / mean if mean > 0 else np.nan
    most = LARGEST_CHANGE_PCT.get(row.metric, np.inf)
    if abs(percent) > most:
        return f"{row.metric} changed by {percent:+.1f} %, more than {most:g} %"
    if abs(row.change_z) > row.limit:
        return f"{row.metric} changed by {row.change:+.3g} (robust z {row.change_z:.1f})"
    return ""


def _joined(flags: pd.Series) -> str:
    return "; ".join(flag for flag in flags if flag)
