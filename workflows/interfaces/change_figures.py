"""Nodes that draw what changed between the sessions of a participant, and cortical thickness.

Sessions come in time order; each later one is shown against the first.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
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
from workflows.compute.change_maps import change_by_index, volume_change_map
from workflows.drawing.canvas import save_png
from workflows.drawing.change_maps import (
    thickness_change_slices,
    thickness_slices,
    volume_change_slices,
)
from workflows.interfaces.figures import faceless, read_labels, read_volume
from workflows.interfaces.thickness import CORTEX
from workflows.interfaces.volumes import check_same_grid

SMOOTHING_MM = 10.0


class _BrainInputSpec(BaseInterfaceInputSpec):
    in_file = File(exists=True, mandatory=True, desc="template, skull-stripped")
    mask_file = File(exists=True, mandatory=True, desc="brain mask of the template")


class _LaterFiguresOutputSpec(TraitedSpec):
    out_files = OutputMultiPath(File(), desc="a picture of each session but the first")


class _VolumeChangeFiguresInputSpec(_BrainInputSpec):
    jacobian_files = InputMultiPath(
        File(exists=True), mandatory=True, desc="volume in the session / in the template"
    )
    session_labels = traits.List(traits.Str, mandatory=True, desc="session of each file")


class VolumeChangeFigures(SimpleInterface):
    """Change of volume of each later session against the first; none for a single session."""

    input_spec = _VolumeChangeFiguresInputSpec
    output_spec = _LaterFiguresOutputSpec

    def _run_interface(self, runtime):
        files, folder = self.inputs.jacobian_files, Path(runtime.cwd)
        self._results["out_files"] = drawn_later(self.inputs, files, draw_volume_change, folder)
        return runtime


def drawn_later(inputs, files, draw, folder):
    """Picture of each later session against the first, of one file per session in time order."""
    first, *later = zip(inputs.session_labels, files, strict=True)
    return [str(draw(inputs, (first, session), folder)) for session in later]


def draw_volume_change(inputs, sessions, folder):
    """Picture of the change of volume from the first to the second of two (label, file)."""
    (before, baseline_file), (after, followup_file) = sessions
    for file in (baseline_file, followup_file, inputs.in_file):
        check_same_grid(file, inputs.mask_file)
    brain = read_volume(inputs.mask_file).data >= 0.5
    volume = faceless(inputs.in_file, brain, margin_mm=0)
    jacobians = (read_volume(file).data for file in (baseline_file, followup_file))
    change_pct = volume_change_map(*jacobians, brain, SMOOTHING_MM / volume.voxel_size_mm)
    title = f"ses-{before} to ses-{after}, volume change in %"
    figure = volume_change_slices(volume, change_pct, brain, title)
    return save_png(figure, folder / f"volume_{after}.png")


class _ThicknessFigureInputSpec(_BrainInputSpec):
    thickness_file = File(exists=True, mandatory=True, desc="thickness of the template, mm")


class _ThicknessFigureOutputSpec(TraitedSpec):
    out_file = File(desc="picture, PNG")


class ThicknessFigure(SimpleInterface):
    """Cortical thickness of the template in colour."""

    input_spec = _ThicknessFigureInputSpec
    output_spec = _ThicknessFigureOutputSpec

    def _run_interface(self, runtime):
        inputs = self.inputs
        brain = read_volume(inputs.mask_file).data >= 0.5
        volume = faceless(inputs.in_file, brain, margin_mm=0)
        thickness_mm = np.where(brain, read_volume(inputs.thickness_file).data, np.nan)
        figure = thickness_slices(volume, thickness_mm, brain, "Cortical thickness of the template")
        self._results["out_file"] = str(save_png(figure, Path(runtime.cwd) / "thickness.png"))
        return runtime


class _ThicknessChangeFiguresInputSpec(_BrainInputSpec):
    atlas_file = File(exists=True, mandatory=True, desc="labels on the template grid")
    thickness_files = InputMultiPath(
        File(exists=True), mandatory=True, desc="tables: index, structure, thickness (mm)"
    )
    session_labels = traits.List(traits.Str, mandatory=True, desc="session of each file")


class ThicknessChangeFigures(SimpleInterface):
    """Change of thickness of each later session against the first; none for a single session."""

    input_spec = _ThicknessChangeFiguresInputSpec
    output_spec = _LaterFiguresOutputSpec

    def _run_interface(self, runtime):
        files, folder = self.inputs.thickness_files, Path(runtime.cwd)
        self._results["out_files"] = drawn_later(self.inputs, files, draw_thickness_change, folder)
        return runtime


def draw_thickness_change(inputs, sessions, folder):
    """Picture of the change of thickness from the first to the second of two (label, file)."""
    (before, baseline_file), (after, followup_file) = sessions
    brain = read_volume(inputs.mask_file).data >= 0.5
    volume = faceless(inputs.in_file, brain, margin_mm=0)
    tables = (cortex_rows(file) for file in (baseline_file, followup_file))
    change_mm = change_by_index(*tables, "thickness")
    title = f"ses-{before} to ses-{after}, change of cortical thickness in mm"
    labels = read_labels(inputs.atlas_file)
    figure = thickness_change_slices(volume, labels, change_mm, title)
    return save_png(figure, folder / f"thickness_{after}.png")


def cortex_rows(path):
    """Rows of the cortical regions of a table of thickness; none is dropped for being n/a."""
    table = read_table(Path(path))
    return table[table["structure"] == CORTEX]
