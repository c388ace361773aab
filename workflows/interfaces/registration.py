"""Registration with greedy (Yushkevich et al. 2016): between sessions and to MNI."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import nibabel as nib
import numpy as np
from nilearn import datasets
from nipype.interfaces.base import (
    BaseInterfaceInputSpec,
    File,
    InputMultiObject,
    SimpleInterface,
    TraitedSpec,
    traits,
)
from scipy import ndimage

from bids_utils.errors import ToolError
from workflows.compute.geometry import (
    centre_shift,
    grid_at,
    resampled,
)
from workflows.compute.intensity import antialiased
from workflows.compute.start_pose import start_pose
from workflows.compute.tissue import tissue_agreement
from workflows.interfaces.engine import run_engine
from workflows.interfaces.volumes import load_mask, load_volume, save_volume, voxel_size_mm

GREEDY = "workflows.interfaces.greedy_engine"
MNI_SPACE = "MNI152NLin2009aSym"
VENTRICLE_SEEDS_MM = ((-21, -38, 17), (21, -38, 17))
VENTRICLE_DEPTH_MM = 20.0
"""Fluid this deep in the brain is in a ventricle or between the hemispheres."""


class _MniReferenceInputSpec(BaseInterfaceInputSpec):
    resolution_mm = traits.Float(mandatory=True, desc="voxel size wanted, mm")
    like_file = File(exists=True, desc="image; MNI is not made finer than this")


class _MniReferenceOutputSpec(TraitedSpec):
    template_file = File(desc="T1-weighted brain in MNI152NLin2009aSym, 0..100")
    gm_file = File(desc="its grey matter, 0..1")
    wm_file = File(desc="its white matter, 0..1")
    mask_file = File(desc="its brain mask")
    distance_file = File(desc="distance from the edge of its mask, mm, negative inside")
    ventricles_file = File(desc="its lateral ventricles, 0..1")


class MniReference(SimpleInterface):
    """MNI brain of nilearn at the resolution of the registration."""

    input_spec = _MniReferenceInputSpec
    output_spec = _MniReferenceOutputSpec

    def _run_interface(self, runtime):
        resolution = self.inputs.resolution_mm
        if self.inputs.like_file:
            own = voxel_size_mm(nib.load(self.inputs.like_file).affine).min()
            resolution = max(resolution, float(own))
        for name, (volume, affine) in mni_volumes(resolution).items():
            path = Path(runtime.cwd) / f"mni_{name}.nii.gz"
            self._results[name] = save_volume(volume, affine, path)
        return runtime


@lru_cache(maxsize=2)
def mni_volumes(resolution_mm):
    """Volume and affine of the MNI brain, its tissues, mask and distance map; not to be changed.

    The same for everybody: a process keeps the two resolutions that a participant needs.
    """
    whole = {
        "template_file": datasets.load_mni152_template(resolution=1),
        "gm_file": datasets.load_mni152_gm_template(resolution=1),
        "wm_file": datasets.load_mni152_wm_template(resolution=1),
        "mask_file": datasets.load_mni152_brain_mask(resolution=1),
    }
    affine = whole["mask_file"].affine
    fine = {name: image.get_fdata(dtype=np.float32) for name, image in whole.items()}
    fine["ventricles_file"] = lateral_ventricles(fine, affine)
    volumes = {name: coarser((volume, affine), resolution_mm) for name, volume in fine.items()}
    template, affine = volumes["template_file"]
    volumes["template_file"] = (template * (100 / template.max()), affine)
    mask = volumes["mask_file"][0] >= 0.5
    volumes["mask_file"] = (mask, affine)
    outward = ndimage.distance_transform_edt(~mask) - ndimage.distance_transform_edt(mask)
    volumes["distance_file"] = (outward * resolution_mm, affine)
    return volumes


def lateral_ventricles(brain, affine):
    """Lateral ventricles (i, j, k), 0 or 1, of the MNI brain of 1 mm: the deep fluid."""
    fluid = brain["mask_file"] - brain["gm_file"] - brain["wm_file"] > 0.5
    deep = ndimage.distance_transform_edt(brain["mask_file"] > 0.5) > VENTRICLE_DEPTH_MM
    parts, _ = ndimage.label(fluid & deep)
    seeds = np.c_[np.array(VENTRICLE_SEEDS_MM, float), [1, 1]] @ np.linalg.inv(affine).T
    numbers = [parts[tuple(np.rint(seed[:3]).astype(int))] for seed in seeds]
    return np.isin(parts, [number for number in numbers if number]).astype(np.float32)


def coarser(image, resolution_mm):
    """Smoothed volume and affine on the grid of the same field of view with larger voxels."""
    volume, affine = image
    grid = grid_at(volume.shape, affine, resolution_mm)
    smooth = antialiased(volume, voxel_size_mm(affine), resolution_mm)
    return resampled((smooth, affine), grid, np.eye(4), 1), grid[1]


class _CoarserInputSpec(BaseInterfaceInputSpec):
    in_file = File(exists=True, mandatory=True, desc="image, RAS")
    mask_file = File(exists=True, desc="zero outside this mask before smoothing")
    like_file = File(exists=True, mandatory=True, desc="image with the voxel size wanted")


class _CoarserOutputSpec(TraitedSpec):
    out_file = File(desc="smoothed image with the voxel size wanted")


class Coarser(SimpleInterface):
    """Image with larger voxels and without what they cannot hold."""

    input_spec = _CoarserInputSpec
    output_spec = _CoarserOutputSpec

    def _run_interface(self, runtime):
        volume, affine = load_volume(self.inputs.in_file)
        if self.inputs.mask_file:
            volume = np.where(load_mask(self.inputs.mask_file), volume, 0)
        resolution = float(voxel_size_mm(nib.load(self.inputs.like_file).affine).max())
        volume, affine = coarser((volume, affine), resolution)
        path = Path(runtime.cwd) / "coarser.nii.gz"
        self._results["out_file"] = save_volume(volume, affine, path)
        return runtime


class _GreedyAffineInputSpec(BaseInterfaceInputSpec):
    fixed_file = File(exists=True, mandatory=True, desc="image that stays")
    moving_file = File(exists=True, mandatory=True, desc="image that is aligned to it")
    fixed_mask_file = File(exists=True, desc="where the images are compared")
    moving_mask_file = File(exists=True, desc="for the first alignment of centres")
    dof = traits.Enum(6, 12, mandatory=True, desc="6 rigid, 12 affine")
    metric = traits.List(traits.Str(), mandatory=True, desc="metric of greedy, e.g. NMI")
    iterations = traits.Str(mandatory=True, desc="per level from coarse to fine, e.g. 100x50")
    any_pose = traits.Bool(False, usedefault=True, desc="brains that may lie another way round")


class _GreedyAffineOutputSpec(TraitedSpec):
    out_xfm = File(desc="fixed points to moving points, 4x4, mm")


class GreedyAffine(SimpleInterface):
    """Rigid or affine registration; starts with the centres of the masks (or images).

    With `any_pose` the start is turned where the head lies far from the pose of the other.
    """

    input_spec = _GreedyAffineInputSpec
    output_spec = _GreedyAffineOutputSpec

    def _run_interface(self, runtime):
        folder, fields = Path(runtime.cwd), self.inputs
        np.savetxt(folder / "start.mat", self._start())
        images = ["-i", fields.fixed_file, fields.moving_file, "-ia", "start.mat"]
        mask = ["-gm", fields.fixed_mask_file] if fields.fixed_mask_file else []
        effort = ["-m", *fields.metric, "-n", fields.iterations]
        arguments = ["-a", "-dof", str(fields.dof), *images, *mask, *effort, "-o", "affine.mat"]
        run_engine(GREEDY, arguments, folder)
        self._results["out_xfm"] = str(folder / "affine.mat")
        return runtime

    def _start(self):
        """Matrix (4, 4) to start from, fixed points to moving points, mm."""
        fields = self.inputs
        fixed = fields.fixed_mask_file or fields.fixed_file
        moving = fields.moving_mask_file or fields.moving_file
        start = start_pose if fields.any_pose else centre_shift
        return start(load_volume(fixed), load_volume(moving))


class _GreedyWarpInputSpec(BaseInterfaceInputSpec):
    fixed_file = File(exists=True, mandatory=True, desc="image that stays")
    moving_file = File(exists=True, mandatory=True, desc="image that is aligned to it")
    affine_file = File(exists=True, mandatory=True, desc="fixed to moving, 4x4, mm")
    iterations = traits.Str(mandatory=True, desc="per level from coarse to fine, e.g. 100x50")


class _GreedyWarpOutputSpec(TraitedSpec):
    warp_file = File(desc="displacement on the fixed grid, before the affine")
    inverse_warp_file = File(desc="its inverse")


class GreedyWarp(SimpleInterface):
    """Stationary-velocity registration with normalised cross-correlation."""

    input_spec = _GreedyWarpInputSpec
    output_spec = _GreedyWarpOutputSpec

    def _run_interface(self, runtime):
        folder, fields = Path(runtime.cwd), self.inputs
        images = ["-i", fields.fixed_file, fields.moving_file, "-it", fields.affine_file]
        effort = ["-m", "NCC", "2x2x2", "-sv", "-n", fields.iterations]
        output = ["-o", "warp.nii.gz", "-oinv", "inverse.nii.gz"]
        run_engine(GREEDY, [*images, *effort, *output], folder)
        self._results["warp_file"] = str(folder / "warp.nii.gz")
        self._results["inverse_warp_file"] = str(folder / "inverse.nii.gz")
        return runtime


class _ComposeWarpInputSpec(BaseInterfaceInputSpec):
    affine_file = File(exists=True, mandatory=True, desc="fixed to moving, 4x4, mm")
    warp_file = File(exists=True, mandatory=True, desc="warp, or the inverse warp")
    reference_file = File(exists=True, mandatory=True, desc="grid of the answer")
    inverse = traits.Bool(mandatory=True, desc="of moving points to fixed points")


class _ComposeWarpOutputSpec(TraitedSpec):
    out_xfm = File(desc="one displacement field on the grid of the reference")


class ComposeWarp(SimpleInterface):
    """Affine and warp folded into one displacement field."""

    input_spec = _ComposeWarpInputSpec
    output_spec = _ComposeWarpOutputSpec

    def _run_interface(self, runtime):
        folder, fields = Path(runtime.cwd), self.inputs
        steps = [fields.warp_file, fields.affine_file]
        if fields.inverse:
            steps = [f"{fields.affine_file},-1", fields.warp_file]
        reference = ["-rf", fields.reference_file]
        run_engine(GREEDY, [*reference, "-r", *steps, "-rc", "composed.nii.gz"], folder)
        self._results["out_xfm"] = str(folder / "composed.nii.gz")
        return runtime


class _ApplyWarpInputSpec(BaseInterfaceInputSpec):
    in_file = File(exists=True, mandatory=True, desc="image to resample")
    reference_file = File(exists=True, mandatory=True, desc="grid of the answer")
    xfm_files = InputMultiObject(traits.Str(), mandatory=True, desc="as after -r of greedy")
    interpolation = traits.Enum("LINEAR", "NN", mandatory=True, desc="NN for labels")


class _ApplyWarpOutputSpec(TraitedSpec):
    out_file = File(desc="image on the grid of the reference")


class ApplyWarp(SimpleInterface):
    """Image resampled through transforms of greedy."""

    input_spec = _ApplyWarpInputSpec
    output_spec = _ApplyWarpOutputSpec

    def _run_interface(self, runtime):
        folder, fields = Path(runtime.cwd), self.inputs
        how = ["-rf", fields.reference_file, "-ri", fields.interpolation]
        images = ["-rm", fields.in_file, "resampled.nii.gz"]
        run_engine(GREEDY, [*how, *images, "-r", *fields.xfm_files], folder)
        self._results["out_file"] = str(folder / "resampled.nii.gz")
        return runtime


class _CheckAgreementInputSpec(BaseInterfaceInputSpec):
    brain_file = File(exists=True, mandatory=True, desc="template, skull-stripped")
    mask_file = File(exists=True, mandatory=True, desc="its brain mask")
    gm_prior_file = File(exists=True, mandatory=True, desc="grey matter of MNI, same grid, 0..1")
    wm_prior_file = File(exists=True, mandatory=True, desc="white matter of MNI, same grid, 0..1")
    min_agreement = traits.Range(0.0, 1.0, mandatory=True, desc="lowest plausible agreement")


class _CheckAgreementOutputSpec(TraitedSpec):
    agreement = traits.Float(desc="how well MNI's tissues tell the brain's intensities apart, 0..1")


class CheckAgreement(SimpleInterface):
    """Agreement of the image with the tissues of MNI after registration; too little is an error."""

    input_spec = _CheckAgreementInputSpec
    output_spec = _CheckAgreementOutputSpec

    def _run_interface(self, runtime):
        fields = self.inputs
        files = (fields.brain_file, fields.gm_prior_file, fields.wm_prior_file)
        volume, grey, white = (load_volume(path)[0] for path in files)
        agreement = tissue_agreement(volume, load_mask(fields.mask_file), grey, white)
        check_agreement(agreement, fields.min_agreement)
        self._results["agreement"] = agreement
        return runtime


def check_agreement(agreement, min_agreement):
    """Raise ToolError where the registration to MNI is not plausible."""
    if not agreement >= min_agreement:
        raise ToolError(
            f"After the registration to {MNI_SPACE} its tissues agree with the image by "
            f"{agreement:.2f} (.5 is chance, 1 is perfect); the least that is plausible is "
            f"{min_agreement:.2f} (setting anat.min_mni_agreement). Look at the brain mask and "
            "the T1-weighted images."
        )
