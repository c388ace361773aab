"""Deformation of sessions from files, and the table of standard errors of regions."""

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
from scipy import ndimage

from bids_utils.derivatives import read_table, write_table
from bids_utils.errors import ToolError
from workflows.interfaces.deformation import (
    RegionErrors,
    SessionDeformations,
    check_folds,
    save_list,
)
from workflows.interfaces.volumes import load_volume, save_volume

SHAPE = (28, 28, 28)
AFFINE = np.eye(4)
AFFINE[:3, 3] = [-20, 5, 40]
INDEX = np.indices(SHAPE) - 13.5
DISTANCE = np.linalg.norm(INDEX, axis=0)
MASK = DISTANCE < 10


def head(places=None):
    """Texture of a head, brightness 100, at places (3, i, j, k) in voxels."""
    texture = ndimage.gaussian_filter(np.random.default_rng(0).normal(size=SHAPE), 1.5)
    volume = 100 + 20 * texture / texture.std()
    if places is None:
        return volume
    return ndimage.map_coordinates(volume, places, order=3, mode="nearest")


def noise(seed):
    return np.random.default_rng(seed).normal(scale=1.0, size=SHAPE)


def smaller():
    """The same head, 4 % smaller in each direction around the middle."""
    shrink = 1 + 0.04 * np.exp(-0.5 * (DISTANCE / 6) ** 2)
    return head(INDEX * shrink + 13.5)


def run(interface, folder, **inputs):
    """Outputs of one interface, run in a folder."""
    folder.mkdir(exist_ok=True)
    return interface(**inputs).run(cwd=folder).outputs


@pytest.fixture(scope="module")
def sessions(tmp_path_factory):
    """Inputs of two sessions: the first is brighter and lies elsewhere, the second is smaller."""
    folder = tmp_path_factory.mktemp("sessions")
    moved, still = np.eye(4), np.eye(4)
    moved[:3, 3] = [3, -2, 7]
    np.savetxt(folder / "moved.mat", moved)
    np.savetxt(folder / "still.mat", still)
    first = save_volume(2 * (head() + noise(1)), moved @ AFFINE, folder / "first.nii.gz")
    second = save_volume(smaller() + noise(2), AFFINE, folder / "second.nii.gz")
    return {
        "in_files": [first, second],
        "scales": [0.5, 1.0],
        "xfm_files": [str(folder / "moved.mat"), str(folder / "still.mat")],
        "mask_file": save_volume(MASK, AFFINE, folder / "mask.nii.gz"),
    }


@pytest.fixture(scope="module")
def deformed(sessions, tmp_path_factory):
    return run(SessionDeformations, tmp_path_factory.mktemp("node"), **sessions)


def test_the_smaller_session_has_a_jacobian_below_one(deformed):
    jacobians = [load_volume(file)[0][DISTANCE < 4].mean() for file in deformed.jacobian_files]
    # 4 % at the middle, 2.5 % on the way out: about 9 % of the volume
    assert np.log(jacobians[1] / jacobians[0]) == pytest.approx(-0.09, abs=0.025)
    assert jacobians[0] > 1 > jacobians[1]


def test_displacements_are_volumes_of_three_components_on_the_grid_of_the_mask(deformed):
    image = nib.load(deformed.displacement_files[1])
    assert image.shape == (*SHAPE, 3)
    np.testing.assert_allclose(image.affine, AFFINE)
    # towards the middle on both sides of it, along each axis
    for axis in range(3):
        near = (np.abs(INDEX[axis]) > 3) & (DISTANCE < 8)
        inwards = -np.sign(INDEX[axis]) * image.get_fdata()[..., axis]
        assert inwards[near].mean() > 0.03


def test_warped_sessions_are_alike_without_skull_and_the_brain_is_their_mean(deformed):
    one, two = (load_volume(file)[0] for file in deformed.warped_files)
    brain, affine = load_volume(deformed.brain_file)
    assert not one[~MASK].any()
    assert not two[~MASK].any()
    np.testing.assert_allclose(brain, (one + two) / 2, rtol=1e-5)
    np.testing.assert_allclose(affine, AFFINE)
    slow = [ndimage.gaussian_filter(part, 1) for part in (two - one, smaller() - head())]
    assert slow[0][DISTANCE < 6].std() < 0.5 * slow[1][DISTANCE < 6].std()
    assert brain[DISTANCE < 6].mean() == pytest.approx(100, abs=5)
    assert deformed.noise == pytest.approx(0.85, rel=0.2)
    left = 1.4826 * np.median(np.abs(two - brain)[MASK])
    assert deformed.left_noise == pytest.approx(left, rel=0.02)


def test_swapped_sessions_give_swapped_files(sessions, deformed, tmp_path):
    swapped = {
        name: value[::-1] if isinstance(value, list) else value for name, value in sessions.items()
    }
    found = run(SessionDeformations, tmp_path / "node", **swapped)
    pairs = zip(found.jacobian_files[::-1], deformed.jacobian_files, strict=True)
    for one, two in pairs:
        first, second = load_volume(one)[0][MASK], load_volume(two)[0][MASK]
        np.testing.assert_allclose(first, second, atol=1e-5)
        assert first.mean() == pytest.approx(second.mean(), abs=1e-6)


def test_one_session_has_no_displacement_and_no_noise(sessions, tmp_path):
    single = {
        name: value[:1] if isinstance(value, list) else value for name, value in sessions.items()
    }
    found = run(SessionDeformations, tmp_path / "node", **single)
    assert not load_volume(found.displacement_files[0])[0].any()
    np.testing.assert_array_equal(load_volume(found.jacobian_files[0])[0], 1)
    assert found.noise == found.left_noise == 0
    brain, _ = load_volume(found.brain_file)
    np.testing.assert_allclose(brain[MASK], (head() + noise(1))[MASK], rtol=1e-3)


def test_folds_name_the_session_and_say_what_to_do():
    flat = np.ones(SHAPE)
    folded = flat.copy()
    folded[13, 13, 13] = -0.1
    outside = flat.copy()
    outside[0] = -1
    check_folds([flat, outside], MASK)
    words = r"session 2 of 2 folds 0\.02% .*Look at their T1-weighted images"
    with pytest.raises(ToolError, match=words):
        check_folds([flat, folded], MASK)


@pytest.fixture
def regions(sessions, deformed, tmp_path):
    """Inputs of the table of errors: a large region, a small one, one without voxels."""
    labels = np.zeros(SHAPE, int)
    labels[DISTANCE < 9] = 4
    labels[11:17, 11:17, 11:17] = 2
    table = pd.DataFrame({"index": [2, 9, 4], "structure": ["subcortex", "cortex", "cortex"]})
    write_table(table, tmp_path / "labels.tsv")
    generator = np.random.default_rng(8)
    shares = generator.normal(scale=[[0.1], [0.3]], size=(2, 2, DISTANCE.size)) + 0.6
    grey, tissue = shares.reshape(2, 2, *SHAPE).swapaxes(0, 1)
    return {
        "warped_files": deformed.warped_files,
        "gm_files": save_list(grey, AFFINE, tmp_path / "grey"),
        "tissue_files": save_list(tissue, AFFINE, tmp_path / "tissue"),
        "csf_file": save_volume(np.where(DISTANCE > 7, 0.5, 0), AFFINE, tmp_path / "csf.nii.gz"),
        "mask_file": sessions["mask_file"],
        "atlas_file": save_volume(labels, AFFINE, tmp_path / "atlas.nii.gz"),
        "labels_file": str(tmp_path / "labels.tsv"),
        "noise": deformed.noise,
        "voxels_per_sample": deformed.voxels_per_sample,
    }


def errors(folder, **inputs):
    found = run(RegionErrors, folder, **inputs)
    return read_table(folder / found.out_file)


def test_each_region_has_errors_in_the_order_of_the_labels(regions, tmp_path):
    table = errors(tmp_path / "node", **regions)
    assert table["index"].tolist() == [2, 9, 4]
    assert table.loc[1, ["deformation", "volume"]].isna().all()
    small, _, large = table["deformation"]
    assert 0.1 > small > 1.5 * large > 0
    # noise of .3 of the tissue, .1 of the grey matter, in each of n voxels of .6
    n_voxels = np.array([216, np.count_nonzero(DISTANCE < 9) - 216])
    scatter = np.sqrt(table["volume"] ** 2 - table["deformation"] ** 2)[[0, 2]]
    np.testing.assert_allclose(scatter, [0.5, 0.1 / 0.6] / np.sqrt(n_voxels), rtol=0.3)


def test_more_noise_means_larger_errors(regions, tmp_path):
    usual = errors(tmp_path / "a", **regions)
    noisy = errors(tmp_path / "b", **(regions | {"noise": 3 * regions["noise"]}))
    assert (noisy["deformation"] > 1.3 * usual["deformation"])[[0, 2]].all()


def test_one_session_has_no_errors(regions, tmp_path):
    lists = ("warped_files", "gm_files", "tissue_files")
    single = regions | {name: regions[name][:1] for name in lists}
    table = errors(tmp_path / "node", **(single | {"noise": 0.0}))
    assert table["index"].tolist() == [2, 9, 4]
    assert table[["deformation", "volume"]].isna().all(axis=None)
