import numpy as np
import pytest

from bids_utils.derivatives import read_table
from workflows.interfaces.anat_columns import TISSUE_MEANINGS
from workflows.interfaces.tissue import (
    SessionNoise,
    SessionTissue,
    TemplateTissue,
    TissueVolumes,
)
from workflows.interfaces.volumes import load_labels, load_volume, save_volume

SHAPE = (24, 16, 16)
AFFINE = np.diag([2.0, 2, 2, 1])


def run(interface, folder, **inputs):
    """Outputs of one interface, run in a folder."""
    folder.mkdir(exist_ok=True)
    return interface(**inputs).run(cwd=folder).outputs


@pytest.fixture
def brain(tmp_path):
    """Files of a brain in slabs: outside, CSF 30, grey 70, white 100."""
    volume = np.zeros(SHAPE)
    volume[2:8], volume[8:16], volume[16:] = 30, 70, 100
    mask = volume > 0
    noise = np.random.default_rng(0).normal(scale=3, size=SHAPE)
    volumes = {
        "brain": np.where(mask, volume + noise, 0),
        "mask": mask,
        "grey": np.where(mask, 0.4, 0),
        "white": np.where(mask, 0.3, 0),
        "wm": (volume == 100).astype(float),
    }
    return {k: save_volume(v, AFFINE, tmp_path / f"{k}.nii.gz") for k, v in volumes.items()}


@pytest.fixture
def template(tmp_path, brain):
    inputs = {"in_file": brain["brain"], "mask_file": brain["mask"]}
    inputs |= {"gm_prior_file": brain["grey"], "wm_prior_file": brain["white"]}
    return run(TemplateTissue, tmp_path / "template", **inputs)


def test_the_template_gets_bids_labels_and_fractions(template):
    labels, _ = load_labels(template.dseg_file)
    assert [np.bincount(labels[i].ravel()).argmax() for i in (0, 4, 12, 20)] == [0, 3, 1, 2]
    total = sum(load_volume(getattr(template, f"{k}_file"))[0] for k in ("gm", "wm", "csf"))
    np.testing.assert_allclose(total[2:], 1, atol=1e-4)
    np.testing.assert_array_equal(total[:2], 0)


def session_tissue(folder, brain, template, in_file):
    model = {"template_file": brain["brain"], "classes_file": template.classes_file}
    noise = run(SessionNoise, folder / "noise", in_files=[in_file], **model).noise
    model |= {"mask_file": brain["mask"], "noise": noise}
    return run(SessionTissue, folder / "tissue", in_file=in_file, **model), noise


def test_a_session_is_segmented_with_the_model_of_the_template(tmp_path, brain, template):
    found, noise = session_tissue(tmp_path, brain, template, brain["brain"])
    grey, _ = load_volume(found.gm_file)
    np.testing.assert_allclose(grey.sum(axis=(1, 2))[10:14], 16 * 16, rtol=0.03)
    np.testing.assert_allclose(grey.sum(), 16 * 16 * 8, rtol=0.03)
    labels, _ = load_labels(found.dseg_file)
    assert [np.bincount(labels[i].ravel()).argmax() for i in (0, 4, 12, 20)] == [0, 3, 1, 2]
    np.testing.assert_allclose(noise, 3, rtol=0.15)


def test_tissue_volumes_are_those_of_the_template_times_the_jacobian(tmp_path, brain):
    jacobian = np.full(SHAPE, 0.5)
    jacobian[16:] = 1.5
    slabs = {name: np.zeros(SHAPE) for name in ("csf", "gm", "wm")}
    slabs["csf"][2:8], slabs["gm"][8:16], slabs["wm"][16:] = 1, 1, 1
    files = {k: save_volume(v, AFFINE, tmp_path / f"{k}.nii.gz") for k, v in slabs.items()}
    inputs = {f"{name}_file": file for name, file in files.items()}
    inputs["jacobian_file"] = save_volume(jacobian, AFFINE, tmp_path / "jacobian.nii.gz")
    expected_there = np.zeros(SHAPE)
    expected_there[4:12] = 1
    path = tmp_path / "ventricles.nii.gz"
    inputs["ventricles_prior_file"] = save_volume(expected_there, AFFINE, path)
    found = run(TissueVolumes, tmp_path / "node", mask_file=brain["mask"], **inputs)
    table = read_table(tmp_path / found.out_file).set_index("measure")["value"]
    assert list(table.index) == list(TISSUE_MEANINGS["measure"]["Levels"])
    slab_ml = 16 * 16 * 0.008
    expected = {"gm_ml": 4, "wm_ml": 12, "csf_ml": 3, "icv_ml": 22}
    expected |= {"brain_ml": 16, "ventricles_ml": 2}
    np.testing.assert_allclose(table[list(expected)] / slab_ml, list(expected.values()))
