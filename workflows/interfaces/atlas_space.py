"""Labels of an atlas: checked against their table and space, and carried to MNI."""

from __future__ import annotations

import shutil
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
from nilearn import datasets
from nipype.interfaces.base import (
    BaseInterfaceInputSpec,
    File,
    SimpleInterface,
    TraitedSpec,
    isdefined,
    traits,
)

from bids_utils.derivatives import content_digest, replaced_whole, write_json
from bids_utils.errors import DatasetError, SettingsError, ToolError
from bids_utils.sidecars import file_sidecar, read_json
from configs.atlases import Atlas
from configs.label_tables import check_regions, read_label_table, shown
from workflows.compute.atlas_labels import carried_labels
from workflows.compute.parcels import dice
from workflows.compute.tissue import first_labels
from workflows.interfaces.registration import MNI_SPACE
from workflows.interfaces.volumes import load_labels, load_mask, load_volume, voxel_size_mm

GREY_LABEL = 2
MIN_INSIDE = 0.75
MIN_GREY_DICE = 0.7
WHOLE_TOLERANCE = 1e-3
MAX_LABEL = 32767
DIGEST_FIELD = "SHA256"
"""Field of the sidecar with the digest of carried labels, by which harmed ones are noticed."""


def check_atlas(atlas: Atlas) -> pd.DataFrame:
    """Regions of an atlas (index, name, hemisphere, structure) whose image was checked.

    Raises
    ------
    SettingsError
        The image is not one of whole-numbered labels, has labels without a row or the reverse,
        lies outside the brain of its space, is mirrored, or has another voxel size than known.
    DatasetError
        A file cannot be read.
    """
    table, labels, affine = read_label_table(atlas), *read_atlas_image(atlas)
    found = np.unique(labels)
    if atlas.labels_file.suffix == ".txt":
        table = table[table["index"].isin(found)].reset_index(drop=True)
    check_regions(table, atlas.labels_file)
    check_same_labels(atlas, table, found[found > 0])
    check_place(atlas, labels, affine)
    check_sides(atlas, table, (labels, affine))
    return table


def read_atlas_image(atlas: Atlas) -> tuple[np.ndarray, np.ndarray]:
    """Labels (i, j, k), int32, and their affine."""
    volume, affine = load_volume(atlas.file)
    if volume.ndim == 4 and volume.shape[3] == 1:
        volume = volume[..., 0]
    if volume.ndim != 3:
        raise SettingsError(
            f"{atlas.file}: has the shape {volume.shape}; an atlas is one 3-D image of labels. "
            "Of a probabilistic atlas make one first: in each voxel its most likely region"
        )
    if not np.isfinite(volume).all() or np.abs(volume - np.rint(volume)).max() > WHOLE_TOLERANCE:
        raise SettingsError(
            f"{atlas.file}: not all values are whole numbers, so it is no image of labels, or was "
            "interpolated; resample labels with the nearest neighbour only"
        )
    low, high = volume.min(), volume.max()
    if low < 0 or high > MAX_LABEL or high == 0:
        raise SettingsError(
            f"{atlas.file}: labels from {int(low)} to {int(high)}; from 1 to "
            f"{MAX_LABEL} are possible, and 0 where there is no region"
        )
    found = voxel_size_mm(affine)
    if atlas.resolution_mm and not np.allclose(found, atlas.resolution_mm, atol=0.01):
        raise SettingsError(
            f"{atlas.file}: voxels of {found.round(2)} mm, expected {atlas.resolution_mm} mm for "
            f"{atlas.name}; it is another image, fetch it again"
        )
    return np.rint(volume).astype(np.int32), affine


def check_same_labels(atlas: Atlas, table: pd.DataFrame, found: np.ndarray) -> None:
    """Raise SettingsError unless image and table hold the same regions."""
    nameless = found[~np.isin(found, table["index"])]
    if len(nameless):
        raise SettingsError(
            f"{atlas.file}: has labels {shown(pd.Series(nameless))} that {atlas.labels_file} does "
            "not name; add lines for them"
        )
    absent = table.loc[~table["index"].isin(found)]
    if len(absent):
        raise SettingsError(
            f"{atlas.labels_file}: names regions that {atlas.file} does not have: "
            f"{shown(absent['name'])}; take these lines out, or give the image that belongs to it"
        )


def check_place(atlas: Atlas, labels: np.ndarray, affine: np.ndarray) -> None:
    """Raise SettingsError unless the labels lie in the brain of their space."""
    brain, brain_affine = brain_mask(atlas)
    points = voxels_mm(labels > 0, affine)
    places = np.rint(nib.affines.apply_affine(np.linalg.inv(brain_affine), points)).astype(int)
    within = np.all((places >= 0) & (places < brain.shape), axis=1)
    inside = np.count_nonzero(brain[tuple(places[within].T)]) / len(points)
    if inside < MIN_INSIDE:
        raise SettingsError(
            f"{atlas.file}: {100 * inside:.0f} % of its labels lie in the brain of {atlas.space}; "
            "the space is another one, or the header of the image (sform, qform) is wrong"
        )


def brain_mask(atlas: Atlas) -> tuple[np.ndarray, np.ndarray]:
    """Brain (i, j, k), bool, of the space of an atlas, and its affine."""
    if atlas.brain_file is None:
        image = datasets.load_mni152_brain_mask(resolution=1)
        return np.asanyarray(image.dataobj) >= 0.5, image.affine
    volume, affine = load_volume(atlas.brain_file)
    if volume.ndim != 3 or not (volume == 0).any() or not (volume > 0).any():
        raise SettingsError(
            f"{atlas.brain_file}: not a T1w without skull (0 outside of the brain); give such an "
            "image as atlas.space_template"
        )
    return volume > 0, affine


def check_sides(atlas: Atlas, table: pd.DataFrame, image: tuple[np.ndarray, np.ndarray]) -> None:
    """Raise SettingsError where most regions lie on the other side than their hemisphere."""
    labels, affine = image
    x_mm, found = voxels_mm(labels > 0, affine)[:, 0], labels[labels > 0]
    sums, counts = np.bincount(found, x_mm), np.bincount(found)
    sided = table[table["hemisphere"].isin(["L", "R"])]
    middle_mm = sums[sided["index"]] / counts[sided["index"]]
    if len(sided) and np.mean((middle_mm > 0) == (sided["hemisphere"] == "L")) > 0.5:
        raise SettingsError(
            f"{atlas.file}: most regions lie on the other side than {atlas.labels_file} says; left "
            "and right of the image (its affine) or of the table are exchanged"
        )


def voxels_mm(mask: np.ndarray, affine: np.ndarray) -> np.ndarray:
    """Places (n_voxels, 3), mm, of the voxels of a mask."""
    return nib.affines.apply_affine(affine, np.argwhere(mask))


class _BrainMatchInputSpec(BaseInterfaceInputSpec):
    brain_file = File(exists=True, mandatory=True, desc="brain of another space, on the MNI grid")
    mask_file = File(exists=True, mandatory=True, desc="brain mask of MNI")
    gm_file = File(exists=True, mandatory=True, desc="grey matter of MNI, 0..1")
    named_file = File(exists=True, mandatory=True, desc="file that the message names")


class _BrainMatchOutputSpec(TraitedSpec):
    overlap = traits.Float(desc="Dice of grey matter by intensity and that of MNI")


class BrainMatch(SimpleInterface):
    """Overlap of the grey matter of two standard brains after registration; low is an error."""

    input_spec = _BrainMatchInputSpec
    output_spec = _BrainMatchOutputSpec

    def _run_interface(self, runtime):
        volume, _ = load_volume(self.inputs.brain_file)
        labels = first_labels(volume, load_mask(self.inputs.mask_file))
        overlap = dice(labels == GREY_LABEL, load_mask(self.inputs.gm_file))
        check_match(overlap, self.inputs.named_file)
        self._results["overlap"] = overlap
        return runtime


def check_match(overlap, named_file):
    """Raise ToolError where a brain could not be registered to that of the images."""
    if not overlap >= MIN_GREY_DICE:
        raise ToolError(
            f"{named_file}: after the registration to {MNI_SPACE} the grey matter overlaps by "
            f"{overlap:.2f} (Dice, at least {MIN_GREY_DICE}); it must be a T1w of the space of the "
            "atlas, without skull"
        )


class _CarryLabelsInputSpec(BaseInterfaceInputSpec):
    in_file = File(exists=True, mandatory=True, desc="labels")
    reference_file = File(exists=True, mandatory=True, desc="grid of the answer")
    xfm_file = File(exists=True, desc="displacement on that grid to the space of the labels")


class _CarryLabelsOutputSpec(TraitedSpec):
    out_file = File(desc="labels on the grid of the reference")


class CarryLabels(SimpleInterface):
    """Labels on a finer grid, in another space: each voxel takes the label with most weight."""

    input_spec = _CarryLabelsInputSpec
    output_spec = _CarryLabelsOutputSpec

    def _run_interface(self, runtime):
        labels, affine = load_labels(self.inputs.in_file)
        reference = nib.load(self.inputs.reference_file)
        points = np.indices(reference.shape).reshape(3, -1).T
        points = nib.affines.apply_affine(reference.affine, points)
        if self.inputs.xfm_file:
            points = points + load_displacement(self.inputs.xfm_file).reshape(-1, 3)
        voxels = nib.affines.apply_affine(np.linalg.inv(affine), points).T
        carried = carried_labels(labels, voxels).reshape(reference.shape)
        path = Path(runtime.cwd) / "labels.nii.gz"
        self._results["out_file"] = save_labels(carried, reference.affine, path)
        return runtime


def load_displacement(path):
    """Displacement (i, j, k, 3), mm, RAS+, of a warp of greedy, which is LPS+ on disk."""
    return nib.load(path).get_fdata(dtype=np.float32)[:, :, :, 0] * np.float32([-1, -1, 1])


def save_labels(labels, affine, path):
    """Absolute name of the written file; labels are int16."""
    image = nib.Nifti1Image(labels.astype(np.int16), affine)
    image.set_sform(affine, 1)
    image.set_qform(affine, 1)
    image.header.set_xyzt_units("mm")
    image.to_filename(path)
    return str(Path(path).absolute())


class _SaveAtlasInputSpec(BaseInterfaceInputSpec):
    in_file = File(exists=True, mandatory=True, desc="labels carried to MNI")
    labels_file = File(exists=True, mandatory=True, desc="labels before")
    out_file = traits.Str(mandatory=True, desc="where it is kept for all participants")
    description = traits.Dict(mandatory=True, desc="of its sidecar")
    overlap = traits.Float(desc="Dice of the grey matter of the two brains; it is waited for")


class _SaveAtlasOutputSpec(TraitedSpec):
    out_file = File(exists=True, desc="the same")


class SaveAtlas(SimpleInterface):
    """Carried labels, kept whole or not at all; two jobs may do so at the same time."""

    input_spec = _SaveAtlasInputSpec
    output_spec = _SaveAtlasOutputSpec

    def _run_interface(self, runtime):
        inputs = self.inputs
        check_none_lost(inputs.labels_file, inputs.in_file)
        sidecar = dict(inputs.description)
        if isdefined(inputs.overlap):
            sidecar["GreyMatterDice"] = round(inputs.overlap, 4)
        keep_labels(Path(inputs.in_file), Path(inputs.out_file), sidecar)
        self._results["out_file"] = inputs.out_file
        return runtime


def keep_labels(labels_file: Path, place: Path, sidecar: dict[str, object]) -> None:
    """Copy carried labels, with what describes them, to where all participants find them.

    Labels that another job has kept there stay: others may read them by now.
    """
    if is_kept_whole(place):
        return
    write_json(sidecar | {DIGEST_FIELD: content_digest(labels_file)}, file_sidecar(place))
    with replaced_whole(place) as temporary:
        shutil.copyfile(labels_file, temporary)


def is_kept_whole(labels_file: Path) -> bool:
    """Whether carried labels are there with the bytes that were written."""
    try:
        noted = read_json(file_sidecar(labels_file))
        return noted.get(DIGEST_FIELD) == content_digest(labels_file)
    except (DatasetError, OSError):
        return False


def check_none_lost(before, after):
    """Raise DatasetError where a label has no voxel any more."""
    lost = np.setdiff1d(load_labels(before)[0], load_labels(after)[0])
    if len(lost):
        raise DatasetError(
            f"{before}: labels {shown(pd.Series(lost))} have no voxel in {MNI_SPACE}; they lie "
            "outside of its field of view or are too small. Take them out of the atlas"
        )
