"""The numbers behind a picture: all digits, in the page where few, else linked."""

import base64

import numpy as np
import pandas as pd

from workflows.interfaces.report_numbers import MOST_BYTES, numbers_file, numbers_of


def content(numbers):
    return base64.b64decode(numbers.address.partition("base64,")[2]).decode()


def test_numbers_keep_all_digits_and_missing_is_said():
    table = pd.DataFrame({"region": ["a\tb", None], "value": [0.1 + 0.2, np.nan], "n": [3, 4]})
    numbers = numbers_of("grey/matter & more", table)
    assert content(numbers) == "region\tvalue\tn\na b\t0.30000000000000004\t3\nn/a\tn/a\t4\n"
    assert numbers.name == "grey_matter___more.tsv"


def test_a_small_file_goes_into_the_page_and_a_large_one_is_linked(tmp_path):
    small, large = tmp_path / "group" / "a.tsv", tmp_path / "group" / "models" / "b c.tsv"
    large.parent.mkdir(parents=True)
    small.write_text("x\n1\n")
    large.write_text("x\n" + "1234567\n" * (MOST_BYTES // 8 + 1))
    assert content(numbers_file(small, tmp_path)) == "x\n1\n"
    linked = numbers_file(large, tmp_path / "group")
    assert (linked.name, linked.address, linked.size) == ("b c.tsv", "models/b%20c.tsv", "48 KiB")
