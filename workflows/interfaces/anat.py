"""From the T1-weighted image of each session to one within-participant template."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
from nibabel.processing import resample_from_to, resample_to_output
from nipype.interfaces.base import (
    BaseInterfaceInputSpec,
    File,
    InputMultiPath,
    SimpleInterface,
    TraitedSpec,
    traits,
)
from scipy import ndimage

from bids_utils.errors import DatasetError, ToolError
from workflows.compute.brain_mask import (
    brain_facts,
    brain_surface,
    filled_surface,
    head_facts,
    without_fat,
)
from workflows.compute.geometry import bounding_grid, mask_bounds, mean_space, resampled
from workflows.compute.head_checks import (
    MIN_CORE_TO_RIM,
    MIN_SESSION_OVERLAP,
    bright_object,
    core_to_rim,
    head_signs,
    image_problem,
    is_extracted,
    odd_volume,
    overlap_with_others,
)
from workflows.compute.intensity import antialiased, robust_scale, volume_problem
from workflows.interfaces.engine import run_engine
from workflows.interfaces.volumes import (
    check_whole,
    load_mask,
    load_volume,
    save_volume,
    save_volumes,
    voxel_ml,
    voxel_size_mm,
)

MASK_RESOLUTION_MM = 2.0
MASK_ITERATIONS = 300
CROP_MARGIN_MM = 20.0
GRID_MARGIN_MM = 8.0
TEMPLATE_LEVEL = 100.0
CHECK_RESOLUTION_MM = 4.0
EXCLUDE = "Look at the image; exclude or replace this session."


class _ConformInputSpec(BaseInterfaceInputSpec):
    in_file = File(exists=True, mandatory=True, desc="T1-weighted image")


class _ConformOutputSpec(TraitedSpec):
    out_file = File(desc="the same voxels, axes in RAS order, float32")
    extracted = traits.Bool(desc="a brain without skull")


class Conform(SimpleInterface):
    """Checked image with its axes in RAS order; nothing is resampled."""

    input_spec = _ConformInputSpec
    output_spec = _ConformOutputSpec

    def _run_interface(self, runtime):
        check_whole(self.inputs.in_file)
        volume, affine = load_volume(self.inputs.in_file)
        volume = volume[..., 0] if volume.ndim == 4 and volume.shape[3] == 1 else volume
        check_image(volume_problem(volume, affine), self.inputs.in_file)
        image = nib.as_closest_canonical(nib.Nifti1Image(volume, affine))
        signs = head_signs(isotropic(image, CHECK_RESOLUTION_MM)[0], CHECK_RESOLUTION_MM)
        check_image(image_problem(signs), self.inputs.in_file)
        path = Path(runtime.cwd) / "conformed.nii.gz"
        self._results["out_file"] = save_volume(image.get_fdata(dtype="f4"), image.affine, path)
        self._results["extracted"] = is_extracted(signs)
        return runtime


def check_image(problem, path):
    """Raise DatasetError, with the name of the file, where there is a problem."""
    if problem:
        raise DatasetError(f"{path}: {problem}. Exclude or replace this image.")


def isotropic(image, resolution_mm):
    """Volume, float32, and affine of a smoothed copy with isotropic voxels."""
    volume = image.get_fdata(dtype=np.float32)
    smooth = antialiased(volume, voxel_size_mm(image.affine), resolution_mm)
    small = resample_to_output(nib.Nifti1Image(smooth, image.affine), [resolution_mm] * 3, order=1)
    return small.get_fdata(dtype=np.float32), small.affine


class _BrainMaskInputSpec(BaseInterfaceInputSpec):
    in_file = File(exists=True, mandatory=True, desc="head, RAS")
    rough_mask_file = File(exists=True, desc="mask to start from, on the same grid")
    source_file = File(exists=True, desc="image to name in messages; none: in_file")
    extracted = traits.Bool(False, usedefault=True, desc="the brain has no skull: take it as it is")
    fractional_threshold = traits.Range(0.0, 1.0, mandatory=True, desc="lower: larger brain")


class _BrainMaskOutputSpec(TraitedSpec):
    mask_file = File(desc="brain mask")
    out_file = File(desc="head")


class BrainMask(SimpleInterface):
    """Brain mask on the grid of the head, found on an isotropic copy of it."""

    input_spec = _BrainMaskInputSpec
    output_spec = _BrainMaskOutputSpec

    def _run_interface(self, runtime):
        image = nib.load(self.inputs.in_file)
        rough = nib.load(self.inputs.rough_mask_file) if self.inputs.rough_mask_file else None
        source = self.inputs.source_file or self.inputs.in_file
        mask = found_mask(image, rough, self.inputs, source)
        window = _window(mask, voxel_size_mm(image.affine)) if rough else (slice(None),) * 3
        head, mask = image.slicer[window], mask[window]
        folder = Path(runtime.cwd)
        volume = head.get_fdata(dtype="f4")
        self._results["out_file"] = save_volume(volume, head.affine, folder / "head.nii.gz")
        self._results["mask_file"] = save_volume(mask, head.affine, folder / "mask.nii.gz")
        return runtime


def found_mask(image, rough, options, source):
    """Boolean brain mask of a head or a brain; ToolError names the source where there is none."""
    if options.extracted:
        mask = bright_object(image.get_fdata(dtype=np.float32))
    else:
        mask = head_mask(image, rough, options.fractional_threshold, source)
    if rough is None:  # before N4, which makes core and rim more alike
        check_contrast(image, mask, source)
    return mask


def head_mask(image, rough, fractional_threshold, source):
    """Boolean brain mask of a head image; starts from a rough mask where there is one."""
    volume, affine = isotropic(image, MASK_RESOLUTION_MM)
    grid = (volume.shape, affine)
    try:
        if rough is None:
            facts = head_facts(volume, MASK_RESOLUTION_MM)
        else:
            known = resample_from_to(rough, grid, order=1).get_fdata() >= 0.5
            facts = brain_facts(volume, known, MASK_RESOLUTION_MM)
            volume = without_fat(volume, known, facts.low)
    except ValueError as error:
        raise ToolError(f"{source}: no brain mask ({error}). {EXCLUDE}") from error
    surface = brain_surface(
        volume, MASK_RESOLUTION_MM, facts, fractional_threshold, MASK_ITERATIONS
    )
    mask = filled_surface(*surface, volume.shape, MASK_RESOLUTION_MM).astype(np.float32)
    found = resample_from_to(nib.Nifti1Image(mask, affine), image, order=1)
    return found.get_fdata() >= 0.5


def check_contrast(image, mask, source):
    """Raise ToolError where the inside of the brain is not brighter than its rim."""
    volume, affine = isotropic(image, CHECK_RESOLUTION_MM)
    small = nib.Nifti1Image(mask.astype(np.float32), image.affine)
    inside = resample_from_to(small, (volume.shape, affine), order=1).get_fdata() >= 0.5
    ratio = core_to_rim(volume, inside, CHECK_RESOLUTION_MM)
    if not ratio >= MIN_CORE_TO_RIM:
        raise ToolError(
            f"{source}: inside the brain mask the core is {ratio:.2f} times as bright as the rim; "
            f"in a T1-weighted image it is at least {MIN_CORE_TO_RIM} times (another contrast, or "
            f"a wrong mask). {EXCLUDE}"
        )


def _window(mask, voxel_mm):
    if not mask.any():
        raise ToolError("the brain mask of a session is empty; look at its T1-weighted image")
    (bounds,) = ndimage.find_objects(mask.astype(np.uint8))
    margin = np.ceil(CROP_MARGIN_MM / voxel_mm).astype(int)
    return tuple(
        slice(max(0, part.start - more), part.stop + more)
        for part, more in zip(bounds, margin, strict=True)
    )


class _CheckSessionsInputSpec(BaseInterfaceInputSpec):
    t1w_files = InputMultiPath(File(exists=True), mandatory=True, desc="to name in messages")
    mask_files = InputMultiPath(File(exists=True), mandatory=True, desc="one mask per session")
    extracted = traits.List(traits.Bool(), mandatory=True, desc="brains without skull")


class _CheckSessionsOutputSpec(TraitedSpec):
    mask_files = traits.List(File(), desc="the same masks")
    extracted = traits.Bool(desc="all sessions are brains without skull")


class CheckSessions(SimpleInterface):
    """Masks of sessions that can be of the same person, all with or all without skull."""

    input_spec = _CheckSessionsInputSpec
    output_spec = _CheckSessionsOutputSpec

    def _run_interface(self, runtime):
        volumes = []
        for path in self.inputs.mask_files:
            mask, affine = load_volume(path)
            volumes.append(float(np.count_nonzero(mask) * voxel_ml(affine)))
        check_sessions(self.inputs.t1w_files, volumes, self.inputs.extracted)
        self._results["mask_files"] = list(self.inputs.mask_files)
        self._results["extracted"] = all(self.inputs.extracted)
        return runtime


def check_sessions(files, volumes_ml, extracted):
    """Raise DatasetError or ToolError where sessions cannot be compared with each other."""
    if any(extracted) and not all(extracted):
        bare = [str(path) for path, flag in zip(files, extracted, strict=True) if flag]
        raise DatasetError(
            f"Without skull: {', '.join(bare)}; the other sessions of this participant are whole "
            "heads. Such a difference would look like change. Give whole heads for all sessions, "
            "or exclude the ones named."
        )
    odd = odd_volume(volumes_ml)
    if odd is not None:
        found = ", ".join(f"{volume:.0f}" for volume in volumes_ml)
        raise ToolError(
            f"{files[odd]}: its brain mask has {volumes_ml[odd]:.0f} ml; all sessions of this "
            f"participant: {found} ml. One brain does not change so much (a cut field of view, "
            f"another person, a failed mask?). {EXCLUDE}"
        )


class _BiasCorrectionInputSpec(BaseInterfaceInputSpec):
    in_file = File(exists=True, mandatory=True, desc="head")
    mask_file = File(exists=True, mandatory=True, desc="where the field is learned")
    resolution_mm = traits.Float(mandatory=True, desc="voxel size for the estimate, mm")


class _BiasCorrectionOutputSpec(TraitedSpec):
    out_file = File(desc="head without bias field, not negative")


class BiasCorrection(SimpleInterface):
    """Head without its bias field (N4)."""

    input_spec = _BiasCorrectionInputSpec
    output_spec = _BiasCorrectionOutputSpec

    def _run_interface(self, runtime):
        _, affine = load_volume(self.inputs.in_file)
        shrink = np.maximum(1, np.rint(self.inputs.resolution_mm / voxel_size_mm(affine)))
        output = Path(runtime.cwd) / "corrected.nii.gz"
        files = [self.inputs.in_file, self.inputs.mask_file, str(output)]
        factors = [str(int(factor)) for factor in shrink]
        run_engine(
            "workflows.interfaces.n4_engine", [*files, "--shrink", *factors], Path(runtime.cwd)
        )
        self._results["out_file"] = str(output)
        return runtime


class _SessionPairsInputSpec(BaseInterfaceInputSpec):
    in_files = InputMultiPath(File(exists=True), mandatory=True, desc="one image per session")
    mask_files = InputMultiPath(File(exists=True), mandatory=True, desc="their brain masks")


class _SessionPairsOutputSpec(TraitedSpec):
    fixed_files = traits.List(File(), desc="image of the first of each ordered pair")
    fixed_mask_files = traits.List(File(), desc="its mask")
    moving_files = traits.List(File(), desc="image of the second of each ordered pair")
    moving_mask_files = traits.List(File(), desc="its mask")


class SessionPairs(SimpleInterface):
    """All ordered pairs of different sessions: (0, 1), (0, 2), ..., (1, 0), ..."""

    input_spec = _SessionPairsInputSpec
    output_spec = _SessionPairsOutputSpec

    def _run_interface(self, runtime):
        images, masks = self.inputs.in_files, self.inputs.mask_files
        pairs = ordered_pairs(len(images))
        self._results["fixed_files"] = [images[i] for i, _ in pairs]
        self._results["fixed_mask_files"] = [masks[i] for i, _ in pairs]
        self._results["moving_files"] = [images[j] for _, j in pairs]
        self._results["moving_mask_files"] = [masks[j] for _, j in pairs]
        return runtime


def ordered_pairs(n_sessions):
    """Pairs (i, j) of different sessions, in the order of `SessionPairs`."""
    return [(i, j) for i in range(n_sessions) for j in range(n_sessions) if i != j]


class _MeanSpaceInputSpec(BaseInterfaceInputSpec):
    mask_files = InputMultiPath(File(exists=True), mandatory=True, desc="one mask per session")
    pair_xfms = traits.List(File(exists=True), [], usedefault=True, desc="ordered pairs, 4x4, mm")
    resolution_mm = traits.Either(None, traits.Float(), desc="of the grid; none: as sessions")


class _MeanSpaceOutputSpec(TraitedSpec):
    session2template_xfms = traits.List(File(), desc="mean space to session, 4x4, mm")
    reference_file = File(desc="empty image: grid of the mean space")


class MeanSpace(SimpleInterface):
    """Space in the middle of the sessions, and an isotropic grid around the brain in it."""

    input_spec = _MeanSpaceInputSpec
    output_spec = _MeanSpaceOutputSpec

    def _run_interface(self, runtime):
        sessions = [nib.load(path) for path in self.inputs.mask_files]
        transforms = mean_space(load_pairs(self.inputs.pair_xfms, len(sessions)))
        shape, affine = brain_grid(sessions, transforms, self.inputs.resolution_mm)
        files = [str(Path(runtime.cwd) / f"session{i}.mat") for i in range(len(sessions))]
        for path, transform in zip(files, transforms, strict=True):
            np.savetxt(path, transform, fmt="%.12g")
        self._results["session2template_xfms"] = files
        path = Path(runtime.cwd) / "reference.nii.gz"
        self._results["reference_file"] = save_volume(np.zeros(shape, bool), affine, path)
        return runtime


def brain_grid(sessions, transforms, resolution_mm):
    """Shape and affine of the grid that holds the masks of all sessions in the mean space."""
    bounds = [
        mask_bounds(np.asanyarray(image.dataobj) > 0, image.affine, np.linalg.inv(transform))
        for image, transform in zip(sessions, transforms, strict=True)
    ]
    smallest = min(voxel_size_mm(image.affine).min() for image in sessions)
    resolution = smallest if resolution_mm is None else resolution_mm
    return bounding_grid(bounds, round(float(resolution), 3), GRID_MARGIN_MM)


def load_pairs(files, n_sessions):
    """Transforms (n_sessions, n_sessions, 4, 4) between sessions; the identity on the diagonal."""
    pairs = np.tile(np.eye(4), (n_sessions, n_sessions, 1, 1))
    for pair, path in zip(ordered_pairs(n_sessions), files, strict=True):
        pairs[pair] = np.loadtxt(path)
    return pairs


class _ToTemplateInputSpec(BaseInterfaceInputSpec):
    in_file = File(exists=True, mandatory=True, desc="session image")
    mask_file = File(exists=True, mandatory=True, desc="its brain mask")
    xfm_file = File(exists=True, mandatory=True, desc="template to session, 4x4, mm")
    reference_file = File(exists=True, mandatory=True, desc="grid of the template")


class _ToTemplateOutputSpec(TraitedSpec):
    out_file = File(desc="session image on the template grid, not negative")
    mask_file = File(desc="its mask, 0..1")
    view_file = File(desc="1 inside the field of view of the session")


class ToTemplate(SimpleInterface):
    """Session on the template grid: its only interpolation (cubic spline)."""

    input_spec = _ToTemplateInputSpec
    output_spec = _ToTemplateOutputSpec

    def _run_interface(self, runtime):
        reference = nib.load(self.inputs.reference_file)
        grid, xfm = (reference.shape, reference.affine), np.loadtxt(self.inputs.xfm_file)
        image, mask = load_volume(self.inputs.in_file), load_volume(self.inputs.mask_file)
        view = (np.ones(image[0].shape), image[1])
        volumes = {
            "out_file": np.maximum(resampled(image, grid, xfm, 3), 0),
            "mask_file": resampled(mask, grid, xfm, 1),
            "view_file": resampled(view, grid, xfm, 0) > 0,
        }
        self._results |= save_volumes(volumes, grid[1], runtime.cwd)
        return runtime


class _TemplateInputSpec(BaseInterfaceInputSpec):
    in_files = InputMultiPath(File(exists=True), mandatory=True, desc="sessions, template grid")
    mask_files = InputMultiPath(File(exists=True), mandatory=True, desc="their masks, 0..1")


class _TemplateOutputSpec(TraitedSpec):
    scaled_files = traits.List(File(), desc="sessions with the same level of intensity")
    scales = traits.List(traits.Float(), desc="factor that each session was multiplied with")
    head_file = File(desc="mean of the scaled sessions, with what surrounds the brain")
    mask_file = File(desc="voxels in at least half of the masks on average")


class Template(SimpleInterface):
    """Mean of the sessions, all with the same weight."""

    input_spec = _TemplateInputSpec
    output_spec = _TemplateOutputSpec

    def _run_interface(self, runtime):
        volumes, affines = zip(*map(load_volume, self.inputs.in_files), strict=True)
        masks = [load_volume(path)[0] for path in self.inputs.mask_files]
        check_alignment(masks)
        mask = np.mean(masks, axis=0) >= 0.5
        scaled, self._results["scales"] = same_level(volumes, mask)
        numbered = {f"scaled{i}": volume for i, volume in enumerate(scaled)}
        files = save_volumes(numbered, affines[0], runtime.cwd)
        self._results["scaled_files"] = list(files.values())
        means = {"head_file": np.mean(scaled, axis=0), "mask_file": mask}
        self._results |= save_volumes(means, affines[0], runtime.cwd)
        return runtime


def same_level(volumes, mask):
    """Volumes with the same level of intensity in a mask, and the factor of each."""
    scales = [float(robust_scale(volume, mask, TEMPLATE_LEVEL)) for volume in volumes]
    return [volume * scale for volume, scale in zip(volumes, scales, strict=True)], scales


def check_alignment(masks):
    """Raise ToolError where the brain of a session does not lie on those of the others."""
    if len(masks) < 2:
        return
    overlap = overlap_with_others(masks)
    worst = int(np.argmin(overlap))
    if not overlap[worst] >= MIN_SESSION_OVERLAP:
        raise ToolError(
            f"After the alignment of the {len(masks)} sessions the brain of number {worst + 1} in "
            f"time overlaps with the others by {overlap[worst]:.2f} (Dice); the least that is "
            f"plausible is {MIN_SESSION_OVERLAP:.2f}. Look at their T1-weighted images: is one cut "
            "off, or of somebody else? Leave it out with a list of exclusions (sessions.exclude)."
        )


class _RefineMaskInputSpec(BaseInterfaceInputSpec):
    head_file = File(exists=True, mandatory=True, desc="template with surroundings")
    mask_file = File(exists=True, mandatory=True, desc="mask to refine")
    distance_file = File(exists=True, mandatory=True, desc="mm outside of the MNI brain mask")
    xfm_file = File(exists=True, mandatory=True, desc="MNI to template, 4x4, mm")
    tolerance_mm = traits.Float(5.0, usedefault=True, desc="allowed distance from MNI's mask")
    extracted = traits.Bool(False, usedefault=True, desc="leave the mask as it is")
    min_ml = traits.Float(mandatory=True, desc="smallest plausible brain, ml")
    max_ml = traits.Float(mandatory=True, desc="largest plausible brain, ml")


class _RefineMaskOutputSpec(TraitedSpec):
    mask_file = File(desc="mask without what is far outside of the MNI brain")
    brain_file = File(desc="template, zero outside the mask")


class RefineMask(SimpleInterface):
    """Mask that stays near the MNI brain after a 12-parameter registration."""

    input_spec = _RefineMaskInputSpec
    output_spec = _RefineMaskOutputSpec

    def _run_interface(self, runtime):
        head, affine = load_volume(self.inputs.head_file)
        to_mni = np.linalg.inv(np.loadtxt(self.inputs.xfm_file))
        distance = load_volume(self.inputs.distance_file)
        outside = resampled((distance[0] - 100, distance[1]), (head.shape, affine), to_mni, 1) + 100
        mask = load_mask(self.inputs.mask_file)
        if not self.inputs.extracted:
            mask = near_standard(mask, outside, self.inputs.tolerance_mm)
        check_brain_volume(mask, affine, self.inputs.min_ml, self.inputs.max_ml)
        volumes = {"mask_file": mask, "brain_file": np.where(mask, head, 0)}
        self._results |= save_volumes(volumes, affine, runtime.cwd)
        return runtime


def near_standard(mask, outside_mm, tolerance_mm):
    """Mask without what is further than that outside of MNI's, with all that is as deep in it."""
    return (mask & (outside_mm <= tolerance_mm)) | (outside_mm <= -tolerance_mm)


def check_brain_volume(mask, affine, min_ml, max_ml):
    """Raise ToolError where the brain mask has no plausible volume."""
    volume_ml = float(np.count_nonzero(mask) * abs(np.linalg.det(affine)) / 1000)
    if not min_ml <= volume_ml <= max_ml:
        raise ToolError(
            f"The brain mask of the template has {volume_ml:.0f} ml; plausible is {min_ml:.0f} "
            f"to {max_ml:.0f} ml (settings anat.min_brain_ml and anat.max_brain_ml). Look at the "
            "T1-weighted images: a cut field of view, strong shading or another contrast?"
        )
