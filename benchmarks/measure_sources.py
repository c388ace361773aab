"""Time and memory of reading what other tools made, on a made-up cohort.

Run with ``python benchmarks/measure_sources.py``. FreeSurfer: the seven stats files that are read
of each session. Connectivity: one table of correlations for each session. Writing the made-up
files is not counted. The last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import resource
import tempfile
import time
from pathlib import Path

import numpy as np

from bids_utils.readers.records import SourceRequest
from bids_utils.readers.sources import read_source, source_stamp

SESSIONS = ("pre", "post")
ATLASES = {"aparc": 34, "aparc.DKTatlas": 31, "aparc.a2009s": 74}
ETIV = "# Measure EstimatedTotalIntraCranialVol, eTIV, Estimated Total, 1500000.0, mm^3\n"
ASEG_HEADER = (
    "# cvs_version 7.4.1\n" + ETIV + "# NRows 45\n"
    "# ColHeaders  Index SegId NVoxels Volume_mm3 StructName normMean normStdDev\n"
)
APARC_HEADER = (
    "# cvs_version 7.4.1\n# Measure Cortex, MeanThickness, Mean Thickness, 2.5, mm\n"
    "# ColHeaders StructName NumVert SurfArea GrayVol ThickAvg ThickStd MeanCurv\n"
)
EXPLANATIONS = "# TableCol  1 ColHeader StructName\n" * 60


def write_freesurfer(folder: Path, n_participants: int, rng: np.random.Generator) -> None:
    """Stats files of all sessions."""
    for number in range(n_participants):
        for session in SESSIONS:
            stats = folder / f"sub-{number:04d}_ses-{session}" / "stats"
            stats.mkdir(parents=True)
            volumes = rng.uniform(500, 20000, 45)
            rows = [f"{i} {i} {v:.0f} {v:.1f} Region-{i} 60.1 9.2" for i, v in enumerate(volumes)]
            (stats / "aseg.stats").write_text(
                EXPLANATIONS + ASEG_HEADER + "\n".join(rows) + "\n", encoding="utf-8"
            )
            for atlas, n_regions in ATLASES.items():
                for hemi in ("lh", "rh"):
                    thickness = rng.normal(2.5, 0.2, n_regions)
                    rows = [f"area{i} 900 600 1500 {v:.3f} .5 .1" for i, v in enumerate(thickness)]
                    (stats / f"{hemi}.{atlas}.stats").write_text(
                        EXPLANATIONS + APARC_HEADER + "\n".join(rows) + "\n", encoding="utf-8"
                    )


def write_connectivity(
    folder: Path, n_participants: int, n_regions: int, rng: np.random.Generator
) -> None:
    """A table of correlations for every session."""
    names = [f"region{i}" for i in range(n_regions)]
    texts = []
    for _ in range(4):
        matrix = np.corrcoef(rng.normal(size=(n_regions, 200)))
        rows = [
            name + "\t" + "\t".join(map(str, row)) for name, row in zip(names, matrix, strict=True)
        ]
        texts.append("\t".join(["Node", *names]) + "\n" + "\n".join(rows) + "\n")
    for number in range(n_participants):
        for place, session in enumerate(SESSIONS):
            stem = f"sub-{number:04d}_ses-{session}_task-rest_seg-A_stat-pearsoncorrelation_relmat"
            (folder / f"{stem}.tsv").write_text(texts[(number + place) % 4], encoding="utf-8")


def timed(name: str, folder: Path) -> dict[str, float]:
    """Seconds of one reading, number of values, memory of the process so far."""
    start = time.perf_counter()
    source_stamp(folder)
    stamped = time.perf_counter()
    source = read_source(name, folder, SourceRequest())
    done = time.perf_counter()
    values = len(source.measures) + sum(item.edges.size for item in source.matrices)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {
        "stamp_s": round(stamped - start, 2),
        "read_s": round(done - stamped, 2),
        "values": values,
        "peak_mib": round(peak),
    }


def main() -> None:
    """Write the made-up cohort, read it, print one line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--participants", type=int, default=1000)
    parser.add_argument("--connectomes", type=int, default=50, help="participants with matrices")
    parser.add_argument("--regions", type=int, default=400)
    options = parser.parse_args()
    rng = np.random.default_rng(1)
    with tempfile.TemporaryDirectory() as name:
        anatomy, function = Path(name) / "anatomy", Path(name) / "function"
        anatomy.mkdir()
        function.mkdir()
        write_freesurfer(anatomy, options.participants, rng)
        write_connectivity(function, options.connectomes, options.regions, rng)
        found = {
            "freesurfer": timed("freesurfer", anatomy),
            "connectivity": timed("xcpd", function),
        }
    print(json.dumps({**vars(options), **found}))


if __name__ == "__main__":
    main()
