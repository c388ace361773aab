import pytest

from bids_utils.names import (
    BidsName,
    build_name,
    folder_label,
    nearest,
    parse_name,
    same_label,
    split_wide_column,
    strip_label,
    with_prefix,
)

NAME = "sub-01_ses-pre_task-rest_run-02_bold.nii.gz"


def test_a_name_comes_apart_in_entities_suffix_and_whole_extension():
    name = parse_name(NAME)
    pairs = (("sub", "01"), ("ses", "pre"), ("task", "rest"), ("run", "02"))
    assert name == BidsName(pairs, "bold", ".nii.gz")
    assert name.get("run") == "02"
    assert name.get("acq") is None


def test_parsing_and_building_give_the_same_name_back():
    name = parse_name(NAME)
    assert build_name(name.entities, name.suffix, name.extension) == NAME


def test_entities_are_written_in_the_order_of_the_specification():
    entities = [("desc", "preproc"), ("run", "1"), ("ses", "pre"), ("acq", "hires"), ("sub", "01")]
    expected = "sub-01_ses-pre_acq-hires_run-1_desc-preproc_T1w.nii.gz"
    assert build_name(entities, "T1w", ".nii.gz") == expected


def test_transforms_and_statistics_are_named_as_in_fmriprep_and_xcp_d():
    xfm = [("mode", "image"), ("to", "MNI152NLin2009aSym"), ("from", "T1w"), ("sub", "01")]
    assert (
        build_name(xfm, "xfm", ".nii.gz")
        == "sub-01_from-T1w_to-MNI152NLin2009aSym_mode-image_xfm.nii.gz"
    )
    stat = [("stat", "mean"), ("sub", "01"), ("atlas", "A"), ("task", "rest")]
    assert (
        build_name(stat, "timeseries", ".tsv")
        == "sub-01_task-rest_atlas-A_stat-mean_timeseries.tsv"
    )


@pytest.mark.parametrize(
    "name",
    [
        "README",
        "dataset_description.json",
        "sub-_T1w.nii.gz",
        "sub-01_sub-02_T1w.nii.gz",
        "sub-01_task-my_task_bold.nii.gz",
        "sub-01_acq-a-b_T1w.nii.gz",
        "sub-01__T1w.nii.gz",
        ".bidsignore",
    ],
)
def test_names_that_are_not_bids_give_none(name):
    assert parse_name(name) is None


def test_a_sidecar_for_everybody_has_no_entities():
    assert parse_name("bold.json") == BidsName((), "bold", ".json")


def test_unknown_entities_and_impossible_labels_are_refused():
    with pytest.raises(ValueError, match="'subject' is not a BIDS entity"):
        build_name([("subject", "01")], "T1w", ".nii.gz")
    with pytest.raises(ValueError, match="'sub-0_1' must hold letters and digits"):
        build_name([("sub", "0_1")], "T1w", ".nii.gz")


def test_prefixes_are_taken_off_and_put_on_once():
    assert strip_label("sub-01", "sub") == strip_label("01", "sub") == "01"
    assert with_prefix("sub-01", "sub") == with_prefix("01", "sub") == "sub-01"


def test_stripping_takes_the_prefix_and_not_its_letters():
    assert strip_label("ses-session1", "ses") == "session1"
    assert strip_label("sub-bus7", "sub") == "bus7"


def test_only_folders_with_prefix_and_label_have_one():
    assert folder_label("ses-pre", "ses") == "pre"
    assert [folder_label(name, "ses") for name in ("anat", "ses-", "ses-a b")] == ["", "", ""]


def test_wide_columns_name_score_and_session():
    assert split_wide_column("Zung_SDS_ses-post") == ("Zung_SDS", "post")
    assert [split_wide_column(name) for name in ("age", "_ses-pre", "BDI_ses-")] == [None] * 3


def test_runs_are_compared_as_numbers_and_sessions_as_text():
    assert same_label("run", "1", "01")
    assert not same_label("ses", "1", "01")
    assert not same_label("run", "1", "10")


def test_advice_names_the_nearest_and_else_what_there_is():
    assert nearest("pots", ["pre", "post"]) == "did you mean 'post'?"
    assert nearest("zzz", ["pre", "post"]) == "there are: pre, post"
    assert nearest("zzz", [str(n) for n in range(12)]).endswith("8, 9 and 2 more")
    assert nearest("zzz", []) == "there are none"
