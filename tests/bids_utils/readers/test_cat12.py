"""Results of CAT12 as measures."""

import numpy as np
import pytest

from bids_utils.errors import DatasetError
from bids_utils.readers.cat12 import read_cat12
from bids_utils.readers.records import SourceRequest

ALL = SourceRequest()
ROI = """<?xml version="1.0" encoding="utf-8"?>
<S>
  <neuromorphometrics>
    <ids>[4;11]</ids>
    <names><item>3rd Ventricle</item><item>Left Hippocampus</item></names>
    <comments/>
    <data><Vgm>[0.05;{gm}]</Vgm><Vcsf>[1.2;0.4]</Vcsf></data>
    <version>1.0</version>
  </neuromorphometrics>
  <help><names>no data here</names></help>
</S>
"""
SURFACE = """<S><aparc_DK40><names><item>lbankssts</item><item>rbankssts</item></names>
<data><thickness>[2.51 NaN]</thickness></data></aparc_DK40></S>"""
REPORT = """<?xml version="1.0"?>
<S>
  <help><vol_TIV>total intracranial volume</vol_TIV></help>
  <software><version_cat>{version}</version_cat><revision_cat>2170</revision_cat></software>
  <qualityratings><IQR>2.1</IQR><NCR>1.9</NCR></qualityratings>
  <subjectmeasures>
    <vol_TIV>1500.5</vol_TIV><vol_abs_CGW>[300 700.5 500 2 0]</vol_abs_CGW>
  </subjectmeasures>
</S>
"""


@pytest.fixture
def make_scan(write):
    def make(stem, gm=3.5, version="12.9"):
        write(f"label/catROI_{stem}.xml", ROI.format(gm=gm))
        write(f"report/cat_{stem}.xml", REPORT.format(version=version))

    return make


def numbers(source, query):
    return source.measures.query(query)["value"].tolist()


def texts(source):
    return "\n".join(f"{p.where}: {p.what}; {p.what_to_do}" for p in source.problems)


def test_volumes_keep_their_tissue_region_and_unit(tmp_path, make_scan):
    make_scan("sub-01_ses-pre_T1w")
    source = read_cat12(tmp_path, ALL)
    assert numbers(source, "measure == 'volume' and region == 'Left Hippocampus'") == [3.5]
    assert numbers(source, "measure == 'csf_volume' and region == '3rd Ventricle'") == [1.2]
    whole = source.measures.query("measure == 'tissue_volume'")
    assert dict(zip(whole["region"], whole["value"], strict=True)) == {
        "csf": 300,
        "gm": 700.5,
        "wm": 500,
        "icv": 1500.5,
    }
    assert numbers(source, "measure == 'cat12_iqr'") == [2.1]
    assert set(whole["unit"]) == {"ml"}
    assert source.software.values.tolist() == [["01", "pre", "T1w", "CAT12", "12.9 r2170", "cross"]]
    assert source.problems == ()


def test_surface_thickness_is_read_and_a_missing_region_stays(tmp_path, write, make_scan):
    make_scan("sub-01_ses-pre_T1w")
    write("label/catROIs_sub-01_ses-pre_T1w.xml", SURFACE)
    rows = read_cat12(tmp_path, ALL).measures.query("measure == 'thickness'")
    assert rows["region"].tolist() == ["lbankssts", "rbankssts"]
    assert rows["value"].iloc[0] == 2.51
    assert np.isnan(rows["value"].iloc[1])
    assert set(rows["unit"]) == {"mm"}


def test_longitudinal_results_are_used_alone_and_the_template_is_skipped(tmp_path, make_scan):
    make_scan("sub-01_ses-pre_T1w", gm=3.0)
    make_scan("rsub-01_ses-pre_T1w", gm=3.1)
    make_scan("rsub-01_ses-post_T1w", gm=3.2)
    make_scan("avg_sub-01_ses-pre_T1w", gm=9.9)
    source = read_cat12(tmp_path, ALL)
    query = "measure == 'volume' and region == 'Left Hippocampus'"
    rows = source.measures.query(query).set_index("session_id")["value"]
    assert rows.to_dict() == {"post": 3.2, "pre": 3.1}
    assert "only longitudinal ones are used" in texts(source)
    cross = read_cat12(tmp_path, SourceRequest(stream="cross"))
    assert numbers(cross, query) == [3.0]


def test_mixed_versions_of_one_person_are_told(tmp_path, make_scan):
    make_scan("sub-01_ses-pre_T1w", version="12.8")
    make_scan("sub-01_ses-post_T1w", version="12.9")
    found = texts(read_cat12(tmp_path, ALL))
    assert "mixed processing versions" in found
    assert "ses-pre: 12.8 r2170" in found


def test_a_second_image_of_a_session_is_told(tmp_path, make_scan):
    make_scan("sub-01_ses-pre_run-1_T1w", gm=3.0)
    make_scan("sub-01_ses-pre_run-2_T1w", gm=3.1)
    source = read_cat12(tmp_path, ALL)
    query = "measure == 'volume' and region == 'Left Hippocampus'"
    assert numbers(source, query) == [3.0]
    assert "a second file of sub-01 ses-pre" in texts(source)


DOCTYPE = '<!DOCTYPE S [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]>'
BAD = [
    (ROI.format(gm=1).replace("<S>", DOCTYPE + "<S>", 1), "document type declaration"),
    (ROI.format(gm=1)[:150], "not XML or cut off"),
    (ROI.format(gm="1;2"), "2 regions but 3 values of Vgm"),
    (ROI.format(gm="large"), "Vgm holds something that is not a number"),
    ("<S><help/></S>", "there is no atlas with data"),
    (ROI.format(gm=1).replace("3rd Ventricle", "Left Hippocampus"), "names a region twice"),
]


@pytest.mark.parametrize(("text", "message"), BAD)
def test_a_bad_file_is_told_and_the_others_go_on(text, message, tmp_path, make_scan, write):
    make_scan("sub-01_ses-pre_T1w")
    bad = write("label/catROI_sub-02_ses-pre_T1w.xml", text)
    source = read_cat12(tmp_path, ALL)
    assert message in texts(source)
    assert bad.name in texts(source)
    rows = source.measures.query("measure == 'volume'")
    assert rows["qc"].tolist() == ["ok", "ok", "missing", "missing"]


def test_nothing_but_bad_files_is_an_error(tmp_path, write):
    write("catROI_sub-01_ses-pre_T1w.xml", "<S>")
    with pytest.raises(DatasetError, match=r"nothing could be read \(.*not XML.*of CAT12"):
        read_cat12(tmp_path, ALL)


def test_an_exported_table_is_read_with_semicolons(write):
    lines = "names;Left Hippocampus;Right Hippocampus\nsub-01_ses-pre_T1w;3.5;3.7\n"
    path = write("ROI_catROI_neuromorphometrics_Vgm.csv", lines + "visit2;3.1;NaN\n")
    source = read_cat12(path, SourceRequest(scans={"visit2": ("01", "post")}))
    rows = source.measures
    assert rows["value"].iloc[:3].tolist() == [3.5, 3.7, 3.1]
    assert rows["session_id"].tolist() == ["pre", "pre", "post", "post"]
    assert set(rows["measure"] + " " + rows["atlas"]) == {"volume neuromorphometrics"}
    assert rows["qc"].tolist() == ["ok", "ok", "ok", "missing"]


def test_a_decimal_comma_in_an_exported_table_is_named(write):
    path = write("x_catROI_lpba40_Vgm.csv", "names;a\nsub-01_ses-pre_T1w;3,5\n")
    with pytest.raises(DatasetError, match="decimal comma"):
        read_cat12(path, ALL)
