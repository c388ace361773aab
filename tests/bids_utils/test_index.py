import json
import warnings

import pytest

from bids_utils.errors import DatasetError, SettingsError
from bids_utils.index import Selection, index_dataset, select

FILES = [
    "participants.tsv",
    "sub-01/sub-01_sessions.tsv",
    "sub-01/ses-pre/sub-01_ses-pre_scans.tsv",
    "sub-01/ses-pre/anat/sub-01_ses-pre_T1w.nii.gz",
    "sub-01/ses-pre/anat/sub-01_ses-pre_T1w.json",
    "sub-01/ses-pre/func/sub-01_ses-pre_task-rest_run-02_bold.nii.gz",
    "sub-01/ses-post/anat/sub-01_ses-post_acq-hires_T1w.nii.gz",
    "sub-02/ses-pre/anat/sub-02_ses-pre_T1w.nii.gz",
    "sub-02/ses-pre/func/sub-02_ses-pre_task-faces_bold.nii.gz",
]
IGNORED = [
    "derivatives/x/sub-01/anat/sub-01_T1w.nii.gz",
    "sourcedata/sub-01/ses-pre/anat/sub-01_ses-pre_T1w.nii.gz",
    "code/sub-03/anat/sub-03_T1w.nii.gz",
    ".git/sub-03/anat/sub-03_T1w.nii.gz",
    "sub-01/.hidden/anat/sub-01_T1w.nii.gz",
    "sub-01/ses-pre/anat/._sub-01_ses-pre_T1w.nii.gz",
    "sub-01/ses-pre/notes/sub-01_ses-pre_T1w.nii.gz",
]


def test_each_file_of_a_participant_is_a_row_with_its_entities(make_dataset):
    index = index_dataset(make_dataset(FILES + IGNORED))
    assert index["path"].tolist() == [
        "sub-01/sub-01_sessions.tsv",
        "sub-01/ses-post/anat/sub-01_ses-post_acq-hires_T1w.nii.gz",
        "sub-01/ses-pre/anat/sub-01_ses-pre_T1w.json",
        "sub-01/ses-pre/anat/sub-01_ses-pre_T1w.nii.gz",
        "sub-01/ses-pre/func/sub-01_ses-pre_task-rest_run-02_bold.nii.gz",
        "sub-01/ses-pre/sub-01_ses-pre_scans.tsv",
        "sub-02/ses-pre/anat/sub-02_ses-pre_T1w.nii.gz",
        "sub-02/ses-pre/func/sub-02_ses-pre_task-faces_bold.nii.gz",
    ]
    row = index.iloc[4]
    keys = ["subject", "session", "datatype", "suffix", "extension", "task", "run", "acq"]
    assert row[keys].tolist() == ["01", "pre", "func", "bold", ".nii.gz", "rest", "02", ""]


def test_a_dataset_without_sessions_has_empty_session_labels(make_dataset):
    index = index_dataset(make_dataset(["sub-01/anat/sub-01_T1w.nii.gz"]))
    assert index[["subject", "session"]].to_numpy().tolist() == [["01", ""]]


def test_only_the_participants_asked_for_are_read(make_dataset):
    index = index_dataset(make_dataset(FILES), frozenset({"02"}))
    assert index["subject"].unique().tolist() == ["02"]


def test_an_image_without_a_bids_name_keeps_a_row_without_suffix(make_dataset):
    path = "sub-01/ses-pre/anat/sub-01_ses-pre_my_scan_T1w.nii.gz"
    index = index_dataset(make_dataset([path, "sub-01/ses-pre/anat/notes.txt"]))
    expected = [[path, "", ".nii.gz"], ["sub-01/ses-pre/anat/notes.txt", "notes", ".txt"]]
    assert index[["path", "suffix", "extension"]].to_numpy().tolist() == expected[::-1]


def test_links_in_circles_and_broken_links_do_no_harm(make_dataset):
    root = make_dataset(FILES)
    anat = root / "sub-01" / "ses-pre" / "anat"
    (anat / "loop").symlink_to(root)
    (root / "sub-01" / "sub-01").symlink_to(root / "sub-01")
    (root / "sub-02" / "ses-loop").symlink_to(root / "sub-02")
    (root / "sub-02" / "func").symlink_to("func")
    (anat / "sub-01_ses-pre_run-2_T1w.nii.gz").symlink_to("not_fetched")
    index = index_dataset(root)
    new = set(index["path"]) - set(FILES)
    assert new == {"sub-01/ses-pre/anat/sub-01_ses-pre_run-2_T1w.nii.gz"}


@pytest.mark.parametrize(
    ("files", "description", "message"),
    [
        (["a.txt"], None, r"dataset_description\.json and sub-\* folders missing"),
        (["sub-01/anat/sub-01_T1w.nii.gz"], None, r"folder: dataset_description\.json missing"),
        (["sub-01.txt"], {}, r"not a BIDS folder: sub-\* folders missing"),
        (["study/dataset_description.json"], None, "did you mean .*/bids/study"),
    ],
)
def test_a_folder_that_is_not_bids_is_refused(make_dataset, files, description, message):
    root = make_dataset(files, description)
    with pytest.raises(DatasetError, match=message) as caught:
        index_dataset(root)
    assert str(caught.value).startswith(f"{root}: not a BIDS folder")


def test_a_folder_that_does_not_exist_or_cannot_be_read_is_refused(tmp_path, locked_folder):
    with pytest.raises(DatasetError, match="No such file or directory"):
        index_dataset(locked_folder.parent / "none")
    with pytest.raises(DatasetError, match="locked: the folder cannot be read .Permission denied"):
        index_dataset(locked_folder)


def test_a_selection_takes_labels_with_and_without_prefix(make_dataset):
    index = index_dataset(make_dataset(FILES))
    with_prefixes = Selection(("sub-01",), ("ses-pre",), ("task-rest",))
    without = Selection(("01",), ("pre",), ("rest",))
    assert with_prefixes == without
    chosen = select(index, with_prefixes)
    assert chosen[["path", "modality"]].to_numpy().tolist() == [
        ["sub-01/ses-pre/anat/sub-01_ses-pre_T1w.nii.gz", "T1w"],
        ["sub-01/ses-pre/func/sub-01_ses-pre_task-rest_run-02_bold.nii.gz", "bold"],
    ]


def test_a_task_does_not_take_the_anatomy_away(make_dataset):
    chosen = select(index_dataset(make_dataset(FILES)), Selection(tasks=("faces",)))
    assert chosen["modality"].tolist() == ["T1w", "T1w", "T1w", "bold"]


@pytest.mark.parametrize(
    ("selection", "message"),
    [
        (Selection(participants=("sub-1",)), "participant '1' is not in the dataset; .*'01'"),
        (Selection(sessions=("pst",)), "session 'pst' is not in the dataset; did you mean 'post'"),
        (Selection(tasks=("face",)), "task 'face' is not in the dataset; did you mean 'faces'"),
    ],
)
def test_labels_that_do_not_exist_are_refused_with_the_nearest(make_dataset, selection, message):
    with pytest.raises(SettingsError, match=message):
        select(index_dataset(make_dataset(FILES)), selection)


def pybids_files(folder, **filters):
    bids = pytest.importorskip("bids")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        indexer = bids.BIDSLayoutIndexer(validate=False, index_metadata=False)
        layout = bids.BIDSLayout(folder, validate=False, indexer=indexer)
        names = layout.get(return_type="file", **filters)
    return {str(name).removeprefix(f"{folder}/") for name in names}


@pytest.mark.needs_shared
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", ["ds114", "7t_trt", "synthetic"])
def test_pybids_finds_the_same_images_in_real_datasets(shared_dir, name):
    folder = shared_dir / "data" / "bids_examples" / name
    chosen = select(index_dataset(folder), Selection())
    extension = [".nii", ".nii.gz"]
    for suffix in ("T1w", "bold"):
        found = set(chosen["path"][chosen["modality"] == suffix])
        assert found == pybids_files(folder, suffix=suffix, extension=extension)


@pytest.mark.needs_shared
@pytest.mark.filterwarnings("ignore")
def test_a_filter_file_selects_what_pybids_selects(shared_dir, tmp_path):
    from bids_utils.filters import read_filters

    bids = pytest.importorskip("bids")
    folder = shared_dir / "data" / "bids_examples" / "7t_trt"
    path = tmp_path / "filter.json"
    path.write_text(json.dumps({"bold": {"acquisition": "*", "run": None, "session": "2"}}))
    chosen = select(index_dataset(folder), Selection(filters=read_filters(path)))
    query = {"acquisition": bids.layout.Query.ANY, "run": bids.layout.Query.NONE}
    expected = pybids_files(folder, suffix="bold", extension=".nii.gz", session="2", **query)
    assert set(chosen["path"][chosen["modality"] == "bold"]) == expected
    assert len(expected) == 22
