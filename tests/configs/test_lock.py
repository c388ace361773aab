"""The locked analysis: what counts as planned, and what is told when something differs."""

import hashlib
import json

import pytest

from bids_utils.errors import DatasetError, SettingsError
from configs.lock import (
    LOCK_FILE,
    compare_lock,
    make_lock,
    planned_analyses,
    read_lock,
    write_lock,
)
from configs.settings import GroupSettings, ModelSettings, ScoreSettings, Settings

GROUP = GroupSettings(
    arm_column="group",
    randomised=True,
    scores=(ScoreSettings(name="BDI 2"), ScoreSettings(name="WAI", role="process")),
    models=(
        ModelSettings(name="dose", formula="sessions", planned=True),
        ModelSettings(name="look", formula="age"),
    ),
)
SETTINGS = Settings(group=GROUP)


@pytest.fixture
def locked(tmp_path):
    """A lock on disk, and the table it was made of."""
    table = tmp_path / "participants.tsv"
    table.write_text("participant_id\tBDI\nsub-01\tnot a number\n", encoding="utf-8")
    inputs = {"participants.tsv": table}
    write_lock(make_lock(SETTINGS, inputs, "2030-01-01T00:00:00+00:00", "1.0"), tmp_path)
    return tmp_path, inputs


def changed(**values):
    return SETTINGS.model_copy(update={"group": GROUP.model_copy(update=values)})


def test_planned_are_the_main_model_the_outcomes_and_what_says_so():
    assert list(planned_analyses(SETTINGS)) == ["baseline_adjusted", "symptoms_BDI-2", "dose"]


def test_the_lock_keeps_the_bytes_of_the_tables_and_reads_no_score(locked):
    folder, inputs = locked
    lock = read_lock(folder)
    content = inputs["participants.tsv"].read_bytes()
    assert lock.inputs == {"participants.tsv": hashlib.sha256(content).hexdigest()}
    comparison = compare_lock(lock, SETTINGS, inputs)
    assert comparison.notices == ()
    assert comparison.planned == set(planned_analyses(SETTINGS))


def test_a_lock_is_never_written_again(locked):
    with pytest.raises(SettingsError, match="locked on 2030-01-01.*never changed"):
        write_lock(make_lock(SETTINGS, {}, "2031", "1.0"), locked[0])


def test_a_changed_definition_makes_that_analysis_exploratory(locked):
    models = (ModelSettings(name="dose", formula="sessions + age", planned=True),)
    comparison = compare_lock(read_lock(locked[0]), changed(models=models))
    assert comparison.planned == {"baseline_adjusted", "symptoms_BDI-2"}
    [(what, where, advice)] = comparison.notices
    assert what == "formula was locked as 'sessions' and is 'sessions + age' now"
    assert where == f"{LOCK_FILE}: dose"
    assert "exploratory" in advice


def test_what_decides_everything_makes_everything_exploratory(locked):
    comparison = compare_lock(read_lock(locked[0]), changed(covariates=("age",)))
    assert comparison.planned == frozenset()
    assert comparison.notices[0][0] == ("group.covariates was locked as [] and is ['age'] now")


def test_new_and_dropped_analyses_are_told(locked):
    models = (ModelSettings(name="late", formula="age", planned=True),)
    comparison = compare_lock(read_lock(locked[0]), changed(models=models))
    told = {where.rpartition(" ")[2]: what for what, where, _ in comparison.notices}
    assert told == {
        "late": "it was not locked",
        "dose": "it was locked and is not asked for any more",
    }


def test_a_table_that_changed_is_told_and_the_analysis_stays_planned(locked):
    folder, inputs = locked
    inputs["participants.tsv"].write_text("participant_id\nsub-01\n", encoding="utf-8")
    comparison = compare_lock(read_lock(folder), SETTINGS, inputs)
    assert "participants.tsv is not as it was" in comparison.notices[0][0]
    assert "dose" in comparison.planned


def test_without_a_lock_what_is_planned_is_planned(tmp_path):
    assert read_lock(tmp_path) is None
    assert compare_lock(None, SETTINGS).planned == set(planned_analyses(SETTINGS))


def test_a_file_that_is_no_lock_is_an_error(tmp_path):
    (tmp_path / LOCK_FILE).write_text(json.dumps({"time": "x"}), encoding="utf-8")
    with pytest.raises(DatasetError, match="not a lock"):
        read_lock(tmp_path)
