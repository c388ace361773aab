"""No picture shows what lies away from the brain, whatever is there."""

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from scipy import ndimage

from workflows.drawing.slices import Volume
from workflows.interfaces.anat import BrainMask, Conform
from workflows.interfaces.change_figures import ThicknessFigure, VolumeChangeFigures
from workflows.interfaces.figures import (
    AtlasFigure,
    BoldFigure,
    MaskFigure,
    MniFigure,
    SessionFigures,
    TissueFigure,
    mni_masks,
)
from workflows.interfaces.volumes import save_volume

WIDEST_MARGIN_MM = 8.0


def pictures(folder, volume, affine, brain):
    """Bytes of each kind of picture of a head, by its name."""
    folder.mkdir()
    files = {
        name: save_volume(data, affine, folder / f"{name}.nii.gz")
        for name, data in {
            "head": volume.astype(np.float32),
            "brain": brain,
            "smaller": np.full(brain.shape, 0.9, np.float32),
            "larger": np.full(brain.shape, 1.1, np.float32),
            "labels": np.where(brain, 1 + (np.indices(brain.shape)[0] % 3), 0),
        }.items()
    }
    head, mask, labels = files["head"], files["brain"], files["labels"]
    nodes = (
        MaskFigure(in_files=[head], mask_file=mask),
        TissueFigure(in_file=head, mask_file=mask, dseg_file=labels),
        SessionFigures(in_files=[head], mask_file=mask, titles=["ses-pre"]),
        MniFigure(in_file=head),
        AtlasFigure(in_file=head, mask_file=mask, atlas_file=labels),
        BoldFigure(in_file=head, dseg_file=labels),
        ThicknessFigure(in_file=head, mask_file=mask, thickness_file=head),
        VolumeChangeFigures(
            in_file=head,
            mask_file=mask,
            jacobian_files=[files["smaller"], files["larger"]],
            session_labels=["pre", "post"],
        ),
    )
    made = {}
    for node in nodes:
        place = folder / type(node).__name__
        place.mkdir()
        found = node.run(cwd=str(place)).outputs.get()
        given = found.get("out_file") or found["out_files"]
        file = given if isinstance(given, str) else given[0]
        made[type(node).__name__] = Path(file).read_bytes()
    return made


def far_from(brain, affine):
    distance = ndimage.distance_transform_edt(~brain, sampling=nib.affines.voxel_sizes(affine))
    return distance > WIDEST_MARGIN_MM


def test_pictures_are_the_same_with_any_face(tmp_path):
    affine = np.diag([4.0, 4, 4, 1])
    affine[:3, 3] = [-98, -134, -72]
    places = np.moveaxis(np.indices((49, 58, 47)), 0, -1) @ affine[:3, :3] + affine[:3, 3]
    brain = (((places - [0, -22, 9]) / [66, 86, 70]) ** 2).sum(-1) <= 1
    generator = np.random.default_rng(1)
    volume = np.where(brain, 60 + 40 * generator.random(brain.shape), 0)
    mni_brain, _ = mni_masks(Volume(volume, affine))  # decides what a picture in MNI shows
    far = far_from(brain | mni_brain, affine)
    assert far.mean() > 0.1
    faces = [np.where(far, kind * 300, volume) for kind in (0, generator.random(brain.shape))]
    first, other = (
        pictures(tmp_path / str(i), face, affine, brain) for i, face in enumerate(faces)
    )
    assert first == other


@pytest.mark.slow
@pytest.mark.needs_shared
def test_pictures_of_a_real_head_do_not_change_when_its_face_is_taken_away(tmp_path, shared_dir):
    path = shared_dir / "data" / "ixi_2mm" / "IXI012-HH-1211_T1.nii.gz"
    head = Conform(in_file=str(path)).run(cwd=str(tmp_path)).outputs.out_file
    found = BrainMask(in_file=head, fractional_threshold=0.45).run(cwd=str(tmp_path)).outputs
    brain = nib.load(found.mask_file).get_fdata() >= 0.5
    image = nib.load(head)
    volume, far = image.get_fdata(dtype=np.float32), far_from(brain, image.affine)
    assert volume[far].max() > 0.5 * np.median(volume[brain])
    whole = pictures(tmp_path / "whole", volume, image.affine, brain)
    without = pictures(tmp_path / "without", np.where(far, 0, volume), image.affine, brain)
    for own in (whole, without):
        own.pop("MniFigure")  # its image must be in MNI: see the test above it
    assert whole == without
