"""Mediation: time beside pingouin, coverage of the intervals, false positives.

Run with ``python benchmarks/mediation.py``; pingouin is timed where it is installed. Trials have
80 participants in two arms, normal errors with equal variances, independent participants and no
unmeasured causes: what the models assume, and no more is shown here. If both steps are 0 all
tests of an indirect effect are conservative, and so are these. The last line is JSON.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import sys
import time
import warnings
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import numpy as np
import pandas as pd

from workflows.compute.bootstrap import Resampling
from workflows.compute.mass_mediation import MassData, mass_mediation, with_permutation
from workflows.compute.mediation import parallel_mediation, serial_mediation
from workflows.compute.mediation_data import MediationData
from workflows.compute.moderated_mediation import moderated_mediation

N, N_BOOTSTRAPS, CONFIDENCE = 80, 999, 0.95
Rows = dict[str, tuple[float, pd.Series]]


def trial(mediators: np.ndarray, outcome: np.ndarray) -> MediationData:
    """Data of one trial from the parts the simulation made."""
    treatment, age = trial_frame()
    names = tuple(f"m{place}" for place in range(mediators.shape[1]))
    return MediationData(
        treatment[:, None], ("arm",), mediators, names, outcome, age[:, None], ("age",)
    )


def trial_frame() -> tuple[np.ndarray, np.ndarray]:
    """Arm and a covariate, the same in all trials."""
    return np.tile([0.0, 1.0], N // 2), np.sin(np.arange(N))


def single(rng: np.random.Generator, a: float = 0.6, b: float = 0.5) -> Rows:
    """Treatment, one brain change, symptoms."""
    t, age = trial_frame()
    m = a * t + 0.3 * age + rng.normal(size=N)
    y = 0.2 * t + b * m + 0.3 * age + rng.normal(size=N)
    rows = fitted(parallel_mediation, rng, trial(m[:, None], y))
    return {"indirect": (a * b, rows.loc["indirect"])}


def parallel(rng: np.random.Generator) -> Rows:
    """Two mediators side by side with correlated errors."""
    t, age = trial_frame()
    shared = rng.normal(size=N)
    m1 = 0.6 * t + 0.5 * shared + rng.normal(size=N)
    m2 = -0.5 * t + 0.5 * shared + rng.normal(size=N)
    y = 0.2 * t + 0.5 * m1 + 0.4 * m2 + 0.3 * age + rng.normal(size=N)
    rows = fitted(parallel_mediation, rng, trial(np.column_stack([m1, m2]), y))
    return {
        "via m0": (0.3, rows.loc["indirect via m0"]),
        "total indirect": (0.1, rows.loc["indirect"]),
        "difference": (0.5, rows.loc["indirect via m0 minus via m1"]),
    }


def serial(rng: np.random.Generator) -> Rows:
    """Treatment, brain change, cognitive change, symptoms."""
    t, age = trial_frame()
    m1 = 0.8 * t + rng.normal(size=N)
    m2 = 0.2 * t + 0.6 * m1 + rng.normal(size=N)
    y = 0.2 * t + 0.2 * m1 + 0.6 * m2 + 0.3 * age + rng.normal(size=N)
    rows = fitted(serial_mediation, rng, trial(np.column_stack([m1, m2]), y))
    return {"via m0 -> m1": (0.8 * 0.36, rows.loc["indirect via m0 -> m1"])}


def moderated(rng: np.random.Generator) -> Rows:
    """First and second stage depend on a moderator; the index is that of the first stage."""
    t, _ = trial_frame()
    w = rng.normal(size=N)
    m = (0.6 + 0.4 * w) * t + 0.2 * w + rng.normal(size=N)
    y = 0.2 * t + 0.5 * m + 0.2 * w + rng.normal(size=N)
    data = trial(m[:, None], y)

    def run(data: MediationData, how: Resampling, rng: np.random.Generator) -> object:
        return moderated_mediation(data, ("w", w), frozenset({"a"}), how, rng)

    rows = fitted(run, rng, data)
    high = next(name for name in rows.index[::-1] if name.startswith("indirect at"))
    truth = 0.5 * (0.6 + 0.4 * (w.mean() + w.std(ddof=1)))
    return {
        "index": (0.2, rows.loc["index of moderated mediation"]),
        "at +1 SD": (truth, rows.loc[high]),
    }


def fitted(model: Callable, rng: np.random.Generator, data: MediationData) -> pd.DataFrame:
    """Rows of a model by path."""
    return model(data, Resampling(N_BOOTSTRAPS, CONFIDENCE), rng).rows.set_index("path")


def simulate(task: tuple[Callable, int, int]) -> pd.DataFrame:
    """Bias, coverage and rejections of each effect over many trials of one kind."""
    make, n_trials, seed = task
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(n_trials):
        for name, (truth, row) in make(rng).items():
            found.append(
                (
                    name,
                    row["estimate"] - truth,
                    row["ci_low"] <= truth <= row["ci_high"],
                    row["bca_low"] <= truth <= row["bca_high"],
                    row["p"] <= 1 - CONFIDENCE,
                )
            )
    columns = ["effect", "bias", "percentile", "bca", "rejected"]
    table = pd.DataFrame(found, columns=columns)
    error = table.groupby("effect", sort=False)["bias"].std() / np.sqrt(n_trials)
    return table.groupby("effect", sort=False).mean().assign(bias_error=error, trials=n_trials)


def false_claims(task: tuple[Callable, int, int]) -> np.ndarray:
    """Share of tests, and of trials by Holm and by permutations, with a false claim."""
    make, n_trials, seed = task
    rng, wrong = np.random.default_rng(seed), np.zeros(3)
    for _ in range(n_trials):
        data = make(rng)
        found = mass_mediation(data, CONFIDENCE, 10)
        permuted = with_permutation(found, data, 199, rng)
        wrong[0] += (found.p <= 0.05).mean()
        wrong[1:] += (found.p_fwe <= 0.05).any(), (permuted.p_fwe <= 0.05).any()
    return wrong / n_trials


def one_step(rng: np.random.Generator, a: float, b: float) -> MassData:
    """Twenty correlated mediators with the same step a, or the same step b, or none."""
    arm, causes = np.tile([0.0, 1.0], N // 2), rng.normal(size=(N, 2))
    errors = causes @ np.tile([[0.8, 0.0], [0.0, 0.8]], 10) + rng.normal(size=(N, 20))
    outcome = b * errors.mean(axis=1) + rng.normal(size=N)
    return MassData(a * arm[:, None] + errors, arm, outcome, np.empty((N, 0)))


def half_and_half(rng: np.random.Generator) -> MassData:
    """Ten mediators with a strong step a only, ten with a strong step b only."""
    arm = np.tile([0.0, 1.0], N // 2)
    symptoms, cause = rng.normal(size=(N, 1)), rng.normal(size=(N, 1))
    first = 2 * arm[:, None] + 0.8 * cause + rng.normal(size=(N, 10))
    second = 2 * symptoms + rng.normal(size=(N, 10))
    return MassData(np.hstack([first, second]), arm, symptoms[:, 0], np.empty((N, 0)))


def job_table(n: int = 899) -> pd.DataFrame:
    """A made-up trial of the size of the job-search study."""
    rng = np.random.default_rng(5)
    table = pd.DataFrame(rng.normal(size=(n, 3)), columns=["x1", "x2", "x3"])
    table["t"] = np.tile([0.0, 1.0, 1.0], n)[:n]
    table["m"] = 0.2 * table["t"] + 0.1 * table["x1"] + rng.normal(size=n)
    table["y"] = 0.1 * table["t"] - 0.25 * table["m"] + 0.1 * table["x2"] + rng.normal(size=n)
    return table


def ours(table: pd.DataFrame) -> pd.Series:
    """Row of the indirect effect."""
    parts = [table[names].to_numpy() for names in (["t"], ["m"], ["x1", "x2", "x3"])]
    data = MediationData(
        parts[0], ("t",), parts[1], ("m",), table["y"].to_numpy(), parts[2], ("x1", "x2", "x3")
    )
    result = parallel_mediation(data, Resampling(5000, CONFIDENCE), np.random.default_rng(1))
    return result.rows.set_index("path").loc["indirect"]


def peer(table: pd.DataFrame) -> pd.Series:
    """The same from pingouin, with the names of our columns."""
    import pingouin

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        rows = pingouin.mediation_analysis(
            data=table, x="t", m="m", y="y", covar=["x1", "x2", "x3"], n_boot=5000, seed=1
        )
    row = rows.set_index("path").loc["Indirect"]
    low, high = (next(name for name in row.index if name.endswith(end)) for end in ("2.5", "97.5"))
    return pd.Series({"estimate": row["coef"], "ci_low": row[low], "ci_high": row[high]})


def fastest(run: Callable, n_repeats: int) -> tuple[float, object]:
    """Seconds of the fastest run, and what it gives."""
    seconds = []
    for _ in range(n_repeats):
        start = time.perf_counter()
        result = run()
        seconds.append(time.perf_counter() - start)
    return min(seconds), result


def figure(value: float, target: str, ok: bool) -> dict[str, object]:
    """One figure with its target."""
    return {"value": round(float(value), 4), "target": target, "ok": bool(ok)}


def speed() -> dict[str, dict[str, object]]:
    """Seconds of 5,000 bootstraps and of all edges of 400 regions."""
    table, rng = job_table(), np.random.default_rng(2)
    seconds, row = fastest(lambda: ours(table), 3)
    result = {"bootstrap_s": figure(seconds, "< 1", seconds < 1)}
    if importlib.util.find_spec("pingouin"):
        other, same = fastest(lambda: peer(table), 2)
        result["pingouin_ratio"] = figure(other / seconds, ">= 5", other / seconds >= 5)
        gap = abs(row["estimate"] - same["estimate"])
        result["pingouin_estimate_gap"] = figure(gap, "<= 1e-10", gap <= 1e-10)
        gap = max(abs(row[name] - same[name]) for name in ("ci_low", "ci_high"))
        result["pingouin_interval_gap"] = figure(gap, "<= 0.005", gap <= 0.005)
    edges = MassData(
        rng.normal(size=(100, 79800)),
        np.tile([0.0, 1.0], 50),
        rng.normal(size=100),
        rng.normal(size=(100, 2)),
    )
    seconds, found = fastest(lambda: mass_mediation(edges, CONFIDENCE, 10), 2)
    result["edges_79800_s"] = figure(seconds, "< 10", seconds < 10)
    seconds, _ = fastest(lambda: with_permutation(found, edges, 500, rng), 1)
    result["edges_500_permutations_s"] = figure(seconds, "< 30", seconds < 30)
    return result


def coverage(pool: ProcessPoolExecutor, n_trials: int) -> dict[str, dict[str, object]]:
    """Planted effects: coverage of both intervals, and bias in Monte-Carlo errors."""
    kinds = (single, parallel, serial, moderated)
    tasks = [(kind, n_trials, seed) for seed, kind in enumerate(kinds)]
    result = {}
    for kind, table in zip(kinds, pool.map(simulate, tasks), strict=True):
        print(f"\n{kind.__name__}\n{table.round(4).to_string()}", flush=True)
        for effect, row in table.iterrows():
            name = f"{kind.__name__}, {effect}"
            covered, bias = row["percentile"], abs(row["bias"] / row["bias_error"])
            result[f"{name}: coverage"] = figure(covered, "0.935..0.965", 0.935 <= covered <= 0.965)
            result[f"{name}: bias / its error"] = figure(bias, "<= 3.5", bias <= 3.5)
    return result


def false_positives(pool: ProcessPoolExecutor, n_trials: int) -> dict[str, dict[str, object]]:
    """Rejections where a, b or both are 0."""
    cases = ((0.0, 0.5), (0.6, 0.0), (1.0, 0.0), (0.0, 0.0))
    tasks = [(partial(single, a=a, b=b), n_trials, 50 + seed) for seed, (a, b) in enumerate(cases)]
    result, limit = {}, 0.05 + 3 * np.sqrt(0.05 * 0.95 / n_trials)
    for (a, b), table in zip(cases, pool.map(simulate, tasks), strict=True):
        print(f"\nno effect, a={a} b={b}\n{table.round(4).to_string()}", flush=True)
        rate = table["rejected"].iloc[0]
        result[f"false positives, a={a} b={b}"] = figure(rate, f"<= {limit:.4f}", rate <= limit)
    makers = {
        "a=0 b=0": partial(one_step, a=0.0, b=0.0),
        "a=2 b=0": partial(one_step, a=2.0, b=0.0),
        "a=0 b=4": partial(one_step, a=0.0, b=4.0),
        "half a, half b": half_and_half,
    }
    tasks = [(maker, n_trials, 70 + seed) for seed, maker in enumerate(makers.values())]
    rows = zip(makers, pool.map(false_claims, tasks), strict=True)
    for name, (one, holm, permuted) in rows:
        for kind, rate in (("one test", one), ("Holm", holm), ("permutations", permuted)):
            result[f"20 mediators, {name}: {kind}"] = figure(rate, f"<= {limit:.4f}", rate <= limit)
    return result


def main() -> int:
    """Run everything and print it; 1 if a target is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=2000)
    arguments = parser.parse_args()
    result = speed()
    with ProcessPoolExecutor(min(4, os.cpu_count() or 1)) as pool:
        result |= coverage(pool, arguments.trials)
        result |= false_positives(pool, arguments.trials // 2)
    print()
    for name, row in result.items():
        print(f"{name:<44}{row['value']:>10} {row['target']:<16}{'' if row['ok'] else 'MISSED'}")
    print(json.dumps({"figures": result}))
    return 0 if all(row["ok"] for row in result.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
