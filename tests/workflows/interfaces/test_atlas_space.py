import os

import nibabel as nib
import numpy as np
import pytest

from bids_utils.errors import DatasetError, SettingsError, ToolError
from configs.atlases import Atlas
from workflows.interfaces import atlas_space
from workflows.interfaces.atlas_space import CarryLabels, SaveAtlas, check_atlas, check_match

AFFINE = np.array([[-2.0, 0, 0, 5], [0, 2, 0, -3], [0, 0, 2, 0], [0, 0, 0, 1]])
ROWS = "index\tname\themisphere\n1\tleft\tL\n300\tright\tR\n"


def save(path, volume, affine=AFFINE):
    nib.Nifti1Image(volume, affine).to_filename(path)
    return path


def two_labels():
    """Labels 300 at x = 3 and 5 mm, 1 at x = -3 and -1 mm (the first axis runs to the left)."""
    labels = np.zeros((6, 4, 4), np.float32)
    labels[:2, 1:3, 1:3], labels[3:5, 1:3, 1:3] = 300, 1
    return labels


@pytest.fixture
def make(tmp_path):
    """Return a function that writes an atlas and says what it is."""
    brain = save(
        tmp_path / "brain.nii.gz", np.pad(np.ones((6, 2, 2), np.uint8), ((0, 0), (1, 1), (1, 1)))
    )

    def make_atlas(labels=None, rows=ROWS, affine=AFFINE, table="labels.tsv", **known):
        path = save(tmp_path / "labels.nii.gz", two_labels() if labels is None else labels, affine)
        (tmp_path / table).write_text(rows)
        known = {"brain_file": brain} | known
        return Atlas("Mine", "Colin27", path, tmp_path / table, "", "", "", **known)

    return make_atlas


def test_a_sound_atlas_gives_its_regions_in_the_order_of_the_table(make):
    table = check_atlas(make(rows="name\tindex\nright\t300\nleft\t1\n"))
    assert table["index"].tolist() == [300, 1]
    assert table["name"].tolist() == ["right", "left"]
    assert check_atlas(make(two_labels()[..., None]))["index"].tolist() == [1, 300]


def test_of_a_colour_table_only_what_the_image_has_is_taken(make):
    rows = (
        "0 Unknown 0 0 0 0\n1 left 1 1 1 0\n300 right 9 9 9 0\n7 twice 0 0 0 0\n8 twice 0 0 0 0\n"
    )
    assert check_atlas(make(rows=rows, table="lut.txt"))["index"].tolist() == [1, 300]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"labels": np.ones((2, 2, 2, 3), np.float32)}, r"shape \(2, 2, 2, 3\).*probabilistic"),
        ({"labels": two_labels() * np.float32(0.501)}, "not all values are whole numbers"),
        ({"labels": np.zeros((2, 2, 2), np.float32)}, "labels from 0 to 0; from 1 to 32767"),
        ({"labels": -two_labels()}, "labels from -300 to 0"),
        ({"labels": two_labels() * 200}, "labels from 0 to 60000; from 1 to 32767 are"),
        ({"labels": np.full((2, 2, 2), np.nan, np.float32)}, "not all values are whole numbers"),
        ({"rows": "index\tname\n1\tleft\n"}, "labels 300 that .*labels.tsv does not name"),
        ({"rows": ROWS + "7\tgone\tR\n"}, "labels.tsv: names regions .* not have: gone"),
        ({"affine": AFFINE + 40 * np.eye(4, k=3)}, "0 % of its labels lie in the brain of Colin27"),
        ({"affine": np.diag([-1, 1, 1, 1]) @ AFFINE}, "left and right of the image"),
        ({"resolution_mm": 1}, "expected 1 mm for Mine"),
    ],
)
def test_what_is_wrong_with_an_image_of_labels_is_said(make, change, message):
    with pytest.raises(SettingsError, match=message):
        check_atlas(make(**change))


def test_a_head_with_skull_is_no_brain_of_a_space(make, tmp_path):
    head = save(tmp_path / "head.nii.gz", np.ones((3, 3, 3), np.uint8))
    with pytest.raises(SettingsError, match=r"head.nii.gz: not a T1w without skull"):
        check_atlas(make(brain_file=head))


def test_a_bad_match_of_the_brains_is_an_error_that_names_the_file():
    check_match(0.71, "T1w.nii.gz")
    for overlap in (0.69, np.nan):
        with pytest.raises(ToolError, match=r"T1w.nii.gz: after the registration .* without skull"):
            check_match(overlap, "T1w.nii.gz")


def carry(folder, **inputs):
    node = CarryLabels(**{name: str(path) for name, path in inputs.items()})
    return nib.load(node.run(cwd=folder).outputs.out_file)


def test_labels_above_255_are_carried_to_a_finer_grid_with_their_places(tmp_path):
    labels = save(tmp_path / "labels.nii.gz", two_labels())
    fine = np.diag([1.0, 1, 1, 1])
    fine[:3, 3] = [-7, -4, -1]
    grid = save(tmp_path / "grid.nii.gz", np.zeros((16, 9, 9), np.uint8), fine)
    carried = carry(tmp_path, in_file=labels, reference_file=grid)
    values = np.asanyarray(carried.dataobj)
    # On the line y = 1, z = 2 mm: voxels of 2 mm from -4 to 0 (label 1) and 2 to 6 (label 300).
    line = values[:, 5, 3].tolist()
    assert (line[4], line[6], line[8], line[10], line[12]) == (1, 1, 0, 300, 300)
    assert set(line) == {0, 1, 300}
    assert np.allclose(carried.affine, fine)


def test_a_displacement_points_from_the_grid_to_the_labels_and_is_lps_on_disk(tmp_path):
    labels = save(tmp_path / "labels.nii.gz", two_labels())
    field = np.zeros((6, 4, 4, 1, 3), np.float32)
    field[..., 0] = -4
    xfm = save(tmp_path / "xfm.nii.gz", field)
    carried = carry(tmp_path, in_file=labels, reference_file=labels, xfm_file=xfm)
    # 4 mm towards the right, two voxels against the first axis: voxel 3 shows voxel 1.
    line = np.asanyarray(carried.dataobj)[:, 1, 1].tolist()
    assert line == [0, 0, 300, 300, 0, 1]


def save_atlas(folder, after, **inputs):
    before = save(folder / "before.nii.gz", two_labels())
    after = save(folder / "after.nii.gz", after)
    out = folder / "kept" / "labels.nii.gz"
    common = {"description": {"License": "MIT"}, "out_file": str(out)}
    SaveAtlas(in_file=str(after), labels_file=str(before), **common, **inputs).run(cwd=folder)
    return out


def test_carried_labels_are_kept_with_their_description(tmp_path):
    out = save_atlas(tmp_path, two_labels(), overlap=0.84567)
    assert np.asanyarray(nib.load(out).dataobj).tolist() == two_labels().tolist()
    text = out.with_name("labels.json").read_text()
    assert '"License": "MIT"' in text
    assert '"GreyMatterDice": 0.8457' in text
    assert len(list(out.parent.iterdir())) == 2


def test_labels_that_another_job_kept_meanwhile_stay_and_harmed_ones_do_not(tmp_path):
    out = save_atlas(tmp_path, two_labels())
    os.utime(out, (1e9, 1e9))
    save_atlas(tmp_path, two_labels())
    assert out.stat().st_mtime == 1e9
    out.write_bytes(out.read_bytes()[:-1])
    save_atlas(tmp_path, two_labels())
    assert np.asanyarray(nib.load(out).dataobj).tolist() == two_labels().tolist()


def test_a_region_that_was_lost_on_the_way_is_an_error_and_nothing_is_kept(tmp_path):
    after = np.where(two_labels() == 300, 0, two_labels())
    with pytest.raises(DatasetError, match=r"before.nii.gz: labels 300 have no voxel"):
        save_atlas(tmp_path, after)
    assert not (tmp_path / "kept").exists()


def test_the_home_space_needs_no_brain_file(make, monkeypatch):
    image = nib.Nifti1Image(np.ones((6, 4, 4), np.uint8), AFFINE)
    monkeypatch.setattr(atlas_space.datasets, "load_mni152_brain_mask", lambda resolution: image)
    assert check_atlas(make(brain_file=None))["name"].tolist() == ["left", "right"]
