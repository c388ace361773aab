"""The atlas that is drawn on the standard brain is one in the space of that brain."""

import os

import nibabel as nib
import numpy as np
import pandas as pd
import pytest

from bids_utils.derivatives import write_table
from configs.atlases import find_atlas
from workflows.compute.measures import edge_labels
from workflows.interfaces import group_pictures
from workflows.interfaces.group_pictures import (
    brain_map,
    matrix_picture,
    pictured_atlas,
    standard_brain,
)

HOME = "tpl-MNI152NLin2009aSym_atlas-Mine"
LEFT_MM, RIGHT_MM = (-30, 0, 10), (30, 0, 10)


def write_labels(path, places):
    """Cubes of 20 mm around places in mm, one for each label, on a grid of 2 mm."""
    affine = np.array([[2.0, 0, 0, -90], [0, 2, 0, -126], [0, 0, 2, -72], [0, 0, 0, 1]])
    labels = np.zeros((91, 109, 91), np.int16)
    for label, place in places.items():
        i, j, k = np.rint(nib.affines.apply_affine(np.linalg.inv(affine), place)).astype(int)
        labels[i - 5 : i + 5, j - 5 : j + 5, k - 5 : k + 5] = label
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.Nifti1Image(labels, affine).to_filename(path)
    return path


def write_settings(out, space, name="Mine"):
    table = out / "own.tsv"
    table.write_text("index\tlabel\n300\tright one\n7\tleft one\n", encoding="utf-8")
    own = f"file: {out / 'own.nii.gz'}, labels: {table}, space: {space}"
    text = f"atlas: {{name: {name}, {own}, space_template: {out / 'own.nii.gz'}}}\n"
    (out / "settings.yaml").write_text(text, encoding="utf-8")


@pytest.fixture
def carried(tmp_path):
    """Derivatives with an own atlas of another space and its labels carried twice, last the
    label 300 to the right and 7 to the left."""
    write_labels(tmp_path / "own.nii.gz", {300: LEFT_MM, 7: LEFT_MM})
    write_settings(tmp_path, "Colin27")
    names = {"index": [300, 7], "name": ["right one", "left one"]}
    write_table(pd.DataFrame(names), tmp_path / "atlas" / f"{HOME}_dseg.tsv")
    newer = write_labels(
        tmp_path / "atlas" / f"{HOME}_desc-a_dseg.nii.gz", {300: RIGHT_MM, 7: LEFT_MM}
    )
    older = write_labels(tmp_path / "atlas" / f"{HOME}_desc-b_dseg.nii.gz", {300: LEFT_MM})
    os.utime(older, (newer.stat().st_mtime - 60,) * 2)
    return tmp_path


def test_labels_that_were_carried_are_drawn_at_their_new_place(carried):
    standard = standard_brain("Mine", carried)
    assert standard.index == {"right one": 300, "left one": 7}
    for label, x_mm in ((300, 29), (7, -31)):
        middle = np.argwhere(standard.labels == label).mean(axis=0)
        assert nib.affines.apply_affine(standard.brain.affine, middle)[0] == pytest.approx(
            x_mm, abs=1.5
        )


def test_an_atlas_of_another_space_is_not_drawn_before_it_was_carried(tmp_path):
    write_labels(tmp_path / "own.nii.gz", {300: RIGHT_MM, 7: LEFT_MM})
    write_settings(tmp_path, "Colin27")
    assert pictured_atlas("Mine", tmp_path) is None
    assert pictured_atlas("Mine", None) is None
    rows = pd.DataFrame({"atlas": ["Mine"], "region": ["left one"]})
    assert brain_map(rows, 0.05, tmp_path) is None


def test_an_own_atlas_in_the_space_of_the_brain_is_drawn_as_it_is(tmp_path):
    write_labels(tmp_path / "own.nii.gz", {300: RIGHT_MM, 7: LEFT_MM})
    write_settings(tmp_path, "MNI152NLin2009aSym")
    assert pictured_atlas("Mine", tmp_path).file == tmp_path / "own.nii.gz"
    assert standard_brain("Mine", tmp_path).index == {"right one": 300, "left one": 7}


def test_results_of_other_tools_use_the_atlas_of_that_name(tmp_path):
    write_labels(tmp_path / "own.nii.gz", {300: RIGHT_MM, 7: LEFT_MM})
    write_settings(tmp_path, "MNI152NLin2009aSym")
    assert pictured_atlas("DesikanKilliany", tmp_path) == find_atlas("DesikanKilliany")
    assert pictured_atlas("Unheard", tmp_path) is None


def test_a_matrix_is_sorted_by_the_networks_of_the_atlas(monkeypatch):
    drawn = []
    draw = group_pictures.region_matrix
    monkeypatch.setattr(
        group_pictures, "region_matrix", lambda *inputs: drawn.append(inputs) or draw(*inputs)
    )
    regions = ["lh_cuneus", "lh_precuneus", "rh_cuneus"]
    rows = (
        edge_labels(regions)
        .assign(atlas="DesikanKilliany", term="mean", measure="connectivity", unit="z")
        .assign(model="change", modality="bold")
    )
    picture = matrix_picture(rows.assign(estimate=[0.1, 0.2, 0.3]))
    values, names, _, groups = drawn[0]
    assert names == ["lh_cuneus", "rh_cuneus", "lh_precuneus"]
    assert groups == ["Visual", "Visual", "Default"]
    np.testing.assert_allclose(values[0], [np.nan, 0.2, 0.1])
    assert picture.alt.startswith("Matrix of 3 by 3 regions")
    matrix_picture(rows.assign(estimate=0.1, atlas="Unheard"))
    assert drawn[1][1] == regions
    assert drawn[1][3] is None
