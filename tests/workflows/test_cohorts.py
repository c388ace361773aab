"""Cohorts as they come in: scores only, tables, results of other tools, several sites."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from bids_utils.derivatives import read_table, write_table
from bids_utils.names import strip_label
from configs.lock import analysis_key, planned_analyses
from configs.settings import (
    CompositeSettings,
    GroupSettings,
    ModelSettings,
    ScoreSettings,
    Settings,
)
from workflows.cli import main
from workflows.questions import model_specs

BTHEB = Path(__file__).parents[1] / "data" / "btheb.csv"
BTHEB_SETTINGS = """\
sessions: {order: [pre, 2m, 3m, 5m, 8m], interval_days: [60, 30, 60, 90], compared: [pre, 2m]}
group:
  arm_column: treatment
  reference_arm: TAU
  randomised: true
  covariates: [drug, length]
  scores: [{name: BDI, reliability: 0.93, remission: 1, response_pct: 50}]
  correction: {n_permutations: 20}
"""
DEPRESSION_SETTINGS = """\
sessions: {order: [pre, post], interval_days: [70]}
group:
  arm_column: group
  reference_arm: depr_no_treatment
  scores: [{name: BDI, scale: BDI-II}]
  correction: {n_permutations: 20}
"""
REGIONS = [f"region{number}" for number in range(1, 11)]


@pytest.fixture
def call(tmp_path, capsys):
    """Return a function that runs the level group: exit code, the folder, what was printed."""

    def call(bids_dir, settings, *options, level="group"):
        (tmp_path / "s.yaml").write_text(settings, encoding="utf-8")
        places = [str(bids_dir), str(tmp_path / "out"), level]
        code = main([*places, "--settings", str(tmp_path / "s.yaml"), *map(str, options)])
        printed = capsys.readouterr()
        text = " ".join((printed.out + printed.err).split())
        return code, tmp_path / "out" / "group", text

    return call


@pytest.fixture
def btheb(tmp_path):
    """Beat the Blues as a dataset: participants.tsv with a column per session, no image."""
    table = pd.read_csv(BTHEB)
    sessions = ("pre", "2m", "3m", "5m", "8m")
    table = table.rename(columns={f"bdi.{name}": f"BDI_ses-{name}" for name in sessions})
    table.insert(0, "participant_id", [f"sub-{number:03d}" for number in table.pop("subject")])
    write_table(table, tmp_path / "bids" / "participants.tsv")
    return tmp_path / "bids"


def counts(flow, step, detail=None):
    rows = flow[flow["step"] == step]
    rows = rows[rows["detail"].isna() if detail is None else rows["detail"] == detail]
    return dict(zip(rows["arm"], rows["n"], strict=True))


def everybody(flow, family):
    """Analysed and not analysed participants of a family."""
    own = flow[(flow["arm"] == "all") & (flow["detail"] == family)]
    return own.loc[own["step"].isin(["analysed", "not analysed"]), "n"].sum()


def test_a_trial_with_scores_only_gives_the_published_numbers(btheb, call):
    code, group, text = call(btheb, BTHEB_SETTINGS, "--scores-only", "--random-seed", 7)
    assert code == 0, text
    row = read_table(group / "models" / "baseline_adjusted.tsv").iloc[0]
    assert row["estimate"] == pytest.approx(-2.98612634668, rel=1e-9)
    assert row["standard_error"] == pytest.approx(1.79861037835, rel=1e-9)
    outcomes = read_table(group / "outcomes.tsv").query("followup == 'ses-2m'")
    arms = read_table(btheb / "participants.tsv").set_index("participant_id")["treatment"]
    answered = outcomes[outcomes["change"].notna()]
    response = (answered["response"] == "yes").groupby(answered["participant_id"].map(arms))
    assert response.agg(["sum", "count"]).T.to_dict("list") == {"BtheB": [16, 52], "TAU": [9, 45]}
    assert len(read_table(group / "models" / "mixed.tsv")) == 4
    assert (group / "models" / "change.tsv").is_file()
    flow = read_table(group / "flow.tsv")
    assert counts(flow, "in participants.tsv") == {"all": 100, "BtheB": 52, "TAU": 48}
    assert everybody(flow, "baseline_adjusted: score BDI") == 100
    assert "random_seed: 7" in (group.parent / "settings.yaml").read_text()


def test_what_was_not_locked_is_exploratory(btheb, call, tmp_path):
    code, group, text = call(btheb, BTHEB_SETTINGS, "--scores-only", level="lock")
    assert code == 0, text
    code, _, text = call(btheb, BTHEB_SETTINGS, "--scores-only", level="lock")
    assert code == 2
    assert "a lock is never changed" in text
    assert call(btheb, BTHEB_SETTINGS, "--scores-only")[0] == 0
    assert read_table(group / "models" / "baseline_adjusted.tsv")["planned"].all()
    changed = BTHEB_SETTINGS.replace("[drug, length]", "[drug]")
    code, group, text = call(btheb, changed, "--scores-only")
    assert code == 10
    assert "group.covariates was locked as ['drug', 'length'] and is ['drug'] now" in text
    assert not read_table(group / "models" / "baseline_adjusted.tsv")["planned"].any()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["-d", "freesurfr=x"], "did you mean 'freesurfer'"),
        (["--scores-only", "--measures", "m.tsv"], "leave out --derivatives"),
        (["--random-seed", "-3"], "must be 0 or more"),
    ],
)
def test_sources_that_make_no_sense_are_refused(btheb, call, options, words):
    code, _, text = call(btheb, BTHEB_SETTINGS, *options)
    assert code == 2
    assert words in text


def test_scores_only_asks_for_the_order_of_the_sessions(btheb, call):
    code, _, text = call(btheb, "random_seed: 2\n", "--scores-only")
    assert code == 2
    assert "sessions.order" in text


def write_measures(path, scans, rng, change=0.0):
    """Ten regions of each scan; at post `change` is added to the first one."""
    rows = [
        (f"sub-{who}", f"ses-{when}", "T1w", "volume", region, value, "ml")
        for who, when in scans
        for region, value in zip(REGIONS, rng.normal(10, 1, len(REGIONS)), strict=True)
    ]
    names = ["participant_id", "session_id", "modality", "measure", "region", "value", "unit"]
    table = pd.DataFrame(rows, columns=names)
    grown = (table["region"] == "region1") & (table["session_id"] == "ses-post")
    write_table(table.assign(value=table["value"] + change * grown), path)


@pytest.mark.slow
@pytest.mark.needs_shared
def test_a_real_cohort_with_holes_is_accounted_for(shared_dir, call, tmp_path):
    data = shared_dir / "data"
    mriqc = data / "derivatives" / "ds003007-mriqc"
    found = sorted(mriqc.glob("sub-*/ses-*/anat/*_T1w.json"))
    scans = [
        (strip_label(file.parents[2].name, "sub"), strip_label(file.parents[1].name, "ses"))
        for file in found
    ]
    assert len(scans) == 43
    write_measures(tmp_path / "m.tsv", scans, np.random.default_rng(4))
    code, group, text = call(
        data / "openneuro_ds003007",
        DEPRESSION_SETTINGS,
        "--measures",
        tmp_path / "m.tsv",
        "-d",
        f"mriqc={mriqc}",
    )
    assert code == 10, text
    flow = read_table(group / "flow.tsv")
    arms = {"depr_cbt": 8, "depr_nfb": 6, "depr_no_treatment": 15}
    assert counts(flow, "in participants.tsv") == {"all": 29, **arms}
    usable = {"all": 14, "depr_cbt": 8, "depr_nfb": 6, "depr_no_treatment": 0}
    assert counts(flow, "usable pair", "T1w") == usable
    for family in ("change: T1w volume", "change: score BDI"):
        assert everybody(flow, family) == 29
    model = read_table(group / "models" / "change.tsv")
    assert set(model.loc[model["measure"] == "volume", "n"]) == {14}
    assert set(model.loc[model["measure"] == "volume", "term"]) == {"depr_nfb - depr_cbt"}
    told = " ".join(text.split())
    assert "nobody of the reference arm 'depr_no_treatment' has data of T1w volume" in told
    quality = model["measure"].str.startswith("mriqc_")
    assert quality.any()
    assert not model.loc[quality, "planned"].any()
    assert (group / "report.html").stat().st_size > 10000


def test_the_lock_and_the_models_agree_on_what_is_planned():
    group = GroupSettings(
        arm_column="group",
        randomised=True,
        scores=(ScoreSettings(name="BDI 2"), ScoreSettings(name="WAI", role="process")),
        composites=(CompositeSettings(name="all", scores=("BDI 2", "WAI")),),
        models=(
            ModelSettings(name="dose", formula="dose", planned=True),
            ModelSettings(name="look", formula="age"),
        ),
    )
    settings = Settings(group=group)
    planned = {analysis_key("model", spec.name) for spec in model_specs(settings) if spec.planned}
    assert planned == set(planned_analyses(settings))
