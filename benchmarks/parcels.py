"""Mean series of regions against nilearn's NiftiLabelsMasker: values, time and memory.

    python benchmarks/parcels.py [BOLD_FILE] [--gz]

Both read the same BOLD series (a made-up one of 80 x 80 x 35 x 156 voxels if none is given) and
labels on its grid from files. Each turn runs in a fresh process; imports are not counted. Like
the series in the pipeline the made-up one is not compressed; with --gz most of the time of both
is decompression. The last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import nibabel as nib
import numpy as np

REPOSITORY = Path(__file__).resolve().parent.parent
SHAPE, N_VOLUMES, N_REGIONS = (80, 80, 35), 156, 83
OURS = """
from types import SimpleNamespace
from workflows.compute.connectivity import region_means
from workflows.interfaces.connectivity import varying_inside
def run():
    files = SimpleNamespace(in_file=bold, mask_file=labels, atlas_file=labels)
    voxels, regions, _ = varying_inside(files)
    return region_means(voxels, regions, np.unique(regions))
"""
NILEARN = """
from nilearn.maskers import NiftiLabelsMasker
def run():
    masker = NiftiLabelsMasker(labels, standardize=None, resampling_target="data")
    return masker.fit_transform(bold)
"""
PROBE = """
import json, os, resource, time, warnings
from pathlib import Path
import numpy as np
warnings.simplefilter("ignore")
bold, labels, out = {bold!r}, {labels!r}, {out!r}
{code}
def resident_mib():
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20
before, start = resident_mib(), time.process_time()
values = run()
seconds = time.process_time() - start
np.save(out, values)
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
print(json.dumps([seconds, max(peak - before, 0.0)]))
"""


def made_up_series(path: Path) -> None:
    """Write a series of noise on a bright head, zero around it, as float32."""
    rng = np.random.default_rng(3)
    image = nib.Nifti1Image(
        rng.normal(800, 20, (*SHAPE, N_VOLUMES)).astype(np.float32), np.diag([3, 3, 3.3, 1])
    )
    image.to_filename(path)


def made_up_labels(bold: Path, path: Path) -> None:
    """Write regions of a series: blocks of its head, none of a voxel that does not vary."""
    image = nib.load(bold)
    series = np.asarray(image.dataobj, dtype=np.float32)
    place = np.stack(np.indices(series.shape[:3]) / np.reshape(series.shape[:3], (3, 1, 1, 1)))
    inside = (((place - 0.5) / 0.42) ** 2).sum(axis=0) < 1
    inside &= series.max(axis=3) > series.min(axis=3)
    block = np.ravel_multi_index((place * [[[[4]]], [[[7]]], [[[3]]]]).astype(int), (4, 7, 3))
    labels = np.where(inside, block % N_REGIONS + 1, 0).astype(np.int16)
    nib.Nifti1Image(labels, image.affine).to_filename(path)


def measure(code: str, files: dict[str, str]) -> tuple[float, float]:
    """Processor seconds and growth of the peak memory in MiB, in a fresh process."""
    done = subprocess.run(
        [sys.executable, "-c", PROBE.format(code=code, **files)],
        capture_output=True,
        text=True,
        check=True,
        cwd=REPOSITORY,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY), "OMP_NUM_THREADS": "1"},
    )
    seconds, mib = json.loads(done.stdout.splitlines()[-1])
    return seconds, mib


def figures(rows: dict[str, tuple[float, float]], difference: float) -> dict[str, object]:
    """Figures with their targets."""
    ratio = rows["nilearn"][0] / rows["braindelta"][0]
    return {
        "parcels_difference": {
            "value": float(f"{difference:.1e}"),
            "target": "<= 1e-6",
            "ok": difference <= 1e-6,
        },
        "parcels_ratio": {"value": round(ratio, 1), "target": ">= 3", "ok": ratio >= 3},
        "parcels_s": {"value": round(rows["braindelta"][0], 2)},
        "parcels_mib": {"value": round(rows["braindelta"][1])},
        "nilearn_s": {"value": round(rows["nilearn"][0], 2)},
        "nilearn_mib": {"value": round(rows["nilearn"][1])},
    }


def main() -> int:
    """Run the comparison and print it; 1 if a target is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("bold", nargs="?", type=Path)
    parser.add_argument("--gz", action="store_true", help="compress the made-up series")
    parser.add_argument("--repeats", type=int, default=3, help="the fastest one counts")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        bold = arguments.bold or folder / ("bold.nii.gz" if arguments.gz else "bold.nii")
        if arguments.bold is None:
            made_up_series(bold)
        made_up_labels(bold, folder / "labels.nii.gz")
        files = {"bold": str(bold), "labels": str(folder / "labels.nii.gz")}
        tools = {"braindelta": OURS, "nilearn": NILEARN}
        turns = [
            {
                tool: measure(code, files | {"out": str(folder / f"{tool}.npy")})
                for tool, code in tools.items()
            }
            for _ in range(arguments.repeats)
        ]
        rows = {tool: min(turn[tool] for turn in turns) for tool in tools}
        ours, theirs = (np.load(folder / f"{tool}.npy") for tool in tools)
    difference = float(np.max(np.abs(ours - theirs) / np.abs(theirs).max(axis=0)))
    print(f"{bold.name}: means {ours.shape}, largest relative difference {difference:.1e}")
    print(f"{'tool':<12}{'cpu s':>8}{'MiB':>8}")
    for tool, (seconds, mib) in rows.items():
        print(f"{tool:<12}{seconds:>8.2f}{mib:>8.0f}")
    result = figures(rows, difference)
    print(json.dumps({"figures": result}))
    return 0 if all(row.get("ok", True) for row in result.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
