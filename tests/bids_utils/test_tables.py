import pytest

from bids_utils.errors import DatasetError
from bids_utils.tables import read_text_table


def write(path, text, encoding="utf-8"):
    path.write_bytes(text.encode(encoding))
    return path


def test_cells_stay_text_so_that_leading_zeros_survive(tmp_path):
    table = read_text_table(write(tmp_path / "a.tsv", "id\tage\n007\t034\n"))
    assert table.to_dict("list") == {"id": ["007"], "age": ["034"]}


def test_all_ways_to_say_missing_are_missing(tmp_path):
    table = read_text_table(write(tmp_path / "a.tsv", "a\tb\tc\td\te\nn/a\tN/A\t\tNaN\tNA\n"))
    assert table.isna().to_numpy().tolist() == [[True] * 5]


def test_windows_lines_byte_order_mark_quotes_and_spaces_are_cleaned(tmp_path):
    text = '\ufeff"id"\tBDI \r\n"sub-01"\t 12\r\n\r\n'
    table = read_text_table(write(tmp_path / "a.tsv", text))
    assert table.to_dict("list") == {"id": ["sub-01"], "BDI": ["12"]}


def test_a_single_quote_mark_does_not_swallow_the_next_lines(tmp_path):
    table = read_text_table(write(tmp_path / "a.tsv", 'id\tsays\n01\t5" tall\n02\tno\n'))
    assert table["says"].tolist() == ['5" tall', "no"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a\tb\n1\t2\n\n3\n", r"a\.tsv, line 4: 1 cells, but the header has 2"),
        ("a\ta\n1\t2\n", "two columns are called 'a'"),
        ("\n", "the file is empty"),
    ],
)
def test_broken_tables_are_refused_with_their_place(tmp_path, text, message):
    with pytest.raises(DatasetError, match=message):
        read_text_table(write(tmp_path / "a.tsv", text))


def test_other_encodings_and_missing_files_are_refused(tmp_path):
    with pytest.raises(DatasetError, match="not UTF-8"):
        read_text_table(write(tmp_path / "a.tsv", "id\tsite\n01\tZürich\n", "latin-1"))
    with pytest.raises(DatasetError, match=r"none\.tsv: cannot be read: No such file"):
        read_text_table(tmp_path / "none.tsv")


def test_a_table_with_a_million_columns_is_refused_at_once(tmp_path):
    path = tmp_path / "wide.tsv"
    path.write_text("\t".join(f"c{place}" for place in range(10**6)))
    with pytest.raises(DatasetError, match="wide.tsv: 1000000 columns, more than 10000"):
        read_text_table(path)
