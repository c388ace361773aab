"""Time and memory of the index against pybids, on a made-up dataset of empty files.

Run with ``python benchmarks/index.py`` after ``pip install .[bench]``. Each tool runs in a fresh
process; imports are not counted, only the growth from there on. The last line is JSON.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent
FILES = (
    "anat/{}_T1w.nii.gz",
    "anat/{}_T1w.json",
    "func/{}_task-rest_bold.nii.gz",
    "func/{}_task-rest_bold.json",
)

OURS = "from bids_utils.index import index_dataset\nrun = lambda: len(index_dataset(folder))"
PYBIDS = """
from bids import BIDSLayout, BIDSLayoutIndexer
indexer = BIDSLayoutIndexer(validate=False, index_metadata=False)
run = lambda: len(BIDSLayout(folder, validate=False, indexer=indexer).files)
"""
PROBE = """
import json, os, resource, time
from pathlib import Path
import pandas
folder = Path({folder!r})
{code}
def resident_mib():
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20
def high_water_mib():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
before = resident_mib()
start = time.perf_counter()
n_files = run()
seconds = time.perf_counter() - start
print(json.dumps([seconds, max(high_water_mib() - before, 0.0), n_files]))
"""


def make_dataset(folder: Path, n_participants: int) -> int:
    """Write empty files of two sessions a participant; the number of files."""
    n_files = 3
    for name in ("participants.tsv", "participants.json", "dataset_description.json"):
        (folder / name).write_text('{"Name": "empty", "BIDSVersion": "1.10.0"}')
    for number in range(1, n_participants + 1):
        for session in ("pre", "post"):
            parts = f"sub-{number:04d}", f"ses-{session}"
            for datatype in ("anat", "func"):
                folder.joinpath(*parts, datatype).mkdir(parents=True)
            for pattern in FILES:
                folder.joinpath(*parts, pattern.format("_".join(parts))).touch()
                n_files += 1
    return n_files


def measure(code: str, folder: Path) -> tuple[float, float, int]:
    """Seconds, growth of the peak memory in MiB and number of files, in a fresh process."""
    script = PROBE.format(folder=str(folder), code=code)
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", script],
        capture_output=True,
        text=True,
        check=True,
        cwd=REPOSITORY,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
    )
    seconds, mib, n_files = json.loads(done.stdout.splitlines()[-1])
    return seconds, mib, n_files


def best_of(
    tools: dict[str, str], folder: Path, n_repeats: int
) -> dict[str, tuple[float, float, int]]:
    """The fastest of several turns of each tool, taken in turns so that load hits all alike."""
    turns = [
        {tool: measure(code, folder) for tool, code in tools.items()} for _ in range(n_repeats)
    ]
    return {tool: min(turn[tool] for turn in turns) for tool in tools}


def figures(rows: dict[str, tuple[float, float, int]]) -> dict[str, dict[str, object]]:
    """Figures with their targets; the ratio is missing where pybids is not installed."""
    seconds, mib, _ = rows["braindelta"]
    table: dict[str, dict[str, object]] = {
        "index_s": {"value": round(seconds, 3), "target": "< 1", "ok": seconds < 1},
        "index_mib": {"value": round(mib, 1), "target": "< 60", "ok": mib < 60},
    }
    if "pybids" in rows:
        ratio = rows["pybids"][0] / seconds
        table["pybids_ratio"] = {"value": round(ratio, 1), "target": ">= 20", "ok": ratio >= 20}
    return table


def main() -> int:
    """Run the comparison and print it; 1 if a target is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--participants", type=int, default=1000)
    parser.add_argument("--repeats", type=int, default=3, help="the fastest one counts")
    arguments = parser.parse_args()
    tools = {"braindelta": OURS}
    if importlib.util.find_spec("bids"):
        tools["pybids"] = PYBIDS
    with tempfile.TemporaryDirectory() as name:
        n_files = make_dataset(Path(name), arguments.participants)
        rows = best_of(tools, Path(name), arguments.repeats)
    print(f"{n_files} files\n{'tool':<12}{'seconds':>10}{'MiB':>8}{'files':>8}")
    for tool, (seconds, mib, found) in rows.items():
        print(f"{tool:<12}{seconds:>10.2f}{mib:>8.1f}{found:>8}")
    result = figures(rows)
    print(json.dumps({"figures": result}))
    return 0 if all(row["ok"] for row in result.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
