import nibabel as nb
import numpy as np
import pandas as pd
import pytest

from workflows.compute.confounds import (
    confound_meanings,
    confound_table,
    cosine_basis,
    cosine_order,
    dvars,
    expand,
    non_steady_state,
    one_hot,
    outlier_volumes,
)


def series_of(n_volumes, rng, n_voxels=60):
    """Voxels with different means, spreads and autocorrelation."""
    noise = rng.normal(0, 1, (n_voxels, n_volumes))
    for volume in range(1, n_volumes):
        noise[:, volume] += np.linspace(0, 0.6, n_voxels) * noise[:, volume - 1]
    return rng.uniform(500, 900, (n_voxels, 1)) + noise * rng.uniform(3, 20, (n_voxels, 1))


def table_of(n_volumes=50, fd_threshold_mm=0.5):
    rng = np.random.default_rng(1)
    parameters = np.zeros((n_volumes, 6))
    parameters[20:, 1] = 0.8
    parameters[30:, 3] = 0.008
    columns = ["csf", "white_matter", "global_signal"]
    tissues = pd.DataFrame(rng.normal(1000, 5, (n_volumes, 3)), columns=columns)
    both = dvars(series_of(n_volumes, rng))
    return confound_table(parameters, tissues, both, (2.0, 0.01), fd_threshold_mm)


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


def test_dvars_of_a_constant_brain_is_refused():
    with pytest.raises(ValueError, match="no voxel varies"):
        dvars(np.full((5, 20), 3.0))


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
    assert np.flatnonzero(outlier_volumes(table)).tolist() == [20]
    assert np.flatnonzero(outlier_volumes(table_of(fd_threshold_mm=0.3))).tolist() == [20, 30]


def test_every_column_has_a_meaning_and_its_unit():
    table = table_of()
    meanings = confound_meanings(table.columns)
    assert list(meanings) == list(table.columns)
    assert meanings["rot_y_derivative1_power2"] == {
        "Description": "Rotation of the head from the reference volume about y (RAS+), "
        "squared backward difference",
        "Units": "rad^2",
    }
    assert meanings["csf_power2"]["Units"] == "arbitrary"
    assert meanings["cosine01"]["Description"] == "Slow cosine for high-pass filtering"


def test_nilearn_reads_the_table(tmp_path):
    from nilearn.interfaces.fmriprep import load_confounds

    from bids_utils.derivatives import write_table

    table = table_of()
    stem = "sub-01_task-rest"
    space = "space-MNI152NLin2009cAsym_desc-preproc"
    image = tmp_path / f"{stem}_{space}_bold.nii.gz"
    nb.Nifti1Image(np.zeros((2, 2, 2, 50), np.float32), np.eye(4)).to_filename(image)
    file = tmp_path / f"{stem}_desc-confounds_timeseries.tsv"
    write_table(table, file, confound_meanings(table.columns))
    strategy = ("motion", "high_pass", "wm_csf", "global_signal", "scrub")
    confounds, kept = load_confounds(
        str(image),
        strategy=strategy,
        motion="full",
        wm_csf="full",
        global_signal="full",
        scrub=0,
        fd_threshold=0.5,
        std_dvars_threshold=100,
        demean=False,
    )
    assert confounds.shape == (50, 36 + 2)
    assert sorted(set(range(50)) - set(kept)) == [20]
    np.testing.assert_allclose(confounds["trans_y"], table["trans_y"])
    np.testing.assert_allclose(confounds["csf_power2"], table["csf_power2"])
