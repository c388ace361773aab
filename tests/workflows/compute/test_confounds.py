import nibabel as nb
import numpy as np
import pandas as pd
import pytest

from bids_utils.derivatives import read_table
from workflows.compute.confounds import (
    Timing,
    confound_meanings,
    confound_table,
    cosine_basis,
    cosine_order,
    dvars,
    expand,
    non_steady_state,
    one_hot,
    relative_rms,
    settled_differences,
    slow_cosines,
)
from workflows.compute.motion import MOTION_COLUMNS, pose_from_parameters


def series_of(n_volumes, rng, n_voxels=60):
    """Voxels with different means, spreads and autocorrelation."""
    noise = rng.normal(0, 1, (n_voxels, n_volumes))
    for volume in range(1, n_volumes):
        noise[:, volume] += np.linspace(0, 0.6, n_voxels) * noise[:, volume - 1]
    return rng.uniform(500, 900, (n_voxels, 1)) + noise * rng.uniform(3, 20, (n_voxels, 1))


def table_of(n_volumes=50, fd_threshold_mm=0.5, std_dvars_threshold=None, timing=(2.0, 0.025)):
    rng = np.random.default_rng(1)
    parameters = np.zeros((n_volumes, 6))
    parameters[20:, 1] = 0.8
    parameters[30:, 3] = 0.008
    columns = ["csf", "white_matter", "global_signal"]
    tissues = pd.DataFrame(rng.normal(1000, 5, (n_volumes, 3)), columns=columns)
    both = dvars(series_of(n_volumes, rng))
    return confound_table(parameters, tissues, both, timing, fd_threshold_mm, std_dvars_threshold)


def test_dvars_is_that_of_nipype(tmp_path, monkeypatch):
    from nipype.algorithms import confounds as nipype_confounds
    from statsmodels.tsa.stattools import acf

    def first_order(series, order):
        return acf(series, nlags=order, fft=False)[1:]

    monkeypatch.setattr(nipype_confounds, "_AR_est_YW", first_order)
    voxels = series_of(80, np.random.default_rng(2)).astype(np.float32)
    voxels[7] = 640
    image = nb.Nifti1Image(voxels.reshape(3, 4, 5, 80), np.eye(4))
    mask = nb.Nifti1Image(np.ones((3, 4, 5), np.uint8), np.eye(4))
    image.to_filename(tmp_path / "bold.nii")
    mask.to_filename(tmp_path / "mask.nii")
    standardised, plain, _ = nipype_confounds.compute_dvars(
        tmp_path / "bold.nii", tmp_path / "mask.nii", remove_zerovariance=True
    )
    ours = dvars(voxels)
    np.testing.assert_allclose(ours[0][1:], standardised, rtol=0, atol=1e-6)
    np.testing.assert_allclose(ours[1][1:], plain, rtol=2e-6)
    assert np.isnan([ours[0][0], ours[1][0]]).all()


def test_bright_volumes_before_the_steady_state_do_not_enter_what_dvars_expects():
    voxels = series_of(80, np.random.default_rng(6))
    steady = dvars(voxels)
    bright = np.hstack([voxels[:, :2] * [1.8, 1.3], voxels])
    found = dvars(bright, n_dummy=2)
    for ours, expected in zip(found, steady, strict=True):
        np.testing.assert_allclose(ours[3:], expected[1:], rtol=1e-12)
    jump = 1000 / np.median(voxels) * (bright[:, 2] - bright[:, 1])
    assert found[1][2] == pytest.approx(np.sqrt((jump**2).mean()))


def test_dvars_does_not_depend_on_how_many_voxels_are_read_at_once(monkeypatch):
    voxels = series_of(40, np.random.default_rng(4))
    whole = dvars(voxels)
    monkeypatch.setattr("workflows.compute.confounds.BLOCK_VOXELS", 7)
    np.testing.assert_allclose(dvars(voxels), whole, rtol=1e-12)


def test_dvars_of_a_constant_brain_is_refused():
    with pytest.raises(ValueError, match="no voxel varies"):
        dvars(np.full((5, 20), 3.0))


def test_the_step_to_the_steady_state_counts_as_no_change():
    table = expand(pd.DataFrame({"csf": [1700.0, 1300, 900, 904, 901]}))
    table["non_steady_state_outlier00"] = [1, 0, 0, 0, 0]
    table["non_steady_state_outlier01"] = [0, 1, 0, 0, 0]
    settled = settled_differences(table)
    np.testing.assert_array_equal(settled["csf_derivative1"], [np.nan, 0, 0, 4, -3])
    np.testing.assert_array_equal(settled["csf_derivative1_power2"], [np.nan, 0, 0, 16, 9])
    assert settled["csf"].tolist() == [1700, 1300, 900, 904, 901]
    assert table["csf_derivative1"].tolist()[1:] == [-400, -400, 4, -3]
    others = table.drop(columns=settled.filter(like="steady").columns)
    pd.testing.assert_frame_equal(settled_differences(others), others)


def test_expansion_squares_the_difference_and_not_the_reverse():
    expanded = expand(pd.DataFrame({"rot_x": [1.0, 3.0, -2.0]}))
    expected = {
        "rot_x": [1, 3, -2],
        "rot_x_derivative1": [np.nan, 2, -5],
        "rot_x_power2": [1, 9, 4],
        "rot_x_derivative1_power2": [np.nan, 4, 25],
    }
    pd.testing.assert_frame_equal(expanded, pd.DataFrame(expected, dtype=float))


def test_cosines_are_those_of_nilearn():
    from nilearn.signal import create_cosine_drift

    expected = create_cosine_drift(0.01, np.arange(120) * 2.0)[:, :-1]
    order = cosine_order(120, 2.0, 0.01)
    np.testing.assert_allclose(cosine_basis(120, 1, order), expected, atol=1e-12)


def test_all_cosines_together_span_every_centred_series():
    basis = cosine_basis(16, 1, 15)
    np.testing.assert_allclose(basis.T @ basis, np.eye(15), atol=1e-12)


def test_one_volume_per_outlier_column():
    table = one_hot(np.array([False, True, False, True]), "motion_outlier")
    expected = pd.DataFrame({"motion_outlier00": [0, 1, 0, 0], "motion_outlier01": [0, 0, 0, 1]})
    pd.testing.assert_frame_equal(table, expected)


def test_bright_volumes_count_only_at_the_start():
    signal = 100 + np.tile([0.1, -0.1, 0.05, -0.05], 10)
    signal[[0, 1, 20]] = [130, 115, 140]
    assert non_steady_state(signal) == 2
    assert non_steady_state(signal[2:]) == 0


def test_outliers_are_volumes_above_the_threshold():
    table = table_of()
    np.testing.assert_allclose(table["framewise_displacement"][[20, 30]], [0.8, 0.4])
    assert outliers_of(table) == [20]
    assert outliers_of(table_of(fd_threshold_mm=0.3)) == [20, 30]


def outliers_of(table):
    """Volumes that have a motion_outlier column, one volume a column."""
    columns = table.filter(regex="^motion_outlier").to_numpy()
    assert (columns.sum(axis=0) == 1).all()
    return columns.argmax(axis=0).tolist()


def test_every_column_has_a_meaning_and_its_unit():
    table = table_of()
    meanings = confound_meanings(table.columns)
    assert list(meanings) == list(table.columns)
    assert meanings["rot_y_derivative1_power2"] == {
        "Description": "Rotation onto the reference volume about y in MCFLIRT's conventions, "
        "squared backward difference",
        "Units": "rad^2",
    }
    assert meanings["csf_power2"]["Units"] == "arbitrary"
    assert meanings["csf_power2"].keys() == {"Description", "Units"}
    assert meanings["white_matter"]["Method"] == "Mean"
    assert confound_meanings(["rmsd"])["rmsd"]["Units"] == "mm"
    assert meanings["cosine00"]["Description"] == "Slow cosine that was removed before CompCor"


def test_outliers_of_change_are_added_where_a_threshold_is_given():
    table = table_of()
    largest = table["std_dvars"].idxmax()
    limit = table["std_dvars"].nlargest(2).mean()
    assert outliers_of(table_of(std_dvars_threshold=limit)) == sorted([20, largest])
    assert outliers_of(table_of(fd_threshold_mm=None)) == []


def test_dummy_volumes_have_their_columns_and_no_cosines():
    table = table_of(timing=Timing(2.0, 0.04, n_dummy=2))
    names = [name for name in table if name.startswith("non_steady_state_outlier")]
    assert names == ["non_steady_state_outlier00", "non_steady_state_outlier01"]
    assert np.argwhere(table[names].to_numpy() == 1).tolist() == [[0, 0], [1, 1]]
    cosines = table.filter(regex="^cosine").to_numpy()
    assert cosines.shape == (50, 6)
    assert (cosines[:2] == 0).all()
    np.testing.assert_allclose(cosines.T @ cosines, np.eye(6), atol=1e-12)


@pytest.mark.parametrize(("n_volumes", "tr_s"), [(100, 2.5), (128, 2.0), (156, 2.0), (20, 1.0)])
def test_the_cosines_before_compcor_are_those_of_nipype(n_volumes, tr_s):
    from nipype.algorithms.confounds import cosine_filter

    expected = cosine_filter(np.ones((1, n_volumes)), tr_s, 128)[1].reshape(n_volumes, -1)
    np.testing.assert_allclose(slow_cosines(n_volumes, Timing(tr_s)), expected, atol=1e-12)


def test_the_relative_rms_is_that_of_points_in_a_sphere():
    rng = np.random.default_rng(3)
    centre = np.array([10.0, -25, 40])
    points = rng.uniform(-80, 80, (200_000, 3))
    points = points[np.linalg.norm(points, axis=1) < 80] + centre
    parameters = np.array([[0.1, 0.4, -0.2, 0.01, -0.02, 0.03], [0.5, 0, 0.3, -0.01, 0.02, 0.05]])
    poses = np.array([pose_from_parameters(row, np.zeros(3)) for row in parameters])
    moved = np.linalg.inv(poses[0]) @ poses[1]
    places = points @ moved[:3, :3].T + moved[:3, 3]
    expected = np.sqrt(((places - points) ** 2).sum(axis=1).mean())
    found = relative_rms(poses, centre)
    assert np.isnan(found[0])
    assert found[1] == pytest.approx(expected, rel=0.005)


def mcflirt_pose(row):
    """Pose of parameters as MCFLIRT counts them: onto the reference, angles clockwise."""
    onto_reference = pose_from_parameters(row, np.zeros(3))
    onto_reference[:3, :3] = onto_reference[:3, :3].T
    return np.linalg.inv(onto_reference)


@pytest.mark.needs_shared
def test_the_relative_rms_is_that_of_fmriprep(shared_dir):
    folder = shared_dir / "data" / "fmriprep_examples"
    table = read_table(next(folder.rglob("*_desc-motion_timeseries.tsv")))
    poses = np.array([mcflirt_pose(row) for row in table[list(MOTION_COLUMNS)].to_numpy()])
    # the parameters are counted about the centre of gravity, which the file does not tell; the
    # three numbers were fitted to the fifteen of the column rmsd
    from_gravity_to_grid_centre = np.array([0.825, 6.975, -0.855])
    found = relative_rms(poses, from_gravity_to_grid_centre)
    np.testing.assert_allclose(found[1:], table["rmsd"][1:], rtol=0, atol=3e-6)
