"""Text tables in the stats/ folder of FreeSurfer."""

import pytest

from bids_utils.errors import DatasetError
from bids_utils.readers.stats_file import read_stats


def test_numbers_of_the_whole_brain_are_found_where_a_version_forgets_a_comma(make_aparc):
    path = make_aparc("x", "lh", {"cuneus": (1105, 2705, 2.123)})
    stats = read_stats(path, ("ThickAvg", "GrayVol"))
    assert stats.measures["CortexVol"] == (553998.3, "mm3")
    assert stats.measures["MeanThickness"] == (2.5, "mm")
    assert stats.columns["ThickAvg"].tolist() == [2.123]
    assert stats.columns["GrayVol"].tolist() == [2705]
    assert stats.version == "7.4.1"


def cut_header(text):
    return text[: text.index("# ColHeaders")]


def cut_rows(text):
    return text[: text.index("Right-Caudate") - 20]


def cut_in_a_row(text):
    return text[: text.index("Right-Caudate")]


def no_column(text):
    return text.replace("Volume_mm3", "Volume")


def a_word(text):
    return text.replace(" 21.0 ", " many ")


def twice(text):
    return text.replace("Right-Caudate", "Left-Caudate")


BAD = [
    (cut_header, "there is no line '# ColHeaders'"),
    (cut_rows, "1 regions, but the header says 2"),
    (cut_in_a_row, "has 4 cells, the header 6"),
    (no_column, "the column Volume_mm3 is missing"),
    (a_word, "Volume_mm3 is not a number"),
    (twice, "the region Left-Caudate stands there twice"),
]


@pytest.mark.parametrize(("damage", "message"), BAD)
def test_a_damaged_file_is_told_by_its_name_and_what_is_wrong(damage, message, make_aseg):
    path = make_aseg("x", {"Left-Caudate": 20, "Right-Caudate": 21})
    path.write_text(damage(path.read_text()))
    with pytest.raises(DatasetError, match=message) as error:
        read_stats(path, ("Volume_mm3",))
    assert str(path) in str(error.value)


def test_a_file_that_is_not_there_is_told(tmp_path):
    with pytest.raises(DatasetError, match="aseg.stats: cannot be read"):
        read_stats(tmp_path / "aseg.stats", ())


def test_infinite_numbers_are_refused_in_the_table_and_unknown_in_the_header(make_aparc):
    path = make_aparc("x", "lh", {"cuneus": (1105, 2705, 2.123)})
    text = path.read_text()
    path.write_text(text.replace("553998.3", "1e999"))
    assert "CortexVol" not in read_stats(path, ("ThickAvg",)).measures
    path.write_text(text.replace("2.123", "1e999"))
    with pytest.raises(DatasetError, match="ThickAvg is infinite"):
        read_stats(path, ("ThickAvg",))
