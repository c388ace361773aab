"""Planted correlations through motion, drift and physiology: what each strategy gives back.

usage: OMP_NUM_THREADS=1 python benchmarks/denoising.py [--people N] [--seed N]

Voxels of twenty regions, white matter and fluid are made up. All of them see two motion artefacts:
one that follows the motion parameters, with another slope in each voxel, and one that no
parameter follows: after each move the whole brain darkens and recovers within some seconds. There
is a drift, breathing (in the band, in all voxels), pulsation (mostly in fluid) and thermal noise.
Each person moves half as much in the second session, so what is left of motion looks like a
change of connectivity. The edges between two sets of regions have a planted Fisher z, the same in
both sessions or larger in the second. `signal` is what the planted signal alone shows (its chance
deviation from the population), `none` is filter and censoring without confounds. The last line is
JSON.
"""

from __future__ import annotations

import argparse
import json
import sys

import numpy as np
import pandas as pd

from configs.settings import FuncSettings
from workflows.compute import planted_bold
from workflows.compute.compcor import compcor
from workflows.compute.confounds import Timing, confound_table, dvars, slow_cosines
from workflows.compute.connectivity import fisher_z_matrix
from workflows.compute.denoise import STRATEGIES, censored_volumes, nuisance_design, project_out

TR_S = 2.0
N_VOLUMES = 240
BAND_HZ = (0.008, 0.1)
FD_THRESHOLD_MM = 0.5
NETWORKS = np.repeat(range(4), 5)
ROWS, COLUMNS = range(5), range(5, 10)
PLANTED_Z = 0.4
PLANTED_CHANGE = 0.2
MAX_ERROR = 0.05
GREY_VOXELS = 40
N_VOXELS = {"white": 400, "fluid": 120}
STEP = (0.05, 0.0007)
MOTION_SHARE = (1.0, 0.5)
SIGNAL, BREATHING, PULSATION, NOISE = 0.015, 0.004, 0.02, 0.02
FOLLOWS_MOTION, DARKENS = 0.006, 0.015
RECOVERY_S = 8.0
MOTION_SCALE = np.array([1, 1, 1, 50, 50, 50])
LEAKS = (0.0, 0.05)
SHARES = {"grey": (1.0, 0.2), "white": (0.8, 0.2), "fluid": (0.8, 1.0)}


def darkening(motion) -> np.ndarray:
    """Course (n_volumes,) of the brain after moves: down with each, back within seconds."""
    moved = np.abs(np.diff(motion * MOTION_SCALE, axis=0, prepend=motion[:1] * MOTION_SCALE))
    course = np.zeros(len(motion))
    for volume, size in enumerate(np.minimum(moved.sum(axis=1), 2.0)):
        course[volume] = course[volume - 1] * np.exp(-TR_S / RECOVERY_S) - size
    return course - course.mean()


def tissue_series(neural, tissue, courses, rng) -> np.ndarray:
    """Voxels (n_voxels, n_volumes) of a tissue from their neural signal (n_volumes, n_voxels)."""
    n_volumes, n_voxels = neural.shape
    breathing, pulsation, motion, dark = courses
    of_breathing, of_pulsation = SHARES[tissue]
    slopes = rng.normal(0, FOLLOWS_MOTION, (6, n_voxels)) + rng.normal(0, FOLLOWS_MOTION, (6, 1))
    drift = rng.normal(0, 0.01, n_voxels) * np.linspace(-1, 1, n_volumes)[:, None]
    percent = (
        neural
        + BREATHING * of_breathing * breathing
        + PULSATION * of_pulsation * pulsation
        + (motion * MOTION_SCALE) @ slopes
        + DARKENS * rng.uniform(0.5, 1.5, n_voxels) * dark
        + drift
        + NOISE * rng.standard_normal(neural.shape)
    )
    return (rng.uniform(700, 1100, n_voxels) * (1 + percent)).T


def session(fisher_z: float, motion_share: float, leak: float, rng) -> tuple:
    """Regional signals and means (n_volumes, n_regions), and confounds of one run.

    `leak` is the share of the mean neural signal that the white matter shows.
    """
    correlation = planted_bold.network_correlation(NETWORKS)
    correlation = planted_bold.with_edges(correlation, ROWS, COLUMNS, fisher_z)
    neural = SIGNAL * planted_bold.regional_series(correlation, N_VOLUMES, TR_S, rng)
    motion = planted_bold.head_motion(N_VOLUMES, rng, np.multiply(STEP, motion_share))
    pulsation = rng.standard_normal((N_VOLUMES, 1))
    breathing = planted_bold.slow_noise(N_VOLUMES, 1, TR_S, rng)
    courses = (breathing, pulsation, motion, darkening(motion)[:, None])
    grey = tissue_series(np.repeat(neural, GREY_VOXELS, axis=1), "grey", courses, rng)
    everywhere = leak * neural.mean(axis=1, keepdims=True)
    white = tissue_series(np.tile(everywhere, N_VOXELS["white"]), "white", courses, rng)
    fluid = tissue_series(np.zeros((N_VOLUMES, N_VOXELS["fluid"])), "fluid", courses, rng)
    brain = np.concatenate([grey, white, fluid])
    means = grey.reshape(len(NETWORKS), GREY_VOXELS, N_VOLUMES).mean(axis=1).T
    return neural, means, confounds_of(motion, fluid, white, brain)


def confounds_of(motion, fluid, white, brain) -> pd.DataFrame:
    """Confounds of a run as the pipeline makes them."""
    voxels = {"csf": fluid, "white_matter": white, "global_signal": brain}
    tissues = pd.DataFrame({name: part.mean(axis=0) for name, part in voxels.items()})
    timing = Timing(TR_S)
    table = confound_table(motion, tissues, dvars(brain), timing, FD_THRESHOLD_MM)
    components, _ = compcor(fluid, white, brain, slow_cosines(N_VOLUMES, timing))
    return pd.concat([table, components], axis=1)


def recovered(means, confounds, strategy: str) -> tuple[float, int]:
    """Fisher z of the planted edges, and degrees of freedom; others: no confounds."""
    table = confounds if strategy in STRATEGIES else confounds * 0.0
    name = strategy if strategy in STRATEGIES else "6P"
    design = nuisance_design(table, name, TR_S, BAND_HZ)
    kept = ~censored_volumes(confounds, FD_THRESHOLD_MM)
    cleaned = project_out(means, design, kept)
    matrix = fisher_z_matrix(cleaned.series)
    return matrix[np.ix_(ROWS, COLUMNS)].mean(), cleaned.degrees_of_freedom


def study(n_people: int, change: float, leak: float, seed: int) -> pd.DataFrame:
    """One row a person, session and strategy: found and true Fisher z, degrees of freedom, FD."""
    rows = []
    for person in range(n_people):
        rng = np.random.default_rng([seed, person])
        for number, share in enumerate(MOTION_SHARE):
            truth = PLANTED_Z + change * number
            neural, means, confounds = session(truth, share, leak, rng)
            displacement = confounds["framewise_displacement"].mean()
            for strategy in ("signal", "none", *STRATEGIES):
                series = neural if strategy == "signal" else means
                found, freedom = recovered(series, confounds, strategy)
                rows.append((person, number, strategy, found, truth, freedom, displacement))
    columns = ["person", "session", "strategy", "found", "truth", "freedom", "displacement"]
    return pd.DataFrame(rows, columns=columns)


def summary(table: pd.DataFrame, change: float) -> pd.DataFrame:
    """A row a strategy: errors of Fisher z, of its change, and what motion has to do with it.

    `bias` is the mean difference between the change found and that of the signal alone.
    """
    rows = {}
    numbers = ["found", "truth", "freedom", "displacement"]
    wide = {
        name: part.pivot_table(index="person", columns="session", values=numbers)
        for name, part in table.groupby("strategy", sort=False)
    }
    alone = wide["signal"]["found"][1] - wide["signal"]["found"][0]
    for strategy, part in wide.items():
        difference = part["found"][1] - part["found"][0]
        moved = part["displacement"][1] - part["displacement"][0]
        rows[strategy] = {
            "error": (part["found"] - part["truth"]).mean(axis=None),
            "change_error": difference.mean() - change,
            "standard_error": difference.sem(),
            "bias": (difference - alone).mean(),
            "bias_error": (difference - alone).sem(),
            "r_with_motion": difference.corr(moved),
            "degrees_of_freedom": part["freedom"].mean(axis=None),
        }
    return pd.DataFrame(rows).T


def held(found: pd.DataFrame, name: str) -> dict[str, dict[str, object]]:
    """Figures of the default strategy: error of Fisher z, and of its change against chance."""
    row = found.loc[FuncSettings().strategy]
    value, change = abs(row["error"]), abs(row["change_error"])
    limit = 2 * row["standard_error"]
    return {
        f"error of z, {name}": {
            "value": round(value, 4),
            "target": f"<= {MAX_ERROR}",
            "ok": bool(value <= MAX_ERROR),
        },
        f"error of its change, {name}": {
            "value": round(change, 4),
            "target": f"<= {limit:.4f} (2 standard errors)",
            "ok": bool(change <= limit),
        },
    }


def main() -> int:
    """Run the studies and print a table of the strategies each, and the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--people", type=int, default=60)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    figures, strategies = {}, {}
    for leak in LEAKS:
        for change in (0.0, PLANTED_CHANGE):
            table = study(options.people, change, leak, options.seed)
            found = summary(table, change)
            name = f"change {change:g}, {100 * leak:g} % of the signal in white matter"
            print(f"{name}\n{found.round(3).to_string()}", flush=True)
            figures |= held(found, name)
            strategies[name] = found.round(4).to_dict(orient="index")
    print(json.dumps({"figures": figures, "strategies": strategies}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
