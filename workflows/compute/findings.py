"""Results of the models in plain sentences that claim no more than the model."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

ONE_ARM_CAUTION = "There is one group: change is not a treatment effect."
NOT_RANDOMISED_CAUTION = (
    "Groups were not assigned at random: a difference may have other causes than treatment."
)
ASSOCIATION_CAUTION = "This is an association: it does not show what caused what."
ONE_ARM_NOTE = "one arm"
MEASURE_NAMES = {
    "volume": "grey-matter volume",
    "thickness": "cortical thickness",
    "tissue_volume": "whole-brain tissue volume",
    "mean_connectivity": "mean connectivity of a region",
    "connectivity": "connectivity between two regions",
    "fd_mean": "head motion",
    "clean_minutes": "usable scan time",
    "tsnr": "signal quality of the BOLD images",
}


@dataclass(frozen=True)
class Finding:
    """One family of tests and one term, said in words."""

    model: str
    family: str
    term: str
    planned: bool
    n_tests: int
    n_significant: int
    sentence: str
    caution: str


def measure_name(measure: str) -> str:
    """Words for a measure; an unknown one keeps its name."""
    return MEASURE_NAMES.get(measure, measure)


def findings(
    tests: pd.DataFrame, sensitivity: pd.DataFrame, alpha: float, randomised: bool
) -> list[Finding]:
    """One `Finding` for each family and term, planned ones first.

    Parameters
    ----------
    tests : DataFrame
        Rows of the models, see `MODEL_COLUMNS`; rows without p were not tested.
    sensitivity : DataFrame
        Smallest effects by family and term; may have no rows.
    alpha : float
        Limit for the corrected p value (`p_fdr`), 0..1.
    randomised : bool
        Whether the arms were assigned at random.
    """
    said = []
    for (model, family, term), rows in tests.groupby(["model", "family", "term"], sort=False):
        made = rows[rows["p"].notna()]
        limit = smallest_effect_text(sensitivity, family, term)
        significant = made[made["p_fdr"] <= alpha].sort_values("p", kind="stable")
        said.append(
            Finding(
                model=str(model),
                family=str(family),
                term=str(term),
                planned=bool(rows["planned"].iloc[0]),
                n_tests=len(made),
                n_significant=len(significant),
                sentence=_sentence(rows, made, significant, limit),
                caution=caution(rows, randomised),
            )
        )
    return [f for f in said if f.planned] + [f for f in said if not f.planned]


def caution(rows: pd.DataFrame, randomised: bool) -> str:
    """What a result of these rows does not mean; empty for arms assigned at random."""
    if is_association(rows):
        several = rows["n_per_arm"].fillna("").astype(str).str.contains(";").any()
        return ASSOCIATION_CAUTION if several else f"{ONE_ARM_CAUTION} {ASSOCIATION_CAUTION}"
    if has_one_arm(rows):
        return ONE_ARM_CAUTION
    return "" if randomised else NOT_RANDOMISED_CAUTION


def is_association(rows: pd.DataFrame) -> bool:
    """Whether rows relate a change to the change of a score."""
    return bool((rows["effect_size_name"] == "partial r").all())


def has_one_arm(rows: pd.DataFrame) -> bool:
    """Whether rows are a mean change without a comparison."""
    noted = rows["note"].fillna("").astype(str).str.contains(ONE_ARM_NOTE)
    return bool((rows["effect_size_name"] == "d_z").any() or noted.any())


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


def smallest_effect_text(sensitivity: pd.DataFrame, family: str, term: str) -> str:
    """Smallest effect that this sample could have found, in words; empty if not known."""
    if not len(sensitivity):
        return ""
    known = (sensitivity["family"] == family) & (sensitivity["term"].astype(str) == str(term))
    if not known.any():
        return ""
    row = sensitivity[known].iloc[0]
    size = row["smallest_bonferroni"]
    if not np.isfinite(size):
        return ""
    return (
        f"The smallest effect this sample could have found with {100 * row['power']:.0f} % power, "
        f"correcting for {row['n_tests']:.0f} tests, is {row['effect_size_name']} = {size:.2f}; "
        "smaller effects cannot be ruled out."
    )


@dataclass(frozen=True)
class FlowBox:
    """Participants that reach one step, per arm and of all ("all")."""

    name: str
    counts: dict[str, int]


def flow_levels(flow: pd.DataFrame) -> list[list[FlowBox]]:
    """Levels of the flow of participants from the list downwards.

    Steps without a detail follow each other; those with one (usable images of each kind,
    scores) do not depend on each other and share the last level.
    """
    single: dict[str, FlowBox] = {}
    parallel: dict[str, FlowBox] = {}
    for row in flow[~flow["step"].isin(["analysed", "no usable pair"])].itertuples():
        detailed = isinstance(row.detail, str) and bool(row.detail)
        name = f"{row.step}: {row.detail}" if detailed else str(row.step)
        box = (parallel if detailed else single).setdefault(name, FlowBox(name, {}))
        box.counts[str(row.arm)] = int(row.n)
    levels = [[box] for box in single.values()]
    return [*levels, list(parallel.values())] if parallel else levels


def _sentence(rows, made, significant, limit):
    subject = _subject(rows)
    if not len(made):
        return f"{subject}: nothing could be tested."
    several = f"after correction for {len(made)} tests" if len(made) > 1 else "(one test)"
    if not len(significant):
        lead = f"{subject}: no {_kind(rows)} {_verb(rows, 1)} {several}."
        return f"{lead} {limit}".rstrip()
    first = significant.iloc[0]
    verb = _verb(rows, len(significant))
    lead = f"{subject}: {len(significant)} of {len(made)} {_kind(rows)}s {verb} {several}."
    return f"{lead} Strongest: {place_name(first)}, {estimate_text(first)}."


def estimate_text(row: pd.Series) -> str:
    """Estimate with its sign, unit and interval."""
    unit = "" if row.get("unit") in ("correlation", "", None) else f" {row['unit']}"
    name = "partial correlation " if row["effect_size_name"] == "partial r" else ""
    low, high = row["ci_low"], row["ci_high"]
    return f"{name}{row['estimate']:+.3g}{unit} (interval {low:.3g} to {high:.3g})"


def _subject(rows):
    name = measure_name(str(rows["measure"].iloc[0]))
    name = f"{name[0].upper()}{name[1:]}"
    term = str(rows["term"].iloc[0])
    modality = str(rows["modality"].iloc[0])
    where = f" ({modality.removeprefix('bold_')})" if modality.startswith("bold_") else ""
    if is_association(rows):
        return f"{name}{where} with {term}"
    return f"{name}{where}, {'mean change' if has_one_arm(rows) else term}"


def _kind(rows):
    if str(rows["measure"].iloc[0]) == "connectivity":
        return "connection"
    return "region" if _filled(rows["atlas"]) else "measure"


def _filled(column):
    return column.notna().all() and (column.astype(str) != "").all()


def _verb(rows, n_subjects):
    if is_association(rows):
        return "were related" if n_subjects > 1 else "was related"
    return "changed" if has_one_arm(rows) else "differed"
