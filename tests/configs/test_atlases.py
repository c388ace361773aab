import nibabel as nib
import numpy as np
import pytest

from bids_utils.derivatives import read_table
from bids_utils.errors import SettingsError
from configs import atlases
from configs.atlases import find_atlas


def test_desikan_killiany_has_83_labels_that_are_all_in_its_table():
    atlas = find_atlas("DesikanKilliany")
    table = read_table(atlas.labels_file)
    labels = np.unique(np.asanyarray(nib.load(atlas.file).dataobj))
    assert labels[labels > 0].tolist() == table["index"].tolist()
    assert len(table) == 83
    assert atlas.space == "MNI152NLin2009aSym"


def test_region_names_are_unique_and_name_the_side_on_which_they_lie():
    atlas = find_atlas("DesikanKilliany")
    table = read_table(atlas.labels_file)
    image = nib.load(atlas.file)
    labels = np.asanyarray(image.dataobj)
    assert table["name"].is_unique
    for label, name, hemisphere in zip(
        table["index"], table["name"], table["hemisphere"], strict=True
    ):
        voxel = np.argwhere(labels == label).mean(axis=0)
        x_mm = nib.affines.apply_affine(image.affine, voxel)[0]
        prefix = {"L": "lh_", "R": "rh_", "B": ""}[hemisphere]
        assert name.startswith(prefix)
        assert {"L": x_mm < -2, "R": x_mm > 2, "B": abs(x_mm) < 2}[hemisphere]


def test_an_unknown_name_gets_the_nearest_one():
    with pytest.raises(SettingsError, match="did you mean 'DesikanKilliany'"):
        find_atlas("DesikanKiliany")


def test_a_package_that_is_not_installed_is_named():
    with pytest.raises(SettingsError, match="pip install no_such_package"):
        atlases._file_in_package("no_such_package", "atlas.nii.gz")
