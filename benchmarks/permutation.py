"""Speed and error rates of the permutation tests, against the matrix products and other tools.

Run with ``python benchmarks/permutation.py`` (``pip install bctpy`` adds the comparison of the
network-based statistic). All tools use one thread; cpu seconds are compared, so that other
programs disturb little. Peers are timed on a few permutations and counted per permutation,
without their preparation. The last line is JSON.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from nilearn.mass_univariate import permuted_ols
from threadpoolctl import threadpool_limits

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from workflows.compute.exchangeability import Exchangeability, free, relabellings
from workflows.compute.network_statistic import Network, network_statistic
from workflows.compute.permutation import freedman_lane, prepared

N_PARTICIPANTS, N_NODES, N_TESTS = 100, 400, 79_800
N_RELABELLINGS, N_NETWORK = 10_000, 5_000
BLOCK = 512


def seconds(run: Callable[[], object]) -> float:
    """Processor time of one call."""
    start = time.process_time()
    run()
    return time.process_time() - start


def trial(rng: np.random.Generator, n: int, n_tests: int) -> tuple[np.ndarray, np.ndarray]:
    """Outcome without an effect of the arm, and constant, arm, two covariates that go with it."""
    arm = np.resize([0.0, 1], n)
    covariates = rng.normal(size=(n, 2)) + 0.5 * arm[:, None]
    outcome = rng.normal(size=(n, n_tests)) + covariates @ rng.normal(size=(2, n_tests))
    return outcome, np.column_stack([np.ones(n), arm, covariates])


def products(dtype: type, rng: np.random.Generator) -> float:
    """Seconds of one product of all relabelled regressors with all tests, in blocks."""
    designs = rng.normal(size=(N_RELABELLINGS, N_PARTICIPANTS)).astype(dtype)
    tests = rng.normal(size=(N_TESTS, N_PARTICIPANTS)).astype(dtype)
    out = np.empty((BLOCK, BLOCK), dtype=dtype)

    def multiply() -> None:
        for first in range(0, N_RELABELLINGS, BLOCK):
            some = designs[first : first + BLOCK]
            for start in range(0, N_TESTS, BLOCK):
                part = tests[start : start + BLOCK]
                np.matmul(some, part.T, out=out[: len(some), : len(part)])

    return seconds(multiply)


def max_t(rng: np.random.Generator) -> dict[str, float]:
    """Seconds of our test and of nilearn's, both for all relabellings."""
    outcome, matrix = trial(rng, N_PARTICIPANTS, N_TESTS)
    contrast = np.array([0, 1, 0, 0])

    def ours() -> None:
        drawn = relabellings(matrix, free(N_PARTICIPANTS), N_RELABELLINGS, rng)
        freedman_lane(outcome, matrix, contrast, drawn, 6)

    def nilearn(n_perm: int) -> float:
        return seconds(
            lambda: permuted_ols(
                matrix[:, 1], outcome, matrix[:, 2:], n_perm=n_perm, random_state=1, n_jobs=1
            )
        )

    turns = [(products(np.float32, rng), seconds(ours), products(np.float64, rng)) for _ in "123"]
    single, own, double = (min(column) for column in zip(*turns, strict=True))
    each = (nilearn(25) - nilearn(5)) / 20
    return {
        "product float32": single,
        "product float64": double,
        "ours": own,
        "nilearn": each * N_RELABELLINGS,
    }


def network(rng: np.random.Generator) -> dict[str, float]:
    """Seconds of the network-based statistic, ours and bctpy's, for all relabellings."""
    n = 40
    matrix = np.column_stack([np.ones(n), np.repeat([0.0, 1], n // 2)])
    outcome = rng.normal(size=(n, N_TESTS))
    outcome[:, :20] += 2 * matrix[:, [1]]
    ends = np.column_stack(np.triu_indices(N_NODES, 1))

    def ours() -> None:
        drawn = relabellings(matrix, free(n), N_NETWORK, rng)
        contrast = prepared(outcome, matrix, np.array([0, 1]), drawn, 6)
        network_statistic(contrast, Network(ends, N_NODES, 3.0))

    times = {"ours": min(seconds(ours) for _ in range(3))}
    if importlib.util.find_spec("bct"):
        times["bctpy"] = _bctpy(outcome, matrix[:, 1] == 1, ends)
    return times


def _bctpy(outcome: np.ndarray, treated: np.ndarray, ends: np.ndarray) -> float:
    from bct.nbs import nbs_bct

    full = np.zeros((N_NODES, N_NODES, len(outcome)))
    full[ends[:, 0], ends[:, 1]] = full[ends[:, 1], ends[:, 0]] = outcome.T
    groups = full[..., treated], full[..., ~treated]
    many, few = (seconds(lambda k=k: nbs_bct(*groups, 3.0, k=k, seed=1)) for k in (5, 1))
    return (many - few) / 4 * N_NETWORK


def null_data(
    rng: np.random.Generator, kind: str
) -> tuple[np.ndarray, np.ndarray, Exchangeability]:
    """Data without an effect, in 45 correlated tests (edges of 10 nodes)."""
    outcome, matrix = trial(rng, 24, 45)
    outcome += rng.normal(size=(24, 1))
    if kind == "sites":
        site = np.repeat([0.0, 1, 2], 8)
        outcome += np.outer(site, np.arange(45))
        return outcome, np.column_stack([matrix, site == 1, site == 2]), Exchangeability(site)
    if kind == "signs":
        age = matrix[:, 2] - matrix[:, 2].mean()
        outcome = rng.standard_t(4, (24, 45)) + rng.normal(size=(24, 1)) + age[:, None]
        exchange = Exchangeability(np.arange(24), flips=True)
        return outcome, np.column_stack([age, np.ones(24)]), exchange
    if kind == "holes":
        lost = rng.random((24, 4)) < 0.15
        outcome[lost[:, np.arange(45) % 4]] = np.nan
    if kind == "whole":
        family = np.repeat(np.arange(12), 2)
        outcome += 2 * rng.normal(size=(12, 45))[family]
        matrix = np.column_stack([np.ones(24), np.repeat(np.resize([0.0, 1], 12), 2)])
        return outcome, matrix, Exchangeability(family, whole=True)
    return outcome, matrix, free(24)


def error_rate(kind: str, n_trials: int, rng: np.random.Generator) -> float:
    """Share of trials without effect in which something is found at .05, over all tests."""
    found = 0
    ends = np.column_stack(np.triu_indices(10, 1))
    for _ in range(n_trials):
        outcome, matrix, exchange = null_data(rng, kind)
        drawn = relabellings(matrix, exchange, 99, rng)
        contrast = np.eye(matrix.shape[1])[1]
        if kind.startswith("network"):
            size = "intensity" if kind.endswith("intensity") else "extent"
            made = prepared(outcome, matrix, contrast, drawn, 6)
            p = network_statistic(made, Network(ends, 10, 1.5, size=size)).p_fwe
        else:
            p = freedman_lane(outcome, matrix, contrast, drawn, 6).p_fwe
        found += np.nanmin(p) <= 0.05
    return found / n_trials


def figures(
    tests: dict[str, float], networks: dict[str, float], errors: dict[str, float], limit: float
) -> dict[str, dict[str, object]]:
    """Figures with their targets; the peer is missing where bctpy is not installed."""
    single, double = tests["product float32"], tests["product float64"]
    ratios = {
        "max_t_over_one_product_float64": (tests["ours"] / double, "<= 2", 2),
        "max_t_over_its_three_products_float32": (tests["ours"] / (3 * single), "<= 1.3", 1.3),
    }
    table: dict[str, dict[str, object]] = {
        name: {"value": round(value, 2), "target": target, "ok": bool(value <= most)}
        for name, (value, target, most) in ratios.items()
    }
    value = round(tests["ours"] / single, 2)
    table["max_t_over_one_product_float32"] = {"value": value, "target": "none", "ok": True}
    speed = tests["nilearn"] / tests["ours"]
    table["nilearn_ratio"] = {"value": round(speed), "target": ">= 35", "ok": bool(speed >= 35)}
    if "bctpy" in networks:
        speed = networks["bctpy"] / networks["ours"]
        table["bctpy_ratio"] = {
            "value": round(speed),
            "target": ">= 3000",
            "ok": bool(speed >= 3000),
        }
    for kind, rate in errors.items():
        target = f"<= .05 ({limit:.3f} with 3 Monte-Carlo errors)"
        table[f"family_wise_error {kind}"] = {
            "value": round(rate, 4),
            "target": target,
            "ok": bool(rate <= limit),
        }
    return table


def main() -> int:
    """Run the comparison and print it; 1 if a target is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=1000, help="of each kind without effect")
    arguments = parser.parse_args()
    rng = np.random.default_rng(20)
    kinds = "free", "sites", "whole", "signs", "holes", "network extent", "network intensity"
    with threadpool_limits(1):
        tests, networks = max_t(rng), network(rng)
        errors = {kind: error_rate(kind, arguments.trials, rng) for kind in kinds}
    for title, times in (("max-T", tests), ("network", networks)):
        for tool, value in times.items():
            print(f"{title:<8} {tool:<16}{value:>12.2f} s")
    limit = 0.05 + 3 * np.sqrt(0.05 * 0.95 / arguments.trials)
    result = figures(tests, networks, errors, limit)
    print(json.dumps({"figures": result}))
    return 0 if all(row["ok"] for row in result.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
