"""What the group level left on disk, read without insisting on any file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlparse

import pandas as pd

from bids_utils.derivatives import read_table
from bids_utils.errors import DatasetError
from bids_utils.sidecars import read_json
from configs.settings import Settings, load_settings
from workflows.compute.families import Cohort
from workflows.compute.results import MODEL_COLUMNS
from workflows.interfaces.group_cohort import load_cohort, load_scores
from workflows.interfaces.group_tables import load_table

SENSITIVITY = "sensitivity"
FLOW_TEXTS = ("step", "detail", "arm", "reason")


@dataclass(frozen=True)
class GroupResults:
    """Tables of the group level; a missing file is a table without rows."""

    output_dir: Path
    settings: Settings
    models: dict[str, pd.DataFrame]
    sensitivity: pd.DataFrame
    flow: pd.DataFrame
    problems: pd.DataFrame
    change: pd.DataFrame
    ledger: pd.DataFrame

    @property
    def tests(self) -> pd.DataFrame:
        """Rows of all models."""
        filled = [table for table in self.models.values() if len(table)]
        if not filled:
            return pd.DataFrame(columns=MODEL_COLUMNS)
        return pd.concat(filled, ignore_index=True).reindex(columns=MODEL_COLUMNS)

    @property
    def pair(self) -> tuple[str, str] | None:
        """The two sessions that were tested, or None."""
        if not len(self.change) or not len(self.flow):
            return None
        steps = set(self.flow["step"])
        pairs = self.change[["baseline", "followup"]].drop_duplicates()
        for first, second in pairs.itertuples(index=False):
            if f"scanned at ses-{first} and ses-{second}" in steps:
                return str(first), str(second)
        return None


def read_results(output_dir: Path) -> GroupResults:
    """All that the report of the group is made of."""
    group = output_dir / "group"
    tables = {path.stem: load_table(path) for path in sorted(group.glob("models/*.tsv"))}
    sensitivity = tables.pop(SENSITIVITY, pd.DataFrame())
    settings_file = output_dir / "settings.yaml"
    return GroupResults(
        output_dir=output_dir,
        settings=load_settings(settings_file if settings_file.is_file() else None),
        models=tables,
        sensitivity=sensitivity,
        flow=_texts(group / "flow.tsv", FLOW_TEXTS),
        problems=_texts(group / "problems.tsv", ("what", "where", "what_to_do")),
        change=load_table(group / "change.tsv") if _there(group / "change.tsv") else _nothing(),
        ledger=_texts(output_dir / "ledger.tsv", ("modality", "status", "reason", "scanner")),
    )


def read_cohort(results: GroupResults) -> Cohort | None:
    """Arms and change of the scores, from the dataset the results were made of.

    None where that dataset is not there any more.
    """
    path = results.output_dir / "dataset_description.json"
    links = read_json(path).get("DatasetLinks") if path.is_file() else None
    address = links.get("raw") if isinstance(links, dict) else None
    if not isinstance(address, str) or results.pair is None:
        return None
    people = list(dict.fromkeys(results.change["participant_id"]))
    try:
        bids_dir = Path(unquote(urlparse(address).path))
        scores = load_scores(str(results.output_dir / "group" / "scores.tsv"))
        return load_cohort(bids_dir, scores, results.pair, people)
    except DatasetError:
        return None


def arm_labels(results: GroupResults, cohort: Cohort) -> pd.Series:
    """Arm of each participant; "all" where the study has none."""
    column = results.settings.group.arm_column
    if column is None or column not in cohort.participants:
        return pd.Series("all", index=cohort.participants.index, dtype=object)
    return cohort.participants[column].astype(object).fillna("unknown").astype(str)


def _texts(path: Path, columns: tuple[str, ...]) -> pd.DataFrame:
    return read_table(path, text_columns=columns) if _there(path) else _nothing()


def _there(path: Path) -> bool:
    return path.is_file()


def _nothing() -> pd.DataFrame:
    return pd.DataFrame()
