"""From BOLD to the template: rigid registration, and what it carries into BOLD space."""

from __future__ import annotations

from pathlib import Path

import nibabel as nb
import numpy as np
from nibabel.affines import apply_affine
from nipype.interfaces.base import (
    BaseInterfaceInputSpec,
    File,
    SimpleInterface,
    TraitedSpec,
    isdefined,
    traits,
)

from bids_utils.errors import ToolError
from workflows.compute.bold_mask import dice, padding_around
from workflows.compute.boundary import (
    alignments,
    best_alignment,
    mirrored,
    overlap_of,
    refine_to_boundary,
    white_matter_edge,
)
from workflows.interfaces.engine import run_engine
from workflows.interfaces.func_files import read_array, same_grid, write_array

GREEDY = "workflows.interfaces.greedy_engine"
MUTUAL_INFORMATION = ["-a", "-dof", "6", "-m", "NMI", "-n", "100x50x20"]
SEARCHES = {"centres": [], "nearby": ["-search", "300", "5", "20"]}
"""Starts: the centres of the brains alone, and 300 places around them (SD 5 degrees, 20 mm), as the
centres lie apart where the field of view holds a part of the brain."""


class _AlignBrainsInputSpec(BaseInterfaceInputSpec):
    brain_file = File(exists=True, mandatory=True, desc="BOLD reference inside its mask")
    template_file = File(exists=True, mandatory=True, desc="skull-stripped T1w template")


class _AlignBrainsOutputSpec(TraitedSpec):
    template2bold_xfms = traits.List(
        File(), desc="rigid, take BOLD points to template points, mm RAS+; one for each search"
    )


class AlignBrains(SimpleInterface):
    """Rigid registrations of two brains by mutual information, from their centres and nearby."""

    input_spec = _AlignBrainsInputSpec
    output_spec = _AlignBrainsOutputSpec

    def _run_interface(self, runtime):
        folder = Path(runtime.cwd)
        files = _most_information(self.inputs.brain_file, self.inputs.template_file, folder)
        self._results["template2bold_xfms"] = files
        return runtime


def _most_information(brain_file, template_file, folder):
    """Matrix files that take BOLD points to template points, from greedy; one for each search."""
    start = np.eye(4)
    start[:3, 3] = _brain_centre(template_file) - _brain_centre(brain_file)
    np.savetxt(folder / "start.mat", start)
    files = [folder / f"{name}.mat" for name in SEARCHES]
    for file, search in zip(files, SEARCHES.values(), strict=True):
        names = ["-ia", "start.mat", "-o", file.name, "-i", brain_file, template_file]
        run_engine(GREEDY, [*MUTUAL_INFORMATION, *search, *names], folder)
    return [str(file) for file in files]


def _brain_centre(path):
    """Mean position (mm) of the voxels of a skull-stripped image."""
    image, values = read_array(path)
    return apply_affine(image.affine, np.argwhere(values > 0).mean(axis=0))


class _AlignBoundaryInputSpec(BaseInterfaceInputSpec):
    boldref_file = File(exists=True, mandatory=True, desc="BOLD reference")
    head_mask_file = File(exists=True, mandatory=True, desc="mask from the BOLD reference")
    template_dseg_file = File(exists=True, mandatory=True, desc="grey 1, white 2, CSF 3")
    template_mask_file = File(exists=True, mandatory=True, desc="brain mask of the template")
    template2bold_xfms = traits.List(
        File(exists=True), mandatory=True, desc="from mutual information"
    )
    session2template_xfm = File(
        exists=True, desc="takes template points to the scanner's points; without: the same points"
    )


class _AlignBoundaryOutputSpec(TraitedSpec):
    template2bold_xfm = File(desc="takes BOLD points to template points, mm RAS+")
    bold2template_xfm = File(desc="takes template points to BOLD points, mm RAS+")
    boundary_cost = traits.Float(desc="0 perfect to 2; 1 means no contrast across the boundary")
    registration_kind = traits.Enum(
        "header", "mi", "bbr", desc="positions of the scanner, mutual information, boundary"
    )


class AlignBoundary(SimpleInterface):
    """The best of the scanner's positions, mutual information, and both refined.

    Refined means moved until the edge between grey and white matter fits.
    """

    input_spec = _AlignBoundaryInputSpec
    output_spec = _AlignBoundaryOutputSpec

    def _run_interface(self, runtime):
        image, reference = read_array(self.inputs.boldref_file, np.float32)
        template, segmentation = read_array(self.inputs.template_dseg_file)
        edge = white_matter_edge(segmentation, template.affine)
        best = best_alignment(
            alignments(reference, image.affine, edge, self._starts(), self._overlap())
        )
        names = {"bold2template_xfm": best.matrix, "template2bold_xfm": np.linalg.inv(best.matrix)}
        for name, transform in names.items():
            self._results[name] = _write_matrix(transform, Path(runtime.cwd) / f"{name}.mat")
        self._results.update(boundary_cost=best.cost, registration_kind=best.kind)
        return runtime

    def _starts(self):
        """Kinds and matrices that take template points to BOLD points, before refinement."""
        scanner = self.inputs.session2template_xfm
        header = np.loadtxt(scanner) if isdefined(scanner) else np.eye(4)
        found = [np.linalg.inv(np.loadtxt(file)) for file in self.inputs.template2bold_xfms]
        return [*(("mi", matrix) for matrix in found), ("header", header)]

    def _overlap(self):
        """Function of a matrix: Dice of the two brain masks."""
        image, head = read_array(self.inputs.head_mask_file, bool)
        template, brain = read_array(self.inputs.template_mask_file, bool)
        return lambda matrix: overlap_of(head, image.affine, brain, template.affine, matrix)


def _write_matrix(matrix, path):
    np.savetxt(path, matrix, fmt="%.10f")
    return str(path)


class _CheckSidesInputSpec(BaseInterfaceInputSpec):
    boldref_file = File(exists=True, mandatory=True, desc="BOLD reference")
    brain_file = File(exists=True, mandatory=True, desc="BOLD reference inside its mask")
    template_file = File(exists=True, mandatory=True, desc="skull-stripped T1w template")
    template_dseg_file = File(exists=True, mandatory=True, desc="grey 1, white 2, CSF 3")
    boundary_cost = traits.Float(mandatory=True, desc="of the BOLD image as given, 0 to 2")


class _CheckSidesOutputSpec(TraitedSpec):
    flip_cost_ratio = traits.Float(
        desc="boundary cost as given / mirrored; above 1: left and right are perhaps exchanged"
    )


class CheckSides(SimpleInterface):
    """Compare how well BOLD fits the T1w image as given and with left and right exchanged.

    The mirrored image is registered anew, by mutual information and then by the boundary
    (Glen et al. 2020).
    """

    input_spec = _CheckSidesInputSpec
    output_spec = _CheckSidesOutputSpec

    def _run_interface(self, runtime):
        folder = Path(runtime.cwd)
        image, reference = read_array(self.inputs.boldref_file, np.float32)
        template, segmentation = read_array(self.inputs.template_dseg_file)
        brain = mirrored(read_array(self.inputs.brain_file, np.float32)[1], image.affine)
        brain_file = write_array(brain, image, folder / "mirrored.nii.gz")
        starts = _most_information(brain_file, self.inputs.template_file, folder)
        edge = white_matter_edge(segmentation, template.affine)
        seen = mirrored(reference, image.affine), image.affine, edge
        costs = [refine_to_boundary(*seen, np.linalg.inv(np.loadtxt(file)))[1] for file in starts]
        self._results["flip_cost_ratio"] = self.inputs.boundary_cost / min(costs)
        return runtime


class _CarryLabelsInputSpec(BaseInterfaceInputSpec):
    boldref_file = File(exists=True, mandatory=True, desc="BOLD reference")
    template_mask_file = File(exists=True, mandatory=True, desc="brain mask of the template")
    template_dseg_file = File(exists=True, mandatory=True, desc="grey 1, white 2, CSF 3")
    atlas_file = File(exists=True, mandatory=True, desc="labels in standard space")
    template2bold_xfm = File(exists=True, mandatory=True, desc="BOLD points to template points")
    mni2template_xfm = File(exists=True, mandatory=True, desc="template points to standard points")


class _CarryLabelsOutputSpec(TraitedSpec):
    whole_atlas_file = File(desc="atlas on the BOLD grid, extended to hold the whole brain")
    atlas_file = File(desc="atlas on the BOLD grid")
    dseg_file = File(desc="segmentation on the BOLD grid")
    brain_mask_file = File(desc="brain mask of the template on the BOLD grid")


class CarryLabels(SimpleInterface):
    """Bring atlas, segmentation and mask to the BOLD grid, each in one nearest-voxel step.

    The grid is first extended to hold the whole brain, so that a region cut by the field of view
    is not taken for a small one.
    """

    input_spec = _CarryLabelsInputSpec
    output_spec = _CarryLabelsOutputSpec

    def _run_interface(self, runtime):
        folder = Path(runtime.cwd)
        reference = nb.load(self.inputs.boldref_file)
        padding = self._resample_beyond(reference, folder)
        for name in ("atlas", "dseg", "brain_mask"):
            labels = _inside_brain(name, folder)[_window(padding, reference.shape)]
            target = folder / f"{name}.nii.gz"
            self._results[f"{name}_file"] = write_array(labels, reference, target)
        self._results["whole_atlas_file"] = str(folder / "whole_atlas.nii.gz")
        return runtime

    def _resample_beyond(self, reference, folder):
        """Write whole_*.nii.gz on the extended grid; the voxels (3, 2) it has more."""
        inputs = self.inputs
        padding = _padding(reference, inputs.template_mask_file, inputs.template2bold_xfm)
        _write_grid(reference, padding, folder / "grid.nii.gz")
        rigid = ["-r", inputs.template2bold_xfm]
        images = [("brain_mask", inputs.template_mask_file), ("dseg", inputs.template_dseg_file)]
        _resample(images, rigid, folder)
        _resample([("atlas", inputs.atlas_file)], [*rigid, inputs.mni2template_xfm], folder)
        return padding


def _padding(reference, mask_file, template2bold_xfm):
    """Voxels to add around the BOLD grid so that it holds the template's brain."""
    template, mask = read_array(mask_file)
    inside = np.argwhere(mask > 0)
    corners = np.array(np.meshgrid(*zip(inside.min(axis=0), inside.max(axis=0), strict=True)))
    world = apply_affine(template.affine, corners.reshape(3, -1).T)
    to_bold = np.linalg.inv(reference.affine) @ np.linalg.inv(np.loadtxt(template2bold_xfm))
    return padding_around(apply_affine(to_bold, world), reference.shape)


def _write_grid(reference, padding, path):
    """Empty image on the extended grid."""
    affine = reference.affine.copy()
    affine[:3, 3] = apply_affine(affine, -padding[:, 0])
    shape = np.array(reference.shape) + padding.sum(axis=1)
    nb.Nifti1Image(np.zeros(shape, np.uint8), affine).to_filename(path)


def _resample(images, transforms, folder):
    """Nearest-voxel resampling with greedy into whole_NAME.nii.gz on grid.nii.gz."""
    command = ["-rf", "grid.nii.gz", "-ri", "NN"]
    for name, file in images:
        command += ["-rm", file, f"whole_{name}.nii.gz"]
    run_engine(GREEDY, [*command, *transforms], folder)


def _inside_brain(name, folder):
    """Labels (int16) of the extended grid, 0 outside the brain; the file is rewritten so.

    Beyond the grid of the template the way to standard space is not known, so a label there
    means nothing.
    """
    file = folder / f"whole_{name}.nii.gz"
    image, labels = read_array(file)
    _, brain = read_array(folder / "whole_brain_mask.nii.gz")
    labels = np.where(brain > 0, np.rint(labels), 0).astype(np.int16)
    write_array(labels, image, file)
    return labels


def _window(padding, shape):
    """The original field of view in the extended grid."""
    return tuple(slice(b, b + n) for b, n in zip(padding[:, 0], shape, strict=True))


class _BoldMaskInputSpec(BaseInterfaceInputSpec):
    head_mask_file = File(exists=True, mandatory=True, desc="mask from the BOLD reference")
    brain_mask_file = File(exists=True, mandatory=True, desc="template mask on the BOLD grid")
    min_dice = traits.Float(mandatory=True, desc="least overlap of the two masks, 0 to 1")
    source_file = traits.Str(mandatory=True, desc="BOLD file, for messages")


class _BoldMaskOutputSpec(TraitedSpec):
    mask_file = File(desc="brain with BOLD signal: both masks")
    registration_dice = traits.Float(desc="overlap of the two masks, 0 to 1")


class BoldMask(SimpleInterface):
    """Brain mask in BOLD space, and whether the registration is plausible."""

    input_spec = _BoldMaskInputSpec
    output_spec = _BoldMaskOutputSpec

    def _run_interface(self, runtime):
        image, head = read_array(self.inputs.head_mask_file, bool)
        template, brain = read_array(self.inputs.brain_mask_file, bool)
        same_grid(image, template)
        overlap = dice(head, brain)
        if overlap < self.inputs.min_dice:
            raise ToolError(_misfit(self.inputs.source_file, overlap, self.inputs.min_dice))
        mask = (head & brain).astype(np.uint8)
        self._results["mask_file"] = write_array(mask, image, Path(runtime.cwd) / "mask.nii.gz")
        self._results["registration_dice"] = overlap
        return runtime


def _misfit(source_file, overlap, least):
    return (
        f"{source_file}: the BOLD brain and the T1w brain overlap only {overlap:.2f} (Dice) after "
        f"registration, {least:g} needed. Check that both show the same person with the same "
        "orientation and that the T1w brain mask is right, or leave the run out"
    )
