"""Families of tests: one measure of one modality as arrays of sessions, participants and tests."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd

MOTION = "fd_mean"
QUALITY = frozenset({MOTION, "clean_minutes", "tsnr"})
QUALITY_PREFIXES = ("mriqc_", "cat12_")
EDGES = "connectivity"
BLOCK = 8192
EXPLORATORY = frozenset(
    {
        "within_network",
        "between_network",
        "global_efficiency",
        "modularity",
        "mean_clustering",
        "alff",
        "falff",
        "reho",
    }
)
"""Measures of BOLD that are never the planned question unless a model names them."""
SECOND = {"volume": "deformation"}
"""Measures that tell the same as another one, which tells it with less error."""


@dataclass(frozen=True)
class Family:
    """Tests corrected together.

    `labels` has one row per test: region, region_a, region_b (n/a is None). `values` is
    n_sessions x n_participants x n_tests, sessions in the order of time. `compared` are the
    places of the two sessions whose change is tested. `is_process` marks scores of what may
    carry the treatment; like the quality of images they are never the planned question.
    `is_second` marks a measure that is exploratory unless a model names it: another one tells
    the same with less error, or it is one of many summaries of the same images.
    """

    modality: str
    measure: str
    atlas: str
    unit: str
    labels: pd.DataFrame
    values: np.ndarray = field(repr=False)
    sessions: tuple[str, ...] = ("pre", "post")
    compared: tuple[int, int] = (0, -1)
    is_process: bool = False
    is_second: bool = False

    @property
    def baseline(self) -> np.ndarray:
        """Values of the first compared session."""
        return self.values[self.compared[0]]

    @property
    def followup(self) -> np.ndarray:
        """Values of the second compared session."""
        return self.values[self.compared[1]]

    @property
    def change(self) -> np.ndarray:
        """Follow-up minus baseline."""
        return self.followup - self.baseline

    @property
    def name(self) -> str:
        """Modality, measure and atlas."""
        return " ".join(part for part in (self.modality, self.measure, self.atlas) if part)

    @property
    def is_quality(self) -> bool:
        """Whether the measure tells about the images, not about the brain."""
        return is_quality(self.measure)

    def blocks(self) -> Iterator[Family]:
        """Parts of at most `BLOCK` tests, so that temporary arrays stay small."""
        for start in range(0, self.values.shape[2], BLOCK):
            part = slice(start, start + BLOCK)
            labels = self.labels.iloc[part].reset_index(drop=True)
            values = np.asarray(self.values[:, :, part], dtype=float)
            yield replace(self, labels=labels, values=values)

    def only(self, regions: tuple[str, ...]) -> Family:
        """Tests of these regions, or of edges that touch one of them."""
        wanted = self.labels.isin(regions).any(axis=1).to_numpy()
        labels = self.labels[wanted].reset_index(drop=True)
        return replace(self, labels=labels, values=self.values[:, :, wanted])


@dataclass(frozen=True)
class Cohort:
    """Participants in the row order of the families.

    `participants` holds the columns of participants.tsv, `score_change` one column per
    score, follow-up minus baseline, `scores` one per (score, session), "" for a score that
    belongs to no session, and `days` one per session, days from baseline (NaN: unknown).
    `pair` are the labels of the compared sessions.
    """

    participants: pd.DataFrame
    score_change: pd.DataFrame
    scores: pd.DataFrame = field(default_factory=pd.DataFrame)
    days: pd.DataFrame = field(default_factory=pd.DataFrame)
    pair: tuple[str, str] = ("pre", "post")


def is_quality(measure: str) -> bool:
    """Whether a measure tells about the images, not about the brain."""
    return measure in QUALITY or measure.startswith(QUALITY_PREFIXES)


def participants_of(visits: pd.DataFrame) -> list[str]:
    """Labels of all participants with a visit, in text order.

    A fixed order, so that the order of rows in a file cannot change a result.
    """
    return [str(label) for label in np.unique(visits["participant_id"].astype(str))]


def score_table(scores: pd.DataFrame, participants: list[str]) -> pd.DataFrame:
    """Scores as participants x (score, session); session "" for scores of no session.

    Parameters
    ----------
    scores : pd.DataFrame
        Long: participant_id, session_id, score, value; NaN where unknown.
    participants : list of str
        Rows of the result.
    """
    session = scores["session_id"].astype(object).where(scores["session_id"].notna(), "")
    columns = pd.MultiIndex.from_frame(pd.DataFrame({"a": scores["score"], "b": session}))
    columns = columns.drop_duplicates().set_names(["score", "session_id"])
    table = np.full((len(participants), len(columns)), np.nan)
    person = pd.Index(participants).get_indexer(scores["participant_id"])
    known = person >= 0
    place = columns.get_indexer(pd.MultiIndex.from_arrays([scores["score"], session]))
    table[person[known], place[known]] = scores["value"].to_numpy(dtype=float)[known]
    return pd.DataFrame(table, index=participants, columns=columns)


def score_change(table: pd.DataFrame, pair: tuple[str, str]) -> pd.DataFrame:
    """Change of each score, follow-up minus baseline, participants x scores.

    Parameters
    ----------
    table : pd.DataFrame
        As `score_table` gives it.
    pair : tuple of str
        Baseline and follow-up session; NaN for a participant without both scores.
    """
    names = list(dict.fromkeys(table.columns.get_level_values(0))) if len(table.columns) else []
    sides = [
        table.reindex(columns=pd.MultiIndex.from_product([names, [label]])).to_numpy(dtype=float)
        for label in pair
    ]
    return pd.DataFrame(sides[1] - sides[0], index=table.index, columns=names)


def region_families(
    measures: pd.DataFrame,
    visits: pd.DataFrame,
    sessions: tuple[str, ...],
    compared: tuple[int, int],
    participants: list[str],
) -> tuple[Family, ...]:
    """One family per modality, measure and atlas of a table of measures.

    Parameters
    ----------
    measures : pd.DataFrame
        Long: participant_id, session_id, modality, measure, atlas, region, value, unit.
    visits : pd.DataFrame
        Scans that are used: participant_id, session_id, modality; others are left out.
    sessions : tuple of str
        Sessions in the order of time.
    compared : tuple of int
        Places in `sessions` of baseline and follow-up.
    participants : list of str
        Row order; a participant without the measure has NaN.

    Notes
    -----
    Regions keep the order in which the table names them.
    """
    keys = ["participant_id", "session_id", "modality"]
    used = measures.merge(visits[keys].drop_duplicates(), on=keys)
    families = []
    for names, part in used.groupby(["modality", "measure", "atlas"], sort=False, dropna=False):
        regions = pd.Index(part["region"].drop_duplicates())
        values = np.full((len(sessions), len(participants), len(regions)), np.nan)
        places = [
            pd.Index(known).get_indexer(part[column])
            for known, column in (
                (sessions, "session_id"),
                (participants, "participant_id"),
                (regions, "region"),
            )
        ]
        known = np.all([place >= 0 for place in places], axis=0)
        values[tuple(place[known] for place in places)] = part["value"].to_numpy(float)[known]
        labels = pd.DataFrame({"region": regions, "region_a": None, "region_b": None})
        texts = (*map(_text, names), _text(part["unit"].iloc[0]))
        families.append(Family(*texts, labels, values, sessions, compared))
    made = {(family.modality, family.measure, family.atlas) for family in families}
    better = [(family.modality, SECOND.get(family.measure), family.atlas) for family in families]
    pairs = zip(families, better, strict=True)
    return tuple(
        replace(family, is_second=other in made or family.measure in EXPLORATORY)
        for family, other in pairs
    )


def edge_family(
    values: np.ndarray,
    scans: pd.DataFrame,
    edges: pd.DataFrame,
    order: tuple[tuple[str, ...], tuple[int, int], list[str]],
    names: tuple[str, str],
) -> Family:
    """Family of all edges of one modality and atlas.

    Parameters
    ----------
    values : np.ndarray, shape (n_scans, n_edges)
        Fisher z; may be a memory map, of which only the named scans are read.
    scans : pd.DataFrame
        participant_id, session_id and row (of `values`) of the scans that are used.
    edges : pd.DataFrame
        region_a and region_b of each column of `values`.
    order : tuple
        Sessions, places of the compared ones, and participants; one without a scan has NaN.
    names : tuple of str
        Modality and atlas.
    """
    sessions, compared, participants = order
    placed = np.full((len(sessions), len(participants), values.shape[1]), np.nan, np.float32)
    session = pd.Index(sessions).get_indexer(scans["session_id"])
    person = pd.Index(participants).get_indexer(scans["participant_id"])
    for first, second, row in zip(session, person, scans["row"], strict=True):
        if first >= 0 and second >= 0:
            placed[first, second] = values[row]
    labels = edges[["region_a", "region_b"]].assign(region=None)[["region", "region_a", "region_b"]]
    return Family(names[0], EDGES, names[1], "z", labels, placed, sessions, compared)


def _text(value):
    return "" if pd.isna(value) else str(value)
