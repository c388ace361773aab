import json
import os
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from bids_utils.derivatives import content_digest, read_table, write_json
from bids_utils.errors import SettingsError
from bids_utils.sidecars import file_sidecar
from configs.atlases import Atlas
from workflows.atlas import init_atlas_wf, init_spaces_wf, standard_atlas
from workflows.interfaces import atlas_space


def edges(workflow):
    """Connections as 'node.field > node.field'."""
    return {
        f"{source.name}.{start} > {target.name}.{end}"
        for source, target, data in workflow._graph.edges(data=True)
        for start, end in data["connect"]
    }


@pytest.fixture
def atlas(tmp_path, monkeypatch):
    """Return a function that makes an atlas with voxels of a size, in some space."""
    mask = nib.Nifti1Image(np.ones((9, 9, 9), np.uint8), np.eye(4))
    monkeypatch.setattr(atlas_space.datasets, "load_mni152_brain_mask", lambda resolution: mask)

    def make(voxel_mm, brain_file=None, names="index\tlabel\n2\tb\n1\ta\n"):
        labels = np.zeros((4, 4, 4), np.int16)
        labels[1], labels[2] = 1, 2
        file, table = tmp_path / "x.nii.gz", tmp_path / "x.tsv"
        nib.Nifti1Image(labels, np.diag([voxel_mm] * 3 + [1])).to_filename(file)
        table.write_text(names)
        space = "Colin27" if brain_file else "MNI152NLin2009aSym"
        return Atlas("Mine", space, file, table, "MIT", "Me 2020", "Me", brain_file=brain_file)

    return make


def refuse(workflow):
    raise AssertionError(f"{workflow.name} was run")


def test_a_fine_atlas_in_the_space_of_the_images_stays_where_it_is(atlas, tmp_path):
    own = atlas(1.0)
    ready = standard_atlas(own, tmp_path / "out", refuse)
    assert ready.file == own.file
    assert ready.labels_file == (
        tmp_path / "out" / "atlas" / "tpl-MNI152NLin2009aSym_atlas-Mine_dseg.tsv"
    )
    table = read_table(ready.labels_file)
    assert table.columns.tolist() == ["index", "name", "hemisphere", "structure", "network"]
    assert table["name"].tolist() == ["b", "a"]


@pytest.mark.parametrize("names", ["index\tlabel\n2\tb\n1\ta\n", "index\tname\n2\t07\n1\ta\n"])
def test_a_table_that_is_there_is_written_again_only_if_it_differs(atlas, tmp_path, names):
    written = standard_atlas(atlas(1.0, names=names), tmp_path, refuse).labels_file
    os.utime(written, (1e9, 1e9))
    assert standard_atlas(atlas(1.0, names=names), tmp_path, refuse).labels_file == written
    assert written.stat().st_mtime == 1e9
    renamed = atlas(1.0, names=names.replace("\ta", "\tc"))
    assert standard_atlas(renamed, tmp_path, refuse).labels_file == written
    assert written.stat().st_mtime > 1e9
    assert read_table(written)["name"].tolist()[1] == "c"


def made_by(runs):
    def run(workflow):
        file = Path(workflow.get_node("save_atlas").inputs.out_file)
        file.write_text("labels")
        write_json({atlas_space.DIGEST_FIELD: content_digest(file)}, file_sidecar(file))
        runs.append(file)

    return run


def test_labels_of_two_mm_are_carried_once_and_again_when_their_bytes_change(atlas, tmp_path):
    runs = []
    first = standard_atlas(atlas(2.0), tmp_path, made_by(runs))
    again = standard_atlas(atlas(2.0), tmp_path, made_by(runs))
    assert (first, runs) == (again, [first.file])
    assert (first.space, first.resolution_mm) == ("MNI152NLin2009aSym", 1.0)
    renamed = atlas(2.0, names="index\tname\n2\tb\n1\tc\n")
    assert standard_atlas(renamed, tmp_path, made_by(runs)).file != first.file
    assert len(runs) == 2


@pytest.mark.parametrize("harmed", ["labels", "sidecar"])
def test_carried_labels_that_were_harmed_are_made_again(atlas, tmp_path, harmed):
    runs = []
    first = standard_atlas(atlas(2.0), tmp_path, made_by(runs))
    (first.file if harmed == "labels" else file_sidecar(first.file)).write_bytes(b"lab\0ls")
    standard_atlas(atlas(2.0), tmp_path, made_by(runs))
    assert runs == [first.file, first.file]
    assert first.file.read_text() == "labels"


def test_an_atlas_of_another_space_is_registered_and_ends_in_that_of_the_images(atlas, tmp_path):
    brain = tmp_path / "brain.nii.gz"
    volume = np.zeros((9, 9, 9), np.float32)
    volume[:8] = 1
    nib.Nifti1Image(volume, np.eye(4)).to_filename(brain)
    runs = []
    ready = standard_atlas(atlas(1.0, brain), tmp_path, made_by(runs))
    assert runs == [ready.file]
    assert (ready.space, ready.brain_file) == ("MNI152NLin2009aSym", None)


def test_an_atlas_that_does_not_fit_its_table_is_refused_before_anything_is_written(
    atlas, tmp_path
):
    with pytest.raises(SettingsError, match="labels 2 that"):
        standard_atlas(atlas(2.0, names="index\tname\n1\ta\n"), tmp_path / "out", refuse)
    assert not (tmp_path / "out").exists()


def test_labels_go_in_one_step_and_are_kept_only_if_the_brains_match(atlas, tmp_path):
    brain = tmp_path / "brain.nii.gz"
    nib.Nifti1Image(np.ones((2, 2, 2), np.float32), np.eye(4)).to_filename(brain)
    workflow = init_atlas_wf(atlas(2.0, brain), tmp_path / "out.nii.gz")
    assert edges(workflow) == {
        "grid.template_file > carry.reference_file",
        "grid.template_file > spaces_wf.inputnode.reference_file",
        "spaces_wf.outputnode.xfm_file > carry.xfm_file",
        "carry.out_file > save_atlas.in_file",
        "spaces_wf.outputnode.overlap > save_atlas.overlap",
    }
    described = workflow.get_node("save_atlas").inputs.description
    assert described["License"] == "MIT"
    assert described["Sources"] == ["x.nii.gz", "brain.nii.gz"]


def test_the_images_stay_and_the_other_brain_moves(tmp_path):
    brain = tmp_path / "brain.nii.gz"
    nib.Nifti1Image(np.ones((2, 2, 2), np.float32), np.eye(4)).to_filename(brain)
    assert {
        "mni.template_file > warp.fixed_file",
        "coarse.out_file > warp.moving_file",
        "warp.warp_file > compose.warp_file",
        "inputnode.reference_file > compose.reference_file",
        "brain.out_file > match.brain_file",
    } <= edges(init_spaces_wf(brain))


def test_coarse_labels_in_the_space_of_the_images_need_no_registration(atlas, tmp_path):
    assert "spaces_wf" not in str(edges(init_atlas_wf(atlas(2.0), tmp_path / "out.nii.gz")))


@pytest.mark.slow
@pytest.mark.needs_shared
def test_labels_of_2009c_arrive_on_their_side_with_a_brain_that_matches(shared_dir, tmp_path):
    folder = (
        shared_dir
        / "data"
        / "atlases"
        / "tian2020"
        / "Group-Parcellation"
        / "3T"
        / "Subcortex-Only"
    )
    names = (folder / "Tian_Subcortex_S1_3T_label.txt").read_text().split()
    table = tmp_path / "tian.tsv"
    rows = [f"{index}\t{name}" for index, name in enumerate(names, 1)]
    table.write_text("\n".join(["index\tname", *rows]) + "\n")
    brain = next(
        (shared_dir / "data" / "atlases" / "tpl-MNI152NLin2009cAsym").glob("*brain_T1w.nii.gz")
    )
    file = folder / "Tian_Subcortex_S1_3T_2009cAsym.nii.gz"
    atlas = Atlas("TianS1", "MNI152NLin2009cAsym", file, table, "", "", "", brain_file=brain)

    def run(workflow):
        workflow.base_dir = str(tmp_path / "work")
        workflow.run()

    ready = standard_atlas(atlas, tmp_path, run)
    sidecar = file_sidecar(ready.file)
    overlap = json.loads(sidecar.read_text())["GreyMatterDice"]
    assert overlap == pytest.approx(0.807, abs=0.01)
    image = nib.load(ready.file)
    labels = np.asanyarray(image.dataobj)
    for name, x_mm in (("HIP-lh", -26), ("HIP-rh", 26)):
        middle = np.argwhere(labels == names.index(name) + 1).mean(axis=0)
        assert nib.affines.apply_affine(image.affine, middle)[0] == pytest.approx(x_mm, abs=2)
