"""Families of tests: one measure of one modality as arrays of participants by tests."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

MOTION = "fd_mean"
QUALITY = frozenset({MOTION, "clean_minutes", "tsnr"})


@dataclass(frozen=True)
class Family:
    """Tests corrected together, n_participants x n_tests.

    `labels` has one row per test: region, region_a, region_b (n/a is None).
    """

    modality: str
    measure: str
    atlas: str
    unit: str
    labels: pd.DataFrame
    baseline: np.ndarray
    followup: np.ndarray

    @property
    def change(self) -> np.ndarray:
        """Follow-up minus baseline."""
        return self.followup - self.baseline

    @property
    def name(self) -> str:
        """Modality, measure and atlas."""
        return " ".join(part for part in (self.modality, self.measure, self.atlas) if part)


@dataclass(frozen=True)
class Cohort:
    """Participants in the row order of the families.

    `participants` holds the columns of participants.tsv, `score_change` one column per
    symptom score, follow-up minus baseline.
    """

    participants: pd.DataFrame
    score_change: pd.DataFrame


def pair_participants(changes: pd.DataFrame, pair: tuple[str, str]) -> list[str]:
    """Labels of the participants with this pair of sessions, in text order.

    A fixed order, so that the order of rows in a file cannot change a result.
    """
    rows = changes[(changes["baseline"] == pair[0]) & (changes["followup"] == pair[1])]
    return [str(label) for label in np.unique(rows["participant_id"].astype(str))]


def score_change(
    scores: pd.DataFrame, pair: tuple[str, str], participants: list[str]
) -> pd.DataFrame:
    """Change of each score, follow-up minus baseline, participants x scores.

    Parameters
    ----------
    scores : pd.DataFrame
        Long: participant_id, session_id, score, value; NaN where unknown.
    pair : tuple of str
        Baseline and follow-up session.
    participants : list of str
        Rows of the result; NaN for a participant without both scores.
    """
    names = scores["score"].drop_duplicates().tolist()
    values = scores.set_index(["session_id", "participant_id", "score"])["value"].astype(float)
    sides = [
        values.reindex(pd.MultiIndex.from_product([[label], participants, names]))
        .to_numpy()
        .reshape(len(participants), len(names))
        for label in pair
    ]
    return pd.DataFrame(sides[1] - sides[0], index=participants, columns=names)


def region_families(
    changes: pd.DataFrame, pair: tuple[str, str], participants: list[str]
) -> tuple[Family, ...]:
    """One family per modality, measure and atlas of the change table, for one pair of sessions.

    Regions keep the order in which the table names them; a participant without the
    measure has NaN.
    """
    rows = changes[(changes["baseline"] == pair[0]) & (changes["followup"] == pair[1])]
    keys = ["modality", "measure", "atlas"]
    families = []
    for (modality, measure, atlas), part in rows.groupby(keys, sort=False, dropna=False):
        regions = part["region"].drop_duplicates()
        cells = pd.MultiIndex.from_product([participants, regions])
        values = part.set_index(["participant_id", "region"])
        sides = [
            values[name].reindex(cells).to_numpy(dtype=float).reshape(-1, len(regions))
            for name in ("baseline_value", "followup_value")
        ]
        names = (_text(modality), _text(measure), _text(atlas), _text(part["unit"].iloc[0]))
        labels = pd.DataFrame({"region": regions, "region_a": None, "region_b": None})
        families.append(Family(*names, labels.reset_index(drop=True), *sides))
    return tuple(families)


def edge_family(
    values: np.ndarray,
    pair_rows: pd.DataFrame,
    edges: pd.DataFrame,
    participants: list[str],
    names: tuple[str, str],
) -> Family:
    """Family of all edges of one modality and atlas.

    Parameters
    ----------
    values : np.ndarray, shape (n_scans, n_edges)
        Fisher z.
    pair_rows : pd.DataFrame
        participant_id, baseline_row, followup_row: rows of `values`.
    edges : pd.DataFrame
        region_a and region_b of each column of `values`.
    participants : list of str
        Row order of the family; one without the pair has NaN.
    names : tuple of str
        Modality and atlas.
    """
    sides = [np.full((len(participants), values.shape[1]), np.nan) for _ in range(2)]
    place = {label: row for row, label in enumerate(participants)}
    for label, first, last in pair_rows.itertuples(index=False):
        sides[0][place[label]], sides[1][place[label]] = values[first], values[last]
    labels = edges[["region_a", "region_b"]].assign(region=None)
    return Family(names[0], "connectivity", names[1], "z", labels, *sides)


def _text(value):
    return "" if pd.isna(value) else str(value)
