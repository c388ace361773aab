"""Scores of a study: baselines, composites and days by label, never by place."""

import numpy as np
import pandas as pd
import pytest

from bids_utils.derivatives import write_table
from bids_utils.phenotype import ScoreRule
from configs.settings import Settings
from workflows.compute.composite import CompositeSpec
from workflows.compute.scale import Scale
from workflows.interfaces.group_cohort import GroupFiles, StudyOrder, load_study
from workflows.interfaces.group_tables import save_table
from workflows.interfaces.outcomes import ScoreRequest, judged, taken_in
from workflows.questions import planned_days

SCALES = (Scale("PHQ", minimum=0), Scale("BDI", minimum=0))


@pytest.fixture
def study(tmp_path):
    """PHQ at screening, before and after; BDI before and after only."""
    rng, n = np.random.default_rng(8), 12
    table = pd.DataFrame({"participant_id": [f"sub-{k:02d}" for k in range(n)]})
    for name, sessions in (("PHQ", ("screen", "pre", "post")), ("BDI", ("pre", "post"))):
        for place, session in enumerate(sessions):
            table[f"{name}_ses-{session}"] = (20 - 6 * place + rng.normal(0, 2, n)).round()
    write_table(table, tmp_path / "participants.tsv")
    return tmp_path, table.assign(participant_id=table["participant_id"].str[4:])


def request(**fields):
    rules = tuple(ScoreRule(scale.name, 0, None, None) for scale in SCALES)
    sessions = ("screen", "pre", "post")
    return ScoreRequest(SCALES, ("PHQ", "BDI"), rules, sessions=sessions, **fields)


@pytest.mark.parametrize("pair", [None, ("pre", "post")])
def test_each_score_is_judged_from_its_own_baseline(study, pair):
    folder, table = study
    asked = request(pair=pair)
    scores, _ = taken_in(folder, asked, ("post",))
    people = table.set_index("participant_id")
    rows = judged(asked, scores, people, asked.sessions)[0]["outcomes"].set_index("score")
    assert set(rows.loc["BDI", "baseline"]) == {"pre"}
    assert rows.loc["BDI", "change"].notna().all()
    assert set(rows.loc["PHQ", "baseline"]) == ({"pre"} if pair else {"screen"})


def test_a_composite_is_standardised_at_the_baseline_whatever_was_scanned(study):
    folder, table = study
    asked = request(composites=(CompositeSpec("both", SCALES),), pair=("pre", "post"))
    scores, _ = taken_in(folder, asked, ("post", "screen"))
    both = scores[(scores["score"] == "both") & (scores["session_id"] == "pre")]
    parts = table[["PHQ_ses-pre", "BDI_ses-pre"]]
    standard = ((parts - parts.mean()) / parts.std()).mean(axis=1)
    np.testing.assert_allclose(both["value"], standard, atol=1e-9)


def test_planned_days_belong_to_their_session_not_to_its_place(study, tmp_path):
    folder, _ = study
    scores, _ = taken_in(folder, request(), ())
    order = {"order": ["screen", "start", "pre", "post"], "interval_days": [7, 14, 90]}
    days = planned_days(Settings.model_validate({"sessions": order}))
    save_table(scores, tmp_path / "scores.tsv")
    waves = pd.DataFrame(columns=["participant_id", "session_id", "modality", "days_from_baseline"])
    save_table(waves, tmp_path / "waves.tsv")
    files = GroupFiles(
        str(tmp_path / "none"), str(tmp_path / "waves.tsv"), str(tmp_path / "scores.tsv")
    )
    sessions = ("screen", "pre", "post")
    made = load_study(files, folder, StudyOrder((), sessions, ("pre", "post"), tuple(days.items())))
    assert made.cohort.days.iloc[0].to_dict() == {"screen": 0.0, "pre": 21.0, "post": 111.0}
