"""Calibration of the models of processes on simulated therapies with known truth.

Run with ``python benchmarks/processes.py`` (about 3 minutes). Each trial draws a study of 40 to 100
people. Over the terms of a model, intervals of 95 % must cover the truth in 93.5 to 96.5 % of the
trials; each term, and each test of a true null, must be right within three Monte-Carlo errors
("naive" rows show what the errors of the model itself would do). The last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import stats
from threadpoolctl import threadpool_limits

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from workflows.compute.courses import individual_slopes, log_rank, slope_rows
from workflows.compute.covariance_structure import fit_structure, likelihood_loss
from workflows.compute.cross_lagged import panel_structure
from workflows.compute.latent_change import three_wave_change, two_wave_change
from workflows.compute.problems import ModelError
from workflows.compute.within_between import within_between

CHUNK = 50
NAMES = ("process", "symptoms")
PATHS = {
    "process -> process": 0.3,
    "symptoms -> process": 0.0,
    "process -> symptoms": -0.2,
    "symptoms -> symptoms": 0.25,
}


def panel(rng: np.random.Generator, n: int, n_occasions: int) -> tuple[np.ndarray, np.ndarray]:
    """Two measures with stable differences, deviations that carry over, and a course."""
    carry = np.array(list(PATHS.values())).reshape(2, 2)
    stable = rng.multivariate_normal([0, 0], [[1, -0.4], [-0.4, 1]], n)
    state = rng.multivariate_normal([0, 0], [[1, -0.3], [-0.3, 1]], n)
    scores = []
    for at in range(n_occasions):
        if at:
            shock = rng.multivariate_normal([0, 0], [[0.8, -0.24], [-0.24, 0.8]], n)
            state = state @ carry.T + shock
        scores.append(state + stable + [0.1 * at, -0.3 * at])
    stacked = np.array(scores)
    return stacked[:, :, 0].T, stacked[:, :, 1].T


def dropout(rng: np.random.Generator, values: np.ndarray, share: float) -> np.ndarray:
    """Later occasions lost, more often by people with high first scores (missing at random)."""
    z = (values[:, 0] - values[:, 0].mean()) / values[:, 0].std()
    lost = rng.random(len(values)) < stats.norm.cdf(stats.norm.ppf(share) * 1.4 + z)
    first = rng.integers(1, values.shape[1], len(values))
    gone = lost[:, None] & (np.arange(values.shape[1]) >= first[:, None])
    return np.where(gone, np.nan, values)


def cross_lagged_trial(rng: np.random.Generator, n: int, n_occasions: int) -> dict[str, float]:
    """Whether the interval of each path holds the truth; the test of fit and of a null path."""
    first, second = panel(rng, n, n_occasions)
    structure, values = panel_structure(first, second, NAMES, True), np.hstack([first, second])
    fit = fit_structure(structure, values)
    scale, limit = (n - 3) / n, stats.f.ppf(0.95, 1, n - 3)
    row = {"reject fit": float(fit.indices.p < 0.05)}
    for label, truth in PATHS.items():
        loss = scale * likelihood_loss(structure, values, fit, label, truth)
        row[f"cover {label}"] = float(loss < limit)
        row[f"bias {label}"] = fit.value(label) - truth
        if truth == 0:
            row[f"reject {label}"] = float(loss > limit)
    return row


def covered(rows: pd.DataFrame, truths: dict[str, float]) -> dict[str, float]:
    """Whether the intervals hold the truth, and which true nulls are rejected."""
    table, row = rows.set_index("term"), {}
    for term, truth in truths.items():
        low, high = table.loc[term, "ci_low"], table.loc[term, "ci_high"]
        row[f"cover {term}"] = float(not (low > truth or high < truth))
        row[f"bias {term}"] = float(table.loc[term, "estimate"] - truth)
        if truth == 0 and np.isfinite(table.loc[term, "p"]):
            row[f"reject {term}"] = float(table.loc[term, "p"] < 0.05)
    return row


def changes(rng: np.random.Generator, n: int, n_waves: int) -> tuple[np.ndarray, np.ndarray]:
    """Brain and symptoms: symptoms fall more in people with more of the brain measure."""
    brain, symptoms = rng.multivariate_normal([0, 0], [[1, -0.3], [-0.3, 1]], n).T
    scores = [(brain, symptoms)]
    for _ in range(n_waves - 1):
        shock = rng.multivariate_normal([0, 0], [[0.5, -0.15], [-0.15, 0.5]], n).T
        brain, symptoms = (
            brain + 0.1 - 0.3 * brain + shock[0],
            symptoms - 0.6 - 0.25 * symptoms - 0.3 * brain + shock[1],
        )
        scores.append((brain, symptoms))
    stacked = np.array(scores)
    return stacked[:, 0].T, stacked[:, 1].T


def two_wave_trial(rng: np.random.Generator, n: int, lost: float) -> dict[str, float]:
    """Latent change of two waves; with people lost after high symptoms if `lost`."""
    brain, symptoms = changes(rng, n, 2)
    if lost:
        symptoms = dropout(rng, symptoms, lost)
        brain = np.where(np.isnan(symptoms), np.nan, brain)
    rows = two_wave_change({"brain": brain, "symptoms": symptoms}, 0.95).rows
    spread = 0.5 + 0.25**2 + 0.3**2 + 2 * 0.25 * 0.3 * -0.3
    brain_spread = 0.5 + 0.09
    together = -0.15 + 0.3 * 0.3 + 0.3 * 0.25 * -0.3
    row = covered(
        rows,
        {
            "mean brain change": 0.1,
            "mean symptoms change": -0.6,
            "variance of symptoms change": spread,
            "symptoms level -> brain change": 0.0,
            "brain level -> symptoms change": -0.3,
            "covariance of changes": together,
            "correlation of changes": together / np.sqrt(spread * brain_spread),
            "correlation of changes given the levels before": -0.3,
        },
    )
    difference = symptoms[:, 1] - symptoms[:, 0]
    return row | {"complete cases mean symptoms change": float(np.nanmean(difference) + 0.6)}


def three_wave_trial(rng: np.random.Generator, n: int) -> dict[str, float]:
    """Coupling over three waves of scores as they are."""
    brain, symptoms = changes(rng, n, 3)
    result = three_wave_change({"brain": brain, "symptoms": symptoms}, 0.95)
    truths = {
        "symptoms level -> brain change": 0.0,
        "brain level -> symptoms change": -0.3,
        "symptoms level -> symptoms change": -0.25,
        "correlation of changes 2 given the levels before": -0.3,
    }
    return covered(result.rows, truths) | {"reject fit": float(result.indices.p < 0.05)}


def dual_trial(rng: np.random.Generator, n: int) -> dict[str, float]:
    """Dual change of one measure with measurement error."""
    level, constant = rng.multivariate_normal([10, -2], [[4, 0.5], [0.5, 1]], n).T
    true = [level]
    for _ in range(2):
        true.append(true[-1] + constant - 0.2 * true[-1])
    scores = np.array(true).T + rng.normal(size=(n, 3))
    result = three_wave_change({"symptoms": scores}, 0.95, "dual")
    row = covered(result.rows, {"symptoms level -> symptoms change": -0.2})
    return row | {"reject fit": float(result.indices.p < 0.05)}


def within_trial(rng: np.random.Generator, n: int, lag: int) -> dict[str, float]:
    """Alliance and symptoms over 8 sessions, neighbouring sessions alike, people dropping out."""
    noise = np.zeros((2, n, 9))
    shocks = rng.normal(size=noise.shape)
    noise[:, :, 0] = shocks[:, :, 0]
    for at in range(1, 9):
        noise[:, :, at] = 0.5 * noise[:, :, at - 1] + np.sqrt(0.75) * shocks[:, :, at]
    person = rng.normal(size=n)
    process = person[:, None] + noise[0]
    outcome = -0.3 * person[:, None] + rng.normal(size=(n, 1)) + noise[1] - 0.2 * np.arange(9)
    row = {}
    outcome = dropout(rng, outcome, 0.2)
    for name, robust in (("", True), (" (model's errors)", False)):
        rows = within_between(process, outcome, "alliance", 0.95, lag, robust).rows
        found = covered(rows, {"within-person effect of alliance": 0.0})
        row |= {
            f"{key.replace('cover', 'cover' if robust else 'naive')}{name}": value
            for key, value in found.items()
            if robust or key.startswith("cover")
        }
    return row


def course_trial(rng: np.random.Generator, n: int) -> dict[str, float]:
    """Two arms alike in the time to response and in their slopes."""
    arms = np.repeat(["control", "therapy"], n // 2)
    times = np.ceil(rng.exponential(6, n))
    events = times <= 12
    test = log_rank(np.minimum(times, 12), events, arms, 0.95)
    slope = rng.normal(-1, 0.5, n) * np.where(arms == "therapy", 2, 1)
    slope += np.where(arms == "therapy", 1.0, 0.0)
    scores = 20 + slope[:, None] * np.arange(8) + rng.normal(0, 2, (n, 8))
    slopes = individual_slopes(dropout(rng, scores, 0.2), np.arange(8.0))["slope"].to_numpy()
    row = slope_rows(slopes, arms, 0.95).set_index("term")
    difference = row.loc["difference of slopes therapy - control"]
    hazard = test.rows.iloc[0]
    return {
        "reject log-rank": float(test.p < 0.05),
        "cover log hazard ratio": float(hazard["ci_low"] <= 0 <= hazard["ci_high"]),
        "reject slopes": float(difference["p"] < 0.05),
    }


CASES: dict[str, tuple[Callable[..., dict[str, float]], tuple[float, ...], int]] = {
    "cross-lagged, 40 people, 4 sessions": (cross_lagged_trial, (40, 4), 400),
    "cross-lagged, 80 people, 3 sessions": (cross_lagged_trial, (80, 3), 400),
    "cross-lagged, 50 people, 6 sessions": (cross_lagged_trial, (50, 6), 400),
    "two waves, 40 people": (two_wave_trial, (40, 0.0), 300),
    "two waves, 80 people, 25 % lost": (two_wave_trial, (80, 0.25), 300),
    "three waves, 60 people": (three_wave_trial, (60,), 200),
    "dual change, 100 people": (dual_trial, (100,), 300),
    "within persons, 40 people": (within_trial, (40, 0), 800),
    "within persons, lagged, 40 people": (within_trial, (40, 1), 800),
    "courses, 60 people": (course_trial, (60,), 1000),
}


def simulate(case: str, n_trials: int, seed: int) -> list[dict[str, float]]:
    """One row per trial, empty for those that could not be fitted."""
    trial, arguments, _ = CASES[case]
    rng, rows = np.random.default_rng(seed), []
    with threadpool_limits(1):
        for _ in range(n_trials):
            try:
                rows.append(trial(rng, *arguments))
            except ModelError:
                rows.append({})
    return rows


def simulated(cases: list[str], times: float, seed: int) -> dict[str, pd.DataFrame]:
    """Rows of the trials of each case that could be fitted; a column counts the others."""
    jobs = [
        (case, CHUNK, seed + 1000 * chunk)
        for case in cases
        for chunk in range(max(round(CASES[case][2] * times / CHUNK), 1))
    ]
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        parts = pool.map(simulate, *zip(*jobs, strict=True))
        rows: dict[str, list[dict[str, float]]] = {case: [] for case in cases}
        for (case, _, _), part in zip(jobs, parts, strict=True):
            rows[case] += part
    tables = {}
    for case, found in rows.items():
        failed = sum(not row for row in found) / len(found)
        tables[case] = pd.DataFrame([row for row in found if row]).assign(failed=failed)
    return tables


def figures(case: str, table: pd.DataFrame) -> Iterable[tuple[str, dict[str, object]]]:
    """Figures of one case with their targets."""
    cover = [column for column in table if str(column).startswith("cover")]
    mean = float(table[cover].mean().mean())
    row = {"value": round(mean, 4), "target": ".935 to .965", "ok": 0.935 <= mean <= 0.965}
    yield f"{case}: coverage of all terms", row
    for column, values in table.items():
        kind, _, term = str(column).partition(" ")
        value, error = float(values.mean()), float(values.std(ddof=1) / np.sqrt(len(values)))
        if kind == "cover":
            slack = 3 * np.sqrt(0.05 * 0.95 / len(values))
            target, ok = f".95 within {slack:.3f}", abs(value - 0.95) <= slack
        elif kind == "reject":
            slack = 3 * np.sqrt(0.05 * 0.95 / len(values))
            target, ok = f".05 within {slack:.3f}", abs(value - 0.05) <= slack
        elif kind == "bias":
            target, ok = "0 within 3.5 errors or .02", abs(value) <= max(3.5 * error, 0.02)
        elif kind == "failed":
            target, ok = "<= .05", value <= 0.05
        else:
            target, ok = "shown only", True
        yield (
            f"{case}: {kind} {term}".strip(),
            {"value": round(value, 4), "target": target, "ok": bool(ok)},
        )


def main() -> int:
    """Run all cases and print them; 1 if a target is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--case", default="", help="only the cases with this in their name")
    parser.add_argument("--times", type=float, default=1.0, help="times as many trials")
    parser.add_argument("--seed", type=int, default=2026)
    arguments = parser.parse_args()
    cases = [case for case in CASES if arguments.case in case]
    start = time.perf_counter()
    result: dict[str, dict[str, object]] = {}
    for case, table in simulated(cases, arguments.times, arguments.seed).items():
        print(f"{case}: {len(table)} trials")
        result.update(figures(case, table))
    print(f"{time.perf_counter() - start:.0f} s")
    for name, row in result.items():
        print(f"{name:<85}{row['value']:>9.4f}  {row['target']}{'' if row['ok'] else '  MISSED'}")
    print(json.dumps({"figures": result}))
    return 0 if all(row["ok"] for row in result.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
