"""Participant and session of folders and files that other tools named."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from bids_utils.names import parse_name, strip_label
from bids_utils.readers.records import SourceProblem, SourceRequest

DOUBLED = (("sub-sub-", "sub-"), ("ses-ses-", "ses-"))
NAME_IT = "rename it to sub-X_ses-Y, or say which scan it is in the settings (sources: scans)"
NAME_SESSION = "say which session it is in the settings (sources: session, or sources: scans)"


@dataclass(frozen=True)
class ScanName:
    """Participant, session and the further parts of a name.

    `session` is empty where the name has none; `entities` are all parts, `doubled` tells that
    a prefix stood there twice.
    """

    participant: str
    session: str
    entities: tuple[tuple[str, str], ...] = ()
    suffix: str = ""
    doubled: bool = False

    def get(self, key: str) -> str:
        """Label of an entity; empty if the name does not have it."""
        return dict(self.entities).get(key, "")


def scan_name(stem: str, request: SourceRequest) -> ScanName | None:
    """Scan that a name without extension belongs to; None if the name does not say it.

    Parameters
    ----------
    stem : str
        Such as ``sub-01_ses-pre`` or ``sub-01_ses-pre_T1w``.
    request : SourceRequest
        `scans` goes before the name, `session` fills in a session that is not there.
    """
    if stem in request.scans:
        participant, session = request.scans[stem]
        return ScanName(strip_label(participant, "sub"), strip_label(session, "ses"))
    text = stem
    for twice, once in DOUBLED:
        while twice in text:
            text = text.replace(twice, once)
    name = parse_name(f"{text}.x") or parse_name(f"{text}_scan.x")
    if name is None or not name.get("sub"):
        return None
    session = name.get("ses") or request.session
    suffix = "" if name.suffix == "scan" else name.suffix
    return ScanName(name.get("sub") or "", session, name.entities, suffix, text != stem)


def name_problem(path: Path, name: ScanName | None) -> SourceProblem | None:
    """Why a folder or file cannot be placed or is to be looked at; None if all is well."""
    if name is None:
        return SourceProblem(
            "the name does not say whose scan this is; it is left out", str(path), NAME_IT
        )
    if not name.session:
        return SourceProblem(
            "the name does not say which session this is; it is left out", str(path), NAME_SESSION
        )
    if name.doubled:
        what = f"the prefix stands there twice; read as {name.participant}, {name.session}"
        return SourceProblem(what, str(path), "rename it, so that all tables agree")
    return None
