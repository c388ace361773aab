"""Run the whole chain on real scans at full resolution and check what comes out.

usage: python benchmarks/real_images.py DATA_DIR OUTPUT_DIR [--nprocs N]

DATA_DIR holds `studyforrest_sub02` (one T1w of 1 mm, one BOLD run) and
`open_ms_longitudinal` (patient 12, two T1w 81 days apart). The BOLD run is cut in two halves,
the T1w of studyforrest is given to both of its sessions, so its change must be zero. The
repetition time of studyforrest is wrong in header and JSON (1.79 s; the protocol had 2.0 s)
and is mended in the copy.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import shutil
import sys
import threading
import time
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
import psutil

from workflows.cli import main as braindelta

TRUE_TR_S = 2.0
HALVES = {"pre": slice(0, 78), "post": slice(78, 156)}
MS_FILES = {"pre": "study1_T1W.nii.gz", "post": "study2_T1W.nii.gz"}
MS_DATES = {"pre": "2000-01-01T00:00:00", "post": "2000-03-22T00:00:00"}
SETTINGS = """\
sessions: {order: [pre, post]}
func: {min_clean_minutes: 2.0, low_pass_hz: null}
"""


def write_dataset(data_dir: Path, bids_dir: Path) -> None:
    """Write both people as a BIDS dataset of two sessions, `pre` and `post`."""
    bids_dir.mkdir(parents=True)
    write_json(
        bids_dir / "dataset_description.json", {"Name": "Real scans", "BIDSVersion": "1.10.0"}
    )
    (bids_dir / "README").write_text("Two people, two sessions, real scans.\n", encoding="utf-8")
    table = pd.DataFrame({"participant_id": ["sub-02", "sub-12"], "age": ["n/a", "n/a"]})
    table.to_csv(bids_dir / "participants.tsv", sep="\t", index=False)
    write_studyforrest(data_dir / "studyforrest_sub02", bids_dir / "sub-02")
    write_open_ms(data_dir / "open_ms_longitudinal" / "raw" / "patient12", bids_dir / "sub-12")


def write_studyforrest(source: Path, target: Path) -> None:
    """Write the T1w twice and each half of the BOLD run, with the true repetition time."""
    bold = nib.load(source / "func" / "sub-02_task-oneback_run-1_bold.nii.gz")
    described = json.loads((source / "func" / "sub-02_task-oneback_run-1_bold.json").read_text())
    print(f"RepetitionTime {described['RepetitionTime']} s mended to {TRUE_TR_S} s")
    for session, volumes in HALVES.items():
        stem = f"sub-02_ses-{session}"
        folder = target / f"ses-{session}"
        (folder / "anat").mkdir(parents=True)
        (folder / "func").mkdir()
        t1w = source / "anat" / "sub-02_desc-1mm_T1w.nii.gz"
        shutil.copyfile(t1w, folder / "anat" / f"{stem}_T1w.nii.gz")
        half = nib.Nifti1Image(np.asarray(bold.dataobj)[..., volumes], bold.affine)
        half.header.set_xyzt_units("mm", "sec")
        half.header["pixdim"][4] = TRUE_TR_S
        nib.save(half, folder / "func" / f"{stem}_task-oneback_bold.nii.gz")
        write_json(
            folder / "func" / f"{stem}_task-oneback_bold.json",
            {"RepetitionTime": TRUE_TR_S, "TaskName": "oneback"},
        )


def write_open_ms(source: Path, target: Path) -> None:
    """Write both real sessions and their dates."""
    for session, name in MS_FILES.items():
        folder = target / f"ses-{session}" / "anat"
        folder.mkdir(parents=True)
        shutil.copyfile(source / name, folder / f"sub-12_ses-{session}_T1w.nii.gz")
    dates = {"session_id": [f"ses-{s}" for s in MS_DATES], "acq_time": list(MS_DATES.values())}
    pd.DataFrame(dates).to_csv(target / "sub-12_sessions.tsv", sep="\t", index=False)


def write_json(path: Path, content: dict[str, object]) -> None:
    """Write JSON with two spaces of indentation."""
    path.write_text(json.dumps(content, indent=2), encoding="utf-8")


class Usage(threading.Thread):
    """Cpu seconds and peak memory of all processes below this one, looked at every half second."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.cpu_s = 0.0
        self.before_s = sum(psutil.Process().cpu_times()[:4])
        self.peak_gib = 0.0
        self.over = threading.Event()

    def run(self) -> None:
        """Look until told that it is over."""
        me = psutil.Process()
        while not self.over.wait(0.5):
            total, cpu_s = 0, 0.0
            for process in (me, *me.children(recursive=True)):
                with contextlib.suppress(psutil.Error):
                    # user, system, and both of children that have ended
                    cpu_s += sum(process.cpu_times()[:4])
                    total += process.memory_info().rss
            self.cpu_s = max(self.cpu_s, cpu_s - self.before_s)
            self.peak_gib = max(self.peak_gib, total / 2**30)


def run_level(level: str, bids_dir: Path, output_dir: Path, nprocs: int) -> dict[str, float]:
    """Exit code, wall seconds, cpu seconds and peak memory of one level of the command."""
    start, usage = time.perf_counter(), Usage()
    usage.start()
    arguments = ["--settings", str(bids_dir.parent / "study.yaml"), "--nprocs", str(nprocs)]
    code = braindelta([str(bids_dir), str(output_dir), level, *arguments])
    usage.over.set()
    usage.join()
    cpu_s = usage.cpu_s
    wall_s = time.perf_counter() - start
    return {"exit": code, "wall_s": wall_s, "cpu_s": cpu_s, "peak_gib": usage.peak_gib}


def figures(output_dir: Path, peak_gib: float) -> dict[str, dict[str, object]]:
    """What must hold: no change in the same scan, plausible change in real ones, memory."""
    change = pd.read_csv(output_dir / "group" / "change.tsv", sep="\t", na_values="n/a")
    volume = change[(change["measure"] == "volume") & change["percent_change"].notna()]
    percent = volume.set_index("participant_id")["percent_change"].abs()
    rows = {
        "same_scan_largest_percent": (percent["sub-02"].max(), "<= 0.01"),
        "real_pair_median_percent": (percent["sub-12"].median(), "<= 10"),
        "peak_gib_per_participant": (peak_gib, "<= 3"),
    }
    return {
        name: {
            "value": round(float(value), 5),
            "target": target,
            "ok": bool(value <= limit(target)),
        }
        for name, (value, target) in rows.items()
    }


def limit(target: str) -> float:
    """Number of a target such as `<= 3`."""
    return float(target.removeprefix("<= "))


def main() -> int:
    """Write the dataset, run all levels, print what was measured."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data_dir", type=Path)
    parser.add_argument("output_dir", type=Path)
    parser.add_argument("--nprocs", type=int, default=2)
    options = parser.parse_args()
    bids_dir, output_dir = options.output_dir / "bids", options.output_dir / "derivatives"
    write_dataset(options.data_dir, bids_dir)
    (options.output_dir / "study.yaml").write_text(SETTINGS, encoding="utf-8")
    results = {}
    for level in ("plan", "participant", "group"):
        results[level] = run_level(level, bids_dir, output_dir, options.nprocs)
        print(level, json.dumps(results[level]))
    peak_gib = results["participant"]["peak_gib"] / options.nprocs
    print(json.dumps({"figures": figures(output_dir, peak_gib)}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
