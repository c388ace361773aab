"""Error of estimated head motion where the motion is known.

usage: python benchmarks/head_motion.py DATA_DIR

A real head is moved: the mean of the BOLD run of `studyforrest_sub02`, and the T1w image of the
same person at 3 mm. 150 volumes of 3 mm follow a random walk with one jump, with noise
(tSNR 70). The error is how far estimated and true position of a brain voxel lie apart.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path

import nibabel as nib
import numpy as np
from scipy import ndimage

from workflows.compute.bold_mask import epi_brain_mask
from workflows.compute.motion import grid_centre, head_poses, pose_from_parameters

N_VOLUMES = 150
REFERENCE = 70
VOXEL_MM = 3.0
TSNR = 70
STEP = np.array([0.05, 0.05, 0.08, 1e-3, 6e-4, 6e-4])
JUMP = {"volume": 100, "parameters": np.array([0.8, -1.0, 1.5, 0.02, -0.01, 0.015])}
TARGETS = {"mean_error_mm": 0.05, "max_error_mm": 0.1}
FILES = {
    "bold": "func/sub-02_task-oneback_run-1_bold.nii.gz",
    "t1w": "anat/sub-02_desc-1mm_T1w.nii.gz",
}


def real_head(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Image of a head and its affine; a series gives its mean, a fine image is blurred."""
    image = nib.load(path)
    values = np.asarray(image.dataobj, dtype=np.float32)
    if values.ndim == 4:
        return values.mean(axis=3), image.affine
    sizes = np.array(image.header.get_zooms()[:3])
    sigma = np.sqrt(np.maximum(0, VOXEL_MM**2 - sizes**2)) / 2.355 / sizes
    return ndimage.gaussian_filter(values, sigma), image.affine


def coarse_grid(shape: tuple[int, ...], affine: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Affine and shape of a grid of 3 mm over the same field of view."""
    sizes = np.sqrt((affine[:3, :3] ** 2).sum(axis=0))
    grid = affine.copy()
    grid[:3, :3] *= VOXEL_MM / sizes
    return grid, np.floor(np.array(shape) * sizes / VOXEL_MM).astype(int)


def random_walk(rng: np.random.Generator) -> np.ndarray:
    """Motion parameters (n_volumes, 6), mm and rad: a random walk and a jump that stays."""
    motion = np.cumsum(rng.normal(0, STEP, (N_VOLUMES, 6)), axis=0)
    motion[JUMP["volume"] :] += JUMP["parameters"]
    return motion


def moved_series(head, affine, poses, grid, shape, rng) -> np.ndarray:
    """Series (nx, ny, nz, n_volumes) of the head at known poses, with noise."""
    coefficients = ndimage.spline_filter(head, order=5, output=np.float32)
    series = np.empty((*shape, len(poses)), np.float32)
    for volume, pose in enumerate(poses):
        matrix = np.linalg.inv(affine) @ np.linalg.inv(pose) @ grid
        series[..., volume] = ndimage.affine_transform(
            coefficients,
            matrix[:3, :3],
            matrix[:3, 3],
            output_shape=tuple(shape),
            order=5,
            prefilter=False,
            mode="nearest",
        )
    brain = series[..., REFERENCE] > 0.25 * np.percentile(series[..., REFERENCE], 98)
    noise = np.median(series[brain, REFERENCE]) / TSNR
    series += noise * rng.standard_normal(series.shape, dtype=np.float32)
    return np.maximum(series, 0)


def displacement(found, true, brain, affine) -> np.ndarray:
    """How far (n_volumes, n_voxels) voxels of the brain are placed from where they are, mm."""
    places = np.argwhere(brain)[::20] @ affine[:3, :3].T + affine[:3, 3]
    apart = np.asarray(found) - true
    moved = np.einsum("vij,pj->vpi", apart[:, :3, :3], places) + apart[:, None, :3, 3]
    return np.linalg.norm(moved, axis=-1)


def figures(path: Path, seed: int) -> dict[str, dict[str, object]]:
    """Errors and time of one base image."""
    rng = np.random.default_rng(seed)
    head, affine = real_head(path)
    grid, shape = coarse_grid(head.shape, affine)
    centre = grid_centre(shape, grid)
    poses = np.array([pose_from_parameters(row, centre) for row in random_walk(rng)])
    series = moved_series(head, affine, poses, grid, shape, rng)
    true = poses @ np.linalg.inv(poses[REFERENCE])
    start = time.process_time()
    found = head_poses(series, grid, REFERENCE)
    cpu_s = time.process_time() - start
    errors = displacement(found, true, epi_brain_mask(series.mean(axis=3)), grid)
    values = {"mean_error_mm": errors.mean(), "max_error_mm": errors.max()}
    rows = {
        name: {"value": round(float(value), 4), "target": f"<= {TARGETS[name]}"}
        | {"ok": bool(value <= TARGETS[name])}
        for name, value in values.items()
    }
    return rows | {"cpu_s": {"value": round(cpu_s, 1)}}


def main() -> int:
    """Measure both heads and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data_dir", type=Path)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    folder = options.data_dir / "studyforrest_sub02"
    rows = {}
    for base, file in FILES.items():
        for name, row in figures(folder / file, options.seed).items():
            rows[f"{base}_{name}"] = row
    print(json.dumps({"figures": rows}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
