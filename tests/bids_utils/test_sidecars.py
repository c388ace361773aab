from pathlib import Path

import pytest

from bids_utils.errors import DatasetError
from bids_utils.sidecars import (
    events_file,
    read_json,
    read_metadata,
    scanner_name,
    shared_names,
)

BOLD = "sub-01/ses-pre/func/sub-01_ses-pre_task-rest_run-1_bold.nii.gz"


def test_a_deeper_sidecar_overrides_and_the_rest_is_inherited(make_dataset):
    root = make_dataset(
        {
            BOLD: "",
            "bold.json": {"A": "root", "B": "root", "C": "root", "D": "root", "E": "root"},
            "task-rest_bold.json": {"B": "task", "C": "task", "D": "task", "E": "task"},
            "sub-01/sub-01_task-rest_bold.json": {"C": "sub", "D": "sub", "E": "sub"},
            "sub-01/ses-pre/sub-01_ses-pre_task-rest_bold.json": {"D": "ses", "E": "ses"},
            BOLD.replace(".nii.gz", ".json"): {"E": "file"},
        }
    )
    expected = {"A": "root", "B": "task", "C": "sub", "D": "ses", "E": "file"}
    assert read_metadata(root, Path(BOLD)) == expected
    assert read_metadata(root, root / BOLD, shared_names(root)) == expected


@pytest.mark.parametrize(
    "other",
    [
        "task-faces_bold.json",
        "task-rest_events.json",
        "task-rest_dir-AP_bold.json",
        "sub-01/sub-02_task-rest_bold.json",
        "sub-01/ses-pre/func/sub-01_ses-pre_task-rest_run-2_bold.json",
        "sub-02/sub-02_bold.json",
        "derivatives/bold.json",
        ".hidden_bold.json",
        "task-rest_notbold.json",
    ],
)
def test_sidecars_of_other_files_do_not_apply(make_dataset, other):
    root = make_dataset({BOLD: "", other: {"RepetitionTime": 9}})
    assert read_metadata(root, Path(BOLD)) == {}


def test_the_nearest_events_of_a_run_are_its_events(make_dataset):
    beside = BOLD.replace("_bold.nii.gz", "_events.tsv")
    shared = ["task-rest_events.tsv", "sub-01/ses-pre/sub-01_ses-pre_task-rest_events.tsv"]
    others = [beside.replace("run-1", "run-2"), "task-faces_events.tsv"]
    root = make_dataset([BOLD, *others])
    assert events_file(root, Path(BOLD)) is None
    for file in (*shared, beside):
        make_dataset([file])
        assert events_file(root, Path(BOLD)) == root / file
        assert events_file(root, root / BOLD, shared_names(root)) == root / file


def test_metadata_of_a_file_that_lies_elsewhere_come_from_the_folders_there_are(make_dataset):
    root = make_dataset({"task-rest_bold.json": {"EchoTime": 0.03}})
    assert read_metadata(root, Path(BOLD)) == {"EchoTime": 0.03}


def test_a_corrupt_sidecar_is_named_with_its_line(make_dataset):
    root = make_dataset({BOLD: "", "task-rest_bold.json": '{\n "RepetitionTime": 2,\n}\n'})
    with pytest.raises(DatasetError, match=r"task-rest_bold\.json, line \d.*not JSON"):
        read_metadata(root, Path(BOLD))


def test_a_json_list_and_a_missing_file_are_refused(make_dataset):
    root = make_dataset({"a.json": [1]})
    with pytest.raises(DatasetError, match="expected an object .*, found list"):
        read_json(root / "a.json")
    with pytest.raises(DatasetError, match="none.json: cannot be read"):
        read_json(root / "none.json")


def test_text_that_is_not_utf8_is_refused(tmp_path):
    path = tmp_path / "a.json"
    path.write_bytes(b'{"InstitutionName": "Z\xfcrich"}')
    with pytest.raises(DatasetError, match="not UTF-8"):
        read_json(path)


@pytest.mark.parametrize(
    ("metadata", "expected"),
    [
        (
            {
                "Manufacturer": "Siemens",
                "ManufacturersModelName": "Prisma_fit",
                "DeviceSerialNumber": 67026,
            },
            "Siemens Prisma_fit 67026",
        ),
        ({"Manufacturer": "GE", "ManufacturersModelName": "GE  Signa"}, "GE Signa"),
        ({"ManufacturersModelName": "Achieva", "DeviceSerialNumber": None}, "Achieva"),
        ({}, ""),
    ],
)
def test_scanners_have_a_short_name(metadata, expected):
    assert scanner_name(metadata) == expected


@pytest.mark.needs_shared
@pytest.mark.filterwarnings("ignore")
def test_pybids_inherits_the_same_metadata(shared_dir):
    bids = pytest.importorskip("bids")
    root = shared_dir / "data" / "bids_examples" / "7t_trt"
    path = "sub-01/ses-2/func/sub-01_ses-2_task-rest_acq-prefrontal_bold.nii.gz"
    indexer = bids.BIDSLayoutIndexer(validate=False, ignore=["sub-0[2-9]", "sub-[12][0-9]"])
    layout = bids.BIDSLayout(root, validate=False, indexer=indexer)
    expected = layout.get_metadata(str(root / path))
    assert read_metadata(root, Path(path)) == dict(expected)
    assert expected["RepetitionTime"] == 4.0
