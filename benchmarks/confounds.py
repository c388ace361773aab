"""Confounds of real runs against Nipype's: displacement, DVARS and CompCor.

usage: OMP_NUM_THREADS=1 python benchmarks/confounds.py DATA_DIR

DATA_DIR holds `kirby21_mricloud` (head motion of 27 runs) and `studyforrest_sub02` (one BOLD run).
Nipype's standardised DVARS needs nitime (`pip install nitime`); without it, the coefficient of
first order is that of statsmodels. Nipype adds up voxels in single precision, which alone costs
5e-5; so it is also run in double precision. The last line is JSON.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import sys
import tempfile
from pathlib import Path
from unittest import mock

import nibabel as nb
import numpy as np
import pandas as pd
from nipype.algorithms import confounds as peer
from scipy import ndimage
from statsmodels.tsa.stattools import acf

from workflows.compute.bold_mask import epi_brain_mask
from workflows.compute.compcor import course_products, most_variable, noise_components
from workflows.compute.confounds import Timing, dvars, slow_cosines
from workflows.compute.motion import framewise_displacement

BOLD_FILE = "studyforrest_sub02/func/sub-02_task-oneback_run-1_bold.nii.gz"
TR_S = 2.0
LIMIT = 1e-6
N_DUMMY = 2


def displacement_difference(data_dir: Path, folder: Path) -> float:
    """Largest difference of framewise displacement, mm, in all runs."""
    differences = []
    for path in data_dir.glob("kirby21_mricloud/visit_*/*/rp_*.txt.gz"):
        parameters = np.loadtxt(path)
        np.savetxt(folder / "motion.txt", parameters, fmt="%.17g")
        node = peer.FramewiseDisplacement(
            in_file=str(folder / "motion.txt"), parameter_source="SPM", normalize=False
        )
        other = np.loadtxt(node.run(cwd=folder).outputs.out_file, skiprows=1)
        differences.append(np.abs(framewise_displacement(parameters)[1:] - other).max())
    print(f"displacement: {len(differences)} runs", flush=True)
    return max(differences)


def first_order(series, order: int):
    """Coefficient of an autoregressive series by the equations of Yule and Walker."""
    return acf(series, nlags=order, fft=False)[1:]


def dvars_differences(voxels, folder: Path) -> dict[str, float]:
    """Largest difference of standardised, relative one of plain DVARS, for both precisions."""
    missing = importlib.util.find_spec("nitime") is None
    estimate = first_order if missing else peer._AR_est_YW
    print("autoregression:", "statsmodels" if missing else "nitime", flush=True)
    ours, rows = dvars(voxels), {}
    for precision in (np.float64, np.float32):
        with (
            mock.patch.object(peer, "_AR_est_YW", estimate),
            mock.patch.object(np, "float32", precision),
        ):
            others = peer.compute_dvars(
                folder / "bold.nii", folder / "mask.nii", remove_zerovariance=True
            )
        name = np.dtype(precision).name
        rows[f"std_dvars, {name}"] = np.abs(ours[0][1:] - others[0]).max()
        rows[f"dvars, relative, {name}"] = np.abs(ours[1][1:] / others[1] - 1).max()
    return rows


def component_differences(voxels, inner, folder: Path) -> dict[str, float]:
    """Largest difference of the leading five components, whatever their sign; and of variances."""
    cosines = slow_cosines(voxels.shape[1], Timing(TR_S, n_dummy=N_DUMMY))
    sources = {"ACompCor": voxels[inner], "TCompCor": voxels[most_variable(voxels, N_DUMMY)]}
    files = {"ACompCor": "inner.nii", "TCompCor": "mask.nii"}
    rows = {}
    for name, part in sources.items():
        node = getattr(peer, name)(
            realigned_file=str(folder / "bold.nii"),
            mask_files=[str(folder / files[name])],
            pre_filter="cosine",
            repetition_time=TR_S,
            ignore_initial_volumes=N_DUMMY,
            variance_threshold=0.5,
            save_metadata=True,
        )
        outputs = node.run(cwd=folder).outputs
        other = np.loadtxt(outputs.components_file, skiprows=1, ndmin=2)
        facts = pd.read_csv(outputs.metadata_file, sep="\t").query("retained")
        found = noise_components(course_products(part, cosines, N_DUMMY), N_DUMMY)
        print(f"{name}: {found.series.shape[1]} components, Nipype {other.shape[1]}", flush=True)
        agreed = np.abs((found.series * other).sum(axis=0))
        rows[f"{name} 1 - |r|, first five"] = (1 - agreed[:5]).max()
        shares = facts["variance_explained"].to_numpy()
        rows[f"{name} share of variance"] = np.abs(found.shares / shares - 1).max()
    return rows


def main() -> int:
    """Compare everything and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data_dir", type=Path)
    options = parser.parse_args()
    data_dir = options.data_dir.resolve()
    image = nb.load(data_dir / BOLD_FILE)
    series = np.asarray(image.dataobj, dtype=np.float32)
    mask = epi_brain_mask(series.mean(axis=3))
    inner = ndimage.binary_erosion(mask, iterations=6)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        os.chdir(folder)
        nb.Nifti1Image(series, image.affine).to_filename(folder / "bold.nii")
        for file, part in (("mask.nii", mask), ("inner.nii", inner)):
            nb.Nifti1Image(part.astype(np.uint8), image.affine).to_filename(folder / file)
        found = {"framewise_displacement, mm": displacement_difference(data_dir, folder)}
        found |= dvars_differences(series[mask], folder)
        components = component_differences(series[mask], inner[mask], folder)
    rows = {name: {"value": float(value)} for name, value in (found | components).items()}
    for name in found:
        if not name.endswith("float32"):
            rows[name] |= {"target": f"<= {LIMIT}", "ok": rows[name]["value"] <= LIMIT}
    print(json.dumps({"figures": rows}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
