"""Pages: complete in one file, escaped, honest, and never stopped by a missing file."""

import re

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
from page_reader import Page, check_self_contained

from bids_utils.derivatives import write_json, write_table, write_text
from bids_utils.errors import DatasetError
from configs.settings import GroupSettings, ScoreSettings, Settings, dump_settings
from workflows.compute.completers import COMPLETER_COLUMNS, NOT_SHOWN
from workflows.compute.findings import ONE_ARM_CAUTION
from workflows.compute.pair_quality import pair_table, quality_table, scored_values
from workflows.compute.results import MODEL_COLUMNS
from workflows.drawing.canvas import blank_figure, save_png
from workflows.interfaces.group_results import read_edges
from workflows.interfaces.group_tables import save_table
from workflows.interfaces.report_participants import shown_completers
from workflows.report import write_group_report, write_participant_report

HOSTILE = "<script>alert('x')</script><img src=http://evil.example/a.png>"
KEYS = ["participant_id", "session_id", "modality"]
REGIONS = ["lh_hippocampus", "rh_amygdala", "lh_insula"]


@pytest.fixture
def derivatives(tmp_path):
    """A participant with three sessions whose labels are not in alphabetical order."""
    rows = [
        ("sub-01", "ses-pre", "T1w", "n/a", "used", None, 0.0, HOSTILE),
        ("sub-01", "ses-post", "T1w", "n/a", "used", None, 84.0, None),
        ("sub-01", "ses-fu", "T1w", "n/a", "excluded", HOSTILE, 200.0, None),
        ("sub-02", "ses-pre", "T1w", "n/a", "excluded", "not of this participant", 0.0, None),
    ]
    names = ["participant_id", "session_id", "modality", "run", "status", "reason"]
    ledger = pd.DataFrame(rows, columns=[*names, "days_from_baseline", "scanner"])
    write_table(ledger, tmp_path / "ledger.tsv")
    figures = tmp_path / "sub-01" / "figures"
    figures.mkdir(parents=True)
    for name in (
        "sub-01_desc-mask_T1w",
        "sub-01_ses-post_desc-session_T1w",
        "sub-01_ses-pre_desc-session_T1w",
        "sub-01_ses-post_task-rest_desc-motion_bold",
        "sub-01_ses-pre_task-rest_desc-motion_bold",
        "sub-01_desc-unheardof_T1w",
    ):
        save_png(blank_figure(0.5, 0.5), figures / f"{name}.png")
    quality = pd.DataFrame({"fd_mean": [0.123456], "n_volumes": [150], "tsnr": [np.nan]})
    folder = tmp_path / "sub-01" / "ses-pre" / "func"
    write_table(quality, folder / "sub-01_ses-pre_task-rest_desc-qc_bold.tsv")
    return tmp_path


def page_of(path):
    return Page(path.read_text(encoding="utf-8"))


def test_the_page_of_a_participant_is_complete_and_escaped(derivatives):
    page = page_of(write_participant_report(derivatives, "01"))
    check_self_contained(page)
    assert HOSTILE in page.text
    assert len(page.all("img")) == 5


def test_sessions_and_runs_of_a_participant_are_in_time_order(derivatives):
    page = page_of(write_participant_report(derivatives, "01"))
    assert re.search(r"ses-pre 0 .*ses-post 84 .*ses-fu 200", page.text)
    labels = [image["alt"] for image in page.all("img")]
    assert [label.partition(":")[0] for label in labels[1:]] == [
        "ses-pre",
        "ses-post",
        "ses-pre task-rest",
        "ses-post task-rest",
    ]
    assert "not of this participant" not in page.text


def test_each_picture_says_what_good_looks_like_and_quality_is_listed(derivatives):
    page = page_of(write_participant_report(derivatives, "01"))
    assert page.text.count("Good: ") == 4
    assert re.search(r"fd_mean 0.1235 lower .* n_volumes 150 .* tsnr n/a higher", page.text)


def test_quality_is_listed_for_the_template_then_each_session_then_each_run(derivatives):
    for session, cnr in (("post", 2.5), ("pre", 3.5), ("fu", 4.5)):
        name = f"sub-01_ses-{session}_desc-quality_T1w.tsv"
        folder = derivatives / "sub-01" / f"ses-{session}" / "anat"
        write_table(pd.DataFrame({"cnr": [cnr]}), folder / name)
    qc = derivatives / "sub-01" / "anat" / "sub-01_desc-anat_qc.tsv"
    write_table(pd.DataFrame({"brain_ml": [1234.0]}), qc)
    page = page_of(write_participant_report(derivatives, "01"))
    found = re.findall(r"brain_ml 1234|cnr \d\.5 \d\.5 \d\.5|fd_mean", page.text)
    assert found == ["brain_ml 1234", "cnr 3.5 2.5 4.5", "fd_mean"]
    assert "measure ses-pre ses-post ses-fu good is" in page.text


def test_failures_are_on_the_page(derivatives):
    crash = derivatives / "logs" / "sub-01" / "crash"
    write_text(
        "Node: participants_wf.sub_01_wf.anat_wf.mask\n"
        "Traceback:\nbids_utils.errors.ToolError: brain of 3 ml <b>; look at it\n",
        crash / "crash-1.txt",
    )
    page = page_of(write_participant_report(derivatives, "01"))
    assert "Not finished: anat, mask: brain of 3 ml <b>; look at it" in page.text


def test_a_participant_without_anything_but_the_ledger_gets_a_page(derivatives):
    page = page_of(write_participant_report(derivatives, "02"))
    assert "There are no pictures of the anatomy." in page.text
    assert "There are no quality tables." in page.text


def test_an_unknown_participant_is_an_error_that_names_it(derivatives):
    with pytest.raises(DatasetError, match="sub-99"):
        write_participant_report(derivatives, "99")


def test_a_page_written_again_is_the_same_and_lies_in_its_place(derivatives):
    expected = write_participant_report(derivatives, "01").read_bytes()
    assert write_participant_report(derivatives, "01") == derivatives / "sub-01.html"
    assert (derivatives / "sub-01.html").read_bytes() == expected
    (derivatives / "group").mkdir()
    assert write_group_report(derivatives) == derivatives / "group" / "report.html"


def model_rows(p_fdr, **changes):
    table = pd.DataFrame(
        {
            "model": "change",
            "family": "change: T1w volume DesikanKilliany",
            "planned": True,
            "term": "CBT - WL",
            "modality": "T1w",
            "measure": "volume",
            "atlas": "Mine",
            "region": REGIONS,
            "unit": "ml",
            "estimate": [0.1, -0.2, 0.3],
            "ci_low": -1.0,
            "ci_high": 1.0,
            "p": np.array(p_fdr) / 3,
            "p_fdr": p_fdr,
            "effect_size_name": "Hedges g",
            "n": 12,
            "n_per_arm": "CBT=6;WL=6",
            "formula": "change ~ arm",
        }
    )
    return table.assign(**changes).reindex(columns=MODEL_COLUMNS)


ONE_ARM = {
    "term": "mean change",
    "effect_size_name": "d_z",
    "n_per_arm": "all=12",
    "note": "one arm: change over time is not a treatment effect",
}


@pytest.fixture
def study(tmp_path):
    """Writes the folder of the group level from rows of one model."""

    def write(rows, flow=False):
        group = tmp_path / "out" / "group"
        write_table(rows, group / "models" / "change.tsv")
        if flow:
            steps = [("in participants.tsv", None, "all", 13, None)]
            steps += [("scanned at ses-pre and ses-post", None, "all", 12, None)]
            steps += [("no usable pair", "T1w", "all", 1, HOSTILE)]
            names = ["step", "detail", "arm", "n", "reason"]
            write_table(pd.DataFrame(steps, columns=names), group / "flow.tsv")
        return tmp_path / "out"

    return write


def test_an_empty_group_folder_gives_a_page_that_says_what_is_missing(tmp_path):
    (tmp_path / "group").mkdir()
    page = page_of(write_group_report(tmp_path))
    check_self_contained(page)
    for sentence in (
        "There are no results: the tables of the models are missing or empty.",
        "flow.tsv is missing",
        "There are no tables of models.",
        "sensitivity.tsv is missing or empty.",
        "logs/CITATION.md is missing.",
        "settings.yaml is missing; its defaults are assumed.",
    ):
        assert sentence in page.text


def test_without_a_group_folder_the_error_says_what_to_run(tmp_path):
    with pytest.raises(DatasetError, match="run the group level first"):
        write_group_report(tmp_path)


def test_a_null_result_is_said_with_the_smallest_effect(study):
    out = study(model_rows([0.9, 0.8, 0.7]))
    smallest = pd.DataFrame(
        {
            "model": ["change"],
            "family": ["change: T1w volume DesikanKilliany"],
            "term": ["CBT - WL"],
            "n_tests": [3],
            "effect_size_name": ["Hedges g"],
            "power": [0.8],
            "smallest_bonferroni": [2.345],
        }
    )
    write_table(smallest, out / "group" / "models" / "sensitivity.tsv")
    page = page_of(write_group_report(out))
    assert "no region differed after correction for 3 tests" in page.text
    assert "smallest effect this sample could have found with 80 % power" in page.text
    assert "Hedges g = 2.35" in page.text or "Hedges g = 2.34" in page.text


def test_the_summary_begins_with_how_many_questions_were_answered(study):
    found = model_rows([0.001, 0.8, 0.7], family="one")
    none = model_rows([0.9, 0.8, 0.7], family="two")
    untested = model_rows([np.nan] * 3, family="three")
    explored = model_rows([0.001, 0.8, 0.7], family="four", planned=False)
    page = page_of(write_group_report(study(pd.concat([found, none, untested, explored]))))
    expected = "2 planned questions were tested: 1 with a result that is significant after"
    assert f"{expected} correction, 1 without. 1 could not be tested." in page.text
    assert "up to 5 in 100 questions show something by chance" in page.text
    assert page.text.index(expected) < page.text.index("Strongest: lh_hippocampus")


def test_one_group_is_never_a_treatment_effect(study):
    out = study(model_rows([0.001, 0.8, 0.7], **ONE_ARM))
    page = page_of(write_group_report(out))
    # at the top, with the result, and with the picture
    assert page.text.count(ONE_ARM_CAUTION) == 3
    assert ONE_ARM_CAUTION not in page_of(write_group_report(study(model_rows([0.5] * 3)))).text


def test_the_page_of_the_group_is_complete_escaped_and_small(study):
    rows = model_rows([0.01, 0.8, 0.7], region=[HOSTILE, "a", "b"])
    path = write_group_report(study(rows, flow=True))
    page = page_of(path)
    check_self_contained(page)
    assert page.text.count(HOSTILE) >= 3
    assert "13 people in participants.tsv; 12 scanned at ses-pre and ses-post." in page.text
    assert path.stat().st_size < 10e6


def test_families_that_lack_as_many_people_for_one_reason_share_a_line(study):
    out = study(model_rows([0.5] * 3), flow=True)
    flow = pd.read_csv(out / "group" / "flow.tsv", sep="\t")
    lost = [("T1w volume A", 2, "no scan"), ("T1w thickness A", 2, "no scan")]
    lost += [("T1w tissue_volume", 3, "no scan")]
    rows = [("not analysed", detail, "CBT", n, reason) for detail, n, reason in lost]
    more = pd.DataFrame(rows, columns=flow.columns)
    write_table(pd.concat([flow, more]), out / "group" / "flow.tsv")
    text = page_of(write_group_report(out)).text
    assert "T1w volume A, T1w thickness A: 2, no scan (CBT)" in text
    assert "T1w tissue_volume: 3, no scan (CBT)" in text


def test_regions_of_the_atlas_are_painted_and_marked(study):
    rows = model_rows([0.01, 0.8, 0.7], atlas="DesikanKilliany")
    page = page_of(write_group_report(study(rows)))
    assert "Significant after correction (green edge): 1 of 3 regions." in page.text
    assert len(page.all("img")) == 2


def test_an_atlas_that_is_not_known_only_lacks_the_brain(study):
    page = page_of(write_group_report(study(model_rows([0.01, 0.8, 0.7], atlas="Mine"))))
    assert len(page.all("img")) == 1
    assert page.all("img")[0]["alt"].startswith("Estimates with intervals of change in grey")


@pytest.mark.parametrize("measure", ["volume", "connectivity"])
def test_an_atlas_that_the_study_carried_has_its_brain(study, measure):
    rows = model_rows([0.01, 0.8, 0.7], measure=measure)
    if measure == "connectivity":
        ends = {"region_a": [REGIONS[0], REGIONS[0], REGIONS[1]]}
        rows = rows.assign(region=None, modality="bold", unit="z", **ends)
        rows["region_b"] = [REGIONS[1], REGIONS[2], REGIONS[2]]
    out = study(rows)
    labels = np.zeros((9, 9, 9), np.int16)
    labels[2:7, 2:7, [2, 4, 6]] = [1, 2, 3]
    affine = np.diag([10.0, 10, 10, 1])
    affine[:3, 3] = -40, -50, -30
    (out / "atlas").mkdir()
    stem = "tpl-MNI152NLin2009aSym_atlas-Mine"
    file = out / "atlas" / f"{stem}_desc-a_dseg.nii.gz"
    nib.Nifti1Image(labels, affine).to_filename(file)
    write_table(
        pd.DataFrame({"index": [1, 2, 3], "name": REGIONS}), out / "atlas" / f"{stem}_dseg.tsv"
    )
    shown = [image["alt"] for image in page_of(write_group_report(out)).all("img")]
    where = "Slices of a standard brain" if measure == "volume" else "three views of a brain"
    assert sum(where in text for text in shown) == 1


def test_files_are_linked_beside_the_page(study):
    out = study(model_rows([0.5] * 3), flow=True)
    links = [a["href"] for a in page_of(write_group_report(out)).all("a") if "download" in a]
    links = [link for link in links if not link.startswith("data:")]
    assert links == ["flow.tsv", "models/change.tsv"]
    assert all((out / "group" / link).is_file() for link in links)


def test_long_tables_are_cut_to_the_smallest_p_and_say_so(study):
    table = pd.concat([model_rows([0.5, 0.6, 0.9])] * 150, ignore_index=True)
    table["region"] = [f"place{i}" for i in range(450)]
    table["p"] = np.linspace(1, 0.001, 450)
    page = page_of(write_group_report(study(table)))
    assert "The 300 rows with the smallest p of 450" in page.text
    assert "place449" in page.text
    assert "place149 " not in page.text


def test_edges_are_shown_as_matrix_and_on_the_brain(study):
    edges = model_rows([0.01, 0.8, 0.7], measure="connectivity", modality="bold", unit="z")
    edges = edges.assign(region=None, atlas="DesikanKilliany")
    edges["region_a"] = ["lh_hippocampus", "lh_hippocampus", "rh_amygdala"]
    edges["region_b"] = ["rh_amygdala", "lh_insula", "lh_insula"]
    page = page_of(write_group_report(study(edges)))
    assert "lh_hippocampus – rh_amygdala, +0.1 z" in page.text
    assert "1 of 3 are significant after correction" in page.text
    assert len(page.all("img")) == 2


def cohort_of(out, bids, n=14):
    """People with two arms, a score at two sessions and the change of three regions."""
    rng = np.random.default_rng(5)
    people = [f"sub-{i:02d}" for i in range(1, n + 1)]
    bdi = np.column_stack([rng.integers(20, 30, n), rng.integers(5, 25, n)]).astype(float)
    arms = ["CBT", "WL"] * (n // 2)
    table = pd.DataFrame({"participant_id": people, "group": arms, "BDI_ses-pre": bdi[:, 0]})
    write_table(table, bids / "participants.tsv")
    scores = pd.DataFrame(
        [
            (person, f"ses-{session}", "BDI", value, moment)
            for person, pair in zip(people, bdi, strict=True)
            for session, value, moment in zip(
                ("pre", "post"), pair, ("before", "after"), strict=True
            )
        ],
        columns=["participant_id", "session_id", "score", "value", "moment"],
    )
    write_table(scores, out / "group" / "scores.tsv")
    change = pd.DataFrame({"participant_id": np.repeat(people, 3), "region": REGIONS * n})
    change["baseline_value"] = rng.normal(4, 0.2, 3 * n)
    noise = rng.normal(0, 0.2, 3 * n)
    change["change"] = np.repeat(bdi[:, 1] - bdi[:, 0], 3) * -0.01 + noise
    change["followup_value"] = change["baseline_value"] + change["change"]
    known = {"modality": "T1w", "measure": "volume", "atlas": "Mine", "unit": "ml"}
    change = change.assign(baseline="ses-pre", followup="ses-post", **known)
    write_table(change, out / "group" / "change.tsv")
    write_json({"DatasetLinks": {"raw": bids.as_uri()}}, out / "dataset_description.json")
    group = GroupSettings(
        arm_column="group",
        reference_arm="WL",
        scores=(ScoreSettings(name="BDI", scale="BDI-II"),),
        covariates=("BDI_ses-pre",),
    )
    write_text(dump_settings(Settings(group=group)), out / "settings.yaml")


def test_the_strongest_regions_are_shown_against_the_score_and_called_so(study, tmp_path):
    rows = model_rows([0.2, 0.8, 0.7], term="change in BDI", effect_size_name="partial r")
    out = study(rows.assign(unit="correlation", model="symptoms_BDI"), flow=True)
    cohort_of(out, tmp_path / "bids")
    page = page_of(write_group_report(out))
    scatters = [i["alt"] for i in page.all("img") if i["alt"].startswith("Scatter")]
    assert scatters[0] == "Scatter of change in lh_hippocampus against change in BDI"
    assert len(scatters) == 3
    assert "Chosen for being extreme, so likely too large." in page.text
    assert "with all 14 people; leaving each out in turn it ranges from" in page.text
    assert "Course of BDI over the sessions, one panel an arm" in [
        i["alt"] for i in page.all("img")
    ]
    assert "sub-01" not in page.text
    write_json({"DatasetLinks": {"raw": "file:///nowhere"}}, out / "dataset_description.json")
    page = page_of(write_group_report(out))
    assert not [i for i in page.all("img") if i["alt"].startswith("Scatter")]
    assert "There is no picture: its data are not there, or are not of regions." in page.text


def test_baseline_severity_in_a_model_brings_the_size_of_regression_to_the_mean(study, tmp_path):
    out = study(model_rows([0.2, 0.8, 0.7]))
    cohort_of(out, tmp_path / "bids")
    text = page_of(write_group_report(out)).text
    assert (
        "r = -0.50 at reliability .50 and -0.22 at .90 when nobody changes (used in all models)"
        in text
    )


def test_few_people_are_not_counted_in_the_open(study):
    names = ["arm", "characteristic", "level", "n_dropouts", "dropouts_count"]
    rows = [
        ("all", "sex", "female", 15, 6),
        ("all", "sex", "male", 15, 9),
        ("all", "site", "north", 11, 8),
        ("all", "site", "south", 11, 3),
        ("CBT", "age", None, 3, np.nan),
    ]
    table = pd.DataFrame(rows, columns=names).reindex(columns=COMPLETER_COLUMNS)
    table = table.assign(n_completers=40, completers_count=20, dropouts_mean=41.5, effect_size=0.3)
    shown = shown_completers(table)
    assert shown["dropouts_count"].tolist()[:4] == [6, 9, "hidden", "<5"]
    assert shown["completers_count"].tolist()[:4] == [20, 20, 20, 20]
    assert shown["effect_size"].isna().tolist() == [False, False, True, True, False]
    assert shown["n_dropouts"].tolist() == [15, 15, 11, 11, "<5"]
    assert shown["dropouts_mean"].isna().tolist() == [False, False, False, False, True]
    out = study(model_rows([0.5] * 3))
    write_table(table.assign(note="n"), out / "group" / "completers.tsv")
    text = page_of(write_group_report(out)).text
    assert "<5" in text
    assert NOT_SHOWN[1:] in text


def mechanism(label):
    return pd.DataFrame(
        {
            "model": "alliance",
            "planned": True,
            "path": ["a", "b", "direct", "total", "indirect"],
            "term": ["CBT - WL", None, "CBT - WL", "CBT - WL", "CBT - WL"],
            "mediator": ["WAI", "WAI", None, None, None],
            "estimate": [0.5, -2.0, -1.0, -2.0, -1.0],
            "ci_low": -3.0,
            "ci_high": [1.0, -1.0, 0.5, -0.5, -0.2],
            "interval": "t",
            "bca_low": np.nan,
            "bca_high": np.nan,
            "note": None,
            "label": label,
            "reason": "measured together",
            "rho_zero": np.nan,
            "outcome": "BDI at post",
        }
    )


@pytest.mark.parametrize("label", ["mechanism", "association"])
def test_a_mechanism_is_drawn_and_called_what_it_is(study, label):
    out = study(model_rows([0.5] * 3))
    write_table(mechanism(label), out / "group" / "models" / "mechanism_alliance.tsv")
    page = page_of(write_group_report(out))
    assert "Paths from CBT - WL over WAI to BDI at post" in [i["alt"] for i in page.all("img")]
    assert ("Association, not a mechanism: the order" in page.text) == (label == "association")
    # in short, and with the picture
    assert page.text.count("Through WAI: -1 on BDI at post") == 2


def test_a_prediction_shows_no_person_and_its_checklist(study):
    models = study(model_rows([0.5] * 3)) / "group" / "models"
    names = ["predictor", "metric", "estimate", "ci_low", "ci_high", "p", "n"]
    rows = [("clinical", "R2", 0.3, 0.1, 0.5, 0.01, 12), ("brain", "R2", 0.1, -0.2, 0.3, 0.3, 12)]
    scores = pd.DataFrame(rows, columns=names).assign(planned=False, target="BDI", note="n")
    write_table(scores, models / "prediction_early.tsv")
    people = pd.DataFrame({"participant_id": [f"sub-{i:02d}" for i in range(12)]})
    people = people.assign(observed=np.arange(12.0), clinical=5.0, brain=np.arange(12.0))
    write_table(people, models / "prediction_early_people.tsv")
    curve = {"bin": 1, "n": 12, "predicted": 5.0, "observed": 5.0, "ci_low": 3.0, "ci_high": 7.0}
    curve = pd.DataFrame([curve | {"predictor": name} for name in ("clinical", "brain")])
    write_table(curve.assign(model="early"), models / "prediction_early_calibration.tsv")
    facts = pd.DataFrame({"item": ["predictors"], "text": ["2 clinical columns, 3 brain"]})
    write_table(facts.assign(model="early"), models / "prediction_early_facts.tsv")
    page = page_of(write_group_report(models.parent.parent))
    text = page.text
    assert "Predicted against observed BDI for each model" in [i["alt"] for i in page.all("img")]
    assert "This prediction cannot be used for a single person" in text
    assert "7a Predictors 2 clinical columns, 3 brain" in text
    assert "22 Funding to be filled by the authors" in text
    assert "sub-03" not in page.text


def test_networks_are_named_as_wholes(study):
    edges = model_rows([0.01, 0.8, 0.7], measure="connectivity", modality="bold", unit="z")
    edges = edges.assign(region=None, region_a=["a", "a", "b"], region_b=["b", "c", "c"])
    out = study(edges)
    families = {"model": "change", "family": edges["family"][0], "planned": True}
    table = pd.DataFrame({"component": [1, 2], "n_edges": [7, 2], "n_nodes": [5, 3]})
    table = table.assign(term="CBT - WL", p_fwe=[0.01, 0.9], **families)
    write_table(table, out / "group" / "models" / "change_networks.tsv")
    text = page_of(write_group_report(out)).text
    assert "1 of 2 networks after correction; the strongest has 7 connections of 5 regions" in text
    assert "which single connections in it changed cannot be named" in text


def test_many_connections_are_read_without_columns_that_no_page_needs(tmp_path):
    edges = model_rows([0.01, 0.8, 0.7], measure="connectivity", modality="bold", unit="z")
    edges = edges.assign(region_a=["a", "a", "b"], region_b=["b", "c", "c"], statistic=99.0)
    write_table(edges, tmp_path / "change_edges.tsv")
    table = read_edges(tmp_path / "change_edges.tsv")
    assert "statistic" not in table
    assert table["region_b"].tolist() == ["b", "c", "c"]
    assert table["planned"].all()
    assert table["note"].tolist() == ["", "", ""]
    assert table["p_fdr"].tolist() == [0.01, 0.8, 0.7]


def test_tables_without_rows_or_columns_do_not_stop_the_page(study):
    out = study(model_rows([0.5] * 3))
    group = out / "group"
    for name in ("outcomes", "outcome_rates", "completers", "scores", "problems", "flow"):
        write_table(pd.DataFrame(columns=["arm", "score"]), group / f"{name}.tsv")
    for name in ("mechanism_a", "process_b", "prediction_c", "prediction_c_people", "d_networks"):
        write_table(pd.DataFrame(columns=["model"]), group / "models" / f"{name}.tsv")
    page = page_of(write_group_report(out))
    check_self_contained(page)
    assert "no region differed after correction for 3 tests" in page.text


def write_quality(out, n_people=6):
    """People of whom the last one is noisy at follow-up and was scanned otherwise."""
    rows = [
        (f"{n:02d}", session, "T1w", "snr_total", 2.0 if (n, session) == (n_people, "post") else v)
        for n in range(1, n_people + 1)
        for session, v in (("pre", 10 + 0.1 * n), ("post", 10 + 0.13 * n))
    ]
    values = pd.DataFrame(rows, columns=[*KEYS, "metric", "value"])
    pairs = values[values["session_id"] == "pre"].rename(columns={"session_id": "baseline"})
    pairs = pairs[["participant_id", "baseline", "modality"]].assign(followup="post")
    scored = scored_values(values)
    group = out / "group"
    save_table(quality_table(scored), group / "quality.tsv")
    save_table(pair_table(scored, pairs.assign(interval_days=84.0)), group / "quality_pairs.tsv")
    ledger = values.assign(status="used", reason=None, run="n/a", source_file="n/a")
    ledger["reason"] = ledger["reason"].astype(object)
    last = len(ledger) - 1
    ledger.loc[last, "reason"] = "differs from ses-pre: MagneticFieldStrength 3 T, was 1.5 T"
    save_table(ledger.drop(columns=["metric", "value"]), out / "ledger.tsv")
    (out / f"sub-{n_people:02d}.html").write_text("page")
    return out


def test_people_are_shown_from_worst_to_best_quality_with_links_to_their_pages(study):
    page = page_of(write_group_report(write_quality(study(model_rows([0.5] * 3)))))
    check_self_contained(page)
    assert "1 of 6 people have an image or a pair that stands out." in page.text
    assert "sub-06: ses-post T1w: snr_total 2 is low (robust z -" in page.text
    assert "ses-pre to ses-post T1w: snr_total changed by -8.6" in page.text
    assert "sequence, voxel size): 1 of 6 people." in page.text
    table = page.text.partition("people from worst to best quality (6 rows)")[2]
    assert table.index("sub-06") < table.index("sub-01")
    links = [link["href"] for link in page.all("a")]
    addresses = {link for link in links if "sub-" in link and not link.startswith("data:")}
    assert addresses == {"../sub-06.html"}
    assert any(image["alt"].startswith("Robust z of every") for image in page.all("img"))


def test_few_people_have_no_picture_of_quality_and_are_told_why(study):
    page = page_of(write_group_report(write_quality(study(model_rows([0.5] * 3)), 3)))
    assert "0 of 3 people have an image or a pair that stands out." in page.text
    assert "Fewer than 5 people: only limits that hold for one person were applied." in page.text
    assert not any(image["alt"].startswith("Robust z of every") for image in page.all("img"))


def test_quality_of_single_sessions_is_ranked_without_pairs(study):
    out = write_quality(study(model_rows([0.5] * 3)))
    (out / "group" / "quality_pairs.tsv").unlink()
    page = page_of(write_group_report(out))
    assert "1 of 6 people have an image or a pair that stands out." in page.text


def test_without_tables_of_quality_the_chapter_is_left_out(study):
    page = page_of(write_group_report(study(model_rows([0.5] * 3))))
    assert "#quality" not in [link["href"] for link in page.all("a")]
