"""A BOLD run that fMRIPrep preprocessed: its series inside the brain, its confounds."""

from __future__ import annotations

from pathlib import Path

import nibabel as nb
import numpy as np
from nilearn import datasets
from nipype.interfaces.base import (
    BaseInterfaceInputSpec,
    File,
    SimpleInterface,
    TraitedSpec,
    traits,
)

from bids_utils.derivatives import read_table, write_json, write_table
from bids_utils.errors import DatasetError, ToolError
from bids_utils.sidecars import read_json
from workflows.compute.bold_checks import series_problem
from workflows.compute.bold_mask import dead_voxels, dice, epi_brain_mask
from workflows.compute.compcor import current_component_names
from workflows.compute.geometry import resampled
from workflows.compute.tissue import first_labels
from workflows.interfaces.atlas_space import GREY_LABEL
from workflows.interfaces.func_files import write_array
from workflows.interfaces.volumes import (
    UNREADABLE,
    check_whole,
    load_mask,
    load_volume,
    save_volumes,
)

MARGIN = 1
NON_STEADY = "non_steady_state_outlier"


class _TakeSeriesInputSpec(BaseInterfaceInputSpec):
    bold_file = traits.Str(mandatory=True, desc="*_desc-preproc_bold in a standard space")
    mask_file = File(exists=True, desc="fMRIPrep's brain mask of the run; without: one is made")
    boldref_file = File(exists=True, desc="fMRIPrep's reference; without: the mean over time")
    brain_file = File(exists=True, desc="T1w of the space without skull; without: that of nilearn")
    min_dice = traits.Float(mandatory=True, desc="least overlap of the two masks, 0 to 1")
    n_dummy = traits.Int(0, usedefault=True, desc="leading volumes before the steady state")


class _TakeSeriesOutputSpec(TraitedSpec):
    out_file = File(desc="series in the box around the brain, uncompressed float32")
    mask_file = File(desc="brain with BOLD signal, in the same box")
    boldref_file = File(desc="reference, in the same box")
    whole_file = File(desc="reference on the grid of fMRIPrep")
    registration_dice = traits.Float(desc="overlap of the mask with the brain of the space")


class TakeSeries(SimpleInterface):
    """Cut the box around the brain out of a series; refuse one that does not fit its space.

    The box halves what later steps read. Voxels that never change, are no numbers, or are 0 in
    some volume because the head had moved them out of the field of view, are taken out of the
    mask, so that they count as not seen.
    """

    input_spec = _TakeSeriesInputSpec
    output_spec = _TakeSeriesOutputSpec

    def _run_interface(self, runtime):
        image, raw = read_raw(self.inputs.bold_file)
        given, reference = map(self._beside(image), ("mask_file", "boldref_file"))
        if reference is None:
            reference = mean_volume(raw[..., self.inputs.n_dummy :], image)
        brain = self._brain(image) & (reference != 0)
        made = given is None
        head = epi_brain_mask(np.nan_to_num(reference)) if made else given >= 0.5
        self._check(dice(head, brain))
        self._save(raw, head & brain if made else head, (image, reference), Path(runtime.cwd))
        return runtime

    def _beside(self, image):
        """Function of a field: volume of a file on the grid of the image, None without one."""

        def volume_of(field):
            path = getattr(self.inputs, field)
            if not path:
                return None
            volume, affine = load_volume(path)
            volume = volume[..., 0] if volume.ndim == 4 else volume
            if volume.shape != image.shape[:3] or not np.allclose(affine, image.affine, atol=1e-3):
                raise DatasetError(
                    f"{path}: does not lie on the grid of {self.inputs.bold_file} (voxels: "
                    f"{volume.shape} and {image.shape[:3]}); run fMRIPrep again for this person"
                )
            return volume

        return volume_of

    def _brain(self, image):
        """Brain of the space, bool, on the grid of the series."""
        if self.inputs.brain_file:
            volume, affine = load_volume(self.inputs.brain_file)
        else:
            mask = datasets.load_mni152_brain_mask(resolution=1)
            volume, affine = np.asanyarray(mask.dataobj), mask.affine
        return resampled((volume > 0, affine), (image.shape[:3], image.affine), np.eye(4), 0) > 0

    def _check(self, overlap):
        if not overlap >= self.inputs.min_dice:
            raise ToolError(
                f"{self.inputs.bold_file}: its brain overlaps that of its standard space only by "
                f"{overlap:.2f} (Dice), {self.inputs.min_dice:g} needed; look at fMRIPrep's report "
                "of this run, or leave the run out"
            )
        self._results["registration_dice"] = overlap

    def _save(self, raw, mask, images, folder):
        """Write series, mask and reference in the box around the mask, and the whole reference."""
        image, reference = images
        box = brain_box(mask)
        near, series = image.slicer[box], scaled(raw[box], image)
        seen = mask[box] & ~dead_voxels(series) & ~out_of_view(series, resolution(image))
        problem = series_problem(series, self.inputs.n_dummy)
        if not seen.any():
            problem = problem or "no voxel of the brain has a value in every volume (one is empty?)"
        if problem:
            raise DatasetError(f"{self.inputs.bold_file}: {problem}; leave this file out")
        reference = reference.astype(np.float32)
        files = {
            "out_file": (series, near, "series.nii"),
            "mask_file": (seen.astype(np.uint8), near, "mask.nii.gz"),
            "boldref_file": (reference[box], near, "boldref.nii.gz"),
            "whole_file": (reference, image, "whole.nii.gz"),
        }
        for field, (values, like, name) in files.items():
            self._results[field] = write_array(values, like, folder / name)


def read_raw(path):
    """Image and its numbers as they are on disk, before scaling, which takes the least memory.

    Raises
    ------
    DatasetError
        The file is cut off or no image.
    """
    check_whole(path)
    try:
        image = nb.load(path)
        return image, image.dataobj.get_unscaled()
    except UNREADABLE as error:
        raise DatasetError(
            f"{path}: cannot be read to its end ({error}); copy the file again or leave it out"
        ) from error


def scaled(raw, image):
    """Values (float32) of numbers as they are on disk."""
    values = raw.astype(np.float32)
    values *= np.float32(image.dataobj.slope)
    values += np.float32(image.dataobj.inter)
    return values


def resolution(image):
    """Smallest step between two values on disk; 0 for floating point numbers."""
    return abs(image.dataobj.slope) if image.get_data_dtype().kind in "iu" else 0.0


def out_of_view(series, step):
    """Voxels (nx, ny, nz) bool that are 0 in any volume, as resampling leaves those without data.

    Parameters
    ----------
    series : (nx, ny, nz, n_volumes) array
    step : float
        Values up to half of it away from 0 are 0 rounded to what could be written.
    """
    return ((series >= -step / 2) & (series <= step / 2)).any(axis=3)


def mean_volume(raw, image):
    """Mean over time (float32) of a series as it is on disk."""
    return scaled(raw.mean(axis=3, dtype=np.float32), image)


def brain_box(mask):
    """Slices along the three axes that hold a mask and a margin of one voxel.

    Raises
    ------
    ValueError
        The mask is empty.
    """
    inside = np.argwhere(mask)
    if not len(inside):
        raise ValueError("mask: is empty")
    low, high = inside.min(axis=0) - MARGIN, inside.max(axis=0) + MARGIN + 1
    return tuple(slice(max(0, int(a)), int(b)) for a, b in zip(low, high, strict=True))


class _TakeConfoundsInputSpec(BaseInterfaceInputSpec):
    in_file = File(exists=True, mandatory=True, desc="fMRIPrep's table of confounds")


class _TakeConfoundsOutputSpec(TraitedSpec):
    confounds_file = File(desc="the table, components by their present names")
    confounds_json = File(desc="what fMRIPrep says of its columns")
    n_dummy = traits.Int(desc="volumes before the steady state, by fMRIPrep")


class TakeConfounds(SimpleInterface):
    """Table of confounds and its dictionary, components named as fMRIPrep does since version 21."""

    input_spec = _TakeConfoundsInputSpec
    output_spec = _TakeConfoundsOutputSpec

    def _run_interface(self, runtime):
        source, target = Path(self.inputs.in_file), Path(runtime.cwd) / "confounds.tsv"
        sidecar, table = source.with_suffix(".json"), read_table(source)
        facts = read_json(sidecar) if sidecar.is_file() else {}
        names = current_component_names(table.columns, facts)
        meanings = {names[column]: facts[column] for column in names if column in facts}
        write_table(table[list(names)].rename(columns=names), target)
        write_json(meanings, target.with_suffix(".json"))
        n_dummy = sum(name.startswith(NON_STEADY) for name in table.columns)
        self._results |= {"confounds_file": str(target), "n_dummy": n_dummy}
        self._results["confounds_json"] = str(target.with_suffix(".json"))
        return runtime


class _BrainTissuesInputSpec(BaseInterfaceInputSpec):
    in_file = File(exists=True, mandatory=True, desc="T1w without skull")


class _BrainTissuesOutputSpec(TraitedSpec):
    mask_file = File(desc="brain mask")
    gm_file = File(desc="grey matter by intensity")


class BrainTissues(SimpleInterface):
    """Brain mask and grey matter of a standard brain, by its intensities."""

    input_spec = _BrainTissuesInputSpec
    output_spec = _BrainTissuesOutputSpec

    def _run_interface(self, runtime):
        volume, affine = load_volume(self.inputs.in_file)
        mask = load_mask(self.inputs.in_file)
        grey = first_labels(volume, mask) == GREY_LABEL
        self._results |= save_volumes({"mask_file": mask, "gm_file": grey}, affine, runtime.cwd)
        return runtime
