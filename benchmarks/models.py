"""Speed, memory and error rates of the mixed models, against difference scores and statsmodels.

Run with ``python benchmarks/models.py`` after ``pip install .[bench]``. All tools use one
thread and take turns. statsmodels is timed on a few edges and counted per edge. The last line
is JSON.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
from scipy import stats
from statsmodels.regression.mixed_linear_model import MixedLM
from threadpoolctl import threadpool_limits

from workflows.compute.mixed import MixedFit, random_intercept
from workflows.compute.mixed_slope import random_slope

N_TESTS, N_PEOPLE, DROPOUT = 79_800, 100, 0.15
CHANGE = np.array([[0.0, 1, 0, 0], [0, 0, 0, 1]])
LARGE = """
import json, resource, sys, time
sys.path.insert(0, {folder!r})
from threadpoolctl import threadpool_limits
import numpy as np
import models as here
with threadpool_limits(1):
    rng = np.random.default_rng(1)
    values, matrix, person, _ = here.trial(rng, 1000, 2, {n_tests}, 0.15)
    start = time.perf_counter()
    here.random_intercept(values, matrix, person, here.CHANGE)
    took = time.perf_counter() - start
print(json.dumps([took, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20]))
"""


def seconds(run: Callable[[], object]) -> float:
    """Wall time of one call."""
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def trial(
    rng: np.random.Generator, n_people: int, n_sessions: int, n_tests: int, dropout: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Values, design (constant, time, arm, time x arm), person and time; correlation .5.

    Sessions follow one another in the rows; each follow-up is missing with probability `dropout`.
    """
    person = np.tile(np.arange(n_people), n_sessions)
    times = np.repeat(np.arange(n_sessions, dtype=float), n_people)
    keep = (times == 0) | (rng.random(len(times)) >= dropout)
    person, times = person[keep], times[keep]
    values = rng.standard_normal((len(person), n_tests))
    for start in range(0, n_tests, 4096):
        part = slice(start, min(start + 4096, n_tests))
        values[:, part] += rng.standard_normal((n_people, part.stop - start))[person]
    arm = (person % 2).astype(float)
    return values, np.column_stack([np.ones(len(times)), times, arm, times * arm]), person, times


def difference_scores(values: np.ndarray, matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Change and its difference between arms, with standard errors, in the shortest way."""
    half = len(values) // 2
    arms = matrix[:half, [0, 2]]
    weights = np.linalg.pinv(arms)
    change = values[half:] - values[:half]
    estimate = weights @ change
    change -= arms @ estimate
    variance = np.einsum("ij,ij->j", change, change) / (half - 2)
    return estimate, np.sqrt(np.outer((weights**2).sum(axis=1), variance))


def complete(rng: np.random.Generator, repeats: int) -> dict[str, float]:
    """Seconds of both on complete data of two sessions, and how far their results differ."""
    values, matrix, person, _ = trial(rng, N_PEOPLE, 2, N_TESTS, 0)
    ours, closed = (
        lambda: random_intercept(values, matrix, person, CHANGE),
        lambda: difference_scores(values, matrix),
    )
    turns = [(seconds(ours), seconds(closed)) for _ in range(repeats)]
    fit, (estimate, error) = ours(), closed()
    gap = np.abs(fit.estimate - estimate).max() / error.min()
    gap = max(gap, np.abs(fit.standard_error / error - 1).max())
    best = [min(turn[place] for turn in turns) for place in range(2)]
    return {"ours_s": best[0], "closed_s": best[1], "gap": float(gap)}


def with_dropout(rng: np.random.Generator, repeats: int, n_peer: int) -> dict[str, float]:
    """Seconds of ours on all edges and of statsmodels on a few, and how far they differ."""
    values, matrix, person, _ = trial(rng, N_PEOPLE, 2, N_TESTS, DROPOUT)
    ours = min(
        seconds(lambda: random_intercept(values, matrix, person, CHANGE)) for _ in range(repeats)
    )
    fit = random_intercept(values, matrix, person, np.eye(4))
    gaps, times = [], []
    for test in range(n_peer):
        start = time.perf_counter()
        model = MixedLM(values[:, test], matrix, person).fit(reml=True)
        times.append(time.perf_counter() - start)
        gaps.append(_gap(fit, test, model, matrix, person))
    return {"ours_s": ours, "peer_s": min(times) * N_TESTS, "gap": max(gaps)}


def _gap(fit: MixedFit, test: int, model: object, matrix: np.ndarray, person: np.ndarray) -> float:
    """Largest relative difference of estimates (in standard errors) and standard errors.

    Those of statsmodels are taken at its variances: what it prints also counts that the
    variances are estimated.
    """
    covariance = model.cov_re.item() * (person[:, None] == person) + model.scale * np.eye(
        len(person)
    )
    information = matrix.T @ np.linalg.solve(covariance, matrix)
    error = np.sqrt(np.diag(np.linalg.inv(information)))
    far = np.abs(model.fe_params - fit.estimate[:, test]) / error
    return float(max(far.max(), np.abs(error / fit.standard_error[:, test] - 1).max()))


def slopes(rng: np.random.Generator, n_tests: int, n_peer: int) -> float:
    """Seconds of statsmodels over ours, for one edge of four sessions with dropout."""
    values, matrix, person, times = trial(rng, N_PEOPLE, 4, n_tests, DROPOUT)
    values += 0.5 * rng.standard_normal((N_PEOPLE, n_tests))[person] * times[:, None]
    ours = seconds(lambda: random_slope(values, matrix, person, times, CHANGE)) / n_tests
    effects = np.column_stack([np.ones(len(times)), times])
    peer = min(
        seconds(lambda test=test: MixedLM(values[:, test], matrix, person, exog_re=effects).fit())
        for test in range(n_peer)
    )
    return peer / ours


def large(n_tests: int) -> tuple[float, float]:
    """Seconds and peak memory (GiB, data included) of 1,000 people with dropout."""
    code = LARGE.format(folder=str(Path(__file__).parent), n_tests=n_tests)
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=os.environ
    )
    took, gib = json.loads(done.stdout.splitlines()[-1])
    return took, gib


def calibration(
    rng: np.random.Generator, n_sessions: int, n_designs: int, slope: float
) -> tuple[float, float, int]:
    """False positives of time x arm, coverage of change, and trials; N=40, dropout, two sites.

    Each design (who drops out, who is at which site) has 500 trials, 100 with random slopes.
    """
    effect, n_tests = 0.3, 100 if slope else 500
    wrong, covered = [], []
    for _ in range(n_designs):
        values, matrix, person, times = trial(rng, 40, n_sessions, n_tests, 0.2)
        site = rng.permutation(np.arange(40) % 2)[person].astype(float)
        matrix = np.column_stack([matrix, site])
        values += (effect + slope * rng.standard_normal((40, n_tests))[person]) * times[:, None]
        values += site[:, None]
        contrasts = np.eye(5)[[1, 3]]
        if slope:
            fit = random_slope(values, matrix, person, times, contrasts)
        else:
            fit = random_intercept(values, matrix, person, contrasts)
        p = 2 * stats.t.sf(np.abs(fit.estimate[1] / fit.standard_error[1]), fit.df[1])
        half = stats.t.ppf(0.975, fit.df[0]) * fit.standard_error[0]
        wrong.append(p < 0.05)
        covered.append(np.abs(fit.estimate[0] - effect) <= half)
    return float(np.mean(wrong)), float(np.mean(covered)), n_designs * n_tests


def figure(value: float, target: str, ok: bool) -> dict[str, object]:
    """One row of the table of figures."""
    return {"value": float(f"{value:.4g}"), "target": target, "ok": bool(ok)}


def speed_figures(arguments: argparse.Namespace) -> dict[str, dict[str, object]]:
    """Figures of speed, agreement and memory."""
    rng = np.random.default_rng(arguments.seed)
    whole = complete(rng, arguments.repeats)
    part = with_dropout(rng, arguments.repeats, arguments.edges)
    print(f"complete: {whole['ours_s']:.3f} s, difference scores {whole['closed_s']:.3f} s")
    print(f"dropout: {part['ours_s']:.3f} s, statsmodels {part['peer_s']:.0f} s for all edges")
    ratio, gain = whole["ours_s"] / whole["closed_s"], part["peer_s"] / part["ours_s"]
    steep = slopes(rng, 1000, arguments.edges)
    took, gib = large(N_TESTS)
    print(f"1,000 people, dropout: {took:.2f} s, {gib:.2f} GiB with the data")
    return {
        "complete_ratio": figure(ratio, "<= 3", ratio <= 3),
        "complete_gap": figure(whole["gap"], "<= 1e-6", whole["gap"] <= 1e-6),
        "dropout_speed_up": figure(gain, ">= 2000", gain >= 2000),
        "statsmodels_gap": figure(part["gap"], "<= 1e-4", part["gap"] <= 1e-4),
        "slope_speed_up": figure(steep, ">= 100", steep >= 100),
        "large_gib": figure(gib, "<= 4", gib <= 4),
    }


def calibration_figures(arguments: argparse.Namespace) -> dict[str, dict[str, object]]:
    """Figures of false positives and coverage."""
    rng = np.random.default_rng(arguments.seed)
    table = {}
    cases = {"two_sessions": (2, 0.0), "three_sessions": (3, 0.0), "slopes": (4, 0.5)}
    for name, (n_sessions, slope) in cases.items():
        wrong, covered, n = calibration(rng, n_sessions, arguments.designs, slope)
        margin = 3 * np.sqrt(0.05 * 0.95 / n)
        ok = abs(wrong - 0.05) <= margin
        table[f"false_positives_{name}"] = figure(wrong, f".05 +- {margin:.4f}", ok)
        ok = 0.935 <= covered <= 0.965
        table[f"coverage_{name}"] = figure(covered, ".935 to .965", ok)
    return table


def main() -> int:
    """Run everything and print it; 1 if a target is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=5, help="the fastest one counts")
    parser.add_argument("--edges", type=int, default=5, help="edges given to statsmodels")
    parser.add_argument("--designs", type=int, default=20, help="simulated designs a model")
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    with threadpool_limits(1), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        result = speed_figures(arguments) | calibration_figures(arguments)
    for name, row in result.items():
        print(f"{name:<32}{row['value']:>12} {row['target']:<18}{'ok' if row['ok'] else 'MISSED'}")
    print(json.dumps({"figures": result}))
    return 0 if all(row["ok"] for row in result.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
