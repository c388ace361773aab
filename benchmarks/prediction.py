"""Honesty and speed of prediction: noise, a planted signal, coverage, and real data without one.

Run with ``OMP_NUM_THREADS=1 python benchmarks/prediction.py [--stages FOLDER]``. FOLDER holds the
public data of Pope 2025 (STAGES: 20 people with first-episode psychosis), whose authors found no
prediction. The last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from workflows.compute.prediction import PredictionResult, predict_outcome
from workflows.compute.prediction_cases import Cases, PredictionSpec

N_PARTICIPANTS = 60
N_EDGES = 20_000
QUICK = PredictionSpec(
    "continuous", predictors_first=True, n_repeats=1, n_permutations=0, n_bootstraps=200
)


def cases_of(target: np.ndarray, edges: np.ndarray, baseline: np.ndarray | None) -> Cases:
    """Cases of one row a participant; clinical: baseline or nothing."""
    n = len(target)
    clinical = pd.DataFrame(index=range(n) if baseline is None else None)
    if baseline is not None:
        clinical = pd.DataFrame({"baseline": baseline})
    return Cases(np.arange(n), target, clinical, {"edges": edges}, np.empty((n, 0)))


def score(result: PredictionResult, model: str, metric: str) -> pd.Series:
    """Row of one model and metric."""
    return result.scores.set_index(["model", "metric"]).loc[(model, metric)]


def noise(n_sets: int, seed: int) -> dict[str, list[float]]:
    """Skill (r) of the brain model in pure noise for each method; pooled r for comparison."""
    found: dict[str, list[float]] = {name: [] for name in ("elastic_net", "ridge", "cpm")}
    pooled: list[float] = []
    for number in range(n_sets):
        rng = np.random.default_rng(seed + number)
        edges = rng.standard_normal((N_PARTICIPANTS, N_EDGES))
        cases = cases_of(rng.normal(size=N_PARTICIPANTS), edges, None)
        for method, values in found.items():
            # the inner folds of connectome-based models serve the persons' intervals only
            spec = replace(QUICK, method="cpm", n_repeats=3, n_inner=2)
            spec = spec if method == "cpm" else replace(QUICK, method=method)
            result = predict_outcome(cases, spec, rng)
            values.append(float(score(result, "brain", "r")["estimate"]))
            if method == "ridge":
                people = result.people
                pooled.append(float(np.corrcoef(people["observed"], people["brain"])[0, 1]))
    return {**found, "pooled r of ridge": pooled}


def planted(n_sets: int, seed: int) -> pd.DataFrame:
    """R2 of the three models where baseline and edges carry a quarter of the variance each."""
    rows = []
    for number in range(n_sets):
        rng = np.random.default_rng(seed + number)
        baseline, carried = rng.normal(size=(2, 200))
        edges = rng.standard_normal((200, 2000))
        edges[:, :200] += carried[:, None]
        target = baseline + carried + np.sqrt(2) * rng.normal(size=200)
        spec = replace(QUICK, method="ridge", interval_confidence=0.9)
        result = predict_outcome(cases_of(target, edges, baseline), spec, rng)
        row = {
            model: score(result, model, "R2")["estimate"]
            for model in ("clinical", "brain", "clinical+brain", "difference")
        }
        row["coverage"] = score(result, "clinical+brain", "interval coverage")["estimate"]
        rows.append(row)
    return pd.DataFrame(rows)


def intervals(n_sets: int, seed: int) -> pd.DataFrame:
    """Per data set: coverage of persons' intervals, r with its interval, p of the whole loop."""
    rows = []
    for number in range(n_sets):
        rng = np.random.default_rng(seed + number)
        target = rng.normal(size=40) + rng.exponential(size=40)
        cases = cases_of(target, rng.standard_normal((40, 100)), None)
        spec = replace(QUICK, method="ridge", n_permutations=19)
        result = predict_outcome(cases, spec, rng)
        r = score(result, "brain", "r")
        inside = score(result, "brain", "interval coverage")["estimate"]
        rows.append((inside, r["ci_low"] <= 0 <= r["ci_high"], r["p"] <= 0.05))
    return pd.DataFrame(rows, columns=["person", "r", "p"])


def full_run(seed: int) -> float:
    """Seconds of 10 repeats of nested 5 x 5 folds with 20,000 edges, three models, elastic net."""
    rng = np.random.default_rng(seed)
    target = rng.normal(size=N_PARTICIPANTS)
    edges = rng.standard_normal((N_PARTICIPANTS, N_EDGES))
    start = time.perf_counter()
    spec = replace(QUICK, n_repeats=10, n_bootstraps=2000)
    predict_outcome(cases_of(target, edges, rng.normal(size=N_PARTICIPANTS)), spec, rng)
    return time.perf_counter() - start


def stages(folder: Path, n_permutations: int, seed: int) -> pd.DataFrame:
    """Skill and p of connectivity for the change of symptoms and functioning at 6 and 12 months."""
    labels = pd.read_csv(folder / "bprs_lm_slopes.txt", sep="\t")["BIDS_ID"].tolist()
    upper = np.triu_indices(419, 1)
    edges = []
    for label in labels:
        name = folder / "timeseries" / "ses-1" / f"ts_{label}_ses-1.txt.gz"
        values = pd.read_csv(name, sep=r"\s+", header=None).to_numpy(dtype=float)
        edges.append(np.arctanh(np.corrcoef(values)[upper]))
    rows = []
    for scale in ("bprs", "sofas"):
        table = pd.read_csv(folder / f"{scale}_change_scores.txt", sep="\t")
        for timepoint, part in table.groupby("timepoint"):
            target = part.set_index("BIDS_ID")["outcome"].reindex(labels).to_numpy()
            cases = cases_of(target, np.array(edges), None)
            spec = replace(QUICK, method="cpm", n_permutations=n_permutations)
            tested = predict_outcome(cases, spec, np.random.default_rng(seed))
            spec = replace(QUICK, method="ridge", n_repeats=2)
            ridge = predict_outcome(cases, spec, np.random.default_rng(seed))
            r, skill = score(tested, "brain", "r"), score(tested, "brain", "R2")["estimate"]
            other = score(ridge, "brain", "R2")["estimate"]
            rows.append((scale, timepoint, r["estimate"], r["p"], skill, other))
    return pd.DataFrame(rows, columns=["scale", "timepoint", "r", "p", "R2", "ridge R2"])


def within(value: float, low: float, high: float) -> dict[str, object]:
    """Figure with its target."""
    return {
        "value": round(float(value), 3),
        "target": f"{low:g} to {high:g}",
        "ok": bool(low <= value <= high),
    }


def figures(arguments: argparse.Namespace) -> dict[str, dict[str, object]]:
    """All figures with their targets; printed as they come."""
    table = {}
    found = noise(arguments.sets, 0)
    for name, values in found.items():
        error = np.std(values) / np.sqrt(len(values))
        print(f"noise, {len(values)} sets: {name:<18} mean {np.mean(values):+.3f} +- {error:.3f}")
        if "pooled" not in name:
            table[f"noise_r_{name}"] = within(np.mean(values), -0.05, 0.05)
    means = planted(12, 100).mean()
    print("planted .25 clinical, .25 brain:", means.round(3).to_dict())
    table["planted_clinical_r2"] = within(means["clinical"], 0.20, 0.30)
    table["planted_both_r2"] = within(means["clinical+brain"], 0.40, 0.52)
    table["planted_difference_r2"] = within(means["difference"], 0.17, 0.28)
    shares = intervals(100, 1000).mean()
    table["person_interval_90"] = within(shares["person"], 0.90, 0.97)
    table["interval_of_r_95_in_noise"] = within(shares["r"], 0.91, 1.0)
    table["false_positives_05"] = within(shares["p"], 0.0, 0.05 + 3 * np.sqrt(0.05 * 0.95 / 100))
    table["full_run_s"] = within(full_run(5), 0, 60)
    if arguments.stages:
        rows = stages(arguments.stages, 199, 7)
        print(rows.round(3).to_string(index=False))
        smallest = float(np.minimum(rows["p"] * len(rows), 1).min())
        table["stages_smallest_corrected_p"] = within(smallest, 0.05, 1)
    return table


def main() -> int:
    """Run all and print; 1 if a target is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sets", type=int, default=50, help="data sets of pure noise")
    parser.add_argument("--stages", type=Path, help="folder with the STAGES data")
    result = figures(parser.parse_args())
    print(json.dumps({"figures": result}))
    return 0 if all(row["ok"] for row in result.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
