"""Tables of measures that were made elsewhere."""

import numpy as np
import pandas as pd
import pytest

from bids_utils.errors import DatasetError
from bids_utils.readers.measure_table import read_measure_table, read_measures
from bids_utils.readers.records import SourceRequest

HEADER = "participant_id\tsession_id\tmeasure\tregion\tvalue\tunit"
ROWS = ("01\tpre\tvolume\tx\t4\tml", "sub-sub-01\tses-post\tvolume\tx\tn/a\tml")
ALL = SourceRequest()


@pytest.fixture
def write_lines(write):
    return lambda *lines, name="measures.tsv": write(name, "\n".join(lines) + "\n")


def texts(source):
    return "\n".join(f"{p.where}: {p.what}; {p.what_to_do}" for p in source.problems)


def cells(source):
    columns = ["participant_id", "session_id", "region", "value"]
    return source.measures[columns].values.tolist()


def test_labels_are_taken_with_or_without_prefix_and_missing_values_stay(write_lines):
    table = read_measures(write_lines(HEADER, *ROWS))
    assert table["participant_id"].tolist() == ["01", "01"]
    assert table["session_id"].tolist() == ["post", "pre"]
    assert table["modality"].tolist() == ["other", "other"]
    assert table["qc"].tolist() == ["missing", "ok"]


def test_the_standard_error_of_a_value_is_taken_where_a_table_has_it(write_lines):
    without = read_measures(write_lines(HEADER, *ROWS))
    assert without["standard_error"].isna().all()
    rows = (f"{ROWS[0]}\t0.2", f"{ROWS[1]}\tn/a")
    table = read_measures(write_lines(f"{HEADER}\tstandard_error", *rows))
    np.testing.assert_array_equal(table["standard_error"], [np.nan, 0.2])


ERRORS = [
    (
        (f"{HEADER}\tstandard_error", f"{ROWS[0]}\t0", f"{ROWS[1]}\t-0.2"),
        "line 3: 'standard_error' is below 0",
    ),
    ((f"{HEADER}\tstandard_error", f"{ROWS[0]}\t2 %"), "line 2: 'standard_error' is not a number"),
    ((HEADER.replace("value", "val"), *ROWS), "column 'value' is missing; did you mean 'val'"),
    (
        (HEADER, ROWS[0], "02\tpre\tvolume\tx\t4,5\tml"),
        "line 3: 'value' is not a number: '4,5' has a decimal comma",
    ),
    ((HEADER, "02\tpre\tvolume\tx\tbig\tml"), "line 2: 'value' is not a number: 'big' is not"),
    ((HEADER, "02\tpre\tvolume\tx\tinf\tml"), "line 2: 'value' is not a number"),
    ((HEADER, *ROWS, "sub-01\tpre\tvolume\tx\t5\tml"), "line 2, 4: several rows have the same"),
    ((HEADER, "01\tn/a\tvolume\tx\t4\tml"), "line 2: 'session_id' is empty; fill it in"),
    ((HEADER, "01\tpre\tvolume\tx\t4"), "line 2: 5 cells, but the header has 6; .* by tabs"),
]


@pytest.mark.parametrize(("lines", "message"), ERRORS)
def test_a_mistake_is_told_with_file_line_and_column(lines, message, write_lines):
    path = write_lines(*lines)
    with pytest.raises(DatasetError, match=message) as error:
        read_measures(path)
    assert str(path) in str(error.value)


def test_empty_lines_do_not_shift_the_lines_that_are_told(write_lines):
    with pytest.raises(DatasetError, match="line 4: 'session_id' is empty"):
        read_measures(write_lines(HEADER, ROWS[0], "", "02\t\tvolume\tx\t5\tml"))


@pytest.mark.parametrize("mark", [",", ";"])
def test_commas_and_semicolons_separate_too(mark, write_lines):
    lines = [line.replace("\t", mark) for line in (HEADER, *ROWS)]
    source = read_measure_table(write_lines(*lines, name="m.csv"), ALL)
    assert source.measures["value"].iloc[1] == 4
    assert "participant_id: the prefix stands there twice (sub-sub-01)" in texts(source)


def test_a_decimal_comma_between_commas_is_explained(write_lines):
    path = write_lines("participant_id,session_id,a", "01,pre,4,5", name="x_volume_ml.csv")
    with pytest.raises(DatasetError, match="not with a decimal comma"):
        read_measure_table(path, ALL)


def test_a_wide_table_has_a_row_per_session_and_a_column_per_region(write_lines):
    path = write_lines(
        "participant_id;session_id;age;diagnosis;lh_cuneus;rh_cuneus",
        "sub-01;pre;30;MDD;2.1;2.2",
        "01;post;30;MDD;2.3;n/a",
        name="study_thickness.csv",
    )
    source = read_measure_table(path, ALL)
    assert cells(source)[0] == ["01", "post", "lh_cuneus", 2.3]
    assert np.isnan(cells(source)[1][3])
    assert cells(source)[2:] == [
        ["01", "pre", "lh_cuneus", 2.1],
        ["01", "pre", "rh_cuneus", 2.2],
    ]
    assert set(source.measures["measure"] + source.measures["unit"]) == {"thicknessmm"}
    assert "columns that are not regions are left out: age, diagnosis" in texts(source)


def test_sessions_in_the_names_of_columns_become_rows(write_lines):
    path = write_lines(
        "participant_id\tage\tLeft-Hippocampus_ses-pre\tLeft-Hippocampus_ses-post",
        "01\t30\t4000\t4100",
        "02\t31\t3900\tn/a",
        name="hippo.tsv",
    )
    source = read_measure_table(path, SourceRequest(measure="volume", unit="mm3"))
    assert cells(source) == [
        ["01", "post", "Left-Hippocampus", 4100],
        ["01", "pre", "Left-Hippocampus", 4000],
        ["02", "pre", "Left-Hippocampus", 3900],
    ]
    assert "columns without a session are left out: age" in texts(source)


WIDE = ("participant_id\tsession_id\ta", "01\tpre\t4")
UNCLEAR = [
    (WIDE, "data.tsv", "does not say what it measures; .*measure and unit"),
    (WIDE, "data_volume.tsv", "does not say the unit of 'volume'"),
    (WIDE, "volume_thickness.tsv", "does not say what it measures"),
    (("subject\tsession_id\ta", "1\tx\t2"), "thickness.tsv", "'participant_id' is missing"),
    (("participant_id\tsess\ta", "1\tx\t2"), "thickness.tsv", "'session_id' is missing"),
    ((WIDE[0], "01\tpre\t4", "01\tpre\t5"), "thickness.tsv", "line 2, 3: several rows"),
    ((WIDE[0], "01\tpre\t4,5"), "thickness.tsv", "line 2, column 'a': '4,5' has a decimal comma"),
    (("participant_id\tsession_id\tage", "1\tx\t2"), "thickness.tsv", "no column with numbers"),
]


@pytest.mark.parametrize(("lines", "name", "message"), UNCLEAR)
def test_what_is_not_clear_is_asked_for(lines, name, message, write_lines):
    with pytest.raises(DatasetError, match=message):
        read_measure_table(write_lines(*lines, name=name), ALL)


def test_freesurfer_tables_of_a_cohort_are_read(write_lines):
    aseg = write_lines(
        "Measure:volume\tLeft-Thalamus-Proper\tBrainSegVol\tEstimatedTotalIntraCranialVol",
        "sub-01_ses-pre.long.sub-01\t8000\t1100000\t1500000",
        "bert\t7000\t1200000\t1600000",
        name="aseg.txt",
    )
    source = read_measure_table(aseg, ALL)
    assert cells(source) == [["01", "pre", "Left-Thalamus", 8000], ["01", "pre", "icv", 1500]]
    assert "names that do not say participant and session: bert" in texts(source)
    aparc = write_lines(
        "rh.aparc.a2009s.thickness\trh_cuneus_thickness\trh_MeanThickness_thickness\teTIV",
        "sub-01_ses-pre\t2.5\t2.4\t1500000",
        name="aparc.txt",
    )
    source = read_measure_table(aparc, ALL)
    assert cells(source) == [["01", "pre", "rh_cuneus", 2.5]]
    assert set(source.measures["atlas"]) == {"Destrieux"}


def test_only_what_is_wanted_stays(write_lines):
    path = write_lines(HEADER, *ROWS)
    source = read_measure_table(path, SourceRequest(sessions=("post",)))
    assert source.measures["session_id"].tolist() == ["post"]


def test_the_order_of_the_rows_of_a_table_decides_nothing(write_lines):
    rows = [f"{who}\t{when}\tvolume\t{region}\t{number}\tml" for number, (who, when, region) in
            enumerate([("02", "pre", "b"), ("01", "post", "b"), ("01", "pre", "a"),
                       ("01", "pre", "b"), ("02", "post", "a")])]  # fmt: skip
    table = read_measures(write_lines(HEADER, *rows))
    pd.testing.assert_frame_equal(read_measures(write_lines(HEADER, *rows[::-1])), table)
    assert table["value"].tolist() == [1, 2, 3, 4, 0]
