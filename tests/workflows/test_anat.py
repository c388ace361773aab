from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from bids_utils.derivatives import read_table
from configs.atlases import find_atlas
from configs.settings import AnatSettings, Settings
from workflows.anat import ANAT_OUTPUTS, init_anat_wf, init_mni_wf, init_regions_wf, init_tissue_wf
from workflows.interfaces.save import Place, output_file


def edges(workflow):
    """Connections as 'node.field > node.field'."""
    return {
        f"{source.name}.{start} > {target.name}.{end}"
        for source, target, data in workflow._graph.edges(data=True)
        for start, end in data["connect"]
    }


def test_each_saved_field_is_made_by_the_workflow():
    found = edges(init_anat_wf(2, Settings()))
    made = {edge.split("outputnode.")[-1] for edge in found if " > outputnode." in edge}
    assert {row.field for row in ANAT_OUTPUTS} <= made
    assert "template_mni_file" in made


def test_saved_files_have_their_bids_names():
    place = Place((("sub", "01"), ("ses", "pre")))
    own = [row for row in ANAT_OUTPUTS if ("atlas", "{atlas}") not in row.entities]
    names = {row.field: output_file(row, place).name for row in own}
    assert names["template_file"] == "sub-01_ses-pre_desc-preproc_T1w.nii.gz"
    assert names["template_wm_file"] == "sub-01_ses-pre_label-WM_probseg.nii.gz"
    to_mni = "sub-01_ses-pre_from-T1w_to-MNI152NLin2009aSym_mode-image_xfm.nii.gz"
    assert names["template2mni_xfm"] == to_mni
    assert names["session2template_xfms"] == "sub-01_ses-pre_from-orig_to-T1w_mode-image_xfm.mat"
    assert names["tissue_files"] == "sub-01_ses-pre_desc-tissue_morph.tsv"
    assert len(set(names.values())) == len(names) - 3


def test_sessions_are_segmented_with_the_model_of_the_template_only():
    found = edges(init_tissue_wf())
    assert {
        "inputnode.brain_file > tissue.template_file",
        "template.classes_file > tissue.classes_file",
        "noise.noise > tissue.noise",
        "inputnode.warped_files > tissue.in_file",
        "inputnode.warped_files > noise.in_files",
    } <= found


def test_volumes_are_of_the_grey_matter_of_each_session_deformation_is_of_the_template():
    workflow = init_regions_wf(AnatSettings(min_coverage=0.7))
    assert {
        "inputnode.session_gm_files > volumes.gm_file",
        "inputnode.session_tissue_files > volumes.tissue_file",
        "inputnode.csf_file > volumes.csf_file",
        "inputnode.jacobian_files > volumes.jacobian_file",
        "inputnode.jacobian_files > tissue.jacobian_file",
        "inputnode.gm_file > tissue.gm_file",
        "inputnode.session_gm_files > errors.gm_files",
        "inputnode.session_tissue_files > errors.tissue_files",
        "inputnode.noise > errors.noise",
        "inputnode.left_noise > volumes.noise",
        "inputnode.ventricles_prior_file > tissue.ventricles_prior_file",
        "errors.out_file > volumes.errors_file",
    } <= edges(workflow)
    volumes = workflow.get_node("volumes")
    assert volumes.inputs.min_coverage == 0.7
    of_sessions = {"gm_file", "tissue_file", "jacobian_file", "warped_file", "mni_view_file"}
    assert set(volumes.iterfield) == of_sessions


def test_sessions_are_deformed_in_their_own_voxels():
    found = edges(init_anat_wf(2, Settings()))
    assert {
        "template_wf.outputnode.head_files > deform.in_files",
        "template_wf.outputnode.session2template_xfms > deform.xfm_files",
        "template_wf.outputnode.scales > deform.scales",
        "template_wf.outputnode.mask_file > deform.mask_file",
        "deform.brain_file > mni_wf.inputnode.brain_file",
        "deform.warped_files > tissue_wf.inputnode.warped_files",
        "deform.jacobian_files > regions_wf.inputnode.jacobian_files",
        "deform.displacement_files > thickness_wf.inputnode.displacement_files",
    } <= found


def test_settings_reach_the_registration():
    workflow = init_mni_wf(AnatSettings(mni_resolution_mm=3, min_mni_agreement=0.7))
    assert workflow.get_node("mni").inputs.resolution_mm == 3
    assert workflow.get_node("check").inputs.min_agreement == 0.7
    found = edges(workflow)
    assert "warp.warp_file > to_mni.warp_file" in found
    assert "warp.inverse_warp_file > from_mni.warp_file" in found
    assert not workflow.get_node("to_mni").inputs.inverse
    assert workflow.get_node("from_mni").inputs.inverse


def test_atlas_and_sessions_meet_through_the_right_transforms():
    workflow = init_regions_wf(AnatSettings())
    found = edges(workflow)
    assert "inputnode.mni2template_xfm > labels.xfm_files" in found
    assert "inputnode.template2mni_xfm > view_mni.xfm_files" in found
    assert "inputnode.atlas_file > view_mni.reference_file" in found
    assert workflow.get_node("labels").inputs.interpolation == "NN"


def run_anatomy(folder, files):
    """Regional volumes (n_sessions, n_regions) and quality of a whole run."""
    atlas = find_atlas("DesikanKilliany")
    workflow = init_anat_wf(len(files), Settings(anat=AnatSettings(mni_resolution_mm=4)))
    workflow.base_dir = str(folder)
    workflow.inputs.inputnode.t1w_files = [str(file) for file in files]
    workflow.inputs.inputnode.atlas_file = str(atlas.file)
    workflow.inputs.inputnode.atlas_labels_file = str(atlas.labels_file)
    workflow.config["execution"].update(crashdump_dir=str(folder), crashfile_format="txt")
    nodes = {node.name: node for node in workflow.run().nodes()}
    tables = [read_table(Path(file)) for file in nodes["restore"].result.outputs.morph_files]
    return np.array([table["volume"] for table in tables]), read_table(
        folder / "anat_wf/quality_wf/participant/qc.tsv"
    )


@pytest.fixture(scope="module")
def heads(shared_dir, tmp_path_factory):
    """A 2 mm head and the same voxels in another position of the head in the scanner."""
    first = shared_dir / "data/ixi_2mm/IXI012-HH-1211_T1.nii.gz"
    image = nib.load(first)
    turn = np.eye(4)
    turn[:2, :2] = [[np.cos(0.1), -np.sin(0.1)], [np.sin(0.1), np.cos(0.1)]]
    turn[:3, 3] = [4, -7, 5.3]
    second = tmp_path_factory.mktemp("heads") / "moved_T1w.nii.gz"
    nib.Nifti1Image(image.get_fdata(), turn @ image.affine).to_filename(second)
    return first, second


@pytest.mark.slow
@pytest.mark.needs_shared
def test_swapping_moved_scans_swaps_small_changes(tmp_path, heads):
    volumes, quality = run_anatomy(tmp_path / "a", list(heads))
    assert 1300 < quality["brain_ml"][0] < 1900
    assert quality["mni_agreement"][0] > 0.8
    assert 400 < volumes[0].sum() < 800
    swapped, _ = run_anatomy(tmp_path / "b", list(heads)[::-1])
    np.testing.assert_allclose(swapped[::-1], volumes, atol=1e-6)
    change_pct = 200 * (volumes[1] - volumes[0]) / (volumes[1] + volumes[0])
    # voxels of 2 mm, read at other places in each session: .41 and 4.0 (a pallidum)
    assert np.median(np.abs(change_pct)) < 0.5
    assert np.max(np.abs(change_pct)) < 5
