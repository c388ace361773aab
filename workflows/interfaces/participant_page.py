"""The page of one participant, from what is on disk."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from bids_utils.derivatives import read_table, write_text
from bids_utils.errors import DatasetError
from bids_utils.names import BidsName, parse_name
from workflows.compute.pair_quality import BOLD_QUALITY, scored_values
from workflows.interfaces.report_pages import cell_text, embedded_file, rendered


@dataclass(frozen=True)
class Caption:
    """Title of a picture, what it shows, and what good looks like."""

    title: str
    shows: str
    good: str


CAPTIONS = {
    "mask": Caption(
        "Brain mask",
        "mean of the sessions with the outline of the brain mask in three planes",
        "Good: the line follows the edge of the brain; no brain is cut off, no skull is inside.",
    ),
    "tissues": Caption(
        "Grey and white matter",
        "template with the outer edge of grey matter and the edge of white matter",
        "Good: the lines follow the folds of the cortex on both sides and at all heights.",
    ),
    "session": Caption(
        "The sessions on the same slices",
        "T1w of each session resampled to the template",
        "Good: switching between sessions, the brain keeps still; only brightness may differ.",
    ),
    "mni": Caption(
        "Registration to the standard brain",
        "participant in MNI152NLin2009aSym with outlines of the MNI brain and white matter",
        "Good: the lines of the standard brain lie on the participant's edges and ventricles.",
    ),
    "atlas": Caption(
        "Regions",
        "template with the regions of the atlas in colour",
        "Good: colours fill the grey matter, and left and right look alike.",
    ),
    "thickness": Caption(
        "Cortical thickness",
        "template with the thickness of the cortex in colour, dark thin to yellow thick, in mm",
        "Good: most of the cortex has 2 to 4 mm, left and right look alike, and there is no colour "
        "outside the grey matter.",
    ),
    "volumechange": Caption(
        "Change of volume since the first session",
        "map on the template: orange has grown, purple has shrunk, in percent",
        "Each place is averaged over its surroundings (10 mm). Changes under 2 % have no colour; "
        "an arrow on the scale means that some places lie beyond it. Hatched: not seen in both "
        "sessions. Good: without a change there are only a few small spots, which are noise. "
        "Colour all along the edge of the brain, or more on one side or end of the head, speaks "
        "for the scanner or for motion.",
    ),
    "thicknesschange": Caption(
        "Change of cortical thickness since the first session",
        "regions on the template: orange is thicker, purple is thinner, white is unchanged, in mm",
        "Good: most regions are nearly white. The same colour everywhere speaks for a change of "
        "scanner, contrast or motion. Hatched: no thickness could be measured; the region keeps "
        "its row in the tables.",
    ),
    "edges": Caption(
        "BOLD and T1w",
        "BOLD reference with edges of the T1w brain and its white matter",
        "Good: the lines follow the brain in the BOLD picture; dark gaps are lost signal.",
    ),
    "motion": Caption(
        "Head motion",
        "framewise displacement, translations and rotations over time",
        "Good: few peaks above the dashed line, and no jump that stays.",
    ),
    "carpet": Caption(
        "Signal over time, before and after denoising",
        "framewise displacement, DVARS, and the signal of many voxels over time, grouped by "
        "tissue, as measured and after denoising",
        "Good: after denoising there is fine grain without vertical stripes, also beside the "
        "volumes that are left out (orange). Stripes that stay where the curves have peaks are "
        "motion that was not removed. Each voxel is scaled to its own spread, before and after.",
    ),
    "connectivity": Caption(
        "Connectivity",
        "matrix of Fisher z between all regions, sorted by network",
        "Good: blocks along the diagonal, regions with their partners of the other side, and the "
        "whole is not one colour. Grey: too little of the region was in the image.",
    ),
    "seeds": Caption(
        "Seeds of the circuits",
        "regions of the BOLD reference coloured by their connectivity with each seed",
        "Orange: rise and fall together; purple: one falls as the other rises; no colour: the "
        "seed itself (green edge), or too little signal. Good: both sides look alike.",
    ),
    "connectivitychange": Caption(
        "Change of connectivity since the first session",
        "matrix of the change of Fisher z between all regions, sorted by network",
        "Orange: more, purple: less than in the first session. Two short scans of one person "
        "differ a great deal without any change: read single cells only beyond what noise makes. "
        "Whole rows or one colour everywhere speak for motion or lost signal.",
    ),
    "connectomechange": Caption(
        "Largest changes of connectivity since the first session",
        "the 15 connections that changed most, in three views of a brain",
        "They are picked because they are the most extreme, so most of their size is noise. L is "
        "the left of the participant.",
    ),
    "design": Caption(
        "Design of the task",
        "columns of the model of the task over time, and how they are correlated",
        "Good: every condition has its own course, and no two of them are nearly the same.",
    ),
    "contrasts": Caption(
        "Contrasts of the task",
        "slices of the BOLD reference with the z values of each contrast in colour",
        "Good: compact areas in grey matter where the task should act; a rim around the brain is "
        "motion that follows the task.",
    ),
}
ANAT_ORDER = ("mask", "tissues", "mni", "atlas", "thickness")
CHANGE_ORDER = ("volumechange", "thicknesschange", "connectivitychange", "connectomechange")
RUN_ORDER = ("edges", "motion", "carpet", "connectivity", "seeds", "design", "contrasts")
BOLD_TABLE = "ses-*/func/*_desc-qc_bold.tsv"
QUALITY_TABLES = (
    "anat/*_qc.tsv",
    "ses-*/anat/*_desc-quality_T1w.tsv",
    BOLD_TABLE,
)


@dataclass(frozen=True)
class Picture:
    """A picture of the page."""

    source: str
    caption: Caption
    label: str

    @property
    def alt(self) -> str:
        """What a reader who cannot see the picture is told."""
        return f"{self.label}: {self.caption.shows}"


@dataclass(frozen=True)
class _Found:
    path: Path
    name: BidsName


def write_page(output_dir: Path, participant: str, failures: Sequence[str] = ()) -> Path:
    """Write sub-X.html from the ledger, figures and quality tables on disk; returns its path.

    Raises
    ------
    DatasetError
        Neither the ledger nor a folder knows the participant, or the page cannot be written.
    """
    ledger = ledger_of(output_dir, participant)
    folder = output_dir / f"sub-{participant}"
    if not len(ledger) and not folder.is_dir():
        raise DatasetError(
            f"{output_dir}: no participant sub-{participant} in ledger.tsv and no folder of that "
            "name; run the participant level first"
        )
    order = list(dict.fromkeys(ledger.get("session_id", ())))
    found = found_figures(folder)
    page = rendered(
        "participant.html.j2",
        title=f"sub-{participant}",
        sessions=session_rows(ledger),
        scans=scan_rows(ledger),
        failures=list(failures),
        anatomy=[_picture(item) for desc in ANAT_ORDER for item in _of(found, desc)],
        session_pictures=[_picture(item) for item in in_time_order(_of(found, "session"), order)],
        session_caption=CAPTIONS["session"],
        changes=[
            _picture(item)
            for desc in CHANGE_ORDER
            for item in in_time_order(_of(found, desc), order)
        ],
        runs=run_sections(found, order, run_notes(folder)),
        quality=quality_tables(folder, order),
    )
    target = output_dir / f"sub-{participant}.html"
    write_text(page, target)
    return target


def ledger_of(output_dir: Path, participant: str) -> pd.DataFrame:
    """Rows of a participant in ledger.tsv, in its order; no rows without the file."""
    path = output_dir / "ledger.tsv"
    if not path.is_file():
        return pd.DataFrame()
    ledger = read_table(path, text_columns=("reason", "scanner", "modality", "status"))
    return ledger[ledger["participant_id"] == f"sub-{participant}"]


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


def run_sections(
    found: list[_Found], order: list[str], notes: dict[str, list[str]]
) -> list[dict[str, object]]:
    """Pictures of each BOLD run and what is to be noted, runs in time order."""
    runs: dict[str, list[_Found]] = {}
    for item in in_time_order([f for f in found if f.name.get("desc") in RUN_ORDER], order):
        runs.setdefault(run_title(item.name), []).append(item)
    return [
        {
            "title": title,
            "notes": notes.get(title, []),
            "pictures": [_picture(f) for desc in RUN_ORDER for f in _of(part, desc)],
        }
        for title, part in runs.items()
    ]


def run_notes(folder: Path) -> dict[str, list[str]]:
    """What is not plausible, or why a run is not used, by the title of each BOLD run."""
    notes = {}
    for path in sorted(folder.glob(BOLD_TABLE)):
        name, table = parse_name(path.name), read_table(path, text_columns=("usable", "reason"))
        if name is not None and len(table):
            notes[run_title(name)] = _notes_of(table.iloc[0])
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


def quality_tables(folder: Path, order: list[str]) -> list[dict[str, object]]:
    """Numbers of the one-row quality tables, each with where it belongs, in time order."""
    tables = []
    for pattern in QUALITY_TABLES:
        named = [(path, parse_name(path.name)) for path in sorted(folder.glob(pattern))]
        found = in_time_order([_Found(path, name) for path, name in named if name], order)
        tables += [table for item in found for table in _quality_of(item)]
    return tables


def _quality_of(item: _Found) -> list[dict[str, object]]:
    title = run_title(item.name) or "anatomy"
    return [
        {"title": title, "cells": [(str(key), cell_text(value)) for key, value in row.items()]}
        for row in read_table(item.path).head(1).to_dict("records")
    ]


def _of(found: list[_Found], desc: str) -> list[_Found]:
    return [item for item in found if item.name.get("desc") == desc]


def _picture(item: _Found) -> Picture:
    label = run_title(item.name)
    return Picture(embedded_file(item.path), CAPTIONS[str(item.name.get("desc"))], label or "T1w")
