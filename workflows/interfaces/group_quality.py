"""Quality of the images of the cohort, as a node of the group level."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pandas as pd
from nipype.interfaces.base import (
    BaseInterfaceInputSpec,
    File,
    InputMultiPath,
    SimpleInterface,
    TraitedSpec,
    isdefined,
    traits,
)

from bids_utils.derivatives import read_table
from bids_utils.exclusions import read_exclusions, unmatched
from bids_utils.readers.records import counted
from workflows.compute.change import session_pairs
from workflows.compute.pair_quality import pair_table, quality_table, scored_values, standing_out
from workflows.compute.problems import NOTE, Problem, problem_table
from workflows.compute.visits import ordered_pairs, positioned_visits
from workflows.interfaces.derived_files import derived_files
from workflows.interfaces.derived_measures import (
    scan_quality,
    visit_table,
    with_sources,
)
from workflows.interfaces.face_notes import DEFACE, WHAT, with_face
from workflows.interfaces.group_tables import load_table, save_table

QUALITY, PAIRS = "quality.tsv", "quality_pairs.tsv"
ADVICE = "look at its pictures; to leave it out, name it in the list of sessions.exclude"


class _CohortQualityInputSpec(BaseInterfaceInputSpec):
    derivative_files = InputMultiPath(File(exists=True), desc="tables of the participants")
    ledger_file = File(exists=True, desc="ledger of all scans, if there are own derivatives")
    session_order = traits.List(traits.Str, desc="session labels, the earliest first")
    exclude_file = File(exists=True, desc="list of exclusions, to find rows that name no image")


class _CohortQualityOutputSpec(TraitedSpec):
    quality_file = File(exists=True, desc="quality of each scan, a column a metric")
    quality_pairs_file = File(exists=True, desc="change of each metric between two sessions")
    problems_file = File(exists=True, desc="a note on each scan or pair that stands out")


class CohortQuality(SimpleInterface):
    """Quality of all used scans, their changes, and what stands out; nothing is left out.

    Without own derivatives there are no tables and no notes.
    """

    input_spec = _CohortQualityInputSpec
    output_spec = _CohortQualityOutputSpec

    def _run_interface(self, runtime):
        inputs, folder, notes = self.inputs, Path(runtime.cwd), []
        if isdefined(inputs.ledger_file):
            quality, pairs = cohort_quality(inputs)
            notes = quality_notes(quality, pairs) + cohort_face_notes(inputs.derivative_files or ())
            self._results |= save_quality(folder, quality, pairs)
            if isdefined(inputs.exclude_file):
                notes += exclusion_notes(inputs.exclude_file, inputs.ledger_file)
        self._results["problems_file"] = save_table(problem_table(notes), folder / "problems.tsv")
        return runtime


def cohort_quality(inputs: TraitedSpec) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Quality of the used scans and of their pairs of sessions, as they are saved."""
    ledger = with_sources(load_table(inputs.ledger_file))
    scored = scored_values(scan_quality(ledger, derived_files(inputs.derivative_files or ())))
    visits = visit_table(ledger, {})
    used = visits[visits["status"] == "used"]
    placed, _ = positioned_visits(used, tuple(inputs.session_order or ()))
    pairs, _ = ordered_pairs(session_pairs(placed))
    return quality_table(scored), pair_table(scored, pairs)


def save_quality(folder: Path, quality: pd.DataFrame, pairs: pd.DataFrame) -> dict[str, str]:
    """Write the tables if there are scans; returns the paths by output."""
    if not len(quality):
        return {}
    return {
        "quality_file": save_table(quality, folder / QUALITY),
        "quality_pairs_file": save_table(pairs, folder / PAIRS),
    }


def quality_notes(quality: pd.DataFrame, pairs: pd.DataFrame) -> list[Problem]:
    """A note on each scan and each pair of scans that stands out."""
    return [
        Problem(flag, f"sub-{person} {scans} {modality}", ADVICE, NOTE)
        for person, scans, modality, flag in standing_out(quality, pairs)
    ]


def cohort_face_notes(files: Iterable[str]) -> list[Problem]:
    """One note on all images that seem not to be defaced."""
    found = with_face(Path(file) for file in files)
    people = list(dict.fromkeys(f"sub-{person}" for person, *_ in found))
    if not people:
        return []
    what = f"{WHAT} ({len(found)} images of {len(people)} people)"
    return [Problem(what, counted(people), DEFACE, NOTE)]


def exclusion_notes(exclude_file: str, ledger_file: str) -> list[Problem]:
    """A note on each row of the list of exclusions that names no image."""
    rows = unmatched(read_exclusions(Path(exclude_file)), load_table(ledger_file))
    return [Problem(*row, NOTE) for row in rows]


def flagged_ledger(ledger: pd.DataFrame, group_dir: Path) -> pd.DataFrame:
    """Ledger whose used scans have what stands out added to their reason.

    What stands out in a pair is added to its follow-up. Without tables of quality nothing is
    added.

    Parameters
    ----------
    ledger : pd.DataFrame
        As the plan makes it, ids with their prefix.
    group_dir : Path
        Folder with the tables of the group level.
    """
    flags: dict[tuple[str, str, str], list[str]] = {}
    for name, session in ((QUALITY, "session_id"), (PAIRS, "followup")):
        path = group_dir / name
        table = read_table(path, text_columns=("flag",)) if path.is_file() else pd.DataFrame()
        for row in table[table["flag"].notna()].to_dict("records") if len(table) else ():
            key = (row["participant_id"], row[session], row["modality"])
            flags.setdefault(key, []).append(row["flag"])
    named = with_sources(ledger)
    scans = zip(named["participant_id"], named["session_id"], named["modality"], strict=True)
    reasons = [
        _with_flags(reason, flags.get(scan, []) if status == "used" else [])
        for scan, status, reason in zip(scans, ledger["status"], ledger["reason"], strict=True)
    ]
    return ledger.assign(reason=pd.Series(reasons, index=ledger.index, dtype=object))


def _with_flags(reason: object, flags: list[str]) -> object:
    if not flags:
        return reason
    known = [reason] if isinstance(reason, str) and reason else []
    return "; ".join([*known, f"quality: {'; '.join(flags)}"])
