"""The group level from derivatives or a table to OUTPUT_DIR/group."""

import json
import shutil

import numpy as np
import pandas as pd
import pytest

from bids_utils.derivatives import read_table, write_table
from bids_utils.errors import DatasetError
from configs.settings import (
    FuncSettings,
    GroupSettings,
    ModelSettings,
    ScoreSettings,
    SessionSettings,
    Settings,
)
from workflows.group import init_group_wf
from workflows.interfaces.measure_sources import Intake
from workflows.questions import model_specs

REGIONS = ["lh_a", "lh_b", "rh_a"]
STRUCTURES = ["cortex", "cortex", "subcortex"]
SETTINGS = Settings(
    sessions=SessionSettings(order=("pre", "post")),
    group=GroupSettings(
        arm_column="group",
        reference_arm="WL",
        covariates=("age",),
        scores=(ScoreSettings(name="BDI"), ScoreSettings(name="BDIX")),
    ),
)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Four people per arm; in CBT region lh_a grows by 1 ml, everything else is noise."""
    folder, rng = tmp_path_factory.mktemp("study"), np.random.default_rng(7)
    people, arms = [f"{n:02d}" for n in range(1, 9)], ["CBT", "WL"] * 4
    participants = {
        "participant_id": [f"sub-{label}" for label in people],
        "group": arms,
        "age": rng.integers(20, 60, 8),
        "BDI_ses-pre": rng.integers(20, 30, 8),
        "BDI_ses-post": rng.integers(5, 25, 8),
    }
    write_table(pd.DataFrame(participants), folder / "bids" / "participants.tsv")
    ledger = []
    for label, arm in zip(people, arms, strict=True):
        for session, days in (("post", 70.0), ("pre", 0.0)):
            grown = np.array([1.0 if arm == "CBT" and session == "post" else 0.0, 0, 0])
            volumes = np.array([10.0, 20, 30]) + grown + rng.normal(0, 0.1, 3)
            write_scan(folder / "out", label, session, volumes, rng)
            scan = (f"sub-{label}", f"ses-{session}")
            run = f"sub-{label}_ses-{session}_task-rest_bold"
            ledger.append((*scan, "T1w", "n/a", "used", None, days))
            ledger.append((*scan, "bold", run, "used", None, days))
    names = ["participant_id", "session_id", "modality", "run", "status", "reason"]
    ledger = pd.DataFrame(ledger, columns=[*names, "days_from_baseline"])
    write_table(ledger, folder / "out" / "ledger.tsv")
    return folder


@pytest.fixture
def study(made, tmp_path):
    shutil.copytree(made, tmp_path / "study", ignore=shutil.ignore_patterns("group", "work"))
    return tmp_path / "study" / "bids", tmp_path / "study" / "out"


@pytest.fixture(scope="module")
def group(made):
    return run((made / "bids", made / "out"), made)


def write_scan(out, label, session, volumes, rng):
    folder = out / f"sub-{label}" / f"ses-{session}"
    stem = f"sub-{label}_ses-{session}"
    regions = pd.DataFrame({"index": [1, 2, 3], "region": REGIONS, "structure": STRUCTURES})
    morph = regions.assign(
        volume=volumes,
        deformation=2 * volumes,
        residual=[1.0, 1.1, 5.0 if label == "02" else 1.2],
        volume_standard_error=0.3,
        deformation_standard_error=0.2 if session == "pre" else 0.15,
    )
    write_table(morph, folder / "anat" / f"{stem}_atlas-DesikanKilliany_desc-volume_morph.tsv")
    lines = regions.assign(thickness=[2 + volumes[0] / 100, 3 - volumes[1] / 100, np.nan])
    write_table(lines, folder / "anat" / f"{stem}_atlas-DesikanKilliany_desc-thickness_morph.tsv")
    tissue = {
        "measure": ["gm_ml", "wm_ml", "csf_ml", "brain_ml", "ventricles_ml", "icv_ml"],
        "value": [600 + volumes[0], 500, 300, 1100 + volumes[0], 20, 1400],
    }
    write_table(pd.DataFrame(tissue), folder / "anat" / f"{stem}_desc-tissue_morph.tsv")
    run = f"{stem}_task-rest"
    z = rng.normal(0.3, 0.1, (3, 3))
    z = (z + z.T) / 2
    np.fill_diagonal(z, np.nan)
    relmat = f"{run}_atlas-DesikanKilliany_stat-pearsoncorrelation_relmat.tsv"
    write_table(pd.DataFrame(z, columns=REGIONS), folder / "func" / relmat)
    quality = {"fd_mean": [rng.uniform(0.1, 0.3)], "tsnr": [50.0], "clean_minutes": [6.0]}
    write_table(pd.DataFrame(quality), folder / "func" / f"{run}_desc-qc_bold.tsv")


def run(study, tmp_path, settings=SETTINGS, measures=None):
    bids, out = study
    intake = Intake((("table", measures),), derivatives=False) if measures else None
    workflow = init_group_wf(out, bids, intake, settings)
    workflow.base_dir = str(tmp_path / "work")
    workflow.config["execution"] = {"crashdump_dir": str(tmp_path), "poll_sleep_duration": "0.05"}
    workflow.run()
    return out / "group"


def test_derivatives_become_measures_change_models_and_flow(group):
    change = read_table(group / "change.tsv")
    row = change.query("participant_id == 'sub-01' and measure == 'volume' and region == 'lh_a'")
    assert row["baseline"].item() == "ses-pre"
    assert row["change"].item() == pytest.approx(1.0, abs=0.5)
    model = read_table(group / "models" / "change.tsv")
    planted = model.query("measure == 'volume' and region == 'lh_a'")
    assert planted["term"].item() == "CBT - WL"
    assert planted["ci_low"].item() < 1 < planted["ci_high"].item()
    assert planted["p_fwe"].item() < 0.001
    flow = read_table(group / "flow.tsv")
    usable = flow[(flow["step"] == "usable pair") & (flow["detail"] == "bold")]
    assert usable.set_index("arm")["n"].to_dict() == {"all": 8, "CBT": 4, "WL": 4}
    problems = read_table(group / "problems.tsv")
    assert "no score 'BDIX'" in problems["what"].tolist()
    assert "did you mean 'BDI'?" in problems["what_to_do"].tolist()


def test_standard_errors_of_the_sessions_decide_what_is_reliable(group):
    change = read_table(group / "change.tsv").set_index(["participant_id", "measure", "region"])
    grown = change.loc[("sub-01", "deformation", "lh_a")]
    assert grown["standard_error"] == pytest.approx(0.25)
    assert grown["change"] > 1.96 * 0.25
    assert (grown["reliable_change"], grown["error_from"]) == ("increased", "images")
    still = change.loc[("sub-02", "deformation", "lh_a")]
    assert abs(still["change"]) < 1.96 * 0.25 * 2
    assert np.isnan(change.loc[("sub-01", "thickness", "lh_a"), "standard_error"])
    assert change.xs("mean_connectivity", level="measure")["reliable_change"].isna().all()


def test_a_table_of_repeated_scans_in_the_settings_reaches_the_change(study, tmp_path):
    rescan = tmp_path / "rescan.tsv"
    rescan.write_text("measure\tregion\tstandard_deviation\nvolume\tlh_b\t10\n")
    settings = SETTINGS.model_copy(
        update={"group": SETTINGS.group.model_copy(update={"rescan": rescan})}
    )
    change = read_table(run(study, tmp_path, settings) / "change.tsv")
    change = change.set_index(["participant_id", "measure", "region"]).loc["sub-01"]
    judged = change.loc[("volume", "lh_b")]
    mean = (judged["baseline_value"] + judged["followup_value"]) / 2
    assert judged["error_from"] == "repeated scans"
    assert judged["standard_error"] == pytest.approx(0.1 * mean)
    assert change.loc[("volume", "lh_a"), "error_from"] == "images"


def test_a_table_of_repeated_scans_that_is_not_there_is_named(study, tmp_path):
    group = SETTINGS.group.model_copy(update={"rescan": tmp_path / "gone.tsv"})
    with pytest.raises(DatasetError, match=r"gone.tsv: there is no such file.*group.rescan"):
        run(study, tmp_path, SETTINGS.model_copy(update={"group": group}))


def test_each_measure_has_a_row_for_each_region_that_it_is_about(group):
    measures = read_table(group / "measures.tsv", ("qc",))
    own = measures.query("participant_id == 'sub-02' and session_id == 'ses-pre'")
    regions = own.groupby("measure", sort=False)["region"].apply(list).to_dict()
    assert regions["deformation"] == regions["volume"] == REGIONS
    assert regions["thickness"] == ["lh_a", "lh_b"]
    assert regions["tissue_volume"] == ["gm", "wm", "csf", "brain", "ventricles", "icv"]
    assert own.query("measure == 'volume'")["qc"].tolist() == ["ok", "ok", "residual"]
    errors = own.query("measure == 'deformation'")["standard_error"]
    assert errors.tolist() == [0.2, 0.2, 0.2]


def test_volume_is_not_planned_beside_deformation_but_where_a_model_names_it(study, tmp_path):
    named = ModelSettings(name="mine", formula="age", test=("age",), planned=True)
    models = (named.model_copy(update={"measures": ("volume",)}),)
    group = SETTINGS.group.model_copy(update={"models": models, "scores": ()})
    tables = run(study, tmp_path, SETTINGS.model_copy(update={"group": group})) / "models"
    change = read_table(tables / "change.tsv").groupby("measure")["planned"].unique()
    planned = {measure: list(values) for measure, values in change.items()}
    assert planned["deformation"] == planned["thickness"] == planned["tissue_volume"] == [True]
    assert planned["volume"] == [False]
    assert read_table(tables / "mine.tsv")["planned"].all()


def test_each_table_has_a_dictionary_of_all_its_columns(group):
    tables = sorted(group.rglob("*.tsv"))
    names = {str(table.relative_to(group)) for table in tables}
    assert {"measures.tsv", "change.tsv", "flow.tsv", "problems.tsv"} <= names
    assert {"models/change.tsv", "models/change_edges.tsv", "models/sensitivity.tsv"} <= names
    for table in tables:
        dictionary = json.loads(table.with_suffix(".json").read_text())
        assert list(dictionary) == list(read_table(table).columns)


def test_edges_are_an_array_with_its_labels(made, group):
    stem = "connectivity_DesikanKilliany"
    values, change = np.load(group / f"{stem}.npy"), np.load(group / f"{stem}_change.npy")
    pair = read_table(group / f"{stem}_pairs.tsv").iloc[3]
    edges = read_table(group / f"{stem}_edges.tsv")
    assert edges["region_b"].tolist() == ["lh_b", "rh_a", "rh_a"]
    relmat = "sub-04_ses-post_task-rest_atlas-DesikanKilliany_stat-pearsoncorrelation_relmat.tsv"
    post = read_table(made / "out" / "sub-04" / "ses-post" / "func" / relmat)
    assert pair["participant_id"] == "sub-04"
    np.testing.assert_allclose(values[pair["followup_row"], 1], post["rh_a"][0])
    difference = values[pair["followup_row"]] - values[pair["baseline_row"]]
    np.testing.assert_array_equal(change[3], difference)


def test_turning_the_sessions_around_flips_every_sign(group, study, tmp_path):
    first = {
        name: read_table(group / "models" / f"{name}.tsv") for name in ("change", "change_edges")
    }
    ledger = read_table(study[1] / "ledger.tsv")
    write_table(
        ledger.assign(days_from_baseline=70 - ledger["days_from_baseline"]),
        study[1] / "ledger.tsv",
    )
    order = SessionSettings(order=("post", "pre"))
    backward = run(study, tmp_path, SETTINGS.model_copy(update={"sessions": order}))
    for name, rows in first.items():
        turned = read_table(backward / "models" / f"{name}.tsv")
        np.testing.assert_allclose(turned["estimate"], -rows["estimate"], atol=1e-12)
        np.testing.assert_allclose(turned["p"], rows["p"], atol=1e-9)


def test_a_participant_with_broken_derivatives_is_named_and_the_others_go_on(study, tmp_path):
    folder = study[1] / "sub-03" / "ses-post"
    (folder / "anat" / "sub-03_ses-post_desc-tissue_morph.tsv").unlink()
    next((folder / "func").glob("*relmat.tsv")).write_text("lh_a\tlh_b\n0.1\t0.2\n")
    group = run(study, tmp_path)
    problems = read_table(group / "problems.tsv").set_index("where")["what"]
    assert problems["sub-03 ses-post T1w"] == "there is no derivative *_desc-tissue_morph.tsv"
    assert "expected a square, found shape (1, 2)" in problems["sub-03 ses-post bold"]
    model = read_table(group / "models" / "change.tsv")
    assert model.query("measure == 'volume'")["n"].tolist() == [7, 7, 7]
    flow = read_table(group / "flow.tsv").query("step == 'no usable pair' and detail == 'T1w'")
    assert flow["reason"].tolist() == ["ses-post: there is no derivative *_desc-tissue_morph.tsv"]


def test_a_run_with_too_few_clean_minutes_is_left_out(study, tmp_path):
    quality = study[1] / "sub-05" / "ses-pre" / "func" / "sub-05_ses-pre_task-rest_desc-qc_bold.tsv"
    write_table(read_table(quality).assign(clean_minutes=3.9), quality)
    group = run(study, tmp_path)
    problems = read_table(group / "problems.tsv")
    assert "3.9 clean minutes, 4 needed" in problems["what"].tolist()
    assert problems["what_to_do"].str.contains("a longer scan").any()
    model = read_table(group / "models" / "change.tsv")
    assert set(model.query("measure == 'mean_connectivity'")["n"]) == {7}


def test_a_changed_input_is_noticed_and_an_unchanged_one_is_not_computed_again(study, tmp_path):
    group = run(study, tmp_path)
    before = read_table(group / "change.tsv")
    collect = tmp_path / "work" / "group_wf" / "collect" / "measures.tsv"
    written = collect.stat().st_mtime_ns
    run(study, tmp_path)
    assert collect.stat().st_mtime_ns == written
    morph = study[1] / "sub-01" / "ses-pre" / "anat"
    morph /= "sub-01_ses-pre_atlas-DesikanKilliany_desc-volume_morph.tsv"
    write_table(read_table(morph).assign(volume=[1.0, 2, 3]), morph)
    after = read_table(run(study, tmp_path) / "change.tsv")
    own = (after["participant_id"] == "sub-01") & (after["measure"] == "volume")
    assert after["baseline_value"][own].tolist() == [1, 2, 3]
    assert before["baseline_value"][~own].equals(after["baseline_value"][~own])


def test_tables_of_models_that_are_no_longer_asked_for_disappear(study, tmp_path):
    group = run(study, tmp_path)
    assert (group / "models" / "symptoms_BDI.json").is_file()
    fewer = SETTINGS.group.model_copy(update={"scores": ()})
    run(study, tmp_path, SETTINGS.model_copy(update={"group": fewer}))
    assert not list((group / "models").glob("symptoms*"))


def test_a_table_of_measures_needs_no_image(group, study, tmp_path):
    table = read_table(group / "measures.tsv")
    write_table(table[table["modality"] == "T1w"].drop(columns="qc"), tmp_path / "mine.tsv")
    first = read_table(group / "models" / "change.tsv")
    other = run((study[0], tmp_path / "other"), tmp_path, measures=tmp_path / "mine.tsv")
    rows = read_table(other / "models" / "change.tsv")
    keys = ["family", "term", "region"]
    expected = first[first["modality"] != "bold"].sort_values(keys, ignore_index=True)
    rows = rows.sort_values(keys, ignore_index=True)
    pd.testing.assert_frame_equal(rows, expected, rtol=1e-12)
    assert read_table(other / "change.tsv")["interval_days"].isna().all()


def test_the_order_of_participants_in_the_files_changes_nothing(group, study, tmp_path):
    for table in (study[0] / "participants.tsv", study[1] / "ledger.tsv"):
        write_table(read_table(table).sample(frac=1, random_state=3), table)
    shuffled = run(study, tmp_path)
    for table in (group / "models").glob("*.tsv"):
        assert (shuffled / "models" / table.name).read_text() == table.read_text()


def test_without_ledger_it_says_what_to_run(tmp_path):
    with pytest.raises(DatasetError, match="ledger.tsv: there is no such file; run the levels"):
        init_group_wf(tmp_path, tmp_path, None, SETTINGS)


def test_randomised_arms_make_the_adjusted_model_the_planned_one():
    plain = {spec.name: spec.planned for spec in model_specs(SETTINGS)}
    randomised = SETTINGS.group.model_copy(update={"randomised": True})
    specs = model_specs(SETTINGS.model_copy(update={"group": randomised}))
    planned = {name for name, planned in plain.items() if planned}
    assert planned == {"change", "symptoms_BDI", "symptoms_BDIX"}
    assert {spec.name for spec in specs if spec.planned} == planned - {"change"} | {
        "baseline_adjusted"
    }
    assert plain.keys() >= {"mixed", "rank_symptoms_BDI", "symptoms_adjusted_BDI"}


def test_quality_of_both_modalities_is_tabled_and_a_change_that_stands_out_is_noted(
    study, tmp_path
):
    for n in range(1, 9):
        for session, snr in (("pre", 10 + 0.1 * n), ("post", 3.0 if n == 4 else 10 + 0.15 * n)):
            stem = f"sub-{n:02d}_ses-{session}"
            folder = study[1] / f"sub-{n:02d}" / f"ses-{session}" / "anat"
            table = pd.DataFrame({"snr_total": [snr], "mask_dice": [0.97]})
            write_table(table, folder / f"{stem}_desc-quality_T1w.tsv")
    listed = tmp_path / "exclude.tsv"
    listed.write_text("participant_id\treason\nsub-9\tother study\n")
    sessions = SETTINGS.sessions.model_copy(update={"exclude": listed})
    group = run(study, tmp_path, SETTINGS.model_copy(update={"sessions": sessions}))
    quality = read_table(group / "quality.tsv", ("flag",))
    assert quality["modality"].value_counts().to_dict() == {"T1w": 16, "bold": 16}
    pairs = read_table(group / "quality_pairs.tsv", ("flag",))
    row = pairs.query("participant_id == 'sub-04' and metric == 'snr_total'").iloc[0]
    assert (row["baseline"], row["followup"]) == ("ses-pre", "ses-post")
    assert row["change"] == pytest.approx(-7.4)
    problems = read_table(group / "problems.tsv").set_index("where")
    note = problems.loc["sub-04 ses-pre to ses-post T1w"]
    assert note["kind"] == "note"
    assert note["what"].startswith("snr_total changed by -7.4 (robust z -")
    assert f"{listed}, row 1" in problems.index
    dictionary = json.loads((group / "quality.json").read_text())
    assert dictionary["snr_total"]["Description"] == "Mean of snr_gm, snr_wm and snr_csf."


def test_what_is_asked_of_connectivity_reaches_the_node_that_reads_it(made):
    func = FuncSettings(min_clean_minutes=6, connectivity="partial", circuits=("reward",))
    settings = SETTINGS.model_copy(update={"func": func})
    workflow = init_group_wf(made / "out", made / "bids", None, settings)
    asked = workflow.get_node("collect").inputs
    assert (asked.min_clean_minutes, asked.connectivity) == (6, "partial")
    assert asked.networks["rh_insula"] == "VentralAttention"
    ends = [["lh_accumbensarea", "rh_accumbensarea"]]
    ends.append(["lh_medialorbitofrontal", "rh_medialorbitofrontal"])
    assert asked.circuits == {"reward": ends}
