"""A study for the browser: a worked one of tables, with pages of two made-up people."""

from pathlib import Path

import numpy as np
import pandas as pd

from bids_utils.derivatives import read_table, write_table
from configs.atlases import find_atlas
from configs.label_tables import read_label_table
from workflows.compute.pair_quality import pair_table, quality_table, scored_values
from workflows.demo import main as make_study
from workflows.drawing.canvas import save_png
from workflows.drawing.matrices import region_matrix
from workflows.drawing.slices import Volume, outlined_slices
from workflows.drawing.timecourses import motion_trace
from workflows.report import write_group_report, write_participant_report

PEOPLE = ("01", "02", "03", "04", "05", "06")
SESSIONS = (("pre", 0.0), ("post", 87.0))
ATLAS = "DesikanKilliany"
N_MATRIX = 12
DONE, SOME_LEFT_OUT = 0, 10


def make(root: Path) -> Path:
    """Output folder with the report of the group and pages of people."""
    assert make_study([str(root), "--study", "two_arms"]) in (DONE, SOME_LEFT_OUT)
    out = root / "derivatives"
    write_table(ledger(), out / "ledger.tsv")
    write_quality(out)
    for who in PEOPLE[:2]:
        write_person(out, who)
        write_participant_report(out, who)
    write_group_report(out)
    return out


def ledger() -> pd.DataFrame:
    rows = []
    for who in PEOPLE:
        for session, days in SESSIONS:
            for modality, stem in (("T1w", "T1w"), ("bold", "task-rest_bold")):
                run = f"sub-{who}_ses-{session}_{stem}"
                rows.append((f"sub-{who}", f"ses-{session}", modality, run, "used", None, days))
    names = "participant_id session_id modality run status reason days_from_baseline"
    return pd.DataFrame(rows, columns=names.split())


def write_quality(out: Path) -> None:
    rng = np.random.default_rng(4)
    rows = [
        (who, session, "T1w", "snr_total", 2.0 if (who, session) == ("06", "post") else value)
        for who in PEOPLE
        for (session, _), value in zip(SESSIONS, 10 + 0.1 * rng.normal(size=2), strict=True)
    ]
    names = ["participant_id", "session_id", "modality", "metric", "value"]
    scored = scored_values(pd.DataFrame(rows, columns=names))
    pairs = pd.DataFrame({"participant_id": PEOPLE, "modality": "T1w"})
    pairs = pairs.assign(baseline="pre", followup="post", interval_days=87.0)
    write_table(quality_table(scored), out / "group" / "quality.tsv")
    write_table(pair_table(scored, pairs), out / "group" / "quality_pairs.tsv")


def write_person(out: Path, who: str) -> None:
    rng, folder = np.random.default_rng(int(who)), out / f"sub-{who}"
    figures = folder / "figures"
    figures.mkdir(parents=True)
    regions = list(read_label_table(find_atlas(ATLAS))["name"])
    for number, (session, _) in enumerate(SESSIONS):
        start = f"sub-{who}_ses-{session}"
        quality = pd.DataFrame({"snr_total": [10.0 + number]})
        anat = folder / f"ses-{session}" / "anat"
        write_table(quality, anat / f"{start}_desc-quality_T1w.tsv")
        write_regions(anat, start, regions, rng)
        run = f"{start}_task-rest"
        func = folder / f"ses-{session}" / "func"
        confounds = motion(rng)
        write_table(confounds, func / f"{run}_desc-confounds_timeseries.tsv")
        save_png(motion_trace(confounds, 2.0, 0.5), figures / f"{run}_desc-motion_bold.png")
        matrix = rng.normal(size=(N_MATRIX, N_MATRIX))
        matrix = (matrix + matrix.T) / 2
        names = regions[:N_MATRIX]
        kind = f"{run}_atlas-{ATLAS}_stat-pearsoncorrelation_relmat.tsv"
        write_table(pd.DataFrame(matrix, columns=names), func / kind)
        picture = region_matrix(matrix, names, "Fisher z")
        save_png(picture, figures / f"{run}_desc-connectivity_bold.png")
        save_png(slices(10.0 * number), figures / f"{start}_desc-session_T1w.png")


def write_regions(folder: Path, start: str, regions: list[str], rng) -> None:
    volume = 5 + rng.random(len(regions))
    table = pd.DataFrame({"index": range(1, len(regions) + 1), "region": regions})
    more = table.assign(volume=volume, volume_standard_error=0.02)
    write_table(more, folder / f"{start}_atlas-{ATLAS}_desc-volume_morph.tsv")
    more = table.assign(thickness=volume / 2, thickness_standard_error=0.02)
    write_table(more, folder / f"{start}_atlas-{ATLAS}_desc-thickness_morph.tsv")


def motion(rng) -> pd.DataFrame:
    names = ["trans_x", "trans_y", "trans_z", "rot_x", "rot_y", "rot_z"]
    table = pd.DataFrame(0.01 * rng.normal(size=(40, 6)).cumsum(axis=0), columns=names)
    return table.assign(framewise_displacement=np.abs(rng.normal(size=40)) / 4)


def slices(brightness: float):
    ball = np.linalg.norm(np.indices((40, 40, 40)) - 19.5, axis=0) < 16
    volume = Volume(
        ball * (90.0 + brightness * np.indices((40, 40, 40))[0] / 40), np.diag([4.0] * 3 + [1])
    )
    return outlined_slices(volume, (), ball, "made-up")


def relmat(out: Path, who: str, session: str) -> pd.DataFrame:
    """Matrix of a person as it is on disk."""
    (path,) = (out / f"sub-{who}" / f"ses-{session}" / "func").glob("*pearson*_relmat.tsv")
    return read_table(path)
