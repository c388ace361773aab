"""Pages of participants and of the group, from nothing but what is on disk."""

from __future__ import annotations

from pathlib import Path

from workflows.failures import crash_folder, read_failures
from workflows.interfaces import group_page, participant_page
from workflows.interfaces.group_results import read_settings
from workflows.questions import model_specs


def write_participant_report(output_dir: Path, participant_label: str) -> Path:
    """Write sub-X.html anew and return its path.

    Raises
    ------
    DatasetError
        Nothing is known of the participant, or the page cannot be written.
    """
    failures = read_failures(crash_folder(output_dir, participant_label))
    sentences = [failure.sentence for failure in failures]
    return participant_page.write_page(output_dir, participant_label, sentences)


def write_group_report(output_dir: Path) -> Path:
    """Write group/report.html anew and return its path.

    Raises
    ------
    DatasetError
        There is no folder of the group level, or the page cannot be written.
    """
    specs = {spec.name: spec for spec in model_specs(read_settings(output_dir))}
    return group_page.write_page(output_dir, specs)
