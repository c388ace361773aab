"""Cortical thickness of the template and of each session."""

from __future__ import annotations

from pathlib import Path

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
from workflows.compute.deformation_error import scatter_error
from workflows.compute.thickness import (
    Lines,
    edge_shift,
    line_brightness,
    line_contrast,
    line_lengths,
    region_thickness,
    thickness_lines,
    thickness_map,
    thickness_table,
)
from workflows.compute.tissue import class_means
from workflows.interfaces.atlas import read_labels
from workflows.interfaces.volumes import (
    check_same_grid,
    load_labels,
    load_mask,
    load_volume,
    save_volumes,
    voxel_size_mm,
)

CORTEX = "cortex"
BLOCK_MM = 8.0
"""Noise of lines that are nearer than this is not independent."""
UNEXPLAINED = 1.3
"""Errors of simulated rescans over those that the scatter of lines tells."""
LINE_FIELDS = ("inner", "outer", "room_mm", "voxels")


class _ThicknessLinesInputSpec(BaseInterfaceInputSpec):
    gm_file = File(exists=True, mandatory=True, desc="grey matter of the template, 0..1")
    wm_file = File(exists=True, mandatory=True, desc="white matter of the template, 0..1")
    template_file = File(exists=True, mandatory=True, desc="mean of the warped sessions")
    classes_file = File(exists=True, mandatory=True, desc="five classes of the template")
    atlas_file = File(exists=True, mandatory=True, desc="labels on the same grid")
    labels_file = File(exists=True, mandatory=True, desc="table: index, name, ..., structure")


class _ThicknessLinesOutputSpec(TraitedSpec):
    lines_file = File(desc="lines across the cortex: ends in mm, contrast, brightness; npz")
    thickness_file = File(desc="thickness in the grey matter of cortical regions, mm")


class ThicknessLines(SimpleInterface):
    """Lines across the cortex of the template, the same for all sessions."""

    input_spec = _ThicknessLinesInputSpec
    output_spec = _ThicknessLinesOutputSpec

    def _run_interface(self, runtime):
        inputs, folder = self.inputs, Path(runtime.cwd)
        check_same_grid(inputs.gm_file, inputs.atlas_file)
        (grey, affine), (white, _) = map(load_volume, (inputs.gm_file, inputs.wm_file))
        lines = thickness_lines(grey, white, affine, cortex_of(inputs))
        known = {name: getattr(lines, name) for name in LINE_FIELDS} | brightness_of(inputs, lines)
        np.savez_compressed(folder / "lines.npz", **known)
        lengths, cortex = line_lengths(lines, affine), cortex_of(inputs) & (grey >= 0.5)
        thickness = thickness_map(lengths, lines.voxels, cortex, voxel_size_mm(affine).mean())
        self._results |= save_volumes({"thickness_file": thickness}, affine, folder)
        self._results["lines_file"] = str(folder / "lines.npz")
        return runtime


def cortex_of(inputs):
    """Voxels (i, j, k), bool, of the cortical regions of `inputs.atlas_file`."""
    table = read_labels(inputs.labels_file)
    labels, _ = load_labels(inputs.atlas_file)
    return np.isin(labels, table.loc[table["structure"] == CORTEX, "index"])


def brightness_of(inputs, lines):
    """Contrast and brightness (n_lines, 2) of the template along the lines."""
    template, affine = load_volume(inputs.template_file)
    classes, _ = load_volume(inputs.classes_file)
    means = class_means(template, classes, voxel_size_mm(affine).mean())
    return {
        "contrast": line_contrast(lines, means).astype(np.float32),
        "brightness": line_brightness(lines, affine, template).astype(np.float32),
    }


class _SessionThicknessInputSpec(BaseInterfaceInputSpec):
    lines_file = File(exists=True, mandatory=True, desc="lines of the template")
    warped_file = File(exists=True, mandatory=True, desc="session in the shape of the template")
    displacement_file = File(
        exists=True, mandatory=True, desc="(i, j, k, 3), mm, RAS+: template to session"
    )
    seen_file = File(exists=True, mandatory=True, desc="1 where the session saw the brain")


class _SessionThicknessOutputSpec(TraitedSpec):
    lengths_file = File(desc="length of each line in the session, mm, NaN where not seen; npy")


class SessionThickness(SimpleInterface):
    """Length in one session of each line across the cortex of the template."""

    input_spec = _SessionThicknessInputSpec
    output_spec = _SessionThicknessOutputSpec

    def _run_interface(self, runtime):
        path = Path(runtime.cwd) / "lengths.npy"
        np.save(path, session_lengths(self.inputs))
        self._results["lengths_file"] = str(path)
        return runtime


def session_lengths(inputs):
    """Length (n_lines,), mm, of each line in the session, NaN where not seen."""
    with np.load(inputs.lines_file) as known:
        lines = Lines(**{name: known[name] for name in LINE_FIELDS})
        contrast, template = known["contrast"], known["brightness"]
    (image, affine), (displacement, _) = map(
        load_volume, (inputs.warped_file, inputs.displacement_file)
    )
    inner, outer = edge_shift(line_brightness(lines, affine, image), template, contrast).T
    lengths = line_lengths(lines, affine, displacement) + outer - inner
    seen = load_mask(inputs.seen_file)[tuple(lines.voxels.T)]
    return np.where(seen, lengths, np.nan)


class _RegionThicknessInputSpec(BaseInterfaceInputSpec):
    lines_file = File(exists=True, mandatory=True, desc="lines of the template")
    lengths_files = InputMultiPath(File(exists=True), mandatory=True, desc="one per session")
    atlas_file = File(exists=True, mandatory=True, desc="labels on the template")
    labels_file = File(exists=True, mandatory=True, desc="table: index, name, ..., structure")
    min_lines = traits.Int(mandatory=True, desc="a region with fewer lines is n/a")
    min_coverage = traits.Float(mandatory=True, desc="a region seen less than this is n/a, 0..1")


class _RegionThicknessOutputSpec(TraitedSpec):
    out_files = traits.List(File(), desc="table per session: region, thickness in mm, its error")


class RegionThickness(SimpleInterface):
    """Mean thickness of each region in each session; no region is left out."""

    input_spec = _RegionThicknessInputSpec
    output_spec = _RegionThicknessOutputSpec

    def _run_interface(self, runtime):
        inputs, folder = self.inputs, Path(runtime.cwd)
        self._results["out_files"] = []
        for number, rows in enumerate(thickness_tables(inputs)):
            path = folder / f"thickness{number}.tsv"
            write_table(rows, path)
            self._results["out_files"].append(str(path))
        return runtime


def thickness_tables(inputs):
    """Table of all regions for each session: thickness (mm), lines, standard error (mm)."""
    table, (labels, affine) = read_labels(inputs.labels_file), load_labels(inputs.atlas_file)
    with np.load(inputs.lines_file) as known:
        voxels = known["voxels"]
    lengths = [np.load(file) for file in inputs.lengths_files]
    block = max(1, round(BLOCK_MM / voxel_size_mm(affine).mean()))
    relative = UNEXPLAINED * line_error(lengths, voxels, labels, (table["index"], block))
    floors = (inputs.min_lines, inputs.min_coverage)
    for session in lengths:
        mean, n_lines = region_thickness(session, voxels, labels, table["index"], *floors)
        rows = thickness_table(table, mean, n_lines, CORTEX)
        yield rows.assign(thickness_standard_error=(relative * rows["thickness"]).round(7))


def line_error(lengths, voxels, labels, how):
    """Relative standard error (n_regions,) of one session's mean length; NaN for one session.

    `how` holds the labels of the regions and the side of a block in voxels, see `scatter_error`.
    """
    regions, block = how
    if len(lengths) < 2:
        return np.full(len(regions), np.nan)
    seen = np.isfinite(lengths).all(axis=0)
    where = tuple(voxels[seen].T)
    lined = np.zeros_like(labels)
    lined[where] = labels[where]
    shares = []
    for session in lengths:
        share = np.zeros(labels.shape, np.float32)
        share[where] = session[seen]
        shares.append(share)
    return scatter_error(shares, lined, regions, block)
