"""Quality measures of MRIQC."""

import json

import numpy as np
import pytest

from bids_utils.errors import DatasetError
from bids_utils.readers.mriqc import read_mriqc
from bids_utils.readers.records import SourceRequest

ALL = SourceRequest()
BOLD = {"fd_mean": 0.1, "tsnr": 50.0, "size_t": 100, "size_x": 64, "summary_bg_mean": 9.0}


@pytest.fixture
def make_json(write):
    def make(name, content, version="23.1.0"):
        return write(name, json.dumps({**content, "provenance": {"version": version}}))

    return make


def numbers(source, query):
    return source.measures.query(query)["value"].tolist()


def texts(source):
    return "\n".join(f"{p.where}: {p.what}; {p.what_to_do}" for p in source.problems)


def test_measures_get_a_prefix_and_motion_and_signal_the_names_of_the_project(tmp_path, make_json):
    make_json("sub-01/ses-pre/anat/sub-01_ses-pre_T1w.json", {"cnr": 2.5, "size_x": 256})
    make_json("sub-01/ses-pre/func/sub-01_ses-pre_task-rest_bold.json", {**BOLD, "efc": 0.5})
    rows = read_mriqc(tmp_path, ALL).measures
    found = rows.set_index(["modality", "measure", "region", "unit"])["value"].to_dict()
    assert found == {
        ("T1w", "mriqc_cnr", "", ""): 2.5,
        ("bold", "fd_mean", "brain", "mm"): 0.1,
        ("bold", "tsnr", "brain", "ratio"): 50,
        ("bold", "mriqc_efc", "", ""): 0.5,
    }


def test_runs_are_averaged_by_their_volumes(tmp_path, make_json):
    stem = "sub-01/ses-pre/func/sub-01_ses-pre_task-rest_run-{}_bold.json"
    make_json(stem.format(1), BOLD)
    make_json(stem.format(2), {"fd_mean": 0.4, "size_t": 300})
    source = read_mriqc(tmp_path, ALL)
    assert numbers(source, "measure == 'fd_mean'") == [pytest.approx(0.325)]
    assert numbers(source, "measure == 'tsnr'") == [50]


def test_several_tasks_are_modalities_of_their_own(tmp_path, make_json):
    for task, motion in (("rest", 0.1), ("faces", 0.3)):
        make_json(f"sub-01_ses-pre_task-{task}_bold.json", {**BOLD, "fd_mean": motion})
    source = read_mriqc(tmp_path, ALL)
    assert numbers(source, "modality == 'bold_faces' and measure == 'fd_mean'") == [0.3]
    assert numbers(source, "modality == 'bold_rest' and measure == 'fd_mean'") == [0.1]


def test_the_group_table_decides_which_scans_there_are(tmp_path, write, make_json):
    make_json("sub-02/anat/sub-02_ses-pre_T1w.json", {"cnr": 9.0})
    write(
        "group_T1w.tsv",
        "bids_name\tcnr\tsize_x\nsub-01_ses-pre_T1w\t2.5\t9\nsub-01_ses-post_T1w\tn/a\t9\n",
    )
    rows = read_mriqc(tmp_path, ALL).measures
    assert rows["session_id"].tolist() == ["pre", "post"]
    assert rows["value"].iloc[0] == 2.5
    assert np.isnan(rows["value"].iloc[1])


def test_a_damaged_file_is_told_and_the_others_go_on(tmp_path, write, make_json):
    make_json("sub-01_ses-pre_T1w.json", {"cnr": 2.5})
    write("sub-02_ses-pre_T1w.json", '{"cnr": 2.')
    make_json("sub-03_T1w.json", {"cnr": 2.5})
    source = read_mriqc(tmp_path, ALL)
    assert "sub-02_ses-pre_T1w.json" in texts(source)
    assert "sub-03_T1w.json: the name does not say which session" in texts(source)
    assert numbers(source, "measure == 'mriqc_cnr'") == [2.5]


def test_a_scan_with_two_rows_is_told(write):
    path = write("group_T1w.tsv", "bids_name\tcnr\nsub-01_ses-a_T1w\t1\nsub-01_ses-a_T1w\t2\n")
    source = read_mriqc(path, ALL)
    assert source.measures["value"].tolist() == [1]
    assert "two rows" in texts(source)


def test_a_folder_without_measures_is_an_error(tmp_path, write):
    write("group_bold.tsv", "name\tfd_mean\nsub-01\t1\n")
    with pytest.raises(
        DatasetError, match=r"nothing could be read \(.*'bids_name' is missing.*of MRIQC"
    ):
        read_mriqc(tmp_path, ALL)


@pytest.mark.needs_shared
def test_a_real_cohort_has_its_real_holes(shared_dir):
    source = read_mriqc(shared_dir / "data" / "derivatives" / "ds003007-mriqc", ALL)
    cnr = source.measures.query("measure == 'mriqc_cnr'")
    assert cnr["session_id"].value_counts().to_dict() == {"pre": 29, "post": 14}
    query = "participant_id == '04' and session_id == 'pre' and measure == 'fd_mean'"
    assert numbers(source, query) == [0.09401315533433748]
    assert set(source.software["version"]) == {"22.0.0rc1"}
