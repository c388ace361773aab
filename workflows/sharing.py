"""The copy of the results for others, with its report."""

from __future__ import annotations

from pathlib import Path

from configs.settings import Settings
from workflows.interfaces.shared_copy import write_shared
from workflows.report import write_group_report


def share_results(output_dir: Path, settings: Settings) -> Path | None:
    """Write OUTPUT_DIR/shared as the settings ask, or remove it; returns its folder.

    Raises
    ------
    PipelineError
        The secret of the pseudonyms or a file cannot be used.
    """
    folder = write_shared(output_dir, settings)
    if folder is not None:
        write_group_report(folder)
    return folder
