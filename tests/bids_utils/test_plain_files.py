"""Files that could harm whoever reads them."""

import os

import pytest

from bids_utils.errors import DatasetError
from bids_utils.plain_files import read_first_line, read_json, read_plain, read_utf8


def test_a_pipe_without_a_writer_is_refused_and_not_waited_for(tmp_path):
    path = tmp_path / "pipe.json"
    os.mkfifo(path)
    with pytest.raises(DatasetError, match="pipe.json: not an ordinary file"):
        read_json(path)


def test_a_link_to_a_device_is_refused(tmp_path):
    path = tmp_path / "zero.tsv"
    path.symlink_to("/dev/zero")
    with pytest.raises(DatasetError, match="zero.tsv: not an ordinary file"):
        read_utf8(path)


def test_a_link_to_itself_is_refused(tmp_path):
    path = tmp_path / "loop.tsv"
    path.symlink_to(path)
    with pytest.raises(DatasetError, match="loop.tsv: cannot be read: Too many levels"):
        read_utf8(path)


def test_no_more_is_read_than_allowed(tmp_path):
    path = tmp_path / "large.tsv"
    path.touch()
    os.truncate(path, 10**12)  # a terabyte of nothing
    with pytest.raises(DatasetError, match="large.tsv: larger than 1 MiB"):
        read_plain(path, 2**20)
    with pytest.raises(DatasetError, match="large.tsv: its first line never ends"):
        read_first_line(path)


def test_brackets_without_end_are_refused_in_plain_words(tmp_path):
    path = tmp_path / "deep.json"
    path.write_text('{"a":' * 100_000)
    with pytest.raises(DatasetError, match="deep.json: its brackets are nested too deeply"):
        read_json(path)


def test_numbers_of_thousands_of_digits_are_infinite(tmp_path):
    path = tmp_path / "long.json"
    path.write_text(f'{{"RepetitionTime": {"9" * 5000}, "EchoTime": {"9" * 30}}}')
    assert read_json(path) == {"RepetitionTime": float("inf"), "EchoTime": int("9" * 30)}


def test_line_ends_of_all_systems_and_a_byte_order_mark_are_the_same(tmp_path):
    path = tmp_path / "a.tsv"
    path.write_bytes(b"\xef\xbb\xbfa\r\nb\rc\n")
    assert read_utf8(path) == "a\nb\nc\n"
    assert read_first_line(path) == "a"
