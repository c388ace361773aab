"""Sources of brain measures by name: which reader takes them, and what is found in a folder."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

from bids_utils.errors import DatasetError, SettingsError
from bids_utils.names import nearest
from bids_utils.plain_files import read_json
from bids_utils.readers.cat12 import read_cat12
from bids_utils.readers.freesurfer import read_freesurfer
from bids_utils.readers.matrices import read_matrices
from bids_utils.readers.measure_table import read_measure_table
from bids_utils.readers.mriqc import read_mriqc
from bids_utils.readers.records import MeasureSource, SourceRequest

Reader = Callable[[Path, SourceRequest, str], MeasureSource]
READERS: dict[str, Reader] = {
    "freesurfer": read_freesurfer,
    "fastsurfer": read_freesurfer,
    "cat12": read_cat12,
    "mriqc": read_mriqc,
    "xcpd": read_matrices,
    "giga_connectome": read_matrices,
    "table": read_measure_table,
}
SAME_NAME = {"xcp_d": "xcpd", "xcp-d": "xcpd", "giga-connectome": "giga_connectome"}
READ_ENDINGS = frozenset({".stats", ".tsv", ".csv", ".txt", ".json", ".xml", ".h5", ".nii"})
TRACES = (
    ("fastsurfer", ("*/stats/aseg+DKT.stats", "stats/aseg+DKT.stats", "*/*/stats/aseg+DKT.stats")),
    ("freesurfer", ("*/stats/*.stats", "stats/*.stats", "*/*/stats/*.stats")),
    ("mriqc", ("group_T1w.tsv", "group_bold.tsv")),
    ("cat12", ("**/catROI*.xml", "**/cat_*.xml", "**/*catROI*.csv")),
    (
        "xcpd",
        (
            "**/*_relmat.tsv",
            "**/*_conmat.tsv",
            "**/*_seg-*_timeseries.tsv",
            "**/*_atlas-*_timeseries.tsv",
            "**/*_timeseries.ptseries.nii",
            "**/*_relmat.h5",
        ),
    ),
)
"""Files by which the results of a tool are known, the surest first."""


def read_source(name: str, path: Path, request: SourceRequest) -> MeasureSource:
    """Measures and connectivity that another tool made.

    Parameters
    ----------
    name : str
        One of READERS; empty or "auto": found out from the content.
    path : Path
        Folder of the results, or a table.
    request : SourceRequest
        What is wanted, and names of scans that do not say whose they are.

    Returns
    -------
    MeasureSource
        What could be read, and as problems what could not.

    Raises
    ------
    SettingsError
        The name is unknown.
    DatasetError
        The path does not exist, or nothing at all can be read.
    """
    kind = SAME_NAME.get(name.lower(), name.lower())
    if kind not in (*READERS, "", "auto"):
        raise SettingsError(f"--derivatives {name}={path}: unknown source '{name}'; "
                            f"{nearest(kind, READERS)}")  # fmt: skip
    if not path.exists():
        raise DatasetError(f"{path}: there is nothing there; correct the path of the source")
    if kind in ("", "auto"):
        kind = source_kind(path)
    return READERS[kind](path, request, kind)


def source_stamp(path: Path) -> str:
    """Digest of names, sizes and times of the files that a reader could open.

    It changes when the source does, without reading it.
    """
    digest = hashlib.sha256()
    files = [path] if path.is_file() else sorted(path.rglob("*"))
    for file in files:
        if file.suffix in READ_ENDINGS and file.is_file():
            facts = file.stat()
            digest.update(f"{file}\t{facts.st_size}\t{facts.st_mtime_ns}\n".encode())
    return digest.hexdigest()


def source_kind(path: Path) -> str:
    """Which tool made a folder or table, one of READERS.

    Raises
    ------
    DatasetError
        Nothing in it is known.
    """
    if path.is_file():
        return _file_kind(path)
    generator = _generator(path)
    if generator in READERS:
        return generator
    for kind, patterns in TRACES:
        if any(next(path.glob(pattern), None) for pattern in patterns):
            return kind
    raise DatasetError(
        f"{path}: it is not clear which tool made this; name it, as NAME=PATH with NAME one of "
        f"{', '.join(READERS)}"
    )


def _file_kind(path: Path) -> str:
    if path.stem in ("group_T1w", "group_bold"):
        return "mriqc"
    if "catROI" in path.stem:
        return "cat12"
    if path.suffix in (".h5", ".nii") or path.stem.endswith(("_relmat", "_conmat", "_timeseries")):
        return "xcpd"
    return "table"


def _generator(path: Path) -> str:
    """Tool that dataset_description.json names first; empty where it does not say so."""
    try:
        made_by = read_json(path / "dataset_description.json").get("GeneratedBy")
    except DatasetError:
        return ""
    first = made_by[0] if isinstance(made_by, list) and made_by else {}
    name = str(first.get("Name", "")).lower() if isinstance(first, dict) else ""
    return SAME_NAME.get(name, name)
