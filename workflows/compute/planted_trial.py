"""A made-up two-arm trial: who changes by how much, and the images and truth of one participant.

In the treated arm, amygdala and hippocampus grow, and the connection between the amygdala and the
rostral anterior cingulate becomes stronger, both in proportion to the improvement of the symptom
score. In the waiting arm nothing changes but noise, head position, and intensity. The baseline
session comes first everywhere.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from workflows.compute import planted, planted_anatomy, planted_bold
from workflows.compute.planted_anatomy import Anatomy, Appearance, Change, Head
from workflows.compute.planted_bold import BoldScan, BoldTemplate

TREATED, WAITING = "CBT", "waitlist"
GROWING_REGIONS = ("hippocampus", "amygdala")
EDGE_SET = ("amygdala", "rostralanteriorcingulate")
BASELINE_FISHER_Z = 0.2
MOST_POINTS = 3
"""Points along a side of a T1w voxel whose mean is its value, at most."""
NETWORKS = (
    ("amygdala",),
    ("rostralanteriorcingulate",),
    ("hippocampus", "entorhinal", "parahippocampal", "temporalpole", "fusiform"),
    ("cuneus", "lateraloccipital", "lingual", "pericalcarine"),
    ("precentral", "postcentral", "paracentral", "transversetemporal", "superiortemporal"),
    ("thalamusproper", "caudate", "putamen", "pallidum", "accumbensarea", "brainstem"),
    ("insula", "caudalanteriorcingulate", "supramarginal", "parsopercularis"),
    ("caudalmiddlefrontal", "rostralmiddlefrontal", "superiorparietal", "parstriangularis"),
)


@dataclass(frozen=True)
class PlantedSize:
    """What one point of symptom improvement does in the treated arm.

    `volume_pct` of growth in the growing regions, `fisher_z` in the edge set.
    """

    volume_pct: float = 1.0
    fisher_z: float = 0.05


@dataclass(frozen=True)
class Stage:
    """What all participants share.

    `regions` has one row per region (index, name, label); `fractions` are theirs on the field
    grid of `head`; `growth` is the velocity (mm) that makes the growing regions larger by
    a log-Jacobian of 1.
    """

    head: Head
    bold: BoldTemplate
    regions: pd.DataFrame
    fractions: object
    growth: np.ndarray


@dataclass(frozen=True)
class Person:
    """One participant: anatomy, and for baseline and follow-up the change and the poses.

    Poses are 4 x 4, participant to scanner; the head lies differently in the two images of a
    session.
    """

    anatomy: Anatomy
    changes: tuple[Change, Change]
    t1w_poses: tuple[np.ndarray, np.ndarray]
    bold_poses: tuple[np.ndarray, np.ndarray]


@dataclass(frozen=True)
class BoldTruth:
    """A run's motion (n_volumes, 6; mm, rad) and the Fisher z its signals happened to have."""

    motion: np.ndarray
    realised_z: float


def trial_table(n_participants, rng, size):
    """Participants of the trial: arm, age, sex, interval, scores, and what is planted.

    The last participant has no follow-up, the last but one (where there are more than four) a
    follow-up without a score.

    Parameters
    ----------
    n_participants : int
        At least 4; arms alternate.
    rng : np.random.Generator
        Source of everything.
    size : PlantedSize
        Effect of a point of improvement.

    Returns
    -------
    DataFrame
        participant, group, age, sex, interval_days, baseline_score, followup_score,
        improvement (points), log_jacobian, fisher_z_change, has_followup, has_score.
    """
    if n_participants < 4:
        raise ValueError(f"n_participants: at least 4 are needed, found {n_participants}")
    number = np.arange(n_participants)
    treated = number % 2 == 0
    gains = np.zeros(n_participants, dtype=int)
    gains[treated] = rng.permutation(np.linspace(3, 18, treated.sum()).round().astype(int))
    gains[~treated] = rng.integers(-2, 4, (~treated).sum())
    baseline = rng.integers(22, 38, n_participants)
    dose = np.where(treated, gains, 0)
    return pd.DataFrame(
        {
            "participant": [f"{n + 1:02d}" for n in number],
            "group": np.where(treated, TREATED, WAITING),
            "age": rng.integers(21, 56, n_participants),
            "sex": rng.permutation(np.where(number % 4 < 2, "F", "M")),
            "interval_days": rng.integers(80, 113, n_participants),
            "baseline_score": baseline,
            "followup_score": baseline - gains,
            "improvement": gains,
            "log_jacobian": np.log1p(size.volume_pct / 100 * dose),
            "fisher_z_change": size.fisher_z * dose,
            "has_followup": number != n_participants - 1,
            "has_score": (number != n_participants - 3) | (n_participants <= 4),
        }
    )


def set_stage(head, regions, bold_voxel_mm):
    """What all participants share, from a head and its regions.

    Parameters
    ----------
    head : Head
        Template.
    regions : DataFrame
        Columns index (number in `head.labels`), name (unique), label (the same on both sides).
    bold_voxel_mm : float
        Voxel size of the BOLD runs.
    """
    indices = list(regions["index"])
    fractions = planted.region_fractions(head.labels, indices, 2)
    wanted = dict.fromkeys(region_rows(regions, *GROWING_REGIONS), 1.0)
    target = planted.planted_log_jacobian(fractions, wanted, head.field_grid)
    return Stage(
        head=head,
        bold=planted_bold.bold_template(head, indices, bold_voxel_mm),
        regions=regions,
        fractions=fractions,
        growth=planted.expansion_velocity(target, head.field_grid),
    )


def region_rows(regions, *labels):
    """Positions in the region table of all regions with one of these labels (both sides)."""
    return list(np.flatnonzero(regions["label"].isin(labels)))


def random_person(stage, log_jacobian, rng):
    """A participant with a planted growth: anatomy, head poses, and half of the change each.

    Parameters
    ----------
    stage : Stage
        What all share.
    log_jacobian : float
        Planted change of the growing regions, follow-up against baseline.
    rng : np.random.Generator
        Source of the anatomy and the poses.
    """
    position = planted.rigid_matrix(rng.normal(size=6) * [3, 3, 3, 4, 2, 2])
    motion = planted.rigid_matrix(rng.normal(size=6) * 1.5)
    poses = planted_anatomy.half_poses(position, motion)
    offsets = [planted.rigid_matrix(rng.normal(size=6)) for _ in poses]
    return Person(
        anatomy=planted_anatomy.random_anatomy(stage.head, rng),
        changes=planted_anatomy.half_changes(log_jacobian * stage.growth, stage.head.field_grid),
        t1w_poses=poses,
        bold_poses=tuple(offset @ pose for offset, pose in zip(offsets, poses, strict=True)),
    )


def volume_truth(stage, person):
    """Volume of each region at baseline and follow-up (ml), and its change.

    The volume is the integral of the Jacobian determinant of the composed outward map over the
    region. Columns: region, baseline_ml, followup_ml, percent_change (100 x difference / mean of
    the two).
    """
    grid = stage.head.field_grid
    baseline, followup = (
        planted.region_volumes(
            stage.fractions,
            planted_anatomy.outward_map(stage.head, person.anatomy, change),
            grid,
        )
        for change in person.changes
    )
    return pd.DataFrame(
        {
            "region": stage.regions["name"],
            "baseline_ml": baseline,
            "followup_ml": followup,
            "percent_change": 200 * (followup - baseline) / (followup + baseline),
        }
    )


def session_t1w(stage, person, visit, grid, rng):
    """T1w image (nx, ny, nz) of a session on `grid`, float32; visit 0 is the baseline."""
    inward = planted_anatomy.inward_map(
        grid, person.t1w_poses[visit], person.anatomy, person.changes[visit]
    )
    scanner = Appearance(gain=rng.uniform(0.85, 1.15), bias=0.06, noise=0.02)
    ratio = grid.voxel_size_mm[0] / stage.head.grid.voxel_size_mm[0]
    fineness = int(np.clip(round(ratio), 1, MOST_POINTS))
    return planted_anatomy.t1w_image(stage.head, inward, scanner, rng, fineness)


def session_bold(stage, person, visit, scan: BoldScan, fisher_z, rng):
    """BOLD run (nx, ny, nz, n_volumes) of a session, float32, and its truth.

    Parameters
    ----------
    stage : Stage
        What all share.
    person : Person
        The participant.
    visit : int
        0 is the baseline, 1 the follow-up.
    scan : BoldScan
        Protocol.
    fisher_z : float
        Population value of the edge set in this session.
    rng : np.random.Generator
        Source of signals, motion and noise.
    """
    inward = planted_anatomy.inward_map(
        scan.grid, person.bold_poses[visit], person.anatomy, person.changes[visit]
    )
    ends = [region_rows(stage.regions, label) for label in EDGE_SET]
    population = planted_bold.with_edges(
        planted_bold.network_correlation(networks_of(stage.regions["label"])), *ends, fisher_z
    )
    signals = planted_bold.regional_series(population, scan.n_volumes, scan.repetition_time_s, rng)
    motion = planted_bold.head_motion(scan.n_volumes, rng)
    image = planted_bold.bold_series(stage.bold, inward, signals, motion, scan, rng)
    realised = planted_bold.edge_set_z(np.corrcoef(signals.T), *ends)
    return image, BoldTruth(motion, float(realised))


def edge_set_values(fisher_z_change):
    """Population Fisher z of the edge set at baseline and follow-up: half of the change each."""
    half = fisher_z_change / 2
    return BASELINE_FISHER_Z - half, BASELINE_FISHER_Z + half


def networks_of(labels):
    """Network number (n_regions,) of each region label; what is in none shares the last one."""
    number = {label: i for i, members in enumerate(NETWORKS) for label in members}
    return np.array([number.get(label, len(NETWORKS)) for label in labels])
