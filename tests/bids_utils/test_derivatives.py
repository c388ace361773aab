import errno
import json
import os
import shutil
import sys
from contextlib import suppress
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from bids_utils import derivatives
from bids_utils.derivatives import (
    Generator,
    content_digest,
    known_digest,
    read_table,
    remove_leftovers,
    replaced_whole,
    source_address,
    validate_bids,
    write_bidsignore,
    write_dataset_description,
    write_json,
    write_table,
    write_text,
)
from bids_utils.errors import DatasetError, ToolError


def table():
    return pd.DataFrame(
        {
            "participant_id": ["sub-007", "sub-8"],
            "baseline": ["01", None],
            "value": [0.1 + 0.2, np.nan],
            "n": [3, 4],
            "reason": ["two\nlines\tand a tab", ""],
            "says": ['5" tall', None],
        }
    )


def test_a_table_is_written_in_bids_form(tmp_path):
    path = tmp_path / "new" / "a.tsv"
    write_table(table(), path)
    assert path.read_bytes().decode() == (
        "participant_id\tbaseline\tvalue\tn\treason\tsays\n"
        'sub-007\t01\t0.30000000000000004\t3\ttwo lines and a tab\t5" tall\n'
        "sub-8\tn/a\tn/a\t4\tn/a\tn/a\n"
    )


def test_a_table_comes_back_with_its_values_and_zeros(tmp_path):
    write_table(table(), tmp_path / "a.tsv")
    back = read_table(tmp_path / "a.tsv")
    assert back["baseline"].tolist()[0] == "01"
    assert back["value"].tolist()[0] == pytest.approx(0.1 + 0.2, rel=1e-15)
    assert back.isna().to_numpy().sum() == 4
    assert back["says"].tolist()[0] == '5" tall'


def test_text_columns_are_not_taken_for_numbers(tmp_path):
    write_text("region\tvalue\n010\t2\n", tmp_path / "a.tsv")
    assert read_table(tmp_path / "a.tsv")["region"].tolist() == [10]
    assert read_table(tmp_path / "a.tsv", ["region"])["region"].tolist() == ["010"]


def test_a_label_called_na_or_nan_is_not_missing(tmp_path):
    write_text("session_id\tgroup\nNA\tNone\n", tmp_path / "a.tsv")
    assert read_table(tmp_path / "a.tsv").iloc[0].tolist() == ["NA", "None"]


def test_the_dictionary_is_written_for_the_columns_there_are(tmp_path):
    entry = {"Description": "Number", "Units": "day"}
    write_table(table()[["n"]], tmp_path / "a.tsv", {"n": entry, "other": entry})
    assert json.loads((tmp_path / "a.json").read_text()) == {"n": entry}


def test_tables_that_are_missing_or_ragged_are_refused(tmp_path):
    with pytest.raises(DatasetError, match=r"none\.tsv: cannot be read"):
        read_table(tmp_path / "none.tsv")
    write_text("a\tb\n1\t2\n1\t2\t3\n", tmp_path / "a.tsv")
    with pytest.raises(DatasetError, match=r"a\.tsv: not a table .*line 3"):
        read_table(tmp_path / "a.tsv")


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch):
    path = tmp_path / "a.txt"
    write_text("old", path)

    def full(*arguments, **options):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(DatasetError, match=r"a\.txt cannot be written .No space left") as caught:
        write_text("new", path)
    assert str(caught.value).startswith(str(tmp_path))
    assert [item.name for item in tmp_path.iterdir()] == ["a.txt"]
    assert path.read_text() == "old"


def test_an_interrupted_writer_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "a.nii.gz"
    path.write_text("old")

    def write_half():
        with replaced_whole(path) as temporary:
            assert temporary.name.endswith(".nii.gz")
            temporary.write_text("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_half()
    assert [item.name for item in tmp_path.iterdir()] == ["a.nii.gz"]
    assert path.read_text() == "old"


def test_the_content_is_on_the_disk_before_the_name_is_there(tmp_path, monkeypatch):
    path, synced = tmp_path / "a.txt", []

    def fsync(descriptor):
        assert not path.exists()
        synced.append(os.read(descriptor, 9))

    monkeypatch.setattr(os, "fsync", fsync)
    write_text("new", path)
    assert synced == [b"new"]


@pytest.mark.parametrize(("number", "is_written"), [(errno.EINVAL, True), (errno.EIO, False)])
def test_only_a_file_system_that_cannot_say_so_is_not_waited_for(
    tmp_path, monkeypatch, number, is_written
):
    def fsync(_):
        raise OSError(number, "no")

    monkeypatch.setattr(os, "fsync", fsync)
    with suppress(DatasetError):
        write_text("new", tmp_path / "a.txt")
    assert [file.name for file in tmp_path.iterdir()] == (["a.txt"] if is_written else [])


def test_only_what_a_killed_program_was_writing_is_removed(tmp_path):
    (tmp_path / "anat").mkdir()
    kept = [tmp_path / "anat" / "a.tsv", tmp_path / ".tmp_notes", tmp_path / ".tmp12_a.tsv"]
    for file in kept:
        file.touch()

    def be_killed():
        with replaced_whole(tmp_path / "anat" / "b.nii.gz") as temporary:
            temporary.touch()
            shutil.copyfile(temporary, f"{temporary}.gz")  # stays, as after a kill
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        be_killed()
    assert len(list((tmp_path / "anat").iterdir())) == 2
    remove_leftovers(tmp_path)
    assert {path for path in tmp_path.rglob("*") if path.is_file()} == set(kept)


def test_a_folder_that_cannot_be_written_is_named(locked_folder):
    with pytest.raises(DatasetError, match="locked: a.json cannot be written .Permission denied"):
        write_json({}, locked_folder / "a.json")


def test_not_a_number_does_not_get_into_json(tmp_path):
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json({"a": float("nan")}, tmp_path / "a.json")


def test_the_description_names_program_and_sources(make_dataset, tmp_path):
    root = make_dataset([], {"Name": "raw", "DatasetDOI": "doi:10.18112/x"})
    generator = Generator("braindelta", "1.2.3", "https://example.org/code")
    out = tmp_path / "out"
    write_dataset_description(out, root, generator, {"fmriprep": tmp_path / "f p"})
    content = json.loads((out / "dataset_description.json").read_text())
    assert content["DatasetType"] == "derivative"
    assert content["BIDSVersion"] == "1.10.0"
    assert content["GeneratedBy"] == [
        {"Name": "braindelta", "Version": "1.2.3", "CodeURL": "https://example.org/code"}
    ]
    assert content["SourceDatasets"] == [
        {"URL": "../bids", "DOI": "doi:10.18112/x"},
        {"URL": "../f%20p"},
    ]
    assert content["DatasetLinks"] == {"raw": "../bids", "fmriprep": "../f%20p"}


def test_sources_are_addresses_in_the_raw_dataset():
    path = Path("/data/bids/sub-01/anat/sub-01_T1w.nii.gz")
    expected = "bids:raw:sub-01/anat/sub-01_T1w.nii.gz"
    assert source_address(Path("/data/bids"), path) == expected


def test_text_that_a_spreadsheet_would_calculate_is_written_as_text(tmp_path):
    cells = ["=cmd|\x27 /C calc\x27!A0", "@SUM(A1)", "-2.5", "a=b"]
    write_table(pd.DataFrame({"reason": cells, "value": [-1.5, 2, 3, 4]}), tmp_path / "a.tsv")
    assert (tmp_path / "a.tsv").read_text() == (
        "reason\tvalue\n\x27=cmd|\x27 /C calc\x27!A0\t-1.5\n"
        "\x27@SUM(A1)\t2.0\n-2.5\t3.0\na=b\t4.0\n"
    )


def test_ignored_patterns_are_written_a_line_each(tmp_path):
    write_bidsignore(tmp_path, ["*.html", "group/"])
    assert (tmp_path / ".bidsignore").read_text() == "*.html\ngroup/\n"


def valid_dataset(make_dataset):
    return make_dataset(
        {
            "README.md": "A tiny dataset.",
            "participants.tsv": "participant_id\tage\nsub-01\t30\n",
            "sub-01/ses-pre/anat/sub-01_ses-pre_T1w.nii.gz": "not empty",
        }
    )


def test_the_validator_accepts_a_valid_dataset_without_opening_images(make_dataset):
    assert validate_bids(valid_dataset(make_dataset)) == []


def test_the_validator_opens_images_when_asked(make_dataset):
    (error,) = validate_bids(valid_dataset(make_dataset), check_headers=True)
    assert "sub-01_ses-pre_T1w.nii.gz NIFTI_HEADER_UNREADABLE" in error


def test_the_validator_names_a_file_that_is_not_bids(make_dataset):
    root = valid_dataset(make_dataset)
    (root / "sub-01" / "ses-pre" / "anat" / "scan.nii.gz").write_text("x")
    errors = validate_bids(root)
    assert len(errors) == 1
    assert errors[0].startswith("/sub-01/ses-pre/anat/scan.nii.gz ")


def test_our_description_is_valid(make_dataset, tmp_path):
    raw = valid_dataset(make_dataset)
    out = tmp_path / "out"
    write_dataset_description(out, raw, Generator("braindelta", "1", "https://example.org"))
    write_table(pd.DataFrame({"a": [1]}), out / "ledger.tsv")
    assert [error.partition(" ")[0] for error in validate_bids(out)] == ["/ledger.tsv"]
    write_bidsignore(out, ["ledger.*"])
    assert validate_bids(out) == []


def test_a_missing_validator_is_a_tool_error_that_says_how_to_get_it(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ToolError, match="pip install bids-validator-deno"):
        validate_bids(tmp_path)


def test_a_validator_that_dies_is_a_tool_error(tmp_path, monkeypatch):
    tool = tmp_path / "tool"
    tool.write_text("#!/bin/sh\necho out of memory >&2\nexit 9\n")
    tool.chmod(0o755)
    monkeypatch.setattr(derivatives, "_validator", lambda: str(tool))
    with pytest.raises(ToolError, match="exit code 9: out of memory"):
        validate_bids(tmp_path)


def test_a_reader_never_sees_a_half_written_file(tmp_path):
    path = tmp_path / "a.txt"
    write_text("old", path)
    with path.open() as reader:
        write_text("new", path)
        assert reader.read() == "old"
    assert path.read_text() == "new"


def test_a_known_digest_follows_the_content_of_the_file(tmp_path):
    file = tmp_path / "atlas.tsv"
    file.write_text("one", encoding="utf-8")
    first = known_digest(file)
    assert first == content_digest(file)
    file.write_text("two", encoding="utf-8")
    os.utime(file, ns=(1, 1))
    assert known_digest(file) == content_digest(file) != first
