"""Scores of `structure.py`: rows of what must hold, and what else was measured."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
from planted_heads import THICKENED, THINNED, regions_of
from structure_plan import (
    PER_HEAD,
    TABLES,
    Bench,
    Run,
    atlas_table,
    peer_pairs,
    read_usage,
    runs_of,
)

from bids_utils.derivatives import read_table

FAR_MM = 20.0
MEASURES = ("deformation", "volume")
RESULTS = (*MEASURES, "thickness", "value")


def percent(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Symmetrised percent of change."""
    return 200 * (second - first) / (first + second)


def changes_in(bench: Bench, run: Run) -> pd.DataFrame:
    """Change of each region in a run of a pair, found and true, by measure; empty if not run.

    Columns of the truth, and head, kind, pair, measure, found, true (percent; mm for thickness) and
    error, standard_error in the same unit.
    """
    folder, pair = bench.run_folder(run), run.sessions[0][0]
    if not (folder / "usage.json").exists():
        return pd.DataFrame()
    truth = read_table(bench.truth_file(pair))
    volumes = [read_table(folder / f"volume{i}.tsv") for i in range(2)]
    rows = []
    for measure in MEASURES:
        first, second = (table[measure] for table in volumes)
        noise = np.hypot(*(table[f"{measure}_standard_error"] for table in volumes))
        true = percent(truth["volume0"], truth["volume1"])
        rows.append(
            truth.assign(measure=measure, found=percent(first, second), true=true).assign(
                standard_error=200 * noise / (first + second)
            )
        )
    lengths = [read_table(folder / f"thickness{i}.tsv") for i in range(2)]
    first, second = (table["thickness"] for table in lengths)
    noise = np.hypot(*(table["thickness_standard_error"] for table in lengths))
    true = truth["thickness1"] - truth["thickness0"]
    rows.append(
        truth.assign(measure="thickness", found=second - first, true=true, standard_error=noise)
    )
    table = pd.concat(rows, ignore_index=True).assign(
        head=pair.head, kind=pair.kind, pair=pair.name
    )
    return table.assign(error=table["found"] - table["true"])


def all_changes(bench: Bench) -> pd.DataFrame:
    """Changes of all pairs that were run, of all heads."""
    tables = [
        changes_in(bench, run) for k in (*PER_HEAD, "voxels") for run in runs_of(k, bench.heads)
    ]
    known = [table for table in tables if len(table)]
    if not known:
        raise SystemExit("Nothing was run.")
    return pd.concat(known, ignore_index=True)


def of(table: pd.DataFrame, kind: str, measure: str) -> pd.DataFrame:
    """Rows of a kind of pair and a measure that were measured."""
    chosen = (table["kind"] == kind) & (table["measure"] == measure)
    return table[chosen & table["error"].notna()]


def line_of(table: pd.DataFrame) -> tuple[float, float]:
    """Slope and intercept of what was found on what is true."""
    if len(table) < 2 or not table["true"].std() > 0:
        return float("nan"), float("nan")
    slope, intercept = np.polyfit(table["true"], table["found"], 1)
    return float(slope), float(intercept)


def tables_of(bench: Bench, first: Run, second: Run) -> list[tuple[pd.DataFrame, pd.DataFrame]]:
    """Tables of each session in two runs, whatever its place there; none if one was not run."""
    folders = [bench.run_folder(run) for run in (first, second)]
    if not all((folder / "usage.json").exists() for folder in folders):
        return []
    places = [(i, second.sessions.index(session)) for i, session in enumerate(first.sessions)]
    return [
        tuple(read_table(f / f"{name}{k}.tsv") for f, k in zip(folders, place, strict=True))
        for place in places
        for name in TABLES
    ]


def deviation(bench: Bench, first: Run, second: Run) -> float:
    """Largest relative difference between the results of a session in two runs; NaN if not run."""
    away = [np.nan]
    for a, b in tables_of(bench, first, second):
        for name in a.columns.intersection(RESULTS):
            if not a[name].isna().equals(b[name].isna()):
                return float("inf")
            away.append(np.nanmax(np.abs(a[name] - b[name]) / np.abs(a[name])))
    return float(np.fmax.reduce(away))


def n_different(bench: Bench, first: Run, second: Run) -> float:
    """Number of tables that are not identical in two runs; NaN if not run."""
    tables = tables_of(bench, first, second)
    return float(sum(not a.equals(b) for a, b in tables)) if tables else float("nan")


def null_rows(table: pd.DataFrame) -> dict[str, tuple[float, float]]:
    """Rows of the simulated rescan: name -> (value, largest that holds)."""
    rows = {}
    for measure, median in (("deformation", 0.3), ("volume", 1.5)):
        null = of(table, "null", measure)
        error = null["error"].abs()
        rows[f"null_{measure}_median_pct"] = (error.median(), median)
        rows[f"null_{measure}_worst_pct"] = (error.max(), 1.5)
    null = of(table, "null", "deformation")
    for name in ("hippocampus", "amygdala"):
        mean = null.loc[null["name"].str.endswith(f"_{name}"), "error"].abs().mean()
        rows[f"null_deformation_{name}_pct"] = (mean, 0.5)
    return rows


def plant_rows(table: pd.DataFrame) -> dict[str, tuple[float, float | tuple[float, float]]]:
    """Rows of planted change of volume: name -> (value, what holds)."""
    rows = {}
    for measure, limits in (("deformation", (0.9, 1.1)), ("volume", (0.8, 1.2))):
        plant = of(table, "plant", measure)
        slope, intercept = line_of(plant[plant["planted"].notna()])
        rows[f"{measure}_slope"] = (slope, limits)
        if measure == "deformation":
            rows["deformation_intercept_pct"] = (intercept, (-0.2, 0.2))
    far = far_regions(table)["error"].abs()
    rows["far_false_change_median_pct"] = (far.median(), 0.3)
    thin = thinned(table)
    rows["thickness_error_mm"] = (abs(mean_toward_change(thin)), 0.05)
    return rows


def far_regions(table: pd.DataFrame) -> pd.DataFrame:
    """Deformation rows of the regions that are far from all that was planted."""
    rows = pd.concat([of(table, kind, "deformation") for kind in ("plant", "side")])
    return rows[rows["distance_mm"] >= FAR_MM]


def thinned(table: pd.DataFrame) -> pd.DataFrame:
    """Thickness rows of the regions in which it was changed."""
    indices = sum(regions_of(atlas_table(), (*THINNED, *THICKENED)), [])
    thin = of(table, "thin", "thickness")
    return thin[thin["index"].isin(indices)]


def mean_toward_change(thin: pd.DataFrame) -> float:
    """Mean of recovered minus true change, mm, counted along the true one.

    Thinning and thickening that are both missed do not cancel.
    """
    return float((thin["error"] * np.sign(thin["true"])).mean())


def brain_errors(bench: Bench) -> list[float]:
    """Percent of change of the whole brain in the null pairs."""
    found = []
    for run in runs_of("null", bench.heads):
        folder = bench.run_folder(run)
        if (folder / "usage.json").exists():
            tables = [read_table(folder / f"tissue{i}.tsv") for i in range(2)]
            brain = [t.set_index("measure").loc["brain_ml", "value"] for t in tables]
            found.append(float(percent(*brain)))
    return found


def run_rows(bench: Bench) -> dict[str, tuple[float, float]]:
    """Rows of order, repetition and cost: name -> (value, largest that holds)."""
    brain = brain_errors(bench)
    null, same, swap, threads = (
        runs_of(stage, bench.heads)[0] for stage in ("null", "same", "swap", "threads")
    )
    one, two = runs_of("three", bench.heads)
    used = read_usage(bench.output / "runs" / "participant")
    return {
        "same_scan_largest_pct": (largest_change(bench, same), 0.01),
        "swap_relative_deviation": (deviation(bench, null, swap), 1e-6),
        "three_orders_relative_deviation": (deviation(bench, one, two), 1e-6),
        "threads_different_tables": (n_different(bench, null, threads), 0.0),
        "brain_change_largest_pct": (np.max(np.abs(brain)) if brain else np.nan, 0.2),
        "participant_cpu_s": (used["cpu_s"], 600.0),
        "participant_peak_gib": (used["peak_gib"], 3.0),
    }


def largest_change(bench: Bench, run: Run) -> float:
    """Largest change of a region in a run of the same scan twice, percent."""
    folder = bench.run_folder(run)
    if not (folder / "usage.json").exists():
        return float("nan")
    volumes = [read_table(folder / f"volume{i}.tsv") for i in range(2)]
    changes = [percent(*(table[measure] for table in volumes)) for measure in MEASURES]
    thickness = [read_table(folder / f"thickness{i}.tsv")["thickness"] for i in range(2)]
    return float(np.nanmax(np.abs([*changes, percent(*thickness)])))


def peer_changes(bench: Bench) -> pd.DataFrame:
    """Changes as `all_changes` has them, as found by the peer, of its pairs that are done."""
    tables = []
    for pair in peer_pairs(bench):
        folders = [bench.output / "peer" / f"{pair.name}_ses{i}" for i in range(2)]
        if not all((folder / "regions.json").exists() for folder in folders):
            continue
        ours = changes_in(bench, Run(pair.name, ((pair, 0), (pair, 1))))
        found = [json.loads((folder / "regions.json").read_text()) for folder in folders]
        for measure in ("volume", "thickness"):
            a, b = (peer_values(ours, rows, measure) for rows in found)
            change = percent(a, b) if measure == "volume" else b - a
            chosen = ours.assign(found=change)[ours["measure"] == measure]
            tables.append(chosen.assign(error=chosen["found"] - chosen["true"]))
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame()


def peer_values(ours: pd.DataFrame, rows: dict[str, dict], measure: str) -> pd.Series:
    """What the peer measured, for each row of `ours`.

    Its volume of a structure below the cortex is that of all tissue, as ours is.
    """
    values = pd.DataFrame(rows).T.astype(float).rename(index=int)
    found = ours["index"].map(values[measure])
    if measure == "volume":
        found = found.where(ours["structure"] == "cortex", ours["index"].map(values["tissue"]))
    return found


def pair_scores(table: pd.DataFrame, measures: tuple[str, ...]) -> dict[str, float]:
    """Slope and scatter in plant pairs and errors in null pairs, by measure."""
    scores = {}
    for measure in measures:
        unit = "mm" if measure == "thickness" else "pct"
        null, plant = (of(table, kind, measure) for kind in ("null", "plant"))
        plant = plant[plant["planted"].notna()]
        if measure in MEASURES:
            scores[f"{measure}_slope"], scores[f"{measure}_intercept_pct"] = line_of(plant)
            scores[f"{measure}_error_sd_pct"] = plant["error"].std()
        scores[f"null_{measure}_median_{unit}"] = null["error"].abs().median()
        scores[f"null_{measure}_worst_{unit}"] = null["error"].abs().max()
    return {name: float(value) for name, value in scores.items()}


def peer_rows(bench: Bench, ours: pd.DataFrame) -> tuple[dict[str, tuple], dict[str, object]]:
    """Rows of the comparison, and the scores of both on the same images.

    Cpu of the peer is that of two mean sessions, once the thickness of one is done.
    """
    theirs, pair = peer_changes(bench), peer_pairs(bench)[0]
    rows = {"peer_cpu_ratio": (np.nan, (5.0, np.inf)), "peer_largest_error_ratio": (np.nan, 1.0)}
    if theirs.empty:
        return rows, {}
    steps = peer_steps(bench)
    cpu_s = 2 * sum(step.mean() for step in steps.values()) if "direct" in steps else np.nan
    own = read_usage(bench.output / "runs" / pair.name)["cpu_s"]
    same = ours[ours["pair"].isin([p.name for p in peer_pairs(bench)])]
    scores = {
        "ours": pair_scores(same, (*MEASURES, "thickness")) | {"cpu_s": own},
        "peer": pair_scores(theirs, ("volume", "thickness")) | {"cpu_s": cpu_s},
        "peer_steps_cpu_s": {name: step.tolist() for name, step in steps.items()},
    }
    scores["error_ratios"] = error_ratios(scores["ours"], scores["peer"])
    rows["peer_cpu_ratio"] = (cpu_s / own, (5.0, np.inf))
    rows["peer_largest_error_ratio"] = (np.nanmax([*scores["error_ratios"].values()]), 1.0)
    return rows, scores


def error_ratios(ours: dict[str, float], peer: dict[str, float]) -> dict[str, float]:
    """Errors of our deformation (volume, for the peer) and thickness over those of the peer."""
    names = ("null_{}_median_pct", "null_{}_worst_pct", "{}_error_sd_pct")
    ratios = {
        name.format("volume"): ours[name.format("deformation")] / peer[name.format("volume")]
        for name in names
    }
    slopes = abs(ours["deformation_slope"] - 1), abs(peer["volume_slope"] - 1)
    ratios["slope"] = slopes[0] / slopes[1]
    thickness = "null_thickness_median_mm"
    return ratios | {thickness: ours[thickness] / peer[thickness]}


def peer_steps(bench: Bench) -> dict[str, np.ndarray]:
    """Cpu seconds (n_sessions,) of each step of the peer, of the sessions in which it is done."""
    files = (bench.output / "peer").glob("*/steps.json")
    sessions = [json.loads(path.read_text()) for path in sorted(files)]
    names = dict.fromkeys(name for session in sessions for name in session)
    return {
        name: np.array([steps[name]["cpu_s"] for steps in sessions if name in steps])
        for name in names
    }


def interval_scores(table: pd.DataFrame) -> dict[str, float]:
    """Share of the 95 % intervals that hold the truth, and spread of error / standard error."""
    scores = {}
    for kind in ("null", "plant", "thin"):
        for measure in ("thickness",) if kind == "thin" else (*MEASURES, "thickness"):
            rows = of(table, kind, measure)
            z = rows["error"] / rows["standard_error"]
            scores[f"{kind}_{measure}_coverage"] = float((z.abs() <= 1.96).mean())
            scores[f"{kind}_{measure}_z_rms"] = float(np.sqrt((z**2).mean()))
    return scores


def more_scores(table: pd.DataFrame) -> dict[str, object]:
    """What the table does not ask for: scatter, intervals, voxel sizes, each head, far regions."""
    thin, far = thinned(table), far_regions(table)
    slope, intercept = line_of(thin)
    voxels = pair_scores(table.replace({"kind": {"null": "", "voxels": "null"}}), MEASURES)
    return {
        "all": pair_scores(table, (*MEASURES, "thickness")),
        "heads": {
            name: pair_scores(rows, (*MEASURES, "thickness"))
            for name, rows in table.groupby("head", sort=False)
        },
        "intervals": interval_scores(table),
        "far_worst_pct": float(far["error"].abs().max()),
        "far_regions": len(far),
        "thickness_slope": slope,
        "thickness_intercept_mm": intercept,
        "thickness_error_sd_mm": float(thin["error"].std()),
        "thickness_true_mm": thin.groupby("name", sort=False)["true"].mean().round(3).to_dict(),
        "thickness_found_mm": thin.groupby("name", sort=False)["found"].mean().round(3).to_dict(),
        "voxels_1_and_1.2_mm": {k: v for k, v in voxels.items() if k.startswith("null")},
    }


def judged(value: float, limits: float | tuple[float, float]) -> dict[str, object]:
    """A row: value, target in words, and whether it holds; no value if not measured."""
    low, high = limits if isinstance(limits, tuple) else (-np.inf, limits)
    words = f">= {low:g}" if high == np.inf else f"<= {high:g}"
    if np.isfinite([low, high]).all():
        words = f"{low:g} to {high:g}"
    if np.isnan(value):
        return {"value": None, "target": words, "ok": None}
    return {"value": float(f"{value:.4g}"), "target": words, "ok": bool(low <= value <= high)}


def without_nan(scores: object) -> object:
    """The same scores, rounded, with None for NaN: JSON has no NaN."""
    if isinstance(scores, dict):
        return {name: without_nan(value) for name, value in scores.items()}
    if isinstance(scores, list):
        return [without_nan(value) for value in scores]
    if isinstance(scores, float):
        return None if np.isnan(scores) else float(f"{scores:.4g}")
    return scores
