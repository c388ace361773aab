import json

import nibabel as nib
import numpy as np
import pytest
from scipy import ndimage
from scipy.spatial.transform import Rotation

from bids_utils.derivatives import read_table
from bids_utils.errors import DatasetError
from workflows.compute.geometry import resampled
from workflows.compute.image_quality import QUALITY_MEASURES
from workflows.interfaces.session_quality import QUALITY_DICTIONARY, SessionQuality, part_of
from workflows.interfaces.volumes import save_volume

SHAPE = (40, 42, 44)
AFFINE = np.array([[2.5, 0, 0, -45], [0, 2.5, 0, -60], [0, 0, 2.5, -50], [0, 0, 0, 1]])
SESSION = (
    (44, 42, 46),
    np.diag([2.5, 2.5, 2.5, 1]) + np.pad([[-60], [-50], [-40], [0]], ((0, 0), (3, 0))),
)
CROP = (slice(2, 43), slice(1, 40), slice(3, 45))


def rigid(degrees, shift):
    matrix = np.eye(4)
    matrix[:3, :3] = Rotation.from_euler("xyz", degrees, degrees=True).as_matrix()
    matrix[:3, 3] = shift
    return matrix


XFM = rigid((6, -3, 12), (-4, 7, 9))


@pytest.fixture(scope="module")
def template():
    """Volumes of a lopsided brain: CSF around white matter around grey matter."""
    i, j, k = np.indices(SHAPE) * 2.5 - np.array([50, 52, 55])[:, None, None, None]
    radius = np.sqrt((i / 0.8) ** 2 + j**2 + ((k - 5 * (j > 9)) / 0.9) ** 2)
    shells = [radius < 18, (radius >= 18) & (radius < 32), (radius >= 32) & (radius < 40)]
    gm, wm, csf = (ndimage.gaussian_filter(part.astype(np.float32), 0.4) for part in shells)
    mask = radius < 40
    t1w = 60 * gm + 100 * wm + 20 * csf
    return {"template": t1w, "template_mask": mask, "gm": gm, "wm": wm, "csf": csf}


def moved(volume, order=1):
    """Volume of the template seen in the session."""
    return resampled((volume, AFFINE), SESSION, np.linalg.inv(XFM), order)


@pytest.fixture
def files(tmp_path, template):
    """Input files: the session is the template moved by XFM; its field is .9, its mask cropped."""
    written = {
        f"{name}_file": save_volume(volume, AFFINE, tmp_path / f"{name}.nii.gz")
        for name, volume in template.items()
    }
    noise = np.random.default_rng(0).normal(scale=2, size=(2, *SESSION[0]))
    head = np.hypot(moved(template["template"]) + noise[0], noise[1])
    cropped = nib.Nifti1Image(head, SESSION[1]).slicer[CROP]
    mask = moved(template["template_mask"].astype(float))[CROP] >= 0.5
    written["in_file"] = save_volume(0.9 * head, SESSION[1], tmp_path / "in.nii.gz")
    written["corrected_file"] = save_volume(
        cropped.get_fdata(), cropped.affine, tmp_path / "corrected.nii.gz"
    )
    written["mask_file"] = save_volume(mask, cropped.affine, tmp_path / "mask.nii.gz")
    return written | {"xfm_file": write_xfm(tmp_path / "xfm.mat", XFM)}


def write_xfm(path, matrix):
    np.savetxt(path, matrix)
    return str(path)


def quality(folder, files, **other):
    """Row of measures of a session."""
    folder.mkdir(exist_ok=True)
    return read_table(SessionQuality(**files | other).run(cwd=folder).outputs.out_file).iloc[0]


def changed(files, folder, field, change):
    """The same files, one of them with other voxels."""
    image = nib.load(files[field])
    volume = change(image.get_fdata())
    return files | {field: save_volume(volume, image.affine, folder / f"{field}.nii.gz")}


def test_the_table_has_one_row_with_all_measures_and_a_dictionary(tmp_path, files):
    row = quality(tmp_path / "node", files)
    assert list(row.index) == [*(measure.name for measure in QUALITY_MEASURES), "face_share"]
    dictionary = json.loads((tmp_path / "node" / "quality.json").read_text())
    assert dictionary == QUALITY_DICTIONARY
    assert dictionary["fwhm_avg"]["Units"] == "mm"
    assert dictionary["snr_wm"]["Description"].endswith("Higher is better.")
    assert row.drop("face_share").notna().all()  # the little image ends before the face
    assert row["inu_med"] == pytest.approx(0.9, rel=1e-3)


def test_the_template_is_moved_onto_the_session_and_not_away_from_it(tmp_path, files):
    right = quality(tmp_path / "right", files)
    inverse = write_xfm(tmp_path / "inverse.mat", np.linalg.inv(XFM))
    wrong = quality(tmp_path / "wrong", files, xfm_file=inverse)
    assert right["registration_r"] > 0.99
    assert right["mask_dice"] == pytest.approx(1, abs=0.005)
    assert wrong["registration_r"] < 0.6
    assert wrong["mask_dice"] < 0.9
    assert right["snr_wm"] == pytest.approx(100 / 2, rel=0.35)


def test_the_mask_is_measured_in_ml_and_against_the_whole_template_mask(tmp_path, files, template):
    def left_half(mask):
        return mask * (np.arange(mask.shape[0]) < 20)[:, None, None] > 0

    whole_ml = template["template_mask"].sum() * 2.5**3 / 1000
    row = quality(tmp_path / "whole", files)
    assert row["mask_ml"] == pytest.approx(whole_ml, rel=0.005)
    half = quality(tmp_path / "half", changed(files, tmp_path, "mask_file", left_half))
    share = half["mask_ml"] / whole_ml
    assert 0.2 < share < 0.4
    assert half["mask_dice"] == pytest.approx(2 * share / (1 + share), abs=0.005)


def test_a_brighter_left_side_is_positive_whatever_the_pose_of_the_head(tmp_path, files, template):
    i = np.indices(SHAPE)[0]
    bright = template["template"] * np.where(i < 20, 1.1, 1.0)
    image = {"in_file": save_volume(moved(bright, 1), SESSION[1], tmp_path / "bright.nii.gz")}
    row = quality(tmp_path / "left", files | image)
    assert row["asymmetry"] == pytest.approx(100 * 0.1 / 1.05, abs=0.7)
    assert quality(tmp_path / "even", files)["asymmetry"] == pytest.approx(0, abs=0.7)


def test_a_field_of_view_cut_on_the_right_makes_the_left_side_brighter(tmp_path, files):
    def cut(volume):
        return volume * (np.arange(volume.shape[0]) < 27)[:, None, None]

    row = quality(tmp_path / "cut", changed(files, tmp_path, "in_file", cut))
    assert row["asymmetry"] > 20


def test_the_window_of_a_cropped_image_is_found_in_voxels():
    whole = nib.Nifti1Image(np.zeros(SESSION[0]), SESSION[1])
    assert part_of(whole, whole.slicer[CROP]) == CROP


@pytest.mark.parametrize("shift_mm", [(1.2, 0, 0), (0, 0, -10), (0, 25, 0)])
def test_an_image_that_was_not_cut_from_the_head_is_refused(shift_mm):
    whole = nib.Nifti1Image(np.zeros(SESSION[0]), SESSION[1])
    part = whole.slicer[CROP]
    affine = part.affine.copy()
    affine[:3, 3] += shift_mm
    with pytest.raises(DatasetError, match="not a part of"):
        part_of(whole, nib.Nifti1Image(np.zeros(part.shape), affine))


def test_tissue_of_another_grid_than_the_template_is_refused(tmp_path, files, template):
    other = save_volume(template["gm"][1:], AFFINE, tmp_path / "other.nii.gz")
    with pytest.raises(DatasetError, match="other.nii.gz do not lie on the same grid"):
        quality(tmp_path / "node", files, gm_file=other)
