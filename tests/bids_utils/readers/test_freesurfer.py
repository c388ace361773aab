"""Subject folders of FreeSurfer and FastSurfer as measures."""

import pytest

from bids_utils.errors import DatasetError
from bids_utils.readers.freesurfer import read_freesurfer
from bids_utils.readers.records import SourceRequest
from workflows.compute.measures import MEASURE_COLUMNS

ALL = SourceRequest()
VOLUMES = {"Left-Thalamus": 8000.0, "Left-Hippocampus": 4000.0}


def value(source, participant, session, measure, region):
    table = source.measures
    row = table[
        (table["participant_id"] == participant)
        & (table["session_id"] == session)
        & (table["measure"] == measure)
        & (table["region"] == region)
    ]
    assert len(row) == 1
    return row["value"].iloc[0]


def texts(source):
    return "\n".join(f"{p.where}: {p.what}; {p.what_to_do}" for p in source.problems)


def test_columns_are_those_of_the_table_of_measures(tmp_path, make_aseg):
    make_aseg("sub-01_ses-pre", VOLUMES)
    assert list(read_freesurfer(tmp_path, ALL).measures.columns) == MEASURE_COLUMNS


def test_thickness_volume_and_area_keep_their_hemisphere_and_unit(tmp_path, make_aseg, make_aparc):
    make_aseg("sub-01_ses-pre", VOLUMES)
    make_aparc("sub-01_ses-pre", "lh", {"cuneus": (1105, 2705, 2.1)})
    make_aparc("sub-01_ses-pre", "rh", {"cuneus": (1205, 2805, 2.2)})
    source = read_freesurfer(tmp_path, ALL)
    assert value(source, "01", "pre", "thickness", "lh_cuneus") == 2.1
    assert value(source, "01", "pre", "area", "rh_cuneus") == 1205
    assert value(source, "01", "pre", "volume", "rh_cuneus") == 2805
    assert value(source, "01", "pre", "volume", "Left-Hippocampus") == 4000
    assert value(source, "01", "pre", "tissue_volume", "icv") == 1500
    units = source.measures.groupby(["measure", "atlas"])["unit"].unique().map(list).to_dict()
    assert units["thickness", "DesikanKilliany"] == ["mm"]
    assert units["area", "DesikanKilliany"] == ["mm2"]
    assert units["volume", "aseg"] == ["mm3"]
    assert units["tissue_volume", ""] == ["ml"]
    assert source.problems == ()


def test_names_of_the_same_region_in_old_versions_are_made_the_same(tmp_path, make_aseg):
    make_aseg("sub-01_ses-pre", {"Left-Thalamus-Proper": 8000.0}, version="6.0.0")
    make_aseg("sub-02_ses-pre", {"Left-Thalamus": 7000.0})
    source = read_freesurfer(tmp_path, ALL)
    assert value(source, "01", "pre", "volume", "Left-Thalamus") == 8000
    assert "processed with 2 versions" in texts(source)


@pytest.fixture
def longitudinal(tmp_path, make_aseg):
    """Person 01 with both streams, template and averages beside."""
    for session, volume in (("pre", 4000.0), ("post", 4100.0)):
        make_aseg(f"sub-01_ses-{session}", {"Left-Hippocampus": volume + 50})
        make_aseg(f"sub-01_ses-{session}.long.sub-01", {"Left-Hippocampus": volume}, etiv=1.6e6)
    make_aseg("sub-01", {"Left-Hippocampus": 1.0}, etiv=1.55e6)
    make_aseg("fsaverage", {"Left-Hippocampus": 2.0})
    return tmp_path


def test_the_longitudinal_stream_is_used_and_template_and_average_are_skipped(longitudinal):
    source = read_freesurfer(longitudinal, ALL)
    rows = source.measures.query("measure == 'volume'")
    assert sorted(rows["value"]) == [4000, 4100]
    assert set(source.software["stream"]) == {"longitudinal"}
    assert "2 sessions were made in both streams; the longitudinal one is used" in texts(source)


def test_the_intracranial_volume_is_that_of_the_template_in_every_session(longitudinal):
    source = read_freesurfer(longitudinal, ALL)
    rows = source.measures.query("measure == 'tissue_volume'")
    assert rows["value"].tolist() == [1550, 1550]


def test_the_settings_can_ask_for_the_other_stream(longitudinal):
    source = read_freesurfer(longitudinal, SourceRequest(stream="cross"))
    assert sorted(source.measures.query("measure == 'volume'")["value"]) == [4050, 4150]


def test_streams_are_never_mixed(longitudinal, make_aseg):
    make_aseg("sub-02_ses-pre.long.t2", {"Left-Hippocampus": 3000.0})
    make_aseg("sub-02_ses-post", {"Left-Hippocampus": 3100.0})
    source = read_freesurfer(longitudinal, ALL)
    assert 3100 not in source.measures["value"].tolist()
    assert "sub-02: ses-post only in the cross stream" in texts(source)


def test_sessions_from_different_templates_are_told(tmp_path, make_aseg):
    make_aseg("sub-02_ses-pre.long.a", VOLUMES)
    make_aseg("sub-02_ses-post.long.b", VOLUMES)
    assert "different templates" in texts(read_freesurfer(tmp_path, ALL))


def test_free_names_are_placed_by_the_settings_and_others_are_told(tmp_path, make_aseg):
    make_aseg("anna_1.long.anna", VOLUMES)
    make_aseg("anna_2.long.anna", VOLUMES)
    request = SourceRequest(scans={"anna_1": ("sub-07", "pre")})
    source = read_freesurfer(tmp_path, request)
    assert set(source.measures["participant_id"]) == {"07"}
    assert "anna_2.long.anna: the name does not say whose scan this is" in texts(source)


def test_a_doubled_prefix_is_read_and_told(tmp_path, make_aseg):
    make_aseg("sub-sub-01_ses-pre", VOLUMES)
    source = read_freesurfer(tmp_path, ALL)
    assert set(source.measures["participant_id"]) == {"01"}
    assert "the prefix stands there twice" in texts(source)


def test_a_folder_without_session_is_told_and_can_be_given_one(tmp_path, make_aseg):
    make_aseg("sub-01", VOLUMES)
    make_aseg("sub-02_ses-pre", VOLUMES)
    assert "does not say which session" in texts(read_freesurfer(tmp_path, ALL))
    source = read_freesurfer(tmp_path, SourceRequest(session="pre"))
    assert set(source.measures["participant_id"]) == {"01", "02"}


def test_nested_bids_folders_are_read(tmp_path, make_aseg):
    make_aseg("sub-01/ses-pre", VOLUMES)
    assert value(read_freesurfer(tmp_path, ALL), "01", "pre", "volume", "Left-Thalamus") == 8000


def test_mixed_versions_of_one_person_are_told_with_their_sessions(tmp_path, make_aseg):
    make_aseg("sub-01_ses-pre", VOLUMES, version="6.0.0")
    make_aseg("sub-01_ses-post", VOLUMES, version="7.4.1")
    found = texts(read_freesurfer(tmp_path, ALL))
    assert "mixed processing versions" in found
    assert "ses-pre: FreeSurfer 6.0.0" in found
    assert "ses-post: FreeSurfer 7.4.1" in found


@pytest.mark.parametrize(("second", "told"), [(1.57e6, False), (1.60e6, True)])
def test_an_intracranial_volume_that_differs_more_than_5_percent_is_told(
    second, told, tmp_path, make_aseg
):
    make_aseg("sub-01_ses-pre", VOLUMES, etiv=1.5e6)
    make_aseg("sub-01_ses-post", VOLUMES, etiv=second)
    source = read_freesurfer(tmp_path, ALL)
    mean = (1500 + second / 1000) / 2
    assert source.measures.query("measure == 'tissue_volume'")["value"].tolist() == [mean, mean]
    assert ("more than 5 %" in texts(source)) is told


def test_a_missing_region_keeps_its_row_as_nan(tmp_path, make_aseg):
    make_aseg("sub-01_ses-pre", VOLUMES)
    make_aseg("sub-02_ses-pre", {"Left-Hippocampus": 4000.0})
    source = read_freesurfer(tmp_path, ALL)
    rows = source.measures.query("measure == 'volume'")
    assert rows["region"].tolist() == ["Left-Thalamus", "Left-Hippocampus"] * 2
    assert rows["qc"].tolist() == ["ok", "ok", "missing", "ok"]
    assert "1 of 2 scans: sub-02 ses-pre" in texts(source)


def test_a_damaged_file_is_told_and_the_others_go_on(tmp_path, make_aseg, make_aparc):
    make_aseg("sub-01_ses-pre", VOLUMES)
    broken = make_aseg("sub-02_ses-pre", VOLUMES)
    broken.write_text(broken.read_text()[:300])
    make_aparc("sub-02_ses-pre", "lh", {"cuneus": (1, 2, 3)})
    source = read_freesurfer(tmp_path, ALL)
    assert str(broken) in texts(source)
    assert value(source, "01", "pre", "volume", "Left-Thalamus") == 8000
    assert value(source, "02", "pre", "thickness", "lh_cuneus") == 3
    assert source.measures.query("participant_id == '02' and atlas == 'aseg'")["value"].isna().all()


def test_a_session_that_was_not_finished_is_told(tmp_path, make_aseg):
    make_aseg("sub-01_ses-pre", VOLUMES)
    (tmp_path / "sub-01_ses-post" / "mri").mkdir(parents=True)
    assert "there is no stats folder" in texts(read_freesurfer(tmp_path, ALL))


def test_a_region_that_is_the_same_everywhere_is_kept_and_told(tmp_path, make_aseg):
    for number, volume in enumerate((10.0, 11.0, 12.0)):
        volumes = {"Left-vessel": 0.0, "Left-Amygdala": volume}
        make_aseg(f"sub-0{number}_ses-pre", volumes, etiv=1.5e6 + number)
    source = read_freesurfer(tmp_path, ALL)
    assert "the same value in all scans for Left-vessel" in texts(source)
    assert (source.measures["region"] == "Left-vessel").sum() == 3


def test_fastsurfer_is_read_by_its_own_files(tmp_path, make_aseg, make_aparc):
    text = "FastSurfer 2.2.0"
    make_aseg("sub-01_ses-pre", VOLUMES, name="aseg+DKT.stats", version=text, etiv=None)
    make_aparc("sub-01_ses-pre", "lh", {"cuneus": (1, 2, 3)}, name="aparc.DKTatlas.mapped.stats")
    source = read_freesurfer(tmp_path, ALL, "fastsurfer")
    assert source.software["software"].tolist() == ["FastSurfer"]
    assert set(source.measures["atlas"]) == {"aseg+DKT", "DKT", ""}
    assert "no estimate of the intracranial volume" in texts(source)


def test_time_points_that_fastsurfer_made_from_a_template_are_longitudinal(
    tmp_path, make_aseg, write
):
    for session in ("pre", "post"):
        make_aseg(f"sub-01_ses-{session}", VOLUMES, version="2.4")
        link = tmp_path / f"sub-01_ses-{session}.long.sub-01"
        link.symlink_to(tmp_path / f"sub-01_ses-{session}")
    make_aseg("sub-01", VOLUMES, etiv=1.4e6)
    write("sub-01/base-tps.fastsurfer", "sub-01_ses-pre\nsub-01_ses-post\n")
    source = read_freesurfer(tmp_path, ALL, "fastsurfer")
    assert source.software["stream"].tolist() == ["longitudinal"] * 2
    assert source.measures.query("region == 'icv'")["value"].tolist() == [1400, 1400]
    assert source.problems == ()


def test_only_what_is_wanted_is_read(tmp_path, make_aseg, make_aparc):
    for session in ("pre", "post"):
        make_aseg(f"sub-01_ses-{session}", VOLUMES)
        make_aparc(f"sub-01_ses-{session}", "lh", {"cuneus": (1, 2, 3)})
    request = SourceRequest(sessions=("post",), measures=("thickness",))
    source = read_freesurfer(tmp_path, request)
    assert source.measures[["session_id", "measure", "value"]].values.tolist() == [
        ["post", "thickness", 3]
    ]


def test_a_folder_without_results_is_an_error(tmp_path):
    with pytest.raises(DatasetError, match="nothing could be read; give the folder"):
        read_freesurfer(tmp_path, ALL)
    with pytest.raises(DatasetError, match="SUBJECTS_DIR"):
        read_freesurfer(tmp_path / "nothing", ALL)


@pytest.mark.needs_shared
def test_real_files_of_versions_5_6_and_7_give_the_numbers_they_hold(shared_dir):
    folder = shared_dir / "data" / "freesurfer_stats_examples" / "tests" / "subjects"
    request = SourceRequest(scans={"soichi": ("s", "1"), "fabian": ("f", "1")})
    source = read_freesurfer(folder, request)
    assert value(source, "s", "1", "volume", "Left-Hippocampus") == 4333.5
    assert value(source, "s", "1", "tissue_volume", "icv") == pytest.approx(1420.434160521)
    query = "participant_id == 'f' and measure == 'thickness' and region == 'lh_bankssts'"
    assert source.measures.query(query)["value"].tolist() == [2.657]
    counts = source.measures.query("participant_id == 's'").groupby(["measure", "atlas"]).size()
    assert counts["thickness", "DesikanKilliany"] == 68
    assert counts["thickness", "DKT"] == 62
    assert counts["thickness", "Destrieux"] == 148
    assert counts["volume", "aseg"] == 45
    old = shared_dir / "data" / "fnndsc_freesurfer" / "freesurfer_pp_moc" / "out"
    source = read_freesurfer(old, SourceRequest(scans={"out": ("c", "1")}))
    rows = source.measures.query("region == 'lh_bankssts' and atlas == 'DesikanKilliany'")
    assert dict(zip(rows["measure"], rows["value"], strict=True)) == {
        "thickness": 2.791,
        "volume": 2774,
        "area": 1002,
    }
    assert source.software["version"].iloc[0].startswith("mri_segstats.c,v 1.75.2.9")
