"""Connectivity of other tools as Fisher z."""

import gzip
import importlib
import json

import numpy as np
import pandas as pd
import pytest

from bids_utils.errors import DatasetError
from bids_utils.readers import matrices
from bids_utils.readers.matrices import read_matrices
from bids_utils.readers.records import SourceRequest
from workflows.compute.measures import edge_labels, edge_vector

ALL = SourceRequest()
XCPD = (
    "sub-{}/ses-{}/func/sub-{}_ses-{}_task-rest_space-fsLR_seg-Tiny_stat-pearsoncorrelation_relmat"
)
GIGA = "sub-{}_ses-{}_task-rest_seg-Tiny_meas-PearsonCorrelation_desc-denoiseSimple_relmat"
NAMES = ("a", "b", "c")
R = np.array([[1, 0.1, 0.2], [0.1, 1, -0.3], [0.2, -0.3, 1]])


def table(matrix, names=NAMES, index=True):
    frame = pd.DataFrame(matrix, columns=list(names), index=list(names))
    return frame.to_csv(sep="\t", index=index, index_label="Node" if index else None, na_rep="n/a")


@pytest.fixture
def make_xcpd(write):
    def make(participant, session, matrix=R, names=NAMES, **options):
        stem = XCPD.format(participant, session, participant, session)
        return write(f"{stem}.tsv", table(matrix, names, **options))

    return make


def texts(source):
    return "\n".join(f"{p.where}: {p.what}; {p.what_to_do}" for p in source.problems)


def test_edges_are_fisher_z_in_the_order_of_the_project(tmp_path, make_xcpd):
    make_xcpd("01", "pre")
    (found,) = read_matrices(tmp_path, ALL).matrices
    assert found.atlas == "Tiny"
    assert found.edges[0] == pytest.approx(np.arctanh([0.1, 0.2, -0.3]))
    z = np.arctanh(np.where(np.eye(3), 0, R))
    assert found.edges[0] == pytest.approx(edge_vector(z))
    pairs = edge_labels(list(found.regions)).values.tolist()
    assert pairs == [["a", "b"], ["a", "c"], ["b", "c"]]
    assert found.scans.iloc[0, :3].tolist() == ["01", "pre", "bold"]


def test_tables_without_names_of_rows_are_read(tmp_path, write):
    path = f"{GIGA.format('1', 'a')}.tsv"
    write(path, table(R, names=("0", "1", "2"), index=False))
    (found,) = read_matrices(tmp_path, ALL, "giga_connectome").matrices
    assert found.regions == ("0", "1", "2")
    assert found.edges[0, 2] == pytest.approx(np.arctanh(-0.3))


def test_old_names_of_xcpd_are_read(tmp_path, write):
    stem = "sub-01_ses-pre_task-rest_space-MNI_atlas-Gordon_measure-pearsoncorrelation_conmat"
    write(f"{stem}.tsv", table(R))
    (found,) = read_matrices(tmp_path, ALL).matrices
    assert found.atlas == "Gordon"
    assert found.edges[0, 0] == pytest.approx(np.arctanh(0.1))


def test_atlases_that_do_not_fit_together_ask_for_a_choice(tmp_path, write, monkeypatch):
    monkeypatch.setattr(matrices, "MAX_BYTES", 40)
    for atlas in "AB":
        write(f"sub-01_ses-a_seg-{atlas}_stat-pearsoncorrelation_relmat.tsv", table(R))
    with pytest.raises(DatasetError, match=r"too much memory: A .*, B .*sources: atlases"):
        read_matrices(tmp_path, ALL)
    assert read_matrices(tmp_path, SourceRequest(atlases=("A",))).matrices[0].atlas == "A"


def test_a_region_that_one_scan_lacks_is_nan_there_and_no_edge_moves(tmp_path, make_xcpd):
    make_xcpd("01", "pre", R[1:, 1:], names=("b", "c"))
    make_xcpd("02", "pre", np.array([[1, 0.5, 0.6], [0.5, 1, 0.7], [0.6, 0.7, 1]]))
    source = read_matrices(tmp_path, ALL)
    (found,) = source.matrices
    assert found.regions == ("b", "c", "a")
    assert found.edges[0, 0] == pytest.approx(np.arctanh(-0.3))
    assert np.isnan(found.edges[0, 1:]).all()
    assert found.edges[1] == pytest.approx(np.arctanh([0.7, 0.5, 0.6]))
    assert "1 of 3 regions without connectivity" in texts(source)


def test_runs_are_averaged_in_fisher_z_by_their_volumes(tmp_path, write):
    for run, r, volumes in (("1", 0.2, 100), ("2", 0.6, 300)):
        stem = f"sub-01_ses-pre_task-rest_run-{run}_seg-Tiny"
        write(f"{stem}_stat-pearsoncorrelation_relmat.tsv", table([[1, r], [r, 1]], "ab"))
        series = "a\tb\n" + "1\t2\n" * volumes
        write(f"{stem}_stat-mean_timeseries.tsv", series)
    (found,) = read_matrices(tmp_path, ALL).matrices
    expected = 0.25 * np.arctanh(0.2) + 0.75 * np.arctanh(0.6)
    assert found.edges.tolist() == [[pytest.approx(expected)]]


def test_time_series_are_correlated_where_there_are_no_correlations(tmp_path, write):
    series = (
        "a\tb\tc\td\n1\t2\t5\tn/a\n2\t4\t5\tn/a\nn/a\tn/a\tn/a\tn/a\n3\t5\t5\tn/a\n4\t9\t5\tn/a\n"
    )
    stem = "sub-01_ses-pre_task-rest_seg-Tiny_stat-mean_timeseries"
    write(f"{stem}.tsv", series)
    write(f"{stem}.json", json.dumps({"RepetitionTime": 30.0}))
    (found,) = read_matrices(tmp_path, ALL).matrices
    assert found.edges[0, 0] == pytest.approx(np.arctanh(11 / np.sqrt(5 * 26)))
    assert np.isnan(found.edges[0, 1:]).all()
    assert found.scans["clean_minutes"].tolist() == [2]


def test_numbers_that_are_fisher_z_already_stay(tmp_path, write):
    z = [[np.nan, 1.5], [1.5, np.nan]]
    write("sub-01_ses-pre_task-rest_seg-T_stat-fisherz_relmat.tsv", table(z, "ab"))
    own = "sub-02_ses-pre_task-rest_seg-T_stat-pearsoncorrelation_relmat"
    write(f"{own}.tsv", table([[np.nan, 0.5], [0.5, np.nan]], "ab"))
    write(f"{own}.json", json.dumps({"Description": "Fisher z of the Pearson correlation"}))
    (found,) = read_matrices(tmp_path, ALL).matrices
    assert found.edges.tolist() == [[1.5], [0.5]]


def test_atlases_and_ways_of_denoising_are_never_mixed(tmp_path, write):
    for atlas in ("A", "B"):
        for desc in ("simple", "scrubbing") if atlas == "B" else ("simple",):
            stem = f"sub-01_ses-pre_task-rest_seg-{atlas}_meas-PearsonCorrelation_desc-{desc}"
            write(f"{stem}_relmat.tsv", table(R))
    source = read_matrices(tmp_path, ALL)
    assert {item.atlas for item in source.matrices} == {"A", "B_desc-simple", "B_desc-scrubbing"}
    (one,) = read_matrices(tmp_path, SourceRequest(atlases=("A",))).matrices
    assert one.atlas == "A"


def test_confounds_are_not_taken_for_regions(tmp_path, make_xcpd, write):
    make_xcpd("01", "pre")
    write("sub-01_ses-pre_task-rest_desc-confounds_timeseries.tsv", "csf\twm\n1\t2\n")
    source = read_matrices(tmp_path, ALL)
    assert [item.atlas for item in source.matrices] == ["Tiny"]
    assert source.problems == ()


def test_several_tasks_are_modalities_of_their_own(tmp_path, write):
    for task in ("rest", "faces"):
        write(f"sub-01_ses-pre_task-{task}_seg-A_stat-pearsoncorrelation_relmat.tsv", table(R))
    (found,) = read_matrices(tmp_path, ALL).matrices
    assert set(found.scans["modality"]) == {"bold_rest", "bold_faces"}


def test_motion_beside_the_connectivity_becomes_fd_mean(tmp_path, make_xcpd, write):
    make_xcpd("01", "pre")
    name = "sub-01/ses-pre/func/sub-01_ses-pre_task-rest_motion.tsv"
    write(name, "framewise_displacement\ttrans_x\nn/a\t0\n0.1\t0\n0.3\t0\n")
    rows = read_matrices(tmp_path, ALL).measures
    assert rows[["modality", "measure", "region", "unit"]].values.tolist() == [
        ["bold", "fd_mean", "brain", "mm"]
    ]
    assert rows["value"].tolist() == [pytest.approx(0.2)]


BAD = [
    (table(R * 4), "beyond -1 and 1 are not correlations"),
    (table(R)[:40], "it is cut off"),
    (table(np.where(np.tri(3), R, 0.9)), "not symmetric"),
    (table(R).replace("\nb\t", "\nx\t"), "rows are not named like its columns"),
    (table(R).replace("0.2", "high"), "a cell is not a number"),
    (table(R, names=("a", "a", "c")), "two columns are called 'a'"),
]


@pytest.mark.parametrize(("text", "message"), BAD)
def test_a_bad_file_is_told_and_the_others_go_on(text, message, tmp_path, make_xcpd):
    make_xcpd("01", "pre")
    bad = make_xcpd("02", "pre")
    bad.write_text(text)
    source = read_matrices(tmp_path, ALL)
    assert message in texts(source)
    assert str(bad) in texts(source)
    assert source.matrices[0].scans["participant_id"].tolist() == ["01"]
    assert source.matrices[0].edges.shape == (1, 3)


def test_two_volumes_are_too_few(tmp_path, write):
    write("sub-01_ses-pre_task-rest_seg-A_stat-mean_timeseries.tsv", "a\tb\n1\t2\n2\t1\n")
    with pytest.raises(DatasetError, match="2 volumes with values, 4 are needed"):
        read_matrices(tmp_path, ALL)


def test_hdf5_without_its_package_is_told(tmp_path, make_xcpd, write, monkeypatch):
    def missing(name):
        raise ImportError(name)

    make_xcpd("01", "pre")
    write("atlas-A_meas-PearsonCorrelation_desc-simple_relmat.h5", "")
    monkeypatch.setattr(importlib, "import_module", missing)
    assert "need the package h5py, which is not installed" in texts(read_matrices(tmp_path, ALL))


def test_hdf5_is_read_with_its_package(tmp_path):
    h5py = pytest.importorskip("h5py")
    with h5py.File(tmp_path / "sub-1_atlas-S_meas-PearsonCorrelation_relmat.h5", "w") as file:
        group = file.create_group("sub-1/ses-a")
        group["sub-1_ses-a_task-rest_atlas-S_desc-100_connectome"] = R
        file["atlas-S_desc-100_connectome"] = R
    (found,) = read_matrices(tmp_path, ALL).matrices
    assert found.regions == ("1", "2", "3")
    assert found.edges[0] == pytest.approx(np.arctanh([0.1, 0.2, -0.3]))
    assert found.scans.iloc[0, :3].tolist() == ["1", "a", "bold"]


def test_a_folder_without_connectivity_is_an_error(tmp_path):
    with pytest.raises(DatasetError, match="nothing could be read; expected files such as"):
        read_matrices(tmp_path, ALL)


@pytest.mark.needs_shared
def test_real_sessions_are_more_alike_within_than_between_people(shared_dir, write, tmp_path):
    folder = shared_dir / "data" / "stages_fep_fc" / "timeseries"
    for person in ("001", "002", "003", "004"):
        for session in ("1", "2"):
            file = folder / f"ses-{session}" / f"ts_sub-{person}_ses-{session}.txt.gz"
            with gzip.open(file, "rt") as stream:
                series = np.loadtxt(stream)[:100].T
            frame = pd.DataFrame(series, columns=[f"p{n}" for n in range(100)])
            stem = f"sub-{person}_ses-{session}_task-rest_seg-P100_stat-mean_timeseries.tsv"
            write(stem, frame.to_csv(sep="\t", index=False))
    (found,) = read_matrices(tmp_path, ALL).matrices
    similarity = np.corrcoef(found.edges)
    person = found.scans["participant_id"].to_numpy()
    same = person[:, None] == person
    other = ~np.eye(len(person), dtype=bool)
    assert similarity[same & other].mean() > similarity[~same].mean() + 0.05
