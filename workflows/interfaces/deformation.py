"""How each session is deformed against the middle of all sessions of its participant."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
from nipype.interfaces.base import (
    BaseInterfaceInputSpec,
    File,
    InputMultiPath,
    SimpleInterface,
    TraitedSpec,
    traits,
)

from bids_utils.derivatives import write_table
from bids_utils.errors import ToolError
from workflows.compute.deformation import deformations, frame_of, scan_of
from workflows.compute.deformation_error import (
    deformation_noise,
    expansion_functional,
    functional_error,
    scatter_error,
)
from workflows.compute.geometry import jacobian_determinant
from workflows.compute.intensity import blurred, shared_blur, voxels_per_sample
from workflows.interfaces.atlas import read_labels, session_share
from workflows.interfaces.volumes import (
    load_labels,
    load_mask,
    load_volume,
    save_volume,
    save_volumes,
    voxel_size_mm,
)

FOLDED_SHARE = 1e-4
BLOCK_MM = 4.0


class _SessionDeformationsInputSpec(BaseInterfaceInputSpec):
    in_files = InputMultiPath(
        File(exists=True), mandatory=True, desc="session heads, own voxels, without bias field"
    )
    scales = traits.List(traits.Float(), mandatory=True, desc="factors to one level of intensity")
    xfm_files = InputMultiPath(File(exists=True), mandatory=True, desc="template to session, 4x4")
    mask_file = File(exists=True, mandatory=True, desc="brain mask of the template")


class _SessionDeformationsOutputSpec(TraitedSpec):
    displacement_files = traits.List(File(), desc="(i, j, k, 3), mm, RAS+: template to session")
    jacobian_files = traits.List(File(), desc="volume in the session / volume in the template")
    warped_files = traits.List(File(), desc="sessions in the shape of the template, brain only")
    brain_file = File(desc="mean of the warped sessions, brain only")
    noise = traits.Float(desc="standard deviation of one session's intensity; 0: one session")
    left_noise = traits.Float(desc="that of a session about the mean of all, which it is part of")
    voxels_per_sample = traits.Float(desc="voxels of the template with one independent value")


class SessionDeformations(SimpleInterface):
    """Displacements, Jacobians, and sessions in the shape of the template; all sessions alike."""

    input_spec = _SessionDeformationsInputSpec
    output_spec = _SessionDeformationsOutputSpec

    def _run_interface(self, runtime):
        fields, folder = self.inputs, Path(runtime.cwd)
        mask, affine = load_mask(fields.mask_file), nib.load(fields.mask_file).affine
        scans, n_voxels = session_scans(fields, voxel_size_mm(affine).mean())
        found = deformations(scans, frame_of(mask, affine, n_voxels))
        volumes = session_volumes(found, mask, affine)
        check_folds(volumes["jacobian"], mask)
        for name, images in volumes.items():
            self._results[f"{name}_files"] = save_list(images, affine, folder / name)
        self._results |= mean_brain(volumes["warped"], affine, folder)
        self._results |= noise_levels(found) | {"voxels_per_sample": n_voxels}
        return runtime


def mean_brain(brains, affine, folder):
    """File of the mean of the warped sessions, by the name of its field."""
    return save_volumes({"brain_file": np.mean(brains, axis=0)}, affine, folder)


def noise_levels(found):
    """Standard deviation of one session, and about the mean of all sessions; 0 for one session."""
    noise, n_sessions = float(np.nan_to_num(found.noise)), len(found.warped)
    return {"noise": noise, "left_noise": noise * np.sqrt(1 - 1 / n_sessions)}


def session_volumes(found, mask, affine):
    """Displacements (i, j, k, 3), Jacobians, and warped brains (i, j, k), one per session."""
    moved = [np.moveaxis(part, 0, -1) for part in found.displacements]
    return {
        "displacement": moved,
        "jacobian": [jacobian_determinant(part, affine) for part in moved],
        "warped": [np.where(mask, image, 0) for image in found.warped],
    }


def session_scans(fields, template_mm):
    """Scans of the session images, all equally sharp, and `voxels_per_sample` of the template."""
    volumes, affines = zip(*map(load_volume, fields.in_files), strict=True)
    sizes = np.array([voxel_size_mm(affine) for affine in affines])
    blurs = shared_blur(sizes)
    smooth = [
        blurred(volume * scale, blur)
        for volume, scale, blur in zip(volumes, fields.scales, blurs, strict=True)
    ]
    places = map(np.loadtxt, fields.xfm_files)
    scans = [scan_of(*parts) for parts in zip(smooth, affines, places, strict=True)]
    return scans, voxels_per_sample(sizes, blurs, template_mm)


def check_folds(jacobians, mask):
    """Raise ToolError where a deformation folds the brain: the sessions do not match."""
    for number, jacobian in enumerate(jacobians, start=1):
        share = float(np.mean(jacobian[mask] <= 0))
        if share > FOLDED_SHARE:
            raise ToolError(
                f"The deformation of session {number} of {len(jacobians)} folds {share:.2%} of the "
                "brain: the sessions do not show the same brain. Look at their T1-weighted images "
                "and leave out the wrong one."
            )


def save_list(volumes, affine, stem):
    """Names of the written files, `stem` with a number each."""
    return [
        save_volume(volume, affine, stem.with_name(f"{stem.name}{number}.nii.gz"))
        for number, volume in enumerate(volumes)
    ]


class _RegionErrorsInputSpec(BaseInterfaceInputSpec):
    warped_files = InputMultiPath(
        File(exists=True), mandatory=True, desc="sessions in the shape of the template"
    )
    gm_files = InputMultiPath(File(exists=True), mandatory=True, desc="their grey matter, 0..1")
    tissue_files = InputMultiPath(File(exists=True), mandatory=True, desc="their tissue, 0..1")
    csf_file = File(exists=True, mandatory=True, desc="CSF of the template, 0..1")
    mask_file = File(exists=True, mandatory=True, desc="brain mask of the template")
    atlas_file = File(exists=True, mandatory=True, desc="regions on the template")
    labels_file = File(exists=True, mandatory=True, desc="table: index, name, ...")
    noise = traits.Float(mandatory=True, desc="standard deviation of one session's intensity")
    voxels_per_sample = traits.Float(mandatory=True, desc="of the template: one independent value")


class _RegionErrorsOutputSpec(TraitedSpec):
    out_file = File(desc="table: index, relative standard errors of deformation and volume")


class RegionErrors(SimpleInterface):
    """Relative standard error of the measures of each region in one session of several."""

    input_spec = _RegionErrorsInputSpec
    output_spec = _RegionErrorsOutputSpec

    def _run_interface(self, runtime):
        fields, path = self.inputs, Path(runtime.cwd) / "errors.tsv"
        table, (labels, _) = read_labels(fields.labels_file), load_labels(fields.atlas_file)
        known = deformation_error(fields, labels, table["index"])
        scatter = segmentation_error(fields, labels, table)
        errors = table[["index"]].assign(deformation=known, volume=np.hypot(known, scatter))
        write_table(errors, path)
        self._results["out_file"] = str(path)
        return runtime


def deformation_error(fields, labels, indices):
    """Relative standard error of the deformation of each region; NaN for a single session."""
    if len(fields.warped_files) < 2:
        return np.full(len(indices), np.nan)
    mask, (fluid, affine) = load_mask(fields.mask_file), load_volume(fields.csf_file)
    warped = [load_volume(file)[0] for file in fields.warped_files]
    frame = frame_of(mask, affine, fields.voxels_per_sample)
    noise = deformation_noise(warped, frame, fields.noise)
    tissue = np.where(mask, 1 - fluid, 0)
    weights = (np.where(labels == index, tissue, 0) for index in indices)
    return np.array(
        [
            functional_error(expansion_functional(weight, noise), noise) if weight.any() else np.nan
            for weight in weights
        ]
    )


def segmentation_error(fields, labels, table):
    """Relative standard error by the scatter of what counts; NaN for a single session."""
    if len(fields.gm_files) < 2:
        return np.full(len(table), np.nan)
    files = zip(fields.gm_files, fields.tissue_files, strict=True)
    shares = [session_share(*pair, labels, table) for pair in files]
    voxel_mm = voxel_size_mm(nib.load(fields.mask_file).affine).mean()
    return scatter_error(shares, labels, table["index"], max(1, round(BLOCK_MM / voxel_mm)))
