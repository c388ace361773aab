"""Reading measures from the derivatives."""

import numpy as np
import pandas as pd
import pytest

from bids_utils.derivatives import write_table
from workflows.compute.connectivity_measures import Grouping
from workflows.interfaces.derived_connectivity import FunctionRule
from workflows.interfaces.derived_files import derived_files
from workflows.interfaces.derived_measures import collect, scan_quality, visit_table, with_sources


def write_run(folder, run, minutes, fd_mean, **more):
    quality = {"fd_mean": [fd_mean], "tsnr": [50.0], "clean_minutes": [minutes], **more}
    write_table(pd.DataFrame(quality), folder / f"{run}_desc-qc_bold.tsv")


def write_matrix(folder, session, z, kind="pearsoncorrelation", columns="ab"):
    matrix = pd.DataFrame([[np.nan, z], [z, np.nan]], columns=list(columns))
    write_table(matrix, folder / f"{session}_atlas-A_stat-{kind}_relmat.tsv")


def ledger_of(*runs):
    rows = [
        ("01", run.partition("_")[2].partition("_")[0].removeprefix("ses-"), "bold", f"{run}_bold")
        for run in runs
    ]
    table = pd.DataFrame(rows, columns=["participant_id", "session_id", "modality", "run"])
    return table.assign(status="used", reason=np.nan, days_from_baseline=0.0)


@pytest.fixture
def read(tmp_path):
    def read_runs(ledger, **asked):
        files = derived_files(tmp_path.glob("*.tsv"))
        return collect(with_sources(ledger), files, FunctionRule("A", 4.0, **asked))

    return read_runs


REST = "sub-01_ses-pre_task-rest"
RUNS = [f"{REST}_run-1", f"{REST}_run-2"]


def test_runs_of_a_session_have_one_matrix_and_their_time_is_summed(tmp_path, read):
    write_run(tmp_path, RUNS[0], 6.0, 0.1)
    write_run(tmp_path, RUNS[1], 18.0, 0.3)
    write_matrix(tmp_path, REST, 0.5)
    found = read(ledger_of(*RUNS))
    np.testing.assert_allclose(found.edges, [[0.5]])
    values = found.measures.set_index(["measure", "region"])["value"]
    assert values["mean_connectivity", "b"] == pytest.approx(0.5)
    assert values["fd_mean", "brain"] == pytest.approx(0.25)
    assert values["clean_minutes", "brain"] == 24
    assert found.scans["clean_minutes"].tolist() == [24]


def test_the_edges_are_those_that_are_asked_for(tmp_path, read):
    write_run(tmp_path, REST, 6.0, 0.1)
    write_matrix(tmp_path, REST, 0.5)
    write_matrix(tmp_path, REST, 0.125, "partialcorrelation")
    np.testing.assert_array_equal(read(ledger_of(REST)).edges, [[0.5]])
    np.testing.assert_array_equal(read(ledger_of(REST), connectivity="partial").edges, [[0.125]])


def test_networks_and_circuits_become_measures_of_each_session(tmp_path, read):
    sessions = [f"sub-01_ses-{label}_task-rest" for label in ("pre", "post")]
    for session, z in zip(sessions, (0.5, 0.25), strict=True):
        write_run(tmp_path, session, 6.0, 0.1)
        write_matrix(tmp_path, session, z)
    grouping = Grouping({"a": "X", "b": "Y"}, {"loop": (("a",), ("b",))})
    found = read(ledger_of(*sessions), grouping=grouping).measures
    values = found.set_index(["session_id", "measure", "region"])
    for session, z in (("pre", 0.5), ("post", 0.25)):
        for row in (("between_network", "X-Y"), ("circuit", "loop")):
            assert values.loc[(session, *row), ["value", "unit", "atlas"]].tolist() == [z, "z", "A"]
        assert values.loc[(session, "modularity", "brain"), "qc"] == "missing"


def lost_region_sessions(folder):
    """Two people of two sessions; region c of the first is lost in the second session."""
    runs = [f"sub-{sub}_ses-{ses}_task-rest" for sub in ("01", "02") for ses in ("pre", "post")]
    for number, run in enumerate(runs):
        write_run(folder, run, 6.0, 0.1)
        write_local(folder, run, [1.0, 2.0])
        z = np.full((3, 3), 0.25 + number / 8)
        np.fill_diagonal(z, np.nan)
        if number == 1:
            z[2] = z[:, 2] = np.nan
        for kind in ("pearsoncorrelation", "partialcorrelation"):
            table = pd.DataFrame(z, columns=list("abc"))
            write_table(table, folder / f"{run}_atlas-A_stat-{kind}_relmat.tsv")
    return ledger_of(*runs).assign(participant_id=["01", "01", "02", "02"])


def test_partial_correlations_given_other_regions_make_no_change(tmp_path, read):
    found = read(lost_region_sessions(tmp_path), connectivity="partial")
    assert found.scans["participant_id"].tolist() == ["02", "02"]
    np.testing.assert_allclose(found.edges, [[0.5] * 3, [0.625] * 3])
    own = found.measures.query("participant_id == '01'")
    assert set(own["measure"]) == {"fd_mean", "tsnr", "clean_minutes", "alff", "falff", "reho"}
    problem = found.problems[0]
    assert problem.what == (
        "no partial correlations: c is not seen in every session, and what is held differs"
    )
    assert problem.where == "sub-01 bold"
    assert "func.min_coverage" in problem.what_to_do
    assert "leave out the session" in problem.what_to_do
    assert len(found.problems) == 1


def test_plain_correlations_stay_where_a_region_is_lost_in_one_session(tmp_path, read):
    found = read(lost_region_sessions(tmp_path))
    assert found.scans["participant_id"].tolist() == ["01", "01", "02", "02"]
    np.testing.assert_allclose(found.edges[1], [0.375, np.nan, np.nan])
    assert not found.problems


def test_tasks_are_never_joined_with_each_other(tmp_path, read):
    runs = [REST, "sub-01_ses-pre_task-faces"]
    for run, z in zip(runs, (0.2, 0.6), strict=True):
        write_run(tmp_path, run, 6.0, 0.1)
        write_matrix(tmp_path, run, z)
    found = read(ledger_of(*runs))
    assert found.scans["modality"].tolist() == ["bold_rest", "bold_faces"]
    np.testing.assert_allclose(found.edges, [[0.2], [0.6]])


def test_short_runs_are_enough_together_or_not(tmp_path, read):
    write_matrix(tmp_path, REST, 0.6)
    write_run(tmp_path, RUNS[0], 2.5, 0.1)
    write_run(tmp_path, RUNS[1], 2.0, 0.3)
    np.testing.assert_allclose(read(ledger_of(*RUNS)).edges, [[0.6]])
    found = read(ledger_of(RUNS[0]))
    assert found.broken["01", "pre", "bold"] == "2.5 clean minutes, 4 needed"
    assert len(found.edges) == len(found.measures) == 0


def test_a_run_marked_unusable_is_left_out_with_its_reason(tmp_path, read):
    reason = "1 regions are covered, 2 needed"
    write_run(tmp_path, RUNS[0], 6.0, 0.1, usable=[False], reason=reason)
    write_run(tmp_path, RUNS[1], 7.0, 0.3, usable=[True], reason="n/a")
    write_matrix(tmp_path, REST, 0.6)
    found = read(ledger_of(*RUNS))
    assert found.scans["clean_minutes"].tolist() == [7]
    assert found.problems[0].what == reason
    assert "run-1" in found.problems[0].where
    alone = read(ledger_of(RUNS[0]))
    assert alone.broken["01", "pre", "bold"] == f"no usable run: {reason}"


def test_a_matrix_without_values_is_no_connectivity(tmp_path, read):
    write_run(tmp_path, REST, 6.0, 0.1)
    write_matrix(tmp_path, REST, np.nan)
    text = "connectivity of task-rest has no values; its JSON says why"
    assert read(ledger_of(REST)).broken == {("01", "pre", "bold"): text}


def test_local_activity_is_weighted_by_clean_minutes(tmp_path, read):
    write_matrix(tmp_path, REST, 0.6)
    for run, minutes, alff in ((RUNS[0], 6.0, [1.0, 2.0]), (RUNS[1], 18.0, [5.0, np.nan])):
        write_run(tmp_path, run, minutes, 0.1)
        write_local(tmp_path, run, alff)
    values = read(ledger_of(*RUNS)).measures.set_index(["measure", "region"])
    assert values.loc[("alff", "a"), ["value", "unit"]].tolist() == [4, "%/Hz^0.5"]
    assert values.loc[("alff", "b"), "value"] == 2
    assert values.loc[("reho", "b"), "value"] == 0.25


def write_local(folder, run, alff):
    local = pd.DataFrame({"region": ["a", "b"], "alff": alff, "falff": 0.5, "reho": 0.25})
    write_table(local, folder / f"{run}_atlas-A_desc-local_bold.tsv")


def write_contrasts(folder):
    rows = {
        "contrast": ["fear", "fear", "gppi_fear_seed", "gppi_fear_seed"],
        "region": ["b", "a", "b", "a"],
        "effect": [0.5, np.nan, -0.1, 0.2],
        "variance": [0.04, np.nan, 0.01, 0.09],
        "unit": ["%", "%", "1", "1"],
    }
    write_table(pd.DataFrame(rows), folder / f"{REST}_atlas-A_desc-contrasts_bold.tsv")


def test_contrasts_of_a_task_have_errors_and_need_no_connectivity(tmp_path, read):
    write_run(tmp_path, REST, 3.0, 0.1)
    write_contrasts(tmp_path)
    write_local(tmp_path, REST, [1.0, 2.0])
    found = read(ledger_of(REST))
    values = found.measures.set_index(["measure", "region"])[["value", "standard_error", "unit"]]
    assert values.loc[("contrast_fear", "b")].tolist() == [0.5, 0.2, "%"]
    assert values.loc[("gppi_fear_seed", "a")].tolist() == pytest.approx([0.2, 0.3, "1"])
    assert np.isnan(values.loc[("contrast_fear", "a"), "value"])
    assert len(found.edges) == 0
    assert not found.broken
    assert found.problems[0].what == "no connectivity: 3.0 clean minutes, 4 needed"
    assert not set(found.measures["measure"]) & {"alff", "falff", "reho"}


def test_contrasts_stay_where_no_run_can_be_used_for_connectivity(tmp_path, read):
    reason = "2 degrees of freedom are left after denoising, 5 needed"
    for run, minutes, motion in ((RUNS[0], 2.0, 0.1), (RUNS[1], 6.0, 0.3)):
        write_run(tmp_path, run, minutes, motion, usable=[False], reason=reason)
        write_local(tmp_path, run, [1.0, 2.0])
    write_contrasts(tmp_path)
    write_matrix(tmp_path, REST, np.nan)
    found = read(ledger_of(*RUNS))
    values = found.measures.set_index(["measure", "region"])["value"]
    assert values["contrast_fear", "b"] == 0.5
    assert values["fd_mean", "brain"] == pytest.approx(0.25)
    assert "alff" not in set(found.measures["measure"])
    assert not found.broken
    assert [problem.what for problem in found.problems] == [
        reason,
        reason,
        f"no connectivity: no usable run: {reason}",
    ]


def test_contrasts_stay_where_the_matrix_of_the_session_is_empty(tmp_path, read):
    write_run(tmp_path, REST, 6.0, 0.1)
    write_contrasts(tmp_path)
    write_local(tmp_path, REST, [1.0, 2.0])
    write_matrix(tmp_path, REST, np.nan)
    found = read(ledger_of(REST))
    assert set(found.measures["measure"]) >= {"contrast_fear", "gppi_fear_seed", "fd_mean"}
    assert "alff" not in set(found.measures["measure"])
    text = "no connectivity: connectivity of task-rest has no values; its JSON says why"
    assert [problem.what for problem in found.problems] == [text]


def test_other_regions_than_the_rest_make_a_scan_unusable(tmp_path, read):
    runs = [f"sub-01_ses-{label}_task-rest" for label in ("pre", "post", "fu")]
    for run in runs:
        write_run(tmp_path, run, 6.0, 0.1)
        write_matrix(tmp_path, run, 0.2, columns="ac" if run == runs[1] else "ab")
    found = read(ledger_of(*runs))
    assert found.regions == ("a", "b")
    assert set(found.scans["session_id"]) == {"pre", "fu"}
    assert found.broken == {
        ("01", "post", "bold"): "its connectivity has other regions than most scans"
    }


def test_quality_is_averaged_over_runs_but_time_and_volumes_are_summed(tmp_path):
    write_run(tmp_path, RUNS[0], 3.0, 0.1, n_volumes=100, boundary_cost=[np.nan], usable=[False])
    write_run(tmp_path, RUNS[1], 6.0, 0.3, n_volumes=200, boundary_cost=0.5, usable=[True])
    files = derived_files(tmp_path.glob("*.tsv"))
    found = scan_quality(with_sources(ledger_of(*RUNS)), files).set_index("metric")["value"]
    expected = {"n_volumes": 300, "fd_mean": 0.2, "clean_minutes": 9, "boundary_cost": 0.5}
    assert found.to_dict() == pytest.approx(expected | {"tsnr": 50})


def test_visits_tell_used_excluded_and_broken_apart():
    ledger = ledger_of("sub-01_ses-pre_task-rest", "sub-01_ses-post_task-rest", "sub-01_ses-fu_x")
    ledger["status"] = ["used", "used", "excluded"]
    ledger["reason"] = [np.nan, np.nan, "wrong TR"]
    visits = visit_table(ledger, {("01", "post", "bold"): "no file"}).set_index("session_id")
    assert visits["status"].to_dict() == {"pre": "used", "post": "broken", "fu": "excluded"}
    assert visits["reason"].to_dict() == {"pre": "", "post": "no file", "fu": "wrong TR"}


def write_anatomy(folder, stem, without=()):
    regions = pd.DataFrame({"region": ["b", "c", "a"], "structure": ["cortex", "other", "cortex"]})
    volumes = regions.assign(
        volume=[1.0, 2, np.nan],
        deformation=[4.0, 5, np.nan],
        residual=[2.5, 1.1, 1],
        volume_standard_error=[0.1, 0.2, 0.3],
        deformation_standard_error=[0.4, np.nan, 0.6],
    )
    volumes = volumes.drop(columns=list(without), errors="ignore")
    write_table(volumes, folder / f"{stem}_atlas-A_desc-volume_morph.tsv")
    lines = regions[::-1].assign(thickness=[2.5, np.nan, 3.5], thickness_standard_error=0.05)
    lines = lines.drop(columns=list(without), errors="ignore")
    write_table(lines, folder / f"{stem}_atlas-A_desc-thickness_morph.tsv")
    totals = pd.DataFrame({"measure": ["brain_ml", "icv_ml"], "value": [1100.0, 1400]})
    write_table(totals, folder / f"{stem}_desc-tissue_morph.tsv")


def anatomy_ledger():
    return ledger_of("sub-01_ses-pre").assign(modality="T1w", run="sub-01_ses-pre_T1w")


def test_values_errors_and_quality_of_a_region_stay_together(tmp_path, read):
    write_anatomy(tmp_path, "sub-01_ses-pre")
    found = read(anatomy_ledger()).measures.set_index(["measure", "region"])
    rows = found[["value", "standard_error", "unit", "qc"]]
    assert rows.loc[("deformation", "b")].tolist() == [4, 0.4, "ml", "residual"]
    assert rows.loc[("volume", "c")].tolist() == [2, 0.2, "ml", "ok"]
    assert rows.loc[("volume", "a"), "qc"] == "missing"
    assert np.isnan(rows.loc[("volume", "a"), "standard_error"])
    assert rows.loc[("thickness", "a")].tolist() == [2.5, 0.05, "mm", "ok"]
    assert rows.loc[("thickness", "b")].tolist() == [3.5, 0.05, "mm", "residual"]
    assert ("thickness", "c") not in rows.index
    assert rows.loc[("tissue_volume", "brain"), "value"] == 1100


@pytest.mark.parametrize("column", ["deformation", "residual", "volume_standard_error"])
def test_tables_of_an_older_version_are_to_be_made_again(tmp_path, read, column):
    write_anatomy(tmp_path, "sub-01_ses-pre", without=[column])
    found = read(anatomy_ledger())
    text = f"sub-01_ses-pre_atlas-A_desc-volume_morph.tsv has no {column}"
    assert found.broken == {("01", "pre", "T1w"): text}
    assert found.problems[0].what_to_do == "run the participant level for this participant again"


def test_thickness_may_have_no_standard_error(tmp_path, read):
    write_anatomy(tmp_path, "sub-01_ses-pre", without=["thickness_standard_error"])
    found = read(anatomy_ledger()).measures.query("measure == 'thickness'")
    assert found["value"].tolist() == [2.5, 3.5]
    assert found["standard_error"].isna().all()
