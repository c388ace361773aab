"""Structural change with known truth: how much of it is found, and what is found where none is.

usage: python benchmarks/structure.py DATA_DIR OUTPUT_DIR [--heads sf,uih,colin]
       [--stages null,plant,side,thin,same,swap,three,voxels,threads,participant,peer]
       [--peer-python PATH]

DATA_DIR holds `studyforrest_sub02`, `uih` and `colin27`. Each head is run alone once, which gives
its regions and its cortex (the truth), then pairs of sessions are made of it (`planted_heads.py`)
and run through `init_anat_wf`, each in a process of its own. The stages:
- null: only new noise, bias field, gain and motion (2 pairs per head);
- plant: 0 to 10 % in hippocampus, amygdala, anterior cingulate, insula, thalamus (2 per head);
- side: the same in the left hemisphere alone, so that many regions are far from it (1 per head);
- thin: .2 mm thinner and thicker cortex (1 per head);
- same, swap, three, voxels, threads: the first null pair as the same scan twice, in the other
  order, three sessions in two orders, voxels of 1 and 1.2 mm, two threads (first head);
- participant: the command on the first null pair as a BIDS dataset: cpu seconds and memory;
- peer: antspyx (`structure_peer.py`) on the first null and the first plant pair of the first
  head. antspyx does not live with our numpy: ``python -m venv X && X/bin/pip install antspyx``,
  then ``--peer-python X/bin/python``. It is given the mask that we find on the head, carried to
  each session by the true pose, so that it is not blamed for a mask.

What is in OUTPUT_DIR is not made again: stages may be run one by one, and a last call prints the
whole table. About 7 minutes of cpu per pair; 4 hours in all, and 3 hours for the peer (DiReCT).
The last line is JSON; a row that was not measured has no value.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
from nilearn import datasets
from nipype.interfaces.utility import Merge
from nipype.pipeline.engine import Node
from planted_heads import (
    changes_of,
    denoised,
    distances_mm,
    load_head,
    random_poses,
    session_image,
    thickness_changes,
    truth_of,
    volume_log_jacobian,
    volume_plan,
)
from real_images import Usage, write_json
from scipy import ndimage
from structure_plan import KINDS, Bench, Pair, Run, atlas_table, peer_pairs, runs_of
from structure_scores import (
    all_changes,
    judged,
    more_scores,
    null_rows,
    peer_rows,
    plant_rows,
    run_rows,
    without_nan,
)

from bids_utils.derivatives import write_table
from configs.atlases import find_atlas
from configs.settings import Settings
from workflows.anat import init_anat_wf
from workflows.cli import main as braindelta

HEADS = {
    "sf": "studyforrest_sub02/anat/sub-02_desc-1mm_T1w.nii.gz",
    "uih": "uih/uih_132225_desc-1mm_T1w.nii.gz",
    "colin": "colin27/ch2.nii.gz",
}
STAGES = ("null", "plant", "side", "thin", "same", "swap", "three", "voxels", "threads")
STAGES += ("participant",)
COARSE = 1.2
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS")
OF_RUN = {
    "morph_files": "volume{}.tsv",
    "tissue_files": "tissue{}.tsv",
    "thickness_files": "thickness{}.tsv",
}
OF_HEAD = {
    "template_atlas_file": "labels.nii.gz",
    "template_gm_file": "grey.nii.gz",
    "template_mask_file": "mask.nii.gz",
    "template_thickness_file": "thickness.nii.gz",
}
"""Outputs of the workflow that are kept, and as what."""
SETTINGS = "sessions: {order: [pre, post]}\n"


def make_head(bench: Bench, name: str) -> Path:
    """Folder of a head, made by one run of a single session and without noise if needed."""
    folder, source = bench.folder_of_head(name), bench.data / HEADS[name]
    if not (folder / "image.nii.gz").exists():
        in_child(anatomy, (folder, [source], True), folder, 1)
        nib.save(denoised(source), folder / "image.nii.gz")
    return folder


def make_pair(bench: Bench, pair: Pair) -> None:
    """Make the two sessions of a pair and its truth unless they are there."""
    path = bench.truth_file(pair)
    if path.exists():
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    head, table = load_head(make_head(bench, pair.head)), atlas_table()
    number = list(HEADS).index(pair.head)
    sides = {"plant": "LR", "side": "L"}.get(pair.kind, "")
    plan = volume_plan(table, 2 * number + pair.number - 1, sides)
    if pair.kind == "thin":
        changes = thickness_changes(head, table)
    else:
        changes = changes_of(volume_log_jacobian(head, plan), head.grid)
    rng = np.random.default_rng([number, KINDS.index(pair.kind), pair.number])
    scales = (1.0, COARSE) if pair.kind == "voxels" else (1.0, 1.0)
    poses = random_poses(rng)
    for i in range(2):
        image = session_image(head, changes[i], poses[i], scales[i], rng)
        nib.save(image, bench.session_file(pair, i))
        np.savetxt(bench.pose_file(pair, i), poses[i])
    away = distances_mm(head, [index for index, pct in plan.items() if pct], table)
    truth = truth_of(head, changes, table)
    truth = truth.assign(distance_mm=away, planted=table["index"].map(plan))
    write_table(truth, path)


def make_run(bench: Bench, run: Run) -> None:
    """Run the anatomy on sessions unless it was."""
    folder = bench.run_folder(run)
    if (folder / "usage.json").exists():
        return
    for pair, _ in run.sessions:
        make_pair(bench, pair)
    files = [bench.session_file(*session) for session in run.sessions]
    in_child(anatomy, (folder, files, False), folder, run.threads)


def in_child(target: Callable[..., None], arguments: tuple, folder: Path, threads: int) -> None:
    """Run a function in a new process with its own log and number of threads."""
    folder.mkdir(parents=True, exist_ok=True)
    os.environ.update(dict.fromkeys(THREADS, str(threads)))
    print(f"{time.strftime('%H:%M:%S')} {folder.name}", flush=True)
    child = multiprocessing.get_context("spawn").Process(
        target=measured, args=(target, arguments, folder)
    )
    child.start()
    child.join()
    if child.exitcode:
        raise SystemExit(f"{folder.name} ended with {child.exitcode}; see {folder / 'log.txt'}")


def measured(target: Callable[..., None], arguments: tuple, folder: Path) -> None:
    """Call a function; write `log.txt` and its use of cpu and memory, `usage.json`."""
    log = os.open(folder / "log.txt", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(log, 1)
    os.dup2(log, 2)
    start, usage = time.perf_counter(), Usage()
    usage.start()
    target(*arguments)
    usage.over.set()
    usage.join()
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    # of workers that are nobody's children yet, only the looks know
    cpu_s = max(usage.cpu_s, sum(part.ru_utime + part.ru_stime for part in used))
    wall_s = time.perf_counter() - start
    known = {"cpu_s": cpu_s, "wall_s": wall_s, "peak_gib": usage.peak_gib}
    write_json(folder / "usage.json", known)


def anatomy(folder: Path, files: list[Path], single: bool) -> None:
    """Run the anatomical workflow on sessions; keep its tables, or the maps of a single one."""
    atlas, work = find_atlas("DesikanKilliany"), folder / "work"
    shutil.rmtree(work, ignore_errors=True)
    workflow = init_anat_wf(len(files), Settings(), name="anat")
    workflow.base_dir = str(work)
    workflow.config["execution"] = {"crashfile_format": "txt", "crashdump_dir": str(folder)}
    workflow.inputs.inputnode.t1w_files = [str(path) for path in files]
    workflow.inputs.inputnode.atlas_file = str(atlas.file)
    workflow.inputs.inputnode.atlas_labels_file = str(atlas.labels_file)
    fields = OF_HEAD if single else OF_RUN
    for field in fields:
        # Identity nodes are gone after a run, so another kind of node holds what came out.
        workflow.connect(
            workflow.get_node("outputnode"), field, Node(Merge(1), f"kept_{field}"), "in1"
        )
    nodes = {node.fullname.removeprefix("anat."): node for node in workflow.run().nodes()}
    for field, name in fields.items():
        for i, path in enumerate(nodes[f"kept_{field}"].result.outputs.out):
            shutil.copyfile(path, folder / name.format(i))
    if single:
        lines = nodes["thickness_wf.lines"].result.outputs.lines_file
        shutil.copyfile(lines, folder / "lines.npz")
    shutil.rmtree(work)


def participant(bench: Bench) -> None:
    """The command on the first null pair, with saving and pictures."""
    folder, pair = bench.output / "runs" / "participant", Pair(bench.heads[0], "null")
    if (folder / "usage.json").exists():
        return
    make_pair(bench, pair)
    shutil.rmtree(folder, ignore_errors=True)
    for i, session in enumerate(("pre", "post")):
        path = folder / "bids" / "sub-01" / f"ses-{session}" / "anat"
        path.mkdir(parents=True)
        shutil.copyfile(bench.session_file(pair, i), path / f"sub-01_ses-{session}_T1w.nii.gz")
    described = {"Name": "Simulated rescan", "BIDSVersion": "1.10.0"}
    write_json(folder / "bids" / "dataset_description.json", described)
    (folder / "bids" / "README").write_text("A null pair.\n", encoding="utf-8")
    (folder / "study.yaml").write_text(SETTINGS, encoding="utf-8")
    in_child(command, (folder,), folder, 1)


def command(folder: Path) -> None:
    """Level `participant` of the command."""
    places = [str(folder / "bids"), str(folder / "derivatives"), "participant"]
    code = braindelta([*places, "--settings", str(folder / "study.yaml"), "--nprocs", "1"])
    if code:
        raise SystemExit(code)


def peer(bench: Bench, python: Path) -> None:
    """Run antspyx on each session of two pairs, with our mask."""
    atlas, folder = find_atlas("DesikanKilliany").file, bench.output / "peer"
    folder.mkdir(exist_ok=True)
    datasets.load_mni152_template(resolution=1).to_filename(folder / "mni.nii.gz")
    datasets.load_mni152_brain_mask(resolution=1).to_filename(folder / "mni_mask.nii.gz")
    script = Path(__file__).with_name("structure_peer.py")
    for pair in peer_pairs(bench):
        make_pair(bench, pair)
        for i in range(2):
            mask, head = folder / f"{pair.name}_mask{i}.nii.gz", bench.session_file(pair, i)
            nib.save(posed_mask(bench, pair, i), mask)
            maps = (folder / "mni.nii.gz", folder / "mni_mask.nii.gz")
            arguments = (head, mask, atlas, *maps, folder / f"{pair.name}_ses{i}")
            print(f"{time.strftime('%H:%M:%S')} peer {pair.name} session {i}", flush=True)
            subprocess.run([python, script, *arguments], check=True)


def posed_mask(bench: Bench, pair: Pair, session: int) -> nib.Nifti1Image:
    """Brain mask of the head on the grid of a session, moved by the true pose."""
    mask = nib.load(bench.folder_of_head(pair.head) / "mask.nii.gz")
    image = nib.load(bench.session_file(pair, session))
    pose = np.loadtxt(bench.pose_file(pair, session))
    matrix = np.linalg.inv(pose @ mask.affine) @ image.affine
    moved = ndimage.affine_transform(
        mask.get_fdata(dtype=np.float32), matrix, output_shape=image.shape, order=1
    )
    return nib.Nifti1Image((moved >= 0.5).astype(np.uint8), image.affine)


def print_figures(bench: Bench) -> None:
    """Print the table, what else was measured, and as the last line all of it as JSON."""
    table = all_changes(bench)
    write_table(table, bench.output / "changes.tsv")
    compared, scores = peer_rows(bench, table)
    rows = plant_rows(table) | null_rows(table) | run_rows(bench) | compared
    figures = {name: judged(*row) for name, row in rows.items()}
    for name, row in figures.items():
        print(f"{name:36} {row['value']!s:>10}  {row['target']:14} {row['ok']}")
    more = without_nan(more_scores(table) | {"peer": scores})
    print(json.dumps(more, indent=1))
    print(json.dumps({"figures": figures, "more": more}))


def main() -> int:
    """Run the stages that are not done and print what is known."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data_dir", type=Path)
    parser.add_argument("output_dir", type=Path)
    parser.add_argument("--heads", default=",".join(HEADS), help="the first is the most tried")
    parser.add_argument("--stages", default=",".join(STAGES), help="peer is one more; '' for none")
    parser.add_argument("--peer-python", type=Path, help="Python of an environment with antspyx")
    options = parser.parse_args()
    places = (options.data_dir.absolute(), options.output_dir.absolute())
    bench = Bench(*places, [name for name in options.heads.split(",") if name])
    stages = [stage for stage in options.stages.split(",") if stage]
    unknown = set(stages) - {*STAGES, "peer"} or set(bench.heads) - set(HEADS)
    if unknown or ("peer" in stages and not options.peer_python):
        parser.error(f"unknown: {', '.join(unknown)}" if unknown else "peer needs --peer-python")
    for stage in stages:
        for run in runs_of(stage, bench.heads):
            make_run(bench, run)
    if "participant" in stages:
        participant(bench)
    if "peer" in stages:
        peer(bench, options.peer_python)
    print_figures(bench)
    return 0


if __name__ == "__main__":
    sys.exit(main())
