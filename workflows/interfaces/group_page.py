"""The page of the group, from what is on disk; a missing table is said, never a crash."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from bids_utils.derivatives import write_text
from bids_utils.errors import DatasetError
from workflows.compute.results import ModelSpec
from workflows.interfaces.brain_view import BrainMap
from workflows.interfaces.group_pictures import brain_shapes
from workflows.interfaces.group_results import GroupResults, read_results
from workflows.interfaces.report_brain import edge_chapter, region_chapter
from workflows.interfaces.report_checklists import checklist_parts
from workflows.interfaces.report_index import index_chapter
from workflows.interfaces.report_mechanisms import mechanism_chapter, process_chapter
from workflows.interfaces.report_numbers import numbers_file, size_text
from workflows.interfaces.report_outcomes import outcome_chapter
from workflows.interfaces.report_pages import Chapter, as_html, rendered, study_key
from workflows.interfaces.report_participants import participant_chapter
from workflows.interfaces.report_prediction import prediction_chapter
from workflows.interfaces.report_quality import quality_chapter
from workflows.interfaces.report_symptoms import symptom_chapter
from workflows.interfaces.report_tables import MAX_ROWS, Sheet, sheet
from workflows.interfaces.report_tests import short_chapter, tests_chapter

MOST_ROWS = 4000
LEAST_ROWS = 40
ALWAYS = ("short", "people", "regions", "symptoms", "connections", "tests")


def write_page(output_dir: Path, specs: dict[str, ModelSpec] | None = None) -> Path:
    """Write group/report.html from the tables on disk; returns its path.

    Parameters
    ----------
    output_dir : Path
    specs : dict of str to ModelSpec, optional
        What each model was asked, by its name.

    Raises
    ------
    DatasetError
        There is no folder of the group level, or the page cannot be written.
    """
    group = output_dir / "group"
    if not group.is_dir():
        raise DatasetError(f"{group}: not there; run the group level first")
    results = read_results(output_dir, specs)
    chapters = chapters_of(results)
    page = rendered(
        "group.html.j2",
        title="Change in the brain: results of the group",
        study=study_key(output_dir),
        chapters=chapters,
        shapes=brain_shapes(maps_of(chapters), output_dir),
        tables=model_sheets(results),
        problems=sheet("Problems", results.problems),
        pages={page.stem for page in output_dir.glob("sub-*.html")},
        methods=as_html(text_of(output_dir / "logs" / "CITATION.md")),
        settings=text_of(output_dir / "settings.yaml"),
        downloads=downloads(group),
    )
    target = group / "report.html"
    write_text(page, target)
    return target


def chapters_of(results: GroupResults) -> list[Chapter]:
    """Chapters in reading order; those with nothing to say are left out, but for a few."""
    chapters = [
        short_chapter(results),
        participant_chapter(results),
        index_chapter(results),
        quality_chapter(results),
        outcome_chapter(results),
        region_chapter(results),
        edge_chapter(results),
        symptom_chapter(results),
        mechanism_chapter(results),
        process_chapter(results),
        prediction_chapter(results),
        tests_chapter(results, checklist_parts(results)),
    ]
    return [chapter for chapter in chapters if chapter.parts or chapter.anchor in ALWAYS]


def model_sheets(results: GroupResults) -> list[Sheet]:
    """Tables of the models, cut so that all of them together stay readable."""
    share = MOST_ROWS // max(len(results.models), 1)
    most = min(MAX_ROWS, max(LEAST_ROWS, share))
    folder = results.output_dir / "group"
    made = []
    for name, table in results.models.items():
        numbers = numbers_file(folder / "models" / f"{name}.tsv", folder)
        made.append(replace(sheet(name, table, most), numbers=numbers))
    return made


def maps_of(chapters: list[Chapter]) -> list[BrainMap]:
    """The brains of the page that can be turned."""
    pictures = (picture for c in chapters for part in c.parts for picture in part.pictures)
    return [picture.brain for picture in pictures if picture.brain is not None]


def downloads(group: Path) -> list[tuple[str, str]]:
    """Files beside the page, relative, with their sizes."""
    files = [*sorted(group.glob("*.tsv")), *sorted(group.glob("models/*.tsv"))]
    files += sorted(group.glob("*.npy"))
    return [(f.relative_to(group).as_posix(), size_text(f.stat().st_size)) for f in files]


def text_of(path: Path) -> str:
    """Content of a text file, or nothing."""
    return path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""
