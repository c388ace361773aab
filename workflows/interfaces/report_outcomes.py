"""What became of the symptoms: courses, response and recovery, effects on the scores."""

from __future__ import annotations

import numpy as np
import pandas as pd

from bids_utils.errors import SettingsError
from configs.scales import complete_score
from workflows.compute.design import level_text
from workflows.compute.outcome_words import (
    criteria_sentence,
    known_sentence,
    paradox_sentences,
    rate_sentence,
)
from workflows.compute.term_words import term_kind
from workflows.compute.trajectories import session_means
from workflows.drawing.forest import ForestText, forest_plot
from workflows.drawing.recovery_curve import recovery_curve
from workflows.drawing.trajectory import TrajectoryText, trajectory_plot
from workflows.interfaces.group_results import GroupResults
from workflows.interfaces.report_numbers import numbers_of
from workflows.interfaces.report_pages import Chapter, Line, Part, drawn, lines_of
from workflows.interfaces.report_tables import sheets

MAX_SCORES = 8
POINTS = "points"
MODEL_WORDS = {
    "change": "change",
    "baseline_adjusted": "given baseline",
    "mixed": "all sessions",
}
EFFECT_COLUMNS = [
    *("model", "term", "estimate", "ci_low", "ci_high", "p", "effect_size", "effect_size_name"),
    *("effect_low", "effect_high", "n_per_arm", "formula", "note"),
]
CURVE_COLUMNS = {"arm", "time", "at_risk", "n_events", "n_censored", "share", "ci_low", "ci_high"}


def outcome_chapter(results: GroupResults) -> Chapter:
    """One part a score: its course, rates, criteria and effects."""
    scores = results.outcomes["scores"]
    parts = []
    for name in list(dict.fromkeys(scores["score"]))[:MAX_SCORES] if len(scores) else []:
        parts.append(_score_part(results, str(name)))
    parts.append(_time_part(results))
    return Chapter(
        "outcomes",
        "Outcomes",
        "Outcomes",
        tuple(part for part in parts if not part.is_empty),
        lead="Change is follow-up minus baseline, in points of each score.",
    )


def score_arms(results: GroupResults, people: list[str]) -> np.ndarray:
    """Arm of each participant as text; "all" where arms are not known."""
    column, cohort = results.settings.group.arm_column, results.cohort
    if not column or cohort is None or column not in cohort.participants:
        return np.full(len(people), "all", dtype=object)
    known = cohort.participants[column].map(level_text)
    return known.reindex(people).fillna("").to_numpy(dtype=object)


def session_order(results: GroupResults, score: str) -> list[str]:
    """Sessions of a score in the order of time."""
    own = results.outcomes["scores"].query("score == @score")
    seen = list(dict.fromkeys(own["session_id"]))
    order = [label.removeprefix("ses-") for label in results.settings.sessions.order or ()]
    judged = results.outcomes["outcomes"]
    if not order and "followup" in judged:
        rows = judged[judged["score"] == score]
        order = list(dict.fromkeys([*rows["baseline"], *rows["followup"]]))
    return [label for label in order if label in seen] or seen


def _score_part(results, name):
    rows, said = _effects(results, name)
    rates = _at_end(results, results.outcomes["outcome_rates"], name)
    differences = _at_end(results, results.outcomes["outcome_differences"], name)
    outcomes = list(dict.fromkeys(rates["outcome"])) if len(rates) else []
    shares = [rate_sentence(rates, differences, outcome) for outcome in outcomes]
    shares.insert(0, known_sentence(rates) if len(rates) else "")
    pictures = [_course(results, name), _forest(results, rows) if len(rows) else None]
    tables = {
        "effects on the score": rows.reindex(columns=EFFECT_COLUMNS) if len(rows) else rows,
        "rates": rates,
        "differences": differences,
    }
    return Part(
        name,
        lines=(*lines_of([_criteria(results, name)]), *said, *lines_of(shares)),
        pictures=tuple(picture for picture in pictures if picture),
        sheets=sheets(**tables),
    )


def _effects(results, name):
    """Rows of the models of a score, and what the planned ones say."""
    families = [rows for rows in results.families(scores=True) if rows["measure"].iloc[0] == name]
    if not families:
        return pd.DataFrame(), ()
    rows = pd.concat(families, ignore_index=True)
    keys = set(rows["family"])
    own = [finding for finding in results.findings if finding.family in keys]
    planned = [finding for finding in own if finding.planned] or own[:1]
    lines = [Line(finding.sentence, finding.caution) for finding in planned]
    return rows, (*lines, *lines_of([_paradox(rows, results.settings.group.alpha)]))


def _forest(results, rows):
    """Effects of all models in points, side by side; None where there are none."""
    group = results.settings.group
    own = rows[(rows["unit"] == POINTS) & rows["p"].notna()]
    kinds = [term_kind(own.loc[[place]]) for place in own.index]
    own = own[[kind in ("difference", "mean", "simple") for kind in kinds]]
    if len(own) < 2:
        return None
    label = own["term"].astype(str) + ", " + own["model"].map(lambda m: MODEL_WORDS.get(m, m))
    table = own.assign(label=label, significant=own["p_fdr"] <= group.alpha)
    name = str(own["measure"].iloc[0])
    text = ForestText(
        f"effect on {name}, points", interval=f"{100 * group.confidence:g} % interval"
    )
    return drawn(
        forest_plot(table, text),
        f"Effects on {name} in each model with intervals",
        "The same question asked of change, of follow-up given baseline, and of all sessions "
        "with everybody who has any value.",
        (numbers_of(f"effects_on_{name}", own),),
    )


def _paradox(rows, alpha):
    """Lord's paradox between the two standard models; empty where they agree."""
    first, second = (rows[rows["model"] == model] for model in ("change", "baseline_adjusted"))
    for _, row in first.iterrows():
        same = second[second["term"] == row["term"]]
        if len(same):
            return paradox_sentences(row, same.iloc[0], alpha)
    return ""


def _at_end(results, table, name):
    """Rows of a score at the tested follow-up, or at the last one."""
    if not len(table):
        return table
    own = table[table["score"] == name]
    tested = results.pair[1] if results.pair else ""
    end = tested if (own["followup"] == tested).any() else next(iter(own["followup"][::-1]), "")
    return own[own["followup"] == end]


def _criteria(results, name):
    table = results.outcomes["outcome_criteria"]
    own = table[table["score"] == name] if len(table) else table
    if not len(own):
        return ""
    declared = [score for score in results.settings.group.scores if score.name == name]
    sources = {}
    for score in declared:
        try:
            sources = dict(complete_score(score.model_dump(exclude_none=True)).sources)
        except SettingsError:
            continue
    return criteria_sentence(own.iloc[0], sources)


def _course(results, name):
    """Courses of one score over the sessions; None with fewer than two."""
    sessions = session_order(results, name)
    own = results.outcomes["scores"].query("score == @name")
    own = own[own["session_id"].isin(sessions)].drop_duplicates(["participant_id", "session_id"])
    if len(sessions) < 2 or own["value"].notna().sum() == 0:
        return None
    wide = own.pivot_table(index="participant_id", columns="session_id", values="value", sort=False)
    wide = wide.reindex(columns=sessions)
    arms = score_arms(results, list(wide.index))
    wide, arms = wide[arms != ""], arms[arms != ""]
    confidence = results.settings.group.confidence
    values = wide.to_numpy(dtype=float)
    labels = tuple(f"ses-{label}" for label in sessions)
    means = session_means(values, arms, labels, confidence)
    if not len(means):
        return None
    words = f"{100 * confidence:g} % interval of the mean"
    figure = trajectory_plot(values, arms, means, TrajectoryText(name, interval=words))
    return drawn(
        figure,
        f"Course of {name} over the sessions, one panel an arm",
        "Everybody with a value at a session is in its mean, so people who left make the means of "
        "early and late sessions means of different people.",
        (numbers_of(f"course_of_{name}", means),),
    )


def _time_part(results):
    """Time to response, where it was counted."""
    table = results.outcomes["time_to_response"]
    if not set(table) >= CURVE_COLUMNS:
        return Part()
    pictures = []
    scores = table.groupby("score", sort=False) if "score" in table else [("", table)]
    for score, rows in scores:
        figure = recovery_curve(rows, "response", "time")
        alt = f"Share of people with response over time {score}".strip()
        words = "Supposes that people who left had the same chance of response as those who stayed."
        numbers = numbers_of(f"time_to_response_{score}".rstrip("_"), rows)
        pictures.append(drawn(figure, alt, words, (numbers,)))
    return Part("Time to response", pictures=tuple(pictures), sheets=sheets(times=table))
