"""A study from a table of measures: treatment changes the brain, the brain changes symptoms."""

import json

import numpy as np
import pandas as pd
import pytest

from bids_utils.derivatives import read_table, write_table
from configs.settings import GroupSettings, Settings
from workflows.cli import main
from workflows.group import init_group_wf
from workflows.interfaces.measure_sources import Intake

SESSIONS = ("pre", "wk4", "wk8", "post")
SETTINGS = {
    "sessions": {
        "order": list(SESSIONS),
        "compared": ["pre", "post"],
        "interval_days": [28.0, 28.0, 28.0],
        "moments": {"pre": "before", "wk4": 4, "wk8": 8, "post": "after"},
    },
    "group": {
        "arm_column": "group",
        "reference_arm": "WL",
        "randomised": True,
        "scores": [
            {"name": "BDI", "scale": "BDI-II"},
            {"name": "BAI", "better": "lower"},
            {"name": "WAI", "role": "process", "better": "higher"},
        ],
        "composites": [{"name": "distress", "scores": ["BDI", "BAI"]}],
        "models": [
            {"name": "dose", "formula": "attended", "test": ["attended"], "measures": ["volume"]},
            {"name": "age_moderates", "moderator": "age", "measures": ["volume"]},
            {"name": "slopes", "design": "mixed", "time": "days", "random": "slope"},
        ],
        "mechanisms": [
            {
                "name": "hippocampus",
                "mediators": [
                    {"measure": "volume", "region": "hippocampus", "change": ["pre", "wk8"]}
                ],
                "outcome": {"score": "BDI", "change": ["pre", "post"]},
                "n_bootstraps": 500,
                "planned": True,
            },
            {
                "name": "too_late",
                "mediators": [{"measure": "volume", "change": ["pre", "post"]}],
                "outcome": {"score": "BDI", "change": ["pre", "post"]},
            },
            {
                "name": "alliance_then_brain",
                "kind": "serial",
                "mediators": [
                    {"score": "WAI", "session": "wk4"},
                    {"measure": "volume", "region": "hippocampus", "change": ["pre", "wk8"]},
                ],
                "outcome": {"score": "BDI", "session": "post"},
                "covariates": ["BDI@pre"],
                "n_bootstraps": 500,
            },
        ],
        "processes": [
            {
                "name": "alliance",
                "process": {"score": "WAI"},
                "outcome": {"score": "BDI"},
                "sessions": ["wk4", "wk8", "post"],
            },
            {
                "name": "together",
                "model": "latent_change",
                "process": {"measure": "volume", "region": "hippocampus"},
                "outcome": {"score": "BDI"},
                "sessions": ["pre", "post"],
            },
        ],
        "predictions": [
            {
                "name": "early",
                "target": {"score": "BDI", "change": ["pre", "post"]},
                "clinical": [
                    {"score": "BDI", "session": "pre"},
                    {"column": "age"},
                    {"column": "arm"},
                ],
                "brain": [{"measure": "volume", "change": ["pre", "wk4"]}],
                "n_repeats": 2,
                "n_permutations": 9,
            }
        ],
        "correction": {"n_permutations": 199},
    },
}


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """Eighty people; CBT makes the hippocampus .4 ml larger by week 8, 10 points of BDI a ml."""
    folder, rng = tmp_path_factory.mktemp("study"), np.random.default_rng(12)
    people, n = [f"sub-{number:02d}" for number in range(1, 81)], 80
    cbt = np.arange(n) % 2 == 0
    table = pd.DataFrame({"participant_id": people, "group": np.where(cbt, "CBT", "WL")})
    table["age"], table["attended"] = rng.normal(40, 10, n).round(), rng.integers(4, 17, n)
    share = np.array([0, 0.5, 1, 1])
    gain = 0.4 * cbt + rng.normal(0, 0.2, n)
    base, bdi = rng.normal(4, 0.3, n), rng.normal(30, 4, n)
    rows = []
    for place, session in enumerate(SESSIONS):
        volume = base + share[place] * gain + rng.normal(0, 0.03, n)
        table[f"BDI_ses-{session}"] = (
            bdi - 10 * share[place] * gain * (place / 3) + rng.normal(0, 1.5, n)
        ).round()
        table[f"BAI_ses-{session}"] = rng.normal(20, 4, n).round()
        if place:
            table[f"WAI_ses-{session}"] = rng.normal(5, 1, n).round(2)
        for region, values in (("hippocampus", volume), ("putamen", rng.normal(5, 0.3, n))):
            rows += [
                (who, f"ses-{session}", "T1w", "volume", region, value, "ml")
                for who, value in zip(people, values, strict=True)
            ]
    table.loc[70:, "BDI_ses-post"] = np.nan
    write_table(table, folder / "bids" / "participants.tsv")
    names = ["participant_id", "session_id", "modality", "measure", "region", "value", "unit"]
    write_table(pd.DataFrame(rows, columns=names), folder / "measures.tsv")
    return folder


@pytest.fixture(scope="module")
def group(study):
    settings = Settings.model_validate(SETTINGS)
    intake = Intake((("table", study / "measures.tsv"),), derivatives=False)
    workflow = init_group_wf(study / "out", study / "bids", intake, settings)
    workflow.base_dir = str(study / "work")
    workflow.config["execution"] = {"crashdump_dir": str(study), "poll_sleep_duration": "0.05"}
    workflow.run()
    return study / "out" / "group"


def test_a_planted_mechanism_is_recovered_and_called_one(group):
    rows = read_table(group / "models" / "mechanism_hippocampus.tsv").set_index("path")
    assert rows.loc["a", "estimate"] == pytest.approx(0.4, abs=0.12)
    indirect = rows.loc["indirect"]
    assert indirect["ci_low"] < -4 < indirect["ci_high"] < 0
    assert indirect["label"] == "mechanism"
    assert rows["planned"].all()
    assert -0.99 < indirect["rho_zero"] < -0.1


def test_a_mediator_that_is_measured_with_the_outcome_is_an_association(group):
    rows = read_table(group / "models" / "mechanism_too_late.tsv")
    assert rows["region"].tolist() == ["hippocampus", "putamen"]
    assert set(rows["label"]) == {"association"}
    assert rows["p_fwe"][0] == 1 / 200
    problems = read_table(group / "problems.tsv")
    assert (problems["where"] == "mechanism too_late").any()


def test_each_analysis_leaves_its_tables_with_a_dictionary(group):
    names = {path.name for path in (group / "models").glob("*.tsv")}
    assert names >= {
        "change.tsv",
        "mixed.tsv",
        "dose.tsv",
        "age_moderates.tsv",
        "slopes.tsv",
        "symptoms_distress.tsv",
        "mechanism_alliance_then_brain.tsv",
        "process_alliance.tsv",
        "process_together.tsv",
        "prediction_early.tsv",
        "prediction_early_people.tsv",
        "prediction_early_calibration.tsv",
        "prediction_early_facts.tsv",
    }
    for table in group.rglob("*.tsv"):
        dictionary = json.loads(table.with_suffix(".json").read_text())
        assert list(dictionary) == list(read_table(table).columns)
        assert all(entry["Description"] for entry in dictionary.values())


def test_outcomes_are_judged_by_the_scale(group):
    rows = read_table(group / "outcomes.tsv")
    bdi = rows[(rows["score"] == "BDI") & (rows["followup"] == "ses-post")]
    assert bdi["change"].notna().sum() == 70
    improved = 100 * (bdi["baseline_value"] - bdi["followup_value"]) / bdi["baseline_value"]
    expected = np.where(improved >= 50, "yes", "no")[:70]
    assert bdi["response"].tolist()[:70] == expected.tolist()
    rates = read_table(group / "outcome_rates.tsv")
    worst = rates[(rates["counted"] == "worst case") & (rates["score"] == "BDI")]
    assert set(worst.loc[worst["arm"] == "all", "n"]) == {80}


def test_the_symptoms_themselves_are_modelled_with_everybody_in_the_mixed_model(group):
    rows = read_table(group / "models" / "mixed.tsv").query("measure == 'BDI'")
    post = rows[rows["term"] == "CBT - WL at ses-post"].iloc[0]
    assert post["n"] == 80
    assert post["ci_low"] < -4 < post["ci_high"]


def test_scores_of_what_may_carry_the_treatment_are_never_the_planned_question(group):
    rows = read_table(group / "models" / "baseline_adjusted.tsv").set_index("measure")["planned"]
    assert set(rows.loc[["BDI"]].astype(str)) == {"True"}
    assert set(rows.loc[["WAI"]].astype(str)) == {"False"}


def test_prediction_stands_beside_a_clinical_model(group):
    scores = read_table(group / "models" / "prediction_early.tsv")
    assert {"mean", "clinical", "brain", "clinical+brain", "difference"} <= set(scores["predictor"])
    people = read_table(group / "models" / "prediction_early_people.tsv")
    assert len(people) == 80
    assert people["participant_id"][0] == "sub-01"


def test_the_command_tells_problems_and_ends_with_10(study, tmp_path, capsys):
    wrong = json.loads(json.dumps(SETTINGS))
    wrong["group"] |= {"mechanisms": [], "processes": [], "models": [], "composites": []}
    wrong["group"] |= {"scores": wrong["group"]["scores"][:1], "correction": {"n_permutations": 19}}
    wrong["group"]["predictions"][0]["brain"] = [{"measure": "volume", "session": "post"}]
    (tmp_path / "settings.yaml").write_text(json.dumps(wrong))
    arguments = [str(study / "bids"), str(tmp_path / "out"), "group"]
    arguments += ["--measures", str(study / "measures.tsv")]
    code = main([*arguments, "--settings", str(tmp_path / "settings.yaml")])
    assert code == 10
    printed = " ".join(capsys.readouterr().out.split())
    assert "'volume at post' was not measured before the outcome" in printed
    assert (tmp_path / "out" / "group" / "models" / "change.tsv").is_file()


def test_two_models_of_one_name_are_refused():
    twice = SETTINGS["group"] | {"models": [{"name": "dose"}, {"name": "dose"}]}
    with pytest.raises(ValueError, match="two models are called 'dose'"):
        GroupSettings.model_validate(twice)
