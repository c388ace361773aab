"""Builders of the task model: what reaches the nodes, and what is saved."""

import json
from pathlib import Path

import pytest

from bids_utils.errors import SettingsError
from bids_utils.plan import BoldRun
from configs.settings import FuncSettings, TaskSettings
from workflows.task import (
    TASK_FIGURE_OUTPUTS,
    TASK_RUN_OUTPUTS,
    TASK_SESSION_OUTPUTS,
    init_task_run_wf,
    init_task_session_wf,
    task_model,
)

EVENTS = Path(__file__)
RUN = BoldRun(Path("/data/sub-01_task-faces_bold.nii.gz"), (), 1.6, 200, events_file=EVENTS)
TASK = TaskSettings(
    task="faces",
    contrasts={"reactivity": "negative - neutral"},
    hrf="glover",
    high_pass_hz=0.007,
    strategy="aCompCor",
    ppi_seeds=("L_amygdala",),
)


def node(task=TASK, name="design", **func):
    return init_task_run_wf(RUN, task, FuncSettings(**func)).get_node(name).inputs


def test_settings_and_run_reach_the_design():
    design = node(fd_threshold_mm=0.3, std_dvars_threshold=1.5)
    assert design.contrasts == {"reactivity": {"negative": 1.0, "neutral": -1.0}}
    assert (design.hrf, design.high_pass_hz, design.strategy) == ("glover", 0.007, "aCompCor")
    assert design.repetition_time_s == 1.6
    assert (design.fd_threshold_mm, design.std_dvars_threshold) == (0.3, 1.5)
    assert design.conditions == ["*"]
    assert design.events_file == str(EVENTS)
    assert node(name="contrasts").ppi_seeds == ["L_amygdala"]


def test_a_stats_model_decides_over_the_settings(tmp_path):
    model = {
        "Nodes": [
            {
                "Level": "Run",
                "Model": {
                    "X": [1, "trial_type.a", "csf"],
                    "HRF": {"Variables": ["trial_type.a"], "Model": "spm"},
                    "Options": {"HighPassFilterCutoffHz": 0.02},
                },
                "Contrasts": [
                    {"Name": "a", "ConditionList": ["trial_type.a"], "Weights": [2], "Test": "t"}
                ],
            }
        ]
    }
    file = tmp_path / "model_smdl.json"
    file.write_text(json.dumps(model))
    task = TaskSettings(task="faces", stats_model=file, hrf="glover")
    design = node(task)
    assert (design.hrf, design.high_pass_hz) == ("spm", 0.02)
    assert (design.conditions, design.confounds) == (["a"], ["csf"])
    assert design.contrasts == {"a": {"a": 2.0}}
    with pytest.raises(SettingsError, match="task 'faces' needs contrasts or a stats_model"):
        task_model(TASK.model_copy(update={"stats_model": file}))
    with pytest.raises(SettingsError, match="one of both"):
        task_model(TaskSettings(task="faces"))


def test_every_saved_field_is_an_output():
    fields = set(init_task_run_wf(RUN, TASK, FuncSettings()).get_node("outputnode").outputs.get())
    saved = {row.field for row in (*TASK_RUN_OUTPUTS, *TASK_FIGURE_OUTPUTS)}
    assert fields == saved | {"run_contrasts_file", "run_contrasts_json"}
    session = init_task_session_wf(("run-1", "run-2"))
    assert set(session.get_node("outputnode").outputs.get()) == {
        row.field for row in TASK_SESSION_OUTPUTS
    }
    assert session.get_node("runs").inputs.run_names == ["run-1", "run-2"]
