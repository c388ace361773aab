"""Cost of one real BOLD run, from the raw series to the parcel matrix, and whether sides are seen.

usage: python benchmarks/bold_run.py DATA_DIR OUTPUT_DIR

DATA_DIR holds `studyforrest_sub02`: one T1w of 1 mm, one BOLD run of 80 x 80 x 35 x 156 whose
true repetition time is 2.0 s. The anatomy is made once (several minutes) and kept in OUTPUT_DIR.
Then the run goes through `init_bold_wf` as it is, and with left and right of its voxels
exchanged as a wrong header would do. Cpu seconds are those of all processes. The last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import time
from pathlib import Path

import nibabel as nib
import numpy as np
from nipype import Node
from nipype.interfaces.io import DataSink
from real_images import Usage, limit

from bids_utils.plan import BoldRun
from configs.atlases import Atlas, chosen_atlas
from configs.settings import Settings
from workflows.anat import init_anat_wf
from workflows.atlas import standard_atlas
from workflows.func import TEMPLATE_FIELDS, init_bold_wf

TRUE_TR_S = 2.0
T1W = "anat/sub-02_desc-1mm_T1w.nii.gz"
BOLD = "func/sub-02_task-oneback_run-1_bold.nii.gz"
ANATOMY = [field for field in TEMPLATE_FIELDS if field != "atlas_file"]
TARGETS = {
    "cpu_s": "<= 120",
    "peak_gib": "<= 2",
    "boundary_cost": "<= 0.7",
    "flip_cost_ratio": "<= 0.8",
    "cost_ratio_when_exchanged": ">= 1.25",
}


def anatomy(t1w: Path, atlas: Atlas, folder: Path) -> dict[str, str]:
    """Files of the template by field, made if they are not there."""
    if not all((folder / field).is_dir() for field in ANATOMY):
        workflow = init_anat_wf(1, Settings())
        inputs = workflow.inputs.inputnode
        inputs.t1w_files = [str(t1w)]
        inputs.atlas_file, inputs.atlas_labels_file = str(atlas.file), str(atlas.labels_file)
        sink = Node(DataSink(base_directory=str(folder), parameterization=False), "sink")
        for field in ANATOMY:
            workflow.connect(workflow.get_node("outputnode"), field, sink, field)
        workflow.base_dir = str(folder / "work")
        workflow.run(plugin="Linear")
    return {field: str(next((folder / field).iterdir())) for field in ANATOMY}


def exchanged(bold: Path, target: Path) -> Path:
    """Copy of a series whose voxels are turned round from left to right, and the header is not."""
    image = nib.load(bold)
    nib.Nifti1Image(np.asarray(image.dataobj)[::-1], image.affine, image.header).to_filename(target)
    return target


def run_bold(bold: Path, fields: dict[str, str], folder: Path) -> dict[str, float]:
    """Cost of a run, and what its nodes say of its registration."""
    run = BoldRun(bold, (), TRUE_TR_S, nib.load(bold).shape[3])
    shutil.rmtree(folder, ignore_errors=True)
    workflow = init_bold_wf(run, Settings())
    workflow.inputs.inputnode.trait_set(**fields)
    workflow.base_dir = str(folder)
    start, before, usage = time.perf_counter(), os.times(), Usage()
    usage.start()
    graph = workflow.run(plugin="Linear")
    usage.over.set()
    usage.join()
    cpu_s = sum(os.times()[:4]) - sum(before[:4])
    said = {"wall_s": time.perf_counter() - start, "cpu_s": cpu_s, "peak_gib": usage.peak_gib}
    for node in graph.nodes:
        said[f"{node.name}_s"] = node.result.runtime.duration
        outputs = node.result.outputs.get() if node.result.outputs else {}
        numbers = ("boundary_cost", "registration_dice", "flip_cost_ratio", "n_dummy")
        said |= {name: float(outputs[name]) for name in numbers if name in outputs}
    return said


def holds(value: float, target: str) -> bool:
    """Whether a value meets a target such as `<= 3` or `>= 1.25`."""
    if target.startswith(">= "):
        return value >= float(target.removeprefix(">= "))
    return value <= limit(target)


def main() -> int:
    """Run the series as it is and exchanged, print what was measured."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data_dir", type=Path)
    parser.add_argument("output_dir", type=Path)
    options = parser.parse_args()
    source, output_dir = options.data_dir / "studyforrest_sub02", options.output_dir.resolve()
    output_dir.mkdir(parents=True, exist_ok=True)
    atlas = standard_atlas(chosen_atlas(Settings().atlas), output_dir, lambda work: work.run())
    fields = anatomy(source / T1W, atlas, output_dir / "anatomy")
    fields |= {"atlas_file": str(atlas.file), "atlas_labels_file": str(atlas.labels_file)}
    given = run_bold(source / BOLD, fields, output_dir / "given")
    print("given", json.dumps({name: round(value, 3) for name, value in given.items()}))
    other = run_bold(
        exchanged(source / BOLD, output_dir / "bold.nii"), fields, output_dir / "other"
    )
    print("exchanged", json.dumps({name: round(value, 3) for name, value in other.items()}))
    measured = given | {"cost_ratio_when_exchanged": other["flip_cost_ratio"]}
    rows = {
        name: {
            "value": round(measured[name], 3),
            "target": target,
            "ok": bool(holds(measured[name], target)),
        }
        for name, target in TARGETS.items()
    }
    print(json.dumps({"figures": rows}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
