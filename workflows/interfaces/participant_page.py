"""The page of one participant, from what is on disk."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from bids_utils.derivatives import log_folder, read_table, write_text
from bids_utils.errors import DatasetError
from bids_utils.names import BidsName, parse_name, with_prefix
from workflows.compute.pair_quality import ALL_QUALITY, BOLD_QUALITY, scored_values
from workflows.interfaces.face_notes import face_sentences
from workflows.interfaces.group_pictures import brain_shapes
from workflows.interfaces.participant_numbers import numbers_behind
from workflows.interfaces.participant_regions import change_maps, region_changes
from workflows.interfaces.picture_captions import CAPTIONS
from workflows.interfaces.report_pages import (
    Picture,
    as_html,
    cell_text,
    embedded,
    hover_of,
    lighter,
    rendered,
    study_key,
)
from workflows.interfaces.report_tables import Sheet, sheet

ANAT_ORDER = ("mask", "tissues", "mni", "atlas", "thickness")
CHANGE_ORDER = ("volumechange", "thicknesschange", "connectivitychange", "connectomechange")
RUN_ORDER = ("edges", "motion", "carpet", "connectivity", "seeds", "design", "contrasts")
BOLD_TABLE = "ses-*/func/*_desc-qc_bold.tsv"
QUALITY_TABLES = {
    "Anatomy": "anat/*_qc.tsv",
    "T1w images": "ses-*/anat/*_desc-quality_T1w.tsv",
    "BOLD runs": BOLD_TABLE,
}
MEANINGS = {measure.name: measure for measure in ALL_QUALITY}
LEDGER_TEXTS = ("reason", "scanner", "modality", "status", "run")
MOST_PICTURE_BYTES = 5_000_000
NOTHING = "No number of this participant stands out. Look at the pictures all the same."


@dataclass(frozen=True)
class _Found:
    path: Path
    name: BidsName

    @property
    def label(self) -> str:
        """What tells its session, task and run from others."""
        return run_title(self.name)

    @property
    def title(self) -> str:
        """Title of its picture."""
        return CAPTIONS[str(self.name.get("desc"))].title


def page_file(output_dir: Path, participant: str) -> Path:
    """File of the page of a participant."""
    return output_dir / f"{with_prefix(participant, 'sub')}.html"


def write_page(output_dir: Path, participant: str, failures: Sequence[str] = ()) -> Path:
    """Write sub-X.html from the ledger, figures and quality tables on disk; returns its path.

    Raises
    ------
    DatasetError
        Neither the ledger nor a folder knows the participant, or the page cannot be written.
    """
    ledger = ledger_of(output_dir, participant)
    folder = output_dir / with_prefix(participant, "sub")
    if not len(ledger) and not folder.is_dir():
        raise DatasetError(
            f"{output_dir}: no participant {folder.name} in ledger.tsv and no folder of that "
            "name; run the participant level first"
        )
    order = list(dict.fromkeys(ledger.get("session_id", ())))
    changes = region_changes(folder, order)
    maps = change_maps(changes, output_dir)
    notes = run_notes(folder, order)
    page = rendered(
        "participant.html.j2",
        title=folder.name,
        study=study_key(output_dir),
        pages=frozenset(),
        failures=list(failures),
        summary=[*summary(ledger, notes), *face_sentences(output_dir, {participant: order})],
        sessions=session_rows(ledger),
        scans=scan_rows(ledger),
        region_changes=_region_sheet(changes),
        maps=maps,
        shapes=brain_shapes(maps, output_dir),
        quality=quality_sheets(folder, order),
        methods=methods_html(output_dir),
        **_shown(folder, order, notes),
    )
    target = page_file(output_dir, participant)
    write_text(page, target)
    return target


def ledger_of(output_dir: Path, participant: str) -> pd.DataFrame:
    """Rows of a participant in the ledger that was written last, in its order.

    A job for single participants writes only its own, in logs/sub-X.
    """
    who = with_prefix(participant, "sub")
    places = (output_dir / "ledger.tsv", log_folder(output_dir, participant) / "ledger.tsv")
    files = [path for path in places if path.is_file()]
    for path in sorted(files, key=lambda path: path.stat().st_mtime_ns, reverse=True):
        ledger = read_table(path, text_columns=LEDGER_TEXTS)
        own = ledger[ledger["participant_id"] == who]
        if len(own):
            return own
    return pd.DataFrame()


def methods_html(output_dir: Path) -> str:
    """logs/CITATION.md as HTML; empty without it."""
    path = output_dir / "logs" / "CITATION.md"
    return as_html(path.read_text(encoding="utf-8")) if path.is_file() else ""


def summary(ledger: pd.DataFrame, notes: dict[str, list[str]]) -> list[str]:
    """What was used of a participant and what stands out, in plain sentences."""
    if not len(ledger):
        return []
    rows = scan_rows(ledger)
    found = [row for row in rows if row["status"] != "missing"]
    used = [row for row in found if row["status"] == "used"]
    n_sessions = len({row["session_id"] for row in found})
    plural = "" if n_sessions == 1 else "s"
    said = [f"{n_sessions} session{plural} with images; {len(used)} of {len(found)} images used."]
    told = [
        f"{row['session_id']} {row['modality']} ({row['run']}): {row['reason']}"
        for row in found
        if row["reason"] != "n/a"
    ]
    known = " ".join(told)
    new = {run: [note for note in own if note not in known] for run, own in notes.items()}
    told += [f"{run}: {'; '.join(own)}" for run, own in new.items() if own]
    return [*said, *(told or [NOTHING])]


def session_rows(ledger: pd.DataFrame) -> list[dict[str, str]]:
    """Sessions in the order of the ledger with days from baseline and number of used scans."""
    rows = []
    for session in dict.fromkeys(ledger.get("session_id", ())):
        part = ledger[ledger["session_id"] == session]
        days = part["days_from_baseline"].dropna() if "days_from_baseline" in part else ()
        scanner = part["scanner"].dropna() if "scanner" in part else ()
        rows.append(
            {
                "session": session,
                "days": cell_text(float(days.iloc[0]) if len(days) else None),
                "used": str(int((part["status"] == "used").sum())),
                "scanner": cell_text(scanner.iloc[0] if len(scanner) else None),
            }
        )
    return rows


def scan_rows(ledger: pd.DataFrame) -> list[dict[str, str]]:
    """Images of the ledger with what became of them and why."""
    columns = ("session_id", "modality", "run", "status", "reason")
    return [
        {column: cell_text(row.get(column)) for column in columns}
        for row in ledger.to_dict("records")
    ]


def found_figures(folder: Path) -> list[_Found]:
    """Pictures of a participant whose names say what they show."""
    paths = sorted(folder.glob("figures/*.png"))
    named = [(path, parse_name(path.name)) for path in paths]
    return [_Found(path, name) for path, name in named if name and name.get("desc") in CAPTIONS]


def in_time_order(found: list[_Found], order: list[str]) -> list[_Found]:
    """Figures in the order of the sessions of the ledger, unknown sessions at the end."""
    place = {session: number for number, session in enumerate(order)}
    return sorted(found, key=lambda item: place.get(f"ses-{item.name.get('ses')}", len(order)))


def _shown(folder, order, notes):
    """Pictures of the anatomy, of the sessions, of what changed, and of each run."""
    found = found_figures(folder)
    heavy = sum(item.path.stat().st_size for item in found) > MOST_PICTURE_BYTES

    def picture(item: _Found) -> Picture:
        return _picture(item, order, heavy)

    changed = [item for desc in CHANGE_ORDER for item in in_time_order(_of(found, desc), order)]
    sessions = in_time_order(_of(found, "session"), order)
    return {
        "anatomy": [(i.title, picture(i)) for desc in ANAT_ORDER for i in _of(found, desc)],
        "session_pictures": [(item.label, picture(item)) for item in sessions],
        "session_caption": CAPTIONS["session"],
        "changes": [(f"{item.label}: {item.title}", picture(item)) for item in changed],
        "runs": run_sections(found, order, notes, picture),
    }


def run_sections(
    found: list[_Found],
    order: list[str],
    notes: dict[str, list[str]],
    picture: Callable[[_Found], Picture],
) -> list[dict[str, object]]:
    """Pictures of each BOLD run and what is to be noted, runs in time order."""
    runs: dict[str, list[_Found]] = {}
    for item in in_time_order([f for f in found if f.name.get("desc") in RUN_ORDER], order):
        runs.setdefault(item.label, []).append(item)
    return [
        {
            "title": title,
            "notes": notes.get(title, []),
            "pictures": [(f.title, picture(f)) for desc in RUN_ORDER for f in _of(part, desc)],
        }
        for title, part in runs.items()
    ]


def run_notes(folder: Path, order: list[str]) -> dict[str, list[str]]:
    """What is not plausible, or why a run is not used, by the title of each run in time order."""
    named = [(path, parse_name(path.name)) for path in sorted(folder.glob(BOLD_TABLE))]
    notes = {}
    for item in in_time_order([_Found(path, name) for path, name in named if name], order):
        table = read_table(item.path, text_columns=("usable", "reason"))
        if len(table):
            notes[run_title(item.name)] = _notes_of(table.iloc[0])
    return notes


def _notes_of(row: pd.Series) -> list[str]:
    names = [measure.name for measure in BOLD_QUALITY if measure.name in row]
    values = pd.DataFrame({"metric": names, "value": pd.to_numeric(row[names], errors="coerce")})
    scored = scored_values(values.assign(participant_id="", session_id="", modality="bold"))
    said = [flag for flag in scored["flag"] if flag]
    unused = isinstance(row.get("usable"), str) and row["usable"] == "false"
    return [f"not used: {row['reason']}", *said] if unused else said


def run_title(name: BidsName) -> str:
    """Entities that tell a run from others, such as "ses-pre task-rest run-1"."""
    kept = [(key, value) for key, value in name.entities if key not in ("sub", "desc")]
    return " ".join(f"{key}-{value}" for key, value in kept)


def quality_sheets(folder: Path, order: list[str]) -> list[Sheet]:
    """Quality numbers, a table a kind of image: a row a measure, a column a session or run."""
    made = []
    for title, pattern in QUALITY_TABLES.items():
        named = [(path, parse_name(path.name)) for path in sorted(folder.glob(pattern))]
        items = in_time_order([_Found(path, name) for path, name in named if name], order)
        columns = {item.label or "value": _first_row(item.path) for item in items}
        if columns:
            made.append(_quality_sheet(title, columns))
    return made


def _first_row(path):
    rows = read_table(path, text_columns=("usable", "reason")).head(1).to_dict("records")
    return {str(name): cell_text(value) for name, value in (rows[0] if rows else {}).items()}


def _quality_sheet(title, columns):
    names = list(dict.fromkeys(name for values in columns.values() for name in values))
    table = pd.DataFrame({"measure": names})
    for label, values in columns.items():
        table[label] = [values.get(name, "n/a") for name in names]
    known = [MEANINGS.get(name) for name in names]
    table["good is"] = [measure.better if measure else None for measure in known]
    table["what it is"] = [measure.description if measure else None for measure in known]
    return sheet(title, table, fold=False)


def _region_sheet(changes):
    """Table of changes by region, with the numbers as they are in the files."""
    return sheet("Change of each region", changes, len(changes)) if len(changes) else None


def _of(found: list[_Found], desc: str) -> list[_Found]:
    return [item for item in found if item.name.get("desc") == desc]


def _picture(item: _Found, order: list[str], heavy: bool) -> Picture:
    png, caption = item.path.read_bytes(), CAPTIONS[str(item.name.get("desc"))]
    alt = f"{item.label or 'T1w'}: {caption.shows}"
    numbers = numbers_behind(item.path, item.name, order)
    return Picture(
        lighter(png) if heavy else embedded(png),
        alt,
        caption.good,
        hover=hover_of(png),
        numbers=numbers,
    )
