import numpy as np
import pandas as pd
import pytest

from bids_utils.derivatives import read_table, write_table
from bids_utils.errors import DatasetError
from workflows.interfaces.anat_columns import ANAT_QC_MEANINGS, VOLUME_MEANINGS
from workflows.interfaces.atlas import AnatQuality, RegionVolumes, SessionView, TemplateAtlas
from workflows.interfaces.volumes import load_labels, load_mask, save_volume

AFFINE = np.diag([2.0, 2, 2, 1])
LABELS = np.zeros((6, 3, 3), int)
LABELS[1], LABELS[4] = 5, 2


def run(interface, folder, **inputs):
    """Outputs of one interface, run in a folder."""
    folder.mkdir(exist_ok=True)
    return interface(**inputs).run(cwd=folder).outputs


def write(folder, name, volume, affine=AFFINE):
    return save_volume(np.asarray(volume), affine, folder / f"{name}.nii.gz")


def test_labels_reach_near_grey_matter_inside_the_mask(tmp_path):
    grey, mask = np.zeros(LABELS.shape), np.ones(LABELS.shape)
    grey[2], grey[3], mask[4, 0] = 0.9, 0.4, 0
    inputs = {"labels_file": write(tmp_path, "l", LABELS), "gm_file": write(tmp_path, "g", grey)}
    inputs |= {"mask_file": write(tmp_path, "m", mask), "reach_mm": 2.0}
    labels, _ = load_labels(run(TemplateAtlas, tmp_path / "node", **inputs).out_file)
    assert labels[:, 1, 1].tolist() == [0, 5, 5, 0, 2, 0]
    assert labels[4, 0].tolist() == [0, 0, 0]


def test_labels_on_another_grid_are_refused(tmp_path):
    inputs = {"labels_file": write(tmp_path, "l", LABELS, np.eye(4)), "reach_mm": 2.0}
    same = write(tmp_path, "g", np.ones(LABELS.shape))
    with pytest.raises(DatasetError, match="same grid"):
        run(TemplateAtlas, tmp_path / "node", gm_file=same, mask_file=same, **inputs)


def test_what_a_session_saw_is_inside_its_view_and_the_brain(tmp_path):
    view, mask = np.ones((1, 1, 4)), np.ones((1, 1, 4))
    view[..., 0], mask[..., 3] = 0, 0
    inputs = {"view_file": write(tmp_path, "v", view), "mask_file": write(tmp_path, "m", mask)}
    seen = load_mask(run(SessionView, tmp_path / "node", **inputs).out_file)
    assert seen.ravel().tolist() == [False, True, True, False]


def test_each_region_has_a_row_with_ml_and_coverage(tmp_path):
    table = pd.DataFrame({"index": [2, 5, 9], "name": ["lh_b", "lh_e", "rh_x"]})
    table = table.assign(hemisphere=["L", "L", "R"], structure=["subcortex", "cortex", "cortex"])
    write_table(table, tmp_path / "labels.tsv")
    errors = pd.DataFrame({"index": [9, 2, 5], "deformation": [0.3, 0.1, 0.01]})
    write_table(errors.assign(volume=[0.3, 0.2, 0.05]), tmp_path / "errors.tsv")
    mask, mni_view = np.ones(LABELS.shape), np.ones(LABELS.shape)
    mask[4, 0], mni_view[1, 0] = 0, 0
    brain = np.full(LABELS.shape, 100.0)
    inputs = {
        "gm_file": write(tmp_path, "grey", np.full(LABELS.shape, 0.5)),
        "tissue_file": write(tmp_path, "tissue", np.full(LABELS.shape, 0.9)),
        "csf_file": write(tmp_path, "fluid", np.full(LABELS.shape, 0.2)),
        "mask_file": write(tmp_path, "mask", mask),
        "brain_file": write(tmp_path, "brain", brain),
        "warped_file": write(tmp_path, "warped", brain + np.where(LABELS == 2, -6, 3)),
        "noise": 3.0,
        "errors_file": str(tmp_path / "errors.tsv"),
        "jacobian_file": write(tmp_path, "jacobian", np.where(LABELS == 5, 1.1, 0.8)),
        "atlas_file": write(tmp_path, "atlas", LABELS),
        "mni_atlas_file": write(tmp_path, "mni", LABELS, np.eye(4)),
        "mni_view_file": write(tmp_path, "view", mni_view, np.eye(4)),
        "labels_file": str(tmp_path / "labels.tsv"),
        "min_coverage": 0.5,
    }
    found = read_table(tmp_path / run(RegionVolumes, tmp_path / "n", **inputs).out_file)
    assert list(found) == list(VOLUME_MEANINGS)
    assert found["region"].tolist() == ["lh_b", "lh_e", "rh_x"]
    np.testing.assert_allclose(found["volume"], [0.8 * 0.0648, 1.1 * 0.036, np.nan])
    np.testing.assert_allclose(found["coverage"], [1, 0.66667, np.nan])
    inside = [0.8 * 0.8 * 0.048, 1.1 * 0.8 * 0.072, np.nan]
    np.testing.assert_allclose(found["deformation"], inside, atol=1e-7)
    np.testing.assert_allclose(found["residual"], [2, 1, np.nan])
    own = found["volume_standard_error"] / found["volume"]
    np.testing.assert_allclose(own, [0.2, 0.05, np.nan], rtol=1e-4)
    own = found["deformation_standard_error"] / found["deformation"]
    np.testing.assert_allclose(own, [0.1, 0.01, np.nan], rtol=1e-4)
    single = run(RegionVolumes, tmp_path / "one", **(inputs | {"noise": 0.0}))
    assert read_table(tmp_path / single.out_file)["residual"].isna().all()


def test_quality_is_one_row(tmp_path):
    np.savetxt(tmp_path / "xfm.mat", np.eye(4))
    mask = np.zeros((10, 10, 10))
    mask[:5] = 1
    inputs = {"mask_file": write(tmp_path, "mask", mask), "mni_agreement": 0.7}
    inputs |= {"session2template_xfms": [str(tmp_path / "xfm.mat")] * 2, "noise": [9.0, 5.0, 4.0]}
    row = read_table(tmp_path / run(AnatQuality, tmp_path / "n", **inputs).out_file).iloc[0]
    assert list(row.index) == list(ANAT_QC_MEANINGS)
    assert row["n_sessions"] == 2
    assert row["brain_ml"] == pytest.approx(4.0)
    assert row["resolution_mm"] == 2
    assert row["mni_agreement"] == 0.7
    assert row["gm_noise"] == 5
