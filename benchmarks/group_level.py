"""Time and memory of the group level: participants x 2 sessions x 400 regions (79,800 edges).

    python benchmarks/group_level.py OUT [--participants 1000] [--nodes 400]

It writes made-up connectivity matrices once (about 1.3 MB a scan) and runs the group workflow
on them: measures, change, all standard models with permutation, and the report. The last line is
JSON. Peak memory is that of this process, in which all steps run.
"""

from __future__ import annotations

import argparse
import json
import resource
import shutil
import time
from pathlib import Path

import numpy as np
import pandas as pd

from bids_utils.derivatives import write_table, write_text
from configs.settings import Settings, dump_settings
from workflows.group import init_group_wf
from workflows.report import write_group_report

ATLAS = "DesikanKilliany"
SETTINGS = Settings.model_validate(
    {
        "sessions": {"order": ["pre", "post"]},
        "group": {
            "arm_column": "group",
            "reference_arm": "WL",
            "covariates": ["age"],
            "scores": [{"name": "BDI"}],
            "correction": {"n_permutations": 1000},
        },
    }
)


def main() -> None:
    """Write the study if it is not there, run the group level, print the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--participants", type=int, default=1000)
    parser.add_argument("--nodes", type=int, default=400)
    arguments = parser.parse_args()
    root = arguments.out / f"{arguments.participants}x{arguments.nodes}"
    if not (root / "done").is_file():
        write_study(root, arguments.participants, arguments.nodes)
    shutil.rmtree(root / "work", ignore_errors=True)
    start = time.monotonic()
    workflow = init_group_wf(root / "out", root / "bids", None, SETTINGS)
    workflow.base_dir = str(root / "work")
    workflow.config["execution"] = {"crashdump_dir": str(root), "poll_sleep_duration": "0.05"}
    workflow.run()
    minutes = (time.monotonic() - start) / 60
    start = time.monotonic()
    write_text(dump_settings(SETTINGS), root / "out" / "settings.yaml")
    page = write_group_report(root / "out")
    report_s = time.monotonic() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    size_mb = page.stat().st_size / 1e6
    figures = {
        "peak_gib": {"value": round(peak, 2), "target": "<= 4", "ok": peak <= 4},
        "minutes": {"value": round(minutes, 1), "target": "<= 20", "ok": minutes <= 20},
        "report_s": {"value": round(report_s, 1), "target": "<= 60", "ok": report_s <= 60},
        "report_mb": {"value": round(size_mb, 1), "target": "<= 10", "ok": size_mb <= 10},
    }
    print(json.dumps({"figures": figures}))


def write_study(root: Path, n_participants: int, n_nodes: int) -> None:
    """Participants, ledger and one matrix per scan."""
    rng = np.random.default_rng(3)
    labels = [f"sub-{number:04d}" for number in range(1, n_participants + 1)]
    people = pd.DataFrame(
        {"participant_id": labels, "group": ["CBT", "WL"] * (n_participants // 2)}
    )
    people["age"] = rng.integers(20, 60, n_participants)
    for session in ("pre", "post"):
        people[f"BDI_ses-{session}"] = rng.integers(5, 40, n_participants)
    write_table(people, root / "bids" / "participants.tsv")
    regions = [f"node{number:03d}" for number in range(n_nodes)]
    ledger = []
    for label in labels:
        for session, days in (("pre", 0.0), ("post", 84.0)):
            write_scan(root / "out", label, session, regions, rng)
            run = f"{label}_ses-{session}_task-rest_bold"
            ledger.append((label, f"ses-{session}", "bold", run, "used", None, days))
    names = ["participant_id", "session_id", "modality", "run", "status", "reason"]
    table = pd.DataFrame(ledger, columns=[*names, "days_from_baseline"])
    write_table(table, root / "out" / "ledger.tsv")
    write_text("", root / "done")


def write_scan(
    out: Path, label: str, session: str, regions: list[str], rng: np.random.Generator
) -> None:
    """Matrix of one scan with its quality table."""
    folder = out / label / f"ses-{session}" / "func"
    folder.mkdir(parents=True, exist_ok=True)
    run, n = f"{label}_ses-{session}_task-rest", len(regions)
    z = rng.normal(0.3, 0.2, (n, n)).astype(np.float32)
    z = np.round((z + z.T) / 2, 4)
    lines = ["\t".join(regions)]
    for place, row in enumerate(z.astype(str)):
        row[place] = "n/a"
        lines.append("\t".join(row))
    name = f"{run}_atlas-{ATLAS}_stat-pearsoncorrelation_relmat.tsv"
    (folder / name).write_text("\n".join(lines) + "\n", encoding="utf-8")
    quality = {"fd_mean": [rng.uniform(0.1, 0.3)], "tsnr": [50.0], "clean_minutes": [6.0]}
    write_table(pd.DataFrame(quality), folder / f"{run}_desc-qc_bold.tsv")


if __name__ == "__main__":
    main()
