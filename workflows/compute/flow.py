"""Participants at each step from the list to the analysis, per arm."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import pandas as pd

FLOW_COLUMNS = ["step", "detail", "arm", "n", "reason"]
SCANNED = frozenset({"used", "found", "excluded", "broken"})


def flow_table(steps: Iterable[tuple[str, str, frozenset[str]]], arms: pd.Series) -> pd.DataFrame:
    """Number of participants per step and arm, FLOW_COLUMNS, with a row "all" for each step.

    Parameters
    ----------
    steps : iterable of (step, detail, participants)
        Labels of the participants that reach the step.
    arms : pd.Series of str
        Arm per participant label; a participant without one is counted in "all" only.
    """
    levels = [str(level) for level in np.unique(arms[arms != ""].to_numpy(dtype=str))]
    rows = []
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


def analysed_rows(tests: pd.DataFrame) -> pd.DataFrame:
    """Participants of the test with most participants, per family and arm, FLOW_COLUMNS.

    Parameters
    ----------
    tests : pd.DataFrame
        family, n, n_per_arm ("CBT=4;WL=3") of each test that was made.
    """
    rows = []
    for family, part in tests.groupby("family", sort=False):
        largest = part.loc[part["n"].idxmax()]
        rows.append(("analysed", family, "all", int(largest["n"]), ""))
        counts = [text.rsplit("=", 1) for text in str(largest["n_per_arm"]).split(";")]
        rows += [("analysed", family, arm, int(n), "") for arm, n in counts if len(counts) > 1]
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


def _reason(scans, participant, pair):
    reasons = []
    for label in pair:
        scan = scans[(scans["participant_id"] == participant) & (scans["session_id"] == label)]
        if (scan["status"] == "used").any():
            continue
        known = [str(text) for text in scan["reason"].dropna() if text]
        reasons.append(f"ses-{label}: {known[0] if known else 'not found'}")
    return "; ".join(reasons) or "no value in both sessions"
