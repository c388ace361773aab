"""Reading measures from the derivatives."""

import numpy as np
import pandas as pd
import pytest

from bids_utils.derivatives import write_table
from workflows.interfaces.derived_measures import collect, derived_files, visit_table, with_sources


def write_run(folder, run, z, minutes, fd_mean):
    matrix = pd.DataFrame([[np.nan, z], [z, np.nan]], columns=["a", "b"])
    write_table(matrix, folder / f"{run}_atlas-A_stat-pearsoncorrelation_relmat.tsv")
    quality = {"fd_mean": [fd_mean], "tsnr": [50.0], "clean_minutes": [minutes]}
    write_table(pd.DataFrame(quality), folder / f"{run}_desc-qc_bold.tsv")


def ledger_of(*runs):
    rows = [
        ("01", run.partition("_")[2].partition("_")[0].removeprefix("ses-"), "bold", f"{run}_bold")
        for run in runs
    ]
    table = pd.DataFrame(rows, columns=["participant_id", "session_id", "modality", "run"])
    return table.assign(status="used", reason=np.nan, days_from_baseline=0.0)


@pytest.fixture
def read(tmp_path):
    def read_runs(ledger):
        files = derived_files(tmp_path.glob("*.tsv"))
        return collect(with_sources(ledger), files, "A", 4.0)

    return read_runs


def test_runs_of_a_session_are_averaged_by_their_clean_minutes(tmp_path, read):
    runs = ["sub-01_ses-pre_task-rest_run-1", "sub-01_ses-pre_task-rest_run-2"]
    write_run(tmp_path, runs[0], 0.2, 6.0, 0.1)
    write_run(tmp_path, runs[1], 0.6, 18.0, 0.3)
    found = read(ledger_of(*runs))
    np.testing.assert_allclose(found.edges, [[0.5]])
    values = found.measures.set_index(["measure", "region"])["value"]
    assert values["mean_connectivity", "b"] == pytest.approx(0.5)
    assert values["fd_mean", "brain"] == pytest.approx(0.25)
    assert values["clean_minutes", "brain"] == 24
    assert found.scans["clean_minutes"].tolist() == [24]


def test_tasks_are_never_averaged_with_each_other(tmp_path, read):
    runs = ["sub-01_ses-pre_task-rest", "sub-01_ses-pre_task-faces"]
    write_run(tmp_path, runs[0], 0.2, 6.0, 0.1)
    write_run(tmp_path, runs[1], 0.6, 6.0, 0.1)
    found = read(ledger_of(*runs))
    assert found.scans["modality"].tolist() == ["bold_rest", "bold_faces"]
    np.testing.assert_allclose(found.edges, [[0.2], [0.6]])


def test_a_short_run_is_left_out_and_the_other_one_used(tmp_path, read):
    runs = ["sub-01_ses-pre_task-rest_run-1", "sub-01_ses-pre_task-rest_run-2"]
    write_run(tmp_path, runs[0], 0.2, 3.5, 0.1)
    write_run(tmp_path, runs[1], 0.6, 8.0, 0.3)
    found = read(ledger_of(*runs))
    np.testing.assert_allclose(found.edges, [[0.6]])
    assert found.problems[0].what == "3.5 clean minutes, 4 needed"
    assert "run-1" in found.problems[0].where


def test_a_run_marked_unusable_is_left_out_with_its_reason(tmp_path, read):
    run = "sub-01_ses-pre_task-rest"
    write_run(tmp_path, run, 0.2, 6.0, 0.1)
    quality = {"fd_mean": [0.1], "tsnr": [50.0], "clean_minutes": [6.0], "usable": [False]}
    quality = pd.DataFrame(quality).assign(reason="1 regions are covered, 2 needed")
    write_table(quality, tmp_path / f"{run}_desc-qc_bold.tsv")
    found = read(ledger_of(run))
    assert found.broken["01", "pre", "bold"] == "no usable run: 1 regions are covered, 2 needed"
    assert len(found.edges) == len(found.measures) == 0


def test_other_regions_than_the_rest_make_a_scan_unusable(tmp_path, read):
    runs = [f"sub-01_ses-{label}_task-rest" for label in ("pre", "post", "fu")]
    for run in runs:
        write_run(tmp_path, run, 0.2, 6.0, 0.1)
    odd = pd.DataFrame([[np.nan, 0.1], [0.1, np.nan]], columns=["a", "c"])
    write_table(odd, tmp_path / f"{runs[1]}_atlas-A_stat-pearsoncorrelation_relmat.tsv")
    found = read(ledger_of(*runs))
    assert found.regions == ("a", "b")
    assert set(found.scans["session_id"]) == {"pre", "fu"}
    assert found.broken == {
        ("01", "post", "bold"): "its connectivity has other regions than most scans"
    }


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
