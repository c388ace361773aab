"""A table of repeated scans as a lab writes it."""

import numpy as np
import pytest

from bids_utils.errors import DatasetError
from bids_utils.rescan_table import read_rescan

HEADER = "measure\tregion\tstandard_deviation\tatlas\tn\n"


@pytest.fixture
def write(tmp_path):
    def write_text(text):
        path = tmp_path / "rescan.tsv"
        path.write_text(text)
        return path

    return write_text


def test_deviations_are_read_and_rows_without_one_left_out(write):
    text = HEADER + "volume\tx\t2.5\tA\t12\nvolume\ty\tn/a\tA\t0.5\n"
    text += "tissue_volume\tbrain\t0.4\tn/a\tn/a\n"
    table = read_rescan(write(text))
    assert table[["measure", "atlas", "region"]].to_numpy().tolist() == [
        ["volume", "A", "x"],
        ["tissue_volume", "", "brain"],
    ]
    np.testing.assert_array_equal(table["standard_deviation"], [2.5, 0.4])
    np.testing.assert_array_equal(table["n"], [12, np.nan])


def test_without_atlas_and_n_the_table_is_of_any_atlas_and_exact(write):
    table = read_rescan(write("region\tstandard_deviation\tmeasure\nx\t2\tvolume\n"))
    assert "atlas" not in table
    assert table["n"].isna().all()
    assert table.loc[0, ["measure", "region", "standard_deviation"]].tolist() == ["volume", "x", 2]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("measure\tregion\tsd\nvolume\tx\t2\n", "unknown column 'sd'"),
        ("measure\tregion\nvolume\tx\n", "the column 'standard_deviation' is missing"),
        (HEADER + "volume\tx\t2\tA\t9\nvolume\ty\t-1\tA\t9\n",
         "row 2, column standard_deviation: '-1'; expected a number above 0"),
        (HEADER + "volume\tx\t2,5\tA\t9\n", "row 1, column standard_deviation: '2,5'"),
        (HEADER + "volume\tx\t2\tA\t0\n", "row 1, column n: '0'"),
        (HEADER + "volume\tx\t2\tA\t9\nvolume\tx\t3\tA\t9\n",
         "two rows are about volume, A, x"),
    ],
)  # fmt: skip
def test_what_makes_no_sense_is_refused_with_its_place(write, text, words):
    with pytest.raises(DatasetError, match="rescan.tsv") as error:
        read_rescan(write(text))
    assert words in str(error.value)
