"""Notes on T1-weighted images that still seem to have a face."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from bids_utils.derivatives import read_table
from bids_utils.names import parse_name, with_prefix
from workflows.compute.face import FACE_SHARE

TABLES = "ses-*/anat/*_desc-quality_T1w.tsv"
WHAT = "the T1w image seems not to be defaced"
TODO = (
    "remove faces before images leave your institution (mri_reface, pydeface, afni_refacer_run); "
    "nothing else here needs or shows them"
)


def with_face(tables: Iterable[Path]) -> list[tuple[str, str, float]]:
    """Participant, session (without prefix) and share of the face of images that have one.

    Parameters
    ----------
    tables : iterable of Path
        Quality tables of T1-weighted images; others are passed over.
    """
    found = []
    for path in tables:
        name = parse_name(path.name)
        if name is None or name.get("desc") != "quality" or name.suffix != "T1w":
            continue
        table = read_table(path)
        share = float(table["face_share"].iloc[0]) if "face_share" in table else float("nan")
        if share >= FACE_SHARE:
            found.append((name.get("sub") or "", name.get("ses") or "", share))
    return found


def face_sentences(output_dir: Path, participants: Iterable[str]) -> list[str]:
    """A sentence for each participant with images that seem not to be defaced.

    Parameters
    ----------
    output_dir : Path
        Derivative dataset.
    participants : iterable of str
        Labels without ``sub-``.
    """
    sentences = []
    for label in participants:
        folder = output_dir / with_prefix(label, "sub")
        found = with_face(sorted(folder.glob(TABLES)))
        if found:
            shown = ", ".join(f"ses-{session} ({share:.2f})" for _, session, share in found)
            sentences.append(f"{folder.name}: {WHAT} (share of the face: {shown}); {TODO}")
    return sentences
