"""Quality of the T1-weighted image of one session."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
from nipype.interfaces.base import BaseInterfaceInputSpec, File, SimpleInterface, TraitedSpec
from scipy import ndimage

from bids_utils.derivatives import write_table
from bids_utils.errors import DatasetError
from workflows.compute.face import FACE_SHARE, face_share
from workflows.compute.geometry import resampled
from workflows.compute.image_quality import (
    QUALITY_MEASURES,
    BrainImages,
    air_measures,
    brain_measures,
    brightest,
    dice,
    side_difference_pct,
)
from workflows.interfaces.volumes import (
    check_same_grid,
    load_mask,
    load_volume,
    voxel_ml,
    voxel_size_mm,
)

BOX_MARGIN_MM = 2.0
SIDES_MM = 2.0
BETTER = {"higher": " Higher is better.", "lower": " Lower is better.", "neither": ""}
QUALITY_DICTIONARY = {
    row.name: {"Description": row.description + BETTER[row.better], "Units": row.unit}
    for row in QUALITY_MEASURES
} | {
    "face_share": {
        "Description": f"Share of the place of the face that shows tissue; from {FACE_SHARE:g} on "
        "the image seems not to be defaced. No measure of quality: it is not compared between "
        "people.",
        "Units": "1",
    }
}
TEMPLATE_FIELDS = ("template_mask_file", "gm_file", "wm_file", "csf_file")


class _SessionQualityInputSpec(BaseInterfaceInputSpec):
    in_file = File(exists=True, mandatory=True, desc="head of the session as it came, RAS axes")
    corrected_file = File(
        exists=True, mandatory=True, desc="without bias field; the same voxels, or a part of them"
    )
    mask_file = File(exists=True, mandatory=True, desc="its brain mask, grid of corrected_file")
    xfm_file = File(exists=True, mandatory=True, desc="template to session, 4x4, mm")
    template_file = File(exists=True, mandatory=True, desc="template, T1-weighted")
    template_mask_file = File(exists=True, mandatory=True, desc="its brain mask")
    gm_file = File(exists=True, mandatory=True, desc="grey matter of the template, 0..1")
    wm_file = File(exists=True, mandatory=True, desc="white matter of the template, 0..1")
    csf_file = File(exists=True, mandatory=True, desc="CSF of the template, 0..1")


class _SessionQualityOutputSpec(TraitedSpec):
    out_file = File(desc="table of one row; columns in QUALITY_DICTIONARY")


class SessionQuality(SimpleInterface):
    """Noise, contrast, bias, blur, motion, air and overlap of one T1-weighted image."""

    input_spec = _SessionQualityInputSpec
    output_spec = _SessionQualityOutputSpec

    def _run_interface(self, runtime):
        check_session_files(self.inputs)
        path = Path(runtime.cwd) / "quality.tsv"
        table = pd.DataFrame([quality_values(self.inputs)])[list(QUALITY_DICTIONARY)]
        write_table(table, path, QUALITY_DICTIONARY)
        self._results["out_file"] = str(path)
        return runtime


def quality_values(inputs):
    """Value of each of `QUALITY_MEASURES` and `face_share`, by name."""
    head, affine = load_volume(inputs.in_file)
    xfm = np.loadtxt(inputs.xfm_file)
    window = part_of(nib.load(inputs.in_file), nib.load(inputs.corrected_file))
    brain = np.zeros(head.shape, bool)
    brain[window] = load_mask(inputs.mask_file)
    found, air_sd = air_measures(head, brain, voxel_size_mm(affine))
    images, box_affine = brain_images(inputs, head[window], xfm)
    found |= brain_measures(images, air_sd, voxel_size_mm(affine))
    found |= mask_measures(images, box_affine, inputs.template_mask_file)
    found["face_share"] = face_share(head, affine, brain)
    found["asymmetry"] = asymmetry_pct((head, affine), inputs.wm_file, xfm)
    return found


def check_session_files(inputs):
    """Raise DatasetError where images that belong together do not share a grid."""
    check_same_grid(inputs.corrected_file, inputs.mask_file)
    for field in TEMPLATE_FIELDS:
        check_same_grid(inputs.template_file, getattr(inputs, field))


def part_of(whole, part):
    """Slices of the voxels of a whole image that an image cut from it has.

    Raises
    ------
    DatasetError
        It was not cut from that image.
    """
    to_whole = np.linalg.inv(whole.affine) @ part.affine
    start = np.rint(to_whole[:3, 3]).astype(int)
    shifted = np.eye(4)
    shifted[:3, 3] = start
    inside = np.all(start >= 0) and np.all(start + part.shape[:3] <= whole.shape[:3])
    if not inside or not np.allclose(to_whole, shifted, atol=1e-2):
        raise DatasetError(f"{part.get_filename()}: not a part of {whole.get_filename()}")
    return tuple(slice(first, first + n) for first, n in zip(start, part.shape[:3], strict=True))


def brain_images(inputs, uncorrected, xfm):
    """`BrainImages` in a box around the session's brain, and the affine of the box."""
    corrected, affine = load_volume(inputs.corrected_file)
    mask = load_mask(inputs.mask_file)
    box, affine = brain_box(mask, affine)
    grid, to_template = (mask[box].shape, affine), np.linalg.inv(xfm)
    moved = [
        resampled(load_volume(getattr(inputs, field)), grid, to_template, 1)
        for field in ("template_file", *TEMPLATE_FIELDS)
    ]
    images = BrainImages(
        uncorrected[box],
        corrected[box],
        mask[box],
        moved[0],
        moved[1] >= 0.5,
        np.stack(moved[2:]),
        brightest(corrected),
    )
    return images, affine


def brain_box(mask, affine):
    """Slices of the box around a mask with a margin of `BOX_MARGIN_MM`, and its affine."""
    (bounds,) = ndimage.find_objects(mask.astype(np.uint8))
    margin = np.ceil(BOX_MARGIN_MM / voxel_size_mm(affine)).astype(int)
    box = tuple(
        slice(max(0, part.start - more), part.stop + more)
        for part, more in zip(bounds, margin, strict=True)
    )
    box_affine = affine.copy()
    box_affine[:3, 3] += affine[:3, :3] @ [part.start for part in box]
    return box, box_affine


def mask_measures(images, affine, template_mask_file):
    """Volume of the session's mask (ml) and its overlap with the whole mask of the template."""
    template_ml = load_mask(template_mask_file).sum() * voxel_ml(
        nib.load(template_mask_file).affine
    )
    mask_ml, both_ml = (
        np.count_nonzero(mask) * voxel_ml(affine)
        for mask in (images.mask, images.mask & images.template_mask)
    )
    return {"mask_ml": mask_ml, "mask_dice": dice(mask_ml, template_ml, both_ml)}


def asymmetry_pct(head, wm_file, xfm):
    """`side_difference_pct` of a session, (volume, affine), in the space of the template."""
    white, affine = load_volume(wm_file)
    step = np.maximum(1, np.rint(SIDES_MM / voxel_size_mm(affine)).astype(int))
    white = white[tuple(slice(None, None, n) for n in step)]
    affine = affine @ np.diag([*step, 1])
    volume = resampled(head, (white.shape, affine), xfm, 1)
    x_mm = np.einsum("a,aijk->ijk", affine[0, :3], np.indices(white.shape))
    return side_difference_pct(volume, white, x_mm)
