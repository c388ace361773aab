"""Coverage of the intervals of change with change, and the size of regression to the mean.

Run with ``python benchmarks/associations.py`` (about a minute, one core). Intervals: correlations
of two normal changes given two arms and a covariate, which differ in both changes for the partial
r and in neither for the others. False positives: t with 4 degrees of freedom. The last line is
JSON.
"""

from __future__ import annotations

import argparse
import json
import sys
import time

import numpy as np
from scipy import stats

from workflows.compute.association import (
    PrePost,
    followup_correlation,
    rank_interval,
    rank_partial_correlation,
    status_design,
)
from workflows.compute.design import Design
from workflows.compute.effects import correlation_interval
from workflows.compute.influence import InfluenceRequest, influence
from workflows.compute.regression import least_squares, partial_correlation
from workflows.compute.regression_to_mean import (
    MeasurementError,
    corrected_slope,
    expected_correlation,
)
from workflows.compute.trajectories import time_to_event

CONFIDENCE = 0.95
COVERAGE = (0.935, 0.965)
N_TESTS = 20
LEAST = 6
PEOPLE = (20, 40, 100)
STRENGTHS = (0.0, 0.3, 0.6)
BIAS, BOUNDED = (-0.02, 0.02), (0.99, 1.0)
RELIABILITIES = (0.29, 0.8, 0.95)


def two_arms(n: int, rng: np.random.Generator) -> Design:
    """Design of two arms of equal size and one covariate."""
    arms = np.array(["b", "a"] * (n // 2), dtype=object)
    matrix = np.column_stack([np.ones(n), arms == "b", rng.normal(size=n)]).astype(float)
    names = ("mean change", "b - a", "age")
    return Design(matrix, names, 2, arms, ("a", "b"), "arm + age", ())


def correlation_coverage(
    n: int, rho: float, n_trials: int, rng: np.random.Generator
) -> dict[str, float]:
    """Share of intervals that hold the true value: values and ranks, normal people."""
    covered: dict[str, list[float]] = {"partial r": [], "rank": [], "post on pre": []}
    rank_rho = 6 / np.pi * np.arcsin(rho / 2)
    for _ in range(n_trials):
        design, partner = two_arms(n, rng), rng.normal(size=n)
        shift = 0.5 * design.matrix[:, 1] + 0.3 * design.matrix[:, 2]
        own = rng.normal(size=(n, N_TESTS))
        change = rho * partner[:, None] + np.sqrt(1 - rho**2) * own
        fit = partial_correlation(change + shift[:, None], partner + shift, design, LEAST)
        covered["partial r"].append(_held(correlation_interval, fit, rho))
        fit = rank_partial_correlation(change, partner, design, LEAST)
        covered["rank"].append(_held(rank_interval, fit, rank_rho))
        before, score = rng.normal(size=(n, N_TESTS)), rng.normal(size=n)
        measure = PrePost(before, 0.6 * before + 0.2 * score[:, None] + change)
        fit = followup_correlation(measure, PrePost(score, 0.5 * score + partner), design, LEAST)
        covered["post on pre"].append(_held(correlation_interval, fit, rho))
    return {name: float(np.mean(shares)) for name, shares in covered.items()}


def false_positives(n: int, n_trials: int, rng: np.random.Generator) -> dict[str, float]:
    """Share of p below .05 without a relation, heavy tails: values, ranks, by status."""
    found: dict[str, list[float]] = {"partial r": [], "rank": [], "status": []}
    for _ in range(n_trials):
        design, partner = two_arms(n, rng), rng.standard_t(4, size=n)
        change = rng.standard_t(4, size=(n, N_TESTS))
        limit = _limit(n - 4)
        fit = partial_correlation(change, partner, design, LEAST)
        found["partial r"].append(_above(fit, limit))
        fit = rank_partial_correlation(change, partner, design, LEAST)
        found["rank"].append(_above(fit, limit))
        by_status = status_design((partner > 0.3).astype(float), design)
        found["status"].append(_above(least_squares(change, by_status, LEAST), limit))
    return {name: float(np.nanmean(shares)) for name, shares in found.items()}


def slope_coverage(
    n: int, reliability: float, n_trials: int, rng: np.random.Generator
) -> dict[str, float]:
    """Coverage of the corrected slope on the baseline, with bounds, and its median error."""
    design, true_slope = two_arms(n, rng), -0.3
    shape = n, n_trials * N_TESTS
    true = np.sqrt(reliability) * rng.normal(size=shape)
    later = (1 + true_slope) * true + 0.4 * rng.normal(size=shape)
    error = np.sqrt(1 - reliability) * rng.normal(size=(2, *shape))
    measure = PrePost(true + error[0], later + error[1])
    table = {}
    for name, declared in (("reliability", reliability), ("variance", 1 - reliability)):
        found = corrected_slope(
            measure, MeasurementError(**{name: declared}), design, LEAST, CONFIDENCE
        )
        known = np.isfinite(found.corrected)
        held = (found.low <= true_slope) & (true_slope <= found.high)
        table[f"known {name}"] = float(held[known].mean())
        table[f"known {name}, bounded"] = float(np.isfinite(found.low).mean())
        table[f"known {name}, bias"] = float(np.nanmedian(found.corrected) - true_slope)
    return table


def spurious_correlation(reliability: float, n: int, rng: np.random.Generator) -> float:
    """Correlation of change with baseline in people who do not change."""
    true = np.sqrt(reliability) * rng.normal(size=n)
    first, second = true + np.sqrt(1 - reliability) * rng.normal(size=(2, n))
    return float(np.corrcoef(first, second - first)[0, 1])


def event_coverage(n_trials: int, rng: np.random.Generator) -> float:
    """Coverage of the share with response by session 5, 40 people of whom some leave."""
    held = []
    for _ in range(n_trials):
        event, leaves = rng.exponential(10, 40), rng.uniform(2, 20, 40)
        arms, times = np.full(40, "a", dtype=object), np.minimum(event, leaves)
        table = time_to_event(times, event <= leaves, arms, CONFIDENCE)
        at = table[table["time"] <= 5].iloc[-1]
        held.append(at["ci_low"] <= 1 - np.exp(-0.5) <= at["ci_high"])
    return float(np.mean(held))


def seconds_of_influence(rng: np.random.Generator) -> float:
    """Seconds to leave each of 100 people out of 79,800 tests."""
    design, outcome = two_arms(100, rng), rng.normal(size=(100, 79_800))
    start = time.perf_counter()
    influence(outcome, design, InfluenceRequest("b - a", 0.05, LEAST))
    return time.perf_counter() - start


def correlation_figures(n_trials: int, rng: np.random.Generator) -> dict[str, dict]:
    """Coverage and false positives of all correlations at each number of people."""
    figures = {}
    for n in PEOPLE:
        for rho in STRENGTHS:
            for name, share in correlation_coverage(n, rho, n_trials, rng).items():
                figures[f"coverage, {name}, n {n}, {rho}"] = _within(share, COVERAGE)
        for name, share in false_positives(n, n_trials, rng).items():
            figures[f"false positives, {name}, n {n}"] = _within(share, (0.04, 0.06))
    return figures


def baseline_figures(n_trials: int, rng: np.random.Generator) -> dict[str, dict]:
    """Corrected slopes, and the correlation with the baseline that error alone makes."""
    figures = {}
    for reliability in (0.5, 0.8):
        for name, share in slope_coverage(100, reliability, n_trials, rng).items():
            aim = BIAS if "bias" in name else BOUNDED if "bounded" in name else COVERAGE
            figures[f"slope, {name}, n 100, {reliability}"] = _within(share, aim)
    for reliability in RELIABILITIES:
        expected = float(expected_correlation(reliability))
        found = spurious_correlation(reliability, 1_000_000, rng)
        aim = expected - 0.005, expected + 0.005
        figures[f"change with baseline, reliability {reliability}"] = _within(found, aim)
    return figures


def main() -> int:
    """Run all simulations and print them; 1 if an interval misses its target."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=1000, help="samples of 20 tests each")
    n_trials, rng = parser.parse_args().trials, np.random.default_rng(20)
    figures = correlation_figures(n_trials, rng) | baseline_figures(n_trials, rng)
    figures["coverage, response by session 5"] = _within(
        event_coverage(2 * n_trials, rng), COVERAGE
    )
    figures["influence, 79,800 tests, seconds"] = _within(seconds_of_influence(rng), (0.0, 10.0))
    for name, row in figures.items():
        print(f"{name:<48}{row['value']:>8.4f}  {row['target']}{'' if row['ok'] else '  MISSED'}")
    print(json.dumps({"figures": figures}))
    return 0 if all(row["ok"] for row in figures.values()) else 1


def _held(interval, fit, true_value):
    limits = interval(fit.estimate[0], fit.df, CONFIDENCE)
    return np.mean((limits.low <= true_value) & (true_value <= limits.high))


def _limit(df):
    return stats.t.ppf(1 - (1 - CONFIDENCE) / 2, df)


def _above(fit, limit):
    return np.mean(np.abs(fit.estimate[0] / fit.standard_error[0]) > limit)


def _within(value, target):
    low, high = target
    text = f"{low:.3g}..{high:.3g}"
    return {"value": round(float(value), 4), "target": text, "ok": bool(low <= value <= high)}


if __name__ == "__main__":
    sys.exit(main())
