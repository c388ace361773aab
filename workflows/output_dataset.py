"""What describes the derivative dataset: its sources, settings, methods and ledger."""

from __future__ import annotations

from collections.abc import Iterable
from importlib.metadata import version
from pathlib import Path

import pandas as pd

from bids_utils.derivatives import (
    Generator,
    log_folder,
    write_bidsignore,
    write_dataset_description,
    write_table,
    write_text,
)
from bids_utils.plan import LEDGER_DICTIONARY, ParticipantPlan
from configs.atlases import chosen_atlas
from configs.settings import Settings, dump_settings
from workflows.citation import Ran, group_ran, methods_text
from workflows.options import Options, fmriprep_trees, sources_of
from workflows.provenance import is_group_of, planned_steps, read_steps

CODE_URL = "https://github.com/braindelta/braindelta"
IGNORED = (
    "*.html",
    "*_morph.*",
    "*_jacobian.*",
    "*_thickness.*",
    "*_desc-quality_T1w.*",
    "*_relmat.*",
    "*_timeseries.*",
    "*_qc.*",
    "*_boldref.*",
    "*_bold.tsv",
    "*_bold.json",
    "*_xfm.*",
    "*_atlas-*",
    "figures",
    "group",
    "shared",
    "logs",
    "work",
    "atlas",
    "ledger.*",
    "settings.yaml",
)


def prepare_output(options: Options, settings: Settings, ledger: pd.DataFrame | None) -> None:
    """Write what describes the derivative dataset: settings, sources, ledger.

    Parameters
    ----------
    options : Options
    settings : Settings
        As used.
    ledger : DataFrame or None
        As ledger.tsv is to be; None leaves that of the folder, if any.
    """
    root = options.output_dir
    generator = Generator("braindelta", version("braindelta"), CODE_URL)
    folders = [(name, path) for name, path in sources_of(options) if path.is_dir()]
    trees = dict(fmriprep_trees(options))
    links = trees | {f"{name}{place or ''}": path for place, (name, path) in enumerate(folders)}
    write_dataset_description(root, options.bids_dir, generator, links)
    write_bidsignore(root, IGNORED)
    write_text(dump_settings(settings, root), root / "settings.yaml")
    if ledger is not None:
        write_table(ledger, root / "ledger.tsv", LEDGER_DICTIONARY)


def write_methods(
    options: Options, settings: Settings, planned: Iterable[ParticipantPlan] = ()
) -> None:
    """Write logs/CITATION.md: what was done for those who are done, and at the group level.

    Where nothing was done with these settings it is the text of what is `planned`.

    Raises
    ------
    DatasetError
        A table of the group level cannot be read, or the folder not be written.
    """
    root = options.output_dir
    is_group = is_group_of(root, settings)
    steps = tuple(read_steps(root, settings))
    is_planned = not steps and not is_group
    if is_planned:
        steps = tuple(planned_steps(participant, settings) for participant in planned)
    names = tuple("a table" if name == "table" else name for name, _ in sources_of(options))
    ran = Ran(steps, tuple(dict.fromkeys(names)), is_planned)
    group = group_ran(root / "group", settings) if is_group else None
    text = methods_text(settings, chosen_atlas(settings.atlas), ran, group)
    write_text(text, root / "logs" / "CITATION.md")


def ledger_file(output_dir: Path, participant: str) -> Path:
    """Rows of the ledger about one participant."""
    return log_folder(output_dir, participant) / "ledger.tsv"
