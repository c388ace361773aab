"""Nodes that draw one picture of a participant each; none shows a face."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
from nilearn import datasets, image
from nipype.interfaces.base import (
    BaseInterfaceInputSpec,
    File,
    InputMultiPath,
    OutputMultiPath,
    SimpleInterface,
    TraitedSpec,
    traits,
)

from bids_utils.derivatives import read_table
from workflows.compute.near_brain import near_brain
from workflows.drawing.canvas import ORANGE, SKY, save_png
from workflows.drawing.slices import Outline, Volume, labelled_slices, outlined_slices
from workflows.drawing.timecourses import Carpet, Course, carpet, motion_trace

MARGIN_MM = 4.0
GREY, WHITE = 1, 2


class FigureOutputSpec(TraitedSpec):
    """The one picture that a node draws."""

    out_file = File(desc="picture, PNG")


class _MaskFigureInputSpec(BaseInterfaceInputSpec):
    in_files = InputMultiPath(
        File(exists=True), mandatory=True, desc="T1w of each session on the template grid"
    )
    mask_file = File(exists=True, mandatory=True, desc="brain mask of the template")


class MaskFigure(SimpleInterface):
    """Outline of the brain mask on the mean of all sessions, with a rim around the brain."""

    input_spec = _MaskFigureInputSpec
    output_spec = FigureOutputSpec

    def _run_interface(self, runtime):
        brain = read_volume(self.inputs.mask_file).data >= 0.5
        mean = faceless_volume(mean_volume(self.inputs.in_files), brain, MARGIN_MM)
        outlines = (Outline(brain, ORANGE, "brain mask"),)
        figure = outlined_slices(mean, outlines, mean.data != 0, "Mean of the sessions")
        self._results["out_file"] = str(save_png(figure, Path(runtime.cwd) / "mask.png"))
        return runtime


class _TissueFigureInputSpec(BaseInterfaceInputSpec):
    in_file = File(exists=True, mandatory=True, desc="template, skull-stripped")
    mask_file = File(exists=True, mandatory=True, desc="brain mask of the template")
    dseg_file = File(exists=True, mandatory=True, desc="grey 1, white 2, CSF 3")


class TissueFigure(SimpleInterface):
    """Outlines of grey and white matter on the template."""

    input_spec = _TissueFigureInputSpec
    output_spec = FigureOutputSpec

    def _run_interface(self, runtime):
        brain = read_volume(self.inputs.mask_file).data >= 0.5
        volume = faceless(self.inputs.in_file, brain, margin_mm=0)
        outlines = tissue_outlines(read_labels(self.inputs.dseg_file))
        figure = outlined_slices(volume, outlines, brain, "Template of all sessions")
        self._results["out_file"] = str(save_png(figure, Path(runtime.cwd) / "tissues.png"))
        return runtime


class _SessionFiguresInputSpec(BaseInterfaceInputSpec):
    in_files = InputMultiPath(
        File(exists=True), mandatory=True, desc="T1w of each session on the template grid"
    )
    mask_file = File(exists=True, mandatory=True, desc="brain mask of the template")
    titles = traits.List(traits.Str, mandatory=True, desc="session of each file")


class _SessionFiguresOutputSpec(TraitedSpec):
    out_files = OutputMultiPath(File(), desc="one picture per session, same slices")


class SessionFigures(SimpleInterface):
    """Each session on the same slices of the template, to switch between them."""

    input_spec = _SessionFiguresInputSpec
    output_spec = _SessionFiguresOutputSpec

    def _run_interface(self, runtime):
        brain = read_volume(self.inputs.mask_file).data >= 0.5
        self._results["out_files"] = [
            str(draw_session(file, brain, title, Path(runtime.cwd) / f"session{number}.png"))
            for number, (file, title) in enumerate(
                zip(self.inputs.in_files, self.inputs.titles, strict=True)
            )
        ]
        return runtime


class _MniFigureInputSpec(BaseInterfaceInputSpec):
    in_file = File(exists=True, mandatory=True, desc="template resampled to MNI152NLin2009aSym")


class MniFigure(SimpleInterface):
    """Outlines of the MNI brain and its white matter on the participant's brain."""

    input_spec = _MniFigureInputSpec
    output_spec = FigureOutputSpec

    def _run_interface(self, runtime):
        volume = read_volume(self.inputs.in_file)
        brain, white = mni_masks(volume)
        volume = Volume(np.where(brain, volume.data, 0), volume.affine)
        outlines = (Outline(brain, ORANGE, "MNI brain"), Outline(white, SKY, "MNI white matter"))
        figure = outlined_slices(volume, outlines, brain, "Participant in MNI152NLin2009aSym")
        self._results["out_file"] = str(save_png(figure, Path(runtime.cwd) / "mni.png"))
        return runtime


class _AtlasFigureInputSpec(BaseInterfaceInputSpec):
    in_file = File(exists=True, mandatory=True, desc="template, skull-stripped")
    mask_file = File(exists=True, mandatory=True, desc="brain mask of the template")
    atlas_file = File(exists=True, mandatory=True, desc="labels on the template grid")


class AtlasFigure(SimpleInterface):
    """Regions of the atlas in colour on the template."""

    input_spec = _AtlasFigureInputSpec
    output_spec = FigureOutputSpec

    def _run_interface(self, runtime):
        brain = read_volume(self.inputs.mask_file).data >= 0.5
        volume = faceless(self.inputs.in_file, brain, margin_mm=0)
        labels = read_labels(self.inputs.atlas_file)
        figure = labelled_slices(volume, labels, "Regions on the template")
        self._results["out_file"] = str(save_png(figure, Path(runtime.cwd) / "atlas.png"))
        return runtime


class _BoldFigureInputSpec(BaseInterfaceInputSpec):
    in_file = File(exists=True, mandatory=True, desc="BOLD reference")
    dseg_file = File(exists=True, mandatory=True, desc="tissues of the T1w on the BOLD grid")


class BoldFigure(SimpleInterface):
    """Outlines of the T1w brain and white matter on the BOLD reference."""

    input_spec = _BoldFigureInputSpec
    output_spec = FigureOutputSpec

    def _run_interface(self, runtime):
        labels = read_labels(self.inputs.dseg_file)
        volume = faceless(self.inputs.in_file, labels > 0, 2 * MARGIN_MM)
        outlines = brain_outlines(labels)
        figure = outlined_slices(volume, outlines, volume.data != 0, "BOLD with edges of the T1w")
        self._results["out_file"] = str(save_png(figure, Path(runtime.cwd) / "edges.png"))
        return runtime


class _MotionFigureInputSpec(BaseInterfaceInputSpec):
    confounds_file = File(exists=True, mandatory=True, desc="confound table")
    repetition_time_s = traits.Float(mandatory=True, desc="time from volume to volume (s)")
    fd_threshold_mm = traits.Either(
        None, traits.Float, usedefault=True, desc="largest framewise displacement (mm), or no limit"
    )


class MotionFigure(SimpleInterface):
    """Framewise displacement and the six motion parameters over time."""

    input_spec = _MotionFigureInputSpec
    output_spec = FigureOutputSpec

    def _run_interface(self, runtime):
        confounds = read_table(Path(self.inputs.confounds_file))
        threshold_mm = self.inputs.fd_threshold_mm
        figure = motion_trace(confounds, self.inputs.repetition_time_s, threshold_mm)
        self._results["out_file"] = str(save_png(figure, Path(runtime.cwd) / "motion.png"))
        return runtime


class _CarpetFigureInputSpec(BaseInterfaceInputSpec):
    carpet_file = File(exists=True, mandatory=True, desc=".npz, as the node Carpet writes it")
    fd_threshold_mm = traits.Either(
        None, traits.Float, usedefault=True, desc="largest framewise displacement (mm), or no limit"
    )


class CarpetFigure(SimpleInterface):
    """Signal of many voxels over time, before and after denoising, below motion and DVARS."""

    input_spec = _CarpetFigureInputSpec
    output_spec = FigureOutputSpec

    def _run_interface(self, runtime):
        with np.load(self.inputs.carpet_file) as saved:
            figure = carpet(*carpets_of(saved, self.inputs.fd_threshold_mm))
        self._results["out_file"] = str(save_png(figure, Path(runtime.cwd) / "carpet.png"))
        return runtime


def carpets_of(saved, threshold_mm):
    """Carpet as measured, course of the run, and carpet after denoising."""
    before = Carpet(saved["carpet"], saved["tissue"], "As measured, without linear trend")
    course = Course(
        float(saved["repetition_time_s"]),
        saved["framewise_displacement"],
        saved["std_dvars"],
        saved["censored"],
        threshold_mm,
    )
    freedom, share = int(saved["degrees_of_freedom"]), float(saved["share_removed"])
    left = (
        f"{100 * share:.0f} % of the variance of grey matter removed, {freedom} degrees of freedom"
    )
    title = f"After denoising ({saved['how']}): {left if freedom else 'nothing is'} left"
    return before, course, Carpet(saved["cleaned"], saved["tissue"], title)


def read_volume(path: str | Path) -> Volume:
    """Image turned to RAS+ order, missing values as 0."""
    return volume_of(nib.load(path))


def volume_of(loaded: nib.Nifti1Image) -> Volume:
    """Image in memory turned to RAS+ order, missing values as 0."""
    turned = nib.as_closest_canonical(loaded)
    return Volume(np.nan_to_num(np.asanyarray(turned.dataobj, dtype=np.float32)), turned.affine)


def read_labels(path: str | Path) -> np.ndarray:
    """Labels turned to RAS+ order."""
    return np.rint(read_volume(path).data).astype(int)


def faceless(path: str | Path, brain: np.ndarray, margin_mm: float = MARGIN_MM) -> Volume:
    """Image in RAS+ order without anything further from the brain than a margin."""
    return faceless_volume(read_volume(path), brain, margin_mm)


def faceless_volume(volume: Volume, brain: np.ndarray, margin_mm: float) -> Volume:
    """Volume without anything further from the brain than a margin."""
    kept = near_brain(volume.data, brain, volume.voxel_size_mm, margin_mm)
    return Volume(kept, volume.affine)


def mean_volume(paths: list[str]) -> Volume:
    """Mean of images on the same grid, in RAS+ order."""
    volumes = [read_volume(path) for path in paths]
    return Volume(np.mean([volume.data for volume in volumes], axis=0), volumes[0].affine)


def tissue_outlines(labels: np.ndarray) -> tuple[Outline, ...]:
    """Outer edge of the grey matter, and its inner edge, the white matter."""
    white = labels == WHITE
    outer = Outline(white | (labels == GREY), ORANGE, "outer edge of grey matter")
    return outer, Outline(white, SKY, "white matter")


def brain_outlines(labels: np.ndarray) -> tuple[Outline, ...]:
    """Outline of all tissues and of the white matter."""
    return Outline(labels > 0, ORANGE, "brain"), Outline(labels == WHITE, SKY, "white matter")


def draw_session(path: str, brain: np.ndarray, title: str, out_file: Path) -> Path:
    """Picture of one session on the slices that the brain mask decides."""
    return save_png(outlined_slices(faceless(path, brain), (), brain, title), out_file)


def mni_masks(volume: Volume) -> tuple[np.ndarray, np.ndarray]:
    """Brain and white matter of MNI152NLin2009aSym on the grid of a volume in that space."""
    grid = nib.Nifti1Image(volume.data, volume.affine)
    masks = (datasets.load_mni152_brain_mask(resolution=1), datasets.load_mni152_wm_mask(1))
    options = {"interpolation": "nearest", "force_resample": True, "copy_header": True}
    brain, white = (image.resample_to_img(mask, grid, **options) for mask in masks)
    return brain.get_fdata() > 0, white.get_fdata() > 0
