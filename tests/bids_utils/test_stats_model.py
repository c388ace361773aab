"""Contrasts: formulas of trial types, and BIDS Stats Models files."""

import json

import pytest

from bids_utils.errors import SettingsError
from bids_utils.stats_model import TaskContrast, contrast_from_formula, read_stats_model


@pytest.mark.parametrize(
    ("formula", "weights"),
    [
        ("negative - neutral", {"negative": 1, "neutral": -1}),
        ("(negative + fear)/2 - neutral", {"negative": 0.5, "fear": 0.5, "neutral": -1}),
        ("-neutral + negative * 2 - 0.5 * (fear - negative)", None),
        ("`look negative` - `2back`", {"look negative": 1, "2back": -1}),
        ("face", {"face": 1}),
        ("a - b + b", {"a": 1}),
    ],
)
def test_a_formula_gives_the_weight_of_each_trial_type(formula, weights):
    weights = weights or {"neutral": -1, "negative": 2.5, "fear": -0.5}
    assert contrast_from_formula("c", formula).weights == weights


@pytest.mark.parametrize(
    ("formula", "why"),
    [
        ("negative - 1", "a number stands alone"),
        ("a * b", "multiplied by numbers"),
        ("1 / a", "multiplied by numbers"),
        ("a - a", "all weights are 0"),
        ("log(a)", r"'log\(a\)' is not allowed"),
        ("a -", "invalid syntax"),
        ("look negative", "invalid syntax"),
        ("a / 0", "division by zero"),
    ],
)
def test_a_formula_that_is_no_weighted_sum_is_refused_with_the_reason(formula, why):
    with pytest.raises(SettingsError, match="contrast 'reactivity'") as caught:
        contrast_from_formula("reactivity", formula)
    assert caught.match(why)


RUN = {
    "Level": "Run",
    "Name": "run_level",
    "GroupBy": ["run", "session", "subject"],
    "Transformations": {
        "Transformer": "pybids-transforms-v1",
        "Instructions": [
            {"Name": "Factor", "Input": ["trial_type"]},
            {"Name": "Convolve", "Input": ["trial_type.*"], "Model": "glover", "Derivative": True},
        ],
    },
    "Model": {
        "Type": "glm",
        "X": [1, "trial_type.negative", "trial_type.neutral", "trans_?", "a_comp_cor_0*"],
        "Options": {"HighPassFilterCutoffHz": 0.0078},
    },
    "Contrasts": [
        {
            "Name": "reactivity",
            "ConditionList": ["trial_type.neutral", "trial_type.negative"],
            "Weights": ["-1/2", 0.5],
            "Test": "t",
        }
    ],
    "DummyContrasts": {"Test": "t", "Contrasts": ["trial_type.negative"]},
}
SUBJECT = {
    "Level": "Subject",
    "Name": "subject_level",
    "GroupBy": ["subject", "contrast"],
    "Model": {"X": [1], "Type": "meta"},
    "DummyContrasts": {"Test": "t"},
}
DATASET = {"Level": "Dataset", "Name": "group", "Model": {"X": [1, "age"], "Type": "glm"}}


@pytest.fixture
def model(tmp_path):
    """Return a function that writes a model with changes (path in the Run node -> value)."""

    def read(changes=None, nodes=(), task="faces", **top):
        run = json.loads(json.dumps(RUN))
        for path, value in (changes or {}).items():
            *folders, last = path.split(".")
            part = run
            for key in folders:
                part = part[key]
            part[last] = value
        content = {"Name": "m", "BIDSModelVersion": "1.0.0", "Input": {"task": ["faces"]}}
        file = tmp_path / "model_smdl.json"
        file.write_text(json.dumps(content | {"Nodes": [run, *nodes]} | top))
        return read_stats_model(file, task)

    return read


def test_a_run_node_gives_contrasts_conditions_confounds_response_and_filter(model):
    found = model(nodes=(SUBJECT, DATASET))
    assert found.contrasts == (
        TaskContrast("reactivity", {"neutral": -0.5, "negative": 0.5}),
        TaskContrast("negative", {"negative": 1.0}),
    )
    assert found.conditions == ("negative", "neutral")
    assert found.confounds == ("trans_?", "a_comp_cor_0*")
    assert (found.hrf, found.high_pass_hz) == ("glover + derivative", 0.0078)
    assert found.notes == (
        "node 'subject_level' averages the runs of each session; sessions stay apart",
        "node 'group' is left to the models of the group level",
    )


def test_without_convolution_and_confounds_the_settings_decide(model):
    changes = {"Transformations": {}, "Model": {"X": [1, "negative", "neutral"], "Type": "glm"}}
    found = model(changes)
    assert found.conditions == ("negative", "neutral")
    assert (found.hrf, found.high_pass_hz, found.confounds) == (None, None, None)


def test_dummy_contrasts_without_names_stand_for_all_conditions_and_no_confound(model):
    found = model({"DummyContrasts": {"Test": "t"}, "Contrasts": []})
    assert [contrast.name for contrast in found.contrasts] == ["negative", "neutral"]


F_TEST = [{"Name": "any", "ConditionList": ["negative"], "Weights": [1], "Test": "F"}]
SHORT = [{"Name": "one", "ConditionList": ["negative", "neutral"], "Weights": [1], "Test": "t"}]
UNKNOWN = [{"Name": "odd", "ConditionList": ["happy"], "Weights": [1], "Test": "t"}]
WORD = [{"Name": "odd", "ConditionList": ["negative"], "Weights": ["one"], "Test": "t"}]
TWICE = RUN["Contrasts"] * 2


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"Contrasts": F_TEST}, "contrast 'any': Test 'F'"),
        ({"Contrasts": SHORT}, "contrast 'one'.*give a weight for each trial type"),
        ({"Contrasts": UNKNOWN}, "'happy', which is not in X"),
        ({"Contrasts": WORD}, "weight 'one'"),
        ({"Contrasts": TWICE}, "two contrasts called 'reactivity'"),
        ({"Contrasts": [], "DummyContrasts": {}}, "without contrasts"),
        ({"Transformations.Instructions": [{"Name": "Scale"}]}, "the transformation Scale"),
        ({"Model.HRF": {"Variables": [], "Model": "fir"}}, "the response function fir"),
        ({"Model.Formula": "1 + a"}, "Formula"),
        ({"Model.Type": "meta"}, "a Run model of type 'meta'"),
        ({"Model.Options": {"LowPassFilterCutoffHz": 0.1}}, "Options: LowPassFilterCutoffHz"),
        ({"Model.Options": {"HighPassFilterCutoffHz": -1}}, "HighPassFilterCutoffHz -1"),
        (
            {"Model.X": [1, "trial_type.*"], "DummyContrasts": {"Test": "t"}},
            r"DummyContrasts of '\*'",
        ),
        ({"Level": "Session"}, "0 nodes of the level Run"),
    ],
)
def test_what_is_not_supported_is_refused_by_name(model, changes, message):
    with pytest.raises(SettingsError, match=r"model_smdl\.json") as caught:
        model(changes)
    assert caught.match(message)


def test_a_session_node_may_only_average(model):
    slope = SUBJECT | {"Model": {"X": [1, "run"], "Type": "glm"}}
    with pytest.raises(SettingsError, match=r"node 'subject_level'.*must average"):
        model(nodes=(slope,))


def test_a_session_node_may_pass_contrasts_on_but_not_make_new_ones(model):
    same = {"Name": "IvC", "ConditionList": ["IvC"], "Weights": [1], "Test": "t"}
    assert model(nodes=(SUBJECT | {"Contrasts": [same]},)).contrasts
    with pytest.raises(SettingsError, match="must average"):
        model(nodes=(SUBJECT | {"Contrasts": [same | {"Weights": [-1]}]},))


def test_older_spellings_are_read(model):
    steps = RUN["Transformations"]["Instructions"]
    found = model(
        {"Level": "run", "Transformations": steps}, nodes=(DATASET | {"Level": "dataset"},)
    )
    assert found.hrf == "glover + derivative"
    assert "group level" in found.notes[0]


def test_all_trial_types_may_stand_in_the_model_by_a_wildcard(model):
    found = model({"Model.X": [1, "trial_type.*"]})
    assert found.conditions == ("*",)
    assert [contrast.name for contrast in found.contrasts] == ["reactivity", "negative"]


def test_a_model_of_another_task_is_refused(model):
    with pytest.raises(SettingsError, match="a model of faces and not of 'rest'"):
        model(task="rest")


def test_a_filter_between_runs_and_sessions_is_refused(model):
    edge = {"Source": "run_level", "Destination": "subject_level", "Filter": {"contrast": ["a"]}}
    with pytest.raises(SettingsError, match="an edge with a Filter"):
        model(nodes=(SUBJECT, DATASET), Edges=[edge])
    kept = model(nodes=(SUBJECT, DATASET), Edges=[edge | {"Destination": "group"}])
    assert len(kept.contrasts) == 2


def test_a_name_that_is_no_text_is_refused_or_read_as_text(tmp_path):
    path = tmp_path / "model.json"
    run = {"Level": "Run", "Name": {"a": 1}, "Model": {"X": [1]}, "Contrasts": []}
    edge = {"Source": "x", "Destination": ["s"], "Filter": {"contrast": ["c"]}}
    path.write_text(json.dumps({"Nodes": [run], "Edges": [edge]}))
    with pytest.raises(SettingsError, match="an edge with a Filter"):
        read_stats_model(path, "rest")


def test_a_weight_that_no_number_can_hold_is_refused(tmp_path):
    path = tmp_path / "model.json"
    contrast = {"Name": "c", "ConditionList": ["a"], "Weights": ["9" * 400], "Test": "t"}
    run = {"Level": "Run", "Name": "r", "Model": {"X": ["a"]}, "Contrasts": [contrast]}
    path.write_text(json.dumps({"Nodes": [run]}))
    with pytest.raises(SettingsError, match="contrast 'c': weight"):
        read_stats_model(path, "rest")
