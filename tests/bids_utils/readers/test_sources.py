"""Which reader takes a source."""

import json

import pytest

from bids_utils.errors import DatasetError, SettingsError
from bids_utils.readers import records
from bids_utils.readers.records import SourceRequest
from bids_utils.readers.sources import read_source, source_kind, source_stamp
from workflows.compute.measures import MEASURE_COLUMNS

ALL = SourceRequest()


def test_the_columns_are_those_of_compute():
    assert records.MEASURE_COLUMNS == MEASURE_COLUMNS


def test_an_unknown_name_is_refused_with_the_nearest(tmp_path):
    with pytest.raises(SettingsError, match="did you mean 'freesurfer'"):
        read_source("freesurfr", tmp_path, ALL)


def test_a_path_that_is_not_there_is_told(tmp_path):
    with pytest.raises(DatasetError, match="there is nothing there"):
        read_source("mriqc", tmp_path / "x", ALL)


KINDS = [
    ("sub-01_ses-a/stats/aseg.stats", "freesurfer"),
    ("sub-01_ses-a/stats/aseg+DKT.stats", "fastsurfer"),
    ("label/catROI_sub-01.xml", "cat12"),
    ("group_bold.tsv", "mriqc"),
    ("sub-01/func/sub-01_seg-A_stat-pearsoncorrelation_relmat.tsv", "xcpd"),
]


@pytest.mark.parametrize(("name", "kind"), KINDS)
def test_the_content_tells_the_tool(name, kind, tmp_path, write):
    write(name, "")
    assert source_kind(tmp_path) == kind


def test_the_description_of_a_dataset_goes_before_its_files(tmp_path, write):
    description = {"GeneratedBy": [{"Name": "giga-connectome"}]}
    write("dataset_description.json", json.dumps(description))
    write("group_bold.tsv", "")
    assert source_kind(tmp_path) == "giga_connectome"


def test_single_files_are_known_by_their_names(write):
    assert source_kind(write("group_T1w.tsv", "")) == "mriqc"
    assert source_kind(write("a_catROI_lpba40_Vgm.csv", "")) == "cat12"
    assert source_kind(write("measures.csv", "")) == "table"


def test_what_is_not_known_asks_for_a_name(tmp_path):
    with pytest.raises(DatasetError, match="name it, as NAME=PATH with NAME one of freesurfer"):
        source_kind(tmp_path)


def test_a_source_is_read_under_its_own_name(tmp_path, make_aseg):
    make_aseg("sub-01_ses-pre", {"Left-Caudate": 3400.0})
    assert read_source("", tmp_path, ALL).name == "freesurfer"
    assert read_source("FastSurfer", tmp_path, ALL).name == "fastsurfer"


def test_the_stamp_changes_with_a_file_that_is_read_and_with_no_other(tmp_path, make_aseg, write):
    make_aseg("sub-01_ses-pre", {"Left-Caudate": 3400.0})
    before = source_stamp(tmp_path)
    write("sub-01_ses-pre/mri/aseg.mgz", "x")
    assert source_stamp(tmp_path) == before
    make_aseg("sub-01_ses-pre", {"Left-Caudate": 34000.0})
    assert source_stamp(tmp_path) != before
