"""Small studies in which the commands of the documentation run."""

import json
import os
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import yaml
from markdown_blocks import REPOSITORY

from bids_utils.derivatives import write_table
from workflows.compute.made_up_study import STUDIES

SESSIONS = ("pre", "post")
COMMANDS = {"braindelta": "workflows.cli", "braindelta-demo": "workflows.demo"}


def make_world(name, folder):
    """Fill a folder with what a marked block needs: BIDS_DIR, study.yaml, table.tsv."""
    if name in STUDIES:
        _tables(name, folder)
    elif name == "images":
        _images(folder)
    elif name != "nothing":
        raise ValueError(f"{name}: no such world; known: nothing, images, {', '.join(STUDIES)}")


def environment(folder):
    """Variables with which the commands are those of this checkout."""
    bin_dir = folder / "bin"
    bin_dir.mkdir()
    for command, module in COMMANDS.items():
        script = bin_dir / command
        script.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m {module} "$@"\n')
        script.chmod(0o755)
    python = bin_dir / "python"
    python.symlink_to(sys.executable)
    path = f"{bin_dir}{os.pathsep}{os.environ['PATH']}"
    return os.environ | {"PATH": path, "PYTHONPATH": str(REPOSITORY), "OMP_NUM_THREADS": "1"}


def _tables(name, folder):
    study = STUDIES[name](np.random.default_rng(1))
    write_table(study.participants, folder / "BIDS_DIR" / "participants.tsv")
    _describe(folder / "BIDS_DIR")
    write_table(study.measures, folder / "table.tsv")
    settings = REPOSITORY / "configs" / "studies" / f"{name}.yaml"
    (folder / "study.yaml").write_bytes(settings.read_bytes())


def _images(folder):
    bids = folder / "BIDS_DIR"
    for label in ("01", "02"):
        for session in SESSIONS:
            stem = f"sub-{label}_ses-{session}"
            place = bids / f"sub-{label}" / f"ses-{session}"
            _image(place / "anat" / f"{stem}_T1w.nii.gz", (24, 24, 24))
            _image(place / "func" / f"{stem}_task-rest_bold.nii.gz", (8, 8, 8, 60))
    sidecar = {"RepetitionTime": 2.0, "TaskName": "rest"}
    (bids / "task-rest_bold.json").write_text(json.dumps(sidecar))
    rows = [f"sub-01\tCBT\t31\t{25}\t{12}", f"sub-02\twaitlist\t29\t{27}\t{26}"]
    header = "participant_id\tgroup\tage\tBDI_ses-pre\tBDI_ses-post"
    (bids / "participants.tsv").write_text("\n".join([header, *rows]) + "\n")
    _describe(bids)
    group = {"arm_column": "group", "reference_arm": "waitlist"}
    group["scores"] = [{"name": "BDI", "scale": "BDI-II"}]
    settings = {"sessions": {"order": list(SESSIONS)}, "group": group}
    (folder / "study.yaml").write_text(yaml.safe_dump(settings))


def _image(path, shape):
    path.parent.mkdir(parents=True, exist_ok=True)
    values = np.random.default_rng(1).integers(1, 900, shape, dtype=np.int16)
    image = nib.Nifti1Image(values, np.diag([3.0, 3, 3, 1]))
    image.header.set_zooms((3.0, 3, 3, 2.0)[: len(shape)])
    image.header.set_xyzt_units("mm", "sec")
    image.to_filename(path)


def _describe(bids: Path):
    description = {"Name": "Made up", "BIDSVersion": "1.10.0", "DatasetType": "raw"}
    (bids / "dataset_description.json").write_text(json.dumps(description))
    (bids / "README").write_text("A made-up study for the documentation, with nobody in it.\n")
