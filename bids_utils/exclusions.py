"""A list of images that somebody decided not to use."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from bids_utils.errors import DatasetError
from bids_utils.names import nearest, parse_name, same_label, strip_label, with_prefix
from bids_utils.tables import check_columns, read_text_table

NEEDED = ("participant_id", "reason")
COLUMNS = ("participant_id", "session_id", "modality", "run", "reason")
EXPECTED = "participant_id, reason and, if wanted, session_id, modality, run"
MODALITIES = ("T1w", "bold")
LISTED = "on the exclude list: "
"""Beginning of the reason in the ledger, before what the list says."""

IMAGE_ENDINGS = (".nii.gz", ".nii")


@dataclass(frozen=True)
class ImageLabels:
    """Which image: labels without prefix, `stem` is the file name without extension."""

    participant: str
    session: str
    modality: str
    stem: str

    @property
    def run(self) -> str:
        """Label of its run, empty if the name has none."""
        name = parse_name(f"{self.stem}.nii.gz")
        return (name.get("run") or "") if name else ""


@dataclass(frozen=True)
class Exclusion:
    """A row of the list; an empty label stands for all.

    `run` is a label or the name of a file without extension, `place` says where the row is.
    """

    participant: str
    session: str
    modality: str
    run: str
    reason: str
    place: str

    def names(self, image: ImageLabels) -> bool:
        """Whether the image is not to be used."""
        return (
            self.participant == image.participant
            and self.session in ("", image.session)
            and self.modality in ("", image.modality)
            and self._is_run(image)
        )

    def _is_run(self, image: ImageLabels) -> bool:
        return self.run in ("", image.stem) or same_label("run", self.run, image.run)


def read_exclusions(path: Path) -> tuple[Exclusion, ...]:
    """Rows of a list of exclusions, a TSV file with `COLUMNS`, of which `NEEDED` must be there.

    Parameters
    ----------
    path : Path
        `run` may be a label (``1``, ``run-1``) or a file name, as the ledger has them. An empty
        cell or n/a stands for all sessions, modalities or runs.

    Raises
    ------
    DatasetError
        The file cannot be read, a column is unknown (it might have been meant to narrow the
        row down) or missing, or a cell makes no sense; the message names file, row and column.
    """
    table = read_text_table(path)
    check_columns(path, table.columns, COLUMNS, dict.fromkeys(NEEDED, EXPECTED))
    full = table.reindex(columns=list(COLUMNS)).astype(object)
    cells = full.where(full.notna(), "").itertuples(index=False)
    rows = (dict(zip(COLUMNS, map(str, row), strict=True)) for row in cells)
    return tuple(_exclusion(path, number, row) for number, row in enumerate(rows, start=1))


def listed_reason(exclusions: Iterable[Exclusion], image: ImageLabels) -> str:
    """Why an image is not to be used, for the ledger; empty if the list does not name it."""
    reasons = dict.fromkeys(row.reason for row in exclusions if row.names(image))
    return LISTED + "; ".join(reasons) if reasons else ""


def unmatched(
    exclusions: Iterable[Exclusion], ledger: pd.DataFrame
) -> tuple[tuple[str, str, str], ...]:
    """What was found, where, and what to do, for each row of a list that names no image.

    It is no error: a list may be shared by studies.

    Parameters
    ----------
    exclusions : iterable of Exclusion
    ledger : DataFrame
        participant_id, session_id, modality, run; rows without run are images that are missing.
        Ids with or without their prefix.
    """
    rows = list(exclusions)
    images = _images(ledger) if rows else []
    notes = []
    for row in rows:
        if not any(row.names(image) for image in images):
            todo = "correct the row; nothing is wrong if the list is shared with another study"
            notes.append((f"it names no image: {_why_unmatched(row, images)}", row.place, todo))
    return tuple(notes)


def _exclusion(path: Path, number: int, row: dict[str, str]) -> Exclusion:
    place = f"{path}, row {number}"
    for column in NEEDED:
        if not row[column]:
            raise DatasetError(f"{place}, column {column}: is empty; fill it in")
    known = {name.lower(): name for name in ("", *MODALITIES)}
    modality = known.get(row["modality"].lower())
    if modality is None:
        found = row["modality"]
        raise DatasetError(f"{place}, column modality: '{found}'; expected T1w, bold or n/a")
    run = row["run"]
    for ending in IMAGE_ENDINGS:
        run = run.removesuffix(ending)
    return Exclusion(
        participant=strip_label(row["participant_id"], "sub"),
        session=strip_label(row["session_id"], "ses"),
        modality=modality,
        run=strip_label(run, "run"),
        reason=row["reason"],
        place=place,
    )


def _images(ledger: pd.DataFrame) -> list[ImageLabels]:
    there = ledger[ledger["run"].notna() & ledger["session_id"].notna()]
    columns = [there[name] for name in ("participant_id", "session_id", "modality", "run")]
    return [
        ImageLabels(strip_label(sub, "sub"), strip_label(ses, "ses"), modality, stem)
        for sub, ses, modality, stem in zip(*columns, strict=True)
    ]


def _why_unmatched(row: Exclusion, images: list[ImageLabels]) -> str:
    """The first label of a row that nothing has, with what is there."""
    asked = with_prefix(row.participant, "sub")
    own = [image for image in images if image.participant == row.participant]
    if not own:
        people = [with_prefix(image.participant, "sub") for image in images]
        return f"there are no images of {asked}; {nearest(asked, people)}"
    if row.session:
        asked = f"{asked} {with_prefix(row.session, 'ses')}"
        there = [with_prefix(image.session, "ses") for image in own]
        own = [image for image in own if image.session == row.session]
        if not own:
            advice = nearest(with_prefix(row.session, "ses"), there)
            return f"there are no images of {asked}; {advice}"
    kind = row.modality or "image"
    own = [image for image in own if row.modality in ("", image.modality)]
    if not own:
        return f"there is no {kind} of {asked}"
    stems = [image.stem for image in own]
    return f"there is no {kind} with run '{row.run}' of {asked}; {nearest(row.run, stems)}"
