"""One session through an antspyx pipeline of the same steps, for `benchmarks/structure.py`.

usage: PEER_PYTHON benchmarks/structure_peer.py HEAD MASK ATLAS MNI MNI_MASK OUTPUT_DIR
       [--syn TYPE] [--thickness-iterations N]

antspyx asks for older numpy and scipy than this project has in its own environment, so this
script imports nothing of the project and runs with the Python of another environment:
``python -m venv X && X/bin/pip install antspyx``.

The steps are those of antsCorticalThickness.sh, each session alone: N4 in the mask, Atropos with
k-means and a Markov random field, SyN of the brain to MNI and the atlas carried back, grey matter
of each region, DiReCT thickness. MASK is given, so the peer is not blamed for a mask. All images
are cropped to the box of the mask. Each step is kept in OUTPUT_DIR with its cpu seconds
(`steps.json`); what is there is not made again. One thread, fixed seed.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
from collections.abc import Callable
from pathlib import Path

os.environ["ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS"] = "1"
os.environ["ANTS_RANDOM_SEED"] = "1"

import ants  # noqa: E402
import numpy as np  # noqa: E402

MARGIN_VOXELS = 10
CSF, GREY, WHITE = 1, 2, 3
"""Numbers of the classes of k-means, from dark to bright."""


def cpu_s() -> float:
    """Seconds of cpu of this process so far."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def once(folder: Path, name: str, make: Callable[[], None]) -> None:
    """Make a step unless it is there, and note its cpu seconds and the peak of memory."""
    path = folder / "steps.json"
    steps = json.loads(path.read_text()) if path.exists() else {}
    if name in steps:
        return
    start = cpu_s()
    make()
    peak_gib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    steps[name] = {"cpu_s": cpu_s() - start, "peak_gib": peak_gib}
    path.write_text(json.dumps(steps, indent=2))
    print(name, json.dumps(steps[name]), flush=True)


def crop(options: argparse.Namespace) -> None:
    """Head and mask, cropped to the box of the mask."""
    head, mask = ants.image_read(str(options.head)), ants.image_read(str(options.mask))
    where = np.argwhere(mask.numpy() > 0)
    low = np.maximum(where.min(axis=0) - MARGIN_VOXELS, 0)
    high = np.minimum(where.max(axis=0) + MARGIN_VOXELS + 1, mask.shape)
    for image, name in ((head, "head"), (mask, "mask")):
        box = ants.crop_indices(image, low.tolist(), high.tolist())
        ants.image_write(box, str(options.output_dir / f"{name}.nii.gz"))


def n4(folder: Path) -> None:
    """Bias field taken out of the head."""
    head, mask = (ants.image_read(str(folder / f"{k}.nii.gz")) for k in ("head", "mask"))
    limits = {"iters": [50] * 4, "tol": 1e-7}
    even = ants.n4_bias_field_correction(head, mask=mask, shrink_factor=4, convergence=limits)
    ants.image_write(even, str(folder / "n4.nii.gz"))


def atropos(folder: Path) -> None:
    """CSF, grey and white matter of the brain: numbers, and the share of the latter two."""
    head, mask = (ants.image_read(str(folder / f"{k}.nii.gz")) for k in ("n4", "mask"))
    found = ants.atropos(a=head, x=mask, i="kmeans[3]", m="[0.1,1x1x1]", c="[5,0]")
    ants.image_write(found["segmentation"], str(folder / "classes.nii.gz"))
    for number, name in ((GREY, "grey"), (WHITE, "white")):
        ants.image_write(found["probabilityimages"][number - 1], str(folder / f"{name}.nii.gz"))


def regions(options: argparse.Namespace) -> None:
    """Atlas on the session, after SyN of its brain to MNI."""
    folder = options.output_dir
    head, mask = (ants.image_read(str(folder / f"{k}.nii.gz")) for k in ("n4", "mask"))
    mni, mni_mask = (ants.image_read(str(path)) for path in (options.mni, options.mni_mask))
    found = ants.registration(mni * mni_mask, head * mask, type_of_transform=options.syn)
    carried = ants.apply_transforms(
        fixed=head,
        moving=ants.image_read(str(options.atlas)),
        transformlist=found["invtransforms"],
        whichtoinvert=[True, False],
        interpolator="nearestNeighbor",
    )
    ants.image_write(carried, str(folder / "labels.nii.gz"))
    moved = found["warpedmovout"].numpy()[mni_mask.numpy() > 0]
    match = np.corrcoef(moved, mni.numpy()[mni_mask.numpy() > 0])[0, 1]
    print("correlation with MNI", round(float(match), 3), flush=True)


def thickness(folder: Path, iterations: int) -> None:
    """Thickness of the cortex by DiReCT, mm, with the values of antsCorticalThickness.sh."""
    classes, grey, white = (
        ants.image_read(str(folder / f"{k}.nii.gz")) for k in ("classes", "grey", "white")
    )
    found = ants.kelly_kapowski(
        s=classes, g=grey, w=white, its=iterations, r=0.025, m=1.5, gm_label=GREY, wm_label=WHITE
    )
    ants.image_write(found, str(folder / "thickness.nii.gz"))


def table(folder: Path) -> None:
    """Write `regions.json`: region number -> grey matter, tissue (ml), thickness (mm) or null."""
    labels = ants.image_read(str(folder / "labels.nii.gz"))
    numbers = labels.numpy().astype(int)
    voxel_ml = float(np.prod(labels.spacing)) / 1000
    grey, white = (ants.image_read(str(folder / f"{k}.nii.gz")).numpy() for k in ("grey", "white"))
    path = folder / "thickness.nii.gz"
    thick = ants.image_read(str(path)).numpy() if path.exists() else np.zeros(numbers.shape)
    rows = {}
    for number in np.unique(numbers[numbers > 0]):
        inside = numbers == number
        known = thick[inside & (thick > 0)]
        mean = float(known.mean()) if known.size else None
        volume = float(grey[inside].sum()) * voxel_ml
        tissue = volume + float(white[inside].sum()) * voxel_ml
        rows[int(number)] = {"volume": volume, "tissue": tissue, "thickness": mean}
    (folder / "regions.json").write_text(json.dumps(rows, indent=1))


def main() -> None:
    """Run all steps of one session."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name in ("head", "mask", "atlas", "mni", "mni_mask", "output_dir"):
        parser.add_argument(name, type=Path)
    parser.add_argument("--syn", default="antsRegistrationSyNQuick[s]")
    parser.add_argument("--thickness-iterations", type=int, default=45, help="0: no thickness")
    options = parser.parse_args()
    folder = options.output_dir
    folder.mkdir(parents=True, exist_ok=True)
    once(folder, "crop", lambda: crop(options))
    once(folder, "n4", lambda: n4(folder))
    once(folder, "atropos", lambda: atropos(folder))
    once(folder, "syn", lambda: regions(options))
    table(folder)
    if options.thickness_iterations:
        once(folder, "direct", lambda: thickness(folder, options.thickness_iterations))
        table(folder)


if __name__ == "__main__":
    main()
