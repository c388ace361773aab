"""Brain change and symptom change: partial residuals, other ways to ask, and who drives it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd

from workflows.compute.association import partial_residuals
from workflows.compute.findings import caution
from workflows.compute.influence import InfluenceRequest, left_out
from workflows.compute.problems import ModelError
from workflows.compute.results import ModelSpec
from workflows.compute.robustness_words import (
    LeaveOneOut,
    check_sentence,
    leave_one_out_sentence,
)
from workflows.compute.term_words import (
    is_association,
    measure_name,
    place_name,
    strongest,
    term_kind,
)
from workflows.drawing.partial_scatter import ScatterMarks, ScatterText, partial_scatter
from workflows.interfaces.group_results import GroupResults
from workflows.interfaces.report_brain import part_title, sentences_of
from workflows.interfaces.report_cohort import change_families, design_for, family_of
from workflows.interfaces.report_numbers import numbers_of
from workflows.interfaces.report_pages import Chapter, Part, drawn, lines_of
from workflows.interfaces.report_tables import sheets

MAX_PARTS, N_SCATTERS, N_CHECKED = 6, 3, 10
PLACE = ["modality", "measure", "atlas", "region", "region_a", "region_b"]
PARTNER = "change in the score"
SAME_R = 0.01
COARSE = "remission_"
CHECKS = {
    "symptoms_": "change with change",
    "rank_symptoms_": "by ranks",
    "symptoms_adjusted_": "at follow-up given both baselines",
    "remission_": "between remitted and not remitted",
}
EXTREME = "Chosen for being extreme, so likely too large."


def symptom_chapter(results: GroupResults) -> Chapter:
    """One part a planned family and score; the other ways to ask beside it."""
    parts: list[Part] = []
    cohort = results.cohort
    families = () if cohort is None else change_families(results, cohort)
    shown = [rows for rows in _families(results) if bool(rows["planned"].iloc[0])]
    for rows in shown[:MAX_PARTS]:
        parts.append(_part(results, rows, families))
    return Chapter(
        "symptoms",
        "Brain change and symptom change",
        "Symptoms",
        tuple(parts),
        lead="All of this is association: it does not show what caused what.",
        otherwise="Change of the brain was not tested against change of a score.",
    )


def _families(results):
    for rows in results.families(scores=False):
        if is_association(rows) and term_kind(rows) == "correlation" and rows["p"].notna().any():
            yield rows


def _part(results, rows, families):
    group = results.settings.group
    top = strongest(rows, N_SCATTERS)
    pictures, robust = [], []
    for rank, (_, row) in enumerate(top.iterrows(), start=1):
        found = _scatter(results, row, families, (rank, int(rows["p"].notna().sum())))
        if found is not None:
            pictures.append(found[0])
            robust.append(leave_one_out_sentence(place_name(row), found[1], group.alpha))
    checks = _checks(results, rows)
    said = [
        check_sentence(place_name(row), _checks_of(checks, row), group.alpha)
        for _, row in top.iterrows()
    ]
    if not pictures:
        robust = ["There is no picture: its data are not there, or are not of regions."]
    return Part(
        part_title(rows),
        cautions=(caution(rows, group.randomised),),
        lines=(*_bare(results, rows), *lines_of([*said, *robust])),
        pictures=tuple(pictures),
        sheets=sheets(other_ways_to_ask=checks.drop(columns=["coarse", "turned", "place"]))
        if len(checks)
        else (),
    )


def _bare(results, rows):
    """Sentences of a family without the caution that stands above them."""
    return lines_of([line.sentence for line in sentences_of(results, rows)])


def _checks(results, rows):
    """Strongest regions in each way of asking, one row a region and way."""
    model = str(rows["model"].iloc[0])
    label = model.removeprefix("symptoms_")
    keys = [name for name in PLACE if name in rows]
    top = strongest(rows, N_CHECKED)[keys]
    tables = []
    for start, words in CHECKS.items():
        for name, table in results.models.items():
            if name in (f"{start}{label}", f"{start}{label}_edges"):
                own = top.merge(table, on=keys, how="inner")
                coarse = start == COARSE
                turned = -1 if coarse and _better(results, model) == "lower" else 1
                tables.append(own.assign(check=words, coarse=coarse, turned=turned))
    if len(tables) < 2:
        return pd.DataFrame()
    made = pd.concat(tables, ignore_index=True)
    columns = ["check", "estimate", "unit", "ci_low", "ci_high", "p_fdr", "n", "coarse"]
    columns += ["turned"]
    return made[[*keys, *columns]].assign(place=[place_name(row) for _, row in made.iterrows()])


def _checks_of(checks, row):
    empty = pd.DataFrame({"check": [""], "estimate": [np.nan], "p_fdr": [np.nan], "coarse": False})
    if not len(checks):
        return empty
    own = checks[checks["place"] == place_name(row)]
    return own.assign(estimate=own["estimate"] * own["turned"]) if len(own) else empty


def _better(results, model):
    """Direction of the score of a model."""
    spec = results.specs.get(model)
    return spec.better if spec is not None else "lower"


def _scatter(results, row, families, rank):
    """Picture of one region and what single people do to it; None without its data."""
    cohort = results.cohort
    score = str(row["term"]).removeprefix("change in ")
    if cohort is None or score not in cohort.score_change or not row.get("region"):
        return None
    family = family_of(families, row)
    if family is None or row["region"] not in set(family.labels["region"]):
        return None
    spec = results.specs.get(str(row["model"])) or _plain_spec(results, row, score)
    design = design_for(spec, cohort, family, families)
    place = int(np.flatnonzero(family.labels["region"] == row["region"])[0])
    if design is None:
        return None
    brain = family.change[:, place]
    partner = cohort.score_change[score].to_numpy(dtype=float)
    try:
        points = partial_residuals(brain, partner, design)
    except ModelError:
        return None
    robust, influential = _robustness((brain, partner), design, points, row["p"])
    picture = _picture((row, family, score), (points, design, influential), robust, rank)
    return picture, robust


def _plain_spec(results, row, score):
    group = results.settings.group
    arm = group.arm_column or ""
    return ModelSpec(
        str(row["model"]),
        "symptoms",
        True,
        arm,
        group.reference_arm or "",
        score=score,
        confidence=group.confidence,
        min_participants=group.min_participants,
    )


def _robustness(values, design, points, p_all):
    brain, partner = values
    asked = InfluenceRequest(PARTNER, 1.0, 1)
    _, without = left_out(brain[:, None], design.with_covariate(PARTNER, partner), asked)
    cook, r, p = (getattr(without, name)[:, 0] for name in ("cook", "r", "p"))
    influential = tuple(int(place) for place in np.flatnonzero(cook > 4 / len(points.rows)))
    plain = np.nan
    n_arms = len(design.levels)
    if design.matrix.shape[1] > n_arms:
        plain = _correlation(_without_covariates(values, design, points.rows))
    known = np.isfinite(r).any()
    ends = [np.nanmin(r), np.nanmax(r), np.nanmin(p), np.nanmax(p)] if known else [np.nan] * 4
    own = _correlation((points.x, points.y))
    return LeaveOneOut(
        own, float(p_all), *ends, len(points.rows), len(influential), plain
    ), influential


def _without_covariates(values, design, rows):
    """Both changes with only the means of the arms removed."""
    own = design.matrix[rows][:, : len(design.levels)]
    basis, _ = np.linalg.qr(own)
    brain, partner = (column[rows] for column in values)
    return [column - basis @ (basis.T @ column) for column in (partner, brain)]


def _correlation(pair):
    first, second = (column - column.mean() for column in pair)
    length = np.sqrt((first**2).sum() * (second**2).sum())
    return float(first @ second / length) if length > 0 else np.nan


def _picture(what, data, robust, rank):
    row, family, score = what
    points, design, influential = data
    place, n_tests = rank
    order = f"strongest of {n_tests}" if place == 1 else f"rank {place} of {n_tests}"
    title = f"{place_name(row)} ({order})\npartial r = {row['estimate']:.2f}, "
    title += f"p = {row['p']:.2g}, corrected {row['p_fdr']:.2g}"
    unit = f" ({family.unit})" if family.unit else ""
    covariates = design.names[max(len(design.levels), 1) :]
    held = ", ".join([*(["arm"] if len(design.levels) > 1 else []), *covariates])
    text = ScatterText(
        f"change in {score}", f"change in {measure_name(family.measure)}{unit}", title, held
    )
    figure = partial_scatter(points, design.arms, text, ScatterMarks(influential))
    caption = f"Each mark is one person, with what is held constant removed. {EXTREME}"
    if not abs(robust.r - row["estimate"]) < SAME_R:
        caption += (
            f" These values give r = {robust.r:.2f}: the tested ones were adjusted in ways that "
            "the saved values are not."
        )
    alt = f"Scatter of change in {place_name(row)} against change in {score}"
    arms = np.asarray(design.arms, dtype=object)[points.rows]
    table = pd.DataFrame({"arm": arms, text.x: points.x, text.y: points.y})
    numbers = numbers_of(f"{place_name(row)}_and_{score}", table)
    return replace(drawn(figure, alt, caption, (numbers,)), small=True)
