"""Pairs of sessions of real heads with a known change, for `structure.py`.

A head is a real T1w without its noise, and what one run of this project says of it: regions, grey
matter, lines across the cortex. They are the truth of all pairs made of it: both sessions are the
head seen through one composed map (pose, then half of the change), interpolated once with cubic
splines, with a bias field, a gain and Rician noise of their own. Words are those of
`workflows.compute.planted`.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
import SimpleITK
from scipy import ndimage

from workflows.compute import planted
from workflows.compute.planted import Grid
from workflows.compute.planted_anatomy import Change, bias_field, half_changes, half_poses, rician
from workflows.compute.thickness import Lines, line_lengths, region_thickness

PLANTED = (
    ("hippocampus",),
    ("amygdala",),
    ("caudalanteriorcingulate", "rostralanteriorcingulate"),
    ("insula",),
    ("thalamusproper",),
)
SIZES_PCT = (0, 1, 3, 5, 10)
THINNED = ("precentral", "superiorparietal", "lateraloccipital")
THICKENED = ("superiortemporal", "middletemporal")
THINNING_MM, THINNEST_MM = 0.2, 1.0
MOTION_SD, POSITION_SD = (2.0,) * 6, (2.0, 2.0, 2.0, 1.5, 1.5, 1.5)
"""Shifts (mm), then rotations (degrees)."""
BIAS_SD, SNR, WHITE_LEVEL = 0.06, 22.0, 1000.0
MIN_LINES = 50


@dataclass(frozen=True)
class RealHead:
    """A head: intensities on their own grid; all else on `grid`, the box of the brain.

    `thickness` (nx, ny, nz) is in mm, 0 outside of the cortex; `white` the intensity of white
    matter.
    """

    image: np.ndarray
    image_grid: Grid
    white: float
    grid: Grid
    labels: np.ndarray
    grey: np.ndarray
    thickness: np.ndarray
    lines: Lines


def denoised(path: Path) -> nib.Nifti1Image:
    """Head without noise: noise that moves with the anatomy would help a registration."""
    image = SimpleITK.Cast(SimpleITK.ReadImage(str(path)), SimpleITK.sitkFloat32)
    diffusion = SimpleITK.GradientAnisotropicDiffusionImageFilter()
    diffusion.SetTimeStep(0.06)
    diffusion.SetNumberOfIterations(6)
    diffusion.SetConductanceParameter(1.0)
    volume = SimpleITK.GetArrayFromImage(diffusion.Execute(image)).T
    return nib.as_closest_canonical(nib.Nifti1Image(volume, nib.load(path).affine))


def load_head(folder: Path) -> RealHead:
    """Head of a folder with image, labels, grey, thickness (.nii.gz) and lines.npz."""
    names = ("image", "labels", "grey", "thickness")
    images = {name: nib.load(folder / f"{name}.nii.gz") for name in names}
    volumes = {name: image.get_fdata(dtype=np.float32) for name, image in images.items()}
    with np.load(folder / "lines.npz") as known:
        lines = Lines(*(known[name] for name in ("inner", "outer", "room_mm", "voxels")))
    image, labels = volumes["image"], volumes["labels"].astype(int)
    return RealHead(
        image=image,
        image_grid=Grid(image.shape, images["image"].affine),
        white=float(np.percentile(image[image > 0.1 * image.max()], 80)),
        grid=Grid(labels.shape, images["labels"].affine),
        labels=labels,
        grey=volumes["grey"],
        thickness=volumes["thickness"],
        lines=lines,
    )


def regions_of(table: pd.DataFrame, names: tuple[str, ...]) -> list[list[int]]:
    """Numbers of the regions with these names, on the left and on the right side."""
    wanted = [table["name"].str.endswith(tuple(f"_{name}" for name in names))]
    return [table.loc[wanted[0] & (table["hemisphere"] == side), "index"].tolist() for side in "LR"]


def volume_plan(table: pd.DataFrame, number: int, sides: str = "LR") -> dict[int, float]:
    """Percent of change of each planted region: a Latin square of regions, sizes and signs.

    Parameters
    ----------
    table : DataFrame
        Regions: index, name, hemisphere.
    number : int
        Assignment; five of them have every size in every region.
    sides : str
        Hemispheres that are changed: L, R, both or none.
    """
    plan = {}
    for row, names in enumerate(PLANTED):
        for side, indices in enumerate(regions_of(table, names)):
            size = SIZES_PCT[(row + number + 2 * side) % len(SIZES_PCT)]
            sign = (-1) ** (row + side + number)
            plan |= dict.fromkeys(indices, float(sign * size)) if "LR"[side] in sides else {}
    return plan


def volume_log_jacobian(head: RealHead, plan: dict[int, float]) -> np.ndarray:
    """Log-Jacobian (nx, ny, nz) of the whole change of a `volume_plan`."""
    changed = {index: np.log1p(pct / 100) for index, pct in plan.items() if pct}
    if not changed:
        return np.zeros(head.grid.shape, np.float32)
    fractions = planted.region_fractions(head.labels, list(changed), 1)
    return planted.planted_log_jacobian(fractions, dict(enumerate(changed.values())), head.grid)


def thickness_log_jacobian(head: RealHead, table: pd.DataFrame, scale: float) -> np.ndarray:
    """Log-Jacobian (nx, ny, nz) of a cortical ribbon that gets thinner here and thicker there.

    With a scale of 1 its thickness would change by .2 mm if it changed in no other direction.
    """
    log_jacobian = np.zeros(head.grid.shape, np.float32)
    thickness = np.maximum(head.thickness, THINNEST_MM)
    for names, change_mm in ((THINNED, -THINNING_MM), (THICKENED, THINNING_MM)):
        inside = np.isin(head.labels, sum(regions_of(table, names), [])) & (head.thickness > 0)
        log_jacobian += np.where(inside, np.log1p(change_mm / thickness) * head.grey, 0)
    return scale * ndimage.gaussian_filter(log_jacobian, 0.5)


def thickness_changes(head: RealHead, table: pd.DataFrame) -> tuple[Change, Change]:
    """Changes of `thickness_log_jacobian` with a scale at which the mean region changes by .2 mm.

    A folded ribbon also shrinks along itself, so that less than half of the change of its volume
    is one of thickness.
    """
    indices = [sum(regions_of(table, names), []) for names in (THINNED, THICKENED)]
    scale = 1.0
    for _ in range(2):
        changes = changes_of(thickness_log_jacobian(head, table, scale), head.grid)
        truth = truth_of(head, changes, table).set_index("index")
        grown = truth["thickness1"] - truth["thickness0"]
        mean = np.mean([*-grown.loc[indices[0]], *grown.loc[indices[1]]])
        scale *= THINNING_MM / mean
    return changes_of(thickness_log_jacobian(head, table, scale), head.grid)


def changes_of(log_jacobian: np.ndarray, grid: Grid) -> tuple[Change, Change]:
    """Half of the change for each session, in opposite directions."""
    if not log_jacobian.any():
        still = np.zeros((3, *grid.shape), np.float32)
        return Change(grid, still, still), Change(grid, still, still)
    return half_changes(planted.expansion_velocity(log_jacobian, grid), grid)


def truth_of(head: RealHead, changes: tuple[Change, Change], table: pd.DataFrame) -> pd.DataFrame:
    """Volume (ml; integral of the Jacobian) and thickness (mm) of each region in each session.

    Ends of the lines of the head are carried by the map that makes the images. Columns volume0,
    volume1, thickness0, thickness1; NaN where a region has too few lines.
    """
    fractions = planted.region_fractions(head.labels, table["index"].tolist(), 1)
    points, truth = planted.grid_points(head.grid), table.copy()
    for i, change in enumerate(changes):
        volumes = planted.region_volumes(fractions, points + change.outward, head.grid)
        lengths = line_lengths(head.lines, head.grid.affine, np.moveaxis(change.outward, 0, -1))
        regions = (head.labels, table["index"], MIN_LINES)
        thickness, _ = region_thickness(lengths, head.lines.voxels, *regions)
        truth[f"volume{i}"], truth[f"thickness{i}"] = volumes, thickness
    return truth


def distances_mm(head: RealHead, indices: list[int], table: pd.DataFrame) -> np.ndarray:
    """Least distance (n_regions,), mm, to any of the regions `indices`; NaN if there are none."""
    if not indices:
        return np.full(len(table), np.nan)
    away = ndimage.distance_transform_edt(
        ~np.isin(head.labels, indices), sampling=head.grid.voxel_size_mm
    )
    return ndimage.minimum(away, head.labels, table["index"])


def random_poses(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Pose (4, 4) of the head in each session: head to scanner, mm."""
    position = planted.rigid_matrix(rng.normal(size=6) * POSITION_SD)
    motion = planted.rigid_matrix(rng.normal(size=6) * MOTION_SD)
    return half_poses(position, motion)


def session_image(
    head: RealHead, change: Change, pose: np.ndarray, scale: float, rng: np.random.Generator
) -> nib.Nifti1Image:
    """A session; its voxels are `scale` times as long as those of the head."""
    affine = head.image_grid.affine @ np.diag([scale] * 3 + [1.0])
    shape = tuple(round(n / scale) for n in head.image_grid.shape)
    points = planted.grid_points(Grid(shape, affine))
    points = planted.transformed(points, np.linalg.inv(pose))
    points = planted.displaced(points, change.inward, change.grid)
    index = planted.transformed(points, np.linalg.inv(head.image_grid.affine))
    volume = ndimage.map_coordinates(head.image, index, output=np.float32, order=3)
    volume = np.maximum(volume, 0) * bias_field(shape, BIAS_SD, rng)
    volume = rician(volume, head.white / SNR, rng) * rng.uniform(0.85, 1.15)
    whole = np.clip(np.round(volume * WHITE_LEVEL / head.white), 0, 32000)
    return nib.Nifti1Image(whole.astype(np.int16), affine)
