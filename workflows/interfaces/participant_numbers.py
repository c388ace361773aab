"""Which tables hold the numbers behind a picture of a participant."""

from __future__ import annotations

from collections.abc import Iterable
from glob import escape
from pathlib import Path

from bids_utils.names import BidsName, parse_name
from workflows.interfaces.report_numbers import Numbers, numbers_file

ANATOMY = ("anat/{own}_*desc-anat_qc.tsv",)
VOLUMES = ("ses-*/anat/{own}_*desc-volume_morph.tsv",)
THICKNESS = ("ses-*/anat/{own}_*desc-thickness_morph.tsv",)
MATRICES = ("ses-*/func/{own}_*stat-*_relmat.tsv",)
TABLES = {
    "mask": ANATOMY,
    "tissues": (*ANATOMY, "ses-*/anat/{own}_*desc-tissue_morph.tsv"),
    "mni": ANATOMY,
    "atlas": VOLUMES,
    "thickness": THICKNESS,
    "session": ("ses-*/anat/{own}_*desc-quality_T1w.tsv",),
    "volumechange": VOLUMES,
    "thicknesschange": THICKNESS,
    "edges": ("ses-*/func/{own}_*desc-qc_bold.tsv",),
    "motion": ("ses-*/func/{own}_*desc-confounds_timeseries.tsv",),
    "carpet": ("ses-*/func/{own}_*desc-confounds_timeseries.tsv",),
    "connectivity": MATRICES,
    "seeds": MATRICES,
    "connectivitychange": MATRICES,
    "connectomechange": MATRICES,
    "design": ("ses-*/func/{own}_*desc-design_timeseries.tsv",),
    "contrasts": ("ses-*/func/{own}_*desc-contrasts_bold.tsv",),
}
OF_ALL_SESSIONS = ("volumechange", "thicknesschange", "connectivitychange", "connectomechange")
ENTITIES = ("sub", "ses", "task", "run")


def numbers_behind(picture: Path, name: BidsName, order: list[str]) -> tuple[Numbers, ...]:
    """Tables behind a picture in the folder `figures` of a participant.

    A picture of change has those of all its sessions, in their order in time.
    """
    folder, desc = picture.parents[1], str(name.get("desc"))
    wanted = ("sub", "task") if desc in OF_ALL_SESSIONS else ENTITIES
    own = "_*".join(escape(f"{key}-{name.get(key)}") for key in wanted if name.get(key))
    found = [
        path
        for pattern in TABLES.get(desc, ())
        for path in _in_time_order(folder.glob(pattern.format(own=own)), order)
    ]
    return tuple(numbers_file(path, folder.parent) for path in found)


def _in_time_order(paths: Iterable[Path], order: list[str]) -> list[Path]:
    place = {label: number for number, label in enumerate(order)}

    def position(path: Path) -> int:
        name = parse_name(path.name)
        return place.get(f"ses-{name.get('ses')}" if name else "", len(order))

    return sorted(sorted(paths), key=position)
