import nibabel as nb
import numpy as np
import pandas as pd
import pytest

from workflows.compute.compcor import (
    compcor,
    course_products,
    current_component_names,
    most_variable,
    noise_components,
)
from workflows.compute.confounds import Timing, slow_cosines

TR_S = 2.5
SHAPE = (6, 5, 4)


def noisy_voxels(n_volumes=140, seed=5):
    """Voxels with three shared courses, a drift, bright dummy volumes and own noise."""
    rng = np.random.default_rng(seed)
    n_voxels = int(np.prod(SHAPE))
    shared = rng.normal(size=(3, n_volumes)) * [[3.0], [2.0], [1.0]]
    series = rng.normal(size=(n_voxels, 3)) @ shared + rng.normal(size=(n_voxels, n_volumes))
    series = series * rng.uniform(1, 9, (n_voxels, 1)) + 800
    series += rng.normal(0, 20, (n_voxels, 1)) * np.linspace(-1, 1, n_volumes)
    series[:, :3] += 300
    return series.astype(np.float32)


def components(voxels, cosines, n_dummy=0):
    return noise_components(course_products(voxels, cosines, n_dummy), n_dummy)


def nipype_components(interface, voxels, folder, mask=None, **inputs):
    """Components (n_volumes, n) and their table from a class of Nipype."""
    mask = np.ones(SHAPE, np.uint8) if mask is None else mask.reshape(SHAPE).astype(np.uint8)
    nb.Nifti1Image(voxels.reshape(*SHAPE, -1), np.eye(4)).to_filename(folder / "bold.nii")
    nb.Nifti1Image(mask, np.eye(4)).to_filename(folder / "mask.nii")
    node = interface(
        realigned_file=str(folder / "bold.nii"),
        mask_files=[str(folder / "mask.nii")],
        pre_filter="cosine",
        repetition_time=TR_S,
        ignore_initial_volumes=3,
        variance_threshold=0.5,
        save_metadata=True,
        **inputs,
    )
    outputs = node.run(cwd=folder).outputs
    facts = pd.read_csv(outputs.metadata_file, sep="\t")
    return np.loadtxt(outputs.components_file, skiprows=1, ndmin=2), facts[facts["retained"]]


def assert_same_up_to_sign(found, expected):
    assert found.shape == expected.shape
    signs = np.sign((found * expected).sum(axis=0))
    np.testing.assert_allclose(found * signs, expected, rtol=0, atol=2e-6)


@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")
def test_anatomical_components_are_those_of_nipype(tmp_path, monkeypatch):
    from nipype.algorithms.confounds import ACompCor

    monkeypatch.chdir(tmp_path)
    voxels = noisy_voxels()
    cosines = slow_cosines(140, Timing(TR_S, n_dummy=3))
    mask = np.arange(len(voxels)) % 3 > 0
    expected, facts = nipype_components(ACompCor, voxels, tmp_path, mask)
    found = components(voxels[mask], cosines, n_dummy=3)
    assert_same_up_to_sign(found.series, expected)
    assert (found.series[:3] == 0).all()
    np.testing.assert_allclose(found.singular_values, facts["singular_value"], rtol=1e-5)
    np.testing.assert_allclose(found.shares, facts["variance_explained"], rtol=1e-5)
    assert np.cumsum(found.shares)[-1] >= 0.5 > np.cumsum(found.shares)[-2]


@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")
def test_temporal_components_are_those_of_nipype(tmp_path, monkeypatch):
    from nipype.algorithms.confounds import TCompCor

    monkeypatch.chdir(tmp_path)
    voxels = noisy_voxels()
    expected, _ = nipype_components(TCompCor, voxels, tmp_path, percentile_threshold=0.02)
    chosen = nb.load(tmp_path / "mask_000.nii.gz").get_fdata().ravel() > 0
    assert (most_variable(voxels, n_dummy=3) == chosen).all()
    cosines = slow_cosines(140, Timing(TR_S, n_dummy=3))
    table, _ = compcor(voxels[:40], voxels[40:], voxels, cosines, n_dummy=3)
    assert_same_up_to_sign(table.filter(regex="^t_").to_numpy(), expected)


def test_components_find_the_shared_course_and_not_the_drift():
    rng = np.random.default_rng(6)
    shared = rng.normal(size=200)
    cosines = slow_cosines(200, Timing(2.0))
    shared -= cosines @ (cosines.T @ shared)
    voxels = 500 + np.outer(rng.uniform(-4, 4, 80), shared) + rng.normal(0, 0.5, (80, 200))
    voxels += rng.normal(0, 50, (80, 1)) * cosines[:, 0]
    found = components(voxels, cosines)
    assert found.series.shape == (200, 1)
    assert abs(np.corrcoef(found.series[:, 0], shared)[0, 1]) > 0.999
    assert found.series[np.abs(found.series[:, 0]).argmax(), 0] > 0
    np.testing.assert_allclose(cosines.T @ found.series, 0, atol=1e-12)


def test_voxels_without_variance_or_values_change_nothing():
    voxels = noisy_voxels().astype(float)
    cosines = slow_cosines(140, Timing(TR_S))
    spoilt = np.concatenate([voxels, np.full((9, 140), 612.3), np.full((1, 140), np.nan)])
    both = components(voxels, cosines), components(spoilt, cosines)
    np.testing.assert_allclose(both[1].series, both[0].series, atol=1e-9)
    np.testing.assert_allclose(both[1].shares, both[0].shares)


def test_components_do_not_depend_on_how_many_voxels_are_read_at_once(monkeypatch):
    voxels, cosines = noisy_voxels(), slow_cosines(140, Timing(TR_S))
    whole, chosen = course_products(voxels, cosines), most_variable(voxels)
    monkeypatch.setattr("workflows.compute.compcor.BLOCK_VOXELS", 50)
    np.testing.assert_allclose(course_products(voxels, cosines), whole, atol=1e-9)
    np.testing.assert_array_equal(most_variable(voxels), chosen)


def test_an_empty_mask_has_no_components():
    cosines = slow_cosines(30, Timing(2.0))
    found = components(np.empty((0, 30)), cosines)
    assert found.series.shape == (30, 0)
    assert components(np.full((4, 30), 7.0), cosines).shares.shape == (0,)


def test_columns_and_facts_are_those_of_fmriprep():
    voxels = noisy_voxels()
    fluid, white = voxels[:50], voxels[50:]
    table, facts = compcor(fluid, white, voxels, slow_cosines(140, Timing(TR_S)))
    assert list(facts) == list(table.columns)
    masks = {"c": "CSF", "w": "WM", "a": "combined"}
    for name, fact in facts.items():
        assert fact.get("Mask") == masks.get(name[0])
        assert fact["Method"] == ("tCompCor" if name[0] == "t" else "aCompCor")
    both = components(voxels, slow_cosines(140, Timing(TR_S)))
    np.testing.assert_allclose(table.filter(regex="^a_").to_numpy(), both.series, atol=1e-9)
    last = facts[f"a_comp_cor_{len(both.shares) - 1:02d}"]
    assert last["CumulativeVarianceExplained"] == pytest.approx(both.shares.sum())
    assert last["SingularValue"] == pytest.approx(both.singular_values[-1])


def test_components_of_an_older_fmriprep_get_the_names_of_the_newer():
    masks = ["CSF", "CSF", "CSF", "WM", "WM", "combined", "combined"]
    together = [0.4, 0.6, 0.7, 0.45, 0.5, 0.3, 0.55]
    shares = [0.4, 0.2, 0.1, 0.45, 0.05, 0.3, 0.25]
    facts = {
        f"a_comp_cor_{k:02d}": {
            "Method": "aCompCor",
            "Mask": masks[k],
            "VarianceExplained": shares[k],
            "CumulativeVarianceExplained": together[k],
        }
        for k in range(7)
    }
    temporal = {"VarianceExplained": 0.6, "CumulativeVarianceExplained": 0.6}
    facts["t_comp_cor_00"] = {"Method": "tCompCor"} | temporal
    facts["csf"] = {"Method": "Mean"}
    assert current_component_names([*facts, "trans_x"], facts) == {
        "a_comp_cor_00": "c_comp_cor_00",
        "a_comp_cor_01": "c_comp_cor_01",
        "a_comp_cor_03": "w_comp_cor_00",
        "a_comp_cor_04": "w_comp_cor_01",
        "a_comp_cor_05": "a_comp_cor_00",
        "a_comp_cor_06": "a_comp_cor_01",
        "t_comp_cor_00": "t_comp_cor_00",
        "csf": "csf",
        "trans_x": "trans_x",
    }
