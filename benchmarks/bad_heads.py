"""Bad heads through brain mask and registration: each gets a right answer or a clear refusal.

usage: python benchmarks/bad_heads.py DATA_DIR OUTPUT_DIR [--only WORD,WORD] [--mni-mm 2]

DATA_DIR holds `ixi_2mm`, `uih`, `studyforrest_sub02` and `open_ms_longitudinal`. Heads of 1 mm are
made coarser (2 mm). Each head is run alone once; what was found there (brain mask, place in MNI)
is carried to the cases that `bad_head_cases.py` makes of it. A case passes when the chain up to
the agreement with MNI raises nothing. It is a silent wrong answer when it passes though its mask
overlaps too little with the one carried, or MNI lies elsewhere, or it shows no head (or is two
people). What is in OUTPUT_DIR is not run again. About 40 s of cpu per case, an hour in all.
A head by itself (plain) is its own standard, so its Dice is 1. The last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import bad_head_cases as made
import nibabel as nib
import numpy as np
from bad_head_cases import Head
from nipype import config, logging
from nipype.interfaces.utility import Merge
from nipype.pipeline.engine import Node, Workflow
from real_images import write_json

from configs.settings import AnatSettings
from workflows.anat import init_mni_wf
from workflows.compute.geometry import resampled
from workflows.compute.parcels import dice
from workflows.failures import PLAIN_ERRORS, read_failures
from workflows.interfaces import registration
from workflows.interfaces.anat import isotropic
from workflows.interfaces.atlas_space import load_displacement
from workflows.interfaces.deformation import SessionDeformations
from workflows.interfaces.volumes import load_mask, load_volume
from workflows.template import init_template_wf

MIN_DICE, MAX_SHIFT_MM = 0.93, 4.0
COARSE_MM = 2.0
HEADS = {
    "ixi12": "ixi_2mm/IXI012-HH-1211_T1.nii.gz",
    "ixi15": "ixi_2mm/IXI015-HH-1258_T1.nii.gz",
    "uih": "uih/uih_132225_desc-1mm_T1w.nii.gz",
    "sf": "studyforrest_sub02/anat/sub-02_desc-1mm_T1w.nii.gz",
    "ms04": "open_ms_longitudinal/raw/patient04/study1_T1W.nii.gz",
    "ms20": "open_ms_longitudinal/raw/patient20/study2_T1W.nii.gz",
}
AS_THEY_ARE = ("ixi12", "ixi15", "ms04", "ms20")
"""sf is defaced; ms04 and ms20 have lesions and slices of 3 mm."""
Maker = Callable[[Head], Head]
SINGLE: dict[str, tuple[str, str, Maker]] = {
    "turned_x_25": ("ixi12", "uih", made.turned(0, 25)),
    "turned_x_-25": ("ixi12", "sf", made.turned(0, -25)),
    "turned_y_25": ("ixi12", "uih", made.turned(1, 25)),
    "turned_z_25": ("ixi12", "uih", made.turned(2, 25)),
    "cut_top_20": ("ixi15", "uih", made.cut(2, upper_mm=20)),
    "cut_side_20": ("ixi15", "uih", made.cut(0, lower_mm=20)),
    "no_neck": ("ixi15", "uih", made.cut(2, lower_mm=-made.CHIN_MM)),
    "long_neck": ("ixi15", "uih", made.with_neck),
    "small_85": ("ixi12", "uih", made.sized(0.85)),
    "large_112": ("ixi12", "sf", made.sized(1.12)),
    "noise_3": ("ixi12", "sf", made.noisy),
    "bias_1": ("ixi15", "uih", made.shaded(1)),
    "bias_2": ("ixi15", "sf", made.shaded(2)),
    "extracted": ("ixi12", "uih", made.extracted),
    "inverted": ("ixi12", "sf", made.inverted),
    "upside_down": ("ixi12", "uih", made.turned(1, 180)),
    "back_to_front": ("ixi12", "uih", made.turned(2, 180)),
    "lying": ("ixi12", "uih", made.turned(0, 90)),
    "cut_top_45": ("ixi15", "uih", made.cut(2, upper_mm=45)),
    "cut_side_45": ("ixi15", "uih", made.cut(0, lower_mm=45)),
    "cut_front_20": ("ixi15", "uih", made.cut(1, upper_mm=20)),
}
"""Two heads, and what is made of each."""
GROUPS: dict[str, tuple[Maker, ...]] = {
    "moved": (made.moved_a_little,),
    "thick": (made.thick,),
    "one_turned": (made.turned(1, 25),),
    "one_cut": (made.cut(2, upper_mm=25),),
    "one_extracted": (made.extracted,),
    "one_noisy": (made.noisy,),
    "three": (made.moved_a_little, made.turned(2, 10)),
}
"""Later sessions made of a head; the first is the head as it is."""
REFUSED = ("inverted", "one_extracted", "two_people")
"""Beside images of no head."""
KEPT = ("mask_file", "session2template_xfms", "template2mni_xfm", "agreement", "view_files")


@dataclass(frozen=True)
class Bench:
    """Where the data are, where runs are kept, and the settings of all runs."""

    data: Path
    output: Path
    settings: AnatSettings


@dataclass(frozen=True)
class Case:
    """Sessions that `make` makes of the head `source`; of no head if that is empty."""

    name: str
    source: str
    make: Callable[[], list[Head]]


def head_image(data_dir: Path, name: str) -> nib.Nifti1Image:
    """A head of 2 mm, or with its own voxels where these are large."""
    image = nib.as_closest_canonical(nib.load(data_dir / HEADS[name]))
    if name in AS_THEY_ARE:
        return image
    return nib.Nifti1Image(*isotropic(image, COARSE_MM))


def gates_wf(n_sessions: int, settings: AnatSettings) -> Workflow:
    """The anatomical chain up to the agreement with MNI; `kept_*` nodes hold what came out."""
    workflow = Workflow("gates")
    template_wf, mni_wf = init_template_wf(n_sessions, settings), init_mni_wf(settings)
    deform = Node(SessionDeformations(), "deform")
    heads = [(f"outputnode.{k}", k) for k in ("scales", "mask_file")]
    heads += [("outputnode.head_files", "in_files")]
    heads += [("outputnode.session2template_xfms", "xfm_files")]
    workflow.connect(template_wf, "outputnode.mask_file", mni_wf, "inputnode.mask_file")
    workflow.connect([(template_wf, deform, heads)])
    workflow.connect(deform, "brain_file", mni_wf, "inputnode.brain_file")
    for field in KEPT:
        source = mni_wf if field in ("template2mni_xfm", "agreement") else template_wf
        workflow.connect(source, f"outputnode.{field}", Node(Merge(1), f"kept_{field}"), "in1")
    return workflow


def run_case(bench: Bench, name: str, sessions: list[nib.Nifti1Image]) -> dict[str, object]:
    """Run the chain on sessions; keep mask, view and field; `refusal` is empty if it passed."""
    folder = bench.output / name
    path = folder / "run.json"
    if path.exists():
        return json.loads(path.read_text(encoding="utf-8"))
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    files = [str(folder / f"session{i}.nii.gz") for i in range(len(sessions))]
    for image, file in zip(sessions, files, strict=True):
        nib.save(image, file)
    workflow = gates_wf(len(files), bench.settings)
    workflow.base_dir = str(folder / "work")
    crashes = folder / "crashes"
    workflow.config["execution"] = {"crashfile_format": "txt", "crashdump_dir": str(crashes)}
    template_inputs = workflow.get_node("template_wf.inputnode").inputs
    template_inputs.t1w_files = files
    done = {}
    with suppress(RuntimeError):  # of Nipype; its crash files say what happened
        nodes = {node.name: node for node in workflow.run().nodes()}
        done = {field: nodes[f"kept_{field}"].result.outputs.out for field in KEPT}
    known = outcome(folder, done, crashes)
    shutil.rmtree(folder / "work", ignore_errors=True)
    for file in files:
        Path(file).unlink()
    write_json(path, known)
    return known


def outcome(folder: Path, done: dict[str, list], crashes: Path) -> dict[str, object]:
    """What is kept of a run: its refusal, if the user can act on it, and its agreement."""
    failures = read_failures(crashes)
    if failures or not done:
        first = failures[0]
        return {"refusal": first.sentence, "clear": first.error in PLAIN_ERRORS}
    for field in ("mask_file", "template2mni_xfm"):
        shutil.copyfile(done[field][0], folder / f"{field}.nii.gz")
    shutil.copyfile(done["view_files"][0], folder / "view.nii.gz")
    matrix = np.loadtxt(done["session2template_xfms"][0])
    volume_ml = np.count_nonzero(load_mask(folder / "mask_file.nii.gz"))
    volume_ml *= abs(np.linalg.det(nib.load(folder / "mask_file.nii.gz").affine)) / 1000
    return {
        "refusal": "",
        "agreement": done["agreement"][0],
        "brain_ml": volume_ml,
        "to_session": matrix.tolist(),
    }


def plain_head(output_dir: Path, name: str, image: nib.Nifti1Image) -> Head:
    """A head and the brain mask found when it is run alone."""
    mask = load_volume(output_dir / f"plain-{name}" / "mask_file.nii.gz")
    volume = image.get_fdata(dtype=np.float32)
    brain = resampled(mask, (volume.shape, image.affine), np.eye(4), 1) >= 0.5
    return Head(volume, brain, image.affine, np.eye(4))


def compared(bench: Bench, case: Case, to_head: np.ndarray) -> tuple[float, float]:
    """Dice of the mask with the one carried from the head, and how far MNI was moved, mm.

    The distance is the median over the points of MNI's brain that the case shows.
    """
    folder, plain = bench.output / case.name, bench.output / f"plain-{case.source}"
    run = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    carry = to_head @ np.array(run["to_session"])
    found, affine = load_volume(folder / "mask_file.nii.gz")
    carried = resampled(load_volume(plain / "mask_file.nii.gz"), (found.shape, affine), carry, 1)
    seen = load_mask(folder / "view.nii.gz")
    overlap = dice((found >= 0.5) & seen, (carried >= 0.5) & seen)
    volumes = registration.mni_volumes(bench.settings.mni_resolution_mm)
    brain, mni_affine = volumes["mask_file"]
    points = nib.affines.apply_affine(mni_affine, np.argwhere(brain))
    there, here = (
        points + load_displacement(place / "template2mni_xfm.nii.gz")[brain]
        for place in (plain, folder)
    )
    voxel = np.rint(nib.affines.apply_affine(np.linalg.inv(affine), here)).astype(int)
    inside = np.all((voxel >= 0) & (voxel < found.shape), axis=1)
    inside[inside] = (seen & (found >= 0.5))[tuple(voxel[inside].T)]
    away = np.linalg.norm(nib.affines.apply_affine(carry, here) - there, axis=1)
    return float(overlap), float(np.median(away[inside]))


def verdict(run: dict[str, object], refused: bool, measured: tuple[float, float]) -> str:
    """passed, refused, crashed, or WRONG: a silent wrong answer."""
    if run["refusal"]:
        return "refused" if run["clear"] else "crashed"
    right = measured[0] >= MIN_DICE and measured[1] <= MAX_SHIFT_MM
    return "passed" if right and not refused else "WRONG"


def all_rows(bench: Bench, only: list[str]) -> list[dict[str, object]]:
    """Rows of the table, each printed when it is known."""
    rows, heads = [], {}
    for name in HEADS:
        image = head_image(bench.data, name)
        run = run_case(bench, f"plain-{name}", [image])
        if run["refusal"]:
            raise SystemExit(f"{name} was refused: {run['refusal']}")
        rows.append(row(f"plain-{name}", run, False, (1.0, 0.0)))
        heads[name] = plain_head(bench.output, name, image)
    for case in cases_of(heads):
        if not only or any(word in case.name for word in only):
            rows.append(case_row(bench, case))
    return rows


def cases_of(heads: dict[str, Head]) -> list[Case]:
    """All cases; each kind comes once before any comes with a second head."""
    singles = [
        [Case(f"{name}-{k}", k, partial(sessions_of, heads[k], [make])) for k in sources]
        for name, (*sources, make) in SINGLE.items()
    ]
    firsts, seconds = zip(*singles, strict=True)
    groups = [
        Case(name, "ixi12", partial(sessions_of, heads["ixi12"], [as_it_is, *makers]))
        for name, makers in GROUPS.items()
    ]
    people = Case("two_people", "ixi12", lambda: [heads["ixi12"], heads["ixi15"]])
    phantoms = [
        Case(f"phantom_{name}", "", partial(list, [head])) for name, head in made.phantoms().items()
    ]
    return [*firsts, *phantoms, *groups, people, *seconds]


def as_it_is(head: Head) -> Head:
    """The head."""
    return head


def sessions_of(head: Head, makers: list[Maker]) -> list[Head]:
    """One session of a head by each maker."""
    return [make(head) for make in makers]


def case_row(bench: Bench, case: Case) -> dict[str, object]:
    """Row of a case, run unless it was."""
    sessions, measured = case.make(), (np.nan, np.nan)
    run = run_case(bench, case.name, [session.image for session in sessions])
    if not run["refusal"] and case.source:
        measured = compared(bench, case, sessions[0].to_head)
    refused = not case.source or case.name.startswith(REFUSED)
    return row(case.name, run, refused, measured)


def row(
    name: str, run: dict[str, object], refused: bool, measured: tuple[float, float]
) -> dict[str, object]:
    """One row of the table, printed."""
    known = {
        "case": name,
        "verdict": verdict(run, refused, measured),
        "dice": measured[0],
        "shift_mm": measured[1],
        "brain_ml": run.get("brain_ml", np.nan),
        "agreement": run.get("agreement", np.nan),
    }
    print(
        f"{name:24} {known['verdict']:8} {known['dice']:6.3f} {known['shift_mm']:5.1f} mm "
        f"{known['brain_ml']:6.0f} ml {known['agreement']:6.3f} {run['refusal'][:300]}",
        flush=True,
    )
    return known


def main() -> int:
    """Run all cases and print what was found."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data_dir", type=Path)
    parser.add_argument("output_dir", type=Path)
    parser.add_argument("--only", default="", help="words of the cases to run; all if empty")
    parser.add_argument(
        "--mni-mm", type=float, default=2.0, help="anat.mni_resolution_mm; 3 is fast"
    )
    options = parser.parse_args()
    places = (options.data_dir.absolute(), options.output_dir.absolute())
    bench = Bench(*places, AnatSettings(mni_resolution_mm=options.mni_mm))
    config.update_config({"logging": {"workflow_level": "CRITICAL", "interface_level": "CRITICAL"}})
    logging.update_logging(config)
    only = [word for word in options.only.split(",") if word]
    rows = all_rows(bench, only)
    count = {word: sum(row["verdict"] == word for row in rows) for word in ("WRONG", "crashed")}
    passed = [row["dice"] for row in rows if row["verdict"] == "passed"]
    figures = {
        "silent_wrong_answers": (count["WRONG"], "0", count["WRONG"] == 0),
        "unclear_failures": (count["crashed"], "0", count["crashed"] == 0),
        "least_dice_of_passed": (round(min(passed), 4), ">= 0.93", min(passed) >= MIN_DICE),
    }
    keys = ("value", "target", "ok")
    print(json.dumps({"figures": {k: dict(zip(keys, v, strict=True)) for k, v in figures.items()}}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
