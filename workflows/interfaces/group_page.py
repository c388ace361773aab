"""The page of the group, from what is on disk; a missing table is said, never a crash."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from bids_utils.derivatives import write_text
from bids_utils.errors import DatasetError
from workflows.compute.findings import (
    ONE_ARM_CAUTION,
    caution,
    findings,
    flow_levels,
    has_one_arm,
    is_association,
    measure_name,
)
from workflows.interfaces.group_pictures import (
    GroupPicture,
    brain_map,
    connection_picture,
    interval_picture,
    matrix_picture,
    scatter_pictures,
)
from workflows.interfaces.group_results import (
    GroupResults,
    arm_labels,
    read_cohort,
    read_results,
)
from workflows.interfaces.report_pages import cell_text, rendered

MAX_ROWS = 300
MAX_SECTIONS = 4
REGIONAL = ("volume", "thickness", "mean_connectivity")
EDGES = "connectivity"
HEADINGS = {
    "region_a": "from region",
    "region_b": "to region",
    "ci_low": "interval from",
    "ci_high": "interval to",
    "p_fdr": "p corrected (FDR)",
    "p_fwe": "p corrected (Holm)",
    "effect_low": "effect from",
    "effect_high": "effect to",
    "effect_size_name": "kind of effect size",
    "n_per_arm": "n per group",
    "smallest_uncorrected": "smallest effect, one test",
    "smallest_bonferroni": "smallest effect, all tests",
}


@dataclass(frozen=True)
class Section:
    """Pictures of one family of tests and one term, with what they do not mean."""

    title: str
    caution: str
    pictures: list[GroupPicture]


@dataclass(frozen=True)
class Sheet:
    """A table of the page; `constant` are columns with the same text in all rows."""

    title: str
    constant: list[tuple[str, str]]
    headings: list[tuple[str, str]]
    rows: list[list[tuple[str, str]]]
    cut: str


def write_page(output_dir: Path) -> Path:
    """Write group/report.html from the tables on disk; returns its path.

    Raises
    ------
    DatasetError
        There is no folder of the group level, or the page cannot be written.
    """
    group = output_dir / "group"
    if not group.is_dir():
        raise DatasetError(f"{group}: not there; run the group level first")
    results = read_results(output_dir)
    alpha = results.settings.group.alpha
    tests = results.tests
    said = findings(tests, results.sensitivity, alpha, results.settings.group.randomised)
    page = rendered(
        "group.html.j2",
        title="Change in the brain: results of the group",
        said=said,
        one_arm=one_arm_text(tests),
        levels=flow_levels(results.flow) if len(results.flow) else [],
        lost=lost_rows(results.flow),
        exclusions=exclusion_rows(results.ledger),
        region_sections=region_sections(results),
        symptom_sections=symptom_sections(results),
        edge_sections=edge_sections(results),
        sheets=[sheet(name, table) for name, table in results.models.items()],
        sensitivity=sheet("Smallest effects", results.sensitivity),
        problems=sheet("Problems", results.problems),
        formulas=list(dict.fromkeys(f for f in tests["formula"].dropna() if f)),
        alpha=alpha,
        methods=text_of(output_dir / "logs" / "CITATION.md"),
        settings=text_of(output_dir / "settings.yaml"),
        downloads=downloads(group),
    )
    target = group / "report.html"
    write_text(page, target)
    return target


def one_arm_text(tests: pd.DataFrame) -> str:
    """Caution for a study with one group; empty for more."""
    changes = tests[tests["effect_size_name"] != "partial r"]
    return ONE_ARM_CAUTION if len(changes) and has_one_arm(changes) else ""


def lost_rows(flow: pd.DataFrame) -> list[dict[str, str]]:
    """Numbers of participants without a usable pair, by reason."""
    if not len(flow):
        return []
    rows = flow[flow["step"] == "no usable pair"]
    return [
        {"modality": cell_text(r.detail), "n": cell_text(r.n), "reason": cell_text(r.reason)}
        for r in rows.itertuples()
    ]


def exclusion_rows(ledger: pd.DataFrame) -> list[dict[str, str]]:
    """Images that are not used, with the reason."""
    if not len(ledger):
        return []
    columns = ("participant_id", "session_id", "modality", "status", "reason")
    rows = ledger[ledger["status"] != "used"].to_dict("records")
    return [{column: cell_text(row.get(column)) for column in columns} for row in rows]


def region_sections(results: GroupResults) -> list[Section]:
    """Brain map and intervals of each regional change, planned ones only where there are any."""
    alpha, sections = results.settings.group.alpha, []
    for rows in _shown(results.tests, REGIONAL, association=False):
        pictures = [brain_map(rows, alpha), interval_picture(rows, alpha)]
        found = [picture for picture in pictures if picture is not None]
        sections.append(_section(results, rows, found))
    return sections


def edge_sections(results: GroupResults) -> list[Section]:
    """Matrix and strongest connections of each change of connectivity."""
    alpha, sections = results.settings.group.alpha, []
    for rows in _shown(results.tests, (EDGES,), association=False):
        pictures = [matrix_picture(rows), connection_picture(rows, alpha)]
        found = [picture for picture in pictures if picture is not None]
        sections.append(_section(results, rows, found))
    return sections


def symptom_sections(results: GroupResults) -> list[Section]:
    """Scatters of brain change against symptom change for the strongest regions."""
    shown = list(_shown(results.tests, REGIONAL, association=True))
    cohort = read_cohort(results) if shown else None
    if cohort is None or results.pair is None:
        return []
    first, second = results.pair
    change = results.change
    pair = change[(change["baseline"] == first) & (change["followup"] == second)]
    arms = arm_labels(results, cohort)
    return [_section(results, rows, scatter_pictures(rows, pair, cohort, arms)) for rows in shown]


def sheet(title: str, table: pd.DataFrame) -> Sheet:
    """Table as text: at most `MAX_ROWS` rows, those with the smallest p."""
    cut = ""
    if len(table) > MAX_ROWS and "p" in table:
        cut = f"The {MAX_ROWS} rows with the smallest p of {len(table)}; all are in the file."
        table = table.sort_values("p", kind="stable").head(MAX_ROWS)
    cells = table.map(cell_text)
    single = [name for name in cells if len(cells) > 1 and len(set(cells[name])) == 1]
    constant = [(heading(name), cells[name].iloc[0]) for name in single]
    kept = [name for name in cells if name not in single]
    kinds = ["number" if pd.api.types.is_numeric_dtype(table[name]) else "text" for name in kept]
    rows = [list(zip(row, kinds, strict=True)) for row in cells[kept].to_numpy().tolist()]
    headings = [(heading(name), name) for name in kept]
    shown = [(name, text) for name, text in constant if text != "n/a"]
    return Sheet(title.replace("_", " "), shown, headings, rows, cut)


def heading(column: str) -> str:
    """Words for a column."""
    return HEADINGS.get(str(column), str(column).replace("_", " "))


def downloads(group: Path) -> list[tuple[str, str]]:
    """Files beside the page, relative, with their sizes."""
    files = [*sorted(group.glob("*.tsv")), *sorted(group.glob("models/*.tsv"))]
    files += sorted(group.glob("*.npy"))
    return [(f.relative_to(group).as_posix(), f"{f.stat().st_size / 1024:.0f} KiB") for f in files]


def text_of(path: Path) -> str:
    """Content of a text file, or nothing."""
    return path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""


def _shown(
    tests: pd.DataFrame, measures: tuple[str, ...], association: bool
) -> Iterator[pd.DataFrame]:
    wanted = tests[tests["measure"].isin(measures) & tests["p"].notna()]
    planned = wanted[wanted["planned"].fillna(False).astype(bool)]
    n_shown = 0
    for _, rows in planned.groupby(["family", "term"], sort=False):
        if is_association(rows) == association and n_shown < MAX_SECTIONS:
            n_shown += 1
            yield rows


def _section(results: GroupResults, rows: pd.DataFrame, pictures: list[GroupPicture]) -> Section:
    term, name = str(rows["term"].iloc[0]), measure_name(str(rows["measure"].iloc[0]))
    title = f"{name[0].upper()}{name[1:]}: {term} ({rows['model'].iloc[0]} model)"
    return Section(title, caution(rows, results.settings.group.randomised), pictures)
