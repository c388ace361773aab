"""Connectivity of the same people scanned twice: similarity, re-identification, reliability.

    python benchmarks/connectivity_real.py DATA_DIR

DATA_DIR holds `stages_fep_fc` (20 people, two scans three months apart, cleaned series of 419
regions; Pope et al. 2025) and `kirby21_mricloud` (12 people, two scans of one day, raw series of
regions and head motion; Landman et al. 2011). Series of Kirby21 are cleaned here, as a run is in
the pipeline. The last line is JSON.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pandas as pd

from configs.settings import FuncSettings
from workflows.compute.bold_checks import run_problem
from workflows.compute.confounds import expand
from workflows.compute.connectivity import fisher_z_matrix, joined_runs, partial_z_matrix
from workflows.compute.denoise import censored_volumes, nuisance_design, project_out
from workflows.compute.measures import edge_vector
from workflows.compute.motion import MOTION_COLUMNS, framewise_displacement

STAGES, KIRBY = "stages_fep_fc", "kirby21_mricloud"
TR_S = 2.0
DEEP_WHITE = ("ACR", "SCR", "PCR", "GCC", "BCC", "SCC", "ALIC", "PLIC", "RLIC")
VENTRICLES = ("LV_", "III_ventricle")
MINUTES = (1, 2, 3, 4, 5, 6)
PUBLISHED_ICC = (0.23, 0.36)


def read_regions(file: Path) -> pd.DataFrame:
    """Series of regions, a column each, from a file with a row for each region and its name."""
    table = pd.read_csv(file, sep="\t", header=None, index_col=0).dropna(axis=1, how="all").T
    table = table.rename(columns=str.strip).reset_index(drop=True)
    return table.loc[:, ~table.columns.duplicated()]


def kirby_run(folder: Path, strategy: str) -> np.ndarray | None:
    """Cleaned series (n_volumes, n_regions) of grey matter; NaN in censored volumes.

    None for a run that the pipeline would not use.
    """
    table = read_regions(folder / "tc.txt.gz")
    grey = [name for name in read_regions(folder / "n_tc.txt.gz") if name in table]
    motion = np.loadtxt(next(folder.glob("rp_*.txt.gz")))
    tissues = pd.DataFrame(
        {
            "csf": table[[name for name in table if name.startswith(VENTRICLES)]].mean(axis=1),
            "white_matter": table[
                [name for name in table if name.rpartition("_")[0] in DEEP_WHITE]
            ].mean(axis=1),
            "global_signal": table[grey].mean(axis=1),
        }
    )
    confounds = pd.concat(
        [expand(pd.DataFrame(motion, columns=list(MOTION_COLUMNS))), expand(tissues)], axis=1
    ).assign(framewise_displacement=framewise_displacement(motion))
    settings = FuncSettings()
    kept = ~censored_volumes(confounds, settings.fd_threshold_mm, settings.std_dvars_threshold)
    band = (settings.high_pass_hz, settings.low_pass_hz)
    design = nuisance_design(confounds, strategy, TR_S, band)
    cleaned = project_out(table[grey].to_numpy(float), design, kept)
    minutes = kept.sum() * TR_S / 60
    freedom = cleaned.degrees_of_freedom
    reason = run_problem(minutes, settings.min_clean_minutes, freedom, len(grey))
    if reason:
        print(f"  {folder.parent.name} of {folder.name} is left out: {reason}")
    return None if reason else cleaned.series


def first_minutes(series: np.ndarray, minutes: float) -> np.ndarray:
    """The first kept volumes of a cleaned series that last so long."""
    kept = series[np.isfinite(series).any(axis=1)]
    return kept[: round(minutes * 60 / TR_S)]


def edges_of(runs, matrix_of=fisher_z_matrix) -> np.ndarray:
    """Fisher z (n_people, 2, n_edges) of the people's two scans."""
    return np.array([[edge_vector(matrix_of(joined_runs([run]))) for run in pair] for pair in runs])


def similarity(edges: np.ndarray) -> dict[str, float]:
    """Mean correlation of the edges within and between people, share found again."""
    first, second = edges.swapaxes(0, 1)
    whole = np.isfinite(edges).all(axis=(0, 1))
    n_people = len(first)
    among = np.corrcoef(first[:, whole], second[:, whole])[:n_people, n_people:]
    own = np.diag(among)
    found = [(among.argmax(axis=axis) == np.arange(n_people)).mean() for axis in (1, 0)]
    return {
        "within": float(own.mean()),
        "between": float(among[~np.eye(n_people, dtype=bool)].mean()),
        "identified": float(np.mean(found)),
    }


def mean_icc(edges: np.ndarray) -> float:
    """Mean over edges of ICC(2,1): absolute agreement of single scans (Shrout & Fleiss 1979)."""
    n_people, n_scans, _ = edges.shape
    people, scans = edges.mean(axis=1), edges.mean(axis=0)
    whole = edges.mean(axis=(0, 1))
    among = n_scans * ((people - whole) ** 2).sum(axis=0) / (n_people - 1)
    of_scan = n_people * ((scans - whole) ** 2).sum(axis=0) / (n_scans - 1)
    left = ((edges - people[:, None] - scans + whole) ** 2).sum(axis=(0, 1))
    left /= (n_people - 1) * (n_scans - 1)
    total = among + (n_scans - 1) * left + n_scans * (of_scan - left) / n_people
    return float(np.nanmean((among - left) / total))


def with_error(edges: np.ndarray) -> tuple[float, float]:
    """Mean ICC, and its standard error when people are left out in turn."""
    value, n_people = mean_icc(edges), len(edges)
    others = [mean_icc(np.delete(edges, person, axis=0)) for person in range(n_people)]
    spread = (n_people - 1) / n_people * np.sum((others - np.mean(others)) ** 2)
    return value, float(np.sqrt(spread))


def stages(folder: Path) -> dict[str, dict[str, float]]:
    """Similarity of the scans of STAGES, by kind of edge."""
    runs = []
    for file in sorted((folder / "timeseries" / "ses-2").iterdir()):
        before = folder / "timeseries" / "ses-1" / file.name.replace("ses-2", "ses-1")
        runs.append([np.loadtxt(path).T for path in (before, file)])
    kinds = {"correlation": fisher_z_matrix, "partial": partial_z_matrix}
    found = {name: similarity(edges_of(runs, kind)) for name, kind in kinds.items()}
    print(f"STAGES: {len(runs)} people x 2, series {runs[0][0].shape}")
    for name, row in found.items():
        print(f"  {name:<12}" + "  ".join(f"{key} {value:.3f}" for key, value in row.items()))
    return found


def kirby(folder: Path) -> dict[str, tuple[float, float]]:
    """Mean ICC of edges, by way of cleaning and by minutes kept."""
    people = [path.name for path in sorted((folder / "visit_1").iterdir())]
    visits = [folder / "visit_1", folder / "visit_2"]
    found = {}
    for strategy in ("24P", FuncSettings().strategy, "36P"):
        print(f"Kirby21, {strategy}")
        scanned = [[kirby_run(visit / who, strategy) for visit in visits] for who in people]
        runs = [pair for pair in scanned if all(run is not None for run in pair)]
        edges = edges_of(runs)
        found[strategy] = with_error(edges)
        row = similarity(edges)
        print(f"  {len(runs)} people x 2, {runs[0][0].shape[1]} regions")
        print("  " + "  ".join(f"{key} {value:.3f}" for key, value in row.items()))
        print("  ICC {:.3f} +- {:.3f}".format(*found[strategy]))
        if strategy == FuncSettings().strategy:
            found |= by_minutes(runs)
            found["partial"] = with_error(edges_of(runs, partial_z_matrix))
            print("  partial correlations: ICC {:.3f} +- {:.3f}".format(*found["partial"]))
    return found


def by_minutes(runs) -> dict[str, tuple[float, float]]:
    """Mean ICC of the first minutes of each scan."""
    found = {}
    for minutes in MINUTES:
        short = [[first_minutes(run, minutes) for run in pair] for pair in runs]
        found[f"{minutes} min"] = with_error(edges_of(short))
        print("  {} min: ICC {:.3f} +- {:.3f}".format(minutes, *found[f"{minutes} min"]))
    return found


def figures(stages_found, kirby_found) -> dict[str, dict[str, object]]:
    """Figures with their targets."""
    row = stages_found["correlation"]
    low, high = PUBLISHED_ICC
    icc, error = kirby_found[FuncSettings().strategy]
    longer = kirby_found["6 min"][0] > kirby_found["3 min"][0] > kirby_found["1 min"][0]
    inside = low - 2 * error <= icc <= high + 2 * error
    return {
        "stages_within": {
            "value": round(row["within"], 3),
            "target": ".455",
            "ok": row["within"] > row["between"],
        },
        "stages_between": {"value": round(row["between"], 3), "target": ".306"},
        "stages_identified_pct": {"value": round(100 * row["identified"]), "target": "about 78"},
        "kirby_icc": {
            "value": round(icc, 3),
            "standard_error": round(error, 3),
            "target": f"{low} to {high}, within 2 standard errors",
            "ok": inside,
        },
        "kirby_icc_by_minutes": {
            "value": {
                name: round(kirby_found[name][0], 3) for name in kirby_found if "min" in name
            },
            "target": "grows with minutes",
            "ok": longer,
        },
    }


def main(data: Path) -> int:
    """Print similarity and reliability; 1 if a target is missed."""
    result = figures(stages(data / STAGES), kirby(data / KIRBY))
    print(json.dumps({"figures": result}))
    return 0 if all(row.get("ok", True) for row in result.values()) else 1


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
