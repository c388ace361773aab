import json

import pandas as pd
import pytest

from bids_utils.errors import SettingsError
from bids_utils.filters import passes, read_filters

COLUMNS = ["path", "datatype", "suffix", "extension", "session", "acq", "run", "part"]
ROWS = [
    ("plain", "anat", "T1w", ".nii.gz", "pre", "", "", ""),
    ("hires1", "anat", "T1w", ".nii", "pre", "hires", "1", ""),
    ("lores02", "anat", "T1w", ".nii.gz", "post", "lores", "02", ""),
    ("unit1", "anat", "UNIT1", ".nii.gz", "post", "", "", ""),
    ("json", "anat", "T1w", ".json", "post", "", "", ""),
    ("bold", "func", "bold", ".nii.gz", "post", "", "", ""),
    ("phase", "func", "bold", ".nii.gz", "post", "", "", "phase"),
]
INDEX = pd.DataFrame(ROWS, columns=COLUMNS)


def filtered(tmp_path, query, content):
    path = tmp_path / "filter.json"
    path.write_text(json.dumps(content))
    return INDEX["path"][passes(INDEX, query, read_filters(path))].tolist()


def test_without_filters_all_images_of_the_suffix_pass():
    assert INDEX["path"][passes(INDEX, "t1w", {})].tolist() == ["plain", "hires1", "lores02"]
    assert INDEX["path"][passes(INDEX, "bold", {})].tolist() == ["bold", "phase"]


@pytest.mark.parametrize(
    ("entities", "expected"),
    [
        ({"acquisition": "hires"}, ["hires1"]),
        ({"acq": "hires"}, ["hires1"]),
        ({"acquisition": ["hires", "lores"]}, ["hires1", "lores02"]),
        ({"acquisition": None}, ["plain"]),
        ({"acquisition": "*"}, ["hires1", "lores02"]),
        ({"acquisition": "Query.ANY"}, ["hires1", "lores02"]),
        ({"acquisition": "Query.NONE"}, ["plain"]),
        ({"acquisition": [None, "lores"]}, ["plain", "lores02"]),
        ({"run": 2}, ["lores02"]),
        ({"run": "01"}, ["hires1"]),
        ({"session": "ses-post"}, ["lores02"]),
        ({"suffix": "UNIT1"}, ["unit1"]),
        ({"extension": "nii"}, ["hires1"]),
        ({"echo": "*"}, []),
        ({"echo": None}, ["plain", "hires1", "lores02"]),
    ],
)
def test_filters_mean_what_they_mean_in_fmriprep(tmp_path, entities, expected):
    assert filtered(tmp_path, "t1w", {"t1w": entities}) == expected


def test_a_filter_of_one_query_leaves_the_other_alone(tmp_path):
    content = {"bold": {"part": ["mag", None]}, "fmap": {"acquisition": "x"}}
    assert filtered(tmp_path, "bold", content) == ["bold"]
    assert filtered(tmp_path, "t1w", content) == ["plain", "hires1", "lores02"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"t1w": {"acquisition": "a",}}', "line 1, column 29: not JSON"),
        ('{"T1w": {}}', "unknown query 'T1w'; did you mean 't1w'"),
        (
            '{"t1w": {"acquisition_label": "a"}}',
            "unknown entity 'acquisition_label'; did you mean 'acquisition'",
        ),
        ('{"t1w": ["acq"]}', "'t1w' must be an object"),
        ('{"t1w": {"acq": true}}', "'acq': True must be a label"),
        ("[]", "expected an object .* holds queries"),
    ],
)
def test_mistakes_in_a_filter_file_are_named(tmp_path, text, message):
    path = tmp_path / "filter.json"
    path.write_text(text)
    with pytest.raises(SettingsError, match=message):
        read_filters(path)


def test_a_filter_file_that_is_not_there_is_a_mistake_of_the_user(tmp_path):
    with pytest.raises(SettingsError, match="cannot be read"):
        read_filters(tmp_path / "none.json")
