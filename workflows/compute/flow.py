"""Participants at each step from the list to the analysis, per arm."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from workflows.compute.problems import NOTE, PROBLEM, Problem

FLOW_COLUMNS = ["step", "detail", "arm", "n", "reason"]
FLOW_TESTS = ["model", "family", "planned", "modality", "measure", "atlas", "p", "n"]
FLOW_TESTS += ["n_per_arm", "note"]
SCANNED = frozenset({"used", "found", "excluded", "broken"})
FAILED = frozenset({"excluded", "broken"})
ENROLLED = "in participants.tsv"
SCORE = "score"
UNTESTED = "nothing could be tested: see the notes of the model"
OTHER = "lacks the tested values or is left out of the model: see its notes and problems"


@dataclass(frozen=True)
class FlowCohort:
    """All participants: labels, arm ("" unknown), compared sessions, scans looked for.

    `unusable` says why someone cannot be in a model even with a usable pair.
    """

    everyone: list[str]
    arms: pd.Series
    pair: tuple[str, str]
    visits: pd.DataFrame = field(repr=False)
    unusable: dict[str, str] = field(default_factory=dict)


def flow_table(steps: Iterable[tuple[str, str, frozenset[str]]], arms: pd.Series) -> pd.DataFrame:
    """Number of participants per step and arm, FLOW_COLUMNS, with a row "all" for each step.

    Parameters
    ----------
    steps : iterable of (step, detail, participants)
        Labels of the participants that reach the step.
    arms : pd.Series of str
        Arm per participant label; a participant without one is counted in "all" only.
    """
    levels, rows = _levels(arms), []
    for step, detail, people in steps:
        rows.append((step, detail, "all", len(people), ""))
        member = arms[arms.index.isin(people)]
        rows += [(step, detail, level, int((member == level).sum()), "") for level in levels]
    return pd.DataFrame(rows, columns=FLOW_COLUMNS)


def scan_steps(
    visits: pd.DataFrame, changes: pd.DataFrame, pair: tuple[str, str]
) -> Iterator[tuple[str, str, frozenset[str]]]:
    """Steps of the images: scanned at baseline, at both, usable pair per modality."""
    scanned = visits[visits["status"].isin(SCANNED)]
    at = [
        frozenset(scanned.loc[scanned["session_id"] == label, "participant_id"]) for label in pair
    ]
    yield f"scanned at ses-{pair[0]}", "", at[0]
    yield f"scanned at ses-{pair[0]} and ses-{pair[1]}", "", at[0] & at[1]
    tested = changes[(changes["baseline"] == pair[0]) & (changes["followup"] == pair[1])]
    there = tested[tested["change"].notna()]
    for modality in visits["modality"].drop_duplicates():
        people = there.loc[there["modality"] == modality, "participant_id"]
        yield "usable pair", str(modality), frozenset(people)


def analysed_rows(tests: pd.DataFrame, arms: Collection[str] | None = None) -> pd.DataFrame:
    """Participants of the test with most participants, per family and arm, FLOW_COLUMNS.

    Parameters
    ----------
    tests : pd.DataFrame
        family, n, n_per_arm ("CBT=4;WL=3") of each test that was made.
    arms : collection of str, optional
        Arms of the study; counts of other groups (remitters) are left out.
    """
    rows = []
    for family, part in tests.groupby("family", sort=False):
        largest = part.loc[part["n"].idxmax()]
        rows.append(("analysed", family, "all", int(largest["n"]), ""))
        counts = [text.rsplit("=", 1) for text in str(largest["n_per_arm"]).split(";")]
        known = [(arm, n) for arm, n in counts if arms is None or arm in arms]
        rows += [("analysed", family, arm, int(n), "") for arm, n in known if len(counts) > 1]
    return pd.DataFrame(rows, columns=FLOW_COLUMNS)


def lost_pairs(
    visits: pd.DataFrame,
    usable: dict[str, frozenset[str]],
    pair: tuple[str, str],
    everyone: list[str],
) -> pd.DataFrame:
    """Participants without a usable pair, counted by reason, FLOW_COLUMNS.

    Parameters
    ----------
    visits : pd.DataFrame
        participant_id, session_id, modality, status, reason; one row per scan looked for.
    usable : dict of str to frozenset of str
        Participants with a usable pair, per modality.
    pair : tuple of str
        First and last planned session.
    everyone : list of str
        All participants, with or without scans.
    """
    rows = []
    for modality, people in usable.items():
        scans = visits[visits["modality"] == modality]
        reasons = [_reason(scans, label, pair) for label in everyone if label not in people]
        for reason, n in pd.Series(reasons, dtype=object).value_counts().items():
            rows.append(("no usable pair", modality, "all", int(n), reason))
    return pd.DataFrame(rows, columns=FLOW_COLUMNS)


def score_steps(
    scores: pd.DataFrame, score_change: pd.DataFrame, baseline: str
) -> Iterator[tuple[str, str, frozenset[str]]]:
    """Steps of the scores: with one at baseline, with both, per score.

    Parameters
    ----------
    scores : pd.DataFrame
        participant_id, session_id, score, value.
    score_change : pd.DataFrame
        One column per score, indexed by participant.
    baseline : str
        First session of the pair.
    """
    there = scores[(scores["session_id"] == baseline) & scores["value"].notna()]
    for name in score_change:
        people = there.loc[there["score"] == name, "participant_id"]
        yield f"score at ses-{baseline}", str(name), frozenset(people)
        both = score_change.index[score_change[name].notna()]
        yield "score at both", str(name), frozenset(both)


def excluded_scans(cohort: FlowCohort) -> pd.DataFrame:
    """Participants with a scan of the two sessions that failed, by reason, FLOW_COLUMNS."""
    visits = cohort.visits
    failed = visits[visits["status"].isin(FAILED) & visits["session_id"].isin(cohort.pair)]
    rows = []
    for modality, part in failed.groupby("modality", sort=False):
        texts = "ses-" + part["session_id"] + ": " + part["reason"].fillna("").astype(str)
        for reason, people in part["participant_id"].groupby(texts, sort=False):
            rows += _counted("excluded scan", modality, reason, list(people), cohort.arms)
    return pd.DataFrame(rows, columns=FLOW_COLUMNS)


def family_pairs(
    changes: pd.DataFrame, score_change: pd.DataFrame, pair: tuple[str, str]
) -> dict[tuple[str, str, str], frozenset[str]]:
    """Participants with a change between the two sessions, per modality, measure and atlas.

    Parameters
    ----------
    changes : pd.DataFrame
        participant_id, baseline, followup, modality, measure, atlas, change.
    score_change : pd.DataFrame
        One column per score, indexed by participant.
    """
    tested = changes[(changes["baseline"] == pair[0]) & (changes["followup"] == pair[1])]
    there = tested[tested["change"].notna()]
    keys = there[["modality", "measure", "atlas"]].fillna("")
    pairs = {
        tuple(key): frozenset(there["participant_id"].iloc[rows])
        for key, rows in keys.groupby(list(keys), sort=False).indices.items()
    }
    scores = {
        (SCORE, str(name), ""): frozenset(score_change.index[score_change[name].notna()])
        for name in score_change
    }
    return pairs | {key: people for key, people in scores.items() if people}


def not_analysed(
    tests: pd.DataFrame,
    model: str,
    pairs: dict[tuple[str, str, str], frozenset[str]],
    cohort: FlowCohort,
) -> pd.DataFrame:
    """Everybody who is not in the main model, by reason and arm, FLOW_COLUMNS.

    For each family of the model the rows of arm "all" and the largest number analysed
    (`analysed_rows`) add up to all participants.

    Parameters
    ----------
    tests : pd.DataFrame
        FLOW_TESTS of all models; p is NaN for tests that were not made.
    model : str
        Name of the main model.
    pairs : dict
        As `family_pairs` gives it; a family of edges takes those of its modality.
    cohort : FlowCohort
    """
    own = tests[tests["model"] == model]
    if own.empty:
        reason = "the model could not be fitted: see problems.tsv"
        rows = _counted("not analysed", model, reason, cohort.everyone, cohort.arms)
        return pd.DataFrame(rows, columns=FLOW_COLUMNS)
    rows = []
    for family, part in own.groupby("family", sort=False):
        key = tuple(part[["modality", "measure", "atlas"]].fillna("").iloc[0])
        people = pairs.get(key) or _of_modality(pairs, key[0])
        rows += _lost_rows(family, _reasons(key[0], people, cohort), part, cohort)
    return pd.DataFrame(rows, columns=FLOW_COLUMNS)


def untested_families(tests: pd.DataFrame) -> list[Problem]:
    """Families of which nothing could be tested, with the note of their rows.

    It is a problem where the test was planned, else a note.

    Parameters
    ----------
    tests : pd.DataFrame
        FLOW_TESTS of all models; p is NaN for tests that were not made.
    """
    problems = []
    for (model, family), part in tests.groupby(["model", "family"], sort=False):
        if part["p"].isna().all():
            notes = [str(note) for note in part["note"].dropna() if note]
            what = f"nothing could be tested ({notes[0] if notes else 'no values'})"
            where = f"model {model}: {str(family).removeprefix(f'{model}: ')}"
            kind = PROBLEM if part["planned"].astype(str).eq("True").any() else NOTE
            problems.append(Problem(what, where, "see flow.tsv for who is missing and why", kind))
    return problems


def _of_modality(pairs, modality):
    return frozenset().union(*(people for key, people in pairs.items() if key[0] == modality))


def _reasons(modality, people, cohort):
    """Reason of each participant who cannot be in a family."""
    scans = cohort.visits[cohort.visits["modality"] == modality]
    reasons = {}
    for who in cohort.everyone:
        if who not in people:
            missing = f"no score at ses-{cohort.pair[0]} or ses-{cohort.pair[1]}"
            reasons[who] = missing if modality == SCORE else _reason(scans, who, cohort.pair)
        elif who in cohort.unusable:
            reasons[who] = cohort.unusable[who]
    return reasons


def _lost_rows(family, reasons, tests, cohort):
    """Rows of one family: counted reasons, and those the model itself left out."""
    rows, lost = [], pd.Series(reasons, dtype=object)
    for reason, people in lost.groupby(lost, sort=False).groups.items():
        rows += _counted("not analysed", family, reason, list(people), cohort.arms)
    kept = [who for who in cohort.everyone if who not in reasons]
    made = tests[tests["p"].notna()]
    if made.empty:
        return rows + _counted("not analysed", family, UNTESTED, kept, cohort.arms)
    largest = made.loc[made["n"].idxmax()]
    n_more = len(kept) - int(largest["n"])
    if n_more <= 0:
        return rows
    rows.append(("not analysed", family, "all", n_more, OTHER))
    counts = dict(text.rsplit("=", 1) for text in str(largest["n_per_arm"]).split(";"))
    member = cohort.arms.reindex(kept)
    for arm in _levels(cohort.arms):
        n_arm = int((member == arm).sum()) - int(counts.get(arm, 0))
        rows += [("not analysed", family, arm, n_arm, OTHER)] if n_arm > 0 else []
    return rows


def _counted(step, detail, reason, people, arms):
    """Rows of some participants: all, and those of each arm that has any."""
    member = arms.reindex(list(dict.fromkeys(people)))
    counts = [(arm, int((member == arm).sum())) for arm in _levels(arms)]
    own = [(step, detail, arm, n, reason) for arm, n in counts if n]
    return [(step, detail, "all", len(member), reason), *own]


def _levels(arms):
    return [str(level) for level in np.unique(arms[arms != ""].to_numpy(dtype=str))]


def _reason(scans, participant, pair):
    reasons = []
    for label in pair:
        scan = scans[(scans["participant_id"] == participant) & (scans["session_id"] == label)]
        if (scan["status"] == "used").any():
            continue
        known = [str(text) for text in scan["reason"].dropna() if text]
        reasons.append(f"ses-{label}: {known[0] if known else 'not found'}")
    return "; ".join(reasons) or "no value in both sessions"
