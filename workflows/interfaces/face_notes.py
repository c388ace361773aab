"""Notes on T1-weighted images that still seem to have a face."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from bids_utils.derivatives import read_table
from bids_utils.names import parse_name, strip_label, with_prefix
from workflows.compute.face import FACE_SHARE

TABLES = "ses-*/anat/*_desc-quality_T1w.tsv"
WHAT = "the T1w image seems not to be defaced"
DEFACE = (
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


def face_sentences(output_dir: Path, orders: Mapping[str, Sequence[str]]) -> list[str]:
    """A sentence for each participant with images that seem not to be defaced.

    Parameters
    ----------
    output_dir : Path
        Derivative dataset.
    orders : mapping of participant -> sequence of str
        Label without ``sub-``, and its sessions in time order, with or without ``ses-``;
        sessions that are not in it come last.
    """
    sentences = []
    for label, order in orders.items():
        folder = output_dir / with_prefix(label, "sub")
        place = {strip_label(session, "ses"): number for number, session in enumerate(order)}
        found = with_face(sorted(folder.glob(TABLES)))
        found.sort(key=lambda one: place.get(one[1], len(place)))
        if found:
            shown = ", ".join(f"ses-{session} ({share:.2f})" for _, session, share in found)
            sentences.append(f"{folder.name}: {WHAT} (share of the face: {shown}); {DEFACE}")
    return sentences
