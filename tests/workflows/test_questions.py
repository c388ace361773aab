"""What a study asks, from its settings."""

import json

import pytest
from pydantic import ValidationError

from bids_utils.errors import SettingsError
from configs.lock import Comparison
from configs.settings import (
    FuncSettings,
    GroupSettings,
    MechanismSettings,
    PredictionSettings,
    ProcessSettings,
    SessionSettings,
    Settings,
    VariableSettings,
)
from workflows.group import as_locked, init_group_wf
from workflows.interfaces.measure_sources import Intake
from workflows.questions import analyses_of, score_request

BDI, WAI = VariableSettings(score="BDI"), VariableSettings(score="WAI")
WEEKS = ProcessSettings(name="path", process=WAI, outcome=BDI, sessions=("ses-1", "2"))
PATH = MechanismSettings(
    name="path",
    mediators=(VariableSettings(measure="volume", session="ses-mid"),),
    outcome=VariableSettings(score="BDI", change=("ses-pre", "ses-post")),
    planned=True,
)
WHO = PredictionSettings(
    name="who",
    target=VariableSettings(score="BDI", session=" ses-post "),
    brain=(VariableSettings(measure="volume", session="pre"),),
)
GROUP = GroupSettings(mechanisms=(PATH,), processes=(WEEKS,), predictions=(WHO,))
SESSIONS = SessionSettings(
    order=("ses-pre", "mid", "ses-post"),
    compared=("ses-pre", "ses-post"),
    moments={"ses-pre": "before", "mid": 4, "ses-post": "after"},
)
SETTINGS = Settings(sessions=SESSIONS, group=GROUP)


def asked(kind):
    [text] = [text for other, text in analyses_of(SETTINGS) if other == kind]
    return json.loads(text)


def test_sessions_of_variables_are_labels_without_prefix():
    mechanism = asked("mechanism")
    assert mechanism["mediators"][0]["session"] == "mid"
    assert mechanism["mediators"][0]["change"] is None
    assert mechanism["outcome"]["change"] == ["pre", "post"]
    assert mechanism["outcome"]["session"] is None
    prediction = asked("prediction")
    assert prediction["target"]["session"] == "post"
    assert prediction["brain"][0]["session"] == "pre"
    assert asked("process")["sessions"] == ["1", "2"]


def test_moments_and_compared_sessions_are_by_labels_without_prefix(tmp_path):
    request = json.loads(score_request(SETTINGS))
    assert request["moments"] == {"pre": "before", "mid": 4, "post": "after"}
    assert request["pair"] == ["pre", "post"]
    node = init_group_wf(tmp_path, tmp_path, Intake(derivatives=False), SETTINGS).get_node(
        "analyses"
    )
    moments = [["pre", "before"], ["mid", 4], ["post", "after"]]
    assert json.loads(node.inputs.moments) == moments


@pytest.mark.parametrize(
    ("key", "planned"),
    [
        ("mechanism path", {("mechanism", "path")}),
        ("model path", set()),
        ("process path", set()),
    ],
)
def test_planned_is_what_was_locked_by_kind_and_name_and_says_so(key, planned):
    records = as_locked(analyses_of(SETTINGS), Comparison(frozenset({key})))
    made = [(kind, json.loads(text)) for kind, text in records]
    assert {(kind, record["name"]) for kind, record in made if record["planned"]} == planned


def test_predictions_that_were_locked_are_planned():
    locked = Comparison(frozenset({"prediction who"}))
    [text] = [t for kind, t in as_locked(analyses_of(SETTINGS), locked) if kind == "prediction"]
    assert json.loads(text)["planned"]


TANGENT = PredictionSettings(
    name="who",
    target=VariableSettings(score="BDI", session="post"),
    brain=(VariableSettings(measure="connectivity", session="ses-pre"),),
    method="tangent",
)


def test_tangent_space_is_asked_for_and_refused_for_partial_correlations():
    settings = Settings(sessions=SESSIONS, group=GroupSettings(predictions=(TANGENT,)))
    [text] = [text for kind, text in analyses_of(settings) if kind == "prediction"]
    assert json.loads(text)["method"] == "tangent"
    partial = settings.model_copy(update={"func": FuncSettings(connectivity="partial")})
    with pytest.raises(SettingsError, match="who: tangent needs matrices of correlations"):
        analyses_of(partial)


@pytest.mark.parametrize(
    "brain",
    [
        [{"measure": "connectivity", "change": ("pre", "mid")}],
        [{"measure": "connectivity", "session": "pre", "region": "a"}],
        [{"measure": "volume", "session": "pre"}],
        [{"measure": "connectivity", "session": "pre"}, {"measure": "volume", "session": "pre"}],
    ],
)
def test_tangent_space_takes_all_connections_of_one_session_only(brain):
    with pytest.raises(ValidationError, match="who: tangent predicts from all connections of one"):
        PredictionSettings.model_validate(TANGENT.model_dump() | {"brain": brain})
