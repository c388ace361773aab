"""What the group level left on disk, read without insisting on any file."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from urllib.parse import unquote, urlparse

import pandas as pd

from bids_utils.derivatives import read_table
from bids_utils.errors import DatasetError
from bids_utils.sidecars import read_json
from configs.settings import Settings, load_settings
from workflows.compute.families import Cohort
from workflows.compute.findings import Finding, findings
from workflows.compute.results import ModelSpec
from workflows.compute.term_words import SCORE
from workflows.interfaces.group_cohort import load_cohort
from workflows.interfaces.group_tables import load_table

SENSITIVITY = "sensitivity"
FLOW_TEXTS = ("step", "detail", "arm", "reason")
MODEL_MARKS = frozenset({"family", "n_per_arm", "effect_size_name", "p_fdr"})
EDGE_ENDING = "_edges"
EDGE_COLUMNS = (
    *("model", "family", "planned", "term", "modality", "measure", "atlas", "region_a"),
    *("region_b", "unit", "estimate", "standard_error", "ci_low", "ci_high", "df", "p"),
    *("p_fdr", "p_fwe", "fwe_method", "effect_size_name", "n", "n_per_arm", "formula", "note"),
)
NUMBERS = frozenset({"planned", "estimate", "standard_error", "ci_low", "ci_high", "df", "n"})
OUTCOME_TABLES = (
    *("outcomes", "outcome_criteria", "outcome_rates", "outcome_differences", "completers"),
    *("scores", "time_to_response"),
)


@dataclass(frozen=True)
class GroupResults:
    """Tables of the group level; a missing file is a table without rows.

    `models` are tables of tests, `extras` those of mechanisms, processes, predictions and
    networks, `outcomes` those of the scores, each by the name of its file. `specs` says what
    each model was asked, where that is known.
    """

    output_dir: Path
    settings: Settings
    models: dict[str, pd.DataFrame]
    extras: dict[str, pd.DataFrame]
    outcomes: dict[str, pd.DataFrame]
    sensitivity: pd.DataFrame
    flow: pd.DataFrame
    problems: pd.DataFrame
    change: pd.DataFrame
    ledger: pd.DataFrame
    specs: dict[str, ModelSpec] = field(default_factory=dict)
    quality: pd.DataFrame = field(default_factory=pd.DataFrame)
    quality_pairs: pd.DataFrame = field(default_factory=pd.DataFrame)

    @cached_property
    def findings(self) -> list[Finding]:
        """Every family and term in words, planned ones first."""
        group, said = self.settings.group, []
        for table in self.models.values():
            said += findings(table, self.sensitivity, group.alpha, group.randomised)
        return [f for f in said if f.planned] + [f for f in said if not f.planned]

    @cached_property
    def cohort(self) -> Cohort | None:
        """Arms and scores from the dataset; None where that dataset is not there any more."""
        return read_cohort(self)

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

    def families(self, scores: bool) -> Iterator[pd.DataFrame]:
        """Rows of one model and family, all its terms: of scores, or of the brain."""
        for table in self.models.values():
            own = table[(table["modality"] == SCORE) == scores]
            for _, rows in own.groupby(["model", "family"], sort=False):
                yield rows

    def extras_of(self, kind: str) -> dict[str, pd.DataFrame]:
        """Tables of one kind of analysis by its name, e.g. all mechanisms."""
        start = f"{kind}_"
        return {
            name.removeprefix(start): table
            for name, table in self.extras.items()
            if name.startswith(start) and len(table)
        }


def read_results(output_dir: Path, specs: dict[str, ModelSpec] | None = None) -> GroupResults:
    """All that the report of the group is made of."""
    group = output_dir / "group"
    paths = sorted(group.glob("models/*.tsv"))
    tables = {path.stem: _model_table(path) for path in paths}
    sensitivity = tables.pop(SENSITIVITY, pd.DataFrame())
    tested = {name for name, table in tables.items() if set(table) >= MODEL_MARKS and len(table)}
    return GroupResults(
        output_dir=output_dir,
        settings=read_settings(output_dir),
        models={name: table for name, table in tables.items() if name in tested},
        extras={name: table for name, table in tables.items() if name not in tested},
        outcomes={name: _optional(group / f"{name}.tsv") for name in OUTCOME_TABLES},
        sensitivity=sensitivity,
        flow=_texts(group / "flow.tsv", FLOW_TEXTS),
        problems=_texts(group / "problems.tsv", ("what", "where", "what_to_do")),
        change=_optional(group / "change.tsv"),
        ledger=_texts(output_dir / "ledger.tsv", ("modality", "status", "reason", "scanner")),
        specs=specs or {},
        quality=_optional(group / "quality.tsv"),
        quality_pairs=_optional(group / "quality_pairs.tsv"),
    )


def read_settings(output_dir: Path) -> Settings:
    """Settings the results were made with; defaults where they were not kept."""
    path = output_dir / "settings.yaml"
    return load_settings(path if path.is_file() else None)


def dataset_of(output_dir: Path) -> Path | None:
    """Dataset the results were made of, if they say so."""
    path = output_dir / "dataset_description.json"
    links = read_json(path).get("DatasetLinks") if path.is_file() else None
    address = links.get("raw") if isinstance(links, dict) else None
    if not isinstance(address, str):
        return None
    return (output_dir / unquote(urlparse(address).path)).resolve()


def read_cohort(results: GroupResults) -> Cohort | None:
    """Arms and change of the scores, from the dataset the results were made of."""
    bids_dir, scores_file = dataset_of(results.output_dir), results.outcomes["scores"]
    if bids_dir is None or results.pair is None or not len(scores_file):
        return None
    known = [*results.change["participant_id"], *scores_file["participant_id"]]
    people = list(dict.fromkeys(label for label in known if isinstance(label, str)))
    try:
        scores = load_table(results.output_dir / "group" / "scores.tsv")
        return load_cohort(bids_dir, scores, results.pair, people)
    except DatasetError:
        return None


def read_edges(path: Path) -> pd.DataFrame:
    """Rows of connections, only the columns that a page needs; they may be very many."""
    header = pd.read_csv(path, sep="\t", nrows=0, quoting=csv.QUOTE_NONE).columns
    wanted = [name for name in EDGE_COLUMNS if name in header]
    texts = {n: "str" for n in wanted if n not in NUMBERS and not n.startswith("p")}
    table = pd.read_csv(
        path,
        sep="\t",
        usecols=wanted,
        dtype=texts,
        na_values=["n/a", ""],
        keep_default_na=False,
        quoting=csv.QUOTE_NONE,
    )
    filled = {name: table[name].astype(object).fillna("") for name in texts}
    return table.assign(region="", **filled)


def _model_table(path: Path) -> pd.DataFrame:
    return read_edges(path) if path.stem.endswith(EDGE_ENDING) else load_table(path)


def _optional(path: Path) -> pd.DataFrame:
    return load_table(path) if path.is_file() else pd.DataFrame()


def _texts(path: Path, columns: tuple[str, ...]) -> pd.DataFrame:
    return read_table(path, text_columns=columns) if path.is_file() else pd.DataFrame()
