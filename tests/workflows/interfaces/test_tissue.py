import numpy as np
import pytest

from bids_utils.derivatives import read_table
from workflows.interfaces.tissue import (
    MatchIntensity,
    SessionNoise,
    SessionTissue,
    TemplateTissue,
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


def test_a_session_is_measured_in_ml_with_the_model_of_the_template(tmp_path, brain, template):
    found, noise = session_tissue(tmp_path, brain, template, brain["brain"])
    table = read_table(tmp_path / "tissue" / "tissue.tsv").set_index("measure")["value"]
    slab_ml = 16 * 16 * 8 / 1000
    np.testing.assert_allclose(table["gm_ml"], 8 * slab_ml, rtol=0.03)
    np.testing.assert_allclose(table["wm_ml"], 8 * slab_ml, rtol=0.03)
    np.testing.assert_allclose(table["csf_ml"], 6 * slab_ml, rtol=0.03)
    np.testing.assert_allclose(table["icv_ml"], 22 * slab_ml)
    np.testing.assert_allclose(noise, 3, rtol=0.15)
    np.testing.assert_allclose(load_volume(found.gm_file)[0].sum() * 0.008, table["gm_ml"])


def test_white_matter_of_a_session_gets_the_level_of_the_template(tmp_path, brain):
    volume, _ = load_volume(brain["brain"])
    session = save_volume(volume * 1.7, AFFINE, tmp_path / "session.nii.gz")
    inputs = {"template_file": brain["brain"], "mask_file": brain["mask"], "wm_file": brain["wm"]}
    matched, _ = load_volume(
        run(MatchIntensity, tmp_path / "m", in_file=session, **inputs).out_file
    )
    np.testing.assert_allclose(matched, volume, rtol=1e-4, atol=1e-4)
