"""Words for rows of a model: what was measured, where, which term, and what kind of term it is."""

from __future__ import annotations

from typing import Literal

import pandas as pd

ONE_ARM_NOTE = "one arm"
SCORE = "score"
CORRELATION_UNIT = "correlation"
STATUS_TERM = "remitted - not remitted"
MEASURE_NAMES = {
    "deformation": "volume by deformation",
    "volume": "grey-matter volume",
    "thickness": "cortical thickness",
    "tissue_volume": "whole-brain tissue volume",
    "mean_connectivity": "mean connectivity of a region",
    "connectivity": "connectivity between two regions",
    "within_network": "connectivity within a network",
    "between_network": "connectivity between two networks",
    "circuit": "connectivity along a circuit",
    "global_efficiency": "global efficiency of the connectivity graph",
    "modularity": "modularity of the connectivity graph",
    "mean_clustering": "clustering of the connectivity graph",
    "alff": "amplitude of slow fluctuations (ALFF)",
    "falff": "fraction of slow fluctuations (fALFF)",
    "reho": "regional homogeneity (ReHo)",
    "fd_mean": "head motion",
    "clean_minutes": "usable scan time",
    "tsnr": "signal quality of the BOLD images",
}
PLACES = {
    "connectivity": "connection",
    "tissue_volume": "volume",
    "within_network": "network",
    "between_network": "network pair",
    "circuit": "circuit",
    "global_efficiency": "measure",
    "modularity": "measure",
    "mean_clustering": "measure",
}
"""What a test of these measures is about; of all others it is a region, if they have one."""
UNIT_OF_RATIOS = "1"
TermKind = Literal["correlation", "status", "mean", "slope", "product", "simple", "difference"]


def measure_name(measure: str) -> str:
    """Words for a measure; an unknown one keeps its name."""
    return MEASURE_NAMES.get(measure, measure)


def place_name(row: pd.Series) -> str:
    """Region of a row, or both regions of an edge."""
    both = [row.get("region_a"), row.get("region_b")]
    if all(isinstance(name, str) and name for name in both):
        return f"{both[0]} – {both[1]}"
    region = row.get("region")
    return region if isinstance(region, str) and region else measure_name(str(row["measure"]))


def strongest(rows: pd.DataFrame, n_rows: int) -> pd.DataFrame:
    """Rows with the smallest p, at most `n_rows`; rows that were not tested are left out."""
    return rows[rows["p"].notna()].sort_values("p", kind="stable").head(n_rows)


def term_kind(rows: pd.DataFrame) -> TermKind:
    """What the term of these rows is; all rows are of one model, family and term.

    Returns
    -------
    str
        correlation: change with the change of a score; status: people who reached a cut-off
        against the others; mean: change without a comparison; slope: change per unit of
        something that was not assigned, such as sessions attended; product: whether the
        difference between arms depends on a moderator; simple: that difference at one value
        of the moderator; difference: between arms.
    """
    term = str(rows["term"].iloc[0])
    effect = str(rows["effect_size_name"].iloc[0])
    correlated = effect.endswith(" r")
    if str(rows["unit"].iloc[0]) == CORRELATION_UNIT:
        return "correlation"
    if correlated and term.startswith("change in "):
        return "correlation"
    if term == STATUS_TERM:
        return "status"
    if correlated:
        return "product" if ":" in term and "arm[" in term else "slope"
    if effect == "d_z":
        return "mean"
    return "simple" if moderator_of(term) else "difference"


def moderator_of(term: str) -> str:
    """Moderator of a simple slope such as "CBT - WL at age + 1 SD"; empty for other terms."""
    _, at, rest = term.partition(" at ")
    if not at or rest.startswith("ses-"):
        return ""
    for ending in (" - 1 SD", " + 1 SD", " mean"):
        if rest.endswith(ending):
            return rest.removesuffix(ending)
    return rest.partition(" = ")[0] if " = " in rest else ""


def is_association(rows: pd.DataFrame) -> bool:
    """Whether rows relate a change to the change of a score or to who remitted."""
    return len(rows) > 0 and term_kind(rows) in ("correlation", "status")


def has_one_arm(rows: pd.DataFrame) -> bool:
    """Whether rows come from one arm, without a comparison."""
    noted = any(ONE_ARM_NOTE in str(note) for note in rows["note"].unique())
    return bool(noted or (rows["effect_size_name"] == "d_z").any())


def subject_text(rows: pd.DataFrame) -> str:
    """What a family of tests and its term are about, as the beginning of a sentence."""
    name = measure_name(str(rows["measure"].iloc[0]))
    name = f"{name[0].upper()}{name[1:]}"
    modality = str(rows["modality"].iloc[0])
    where = f" ({modality.removeprefix('bold_')})" if modality.startswith("bold_") else ""
    term, kind = str(rows["term"].iloc[0]), term_kind(rows)
    if kind == "correlation":
        return f"{name}{where} with {term}{_manner(rows)}"
    if kind == "status":
        return f"{name}{where}, change of remitted minus not remitted participants{_manner(rows)}"
    if kind == "slope":
        return f"{name}{where}, change with {slope_text(term)}{_manner(rows)}"
    if kind == "product":
        arm, _, moderator = term.partition(":")
        arm = arm.removeprefix("arm[").removesuffix("]")
        return f"{name}{where}, whether the difference of {arm} depends on {moderator}"
    shown = "mean change" if kind == "mean" and " per " not in term else term
    return f"{name}{where}, {shown}{_manner(rows)}"


def slope_text(term: str) -> str:
    """What one unit of a slope is, e.g. "each unit of attended"."""
    name, _, per = term.partition(" per ")
    return f"each unit of {name}" + (f", per {per}" if per else "")


def kind_of_place(rows: pd.DataFrame) -> str:
    """What is tested once per row, such as a connection, a region or a measure."""
    known = PLACES.get(str(rows["measure"].iloc[0]))
    if known:
        return known
    atlas = rows["atlas"].iloc[0]
    regional = isinstance(atlas, str) and atlas != ""
    named = "region" in rows and len(set(rows["region"].astype(str))) > 1
    return "region" if regional or named else "measure"


def verb_text(rows: pd.DataFrame, n_subjects: int) -> str:
    """Verb that claims no more than the term allows."""
    kind = term_kind(rows)
    if kind == "correlation":
        return "were related" if n_subjects > 1 else "was related"
    if kind == "slope":
        return "changed with it"
    if kind == "product":
        return "showed such a dependence"
    return "changed" if kind == "mean" else "differed"


def unit_text(unit: object) -> str:
    """Unit after a space; empty where a number has none."""
    without = ("", CORRELATION_UNIT, UNIT_OF_RATIOS)
    return f" {unit}" if isinstance(unit, str) and unit not in without else ""


def estimate_text(row: pd.Series) -> str:
    """Estimate with its sign, unit and interval."""
    unit = unit_text(row.get("unit"))
    names = {"partial r": "partial correlation ", "partial rank r": "partial rank correlation "}
    name = names.get(str(row["effect_size_name"]), "") if not unit else ""
    return (
        f"{name}{row['estimate']:+.3g}{unit} (interval {row['ci_low']:.3g} to {row['ci_high']:.3g})"
    )


def _manner(rows: pd.DataFrame) -> str:
    """How the model differs from a plain model of change."""
    formula = str(rows["formula"].iloc[0]) if "formula" in rows else ""
    if formula.startswith("rank("):
        return ", by ranks"
    if formula.startswith("followup ~ baseline"):
        return ", given the baseline"
    if formula.startswith("followup ~"):
        return ", follow-up given both baselines"
    return ", all sessions" if formula.startswith("value ~") else ""
